"""Windows of which only the number is given: where they lie, and images in which they lie side by side."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .layout import Array
from .window import Pair, Window


def bounds(size: int, outputs: int) -> list[tuple[int, int]]:
    """Where the windows begin and end: ⌊i · size / outputs⌋ and ⌈(i + 1) · size / outputs⌉."""
    return [(i * size // outputs, -((i + 1) * size // -outputs)) for i in range(outputs)]


def regular_window(size: Pair, outputs: Pair) -> Window | None:
    """The window that sees the same as it moves by a stride, if there is one: for one output, say, or half the size."""
    kernel, stride = [], []
    for length, count in zip(size, outputs, strict=True):
        found = bounds(length, count)
        starts, sizes = [start for start, _ in found], {stop - start for start, stop in found}
        steps = {after - before for before, after in pairwise(starts)} or sizes.copy()
        if len(sizes) > 1 or len(steps) > 1 or steps == {0}:
            return None
        kernel.append(sizes.pop())
        stride.append(steps.pop())
    return Window((kernel[0], kernel[1]), (stride[0], stride[1]))


def side_by_side(size: int, outputs: int) -> tuple[NDArray[np.intp], int]:
    """Which rows to copy so that windows of equal length lie one behind the other, and that length.

    Windows differ in length by one at most. A shorter one repeats its last row, which never is the first maximum.
    """
    found = bounds(size, outputs)
    length = max(stop - start for start, stop in found)
    rows = [min(start + place, stop - 1) for start, stop in found for place in range(length)]
    return np.array(rows, np.intp), length


def lay_side_by_side(x: Array, rows: NDArray[np.intp], columns: NDArray[np.intp], between: Array, out: Array) -> None:
    """Copy rows and columns: x (n, h, w, c), between (n, rows, w, c), out (n, rows, columns, c)."""
    np.take(x, rows, axis=1, out=between, mode="clip")
    np.take(between, columns, axis=2, out=out, mode="clip")


def gather_back(grad: Array, rows: NDArray[np.intp], columns: NDArray[np.intp], between: Array, out: Array) -> None:
    """Add the gradient at each copy to that of what it was copied from; arguments as in :func:`lay_side_by_side`."""
    between.fill(0)
    for place, column in enumerate(columns):
        between[:, :, column] += grad[:, :, place]
    out.fill(0)
    for place, row in enumerate(rows):
        out[:, row] += between[:, place]
