"""What is known at load is computed at load: constants, and the arithmetic of shapes.

Arrays go through the NumPy implementation of the operators that the package onnx carries. Shapes may hold the size of
the batch, which no array of numbers can: for those, and for what is only another view of an array, there is a table
here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

from ...limits import Limits
from ...ops.layout import Array
from .reading import Node
from .tensors import widened
from .values import Batch, Known, UnsupportedError

# So many numbers a file may have us make that it does not hold, one array or all together: 1 GiB in float32.
MOST_NUMBERS = 1 << 28
NUMBER_BYTES = 4

BROADCASTING = {
    *("Add", "Sub", "Mul", "Div", "Pow", "Mod", "Max", "Min", "Mean", "Sum", "And", "Or", "Xor", "Where", "PRelu"),
    *("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"),
    *("BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor"),
}
# Operators whose outputs are no larger than their inputs together.
SHRINKING = {
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "CastLike", "Ceil", "Clip"),
    *("Compress", "Cos", "Cosh", "CumProd", "CumSum", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish"),
    *("IsInf", "IsNaN", "LeakyRelu", "Log", "LogSoftmax", "Neg", "Not", "Reciprocal", "Relu", "ReverseSequence"),
    *("Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softmax", "Softplus", "Softsign", "Sqrt", "Tan"),
    *("Tanh", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin"),
    *("ReduceProd", "ReduceSum", "ReduceSumSquare", "ArgMax", "ArgMin", "Trilu", "EyeLike", "Dropout", "Slice"),
    *("Split", "Transpose", "DepthToSpace", "SpaceToDepth", "DequantizeLinear", "QuantizeLinear", "ScatterND"),
    *("ScatterElements", "Concat", "LayerNormalization", "BatchNormalization", "InstanceNormalization"),
    "GatherElements",
}
SIZED = {"Gather", "MatMul", "Gemm", "NonZero", "OneHot", "Pad", "Range", "Tile"}


class Folding:
    """Computes nodes whose inputs are known.

    Args:
        limits: What the model may take.

    Attributes:
        left: How many numbers may still be made.
        elsewhere: Whether anything was computed by the package onnx.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.left = MOST_NUMBERS if limits is None else int(min(MOST_NUMBERS, limits.memory // NUMBER_BYTES))
        self.elsewhere = False

    def take(self, count: int) -> None:
        """Account for numbers that are made; raises UnsupportedError where they are too many."""
        self.require(count)
        self.left -= count

    def require(self, count: int) -> None:
        """Raise UnsupportedError where so many numbers are too many."""
        if count > self.left:
            raise UnsupportedError(
                f"it makes {count:,} numbers out of nothing, more than the {self.left:,} that are allowed"
            )

    def __call__(self, node: Node, inputs: list[Known | None]) -> list[Known]:
        """The node's outputs; raises UnsupportedError for what we cannot compute."""
        arrays = [None if each is None else each.array for each in inputs]
        sizes = any(each is not None and each.dtype == object for each in arrays)
        table = VIEWS | SIZES if sizes else VIEWS
        if node.operator in table:
            self.take(_copied(node, arrays))
            return [_settled(table[node.operator](node, *arrays))]
        if sizes:
            raise UnsupportedError("it computes with the batch's size")
        if node.operator not in BROADCASTING | SHRINKING | SIZED:
            raise UnsupportedError("it is none of the operators that constants are computed with")
        self.take(_count(node, arrays))
        self.elsewhere = True
        return [Known(widened(np.asarray(each))) for each in _reference(node, arrays)]


def _reference(node: Node, arrays: list[Array | None]) -> list[Array]:
    from onnx.reference import ReferenceEvaluator

    feeds = {name: array for name, array in zip(node.inputs, arrays, strict=True) if array is not None}
    proto = onnx.NodeProto()
    proto.CopyFrom(node.proto)
    proto.domain = ""
    # In a graph within the graph they are called otherwise than in the file.
    proto.input[:], proto.output[:] = node.inputs, node.outputs
    try:
        with np.errstate(all="ignore"):
            outputs: Any = ReferenceEvaluator(proto, opsets={"": node.opset}).run(None, feeds)
    except Exception as error:  # whatever the other package says of a graph that makes no sense
        raise UnsupportedError(
            f"it can't be computed ({' '.join(str(error).split())[:200] or type(error).__name__})"
        ) from None
    made: list[Array] = outputs
    return made


def _copied(node: Node, arrays: list[Array | None]) -> int:
    """The numbers that are copied where others only get another view."""
    if node.operator in ("Concat", "Flatten", "Reshape"):
        joined = node.operator == "Concat"
        return sum(each.size for each in arrays if each is not None and (joined or not each.flags.c_contiguous))
    return _count(node, arrays) if node.operator == "Gather" else 0


def _count(node: Node, arrays: list[Array | None]) -> int:
    """The numbers that the outputs will hold, at most, from the inputs' shapes."""
    given = [each for each in arrays if each is not None]
    shapes = [each.shape for each in given]
    if node.operator in BROADCASTING:
        return math.prod(np.broadcast_shapes(*shapes))
    total = sum(each.size for each in given)
    if node.operator in SHRINKING:
        return total
    first = given[0]
    match node.operator:
        case "Gather":
            rows = max(1, first.shape[node.attributes.get("axis", 0)])
            return int(first.size // rows * given[1].size)
        case "MatMul" | "Gemm":
            return max(total, math.prod(shapes[0][:-1]) * math.prod(shapes[1])) if all(shapes) else total
        case "NonZero":
            return first.size * first.ndim
        case "OneHot":
            return first.size * int(given[1].ravel()[0])
        case "Range":
            start, limit, delta = (each.ravel()[0] for each in given)
            if not (np.isfinite(start) and np.isfinite(limit) and np.isfinite(delta) and delta):
                raise UnsupportedError(f"a range from {start} to {limit} in steps of {delta} has no end")
            count: int = math.ceil(abs((limit - start) / delta))
            return count
        case "Tile":
            return first.size * math.prod(int(each) for each in given[1].ravel())
    pads = node.attributes.get("pads") if len(given) < 2 else given[1].ravel()
    return (first.size + 1) * math.prod(1 + abs(int(each)) for each in (pads if pads is not None else []))


# The table. Arrays may be of objects.


def _settled(result: Any) -> Known:
    """An array of objects as one of integers, once no size of the batch is left in it."""
    array = result if isinstance(result, np.ndarray) else _objects(result)
    if array.dtype == object and not any(isinstance(each, Batch) for each in array.ravel()):
        array = np.array(array.tolist()).reshape(array.shape)
        array = array.astype(np.int64) if array.dtype.kind in "iuO" else array
    return Known(array)


def _objects(value: Any) -> Array:
    array = np.empty((), object) if isinstance(value, Batch) else np.asarray(value)
    if isinstance(value, Batch):
        array[()] = value
    return array


def whole(array: Array | None) -> list[Any]:
    """Whole numbers or sizes as a list."""
    if array is None:
        return []
    return [each if isinstance(each, Batch) else int(each) for each in array.ravel().tolist()]


def axes_of(node: Node, given: Array | None) -> list[int] | None:
    """The axes that a node names, in an attribute or, since some opset, as an input; None where in neither."""
    if given is not None:
        return [int(each) for each in given.ravel()]
    return node.attributes.get("axes")


def slices(node: Node, rank: int, *inputs: Array | None) -> dict[int, tuple[Any, Any, int]]:
    """Start, end and step of a Slice by axis, from attributes or inputs; ends may be sizes of the batch."""
    if node.opset < 10:
        starts, ends, axes = (node.attributes.get(name) for name in ("starts", "ends", "axes"))
        steps = None
    else:
        filled = [*inputs, None, None, None, None][:4]
        starts, ends, axes, steps = (None if each is None else whole(each) for each in filled)
    starts, ends = starts or [], ends or []
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    named = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if not -rank <= axis < rank or step == 0 or isinstance(axis, Batch):
            raise UnsupportedError(f"it cuts axis {axis} of {rank} in steps of {step}")
        named[axis % rank] = (start, end, step)
    return named


def bounds(start: int, end: int, step: int, size: int) -> slice:
    """What ONNX means by them, as a slice of Python."""
    start = max(0, start + size) if start < 0 else start
    end = max(-1 if step < 0 else 0, end + size) if end < 0 else end
    if step < 0:
        return slice(min(start, size - 1), None if end < 0 else min(end, size - 1), step)
    return slice(min(start, size), min(end, size), step)


def _slice(node: Node, x: Array, *inputs: Array | None) -> Array:
    index = [slice(None)] * x.ndim
    for axis, (start, end, step) in slices(node, x.ndim, *inputs).items():
        if isinstance(start, Batch) or isinstance(end, Batch):
            raise UnsupportedError("it cuts a constant by the batch's size")
        index[axis] = bounds(start, end, step, x.shape[axis])
    return x[tuple(index)]


def _gather(node: Node, x: Array, index: Array) -> Any:
    axis = node.attributes.get("axis", 0)
    if x.size // max(1, x.shape[axis]) * index.size > MOST_NUMBERS:
        raise UnsupportedError("it picks too many numbers")
    return np.take(x, index.astype(np.intp), axis=axis)


def _squeeze(node: Node, x: Array, axes: Array | None = None) -> Array:
    named = axes_of(node, axes)
    return np.squeeze(x, None if named is None else tuple(named))


def _unsqueeze(node: Node, x: Array, axes: Array | None = None) -> Array:
    return np.expand_dims(x, tuple(axes_of(node, axes) or ()))


def _reshape(node: Node, x: Array, shape: Array | None = None) -> Array:
    target = node.attributes.get("shape", []) if shape is None else whole(shape)
    if any(isinstance(size, Batch) for size in target):
        raise UnsupportedError("it gives a constant the batch's size")
    copied = [
        x.shape[axis] if size == 0 and not node.attributes.get("allowzero") else size
        for axis, size in enumerate(target)
    ]
    return x.reshape(copied)


def _cast(node: Node, x: Array) -> Array:
    kind = onnx.helper.tensor_dtype_to_np_dtype(node.attributes["to"]).kind
    to: Callable[[Any], Any] = {"f": float, "b": bool}.get(kind, int)
    made = np.empty(x.shape, object)
    made.ravel()[:] = [each if isinstance(each, Batch) else to(each) for each in x.ravel()]
    return made


def _quotient(x: Any, y: Any) -> Any:
    if isinstance(x, Batch) or isinstance(y, Batch):
        return x // y
    if isinstance(x, float) or isinstance(y, float):
        return x / y
    return int(math.copysign(abs(x) // abs(y), x * y)) if y else 0


def _python(function: Callable[..., Any], *arrays: Array) -> Any:
    return np.frompyfunc(function, len(arrays), 1)(*(each.astype(object) for each in arrays))


def constant(node: Node) -> Array:
    """What an operator Constant holds."""
    for name, value in node.attributes.items():
        if name == "value":
            return np.asarray(value)
        if name in ("value_float", "value_floats"):
            return np.array(value, np.float32)
        if name in ("value_int", "value_ints"):
            return np.array(value, np.int64)
        raise UnsupportedError(f"it holds {name}, not numbers")
    raise UnsupportedError("it holds nothing")


def fill(node: Node) -> Array:
    """The one number that an operator ConstantOfShape repeats."""
    value = np.asarray(node.attributes.get("value", np.zeros(1, np.float32)))
    if value.size != 1:
        raise UnsupportedError(f"it repeats {value.size} numbers instead of one")
    return value.reshape(())


def _broadcast(x: Array, shape: list[Any]) -> Array:
    """A view in which numbers are repeated: it takes no memory."""
    if any(isinstance(size, Batch) or size < 0 for size in shape):
        raise UnsupportedError("it repeats a constant by a size that is not known, or negative")
    if math.prod(shape) > MOST_NUMBERS:
        raise UnsupportedError(f"it makes {math.prod(shape):,} numbers of {x.size}")
    return np.broadcast_to(x, shape)


def _expand(node: Node, x: Array, shape: Array) -> Array:
    wanted = whole(shape)
    if any(isinstance(size, Batch) for size in wanted):
        raise UnsupportedError("it repeats a constant by the batch's size")
    return _broadcast(x, list(np.broadcast_shapes(x.shape, tuple(wanted))))


def _transpose(node: Node, x: Array) -> Array:
    return x.transpose(node.attributes.get("perm"))


def _rounded(rounding: Callable[[Any], int]) -> Callable[..., Any]:
    return lambda node, x: _python(lambda each: each if isinstance(each, Batch) else rounding(each), x)


# Of arrays of any kind.
VIEWS: dict[str, Callable[..., Any]] = {
    "Concat": lambda node, *arrays: np.concatenate(arrays, node.attributes.get("axis", 1)),
    "Constant": lambda node: constant(node),
    "ConstantOfShape": lambda node, shape: _broadcast(fill(node), whole(shape)),
    "Expand": _expand,
    "Flatten": lambda node, x: x.reshape(math.prod(x.shape[: node.attributes.get("axis", 1)]), -1),
    "Gather": _gather,
    "Identity": lambda node, x: x,
    "Reshape": _reshape,
    "Shape": lambda node, x: np.array(x.shape, np.int64)[node.attributes.get("start", 0) : node.attributes.get("end")],
    "Size": lambda node, x: np.array(x.size, np.int64),
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
# Of arrays of objects alone: shapes with the batch's size in them.
SIZES: dict[str, Callable[..., Any]] = {
    "Add": lambda node, x, y: x + y,
    "Cast": _cast,
    "Ceil": _rounded(math.ceil),
    "Div": lambda node, x, y: _python(_quotient, x, y),
    "Equal": lambda node, x, y: _python(lambda one, other: one == other, x, y),
    "Floor": _rounded(math.floor),
    "Mod": lambda node, x, y: x % y,
    "Mul": lambda node, x, y: x * y,
    "ReduceProd": lambda node, x, axes=None: np.prod(x, keepdims=bool(node.attributes.get("keepdims", 1))),
    "Sub": lambda node, x, y: x - y,
    "Where": lambda node, condition, x, y: np.where(condition.astype(bool), x, y),
}
