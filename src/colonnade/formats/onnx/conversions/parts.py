"""Operators that take a tensor apart, put tensors together, or put a border around one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .... import layers
from ..folding import MOST_NUMBERS, bounds, slices, whole
from ..values import Batch, Images, Known, Layout, Size, UnsupportedError, Value
from .elementwise import Conversion

if TYPE_CHECKING:
    from ..call import Call


from .axes import in_words

MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def concat(call: Call) -> Value:
    return joined(call, [call.value(place) for place in range(len(call.inputs))], call.attribute("axis", 1))


def joined(call: Call, values: Sequence[Value], axis: int) -> Images:
    """Values one behind the other along an axis; some are images."""
    images = [each for each in values if isinstance(each, Images)]
    if len(values) == 1:
        return images[0]
    layout = images[0].layout
    axis = layout.axis(axis)
    dim = layout.dim(axis)
    parts: list[Images] = []
    for value in values:
        if isinstance(value, Known):
            if value.array.size == 0 and value.array.dtype != object:
                continue
            beside = f"it puts a constant of shape {value.array.shape} beside {in_words(layout.shape)}"
            if value.array.dtype == object or value.array.ndim != layout.rank:
                raise UnsupportedError(beside)
            own = layout.resized({axis: value.array.shape[axis]})
            array = call.importer.per_image(value.array, own)
            if array.shape != own.image:
                raise UnsupportedError(beside)
            value = call.importer.constant(array, Layout((1, *own.image), 0), value.name, value.dtype)
            value = Images(value.node, own, value.dtype)
        if value.layout.resized({axis: 1}) != layout.resized({axis: 1}):
            raise UnsupportedError(f"it puts {in_words(value.layout.shape)} beside {in_words(layout.shape)}")
        parts.append(value)
    if len(parts) == 1:
        return parts[0]
    made = layout.resized({axis: sum(each.layout.sizes[axis] for each in parts)})
    return call.emit(layers.Concat(dim), *parts, layout=made, dtype=images[0].dtype)


def beside(call: Call, value: Value, layout: Layout) -> Images:
    """A value of as many axes as a layout, with the batch where that has it; a constant as it is for each image."""
    if isinstance(value, Images):
        same = [(each.rank, each.batch, each.outer, each.inner) for each in (value.layout, layout)]
        if same[0] != same[1]:
            raise UnsupportedError(f"it puts {in_words(value.layout.shape)} beside {in_words(layout.shape)}")
        return value
    array = value.array
    if array.dtype == object or array.ndim != layout.rank:
        raise UnsupportedError(f"it puts a constant of shape {array.shape} beside {in_words(layout.shape)}")
    sizes = [layout.sizes[axis] if axis == layout.batch else size for axis, size in enumerate(array.shape)]
    own = Layout(tuple(sizes), layout.batch, layout.outer, layout.inner)
    array = np.broadcast_to(call.importer.per_image(array, own), own.image)
    made = call.importer.constant(array, Layout((1, *own.image), 0), value.name, value.dtype)
    return Images(made.node, own, value.dtype) if own.image else made


def cut(call: Call, x: Images, axis: int, part: slice, name: str = "") -> Images:
    """A slice along one axis, as a layer if it is not all."""
    size = x.layout.sizes[axis]
    places = range(size)[part]
    if places == range(size):
        return x
    layer = layers.Slice(x.layout.dim(axis), part.start, part.stop, part.step or 1)
    return call.emit(layer, x, layout=x.layout.resized({axis: len(places)}), names=[name or call.name])


def slice_(call: Call) -> Value:
    x = call.data()
    inputs = [call.optional(place) for place in range(1, len(call.inputs))]
    for axis, (start, end, step) in slices(call.node, x.layout.rank, *inputs).items():
        if axis == x.layout.batch:
            if step != 1 or not _is_whole(start, end, x.layout.sizes[axis], call.importer.images):
                raise UnsupportedError(f"it cuts axis {axis}, the batch")
            continue
        if isinstance(start, Batch) or isinstance(end, Batch):
            raise UnsupportedError(f"it cuts axis {axis} by the batch's size")
        part = bounds(start, end, step, x.layout.sizes[axis])
        if not range(x.layout.sizes[axis])[part]:
            return _nothing(call, x, axis)
        x = cut(call, x, axis, part)
    return x


def _is_whole(start: Size, end: Size, factor: int, images: int | None) -> bool:
    """Whether a slice in steps of 1 leaves the batch as it is, however many images there are.

    Args:
        start: A place, or so many times the batch's size.
        end: Likewise.
        factor: How many places there are for each image.
        images: How many images the file was written for; None for any number.
    """
    most = factor * (MOST_NUMBERS if images is None else images)  # places, so that an end beyond is the end
    first = start.factor <= -factor if isinstance(start, Batch) else start == 0 or start <= -most
    last = end.factor >= factor if isinstance(end, Batch) else end >= most
    return first and last


def _nothing(call: Call, x: Images, axis: int) -> Known:
    """A part without numbers: it depends on nothing."""
    images = call.importer.images
    if x.layout.batch is not None and images is None:
        raise UnsupportedError(f"it leaves nothing of axis {axis}")
    sizes = [size * (images or 1) if place == x.layout.batch else size for place, size in enumerate(x.layout.sizes)]
    return Known(np.zeros([0 if place == axis else size for place, size in enumerate(sizes)], x.dtype))


def split(call: Call) -> list[Value | None]:
    x = call.data()
    if len(call.node.outputs) == 1:
        return [x]
    axis = x.layout.axis(call.attribute("axis", 0))
    x.layout.dim(axis)
    total, count = x.layout.sizes[axis], len(call.node.outputs)
    sizes = call.attribute("split") if call.opset < 13 else call.optional(1)
    if sizes is None:
        chunk = -(-total // call.attribute("num_outputs", count))
        sizes = [min(chunk, total - start) for start in range(0, total, chunk)]
    sizes = [int(each) for each in np.ravel(sizes)]
    if sum(sizes) != total or len(sizes) != count or min(sizes) < 0:
        raise UnsupportedError(f"it parts {total} into {sizes}")
    starts = np.cumsum([0, *sizes])
    parts: list[Value | None] = [None] * count
    for number in filter(call.needed, range(count)):
        part = slice(int(starts[number]), int(starts[number + 1]))
        parts[number] = cut(call, x, axis, part) if sizes[number] else _nothing(call, x, axis)
    return parts


def pad(call: Call) -> Value:
    x = call.data()
    rank = x.layout.rank
    if call.opset < 11:
        pads, value = call.attribute("pads", call.attribute("paddings")), call.attribute("value", 0.0)
        axes = None
    else:
        pads, axes = whole(call.known(1)), call.optional(3)
        filled = call.optional(2)
        value = 0.0 if filled is None or not filled.size else float(filled.reshape(()))
    named = list(range(rank)) if axes is None else [x.layout.axis(int(axis)) for axis in axes.ravel()]
    if len(pads) != 2 * len(named):
        raise UnsupportedError(f"it names {len(pads)} borders of {len(named)} axes")
    borders = {axis: (pads[place], pads[place + len(named)]) for place, axis in enumerate(named)}
    if call.attribute("mode", "constant") not in MODES:
        raise UnsupportedError(f"its mode is {call.attribute('mode')!r}")
    return padded(call, x, borders, MODES[call.attribute("mode", "constant")], value)


def center_crop_pad(call: Call) -> Value:
    x, sizes = call.data(), whole(call.known(1))
    axes = [x.layout.axis(axis) for axis in call.attribute("axes") or range(x.layout.rank)]
    if len(sizes) != len(axes):
        raise UnsupportedError(f"it names {len(sizes)} sizes of {len(axes)} axes")
    borders = {}
    for axis, size in zip(axes, sizes, strict=True):
        own = x.layout.shape[axis] if call.importer.images is None else x.layout.sizes[axis] * call.importer.images
        if axis == x.layout.batch and size == own:
            continue
        if isinstance(size, Batch):
            raise UnsupportedError(f"it makes axis {axis} as large as the batch")
        x.layout.dim(axis)
        more = size - x.layout.sizes[axis]
        # Half of what is missing before, rounded down; half of what is too much likewise.
        before = more // 2 if more > 0 else -(-more // 2)
        borders[axis] = (before, more - before)
    return padded(call, x, borders)


def padded(
    call: Call, x: Images, borders: dict[int, tuple[int, int]], mode: str = "constant", value: float = 0.0
) -> Images:
    """With borders around some axes, as ONNX counts them; negative ones are cut off."""
    for axis, (before, after) in borders.items():
        if before < 0 or after < 0:
            x = cut(call, x, axis, slice(max(0, -before), x.layout.sizes[axis] - max(0, -after)), f"{call.name}.crop")
    wide = {axis: (max(0, before), max(0, after)) for axis, (before, after) in borders.items()}
    wide = {axis: border for axis, border in wide.items() if any(border)}
    if not wide:
        return x
    layout = x.layout.resized({axis: x.layout.sizes[axis] + sum(border) for axis, border in wide.items()})
    dims = {x.layout.dim(axis): border for axis, border in wide.items()}
    count = len(call.image_of(x))
    sides = [each for dim in range(count, min(dims) - 1, -1) for each in dims.get(dim, (0, 0))]
    if count == 3 and mode == "constant" and value == 0 and len(sides) <= 4:
        left, right, top, bottom = [*sides, 0, 0][:4]
        layer: layers.Layer = layers.ZeroPad2d((left, right, top, bottom))
    else:
        layer = layers.Pad(sides, mode, value)
    return call.emit(layer, x, layout=layout, names=[f"{call.name}.pad"])


CONVERSIONS: dict[str, Conversion] = {
    "CenterCropPad": center_crop_pad,
    "Concat": concat,
    "Pad": pad,
    "Slice": slice_,
    "Split": split,
}
