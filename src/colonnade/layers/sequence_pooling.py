"""Pooling along sequences (n, c, l): MaxPool1d, AvgPool1d."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .. import arguments
from ..errors import ArgumentError, ShapeError
from ..limits import CALL, NUMBER
from ..ops.layout import Array
from ..ops.sequence import Stride1d
from ..ops.sequence_pooling import (
    Places,
    avg_pool1d_backward,
    avg_pool1d_forward,
    max_pool1d_backward,
    max_pool1d_forward,
    max_pool1d_winners,
    places,
    pooled_length,
    shares,
)
from ..tensor import Shape, Tensor
from .base import Block, Direction, Layer, Scratch


class Pooling1d(Layer):
    """What the pools of sequences share."""

    reads: ClassVar[set[str]] = set()
    cheap = True
    rectifies = None
    window: Stride1d
    ceil_mode: bool

    def _window(
        self,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] | None,
        padding: int | tuple[int],
        dilation: int | tuple[int] = 1,
    ) -> Stride1d:
        name = type(self).__name__
        kernel = arguments.single(name, "kernel_size", kernel_size, 1)
        border = arguments.single(name, "padding", padding, 0)
        step = kernel if stride is None else arguments.single(name, "stride", stride, 1)
        window = Stride1d(kernel, step, border, border, arguments.single(name, "dilation", dilation, 1))
        if border > window.extent // 2:
            raise ArgumentError(f"{name}: padding must be at most half the window of {window.extent}, got {padding!r}.")
        return window

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        name = type(self).__name__
        if len(shape) != 2:
            raise ShapeError(f"{name}: expected sequences (c, l), got an input of shape {shape}.")
        outputs = self._length(shape[1])
        if outputs < 1:
            raise ShapeError(
                f"{name}: a window spans {self.window.extent}, more than the padded input of "
                f"{shape[1] + self.window.before + self.window.after} (an input of shape {shape})."
            )
        return (shape[0], outputs)

    def work(self, shape: Shape) -> int:
        return self._seen(shape) * (NUMBER * shape[0] * self._length(shape[1]) + CALL)

    def prepared_bytes(self, shape: Shape) -> int:
        return 1000 * self._seen(shape) + 16 * self._length(shape[1])

    def _seen(self, shape: Shape) -> int:
        """How many values of the window see anything of the sequence, at most."""
        return min(self.window.kernel, shape[1] * self._length(shape[1]))

    def _length(self, length: int) -> int:
        return pooled_length(self.window, length, self.ceil_mode)

    def _places(self, length: int) -> Places:
        return places(self.window, length, self._length(length))


class MaxPool1d(Pooling1d):
    """The maximum of each window of a sequence.

    y[n, c, i] = max over s of x[n, c, i·stride + s·dilation − padding]

    Shapes: x (n, c, l), y (n, c, l_out), l_out = ⌊(l + 2·padding − dilation·(kernel_size − 1) − 1) / stride⌋ + 1.

    Args:
        kernel_size: Length of the window.
        stride: From one window to the next; the kernel size if not given.
        padding: Places of −∞ at both ends, at most half the window.
        dilation: From one value of a window to the next.
        return_indices: False, the only way there is.
        ceil_mode: Round l_out up rather than down, if the last window still starts inside the sequence or the padding
            before it.

    Raises:
        ArgumentError: An argument out of its range.
        ShapeError: An input that is no sequence, or shorter with its padding than one window.

    A NaN is the maximum of its window. Of equal maxima the first takes the gradient. After torch.nn.MaxPool1d.
    """

    # Where the maxima are is saved, a byte a number: that is less than keeping or making again what they were found in.
    cheap = False
    takes_maximum = True

    def __init__(
        self,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] | None = None,
        padding: int | tuple[int] = 0,
        dilation: int | tuple[int] = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        arguments.unsupported("MaxPool1d", "a layer has one output", return_indices=(return_indices, False))
        self.return_indices = False
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation
        self.ceil_mode = arguments.flag("MaxPool1d", "ceil_mode", ceil_mode)
        self.window = self._window(kernel_size, stride, padding, dilation)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        outputs = (*shape[:2], self._length(shape[2]))
        return {"free": Scratch(outputs, np.bool_)} if direction == "forward" else {"take": Scratch(outputs)}

    def saved(self, shape: Shape) -> dict[str, Scratch]:
        images, channels, length = shape
        winners = (images, len(self._places(length)), channels, self._length(length))
        return {"winners": Scratch(winners, np.bool_)}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        max_pool1d_forward(x.value, self.window, y.value)
        if block.saved:
            max_pool1d_winners(x.value, y.value, self.window, block.saved["winners"], block.scratch["free"])

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        max_pool1d_backward(y.grad, block.saved["winners"], self.window, x.grad, block.scratch["take"])


class AvgPool1d(Pooling1d):
    """The average of each window of a sequence.

    y[n, c, i] = 1/d · Σ_s x[n, c, i·stride + s − padding]

    Shapes: x (n, c, l), y (n, c, l_out), l_out = ⌊(l + 2·padding − kernel_size) / stride⌋ + 1.

    Args:
        kernel_size: Length of the window.
        stride: From one window to the next; the kernel size if not given.
        padding: Zeros at both ends, at most half the window.
        ceil_mode: Round l_out up rather than down, if the last window still starts inside the sequence or the padding
            before it.
        count_include_pad: Whether d, the number of places in the window, counts those of the padding.

    Raises:
        ArgumentError: An argument out of its range.
        ShapeError: An input that is no sequence, or shorter with its padding than one window.

    After torch.nn.AvgPool1d.
    """

    def __init__(
        self,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] | None = None,
        padding: int | tuple[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode = arguments.flag("AvgPool1d", "ceil_mode", ceil_mode)
        self.count_include_pad = arguments.flag("AvgPool1d", "count_include_pad", count_include_pad)
        self.window = self._window(kernel_size, stride, padding)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"part": Scratch((*shape[:2], self._length(shape[2])))} if direction == "backward" else {}

    def _share(self, x: Array, y: Array) -> Array:
        return shares(self.window, x.shape[2], y.shape[2], self.count_include_pad, x.dtype)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        share = self._share(x.value, y.value)
        avg_pool1d_forward(x.value, self.window, y.value, share)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        share = self._share(x.grad, y.grad)
        avg_pool1d_backward(y.grad, self.window, x.grad, share, block.scratch["part"])
