"""Images looked at where another tensor says: GridSample, RoiAlign."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .... import layers
from ..values import Images, Known, Layout, UnsupportedError, Value
from .elementwise import Conversion
from .parts import beside

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


def roi_align(call: Call) -> Value:
    x, boxes, which = call.data(), call.value(1), call.value(2)
    if call.attribute("mode", "avg") != "avg":
        raise UnsupportedError("the greatest in each part of a box")
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
    )
    y = call.emit(layer, image, given, layout=Layout((1, count, sizes[1], *size), 0))
    inner = 1 if x.layout.batch is None else count
    return call.importer.reshaped(y, Layout((count, sizes[1], *size), x.layout.batch, 1, inner))


CONVERSIONS: dict[str, Conversion] = {"GridSample": grid_sample, "RoiAlign": roi_align}
