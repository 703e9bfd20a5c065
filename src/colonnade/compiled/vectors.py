"""Vectors of sixteen numbers in LLVM's terms: what the operations on tiles are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from .registers import WIDTH

FLOAT, INT32, INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
VECTOR, INTEGERS, BYTES = (ir.VectorType(each, WIDTH) for each in (FLOAT, INT32, ir.IntType(8)))


def floats(number: float) -> Any:
    """A vector of one number."""
    return ir.Constant(VECTOR, [number] * WIDTH)


def integers(number: int) -> Any:
    """A vector of one integer."""
    return ir.Constant(INTEGERS, [number] * WIDTH)


def broadcast(builder: Any, number: Any) -> Any:
    """A vector of a number that is known when the function runs."""
    undefined = ir.Constant(ir.VectorType(number.type, WIDTH), ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(INT32, 0))
    return builder.shuffle_vector(first, undefined, integers(0))


def mask_before(builder: Any, columns: Any, vector: int) -> Any:
    """Which of a vector's numbers lie before `columns`, in a row of which it is number `vector`."""
    numbers = ir.Constant(INTEGERS, [vector * WIDTH + number for number in range(WIDTH)])
    return builder.icmp_signed("<", numbers, broadcast(builder, builder.trunc(columns, INT32)))


def load_vector(builder: Any, pointer: Any, vector: int, mask: Any = None, kind: Any = VECTOR) -> Any:
    """Vector number `vector` behind a pointer. With a mask only its places are read, and the others are zero."""
    at, bytes_each = _vector_at(builder, pointer, vector, kind), _bytes(kind)
    if mask is None:
        return builder.load(at, align=bytes_each)
    arguments = [at, ir.Constant(INT32, bytes_each), mask, ir.Constant(kind, None)]
    return _call(builder, f"llvm.masked.load.{_suffix(kind)}.p0", kind, arguments)


def store_vector(builder: Any, value: Any, pointer: Any, vector: int, mask: Any = None) -> None:
    """The way back of :func:`load_vector`. With a mask only its places are written."""
    kind = value.type
    at, bytes_each = _vector_at(builder, pointer, vector, kind), _bytes(kind)
    if mask is None:
        builder.store(value, at, align=bytes_each)
    else:
        arguments = [value, at, ir.Constant(INT32, bytes_each), mask]
        _call(builder, f"llvm.masked.store.{_suffix(kind)}.p0", ir.VoidType(), arguments)


def operation(name: str) -> Callable[..., Any]:
    """LLVM's function of that name, of vectors: `operation(name)(builder, *vectors)`."""

    def make(builder: Any, *vectors: Any) -> Any:
        return _call(builder, f"llvm.{name}.{_suffix(VECTOR)}", VECTOR, vectors)

    return make


# a · b + c, in one rounding where the processor can.
multiply_add = operation("fmuladd")


def _vector_at(builder: Any, pointer: Any, vector: int, kind: Any) -> Any:
    return builder.bitcast(builder.gep(pointer, [ir.Constant(INT64, vector * WIDTH)]), kind.as_pointer())


def _bytes(kind: Any) -> int:
    """Of a vector's number."""
    return 1 if kind == BYTES else 4


def _suffix(kind: Any) -> str:
    """By which LLVM tells its functions of different vectors apart."""
    return f"v{WIDTH}i8" if kind == BYTES else f"v{WIDTH}f32"


def _call(builder: Any, name: str, result: Any, arguments: Sequence[Any]) -> Any:
    kind = ir.FunctionType(result, [each.type for each in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)
