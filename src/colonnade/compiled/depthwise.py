"""Depthwise convolution: each channel by itself, sixteen of them at a time.

Windows are read where they lie, as in direct.py: a walk and an offset for each value of the kernel. Here a tile is
`rows` neighbouring positions of sixteen channels, and the kernel's values multiply it number by number.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..ops.layout import Array
from ..ops.window import Window
from .activation import NONE, Activation, activate
from .compilation import compiled
from .direct import require_inside
from .elementwise import multiply_add
from .geometry import Part, even
from .registers import WIDTH
from .tiles import load_first, spread, store_first
from .ways import Call, Image, Packed
from .windows import Direct

# As many sums go on at once as hide the time that one takes.
MOST_ROWS = 12


@lru_cache
def depthwise_forward(rows: int, kind: int) -> Any:
    """y[p, c] = activation(b[c] + Σ_k x[p + offsets[k], c] · kernel[k, c]).

    Args of the function that is returned:
        x: What is read, of any shape.
        kernel: (taps, channels).
        bias: (channels,).
        y: What is written.
        offsets: (taps,): where each value of the kernel reads, seen from a position.
        walk: Its width must be `rows` at least; there is one group.
        a, b: The activation's parameters.
    """

    @compiled
    def forward(x, kernel, bias, y, offsets, walk, a, b):
        taps, channels = kernel.shape
        require_inside(walk, 1, x.size, y.size, offsets, channels, channels)
        if taps != len(offsets) or bias.size != channels or walk.width < rows:
            raise ValueError("depthwise: kernel, bias and tile must fit")
        for image in range(walk.images):
            for row in range(walk.height):
                x_at = walk.x_start + image * walk.x_image + row * walk.x_row
                y_at = walk.y_start + image * walk.y_image + row * walk.y_row
                for c in range(0, channels, WIDTH):
                    left = channels - c
                    start = load_first(1, 1, bias, c, 0, left)
                    column = 0
                    while column < walk.width:
                        column = min(column, walk.width - rows)
                        at = x_at + column * walk.x_column + c
                        tile = spread(rows, start)
                        for k in range(taps):
                            w = load_first(1, 1, kernel, k * channels + c, 0, left)
                            seen = load_first(rows, 1, x, at + offsets[k], walk.x_column, left)
                            tile = multiply_add(seen, spread(rows, w), tile)
                        to = y_at + column * walk.y_column + c
                        store_first(activate(kind, tile, a, b), y, to, walk.y_column, left)
                        column += rows

    return forward


class Depthwise(Direct):
    """The output, or the gradient at the input; see `Direct` for the arguments, of groups there is one a channel."""

    def __init__(
        self, window: Window, read: Image, written: Image, forward: bool, activation: Activation = NONE
    ) -> None:
        super().__init__(window, read, written, read[2], forward, activation)

    def pack(self, kernel: Array, bias: Array | None, out: Packed | None = None) -> Packed:
        """The kernel of each part, (taps, channels)."""
        kernel = kernel[:, ::-1, ::-1] if self.turns else kernel
        parts = self.how(1).parts
        if out is None:
            filled = np.zeros(len(kernel), np.float32)
            out = [(np.empty((part.offsets.size, len(kernel)), np.float32), filled) for part in parts]
        for part, (made, filled) in zip(parts, out, strict=True):
            taps = kernel[:, part.vertical.taps][:, :, part.horizontal.taps].reshape(len(kernel), -1)
            np.copyto(made, taps[:, : part.offsets.size].T)
            if bias is not None:
                np.copyto(filled, bias)
        return out

    def _times(self, part: Part, images: Array, kernel: Array, bias: Array, target: Array) -> Call:
        kind, a, b = self.activation
        times = depthwise_forward(even(part.walk.width, MOST_ROWS), kind)
        return times, (images, kernel, bias, target, part.offsets, part.walk, a, b)
