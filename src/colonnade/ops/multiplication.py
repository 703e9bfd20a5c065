"""Matrix products in parts, each small enough that OpenBLAS multiplies it from where it lies.

Before OpenBLAS multiplies large matrices it copies all of them into panels. Small ones, of up to a million
multiplications, its AVX-512 kernels read in place. Where a matrix is tall and narrow, as the windows of a convolution
are, each of its numbers takes part in a few multiplications only, and the copy costs about as much as they do. So the
product is cut into small ones, which `np.matmul` does in one call. On one core: 110 GF/s rather than 80 with 16
columns, 160 rather than 108 with 32, 168 rather than 128 with 64. Written in docs/math/convolution.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..blas import multiplies_in_place
from .layout import ALIGNMENT, Array, divisors

# The most multiplications that OpenBLAS does in place.
SMALL = 1_000_000
# The second operand is read once for each part of the first: its numbers must stay in the second-level cache.
CACHED = 300_000
# Where rows of an operand do not begin with a vector, a part of a second operand that is larger than the first-level
# cache is waited for as long as so many rows take.
FIRST_LEVEL, WAIT = 12_000, 5.0
# The kernels take so many rows at a time. In a rest each row takes longer, by REST / columns.
ROWS, REST = 6, 24.0
# What one row of the second operand costs for each row of the first, in nanoseconds on one core: as vectors of 16
# numbers in float32 the kernels take two at a time, and a last one by itself; and to begin. Only ratios matter.
VECTOR = ALIGNMENT // 4
PAIR, SINGLE, BEGINNING = 0.38, 0.28, 0.03
WIDEST = 8 * VECTOR
# What a product costs that is packed: for each multiplication of whole vectors, and for each number of both operands.
MULTIPLICATION, PACKING = 2 / 150, 0.17
# A call of NumPy's, and a number that is written and read once more, in nanoseconds.
CALL, NUMBER = 4000.0, 0.5

Operands = tuple[Array, Array, Array]


class Parts(NamedTuple):
    """How a product of (rows, inner) by (inner, columns) is cut: the sides of one part.

    Rows may leave a rest, which is a part by itself; the other two divide theirs.
    """

    rows: int
    inner: int
    columns: int

    def operands(self, left: Array, right: Array, out: Array) -> list[Operands]:
        """What `np.matmul` takes to do all parts, as views: one call, or two if there is a rest.

        Args:
            left: (g, rows, inner), g products side by side.
            right: (g, panels, inner, columns / panels), of the parts' columns; see :func:`panels`.
            out: (g, rows, columns); (inner / parts' inner, g, rows, columns) where the inner side is cut: the sums
                over each part of it, still to be added.
        """
        whole = left.shape[1] // self.rows * self.rows
        runs = [(slice(0, whole), self.rows), (slice(whole, None), left.shape[1] - whole)]
        return [self._operands(left[:, run], right, out[..., run, :], rows) for run, rows in runs if rows]

    def _operands(self, left: Array, right: Array, out: Array, rows: int) -> Operands:
        groups, length, inner = left.shape
        left = left.reshape(groups, -1, rows, inner // self.inner, self.inner).transpose(3, 0, 1, 2, 4)
        right = right.reshape(*right.shape[:2], -1, self.inner, self.columns).transpose(2, 0, 1, 3, 4)
        sums = out.reshape(-1, groups, length // rows, rows, out.shape[-1] // self.columns, self.columns)
        return left[:, :, None], right[:, :, :, None], sums.transpose(0, 1, 4, 2, 3, 5)


def panels(right: Array, columns: int) -> Array:
    """(g, inner, columns in all) as (g, panels, inner, columns): a view."""
    return right.reshape(*right.shape[:2], -1, columns).transpose(0, 2, 1, 3)


def multiply(operands: list[Operands]) -> None:
    """Do what :meth:`Parts.operands` prepared."""
    for left, right, out in operands:
        np.matmul(left, right, out=out)


def operands(left: Array, right: Array, out: Array) -> list[Operands]:
    """What :func:`multiply` takes for a product with a second operand in panels: see :meth:`Parts.operands`."""
    _, count, inner, width = right.shape
    return parts(left.shape[1], inner, count * width, width=width).operands(left, right, out)


@lru_cache(maxsize=4096)
def parts(
    rows: int, inner: int, columns: int, *, summed: bool = False, ragged: bool = False, width: int | None = None
) -> Parts:
    """The fastest way to cut a product.

    Args:
        rows: Of the first operand and of the product.
        inner: What is summed over.
        columns: Of the second operand and of the product.
        summed: Whether the inner side may be cut as well.
        ragged: Whether rows of an operand begin anywhere rather than with a vector.
        width: The columns that a part has to have.
    """
    whole = Parts(rows, inner, width or columns)
    if rows * inner * columns <= SMALL or not multiplies_in_place():
        return whole
    ways = [
        Parts(height, length, across)
        for length in (divisors(inner) if summed else [inner])
        if length * columns <= CACHED and (length == inner or length >= 2 * WIDEST)
        for across in ([width] if width else divisors(columns))
        # Panels of a matrix that is multiplied as it lies must begin with a vector each.
        if across <= WIDEST and (not summed or across == columns or across % VECTOR == 0)
        for height in _heights(rows, SMALL // (length * across))
    ]
    return min([whole, *ways], key=lambda way: cost(way, rows, inner, columns, ragged=ragged))


def _heights(rows: int, limit: int) -> Iterator[int]:
    """The tallest parts of so many rows, up to a limit: of whole sixes, of whole sixes without a rest, without."""
    fitting = [divisor for divisor in divisors(rows) if divisor <= limit]
    sixes = [min(limit, rows) // ROWS * ROWS, *(divisor for divisor in fitting if divisor % ROWS == 0)]
    yield from {height for height in (sixes[0], sixes[-1], fitting[-1] if fitting else 0) if height}


def cost(way: Parts, rows: int, inner: int, columns: int, *, ragged: bool = False) -> float:
    """About how many nanoseconds a product of those sides takes on one core, if it is cut that way; as `parts`."""
    if way.rows * way.inner * way.columns > SMALL or not multiplies_in_place():
        count = columns // way.columns
        return inner * (MULTIPLICATION * rows * count * row_length(way.columns) + PACKING * (rows * count + columns))
    count, rest = divmod(rows, way.rows)
    reading = count * _row_cost(way.rows, way.columns) + (_row_cost(rest, way.columns) if rest else 0)
    if ragged and way.inner * way.columns > FIRST_LEVEL:
        reading += WAIT * (count + bool(rest))
    adding = 0.0 if way.inner == inner else NUMBER * rows * columns * (inner // way.inner)
    return 2 * reading * inner * columns / in_place(way.columns) + adding + (CALL if rest else 0.0)


def _row_cost(rows: int, columns: int) -> float:
    """How many rows' time a part takes, with what it is to begin one."""
    return 0.3 + rows + rows % ROWS * REST / columns


def speed(columns: int) -> float:
    """How fast a tall product of so many columns is, in operations a nanosecond on one core."""
    if multiplies_in_place():
        return in_place(columns)
    return 2 * columns / (MULTIPLICATION * row_length(columns) + PACKING)


def in_place(columns: int) -> float:
    """The speed of a product that is not packed."""
    pairs, rest = divmod(columns, 2 * VECTOR)
    return 2 * columns / (pairs * PAIR + -(-rest // VECTOR) * SINGLE + BEGINNING)


def row_length(columns: int) -> int:
    """How far rows should be apart in memory so that each begins with a vector."""
    return -(-columns // VECTOR) * VECTOR
