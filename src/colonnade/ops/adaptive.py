"""Windows of which only the number is given: where they lie, and images in which they lie side by side.

See docs/math/pooling.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .columns import in_lines, room
from .layout import Array
from .window import Sizes, Window

Places = NDArray[np.intp]


def bounds(size: int, outputs: int) -> tuple[Places, Places]:
    """Where the windows begin and end, (outputs,) each: ⌊i · size / outputs⌋ and ⌈(i + 1) · size / outputs⌉."""
    whole, rest = divmod(size, outputs)
    i = np.arange(outputs + 1, dtype=np.intp)
    return (i * whole + i * rest // outputs)[:-1], (i * whole - i * rest // -outputs)[1:]  # no product of large numbers


def regular_window(size: Sizes, outputs: Sizes) -> Window | None:
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
    return Window(tuple(kernel), tuple(stride))


def side_by_side(size: int, outputs: int) -> tuple[Places, int]:
    """Which rows to copy so that windows of equal length lie one behind the other, and that length.

    Windows differ in length by one at most. A shorter one repeats its last row, which never is the first maximum.
    """
    starts, stops = bounds(size, outputs)
    length = int((stops - starts).max())
    rows = np.minimum(starts[:, None] + np.arange(length), stops[:, None] - 1)
    return rows.ravel(), length


def lay_side_by_side(
    x: Array, places: Sequence[Places], first: int = 1, between: Array | None = None, out: Array | None = None
) -> Array:
    """y[n, i, j, c] = x[n, rows[i], columns[j], c], places being (rows, columns), and likewise for any number of axes.

    Args:
        x: As it lies in memory: images (n, h, w, c), sequences (n, c, l), volumes (n, c, d, h, w).
        places: Along each axis of pixels, from :func:`side_by_side`.
        first: The first of these axes.
        between: Scratch, of :func:`between_numbers`.
        out: Written, and returned; made if not given.
    """
    shapes = _shapes_between(x.shape, places, first)
    spaces = room(between, x.dtype, *map(math.prod, shapes[:-1]))
    targets = [*(space.reshape(shape) for space, shape in zip(spaces, shapes, strict=False)), out]
    for axis, (each, target) in enumerate(zip(places, targets, strict=True), first):
        x = np.take(x, each, axis=axis, out=target, mode="clip")
    return x


def gather_back(
    grad: Array, places: Sequence[Places], first: int = 1, between: Array | None = None, out: Array | None = None
) -> Array:
    """grad_x[n, u, v, c] = Σ grad[n, i, j, c] over rows[i] = u and columns[j] = v; as in :func:`lay_side_by_side`."""
    size = [int(each.max()) + 1 for each in places]  # every window sees a pixel, and every pixel is seen
    shapes = _shapes_between((*grad.shape[:first], *size, *grad.shape[first + len(places) :]), places, first)
    spaces = room(between, grad.dtype, *map(math.prod, shapes[:-1]))
    targets = [out, *(space.reshape(shape) for space, shape in zip(spaces, shapes, strict=False))]
    for axis, (each, target) in reversed(list(enumerate(zip(places, targets, strict=True), first))):
        grad = _add_copies(grad, each, axis, target)
    return grad


def between_numbers(shape: Sequence[int], places: Sequence[Places], first: int) -> int:
    """The scratch of both functions above, for an array of `shape` that is laid side by side."""
    return in_lines(*map(math.prod, _shapes_between(shape, places, first)[:-1]))


def _shapes_between(shape: Sequence[int], places: Sequence[Places], first: int) -> list[tuple[int, ...]]:
    """The shapes after each axis."""
    counts = [len(each) for each in places]
    return [(*shape[:first], *counts[:axis], *shape[first + axis :]) for axis in range(1, len(counts) + 1)]


def _add_copies(grad: Array, places: Places, axis: int, out: Array | None) -> Array:
    """What copies along an axis bring back is added up: `places` says of what they are copies."""
    order = np.argsort(places, kind="stable")
    sources, firsts = np.unique(places[order], return_index=True)
    assert out is None or len(sources) == out.shape[axis]
    return np.add.reduceat(np.take(grad, order, axis=axis), firsts, axis=axis, out=out)
