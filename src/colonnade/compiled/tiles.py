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

All places are counted in numbers from the array's first. An array that is not C-contiguous, or of another type than the
operation is for, is refused while its function is compiled. Places are not checked here: who calls has looked at the
arrays' shapes. What is done number by number stands in elementwise.py, and sums and maxima of a tile in reductions.py.
docs/tiles.md explains it with a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model

from .registers import WIDTH
from .vectors import (
    BYTES,
    FLOAT,
    INT64,
    INTEGERS,
    VECTOR,
    broadcast,
    load_vector,
    mask_before,
    multiply_add,
    store_vector,
)


class TileType(types.Type):
    """The type, for Numba, of a tile of a size."""

    def __init__(self, rows: int, vectors: int) -> None:
        self.rows, self.vectors = rows, vectors
        super().__init__(f"Tile({rows}, {vectors})")


@register_model(TileType)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager: Any, tile: TileType) -> None:
        super().__init__(manager, tile, _matrix(tile))


# How a tile is built and taken apart, in LLVM's terms.


def _matrix(tile: TileType) -> Any:
    return ir.ArrayType(ir.ArrayType(VECTOR, tile.vectors), tile.rows)


def undefined(tile: TileType) -> Any:
    """A tile whose vectors are still to be put into it."""
    return ir.Constant(_matrix(tile), ir.Undefined)


def places(tile: TileType) -> list[tuple[int, int]]:
    """(row, vector) of each vector of a tile."""
    return [(row, vector) for row in range(tile.rows) for vector in range(tile.vectors)]


def operand(builder: Any, kind: Any, value: Any, place: tuple[int, int]) -> Any:
    """The vector at a place of what an operation is given, whose Numba type is `kind`: a tile, or a number."""
    if isinstance(kind, TileType):
        return builder.extract_value(value, place)
    if isinstance(kind, types.Integer):
        value = builder.sitofp(value, FLOAT)
    elif kind == types.float64:
        value = builder.fptrunc(value, FLOAT)
    return broadcast(builder, value)


def require(operation: str, array: Any, written: bool = False, dtype: Any = types.float32) -> None:
    """Refuse what is no C-contiguous array of such numbers: they would not lie where a tile looks for them."""
    if not (isinstance(array, types.Array) and array.dtype == dtype and array.is_c_contig):
        raise TypingError(f"{operation}: arrays must be C-contiguous {dtype}, got {array}.")
    if written and not array.mutable:
        raise TypingError(f"{operation}: the array must be writable, got {array}.")


def pointer_to(context: Any, builder: Any, array: Any, value: Any, place: Any) -> Any:
    """The address of an array's number at a place, counted from its first."""
    return builder.gep(context.make_array(array)(context, builder, value).data, [place])


def _rows(builder: Any, tile: TileType, pointer: Any, step: Any) -> Iterator[Any]:
    """Where each row of a tile begins, `step` numbers apart."""
    for _ in range(tile.rows):
        yield pointer
        pointer = builder.gep(pointer, [step])


def _lines(builder: Any, tile: TileType, pointer: Any, each: int, line: Any, step: Any) -> list[Any]:
    """Where each row of a tile begins: `each` of them `step` numbers apart, then as many a line further."""
    made: list[Any] = []
    for row in range(tile.rows):
        if row % each:
            made.append(builder.gep(made[-1], [step]))
        else:
            pointer = builder.gep(pointer, [line]) if row else pointer
            made.append(pointer)
    return made


def _masks(builder: Any, tile: TileType, columns: Any) -> list[Any]:
    """For each vector of a row, which of its numbers lie before `columns`."""
    return [mask_before(builder, columns, vector) for vector in range(tile.vectors)]


# New tiles.


@intrinsic(prefer_literal=True)
def zeros(typing: Any, rows: Any, vectors: Any) -> Any:
    """A tile of zeros."""
    tile = TileType(rows.literal_value, vectors.literal_value)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_matrix(tile), None)

    return tile(rows, vectors), generate


@intrinsic(prefer_literal=True)
def filled(typing: Any, rows: Any, vectors: Any, number: Any) -> Any:
    """A tile of one number."""
    tile = TileType(rows.literal_value, vectors.literal_value)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made, vector = undefined(tile), operand(builder, number, arguments[2], (0, 0))
        for place in places(tile):
            made = builder.insert_value(made, vector, place)
        return made

    return tile(rows, vectors, number), generate


@intrinsic(prefer_literal=True)
def spread(typing: Any, rows: Any, tile: Any) -> Any:
    """A tile of one row repeated to so many."""
    made = TileType(rows.literal_value, tile.vectors)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        result = undefined(made)
        for row, vector in places(made):
            value = builder.extract_value(arguments[1], [0, vector])
            result = builder.insert_value(result, value, [row, vector])
        return result

    return made(rows, tile), generate


