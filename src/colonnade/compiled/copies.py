"""Copies of columns between matrices: what channels side by side are put together from, and parted into."""

from __future__ import annotations

from .compilation import compiled
from .registers import WIDTH
from .runs import ROWS, load_rows, store_rows


@compiled
def copy_columns(x, first, y, to, columns):
    """y[:, to : to + columns] = x[:, first : first + columns], of matrices with as many rows."""
    rows, of_x = x.shape
    count, of_y = y.shape
    if count != rows or min(first, to, columns) < 0 or first + columns > of_x or to + columns > of_y:
        raise ValueError("copy_columns: x and y must have as many rows, and the columns that are copied.")
    for row in range(0, rows // ROWS * ROWS, ROWS):
        at, place = row * of_x + first, row * of_y + to
        for c in range(0, columns, WIDTH):
            left = columns - c
            store_rows(load_rows(x, at + c, of_x, left), y, place + c, of_y, left)
    for row in range(rows // ROWS * ROWS, rows):
        for c in range(columns):
            y[row, to + c] = x[row, first + c]
