"""Convolutions by register tiles, with what follows them in the same pass: kernels packed once, and three products."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..compiled.activation import NONE, Activation, activation_backward
from ..compiled.convolution import kernel_gradient, product
from ..compiled.direct import position_sums
from ..compiled.packing import turned
from ..compiled.pointwise import Pointwise
from ..compiled.ways import Call, Image, Packed
from ..layers.base import Block, Bound, Direction, Layer, Scratch
from ..layers.convolution import Conv1d, Conv2d
from ..layers.transposed_convolution import ConvTranspose1d, ConvTranspose2d
from ..ops.layout import Array
from ..ops.window import Window
from ..tensor import Shape, Tensor, unchanged_since
from .base import Leaf, plain
from .sequence import of_height_one

# Kernels of so many numbers, a MiB, are read for as many images at once as there are if they outweigh one image's.
LARGE = 1 << 18


@dataclass
class Kernels:
    """The kernel as the tiles read it: for the output, and for the gradient at the input once there is one.

    Attributes:
        exchanged: The kernel with its channels exchanged, from which the latter is packed.
        version: What stays equal for as long as the parameters do; None where that can't be known.
    """

    version: Any
    forward: Packed
    turned: Packed | None = None
    exchanged: Array | None = None


class TiledConvolution(Leaf):
    """A convolution, and an activation whose gradient reads the output, in one pass.

    Args:
        convolution: The layer.
        window: Its window, of images.
        read: One image's at its input, (h, w, c).
        written: At its output.
        layer: The layer behind it, or None.
        activation: What that is.

    Class attributes:
        transposed: Whether all is that of the convolution whose input is y and whose output is x.
    """

    transposed: ClassVar[bool] = False

    def __init__(
        self,
        convolution: Conv2d | Conv1d | ConvTranspose1d | ConvTranspose2d,
        window: Window,
        read: Image,
        written: Image,
        layer: Layer | None,
        activation: Activation,
    ) -> None:
        self.activation = activation
        self.stands_for = (convolution,) if layer is None else (convolution, layer)
        self.reads: set[str] = {"input"} | activation.reads  # type: ignore[misc]
        self.weight, self.bias, self.groups = convolution.weight, convolution.bias, convolution.groups
        if one_wide(window, read, written):
            window, read, written = on_its_side(window), (1, read[0], read[2]), (1, written[0], written[2])
        self.window, self.read, self.written = window, read, written
        self.output = product(window, read, written, self.groups, not self.transposed, activation)
        self.input_gradient = product(window, written, read, self.groups, self.transposed)
        ends = (written, read) if self.transposed else (read, written)
        self.weight_gradient = kernel_gradient(window, *ends, self.groups)

    def version(self) -> Any:
        """What stays equal for as long as `weights` do; None where that can't be known."""
        return unchanged_since([each for each in (self.weight, self.bias) if each is not None])

    def weights(self) -> tuple[Array, Array | None]:
        """The kernel as the parameter lies, and the bias."""
        return self.weight.array, None if self.bias is None else self.bias.array

    def _by_group(self, weight: Array) -> Array:
        """A kernel as (g, k_h, k_w, c_in/g, c_out/g): a view of (c_out, c_in/g, k_h, k_w).

        Of a transposed convolution that lies as (c_in, c_out/g, k_h, k_w).
        """
        parted = weight.reshape(self.groups, -1, weight.shape[1], *self.window.kernel)
        return parted.transpose((0, 3, 4, 1, 2) if self.transposed else (0, 3, 4, 2, 1))

    def begin_forward(self, before: Kernels | None, shape: Shape, training: bool, sums: Array | None) -> Kernels:
        version = self.version()
        if before is None:
            return Kernels(version, self._pack(None))
        if version is None or before.version != version:
            before.version, before.forward = version, self._pack(before.forward)
        return before

    def _pack(self, out: Packed | None) -> Packed:
        kernel, bias = self.weights()
        return self.output.pack(np.ascontiguousarray(self._by_group(kernel)), bias, out)

    def begin_backward(self, state: Kernels, shape: Shape, sums: Array | None) -> Kernels:
        kernel = np.ascontiguousarray(self._by_group(self.weight.array))
        exchanged = kernel.swapaxes(3, 4)
        if not isinstance(self.input_gradient, Pointwise):  # which reads it as it lies
            state.exchanged = turned(kernel.reshape(-1, *kernel.shape[3:]), state.exchanged)
            exchanged = state.exchanged.reshape(exchanged.shape)
        state.turned = self.input_gradient.pack(exchanged, None, state.turned)
        return state

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        images = shape[0]
        if direction == "forward":
            return {"work": Scratch((self.output.room(images),))}
        spaces = {"work": Scratch((max(self.weight_gradient.room(images), self.input_gradient.room(images)),))}
        if self.activation.kind:
            spaces["grad"] = Scratch((images, *self.written))
        if self.bias is not None:
            spaces["bias"] = Scratch(self.bias.shape)
        return spaces

    def bind_forward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        images, outputs = _as(x.value, self.read), _as(y.value, self.written)
        return self.output.calls(images, block.state.forward, outputs, block.scratch["work"])

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        grad, work = _as(y.grad, self.written), block.scratch["work"]
        kind, a, b = self.activation
        if kind:
            known = _as(y.value, self.written) if self.activation.reads else grad
            yield activation_backward(kind), (known, grad, a, b, block.scratch["grad"])
            grad = block.scratch["grad"]
        if self.weight.trainable:
            gradient = yield from self._kernel_gradient(_as(x.value, self.read), grad, work)
            yield block.add_grad, (self.weight, gradient)
        if self.bias is not None and self.bias.trainable:
            yield position_sums, (grad.reshape(-1, grad.shape[3]), block.scratch["bias"])
            yield block.add_grad, (self.bias, block.scratch["bias"])
        if x.has_grad:
            yield from self.input_gradient.calls(grad, block.state.turned, _as(x.grad, self.read), work)

    def _kernel_gradient(self, x: Array, grad_y: Array, work: Array) -> Generator[Call, None, Array]:
        """The gradient at the kernel as that lies, with an axis for the groups."""
        ends = (grad_y, x) if self.transposed else (x, grad_y)
        gradient = yield from self.weight_gradient.calls(*ends, work)
        # (g, k_h, k_w, c_in/g, c_out/g) → (g, c_out/g, c_in/g, k_h, k_w)
        return gradient.transpose(0, 4, 3, 1, 2)


