"""Operations on tiles number by number: on two tiles of one size, or on a tile and a number.

`+`, `-`, `*` and `/` are Python's own. The rest are functions, which mind NaN as NumPy's do.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numba.core import types
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, lower_builtin

from . import vectors
from .tiles import TileType, operand, places, undefined
from .vectors import INTEGERS, VECTOR, floats, integers, mask_before, operation


def _each(make: Any, *operands: Any) -> Any:
    """An operation on tiles of one size and numbers; `make(builder, *vectors)` says what it is in LLVM's terms."""
    tiles = [each for each in operands if isinstance(each, TileType)]
    numbers = [each for each in operands if isinstance(each, types.Float | types.Integer)]
    if len(tiles) + len(numbers) < len(operands) or any(each != tiles[0] for each in tiles):
        return None  # no such operation: Numba says so

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = undefined(tiles[0])
        for place in places(tiles[0]):
            parts = [
                operand(builder, kind, value, place) for kind, value in zip(signature.args, arguments, strict=True)
            ]
            made = builder.insert_value(made, make(builder, *parts), place)
        return made

    return tiles[0](*operands), generate


def _operator(function: Any, make: Any) -> Any:
    """Have an operator of Python's mean `make` on tiles.

    Said to Numba in its own terms: an `overload` would be a function of its own to compile, for each size of tile.
    """

    @infer_global(function)
    class _OnTiles(AbstractTemplate):
        def generic(self, operands: Any, names: Any) -> Any:
            if not any(isinstance(each, TileType) for each in operands):
                return None
            found = _each(make, *operands)
            return found and found[0]

    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _each(make, *signature.args)[1](context, builder, signature, arguments)

    for operands in ((TileType, TileType), (TileType, types.Number), (types.Number, TileType)):
        lower_builtin(function, *operands)(lower)


_operator(operator.add, lambda builder, a, b: builder.fadd(a, b))
_operator(operator.sub, lambda builder, a, b: builder.fsub(a, b))
_operator(operator.mul, lambda builder, a, b: builder.fmul(a, b))
_operator(operator.truediv, lambda builder, a, b: builder.fdiv(a, b))


@intrinsic
def multiply_add(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a · b + c, in one rounding where the processor can."""
    return _each(vectors.multiply_add, a, b, c)


def _choose(condition: str) -> Any:
    return lambda builder, a, b, yes, no: builder.select(builder.fcmp_ordered(condition, a, b), yes, no)


@intrinsic
def where_greater(typing: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
    """`yes` where a > b, else `no`; where one of them is NaN, `no`."""
    return _each(_choose(">"), a, b, yes, no)


@intrinsic
def where_equal(typing: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
    """`yes` where a = b, else `no`."""
    return _each(_choose("=="), a, b, yes, no)


@intrinsic
def where_beaten(typing: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
    """`yes` where a > b or a is NaN, else `no`: whether a takes the place of b as the greatest so far."""

    def make(builder: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
        beaten = builder.or_(builder.fcmp_ordered(">", a, b), builder.fcmp_unordered("uno", a, a))
        return builder.select(beaten, yes, no)

    return _each(make, a, b, yes, no)


@intrinsic
def where_first(typing: Any, a: Any, other: Any, columns: Any) -> Any:
    """a in its first `columns`, `other` behind them."""
    if not isinstance(a, TileType) or (isinstance(other, TileType) and other != a):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = undefined(a)
        masks = [mask_before(builder, arguments[2], vector) for vector in range(a.vectors)]
        for place in places(a):
            yes, no = (operand(builder, kind, value, place) for kind, value in zip((a, other), arguments, strict=False))
            made = builder.insert_value(made, builder.select(masks[place[1]], yes, no), place)
        return made

    return a(a, other, columns), generate


def extreme(condition: str) -> Any:
    """The greater (">") or the lesser ("<") of two vectors' numbers, NaN where either is."""

    def make(builder: Any, a: Any, b: Any) -> Any:
        # Unordered: a is chosen where it is NaN; where b is, the outer choice has it.
        chosen = builder.select(builder.fcmp_unordered(condition, a, b), a, b)
        return builder.select(builder.fcmp_unordered("uno", b, b), b, chosen)

    return make


@intrinsic
def greatest(typing: Any, a: Any, b: Any) -> Any:
    """The greater of a and b, NaN where either is, as np.maximum."""
    return _each(extreme(">"), a, b)


@intrinsic
def least(typing: Any, a: Any, b: Any) -> Any:
    """The lesser of a and b, NaN where either is, as np.minimum."""
    return _each(extreme("<"), a, b)


@intrinsic
def square_root(typing: Any, a: Any) -> Any:
    """√a."""
    return _each(operation("sqrt"), a)


@intrinsic
def nearest(typing: Any, a: Any) -> Any:
    """a rounded to a whole number, to the even one from the middle."""
    return _each(operation("rint"), a)


@intrinsic
def absolute(typing: Any, a: Any) -> Any:
    """|a|."""
    return _each(operation("fabs"), a)


@intrinsic
def copy_sign(typing: Any, a: Any, b: Any) -> Any:
    """|a| with the sign of b."""
    return _each(operation("copysign"), a, b)


# The bits of a float32, for exponentials and logarithms: sign, eight of the exponent plus 127, 23 of the mantissa.


@intrinsic
def power_of_two(typing: Any, a: Any) -> Any:
    """2ᵃ for whole numbers a from −126 to 127, by writing a into the exponent's bits."""

    def make(builder: Any, a: Any) -> Any:
        # Beside 1.5 · 2²³ whole numbers stand in the last bits.
        bits = builder.bitcast(builder.fadd(a, floats(12582912.0)), INTEGERS)
        return builder.bitcast(builder.shl(builder.add(bits, integers(127)), integers(23)), VECTOR)

    return _each(make, a)


@intrinsic
def exponent(typing: Any, a: Any) -> Any:
    """⌊log₂ |a|⌋, for numbers that are neither zero nor denormal; 128 for infinities and NaN."""

    def make(builder: Any, a: Any) -> Any:
        bits = builder.and_(builder.lshr(builder.bitcast(a, INTEGERS), integers(23)), integers(255))
        return builder.sitofp(builder.sub(bits, integers(127)), VECTOR)

    return _each(make, a)


@intrinsic
def mantissa(typing: Any, a: Any) -> Any:
    """|a| / 2 ** exponent(a), from 1 to 2."""

    def make(builder: Any, a: Any) -> Any:
        bits = builder.and_(builder.bitcast(a, INTEGERS), integers(0x7FFFFF))
        return builder.bitcast(builder.or_(bits, integers(0x3F800000)), VECTOR)

    return _each(make, a)


def polynomial(*coefficients: float) -> Any:
    """The operation Σ coefficients[k] · aᵏ on tiles, by Horner's rule."""
    constants = [floats(float(np.float32(each))) for each in coefficients]

    def make(builder: Any, a: Any) -> Any:
        total = constants[-1]
        for constant in constants[-2::-1]:
            total = vectors.multiply_add(builder, total, a, constant)
        return total

    @intrinsic
    def evaluate(typing: Any, a: Any) -> Any:
        return _each(make, a)

    return evaluate
