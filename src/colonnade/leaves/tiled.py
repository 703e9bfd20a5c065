"""What the convolutions other than Conv2d share: kernels packed once a pass, and the three products of a layer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled.activation import activation_backward
from ..compiled.convolution import Gradient, Product
from ..compiled.direct import add_position_sums
from ..layers.base import Block, Direction, Layer, Scratch
from ..ops.layout import Array
from ..tensor import Parameter, Shape, Tensor, unchanged_since
from .activation import NONE, Activation
from .base import Leaf, plain

Packed = list[tuple[Array, Array]]


class Kernels(NamedTuple):
    """The kernel as the tiles read it: for the output, and for the gradient at the input once there is one.

    Attributes:
        version: What stays equal for as long as the parameters do; None where that can't be known.
    """

    version: tuple[int, ...] | None
    forward: Packed
    turned: Packed


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

    def kernel(self) -> Array:
        """(g, k_h, k_w, c_in / g, c_out / g), a view."""
        raise NotImplementedError

    def kernel_gradient(self, x: Array, grad_y: Array, work: Array) -> Array:
        """The gradient at the kernel, as `weight` lies but for its shape."""
        raise NotImplementedError

    def begin_forward(self, before: Kernels | None, shape: Shape, training: bool, sums: Array | None) -> Kernels:
        version = unchanged_since([each for each in (self.weight, self.bias) if each is not None])
        if before is not None and version is not None and before.version == version:
            return before
        bias = None if self.bias is None else self.bias.array
        return Kernels(version, self.output.pack(np.ascontiguousarray(self.kernel()), bias), [])

    def begin_backward(self, state: Kernels, shape: Shape, sums: Array | None) -> Kernels:
        turned = np.ascontiguousarray(self.kernel().swapaxes(3, 4))
        return state._replace(turned=self.input_gradient.pack(turned, None))

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        images = shape[0]
        if direction == "forward":
            return {"work": Scratch((self.output.room(images),))}
        spaces = {"work": Scratch((max(self.weight_gradient.room(images), self.input_gradient.room(images)),))}
        return spaces | ({"grad": Scratch((images, *self.written))} if self.activation.kind else {})

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        outputs = plain(y.value)
        self.output.run(plain(x.value), block.state.forward, outputs, outputs, block.scratch["work"])

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        grad, work = plain(y.grad), block.scratch["work"]
        kind, a, b = self.activation
        if kind:
            activation_backward(kind)(plain(y.value), grad, a, b, block.scratch["grad"])
            grad = block.scratch["grad"]
        if self.weight.trainable:
            gradient = self.kernel_gradient(plain(x.value), grad, work)
            block.add_grad(self.weight, gradient.reshape(self.weight.shape))
        if self.bias is not None and self.bias.trainable:
            add_position_sums(grad.reshape(-1, grad.shape[3]), block.grad(self.bias))
        if x.has_grad:
            target = plain(x.grad)
            self.input_gradient.run(grad, block.state.turned, target, target, work)
