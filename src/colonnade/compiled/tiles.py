"""Register tiles: a small matrix of float32 that lives in the processor's vector registers.

A processor multiplies fastest when what it adds to never leaves its registers. A tile is such a matrix, of some rows
and of columns by sixteens (`vectors`), with one operation that matters, adding an outer product:

    tile[r, :] += x[i + r · step] · w[j : j + columns]

One number of x is spread over a register and multiplied with a row of w, for each row: `rows + vectors` loads for
`rows · vectors` multiply-adds of sixteen numbers each. In compiled code a tile is a local variable, and never an array:

    tile = zeros(14, 2)
    for k in range(length):
        tile = add_outer(tile, x, i + k, step, w, j + 32 * k)
    store(tile, y, at, y_step)

All places are counted in numbers from the array's first. An array that is not C-contiguous float32 is refused while
its function is compiled. Places are not checked here: who calls has looked at the arrays' shapes. docs/tiles.md
explains it with a picture.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, models, register_model

from .registers import WIDTH

_FLOAT, _INT32, _INT64, _BIT = ir.FloatType(), ir.IntType(32), ir.IntType(64), ir.IntType(1)
_VECTOR, _MASK = ir.VectorType(_FLOAT, WIDTH), ir.VectorType(_BIT, WIDTH)
_INTEGERS, _BYTES = ir.VectorType(_INT32, WIDTH), ir.VectorType(ir.IntType(8), WIDTH)


class TileType(types.Type):
    """The type, for Numba, of a tile of a size."""

    def __init__(self, rows: int, vectors: int) -> None:
        self.rows, self.vectors = rows, vectors
        super().__init__(f"Tile({rows}, {vectors})")


@register_model(TileType)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager: Any, tile: TileType) -> None:
        super().__init__(manager, tile, ir.ArrayType(ir.ArrayType(_VECTOR, tile.vectors), tile.rows))


# How a tile is built and taken apart, in LLVM's terms.


def _places(tile: TileType) -> list[tuple[int, int]]:
    return [(row, vector) for row in range(tile.rows) for vector in range(tile.vectors)]


def require(operation: str, array: Any, written: bool = False) -> None:
    """Refuse what is no C-contiguous float32: its numbers would not lie where a tile looks for them."""
    if not (isinstance(array, types.Array) and array.dtype == types.float32 and array.is_c_contig):
        raise TypingError(f"{operation}: arrays must be C-contiguous float32, got {array}.")
    if written and not array.mutable:
        raise TypingError(f"{operation}: the array must be writable, got {array}.")


def _undefined(tile: TileType) -> Any:
    return ir.Constant(ir.ArrayType(ir.ArrayType(_VECTOR, tile.vectors), tile.rows), ir.Undefined)


def pointer_to(context: Any, builder: Any, array: Any, value: Any, place: Any) -> Any:
    """The address of an array's number at a place, counted from its first."""
    return builder.gep(context.make_array(array)(context, builder, value).data, [place])


def _vector_pointer(builder: Any, pointer: Any, vector: int) -> Any:
    return builder.bitcast(builder.gep(pointer, [ir.Constant(_INT64, vector * WIDTH)]), _VECTOR.as_pointer())


def _spread(builder: Any, number: Any) -> Any:
    undefined = ir.Constant(ir.VectorType(number.type, WIDTH), ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(_INTEGERS, [0] * WIDTH))


def _mask(builder: Any, columns: Any, vector: int) -> Any:
    """Which of a vector's numbers lie before `columns`."""
    numbers = ir.Constant(_INTEGERS, [vector * WIDTH + number for number in range(WIDTH)])
    return builder.icmp_signed("<", numbers, _spread(builder, builder.trunc(columns, _INT32)))


