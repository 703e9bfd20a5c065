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

from .activation import activate
from .compilation import compiled, inlined
from .registers import WIDTH
from .tiles import add_outer, add_outer_first, add_outers, load_first, row_of, store, store_first, zeros


@compiled
def require_windows(x, y, top, left):
    """Raise ValueError where images of shape x and outputs of shape y, (n, h, w, c), cannot belong together."""
    if x[0] != y[0] or not 0 <= top <= 2 or not 0 <= left <= 2:
        raise ValueError("winograd: as many images in and out, and a border of two at the most")
    if min(y) < 1 or y[1] > x[1] + top + 2 or y[2] > x[2] + left + 2:
        raise ValueError("winograd: each output must see the image")


@inlined
def _times_b(a, b, c, d):
    """Bᵀ times a column."""
    return a - c, b + c, c - b, b - d


@inlined
def _times_a(a, b, c, d):
    """Aᵀ times a column."""
    return a + b + c, b - c - d


@inlined
def _column(x, at, row, a, b, c, d):
    """Bᵀ times four numbers below one another, of sixteen channels each; `a` to `d` say how many of them exist."""
    return _times_b(
        load_first(1, 1, x, at, 0, a),
        load_first(1, 1, x, at + row, 0, b),
        load_first(1, 1, x, at + 2 * row, 0, c),
        load_first(1, 1, x, at + 3 * row, 0, d),
    )


@inlined
def _store_patch(one, two, three, four, v, to, apart, left):
    """The patch of four columns that Bᵀ was multiplied with, times B, number p to v[to + p · apart]."""
    for p in range(4):
        a, b, c, d = _times_b(one[p], two[p], three[p], four[p])
        k = to + 4 * p * apart
        store_first(a, v, k, 0, left)
        store_first(b, v, k + apart, 0, left)
        store_first(c, v, k + 2 * apart, 0, left)
        store_first(d, v, k + 3 * apart, 0, left)


