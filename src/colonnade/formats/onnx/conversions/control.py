"""Operators that run a graph of their own: If, Loop and Scan, as far as it is known what they do before they run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..reading import Body
from ..values import Images, Known, UnsupportedError, Value
from .elementwise import Conversion
from .parts import cut, joined

if TYPE_CHECKING:
    from ..call import Call


def if_(call: Call) -> list[Value | None]:
    body: Body = call.attribute("then_branch" if call.known(0).reshape(-1)[0] else "else_branch")
    return _made(call, body, [], range(len(call.node.outputs)))


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
    if call.opset < 9:
        raise UnsupportedError("Scan of opset 9 and newer alone")
    body: Body = call.attribute("body")
    width = call.attribute("num_scan_inputs")
    values = [call.value(place) for place in range(len(call.inputs))]
    states, scanned = values[: len(values) - width], values[len(values) - width :]
    count, outputs = len(states), len(body.outputs)
    axes = [
        _axis(value, axis)
        for value, axis in zip(scanned, call.attribute("scan_input_axes") or [0] * width, strict=True)
    ]
    backward = call.attribute("scan_input_directions") or [0] * width
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
    ends = call.attribute("scan_output_axes") or [0] * len(rows)
    turned_ends = call.attribute("scan_output_directions") or [0] * len(rows)
    stacks = [
        _stacked(call, row[::-1] if turned else row, axis) if call.needed(count + place) else None
        for place, (row, axis, turned) in enumerate(zip(rows, ends, turned_ends, strict=True))
    ]
    return [*states, *stacks]


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


CONVERSIONS: dict[str, Conversion] = {"If": if_, "Loop": loop, "Scan": scan}
