"""Chain, Residual, Branches: the wirings that most networks are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .. import arguments
from ..errors import ArgumentError
from ..layers.base import Layer
from ..layers.wiring import Add, Concat
from ..steps import Edge, Step
from .base import Composite, Node, describe, fork, unroll


class Chain(Composite):
    """One after the other."""

    def __init__(self, layers: Sequence[Node]) -> None:
        self.layers = nodes(layers, type(self).__name__)

    def unroll(self, inputs: Sequence[Edge], name: str, steps: list[Step]) -> list[Edge]:
        edges = list(inputs)
        for position, layer in enumerate(self.layers):
            edges = unroll(layer, edges, f"{name}{position}", steps)
        return edges

    def config(self) -> dict[str, Any]:
        return {"layers": describe(self.layers)}

    def __iter__(self) -> Iterator[Node]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, position: int) -> Node:
        return self.layers[position]

    def __repr__(self) -> str:
        return f"Chain({self.layers!r})"


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

    def unroll(self, inputs: Sequence[Edge], name: str, steps: list[Step]) -> list[Edge]:
        left, right = fork(require_one(self, inputs), 2, name.removesuffix("."), steps)
        ends = self.main.unroll([left], f"{name}main.", steps) + self.shortcut.unroll(
            [right], f"{name}shortcut.", steps
        )
        return unroll(Add(), ends, f"{name}add", steps)

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

    def unroll(self, inputs: Sequence[Edge], name: str, steps: list[Step]) -> list[Edge]:
        starts = fork(require_one(self, inputs), len(self.paths), name.removesuffix("."), steps)
        ends: list[Edge] = []
        for number, (path, start) in enumerate(zip(self.paths, starts, strict=True)):
            ends += path.unroll([start], f"{name}{number}.", steps)
        return unroll(Concat(), ends, f"{name}concat", steps)

    def config(self) -> dict[str, Any]:
        return {"paths": [describe(path) for path in self.paths]}

    def __repr__(self) -> str:
        return f"Branches({', '.join(repr(path.layers) for path in self.paths)})"


def nodes(layers: Sequence[Node], owner: str) -> list[Node]:
    """The layers as a list; raises ArgumentError for what is none."""
    if isinstance(layers, Layer | Composite) and not isinstance(layers, Iterable):
        raise ArgumentError(f"{owner}: expected a list of layers, got {layers!r}: put it in brackets.")
    if isinstance(layers, str | type) or not isinstance(layers, Iterable):
        raise ArgumentError(f"{owner}: expected a list of layers, got {arguments.shown(layers)}.")
    listed = list(layers)
    for position, layer in enumerate(listed):
        require_node(layer, f"{owner}: layer {position}")
    return listed


def require_node(layer: object, place: str) -> None:
    """Raise ArgumentError for what is neither a leaf nor a composite."""
    if not isinstance(layer, Layer | Composite):
        raise ArgumentError(f"{place} must be a layer, got {arguments.shown(layer)}{arguments.hint(layer)}.")


def require_one(composite: Composite, inputs: Sequence[Edge]) -> Edge:
    """The only input; raises ArgumentError where there are others."""
    if len(inputs) != 1:
        raise ArgumentError(f"{type(composite).__name__}: expected one input, got {len(inputs)}.")
    return inputs[0]
