"""The gradient at the input of a convolution with few channels: each position adds a window to the image.

A row of a window is one run of `k_w · c` numbers in the image. So the tile's columns are a row of the window rather
than the channels of a pixel: they fill whole vectors, and no zeros around the gradient are read. Neighbours' windows
overlap. So each of the tile's rows writes to a line of its own, where its windows do not meet, and the lines are added.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from .activation import activate
from .compilation import compiled
from .memory import clear
from .registers import WIDTH
from .tiles import add_outer, add_outers, column_sums, load, load_first, store_first, zeros


@lru_cache
def scattered(rows: int, vectors: int, code: int) -> Any:
    """Y = activation(fold(X K) + b) by tiles of `rows` positions and 16 · `vectors` numbers of a row of the window.

    Args of the function that is returned:
        x: (n, h, w, c), w a multiple of `rows`.
        kernel: (k_h, blocks, c, 16 · vectors): rows of the window, `run` numbers each, the last block filled up.
        bias: (w_out · channels,): the bias of a row.
        y: (n, h_out, w_out, channels), written.
        lines: (rows, …): scratch.
        run: Numbers of a row of the window; no more than `rows` positions lie apart.
        down, across: The stride.
        top, left: The padding.
        a, b: The activation's parameters.
    """
    columns = vectors * WIDTH

    @compiled
    def forward(x, kernel, bias, y, lines, run, down, across, top, left, a, b):
        images, height, width, depth = x.shape
        n, high, wide, channels = y.shape
        kernel_rows, blocks, read, filled_up = kernel.shape
        count, line = lines.shape
        step = across * channels
        if n != images or read != depth or bias.size != wide * channels:
            raise ValueError("scattered: images, kernel and bias must fit")
        if filled_up != columns or blocks * columns < run:
            raise ValueError("scattered: the kernel must be packed for the tile")
        if width < rows or width % rows or rows * step < run or min(down, across) < 1 or min(top, left) < 0:
            raise ValueError("scattered: the tile must fit the image, and its windows must not meet")
        if count < rows or line < (width - 1) * step + blocks * columns or line < (left + wide) * channels + WIDTH:
            raise ValueError("scattered: the lines must hold a row with its border")
        pairs = depth // 2 * 2 if vectors == 1 else 0
        # Where no window of a line lies it stays zero.
        clear(lines, 0, rows * line)
        for image in range(images):
            for row in range(high):
                # Row k of the windows at row i is added to row i · down + k − top.
                first, i = (row + top) % down, (row + top) // down
                begin, end = max(0, i - height + 1), min(i, (kernel_rows - 1 - first) // down) + 1
                for block in range(blocks):
                    for column in range(0, width, rows):
                        tile = zeros(rows, vectors)
                        for m in range(begin, end):
                            at = ((image * height + i - m) * width + column) * depth
                            k = ((first + m * down) * blocks + block) * depth * columns
                            for c in range(at, at + pairs, 2):
                                tile = add_outers(tile, x, c, depth, kernel, k, 2)
                                k += 2 * columns
                            for c in range(at + pairs, at + depth):
                                tile = add_outer(tile, x, c, depth, kernel, k)
                                k += columns
                        to = column * step + block * columns
                        store_first(tile, lines, to, line + step, run - block * columns)
                to = (image * high + row) * wide * channels
                for c in range(0, wide * channels, WIDTH):
                    rest = wide * channels - c
                    total = load_first(1, 1, bias, c, 0, rest)
                    total = total + column_sums(load(rows, 1, lines, left * channels + c, line))
                    store_first(activate(code, total, a, b), y, to + c, 0, rest)

    return forward