class TiledConv2d(TiledConvolution):
    """A Conv2d, or one that batch norm is folded into, of images `shape`, (c, h, w); see `TiledConvolution`."""

    def __init__(
        self, convolution: Conv2d, shape: Shape, layer: Layer | None = None, activation: Activation = NONE
    ) -> None:
        self.convolution = convolution
        channels, height, width = shape
        rows, columns = convolution.window.output_size((height, width))
        written = (rows, columns, convolution.out_channels)
        super().__init__(convolution, convolution.window, (height, width, channels), written, layer, activation)
        numbers = math.prod(shape) + math.prod(written)
        self.wants_batch = self.weight.size >= LARGE and self.weight.size > numbers

    def version(self) -> Any:
        return self.convolution.version()

    def weights(self) -> tuple[Array, Array | None]:
        return self.convolution.folded_weights()


class TiledConv1d(TiledConvolution):
    """A Conv1d, along images (c, 1, l) of height 1; `shape` is one's at the input, `output` at the output."""

    def __init__(
        self,
        convolution: Conv1d,
        shape: Shape,
        output: Shape,
        layer: Layer | None = None,
        activation: Activation = NONE,
    ) -> None:
        window = of_height_one(convolution.window)
        super().__init__(convolution, window, _channels_last(shape), _channels_last(output), layer, activation)

    def multiplications(self, shape: Shape) -> int:
        return self.stands_for[0].multiplications((shape[0], shape[2]))


class TiledConvTranspose(TiledConvolution):
    """A transposed convolution: forward the gradient at the input of a convolution. Shapes as of `TiledConv1d`."""

    transposed = True

    def __init__(
        self,
        convolution: ConvTranspose1d | ConvTranspose2d,
        shape: Shape,
        output: Shape,
        layer: Layer | None = None,
        activation: Activation = NONE,
    ) -> None:
        window = of_height_one(convolution.window)
        super().__init__(convolution, window, _channels_last(shape), _channels_last(output), layer, activation)


def one_wide(window: Window, read: Image, written: Image) -> bool:
    """Whether all images are one pixel wide, and so is the window."""
    return read[1] == written[1] == window.kernel[1] == 1 and not any(window.padding[2:])


def on_its_side(window: Window) -> Window:
    """The window along a row that does what this one does along a column: the same memory, as tiles take rows."""
    (top, bottom, *_) = window.padding
    return Window((1, window.kernel[0]), (1, window.stride[0]), (0, 0, top, bottom), (1, window.dilation[0]))


def _as(x: Array, size: Image) -> Array:
    """A block's images as they lie, (n, h, w, c), of that size."""
    return plain(x).reshape(-1, *size)


def _channels_last(shape: Shape) -> Image:
    """(c, h, w) as (h, w, c)."""
    channels, height, width = shape
    return height, width, channels
