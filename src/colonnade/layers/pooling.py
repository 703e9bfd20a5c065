"""Pools whose windows move by a stride, over sequences, images and volumes: MaxPool, AvgPool."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from .. import arguments
from ..errors import ArgumentError, ShapeError
from ..limits import CALL, NUMBER
from ..ops import pooling
from ..ops.layout import Array, as_written, laid_shape
from ..ops.resampling import resample_backward, resample_forward
from ..ops.window import Sizes, Window, on_both_sides
from ..tensor import Shape, Tensor
from .base import Block, Direction, Layer, Scratch, expect_axes, times

# A position of a window, with its slices and the views made of them.
POSITION_BYTES = 1000


class Pooling(Layer):
    """What the pools share: the number of axes is checked, and the layer before sees through them.

    Attributes:
        axes: How many axes of pixels there are.
    """

    axes: ClassVar[int]
    reads: ClassVar[set[str]] = set()
    cheap = True
    rectifies = None


class WindowPooling(Pooling):
    """A pool whose windows move by a stride."""

    window: Window
    ceil_mode: bool

    def _window(
        self, kernel_size: int | Sizes, stride: int | Sizes | None, padding: int | Sizes, dilation: int | Sizes = 1
    ) -> Window:
        name, axes = type(self).__name__, self.axes
        kernel = arguments.sizes(name, "kernel_size", kernel_size, axes, 1)
        steps = kernel if stride is None else arguments.sizes(name, "stride", stride, axes, 1)
        borders = arguments.sizes(name, "padding", padding, axes, 0)
        gaps = arguments.sizes(name, "dilation", dilation, axes, 1)
        window = Window(kernel, steps, on_both_sides(borders), gaps)
        if any(border > extent // 2 for border, extent in zip(borders, window.extent, strict=True)):
            raise ArgumentError(
                f"{name}: padding must be at most half the window of {times(window.extent)}, got {padding!r}."
            )
        return window

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        expect_axes(type(self).__name__, shape, self.axes)
        outputs = self.outputs(shape[1:])
        if min(outputs) < 1:
            raise ShapeError(
                f"{type(self).__name__}: a window spans {times(self.window.extent)}, more than the padded input of "
                f"{times(self.window.padded_size(shape[1:]))} (an input of shape {shape})."
            )
        return (shape[0], *outputs)

    def outputs(self, size: Sizes) -> Sizes:
        """How many windows there are along each axis."""
        return pooling.pooled_size(self.window, size, self.ceil_mode)

    def laid_outputs(self, shape: Shape) -> Shape:
        """The shape of an output in memory, for a block of input `shape`."""
        return laid_shape((*shape[:2], *self.outputs(shape[2:])))

    def work(self, shape: Shape) -> int:
        outputs = self.outputs(shape[1:])
        seen = pooling.positions_bound(self.window, shape[1:], outputs)
        return seen * (NUMBER * math.prod(outputs) * shape[0] + CALL)

    def prepared_bytes(self, shape: Shape) -> int:
        outputs = self.outputs(shape[1:])
        return 8 * math.prod(outputs) + POSITION_BYTES * pooling.positions_bound(self.window, shape[1:], outputs)


class MaxPool(WindowPooling):
    """MaxPool1d, MaxPool2d and MaxPool3d, but for the number of axes."""

    # Where the maxima are is saved, a byte a number: that is less than keeping or making again what they were found in.
    cheap = False
    takes_maximum = True

    def __init__(
        self,
        kernel_size: int | Sizes,
        stride: int | Sizes | None = None,
        padding: int | Sizes = 0,
        dilation: int | Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        name = type(self).__name__
        arguments.unsupported(name, "a layer has one output", return_indices=(return_indices, False))
        self.return_indices = False
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation
        self.ceil_mode = arguments.flag(name, "ceil_mode", ceil_mode)
        self.window = self._window(kernel_size, stride, padding, dilation)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return max_scratch(self.laid_outputs(shape), direction)

    def saved(self, shape: Shape) -> dict[str, Scratch]:
        return {"winners": Scratch(self.laid_outputs(shape), pooling.winner_dtype(self.window))}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        max_forward(x.value, self.window, y.value, block)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        max_backward(y.grad, self.window, x.grad, block)


def max_scratch(outputs: Shape, direction: Direction) -> dict[str, Scratch]:
    """What the next two need, for outputs of that shape in memory."""
    spaces = {"mask": Scratch(outputs, np.bool_)}
    if direction == "backward":
        spaces["take"] = Scratch(outputs)
    return spaces


def max_forward(x: Array, window: Window, y: Array, block: Block) -> None:
    """The maxima of x (n, c, *size) in y (n, c, *outputs), and where they were, if a backward pass follows."""
    pooling.max_pool_forward(x, window, y)
    if block.saved:
        winners, mask = as_written(block.saved["winners"]), as_written(block.scratch["mask"])
        pooling.max_pool_winners(x, y, window, winners, mask)


def max_backward(grad_y: Array, window: Window, grad_x: Array, block: Block) -> None:
    """The gradient at x from that at the maxima, of the shapes of :func:`max_forward`."""
    take, mask = as_written(block.scratch["take"]), as_written(block.scratch["mask"])
    pooling.max_pool_backward(grad_y, as_written(block.saved["winners"]), window, grad_x, take, mask)


class MaxPool2d(MaxPool):
    """The maximum of each window.

    y[n, c, i, j] = max over s, t of x[n, c, i·stride + s·dilation − padding, j·stride + t·dilation − padding]

    Shapes: x (n, c, h, w), y (n, c, h_out, w_out), h_out = ⌊(h + 2·padding − dilation·(k_h − 1) − 1) / stride⌋ + 1.

    Args:
        kernel_size: Height and width of the window; one number for both, here and below.
        stride: Pixels from one window to the next; the kernel size if not given.
        padding: Pixels of −∞ on each side, at most half the window.
        dilation: Pixels from one value of a window to the next.
        return_indices: False, the only way there is.
        ceil_mode: Round h_out up rather than down, if the last window still starts inside the image or the padding
            before it.

    Raises:
        ArgumentError: An argument out of its range.
        ShapeError: An input that is no image, or smaller with its padding than one window.

    A NaN is the maximum of its window. Of equal maxima the first in row-major order takes the gradient.
    Derived in docs/math/pooling.md. After torch.nn.MaxPool2d.
    """

    axes = 2


class MaxPool1d(MaxPool):
    """As :class:`MaxPool2d`, along sequences: y[n, c, i] = max over s of x[n, c, i·stride + s·dilation − padding].

    Shapes: x (n, c, l), y (n, c, l_out). After torch.nn.MaxPool1d.
    """

    axes = 1


class MaxPool3d(MaxPool):
    """As :class:`MaxPool2d`, for volumes: a number for each of three axes, or one for all.

    Shapes: x (n, c, d, h, w), y (n, c, d_out, h_out, w_out). After torch.nn.MaxPool3d.
    """

    axes = 3


class AvgPool(WindowPooling):
    """AvgPool1d, AvgPool2d and AvgPool3d, but for the number of axes."""

    count_include_pad: bool
    divisor_override: int | None = None

    def __init__(
        self,
        kernel_size: int | Sizes,
        stride: int | Sizes | None = None,
        padding: int | Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        name = type(self).__name__
        self.divisor_override = None
        if divisor_override is not None:
            self.divisor_override = arguments.whole(name, "divisor_override", divisor_override)
            if self.divisor_override == 0:
                raise ArgumentError(f"{name}: divisor_override must not be zero, got {divisor_override}.")
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode = arguments.flag(name, "ceil_mode", ceil_mode)
        self.count_include_pad = arguments.flag(name, "count_include_pad", count_include_pad)
        self.window = self._window(kernel_size, stride, padding)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"part": Scratch(self.laid_outputs(shape))} if direction == "backward" else {}

    def _shares(self, x: Array, y: Array) -> Array | float:
        counted = self.count_include_pad, self.divisor_override
        return pooling.shares(self.window, x.shape[2:], y.shape[2:], *counted, x.dtype)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        pooling.avg_pool_forward(x.value, self.window, y.value, self._shares(x.value, y.value))

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        part = as_written(block.scratch["part"])
        pooling.avg_pool_backward(y.grad, self.window, x.grad, self._shares(x.grad, y.grad), part)


class AvgPool2d(AvgPool):
    """The average of each window.

    y[n, c, i, j] = 1/d · Σ_{s, t} x[n, c, i·stride + s − padding, j·stride + t − padding]

    Shapes: x (n, c, h, w), y (n, c, h_out, w_out), h_out = ⌊(h + 2·padding − k_h) / stride⌋ + 1.

    Args:
        kernel_size: Height and width of the window; one number for both, here and below.
        stride: Pixels from one window to the next; the kernel size if not given.
        padding: Pixels of zero on each side, at most half the window.
        ceil_mode: Round h_out up rather than down, if the last window still starts inside the image or the padding
            before it.
        count_include_pad: Whether d, the number of pixels in the window, counts those of the padding.
        divisor_override: d, the same for all windows.

    Raises:
        ArgumentError: An argument out of its range.
        ShapeError: An input that is no image, or smaller with its padding than one window.

    Derived in docs/math/pooling.md. After torch.nn.AvgPool2d.
    """

    axes = 2

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        images, height, width, channels = self.laid_outputs(shape)
        if self._global(shape):
            return {"means": Scratch((images, 1, shape[3], channels))}
        if self._narrow(shape):
            return {"rows": Scratch((images, height, width * self.window.kernel[1], channels))}
        return super().scratch(shape, direction)

    def _global(self, shape: Shape) -> bool:
        """Whether one window sees the whole image: then this is AdaptiveAvgPool2d(1), but for d."""
        return self.window.kernel == shape[2:] and not any(self.window.padding)

    def _narrow(self, shape: Shape) -> bool:
        """Whether averages are taken by a matrix product."""
        return shape[1] <= pooling.FEW_CHANNELS and pooling.tiles_exactly(self.window, shape[2:])

    @property
    def _share(self) -> float:
        """What a value counts in its window's average where all windows are whole."""
        return 1.0 / (self.divisor_override or math.prod(self.window.kernel))

    def _rows_and_columns(self, x: Array) -> tuple[Array, Array]:
        height, width = self.window.kernel
        return np.full((1, height), self._share, x.dtype), np.ones((1, width), x.dtype)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        shape = x.value.shape
        if self._global(shape):
            matrices = self._rows_and_columns(x.value)
            resample_forward(x.value, *matrices, y.value, block.scratch["means"])
        elif self._narrow(shape):
            pooling.avg_pool2d_tiles_forward(x.value, self.window, y.value, self._share, block.scratch["rows"])
        else:
            super().forward(x, y, block)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        shape = x.grad.shape
        if self._global(shape):
            matrices = self._rows_and_columns(x.grad)
            resample_backward(y.grad, *matrices, x.grad, block.scratch["means"])
        elif self._narrow(shape):
            pooling.avg_pool2d_tiles_backward(y.grad, self.window, x.grad, self._share, block.scratch["rows"])
        else:
            super().backward(x, y, block)


class AvgPool1d(AvgPool):
    """As :class:`AvgPool2d`, along sequences: y[n, c, i] = 1/d · Σ_s x[n, c, i·stride + s − padding].

    Shapes: x (n, c, l), y (n, c, l_out). After torch.nn.AvgPool1d, which has no `divisor_override`.
    """

    axes = 1

    def __init__(
        self,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] | None = None,
        padding: int | tuple[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)


class AvgPool3d(AvgPool):
    """As :class:`AvgPool2d`, for volumes: a number for each of three axes, or one for all.

    Shapes: x (n, c, d, h, w), y (n, c, d_out, h_out, w_out). After torch.nn.AvgPool3d.
    """

    axes = 3
