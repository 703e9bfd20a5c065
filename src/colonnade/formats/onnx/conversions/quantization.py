"""Numbers on a grid: QuantizeLinear, DequantizeLinear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from .... import layers
from ....ops.layout import Array
from ..values import Images, UnsupportedError, Value
from .elementwise import Conversion

if TYPE_CHECKING:
    from ..call import Call

RANGES = {
    **{name: (np.iinfo(name).min, np.iinfo(name).max) for name in ("int8", "uint8", "int16", "uint16")},
    **{"int4": (-8, 7), "uint4": (0, 15), "int2": (-2, 1), "uint2": (0, 3)},
}


def quantize(call: Call) -> Value:
    x, zero_point = call.data(), call.optional(2)
    if zero_point is not None:
        dtype = zero_point.dtype
    else:
        named = call.attribute("output_dtype", 0)
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(named)) if named else np.dtype(np.uint8)
    if dtype.name not in RANGES:
        raise UnsupportedError(f"a grid of {dtype}")
    scale, zero, dim = _grid(call, x, zero_point)
    low, high = RANGES[dtype.name]
    return call.emit(layers.Quantize(scale, zero, low, high, dim), x, dtype=dtype)


def dequantize(call: Call) -> Value:
    x = call.data()
    if x.dtype.name not in RANGES and x.dtype != np.int32:
        raise UnsupportedError(f"a grid of {x.dtype}")
    scale, zero, dim = _grid(call, x, call.optional(2))
    return call.emit(layers.Dequantize(scale, zero, dim), x, dtype=call.known(1).dtype)


Numbers = float | tuple[float, ...]


def _grid(call: Call, x: Images, zero_point: Array | None) -> tuple[Numbers, Numbers, int]:
    """Scale, zero point and the axis that they are for."""
    scale = call.known(1)
    if scale.ndim > 1 or call.attribute("block_size", 0):
        raise UnsupportedError("a grid for blocks of numbers")
    axis = call.attribute("axis", 1)
    vector = scale.ndim == 1 and scale.size > 1
    dim = x.layout.dim(axis) if vector else 1
    return _numbers(scale), 0.0 if zero_point is None else _numbers(zero_point), dim


def _numbers(array: Array) -> Numbers:
    if array.size == 1:
        return float(array.reshape(()))
    return tuple(float(each) for each in array.ravel())


CONVERSIONS: dict[str, Conversion] = {"DequantizeLinear": dequantize, "QuantizeLinear": quantize}
