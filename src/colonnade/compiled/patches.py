"""Convolutions 3×3 of stride 1 by patches: what calls the functions of winograd.py."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np

from ..ops.layout import Array, empty
from ..ops.window import Window
from .activation import NONE, Activation
from .packing import winograd_panels
from .registers import LEAST_ROWS, WIDTH, Size, largest_rows, vectors_for
from .ways import Call, Image, Packed, carve, room
from .winograd import winograd_backward_weight, winograd_forward

# From so many channels in and out, patches cost less to transform than they save.
LEAST_CHANNELS = 16
# More rows than these need more places at once than a processor has registers for.
MOST_ROWS = 14
# So many patches are transformed and multiplied at once in the kernel's gradient: the sums over them are then long
# enough, and the patches stay in cache. Forward it is the patches of one tile.
SUMMED = 64


def suits(window: Window, channels: int, outputs: int, groups: int) -> bool:
    """Whether a convolution is 3×3 of stride 1 and has channels enough for patches to pay."""
    return (
        window.kernel == (3, 3)
        and window.stride == window.dilation == (1, 1)
        and max(window.padding) <= 2
        and groups == 1
        and min(channels, outputs) >= LEAST_CHANNELS
        and _dividing_rows(channels, 1) >= LEAST_ROWS
    )


class Winograd:
    """The output, or the gradient at the input; see `Direct` for the arguments, of groups there is one."""

    def __init__(
        self, window: Window, read: Image, written: Image, forward: bool, activation: Activation = NONE
    ) -> None:
        self.read, self.written, self.forward, self.activation = read, written, forward, activation
        top, _, left, _ = window.padding
        self.top, self.left = (top, left) if forward else (2 - top, 2 - left)
        vectors = vectors_for(written[2])
        self.size = Size(min(largest_rows(vectors), MOST_ROWS), vectors)
        count = _apart(self.size.rows)
        self.shapes = (16, count, read[2]), (16, count, written[2])

    def pack(self, kernel: Array, bias: Array | None, out: Packed | None = None) -> Packed:
        """The one kernel, transformed: (16, blocks, channels, columns)."""
        if out is None:
            channels, outputs = kernel.shape[3:]
            columns = self.size.vectors * WIDTH
            transformed = empty((16, -(-outputs // columns), channels, columns), np.float32)
            out = [(transformed, np.zeros(outputs, np.float32))]
        transformed, filled = out[0]
        winograd_panels(kernel[0], not self.forward, transformed)
        if bias is not None:
            np.copyto(filled, bias)
        return out

    def room(self, images: int) -> int:
        """For some patches and their products."""
        return room(*self.shapes)

    def calls(self, x: Array, kernels: Packed, y: Array, work: Array) -> Iterator[Call]:
        """Read x (n, h, w, c) and write y."""
        ((kernel, bias),), (kind, a, b) = kernels, self.activation
        v, m = carve(work, *self.shapes)
        yield winograd_forward(*self.size, kind), (x, self.top, self.left, kernel, bias, y, v, m, a, b)


class WinogradGradient:
    """The gradient at the kernel."""

    def __init__(self, window: Window, read: Image, written: Image) -> None:
        self.read, self.written, self.window = read, written, window
        self.vectors = vectors_for(written[2])
        self.rows = _dividing_rows(read[2], self.vectors)

    def _shapes(self, images: int) -> tuple[tuple[int, ...], ...]:
        (height, width, outputs), channels = self.written, self.read[2]
        count = _apart(min(SUMMED, images * -(-height // 2) * -(-width // 2)))
        return (16, count, channels), (16, count, outputs), (16, channels, outputs), (3, 3, channels, outputs)

    def room(self, images: int) -> int:
        """For some patches of both, and the gradient before and after it is turned."""
        return room(*self._shapes(images))

    def calls(self, x: Array, grad: Array, work: Array) -> Generator[Call, None, Array]:
        """The gradient as (1, 3, 3, c_in, c_out), in scratch memory."""
        v, m, products, kernel = carve(work, *self._shapes(len(x)))
        top, left = self.window.padding[0], self.window.padding[2]
        backward = winograd_backward_weight(self.rows, self.vectors)
        yield backward, (x, top, left, grad, kernel, v, m, products)
        return kernel[None]


def _apart(patches: int) -> int:
    """The patches for which scratch has room, to hold so many: an odd number.

    So the sixteen numbers of a patch do not all lie in the same few sets of a cache.
    """
    return patches + 1 - patches % 2


def _dividing_rows(channels: int, vectors: int) -> int:
    """Rows of the tiles of the kernel's gradient: the most that divide the channels."""
    return max(rows for rows in range(1, largest_rows(vectors) + 1) if channels % rows == 0)
