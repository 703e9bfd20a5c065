"""Matrix products in parts, each small enough that OpenBLAS multiplies it from where it lies.

Before OpenBLAS multiplies large matrices it copies all of them into panels. Small ones, of up to a million
multiplications, its AVX-512 kernels read in place. Where a matrix is tall and narrow, as the windows of a convolution
are, each of its numbers takes part in a few multiplications only, and the copy costs about as much as they do. So the
product is cut into small ones, which `np.matmul` does in one call. On one core: 110 GF/s rather than 79 with 16
columns, 155 rather than 107 with 32, 168 rather than 128 with 64. From 256 columns on there is nothing to gain.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from ..blas import multiplies_in_place
from .layout import ALIGNMENT, Array

# The most multiplications that OpenBLAS does in place.
SMALL = 1_000_000
# The second operand is read once for each part of the first: it must stay in the second-level cache.
CACHED = 1 << 18
# Fewer rows do not fill the registers.
FEWEST_ROWS = 6

# What one row of the second operand costs a product in place, in nanoseconds for each row of the first: as vectors of
# 16 numbers in float32 the kernels take two at a time, and a last one by itself; and to begin. Only ratios matter.
VECTOR = ALIGNMENT // 4
PAIR, SINGLE, BEGINNING = 0.38, 0.28, 0.02
WIDEST = 8 * VECTOR


Operands = tuple[Array, Array, Array]


class Parts(NamedTuple):
    """How a product of (rows, inner) by (inner, columns) is cut: the sides of one part, which divide those."""

    rows: int
    inner: int
    columns: int

    def operands(self, left: Array, right: Array, out: Array) -> Operands:
        """What `np.matmul` takes to do all parts, as views.

        Args:
            left: (g, rows, inner), g products side by side.
            right: (g, inner, columns), its rows contiguous.
            out: (g, rows, columns); (inner / parts' inner, g, rows, columns) where the inner side is cut: the sums
                over each part of it, still to be added.
        """
        sums = out.reshape(-1, *out.shape[-3:])
        groups, rows, inner = left.shape
        left = left.reshape(groups, -1, self.rows, len(sums), inner // len(sums)).transpose(3, 0, 1, 2, 4)[:, :, None]
        right = right.reshape(groups, len(sums), inner // len(sums), -1, self.columns).transpose(1, 0, 3, 2, 4)
        sums = sums.reshape(len(sums), groups, rows // self.rows, self.rows, -1, self.columns)
        return left, right[:, :, :, None], sums.transpose(0, 1, 4, 2, 3, 5)


@lru_cache(maxsize=4096)
def parts(rows: int, inner: int, columns: int, summed: bool = False) -> Parts:
    """The fastest way to cut a product; the whole where that is.

    Args:
        rows: Of the first operand and of the product.
        inner: What is summed over.
        columns: Of the second operand and of the product.
        summed: Whether the inner side may be cut as well.
    """
    whole = Parts(rows, inner, columns)
    if rows * inner * columns <= SMALL or not multiplies_in_place():
        return whole
    found = [
        Parts(height, length, width)
        for length in (_divisors(inner) if summed else [inner])
        if length * columns <= CACHED and (length == inner or length >= 128)
        for width in _divisors(columns)
        if width <= WIDEST
        for height in [max((d for d in _divisors(rows) if d * length * width <= SMALL), default=0)]
        if height >= min(FEWEST_ROWS, rows)
    ]
    best = min(found, key=lambda part: cost(part, inner), default=whole)
    return best if cost(best, inner) < 2 / packed(columns) else whole


def cost(part: Parts, inner: int) -> float:
    """Nanoseconds for each multiplication: its own, and those of adding up what a cut of the inner side leaves."""
    adding = 0.0 if part.inner == inner else 0.5 / part.inner
    in_one = part.rows * part.inner * part.columns <= SMALL and multiplies_in_place()
    return 2 * (1 + 1 / part.rows) / (in_place(part.columns) if in_one else packed(part.columns)) + adding


def operands(left: Array, right: Array, out: Array) -> Operands:
    """What `np.matmul` takes to multiply (g, rows, inner) by (g, inner, columns) in the fastest way, as views."""
    return parts(left.shape[1], *right.shape[1:]).operands(left, right, out)


def speed(columns: int) -> float:
    """How fast a product of so many columns is, in operations a nanosecond on one core."""
    return in_place(columns) if multiplies_in_place() else packed(columns)


def in_place(columns: int) -> float:
    """The speed of a product that is not packed."""
    pairs, rest = divmod(columns, 2 * VECTOR)
    return 2 * columns / (pairs * PAIR + -(-rest // VECTOR) * SINGLE + BEGINNING)


def packed(columns: int) -> float:
    """The speed of one that is."""
    return 150.0 * columns / (row_length(columns) + 12.0)


def row_length(columns: int) -> int:
    """How far rows should be apart in memory so that each begins with a vector."""
    return -(-columns // VECTOR) * VECTOR


@lru_cache(maxsize=4096)
def _divisors(number: int) -> list[int]:
    small = [divisor for divisor in range(1, math.isqrt(number) + 1) if number % divisor == 0]
    return sorted({*small, *(number // divisor for divisor in small)})
