"""Images of another size, by interpolation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from ..compiled.resampling import band, interpolate
from ..layers.base import Block, Bound, Direction, Layer, Scratch
from ..layers.resampling import Upsample
from ..layers.resizing import Resize
from ..tensor import Shape, Tensor
from .base import Leaf, plain


def leaf_for(layer: Layer, shape: Shape, output: Shape) -> Leaf | None:
    """The leaf of an interpolation; None for any other layer."""
    if len(shape) == 3 and (
        isinstance(layer, Upsample) or (isinstance(layer, Resize) and not layer.extrapolation_value)
    ):
        return CompiledResampling(layer, shape, output)
    return None


class CompiledResampling(Leaf):
    """y = V x Hᵀ for each channel, V and H being bands: a few pixels make up each.

    Args:
        layer: It says what V and H are.
        shape: One image's, (c, h, w).
        output: (c, h_out, w_out).
    """

    reads: ClassVar[set[str]] = set()
    cheap = True

    def __init__(self, layer: Upsample | Resize, shape: Shape, output: Shape) -> None:
        self.stands_for, self.rows = (layer,), (output[1], shape[2], shape[0])
        vertical, horizontal = (layer.matrix(axis, shape[1 + axis], np.float32) for axis in (0, 1))
        self.down, self.across = band(vertical), band(horizontal)
        self.up, self.back = band(vertical.T), band(horizontal.T)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"rows": Scratch((shape[0], *self.rows))}

    def bind_forward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        values, outputs, made = plain(x.value), plain(y.value), block.scratch["rows"]
        images, rows, columns, channels = made.shape
        whole = columns * channels
        yield interpolate, (values.reshape(images, -1, whole), *self.down, made.reshape(images, rows, whole))
        lines = images * rows
        yield interpolate, (made.reshape(lines, columns, channels), *self.across, outputs.reshape(lines, -1, channels))

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        grad, target, made = plain(y.grad), plain(x.grad), block.scratch["rows"]
        images, rows, columns, channels = made.shape
        whole, lines = columns * channels, images * rows
        yield interpolate, (grad.reshape(lines, -1, channels), *self.back, made.reshape(lines, columns, channels))
        yield interpolate, (made.reshape(images, rows, whole), *self.up, target.reshape(images, -1, whole))
