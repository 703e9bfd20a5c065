"""Convolution, compiled: by register tiles directly, or by Winograd's patches, whichever has less to do.

Three computations make up a layer: the output, and the gradients at its input and at its kernel. Each is a class here,
made once for images of one shape; `calls` are what its pass over some images comes to, functions with their arguments.
All arrays are channels-last and float32.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..ops.layout import Array
from ..ops.window import Window
from . import pointwise, winograd
from .depthwise import depthwise_forward
from .direct import pad, windows_times_gradient, windows_times_kernel
from .geometry import Gathering, even, gathering, gradient_tiles, packed, packed_bias
from .pointwise import Pointwise, PointwiseGradient
from .rearrangement import gather
from .registers import WIDTH, largest_rows, vectors_for
from .scattering import scattered

Image = tuple[int, int, int]  # height, width and channels
Call = tuple[Any, tuple[Any, ...]]  # a function and its arguments
Packed = list[tuple[Array, Array]]  # a kernel and a bias for each part of what is written

# Tiles of fewer rows wait for their own sums.
LEAST_ROWS = 4
# Images with a border are copied so many numbers at a time, which stay in a core's cache until they have been read.
PADDED = 1 << 16
# From so many channels in and out, patches cost less to transform than they save.
WINOGRAD_CHANNELS = 16
# Kernels of so many numbers are packed by a table.
FEW_NUMBERS = 1 << 15


def carve(work: Array, *shapes: tuple[int, ...]) -> list[Array]:
    """Arrays of these shapes, one behind the other in flat scratch memory, each at the start of a vector."""
    made, start = [], 0
    for shape in shapes:
        size = math.prod(shape)
        made.append(work[start : start + size].reshape(shape))
        start += -(-size // WIDTH) * WIDTH
    return made


def room(*shapes: tuple[int, ...]) -> int:
    """The numbers of scratch memory from which :func:`carve` takes these shapes."""
    return sum(-(-math.prod(shape) // WIDTH) * WIDTH for shape in shapes)


def suits_winograd(window: Window, channels: int, outputs: int, groups: int) -> bool:
    """Whether a convolution is 3×3 of stride 1 and has channels enough for Winograd's patches to pay."""
    return (
        window.kernel == (3, 3)
        and window.stride == window.dilation == (1, 1)
        and max(window.padding) <= 2
        and groups == 1
        and min(channels, outputs) >= WINOGRAD_CHANNELS
        and winograd.backward_rows(channels, 1) >= 4
    )


class Epilogue(NamedTuple):
    """What is done to a tile before it is stored: `+ other` if `adds`, then an activation by its code."""

    code: int = 0
    adds: bool = False
    a: np.float32 = np.float32(0)
    b: np.float32 = np.float32(0)


PLAIN = Epilogue()


class Product(Protocol):
    """Images times a kernel: the output of a convolution, or the gradient at its input."""

    def pack(self, kernel: Array, bias: Array | None, out: Packed | None = None) -> Packed:
        """A kernel (groups, k_h, k_w, read / groups, written / groups), contiguous, and bias as the tiles read them.

        Args:
            kernel: The kernel.
            bias: (written,), or None.
            out: What this returned before, for a bias too or for none too: it is written over.
        """
        ...

    def room(self, images: int) -> int:
        """Numbers of scratch memory that `calls` need."""
        ...

    def calls(self, x: Array, kernels: Packed, other: Array, y: Array, work: Array) -> Iterator[Call]:
        """Read x (n, h, w, c) and write y."""
        ...


class Gradient(Protocol):
    """The gradient at the kernel of a convolution."""

    def room(self, images: int) -> int:
        """Numbers of scratch memory that `calls` need."""
        ...

    def calls(self, x: Array, grad: Array, work: Array) -> Generator[Call, None, Array]:
        """The gradient as (groups, k_h, k_w, c_in / groups, c_out / groups), in scratch memory."""
        ...


