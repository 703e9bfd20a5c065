"""Pooling: MaxPool2d, AvgPool2d, AdaptiveAvgPool2d."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .. import arguments
from ..errors import ArgumentError, ShapeError
from ..limits import CALL, NUMBER
from ..ops import pooling
from ..ops.layout import Array, channels_first
from ..ops.resampling import resample_backward, resample_forward
from ..ops.window import Pair, Window
from ..tensor import Shape, Tensor
from .base import Block, Direction, Layer, Scratch

# A position of a window, with its slices and the views made of them.
POSITION_BYTES = 1000


class Pooling(Layer):
    """What the pools share: how an image batch is checked, and that the layer before sees through them."""

    reads: ClassVar[set[str]] = set()
    cheap = True
    rectifies = None

    def _image(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            raise ShapeError(f"{type(self).__name__}: expected images (c, h, w), got an input of shape {shape}.")
        return shape


class WindowPooling(Pooling):
    """A pool whose windows move by a stride."""

    window: Window
    ceil_mode: bool

    def _window(
        self, kernel_size: int | Pair, stride: int | Pair | None, padding: int | Pair, dilation: int | Pair = 1
    ) -> Window:
        name = type(self).__name__
        kernel = arguments.pair(name, "kernel_size", kernel_size, 1)
        steps = kernel if stride is None else arguments.pair(name, "stride", stride, 1)
        vertical, horizontal = arguments.pair(name, "padding", padding, 0)
        gaps = arguments.pair(name, "dilation", dilation, 1)
        window = Window(kernel, steps, (vertical, vertical, horizontal, horizontal), gaps)
        height, width = window.extent
        if vertical > height // 2 or horizontal > width // 2:
            raise ArgumentError(
                f"{name}: padding must be at most half the window of {height}×{width}, got {padding!r}."
            )
        return window

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        channels, height, width = self._image(shape)
        outputs = pooling.pooled_size(self.window, (height, width), self.ceil_mode)
        if min(outputs) < 1:
            (high, wide), padded = self.window.extent, self.window.padded_size((height, width))
            raise ShapeError(
                f"{type(self).__name__}: a window spans {high}×{wide}, more than the padded input of "
                f"{padded[0]}×{padded[1]} (an input of shape {shape})."
            )
        return (channels, *outputs)

    def work(self, shape: Shape) -> int:
        (_, height, width, channels), size = self._outputs((1, *shape)), (shape[1], shape[2])
        seen = pooling.positions_bound(self.window, size, (height, width))
        return seen * (NUMBER * height * width * channels + CALL)

    def prepared_bytes(self, shape: Shape) -> int:
        _, height, width, _ = self._outputs((1, *shape))
        seen = pooling.positions_bound(self.window, (shape[1], shape[2]), (height, width))
        return 8 * height * width + POSITION_BYTES * seen

    def _outputs(self, shape: Shape) -> Shape:
        """The shape of an output in memory, (n, h_out, w_out, c), for a block of input `shape`."""
        images, channels, height, width = shape
        return (images, *pooling.pooled_size(self.window, (height, width), self.ceil_mode), channels)


class MaxPool2d(WindowPooling):
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

    # Where the maxima are is saved, a byte a number: that is less than keeping or making again what they were found in.
    cheap = False
    takes_maximum = True

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        arguments.unsupported("MaxPool2d", "a layer has one output", return_indices=(return_indices, False))
        self.return_indices = False
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation
        self.ceil_mode = arguments.flag("MaxPool2d", "ceil_mode", ceil_mode)
        self.window = self._window(kernel_size, stride, padding, dilation)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return max_scratch(self.window, shape, self._outputs(shape), direction)

    def saved(self, shape: Shape) -> dict[str, Scratch]:
        return {"winners": Scratch(self._outputs(shape), pooling.winner_dtype(self.window))}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        max_forward(x.value, self.window, y.value, block)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        max_backward(y.grad, self.window, x.grad, block)


def max_scratch(window: Window, shape: Shape, outputs: Shape, direction: Direction) -> dict[str, Scratch]:
    """What the next two need, for images (n, c, h, w) and outputs (n, h_out, w_out, c)."""
    spaces = {"mask": Scratch(outputs, np.bool_)}
    if direction == "backward":
        spaces["take"] = Scratch(outputs)
    return spaces


def max_forward(x: Array, window: Window, y: Array, block: Block) -> None:
    """The maxima of images (n, c, h, w) in y (n, c, h_out, w_out), and where they were, if a backward pass follows."""
    pooling.max_pool2d_forward(x, window, y)
    if block.saved:
        winners, mask = channels_first(block.saved["winners"]), channels_first(block.scratch["mask"])
        pooling.max_pool2d_winners(x, y, window, winners, mask)


def max_backward(grad_y: Array, window: Window, grad_x: Array, block: Block) -> None:
    """The gradient at the images from that at the maxima, of the shapes of :func:`max_forward`."""
    take, mask = channels_first(block.scratch["take"]), channels_first(block.scratch["mask"])
    pooling.max_pool2d_backward(grad_y, channels_first(block.saved["winners"]), window, grad_x, take, mask)


class AvgPool2d(WindowPooling):
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

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        self.divisor_override = None
        if divisor_override is not None:
            self.divisor_override = arguments.whole("AvgPool2d", "divisor_override", divisor_override)
            if self.divisor_override == 0:
                raise ArgumentError(f"AvgPool2d: divisor_override must not be zero, got {divisor_override}.")
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode = arguments.flag("AvgPool2d", "ceil_mode", ceil_mode)
        self.count_include_pad = arguments.flag("AvgPool2d", "count_include_pad", count_include_pad)
        self.window = self._window(kernel_size, stride, padding)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        images, height, width, channels = self._outputs(shape)
        if self._global(shape):
            return {"means": Scratch((images, 1, shape[3], channels))}
        if self._narrow(shape):
            return {"rows": Scratch((images, height, width * self.window.kernel[1], channels))}
        return {"part": Scratch((images, height, width, channels))} if direction == "backward" else {}

    def _global(self, shape: Shape) -> bool:
        """Whether one window sees the whole image: then this is AdaptiveAvgPool2d(1), but for d."""
        return self.window.kernel == shape[2:] and not any(self.window.padding)

    def _narrow(self, shape: Shape) -> bool:
        """Whether averages are taken by a matrix product."""
        return shape[1] <= pooling.FEW_CHANNELS and pooling.tiles_exactly(self.window, (shape[2], shape[3]))

    @property
    def _share(self) -> float:
        """What a value counts in its window's average where all windows are whole."""
        return 1.0 / (self.divisor_override or self.window.kernel[0] * self.window.kernel[1])

    def _shares(self, x: Array, y: Array) -> Array | float:
        size, outputs = (x.shape[2], x.shape[3]), (y.shape[2], y.shape[3])
        return pooling.shares(self.window, size, outputs, self.count_include_pad, self.divisor_override, x.dtype)

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
            pooling.avg_pool2d_forward(x.value, self.window, y.value, self._shares(x.value, y.value))

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        shape = x.grad.shape
        if self._global(shape):
            matrices = self._rows_and_columns(x.grad)
            resample_backward(y.grad, *matrices, x.grad, block.scratch["means"])
        elif self._narrow(shape):
            pooling.avg_pool2d_tiles_backward(y.grad, self.window, x.grad, self._share, block.scratch["rows"])
        else:
            part = channels_first(block.scratch["part"])
            pooling.avg_pool2d_backward(y.grad, self.window, x.grad, self._shares(x.grad, y.grad), part)


