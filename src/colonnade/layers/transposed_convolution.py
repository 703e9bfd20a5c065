"""ConvTranspose1d, ConvTranspose2d, ConvTranspose3d: what a convolution does to gradients, done to its input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import arguments, initializers
from ..errors import ArgumentError, ShapeError
from ..ops.channels import add_to_channels
from ..ops.window import Sizes, Window, on_both_sides
from ..tensor import Parameter, Shape, Tensor
from .base import Block, Direction, Scratch
from .convolution import Convolving


class TransposedConvolution(Convolving):
    """ConvTranspose1d, ConvTranspose2d and ConvTranspose3d, but for the number of axes."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sizes,
        stride: int | Sizes = 1,
        padding: int | Sizes = 0,
        output_padding: int | Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Sizes = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: None = None,
    ) -> None:
        name = type(self).__name__
        arguments.placeless(name, device, dtype)
        self.groups = groups = arguments.whole(name, "groups", groups, 1)
        self.in_channels = in_channels = arguments.whole(name, "in_channels", in_channels, 1)
        self.out_channels = out_channels = arguments.whole(name, "out_channels", out_channels, 1)
        arguments.divisible(name, "groups", groups, in_channels=in_channels, out_channels=out_channels)
        self.padding_mode = arguments.choice(name, "padding_mode", padding_mode, ("zeros",))
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.output_padding, self.dilation = output_padding, dilation
        steps = arguments.sizes(name, "stride", stride, self.axes, 1)
        gaps = arguments.sizes(name, "dilation", dilation, self.axes, 1)
        border = on_both_sides(arguments.sizes(name, "padding", padding, self.axes, 0))
        # Of the convolution whose backward pass this is: from the output's arrays to the input's.
        self.window = Window(arguments.sizes(name, "kernel_size", kernel_size, self.axes, 1), steps, border, gaps)
        self.extra = arguments.sizes(name, "output_padding", output_padding, self.axes, 0)
        if any(more >= max(step, gap) for more, step, gap in zip(self.extra, steps, gaps, strict=True)):
            raise ArgumentError(
                f"{name}: output_padding must be less than the stride or the dilation, got {output_padding!r}."
            )
        self.weight = self.kernel(in_channels, out_channels // groups, size=self.window.kernel)
        learned = arguments.flag(name, "bias", bias)
        self.bias = Parameter((out_channels,), initializers.zeros) if learned else None

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        name = type(self).__name__
        if len(shape) != 1 + self.axes or shape[0] != self.in_channels:
            raise ShapeError(f"{name}: expected {self.in_channels} input channels, got an input of shape {shape}.")
        output = self._reached(shape[1:])
        if min(output) < 1:
            raise ShapeError(
                f"{name}: a padding of {self.padding!r} leaves nothing of the output for an input of shape {shape}."
            )
        return (self.out_channels, *output)

    def _reached(self, size: Shape) -> Shape:
        """The size of the output, for an input of `size`."""
        return tuple(map(sum, zip(self.window.input_size(size), self.extra, strict=True)))

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        output = (shape[0], self.out_channels, *self._reached(shape[2:]))
        columns = self.passes.columns(self.window, output, self.in_channels, self.groups, backward=True)
        spaces = {"columns": Scratch((columns,))}
        return spaces | {"kernel": Scratch((self.weight.size,))} if direction == "backward" else spaces

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        self.passes.backward_input(x.value, self.weight.array, self.window, y.value, block.scratch["columns"])
        if self.bias is not None:
            add_to_channels(y.value, self.bias.array)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        columns = block.scratch["columns"]
        if self.weight.trainable:
            gradient = self.weight.lay(block.scratch["kernel"])
            block.add_grad(self.weight, self.passes.backward_weight(y.grad, x.value, self.window, gradient, columns))
        if self.bias is not None and self.bias.trainable:
            block.add_grad(self.bias, self.passes.backward_bias(y.grad))
        if x.has_grad:
            self.passes.forward(y.grad, self.weight.array, None, self.window, x.grad, columns)

    def multiplications(self, shape: Shape) -> int:
        return math.prod(shape[1:]) * self.weight.size


class ConvTranspose2d(TransposedConvolution):
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

    axes = 2


class ConvTranspose1d(TransposedConvolution):
    """As :class:`ConvTranspose2d`, along sequences: sizes are numbers.

    y[n, o, i·stride + s·dilation − padding] += x[n, c, i] · kernel[c, o, s], and b[o] everywhere.

    Shapes: x (n, in_channels, l), y (n, out_channels, l_out).

    Attributes:
        weight: (in_channels, out_channels / groups, k).
        bias: (out_channels,), or None.

    Derived in docs/math/convolution.md. After torch.nn.ConvTranspose1d.
    """

    axes = 1


class ConvTranspose3d(TransposedConvolution):
    """As :class:`ConvTranspose2d`, for volumes: a number for each of three axes, or one for all.

    y[n, o, i·stride + s·dilation − padding] += x[n, c, i] · kernel[c, o, s], with i and s of three axes.

    Shapes: x (n, in_channels, d, h, w), y (n, out_channels, d_out, h_out, w_out).

    Attributes:
        weight: (in_channels, out_channels / groups, k_d, k_h, k_w).
        bias: (out_channels,), or None.

    Derived in docs/math/convolution.md. After torch.nn.ConvTranspose3d.
    """

    axes = 3
