"""A table of vectors, looked up by number."""

from __future__ import annotations

import numpy as np

from .layout import Array


def embedding_forward(index: Array, table: Array, out: Array) -> None:
    """y[...] = table[index[...]]: index (n, ...) of whole numbers in range, table (size, d), out (n, ..., d)."""
    np.take(table, index, axis=0, out=out, mode="clip")  # any other mode would make a copy of the output first


def embedding_backward(index: Array, grad_y: Array, table_grad: Array) -> None:
    """Add the gradient of each vector that was looked up to its row of `table_grad`, (size, d)."""
    np.add.at(table_grad, index, grad_y)
