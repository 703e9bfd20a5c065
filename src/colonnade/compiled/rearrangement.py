"""Numbers put elsewhere: each number of an output image is one of the input's, or zero.

Which one, a table says: a `source` for each number, where they stand one by one; or `runs` of neighbours. Transposes
have no table, only the sizes of their matrices.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import cast

import numpy as np

from ..ops.layout import Array
from .compilation import compiled
from .packing import transpose
from .registers import WIDTH
from .tiles import load, load_first, store, store_first, zeros

# Neighbours are copied together from so many on, as a mean over the runs.
LEAST_RUN = 4


def runs_of(source: Array) -> Array:
    """The runs (count, 3) of a table of sources (size,): where each is written, whence, and how many numbers.

    A source of −1 is a zero.
    """
    # Of neighbours the distance to the source is one; of zeros it is taken to be one that no source has.
    apart = np.where(source < 0, -source.size, source - np.arange(source.size))
    starts = np.flatnonzero(np.diff(apart, prepend=apart[0] - 1))
    lengths = np.diff(starts, append=source.size)
    return np.stack([starts, source[starts], lengths], axis=1).astype(np.int64)


def inverse(source: Array, size: int) -> Array | None:
    """The table that leads back, for inputs of `size` numbers; None where two numbers have one source."""
    kept = np.flatnonzero(source >= 0)
    if np.unique(source[kept]).size < kept.size:
        return None
    back = np.full(size, -1, np.int64)
    back[source[kept]] = kept
    return back


def turned(source: Array) -> Array | None:
    """The sizes (2,), rows and columns, of the matrices that a table transposes, one behind the other.

    None of other tables, and where a side is shorter than a vector: numbers are then turned one by one either way.
    """
    rows, columns = int((source == 1).argmax()), int(source[1] - source[0]) if source.size > 1 else 0
    if min(rows, columns) < WIDTH or source.size % (rows * columns):
        return None
    expected = np.arange(source.size).reshape(-1, rows, columns).swapaxes(1, 2).ravel()
    return np.array([rows, columns]) if (source == expected).all() else None


def copied(source: Array) -> tuple[Callable[..., None], Array]:
    """What writes y (n, source.size) from x (n, size), each image by itself: f(x, table, y), and the table."""
    if (sizes := turned(source)) is not None:
        return cast("Callable[..., None]", turn), sizes
    runs = runs_of(source)
    if len(runs) * LEAST_RUN <= source.size:
        return cast("Callable[..., None]", copy_runs), runs
    return gather(bool((source < 0).any())), source.astype(np.int32)


def summed(source: Array) -> tuple[Callable[..., None], Array]:
    """What writes x (n, size) as the sums of what :func:`copied` took to y from each place: f(y, table, x)."""
    return cast("Callable[..., None]", add_runs), runs_of(source)


@compiled
def turn(x, sizes, y):
    """y (n, a) = the matrices of x (n, a), rows and columns of which are `sizes`, each transposed."""
    if sizes.size != 2 or min(sizes[0], sizes[1]) < 1:
        raise ValueError("turn: sizes must be rows and columns.")
    rows, columns = sizes[0], sizes[1]
    if x.shape[1] % (rows * columns) or x.shape != y.shape:
        raise ValueError("turn: x and y must be of one shape, and hold whole matrices.")
    transpose(x.reshape(-1, rows, columns), y.reshape(-1, columns, rows))


@lru_cache
def gather(fills: bool) -> Callable[..., None]:
    """The function that writes y[:, i] = x[:, source[i]], x (n, a), y (n, b), source (b,) int32.

    With `fills` zero where a source is negative; without, none may be.
    """

    @compiled
    def forward(x, source, y):
        images, size = x.shape
        count, written = y.shape
        if count != images or written != source.size:
            raise ValueError("gather: x and y must have as many images, and source a number for each of y's.")
        least, most = 0, -1
        for place in source:
            least, most = min(least, place), max(most, place)
        if most >= size or (least < 0 and not fills):
            raise ValueError("gather: sources must lie in x.")
        for image in range(images):
            values, outputs = x[image], y[image]
            for i in range(written):
                place = source[i]
                if fills and place < 0:
                    outputs[i] = np.float32(0)
                else:
                    outputs[i] = values[np.uint32(place)]

    return forward


@compiled
def _require_runs(runs, x_size, y_size):
    if runs.shape[1] != 3:
        raise ValueError("runs must be three numbers each.")
    for k in range(len(runs)):
        to, at, length = runs[k, 0], runs[k, 1], runs[k, 2]
        if to < 0 or at < -1 or length < 0 or to + length > y_size or (at >= 0 and at + length > x_size):
            raise ValueError("runs must lie in x and in y.")


@compiled
def copy_runs(x, runs, y):
    """y (n, b) = the runs (k, 3) of x (n, a) where each is written, or zeros: all of y, if they cover it."""
    images, x_size = x.shape
    count, y_size = y.shape
    if count != images:
        raise ValueError("copy_runs: x and y must have as many images.")
    _require_runs(runs, x_size, y_size)
    for image in range(images):
        for k in range(len(runs)):
            to, at, length = image * y_size + runs[k, 0], image * x_size + runs[k, 1], runs[k, 2]
            nothing = runs[k, 1] < 0
            c = 0
            while c < length:
                left = length - c
                if nothing:
                    store_first(zeros(1, 1), y, to + c, 0, left)
                elif left >= WIDTH:
                    store(load(1, 1, x, at + c, 0), y, to + c, 0)
                else:
                    store_first(load_first(1, 1, x, at + c, 0, left), y, to + c, 0, left)
                c += WIDTH


@compiled
def add_runs(y, runs, x):
    """The way back: x (n, a) = the sums of what the runs of :func:`copy_runs` took to y (n, b) from each place."""
    images, x_size = x.shape
    count, y_size = y.shape
    if count != images:
        raise ValueError("add_runs: x and y must have as many images.")
    _require_runs(runs, x_size, y_size)
    for image in range(images):
        for i in range(image * x_size, (image + 1) * x_size, WIDTH):
            store_first(zeros(1, 1), x, i, 0, (image + 1) * x_size - i)
        for k in range(len(runs)):
            to, at, length = image * y_size + runs[k, 0], image * x_size + runs[k, 1], runs[k, 2]
            if runs[k, 1] < 0:
                continue
            for c in range(0, length, WIDTH):
                left = length - c
                total = load_first(1, 1, x, at + c, 0, left) + load_first(1, 1, y, to + c, 0, left)
                store_first(total, x, at + c, 0, left)
