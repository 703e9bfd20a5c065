"""Transposed convolution by register tiles: forward it is the gradient at the input of a convolution."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled.activation import activation_backward
from ..compiled.convolution import Epilogue, kernel_gradient, product
from ..compiled.direct import add_position_sums
from ..layers.base import Block, Direction, Layer, Scratch
from ..layers.transposed_convolution import ConvTranspose2d
from ..ops.layout import Array
from ..tensor import Shape, Tensor, unchanged_since
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


class TiledConvTranspose2d(Leaf):
    """A transposed convolution, and an activation whose gradient reads the output, in one pass.

    What is said of a convolution below is said of the one whose input is y and whose output is x.

    Args:
        convolution: The layer.
        shape: One image's at its input, (c_in, h, w).
        output: At its output, (c_out, H, W).
        layer: The layer behind it, or None.
        activation: What that is.
    """

    def __init__(
        self,
        convolution: ConvTranspose2d,
        shape: Shape,
        output: Shape,
        layer: Layer | None = None,
        activation: Activation = NONE,
    ) -> None:
        self.convolution, self.activation = convolution, activation
        self.stands_for = (convolution,) if layer is None else (convolution, layer)
        self.reads: set[str] = {"input"} | activation.reads  # type: ignore[misc]
        window, groups = convolution.window, convolution.groups
        small, self.large = (shape[1], shape[2], shape[0]), (output[1], output[2], output[0])
        kind, a, b = activation
        self.output = product(window, small, self.large, groups, False, Epilogue(kind, False, a, b))
        self.input_gradient = product(window, self.large, small, groups, True)
        self.weight_gradient = kernel_gradient(window, self.large, small, groups)

    def _by_group(self) -> Array:
        """The kernel (c_in, c_out / g, k_h, k_w) as (g, k_h, k_w, c_in / g, c_out / g), a view."""
        weight, groups = self.convolution.weight.array, self.convolution.groups
        return weight.reshape(groups, -1, *weight.shape[1:]).transpose(0, 3, 4, 1, 2)

    def begin_forward(self, before: Kernels | None, shape: Shape, training: bool, sums: Array | None) -> Kernels:
        bias = self.convolution.bias
        version = unchanged_since([each for each in (self.convolution.weight, bias) if each is not None])
        if before is not None and version is not None and before.version == version:
            return before
        kernel = np.ascontiguousarray(self._by_group())
        return Kernels(version, self.output.pack(kernel, None if bias is None else bias.array), [])

    def begin_backward(self, state: Kernels, shape: Shape, sums: Array | None) -> Kernels:
        kernel = np.ascontiguousarray(self._by_group().swapaxes(3, 4))
        return state._replace(turned=self.input_gradient.pack(kernel, None))

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        images = shape[0]
        if direction == "forward":
            return {"work": Scratch((self.output.room(images),))}
        spaces = {"work": Scratch((max(self.weight_gradient.room(images), self.input_gradient.room(images)),))}
        return spaces | ({"grad": Scratch((images, *self.large))} if self.activation.kind else {})

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        outputs = plain(y.value)
        self.output.run(plain(x.value), block.state.forward, outputs, outputs, block.scratch["work"])

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        grad, work, (weight, bias) = (
            plain(y.grad),
            block.scratch["work"],
            (self.convolution.weight, self.convolution.bias),
        )
        kind, a, b = self.activation
        if kind:
            activation_backward(kind)(plain(y.value), grad, a, b, block.scratch["grad"])
            grad = block.scratch["grad"]
        if weight.trainable:
            kernel = self.weight_gradient.run(grad, plain(x.value), work)
            total = block.grad(weight)
            # (g, k_h, k_w, c_out/g, c_in/g) → (c_in, c_out/g, k_h, k_w)
            total += kernel.transpose(0, 4, 3, 1, 2).reshape(total.shape)
        if bias is not None and bias.trainable:
            add_position_sums(grad.reshape(-1, grad.shape[3]), block.grad(bias))
        if x.has_grad:
            target = plain(x.grad)
            self.input_gradient.run(grad, block.state.turned, target, target, work)
