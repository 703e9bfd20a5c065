"""ConvTranspose2d: what a convolution does to gradients, done to images."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import arguments, initializers
from ..errors import ArgumentError, ShapeError
from ..ops.channels import add_to_channels
from ..ops.convolution import (
    conv2d_backward_bias,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_columns,
    conv2d_forward,
)
from ..ops.window import Pair, Window
from ..tensor import Parameter, Shape, Tensor
from .base import PLACE, Block, Direction, Layer, Scratch


class ConvTranspose2d(Layer):
    """Each pixel of the input, times the kernel, is added to a window of the output.

    y[n, o, i·stride + s·dilation − padding, j·stride + t·dilation − padding] += x[n, c, i, j] · kernel[c, o, s, t],
    and b[o] everywhere: the backward pass of a Conv2d with this kernel, and its backward pass is that convolution.

    Shapes: x (n, in_channels, h, w), y (n, out_channels, h_out, w_out) with
    h_out = (h − 1)·stride − 2·padding + dilation·(kernel_size − 1) + output_padding + 1.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        kernel_size: Height and width of the kernel; a number or a pair, here and below.
        stride: Pixels of the output from one window to the next.
        padding: Pixels cut off on each side.
        output_padding: Pixels more at the bottom and right: several sizes have the same number of windows.
        groups: The channels are cut into so many groups that do not see one another.
        bias: Whether to add b.
        dilation: Pixels from one value of a window to the next.
        padding_mode: "zeros", the only one there is.
        device: None or "cpu".
        dtype: None: a model has one type for all.

    Attributes:
        weight: (in_channels, out_channels / groups, k_h, k_w).
        bias: (out_channels,), or None.

    Raises:
        ArgumentError: An argument out of its range, channels that groups do not divide, or an output padding that is
            not less than the stride or the dilation.
        ShapeError: An input of other channels, or an output of which the padding leaves nothing.

    Derived in docs/math/convolution.md. Zeiler et al. 2010, Deconvolutional networks. After torch.nn.ConvTranspose2d.
    """

    ignored = PLACE

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        output_padding: int | Pair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Pair = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: None = None,
    ) -> None:
        name = "ConvTranspose2d"
        arguments.placeless(name, device, dtype)
        self.groups = groups = arguments.whole(name, "groups", groups, 1)
        self.in_channels = in_channels = arguments.whole(name, "in_channels", in_channels, 1)
        self.out_channels = out_channels = arguments.whole(name, "out_channels", out_channels, 1)
        arguments.divisible(name, "groups", groups, in_channels=in_channels, out_channels=out_channels)
        self.padding_mode = arguments.choice(name, "padding_mode", padding_mode, ("zeros",))
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.output_padding, self.dilation = output_padding, dilation
        steps, gaps = arguments.pair(name, "stride", stride, 1), arguments.pair(name, "dilation", dilation, 1)
        vertical, horizontal = arguments.pair(name, "padding", padding, 0)
        border = (vertical, vertical, horizontal, horizontal)
        # Of the convolution whose backward pass this is: from the output's images to the input's.
        self.window = Window(arguments.pair(name, "kernel_size", kernel_size, 1), steps, border, gaps)
        self.extra = arguments.pair(name, "output_padding", output_padding, 0)
        if any(self.extra[axis] >= max(steps[axis], gaps[axis]) for axis in (0, 1)):
            raise ArgumentError(
                f"{name}: output_padding must be less than the stride or the dilation, got {output_padding!r}."
            )
        self.weight = Parameter(
            (in_channels, out_channels // groups, *self.window.kernel), initializers.weights, memory_axes=(2, 3, 1, 0)
        )
        learned = arguments.flag(name, "bias", bias)
        self.bias = Parameter((out_channels,), initializers.zeros) if learned else None

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if len(shape) != 3 or shape[0] != self.in_channels:
            raise ShapeError(
                f"ConvTranspose2d: expected {self.in_channels} input channels, got an input of shape {shape}."
            )
        height, width = self.window.input_size((shape[1], shape[2]))
        output = (height + self.extra[0], width + self.extra[1])
        if min(output) < 1:
            raise ShapeError(
                f"ConvTranspose2d: a padding of {self.padding!r} leaves nothing of the output for an input of "
                f"shape {shape}."
            )
        return (self.out_channels, *output)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        images, _, height, width = shape
        reached = self.window.input_size((height, width))
        output = (images, self.out_channels, reached[0] + self.extra[0], reached[1] + self.extra[1])
        columns = conv2d_columns(self.window, output, self.in_channels, self.groups, backward=True)
        spaces = {"columns": Scratch((columns,))}
        return spaces | {"kernel": Scratch((self.weight.size,))} if direction == "backward" else spaces

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        conv2d_backward_input(x.value, self.weight.array, self.window, y.value, block.scratch["columns"])
        if self.bias is not None:
            add_to_channels(y.value, self.bias.array)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        columns = block.scratch["columns"]
        if self.weight.trainable:
            gradient = self.weight.lay(block.scratch["kernel"])
            conv2d_backward_weight(y.grad, x.value, self.window, gradient, columns)
            block.add_grad(self.weight, gradient)
        if self.bias is not None and self.bias.trainable:
            block.add_grad(self.bias, conv2d_backward_bias(y.grad))
        if x.has_grad:
            conv2d_forward(y.grad, self.weight.array, None, self.window, x.grad, columns)

    def multiplications(self, shape: Shape) -> int:
        return shape[1] * shape[2] * self.weight.size
