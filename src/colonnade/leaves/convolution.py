"""Convolution by register tiles, with what follows it in the same pass."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ..compiled.convolution import Call, Epilogue, kernel_gradient, product
from ..layers.base import Layer
from ..layers.convolution import Conv2d
from ..ops.layout import Array
from ..tensor import Shape
from .activation import NONE, Activation
from .tiled import TiledProduct


class TiledConv2d(TiledProduct):
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
        super().__init__(convolution, layer, activation)
        self.convolution = convolution
        self.weight, self.bias, self.groups = convolution.weight, convolution.bias, convolution.groups
        channels, height, width = shape
        window = convolution.window
        read = (height, width, channels)
        rows, columns = window.output_size((height, width))
        self.written = (rows, columns, convolution.out_channels)
        self.wants_batch = self.outweighs(read)
        kind, a, b = activation
        self.output = product(window, read, self.written, self.groups, True, Epilogue(kind, False, a, b))
        self.input_gradient = product(window, self.written, read, self.groups, False)
        self.weight_gradient = kernel_gradient(window, read, self.written, self.groups)

    def version(self) -> Any:
        return self.convolution.version()

    def weights(self) -> tuple[Array, Array | None]:
        return self.convolution.folded_weights()

    def by_group(self, weight: Array) -> Array:
        # (c_out, c_in/g, k_h, k_w) → (g, k_h, k_w, c_in/g, c_out/g): of one group as it lies in memory
        return weight.reshape(self.groups, -1, *weight.shape[1:]).transpose(0, 3, 4, 2, 1)

    def kernel_gradient(self, x: Array, grad_y: Array, work: Array) -> Generator[Call, None, Array]:
        # (g, k_h, k_w, c_in/g, c_out/g) → (g, c_out/g, c_in/g, k_h, k_w)
        gradient = yield from self.weight_gradient.calls(x, grad_y, work)
        return gradient.transpose(0, 4, 3, 1, 2)
