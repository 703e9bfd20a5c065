"""Images of another size: each row of the output is a weighted sum of a few neighbouring rows of the input."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..ops.layout import Array
from .compilation import compiled
from .elementwise import multiply_add
from .runs import RUN, VECTORS
from .tiles import load, load_first, store, store_first, zeros


class Band(NamedTuple):
    """A matrix of which each row has few numbers side by side, and else zeros.

    Attributes:
        starts: (outputs,): the column of each row's first.
        weights: (outputs, taps): what stands from there on.
    """

    starts: Array
    weights: Array


def band(matrix: Array) -> Band:
    """A matrix (outputs, size) as its band."""
    outputs, size = matrix.shape
    filled = matrix != 0
    first, last = filled.argmax(axis=1), size - 1 - filled[:, ::-1].argmax(axis=1)
    taps = int(np.where(filled.any(axis=1), last - first + 1, 1).max())
    starts = np.minimum(first, size - taps)
    columns = starts[:, None] + np.arange(taps)
    weights = np.ascontiguousarray(matrix[np.arange(outputs)[:, None], columns], np.float32)
    return Band(starts.astype(np.int64), weights)


@compiled
def interpolate(x, starts, weights, y):
    """y[s, i] = Σ_t weights[i, t] · x[s, starts[i] + t].

    Args:
        x: (stacks, size, run).
        starts: (outputs,), of a :class:`Band`.
        weights: (outputs, taps).
        y: (stacks, outputs, run).
    """
    stacks, size, run = x.shape
    count, outputs, length = y.shape
    taps = weights.shape[1]
    if count != stacks or length != run or len(starts) != outputs or weights.shape[0] != outputs:
        raise ValueError("interpolate: x must be (stacks, size, run), y (stacks, outputs, run), the band of outputs.")
    for start in starts:
        if start < 0 or start + taps > size:
            raise ValueError("interpolate: the band must lie in x.")
    for stack in range(stacks):
        for i in range(outputs):
            at, to = (stack * size + starts[i]) * run, (stack * outputs + i) * run
            for c in range(0, run, RUN):
                total, left = zeros(1, VECTORS), run - c
                if left >= RUN:
                    for tap in range(taps):
                        total = multiply_add(load(1, VECTORS, x, at + tap * run + c, 0), weights[i, tap], total)
                    store(total, y, to + c, 0)
                else:
                    for tap in range(taps):
                        part = load_first(1, VECTORS, x, at + tap * run + c, 0, left)
                        total = multiply_add(part, weights[i, tap], total)
                    store_first(total, y, to + c, 0, left)
