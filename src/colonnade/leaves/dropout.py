"""Dropout, of numbers and of channels: the same numbers are left out as in NumPy, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from ..compiled.addition import channel_scaling_forward
from ..compiled.dropout import draw_factors, dropout
from ..layers.base import Block, Bound, Direction, Layer, Scratch
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

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"key": Scratch((2,), np.uint64)}

    def _p(self, block: Block) -> float:
        return self.layer.p if block.training else 0.0

    def _drop(self, x: Array, y: Array, block: Block) -> Iterator[Bound]:
        key = block.scratch["key"]
        yield block.key, (key,)
        yield dropout, (flat_images(x), key, block.start, self._p(block), flat_images(y))

    def bind_forward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        return self._drop(x.value, y.value, block)

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        return self._drop(y.grad, x.grad, block)


class CompiledChannelDropout(CompiledDropout):
    """y = x · m / (1 − p), one m for each channel of each image."""

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"factor": Scratch(shape[:2])} | super().scratch(shape, direction)

    def _drop(self, x: Array, y: Array, block: Block) -> Iterator[Bound]:
        factor, key = block.scratch["factor"], block.scratch["key"]
        yield block.key, (key,)
        yield draw_factors, (key, block.start, self._p(block), factor)
        yield channel_scaling_forward, (positions(x), factor, positions(y))
