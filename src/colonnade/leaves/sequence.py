"""Layers of sequences (n, c, l) as layers of images of height 1, (n, c, 1, l), which lie channels-last.

A plan turns what lies between such layers once at each end (:func:`colonnade.steps.as_images`). So a sequence goes
through convolution, batch norm, pool and activation by the same compiled functions as an image.
"""

from __future__ import annotations

from collections.abc import Generator

from .. import layers
from ..compiled.convolution import Call, Epilogue, kernel_gradient, product
from ..layers.base import Layer
from ..ops.layout import Array
from ..ops.window import Window
from ..tensor import Shape
from .activation import NONE, Activation, activation_of
from .tiled import TiledProduct


def of_images(layer: Layer) -> Layer | None:
    """The layer that does to images of height 1 what this one does to sequences; None if there is none."""
    if isinstance(layer, layers.Conv1d | layers.ConvTranspose1d | layers.BatchNorm1d):
        return layer  # their leaves take images
    if isinstance(layer, layers.MaxPool1d):
        window = layer.window
        return layers.MaxPool2d(
            *((1, *window.kernel), (1, *window.stride), (0, *window.before), (1, *window.dilation)),
            ceil_mode=layer.ceil_mode,
        )
    if isinstance(layer, layers.AvgPool1d):
        window = layer.window
        return layers.AvgPool2d(
            *((1, *window.kernel), (1, *window.stride), (0, *window.before)),
            ceil_mode=layer.ceil_mode,
            count_include_pad=layer.count_include_pad,
        )
    if isinstance(layer, layers.AdaptiveAvgPool1d):
        return layers.AdaptiveAvgPool2d((1, *layer.sizes))
    return None


def of_height_one(window: Window) -> Window:
    """The window over images of height 1 that sees what one along sequences does; one over images as it is."""
    if len(window.kernel) == 2:
        return window
    return Window((1, *window.kernel), (1, *window.stride), (0, 0, *window.padding), (1, *window.dilation))


def takes_either(layer: Layer) -> bool:
    """Whether a layer does the same to each number of sequences and of images."""
    return activation_of(layer) is not None


class TiledConv1d(TiledProduct):
    """A convolution along images of height 1.

    Args:
        convolution: The layer.
        shape: One image's at its input, (c_in, 1, l).
        output: At its output, (c_out, 1, l_out).
        layer: The layer behind it, or None.
        activation: What that is.
    """

    def __init__(
        self,
        convolution: layers.Conv1d,
        shape: Shape,
        output: Shape,
        layer: Layer | None = None,
        activation: Activation = NONE,
    ) -> None:
        super().__init__(convolution, layer, activation)
        self.convolution = convolution
        self.weight, self.bias, self.groups = convolution.weight, convolution.bias, convolution.groups
        window = of_height_one(convolution.window)
        read, self.written = (1, shape[2], shape[0]), (1, output[2], output[0])
        kind, a, b = activation
        self.output = product(window, read, self.written, self.groups, True, Epilogue(kind, False, a, b))
        self.input_gradient = product(window, self.written, read, self.groups, False)
        self.weight_gradient = kernel_gradient(window, read, self.written, self.groups)

    def multiplications(self, shape: Shape) -> int:
        return self.convolution.multiplications((shape[0], shape[2]))

    def by_group(self, weight: Array) -> Array:
        # (c_out, c_in/g, k) → (g, 1, k, c_in/g, c_out/g)
        return weight.reshape(self.groups, -1, 1, *weight.shape[1:]).transpose(0, 2, 4, 3, 1)

    def kernel_gradient(self, x: Array, grad_y: Array, work: Array) -> Generator[Call, None, Array]:
        # (g, 1, k, c_in/g, c_out/g) → (g, c_out/g, c_in/g, 1, k)
        gradient = yield from self.weight_gradient.calls(x, grad_y, work)
        return gradient.transpose(0, 4, 3, 1, 2)
