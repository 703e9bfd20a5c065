"""Conv2d: the layer the project is named for."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import arguments, initializers
from ..errors import ArgumentError, ShapeError
from ..ops.convolution import (
    conv2d_backward_bias,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_columns,
    conv2d_forward,
)
from ..ops.layout import Array
from ..ops.window import Pair, Window
from ..tensor import Parameter, Shape, Tensor, unchanged_since
from .base import PLACE, Block, Direction, Layer, Scratch
from .normalization import BatchNorm2d


class Weights(NamedTuple):
    """What a convolution multiplies with and adds, with what may be folded into it.

    Attributes:
        version: Equal for as long as the weights are; None where somebody may write to them unseen.
        kernel: (c_out, c_in / groups, k_h, k_w).
        bias: (c_out,), or None.
    """

    version: tuple[Any, ...] | None
    kernel: Array
    bias: Array | None


class Conv2d(Layer):
    """Convolution: windows laid out as the rows of a matrix, times the kernel.

    y[n, o, i, j] = b[o] + Σ_{c, s, t} x[n, c, i·stride + s·dilation − padding, j·stride + t·dilation − padding]
    · kernel[o, c, s, t], where x is zero outside the image.

    Shapes: x (n, in_channels, h, w), y (n, out_channels, h_out, w_out) with
    h_out = ⌊(h + 2·padding − dilation·(kernel_size − 1) − 1) / stride⌋ + 1.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        kernel_size: Height and width of the kernel, a number or a pair.
        stride: From one window to the next, a number or a pair.
        padding: Zeros around the image: a number, a pair, "valid" for none, or "same" for as many as keep the size
            (stride 1 only; where the number is odd the bottom and right get one more).
        dilation: From one value of a window to the next, a number or a pair.
        groups: The channels are cut into so many groups that do not see one another; in_channels for a depthwise
            convolution.
        bias: Whether to add b.
        padding_mode: "zeros", the only one there is.
        device: None or "cpu".
        dtype: None: a model has one type for all.

    Attributes:
        weight: (out_channels, in_channels / groups, k_h, k_w).
        bias: (out_channels,), or None.

    Raises:
        ArgumentError: An argument out of its range, or channels that groups do not divide.
        ShapeError: An input of other channels, or smaller with its padding than one window.

    Derived in docs/math/convolution.md. After torch.nn.Conv2d.
    """

    ignored = PLACE

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair | str = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: None = None,
    ) -> None:
        arguments.placeless("Conv2d", device, dtype)
        self.groups = groups = arguments.whole("Conv2d", "groups", groups, 1)
        self.in_channels = in_channels = arguments.whole("Conv2d", "in_channels", in_channels, 1)
        self.out_channels = out_channels = arguments.whole("Conv2d", "out_channels", out_channels, 1)
        arguments.divisible("Conv2d", "groups", groups, in_channels=in_channels, out_channels=out_channels)
        self.padding_mode = arguments.choice("Conv2d", "padding_mode", padding_mode, ("zeros",))
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation
        self.window = self._window()
        height, width = self.window.kernel
        self.weight = Parameter(
            (out_channels, in_channels // groups, height, width), initializers.weights, memory_axes=(2, 3, 1, 0)
        )
        learned = arguments.flag("Conv2d", "bias", bias)
        self.bias = Parameter((out_channels,), initializers.zeros) if learned else None

    def _window(self) -> Window:
        kernel = arguments.pair("Conv2d", "kernel_size", self.kernel_size, 1)
        stride = arguments.pair("Conv2d", "stride", self.stride, 1)
        dilation = arguments.pair("Conv2d", "dilation", self.dilation, 1)
        padding = self.padding
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ArgumentError(f"Conv2d: padding must be a number, a pair, 'same' or 'valid', got {padding!r}.")
        if isinstance(padding, str) and padding == "same":
            if stride != (1, 1):
                raise ArgumentError(f"Conv2d: padding 'same' needs stride 1, got {self.stride!r}.")
            total = [dilation[axis] * (kernel[axis] - 1) for axis in (0, 1)]
            border = (total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2)
        else:
            vertical, horizontal = arguments.pair("Conv2d", "padding", 0 if isinstance(padding, str) else padding, 0)
            border = (vertical, vertical, horizontal, horizontal)
        return Window(kernel, stride, border, dilation)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if len(shape) != 3 or shape[0] != self.in_channels:
            raise ShapeError(f"Conv2d: expected {self.in_channels} input channels, got an input of shape {shape}.")
        size = (shape[1], shape[2])
        padded, extent = self.window.padded_size(size), self.window.extent
        if padded[0] < extent[0] or padded[1] < extent[1]:
            raise ShapeError(
                f"Conv2d: a window spans {extent[0]}×{extent[1]}, more than the padded input of "
                f"{padded[0]}×{padded[1]} (an input of shape {shape})."
            )
        return (self.out_channels, *self.window.output_size(size))

    def begin_forward(self, before: Weights | None, shape: Shape, training: bool, sums: Array | None) -> Weights:
        version = self.version()
        if before is not None and before.version == version is not None:
            return before
        return Weights(version, *self.folded_weights())

    def version(self) -> tuple[Any, ...] | None:
        """What stays equal for as long as the weights do; None where somebody may write to them unseen."""
        return unchanged_since([self.weight] if self.bias is None else [self.weight, self.bias])

    def folded_weights(self) -> tuple[Array, Array | None]:
        """Kernel (c_out, c_in/g, k_h, k_w) and bias, with what was folded into them."""
        return self.weight.array, None if self.bias is None else self.bias.array

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        backward = direction == "backward"
        columns = conv2d_columns(self.window, shape, self.out_channels, self.groups, backward=backward)
        spaces = {"columns": Scratch((columns,))}
        return spaces | {"kernel": Scratch((self.weight.size,))} if backward else spaces

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        weights: Weights = block.state
        conv2d_forward(x.value, weights.kernel, weights.bias, self.window, y.value, block.scratch["columns"])

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        columns = block.scratch["columns"]
        if self.weight.trainable:
            gradient = self.weight.lay(block.scratch["kernel"])
            conv2d_backward_weight(x.value, y.grad, self.window, gradient, columns)
            block.add_grad(self.weight, gradient)
        if self.bias is not None and self.bias.trainable:
            block.add_grad(self.bias, conv2d_backward_bias(y.grad))
        if x.has_grad:
            conv2d_backward_input(y.grad, self.weight.array, self.window, x.grad, columns)

    def fold(self, following: Layer) -> Layer | None:
        if isinstance(following, BatchNorm2d) and following.track_running_stats:
            return FoldedConv2d(self, following)
        return None

    def multiplications(self, shape: Shape) -> int:
        height, width = self.window.output_size((shape[1], shape[2]))
        return height * width * self.weight.size


class FoldedConv2d(Conv2d):
    """A convolution and the batch norm behind it as one convolution, outside training.

    With the running statistics batch norm is y · scale + shift a channel: so kernel · scale, and bias · scale + shift.
    """

    def __init__(self, convolution: Conv2d, norm: BatchNorm2d) -> None:
        vars(self).update(vars(convolution))
        self.norm = norm
        self.read = [parameter for layer in (convolution, norm) for _, parameter in layer.parameters()]

    def fold(self, following: Layer) -> Layer | None:
        return None  # a second batch norm is done by itself

    def version(self) -> tuple[Any, ...] | None:
        weights = unchanged_since(self.read)
        return None if weights is None else (weights, self.norm.running_mean.tobytes(), self.norm.running_var.tobytes())

    def folded_weights(self) -> tuple[Array, Array | None]:
        scale, shift = self.norm.running_affine()
        kernel = self.weight.array * scale[:, None, None, None]
        bias = shift if self.bias is None else shift + self.bias.array * scale
        return kernel.astype(self.weight.dtype), bias.astype(self.weight.dtype)
