"""Convolution as the paper has it: windows laid out as the rows of a matrix, times the kernel.

Derived in docs/math/convolution.md. Images are (n, c, h, w), kernels (c_out, c_in / groups, k_h, k_w): how many groups
there are is told by these shapes. Each group is a convolution by itself, of its channels with its kernels.

`out` is written and returned; it is made if it is not given. `columns` is scratch memory, of `conv2d_columns` numbers:
it only saves making some at each call.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from .channels import add_to_channels, channel_sums
from .columns import (
    as_rows,
    blocks,
    column_matrices,
    column_matrix,
    crop,
    in_lines,
    kernel_columns,
    multiply,
    multiply_transposed,
    room,
    sizes,
    transposed_numbers,
    windows,
    zeros,
)
from .depthwise import depthwise_backward_input, depthwise_backward_weight, depthwise_forward, depthwise_sizes
from .layout import Array, empty_batch
from .window import Pair, Window


def conv2d_forward(
    x: Array, weight: Array, bias: Array | None, window: Window, out: Array | None = None, columns: Array | None = None
) -> Array:
    """Y = X_col Kᵀ + b.

    Args:
        x: X, (n, c_in, h, w).
        weight: K, (c_out, c_in / groups, k_h, k_w).
        bias: b, (c_out,), or None.
        window: How the kernel moves over the images.
        out: Written: Y, (n, c_out, h_out, w_out).
        columns: Scratch.
    """
    if out is None:
        out = empty_batch((len(x), len(weight), *window.output_size((x.shape[2], x.shape[3]))), x.dtype)
    groups = x.shape[1] // weight.shape[1]
    if depthwise(x.shape[1], len(weight), groups):
        depthwise_forward(x, weight, window, out, columns)
    else:
        for group, kernel, y in by_group(groups, x, weight, out):
            kernel = np.ascontiguousarray(kernel_columns(kernel))
            for matrix, images, rows in column_matrices(group, window, (y.shape[2], y.shape[3]), columns):
                multiply(matrix, kernel, y[images, :, rows])
    if bias is not None:
        add_to_channels(out, bias)
    return out


def conv2d_backward_input(
    grad_y: Array,
    weight: Array,
    window: Window,
    out: Array | None = None,
    columns: Array | None = None,
    *,
    size: Pair | None = None,
    groups: int = 1,
) -> Array:
    """The gradient at X: grad_X_col = grad_Y K, of which each window's row is added to where the window was read.

    With stride 1 the same sum is a convolution, of grad_Y with the turned kernel.

    Args:
        grad_y: The gradient at Y, (n, c_out, h_out, w_out).
        weight: K, (c_out, c_in / groups, k_h, k_w).
        window: How the kernel moves over the images.
        out: Written: the gradient at X, (n, c_in, h, w).
        columns: Scratch.
        size: (h, w) if `out` is not given; by default that of the smallest images with so many windows.
        groups: How many there are if `out` is not given.
    """
    outputs = (grad_y.shape[2], grad_y.shape[3])
    if out is None:
        out = empty_batch((len(grad_y), weight.shape[1] * groups, *(size or window.input_size(outputs))), grad_y.dtype)
    groups = out.shape[1] // weight.shape[1]
    turned = window.turned((out.shape[2], out.shape[3]), outputs)
    if depthwise(out.shape[1], len(weight), groups):
        depthwise_backward_input(grad_y, weight, window, out, columns)
    elif turned is not None:
        conv2d_forward(grad_y, turned_kernel(weight, groups), None, turned, out, columns)
    else:
        for gradient, kernel, grad_x in by_group(groups, grad_y, weight, out):
            _add_columns(gradient, kernel, window, grad_x, columns)
    return out


def _add_columns(grad_y: Array, weight: Array, window: Window, out: Array, columns: Array | None) -> None:
    """The gradient at X by the column matrix, for any stride and a single group."""
    height, width = grad_y.shape[2:]
    space, border = room(columns, out.dtype, *sizes(window, out.shape))
    for images, rows in blocks(window, out.shape):
        grad_x, gradient = out[images], grad_y[images, :, rows]
        if rows.start == 0:
            padded = zeros(grad_x.shape, window, border)
        seen = windows(padded, window)[:, :, :height, :width][:, :, rows]
        matrix, laid = column_matrix(seen.shape, space)
        np.matmul(as_rows(gradient), kernel_columns(weight).T, out=matrix)
        for s, t in np.ndindex(window.kernel):  # windows overlap, but what one value of the kernel sees does not
            seen[..., s, t] += laid[..., s, t]
        if rows.stop >= height:
            grad_x[...] = crop(padded, window, (out.shape[2], out.shape[3]))


def conv2d_backward_weight(
    x: Array,
    grad_y: Array,
    window: Window,
    out: Array | None = None,
    columns: Array | None = None,
    *,
    groups: int = 1,
) -> Array:
    """The gradient at K: grad_Kᵀ = X_colᵀ grad_Y.

    Args:
        x: X, (n, c_in, h, w).
        grad_y: The gradient at Y, (n, c_out, h_out, w_out).
        window: How the kernel moves over the images.
        out: Written: the gradient at K, (c_out, c_in / groups, k_h, k_w).
        columns: Scratch.
        groups: How many there are if `out` is not given.
    """
    if out is None:
        out = empty_batch((grad_y.shape[1], x.shape[1] // groups, *window.kernel), x.dtype)
    groups = x.shape[1] // out.shape[1]
    if depthwise(x.shape[1], len(out), groups):
        depthwise_backward_weight(x, grad_y, window, out, columns)
        return out
    out.fill(0)
    for group, total, gradient in by_group(groups, x, out, grad_y):
        *_, space = room(columns, x.dtype, *sizes(window, group.shape), transposed_numbers(total.size))
        total = total.transpose(2, 3, 1, 0)  # the order of Kᵀ
        for matrix, images, rows in column_matrices(group, window, (grad_y.shape[2], grad_y.shape[3]), columns):
            product = multiply_transposed(matrix, as_rows(gradient[images, :, rows]), space)
            total += product.reshape(total.shape)
    return out


def conv2d_backward_bias(grad_y: Array) -> Array:
    """The gradient at b, (c_out,): grad_Y (n, c_out, h_out, w_out), summed over images and positions."""
    return channel_sums(as_rows(grad_y)).astype(grad_y.dtype)


def conv2d_columns(
    window: Window, shape: Sequence[int], outputs: int, groups: int = 1, *, backward: bool = False
) -> int:
    """How many numbers of scratch the forward pass takes, or the backward passes, for images (n, c_in, h, w).

    Args:
        window: How the kernel moves over the images.
        shape: (n, c_in, h, w).
        outputs: c_out.
        groups: How many there are.
        backward: Which of the passes.
    """
    images, channels, height, width = shape
    size = window.output_size((height, width))
    if depthwise(channels, outputs, groups):
        return in_lines(*depthwise_sizes(window, shape, size))
    inputs = sizes(window, (images, channels // groups, height, width))
    if not backward:
        return in_lines(*inputs)
    kernel = math.prod(window.kernel) * (channels // groups) * (outputs // groups)
    turned = window.turned((height, width), size)
    back = inputs if turned is None else sizes(turned, (images, outputs // groups, *size))
    return max(in_lines(*inputs, transposed_numbers(kernel)), in_lines(*back))


def depthwise(inputs: int, outputs: int, groups: int) -> bool:
    """Whether each group has one channel in and one out, and there are several."""
    return 1 < groups == inputs == outputs


def by_group(groups: int, x: Array, weight: Array, y: Array) -> Iterator[tuple[Array, Array, Array]]:
    """Each group's channels in, kernels, and channels out; views of images, kernels and images."""
    if groups == 1:
        return iter([(x, weight, y)])
    return zip(np.split(x, groups, 1), np.split(weight, groups), np.split(y, groups, 1), strict=True)


def turned_kernel(weight: Array, groups: int = 1) -> Array:
    """The kernel that carries gradients back: turned by 180°, each group's inputs and outputs exchanged.

    (c_out, c_in / groups, k_h, k_w) becomes (c_in, c_out / groups, k_h, k_w).
    """
    by_group = weight[:, :, ::-1, ::-1].reshape(groups, -1, *weight.shape[1:])
    return by_group.transpose(0, 2, 1, 3, 4).reshape(-1, len(weight) // groups, *weight.shape[2:])