def together(window: Window, width: int, outputs: int, groups: int) -> int:
    """How many neighbouring outputs of a row, of `width`, are computed as one of so many times the channels.

    Few outputs leave lanes of a vector empty. The window of t neighbours is (t − 1) · stride wider, and zeros stand in
    the kernel where a neighbour does not look: the number whose multiplications are the fewest is taken.
    """
    if groups > 1 or window.dilation[1] > 1 or outputs >= WIDTH:
        return 1

    def cost(t: int) -> float:
        return -(-outputs * t // WIDTH) * (window.kernel[1] + (t - 1) * window.stride[1]) / t

    divisors = [t for t in range(1, 2 * WIDTH // outputs + 1) if width % t == 0]
    return min(divisors, key=cost)


class Direct:
    """Windows times kernel, the windows read where they lie.

    Args:
        window: The convolution's.
        read: What is read.
        written: What is written.
        groups: Of channels.
        forward: False for the gradient at the input.
        epilogue: What is done to each tile at its end.
    """

    def __init__(
        self, window: Window, read: Image, written: Image, groups: int, forward: bool, epilogue: Epilogue = PLAIN
    ) -> None:
        self.turns = not forward and turnable(window)
        if self.turns:
            window, forward = turned(window), True
        self.together = together(window, written[1], written[2], groups) if forward else 1
        self.step = window.stride[1]
        window, written = widened(window, written, self.together)
        self.window, self.read, self.written, self.groups, self.forward = window, read, written, groups, forward
        self.epilogue = epilogue
        self.places: list[tuple[Array, ...]] | None = (
            None  # where in a kernel, and in a bias, each packed number stands
        )

    def how(self, images: int) -> Gathering:
        """The walks over so many images."""
        return gathering(self.window, (images, *self.read), (images, *self.written), self.groups, self.forward)

    def pack(self, kernel: Array, bias: Array | None, out: Packed | None = None) -> Packed:
        """One kernel and bias for each part of what is written."""
        if out is None or kernel.size > FEW_NUMBERS:
            return self._pack(kernel, bias, out)
        # Of few numbers most of the time would go to Python. Where each goes is found once, by packing their places.
        if self.places is None:
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

    def calls(self, x: Array, kernels: Packed, other: Array, y: Array, work: Array) -> Iterator[Call]:
        """Read x (n, h, w, c) and write y."""
        code, adds, a, b = self.epilogue
        outputs = self.written[2] // self.groups
        most = self.at_once(len(x))
        for start in range(0, len(x), most):
            images, others, target = x[start : start + most], other[start : start + most], y[start : start + most]
            how = self.how(len(images))
            if how.pads:
                (padded,) = carve(work, (len(images), *how.padded, self.read[2]))
                yield pad, (images, padded, how.top, how.left)
                images = padded
            for part, (kernel, bias) in zip(how.parts, kernels, strict=True):
                times = windows_times_kernel(part.tile.rows, kernel.shape[-1] // WIDTH, code, adds)
                where = part.offsets, part.run, outputs, part.walk
                yield times, (images, kernel, bias, others, target, *where, a, b)


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


class Winograd:
    """The same for 3×3 kernels of stride 1, by patches; see `Direct` for the arguments, of groups there is one."""

    def __init__(self, window: Window, read: Image, written: Image, forward: bool, epilogue: Epilogue = PLAIN) -> None:
        self.read, self.written, self.forward, self.epilogue = read, written, forward, epilogue
        top, _, left, _ = window.padding
        self.top, self.left = (top, left) if forward else (2 - top, 2 - left)
        self.size = winograd.forward_size(written[2])
        count = winograd.room_for(self.size.rows)
        self.shapes = (16, count, read[2]), (16, count, written[2])

    def pack(self, kernel: Array, bias: Array | None, out: Packed | None = None) -> Packed:
        """The one kernel, transformed."""
        columns = self.size.vectors * WIDTH
        transformed, filled = out[0] if out else (None, np.zeros(self.written[2], np.float32))
        if bias is not None:
            np.copyto(filled, bias)
        return [(winograd.packed(kernel[0], columns, not self.forward, transformed), filled)]

    def room(self, images: int) -> int:
        """For some patches and their products."""
        return room(*self.shapes)

    def calls(self, x: Array, kernels: Packed, other: Array, y: Array, work: Array) -> Iterator[Call]:
        """Read x (n, h, w, c) and write y."""
        (kernel, bias), (code, adds, a, b) = kernels[0], self.epilogue
        v, m = carve(work, *self.shapes)
        times = winograd.winograd_forward(*self.size, code, adds)
        yield times, (x, self.top, self.left, kernel, bias, other, y, v, m, a, b)


class Scattered:
    """The gradient at the input where it has few channels: each position adds a window; see `Direct` for arguments."""

    def __init__(self, window: Window, read: Image, written: Image, epilogue: Epilogue = PLAIN) -> None:
        self.window, self.read, self.written, self.epilogue = window, read, written, epilogue
        self.run = window.kernel[1] * written[2]
        self.vectors = vectors_for(self.run)
        most = largest_rows(self.vectors)
        self.rows = max(rows for rows in range(1, min(most, read[1]) + 1) if read[1] % rows == 0)

    @property
    def suits(self) -> bool:
        """Whether there are tiles for it, and it has less to multiply than `Direct` has."""
        columns, across, written = self.window.kernel[1], self.window.stride[1], self.written
        neighbours = 1
        if turnable(self.window):
            neighbours = together(turned(self.window), written[1], written[2], 1)
        direct = (columns + neighbours - 1) / neighbours * -(-written[2] * neighbours // WIDTH)
        return (
            self.window.dilation == (1, 1)
            and not self.epilogue.adds
            and self.rows * across >= columns
            and self.rows >= LEAST_ROWS
            and -(-self.run // WIDTH) < direct
        )

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

    def calls(self, x: Array, kernels: Packed, other: Array, y: Array, work: Array) -> Iterator[Call]:
        """Read x (n, h, w, c) and write y."""
        ((kernel, bias),), (code, _, a, b), window = kernels, self.epilogue, self.window
        (lines,) = carve(work, self._lines())
        where = *window.stride, window.padding[0], window.padding[2]
        yield scattered(self.rows, self.vectors, code), (x, kernel, bias, y, lines, self.run, *where, a, b)


class DirectGradient:
    """The gradient at the kernel: windows times the gradient at the output, the windows read where they lie."""

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


class WinogradGradient:
    """The same for 3×3 kernels of stride 1, by patches."""

    def __init__(self, window: Window, read: Image, written: Image) -> None:
        self.read, self.written, self.window = read, written, window
        self.vectors = winograd.forward_size(written[2]).vectors
        self.rows = winograd.backward_rows(read[2], self.vectors)

    def _shapes(self, images: int) -> tuple[tuple[int, ...], ...]:
        (height, width, outputs), channels = self.written, self.read[2]
        count = winograd.room_for(min(winograd.SUMMED_PATCHES, images * -(-height // 2) * -(-width // 2)))
        return (16, count, channels), (16, count, outputs), (16, channels, outputs), (3, 3, channels, outputs)

    def room(self, images: int) -> int:
        """For some patches of both, and the gradient before and after it is turned."""
        return room(*self._shapes(images))

    def calls(self, x: Array, grad: Array, work: Array) -> Generator[Call, None, Array]:
        """The gradient as (1, 3, 3, c_in, c_out), in scratch memory."""
        v, m, products, kernel = carve(work, *self._shapes(len(x)))
        top, left = self.window.padding[0], self.window.padding[2]
        backward = winograd.winograd_backward_weight(self.rows, self.vectors)
        yield backward, (x, top, left, grad, kernel, v, m, products)
        return kernel[None]


# Rows of the tiles of a depthwise convolution: as many sums go on at once as hide the time that one takes.
DEPTHWISE_ROWS = 12


class Depthwise:
    """A convolution that leaves each channel by itself, or the gradient at its input; see `Direct`."""

    def __init__(self, window: Window, read: Image, written: Image, forward: bool, epilogue: Epilogue = PLAIN) -> None:
        self.direct = Direct(window, read, written, read[2], forward, epilogue)

    def pack(self, kernel: Array, bias: Array | None, out: Packed | None = None) -> Packed:
        """The kernel of each part, (taps, channels)."""
        kernel = kernel[:, ::-1, ::-1] if self.direct.turns else kernel
        parts = self.direct.how(1).parts
        if out is None:
            filled = np.zeros(len(kernel), np.float32)
            out = [(np.empty((part.offsets.size, len(kernel)), np.float32), filled) for part in parts]
        for part, (made, filled) in zip(parts, out, strict=True):
            taps = kernel[:, part.vertical.taps][:, :, part.horizontal.taps].reshape(len(kernel), -1)
            np.copyto(made, taps[:, : part.offsets.size].T)
            if bias is not None:
                np.copyto(filled, bias)
        return out

    def room(self, images: int) -> int:
        """For the images with their border, if they have one."""
        return self.direct.room(images)

    def calls(self, x: Array, kernels: Packed, other: Array, y: Array, work: Array) -> Iterator[Call]:
        """Read x (n, h, w, c) and write y."""
        code, _, a, b = self.direct.epilogue
        most = self.direct.at_once(len(x))
        for start in range(0, len(x), most):
            images, target = x[start : start + most], y[start : start + most]
            how = self.direct.how(len(images))
            if how.pads:
                (padded,) = carve(work, (len(images), *how.padded, x.shape[3]))
                yield pad, (images, padded, how.top, how.left)
                images = padded
            for part, (kernel, bias) in zip(how.parts, kernels, strict=True):
                rows = even(part.walk.width, DEPTHWISE_ROWS)
                yield depthwise_forward(rows, code), (images, kernel, bias, target, part.offsets, part.walk, a, b)


def product(
    window: Window, read: Image, written: Image, groups: int, forward: bool, epilogue: Epilogue = PLAIN
) -> Product:
    """How images are multiplied with a kernel: the rule, from shapes alone."""
    if 1 < groups == read[2] == written[2] and not epilogue.adds:
        return Depthwise(window, read, written, forward, epilogue)
    if suits_winograd(window, read[2], written[2], groups):
        return Winograd(window, read, written, forward, epilogue)
    if pointwise.suits(window, read[2], written[2], groups) and not epilogue.adds:
        return Pointwise(read, written, forward, epilogue)
    if not forward and groups == 1:
        way = Scattered(window, read, written, epilogue)
        if way.suits:
            return way
    return Direct(window, read, written, groups, forward, epilogue)


def kernel_gradient(window: Window, read: Image, written: Image, groups: int) -> Gradient:
    """How the gradient at the kernel is computed: the same rule."""
    if suits_winograd(window, read[2], written[2], groups):
        return WinogradGradient(window, read, written)
    if pointwise.suits(window, read[2], written[2], groups):
        return PointwiseGradient(read, written)
    return DirectGradient(window, read, written, groups)
