"""Windows as columns and back: Unfold, Fold."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from .. import arguments
from ..errors import ShapeError
from ..limits import CALL, NUMBER
from ..ops.unfolding import fold_backward, fold_forward, unfold_backward, unfold_forward
from ..ops.window import Window
from ..tensor import Shape, Tensor
from .base import Block, Layer

Sizes = int | tuple[int, int]


class Windows(Layer):
    """What Unfold and Fold share: how a window moves."""

    reads: ClassVar[set[str]] = set()
    cheap = True
    rectifies = None

    def _take(self, kernel_size: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> None:
        """Check and keep the arguments."""
        name = type(self).__name__
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride
        rows, columns = arguments.pair(name, "padding", padding, 0)
        self.window = Window(
            arguments.pair(name, "kernel_size", kernel_size, 1),
            arguments.pair(name, "stride", stride, 1),
            (rows, rows, columns, columns),
            arguments.pair(name, "dilation", dilation, 1),
        )

    def _columns(self, size: Shape) -> int:
        """How many windows images of (h, w) have; raises ShapeError for none."""
        outputs = self.window.output_size((size[0], size[1]))
        if min(outputs) < 1:
            raise ShapeError(
                f"{type(self).__name__}: a window of {self.window.extent} does not fit into images of {size} with "
                f"their border."
            )
        return outputs[0] * outputs[1]

    def work(self, shape: Shape) -> int:
        """A copy for each place in the window."""
        places = math.prod(self.window.kernel)
        return places * (NUMBER * math.prod(shape) + CALL)


class Unfold(Windows):
    """Each window of an image as a column: y[n, (c, s, t), (p, q)] = x[n, c, p · stride + s, q · stride + t].

    With padding and dilation the pixel is p · stride − padding + s · dilation; zero outside the image.

    Shapes: x (n, c, h, w), y (n, c · k_h · k_w, l), with l windows, ⌊(h + 2 · padding − extent) / stride⌋ + 1 down
    times as many across, the extent of a window being dilation · (k − 1) + 1.

    Args:
        kernel_size: k_h and k_w, or one number for both.
        dilation: From one pixel of a window to the next.
        padding: Zeros on each side of the image.
        stride: From one window to the next.

    Raises:
        ArgumentError: A number out of range.
        ShapeError: An input that is no image, or smaller than a window.

    Written in docs/math/rearrangement.md; after torch.nn.Unfold.
    """

    def __init__(self, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> None:
        self._take(kernel_size, dilation, padding, stride)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if len(shape) != 3:
            raise ShapeError(f"Unfold: expected images (c, h, w), got an input of shape {shape}.")
        columns = self._columns(shape[1:])
        return (shape[0] * math.prod(self.window.kernel), columns)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        unfold_forward(x.value, self.window, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        height, width = x.shape[2:]
        unfold_backward(y.grad, self.window, (height, width), x.grad)


class Fold(Windows):
    """Columns added up to an image: y[n, c, u, v] = Σ x[n, (c, s, t), (p, q)] of all windows that have the pixel.

    Shapes: x (n, c · k_h · k_w, l), y (n, c, *output_size), with as many windows l as Unfold makes of such images.

    Args:
        output_size: Height and width of the images, or one number for both.
        kernel_size: k_h and k_w, or one number for both.
        dilation: From one pixel of a window to the next.
        padding: Zeros on each side of the image, which are left out.
        stride: From one window to the next.

    Raises:
        ArgumentError: A number out of range.
        ShapeError: An input of another number of columns, or of numbers in them.

    Written in docs/math/rearrangement.md; after torch.nn.Fold.
    """

    def __init__(
        self, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
    ) -> None:
        self.output_size = output_size
        self.size = arguments.pair("Fold", "output_size", output_size, 1)
        self._take(kernel_size, dilation, padding, stride)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        columns, numbers = self._columns(self.size), math.prod(self.window.kernel)
        if len(shape) != 2 or shape[0] % numbers or shape[1] != columns:
            raise ShapeError(
                f"Fold: expected {columns} columns of numbers that {numbers} divides, got an input of shape {shape}."
            )
        return (shape[0] // numbers, *self.size)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        fold_forward(x.value, self.window, self.size, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        fold_backward(y.grad, self.window, x.grad)
