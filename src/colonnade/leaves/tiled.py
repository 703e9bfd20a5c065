"""What all convolutions share: kernels packed once a pass, and the three products of a layer."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..compiled.activation import activation_backward
from ..compiled.convolution import Call, Gradient, Image, Packed, Product
from ..compiled.direct import position_sums
from ..compiled.packing import turned
from ..compiled.pointwise import Pointwise
from ..layers.base import Block, Bound, Direction, Layer, Scratch
from ..ops.layout import Array
from ..tensor import Parameter, Shape, Tensor, unchanged_since
from .activation import NONE, Activation
from .base import Leaf, plain


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


# Kernels of so many numbers, a MiB, are read for as many images at once as there are if they outweigh one image's.
LARGE = 1 << 18


class TiledProduct(Leaf):
    """Images times a kernel, and an activation whose gradient reads the output, in one pass.

    A subclass makes `output`, `input_gradient` and `weight_gradient`, and says how its kernel lies.
    """

    weight: Parameter
    bias: Parameter | None
    output: Product
    input_gradient: Product
    weight_gradient: Gradient
    written: tuple[int, int, int]  # of one image, (h, w, c)

    def __init__(self, convolution: Layer, layer: Layer | None = None, activation: Activation = NONE) -> None:
        self.activation = activation
        self.stands_for = (convolution,) if layer is None else (convolution, layer)
        self.reads: set[str] = {"input"} | activation.reads  # type: ignore[misc]

    def outweighs(self, read: Image) -> bool:
        """Whether the kernel is large, and takes more memory than an image at both ends."""
        return self.weight.size >= LARGE and self.weight.size > math.prod(read) + math.prod(self.written)

    def version(self) -> Any:
        """What stays equal for as long as `weights` do; None where that can't be known."""
        return unchanged_since([each for each in (self.weight, self.bias) if each is not None])

    def weights(self) -> tuple[Array, Array | None]:
        """The kernel as the parameter lies, and the bias."""
        return self.weight.array, None if self.bias is None else self.bias.array

    def by_group(self, weight: Array) -> Array:
        """A kernel as (g, k_h, k_w, c_in / g, c_out / g), a view."""
        raise NotImplementedError

    def kernel_gradient(self, x: Array, grad_y: Array, work: Array) -> Generator[Call, None, Array]:
        """The calls for the gradient at the kernel; it is returned as `weight` lies, with an axis for the groups."""
        raise NotImplementedError

    def begin_forward(self, before: Kernels | None, shape: Shape, training: bool, sums: Array | None) -> Kernels:
        version = self.version()
        if before is None:
            return Kernels(version, self._pack(None))
        if version is None or before.version != version:
            before.version, before.forward = version, self._pack(before.forward)
        return before

    def _pack(self, out: Packed | None) -> Packed:
        kernel, bias = self.weights()
        return self.output.pack(np.ascontiguousarray(self.by_group(kernel)), bias, out)

    def begin_backward(self, state: Kernels, shape: Shape, sums: Array | None) -> Kernels:
        kernel = np.ascontiguousarray(self.by_group(self.weight.array))
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
        outputs = plain(y.value)
        return self.output.calls(plain(x.value), block.state.forward, outputs, outputs, block.scratch["work"])

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        grad, work = plain(y.grad), block.scratch["work"]
        kind, a, b = self.activation
        if kind:
            yield activation_backward(kind), (plain(y.value), grad, a, b, block.scratch["grad"])
            grad = block.scratch["grad"]
        if self.weight.trainable:
            gradient = yield from self.kernel_gradient(plain(x.value), grad, work)
            yield block.add_grad, (self.weight, gradient)
        if self.bias is not None and self.bias.trainable:
            yield position_sums, (grad.reshape(-1, grad.shape[3]), block.scratch["bias"])
            yield block.add_grad, (self.bias, block.scratch["bias"])
        if x.has_grad:
            target = plain(x.grad)
            yield from self.input_gradient.calls(grad, block.state.turned, target, target, work)
