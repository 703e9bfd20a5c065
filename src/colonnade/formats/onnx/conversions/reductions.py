"""Operators that make one number of many along some axes, and the softmax."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .... import layers
from ....layers import Layer
from ..folding import axes_of
from ..values import Images, Layout, UnsupportedError, Value
from .elementwise import Conversion

if TYPE_CHECKING:
    from ..call import Call

# Before, the axes of a reduction are an attribute, and not an input.
AXES_AS_INPUT = {"ReduceSum": 13}

Make = Callable[..., Layer]


def reduction(
    make: Make, before: Callable[[], Layer] | None = None, after: Callable[[], Layer] | None = None
) -> Conversion:
    """A reduction by a layer, with one for each number before it and after it."""

    def convert(call: Call) -> Value:
        x = call.data()
        x = call.emit(before(), x) if before else x
        as_input = call.opset >= AXES_AS_INPUT.get(call.node.operator, 18)
        given = call.optional(1) if as_input else None
        named = axes_of(call.node, given)
        if not named:
            if as_input and call.attribute("noop_with_empty_axes", 0):
                return call.emit(after(), x) if after else x
            named = list(range(x.layout.rank))
        y = reduced(call, x, [x.layout.axis(axis) for axis in named], bool(call.attribute("keepdims", 1)), make)
        return call.emit(after(), y) if after else y

    return convert


def reduced(call: Call, x: Images, axes: Sequence[int], keepdims: bool, make: Make) -> Images:
    """A reduction over axes as ONNX sees them."""
    if x.layout.batch in axes and x.layout.plain and call.importer.images == 1:
        # In a file for one image the batch is an axis of length 1: each image is reduced by itself.
        x = call.importer.reshaped(x, Layout(x.layout.sizes, None))
        y = reduced(call, x, axes, keepdims, make)
        return call.importer.reshaped(y, Layout(y.layout.sizes, 0)) if keepdims else y
    layout = x.layout.resized(dict.fromkeys(axes, 1)) if keepdims else x.layout.without(axes)
    dims = tuple(sorted(x.layout.dim(axis) for axis in axes))
    if not dims:
        return x  # one number is its own sum, mean, least and greatest
    image = call.image_of(x)
    if make is layers.Mean and keepdims and len(image) == 3 and dims == (2, 3):
        return call.emit(layers.AdaptiveAvgPool2d(1), x, layout=layout)
    return call.emit(make(dims, keepdims), x, layout=layout)


def place(make: Callable[..., Layer]) -> Conversion:
    def convert(call: Call) -> Value:
        x = call.data()
        axis, keepdims = x.layout.axis(call.attribute("axis", 0)), bool(call.attribute("keepdims", 1))
        layer = make(x.layout.dim(axis), keepdims, bool(call.attribute("select_last_index", 0)))
        layout = x.layout.resized({axis: 1}) if keepdims else x.layout.without([axis])
        return call.emit(layer, x, layout=layout, dtype=np.int64)

    return convert


def along_axis(call: Call, make: Callable[[Images, int], Images]) -> Images:
    """What is made of x along an axis, kept as long; before opset 13 all axes from this one on are one.

    Args:
        call: The node.
        make: Of a tensor and the place of the axis in it.
    """
    x = call.data()
    if call.opset >= 13:
        return make(x, x.layout.axis(call.attribute("axis", -1)))
    layout, axis = x.layout, x.layout.axis(call.attribute("axis", 1))
    if math.prod(layout.sizes[axis + 1 :]) == 1 and axis != layout.batch:
        return make(x, axis)
    if layout.batch is not None and layout.batch >= axis:
        raise UnsupportedError(f"it works along axis {layout.batch}, the batch: its images would see one another")
    sizes = (*layout.sizes[:axis], math.prod(layout.sizes[axis:]))
    joined = Layout(sizes, layout.batch, layout.outer, layout.inner)
    return call.importer.reshaped(make(call.importer.reshaped(x, joined), axis), layout)


def softmax(make: Callable[[int], Layer]) -> Conversion:
    def convert(call: Call) -> Value:
        return along_axis(call, lambda x, axis: call.emit(make(x.layout.dim(axis)), x))

    return convert


CONVERSIONS: dict[str, Conversion] = {
    "ArgMax": place(layers.Argmax),
    "ArgMin": place(layers.Argmin),
    "LogSoftmax": softmax(layers.LogSoftmax),
    "ReduceL1": reduction(layers.Sum, before=layers.Abs),
    "ReduceL2": reduction(
        layers.Sum, before=lambda: layers.Power(2.0), after=lambda: layers.Power(0.5, flat_at_zero=True)
    ),
    "ReduceLogSum": reduction(layers.Sum, after=layers.Log),
    "ReduceLogSumExp": reduction(layers.LogSumExp),
    "ReduceMax": reduction(layers.Amax),
    "ReduceMean": reduction(layers.Mean),
    "ReduceMin": reduction(layers.Amin),
    "ReduceProd": reduction(layers.Prod),
    "ReduceSum": reduction(layers.Sum),
    "ReduceSumSquare": reduction(layers.Sum, before=lambda: layers.Power(2.0)),
    "Softmax": softmax(layers.Softmax),
}
