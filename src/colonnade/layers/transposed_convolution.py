"""ConvTranspose2d: what a convolution does to gradients, done to images."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import arguments, initializers
from ..errors import ArgumentError, ShapeError
from ..ops.convolution import (
    Tile,
    by_group,
    columns_size,
    conv2d_backward_input,
    conv2d_backward_input_products,
    grouped,
    tiles,
)
from ..ops.layout import Array, channels_last, repeats
from ..ops.window import Pair, Window
from ..tensor import Parameter, Shape, Tensor
from .base import PLACE, Block, Direction, Layer, Scratch


class Frame(NamedTuple):
    """The image that windows are added up in, before its border is cut off.

    Attributes:
        reached: Height and width that the windows reach.
        size: Those with the output padding: what lies beyond is the bias alone.
        output: What is left when the border is cut off.
    """

    reached: Pair
    size: Pair
    output: Pair


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

    Zeiler et al. 2010, Deconvolutional networks. After torch.nn.ConvTranspose2d.
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
        self.window = Window(arguments.pair(name, "kernel_size", kernel_size, 1), steps, (0, 0, 0, 0), gaps)
        self.border = arguments.pair(name, "padding", padding, 0)
        self.extra = arguments.pair(name, "output_padding", output_padding, 0)
        if any(self.extra[axis] >= max(steps[axis], gaps[axis]) for axis in (0, 1)):
            raise ArgumentError(
                f"{name}: output_padding must be less than the stride or the dilation, got {output_padding!r}."
            )
        self.weight = Parameter(
            (in_channels, out_channels // groups, *self.window.kernel), initializers.weights, memory_axes=(0, 2, 3, 1)
        )
        learned = arguments.flag(name, "bias", bias)
        self.bias = Parameter((out_channels,), initializers.zeros) if learned else None

    def _frame(self, height: int, width: int) -> Frame:
        (high, wide), (down, across) = self.window.extent, self.window.stride
        reached = ((height - 1) * down + high, (width - 1) * across + wide)
        size = (reached[0] + self.extra[0], reached[1] + self.extra[1])
        return Frame(reached, size, (size[0] - 2 * self.border[0], size[1] - 2 * self.border[1]))

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if len(shape) != 3 or shape[0] != self.in_channels:
            raise ShapeError(
                f"ConvTranspose2d: expected {self.in_channels} input channels, got an input of shape {shape}."
            )
        output = self._frame(shape[1], shape[2]).output
        if min(output) < 1:
            raise ShapeError(
                f"ConvTranspose2d: a padding of {self.padding!r} leaves nothing of the output for an input of "
                f"shape {shape}."
            )
        return (self.out_channels, *output)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        images, _, height, width = shape
        frame = self._frame(height, width)
        columns = columns_size(self.window, (images, self.out_channels, *frame.reached), self.groups)
        spaces = {"columns": Scratch((columns,))}
        if any((*self.border, *self.extra)):  # of one size they may still lie apart
            spaces["frame"] = Scratch((images, *frame.size, self.out_channels))
        if direction == "backward":
            spaces["kernel"] = Scratch(self.weight.shape)
        return spaces

    def _kernel(self) -> Array:
        """The kernels as (g, c_in/g, K), a view."""
        return channels_last(self.weight.array).reshape(self.groups, self.in_channels // self.groups, -1)

    def _tiles(self, x: Array, image: Array, block: Block) -> list[Tile]:
        high, wide = self._frame(x.shape[2], x.shape[3]).reached
        return tiles(grouped(image[:, :high, :wide], self.groups), self.window, block.scratch["columns"])

    def _inner(self, frame: Array, y: Array) -> Array:
        top, left = self.border
        return frame[:, top : top + y.shape[1], left : left + y.shape[2]]

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        outputs = channels_last(y.value)
        frame = block.scratch.get("frame", outputs)
        windows = block.once("tiles", lambda: self._tiles(x.value, frame, block))
        products = conv2d_backward_input_products(windows, self._kernel(), by_group(x.value, self.groups))
        conv2d_backward_input(windows, products, frame)
        if frame is not outputs:
            np.copyto(outputs, self._inner(frame, outputs))
        if self.bias is not None:
            repeated = repeats(y.value.shape, self.out_channels)
            rows = outputs.reshape(-1, repeated * self.out_channels)
            np.add(rows, np.tile(self.bias.array, repeated), out=rows)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        grad_y = channels_last(y.grad)
        frame = block.scratch.get("frame", grad_y)
        if frame is not grad_y:
            frame.fill(0)
            np.copyto(self._inner(frame, grad_y), grad_y)
        values = by_group(x.value, self.groups)
        kernel = self._kernel().transpose(0, 2, 1)
        for tile in block.once("tiles", lambda: self._tiles(x.value, frame, block)):
            np.copyto(tile.columns, tile.windows)
            pixels = values[:, tile.rows].transpose(0, 2, 1)
            block.add_product(self.weight, pixels, tile.matrix, block.scratch["kernel"])
            if x.has_grad:
                np.matmul(tile.matrix, kernel, out=by_group(x.grad, self.groups)[:, tile.rows])
        if self.bias is not None:
            positions = grad_y.reshape(-1, self.out_channels)
            block.add_grad(self.bias, np.matmul(np.ones(len(positions), positions.dtype), positions))

    def multiplications(self, shape: Shape) -> int:
        return shape[1] * shape[2] * self.weight.size
