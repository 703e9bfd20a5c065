"""Products of whole numbers on a grid: as floats, in which they are exact up to 2²⁴, and rounded a little beyond."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .... import layers
from ....ops.layout import Array
from ..values import Images, Known, Layout, UnsupportedError, Value
from .elementwise import Conversion
from .products import dense, product
from .quantization import RANGES
from .windows import convolution

if TYPE_CHECKING:
    from ..call import Call


def dynamic_quantize(call: Call) -> list[Value | None]:
    """Each image on a grid of its own: for one image that is what ONNX says."""
    x = call.data()
    if call.importer.given and x.layout.batch is not None and call.importer.images != 1:
        raise UnsupportedError("all images have one grid, so they see one another")
    number = Layout((), None)
    dims = tuple(range(1, len(call.image_of(x)) + 1))
    ends = []
    for make, least, most in ((layers.Amax, 0.0, math.inf), (layers.Amin, -math.inf, 0.0)):
        found = call.emit(make(dims), x, layout=number) if dims else Images(x.node, number, x.dtype)
        ends.append(call.emit(layers.Hardtanh(least, most), found))
    span = call.emit(layers.Sub(), *ends)
    # An image of zeros has a grid too, of step 1.
    scale = call.emit(layers.Add(), call.emit(layers.Affine(1 / 255), span), call.emit(layers.LogicalNot(), span))
    zero = call.emit(layers.Affine(-1.0), call.emit(layers.Div(), ends[1], scale))
    zero = call.emit(layers.Round(), call.emit(layers.Hardtanh(0.0, 255.0), zero), dtype=np.uint8)
    parts, layout = call.importer.aligned([x, scale])
    y = call.emit(layers.Div(stretch=True), *parts, layout=layout)
    y = call.emit(layers.Quantize(1.0, 0.0, -math.inf, math.inf), y)
    parts, layout = call.importer.aligned([y, zero])
    y = call.emit(layers.Hardtanh(0.0, 255.0), call.emit(layers.Add(stretch=True), *parts, layout=layout))
    return [Images(y.node, x.layout, np.dtype(np.uint8)), scale, zero]


def matmul_integer(call: Call) -> Value:
    left = _shifted(call, 0, call.value(2) if call.has(2) else None, rows=True)
    right = _shifted(call, 1, call.value(3) if call.has(3) else None)
    y = _product(call, left, right)
    return Images(y.node, y.layout, np.dtype(np.int32))


def conv_integer(call: Call) -> Value:
    zero = call.known(3) if call.has(3) else np.zeros((), np.int32)
    y = _convolved(call, 0, 2, call.known(1), zero, None)
    return Images(y.node, y.layout, np.dtype(np.int32))


def linear_matmul(call: Call) -> Value:
    left, right = _shifted(call, 0, call.value(2), rows=True), _shifted(call, 3, call.value(5))
    y = _product(call, left, right)
    scales = [call.known(place).astype(np.float64) for place in (1, 4)]
    if scales[0].size > 1:
        raise UnsupportedError("a grid for each row")
    return _rounded(call, y, call.known(6) / (scales[0].reshape(()) * scales[1]), 7, y.layout.rank - 1)


def linear_conv(call: Call) -> Value:
    y = _convolved(call, 0, 2, call.known(3), call.known(5), call.optional(8))
    scales = [call.known(place).astype(np.float64) for place in (1, 4)]
    return _rounded(call, y, call.known(6) / (scales[0].reshape(()) * scales[1]), 7, 1)


def _shifted(call: Call, place: int, zero: Value | None, rows: bool = False) -> Value:
    """A tensor with zero at zero; the zero points may be one for each row, or each column."""
    x = call.value(place)
    if zero is None:
        return Known(x.array.astype(np.float32)) if isinstance(x, Known) else x
    if isinstance(zero, Known):
        array = zero.array.astype(np.float32)
        zero = Known(array[:, None] if rows and array.ndim == 1 and array.size > 1 else array)
        if zero.array.size == 1:
            zero = Known(zero.array.reshape(()))
    if isinstance(x, Known):
        if isinstance(zero, Known):
            return Known(x.array.astype(np.float32) - zero.array)
    elif isinstance(zero, Known) and zero.array.size == 1:
        number = float(zero.array)
        return call.emit(layers.Affine(1.0, -number), x) if number else x
    parts, layout = call.importer.aligned([x, zero])
    return call.emit(layers.Sub(stretch=True), *parts, layout=layout)


def _product(call: Call, left: Value, right: Value) -> Images:
    if not (isinstance(left, Images) and isinstance(right, Known) and right.array.ndim == 2):
        return product(call, left, right)
    return _fixed(call, dense(call, left, right.array.T, None, [call.name]))


def _convolved(call: Call, place: int, zero: int, weight: Array, weight_zero: Array, bias: Array | None) -> Images:
    x = _shifted(call, place, call.value(zero) if call.has(zero) else None)
    weight = weight.astype(np.float32) - weight_zero.astype(np.float32).reshape(-1, *[1] * (weight.ndim - 1))
    inputs: Sequence[Value] = [x, Known(weight), *([] if bias is None else [Known(bias.astype(np.float32))])]
    # Nothing that follows the node is part of it: its output is called otherwise.
    own = replace(call.node, inputs=("",) * len(inputs), outputs=(f"{call.node.outputs[0]}/product",))
    y = convolution(type(call)(call.importer, own, inputs))
    assert isinstance(y, Images)
    return _fixed(call, y)


def _fixed(call: Call, y: Images) -> Images:
    """The weights are whole numbers, and not learned."""
    name = call.importer.origins.get(y.node, y.node)
    if list(call.importer.nodes[name][0].parameters()):
        call.importer.fixed.append(name)
    return y


def _rounded(call: Call, y: Images, step: Array, zero: int, axis: int) -> Value:
    """On the grid of the output, the step of which is a number, or one for each place along an axis."""
    points = call.known(zero)
    low, high = RANGES[points.dtype.name]
    several = step.size > 1
    numbers = tuple(float(each) for each in step.ravel()) if several else float(step.reshape(()))
    layer = layers.Quantize(numbers, float(points.reshape(())), low, high, y.layout.dim(axis) if several else 1)
    return call.emit(layer, y, dtype=points.dtype)


CONVERSIONS: dict[str, Conversion] = {
    "ConvInteger": conv_integer,
    "DynamicQuantizeLinear": dynamic_quantize,
    "MatMulInteger": matmul_integer,
    "QLinearConv": linear_conv,
    "QLinearMatMul": linear_matmul,
}
