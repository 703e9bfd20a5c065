"""Operators that take numbers from places that are computed, or put them there, and what such places are made from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .... import layers
from ....ops.layout import Array
from ..values import Images, Known, Layout, UnsupportedError, Value
from .axes import in_words
from .detection import selected, taken_by_pairs, taken_by_rows
from .elementwise import Conversion
from .parts import beside, cut
from .reductions import along_axis

if TYPE_CHECKING:
    from ..call import Call

EXACT_PLACES = 1 << 24  # whole numbers up to here are exact in float32


def gather_elements(call: Call) -> Value:
    (x, index), frame = _same_rank(call, (0, 1))
    dim = frame.dim(call.attribute("axis", 0))
    axis = frame.axis(call.attribute("axis", 0))
    for other, size in enumerate(index.layout.sizes):
        if other not in (axis, frame.batch):
            x = cut(call, x, other, slice(0, size))
    return call.emit(layers.TakeAlongDim(dim), x, index, layout=index.layout, dtype=x.dtype)


def scatter_elements(call: Call) -> Value:
    (x, index, source), frame = _same_rank(call, (0, 1, 2))
    dim = frame.dim(call.attribute("axis", 0))
    layer = layers.ScatterAlongDim(dim, call.attribute("reduction", "none"))
    return call.emit(layer, x, index, source, layout=x.layout, dtype=x.dtype)


def _same_rank(call: Call, places: Sequence[int]) -> tuple[list[Images], Layout]:
    """Inputs of as many axes each, with the batch at the same one."""
    values = [call.value(place) for place in places]
    frame = next(each.layout for each in values if isinstance(each, Images))
    return [beside(call, each, frame) for each in values], frame


def gather(call: Call) -> Value:
    table, index = call.value(0), call.value(1)
    if isinstance(table, Images) and table.content is not None and isinstance(index, Images):
        table = Known(table.content) if index.content is None else table
    if isinstance(table, Known):
        return _look_up(call, table)
    if isinstance(index, Images) and selected(call.importer, index):
        return taken_by_rows(call, table, index, table.layout.axis(call.attribute("axis", 0)))
    if isinstance(index, Images) and index.content is None:
        return _gather_computed(call, table, index)
    x, places = table, call.known(1)
    axis = x.layout.axis(call.attribute("axis", 0))
    dim = x.layout.dim(axis)
    flat = [int(each) for each in places.ravel()]
    outside = [each for each in flat if not -x.layout.sizes[axis] <= each < x.layout.sizes[axis]]
    if outside or not flat:
        raise UnsupportedError(f"it takes the places {outside} of an axis of {x.layout.sizes[axis]}")
    start = flat[0] % x.layout.sizes[axis]
    if flat == list(range(flat[0], flat[0] + len(flat))) and start + len(flat) <= x.layout.sizes[axis]:
        picked = cut(call, x, axis, slice(start, start + len(flat)))
    else:
        made = x.layout.resized({axis: len(flat)})
        picked = call.emit(layers.IndexSelect(dim, flat), x, layout=made)
    before = picked.layout.without([axis])
    layout = before.with_ones([axis + number for number in range(places.ndim)])
    layout = layout.resized({axis + number: each for number, each in enumerate(places.shape)})
    return call.importer.reshaped(picked, layout)


def _look_up(call: Call, given: Known) -> Value:
    """Rows of a table that the images name: an embedding."""
    table, index = given.array, call.data(1)
    axis = call.attribute("axis", 0)
    if not -table.ndim <= axis < table.ndim:
        raise UnsupportedError(f"it looks up along axis {axis} of a table of {table.ndim}")
    axis %= table.ndim
    rows = np.moveaxis(table, axis, 0)
    width = math.prod(rows.shape[1:])
    batch = index.layout
    made = call.emit(
        layers.Embedding(len(rows), width),
        index,
        layout=Layout((*batch.sizes, width), batch.batch, batch.outer, batch.inner),
        names=call.names(0),
        dtype=table.dtype,
        weights={"weight": rows.reshape(len(rows), width)},
    )
    made = call.importer.reshaped(made, Layout((*batch.sizes, *rows.shape[1:]), *_batch(batch)))
    order = list(range(made.layout.rank))
    moved = [*order[batch.rank : batch.rank + axis], *order[: batch.rank], *order[batch.rank + axis :]]
    return call.importer.transposed(made, moved, call.name) if axis else made


def _gather_computed(call: Call, x: Images, index: Images) -> Value:
    """Numbers of an image at places that are computed from the same image."""
    if x.layout.batch != index.layout.batch or x.layout.batch not in (None, 0):
        raise UnsupportedError("it takes what is computed from the images, and not from the same image alone")
    axis = x.layout.axis(call.attribute("axis", 0))
    dim, lead, batch = x.layout.dim(axis), 0 if x.layout.batch is None else 1, x.layout.batch
    ahead, places = index.layout.sizes[:lead], index.layout.sizes[lead:]
    flat = _shaped(call, index, (*ahead, math.prod(places)), batch)
    flat = call.importer.reshaped(flat, flat.layout.with_ones([*range(lead, axis), *range(axis + 1, x.layout.rank)]))
    layout = x.layout.resized({axis: math.prod(places)})
    taken = call.emit(layers.TakeAlongDim(dim), x, flat, layout=layout, dtype=x.dtype)
    return _shaped(call, taken, (*x.layout.sizes[:axis], *places, *x.layout.sizes[axis + 1 :]), batch)


def _batch(layout: Layout) -> tuple[int | None, int, int]:
    return layout.batch, layout.outer, layout.inner


def _shaped(call: Call, x: Images, sizes: Sequence[int], batch: int | None) -> Images:
    """The numbers in another shape, with the batch at an axis of it."""
    return call.importer.reshaped(x, Layout(tuple(sizes), batch, x.layout.outer, x.layout.inner))


def gather_nd(call: Call) -> Value:
    lead = call.attribute("batch_dims", 0)
    x, index = call.value(0), call.value(1)
    if isinstance(x, Images) and isinstance(index, Images) and selected(call.importer, index):
        return taken_by_pairs(call, x, index)
    x, index, layout, lead = _by_image(call, x, index, lead)
    values, places, shape = _flattened(call, x, index, layout, lead)
    dim, count = values.layout.dim(lead), math.prod(shape)
    made = values.layout.resized({lead: count})
    taken = call.emit(layers.TakeAlongDim(dim), values, places, layout=made, dtype=values.dtype)
    sizes, batch = values.layout.sizes, values.layout.batch
    if batch is not None and batch > lead:
        batch += len(shape) - 1
    return _shaped(call, taken, (*sizes[:lead], *shape, *sizes[lead + 1 :]), batch)


def scatter_nd(call: Call) -> Value:
    source = call.value(2)
    x, index, layout, lead = _by_image(call, call.value(0), call.value(1), 0, source)
    values, places, shape = _flattened(call, x, index, layout, lead)
    ahead, rest, batch = values.layout.sizes[:lead], values.layout.sizes[lead + 1 :], values.layout.batch
    moved = batch + len(shape) - 1 if batch is not None and batch > lead else batch
    expected = Layout((*ahead, *shape, *rest), moved, layout.outer, layout.inner)
    given = beside(call, source, expected)
    if given.layout != expected:
        raise UnsupportedError(f"it puts numbers of shape {in_words(given.layout.shape)} to {in_words(expected.shape)}")
    given = _shaped(call, given, (*ahead, math.prod(shape), *rest), batch)
    layer = layers.ScatterAlongDim(values.layout.dim(lead), call.attribute("reduction", "none"))
    made = call.emit(layer, values, places, given, layout=values.layout, dtype=values.dtype)
    return call.importer.reshaped(made, layout)


def _by_image(call: Call, x: Value, index: Value, lead: int, *others: Value) -> tuple[Value, Value, Layout, int]:
    """Numbers, places in them, the layout of the numbers, and how many axes ahead both share: the batch is one of them.

    A constant that images take from, or put into, is the same for each of them.
    """
    if isinstance(x, Images):
        layout = x.layout
        if layout.batch == 0 and lead == 0:
            return x, _without_images(call, index), layout, 1
        return x, index, layout, lead
    frames = [each.layout for each in (index, *others) if isinstance(each, Images)]
    if frames[0].batch is None:
        return x, index, Layout(x.array.shape, None), lead
    if lead or others:  # its first axis is the batch already
        index = index if lead else _without_images(call, index)
        return x, index, Layout((1, *x.array.shape[1:]), 0), max(lead, 1)
    return Known(x.array[None]), index, Layout((1, *x.array.shape), 0), 1


def _without_images(call: Call, index: Value) -> Value:
    """Places whose first number only says which image: without it."""
    if isinstance(index, Known) and index.array.ndim > 1 and index.array.dtype != object:
        array = index.array
        numbers = np.arange(len(array)).reshape(-1, *[1] * (array.ndim - 2))
        if len(array) == call.importer.images and (array[..., 0] == numbers).all() and array.shape[-1] > 1:
            return Known(array[..., 1:])
    raise UnsupportedError("its places are in more than one image")


def _flattened(call: Call, x: Value, index: Value, layout: Layout, lead: int) -> tuple[Images, Images, tuple[int, ...]]:
    """Numbers and places along one axis, behind `lead` others, and the shape of the places behind those.

    The last axis of the index is over the axes that are one then.
    """
    given = index.array.shape if isinstance(index, Known) else index.layout.sizes
    width, shape, sizes = given[-1], given[lead:-1], layout.sizes
    axes = range(lead, lead + width)
    if len(sizes) < lead + width or layout.batch in axes:
        raise UnsupportedError(f"its places are of {width} axes of {len(sizes)}, or of the batch")
    spread = [sizes[axis] for axis in axes]
    total = math.prod(spread)
    if total > EXACT_PLACES:
        raise UnsupportedError(f"it takes one of {total:,} numbers, more than are exact in float32")
    steps = [math.prod(spread[place + 1 :]) for place in range(width)]
    batch = layout.batch if layout.batch is None or layout.batch < lead else layout.batch - width + 1
    flat = (*sizes[:lead], total, *sizes[lead + width :])
    values = _shaped(call, beside(call, x, layout), flat, batch)
    ones = list(range(lead + 1, len(flat)))
    if isinstance(index, Known):
        places = np.mod(index.array, spread) @ np.array(steps, np.int64)
        places = places.reshape(*given[:lead], -1, *[1] * len(ones))
        return values, beside(call, Known(places), values.layout), shape
    if _batch(index.layout) != _batch(layout):
        raise UnsupportedError("its places are computed from other images")
    found = _weighed(
        call, _weighed(call, index, layers.Remainder(stretch=True), spread), layers.Mul(stretch=True), steps
    )
    last = index.layout.rank - 1
    summed = call.emit(layers.Sum(index.layout.dim(last)), found, layout=index.layout.without([last]))
    one = _shaped(call, summed, (*given[:lead], math.prod(shape)), batch)
    return values, call.importer.reshaped(one, one.layout.with_ones(ones)), shape


def _weighed(call: Call, x: Images, layer: layers.Layer, numbers: Sequence[int]) -> Images:
    """A layer of two inputs, the second a number for each place along the last axis."""
    parts, layout = call.importer.aligned([x, Known(np.array(numbers, np.float32))])
    return call.emit(layer, *parts, layout=layout, dtype=x.dtype)


def top_k(call: Call) -> list[Value | None]:
    x = call.data()
    axis = x.layout.axis(call.attribute("axis", -1))
    dim = x.layout.dim(axis)
    k = call.attribute("k") if call.opset < 10 else int(call.known(1).reshape(()))
    layer = layers.TopKIndices(k, dim, bool(call.attribute("largest", 1)))
    layout = x.layout.resized({axis: k})
    places = call.emit(layer, x, layout=layout, dtype=np.int64)
    values = None
    if call.needed(0):
        values = call.emit(layers.TakeAlongDim(dim), x, places, layout=layout, names=[f"{call.name}.values"])
    return [values, places]


def one_hot(call: Call) -> Value:
    depth, ends = int(call.known(1).reshape(())), call.known(2)
    return _one_hot(call, call.data(), depth, call.attribute("axis", -1), ends)


def _one_hot(call: Call, x: Images, depth: int, axis: int, ends: Array) -> Images:
    rank = x.layout.rank + 1
    if not -rank <= axis < rank:
        raise UnsupportedError(f"it names axis {axis} of a tensor of {rank}")
    if x.dtype.kind == "f":
        x = call.emit(layers.Trunc(), x)
    layout = x.layout.with_ones([axis % rank]).resized({axis % rank: depth})
    made = call.emit(layers.OneHot(depth, layout.dim(axis)), x, layout=layout, dtype=ends.dtype)
    off, on = (float(each) for each in ends.ravel())
    return made if (off, on) == (0, 1) else call.emit(layers.Affine(on - off, off), made, dtype=ends.dtype)


def hardmax(call: Call) -> Value:
    """One where the greatest is, of equal ones the first."""

    def make(x: Images, axis: int) -> Images:
        found = call.emit(layers.Argmax(x.layout.dim(axis)), x, layout=x.layout.without([axis]), dtype=np.int64)
        return _one_hot(call, found, x.layout.sizes[axis], axis, np.array([0, 1], x.dtype))

    return along_axis(call, make)


def compress(call: Call) -> Value:
    """Places that a known condition is true at."""
    if isinstance(call.value(1), Images) and call.data(1).content is None:
        raise UnsupportedError(
            "how much it keeps depends on the numbers of an image, and a plan has sizes that are known"
        )
    x, kept = call.data(), np.flatnonzero(call.known(1))
    axis = call.attribute("axis")
    if axis is None:
        if x.layout.batch is not None:
            raise UnsupportedError("it makes one axis of all")
        x, axis = _shaped(call, x, (math.prod(x.layout.sizes),), None), 0
    axis = x.layout.axis(axis)
    if not kept.size:
        raise UnsupportedError("it keeps nothing")
    layer = layers.IndexSelect(x.layout.dim(axis), kept.tolist())
    return call.emit(layer, x, layout=x.layout.resized({axis: kept.size}))


def trilu(call: Call) -> Value:
    x = call.data()
    diagonal = call.optional(1)
    for axis in (-2, -1):
        x.layout.dim(axis)
    make = layers.Triu if call.attribute("upper", 1) else layers.Tril
    return call.emit(make(0 if diagonal is None else int(diagonal.reshape(()))), x)


def cumsum(call: Call) -> Value:
    x, axis = call.data(), int(call.known(1).reshape(()))
    flags = bool(call.attribute("exclusive", 0)), bool(call.attribute("reverse", 0))
    return call.emit(layers.CumSum(x.layout.dim(axis), *flags), x)


def reverse_sequence(call: Call) -> Value:
    """The first numbers along an axis in reverse, as many as each sequence has; the rest stays."""
    x, lengths = call.data(), call.value(1)
    along, by = x.layout.axis(call.attribute("time_axis", 0)), x.layout.axis(call.attribute("batch_axis", 1))
    steps = x.layout.sizes[along]
    x.layout.dim(along)
    shape = [1] * x.layout.rank
    if isinstance(lengths, Known) or lengths.content is not None:
        shape[by] = -1
        count = call.known(1).reshape(shape)
        places = np.arange(steps).reshape([-1 if axis == along else 1 for axis in range(x.layout.rank)])
        index: Images = beside(call, Known(np.where(places < count, count - 1 - places, places)), x.layout)
    elif lengths.layout.batch == 0 and by == x.layout.batch and x.layout.outer == x.layout.inner == 1:
        count_of = call.importer.reshaped(lengths, Layout(tuple(shape), x.layout.batch))
        numbers = [each if axis == along else 1 for axis, each in enumerate([steps] * x.layout.rank)]
        given = Known(np.arange(steps, dtype=np.float32).reshape(numbers))
        (count_of, place), layout = call.importer.aligned([count_of, given])
        inside = call.emit(layers.Less(stretch=True), place, count_of, layout=layout)
        turned = call.emit(layers.Sub(stretch=True), count_of, place, layout=layout)
        turned = call.emit(layers.Affine(1.0, -1.0), turned)
        (inside, turned, place), layout = call.importer.aligned([inside, turned, given])
        index = call.emit(layers.Where(stretch=True), inside, turned, place, layout=layout)
    else:
        raise UnsupportedError("its lengths are not one for each image")
    return call.emit(layers.TakeAlongDim(x.layout.dim(along)), x, index, layout=x.layout, dtype=x.dtype)


CONVERSIONS: dict[str, Conversion] = {
    "Compress": compress,
    "CumSum": cumsum,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "Hardmax": hardmax,
    "OneHot": one_hot,
    "ReverseSequence": reverse_sequence,
    "Scatter": scatter_elements,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
    "TopK": top_k,
    "Trilu": trilu,
}
