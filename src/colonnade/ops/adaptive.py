"""Windows of which only the number is given: where they lie, and images in which they lie side by side.

See docs/math/pooling.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .layout import Array
from .window import Pair, Window

Places = NDArray[np.intp]


def bounds(size: int, outputs: int) -> tuple[Places, Places]:
    """Where the windows begin and end, (outputs,) each: ⌊i · size / outputs⌋ and ⌈(i + 1) · size / outputs⌉."""
    whole, rest = divmod(size, outputs)
    i = np.arange(outputs + 1, dtype=np.intp)
    return (i * whole + i * rest // outputs)[:-1], (i * whole - i * rest // -outputs)[1:]  # no product of large numbers


def regular_window(size: Pair, outputs: Pair) -> Window | None:
    """The window that sees the same as it moves by a stride, if there is one: for one output, say, or half the size."""
    kernel, stride = [], []
    for length, count in zip(size, outputs, strict=True):
        starts, stops = bounds(length, count)
        sizes = stops - starts
        steps = np.diff(starts) if count > 1 else sizes
        if (sizes != sizes[0]).any() or (steps != steps[0]).any() or steps[0] == 0:
            return None
        kernel.append(int(sizes[0]))
        stride.append(int(steps[0]))
    return Window((kernel[0], kernel[1]), (stride[0], stride[1]))


def side_by_side(size: int, outputs: int) -> tuple[Places, int]:
    """Which rows to copy so that windows of equal length lie one behind the other, and that length.

    Windows differ in length by one at most. A shorter one repeats its last row, which never is the first maximum.
    """
    starts, stops = bounds(size, outputs)
    length = int((stops - starts).max())
    rows = np.minimum(starts[:, None] + np.arange(length), stops[:, None] - 1)
    return rows.ravel(), length


def lay_side_by_side(
    x: Array, rows: Places, columns: Places, between: Array | None = None, out: Array | None = None
) -> Array:
    """y[n, i, j, c] = x[n, rows[i], columns[j], c].

    Args:
        x: Images as they lie in memory, (n, h, w, c).
        rows: From :func:`side_by_side`.
        columns: Likewise.
        between: Scratch, (n, rows, w, c).
        out: Written, and returned; made if not given: (n, rows, columns, c).
    """
    between = np.take(x, rows, axis=1, out=between, mode="clip")
    return np.take(between, columns, axis=2, out=out, mode="clip")


def gather_back(
    grad: Array, rows: Places, columns: Places, between: Array | None = None, out: Array | None = None
) -> Array:
    """grad_x[n, u, v, c] = Σ grad[n, i, j, c] over rows[i] = u and columns[j] = v; as in :func:`lay_side_by_side`."""
    return _add_copies(_add_copies(grad, columns, 2, between), rows, 1, out)


def _add_copies(grad: Array, places: Places, axis: int, out: Array | None) -> Array:
    """What copies along an axis bring back is added up: `places` says of what they are copies."""
    order = np.argsort(places, kind="stable")
    sources, firsts = np.unique(places[order], return_index=True)
    # Every window sees a pixel, and every pixel is seen: there are as many sums as places in `out`.
    assert out is None or len(sources) == out.shape[axis]
    return np.add.reduceat(np.take(grad, order, axis=axis), firsts, axis=axis, out=out)
