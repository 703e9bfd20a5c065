"""Convolution by register tiles, with what follows it in the same pass."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..compiled.activation import activation_backward
from ..compiled.convolution import Epilogue, kernel_gradient, product
from ..compiled.direct import add_position_sums
from ..compiled.packing import turned
from ..layers.base import Block, Direction, Layer, Scratch
from ..layers.convolution import Conv2d
from ..ops.layout import Array
from ..tensor import Shape, Tensor
from .activation import NONE, Activation
from .base import Leaf, plain

Packed = list[tuple[Array, Array]]


class Kernels(NamedTuple):
    """The kernel as the tiles read it, with what tells whether it still is: for the output, for the gradient."""

    version: Any
    forward: Packed
    turned: Packed


class TiledConv2d(Leaf):
    """A convolution, and an activation whose gradient reads the output, in one pass.

    Args:
        convolution: A Conv2d, or one that batch norm is folded into.
        shape: One image's, (c, h, w).
        layer: The layer behind it, or None.
        activation: What that is.
    """

    def __init__(
        self,
        convolution: Conv2d,
        shape: Shape,
        layer: Layer | None = None,
        activation: Activation = NONE,
    ) -> None:
        self.convolution = convolution
        self.stands_for = (convolution,) if layer is None else (convolution, layer)
        self.activation = activation
        self.reads: set[str] = {"input"} | activation.reads  # type: ignore[misc]
        channels, height, width = shape
        window, groups = convolution.window, convolution.groups
        read = (height, width, channels)
        self.written = (*window.output_size((height, width)), convolution.out_channels)
        kind, a, b = activation
        self.output = product(window, read, self.written, groups, True, Epilogue(kind, False, a, b))
        self.input_gradient = product(window, self.written, read, groups, False)
        self.weight_gradient = kernel_gradient(window, read, self.written, groups)

    def begin_forward(self, before: Kernels | None, shape: Shape, training: bool, sums: Array | None) -> Kernels:
        convolution = self.convolution
        version = convolution.version()
        if before is not None and version is not None and before.version == version:
            return before
        kernel, bias = convolution.folded_weights()
        return Kernels(version, self.output.pack(np.ascontiguousarray(self._by_group(kernel)), bias), [])

    def begin_backward(self, state: Kernels, shape: Shape, sums: Array | None) -> Kernels:
        kernel = np.ascontiguousarray(self._by_group(self.convolution.weight.array))
        exchanged = turned(kernel.reshape(-1, *kernel.shape[3:])).reshape(*kernel.shape[:3], *kernel.shape[:2:-1])
        return state._replace(turned=self.input_gradient.pack(exchanged, None))

    def _by_group(self, kernel: Array) -> Array:
        """(c_out, c_in/g, k_h, k_w) as (g, k_h, k_w, c_in/g, c_out/g), a view: of one group as it lies in memory."""
        by_group = kernel.reshape(self.convolution.groups, -1, *kernel.shape[1:])
        return by_group.transpose(0, 3, 4, 2, 1)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        images = shape[0]
        if direction == "forward":
            return {"work": Scratch((self.output.room(images),))}
        spaces = {"work": Scratch((max(self.weight_gradient.room(images), self.input_gradient.room(images)),))}
        if self.activation.kind:
            spaces["grad"] = Scratch((images, *self.written))
        return spaces

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        written = plain(y.value)
        self.output.run(plain(x.value), block.state.forward, written, written, block.scratch["work"])

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        grad, work, convolution = plain(y.grad), block.scratch["work"], self.convolution
        kind, a, b = self.activation
        if kind:
            activation_backward(kind)(plain(y.value), grad, a, b, block.scratch["grad"])
            grad = block.scratch["grad"]
        if convolution.weight.trainable:
            kernel = self.weight_gradient.run(plain(x.value), grad, work)
            # (g, k_h, k_w, c_in/g, c_out/g) → (c_out, c_in/g, k_h, k_w)
            gradient = kernel.transpose(0, 4, 3, 1, 2).reshape(convolution.weight.shape)
            block.add_grad(convolution.weight, gradient)
        if convolution.bias is not None and convolution.bias.trainable:
            add_position_sums(grad.reshape(-1, grad.shape[3]), block.grad(convolution.bias))
        if x.has_grad:
            written = plain(x.grad)
            self.input_gradient.run(grad, block.state.turned, written, written, work)
