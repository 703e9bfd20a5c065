"""NonMaxSuppression, whose output has as many rows as boxes are kept, and what is taken by such rows.

A plan has sizes that are known: there are as many rows as there may be, those of a class one behind the other. A row
that no box is left for is −1 throughout, and what is taken by it is zero. The rows of all images, which ONNX has in one
list, are each image's own, and their first number, which says the image, is zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .... import layers
from ..values import Images, Known, Layout, UnsupportedError, Value
from .elementwise import Conversion
from .parts import beside, joined

if TYPE_CHECKING:
    from ..builder import Builder
    from ..call import Call

# Layers that leave each row of a selection where it is.
KEEPING = (layers.Flatten, layers.IndexSelect, layers.Reshape, layers.Select, layers.Slice, layers.Trunc)


def non_max_suppression(call: Call) -> Value:
    values = [call.value(0), call.value(1)]
    frame = next((each.layout for each in values if isinstance(each, Images)), None)
    if frame is None or not frame.rank == 3:
        raise UnsupportedError("boxes and scores must have three axes")
    boxes, scores = (beside(call, each, frame) for each in values)
    images, classes, count = scores.layout.sizes
    if images != 1 or frame.batch not in (None, 0) or frame.outer * frame.inner != 1:
        raise UnsupportedError("it expects the batch as first axis")
    numbers = [call.optional(place) for place in (2, 3, 4)]
    most, overlap, least = (None if each is None or not each.size else float(each.reshape(-1)[0]) for each in numbers)
    if not most or most < 1:
        raise UnsupportedError("it keeps no box of any class")
    layer = layers.NonMaxSuppression(
        int(min(most, count)),
        overlap or 0.0,
        float("-inf") if least is None else least,
        bool(call.attribute("center_point_box", 0)),
    )
    one = [call.importer.reshaped(each, Layout(each.layout.sizes, 0)) for each in (boxes, scores)]
    total = classes * layer.max_output
    chosen = call.emit(layer, *one, layout=Layout((1, classes, layer.max_output), 0), dtype=np.int64)
    place = call.importer.reshaped(chosen, Layout((1, total, 1), 0))
    kinds = np.repeat(np.arange(classes, dtype=np.float32), layer.max_output)
    named = [call.importer.constant(each.reshape(total, 1), Layout((1, total, 1), 0), None, np.dtype(np.int64))
             for each in (np.zeros(total, np.float32), kinds)]  # fmt: skip
    rows = joined(call, [*named, place], 2)
    (place, none), layout = call.importer.aligned([place, Known(np.zeros((1, 1, 1), np.float32))])
    gone = call.emit(layers.Less(stretch=True), place, none, layout=layout)
    (gone, minus, rows), layout = call.importer.aligned([gone, Known(-np.ones((1, 1, 1), np.float32)), rows])
    kept = call.emit(layers.Where(stretch=True), gone, minus, rows, layout=layout, dtype=np.int64)
    listed = call.importer.reshaped(kept, Layout((total, 3), 0, 1, total), call.name)
    call.importer.selections.add(listed.node)
    return listed


def selected(builder: Builder, x: Value) -> bool:
    """Whether a value is rows of a selection, or parts of them."""
    if not isinstance(x, Images):
        return False
    node = x.node
    while node not in builder.selections:
        layer, *reads = builder.nodes.get(node, (None,))
        if not isinstance(layer, KEEPING) or len(reads) != 1:
            return False
        (node,) = reads
    return True


def taken_by_rows(call: Call, x: Images, index: Images, axis: int) -> Value:
    """What lies along an axis of an image at the places that the rows of a selection name."""
    layout = x.layout
    single = layout.batch is None or call.importer.images == 1
    if layout.batch not in (None, 0) or layout.outer * layout.inner != 1 or axis == layout.batch or not single:
        raise UnsupportedError("it takes from other images than those that the rows are of")
    count, rank = index.layout.sizes[0], layout.rank
    shape = tuple(count if place == axis else 1 for place in range(rank))
    flat = call.importer.reshaped(index, Layout(shape, layout.batch))
    taken = call.emit(
        layers.TakeAlongDim(layout.dim(axis)), x, flat, layout=layout.resized({axis: count}), dtype=x.dtype
    )
    made = _without_gone(call, taken, flat)
    extra = index.layout.rank - 1  # (rows, 1) leaves an axis of length 1
    return call.importer.reshaped(made, made.layout.with_ones(range(axis + 1, axis + 1 + extra)))


def taken_by_pairs(call: Call, x: Images, index: Images) -> Value:
    """What an image has at the places that rows of an image and a place name: (rows, …)."""
    layout = x.layout
    if not layout.plain or index.layout.rank != 2 or index.layout.sizes[1] != 2 or layout.rank < 2:
        raise UnsupportedError("it takes from other images than those that the rows are of")
    count = index.layout.sizes[0]
    pairs = call.importer.reshaped(index, Layout((1, count, 2), 0))
    last = call.emit(layers.Slice(2, 1, 2), pairs, layout=Layout((1, count, 1), 0), dtype=index.dtype)
    flat = call.importer.reshaped(last, Layout((1, count, *[1] * (layout.rank - 2)), 0))
    taken = call.emit(layers.TakeAlongDim(1), x, flat, layout=layout.resized({1: count}), dtype=x.dtype)
    made = _without_gone(call, taken, flat)
    return call.importer.reshaped(made, Layout((count, *layout.sizes[2:]), 0, 1, count), call.name)


def _without_gone(call: Call, taken: Images, places: Images) -> Images:
    """Zero where a place is none."""
    rank = taken.layout.rank
    (places, zero), layout = call.importer.aligned([places, Known(np.zeros((1,) * rank, np.float32))])
    there = call.emit(layers.GreaterEqual(stretch=True), places, zero, layout=layout)
    (there, taken, zero), layout = call.importer.aligned([there, taken, Known(np.zeros((1,) * rank, np.float32))])
    return call.emit(layers.Where(stretch=True), there, taken, zero, layout=layout, dtype=taken.dtype)


CONVERSIONS: dict[str, Conversion] = {"NonMaxSuppression": non_max_suppression}
