"""Runs of numbers copied and cleared, in compiled code: one call, where Numba writes a page for a slice."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .tiles import pointer_to, require

_BYTE, _NUMBER = ir.IntType(8).as_pointer(), 4  # bytes of a float32


@intrinsic
def clear(typing: Any, y: Any, i: Any, count: Any) -> Any:
    """y[i : i + count] = 0, in numbers from y's first."""
    require("clear", y, written=True)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = builder.bitcast(pointer_to(context, builder, y, *arguments[:2]), _BYTE)
        size = builder.mul(arguments[2], ir.Constant(arguments[2].type, _NUMBER))
        cgutils.memset(builder, at, size, 0)
        return context.get_dummy_value()

    return types.void(y, i, count), generate


@intrinsic
def copy(typing: Any, x: Any, i: Any, y: Any, j: Any, count: Any) -> Any:
    """y[j : j + count] = x[i : i + count], in numbers from their first; they do not overlap."""
    require("copy", x)
    require("copy", y, written=True)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = pointer_to(context, builder, x, *arguments[:2])
        target = pointer_to(context, builder, y, *arguments[2:4])
        cgutils.raw_memcpy(builder, target, source, arguments[4], _NUMBER)
        return context.get_dummy_value()

    return types.void(x, i, y, j, count), generate
