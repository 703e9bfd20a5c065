"""Kernels as tiles read them: once a pass, from wherever they lie."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops.layout import Array, empty
from .compilation import compiled
from .registers import WIDTH
from .tiles import load, load_first, row_of, store, transposed, zeros


@compiled
def transpose(x, y):
    """y (n, columns, rows) = each of n matrices of x (n, rows, columns), turned."""
    count, rows, columns = x.shape
    if y.shape != (count, columns, rows):
        raise ValueError("transpose: y must have the shape of x, each matrix turned")
    source, target = x.reshape(-1), y.reshape(-1)
    whole_rows, whole_columns = rows // WIDTH * WIDTH, columns // WIDTH * WIDTH
    for n in range(count):
        at = n * rows * columns
        for j in range(0, whole_columns, WIDTH):
            for i in range(0, whole_rows, WIDTH):
                square = load(WIDTH, 1, source, at + i * columns + j, columns)
                store(transposed(square), target, at + j * rows + i, rows)
        for i in range(whole_rows, rows):
            for j in range(whole_columns):
                target[at + j * rows + i] = source[at + i * columns + j]
        for j in range(whole_columns, columns):
            for i in range(rows):
                target[at + j * rows + i] = source[at + i * columns + j]


@compiled
def in_panels(x, y):
    """y (blocks, rows, width) = the columns of x (rows, columns) in blocks, the last filled up with zeros."""
    rows, columns = x.shape
    blocks, length, width = y.shape
    if length != rows or width % WIDTH or blocks * width < columns:
        raise ValueError("in_panels: the panels must hold the matrix")
    for block in range(blocks):
        for row in range(rows):
            for column in range(0, width, WIDTH):
                left = columns - block * width - column
                to = (block * rows + row) * width + column
                if left > 0:
                    at = row * columns + block * width + column
                    store(load_first(1, 1, x, at, 0, left), y, to, 0)
                else:
                    store(zeros(1, 1), y, to, 0)


@compiled
def turned_in_panels(x, y):
    """y (blocks, columns, width) = x (rows, columns) turned, its rows in blocks, the last filled up with zeros."""
    rows, columns = x.shape
    blocks, length, width = y.shape
    if length != columns or width % WIDTH or blocks * width < rows:
        raise ValueError("turned_in_panels: the panels must hold the matrix, turned")
    whole_rows, whole_columns = rows // WIDTH * WIDTH, columns // WIDTH * WIDTH
    for block in range(blocks):
        for row in range(block * width, (block + 1) * width, WIDTH):
            to = block * columns * width + row - block * width
            if row < whole_rows:
                for column in range(0, whole_columns, WIDTH):
                    store(transposed(load(WIDTH, 1, x, row * columns + column, columns)), y, to + column * width, width)
            for column in range(whole_columns if row < whole_rows else 0, columns):
                for i in range(WIDTH):
                    value = x[row + i, column] if row + i < rows else np.float32(0)
                    y[block, column, row - block * width + i] = value


@compiled
def _times_g(a, b, c):
    """G times a column."""
    half, other = (a + c) * 0.5, b * 0.5
    return a, half + other, half - other, c


@compiled
def winograd_panels(kernel, flips, y):
    """y (16, blocks, channels, width) = G g Gᵀ of the kernels (3, 3, channels, outputs), in blocks of outputs.

    With `flips` of the kernels upside down and left to right.
    """
    _, _, channels, outputs = kernel.shape
    places, blocks, depth, width = y.shape
    if kernel.shape[0] != 3 or kernel.shape[1] != 3 or places != 16 or depth != channels or blocks * width < outputs:
        raise ValueError("winograd_panels: the panels must hold the kernels")
    size, apart = channels * outputs, blocks * channels * width
    first, step = (8 * size, -size) if flips else (0, size)
    for block in range(blocks):
        for c in range(channels):
            for column in range(0, width, WIDTH):
                left = outputs - block * width - column
                at = first + c * outputs + block * width + column
                to = (block * channels + c) * width + column
                if left <= 0:
                    for p in range(16):
                        store(zeros(1, 1), y, to + p * apart, 0)
                    continue
                # Three rows of the kernel, each a tile of three numbers.
                rows = _times_g(
                    load_first(3, 1, kernel, at, step, left),
                    load_first(3, 1, kernel, at + 3 * step, step, left),
                    load_first(3, 1, kernel, at + 6 * step, step, left),
                )
                for p in range(4):
                    row, k = rows[p], to + 4 * p * apart
                    a, b, d, e = _times_g(row_of(row, 0), row_of(row, 1), row_of(row, 2))
                    store(a, y, k, 0)
                    store(b, y, k + apart, 0)
                    store(d, y, k + 2 * apart, 0)
                    store(e, y, k + 3 * apart, 0)


def turned(matrices: Array, out: Array | None = None) -> Array:
    """Matrices (n, rows, columns), contiguous, as (n, columns, rows), contiguous."""
    count, rows, columns = matrices.shape
    made: Any = empty((count, columns, rows), np.float32) if out is None else out
    transpose(matrices, made)
    return made
