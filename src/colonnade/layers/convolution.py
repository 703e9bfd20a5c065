"""Conv2d: the layer the project is named for."""

from __future__ import annotations

import numpy as np

from .. import initializers
from ..errors import ArgumentError, ShapeError
from ..ops.convolution import (
    Tile,
    by_group,
    columns_size,
    conv2d_backward_input,
    conv2d_forward,
    pad,
    tiles,
    turn,
)
from ..ops.layout import Array, channels_last, repeats
from ..ops.window import Pair, Window
from ..tensor import Parameter, Shape, Tensor, unchanged_since
from .arguments import count, pair
from .base import Block, Direction, Layer, Scratch, State
from .normalization import BatchNorm2d


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

    Attributes:
        weight: (out_channels, in_channels / groups, k_h, k_w).
        bias: (out_channels,), or None.

    Raises:
        ArgumentError: An argument out of its range, or channels that groups do not divide.
        ShapeError: An input of other channels, or smaller with its padding than one window.

    Derived in docs/math/convolution.md. After torch.nn.Conv2d.
    """

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
    ) -> None:
        groups = count("Conv2d", "groups", groups)
        in_channels = count("Conv2d", "in_channels", in_channels)
        out_channels = count("Conv2d", "out_channels", out_channels)
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ArgumentError(f"Conv2d: {name} must be divisible by groups = {groups}, got {channels}.")
        if padding_mode != "zeros":
            raise ArgumentError(f"Conv2d: padding_mode must be 'zeros', got {padding_mode!r}.")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation
        self.padding_mode = padding_mode
        self.window = self._window()
        height, width = self.window.kernel
        self.weight = Parameter(
            (out_channels, in_channels // groups, height, width), initializers.weights, memory_axes=(0, 2, 3, 1)
        )
        self.bias = Parameter((out_channels,), initializers.zeros) if bias else None
        self.turned = self.window.turned()

    def _window(self) -> Window:
        kernel = pair("Conv2d", "kernel_size", self.kernel_size, 1)
        stride = pair("Conv2d", "stride", self.stride, 1)
        dilation = pair("Conv2d", "dilation", self.dilation, 1)
        if self.padding == "same":
            if stride != (1, 1):
                raise ArgumentError(f"Conv2d: padding 'same' needs stride 1, got {self.stride!r}.")
            total = [dilation[axis] * (kernel[axis] - 1) for axis in (0, 1)]
            border = (total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2)
        elif self.padding == "valid":
            border = (0, 0, 0, 0)
        elif isinstance(self.padding, str):
            raise ArgumentError(f"Conv2d: padding must be a number, a pair, 'same' or 'valid', got {self.padding!r}.")
        else:
            vertical, horizontal = pair("Conv2d", "padding", self.padding, 0)
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

    def _matrices(self) -> Array:
        """The kernels as (g, c_out/g, K), a view."""
        laid = channels_last(self.weight.array)
        return laid.reshape(self.groups, self.out_channels // self.groups, -1)

    def begin_forward(self, state: State, shape: Shape, training: bool, sums: Array | None) -> None:
        state["kernel"] = self._matrices().transpose(0, 2, 1)
        state["bias"] = None if self.bias is None else self._row(self.bias.array, shape)

    def _row(self, vector: Array, shape: Shape) -> Array:
        """One number a channel, repeated to a row of whole positions of the output."""
        outputs = (shape[0], self.out_channels, *self.window.output_size((shape[2], shape[3])))
        return np.tile(vector, repeats(outputs, self.out_channels))

    def begin_backward(self, state: State, shape: Shape, sums: Array | None) -> None:
        if self.turned is not None:
            laid = channels_last(self.weight.array)
            depth = self.out_channels // self.groups
            if "turned" not in state:
                length = depth * laid.shape[1] * laid.shape[2]
                state["turned"] = np.empty((self.groups, length, laid.shape[3]), laid.dtype)
            turn(laid.reshape(self.groups, depth, *laid.shape[1:]), state["turned"])

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        spaces: dict[str, Scratch] = {}
        images, channels, height, width = shape
        columns = 0 if self.window.pointwise else columns_size(self.window, shape)
        if any(self.window.padding):
            spaces["padded"] = Scratch((images, *self.window.padded_size((height, width)), channels))
        if direction == "backward":
            spaces["kernel"] = Scratch(self.weight.shape)
            outputs = (images, self.out_channels, *self.window.output_size((height, width)))
            if self.bias is not None:
                # A product with ones sums columns many times faster than `sum`.
                spaces["ones"] = Scratch((1, images * outputs[2] * outputs[3]))
                spaces["bias"] = Scratch((1, self.out_channels))
            if self.turned is not None:
                if any(self.turned.padding):
                    size = self.turned.padded_size((outputs[2], outputs[3]))
                    spaces["padded_grad"] = Scratch((images, *size, self.out_channels))
                if not self.turned.pointwise:
                    columns = max(columns, columns_size(self.turned, outputs))
        if columns:
            spaces["columns"] = Scratch((columns,))
        return spaces

    def _tiles(self, values: Array, window: Window, padded: str, block: Block) -> list[Tile]:
        """The tiles of a block's images (n, h, w, c), or of their padded copy."""
        if window.pointwise:
            matrix = values.reshape(-1, self.groups, values.shape[3] // self.groups).transpose(1, 0, 2)
            return [Tile(matrix, matrix, matrix, slice(None))]
        if any(window.padding):
            values = block.scratch[padded]
        return tiles(values, window, self.groups, block.scratch["columns"])

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        values, outputs, windows = block.once(
            "forward",
            lambda: (
                channels_last(x.value),
                by_group(y.value, self.groups),
                self._tiles(channels_last(x.value), self.window, "padded", block),
            ),
        )
        if any(self.window.padding):
            pad(values, self.window, block.scratch["padded"])
        conv2d_forward(windows, block.state["kernel"], outputs)
        bias = block.state["bias"]
        if bias is not None:
            rows = block.once("rows", lambda: channels_last(y.value).reshape(-1, bias.size))
            np.add(rows, bias, out=rows)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        values = channels_last(x.value)
        grad_y = by_group(y.grad, self.groups)
        if any(self.window.padding):
            pad(values, self.window, block.scratch["padded"])
        windows = block.once("windows", lambda: self._tiles(values, self.window, "padded", block))
        for tile in windows:
            if tile.columns is not tile.windows:
                np.copyto(tile.columns, tile.windows)
            kernel_grad = grad_y[:, tile.rows].transpose(0, 2, 1)
            block.add_product(self.weight, kernel_grad, tile.matrix, block.scratch["kernel"])
        if self.bias is not None:
            ones = block.scratch["ones"]
            ones.fill(1)
            block.add_product(self.bias, ones, channels_last(y.grad).reshape(-1, self.out_channels), block.scratch["bias"])
        if x.has_grad:
            self._backward_input(x, y, block)

    def _backward_input(self, x: Tensor, y: Tensor, block: Block) -> None:
        grad_x = channels_last(x.grad)
        turned = self.turned
        if turned is not None:
            grad_y = channels_last(y.grad)
            if any(turned.padding):
                pad(grad_y, turned, block.scratch["padded_grad"])
            windows = block.once("turned", lambda: self._tiles(grad_y, turned, "padded_grad", block))
            conv2d_forward(windows, block.state["turned"], by_group(x.grad, self.groups))
            return
        padded = block.scratch["padded"] if any(self.window.padding) else grad_x
        windows = block.once("scattered", lambda: tiles(padded, self.window, self.groups, block.scratch["columns"]))
        conv2d_backward_input(windows, self._matrices(), by_group(y.grad, self.groups), padded)
        if padded is not grad_x:
            top, _, left, _ = self.window.padding
            _, height, width, _ = grad_x.shape
            np.copyto(grad_x, padded[:, top : top + height, left : left + width])

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

    def begin_forward(self, state: State, shape: Shape, training: bool, sums: Array | None) -> None:
        parameters = [parameter for layer in (self, self.norm) for _, parameter in layer.parameters()]
        weights = unchanged_since(parameters)
        seen = (weights, self.norm.running_mean.tobytes(), self.norm.running_var.tobytes())
        if weights is not None and state.get("seen") == seen:
            return
        scale, shift = self.norm.running_affine()
        by_channel = scale.reshape(self.groups, -1, 1)
        folded = (self._matrices() * by_channel).astype(self.weight.dtype)
        state["kernel"] = folded.transpose(0, 2, 1)
        bias = 0.0 if self.bias is None else self.bias.array * scale
        state["bias"] = self._row((bias + shift).astype(self.weight.dtype), shape)
        state["seen"] = seen
