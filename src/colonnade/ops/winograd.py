"""Convolution 3×3 with stride 1 by fewer multiplications: Winograd's F(2×2, 3×3) and F(4×4, 3×3).

Lavin and Gray 2015, arXiv:1509.09308. Tiles d of the image, (m + 2)² numbers for m² outputs, and the kernel g are
transformed, multiplied number by number, summed over the channels, and transformed back:

    Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A

The sum over channels is, for each number of a tile, a matrix product (tiles, c_in) · (c_in, c_out). In all these take
4 multiplications an output for m = 2 and 2.25 for m = 4, where windows take 9. The transforms cost additions, a fixed
number a channel, so they pay where there are channels enough: `choose` decides. The rounding errors, measured in
tests/ops/test_winograd.py, are about those of the direct sum for m = 2 and some ten times that for m = 4.

Every array here has its images beside its channels, (..., n, c), so that each addition of a transform is one long run
for NumPy. Padding does that copy anyway. Written in docs/math/convolution.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .layout import Array
from .window import Pair, Window

# The transforms and products of one tile group should stay in the nearer caches, yet hold enough tiles that the
# products are fast.
GROUP_NUMBERS, GROUP_TILES = 1 << 18, 128
# What one multiplication and addition in a product costs, and one number in a transform, in nanoseconds on one core.
# Only their ratio matters, and it is about the same wherever NumPy has AVX2 or AVX-512.
PRODUCT_COST, NUMBER_COST = 0.017, 0.17


def choose(window: Window, size: Pair, channels_in: int, channels_out: int, groups: int) -> int:
    """The m of the fastest way for a convolution whose output is of `size`: 2 or 4, or 0 for the direct way."""
    if window.kernel != (3, 3) or window.stride != (1, 1) or window.dilation != (1, 1) or groups != 1:
        return 0
    pairs, both = channels_in * channels_out, channels_in + channels_out
    outputs = size[0] * size[1]
    costs = {0: outputs * (9 * pairs * PRODUCT_COST + 9 * channels_in * NUMBER_COST / 4)}
    for m, transforms in ((2, 24), (4, 155)):
        high, wide = tile_counts(size, m)
        costs[m] = high * wide * ((m + 2) ** 2 * pairs * PRODUCT_COST + transforms * both * NUMBER_COST)
    return min(costs, key=lambda m: costs[m])


def tile_counts(size: Pair, m: int) -> Pair:
    """How many tiles of m × m outputs cover an output of that size, each way."""
    return -(-size[0] // m), -(-size[1] // m)


class Group(NamedTuple):
    """The tiles that are transformed together: some images, some rows of tiles; t tiles in all.

    Attributes:
        fill: Pairs of views: what of the image is copied, and to where among its phases.
        rows: For each of the m + 2 rows of a tile, that row of all tiles: (m, wide + 1, n, c) each.
        mixed: The transform along the rows, (m + 2, rows, m, wide + 1, n, c).
        columns: For each of the m + 2 columns of a tile, that column of all: a view of `mixed`.
        transformed: (m + 2, m + 2, rows, wide, n, c).
        matrix: `transformed` as ((m + 2)², t, c).
    """

    phases: Array
    fill: list[tuple[Array, Array]]
    rows: list[Array]
    mixed: Array
    columns: list[Array]
    transformed: Array
    matrix: Array


def group_shape(images: int, size: Pair, channels: int, m: int) -> Pair:
    """How many images, and of how many rows of tiles, a group holds; `channels` of input and output together."""
    high, wide = tile_counts(size, m)
    tiles = max(GROUP_TILES, GROUP_NUMBERS // ((m + 2) ** 2 * channels))
    if tiles < high * wide:
        return 1, -(-tiles // wide)
    return min(images, tiles // (high * wide)), high


def sizes(images: int, size: Pair, channels_in: int, channels_out: int, m: int) -> dict[str, int]:
    """How many numbers the scratch of one group needs: `phases`, `transformed` and `products`."""
    images, high = group_shape(images, size, channels_in + channels_out, m)
    wide = tile_counts(size, m)[1]
    taken = (m + 2) ** 2 * high * wide * images
    phases = m * m * (high + 1) * (wide + 1) * images * channels_in
    mixed = (m + 2) * high * m * (wide + 1) * images * channels_in
    return {"phases": phases, "transformed": taken * channels_in, "products": max(taken * channels_out, mixed)}


def groups(x: Array, window: Window, size: Pair, channels_out: int, m: int, scratch: dict[str, Array]) -> list[Group]:
    """Cut the images `x` (n, h, w, c), and their padding, into groups of tiles; `scratch` as `sizes` says."""
    images, height, width, channels = x.shape
    top, _, left, _ = window.padding
    step, rows = group_shape(images, size, channels + channels_out, m)
    high, wide = tile_counts(size, m)
    made = []
    for image in range(0, images, step):
        part = x[image : image + step]
        count = len(part)
        for first in range(0, high, rows):
            band = min(rows, high - first)
            shape = (m, band + 1, m, wide + 1, count, channels)
            phases = scratch["phases"][: m * (band + 1) * m * (wide + 1) * count * channels].reshape(shape)
            fill = phase_views(part, phases, top - first * m, left)
            d = [phases[i % m, i // m : i // m + band] for i in range(m + 2)]
            mixed = scratch["products"][: (m + 2) * d[0].size].reshape(m + 2, *d[0].shape)
            e = [mixed[:, :, j % m, j // m : j // m + wide] for j in range(m + 2)]
            transformed = scratch["transformed"][: (m + 2) * e[0].size].reshape(m + 2, *e[0].shape)
            matrix = transformed.reshape((m + 2) ** 2, -1, channels)
            made.append(Group(phases, fill, d, mixed, e, transformed, matrix))
    return made


def phase_views(x: Array, phases: Array, top: int, left: int) -> list[tuple[Array, Array]]:
    """Pairs of views of the same numbers: of images, and of the same images with every m-th row and column together.

    Args:
        x: (n, h, w, c).
        phases: (m, rows, m, columns, n, c). Row r of `x` is number (r + top) // m of phase (r + top) % m.
        top: Rows before the first of `x`; negative where the phases begin within it.
        left: Columns before the first.
    """
    m = len(phases)
    pairs = []
    for i in range(m):
        row = max((i - top) % m, i - top)
        for j in range(m):
            column = max((j - left) % m, j - left)
            images = x[:, row::m, column::m].transpose(1, 2, 0, 3)
            together = phases[i, (row + top) // m :, j, (column + left) // m :]
            high, wide = (min(images.shape[axis], together.shape[axis]) for axis in (0, 1))
            pairs.append((images[:high, :wide], together[:high, :wide]))
    return pairs


def transform_image(group: Group, m: int) -> None:
    """Bᵀ d B of every tile."""
    group.phases.fill(0)
    for source, target in group.fill:
        np.copyto(target, source)
    mix = _mix_image_2 if m == 2 else _mix_image_4
    mix(group.rows, group.mixed)
    mix(group.columns, group.transformed.swapaxes(0, 1))


def _mix_image_2(d: Sequence[Array], t: Array) -> None:
    """T = Bᵀ d for m = 2: d₀ − d₂, d₁ + d₂, d₂ − d₁, d₁ − d₃."""
    np.subtract(d[0], d[2], out=t[0])
    np.add(d[1], d[2], out=t[1])
    np.subtract(d[2], d[1], out=t[2])
    np.subtract(d[1], d[3], out=t[3])


def _mix_image_4(d: Sequence[Array], t: Array) -> None:
    """T = Bᵀ d for m = 4.

    4d₀ − 5d₂ + d₄, −4d₁ − 4d₂ + d₃ + d₄, 4d₁ − 4d₂ − d₃ + d₄, −2d₁ − d₂ + 2d₃ + d₄, 2d₁ − d₂ − 2d₃ + d₄,
    4d₁ − 5d₃ + d₅.
    """
    np.multiply(d[2], -4, out=t[1])
    np.add(t[1], d[4], out=t[1])
    np.multiply(d[1], -4, out=t[0])
    np.add(t[0], d[3], out=t[0])
    np.subtract(t[1], t[0], out=t[2])
    np.add(t[1], t[0], out=t[1])
    np.subtract(d[3], d[1], out=t[5])
    np.add(t[5], t[5], out=t[5])
    np.subtract(d[4], d[2], out=t[3])
    np.subtract(d[0], d[2], out=t[0])
    np.multiply(t[0], 4, out=t[0])
    np.add(t[0], t[3], out=t[0])
    np.subtract(t[3], t[5], out=t[4])
    np.add(t[3], t[5], out=t[3])
    np.multiply(t[5], -2, out=t[5])
    np.subtract(t[5], d[3], out=t[5])
    np.add(t[5], d[5], out=t[5])


def transform_kernel(kernel: Array, m: int, transformed: Array) -> None:
    """G g Gᵀ, from (3, 3, a, b) to (m + 2, m + 2, a, b)."""
    mix = _mix_kernel_2 if m == 2 else _mix_kernel_4
    rows = np.empty((m + 2, *kernel.shape[1:]), kernel.dtype)
    mix(kernel, rows)
    mix(rows.swapaxes(0, 1), transformed.swapaxes(0, 1))


def _mix_kernel_2(g: Array, u: Array) -> None:
    """U = G g for m = 2: g₀, (g₀ + g₁ + g₂)/2, (g₀ − g₁ + g₂)/2, g₂."""
    np.copyto(u[0], g[0])
    np.copyto(u[3], g[2])
    np.add(g[0], g[2], out=u[2])
    np.add(u[2], g[1], out=u[1])
    np.subtract(u[2], g[1], out=u[2])
    np.multiply(u[1:3], 0.5, out=u[1:3])


def _mix_kernel_4(g: Array, u: Array) -> None:
    """U = G g for m = 4: g₀/4, −(g₀ ± g₁ + g₂)/6, (g₀ ± 2g₁ + 4g₂)/24, g₂."""
    np.add(g[0], g[2], out=u[2])
    np.add(u[2], g[1], out=u[1])
    np.subtract(u[2], g[1], out=u[2])
    np.multiply(u[1:3], -1 / 6, out=u[1:3])
    np.multiply(g[0], 1 / 24, out=u[3])
    np.multiply(g[2], 1 / 6, out=u[4])
    np.add(u[3], u[4], out=u[4])
    np.multiply(g[1], 1 / 12, out=u[0])
    np.add(u[4], u[0], out=u[3])
    np.subtract(u[4], u[0], out=u[4])
    np.multiply(g[0], 1 / 4, out=u[0])
    np.copyto(u[5], g[2])


def transform_back(products: Array, m: int) -> Array:
    """Aᵀ M A of every tile, in place: from (m + 2, m + 2, rows, wide, n, c) to a view (m, m, rows, wide, n, c)."""
    back = _back_2 if m == 2 else _back_4
    by_row = back(products)
    return back(by_row.swapaxes(0, 1)).swapaxes(0, 1)


def _back_2(p: Array) -> Array:
    """Y = Aᵀ p for m = 2: p₀ + p₁ + p₂, p₁ − p₂ − p₃."""
    np.add(p[0], p[1], out=p[0])
    np.add(p[0], p[2], out=p[0])
    np.subtract(p[1], p[2], out=p[1])
    np.subtract(p[1], p[3], out=p[1])
    return p[:2]


def _back_4(p: Array) -> Array:
    """Y = Aᵀ p for m = 4.

    p₀ + (p₁ + p₂) + (p₃ + p₄), (p₁ − p₂) + 2(p₃ − p₄), (p₁ + p₂) + 4(p₃ + p₄), (p₁ − p₂) + 8(p₃ − p₄) + p₅.
    """
    for other in p[1:5]:
        np.add(p[0], other, out=p[0])
    _difference_and_sum(p[1], p[2])
    _difference_and_sum(p[3], p[4])
    np.multiply(p[4], 4, out=p[4])
    np.add(p[2], p[4], out=p[2])
    np.add(p[5], p[1], out=p[5])
    np.add(p[3], p[3], out=p[3])
    np.add(p[1], p[3], out=p[1])
    np.multiply(p[3], 4, out=p[3])
    np.add(p[3], p[5], out=p[3])
    return p[:4]


def _difference_and_sum(a: Array, b: Array) -> None:
    """(a, b) ← (a − b, a + b), without another array."""
    np.subtract(a, b, out=a)
    np.add(b, b, out=b)
    np.add(b, a, out=b)


def spread_gradient(grad_y: Array, mixed: Array, spread: Array, m: int) -> None:
    """A gy Aᵀ of every tile: the gradient at each of its products.

    Args:
        grad_y: (m, rows, m, wide, n, c), the outputs' gradient by phases.
        mixed: Scratch, (m + 2, rows, m, wide, n, c).
        spread: Written: (m + 2, m + 2, rows, wide, n, c).
        m: 2 or 4.
    """
    mix = _spread_2 if m == 2 else _spread_4
    mix(grad_y, mixed)
    mix(mixed.transpose(2, 0, 1, 3, 4, 5), spread.swapaxes(0, 1))


def _spread_2(y: Array, p: Array) -> None:
    """P = A y for m = 2: y₀, y₀ + y₁, y₀ − y₁, −y₁."""
    np.copyto(p[0], y[0])
    np.add(y[0], y[1], out=p[1])
    np.subtract(y[0], y[1], out=p[2])
    np.negative(y[1], out=p[3])


def _spread_4(y: Array, p: Array) -> None:
    """P = A y for m = 4: y₀, (y₀ + y₂) ± (y₁ + y₃), (y₀ + 4y₂) ± (2y₁ + 8y₃), y₃."""
    np.add(y[0], y[2], out=p[1])
    np.add(y[1], y[3], out=p[0])
    np.subtract(p[1], p[0], out=p[2])
    np.add(p[1], p[0], out=p[1])
    np.multiply(y[2], 4, out=p[3])
    np.add(p[3], y[0], out=p[3])
    np.multiply(y[3], 4, out=p[0])
    np.add(p[0], y[1], out=p[0])
    np.add(p[0], p[0], out=p[0])
    np.subtract(p[3], p[0], out=p[4])
    np.add(p[3], p[0], out=p[3])
    np.copyto(p[0], y[0])
    np.copyto(p[5], y[3])


def gather_kernel_gradient(grad: Array, mixed: Array, gathered: Array, m: int) -> None:
    """Gᵀ ∂U G: the gradient at the kernel from that at its transform.

    Args:
        grad: (m + 2, m + 2, c_out, c_in); overwritten.
        mixed: Scratch, (3, m + 2, c_out, c_in).
        gathered: Written: (3, 3, c_out, c_in), any view.
        m: 2 or 4.
    """
    gather = _gather_2 if m == 2 else _gather_4
    gather(grad, mixed)
    gather(mixed.swapaxes(0, 1), gathered.swapaxes(0, 1))


def _gather_2(u: Array, g: Array) -> None:
    """Gᵀ u for m = 2: u₀ + (u₁ + u₂)/2, (u₁ − u₂)/2, (u₁ + u₂)/2 + u₃."""
    np.multiply(u[1:3], 0.5, out=u[1:3])
    np.subtract(u[1], u[2], out=g[1])
    np.add(u[1], u[2], out=g[2])
    np.add(u[0], g[2], out=g[0])
    np.add(g[2], u[3], out=g[2])


def _gather_4(u: Array, g: Array) -> None:
    """Gᵀ u for m = 4.

    u₀/4 − (u₁ + u₂)/6 + (u₃ + u₄)/24, (u₂ − u₁)/6 + (u₃ − u₄)/12, −(u₁ + u₂)/6 + (u₃ + u₄)/6 + u₅.
    """
    _difference_and_sum(u[2], u[1])
    _difference_and_sum(u[3], u[4])
    np.multiply(u[2], 1 / 6, out=u[2])
    np.multiply(u[3], 1 / 12, out=u[3])
    np.add(u[2], u[3], out=g[1])
    np.multiply(u[1], -1 / 6, out=u[1])
    np.multiply(u[0], 1 / 4, out=u[0])
    np.multiply(u[4], 1 / 24, out=u[4])
    np.add(u[0], u[1], out=g[0])
    np.add(g[0], u[4], out=g[0])
    np.multiply(u[4], 4, out=u[4])
    np.add(u[1], u[4], out=g[2])
    np.add(g[2], u[5], out=g[2])
