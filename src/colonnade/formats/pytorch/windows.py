"""Layers over windows of images, (n · windows, ...), as layers over (n, windows, ...).

The axis of the windows is one more axis of an image, so a layer that names axes names the next ones.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import layers
from ...layers.base import Layer
from .modules import POINTWISE
from .values import Unconvertible, Value

# Layers that go over the last axes, whatever stands before them.
LAST = (
    layers.Dense,
    layers.Embedding,
    layers.GRU,
    layers.LayerNorm,
    layers.LSTM,
    layers.MatMul,
    layers.RNN,
    layers.Where,
)
# Layers with an axis, or several, as an argument of this name.
ALONG = (
    *(layers.Amax, layers.Amin, layers.Argmax, layers.Argmin, layers.Concat, layers.IndexSelect, layers.LogSoftmax),
    *(layers.LogSumExp, layers.Mean, layers.Prod, layers.Select, layers.Slice, layers.Softmax, layers.Sum),
    layers.Unflatten,
)


def over_windows(layer: Layer, windows: int, rank: int) -> Layer:
    """The layer that does for (n, windows, ...) what `layer` does for (n · windows, ...) of `rank` axes."""
    kind = type(layer)
    if isinstance(layer, layers.PReLU) or not isinstance(layer, (*POINTWISE, *LAST, *ALONG, *LAID)):
        raise Unconvertible(f"{kind.__name__} does not go over windows that stand in the axis of the batch")
    arguments: dict[str, Any] = layer.config()
    if isinstance(layer, ALONG):
        return kind(**arguments | {"dim": _next(arguments["dim"], rank)})
    if isinstance(layer, layers.Flatten):
        return layers.Flatten(_next(layer.start_dim, rank), _next(layer.end_dim, rank))
    if isinstance(layer, layers.Permute):
        return layers.Permute((0, *(dim + 1 for dim in layer.dims)))
    if isinstance(layer, layers.Reshape):
        return layers.Reshape((windows, *layer.shape))
    if isinstance(layer, layers.Expand):
        return layers.Expand((-1, *layer.shape))
    if isinstance(layer, layers.Tile):
        return layers.Tile((1, *layer.repeats))
    if isinstance(layer, layers.ZeroPad2d):
        return layers.Pad((layer.left, layer.right, layer.top, layer.bottom))
    return layer


# Layers that say how each axis lies.
LAID = (layers.Expand, layers.Flatten, layers.Pad, layers.Permute, layers.Reshape, layers.Tile, layers.ZeroPad2d)


def _next(dim: Any, rank: int) -> Any:
    if dim is None:
        raise Unconvertible("the images of a batch would be mixed: dim must be given")
    if not isinstance(dim, int):
        return tuple(_next(each, rank) for each in dim)
    if dim in (0, -rank) or not -rank <= dim < rank:
        raise Unconvertible(f"dim must be an axis of one window, 1 to {rank - 1}, got {dim}")
    return dim % rank + 1


def as_images(layer: Layer, x: Value) -> tuple[list[Layer], Layer, list[Layer]] | None:
    """For windows (c, ...) that a layer must have as images: how they become so, the layer, and the way back.

    The windows of an image stand below each other. A convolution then goes over them with their padding between.
    """
    if isinstance(layer, layers.Conv2d) and len(x.known) == 3:
        return _convolved(layer, x)
    if isinstance(layer, OF_CHANNELS) and len(x.known) in (2, 3):
        return _pooled(layer, x)
    if not isinstance(layer, layers.BatchNorm1d | layers.BatchNorm2d):
        return None
    channels, *rest = x.known
    turn: list[Layer] = [layers.Permute((0, 2, 1, *range(3, len(rest) + 3)))]
    if not rest:
        return turn, layers.BatchNorm1d(**layer.config()), turn
    if len(rest) == 1:
        return turn, layers.BatchNorm2d(**layer.config()), turn
    shape = (channels, x.windows * rest[0], math.prod(rest[1:]))
    below, apart = layers.Reshape(shape), layers.Reshape((channels, x.windows, *rest))
    return [*turn, below], layers.BatchNorm2d(**layer.config()), [apart, *turn]


# Layers that do the same with each channel by itself, and have no weights.
OF_CHANNELS = (
    *(layers.AdaptiveAvgPool1d, layers.AdaptiveAvgPool2d, layers.AdaptiveMaxPool1d, layers.AdaptiveMaxPool2d),
    *(layers.AvgPool1d, layers.AvgPool2d, layers.MaxPool1d, layers.MaxPool2d, layers.Resize, layers.Upsample),
)


def _pooled(layer: Layer, x: Value) -> tuple[list[Layer], Layer, list[Layer]]:
    """The channels of all windows are those of one image."""
    channels, *pixels = x.known
    _, *made = layer.build(x.known, np.random.default_rng(0))
    return (
        [layers.Reshape((x.windows * channels, *pixels))],
        layer,
        [layers.Reshape((x.windows, channels, *made))],
    )


def _convolved(layer: Any, x: Value) -> tuple[list[Layer], Layer, list[Layer]]:
    if layer.bordered:  # each window has a border of its own
        border = layer.bordered["padding"]
        padded = Value(x.name, border.build(x.known, np.random.default_rng(0)), x.windows)
        inside, made, outside = _convolved(layer.bordered[""], padded)
        return [border, *inside], made, outside
    channels, height, width = x.known
    outputs, rows, columns = layer.build(x.known, np.random.default_rng(0))
    (top, bottom, left, right), (stride, _) = layer.window.padding, layer.window.stride
    whole = -(-(top + height + bottom) // stride) * stride  # so that the next window begins at a step
    turn = layers.Permute((0, 2, 1, 3, 4))
    before = [
        turn,
        layers.Pad((left, right, top, whole - height - top)),
        layers.Reshape((channels, x.windows * whole, width + left + right)),
    ]
    index = [number * (whole // stride) + row for number in range(x.windows) for row in range(rows)]
    after: list[Layer] = [
        layers.IndexSelect(2, index),
        layers.Reshape((outputs, x.windows, rows, columns)),
        turn,
    ]
    return before, layers.Conv2d(**layer.config() | {"padding": 0}), after
