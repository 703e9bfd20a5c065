"""The gradient at the input of a convolution with few channels: each position adds a window to the image.

A row of a window is one run of `k_w · c` numbers in the image. So the tile's columns are a row of the window rather
than the channels of a pixel: they fill whole vectors, and no zeros around the gradient are read. Neighbours' windows
overlap. So each of the tile's rows writes to a line of its own, where its windows do not meet, and the lines are added.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from ..ops.layout import Array
from ..ops.window import Window
from .activation import NONE, Activation, activate
from .compilation import compiled
from .memory import clear
from .reductions import column_sums
from .registers import LEAST_ROWS, WIDTH, Size, largest_rows, vectors_for
from .tiles import add_outer, add_outers, load, load_first, store_first, zeros
from .ways import Call, Image, Packed, carve, room
from .windows import together, turnable, turned


@lru_cache
def scattered(rows: int, vectors: int, kind: int) -> Any:
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
                    store_first(activate(kind, total, a, b), y, to + c, 0, rest)

    return forward


class Scattered:
    """The gradient at the input where it has few channels; see `Direct` for the arguments, of groups there is one."""

    def __init__(self, window: Window, read: Image, written: Image, activation: Activation = NONE) -> None:
        self.window, self.read, self.written, self.activation = window, read, written, activation
        self.run = window.kernel[1] * written[2]
        self.rows, self.vectors = _tile(window, read, written)

    def pack(self, kernel: Array, bias: Array | None, out: Packed | None = None) -> Packed:
        """The one kernel, row by row, and the bias of a row of what is written."""
        height, _, read, written = kernel.shape[1:]
        columns = self.vectors * WIDTH
        if out is None:
            made = np.zeros((height, -(-self.run // columns), read, columns), np.float32)
            out = [(made, np.zeros(self.written[1] * written, np.float32))]
        rows = kernel[0].swapaxes(1, 2).reshape(height, read, self.run)
        for block in range(-(-self.run // columns)):
            some = rows[..., block * columns : (block + 1) * columns]
            out[0][0][:, block, :, : some.shape[-1]] = some
        if bias is not None:
            out[0][1].reshape(-1, written)[:] = bias
        return out

    def _lines(self) -> tuple[int, int]:
        columns, left = self.vectors * WIDTH, self.window.padding[2]
        windows = (self.read[1] - 1) * self.window.stride[1] * self.written[2] + -(-self.run // columns) * columns
        return self.rows, max(windows, (left + self.written[1]) * self.written[2] + WIDTH)

    def room(self, images: int) -> int:
        """For the lines that add up to a row."""
        return room(self._lines())

    def calls(self, x: Array, kernels: Packed, y: Array, work: Array) -> Iterator[Call]:
        """Read x (n, h, w, c) and write y."""
        ((kernel, bias),), (kind, a, b), window = kernels, self.activation, self.window
        (lines,) = carve(work, self._lines())
        where = *window.stride, window.padding[0], window.padding[2]
        yield scattered(self.rows, self.vectors, kind), (x, kernel, bias, y, lines, self.run, *where, a, b)


def suits(window: Window, read: Image, written: Image) -> bool:
    """Whether there are tiles for it, and less to multiply than `Direct` has, of one group."""
    columns, across, outputs = window.kernel[1], window.stride[1], written[2]
    neighbours = together(turned(window), written[1], outputs, 1) if turnable(window) else 1
    direct = (columns + neighbours - 1) / neighbours * -(-outputs * neighbours // WIDTH)
    rows, _ = _tile(window, read, written)
    return (
        window.dilation == (1, 1)
        and rows * across >= columns
        and rows >= LEAST_ROWS
        and -(-columns * outputs // WIDTH) < direct
    )


def _tile(window: Window, read: Image, written: Image) -> Size:
    """The most rows that divide a row of what is read."""
    vectors = vectors_for(window.kernel[1] * written[2])
    most = min(largest_rows(vectors), read[1])
    return Size(max(rows for rows in range(1, most + 1) if read[1] % rows == 0), vectors)
