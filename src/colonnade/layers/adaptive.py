"""Pools that are told how many windows there are, and find out how large: AdaptiveAvgPool, AdaptiveMaxPool."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import arguments
from ..limits import CALL, NUMBER
from ..ops import adaptive, pooling
from ..ops.layout import Array, as_laid, as_written, ends_in_channels, laid_shape
from ..ops.resampling import between_numbers
from ..ops.window import Sizes, Window
from ..tensor import Shape, Tensor
from .base import Block, Direction, Scratch, expect_axes
from .pooling import Pooling, max_backward, max_forward, max_scratch
from .resampling import products_and_between

# A number for each axis, None for as many windows as there are pixels.
Counts = tuple[int | None, ...]


class AdaptivePooling(Pooling):
    """A pool that is told how many windows there are."""

    sizes: Counts

    def __init__(self, output_size: int | Counts | None) -> None:
        name = type(self).__name__
        self.output_size = output_size
        if arguments.is_sequence(output_size) and len(output_size) == self.axes and None in output_size:
            self.sizes = tuple(
                None if size is None else arguments.whole(name, "output_size", size, 1) for size in output_size
            )
        else:
            self.sizes = arguments.sizes(name, "output_size", output_size, self.axes, 1)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        expect_axes(type(self).__name__, shape, self.axes)
        return (shape[0], *self.outputs(shape[1:]))

    def outputs(self, size: Sizes) -> Sizes:
        """How many windows there are along each axis."""
        return tuple(count or length for count, length in zip(self.sizes, size, strict=True))


class AdaptiveAvgPool(AdaptivePooling):
    """AdaptiveAvgPool1d, AdaptiveAvgPool2d and AdaptiveAvgPool3d, but for the number of axes."""

    def work(self, shape: Shape) -> int:
        products, between = products_and_between(shape[1:], self.outputs(shape[1:]))
        return shape[0] * products + NUMBER * (self._matrix_numbers(shape) + shape[0] * between)

    def prepared_bytes(self, shape: Shape) -> int:
        return 16 * self._matrix_numbers(shape)

    def _matrix_numbers(self, shape: Shape) -> int:
        """How many numbers the matrices of all axes have."""
        return sum(count * length for count, length in zip(self.outputs(shape[1:]), shape[1:], strict=True))

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        outputs = self.outputs(shape[2:])
        if direction == "forward":
            return {"between": Scratch((between_numbers(shape, outputs),))}
        return {"between": Scratch((between_numbers((*shape[:2], *outputs), shape[2:]),))}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        pooling.adaptive_avg_pool_nd_forward(x.value, y.value.shape[2:], y.value, block.scratch["between"])

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        pooling.adaptive_avg_pool_nd_backward(y.grad, x.grad.shape[2:], x.grad, block.scratch["between"])


class AdaptiveAvgPool2d(AdaptiveAvgPool):
    """Averages over as many windows as are asked for: window i of o covers rows ⌊i·h/o⌋ up to ⌈(i + 1)·h/o⌉.

    Shapes: x (n, c, h, w), y (n, c, h_out, w_out).

    Args:
        output_size: (h_out, w_out), or one number for both. None in the pair stands for the input's size.

    Raises:
        ArgumentError: Anything but that.
        ShapeError: An input that is no image.

    Derived in docs/math/pooling.md. After torch.nn.AdaptiveAvgPool2d.
    """

    axes = 2

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        images, channels, height, width = shape
        return {"rows": Scratch((images, self.sizes[0] or height, width, channels))}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        _, _, height, width = y.value.shape
        pooling.adaptive_avg_pool2d_forward(x.value, (height, width), y.value, block.scratch["rows"])

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        _, _, height, width = x.grad.shape
        pooling.adaptive_avg_pool2d_backward(y.grad, (height, width), x.grad, block.scratch["rows"])


class AdaptiveAvgPool1d(AdaptiveAvgPool):
    """As :class:`AdaptiveAvgPool2d`, along sequences.

    Shapes: x (n, c, l), y (n, c, l_out). After torch.nn.AdaptiveAvgPool1d.
    """

    axes = 1


class AdaptiveAvgPool3d(AdaptiveAvgPool):
    """As :class:`AdaptiveAvgPool2d`, for volumes: (d_out, h_out, w_out), or one number for all.

    Shapes: x (n, c, d, h, w), y (n, c, d_out, h_out, w_out). After torch.nn.AdaptiveAvgPool3d.
    """

    axes = 3


class Found(NamedTuple):
    """Where the maxima of arrays of one size are looked for.

    Attributes:
        window: What moves over them, or over copies in which windows of several lengths are as long as one another.
        copies: For each axis what is copied (see `adaptive.side_by_side`), or None where no copy is needed.
    """

    window: Window
    copies: list[NDArray[np.intp]] | None


class AdaptiveMaxPool(AdaptivePooling):
    """AdaptiveMaxPool1d, AdaptiveMaxPool2d and AdaptiveMaxPool3d, but for the number of axes."""

    # As MaxPool2d: where the maxima are is saved.
    reads: ClassVar[set[str]] = set()
    cheap = False
    takes_maximum = True

    def __init__(self, output_size: int | Counts | None, return_indices: bool = False) -> None:
        name = type(self).__name__
        arguments.unsupported(name, "a layer has one output", return_indices=(return_indices, False))
        self.return_indices = False
        super().__init__(output_size)
        self._found: dict[Sizes, Found] = {}

    @property
    def _first(self) -> int:
        """The first axis of pixels in memory."""
        return 1 if ends_in_channels(2 + self.axes) else 2

    def _find(self, size: Sizes) -> Found:
        if (found := self._found.get(size)) is None:
            outputs = self.outputs(size)
            if (window := adaptive.regular_window(size, outputs)) is not None:
                found = Found(window, None)
            else:
                copies, lengths = zip(*map(adaptive.side_by_side, size, outputs), strict=True)
                found = Found(Window(lengths, lengths), list(copies))
            self._found = {size: found}  # the tables of one size: they may be large
        return found

    def work(self, shape: Shape) -> int:
        size, outputs = shape[1:], self.outputs(shape[1:])
        copied = [length + 2 * count for length, count in zip(size, outputs, strict=True)]  # at most
        seen = math.prod(-(-length // count) + 1 for length, count in zip(size, outputs, strict=True))
        return NUMBER * shape[0] * (2 * math.prod(copied) + copied[0] * math.prod(size[1:])) + seen * CALL

    def prepared_bytes(self, shape: Shape) -> int:
        return 8 * 4 * sum((count or 0) + length for count, length in zip(self.sizes, shape[1:], strict=True))

    def _outputs(self, shape: Shape) -> Shape:
        """The shape of an output in memory, for a block of input `shape`."""
        return laid_shape((*shape[:2], *self.outputs(shape[2:])))

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        spaces = max_scratch(self._outputs(shape), direction)
        if (copies := self._find(shape[2:]).copies) is not None:
            between = adaptive.between_numbers(laid_shape(shape), copies, self._first)
            copied = laid_shape((*shape[:2], *map(len, copies)))
            spaces |= {"between": Scratch((between,)), "copies": Scratch(copied)}
        return spaces

    def saved(self, shape: Shape) -> dict[str, Scratch]:
        return {"winners": Scratch(self._outputs(shape), pooling.winner_dtype(self._find(shape[2:]).window))}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        window, copies = self._find(x.value.shape[2:])
        values: Array = x.value
        if copies is not None:
            spaces = block.scratch["between"], block.scratch["copies"]
            values = as_written(adaptive.lay_side_by_side(as_laid(values), copies, self._first, *spaces))
        max_forward(values, window, y.value, block)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        window, copies = self._find(x.grad.shape[2:])
        if copies is None:
            max_backward(y.grad, window, x.grad, block)
            return
        copied = block.scratch["copies"]
        max_backward(y.grad, window, as_written(copied), block)
        adaptive.gather_back(copied, copies, self._first, block.scratch["between"], as_laid(x.grad))


class AdaptiveMaxPool2d(AdaptiveMaxPool):
    """Maxima over as many windows as are asked for: window i of o covers rows ⌊i·h/o⌋ up to ⌈(i + 1)·h/o⌉.

    Shapes: x (n, c, h, w), y (n, c, h_out, w_out).

    Args:
        output_size: (h_out, w_out), or one number for both. None in the pair stands for the input's size.
        return_indices: False, the only way there is.

    Raises:
        ArgumentError: Anything but that.
        ShapeError: An input that is no image.

    A NaN is the maximum of its window. Of equal maxima the first in row-major order takes the gradient.
    After torch.nn.AdaptiveMaxPool2d.
    """

    axes = 2


class AdaptiveMaxPool1d(AdaptiveMaxPool):
    """As :class:`AdaptiveMaxPool2d`, along sequences.

    Shapes: x (n, c, l), y (n, c, l_out). After torch.nn.AdaptiveMaxPool1d.
    """

    axes = 1


class AdaptiveMaxPool3d(AdaptiveMaxPool):
    """As :class:`AdaptiveMaxPool2d`, for volumes: (d_out, h_out, w_out), or one number for all.

    Shapes: x (n, c, d, h, w), y (n, c, d_out, h_out, w_out). After torch.nn.AdaptiveMaxPool3d.
    """

    axes = 3
