"""Layers that move pixels and channels: ZeroPad2d, Upsample, PixelShuffle, PixelUnshuffle, ChannelShuffle."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from .. import arguments
from ..errors import ArgumentError, ShapeError
from ..limits import NUMBER
from ..ops import resampling
from ..ops.layout import Array
from ..ops.rearrangement import pad_backward, pad_forward
from ..tensor import Shape, Tensor
from .base import Block, Direction, Layer, Scratch


class Resampling(Layer):
    """What these share: images only, backward reads neither side, and the layer before sees through them."""

    reads: ClassVar[set[str]] = set()
    cheap = True
    rectifies = None

    def _image(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            raise ShapeError(f"{type(self).__name__}: expected images (c, h, w), got an input of shape {shape}.")
        return shape


def matrices_work(shape: Shape, outputs: tuple[int, int]) -> int:
    """The work of making one image (c, h, w) another size by a product with a matrix each way, those to be made."""
    channels, height, width = shape
    rows, columns = outputs
    made = rows * height + columns * width
    return channels * rows * width * (height + columns) + NUMBER * (8 * made + 2 * channels * rows * width)


def matrices_bytes(shape: Shape, outputs: tuple[int, int]) -> int:
    """What these matrices take while they are made, in float64 with their indices."""
    return 24 * (outputs[0] * shape[1] + outputs[1] * shape[2])


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
    """An image of another size, from the nearest pixels or by bilinear interpolation.

    Shapes: x (n, c, h, w), y (n, c, h_out, w_out), with h_out given or ⌊h · scale_factor⌋.

    Args:
        size: (h_out, w_out), or one number for both.
        scale_factor: How many times larger, a number or a pair; instead of `size`.
        mode: "nearest" or "bilinear".
        align_corners: For "bilinear": whether the corners' centres stay in the corners. Otherwise pixels are squares.
        recompute_scale_factor: Find positions from the two sizes, even where a scale factor is given.

    Raises:
        ArgumentError: Both sizes or none, numbers that are not positive, another mode, or `align_corners` with
            "nearest".
        ShapeError: An input that is no image, or an output without pixels.

    After torch.nn.Upsample.
    """

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        scale_factor: float | tuple[float, float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        if (size is None) == (scale_factor is None):
            raise ArgumentError(
                f"Upsample: expected either size or scale_factor, got size={arguments.shown(size)}, "
                f"scale_factor={arguments.shown(scale_factor)}."
            )
        self.mode = arguments.choice("Upsample", "mode", mode, ("nearest", "bilinear"))
        self.align_corners = None
        if align_corners is not None:
            self.align_corners = arguments.flag("Upsample", "align_corners", align_corners)
            if mode == "nearest":
                got = f"{self.align_corners} with 'nearest'"
                raise ArgumentError(f"Upsample: align_corners needs mode 'bilinear', got {got}.")
        self.recompute_scale_factor = None
        if recompute_scale_factor is not None:
            self.recompute_scale_factor = arguments.flag("Upsample", "recompute_scale_factor", recompute_scale_factor)
        if size is not None:
            arguments.pair("Upsample", "size", size, 1)
            if recompute_scale_factor:
                raise ArgumentError("Upsample: recompute_scale_factor needs a scale_factor, got size.")
        self.size, self.scale_factor = size, scale_factor
        self.factors: tuple[float | None, ...] = (None, None)
        if scale_factor is not None:
            given = scale_factor if arguments.is_sequence(scale_factor) else (scale_factor, scale_factor)
            self.factors = arguments.numbers("Upsample", "scale_factor", given, above=0)
            if len(self.factors) != 2:
                raise ArgumentError(f"Upsample: scale_factor must be a number or a pair, got {scale_factor!r}.")

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        channels, *size = self._image(shape)
        outputs = self._outputs((size[0], size[1]))
        if min(outputs) < 1:
            raise ShapeError(f"Upsample: nothing is left of an input of shape {shape} at {self.scale_factor} times.")
        return (channels, *outputs)

    def _outputs(self, size: tuple[int, int]) -> tuple[int, int]:
        if self.size is not None:
            return arguments.pair("Upsample", "size", self.size, 1)
        high, wide = (math.floor(size[axis] * float(self.factors[axis] or 0)) for axis in (0, 1))
        return high, wide

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        images, channels, height, width = shape
        return {"rows": Scratch((images, self._outputs((height, width))[0], width, channels))}

    def work(self, shape: Shape) -> int:
        return matrices_work(shape, self._outputs((shape[1], shape[2])))

    def prepared_bytes(self, shape: Shape) -> int:
        return matrices_bytes(shape, self._outputs((shape[1], shape[2])))

    def advance(self, axis: int, size: int, outputs: int) -> float:
        """How many pixels of the input one of the output advances.

        What is as large as before is copied, and of the nearest pixels what is twice as large doubled, whatever the
        factor: 5 pixels at 1.1 times are the same 5.
        """
        factor = self.factors[axis]
        whole = outputs == size or (self.mode == "nearest" and outputs == 2 * size)
        return size / outputs if whole or factor is None or self.recompute_scale_factor else 1 / factor

    def _index(self, axis: int, size: int) -> Array:
        outputs = self._outputs((size, size))[axis]
        return resampling.nearest_index(size, outputs, self.advance(axis, size, outputs))

    def matrix(self, axis: int, size: int, dtype: DTypeLike) -> Array:
        """The matrix (outputs, size) of one direction, read-only."""
        outputs = self._outputs((size, size))[axis]
        scale = self.advance(axis, size, outputs)
        if self.mode == "nearest":
            return resampling.nearest_matrix(size, outputs, scale, np.dtype(dtype))
        return resampling.linear_matrix(size, outputs, scale, bool(self.align_corners), np.dtype(dtype))

    def _matrices(self, x: Array) -> tuple[Array, Array]:
        return self.matrix(0, x.shape[2], x.dtype), self.matrix(1, x.shape[3], x.dtype)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        rows = block.scratch["rows"]
        if self.mode == "nearest":
            height, width = x.value.shape[2:]
            resampling.nearest_forward(x.value, self._index(0, height), self._index(1, width), y.value, rows)
        else:
            resampling.resample_forward(x.value, *self._matrices(x.value), y.value, rows)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        resampling.resample_backward(y.grad, *self._matrices(x.grad), x.grad, block.scratch["rows"])


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
