"""Layers of sequences (n, c, l) as layers of images of height 1, (n, c, 1, l), which lie channels-last.

A plan turns what lies between such layers once at each end (:func:`colonnade.plan.rewriting.as_images`). So a sequence
goes through convolution, batch norm, pool and activation by the same compiled functions as an image.
"""

from __future__ import annotations

from .. import layers
from ..layers.base import Layer, computes_otherwise
from ..ops.window import Window
from .activation import activation_of


def of_images(layer: Layer) -> Layer | None:
    """The layer that does to images of height 1 what this one does to sequences; None if there is none."""
    if computes_otherwise(layer):
        return None
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
