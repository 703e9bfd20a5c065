"""Convolution over any number of axes of pixels, for arrays that lie as they are written: sequences and volumes.

Derived in docs/math/convolution.md. Arrays are (n, c, *size): sequences (n, c, l), volumes (n, c, d, h, w), or others.
Kernels are (c_out, c_in / groups, *k): how many groups there are is told by these shapes. Positions run fastest in
memory, so windows are the columns of a matrix: (n, groups, K, positions), with K = c_in / groups · Π k the numbers of
one window in one group. A product with the kernel, (groups, c_out / groups, K), is the output as it lies in memory. The
matrix is made of some images at a time, or of some positions along the first axis of one, so that it stays in the cache
until it is read.

`out` is written and returned; it is made if it is not given. `columns` is scratch memory, of `conv_nd_columns` numbers:
it only saves making some at each call. Images (n, c, h, w), which lie channels-last in a model, have functions of their
own in :mod:`colonnade.ops.convolution`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .channels import add_to_channels
from .columns import BLOCK_NUMBERS, BLOCK_ROWS, in_lines, room
from .layout import Array, write_back
from .window import Pair, Sizes, Window


def conv_nd_forward(
    x: Array,
    weight: Array,
    bias: Array | None,
    window: Window,
    out: Array | None = None,
    columns: Array | None = None,
) -> Array:
    """Y = K X_col + b.

    Args:
        x: X, (n, c_in, *size).
        weight: K, (c_out, c_in / groups, *k).
        bias: b, (c_out,), or None.
        window: How the kernel moves.
        out: Written: Y, (n, c_out, *outputs).
        columns: Scratch.
    """
    if out is None:
        out = np.empty((len(x), len(weight), *window.output_size(x.shape[2:])), x.dtype)
    groups = x.shape[1] // weight.shape[1]
    for matrix, images, rows in column_matrices(x, window, out.shape[2:], columns):
        y = out[images, :, rows]
        product = by_group(y, groups)
        np.matmul(kernel_rows(weight, groups), by_group(matrix, groups), out=product)
        write_back(product, y)
    if bias is not None:
        add_to_channels(out, bias)
    return out


def conv_nd_backward_input(
    grad_y: Array,
    weight: Array,
    window: Window,
    out: Array | None = None,
    columns: Array | None = None,
    *,
    size: Sizes | None = None,
    groups: int = 1,
) -> Array:
    """The gradient at X: grad_X_col = Kᵀ grad_Y, of which each window's column is added to where the window was read.

    Args:
        grad_y: The gradient at Y, (n, c_out, *outputs).
        weight: K, (c_out, c_in / groups, *k).
        window: How the kernel moves.
        out: Written: the gradient at X, (n, c_in, *size).
        columns: Scratch.
        size: That of X if `out` is not given; by default that of the smallest arrays with so many windows.
        groups: How many there are if `out` is not given.
    """
    outputs = grad_y.shape[2:]
    if out is None:
        out = np.empty((len(grad_y), weight.shape[1] * groups, *(size or window.input_size(outputs))), grad_y.dtype)
    groups = out.shape[1] // weight.shape[1]
    turned = kernel_rows(weight, groups).transpose(0, 2, 1)
    space, border = room(columns, out.dtype, *sizes(window, out.shape))
    for images, rows in blocks(window, out.shape, outputs):
        grad_x = out[images]
        if rows.start == 0:
            padded = with_border(grad_x, window, border)
            padded.fill(0)
        seen = windows(padded, window, outputs, rows)
        laid = space[: seen.size].reshape(seen.shape)
        gradient = by_group(grad_y[images, :, rows], groups)
        np.matmul(turned, gradient, out=laid.reshape(len(laid), groups, -1, gradient.shape[3]))
        for place in np.ndindex(*window.kernel):  # windows overlap, but what one value of the kernel sees does not
            target = seen[:, :, *place]
            np.add(target, laid[:, :, *place], out=target)
        if padded is not grad_x and rows.stop == outputs[0]:
            np.copyto(grad_x, inside(padded, window, out.shape[2:]))
    return out


def conv_nd_backward_weight(
    x: Array,
    grad_y: Array,
    window: Window,
    out: Array | None = None,
    columns: Array | None = None,
    *,
    groups: int = 1,
) -> Array:
    """The gradient at K: grad_K = Σ grad_Y X_colᵀ, over the arrays of the batch.

    Args:
        x: X, (n, c_in, *size).
        grad_y: The gradient at Y, (n, c_out, *outputs).
        window: How the kernel moves.
        out: Written: the gradient at K, (c_out, c_in / groups, *k).
        columns: Scratch.
        groups: How many there are if `out` is not given.
    """
    out = np.empty((grad_y.shape[1], x.shape[1] // groups, *window.kernel), x.dtype) if out is None else out
    groups = x.shape[1] // out.shape[1]
    total = kernel_rows(out, groups)
    total.fill(0)
    *_, space = room(columns, x.dtype, *sizes(window, x.shape), out.size)
    product = space.reshape(total.shape)
    for matrix, images, rows in column_matrices(x, window, grad_y.shape[2:], columns):
        pairs = zip(by_group(grad_y[images, :, rows], groups), by_group(matrix, groups), strict=True)
        for gradient, laid in pairs:
            np.matmul(gradient, laid.transpose(0, 2, 1), out=product)
            np.add(total, product, out=total)
    return write_back(total, out)


def conv_nd_backward_bias(grad_y: Array) -> Array:
    """The gradient at b, (c_out,): grad_Y (n, c_out, *outputs), summed over the batch and all positions."""
    return np.asarray(grad_y.sum(axis=(0, *range(2, grad_y.ndim))))


def conv_nd_columns(
    window: Window, shape: Sequence[int], outputs: int, groups: int = 1, *, backward: bool = False
) -> int:
    """How many numbers of scratch a pass takes, for arrays of `shape` (n, c_in, *size) and c_out = `outputs`."""
    kernel = math.prod(window.kernel) * (shape[1] // groups) * outputs
    return in_lines(*sizes(window, shape), *([kernel] if backward else []))


def windows(padded: Array, window: Window, outputs: Sizes, rows: slice) -> Array:
    """The windows of arrays (n, c, *size) that have their border, as (n, c, *k, *positions): a view.

    Of those that fit, the first `outputs` along each axis, and of these along the first axis `rows`.
    """
    axes = range(2, padded.ndim)
    seen = sliding_window_view(padded, window.extent, axis=tuple(axes), writeable=True)
    positions = [slice(0, (count - 1) * step + 1, step) for count, step in zip(outputs, window.stride, strict=True)]
    values = [slice(None, None, gap) for gap in window.dilation]
    seen = seen[:, :, *positions, *values].transpose(0, 1, *range(padded.ndim, 2 * padded.ndim - 2), *axes)
    return seen[(slice(None),) * padded.ndim + (rows,)]


def column_matrices(
    x: Array, window: Window, outputs: Sizes, space: Array | None = None
) -> Iterator[tuple[Array, slice, slice]]:
    """X_col of arrays (n, c, *size), (images, c · Π k, positions): of some images, or positions on the first axis."""
    columns, border = room(space, x.dtype, *sizes(window, x.shape))
    for images, rows in blocks(window, x.shape, outputs):
        part = x[images]
        if rows.start == 0:
            padded = with_border(part, window, border)
            if padded is not part:
                padded.fill(0)
                np.copyto(inside(padded, window, x.shape[2:]), part)
        seen = windows(padded, window, outputs, rows)
        laid = columns[: seen.size].reshape(seen.shape)
        np.copyto(laid, seen)
        yield laid.reshape(len(part), x.shape[1] * math.prod(window.kernel), -1), images, rows


def with_border(x: Array, window: Window, space: Array) -> Array:
    """Room for arrays (n, c, *size) and the border of their windows, in `space`; where there is none, x itself."""
    if not any(window.padding):
        return x
    shape = (*x.shape[:2], *window.padded_size(x.shape[2:]))
    return space[: math.prod(shape)].reshape(shape)


def inside(padded: Array, window: Window, size: Sizes) -> Array:
    """The arrays of `size` in their border: a view."""
    return padded[:, :, *(slice(start, start + length) for start, length in zip(window.before, size, strict=True))]


def blocks(window: Window, shape: Sequence[int], outputs: Sizes) -> Iterator[tuple[slice, slice]]:
    """The runs of images, and of positions along the first axis, whose windows are laid out together."""
    together, step = block_size(window, shape)
    for image in range(0, shape[0], together):
        for row in range(0, outputs[0], step):
            yield slice(image, image + together), slice(row, min(row + step, outputs[0]))


def block_size(window: Window, shape: Sequence[int]) -> Pair:
    """How many images, and how many positions along the first axis, a block holds: whole images, or a part of one."""
    first, *others = window.output_size(tuple(shape[2:]))
    row = math.prod(others)
    rows = max(BLOCK_NUMBERS // (row * math.prod(window.kernel) * shape[1]), -(-BLOCK_ROWS // row))
    return (1, rows) if rows < first else (min(shape[0], rows // first), first)


def sizes(window: Window, shape: Sequence[int]) -> Pair:
    """How many numbers the columns of a block have, and how many its arrays with their border."""
    images, rows = block_size(window, shape)
    size = tuple(shape[2:])
    positions = rows * math.prod(window.output_size(size)[1:])
    border = images * shape[1] * math.prod(window.padded_size(size)) if any(window.padding) else 0
    return images * shape[1] * math.prod(window.kernel) * positions, border


def kernel_rows(weight: Array, groups: int) -> Array:
    """Kernels (c_out, c_in / groups, *k) as (groups, c_out / groups, K): a view of those that lie in order."""
    return weight.reshape(groups, len(weight) // groups, -1)


def by_group(y: Array, groups: int) -> Array:
    """(n, c, ...) as (n, groups, c / groups, positions): a view of what lies in order, else a copy."""
    return y.reshape(len(y), groups, y.shape[1] // groups, -1)
