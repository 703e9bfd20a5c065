"""Operators that run a graph of their own: If, Loop and Scan, as far as it is known what they do before they run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .... import layers
from ..reading import Body
from ..values import Images, Known, Layout, UnsupportedError, Value
from .axes import in_words
from .elementwise import Conversion
from .parts import beside, cut, joined

if TYPE_CHECKING:
    from ..call import Call


MOST_STEPS = 1024


def if_(call: Call) -> list[Value | None]:
    places = range(len(call.node.outputs))
    condition = call.value(0)
    if isinstance(condition, Images) and condition.content is None:
        return _chosen(call, condition, places)
    body: Body = call.attribute("then_branch" if call.known(0).reshape(-1)[0] else "else_branch")
    return _made(call, body, [], places)


def _chosen(call: Call, condition: Images, places: Sequence[int]) -> list[Value | None]:
    """Both branches, and for each image that which its condition says: they must make tensors of one shape."""
    if math.prod(condition.layout.image) != 1:
        raise UnsupportedError(f"its condition is {math.prod(condition.layout.image)} truth values for each image")
    both = [_made(call, call.attribute(name), [], places) for name in ("then_branch", "else_branch")]
    outputs: list[Value | None] = []
    for yes, no in zip(*both, strict=True):
        if yes is None or no is None:
            outputs.append(None)
            continue
        frame = next((each.layout for each in (yes, no) if isinstance(each, Images)), None)
        shapes = [each.layout.shape if isinstance(each, Images) else each.array.shape for each in (yes, no)]
        if frame is not None:
            yes, no = (
                (beside(call, each, frame) for each in (yes, no)) if len(set(map(len, shapes))) == 1 else (yes, no)
            )
            shapes = [each.layout.shape if isinstance(each, Images) else each.array.shape for each in (yes, no)]
        if shapes[0] != shapes[1]:
            first, second = map(in_words, shapes)
            raise UnsupportedError(
                f"which branch it takes is computed from the images, and they make {first} and {second}"
            )
        rank = len(shapes[0])
        batch = condition.layout.batch if frame is None else frame.batch
        if (batch is None) is not (condition.layout.batch is None) and call.importer.images != 1:
            raise UnsupportedError("its condition is of the batch, and what it chooses is not")
        if batch is not None and batch >= rank:
            raise UnsupportedError("what it chooses has no axis for the batch")
        told = call.importer.reshaped(condition, Layout((1,) * rank, batch))
        parts, layout = call.importer.aligned([told, yes, no])
        outputs.append(call.emit(layers.Where(stretch=True), *parts, layout=layout, dtype=yes.dtype))
    return outputs


def _made(call: Call, body: Body, inputs: Sequence[Value], places: Sequence[int]) -> list[Value | None]:
    """What a graph makes for the outputs of the node that are needed."""
    needed = [place for place in places if call.needed(place)]
    made = call.importer.inlined(body, inputs, needed)
    return [made.get(place) for place in places]


def loop(call: Call) -> list[Value | None]:
    body: Body = call.attribute("body")
    most = int(call.known(0).reshape(-1)[0]) if call.has(0) else None
    going: Value = Known(call.known(1) if call.has(1) else np.array(True))
    carried = [call.value(place) for place in range(2, len(call.inputs))]
    count, step = len(carried), 0
    rows: list[list[Value]] = [[] for _ in body.outputs[1 + count :]]
    needed = [place for place in range(len(body.outputs)) if place <= count or call.needed(place - 1)]
    while most is None or step < most:
        if isinstance(going, Images):
            raise UnsupportedError("how often it runs is computed from the images")
        if not going.array.reshape(-1)[0]:
            break
        made = call.importer.inlined(body, [Known(np.array(step)), Known(np.array(True)), *carried], needed)
        going, carried = made[0], [made[1 + place] for place in range(count)]
        for place, row in enumerate(rows, 1 + count):
            row.extend([made[place]] if place in made else [])
        step += 1
    return [*carried, *(_stacked(call, row, 0) if call.needed(count + n) else None for n, row in enumerate(rows))]


def scan(call: Call) -> list[Value | None]:
    width = call.attribute("num_scan_inputs")
    values = [call.value(place) for place in range(call.opset < 9, len(call.inputs))]
    states, scanned = values[: len(values) - width], values[len(values) - width :]
    if call.opset < 9:
        return _scan_of_batches(call, states, scanned)
    ends = call.attribute("scan_input_axes") or [0] * width
    axes = [_axis(value, axis) for value, axis in zip(scanned, ends, strict=True)]
    backward = call.attribute("scan_input_directions") or [0] * width
    states, rows = _scanned(call, states, scanned, axes, backward)
    ends = call.attribute("scan_output_axes") or [0] * len(rows)
    turned_ends = call.attribute("scan_output_directions") or [0] * len(rows)
    stacks = [
        _stacked(call, row[::-1] if turned else row, axis) if call.needed(len(states) + place) else None
        for place, (row, axis, turned) in enumerate(zip(rows, ends, turned_ends, strict=True))
    ]
    return [*states, *stacks]


def _scan_of_batches(call: Call, states: list[Value], scanned: list[Value]) -> list[Value | None]:
    """Before opset 9: the first axis is a batch of its own, the second is run along, and the graph sees neither."""
    if call.has(0):
        raise UnsupportedError("sequences of a length each")
    images = [_one(call, value) for value in (*states, *scanned)]
    count = len(states)
    backward = call.attribute("directions") or [0] * len(scanned)
    made, rows = _scanned(call, images[:count], images[count:], [0] * len(scanned), backward)
    stacks = [_stacked(call, row, 0) if call.needed(count + place) else None for place, row in enumerate(rows)]
    return [
        call.importer.reshaped(each, Layout((1, *each.layout.sizes), 0)) if isinstance(each, Images) else each
        for each in (*made, *stacks)
    ]


def _one(call: Call, value: Value) -> Value:
    """What one image has of a tensor whose first axis is the batch, whole."""
    if isinstance(value, Known):
        return Known(call.importer.per_image(value.array, Layout(value.array.shape, 0)))
    if not value.layout.plain:
        raise UnsupportedError("it expects the batch as first axis")
    return call.importer.reshaped(value, Layout(value.layout.sizes[1:], None))


def _scanned(
    call: Call, states: list[Value], scanned: list[Value], axes: list[int], backward: Sequence[int]
) -> tuple[list[Value], list[list[Value]]]:
    """The states after the last step, and what each output made, step by step."""
    body: Body = call.attribute("body")
    count, outputs = len(states), len(body.outputs)
    sizes = {_sizes(value)[axis] for value, axis in zip(scanned, axes, strict=True)}
    if len(sizes) != 1:
        raise UnsupportedError(f"it runs along axes of {sorted(sizes)}")
    (length,) = sizes
    rows: list[list[Value]] = [[] for _ in range(outputs - count)]
    needed = [place for place in range(outputs) if place < count or call.needed(place)]
    for step in range(length):
        parts = [
            _at(call, value, axis, length - 1 - step if turned else step)
            for value, axis, turned in zip(scanned, axes, backward, strict=True)
        ]
        made = call.importer.inlined(body, [*states, *parts], needed)
        states = [made[place] for place in range(count)]
        for place, row in enumerate(rows, count):
            row.extend([made[place]] if place in made else [])
    return states, rows


def _sizes(value: Value) -> tuple[Any, ...]:
    return value.array.shape if isinstance(value, Known) else value.layout.sizes


def _axis(value: Value, axis: int) -> int:
    if isinstance(value, Images):
        value.layout.dim(axis)
        return value.layout.axis(axis)
    return axis % value.array.ndim


def _at(call: Call, value: Value, axis: int, place: int) -> Value:
    """What lies at a place of an axis, without the axis."""
    if isinstance(value, Known):
        return Known(np.take(value.array, place, axis))
    part = cut(call, value, axis, slice(place, place + 1))
    return call.importer.reshaped(part, part.layout.without([axis]))


def _stacked(call: Call, values: Sequence[Value], axis: int) -> Value:
    """Values one behind the other along a new axis."""
    if not values:
        raise UnsupportedError("it never runs, and leaves nothing")
    if all(isinstance(each, Known) for each in values):
        return Known(np.stack([each.array for each in values if isinstance(each, Known)], axis))
    raised: list[Value] = []
    for each in values:
        place = axis % (len(_sizes(each)) + 1)
        if isinstance(each, Known):
            raised.append(Known(np.expand_dims(each.array, place), each.name))
        else:
            raised.append(call.importer.reshaped(each, each.layout.with_ones([place])))
    return joined(call, raised, axis)


def cumulative_product(call: Call) -> Value:
    """The product of all numbers up to each along an axis, one after the other."""
    x, axis = call.data(), call.data().layout.axis(int(call.known(1).reshape(())))
    x.layout.dim(axis)
    steps = x.layout.sizes[axis]
    if steps > MOST_STEPS:
        raise UnsupportedError(f"a product of {steps:,} numbers, one after the other")
    places = range(steps)[::-1] if call.attribute("reverse", 0) else range(steps)
    parts = [cut(call, x, axis, slice(place, place + 1)) for place in places]
    products = [parts[0]]
    for part in parts[1:]:
        products.append(call.emit(layers.Mul(), products[-1], part))
    if call.attribute("exclusive", 0):
        products = [call.emit(layers.Affine(0.0, 1.0), parts[0]), *products[:-1]]
    return joined(call, products[::-1] if call.attribute("reverse", 0) else products, axis)


CONVERSIONS: dict[str, Conversion] = {"CumProd": cumulative_product, "If": if_, "Loop": loop, "Scan": scan}