@compiled
def _transform_row(x, image, top, first, count, v, to):
    """Bᵀ d B of `count` neighbouring patches, the first at pixel (top, first), to v from place `to` on.

    Pixels outside the image are zeros that nobody wrote down. Neighbours share two columns, which are transformed once.
    """
    _, height, width, channels = x.shape
    row, apart = width * channels, v.shape[1] * channels
    at = (image * height + top) * row + first * channels
    inside = min(count, max(0, (width - first - 2) // 2))  # patches whose last two columns lie in the image
    for c in range(0, channels, WIDTH):
        left = channels - c
        e = left if 0 <= top < height else 0
        f = left if 0 <= top + 1 < height else 0
        g = left if 0 <= top + 2 < height else 0
        h = left if 0 <= top + 3 < height else 0
        i, k = at + c, to + c
        nothing = zeros(1, 1), zeros(1, 1), zeros(1, 1), zeros(1, 1)
        one = _column(x, i, row, e, f, g, h) if 0 <= first < width else nothing
        two = _column(x, i + channels, row, e, f, g, h) if 0 <= first + 1 < width else nothing
        for _ in range(inside):
            i += 2 * channels
            three, four = _column(x, i, row, e, f, g, h), _column(x, i + channels, row, e, f, g, h)
            _store_patch(one, two, three, four, v, k, apart, left)
            one, two = three, four
            k += channels
        for t in range(inside, count):
            i += 2 * channels
            place = first + 2 * t + 2
            three = _column(x, i, row, e, f, g, h) if place < width else nothing
            four = _column(x, i + channels, row, e, f, g, h) if place + 1 < width else nothing
            _store_patch(one, two, three, four, v, k, apart, left)
            one, two = three, four
            k += channels


@compiled
def _transform(x, top, left, down, across, start, count, v):
    """Bᵀ d B of `count` of the images' down · across patches each, from number `start` on, to v."""
    channels, t = x.shape[3], 0
    while t < count:
        image, place = divmod(start + t, down * across)
        i, j = divmod(place, across)
        together = min(count - t, across - j)
        _transform_row(x, image, 2 * i - top, 2 * j - left, together, v, t * channels)
        t += together


@inlined
def _transform_pixels(a, b, d, e, v, k, apart, left):
    """A g Aᵀ of 2×2 gradients, to v[k]."""
    nothing = zeros(1, 1)
    for p in range(4):
        if p == 0:
            one, two = a, b
        elif p == 1:
            one, two = a + d, b + e
        elif p == 2:
            one, two = a - d, b - e
        else:
            one, two = nothing - d, nothing - e
        to = k + 4 * p * apart
        store_first(one, v, to, 0, left)
        store_first(one + two, v, to + apart, 0, left)
        store_first(one - two, v, to + 2 * apart, 0, left)
        store_first(nothing - two, v, to + 3 * apart, 0, left)


@compiled
def _transform_gradient(grad, down, across, start, count, v):
    """A g Aᵀ of `count` patches of 2×2 gradients, from number `start` on, to v; see :func:`_transform`."""
    _, height, width, channels = grad.shape
    row, apart, t = width * channels, v.shape[1] * channels, 0
    while t < count:
        image, place = divmod(start + t, down * across)
        i, j = divmod(place, across)
        together = min(count - t, across - j)
        at = ((image * height + 2 * i) * width + 2 * j) * channels
        whole = min(together, width // 2 - j)
        for c in range(0, channels, WIDTH):
            left = channels - c
            below = left if 2 * i + 1 < height else 0
            g, k = at + c, t * channels + c
            for _ in range(whole):
                _transform_pixels(
                    load_first(1, 1, grad, g, 0, left), load_first(1, 1, grad, g + channels, 0, left),
                    load_first(1, 1, grad, g + row, 0, below), load_first(1, 1, grad, g + row + channels, 0, below),
                    v, k, apart, left,
                )  # fmt: skip
                g += 2 * channels
                k += channels
            if whole < together:
                nothing = zeros(1, 1)
                one, two = load_first(1, 1, grad, g, 0, left), load_first(1, 1, grad, g + row, 0, below)
                _transform_pixels(one, nothing, two, nothing, v, k, apart, left)
        t += together


@lru_cache
def winograd_forward(rows: int, vectors: int, kind: int) -> Any:
    """Y = activation(x ∗ K + b), 3×3 and of stride 1, by tiles of `rows` patches.

    Args of the function that is returned:
        x: (n, h_in, w_in, c_in).
        top, left: Rows and columns of zeros before it; behind it there are as many as y needs.
        kernel: (16, blocks, c_in, 16 · vectors), from `packing.winograd_panels`.
        bias: (c_out,).
        y: (n, h, w, c_out), written.
        v, m: Scratch for some patches: (16, patches, c_in), (16, patches, c_out).
        a, b: The activation's parameters.
    """
    columns = vectors * WIDTH

    @inlined
    def pixel(value, y, k, left, a, b):
        store_first(activate(kind, value, a, b), y, k, 0, left)

    @compiled
    def untransform(m, bias, y, down, across, start, count, a, b):
        """Aᵀ m A of `count` patches, from number `start` on, and what comes after, to y."""
        _, height, width, channels = y.shape
        row, apart, t = width * channels, m.shape[1] * channels, 0
        while t < count:
            image, place = divmod(start + t, down * across)
            i, j = divmod(place, across)
            together = min(count - t, across - j)
            at = ((image * height + 2 * i) * width + 2 * j) * channels
            whole = width // 2 - j  # patches both of whose columns exist
            below = 2 * i + 1 < height
            for c in range(0, channels, WIDTH):
                left = channels - c
                k, to = t * channels + c, at + c
                begin = load_first(1, 1, bias, c, 0, left)
                for q in range(together):
                    first, second = _times_a(
                        load_first(4, 1, m, k, apart, left),
                        load_first(4, 1, m, k + 4 * apart, apart, left),
                        load_first(4, 1, m, k + 8 * apart, apart, left),
                        load_first(4, 1, m, k + 12 * apart, apart, left),
                    )
                    one, two = _times_a(row_of(first, 0), row_of(first, 1), row_of(first, 2), row_of(first, 3))
                    pixel(one + begin, y, to, left, a, b)
                    if q < whole:
                        pixel(two + begin, y, to + channels, left, a, b)
                    if below:
                        one, two = _times_a(row_of(second, 0), row_of(second, 1), row_of(second, 2), row_of(second, 3))
                        pixel(one + begin, y, to + row, left, a, b)
                        if q < whole:
                            pixel(two + begin, y, to + row + channels, left, a, b)
                    k += channels
                    to += 2 * channels
            t += together

    @compiled
    def forward(x, top, left, kernel, bias, y, v, m, a, b):
        images, height, width, outputs = y.shape
        channels = x.shape[3]
        down, across = (height + 1) // 2, (width + 1) // 2
        _, blocks, depth, filled_up = kernel.shape
        patches = v.shape[1]
        require_windows(x.shape, y.shape, top, left)
        if kernel.shape[0] != 16 or depth != channels or filled_up != columns or blocks * columns < outputs:
            raise ValueError("winograd: the kernel must be packed for the tile")
        if v.shape != (16, patches, channels) or m.shape != (16, patches, outputs) or patches < rows:
            raise ValueError("winograd: scratch must hold a tile's patches")
        if bias.size != outputs:
            raise ValueError("winograd: bias must have a number for each output")
        pairs = channels // 2 * 2 if vectors == 1 else 0
        total, start = images * down * across, 0
        while start < total:
            count = min(patches // rows * rows, total - start)
            _transform(x, top, left, down, across, start, count, v)
            for p in range(16):
                for block in range(blocks):
                    rest = outputs - block * columns
                    first = (p * blocks + block) * channels * columns
                    t = 0
                    while t < count:
                        # The last tile may cover patches twice, or some of an earlier chunk that nobody looks at.
                        t = max(min(t, count - rows), 0)
                        tile = zeros(rows, vectors)
                        at, k = (p * patches + t) * channels, first
                        for c in range(at, at + pairs, 2):
                            tile = add_outers(tile, v, c, channels, kernel, k, 2)
                            k += 2 * columns
                        for c in range(at + pairs, at + channels):
                            tile = add_outer(tile, v, c, channels, kernel, k)
                            k += columns
                        to = (p * patches + t) * outputs + block * columns
                        if rest >= columns:
                            store(tile, m, to, outputs)
                        else:
                            store_first(tile, m, to, outputs, rest)
                        t += rows
            untransform(m, bias, y, down, across, start, count, a, b)
            start += count

    return forward


@lru_cache
def winograd_backward_weight(rows: int, vectors: int) -> Any:
    """grad_K of the convolution that :func:`winograd_forward` computes, by tiles of `rows` inputs.

    Args of the function that is returned:
        x: (n, h_in, w_in, c_in).
        top, left: As there.
        grad: (n, h, w, c_out), the gradient at y.
        grad_kernel: (3, 3, c_in, c_out), overwritten.
        v, m: Scratch for some patches: (16, patches, c_in), (16, patches, c_out).
        products: Scratch: (16, c_in, c_out).
    """
    columns = vectors * WIDTH

    @compiled
    def backward(x, top, left, grad, grad_kernel, v, m, products):
        images, height, width, outputs = grad.shape
        channels = x.shape[3]
        down, across = (height + 1) // 2, (width + 1) // 2
        patches = v.shape[1]
        require_windows(x.shape, grad.shape, top, left)
        if v.shape != (16, patches, channels) or m.shape != (16, patches, outputs):
            raise ValueError("winograd: scratch must hold some patches")
        if products.shape != (16, channels, outputs) or grad_kernel.shape != (3, 3, channels, outputs):
            raise ValueError("winograd: the gradient must have the kernel's shape")
        if channels % rows:
            raise ValueError("winograd: rows must divide the channels")
        total, start = images * down * across, 0
        while start < total:
            count = min(patches, total - start)
            _transform(x, top, left, down, across, start, count, v)
            _transform_gradient(grad, down, across, start, count, m)
            for p in range(16):
                for o in range(0, outputs, columns):
                    rest = outputs - o
                    for c in range(0, channels, rows):
                        to = (p * channels + c) * outputs + o
                        tile = zeros(rows, vectors)
                        if start:
                            tile = load_first(rows, vectors, products, to, outputs, rest)
                        at, g_at = p * patches * channels + c, p * patches * outputs + o
                        if rest >= columns:
                            for _ in range(count):
                                tile = add_outer(tile, v, at, 1, m, g_at)
                                at += channels
                                g_at += outputs
                        else:
                            for _ in range(count):
                                tile = add_outer_first(tile, v, at, 1, m, g_at, rest)
                                at += channels
                                g_at += outputs
                        store_first(tile, products, to, outputs, rest)
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
