"""Conv2d: the layer the project is named for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import arguments, initializers
from ..errors import ArgumentError, ShapeError
from ..ops.convolution import (
    Tile,
    by_group,
    columns_size,
    conv2d_backward_input,
    conv2d_backward_input_products,
    conv2d_forward,
    conv2d_products,
    grouped,
    pad,
    tile_positions,
    tiles,
    turned,
)
from ..ops.layout import Array, channels_last, empty, repeats
from ..ops.multiplication import Operands
from ..ops.products import KernelColumns, KernelGradient, Product, backward_product, product, widen
from ..ops.window import Pair, Window
from ..tensor import Parameter, Shape, Tensor, unchanged_since
from .base import PLACE, Block, Direction, Layer, Scratch
from .depthwise import Depthwise
from .normalization import BatchNorm2d

# A depthwise convolution with more outputs of each channel is the faster as products, however narrow.
LARGEST_MULTIPLIER = 8
# A depthwise convolution lists the taps of each phase of its stride: of so few of both as anybody uses.
MOST_PHASES, MOST_TAPS = 64, 1024


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
            (out_channels, in_channels // groups, height, width), initializers.weights, memory_axes=(0, 2, 3, 1)
        )
        learned = arguments.flag("Conv2d", "bias", bias)
        self.bias = Parameter((out_channels,), initializers.zeros) if learned else None
        # One channel a group makes for products too narrow; see ops/depthwise.py.
        alone = groups == in_channels > 1 and out_channels <= LARGEST_MULTIPLIER * in_channels
        alone = alone and max(self.window.stride) <= MOST_PHASES and max(self.window.kernel) <= MOST_TAPS
        self.depthwise = Depthwise(self.window, in_channels, out_channels // in_channels) if alone else None

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

    def _outputs(self, shape: Shape) -> Shape:
        """The shape of the output for images of `shape`."""
        return (shape[0], self.out_channels, *self.window.output_size((shape[2], shape[3])))

    def _kernels(self) -> Array:
        """The kernels as they lie in memory, (g, c_out/g, k_h, k_w, c_in/g); a view."""
        return self._by_group(self.weight.array)

    def _kernels_shape(self) -> Shape:
        return (self.groups, self.out_channels // self.groups, *self.window.kernel, self.in_channels // self.groups)

    def _by_group(self, weight: Array) -> Array:
        laid = channels_last(weight)
        return laid.reshape(self.groups, self.out_channels // self.groups, *laid.shape[1:])

    def _forward_product(self, shape: Shape) -> Product:
        return product(self.window, (shape[2], shape[3]), self.in_channels, self.out_channels, self.groups)

    def _backward_product(self, shape: Shape) -> Product:
        """How the gradient at the input is computed."""
        forward = self._forward_product(shape)
        return backward_product(forward, (shape[2], shape[3]), self.in_channels, self.out_channels)

    @staticmethod
    def _write(state: dict[str, Any], name: str, kernel: Array, product: Product, shape: Shape) -> None:
        """Write a kernel out in `state`, for images of `shape`."""
        if name not in state:
            positions = max(tile_positions(product.wide, shape))
            state[name] = KernelColumns(product, kernel.shape, positions, kernel.dtype)
        state[name].write(kernel)

    def begin_forward(
        self, before: dict[str, Any] | None, shape: Shape, training: bool, sums: Array | None
    ) -> dict[str, Any]:
        state, version = before or {}, self.version()
        if version is None or state.get("version") != version:
            kernel, bias = self.folded_weights()
            self._prepare(state, shape, self._by_group(kernel), bias)
            state["version"] = version
        return state

    def version(self) -> tuple[Any, ...] | None:
        """What stays equal for as long as the weights do; None where somebody may write to them unseen."""
        return unchanged_since([self.weight] if self.bias is None else [self.weight, self.bias])

    def folded_weights(self) -> tuple[Array, Array | None]:
        """Kernel (c_out, c_in/g, k_h, k_w) and bias, with what was folded into them."""
        return self.weight.array, None if self.bias is None else self.bias.array

    def _prepare(self, state: dict[str, Any], shape: Shape, kernel: Array, bias: Array | None) -> None:
        if self.depthwise:
            state["kernel"] = self.depthwise.kernels(self._vectors(kernel), shape, state.get("kernel"))
        else:
            self._write(state, "columns", kernel, self._forward_product(shape), shape)
        if bias is not None:
            bias = np.tile(bias, repeats(self._outputs(shape), self.out_channels))
        state["bias"] = bias

    @staticmethod
    def _vectors(kernel: Array) -> Array:
        """Kernels of one channel each, (g, c_out/g, k_h, k_w, 1), as (c_out, k_h, k_w); a view."""
        return kernel.reshape(-1, *kernel.shape[2:4])

    def begin_backward(self, state: dict[str, Any], shape: Shape, sums: Array | None) -> dict[str, Any]:
        if self.depthwise:
            kernel, made = self._vectors(self._kernels()), state.get("turned_kernel")
            state["turned_kernel"] = self.depthwise.kernels_back(kernel, shape, made)
            return state
        product, kernel = self._backward_product(shape), self._kernels()
        if product.scattered:
            if "scattered" not in state:
                state["scattered"] = empty(product.kernel_shape(kernel.shape), kernel.dtype)
            widen(kernel, product, state["scattered"])
        else:
            self._write(state, "turned", turned(kernel), product, self._outputs(shape))
        return state

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        images, _, height, width = shape
        spaces = self.depthwise.scratch(shape, direction) if self.depthwise else self._product_scratch(shape, direction)
        if direction == "backward" and self.bias is not None:
            # A product with ones sums columns many times faster than `sum`.
            positions = math.prod(self.window.output_size((height, width)))
            spaces["ones"] = Scratch((1, images * positions))
            spaces["bias"] = Scratch((1, self.out_channels))
        return spaces

    def _product_scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        spaces: dict[str, Scratch] = {}
        images, channels, height, width = shape
        forward = self._forward_product(shape)
        columns = 0 if self.window.pointwise else columns_size(forward.wide, shape, forward.groups)
        if self._copied(self.window, forward):
            depth = channels // forward.groups
            size = self.window.padded_size((height, width))
            spaces["padded"] = Scratch((forward.groups, images, *size, depth))
        if direction == "backward":
            positions = tile_positions(forward.wide, shape)
            spaces["kernel"] = Scratch(KernelGradient.space(forward, self._kernels_shape(), positions))
            outputs = self._outputs(shape)
            backward = self._backward_product(shape)
            if not backward.scattered and self._copied(backward.window, backward):
                size = backward.window.padded_size((outputs[2], outputs[3]))
                depth = self.out_channels // backward.groups
                spaces["padded_grad"] = Scratch((backward.groups, images, *size, depth))
            if not backward.window.pointwise:
                whence = shape if backward.scattered else outputs
                columns = max(columns, columns_size(backward.wide, whence, backward.groups))
        if columns:
            spaces["columns"] = Scratch((columns,))
        return spaces

    @staticmethod
    def _copied(window: Window, product: Product) -> bool:
        """Whether the images are copied before their windows are: for a border, or to have groups apart."""
        return any(window.padding) or (product.groups > 1 and not window.pointwise)

    def _tiles(self, values: Array, product: Product, padded: str, block: Block) -> list[Tile]:
        """The tiles of a block's images (n, h, w, c), or of their padded copy."""
        if product.window.pointwise:
            matrix = values.reshape(-1, product.groups, values.shape[3] // product.groups).transpose(1, 0, 2)
            return [Tile(matrix, matrix, matrix, slice(None))]
        images = block.scratch[padded] if self._copied(product.window, product) else grouped(values, 1)
        return tiles(images, product.wide, block.scratch["columns"])

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        if self.depthwise:
            self.depthwise.forward(x.value, y.value, block.state["kernel"], block)
        else:
            values, windows, products = block.once("forward", lambda: self._forward_views(x.value, y.value, block))
            if "padded" in block.scratch:
                pad(values, self.window, block.scratch["padded"])
            conv2d_forward(windows, products)
        bias = block.state["bias"]
        if bias is not None:
            rows = block.once("rows", lambda: channels_last(y.value).reshape(-1, bias.size))
            np.add(rows, bias, out=rows)

    def _forward_views(self, x: Array, y: Array, block: Block) -> tuple[Array, list[Tile], list[list[Operands]]]:
        product, values = self._forward_product(x.shape), channels_last(x)
        windows = self._tiles(values, product, "padded", block)
        outputs = by_group(y, product.groups, product.together)
        return values, windows, conv2d_products(windows, block.state["columns"].matrix, outputs)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        if self.depthwise:
            gradient = block.grad(self.weight)[:, 0]
            self.depthwise.backward_weight(x.value, y.grad, gradient, block)
        else:
            self._backward_weight(x, y, block)
        if self.bias is not None:
            ones = block.scratch["ones"]
            ones.fill(1)
            block.add_product(
                self.bias, ones, channels_last(y.grad).reshape(-1, self.out_channels), block.scratch["bias"]
            )
        if x.has_grad and self.depthwise:
            self.depthwise.backward_input(y.grad, x.grad, block.state["turned_kernel"], block)
        elif x.has_grad:
            self._backward_input(x, y, block)

    def _backward_weight(self, x: Tensor, y: Tensor, block: Block) -> None:
        if not self.weight.trainable:
            return
        values, products = block.once("weight", lambda: self._weight_views(x.value, y.grad, block))
        if "padded" in block.scratch:
            pad(values, self.window, block.scratch["padded"])
        products.add_to(self._by_group(block.grad(self.weight)))

    def _weight_views(self, x: Array, grad_y: Array, block: Block) -> tuple[Array, KernelGradient]:
        product, values = self._forward_product(x.shape), channels_last(x)
        windows = self._tiles(values, product, "padded", block)
        gradients = by_group(grad_y, product.groups, product.together)
        return values, KernelGradient(windows, product, gradients, block.scratch["kernel"])

    def _backward_input(self, x: Tensor, y: Tensor, block: Block) -> None:
        if "scattered" in block.state:
            self._scatter(x, y, block)
            return
        grad_y, window, windows, products = block.once("turned", lambda: self._turned_views(x.grad, y.grad, block))
        if "padded_grad" in block.scratch:
            pad(grad_y, window, block.scratch["padded_grad"])
        conv2d_forward(windows, products)

    def _turned_views(
        self, grad_x: Array, grad_y: Array, block: Block
    ) -> tuple[Array, Window, list[Tile], list[list[Operands]]]:
        product, values = self._backward_product(grad_x.shape), channels_last(grad_y)
        windows = self._tiles(values, product, "padded_grad", block)
        outputs = by_group(grad_x, product.groups, product.together)
        return values, product.window, windows, conv2d_products(windows, block.state["turned"].matrix, outputs)

    def _scatter(self, x: Tensor, y: Tensor, block: Block) -> None:
        grad_x, padded, windows, products = block.once("scattered", lambda: self._scatter_views(x.grad, y.grad, block))
        conv2d_backward_input(windows, products, padded)
        if "padded" in block.scratch:
            top, _, left, _ = self.window.padding
            _, _, height, width, _ = grad_x.shape
            np.copyto(grad_x, padded[:, :, top : top + height, left : left + width])

    def _scatter_views(
        self, grad_x: Array, grad_y: Array, block: Block
    ) -> tuple[Array, Array, list[Tile], list[list[Operands]]]:
        product = self._backward_product(grad_x.shape)
        inner = grouped(channels_last(grad_x), product.groups)
        padded = block.scratch.get("padded", inner)
        windows = tiles(padded, product.wide, block.scratch["columns"])
        kernel = block.state["scattered"]
        kernel = kernel.reshape(*kernel.shape[:2], -1)
        gradients = by_group(grad_y, product.groups, product.together)
        return inner, padded, windows, conv2d_backward_input_products(windows, kernel, gradients)

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
