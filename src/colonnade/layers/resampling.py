"""Layers that move pixels and channels: ZeroPad2d, Upsample, PixelShuffle, PixelUnshuffle, ChannelShuffle."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from .. import arguments
from ..errors import ArgumentError, ShapeError
from ..limits import NUMBER
from ..ops import adaptive, resampling
from ..ops.layout import Array
from ..ops.rearrangement import pad_backward, pad_forward
from ..ops.window import Sizes
from ..tensor import Shape, Tensor
from .base import Block, Direction, Layer, Scratch, expect_axes


class Resampling(Layer):
    """What these share: images only, backward reads neither side, and the layer before sees through them."""

    reads: ClassVar[set[str]] = set()
    cheap = True
    rectifies = None

    def _image(self, shape: Shape) -> Shape:
        expect_axes(type(self).__name__, shape, 2)
        return shape


def products_and_between(size: Sizes, outputs: Sizes) -> tuple[int, int]:
    """Of one channel resampled axis by axis: multiplications, and numbers that stand between one axis and the next."""
    axes = range(len(size))
    products = sum(math.prod(outputs[: axis + 1]) * math.prod(size[axis:]) for axis in axes)
    return products, sum(math.prod(outputs[:axis]) * math.prod(size[axis:]) for axis in axes[1:])


def matrices_work(shape: Shape, outputs: Sizes) -> int:
    """The work of making one image (c, *size) another size by a product with a matrix each way, those to be made."""
    made = sum(count * length for count, length in zip(outputs, shape[1:], strict=True))
    products, between = products_and_between(shape[1:], outputs)
    return shape[0] * products + NUMBER * (8 * made + 2 * shape[0] * between)


def matrices_bytes(shape: Shape, outputs: Sizes) -> int:
    """What these matrices take while they are made, in float64 with their indices."""
    return 24 * sum(count * length for count, length in zip(outputs, shape[1:], strict=True))


# How many axes of pixels each mode is for; None for any.
MODES = {"nearest": None, "linear": 1, "bilinear": 2, "trilinear": 3}


class ZeroPad2d(Resampling):
    """Zeros around an image.

    Shapes: x (n, c, h, w), y (n, c, top + h + bottom, left + w + right).

    Args:
        padding: Pixels on each side, or (left, right, top, bottom).

    Raises:
        ArgumentError: Anything but a number or four, zero or more.
        ShapeError: An input that is no image.
    """

    def __init__(self, padding: int | tuple[int, int, int, int]) -> None:
        self.left, self.right, self.top, self.bottom = arguments.sizes("ZeroPad2d", "padding", padding, 4, 0)
        self.padding = padding

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        channels, height, width = self._image(shape)
        return (channels, self.top + height + self.bottom, self.left + width + self.right)

    def _borders(self) -> list[tuple[int, int]]:
        return [(0, 0), (self.top, self.bottom), (self.left, self.right)]

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        pad_forward(x.value, self._borders(), out=y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        pad_backward(y.grad, self._borders(), out=x.grad)


class Upsample(Resampling):
    """An image of another size, from the nearest pixels or by bilinear interpolation; a sequence or a volume likewise.

    Shapes: x (n, c, h, w), y (n, c, h_out, w_out), with h_out given or ⌊h · scale_factor⌋; x may have one or three axes
    of pixels.

    Args:
        size: (h_out, w_out), a number for each axis, or one number for all.
        scale_factor: How many times larger, a number or one for each axis; instead of `size`.
        mode: "nearest", or for one, two and three axes "linear", "bilinear" and "trilinear".
        align_corners: For all but "nearest": whether the corners' centres stay in the corners. Otherwise pixels are
            squares.
        recompute_scale_factor: Find positions from the two sizes, even where a scale factor is given.

    Raises:
        ArgumentError: Both sizes or none, numbers that are not positive, another mode, or `align_corners` with
            "nearest".
        ShapeError: An input of another number of axes, or an output without pixels.

    After torch.nn.Upsample.
    """

    def __init__(
        self,
        size: int | Sizes | None = None,
        scale_factor: float | tuple[float, ...] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        if (size is None) == (scale_factor is None):
            raise ArgumentError(
                f"Upsample: expected either size or scale_factor, got size={arguments.shown(size)}, "
                f"scale_factor={arguments.shown(scale_factor)}."
            )
        self.mode = arguments.choice("Upsample", "mode", mode, MODES)
        self.align_corners = None
        if align_corners is not None:
            self.align_corners = arguments.flag("Upsample", "align_corners", align_corners)
            if mode == "nearest":
                got = f"{self.align_corners} with 'nearest'"
                raise ArgumentError(f"Upsample: align_corners needs a linear mode, got {got}.")
        self.recompute_scale_factor = None
        if recompute_scale_factor is not None:
            self.recompute_scale_factor = arguments.flag("Upsample", "recompute_scale_factor", recompute_scale_factor)
        self.size, self.scale_factor = size, scale_factor
        # How many axes the arguments are for, if they say so.
        self.axes = MODES[mode]
        several = [given for given in (size, scale_factor) if arguments.is_sequence(given)]
        for given in several:
            if len(given) not in (1, 2, 3) or self.axes not in (None, len(given)):
                expected = "one to three numbers" if self.axes is None else f"{self.axes} for mode {mode!r}"
                raise ArgumentError(f"Upsample: expected {expected}, got {arguments.shown(given)}.")
            self.axes = len(given)
        if size is not None:
            arguments.sizes("Upsample", "size", size, len(several[0]) if several else 1, 1)
            if recompute_scale_factor:
                raise ArgumentError("Upsample: recompute_scale_factor needs a scale_factor, got size.")
        else:
            arguments.numbers("Upsample", "scale_factor", scale_factor if several else (scale_factor,), above=0)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        axes = self.axes or min(max(len(shape) - 1, 1), 3)
        expect_axes("Upsample", shape, axes)
        outputs = self.outputs(shape[1:])
        if min(outputs) < 1:
            raise ShapeError(f"Upsample: nothing is left of an input of shape {shape} at {self.scale_factor} times.")
        return (shape[0], *outputs)

    def outputs(self, size: Sizes) -> Sizes:
        """The size of the output, for an input of `size`."""
        return tuple(self._length(axis, length) for axis, length in enumerate(size))

    def _length(self, axis: int, length: int) -> int:
        if self.size is not None:
            return int(_each(self.size, axis))
        return math.floor(length * float(_each(self.scale_factor, axis)))

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        size, outputs = shape[2:], self.outputs(shape[2:])
        if len(size) == 2:
            return {"rows": Scratch((shape[0], outputs[0], size[1], shape[1]))}
        if direction == "backward":
            return {"rows": Scratch((resampling.between_numbers((*shape[:2], *outputs), size),))}
        return {"rows": Scratch((resampling.between_numbers(shape, outputs),))}

    def work(self, shape: Shape) -> int:
        return matrices_work(shape, self.outputs(shape[1:]))

    def prepared_bytes(self, shape: Shape) -> int:
        return matrices_bytes(shape, self.outputs(shape[1:]))

    def advance(self, axis: int, size: int, outputs: int, axes: int = 2) -> float:
        """How many pixels of the input one of the output advances.

        What is as large as before is copied, and of an image's nearest pixels what is twice as large doubled, whatever
        the factor: 5 pixels at 1.1 times are the same 5. The nearest of a sequence or volume are taken by the factor
        alone, as in PyTorch.

        Args:
            axis: Which of the axes of pixels.
            size: The input's.
            outputs: The output's.
            axes: How many axes of pixels there are.
        """
        whole = outputs == size or (self.mode == "nearest" and outputs == 2 * size)
        whole &= self.mode != "nearest" or axes == 2
        if whole or self.scale_factor is None or self.recompute_scale_factor:
            return size / outputs
        return 1 / float(_each(self.scale_factor, axis))

    def _index(self, axis: int, size: int, axes: int) -> Array:
        outputs = self._length(axis, size)
        return resampling.nearest_index(size, outputs, self.advance(axis, size, outputs, axes))

    def matrix(self, axis: int, size: int, dtype: DTypeLike, axes: int = 2) -> Array:
        """The matrix (outputs, size) of one axis of several, read-only."""
        outputs = self._length(axis, size)
        scale = self.advance(axis, size, outputs, axes)
        if self.mode == "nearest":
            return resampling.nearest_matrix(size, outputs, scale, np.dtype(dtype))
        return resampling.linear_matrix(size, outputs, scale, bool(self.align_corners), np.dtype(dtype))

    def _matrices(self, x: Array) -> list[Array]:
        return [self.matrix(axis, size, x.dtype, x.ndim - 2) for axis, size in enumerate(x.shape[2:])]

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        rows, values = block.scratch["rows"], x.value
        places = None
        if self.mode == "nearest":
            places = [self._index(axis, size, values.ndim - 2) for axis, size in enumerate(values.shape[2:])]
        if values.ndim == 4 and places:
            resampling.nearest_forward(values, places[0], places[1], y.value, rows)
        elif values.ndim == 4:
            vertical, horizontal = self._matrices(values)
            resampling.resample_forward(values, vertical, horizontal, y.value, rows)
        elif places:
            adaptive.lay_side_by_side(values, places, 2, rows, y.value)
        else:
            resampling.resample_nd_forward(values, self._matrices(values), y.value, rows)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        matrices, rows = self._matrices(x.grad), block.scratch["rows"]
        if x.grad.ndim == 4:
            resampling.resample_backward(y.grad, matrices[0], matrices[1], x.grad, rows)
        else:
            resampling.resample_nd_backward(y.grad, matrices, x.grad, rows)


def _each(given: Any, axis: int) -> Any:
    """The number for one axis, of one for each or one for all."""
    return given[axis] if arguments.is_sequence(given) else given


class PixelShuffle(Resampling):
    """y[n, c, h·r + i, w·r + j] = x[n, c·r² + i·r + j, h, w]: a larger image of fewer channels.

    Shapes: x (n, c · r², h, w), y (n, c, h · r, w · r).

    Args:
        upscale_factor: r.

    Raises:
        ArgumentError: r below one.
        ShapeError: An input that is no image, or whose channels r² does not divide.

    Shi et al. 2016, Real-time single image and video super-resolution, arXiv:1609.05158.
    """

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = arguments.whole("PixelShuffle", "upscale_factor", upscale_factor, 1)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        channels, height, width = self._image(shape)
        factor = self.upscale_factor
        if channels % factor**2:
            raise ShapeError(
                f"PixelShuffle: the channels must be divisible by {factor}², got an input of shape {shape}."
            )
        return (channels // factor**2, height * factor, width * factor)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        resampling.shuffle_forward(x.value, self.upscale_factor, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        resampling.shuffle_backward(y.grad, self.upscale_factor, x.grad)


class PixelUnshuffle(Resampling):
    """y[n, c·r² + i·r + j, h, w] = x[n, c, h·r + i, w·r + j]: a smaller image of more channels.

    Shapes: x (n, c, h · r, w · r), y (n, c · r², h, w).

    Args:
        downscale_factor: r.

    Raises:
        ArgumentError: r below one.
        ShapeError: An input that is no image, or whose sides r does not divide.

    What PixelShuffle does, the other way.
    """

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = arguments.whole("PixelUnshuffle", "downscale_factor", downscale_factor, 1)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        channels, height, width = self._image(shape)
        factor = self.downscale_factor
        if height % factor or width % factor:
            raise ShapeError(
                f"PixelUnshuffle: height and width must be divisible by {factor}, got an input of shape {shape}."
            )
        return (channels * factor**2, height // factor, width // factor)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        resampling.shuffle_backward(x.value, self.downscale_factor, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        resampling.shuffle_forward(y.grad, self.downscale_factor, x.grad)


class ChannelShuffle(Layer):
    """y[n, j·g + i] = x[n, i·k + j], with g groups of k channels: one channel of each group after the other.

    Shapes: x and y (n, c, ...), with c = g · k.

    Args:
        groups: g.

    Raises:
        ArgumentError: g below one.
        ShapeError: An input without positions, or whose channels g does not divide.

    Zhang et al. 2018, ShuffleNet, arXiv:1707.01083.
    """

    reads: ClassVar[set[str]] = set()
    cheap = True
    rectifies = None

    def __init__(self, groups: int) -> None:
        self.groups = arguments.whole("ChannelShuffle", "groups", groups, 1)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if len(shape) < 2 or shape[0] % self.groups:
            raise ShapeError(
                f"ChannelShuffle: expected channels that {self.groups} divides, and positions, got an input of shape "
                f"{shape}."
            )
        return shape

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        resampling.channel_shuffle_forward(x.value, self.groups, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        resampling.channel_shuffle_backward(y.grad, self.groups, x.grad)
