"""Images looked at where another tensor says: AffineGrid, GridSample, RoiAlign."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .... import layers
from ..folding import whole
from ..values import Images, Known, Layout, UnsupportedError, Value
from .elementwise import Conversion
from .parts import beside
from .products import product

if TYPE_CHECKING:
    from ..call import Call


def grid_sample(call: Call) -> Value:
    frame = next(each.layout for each in (call.value(0), call.value(1)) if isinstance(each, Images))
    x, grid = (beside(call, call.value(place), frame) for place in (0, 1))
    if not x.layout.plain:
        raise UnsupportedError("it expects the batch as first axis")
    mode = call.attribute("mode", "linear")
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    layer = layers.GridSample(mode, call.attribute("padding_mode", "zeros"), bool(call.attribute("align_corners", 0)))
    layout = Layout((*x.layout.sizes[:2], *grid.layout.sizes[1:-1]), 0)
    return call.emit(layer, x, grid, layout=layout)


def affine_grid(call: Call) -> Value:
    """The places of all pixels, −1 to 1, each moved by the matrix of its image."""
    theta, sizes = call.data(), whole(call.known(1))[2:]
    if theta.layout.rank != 3 or min(sizes, default=0) < 1 or theta.layout.sizes[1:] != (len(sizes), len(sizes) + 1):
        raise UnsupportedError(f"matrices of {theta.layout.sizes[1:]} for images of {sizes}")
    call.importer.fold.take(math.prod(sizes) * (len(sizes) + 1))
    corners = bool(call.attribute("align_corners", 0))
    ends = [1.0 if corners else 1 - 1 / size for size in sizes]
    along = [np.linspace(-end, end, size) for end, size in zip(ends, sizes, strict=True)]
    grid = np.stack([*np.meshgrid(*along, indexing="ij")[::-1], np.ones(sizes)], -1)  # x first, and 1 for the shift
    turned = call.importer.transposed(theta, (0, 2, 1))
    base = Known(grid.reshape(1, -1, len(sizes) + 1).astype(np.float32))
    made = product(call, base, turned)
    return call.importer.reshaped(made, Layout((made.layout.sizes[0], *sizes, len(sizes)), made.layout.batch))


def roi_align(call: Call) -> Value:
    x, boxes, which = call.data(), call.value(1), call.value(2)
    sizes = x.layout.sizes
    one = call.importer.images == 1 if x.layout.batch == 0 else x.layout.batch is None and sizes[0] == 1
    place = which.array if isinstance(which, Known) else which.content
    own = isinstance(boxes, Images) and boxes.layout.batch == x.layout.batch == 0 and boxes.layout.outer == 1
    if not (own or one) or (place is not None and one and place.any()):
        raise UnsupportedError("its boxes are in more than one image")
    image = call.importer.reshaped(x, Layout((1, *sizes[1:]), 0))
    if isinstance(boxes, Known):
        count = len(boxes.array)
        given = call.importer.constant(boxes.array, Layout((1, count, 4), 0), None, boxes.dtype)
    else:
        count = boxes.layout.sizes[0]
        given = call.importer.reshaped(boxes, Layout((1, count, 4), 0))
    default = "half_pixel" if call.opset >= 16 else "output_half_pixel"
    size = (call.attribute("output_height", 1), call.attribute("output_width", 1))
    layer = layers.RoiAlign(
        size,
        call.attribute("spatial_scale", 1.0),
        call.attribute("sampling_ratio", 0),
        call.attribute("coordinate_transformation_mode", default) == "half_pixel",
        call.attribute("mode", "avg"),
    )
    y = call.emit(layer, image, given, layout=Layout((1, count, sizes[1], *size), 0))
    inner = 1 if x.layout.batch is None else count
    return call.importer.reshaped(y, Layout((count, sizes[1], *size), x.layout.batch, 1, inner))


CONVERSIONS: dict[str, Conversion] = {"AffineGrid": affine_grid, "GridSample": grid_sample, "RoiAlign": roi_align}
