"""Operators that work on each number by itself, or on those at the same place of several tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from .... import layers
from ....layers import Layer
from ..tensors import NARROW, widened
from ..values import Images, Known, Layout, UnsupportedError, Value

if TYPE_CHECKING:
    from ..call import Call

Conversion = Callable[["Call"], Value | list[Value | None]]

# Types that NumPy does not know by itself, of whose numbers all are in float32 too.
EXACT = ("bfloat16", "int4", "uint4", "int2", "uint2")
BOOL = np.dtype(np.bool_)


def layer(make: Callable[[], Layer], dtype: np.dtype[np.bool_] | None = None) -> Conversion:
    """An operator that is just one layer."""
    return lambda call: call.emit(make(), call.data(), dtype=dtype)


def identity(call: Call) -> Value:
    return call.value(0)


def dropout(call: Call) -> list[Value | None]:
    x = call.data()
    ratio = call.optional(1) if call.opset >= 12 else np.asarray(call.attribute("ratio", 0.5))
    y = call.emit(layers.Dropout(0.5 if ratio is None else float(ratio)), x)
    # Outside training nothing is left out.
    mask = call.emit(layers.Affine(0.0, 1.0), x, dtype=BOOL) if call.needed(1) else None
    return [y, mask]


# Activations


def leaky_relu(call: Call) -> Value:
    alpha = call.attribute("alpha", 0.01)
    x = call.data()
    return call.emit(layers.LeakyReLU(alpha), x) if 0 <= alpha <= 1 else _bent(call, x, Known(np.array(alpha)))


def prelu(call: Call) -> Value:
    x, slope = call.data(), call.known(1)
    by_channel = x.layout.rank > 1 and slope.shape == (x.layout.sizes[1], *[1] * (x.layout.rank - 2))
    by_channel |= call.opset < 7 and slope.shape == x.layout.sizes[1:2]
    if slope.size == 1 or (by_channel and x.layout.plain):
        weight = {"weight": slope.reshape(-1)}
        return call.emit(layers.PReLU(slope.size), x, names=call.names(1), weights=weight)
    return _bent(call, x, call.value(1))


def _bent(call: Call, x: Images, slope: Value) -> Value:
    """max(x, 0) + slope · min(x, 0)."""
    positive = call.emit(layers.Hardtanh(0.0, math.inf), x)
    negative = call.emit(layers.Hardtanh(-math.inf, 0.0), x)
    parts, layout = call.importer.aligned([negative, slope])
    scaled = call.emit(layers.Mul(stretch=True), *parts, layout=layout)
    return call.emit(layers.Add(), positive, scaled)


def selu(call: Call) -> Value:
    alpha, gamma = call.attribute("alpha", 1.6732632), call.attribute("gamma", 1.0507010)
    if math.isclose(alpha, 1.6732632, rel_tol=1e-4) and math.isclose(gamma, 1.0507010, rel_tol=1e-4):
        return call.emit(layers.SELU(), call.data())
    return call.emit(layers.Affine(gamma), call.emit(layers.ELU(alpha), call.data()))


def hard_sigmoid(call: Call) -> Value:
    alpha, beta = call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        return call.emit(layers.Hardsigmoid(), call.data())
    return call.emit(layers.Hardtanh(0.0, 1.0), call.emit(layers.Affine(alpha, beta), call.data()))


def swish(call: Call) -> Value:
    alpha, x = call.attribute("alpha", 1.0), call.data()
    if alpha == 1:
        return call.emit(layers.SiLU(), x)
    gate = call.emit(layers.Sigmoid(), call.emit(layers.Affine(alpha), x))
    return call.emit(layers.Mul(), x, gate)


def gelu(call: Call) -> Value:
    return call.emit(layers.GELU(call.attribute("approximate", "none")), call.data())


def clip(call: Call) -> Value:
    x = call.data()
    if call.opset < 11:
        ends = [np.array(call.attribute(name, end)) for name, end in (("min", -math.inf), ("max", math.inf))]
        bounds: list[Value | None] = [Known(end) for end in ends]
    else:
        bounds = [call.value(place) if call.has(place) else None for place in (1, 2)]
    numbers = [_number(each) for each in bounds]
    if None not in [number for number, each in zip(numbers, bounds, strict=True) if each is not None]:
        least, most = (
            end if number is None else number for number, end in zip(numbers, (-math.inf, math.inf), strict=True)
        )
        if (least, most) in ((0, 6), (0, math.inf)):
            return call.emit(layers.ReLU6() if most == 6 else layers.ReLU(), x)
        if least < most:
            return call.emit(layers.Hardtanh(least, most), x)
    y: Images = x
    for bound, made in zip(bounds, (layers.Maximum, layers.Minimum), strict=True):
        if bound is not None:
            parts, layout = call.importer.aligned([y, bound])
            y = call.emit(made(stretch=True), *parts, layout=layout)
    return y


def _number(value: Value | None) -> float | None:
    """The only number of a constant; None for anything else."""
    if isinstance(value, Known) and value.array.size == 1 and value.array.dtype != object:
        return float(value.array.reshape(()))
    return None


def shrink(call: Call) -> Value:
    """x − bias above lambd, x + bias below −lambd, zero between."""
    x, bias, lambd = call.data(), call.attribute("bias", 0.0), call.attribute("lambd", 0.5)
    sides = []
    for sign in (1.0, -1.0):
        turned = x if sign > 0 else call.emit(layers.Affine(-1.0), x)
        kept = call.emit(layers.Threshold(lambd, bias), turned)
        sides.append(call.emit(layers.Affine(sign, -sign * bias), kept))
    return call.emit(layers.Add(), *sides)


def is_nan(call: Call) -> Value:
    """Only what is no number differs from itself."""
    x = call.data()
    return call.emit(layers.LogicalNot(), call.emit(layers.Equal(), x, x), dtype=BOOL)


def is_inf(call: Call) -> Value:
    x = call.data()
    ways = [call.attribute(name, 1) for name in ("detect_negative", "detect_positive")]
    if not any(ways):
        return call.emit(layers.Less(), x, x, dtype=BOOL)
    sized = call.emit(layers.Abs(), x) if all(ways) else x if ways[1] else call.emit(layers.Affine(-1.0), x)
    parts, layout = call.importer.aligned([sized, Known(np.array(math.inf, np.float32))])
    return call.emit(layers.Equal(stretch=True), *parts, layout=layout, dtype=BOOL)


def bit_shift(call: Call) -> Value:
    """Times a power of two, or divided by one and rounded down. What leaves the type on the left is not cut off."""
    count, dtype = call.value(1), np.dtype(call.value(0).dtype)
    right, bits = call.attribute("direction") == "RIGHT", 8 * dtype.itemsize
    base, gone = (0.5, float(bits)) if right else (2.0, math.inf)  # by fewer bits than none, or more than there are
    if isinstance(count, Known):
        kept = (count.array >= 0) & (count.array < bits)
        factor: Value = Known(np.float32(base) ** np.where(kept, count.array, gone if right else -gone))
    else:
        ends = [Known(np.array(end, np.float32)) for end in (0.0, bits, gone if right else -gone, base)]
        from_zero = _joined(call, layers.GreaterEqual(stretch=True), count, ends[0])
        below = _joined(call, layers.Less(stretch=True), count, ends[1])
        kept_ones = _joined(call, layers.LogicalAnd(stretch=True), from_zero, below)
        factor = _joined(
            call,
            layers.Pow(stretch=True),
            ends[3],
            _joined(call, layers.Where(stretch=True), kept_ones, count, ends[2]),
        )
    y = _joined(call, layers.Mul(stretch=True), call.value(0), factor, dtype=dtype)
    return call.emit(layers.Floor(), y, dtype=dtype) if right else y


def _joined(call: Call, layer: Layer, *values: Value, dtype: Any = None) -> Images:
    """A layer of several values, stretched to each other."""
    parts, layout = call.importer.aligned(values)
    return call.emit(layer, *parts, layout=layout, dtype=dtype)


# Types. All numbers are the model's own; what a cast does to a value is kept.


def cast(call: Call) -> Value:
    return _cast(call, onnx.helper.tensor_dtype_to_np_dtype(call.attribute("to")))


def cast_like(call: Call) -> Value:
    x, to = call.value(0), call.value(1).dtype
    return Known(widened(x.array.astype(to))) if isinstance(x, Known) else _cast(call, to)


def _cast(call: Call, to: np.dtype[np.generic]) -> Value:
    x = call.data()
    to = np.dtype(to)
    if (to.kind not in "fiub" or to.name.startswith("float8")) and to.name not in EXACT:
        raise UnsupportedError(f"numbers of type {to}")
    if to.kind == "b" and x.dtype.kind != "b":
        return call.emit(layers.LogicalNot(), call.emit(layers.LogicalNot(), x), dtype=to)
    if "int" in to.name and "int" not in x.dtype.name:
        return call.emit(layers.Trunc(), x, dtype=to)
    return Images(x.node, x.layout, np.dtype(np.float32) if to.name in NARROW else to)


# Several tensors


def join(make: Callable[[], Layer], dtype: np.dtype[np.bool_] | None = None) -> Conversion:
    """An operator on several tensors that is just one layer."""

    def convert(call: Call) -> Value:
        inputs, layout = _aligned(call)
        return call.emit(make(), *inputs, layout=layout, dtype=dtype)

    return convert


def _aligned(call: Call) -> tuple[list[Images], Layout]:
    values = [call.value(place) for place in range(len(call.inputs))]
    if call.opset < 7 and len(values) == 2 and call.attribute("axis") is not None and isinstance(values[1], Known):
        # Before opset 7 the second tensor began at an axis of the first.
        first, axis = values[0], call.attribute("axis")
        rank = first.array.ndim if isinstance(first, Known) else first.layout.rank
        array = values[1].array
        values[1] = Known(array.reshape(*array.shape, *[1] * (rank - axis % rank - array.ndim)), values[1].name)
    return call.importer.aligned(values)


def add(call: Call) -> Value:
    return _by_number(call, lambda number, first: layers.Affine(1.0, number)) or _sum(call)


def _sum(call: Call) -> Value:
    inputs, layout = _aligned(call)
    return call.emit(layers.Add(stretch=True), *inputs, layout=layout) if len(inputs) > 1 else inputs[0]


def sub(call: Call) -> Value:
    made = _by_number(call, lambda number, first: layers.Affine(-1.0, number) if first else layers.Affine(1.0, -number))
    return made or join(lambda: layers.Sub(stretch=True))(call)  # type: ignore[return-value]


def mul(call: Call) -> Value:
    made = _by_number(call, lambda number, first: layers.Affine(number))
    return made or join(lambda: layers.Mul(stretch=True))(call)  # type: ignore[return-value]


def div(call: Call) -> Value:
    made = _by_number(call, lambda number, first: None if first or number == 0 else layers.Affine(1.0 / number))
    if made is None:
        inputs, layout = _aligned(call)
        made = call.emit(layers.Div(stretch=True), *inputs, layout=layout)
    return call.emit(layers.Trunc(), made) if made.dtype.kind in "iu" else made


def mod(call: Call) -> Value:
    make = layers.Fmod if call.attribute("fmod", 0) else layers.Remainder
    return join(lambda: make(stretch=True))(call)  # type: ignore[return-value]


def power(call: Call) -> Value:
    made = _by_number(call, lambda number, first: None if first else layers.Power(number))
    if made is None:
        inputs, layout = _aligned(call)
        made = call.emit(layers.Pow(stretch=True), *inputs, layout=layout)
    first = call.value(0)
    return Images(made.node, made.layout, first.dtype)


def mean(call: Call) -> Value:
    total = _sum(call)
    assert isinstance(total, Images)
    return call.emit(layers.Affine(1 / len(call.inputs)), total)


def _by_number(call: Call, make: Callable[[float, bool], Layer | None]) -> Images | None:
    """A layer for one tensor and one number that is not learned; None where it is something else.

    `make` gets the number, and whether it comes first.
    """
    if len(call.inputs) != 2:
        return None
    for place in (0, 1):
        value, other = call.value(place), call.value(1 - place)
        number = _number(value)
        if number is not None and isinstance(value, Known) and isinstance(other, Images):
            # Of more axes it would add some to the other.
            made = make(number, place == 0) if value.array.ndim <= other.layout.rank and math.isfinite(number) else None
            return None if made is None else call.emit(made, other)
    return None


def minimum_or_maximum(make: Callable[..., Layer]) -> Conversion:
    def convert(call: Call) -> Value:
        inputs, layout = _aligned(call)
        return call.emit(make(stretch=True), *inputs, layout=layout) if len(inputs) > 1 else inputs[0]

    return convert


def where(call: Call) -> Value:
    inputs, layout = _aligned(call)
    return call.emit(layers.Where(stretch=True), *inputs, layout=layout, dtype=call.value(1).dtype)


CONVERSIONS: dict[str, Conversion] = {
    "Abs": layer(layers.Abs),
    "Acos": layer(layers.Acos),
    "Acosh": layer(layers.Acosh),
    "Add": add,
    "And": join(lambda: layers.LogicalAnd(stretch=True), BOOL),
    "Asin": layer(layers.Asin),
    "Asinh": layer(layers.Asinh),
    "Atan": layer(layers.Atan),
    "Atanh": layer(layers.Atanh),
    "BitShift": bit_shift,
    "Cast": cast,
    "CastLike": cast_like,
    "Ceil": layer(layers.Ceil),
    "Celu": lambda call: call.emit(layers.CELU(call.attribute("alpha", 1.0)), call.data()),
    "Clip": clip,
    "Cos": layer(layers.Cos),
    "Cosh": layer(layers.Cosh),
    "Div": div,
    "Dropout": dropout,
    "Elu": lambda call: call.emit(layers.ELU(call.attribute("alpha", 1.0)), call.data()),
    "Equal": join(lambda: layers.Equal(stretch=True), BOOL),
    "Erf": layer(layers.Erf),
    "Exp": layer(layers.Exp),
    "Floor": layer(layers.Floor),
    "Gelu": gelu,
    "Greater": join(lambda: layers.Greater(stretch=True), BOOL),
    "GreaterOrEqual": join(lambda: layers.GreaterEqual(stretch=True), BOOL),
    "HardSigmoid": hard_sigmoid,
    "HardSwish": layer(layers.Hardswish),
    "Identity": identity,
    "IsInf": is_inf,
    "IsNaN": is_nan,
    "LeakyRelu": leaky_relu,
    "Less": join(lambda: layers.Less(stretch=True), BOOL),
    "LessOrEqual": join(lambda: layers.LessEqual(stretch=True), BOOL),
    "Log": layer(layers.Log),
    "Max": minimum_or_maximum(layers.Maximum),
    "Mean": mean,
    "Min": minimum_or_maximum(layers.Minimum),
    "Mish": layer(layers.Mish),
    "Mod": mod,
    "Mul": mul,
    "Neg": layer(lambda: layers.Affine(-1.0)),
    "Not": layer(layers.LogicalNot, BOOL),
    "Or": join(lambda: layers.LogicalOr(stretch=True), BOOL),
    "PRelu": prelu,
    "Pow": power,
    "Reciprocal": layer(layers.Reciprocal),
    "Relu": layer(layers.ReLU),
    "Round": layer(layers.Round),
    "Selu": selu,
    "Shrink": shrink,
    "Sigmoid": layer(layers.Sigmoid),
    "Sign": layer(layers.Sign),
    "Sin": layer(layers.Sin),
    "Sinh": layer(layers.Sinh),
    "Softplus": layer(layers.Softplus),
    "Softsign": layer(layers.Softsign),
    "Sqrt": layer(layers.Sqrt),
    "Sub": sub,
    "Sum": _sum,
    "Swish": swish,
    "Tan": layer(layers.Tan),
    "Tanh": layer(layers.Tanh),
    "ThresholdedRelu": lambda call: call.emit(layers.Threshold(call.attribute("alpha", 1.0), 0.0), call.data()),
    "Where": where,
    "Xor": join(lambda: layers.LogicalXor(stretch=True), BOOL),
}
