"""Convolution 3×3 of stride 1 by Winograd's F(2×2, 3×3): 16 multiplications where there were 36.

For each patch d of 4×4 numbers, which overlap by two, and each kernel g of 3×3:

    y = Aᵀ [(G g Gᵀ) ∘ (Bᵀ d B)] A        2×2 outputs

The products ∘, summed over channels, are sixteen matrix products over many patches at once, by tiles. The gradient at
the kernel is the transpose of that: Gᵀ [Σ (Bᵀ d B) ∘ (A grad_y Aᵀ)] G, the sum over patches being sixteen products
too. Lavin and Gray 2015, arXiv:1509.09308.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..ops.layout import Array
from .activation import activate
from .compilation import compiled
from .packing import winograd_panels
from .tiles import (
    WIDTH,
    Size,
    add_outer,
    add_outer_first,
    largest_rows,
    largest_vectors,
    load_first,
    row_of,
    store,
    store_first,
    zeros,
)

# The transformed patches of so many bytes are multiplied at once: they and the products stay in cache.
CHUNK_BYTES = 1 << 19


@compiled
def _times_b(a, b, c, d):
    """Bᵀ times a column."""
    return a - c, b + c, c - b, b - d


@compiled
def _times_a(a, b, c, d):
    """Aᵀ times a column."""
    return a + b + c, b - c - d


@compiled
def _transform(x, at, row, channels, v, to, apart):
    """Bᵀ d B of the patch at x[at]: its number p to v[to + p · apart : … + channels]."""
    for c in range(0, channels, WIDTH):
        left, i = channels - c, at + c
        # Four rows of the patch, each a tile of four pixels.
        rows = _times_b(
            load_first(4, 1, x, i, channels, left),
            load_first(4, 1, x, i + row, channels, left),
            load_first(4, 1, x, i + 2 * row, channels, left),
            load_first(4, 1, x, i + 3 * row, channels, left),
        )
        for p in range(4):
            pixels, k = rows[p], to + 4 * p * apart + c
            a, b, d, e = _times_b(row_of(pixels, 0), row_of(pixels, 1), row_of(pixels, 2), row_of(pixels, 3))
            store_first(a, v, k, 0, left)
            store_first(b, v, k + apart, 0, left)
            store_first(d, v, k + 2 * apart, 0, left)
            store_first(e, v, k + 3 * apart, 0, left)


@compiled
def _transform_gradient(grad, at, row, channels, v, to, apart, height, width):
    """A g Aᵀ of a patch of 2×2 gradients, of which height × width exist."""
    for c in range(0, channels, WIDTH):
        left, i = channels - c, at + c
        k = to + c
        nothing = zeros(1, 1)
        a = load_first(1, 1, grad, i, 0, left)
        b = load_first(1, 1, grad, i + channels, 0, left) if width > 1 else nothing
        d = load_first(1, 1, grad, i + row, 0, left) if height > 1 else nothing
        e = load_first(1, 1, grad, i + row + channels, 0, left) if width > 1 and height > 1 else nothing
        for p in range(4):
            if p == 0:
                one, two = a, b
            elif p == 1:
                one, two = a + d, b + e
            elif p == 2:
                one, two = a - d, b - e
            else:
                one, two = nothing - d, nothing - e
            place = k + 4 * p * apart
            store_first(one, v, place, 0, left)
            store_first(one + two, v, place + apart, 0, left)
            store_first(one - two, v, place + 2 * apart, 0, left)
            store_first(nothing - two, v, place + 3 * apart, 0, left)


@lru_cache
def winograd_forward(rows: int, vectors: int, code: int, adds: bool) -> Any:
    """Y = activation(x ∗ K + b (+ other)), 3×3 and of stride 1, by tiles of `rows` patches.

    Args of the function that is returned:
        x: (n, 2⌈h/2⌉ + 2, 2⌈w/2⌉ + 2, c_in), with its border.
        kernel: (16, blocks, c_in, 16 · vectors), from :func:`packed`.
        bias: (c_out,).
        other: Added before the activation, of y's shape; not looked at unless `adds`.
        y: (n, h, w, c_out), written.
        v, m: Scratch for some patches: (16, patches, c_in), (16, patches, c_out).
        a, b: The activation's parameters.
    """
    columns = vectors * WIDTH

    @compiled
    def _untransform(m, at, apart, channels, bias, other, y, to, row, height, width, a, b):
        """Aᵀ m A of one patch, and what comes after, to y[to], of whose 2×2 pixels height × width exist."""
        for c in range(0, channels, WIDTH):
            left, i = channels - c, at + c
            first, second = _times_a(
                load_first(4, 1, m, i, apart, left),
                load_first(4, 1, m, i + 4 * apart, apart, left),
                load_first(4, 1, m, i + 8 * apart, apart, left),
                load_first(4, 1, m, i + 12 * apart, apart, left),
            )
            start = load_first(1, 1, bias, c, 0, left)
            for p in range(min(height, 2)):
                pixels = first if p == 0 else second
                one, two = _times_a(row_of(pixels, 0), row_of(pixels, 1), row_of(pixels, 2), row_of(pixels, 3))
                k = to + p * row + c
                one, two = one + start, two + start
                if adds:
                    one = one + load_first(1, 1, other, k, 0, left)
                store_first(activate(code, one, a, b), y, k, 0, left)
                if width > 1:
                    if adds:
                        two = two + load_first(1, 1, other, k + channels, 0, left)
                    store_first(activate(code, two, a, b), y, k + channels, 0, left)

    @compiled
    def forward(x, kernel, bias, other, y, v, m, a, b):
        images, height, width, outputs = y.shape
        n, x_height, x_width, channels = x.shape
        down, across = (height + 1) // 2, (width + 1) // 2
        _, blocks, depth, filled_up = kernel.shape
        patches = v.shape[1]
        if n != images or x_height < 2 * down + 2 or x_width < 2 * across + 2:
            raise ValueError("winograd: the images must have their border")
        if kernel.shape[0] != 16 or depth != channels or filled_up != columns or blocks * columns < outputs:
            raise ValueError("winograd: the kernel must be packed for the tile")
        if v.shape != (16, patches, channels) or m.shape != (16, patches, outputs) or patches < rows:
            raise ValueError("winograd: scratch must hold a tile's patches")
        if bias.size != outputs or (adds and other.size != y.size):
            raise ValueError("winograd: bias and what is added must fit")
        x_row, y_row = x_width * channels, width * outputs
        total, start = images * down * across, 0
        while start < total:
            count = min(patches, total - start)
            for t in range(count):
                image, place = divmod(start + t, down * across)
                i, j = divmod(place, across)
                at = (image * x_height + 2 * i) * x_row + 2 * j * channels
                _transform(x, at, x_row, channels, v, t * channels, patches * channels)
            for p in range(16):
                for block in range(blocks):
                    left = outputs - block * columns
                    first = (p * blocks + block) * channels * columns
                    t = 0
                    while t < count:
                        # The last tile may cover patches twice, or some of an earlier chunk that nobody looks at.
                        t = max(min(t, count - rows), 0)
                        tile = zeros(rows, vectors)
                        at, k = (p * patches + t) * channels, first
                        for c in range(at, at + channels):
                            tile = add_outer(tile, v, c, channels, kernel, k)
                            k += columns
                        to = (p * patches + t) * outputs + block * columns
                        if left >= columns:
                            store(tile, m, to, outputs)
                        else:
                            store_first(tile, m, to, outputs, left)
                        t += rows
            for t in range(count):
                image, place = divmod(start + t, down * across)
                i, j = divmod(place, across)
                to = ((image * height + 2 * i) * width + 2 * j) * outputs
                _untransform(m, t * outputs, patches * outputs, outputs, bias, other, y, to, y_row,
                             height - 2 * i, width - 2 * j, a, b)  # fmt: skip
            start += count

    return forward


@lru_cache
def winograd_backward_weight(rows: int, vectors: int) -> Any:
    """grad_K of the convolution that :func:`winograd_forward` computes, by tiles of `rows` inputs.

    Args of the function that is returned:
        x: (n, 2⌈h/2⌉ + 2, 2⌈w/2⌉ + 2, c_in), with its border.
        grad: (n, h, w, c_out), the gradient at y.
        grad_kernel: (3, 3, c_in, c_out), overwritten.
        v, m: Scratch for some patches: (16, patches, c_in), (16, patches, c_out).
        products: Scratch: (16, c_in, c_out).
    """
    columns = vectors * WIDTH

    @compiled
    def backward(x, grad, grad_kernel, v, m, products):
        images, height, width, outputs = grad.shape
        n, x_height, x_width, channels = x.shape
        down, across = (height + 1) // 2, (width + 1) // 2
        patches = v.shape[1]
        if n != images or x_height < 2 * down + 2 or x_width < 2 * across + 2:
            raise ValueError("winograd: the images must have their border")
        if v.shape != (16, patches, channels) or m.shape != (16, patches, outputs):
            raise ValueError("winograd: scratch must hold some patches")
        if products.shape != (16, channels, outputs) or grad_kernel.shape != (3, 3, channels, outputs):
            raise ValueError("winograd: the gradient must have the kernel's shape")
        if channels % rows:
            raise ValueError("winograd: rows must divide the channels")
        x_row, y_row = x_width * channels, width * outputs
        total, start = images * down * across, 0
        while start < total:
            count = min(patches, total - start)
            for t in range(count):
                image, place = divmod(start + t, down * across)
                i, j = divmod(place, across)
                at = (image * x_height + 2 * i) * x_row + 2 * j * channels
                _transform(x, at, x_row, channels, v, t * channels, patches * channels)
                at = ((image * height + 2 * i) * width + 2 * j) * outputs
                _transform_gradient(grad, at, y_row, outputs, m, t * outputs, patches * outputs,
                                    height - 2 * i, width - 2 * j)  # fmt: skip
            for p in range(16):
                for o in range(0, outputs, columns):
                    left = outputs - o
                    for c in range(0, channels, rows):
                        to = (p * channels + c) * outputs + o
                        tile = zeros(rows, vectors)
                        if start:
                            tile = load_first(rows, vectors, products, to, outputs, left)
                        at, g_at = p * patches * channels + c, p * patches * outputs + o
                        if left >= columns:
                            for _ in range(count):
                                tile = add_outer(tile, v, at, 1, m, g_at)
                                at += channels
                                g_at += outputs
                        else:
                            for _ in range(count):
                                tile = add_outer_first(tile, v, at, 1, m, g_at, left)
                                at += channels
                                g_at += outputs
                        store_first(tile, products, to, outputs, left)
            start += count
        _untransform_kernel(products, grad_kernel)

    return backward


@compiled
def _times_g(a, b, c, d):
    """Gᵀ times a column."""
    half, other = (b + c) * 0.5, (b - c) * 0.5
    return a + half, other, half + d


@compiled
def _untransform_kernel(products, grad_kernel):
    """Gᵀ products G, for each pair of channels."""
    size = products.shape[1] * products.shape[2]
    for i in range(0, size, WIDTH):
        left = size - i
        # Four rows, each a tile of four numbers.
        rows = _times_g(
            load_first(4, 1, products, i, size, left),
            load_first(4, 1, products, i + 4 * size, size, left),
            load_first(4, 1, products, i + 8 * size, size, left),
            load_first(4, 1, products, i + 12 * size, size, left),
        )
        for p in range(3):
            row, k = rows[p], i + 3 * p * size
            a, b, c = _times_g(row_of(row, 0), row_of(row, 1), row_of(row, 2), row_of(row, 3))
            store_first(a, grad_kernel, k, 0, left)
            store_first(b, grad_kernel, k + size, 0, left)
            store_first(c, grad_kernel, k + 2 * size, 0, left)


def packed(kernel: Array, columns: int) -> Array:
    """G g Gᵀ of each kernel, (3, 3, channels, outputs) contiguous, as (16, blocks, channels, columns)."""
    channels, outputs = kernel.shape[2:]
    made = np.empty((16, -(-outputs // columns), channels, columns), np.float32)
    winograd_panels(kernel, made)
    return made


def patches(channels: int, outputs: int, total: int, rows: int) -> int:
    """How many patches are multiplied at once: a multiple of `rows` that fits `CHUNK_BYTES`, if there are so many."""
    fit = max(1, CHUNK_BYTES // (16 * 4 * (channels + outputs)) // rows)
    return rows * min(fit, -(-total // rows))


def forward_size(outputs: int) -> Size:
    """Rows and vectors of the tiles of the forward pass."""
    vectors = largest_vectors()
    return Size(largest_rows(vectors), vectors)


def backward_rows(channels: int, vectors: int) -> int:
    """Rows of the tiles of the kernel's gradient: the most that divide the channels."""
    return max(rows for rows in range(1, largest_rows(vectors) + 1) if channels % rows == 0)