@intrinsic(prefer_literal=True)
def row_of(typing: Any, tile: Any, row: Any) -> Any:
    """One row of a tile, as a tile of one row."""
    number, made = row.literal_value, TileType(1, tile.vectors)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.insert_value(undefined(made), builder.extract_value(arguments[0], [number]), [0])

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
                rows[row] = builder.shuffle_vector(a, b, ir.Constant(INTEGERS, upper))
                rows[row + apart] = builder.shuffle_vector(a, b, ir.Constant(INTEGERS, lower))
        made = undefined(tile)
        for row, vector in enumerate(rows):
            made = builder.insert_value(made, vector, [row, 0])
        return made

    return tile(tile), generate


# From memory, and back to it.


def _loads(tile: TileType, read: Callable[[Any, Any, int, Any], Any]) -> Any:
    """What makes a tile of an array, for arguments as of `load`: `read(builder, pointer, vector, mask)` of each row.

    The mask is None where no `columns` are given.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, first, step, *columns = arguments[2:]
        pointer, made = pointer_to(context, builder, signature.args[2], value, first), undefined(tile)
        masks = _masks(builder, tile, *columns) if columns else [None] * tile.vectors
        for row, at in enumerate(_rows(builder, tile, pointer, step)):
            for vector, mask in enumerate(masks):
                made = builder.insert_value(made, read(builder, at, vector, mask), [row, vector])
        return made

    return generate


def _stores(write: Callable[[Any, Any, Any, int, Any], None]) -> Any:
    """What writes a tile to an array, for arguments as of `store`: `write(builder, value, pointer, vector, mask)`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        tile, array, *_ = signature.args
        value, target, first, step, *columns = arguments
        pointer = pointer_to(context, builder, array, target, first)
        masks = _masks(builder, tile, *columns) if columns else [None] * tile.vectors
        for row, at in enumerate(_rows(builder, tile, pointer, step)):
            for vector, mask in enumerate(masks):
                write(builder, builder.extract_value(value, [row, vector]), at, vector, mask)
        return context.get_dummy_value()

    return generate


@intrinsic(prefer_literal=True)
def load(typing: Any, rows: Any, vectors: Any, x: Any, i: Any, step: Any) -> Any:
    """The tile whose row r is x[i + r · step : … + columns]."""
    require("load", x)
    tile = TileType(rows.literal_value, vectors.literal_value)
    return tile(rows, vectors, x, i, step), _loads(tile, load_vector)


@intrinsic(prefer_literal=True)
def load_first(typing: Any, rows: Any, vectors: Any, x: Any, i: Any, step: Any, columns: Any) -> Any:
    """As `load`, of the first `columns` alone: the others are zero, and x is not read there."""
    require("load_first", x)
    tile = TileType(rows.literal_value, vectors.literal_value)
    return tile(rows, vectors, x, i, step, columns), _loads(tile, load_vector)


@intrinsic(prefer_literal=True)
def load_bytes(typing: Any, rows: Any, vectors: Any, x: Any, i: Any, step: Any, columns: Any) -> Any:
    """As `load_first`, from an array of uint8."""
    require("load_bytes", x, dtype=types.uint8)
    tile = TileType(rows.literal_value, vectors.literal_value)

    def read(builder: Any, pointer: Any, vector: int, mask: Any) -> Any:
        return builder.uitofp(load_vector(builder, pointer, vector, mask, BYTES), VECTOR)

    return tile(rows, vectors, x, i, step, columns), _loads(tile, read)


@intrinsic
def store(typing: Any, tile: Any, y: Any, i: Any, step: Any) -> Any:
    """y[i + r · step : … + columns] = tile[r, :]."""
    require("store", y, written=True)
    return types.void(tile, y, i, step), _stores(store_vector)


@intrinsic
def store_first(typing: Any, tile: Any, y: Any, i: Any, step: Any, columns: Any) -> Any:
    """As `store`, of the first `columns` alone: y is not written behind them."""
    require("store_first", y, written=True)
    return types.void(tile, y, i, step, columns), _stores(store_vector)


@intrinsic
def store_bytes(typing: Any, tile: Any, y: Any, i: Any, step: Any, columns: Any) -> Any:
    """As `store_first`, of whole numbers from 0 to 255 to an array of uint8."""
    require("store_bytes", y, written=True, dtype=types.uint8)

    def write(builder: Any, value: Any, pointer: Any, vector: int, mask: Any) -> None:
        # By way of int32: processors turn vectors of float into that.
        whole = builder.trunc(builder.fptosi(value, INTEGERS), BYTES)
        store_vector(builder, whole, pointer, vector, mask)

    return types.void(tile, y, i, step, columns), _stores(write)


