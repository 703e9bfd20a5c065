"""Convolution as the paper has it: windows laid out as the rows of a matrix, times the kernel.

Written in docs/math/convolution.md. Throughout, g is the number of groups, K = k_h · k_w · c_in / g the length of
one window in one group, and a row of the column matrix is one output position.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .layout import Array, channels_last
from .window import Pair, Window

# A tile's column matrix should stay in the second-level cache until the product has read it, yet hold enough rows
# that reading the kernel once a tile costs nothing beside the product.
TILE_NUMBERS = 1 << 18
TILE_ROWS = 256

# What a convolution costs on one core, for choosing how many neighbouring outputs are computed together. A product of
# n columns runs at PEAK · n / (n + HALF_PEAK) operations a nanosecond; copying takes RUN nanoseconds to begin each run
# and NUMBER for each number. Only their ratios matter, and they differ little from one machine to another.
PEAK, HALF_PEAK, RUN, NUMBER = 145.0, 12.0, 12.0, 0.12


class Product(NamedTuple):
    """How a convolution becomes one matrix product.

    Neighbouring outputs of a row share most of their windows. Where there are few channels it pays to compute some
    together, as the channels of one output with a wider window: fewer and longer runs are copied, and the product is
    wider; the price is that the wide kernel is part zeros.

    Attributes:
        window: The window as the layer has it.
        together: How many neighbouring outputs of a row are computed at once; it divides their number.
        wide: The window that covers the windows of all of them.
    """

    window: Window
    together: int
    wide: Window


@lru_cache(maxsize=1024)
def product(window: Window, size: Pair, channels_in: int, channels_out: int, groups: int) -> Product:
    """The cheapest product for a convolution of images of `size`, by the costs above."""
    width = window.output_size(size)[1]
    single = groups == 1 and window.dilation[1] == 1 and not window.pointwise
    choices = [t for t in range(1, min(width, 32) + 1) if width % t == 0] if single else [1]

    def cost(together: int) -> float:
        height, wide = _widened(window, together).kernel
        columns = together * channels_out // groups
        speed = PEAK * columns / (columns + HALF_PEAK)
        run = wide * channels_in
        return height * (2 * run * columns / speed + RUN + run * NUMBER) / together

    best = min(choices, key=cost)
    return Product(window, best, _widened(window, best))


def _widened(window: Window, together: int) -> Window:
    height, width = window.kernel
    down, right = window.stride
    return window._replace(kernel=(height, width + (together - 1) * right), stride=(down, right * together))


def widen(kernel: Array, product: Product, wide: Array) -> None:
    """The kernel of the wide window: one after the other the kernels of the neighbours, each at its place, and zeros.

    Args:
        kernel: (g, c_out/g, k_h, k_w, c_in/g).
        product: How many, and how far apart.
        wide: Written: (g, t · c_out/g, k_h, k_w', c_in/g).
    """
    _, depth, _, width, _ = kernel.shape
    wide.fill(0)
    for number in range(product.together):
        start = number * product.window.stride[1]
        wide[:, number * depth : (number + 1) * depth, :, start : start + width] = kernel


def narrow(wide: Array, product: Product, kernel: Array) -> None:
    """The gradient at the kernel from that at the wide one: `kernel` is added to, of the shapes of :func:`widen`."""
    _, depth, _, width, _ = kernel.shape
    for number in range(product.together):
        start = number * product.window.stride[1]
        part = wide[:, number * depth : (number + 1) * depth, :, start : start + width]
        np.add(kernel, part, out=kernel)


class Tile(NamedTuple):
    """A run of output positions whose windows are laid out together.

    Attributes:
        windows: (g, images, h, w_out, k_h, k_w, c_in/g), a view into the padded images.
        columns: The same shape, contiguous: where the windows are copied to.
        matrix: `columns` as (g, rows, K).
        rows: Where these rows stand among all output positions of the block.
    """

    windows: Array
    columns: Array
    matrix: Array
    rows: slice


def tile_shape(window: Window, shape: Sequence[int]) -> Pair:
    """How many images, and of how many output rows, one tile holds, for images (n, c, h, w)."""
    images, channels = shape[0], shape[1]
    height, width = window.output_size((shape[2], shape[3]))
    row_numbers = width * window.kernel[0] * window.kernel[1] * channels
    rows = max(TILE_NUMBERS // row_numbers, -(-TILE_ROWS // width))
    if rows < height:
        return 1, rows
    return min(images, rows // height), height


def tiles(padded: Array, window: Window, groups: int, columns: Array) -> list[Tile]:
    """Cut the windows of `padded` into tiles.

    Args:
        padded: (n, h, w, c) with its border.
        window: How the kernel moves.
        groups: g.
        columns: Flat scratch that holds one tile.
    """
    images, _, _, channels = padded.shape
    height_stride, width_stride = window.stride
    height_dilation, width_dilation = window.dilation
    # Writeable: the backward pass adds to the windows of a gradient.
    windows = sliding_window_view(padded, window.extent, axis=(1, 2), writeable=True)
    windows = windows[:, ::height_stride, ::width_stride, :, ::height_dilation, ::width_dilation]
    # (n, h_out, w_out, c, k_h, k_w) → (g, n, h_out, w_out, k_h, k_w, c/g)
    windows = windows.transpose(0, 1, 2, 4, 5, 3)
    windows = np.moveaxis(windows.reshape(*windows.shape[:5], groups, channels // groups), 5, 0)
    _, _, height, width, kernel_height, kernel_width, depth = windows.shape
    inner = Window(window.kernel, window.stride, (0, 0, 0, 0), window.dilation)
    step_images, step_rows = tile_shape(inner, (images, channels, padded.shape[1], padded.shape[2]))
    length = kernel_height * kernel_width * depth
    made = []
    for image in range(0, images, step_images):
        for row in range(0, height, step_rows):
            view = windows[:, image : image + step_images, row : row + step_rows]
            space = columns[: view.size].reshape(view.shape)
            start = (image * height + row) * width
            rows = view.shape[1] * view.shape[2] * width
            made.append(Tile(view, space, space.reshape(groups, rows, length), slice(start, start + rows)))
    return made


def columns_size(window: Window, shape: Sequence[int]) -> int:
    """How many numbers the columns of one tile hold."""
    images, rows = tile_shape(window, shape)
    _, width = window.output_size((shape[2], shape[3]))
    return images * rows * width * window.kernel[0] * window.kernel[1] * shape[1]


def pad(x: Array, window: Window, padded: Array) -> None:
    """Copy `x` (n, h, w, c) into the middle of `padded`, and zeros around it."""
    top, bottom, left, right = window.padding
    height, width = padded.shape[1], padded.shape[2]
    padded[:, :top] = 0
    padded[:, height - bottom :] = 0
    padded[:, top : height - bottom, :left] = 0
    padded[:, top : height - bottom, width - right :] = 0
    padded[:, top : height - bottom, left : width - right] = x


def by_group(y: Array, groups: int, together: int = 1) -> Array:
    """An image batch (n, c, h, w) as (g, positions, c/g): a view, one matrix a group.

    With t positions `together` it is (g, positions / t, t · c/g), for a single group.
    """
    last = channels_last(y)
    return last.reshape(-1, groups, together * last.shape[3] // groups).transpose(1, 0, 2)


def conv2d_forward(tiles: list[Tile], kernel: Array, y: Array) -> None:
    """Multiply each window with the kernel: Y = X_col Kᵀ.

    Args:
        tiles: The windows of the input.
        kernel: (g, K, c_out/g), each group's kernels as columns.
        y: Written: (g, positions, c_out/g).
    """
    for tile in tiles:
        if tile.columns is not tile.windows:
            np.copyto(tile.columns, tile.windows)
        np.matmul(tile.matrix, kernel, out=y[:, tile.rows])


def conv2d_backward_input(tiles: list[Tile], kernel: Array, grad_y: Array, grad_padded: Array) -> None:
    """Send each window's gradient back to where the window was read: grad_X_col = grad_Y K, added up (col2im).

    Right for any stride. With stride 1 the same sum is again a convolution, of the padded output gradient with
    the turned kernel, and :func:`conv2d_forward` computes it without scattering.

    Args:
        tiles: Tiles whose windows are views into `grad_padded`.
        kernel: (g, c_out/g, K).
        grad_y: (g, positions, c_out/g).
        grad_padded: Overwritten: the gradient at the padded input, (n, h, w, c).
    """
    grad_padded.fill(0)
    for tile in tiles:
        np.matmul(grad_y[:, tile.rows], kernel, out=tile.matrix)
        _, _, _, _, kernel_height, kernel_width, _ = tile.columns.shape
        # Windows overlap, but the positions that one value of the kernel visits do not.
        for i in range(kernel_height):
            for j in range(kernel_width):
                target = tile.windows[:, :, :, :, i, j]
                np.add(target, tile.columns[:, :, :, :, i, j], out=target)


def turn(kernel: Array, turned: Array) -> None:
    """The kernel that carries gradients back: turned by 180°, its inputs and outputs exchanged.

    Args:
        kernel: (g, c_out/g, k_h, k_w, c_in/g).
        turned: Written: (g, c_in/g, k_h, k_w, c_out/g).
    """
    np.copyto(turned, kernel[:, :, ::-1, ::-1].transpose(0, 4, 2, 3, 1))
