"""Pools."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from ..compiled import pooling as compiled
from ..layers.adaptive import AdaptiveAvgPool2d
from ..layers.base import Block, Bound, Layer, Scratch
from ..layers.pooling import AvgPool2d, MaxPool2d
from ..layers.reduction import Mean
from ..ops import adaptive, pooling
from ..ops.layout import Array
from ..ops.window import Window
from ..tensor import Shape, Tensor
from .base import Leaf, last_axis, plain, positions


def leaf_for(layer: Layer, shape: Shape, output: Shape) -> Leaf | None:
    """The leaf of a pool; None for any other layer."""
    if isinstance(layer, MaxPool2d) and math.prod(layer.window.kernel) <= compiled.LARGEST_WINDOW:
        return CompiledMaxPool2d(layer)  # a byte tells the numbers of a window apart
    if isinstance(layer, AvgPool2d) and layer.divisor_override is None and side_by_side(layer.window, shape):
        return CompiledAverageSquares(layer)
    if isinstance(layer, AvgPool2d | AdaptiveAvgPool2d):
        return CompiledAveragePool2d(layer, shape, (output[1], output[2]))
    if isinstance(layer, Mean) and CompiledMean.suits(layer, shape):
        return CompiledMean(layer, shape)
    return None


class CompiledMaxPool2d(Leaf):
    """The greatest number of each window, with its place a byte."""

    takes_maximum = True
    reads: ClassVar[set[str]] = set()

    def __init__(self, pool: MaxPool2d) -> None:
        self.pool, self.stands_for = pool, (pool,)
        window = pool.window
        self.window = window.kernel, window.stride, (window.padding[0], window.padding[2])
        self.dilation = window.dilation

    def saved(self, shape: Shape) -> dict[str, Scratch]:
        images, channels, height, width = shape
        outputs = pooling.pooled_size(self.pool.window, (height, width), self.pool.ceil_mode)
        return {"winners": Scratch((images, *outputs, channels), np.uint8)}

    def bind_forward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        winners = block.saved["winners"] if block.training else np.empty((0, 0, 0, 0), np.uint8)
        forward = compiled.max_pool_forward(block.training)
        yield forward, (plain(x.value), plain(y.value), winners, *self.window, self.dilation)

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        arrays = plain(y.grad), block.saved["winners"], plain(x.grad)
        yield compiled.max_pool_backward, (*arrays, *self.window, self.dilation)


class CompiledAveragePool2d(Leaf):
    """The average of each window, whether its bounds come from a stride or from the number of windows.

    Args:
        pool: The layer.
        shape: One image's, (c, h, w).
        outputs: (h_out, w_out).
    """

    cheap = True
    reads: ClassVar[set[str]] = set()

    def __init__(self, pool: AvgPool2d | AdaptiveAvgPool2d, shape: Shape, outputs: tuple[int, int]) -> None:
        self.stands_for = (pool,)
        size = (shape[1], shape[2])
        if isinstance(pool, AdaptiveAvgPool2d):
            bounds = [np.stack(adaptive.bounds(*axis), 1, dtype=np.int64) for axis in zip(size, outputs, strict=True)]
            counts = [axis[:, 1] - axis[:, 0] for axis in bounds]
            self.shares: Array = (1 / np.outer(*counts)).astype(np.float32)
        else:
            bounds = [_bounds(pool, axis, size[axis], outputs[axis]) for axis in (0, 1)]
            share = pooling.shares(
                pool.window, size, outputs, pool.count_include_pad, pool.divisor_override, np.float32
            )
            self.shares = np.full(outputs, share, np.float32)
        self.rows, self.columns = bounds

    def bind_forward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        yield compiled.average_pool_forward, (plain(x.value), plain(y.value), self.rows, self.columns, self.shares)

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        yield compiled.average_pool_backward, (plain(y.grad), plain(x.grad), self.rows, self.columns, self.shares)


class CompiledAverageSquares(Leaf):
    """The average of each of the squares that cover the image side by side."""

    cheap = True
    reads: ClassVar[set[str]] = set()

    def __init__(self, pool: AvgPool2d) -> None:
        self.stands_for, self.size = (pool,), pool.window.kernel[0]

    def bind_forward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        yield compiled.average_squares_forward(self.size), (plain(x.value), plain(y.value))

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        yield compiled.average_squares_backward(self.size), (plain(y.grad), plain(x.grad))


class CompiledMean(Leaf):
    """The mean of all pixels of an image, or of all places of a sequence: a number a channel.

    Args:
        mean: The layer.
        shape: One image's.
    """

    cheap = True
    reads: ClassVar[set[str]] = set()

    def __init__(self, mean: Mean, shape: Shape) -> None:
        self.stands_for = (mean,)
        count = math.prod(shape) // shape[last_axis(shape) - 1]
        self.window = np.array([[0, count]]), np.array([[0, 1]]), np.full((1, 1), 1 / count, np.float32)

    @staticmethod
    def suits(mean: Mean, shape: Shape) -> bool:
        """Whether it is taken over all axes but the one that lies last in memory."""
        others = {*range(1, len(shape) + 1)} - {last_axis(shape)}
        return bool(others) and {*mean.axes(len(shape) + 1)} == others

    def bind_forward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        yield compiled.average_pool_forward, (*self._as_pixels(x.value, y.value), *self.window)

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        whole, one = self._as_pixels(x.grad, y.grad)
        yield compiled.average_pool_backward, (one, whole, *self.window)

    @staticmethod
    def _as_pixels(x: Array, y: Array) -> tuple[Array, Array]:
        """Arrays as images (n, places, 1, c) and (n, 1, 1, c)."""
        places = positions(x)
        return places[:, :, np.newaxis], y.reshape(len(y), 1, 1, places.shape[2])


def side_by_side(window: Window, shape: Shape) -> bool:
    """Whether windows are squares of 2 to 15 pixels a side that cover images (c, h, w) side by side."""
    size, _ = window.kernel
    return 2 <= size <= 15 and window.kernel == (size, size) and pooling.tiles_exactly(window, (shape[1], shape[2]))


def _bounds(pool: AvgPool2d, axis: int, size: int, count: int) -> Array:
    """(count, 2): where each window begins and ends inside the image."""
    starts = np.arange(count, dtype=np.int64) * pool.window.stride[axis] - pool.window.padding[2 * axis]
    ends = np.clip(starts + pool.window.kernel[axis], 0, size)
    return np.stack([np.minimum(np.clip(starts, 0, size), ends), ends], axis=1)
