"""Softmax and its logarithm along an axis."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

from ..compiled.packing import transpose
from ..compiled.softmax import log_softmax_backward, log_softmax_forward, softmax_backward, softmax_forward
from ..layers.activation import Softmax
from ..layers.base import Block, Bound, Direction, Layer, Scratch
from ..layers.log_softmax import LogSoftmax
from ..ops.layout import Array, memory_axes
from ..tensor import Shape, Tensor
from .base import Leaf, plain


def leaf_for(layer: Layer, shape: Shape) -> Leaf | None:
    """The leaf of a softmax or its logarithm; None for any other layer."""
    return CompiledSoftmax(layer, shape) if isinstance(layer, Softmax | LogSoftmax) else None


class CompiledSoftmax(Leaf):
    """Softmax, or its logarithm, along an axis.

    Rows that do not lie side by side, as those of an image do where the axis is not that of its channels, are turned
    first, and turned back.

    Args:
        layer: The layer.
        shape: One image's.
    """

    reads: ClassVar[set[str]] = {"output"}
    in_place = True

    def __init__(self, layer: Softmax | LogSoftmax, shape: Shape) -> None:
        self.stands_for = (layer,)
        logarithm = isinstance(layer, LogSoftmax)
        self.run = log_softmax_forward if logarithm else softmax_forward
        self.run_back = log_softmax_backward if logarithm else softmax_backward
        order = memory_axes(len(shape) + 1)
        axis = layer.dim % (len(shape) + 1)
        inside = order[order.index(axis) + 1 :]
        self.length, self.inner = shape[axis - 1], math.prod(shape[each - 1] for each in inside)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        if self.inner == 1:
            return {}
        names = ("turned",) if direction == "forward" else ("turned", "grad")
        return {name: Scratch((math.prod(shape) // self.length, self.length)) for name in names}

    def _rows(self, x: Array) -> Array:
        return plain(x).reshape(-1, self.length)

    def _turn(self, x: Array, rows: Array) -> Bound:
        """What writes the rows of a block's array side by side."""
        return transpose, (plain(x).reshape(-1, self.length, self.inner), rows.reshape(-1, self.inner, self.length))

    def _turn_back(self, rows: Array, x: Array) -> Bound:
        return transpose, (rows.reshape(-1, self.inner, self.length), plain(x).reshape(-1, self.length, self.inner))

    def bind_forward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        if self.inner == 1:
            yield self.run, (self._rows(x.value), self._rows(y.value))
            return
        rows = block.scratch["turned"]
        yield self._turn(x.value, rows)
        yield self.run, (rows, rows)
        yield self._turn_back(rows, y.value)

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        if self.inner == 1:
            yield self.run_back, (self._rows(y.value), self._rows(y.grad), self._rows(x.grad))
            return
        rows, grad = block.scratch["turned"], block.scratch["grad"]
        yield self._turn(y.value, rows)
        yield self._turn(y.grad, grad)
        yield self.run_back, (rows, grad, grad)
        yield self._turn_back(grad, x.grad)
