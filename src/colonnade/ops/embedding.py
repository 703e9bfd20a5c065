"""A table of vectors, looked up by number: a copy, whose gradient is a sum. See docs/math/rearrangement.md."""

from __future__ import annotations

import numpy as np

from .layout import Array


def embedding_forward(index: Array, table: Array, out: Array | None = None) -> Array:
    """y[...] = table[index[...]].

    Args:
        index: Whole numbers in range, (n, ...).
        table: (size, d).
        out: Written, and returned; made if not given: (n, ..., d).
    """
    # Any other mode would make a copy of the output first.
    return np.take(table, index, axis=0, out=out, mode="clip")


def embedding_backward(
    index: Array, grad_y: Array, size: int, padding: int | None = None, out: Array | None = None
) -> Array:
    """grad_table[i] = Σ grad_y[...] over all places where index[...] = i.

    Args:
        index: As in the forward pass.
        grad_y: The gradient at y, (n, ..., d).
        size: How many vectors there are.
        padding: One of them that gets no gradient.
        out: Added to, and returned; zeros if not given: (size, d).
    """
    out = np.zeros((size, grad_y.shape[-1]), grad_y.dtype) if out is None else out
    kept = None if padding is None else out[padding].copy()
    np.add.at(out, index, grad_y)
    if kept is not None:
        out[padding] = kept
    return out
