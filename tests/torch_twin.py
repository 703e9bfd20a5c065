"""The same model in PyTorch, with the same weights: what ours is held against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import colonnade as cn

if TYPE_CHECKING:
    import torch


def twin(model: cn.Model) -> torch.nn.Module:
    """A torch module that computes what `model` does, its parameters copied, of the model's type.

    Of layers that torch.nn has it is made of those alone; tests/formats/test_torch_export.py sees to that.
    """
    return model.to_torch()
