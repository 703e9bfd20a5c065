"""Convolution along a sequence (n, c, l). Derived in docs/math/convolution.md, of which it is the case of one axis.

Kernels are (c_out, c_in / groups, k): how many groups there are is told by these shapes. Sequences lie as they are
written, so windows are columns of a matrix: (n, groups, K, l_out), with K = c_in / groups · k the length of one window
in one group. A product with the kernel, (groups, c_out / groups, K), is the output as it lies in memory.

`out` is written and returned; it is made if it is not given. `columns` is scratch memory, of `conv1d_columns` numbers:
it only saves making some at each call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .columns import in_lines, room
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

    @property
    def padded(self) -> bool:
        """Whether there are zeros before or after."""
        return self.before > 0 or self.after > 0

    def outputs(self, length: int) -> int:
        """How many windows fit: ⌊(padded − extent) / stride⌋ + 1."""
        return (length + self.before + self.after - self.extent) // self.stride + 1

    def input_length(self, outputs: int) -> int:
        """The shortest sequence with so many windows: (outputs − 1) · stride + extent − padding."""
        return (outputs - 1) * self.stride + self.extent - self.before - self.after


def conv1d_forward(
    x: Array,
    weight: Array,
    bias: Array | None,
    window: Stride1d,
    out: Array | None = None,
    columns: Array | None = None,
) -> Array:
    """Y = K X_col + b.

    Args:
        x: X, (n, c_in, l).
        weight: K, (c_out, c_in / groups, k).
        bias: b, (c_out,), or None.
        window: How the kernel moves.
        out: Written: Y, (n, c_out, l_out).
        columns: Scratch.
    """
    out = np.empty((len(x), len(weight), window.outputs(x.shape[2])), x.dtype) if out is None else out
    groups = x.shape[1] // weight.shape[1]
    np.matmul(_by_group(weight, groups), column_matrix(x, window, groups, columns), out=_group_channels(out, groups))
    if bias is not None:
        np.add(out, bias[:, None], out=out)
    return out


def conv1d_backward_input(
    grad_y: Array,
    weight: Array,
    window: Stride1d,
    out: Array | None = None,
    columns: Array | None = None,
    *,
    length: int | None = None,
    groups: int = 1,
) -> Array:
    """The gradient at X: grad_X_col = Kᵀ grad_Y, of which each window's column is added to where the window was read.

    Args:
        grad_y: The gradient at Y, (n, c_out, l_out).
        weight: K, (c_out, c_in / groups, k).
        window: How the kernel moves.
        out: Written: the gradient at X, (n, c_in, l).
        columns: Scratch.
        length: l if `out` is not given; by default that of the shortest sequence with so many windows.
        groups: How many there are if `out` is not given.
    """
    if out is None:
        length = window.input_length(grad_y.shape[2]) if length is None else length
        out = np.empty((len(grad_y), weight.shape[1] * groups, length), grad_y.dtype)
    groups = out.shape[1] // weight.shape[1]
    laid, padded = _room(columns, out, window, groups)
    padded = padded if window.padded else out
    matrix = laid.reshape(*laid.shape[:2], -1, laid.shape[4])
    np.matmul(_by_group(weight, groups).transpose(0, 2, 1), _group_channels(grad_y, groups), out=matrix)
    padded.fill(0)
    seen = windows(padded, window, groups)
    for position in range(window.kernel):  # windows overlap, but what one value of the kernel sees does not
        target = seen[:, :, :, position]
        np.add(target, laid[:, :, :, position], out=target)
    if padded is not out:
        np.copyto(out, padded[:, :, window.before : window.before + out.shape[2]])
    return out


def conv1d_backward_weight(
    x: Array,
    grad_y: Array,
    window: Stride1d,
    out: Array | None = None,
    columns: Array | None = None,
    *,
    groups: int = 1,
) -> Array:
    """The gradient at K: grad_K = Σ grad_Y X_colᵀ, over the sequences of the batch.

    Args:
        x: X, (n, c_in, l).
        grad_y: The gradient at Y, (n, c_out, l_out).
        window: How the kernel moves.
        out: Written: the gradient at K, (c_out, c_in / groups, k).
        columns: Scratch.
        groups: How many there are if `out` is not given.
    """
    out = np.empty((grad_y.shape[1], x.shape[1] // groups, window.kernel), x.dtype) if out is None else out
    groups = x.shape[1] // out.shape[1]
    matrices = column_matrix(x, window, groups, columns).transpose(0, 1, 3, 2)
    *_, product = room(columns, x.dtype, *_sizes(window, x.shape), out.size)
    total = _by_group(out, groups)
    product = product.reshape(total.shape)
    total.fill(0)
    for gradient, matrix in zip(_group_channels(grad_y, groups), matrices, strict=True):
        np.matmul(gradient, matrix, out=product)
        np.add(total, product, out=total)
    return out


def conv1d_backward_bias(grad_y: Array) -> Array:
    """The gradient at b, (c_out,): grad_Y (n, c_out, l_out), summed over sequences and places."""
    return np.asarray(grad_y.sum(axis=(0, 2)))


def conv1d_columns(
    window: Stride1d, shape: Sequence[int], outputs: int, groups: int = 1, *, backward: bool = False
) -> int:
    """How many numbers of scratch a pass takes, for sequences of `shape` (n, c_in, l) and c_out = `outputs`."""
    kernel = window.kernel * (shape[1] // groups) * outputs
    return in_lines(*_sizes(window, shape), *([kernel] if backward else []))


def windows(padded: Array, window: Stride1d, groups: int = 1) -> Array:
    """The windows of a sequence (n, c, l) that has its border, as (n, groups, c / groups, k, l_out): a view."""
    seen = sliding_window_view(padded, window.extent, axis=2, writeable=True)
    seen = seen[:, :, :: window.stride, :: window.dilation].transpose(0, 1, 3, 2)
    return seen.reshape(len(padded), groups, -1, *seen.shape[2:])


def column_matrix(x: Array, window: Stride1d, groups: int = 1, columns: Array | None = None) -> Array:
    """X_col of sequences (n, c, l): (n, groups, K, l_out)."""
    laid, padded = _room(columns, x, window, groups)
    if window.padded:
        inside = slice(window.before, window.before + x.shape[2])
        padded[:, :, : inside.start] = 0
        padded[:, :, inside] = x
        padded[:, :, inside.stop :] = 0
    np.copyto(laid, windows(padded if window.padded else x, window, groups))
    return laid.reshape(*laid.shape[:2], -1, laid.shape[4])


def _room(columns: Array | None, x: Array, window: Stride1d, groups: int) -> tuple[Array, Array]:
    """Scratch for the windows of x as they are laid out, and for x with its border."""
    images, channels, length = x.shape
    laid, padded = room(columns, x.dtype, *_sizes(window, x.shape))
    shape = (images, groups, channels // groups, window.kernel, window.outputs(length))
    return laid.reshape(shape), padded.reshape(images, channels, -1)


def _sizes(window: Stride1d, shape: Sequence[int]) -> tuple[int, int]:
    """How many numbers the columns of sequences (n, c, l) have, and how many these with their border."""
    images, channels, length = shape
    border = images * channels * (length + window.before + window.after) if window.padded else 0
    return images * channels * window.kernel * window.outputs(length), border


def _by_group(weight: Array, groups: int) -> Array:
    """Kernels (c_out, c_in / groups, k) as (groups, c_out / groups, K): a view."""
    return weight.reshape(groups, len(weight) // groups, math.prod(weight.shape[1:]))


def _group_channels(y: Array, groups: int) -> Array:
    """(n, c, l) as (n, groups, c / groups, l): a view."""
    return y.reshape(len(y), groups, -1, y.shape[2])