# Outer products.


def _add_outer(builder: Any, tile: TileType, made: Any, lefts: Iterable[Any], rights: list[Any]) -> Any:
    """The tile with a number times the vectors `rights` added to each row; `lefts` are the numbers' addresses."""
    for row, left in enumerate(lefts):
        number = broadcast(builder, builder.load(left))
        for vector, right in enumerate(rights):
            before = builder.extract_value(made, [row, vector])
            made = builder.insert_value(made, multiply_add(builder, number, right, before), [row, vector])
    return made


@intrinsic
def add_outer(typing: Any, tile: Any, x: Any, i: Any, step: Any, w: Any, j: Any) -> Any:
    """The tile with x[i + r · step] · w[j : j + columns] added to each row r."""
    require("add_outer", x)
    require("add_outer", w)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        right = pointer_to(context, builder, w, *arguments[4:6])
        rights = [load_vector(builder, right, vector) for vector in range(tile.vectors)]
        left = pointer_to(context, builder, x, *arguments[1:3])
        return _add_outer(builder, tile, arguments[0], _rows(builder, tile, left, arguments[3]), rights)

    return tile(tile, x, i, step, w, j), generate


@intrinsic
def add_outer_first(typing: Any, tile: Any, x: Any, i: Any, step: Any, w: Any, j: Any, columns: Any) -> Any:
    """As `add_outer`, of the first `columns` of w alone: it is not read behind them."""
    require("add_outer_first", x)
    require("add_outer_first", w)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        right = pointer_to(context, builder, w, *arguments[4:6])
        masks = _masks(builder, tile, arguments[6])
        rights = [load_vector(builder, right, vector, mask) for vector, mask in enumerate(masks)]
        left = pointer_to(context, builder, x, *arguments[1:3])
        return _add_outer(builder, tile, arguments[0], _rows(builder, tile, left, arguments[3]), rights)

    return tile(tile, x, i, step, w, j, columns), generate


@intrinsic(prefer_literal=True)
def add_outers(typing: Any, tile: Any, x: Any, i: Any, step: Any, w: Any, j: Any, count: Any) -> Any:
    """As `add_outer`, for `count` neighbours in x and as many rows of w: each row's place is found once for all."""
    require("add_outers", x)
    require("add_outers", w)
    times, columns = count.literal_value, tile.vectors * WIDTH

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = arguments[0]
        left = pointer_to(context, builder, x, *arguments[1:3])
        right = pointer_to(context, builder, w, *arguments[4:6])
        rows = [builder.gep(right, [ir.Constant(INT64, number * columns)]) for number in range(times)]
        rights = [[load_vector(builder, row, vector) for vector in range(tile.vectors)] for row in rows]
        for row, at in enumerate(_rows(builder, tile, left, arguments[3])):
            for number in range(times):
                value = broadcast(builder, builder.load(builder.gep(at, [ir.Constant(INT64, number)])))
                for vector in range(tile.vectors):
                    before = builder.extract_value(made, [row, vector])
                    total = multiply_add(builder, value, rights[number][vector], before)
                    made = builder.insert_value(made, total, [row, vector])
        return made

    return tile(tile, x, i, step, w, j, count), generate


@intrinsic(prefer_literal=True)
def add_outer_lines(typing: Any, tile: Any, x: Any, i: Any, line: Any, rows: Any, w: Any, j: Any, columns: Any) -> Any:
    """As `add_outer_first`, with `rows` neighbours in x of each of some lines, which are `line` numbers apart."""
    require("add_outer_lines", x)
    require("add_outer_lines", w)
    each = rows.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        right = pointer_to(context, builder, w, *arguments[5:7])
        masks = _masks(builder, tile, arguments[7])
        rights = [load_vector(builder, right, vector, mask) for vector, mask in enumerate(masks)]
        left = pointer_to(context, builder, x, *arguments[1:3])
        lefts = _lines(builder, tile, left, each, arguments[3], ir.Constant(INT64, 1))
        return _add_outer(builder, tile, arguments[0], lefts, rights)

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
        right, made = pointer_to(context, builder, w, *arguments[6:8]), arguments[0]
        left = pointer_to(context, builder, x, *arguments[1:3])
        lefts = _lines(builder, tile, left, each, arguments[3], arguments[5])
        for vector, mask in enumerate(_masks(builder, tile, arguments[8])):
            factor = load_vector(builder, right, vector, mask)
            for row, at in enumerate(lefts):
                number = load_vector(builder, at, vector, mask)
                before = builder.extract_value(made, [row, vector])
                made = builder.insert_value(made, multiply_add(builder, number, factor, before), [row, vector])
        return made

    return tile(tile, x, i, line, rows, step, w, j, columns), generate
