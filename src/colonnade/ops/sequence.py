"""Convolution along a sequence (n, c, l). Sequences lie as they are written, so windows are columns of a matrix.

g is the number of groups and K = c_in / g · k the length of one window in one group: a run of K numbers down a
column, and l_out columns. A product with the kernel, (c_out / g, K), is the output as it lies in memory.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .layout import Array


class Stride1d(NamedTuple):
    """How a kernel moves along a sequence.

    Attributes:
        kernel: How many values a window holds.
        stride: Steps from one window to the next.
        before: Zeros before the sequence.
        after: Zeros after it.
        dilation: Steps from one value of a window to the next.
    """

    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1

    @property
    def extent(self) -> int:
        """What one window spans, its gaps included: d · (k − 1) + 1."""
        return self.dilation * (self.kernel - 1) + 1

    def outputs(self, length: int) -> int:
        """How many windows fit: ⌊(padded − extent) / stride⌋ + 1."""
        return (length + self.before + self.after - self.extent) // self.stride + 1


def windows(padded: Array, window: Stride1d, groups: int) -> Array:
    """The windows of a padded sequence (n, c, l), as (n, g, c/g, k, l_out): a view, which may be written to."""
    seen = sliding_window_view(padded, window.extent, axis=2, writeable=True)
    seen = seen[:, :, :: window.stride, :: window.dilation].transpose(0, 1, 3, 2)
    return seen.reshape(len(padded), groups, -1, *seen.shape[2:])


def conv1d_columns(x: Array, window: Stride1d, padded: Array, seen: Array, columns: Array) -> None:
    """Lay the windows of `x` out in `columns`, (n, g, c/g, k, l_out).

    Args:
        x: (n, c, l).
        window: How the kernel moves.
        padded: Scratch, (n, c, l with its border); may be `x` where there is none.
        seen: The windows of `padded`.
        columns: Written.
    """
    if padded is not x:
        padded[:, :, : window.before] = 0
        padded[:, :, padded.shape[2] - window.after :] = 0
        padded[:, :, window.before : padded.shape[2] - window.after] = x
    np.copyto(columns, seen)


def conv1d_forward(columns: Array, kernel: Array, bias: Array | None, y: Array) -> None:
    """Y = W X_col + b.

    Args:
        columns: (n, g, K, l_out).
        kernel: W, (g, c_out/g, K).
        bias: (g, c_out/g, 1), or None.
        y: Written: (n, g, c_out/g, l_out).
    """
    np.matmul(kernel, columns, out=y)
    if bias is not None:
        np.add(y, bias, out=y)


def conv1d_backward_input(
    grad_y: Array, kernel: Array, window: Stride1d, columns: Array, padded: Array, seen: Array, out: Array
) -> None:
    """grad_X_col = Wᵀ grad_Y, each window's gradient then added to where the window was read.

    Args:
        grad_y: (n, g, c_out/g, l_out).
        kernel: (g, c_out/g, K).
        window: How the kernel moves.
        columns: Scratch, (n, g, c/g, k, l_out).
        padded: Scratch, (n, c, l with its border); may be `out` where there is none.
        seen: The windows of `padded`.
        out: Written: the gradient at the input, (n, c, l).
    """
    images, groups = grad_y.shape[:2]
    np.matmul(kernel.transpose(0, 2, 1), grad_y, out=columns.reshape(images, groups, kernel.shape[2], -1))
    padded.fill(0)
    for position in range(window.kernel):  # windows overlap, but what one value of the kernel sees does not
        target = seen[:, :, :, position]
        np.add(target, columns[:, :, :, position], out=target)
    if padded is not out:
        np.copyto(out, padded[:, :, window.before : window.before + out.shape[2]])
