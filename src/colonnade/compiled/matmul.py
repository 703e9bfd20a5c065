"""Matrix products by register tiles, of stacks of matrices that lie anywhere in their arrays.

Only the rows of the right factor and of the result must be runs of numbers. The left factor may be read turned, by
exchanging its two steps; a right factor that is turned is copied first, by :func:`transpose_stack`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from .compilation import compiled
from .registers import WIDTH
from .tiles import add_outer, add_outer_first, store, store_first, zeros

# A square of so many numbers a side is turned at once: its rows and columns both stay in the first-level cache.
SQUARE = 32


class Stack(NamedTuple):
    """Where matrices lie in an array, counted in numbers.

    Number (r, k) of matrix (i, j) stands at start + i · outer + j · inner + r · row + k · column.
    """

    start: int
    outer: int
    inner: int
    row: int
    column: int

    @property
    def turned(self) -> Stack:
        """The same matrices, transposed."""
        return self._replace(row=self.column, column=self.row)


class Sizes(NamedTuple):
    """How many matrices a stack has, and the sizes of a product of them: (rows, terms) times (terms, columns)."""

    outer: int
    inner: int
    rows: int
    terms: int
    columns: int


@compiled
def _reaches(stack, sizes, rows, columns):
    """One more than the furthest place of a stack; zero where it leaves its array in front."""
    if min(stack.start, stack.outer, stack.inner, stack.row, stack.column) < 0:
        return 0
    last = stack.start + (sizes.outer - 1) * stack.outer + (sizes.inner - 1) * stack.inner
    return last + (rows - 1) * stack.row + (columns - 1) * stack.column + 1


@compiled
def _require_inside(stack, sizes, rows, columns, size):
    """Raise ValueError where matrices would leave their array: looked at once, before anything is read."""
    if min(sizes.outer, sizes.inner, rows, columns) < 1:
        raise ValueError("matmul: matrices must not be empty.")
    last = _reaches(stack, sizes, rows, columns)
    if last < 1 or last > size:
        raise ValueError("matmul: matrices must stay inside their array.")


@lru_cache
def matmul(rows: int, vectors: int) -> Any:
    """Y = factor · A B of each pair of matrices, by tiles of `rows` rows and 16 · `vectors` columns.

    Args of the function that is returned:
        a: What the left matrices lie in; of any shape.
        of_a: Where, a :class:`Stack`.
        b, of_b: The right ones, likewise; their columns must be neighbours.
        y, of_y: What is written, likewise.
        sizes: :class:`Sizes`; there must be `rows` rows at least.
        factor: A number.
    """
    columns = vectors * WIDTH

    @compiled
    def multiply(a, of_a, b, of_b, y, of_y, sizes, factor):
        _require_inside(of_a, sizes, sizes.rows, sizes.terms, a.size)
        _require_inside(of_b, sizes, sizes.terms, sizes.columns, b.size)
        _require_inside(of_y, sizes, sizes.rows, sizes.columns, y.size)
        if of_b.column != 1 or of_y.column != 1 or sizes.rows < rows:
            raise ValueError("matmul: rows must lie side by side, and be as many as a tile's.")
        for i in range(sizes.outer):
            for j in range(sizes.inner):
                a_at = of_a.start + i * of_a.outer + j * of_a.inner
                b_at = of_b.start + i * of_b.outer + j * of_b.inner
                y_at = of_y.start + i * of_y.outer + j * of_y.inner
                for c in range(0, sizes.columns, columns):
                    left = sizes.columns - c
                    r = 0
                    while r < sizes.rows:
                        r = min(r, sizes.rows - rows)  # the last tile makes some rows a second time
                        tile = zeros(rows, vectors)
                        at, k = a_at + r * of_a.row, b_at + c
                        to = y_at + r * of_y.row + c
                        if left >= columns:
                            for _ in range(sizes.terms):
                                tile = add_outer(tile, a, at, of_a.row, b, k)
                                at += of_a.column
                                k += of_b.row
                            store(tile * factor, y, to, of_y.row)
                        else:
                            for _ in range(sizes.terms):
                                tile = add_outer_first(tile, a, at, of_a.row, b, k, left)
                                at += of_a.column
                                k += of_b.row
                            store_first(tile * factor, y, to, of_y.row, left)
                        r += rows

    return multiply


@compiled
def transpose_stack(x, of_x, y, outer, inner):
    """y (outer, inner, columns, rows) = the matrices of x, turned; their places in x are a :class:`Stack`."""
    if y.ndim != 4 or y.shape[0] != outer or y.shape[1] != inner:
        raise ValueError("transpose_stack: y must be (outer, inner, columns, rows).")
    columns, rows = y.shape[2], y.shape[3]
    if min(outer, inner, rows, columns) < 1 or min(of_x.start, of_x.outer, of_x.inner, of_x.row, of_x.column) < 0:
        raise ValueError("transpose_stack: matrices must not be empty, nor leave their array in front.")
    last = of_x.start + (outer - 1) * of_x.outer + (inner - 1) * of_x.inner
    if last + (rows - 1) * of_x.row + (columns - 1) * of_x.column >= x.size:
        raise ValueError("transpose_stack: matrices must stay inside their array.")
    source, target = x.reshape(-1), y.reshape(-1)
    to = 0
    for i in range(outer):
        for j in range(inner):
            at = of_x.start + i * of_x.outer + j * of_x.inner
            for r in range(0, rows, SQUARE):
                for column in range(columns):
                    for row in range(r, min(rows, r + SQUARE)):
                        target[to + column * rows + row] = source[at + row * of_x.row + column * of_x.column]
            to += rows * columns
