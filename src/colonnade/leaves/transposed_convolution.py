"""Transposed convolution by register tiles: forward it is the gradient at the input of a convolution."""

from __future__ import annotations

from collections.abc import Generator

from ..compiled.convolution import Call, Epilogue, kernel_gradient, product
from ..layers.base import Layer
from ..layers.transposed_convolution import ConvTranspose1d, ConvTranspose2d
from ..ops.layout import Array
from ..tensor import Shape
from .activation import NONE, Activation
from .sequence import of_height_one
from .tiled import TiledProduct


class TiledConvTranspose(TiledProduct):
    """A transposed convolution: all is that of the convolution whose input is y and whose output is x.

    That along a sequence takes images of height 1.

    Args:
        convolution: The layer.
        shape: One image's at its input, (c_in, h, w).
        output: At its output, (c_out, H, W).
        layer: The layer behind it, or None.
        activation: What that is.
    """

    def __init__(
        self,
        convolution: ConvTranspose1d | ConvTranspose2d,
        shape: Shape,
        output: Shape,
        layer: Layer | None = None,
        activation: Activation = NONE,
    ) -> None:
        super().__init__(convolution, layer, activation)
        self.weight, self.bias, self.groups = convolution.weight, convolution.bias, convolution.groups
        window = of_height_one(convolution.window)
        small, self.written = (shape[1], shape[2], shape[0]), (output[1], output[2], output[0])
        self.size = window.kernel
        kind, a, b = activation
        self.output = product(window, small, self.written, self.groups, False, Epilogue(kind, False, a, b))
        self.input_gradient = product(window, self.written, small, self.groups, True)
        self.weight_gradient = kernel_gradient(window, self.written, small, self.groups)

    def by_group(self, weight: Array) -> Array:
        # (c_in, c_out/g, k_h, k_w) → (g, k_h, k_w, c_in/g, c_out/g)
        return weight.reshape(self.groups, -1, weight.shape[1], *self.size).transpose(0, 3, 4, 1, 2)

    def kernel_gradient(self, x: Array, grad_y: Array, work: Array) -> Generator[Call, None, Array]:
        # (g, k_h, k_w, c_out/g, c_in/g) → (g, c_in/g, c_out/g, k_h, k_w)
        gradient = yield from self.weight_gradient.calls(grad_y, x, work)
        return gradient.transpose(0, 4, 3, 1, 2)