def _function(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def _masked_load(builder: Any, pointer: Any, mask: Any) -> Any:
    """A vector of which only the places of the mask are read; the others are zero."""
    function = _function(builder, "llvm.masked.load.v16f32.p0", _VECTOR, [pointer.type, _INT32, _MASK, _VECTOR])
    return builder.call(function, [pointer, ir.Constant(_INT32, 4), mask, ir.Constant(_VECTOR, [0.0] * WIDTH)])


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a · b + c, in one rounding where the processor can."""
    return builder.call(_function(builder, "llvm.fmuladd.v16f32", _VECTOR, [_VECTOR] * 3), [a, b, c])


@intrinsic(prefer_literal=True)
def zeros(typing: Any, rows: Any, vectors: Any) -> Any:
    """A tile of zeros."""
    tile = TileType(rows.literal_value, vectors.literal_value)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(ir.ArrayType(ir.ArrayType(_VECTOR, tile.vectors), tile.rows), None)

    return tile(rows, vectors), generate


@intrinsic(prefer_literal=True)
def filled(typing: Any, rows: Any, vectors: Any, number: Any) -> Any:
    """A tile of one number."""
    tile = TileType(rows.literal_value, vectors.literal_value)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made, vector = _undefined(tile), _vectors(builder, number, arguments[2], (0, 0))
        for place in _places(tile):
            made = builder.insert_value(made, vector, place)
        return made

    return tile(rows, vectors, number), generate


@intrinsic(prefer_literal=True)
def load(typing: Any, rows: Any, vectors: Any, x: Any, i: Any, step: Any) -> Any:
    """The tile whose row r is x[i + r · step : … + columns]."""
    require("load", x)
    tile = TileType(rows.literal_value, vectors.literal_value)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, made = pointer_to(context, builder, x, arguments[2], arguments[3]), _undefined(tile)
        for row in range(tile.rows):
            for vector in range(tile.vectors):
                value = builder.load(_vector_pointer(builder, pointer, vector), align=4)
                made = builder.insert_value(made, value, [row, vector])
            pointer = builder.gep(pointer, [arguments[4]])
        return made

    return tile(rows, vectors, x, i, step), generate


@intrinsic(prefer_literal=True)
def load_first(typing: Any, rows: Any, vectors: Any, x: Any, i: Any, step: Any, columns: Any) -> Any:
    """As `load`, of the first `columns` alone: the others are zero, and x is not read there."""
    require("load_first", x)
    tile = TileType(rows.literal_value, vectors.literal_value)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, made = pointer_to(context, builder, x, arguments[2], arguments[3]), _undefined(tile)
        masks = [_mask(builder, arguments[5], vector) for vector in range(tile.vectors)]
        for row in range(tile.rows):
            for vector in range(tile.vectors):
                value = _masked_load(builder, _vector_pointer(builder, pointer, vector), masks[vector])
                made = builder.insert_value(made, value, [row, vector])
            pointer = builder.gep(pointer, [arguments[4]])
        return made

    return tile(rows, vectors, x, i, step, columns), generate


@intrinsic
def store(typing: Any, tile: Any, y: Any, i: Any, step: Any) -> Any:
    """y[i + r · step : … + columns] = tile[r, :]."""
    require("store", y, written=True)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = pointer_to(context, builder, y, arguments[1], arguments[2])
        for row in range(tile.rows):
            for vector in range(tile.vectors):
                value = builder.extract_value(arguments[0], [row, vector])
                builder.store(value, _vector_pointer(builder, pointer, vector), align=4)
            pointer = builder.gep(pointer, [arguments[3]])
        return context.get_dummy_value()

    return types.void(tile, y, i, step), generate


@intrinsic
def store_first(typing: Any, tile: Any, y: Any, i: Any, step: Any, columns: Any) -> Any:
    """As `store`, of the first `columns` alone: y is not written behind them."""
    require("store_first", y, written=True)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = pointer_to(context, builder, y, arguments[1], arguments[2])
        masks = [_mask(builder, arguments[4], vector) for vector in range(tile.vectors)]
        for row in range(tile.rows):
            for vector in range(tile.vectors):
                value = builder.extract_value(arguments[0], [row, vector])
                at = _vector_pointer(builder, pointer, vector)
                name = "llvm.masked.store.v16f32.p0"
                function = _function(builder, name, ir.VoidType(), [_VECTOR, at.type, _INT32, _MASK])
                builder.call(function, [value, at, ir.Constant(_INT32, 4), masks[vector]])
            pointer = builder.gep(pointer, [arguments[3]])
        return context.get_dummy_value()

    return types.void(tile, y, i, step, columns), generate


def _add_outer(context: Any, builder: Any, signature: Any, arguments: Any, rights: list[Any]) -> Any:
    tile, made = signature.args[0], arguments[0]
    left = pointer_to(context, builder, signature.args[1], arguments[1], arguments[2])
    for row in range(tile.rows):
        number = _spread(builder, builder.load(left))
        for vector in range(tile.vectors):
            before = builder.extract_value(made, [row, vector])
            made = builder.insert_value(made, _multiply_add(builder, number, rights[vector], before), [row, vector])
        left = builder.gep(left, [arguments[3]])
    return made


@intrinsic
def add_outer(typing: Any, tile: Any, x: Any, i: Any, step: Any, w: Any, j: Any) -> Any:
    """The tile with x[i + r · step] · w[j : j + columns] added to each row r."""
    require("add_outer", x)
    require("add_outer", w)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = pointer_to(context, builder, w, arguments[4], arguments[5])
        rights = [builder.load(_vector_pointer(builder, pointer, vector), align=4) for vector in range(tile.vectors)]
        return _add_outer(context, builder, signature, arguments, rights)

    return tile(tile, x, i, step, w, j), generate


@intrinsic(prefer_literal=True)
def add_outers(typing: Any, tile: Any, x: Any, i: Any, step: Any, w: Any, j: Any, count: Any) -> Any:
    """As `add_outer`, for `count` neighbours in x and as many rows of w: each row's place is found once for all."""
    require("add_outers", x)
    require("add_outers", w)
    times, columns = count.literal_value, tile.vectors * WIDTH

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = arguments[0]
        left = pointer_to(context, builder, x, arguments[1], arguments[2])
        right = pointer_to(context, builder, w, arguments[4], arguments[5])
        rows = [builder.gep(right, [ir.Constant(_INT64, number * columns)]) for number in range(times)]
        rights = [
            [builder.load(_vector_pointer(builder, row, vector), align=4) for vector in range(tile.vectors)]
            for row in rows
        ]
        for row in range(tile.rows):
            for number in range(times):
                value = _spread(builder, builder.load(builder.gep(left, [ir.Constant(_INT64, number)])))
                for vector in range(tile.vectors):
                    before = builder.extract_value(made, [row, vector])
                    total = _multiply_add(builder, value, rights[number][vector], before)
                    made = builder.insert_value(made, total, [row, vector])
            left = builder.gep(left, [arguments[3]])
        return made

    return tile(tile, x, i, step, w, j, count), generate


@intrinsic
def add_outer_first(typing: Any, tile: Any, x: Any, i: Any, step: Any, w: Any, j: Any, columns: Any) -> Any:
    """As `add_outer`, of the first `columns` of w alone: it is not read behind them."""
    require("add_outer_first", x)
    require("add_outer_first", w)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = pointer_to(context, builder, w, arguments[4], arguments[5])
        rights = [
            _masked_load(builder, _vector_pointer(builder, pointer, vector), _mask(builder, arguments[6], vector))
            for vector in range(tile.vectors)
        ]
        return _add_outer(context, builder, signature, arguments, rights)

    return tile(tile, x, i, step, w, j, columns), generate


def _lines(builder: Any, pointer: Any, rows: int, each: int, line: Any, step: Any) -> list[Any]:
    """Where each row of a tile begins: `each` of them `step` numbers apart, then as many a line further."""
    made: list[Any] = []
    for row in range(rows):
        if row % each:
            made.append(builder.gep(made[-1], [step]))
        else:
            pointer = builder.gep(pointer, [line]) if row else pointer
            made.append(pointer)
    return made


@intrinsic(prefer_literal=True)
def add_outer_lines(typing: Any, tile: Any, x: Any, i: Any, line: Any, rows: Any, w: Any, j: Any, columns: Any) -> Any:
    """As `add_outer_first`, with `rows` neighbours in x of each of some lines, which are `line` numbers apart."""
    require("add_outer_lines", x)
    require("add_outer_lines", w)
    each = rows.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        right, made = pointer_to(context, builder, w, arguments[5], arguments[6]), arguments[0]
        rights = [
            _masked_load(builder, _vector_pointer(builder, right, vector), _mask(builder, arguments[7], vector))
            for vector in range(tile.vectors)
        ]
        left = pointer_to(context, builder, x, arguments[1], arguments[2])
        for row, at in enumerate(_lines(builder, left, tile.rows, each, arguments[3], ir.Constant(_INT64, 1))):
            number = _spread(builder, builder.load(at))
            for vector in range(tile.vectors):
                before = builder.extract_value(made, [row, vector])
                made = builder.insert_value(made, _multiply_add(builder, number, rights[vector], before), [row, vector])
        return made

    return tile(tile, x, i, line, rows, w, j, columns), generate


@intrinsic(prefer_literal=True)
def add_product_lines(
    typing: Any, tile: Any, x: Any, i: Any, line: Any, rows: Any, step: Any, w: Any, j: Any, columns: Any
) -> Any:
    """The tile with w[j : j + columns] times a vector of x added to each row, number by number.

    The vectors of x are `rows` of each of some lines, `step` numbers apart, and the lines are `line` numbers apart.
    """
    require("add_product_lines", x)
    require("add_product_lines", w)
    each = rows.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        right, made = pointer_to(context, builder, w, arguments[6], arguments[7]), arguments[0]
        left = pointer_to(context, builder, x, arguments[1], arguments[2])
        places = _lines(builder, left, tile.rows, each, arguments[3], arguments[5])
        for vector in range(tile.vectors):
            mask = _mask(builder, arguments[8], vector)
            factor = _masked_load(builder, _vector_pointer(builder, right, vector), mask)
            for row, at in enumerate(places):
                number = _masked_load(builder, _vector_pointer(builder, at, vector), mask)
                before = builder.extract_value(made, [row, vector])
                made = builder.insert_value(made, _multiply_add(builder, number, factor, before), [row, vector])
        return made

    return tile(tile, x, i, line, rows, step, w, j, columns), generate


@intrinsic(prefer_literal=True)
def load_bytes(typing: Any, rows: Any, vectors: Any, x: Any, i: Any, step: Any, columns: Any) -> Any:
    """As `load_first`, from an array of uint8."""
    tile = TileType(rows.literal_value, vectors.literal_value)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, made = pointer_to(context, builder, x, arguments[2], arguments[3]), _undefined(tile)
        masks = [_mask(builder, arguments[5], vector) for vector in range(tile.vectors)]
        for row in range(tile.rows):
            for vector in range(tile.vectors):
                at = builder.gep(pointer, [ir.Constant(_INT64, vector * WIDTH)])
                arguments_of = [at.type, _INT32, _MASK, _BYTES]
                function = _function(builder, "llvm.masked.load.v16i8.p0", _BYTES, arguments_of)
                zero = ir.Constant(_BYTES, [0] * WIDTH)
                value = builder.call(function, [at, ir.Constant(_INT32, 1), masks[vector], zero])
                made = builder.insert_value(made, builder.uitofp(value, _VECTOR), [row, vector])
            pointer = builder.gep(pointer, [arguments[4]])
        return made

    return tile(rows, vectors, x, i, step, columns), generate


@intrinsic
def store_bytes(typing: Any, tile: Any, y: Any, i: Any, step: Any, columns: Any) -> Any:
    """As `store_first`, of whole numbers from 0 to 255 to an array of uint8."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = pointer_to(context, builder, y, arguments[1], arguments[2])
        masks = [_mask(builder, arguments[4], vector) for vector in range(tile.vectors)]
        for row in range(tile.rows):
            for vector in range(tile.vectors):
                # By way of int32: processors turn vectors of float into that.
                value = builder.fptosi(builder.extract_value(arguments[0], [row, vector]), _INTEGERS)
                at = builder.gep(pointer, [ir.Constant(_INT64, vector * WIDTH)])
                arguments_of = [_BYTES, at.type, _INT32, _MASK]
                function = _function(builder, "llvm.masked.store.v16i8.p0", ir.VoidType(), arguments_of)
                builder.call(function, [builder.trunc(value, _BYTES), at, ir.Constant(_INT32, 1), masks[vector]])
            pointer = builder.gep(pointer, [arguments[3]])
        return context.get_dummy_value()

    return types.void(tile, y, i, step, columns), generate


@intrinsic(prefer_literal=True)
def spread(typing: Any, rows: Any, tile: Any) -> Any:
    """A tile of one row repeated to so many."""
    made = TileType(rows.literal_value, tile.vectors)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        result = _undefined(made)
        for row, vector in _places(made):
            value = builder.extract_value(arguments[1], [0, vector])
            result = builder.insert_value(result, value, [row, vector])
        return result

    return made(rows, tile), generate


@intrinsic(prefer_literal=True)
def row_of(typing: Any, tile: Any, row: Any) -> Any:
    """One row of a tile, as a tile of one row."""
    number, made = row.literal_value, TileType(1, tile.vectors)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.insert_value(_undefined(made), builder.extract_value(arguments[0], [number]), [0])

    return made(tile, row), generate


@intrinsic
def transposed(typing: Any, tile: Any) -> Any:
    """A square tile, WIDTH rows of one vector, with its rows as columns.

    In log2(WIDTH) rounds: in each, pairs of rows exchange blocks of half the size.
    """
    if tile != TileType(WIDTH, 1):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = [builder.extract_value(arguments[0], [row, 0]) for row in range(WIDTH)]
        for apart in (8, 4, 2, 1):
            # Of two rows side by side, 2 · WIDTH numbers: those that stay in each, and those that come from the other.
            upper = [at + (WIDTH - apart if at & apart else 0) for at in range(WIDTH)]
            lower = [at + (WIDTH if at & apart else apart) for at in range(WIDTH)]
            for row in (row for row in range(WIDTH) if not row & apart):
                a, b = rows[row], rows[row + apart]
                rows[row] = builder.shuffle_vector(a, b, ir.Constant(_INTEGERS, upper))
                rows[row + apart] = builder.shuffle_vector(a, b, ir.Constant(_INTEGERS, lower))
        made = _undefined(tile)
        for row, vector in enumerate(rows):
            made = builder.insert_value(made, vector, [row, 0])
        return made

    return tile(tile), generate


# Number by number. Operators take two tiles of one size, or a tile and a number.


def _vectors(builder: Any, kind: Any, value: Any, place: tuple[int, int]) -> Any:
    """The vector at a place of an operand: of a tile, or of a number spread."""
    if isinstance(kind, TileType):
        return builder.extract_value(value, place)
    if isinstance(kind, types.Integer):
        value = builder.sitofp(value, _FLOAT)
    elif kind == types.float64:
        value = builder.fptrunc(value, _FLOAT)
    return _spread(builder, value)


def _each(make: Any, *operands: Any) -> Any:
    """An operation on tiles of one size and numbers; `make(builder, *vectors)` says what it is in LLVM's terms."""
    tiles = [each for each in operands if isinstance(each, TileType)]
    numbers = [each for each in operands if isinstance(each, types.Float | types.Integer)]
    if len(tiles) + len(numbers) < len(operands) or any(each != tiles[0] for each in tiles):
        return None  # no such operation: Numba says so

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = _undefined(tiles[0])
        for place in _places(tiles[0]):
            vectors = [
                _vectors(builder, kind, value, place) for kind, value in zip(signature.args, arguments, strict=True)
            ]
            made = builder.insert_value(made, make(builder, *vectors), place)
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
    return _each(_multiply_add, a, b, c)


def _choose(condition: str) -> Any:
    return lambda builder, a, b, yes, no: builder.select(builder.fcmp_ordered(condition, a, b), yes, no)


@intrinsic
def where_greater(typing: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
    """`yes` where a > b, else `no`; where one of them is NaN, `no`."""
    return _each(_choose(">"), a, b, yes, no)


@intrinsic
def where_beaten(typing: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
    """`yes` where a > b or a is NaN, else `no`: whether a takes the place of b as the greatest so far."""

    def make(builder: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
        beaten = builder.or_(builder.fcmp_ordered(">", a, b), builder.fcmp_unordered("uno", a, a))
        return builder.select(beaten, yes, no)

    return _each(make, a, b, yes, no)


@intrinsic
def where_equal(typing: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
    """`yes` where a = b, else `no`."""
    return _each(_choose("=="), a, b, yes, no)


def _extreme(condition: str) -> Any:
    def make(builder: Any, a: Any, b: Any) -> Any:
        # Unordered: a is chosen where it is NaN; where b is, the outer choice has it.
        chosen = builder.select(builder.fcmp_unordered(condition, a, b), a, b)
        return builder.select(builder.fcmp_unordered("uno", b, b), b, chosen)

    return make


@intrinsic
def greatest(typing: Any, a: Any, b: Any) -> Any:
    """The greater of a and b, NaN where either is, as np.maximum."""
    return _each(_extreme(">"), a, b)


@intrinsic
def least(typing: Any, a: Any, b: Any) -> Any:
    """The lesser of a and b, NaN where either is, as np.minimum."""
    return _each(_extreme("<"), a, b)


@intrinsic
def square_root(typing: Any, a: Any) -> Any:
    """√a."""
    return _each(lambda builder, a: builder.call(_function(builder, "llvm.sqrt.v16f32", _VECTOR, [_VECTOR]), [a]), a)


@intrinsic
def nearest(typing: Any, a: Any) -> Any:
    """a rounded to a whole number, to the even one from the middle."""
    return _each(lambda builder, a: builder.call(_function(builder, "llvm.rint.v16f32", _VECTOR, [_VECTOR]), [a]), a)


@intrinsic
def absolute(typing: Any, a: Any) -> Any:
    """|a|."""
    return _each(lambda builder, a: builder.call(_function(builder, "llvm.fabs.v16f32", _VECTOR, [_VECTOR]), [a]), a)


@intrinsic
def copy_sign(typing: Any, a: Any, b: Any) -> Any:
    """|a| with the sign of b."""

    def make(builder: Any, a: Any, b: Any) -> Any:
        return builder.call(_function(builder, "llvm.copysign.v16f32", _VECTOR, [_VECTOR] * 2), [a, b])

    return _each(make, a, b)


# The bits of a float32, for exponentials and logarithms: sign, eight of the exponent plus 127, 23 of the mantissa.


def _whole(number: int) -> Any:
    return ir.Constant(_INTEGERS, [number] * WIDTH)


@intrinsic
def power_of_two(typing: Any, a: Any) -> Any:
    """2ᵃ for whole numbers a from −126 to 127, by writing a into the exponent's bits."""

    def make(builder: Any, a: Any) -> Any:
        # Beside 1.5 · 2²³ whole numbers stand in the last bits.
        bits = builder.bitcast(builder.fadd(a, ir.Constant(_VECTOR, [12582912.0] * WIDTH)), _INTEGERS)
        return builder.bitcast(builder.shl(builder.add(bits, _whole(127)), _whole(23)), _VECTOR)

    return _each(make, a)


@intrinsic
def exponent(typing: Any, a: Any) -> Any:
    """⌊log₂ |a|⌋, for numbers that are neither zero nor denormal; 128 for infinities and NaN."""

    def make(builder: Any, a: Any) -> Any:
        bits = builder.and_(builder.lshr(builder.bitcast(a, _INTEGERS), _whole(23)), _whole(255))
        return builder.sitofp(builder.sub(bits, _whole(127)), _VECTOR)

    return _each(make, a)


@intrinsic
def mantissa(typing: Any, a: Any) -> Any:
    """|a| / 2 ** exponent(a), from 1 to 2."""

    def make(builder: Any, a: Any) -> Any:
        bits = builder.and_(builder.bitcast(a, _INTEGERS), _whole(0x7FFFFF))
        return builder.bitcast(builder.or_(bits, _whole(0x3F800000)), _VECTOR)

    return _each(make, a)


def polynomial(*coefficients: float) -> Any:
    """The operation Σ coefficients[k] · aᵏ on tiles, by Horner's rule."""
    vectors = [ir.Constant(_VECTOR, [float(np.float32(each))] * WIDTH) for each in coefficients]

    def make(builder: Any, a: Any) -> Any:
        total = vectors[-1]
        for vector in vectors[-2::-1]:
            total = _multiply_add(builder, total, a, vector)
        return total

    @intrinsic
    def operation(typing: Any, a: Any) -> Any:
        return _each(make, a)

    return operation


# Along rows and columns.


@intrinsic
def where_first(typing: Any, a: Any, other: Any, columns: Any) -> Any:
    """a in its first `columns`, `other` behind them."""
    if not isinstance(a, TileType) or (isinstance(other, TileType) and other != a):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = _undefined(a)
        masks = [_mask(builder, arguments[2], vector) for vector in range(a.vectors)]
        for place in _places(a):
            yes, no = (
                _vectors(builder, kind, value, place) for kind, value in zip((a, other), arguments, strict=False)
            )
            made = builder.insert_value(made, builder.select(masks[place[1]], yes, no), place)
        return made

    return a(a, other, columns), generate


def _along_rows(tile: Any, combine: Any) -> Any:
    """What `combine(builder, a, b)` makes of all numbers of a row, at each of its places, in one fixed order."""
    if not isinstance(tile, TileType):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = _undefined(tile)
        for row in range(tile.rows):
            total = builder.extract_value(arguments[0], [row, 0])
            for vector in range(1, tile.vectors):
                total = combine(builder, total, builder.extract_value(arguments[0], [row, vector]))
            for distance in (8, 4, 2, 1):
                places = ir.Constant(_INTEGERS, [number ^ distance for number in range(WIDTH)])
                total = combine(builder, total, builder.shuffle_vector(total, total, places))
            for vector in range(tile.vectors):
                made = builder.insert_value(made, total, [row, vector])
        return made

    return tile(tile), generate


@intrinsic
def row_sums(typing: Any, tile: Any) -> Any:
    """A tile of whose rows each number is the sum of all of them."""
    return _along_rows(tile, lambda builder, a, b: builder.fadd(a, b))


@intrinsic
def row_maxima(typing: Any, tile: Any) -> Any:
    """A tile of whose rows each number is the greatest of all of them, NaN where one is."""
    return _along_rows(tile, _extreme(">"))


@intrinsic
def column_sums(typing: Any, tile: Any) -> Any:
    """The sum of a tile's rows, as a tile of one row."""
    if not isinstance(tile, TileType):
        return None
    made = TileType(1, tile.vectors)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        total = _undefined(made)
        for vector in range(tile.vectors):
            parts = [builder.extract_value(arguments[0], [row, vector]) for row in range(tile.rows)]
            while len(parts) > 1:
                parts = [
                    builder.fadd(*parts[i : i + 2]) if i + 1 < len(parts) else parts[i] for i in range(0, len(parts), 2)
                ]
            total = builder.insert_value(total, parts[0], [0, vector])
        return total

    return made(tile), generate
