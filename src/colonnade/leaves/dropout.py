"""Dropout, of numbers and of channels: the same numbers are left out as in NumPy, bit for bit."""

from __future__ import annotations

from typing import ClassVar

from ..compiled.addition import channel_scaling_forward
from ..compiled.dropout import draw_factors, dropout
from ..layers.base import Block, Direction, Layer, Scratch
from ..layers.channel_dropout import Dropout2d
from ..layers.dropout import Dropout
from ..ops.layout import Array
from ..tensor import Shape, Tensor
from .base import Leaf, flat_images, positions


def leaf_for(layer: Layer) -> Leaf | None:
    """The leaf of a dropout; None for any other layer."""
    if isinstance(layer, Dropout):
        return CompiledDropout(layer)
    return CompiledChannelDropout(layer) if isinstance(layer, Dropout2d) else None


class CompiledDropout(Leaf):
    """y = x · m / (1 − p), m drawn anew in the backward pass."""

    reads: ClassVar[set[str]] = set()
    in_place = True
    cheap = True
    vanishes = True

    def __init__(self, layer: Dropout | Dropout2d) -> None:
        self.layer, self.stands_for = layer, (layer,)

    def only_copies(self, shape: Shape, direction: Direction) -> bool:
        return self.layer.only_copies(shape, direction)

    def _drop(self, x: Array, y: Array, block: Block) -> None:
        dropout(flat_images(x), block.key(), block.start, self.layer.p if block.training else 0.0, flat_images(y))

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        self._drop(x.value, y.value, block)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        self._drop(y.grad, x.grad, block)


class CompiledChannelDropout(CompiledDropout):
    """y = x · m / (1 − p), one m for each channel of each image."""

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"factor": Scratch(shape[:2])}

    def _drop(self, x: Array, y: Array, block: Block) -> None:
        factor = block.scratch["factor"]
        draw_factors(block.key(), block.start, self.layer.p if block.training else 0.0, factor)
        channel_scaling_forward(positions(x), factor, positions(y))
