"""What all composites share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..layers.base import Layer
from ..layers.wiring import Fork, Wiring
from ..steps import Edge, Step


class Composite:
    """Layers, wired in some way. It unrolls into steps."""

    def unroll(self, inputs: Sequence[Edge], name: str, steps: list[Step]) -> list[Edge]:
        """Append the steps that lead on from `inputs`, and return the edges they end in.

        Args:
            inputs: Where to start; most composites take one.
            name: The composite's place in the model: "" or a prefix that ends in a dot.
            steps: Appended to.
        """
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """The constructor's arguments as data, layers described by :func:`describe`."""
        raise NotImplementedError

    @property
    def kind(self) -> str:
        """The name of the class that `config` is for."""
        return type(self).__name__


Node = Layer | Composite


def unroll(node: Node, inputs: Sequence[Edge], name: str, steps: list[Step]) -> list[Edge]:
    """As :meth:`Composite.unroll`, for a leaf too: one output, and mostly one step."""
    if isinstance(node, Composite):
        return node.unroll(inputs, f"{name}.", steps)
    if len(inputs) != 1 and not isinstance(node, Wiring):
        raise ArgumentError(f"layer {name}, {type(node).__name__}: expected one input, got {len(inputs)}.")
    edges = list(inputs)
    for place, layer in node.parts().items():
        output = Edge()
        steps.append(Step(layer, edges, [output], f"{name}.{place}" if place else name))
        edges = [output]
    return edges


def fork(edge: Edge, readers: int, name: str, steps: list[Step]) -> list[Edge]:
    """An edge for each reader. Every edge has one reader, so that every layer may overwrite its input's gradient."""
    if readers == 1:
        return [edge]
    outputs = [Edge() for _ in range(readers)]
    steps.append(Step(Fork(readers), [edge], outputs, f"{name}.fork" if name else "fork"))
    return outputs


def describe(nodes: Iterable[Node]) -> list[dict[str, Any]]:
    """Layers as JSON-able data: the type's name and the constructor's arguments."""
    return [
        {"type": node.kind if isinstance(node, Composite) else type(node).__name__, **_plain(node.config())}
        for node in nodes
    ]


def _plain(value: Any) -> Any:
    """JSON knows no NumPy numbers, and np.prod of a shape is one."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value
