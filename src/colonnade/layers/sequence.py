"""Conv1d: convolution along sequences (n, c, l)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import arguments, initializers
from ..errors import ArgumentError, ShapeError
from ..ops.sequence import (
    Stride1d,
    conv1d_backward_bias,
    conv1d_backward_input,
    conv1d_backward_weight,
    conv1d_columns,
    conv1d_forward,
)
from ..tensor import Parameter, Shape, Tensor
from .base import PLACE, Block, Direction, Layer, Scratch


class Conv1d(Layer):
    """Convolution along a sequence.

    y[n, o, i] = b[o] + Σ_{c, s} x[n, c, i·stride + s·dilation − padding] · kernel[o, c, s], x being zero outside.

    Shapes: x (n, in_channels, l), y (n, out_channels, l_out) with
    l_out = ⌊(l + 2·padding − dilation·(kernel_size − 1) − 1) / stride⌋ + 1.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        kernel_size: Length of the kernel.
        stride: From one window to the next.
        padding: Zeros at both ends, "valid" for none, or "same" for as many as keep the length (stride 1 only; where
            the number is odd the end gets one more).
        dilation: From one value of a window to the next.
        groups: The channels are cut into so many groups that do not see one another.
        bias: Whether to add b.
        padding_mode: "zeros", the only one there is.
        device: None or "cpu".
        dtype: None: a model has one type for all.

    Attributes:
        weight: (out_channels, in_channels / groups, kernel_size).
        bias: (out_channels,), or None.

    Raises:
        ArgumentError: An argument out of its range, or channels that groups do not divide.
        ShapeError: An input of other channels, or shorter with its padding than one window.

    Derived in docs/math/convolution.md. After torch.nn.Conv1d.
    """

    ignored = PLACE

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] = 1,
        padding: int | tuple[int] | str = 0,
        dilation: int | tuple[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: None = None,
    ) -> None:
        arguments.placeless("Conv1d", device, dtype)
        self.groups = groups = arguments.whole("Conv1d", "groups", groups, 1)
        self.in_channels = in_channels = arguments.whole("Conv1d", "in_channels", in_channels, 1)
        self.out_channels = out_channels = arguments.whole("Conv1d", "out_channels", out_channels, 1)
        arguments.divisible("Conv1d", "groups", groups, in_channels=in_channels, out_channels=out_channels)
        self.padding_mode = arguments.choice("Conv1d", "padding_mode", padding_mode, ("zeros",))
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation
        self.window = self._window()
        self.weight = Parameter((out_channels, in_channels // groups, self.window.kernel), initializers.weights)
        learned = arguments.flag("Conv1d", "bias", bias)
        self.bias = Parameter((out_channels,), initializers.zeros) if learned else None

    def _window(self) -> Stride1d:
        kernel = arguments.single("Conv1d", "kernel_size", self.kernel_size, 1)
        stride = arguments.single("Conv1d", "stride", self.stride, 1)
        dilation = arguments.single("Conv1d", "dilation", self.dilation, 1)
        if isinstance(self.padding, str) and self.padding == "same":
            if stride != 1:
                raise ArgumentError(f"Conv1d: padding 'same' needs stride 1, got {self.stride!r}.")
            total = dilation * (kernel - 1)
            return Stride1d(kernel, stride, total // 2, total - total // 2, dilation)
        if isinstance(self.padding, str):
            if self.padding != "valid":
                raise ArgumentError(f"Conv1d: padding must be a number, 'same' or 'valid', got {self.padding!r}.")
            return Stride1d(kernel, stride, dilation=dilation)
        padding = arguments.single("Conv1d", "padding", self.padding, 0)
        return Stride1d(kernel, stride, padding, padding, dilation)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if len(shape) != 2 or shape[0] != self.in_channels:
            raise ShapeError(f"Conv1d: expected sequences ({self.in_channels}, length), got an input of shape {shape}.")
        outputs = self.window.outputs(shape[1])
        if outputs < 1:
            raise ShapeError(
                f"Conv1d: a window spans {self.window.extent}, more than the padded input of "
                f"{shape[1] + self.window.before + self.window.after} (an input of shape {shape})."
            )
        return (self.out_channels, outputs)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        backward = direction == "backward"
        columns = conv1d_columns(self.window, shape, self.out_channels, self.groups, backward=backward)
        spaces = {"columns": Scratch((columns,))}
        return spaces | {"kernel": Scratch(self.weight.shape)} if backward else spaces

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        bias = None if self.bias is None else self.bias.array
        conv1d_forward(x.value, self.weight.array, bias, self.window, y.value, block.scratch["columns"])

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        columns = block.scratch["columns"]
        if self.weight.trainable:
            gradient = block.scratch["kernel"]
            block.add_grad(self.weight, conv1d_backward_weight(x.value, y.grad, self.window, gradient, columns))
        if self.bias is not None:
            block.add_grad(self.bias, conv1d_backward_bias(y.grad))
        if x.has_grad:
            conv1d_backward_input(y.grad, self.weight.array, self.window, x.grad, columns)

    def multiplications(self, shape: Shape) -> int:
        return self.window.outputs(shape[1]) * self.weight.size
