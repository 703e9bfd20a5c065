"""The same model in PyTorch, with the same weights: what ours is held against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import colonnade as cn
from colonnade.composites import Chain

if TYPE_CHECKING:
    import torch


def twin(model: cn.Model) -> torch.nn.Module:
    """A torch module that computes what `model` does, its parameters copied, of the model's type."""
    import torch

    class Residual(torch.nn.Module):
        def __init__(self, layer: cn.Residual) -> None:
            super().__init__()
            self.main, self.shortcut = chain(layer.main), chain(layer.shortcut)

        def forward(self, x: Any) -> Any:
            return self.main(x) + self.shortcut(x)

    class Branches(torch.nn.Module):
        def __init__(self, layer: cn.Branches) -> None:
            super().__init__()
            for position, path in enumerate(layer.paths):
                self.add_module(str(position), chain(path))

        def forward(self, x: Any) -> Any:
            return torch.cat([path(x) for path in self.children()], dim=1)

    class SelfAttention(torch.nn.MultiheadAttention):
        def forward(self, x: Any) -> Any:  # type: ignore[override]
            return super().forward(x, x, x, need_weights=False)[0]

    def convert(layer: Any) -> torch.nn.Module:
        if isinstance(layer, Chain):
            return chain(layer)
        if isinstance(layer, cn.Residual):
            return Residual(layer)
        if isinstance(layer, cn.Branches):
            return Branches(layer)
        if isinstance(layer, cn.MultiheadAttention):
            return SelfAttention(**layer.config(), batch_first=True)
        name = {"Dense": "Linear"}.get(type(layer).__name__, type(layer).__name__)
        return getattr(torch.nn, name)(**layer.config())  # type: ignore[no-any-return]

    def chain(layers: Chain) -> torch.nn.Module:
        return torch.nn.Sequential(*(convert(layer) for layer in layers))

    module = chain(model).to(getattr(torch, model.dtype.name))
    module.load_state_dict({name: torch.from_numpy(array) for name, array in model.state_dict().items()})
    return module
