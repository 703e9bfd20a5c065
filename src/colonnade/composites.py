"""Composites: they compute nothing, they only say how leaves are wired."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .errors import ArgumentError
from .layers.base import Layer
from .layers.wiring import Add, Concat, Fork
from .steps import Step
from .tensor import Tensor


class Composite:
    """Layers, wired in some way. It unrolls into steps."""

    def unroll(self, x: Tensor, name: str, steps: list[Step]) -> Tensor:
        """Append the steps that lead on from `x`, and return the tensor they end in.

        Args:
            x: Where to start.
            name: The composite's place in the model: "" or a prefix that ends in a dot.
            steps: Appended to.
        """
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """The constructor's arguments as data, layers described by :func:`describe`."""
        raise NotImplementedError


Node = Layer | Composite


class Chain(Composite):
    """One after the other."""

    def __init__(self, layers: Sequence[Node]) -> None:
        if isinstance(layers, Layer | Composite) and not isinstance(layers, Chain):
            raise ArgumentError(
                f"{type(self).__name__}: expected a list of layers, got {layers!r}: put it in brackets."
            )
        self.layers = list(layers)
        for position, layer in enumerate(self.layers):
            if not isinstance(layer, Layer | Composite):
                hint = " (the class itself: add parentheses?)" if isinstance(layer, type) else ""
                raise ArgumentError(f"{type(self).__name__}: layer {position} must be a layer, got {layer!r}{hint}.")

    def unroll(self, x: Tensor, name: str, steps: list[Step]) -> Tensor:
        for position, layer in enumerate(self.layers):
            if isinstance(layer, Composite):
                x = layer.unroll(x, f"{name}{position}.", steps)
            else:
                x = _append(steps, layer, [x], 1, f"{name}{position}")[0]
        return x

    def config(self) -> dict[str, Any]:
        return {"layers": describe(self.layers)}

    def __iter__(self) -> Iterator[Node]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, position: int) -> Node:
        return self.layers[position]


class Residual(Composite):
    """y = main(x) + shortcut(x), and nothing after it: put the ReLU behind.

    Args:
        main: The main path's layers.
        shortcut: The shortcut's layers; left out, the identity.

    He et al. 2015, arXiv:1512.03385.
    """

    def __init__(self, main: Sequence[Node], shortcut: Sequence[Node] | None = None) -> None:
        self.main = Chain(main)
        self.shortcut = Chain(shortcut or [])

    def unroll(self, x: Tensor, name: str, steps: list[Step]) -> Tensor:
        left, right = _append(steps, Fork(2), [x], 2, f"{name}fork")
        left = self.main.unroll(left, f"{name}main.", steps)
        right = self.shortcut.unroll(right, f"{name}shortcut.", steps)
        return _append(steps, Add(), [left, right], 1, f"{name}add")[0]

    def config(self) -> dict[str, Any]:
        return {"main": describe(self.main), "shortcut": describe(self.shortcut)}

    def __repr__(self) -> str:
        return f"Residual({self.main.layers!r}, shortcut={self.shortcut.layers!r})"


class Branches(Composite):
    """Paths side by side, their outputs concatenated along the channels.

    Args:
        paths: Each a list of layers; an empty one hands the input on.
    """

    def __init__(self, *paths: Sequence[Node]) -> None:
        if len(paths) < 2:
            raise ArgumentError(f"Branches: expected two paths or more, got {len(paths)}.")
        self.paths = [Chain(path) for path in paths]

    def unroll(self, x: Tensor, name: str, steps: list[Step]) -> Tensor:
        starts = _append(steps, Fork(len(self.paths)), [x], len(self.paths), f"{name}fork")
        ends = [path.unroll(starts[i], f"{name}{i}.", steps) for i, path in enumerate(self.paths)]
        return _append(steps, Concat(), ends, 1, f"{name}concat")[0]

    def config(self) -> dict[str, Any]:
        return {"paths": [describe(path) for path in self.paths]}

    def __repr__(self) -> str:
        return f"Branches({', '.join(repr(path.layers) for path in self.paths)})"


def _append(steps: list[Step], layer: Layer, inputs: list[Tensor], outputs: int, name: str) -> list[Tensor]:
    made = [Tensor(()) for _ in range(outputs)]
    steps.append(Step(layer, inputs, made, name))
    return made


def describe(layers: Sequence[Node] | Chain) -> list[dict[str, Any]]:
    """Layers as JSON-able data: the type's name and the constructor's arguments."""
    return [{"type": type(layer).__name__, **_plain(layer.config())} for layer in layers]


def _plain(value: Any) -> Any:
    """JSON knows no NumPy numbers, and np.prod of a shape is one."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value