class AdaptivePooling(Pooling):
    """A pool that is told how many windows there are, and finds out how large."""

    sizes: tuple[int | None, ...]

    def __init__(self, output_size: int | tuple[int | None, int | None]) -> None:
        self.output_size = output_size
        if isinstance(output_size, tuple | list) and len(output_size) == 2 and None in output_size:
            name = type(self).__name__
            self.sizes = tuple(
                None if size is None else arguments.whole(name, "output_size", size, 1) for size in output_size
            )
        else:
            self.sizes = arguments.pair(type(self).__name__, "output_size", output_size, 1)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        channels, height, width = self._image(shape)
        return (channels, self.sizes[0] or height, self.sizes[1] or width)

    def _matrix_numbers(self, shape: Shape) -> int:
        """How many numbers the matrices of both directions have."""
        return sum((size or given) * given for size, given in zip(self.sizes, shape[1:], strict=True))


class AdaptiveAvgPool2d(AdaptivePooling):
    """Averages over as many windows as are asked for: window i of o covers rows ⌊i·h/o⌋ up to ⌈(i + 1)·h/o⌉.

    Shapes: x (n, c, h, w), y (n, c, h_out, w_out).

    Args:
        output_size: (h_out, w_out), or one number for both. None in the pair stands for the input's size.

    Raises:
        ArgumentError: Anything but that.
        ShapeError: An input that is no image.

    Derived in docs/math/pooling.md. After torch.nn.AdaptiveAvgPool2d.
    """

    def work(self, shape: Shape) -> int:
        channels, height, width = shape
        rows, columns = self.sizes[0] or height, self.sizes[1] or width
        numbers = self._matrix_numbers(shape) + channels * rows * width
        return channels * rows * width * (height + columns) + NUMBER * numbers

    def prepared_bytes(self, shape: Shape) -> int:
        return 16 * self._matrix_numbers(shape)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        images, channels, height, width = shape
        return {"rows": Scratch((images, self.sizes[0] or height, width, channels))}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        _, _, height, width = y.value.shape
        pooling.adaptive_avg_pool2d_forward(x.value, (height, width), y.value, block.scratch["rows"])

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        _, _, height, width = x.grad.shape
        pooling.adaptive_avg_pool2d_backward(y.grad, (height, width), x.grad, block.scratch["rows"])
