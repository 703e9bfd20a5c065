"""PReLU: of images and of features, whose channels lie last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from ..compiled.prelu import prelu_backward, prelu_forward
from ..layers.base import Block, Bound, Direction, Layer, Scratch
from ..layers.pieces import PReLU
from ..ops.layout import Array
from ..tensor import Shape, Tensor
from .base import Leaf, rows


def leaf_for(layer: Layer, shape: Shape) -> Leaf | None:
    """The leaf of a PReLU; None for any other layer, or where its channels do not lie last."""
    if not isinstance(layer, PReLU) or (layer.num_parameters > 1 and len(shape) not in (1, 3)):
        return None
    return CompiledPReLU(layer, shape[0] if len(shape) == 3 else shape[-1])


class CompiledPReLU(Leaf):
    """y = max(x, 0) + w · min(x, 0), w a number for each channel, or one for all."""

    reads: ClassVar[set[str]] = {"input"}
    cheap = True

    def __init__(self, layer: PReLU, channels: int) -> None:
        self.layer, self.stands_for, self.channels = layer, (layer,), channels

    def begin_forward(self, before: Array | None, shape: Shape, training: bool, sums: Array | None) -> Array:
        weight: Array = np.empty(self.channels, np.float32) if before is None else before
        weight[...] = self.layer.weight.array
        return weight

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        if direction == "forward":
            return {}
        total = Scratch((self.layer.num_parameters,))
        return {"grad_weight": Scratch((self.channels,)), "total": total, "grad": Scratch(shape)}

    def bind_forward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        yield prelu_forward, (rows(x.value), block.state, rows(y.value))

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        values, of_weight = rows(x.value), block.scratch["grad_weight"]
        target = rows(x.grad) if x.has_grad else block.scratch["grad"].reshape(values.shape)
        yield of_weight.fill, (0,)
        yield prelu_backward, (values, rows(y.grad), block.state, target, of_weight)
        total = block.scratch["total"]
        yield np.sum, (of_weight.reshape(total.size, -1), 1, None, total)
        yield block.add_grad, (self.layer.weight, total)
