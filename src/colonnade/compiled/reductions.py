"""Sums and maxima along the rows and columns of a tile."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.extending import intrinsic

from .elementwise import extreme
from .registers import WIDTH
from .tiles import TileType, undefined
from .vectors import INTEGERS


def _along_rows(tile: Any, combine: Any) -> Any:
    """What `combine(builder, a, b)` makes of all numbers of a row, at each of its places, in one fixed order."""
    if not isinstance(tile, TileType):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = undefined(tile)
        for row in range(tile.rows):
            total = builder.extract_value(arguments[0], [row, 0])
            for vector in range(1, tile.vectors):
                total = combine(builder, total, builder.extract_value(arguments[0], [row, vector]))
            for distance in (8, 4, 2, 1):
                partners = ir.Constant(INTEGERS, [number ^ distance for number in range(WIDTH)])
                total = combine(builder, total, builder.shuffle_vector(total, total, partners))
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
    return _along_rows(tile, extreme(">"))


@intrinsic
def column_sums(typing: Any, tile: Any) -> Any:
    """The sum of a tile's rows, as a tile of one row."""
    if not isinstance(tile, TileType):
        return None
    made = TileType(1, tile.vectors)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        total = undefined(made)
        for vector in range(tile.vectors):
            parts = [builder.extract_value(arguments[0], [row, vector]) for row in range(tile.rows)]
            while len(parts) > 1:
                parts = [
                    builder.fadd(*parts[i : i + 2]) if i + 1 < len(parts) else parts[i] for i in range(0, len(parts), 2)
                ]
            total = builder.insert_value(total, parts[0], [0, vector])
        return total

    return made(tile), generate
