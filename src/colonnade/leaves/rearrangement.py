"""Layers that only put numbers elsewhere: a run of them is one copy, by a table of where each number comes from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from .. import layers
from ..compiled.rearrangement import copied, inverse, summed
from ..layers.base import Block, Bound, Layer, Prepared
from ..ops.layout import Array, as_written, laid_shape
from ..tensor import Shape, Tensor
from .base import Leaf, flat_images

_REARRANGING = (
    *(layers.Flatten, layers.Unflatten, layers.Reshape, layers.Permute, layers.Select, layers.Slice),
    *(layers.IndexSelect, layers.Tile, layers.Expand, layers.ZeroPad2d, layers.PixelShuffle),
    *(layers.PixelUnshuffle, layers.ChannelShuffle),
)


def leaf_for(run: Sequence[Layer], shape: Shape) -> Leaf | None:
    """The leaf of layers that rearrange an image of `shape`, one after the other; None if one of them does more."""
    return CompiledRearrangement(run, shape) if all(_rearranges(layer) for layer in run) else None


def _rearranges(layer: Layer) -> bool:
    if isinstance(layer, layers.Pad):
        return layer.mode != "constant" or layer.value == 0
    if isinstance(layer, layers.Upsample):
        return layer.mode == "nearest"
    if isinstance(layer, layers.Resize):
        return layer.mode == "nearest" and not layer.extrapolation_value
    return type(layer) in _REARRANGING


class CompiledRearrangement(Leaf):
    """y[n, i] = x[n, source[i]], or zero, numbers being counted as they lie in memory.

    Args:
        run: The layers, which say themselves where each number goes.
        shape: One image's at the input of the first.
    """

    reads: ClassVar[set[str]] = set()

    def __init__(self, run: Sequence[Layer], shape: Shape) -> None:
        self.stands_for = tuple(run)
        self.cheap = all(layer.cheap for layer in run)  # type: ignore[misc]
        size, source = math.prod(shape), sources(run, shape)
        if source.size == size and (source == np.arange(size)).all():
            self.views = {"forward", "backward"}  # type: ignore[misc]
        back = inverse(source, size)
        self.copy, self.table = copied(source)
        self.copy_back, self.table_back = summed(source) if back is None else copied(back)

    def bind_forward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        yield self.copy, (flat_images(x.value), self.table, flat_images(y.value))

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        yield self.copy_back, (flat_images(y.grad), self.table_back, flat_images(x.grad))


def sources(run: Sequence[Layer], shape: Shape) -> Array:
    """Where each number of an output image comes from in the input's, as both lie in memory; −1 for a zero.

    The layers are asked: the image that they are given holds its own places, counted from 1.
    """
    places = np.arange(1, math.prod(shape) + 1, dtype=np.float64)
    x = Tensor.of(_image(places, shape))
    for layer in run:
        shape = layer.build(shape, np.random.default_rng(0))
        scratch = {
            name: np.empty(wanted.shape, wanted.dtype or np.float64)
            for name, wanted in layer.scratch(x.shape, "forward").items()
        }
        prepared = Prepared(x.shape)
        prepared.state = layer.begin_forward(None, x.shape, False, None)
        y = Tensor.of(_image(np.empty(math.prod(shape)), shape))
        layer.forward(x, y, Block(False, 0, 1, scratch, prepared))
        x = y
    found: Array = flat_images(x.value)[0].astype(np.int64) - 1
    return found


def _image(numbers: Array, shape: Shape) -> Array:
    """Flat numbers as a batch of one image, as it lies in memory."""
    return as_written(numbers.reshape(laid_shape((1, *shape))))
