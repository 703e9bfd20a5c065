"""Conv2d, the layer the project is named for, and its kin along sequences and through volumes: Conv1d, Conv3d."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

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
from ..ops.convolution_nd import (
    conv_nd_backward_bias,
    conv_nd_backward_input,
    conv_nd_backward_weight,
    conv_nd_columns,
    conv_nd_forward,
)
from ..ops.layout import Array, ends_in_channels
from ..ops.window import Sizes, Window, on_both_sides
from ..tensor import Parameter, Shape, Tensor, unchanged_since
from .base import PLACE, Block, Direction, Layer, Scratch, computes_otherwise, times
from .borders import PADDING_MODES, bordered
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


class Passes(NamedTuple):
    """The passes of a convolution over arrays of one order in memory: functions of `ops`."""

    forward: Callable[..., Array]
    backward_input: Callable[..., Array]
    backward_weight: Callable[..., Array]
    backward_bias: Callable[[Array], Array]
    columns: Callable[..., int]


CHANNELS_LAST = Passes(
    conv2d_forward, conv2d_backward_input, conv2d_backward_weight, conv2d_backward_bias, conv2d_columns
)
AS_WRITTEN = Passes(
    conv_nd_forward, conv_nd_backward_input, conv_nd_backward_weight, conv_nd_backward_bias, conv_nd_columns
)


class Convolving(Layer):
    """What convolutions and transposed convolutions share, whatever the number of axes.

    Attributes:
        axes: How many axes of pixels they move along.
    """

    axes: ClassVar[int]
    ignored = PLACE

    @property
    def passes(self) -> Passes:
        """The functions for its arrays, (n, c, *size), as they lie in memory."""
        return CHANNELS_LAST if ends_in_channels(2 + self.axes) else AS_WRITTEN

    def kernel(self, *channels: int, size: Sizes) -> Parameter:
        """A learned kernel, (*channels, *size), which lies as the matrix that windows are multiplied with."""
        order = (2, 3, 1, 0) if self.passes is CHANNELS_LAST else None
        return Parameter((*channels, *size), initializers.weights, memory_axes=order)


class Convolution(Convolving):
    """Conv1d, Conv2d and Conv3d, but for the number of axes."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sizes,
        stride: int | Sizes = 1,
        padding: int | Sizes | str = 0,
        dilation: int | Sizes = 1,
        groups: int = 1,
        bias: bool = True,
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
        self.padding_mode = arguments.choice(name, "padding_mode", padding_mode, PADDING_MODES)
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation
        self.window = self._window()
        self.weight = self.kernel(out_channels, in_channels // groups, size=self.window.kernel)
        learned = arguments.flag(name, "bias", bias)
        self.bias = Parameter((out_channels,), initializers.zeros) if learned else None
        self.bordered = bordered(self)

    def _window(self) -> Window:
        name, axes, padding = type(self).__name__, self.axes, self.padding
        kernel = arguments.sizes(name, "kernel_size", self.kernel_size, axes, 1)
        stride = arguments.sizes(name, "stride", self.stride, axes, 1)
        dilation = arguments.sizes(name, "dilation", self.dilation, axes, 1)
        if isinstance(padding, str) and padding not in ("same", "valid"):
            several = {1: "", 2: ", a pair"}.get(axes, f", {axes} of them")
            raise ArgumentError(f"{name}: padding must be a number{several}, 'same' or 'valid', got {padding!r}.")
        if isinstance(padding, str) and padding == "same":
            if max(stride) > 1:
                raise ArgumentError(f"{name}: padding 'same' needs stride 1, got {self.stride!r}.")
            totals = [gap * (size - 1) for gap, size in zip(dilation, kernel, strict=True)]
            borders = tuple(side for total in totals for side in (total // 2, total - total // 2))
        else:
            given = arguments.sizes(name, "padding", 0 if isinstance(padding, str) else padding, axes, 0)
            borders = on_both_sides(given)
        return Window(kernel, stride, borders, dilation)

    def parts(self) -> Mapping[str, Layer]:
        return self.bordered or super().parts()

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        name = type(self).__name__
        if len(shape) != 1 + self.axes or shape[0] != self.in_channels:
            raise ShapeError(f"{name}: expected {self.in_channels} input channels, got an input of shape {shape}.")
        if self.bordered:
            return self.bordered[""].build(self.bordered["padding"].build(shape, rng), rng)
        padded, extent = self.window.padded_size(shape[1:]), self.window.extent
        if any(whole < span for whole, span in zip(padded, extent, strict=True)):
            raise ShapeError(
                f"{name}: a window spans {times(extent)}, more than the padded input of {times(padded)} (an input of "
                f"shape {shape})."
            )
        return (self.out_channels, *self.window.output_size(shape[1:]))

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        backward = direction == "backward"
        columns = self.passes.columns(self.window, shape, self.out_channels, self.groups, backward=backward)
        spaces = {"columns": Scratch((columns,))}
        return spaces | {"kernel": Scratch((self.weight.size,))} if backward else spaces

    def weights(self, block: Block) -> tuple[Array, Array | None]:
        """The kernel and the bias that forward multiplies with and adds."""
        return self.weight.array, None if self.bias is None else self.bias.array

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        self.passes.forward(x.value, *self.weights(block), self.window, y.value, block.scratch["columns"])

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        columns = block.scratch["columns"]
        if self.weight.trainable:
            gradient = self.weight.lay(block.scratch["kernel"])
            block.add_grad(self.weight, self.passes.backward_weight(x.value, y.grad, self.window, gradient, columns))
        if self.bias is not None and self.bias.trainable:
            block.add_grad(self.bias, self.passes.backward_bias(y.grad))
        if x.has_grad:
            self.passes.backward_input(y.grad, self.weight.array, self.window, x.grad, columns)

    def multiplications(self, shape: Shape) -> int:
        return math.prod(self.window.output_size(shape[1:])) * self.weight.size


class Conv1d(Convolution):
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
        padding_mode: What the border is made of: "zeros", "reflect" (mirrored at the edge, which is not repeated),
            "replicate" (the edge again and again) or "circular" (what is at the other end).
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

    axes = 1


class Conv3d(Convolution):
    """As :class:`Conv2d`, for volumes: a number for each of three axes, or one for all.

    y[n, o, i] = b[o] + Σ_{c, s} x[n, c, i·stride + s·dilation − padding] · kernel[o, c, s], with i and s of three axes.

    Shapes: x (n, in_channels, d, h, w), y (n, out_channels, d_out, h_out, w_out).

    Attributes:
        weight: (out_channels, in_channels / groups, k_d, k_h, k_w).
        bias: (out_channels,), or None.

    Derived in docs/math/convolution.md. After torch.nn.Conv3d.
    """

    axes = 3


class Conv2d(Convolution):
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
        padding_mode: What the border is made of: "zeros", "reflect" (mirrored at the edge, which is not repeated),
            "replicate" (the edge again and again) or "circular" (what is at the other end).
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

    axes = 2

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

    def weights(self, block: Block) -> tuple[Array, Array | None]:
        state: Weights = block.state
        return state.kernel, state.bias

    def fold(self, following: Layer) -> Layer | None:
        if computes_otherwise(self) or computes_otherwise(following):
            return None
        if isinstance(following, BatchNorm2d) and following.track_running_stats:
            return FoldedConv2d(self, following)
        return None


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
