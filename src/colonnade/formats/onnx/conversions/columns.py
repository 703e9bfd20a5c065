"""Columns of windows that are added up to an image: Col2Im."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .... import layers
from ....ops.layout import Array
from ..folding import whole
from ..values import Known, Layout, UnsupportedError, Value
from .elementwise import Conversion
from .indexing import EXACT_PLACES
from .parts import beside, cut

if TYPE_CHECKING:
    from ..call import Call


def col2im(call: Call) -> Value:
    """Columns added up to an image."""
    x = call.plain()
    sizes, kernel = whole(call.known(1)), whole(call.known(2))
    axes = len(sizes)
    strides, dilations = (list(call.attribute(name) or [1] * axes) for name in ("strides", "dilations"))
    pads = list(call.attribute("pads") or [0] * (2 * axes))
    many = math.prod(kernel)
    if len(kernel) != axes or len(pads) != 2 * axes or x.layout.rank != 3 or x.layout.sizes[1] % many:
        raise UnsupportedError(f"columns of shape {x.layout.sizes[1:]} for images of {sizes} and windows of {kernel}")
    channels = x.layout.sizes[1] // many
    if axes == 2 and pads[:2] == pads[2:]:
        layer = layers.Fold(_two(sizes), _two(kernel), _two(dilations), _two(pads), _two(strides))
        return call.emit(layer, x, layout=Layout((1, channels, *sizes), 0))
    # Each number is added where it belongs on the image with its border.
    wide = [size + pads[axis] + pads[axis + axes] for axis, size in enumerate(sizes)]
    counts = [(size - dilations[axis] * (kernel[axis] - 1) - 1) // strides[axis] + 1 for axis, size in enumerate(wide)]
    if min(*pads, *counts) < 0 or math.prod(counts) != x.layout.sizes[2] or math.prod(wide) > EXACT_PLACES:
        raise UnsupportedError(f"{x.layout.sizes[2]} windows of {kernel} on images of {sizes}")
    places: Array = np.zeros((1, 1), np.int64)
    for axis, size in enumerate(wide):
        along = np.add.outer(np.arange(kernel[axis]) * dilations[axis], np.arange(counts[axis]) * strides[axis])
        places = places[:, None, :, None] * size + along[None, :, None, :]
        places = places.reshape(places.shape[0] * places.shape[1], -1)
    flat = call.importer.reshaped(x, Layout((1, channels, places.size), 0))
    index = beside(call, Known(np.broadcast_to(places.reshape(1, 1, -1), (1, channels, places.size))), flat.layout)
    empty = beside(call, Known(np.zeros((1, channels, math.prod(wide)), np.float32)), flat.layout)
    made = call.emit(layers.ScatterAlongDim(2, "add"), empty, index, flat, layout=empty.layout, dtype=x.dtype)
    image = call.importer.reshaped(made, Layout((1, channels, *wide), 0))
    for axis, size in enumerate(sizes):
        image = cut(call, image, axis + 2, slice(pads[axis], pads[axis] + size))
    return image


def _two(numbers: Sequence[int]) -> tuple[int, int]:
    return int(numbers[0]), int(numbers[1])


CONVERSIONS: dict[str, Conversion] = {"Col2Im": col2im}
