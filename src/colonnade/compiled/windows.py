"""Convolutions by their windows, which are read where they lie: what calls the functions of direct.py.

Few outputs leave lanes of a vector empty. So neighbours of a row are then computed as one output of more channels,
whose window is wider, with zeros in the kernel where a neighbour does not look.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence

import numpy as np

from ..ops.layout import Array
from ..ops.window import Window
from .activation import NONE, Activation
from .direct import pad, windows_times_gradient, windows_times_kernel
from .geometry import Gathering, Part, gathering, gradient_tiles, packed, packed_bias
from .rearrangement import gather
from .registers import WIDTH
from .ways import Call, Image, Packed, carve, room

# Images with a border are copied so many numbers at a time, which stay in a core's cache until they have been read.
PADDED = 1 << 16
# Kernels of so many numbers are packed by a table.
FEW_NUMBERS = 1 << 15


class Direct:
    """Windows times kernel.

    Args:
        window: The convolution's.
        read: What is read.
        written: What is written.
        groups: Of channels.
        forward: False for the gradient at the input.
        activation: Of each tile, before it is stored.
    """

    def __init__(
        self, window: Window, read: Image, written: Image, groups: int, forward: bool, activation: Activation = NONE
    ) -> None:
        self.turns = not forward and turnable(window)
        if self.turns:
            window, forward = turned(window), True
        self.together = together(window, written[1], written[2], groups) if forward else 1
        self.step = window.stride[1]
        window, written = widened(window, written, self.together)
        self.window, self.read, self.written, self.groups, self.forward = window, read, written, groups, forward
        self.activation = activation
        # Where in a kernel, and in a bias, each packed number stands: known once they were packed a second time.
        self.places: list[tuple[Array, ...]] = []

    def how(self, images: int) -> Gathering:
        """The walks over so many images."""
        return gathering(self.window, (images, *self.read), (images, *self.written), self.groups, self.forward)

    def pack(self, kernel: Array, bias: Array | None, out: Packed | None = None) -> Packed:
        """One kernel and bias for each part of what is written."""
        if out is None or kernel.size > FEW_NUMBERS:
            return self._pack(kernel, bias, out)
        # Of few numbers most of the time would go to Python. Where each goes is found once, by packing their places.
        if not self.places:
            places = (
                np.arange(1, kernel.size + 1, dtype=np.float32),
                np.arange(1, kernel.shape[0] * kernel.shape[4] + 1, dtype=np.float32),
            )
            made = self._pack(places[0].reshape(kernel.shape), places[1], None)
            self.places = [tuple(each.reshape(-1).astype(np.int32) - 1 for each in part) for part in made]
        for part, sources in zip(out, self.places, strict=True):
            for array, given, source in zip(part, (kernel, bias), sources, strict=True):
                if given is not None:
                    gather(True)(given.reshape(1, -1), source, array.reshape(1, -1))
        return out

    def _pack(self, kernel: Array, bias: Array | None, out: Packed | None) -> Packed:
        if self.turns:
            kernel = np.ascontiguousarray(kernel[:, ::-1, ::-1])
        if self.together > 1:
            kernel = repeated(kernel, self.together, self.step)
            bias = None if bias is None else np.tile(bias, self.together)
        groups, outputs = kernel.shape[0], kernel.shape[4]
        parts = self.how(1).parts
        before: Sequence[tuple[Array | None, Array | None]] = out or [(None, None)] * len(parts)
        return [
            (packed(kernel, part, k), packed_bias(bias, groups, outputs, part, b))
            for part, (k, b) in zip(parts, before, strict=True)
        ]

    def room(self, images: int) -> int:
        """For some images with their border, if they have one."""
        how = self.how(1)
        return room((self.at_once(images), *how.padded, self.read[2])) if how.pads else 0

    def at_once(self, images: int) -> int:
        """How many of the images are read at a time."""
        kernel = math.prod(self.window.kernel) * self.read[2] * self.written[2] // self.groups
        return padded_together(self.how(1), self.read, kernel, images)

    def calls(self, x: Array, kernels: Packed, y: Array, work: Array) -> Iterator[Call]:
        """Read x (n, h, w, c) and write y."""
        most = self.at_once(len(x))
        for start in range(0, len(x), most):
            images, target = x[start : start + most], y[start : start + most]
            how = self.how(len(images))
            if how.pads:
                (padded,) = carve(work, (len(images), *how.padded, self.read[2]))
                yield pad, (images, padded, how.top, how.left)
                images = padded
            for part, (kernel, bias) in zip(how.parts, kernels, strict=True):
                yield self._times(part, images, kernel, bias, target)

    def _times(self, part: Part, images: Array, kernel: Array, bias: Array, target: Array) -> Call:
        """The call that writes one part of `target`."""
        (kind, a, b), outputs = self.activation, self.written[2] // self.groups
        times = windows_times_kernel(part.tile.rows, kernel.shape[-1] // WIDTH, kind)
        return times, (images, kernel, bias, target, part.offsets, part.run, outputs, part.walk, a, b)


class DirectGradient:
    """The gradient at the kernel: windows times the gradient at the output."""

    def __init__(self, window: Window, read: Image, written: Image, groups: int) -> None:
        self.together = together(window, written[1], written[2], groups)
        self.kernel, self.step = window.kernel, window.stride[1]
        window, written = widened(window, written, self.together)
        self.window, self.read, self.written, self.groups = window, read, written, groups
        part = self._how(1).parts[0]
        self.tiles = gradient_tiles(part, window.kernel, groups, written[2])

    def _how(self, images: int) -> Gathering:
        return gathering(self.window, (images, *self.read), (images, *self.written), self.groups, True)

    def _shapes(self, images: int) -> tuple[tuple[int, ...], ...]:
        how, tiles = self._how(1), self.tiles
        return (self._at_once(images), *how.padded, self.read[2]) if how.pads else (0,), tiles.kernel, tiles.sums

    def _at_once(self, images: int) -> int:
        return padded_together(self._how(1), self.read, math.prod(self.tiles.sums), images)

    def room(self, images: int) -> int:
        """For the images with their border, and the gradient as the tiles write it."""
        return room(*self._shapes(images))

    def calls(self, x: Array, grad: Array, work: Array) -> Generator[Call, None, Array]:
        """The gradient as (groups, k_h, k_w, c_in / groups, c_out / groups), in scratch memory."""
        tiles, most = self.tiles, self._at_once(len(x))
        border, kernel, sums = carve(work, *self._shapes(len(x)))
        times = windows_times_gradient(tiles.lines, tiles.rows, tiles.vectors, tiles.depthwise)
        for start in range(0, len(x), most):
            images, gradients = x[start : start + most], grad[start : start + most]
            how, begins, ends = self._how(len(images)), start == 0, start + most >= len(x)
            if how.pads:
                padded = border[: len(images)]
                yield pad, (images, padded, how.top, how.left)
                images = padded
            where = tiles.offsets, tiles.step, how.parts[0].walk
            yield times, (images, gradients, kernel, sums, *where, begins, ends)
        if tiles.depthwise:
            return kernel.transpose(3, 1, 2, 0)[..., None]
        kernel = kernel.reshape(self.groups, *self.window.kernel, -1, self.together, kernel.shape[3] // self.together)
        # The neighbours' gradients stand beside one another, each `step` columns further than the one before.
        width, total = self.kernel[1], kernel[:, :, : self.kernel[1], :, 0]
        for t in range(1, self.together):
            yield np.add, (total, kernel[:, :, t * self.step : t * self.step + width, :, t], total)
        return total


def padded_together(how: Gathering, read: Image, kernel: int, images: int) -> int:
    """How many of the images are read at a time, for a kernel of so many numbers: all, if they get no border.

    Otherwise as many as stay in cache with it; more of them for a kernel that is larger, since it is read as often.
    """
    most = max(PADDED, kernel) // (math.prod(how.padded) * read[2]) if how.pads else images
    return max(1, min(images, most))


def turnable(window: Window) -> bool:
    """Whether the gradient at the input is a convolution of the gradient at the output, with the turned kernel."""
    rows, columns = window.kernel
    return (
        window.stride == window.dilation == (1, 1)
        and max(window.padding[:2]) < rows
        and max(window.padding[2:]) < columns
    )


def turned(window: Window) -> Window:
    """The window of that convolution."""
    (rows, columns), (top, bottom, left, right) = window.kernel, window.padding
    return window._replace(padding=(rows - 1 - top, rows - 1 - bottom, columns - 1 - left, columns - 1 - right))


def together(window: Window, width: int, outputs: int, groups: int) -> int:
    """How many neighbouring outputs of a row, of `width`, are computed as one of so many times the channels.

    The window of t neighbours is (t − 1) · stride wider: the number whose multiplications are the fewest is taken.
    """
    if groups > 1 or window.dilation[1] > 1 or outputs >= WIDTH:
        return 1

    def cost(t: int) -> float:
        return -(-outputs * t // WIDTH) * (window.kernel[1] + (t - 1) * window.stride[1]) / t

    divisors = [t for t in range(1, 2 * WIDTH // outputs + 1) if width % t == 0]
    return min(divisors, key=cost)


def widened(window: Window, written: Image, together: int) -> tuple[Window, Image]:
    """The window of so many neighbours, and what it writes: the same memory, as fewer pixels of more channels."""
    (rows, columns), (down, step), (height, width, channels) = window.kernel, window.stride, written
    kernel, stride = (rows, columns + (together - 1) * step), (down, together * step)
    return window._replace(kernel=kernel, stride=stride), (height, width // together, together * channels)


def repeated(kernel: Array, together: int, step: int) -> Array:
    """A kernel (1, k_h, k_w, read, written) for so many neighbours, `step` columns from one to the next."""
    groups, height, width, read, written = kernel.shape
    made = np.zeros((groups, height, width + (together - 1) * step, read, together, written), np.float32)
    for t in range(together):
        made[:, :, t * step : t * step + width, :, t] = kernel
    return made.reshape(*made.shape[:4], -1)
