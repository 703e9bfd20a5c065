"""Sums over the lanes of a batch, compiled."""

from __future__ import annotations

from .compilation import compiled, inlined
from .runs import RUN, VECTORS
from .tiles import load, load_first, store, store_first

# So many numbers of each part stay in the nearest cache while they are added up.
CHUNK = 1024


@inlined
def _add(x, i, y, j, count):
    """y[j : j + count] += x[i : i + count]."""
    for k in range(0, count, RUN):
        left = count - k
        if left >= RUN:
            store(load(1, VECTORS, y, j + k, 0) + load(1, VECTORS, x, i + k, 0), y, j + k, 0)
        else:
            total = load_first(1, VECTORS, y, j + k, 0, left) + load_first(1, VECTORS, x, i + k, 0, left)
            store_first(total, y, j + k, 0, left)


@compiled
def fold(parts, start, total):
    """total (size,) += Σ of parts (k, ...)[:, start : start + size] along a tree, to the bits of `ops.folding.fold`."""
    count, length = parts.shape
    size = total.size
    if start < 0 or start + size > length:
        raise ValueError("fold: the parts must hold as many numbers as total.")
    for first in range(0, size, CHUNK):
        numbers, at = min(CHUNK, size - first), start + first
        step = 1
        while step < count:
            for part in range(0, count - step, 2 * step):
                _add(parts, (part + step) * length + at, parts, part * length + at, numbers)
            step *= 2
        _add(parts, at, total, first, numbers)
