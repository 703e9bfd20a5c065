"""Convolution as the paper has it: windows laid out as the rows of a matrix, times the kernel.

Written in docs/math/convolution.md. Throughout, g is the number of groups, K = k_h · k_w · c_in / g the length of
one window in one group, and a row of the column matrix is one output position.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .layout import Array, channels_last
from .multiplication import Operands, multiply, operands, panels, parts, row_length
from .window import Pair, Window

# A tile's column matrix should stay in the second-level cache until the product has read it, yet hold enough rows
# that reading the kernel once a tile costs nothing beside the product.
TILE_NUMBERS = 1 << 18
TILE_ROWS = 256
# Images of no more numbers are filled with zeros whole: one call of NumPy's takes less time than four for the borders.
FEW_NUMBERS = 1 << 14


class Tile(NamedTuple):
    """A run of output positions whose windows are laid out together.

    Attributes:
        windows: (g, images, h, w_out, k_h, k_w, c_in/g), a view into the padded images.
        columns: The same shape: where the windows are copied to.
        matrix: `columns` as (g, rows, K).
        rows: Where these rows stand among all output positions of the block.
    """

    windows: Array
    columns: Array
    matrix: Array
    rows: slice

    def lay_out(self) -> None:
        """Copy the windows to their columns, unless these are the images themselves."""
        if self.columns is not self.windows:
            np.copyto(self.columns, self.windows)


def tile_shape(window: Window, shape: Sequence[int]) -> Pair:
    """How many images, and of how many output rows, one tile holds, for images (n, c, h, w)."""
    images, channels = shape[0], shape[1]
    height, width = window.output_size((shape[2], shape[3]))
    row_numbers = width * window.kernel[0] * window.kernel[1] * channels
    rows = max(TILE_NUMBERS // row_numbers, -(-TILE_ROWS // width))
    if rows < height:
        return 1, rows
    return min(images, rows // height), height


def tile_positions(window: Window, shape: Sequence[int]) -> set[int]:
    """How many output positions a tile holds, and the last one, which may be smaller, for images (n, c, h, w)."""
    height, width = window.output_size((shape[2], shape[3]))
    if window.pointwise:
        return {shape[0] * height * width}
    images, rows = tile_shape(window, shape)
    sizes = {images * rows, shape[0] % images * height if rows == height else height % rows}
    return {size * width for size in sizes if size}


def tiles(padded: Array, window: Window, columns: Array) -> list[Tile]:
    """Cut the windows of `padded` into tiles.

    Args:
        padded: (g, n, h, w, c/g) with its border, from :func:`pad` or :func:`grouped`.
        window: How the kernel moves.
        columns: Flat scratch that holds one tile.
    """
    groups, images, _, _, depth = padded.shape
    height_stride, width_stride = window.stride
    height_dilation, width_dilation = window.dilation
    # Writeable: the backward pass adds to the windows of a gradient.
    windows = sliding_window_view(padded, window.extent, axis=(2, 3), writeable=True)
    windows = windows[:, :, ::height_stride, ::width_stride, :, ::height_dilation, ::width_dilation]
    # (g, n, h_out, w_out, c/g, k_h, k_w) → (g, n, h_out, w_out, k_h, k_w, c/g)
    windows = windows.transpose(0, 1, 2, 3, 5, 6, 4)
    _, _, height, width, kernel_height, kernel_width, _ = windows.shape
    inner = Window(window.kernel, window.stride, (0, 0, 0, 0), window.dilation)
    step_images, step_rows = tile_shape(inner, (images, groups * depth, padded.shape[2], padded.shape[3]))
    length = kernel_height * kernel_width * depth
    made = []
    for image in range(0, images, step_images):
        for row in range(0, height, step_rows):
            view = windows[:, image : image + step_images, row : row + step_rows]
            start = (image * height + row) * width
            rows = view.shape[1] * view.shape[2] * width
            # Each row begins with a vector, for the products that have the windows as their second operand.
            space = columns[: groups * rows * row_length(length)].reshape(groups, rows, -1)[..., :length]
            made.append(Tile(view, space.reshape(view.shape), space, slice(start, start + rows)))
    return made


def columns_size(window: Window, shape: Sequence[int], groups: int) -> int:
    """How many numbers the columns of one tile take, for images (n, c, h, w) in so many groups."""
    images, rows = tile_shape(window, shape)
    _, width = window.output_size((shape[2], shape[3]))
    length = window.kernel[0] * window.kernel[1] * shape[1] // groups
    return images * rows * width * groups * row_length(length)


def grouped(x: Array, groups: int) -> Array:
    """Images (n, h, w, c) as (g, n, h, w, c/g), a view."""
    if groups == 1:
        return x[None]
    return x.reshape(*x.shape[:3], groups, -1).transpose(3, 0, 1, 2, 4)


def pad(x: Array, window: Window, padded: Array) -> None:
    """Copy images into the middle of `padded`, and zeros around them.

    Args:
        x: (n, h, w, c).
        window: Tells where they go.
        padded: Written: (g, n, h, w, c/g), with the border. If the groups are apart in memory, the runs that are
            copied when windows are laid out are k_w · c/g long rather than c/g.
    """
    top, bottom, left, right = window.padding
    height, width = padded.shape[2], padded.shape[3]
    if padded.size <= FEW_NUMBERS:
        padded.fill(0)
    else:
        padded[:, :, :top] = 0
        padded[:, :, height - bottom :] = 0
        padded[:, :, top : height - bottom, :left] = 0
        padded[:, :, top : height - bottom, width - right :] = 0
    padded[:, :, top : height - bottom, left : width - right] = grouped(x, len(padded))


def by_group(y: Array, groups: int, together: int = 1) -> Array:
    """An image batch (n, c, h, w) as (g, positions, c/g): a view, one matrix a group.

    With t positions `together` it is (g, positions / t, t · c/g), for a single group.
    """
    last = channels_last(y)
    return last.reshape(-1, groups, together * last.shape[3] // groups).transpose(1, 0, 2)


def conv2d_products(tiles: list[Tile], kernel: Array, y: Array) -> list[list[Operands]]:
    """The products of :func:`conv2d_forward`, one for each tile.

    Args:
        tiles: The windows of the input.
        kernel: (g, panels, K, c_out/g / panels), each group's kernels as columns.
        y: Where they go: (g, positions, c_out/g).
    """
    return [operands(tile.matrix, kernel, y[:, tile.rows]) for tile in tiles]


def conv2d_forward(tiles: list[Tile], products: list[list[Operands]]) -> None:
    """Multiply each window with the kernel: Y = X_col Kᵀ; see :func:`conv2d_products`."""
    for tile, product in zip(tiles, products, strict=True):
        tile.lay_out()
        multiply(product)


def conv2d_backward_input_products(tiles: list[Tile], kernel: Array, grad_y: Array) -> list[list[Operands]]:
    """The products of :func:`conv2d_backward_input`, one for each tile.

    Args:
        tiles: Tiles whose windows are views into the gradient at the padded input.
        kernel: (g, c_out/g, K).
        grad_y: (g, positions, c_out/g).
    """
    columns = parts(tiles[0].matrix.shape[1], *kernel.shape[1:]).columns
    kernel = panels(kernel, columns)
    return [operands(grad_y[:, tile.rows], kernel, tile.matrix) for tile in tiles]


def conv2d_backward_input(tiles: list[Tile], products: list[list[Operands]], grad_padded: Array) -> None:
    """Send each window's gradient back to where the window was read: grad_X_col = grad_Y K, added up (col2im).

    Right for any stride. With stride 1 the same sum is again a convolution, of the padded output gradient with
    the turned kernel, and :func:`conv2d_forward` computes it without scattering.

    Args:
        tiles: Tiles whose windows are views into `grad_padded`.
        products: From :func:`conv2d_backward_input_products`.
        grad_padded: Overwritten: the gradient at the padded input, (g, n, h, w, c_in/g).
    """
    grad_padded.fill(0)
    for tile, product in zip(tiles, products, strict=True):
        multiply(product)
        _, _, _, count, kernel_height, kernel_width, _ = tile.columns.shape
        apart = kernel_width if count == 1 else values_apart(tile.windows.strides[3], tile.windows.strides[5])
        # Windows overlap, but the positions that a value of the kernel visits do not, nor those of so many in a row.
        for i in range(kernel_height):
            for start in range(0, kernel_width, apart):
                run = slice(start, start + apart)
                target = tile.windows[:, :, :, :, i, run]
                np.add(target, tile.columns[:, :, :, :, i, run], out=target)


def values_apart(stride: int, dilation: int) -> int:
    """How many neighbouring values of a row of the kernel no two windows of a row hold at the same position.

    The k-th value of one window is where the first of another is if k · dilation is a multiple of the stride.
    """
    return stride // math.gcd(stride, dilation)


def turned(kernel: Array) -> Array:
    """The kernel that carries gradients back: turned by 180°, its inputs and outputs exchanged; a view.

    Args:
        kernel: (g, c_out/g, k_h, k_w, c_in/g).

    Returns:
        (g, c_in/g, k_h, k_w, c_out/g).
    """
    return kernel[:, :, ::-1, ::-1].transpose(0, 4, 2, 3, 1)
