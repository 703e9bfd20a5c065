"""Softmax and its logarithm over the channels, which lie last in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from ..compiled.softmax import log_softmax_backward, log_softmax_forward, softmax_backward, softmax_forward
from ..layers.activation import Softmax
from ..layers.base import Block, Bound, Layer
from ..layers.log_softmax import LogSoftmax
from ..tensor import Shape, Tensor
from .base import Leaf, rows


class CompiledSoftmax(Leaf):
    """Softmax, or its logarithm, over the axis that lies last in memory."""

    reads: ClassVar[set[str]] = {"output"}
    in_place = True

    def __init__(self, layer: Softmax | LogSoftmax) -> None:
        self.stands_for = (layer,)
        logarithm = isinstance(layer, LogSoftmax)
        self.run = log_softmax_forward if logarithm else softmax_forward
        self.run_back = log_softmax_backward if logarithm else softmax_backward

    @staticmethod
    def suits(layer: Layer, shape: Shape) -> bool:
        """Whether the layer goes along the axis that lies last in memory, for one input of `shape`."""
        if not isinstance(layer, Softmax | LogSoftmax):
            return False
        last = 1 if len(shape) == 3 else len(shape)
        return layer.dim % (len(shape) + 1) == last

    def bind_forward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        yield self.run, (rows(x.value), rows(y.value))

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        yield self.run_back, (rows(y.value), rows(y.grad), rows(x.grad))
