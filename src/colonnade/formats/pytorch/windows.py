"""Layers over windows of images, (n · windows, ...), as layers over (n, windows, ...).

The axis of the windows is one more axis of an image, so a layer that names axes names the next ones.
"""

from __future__ import annotations

from typing import Any

from ... import layers
from ...layers.base import Layer
from .modules import POINTWISE
from .values import Unconvertible, Value

# Layers that go over the last axes, whatever stands before them.
LAST = (layers.Dense, layers.Embedding, layers.LayerNorm, layers.MatMul, layers.Where)
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


def channels_first(layer: Layer, x: Value) -> tuple[Layer, Layer, Layer] | None:
    """For batch norm of windows (c, ...): how they become images, the layer over those, and the way back."""
    if not isinstance(layer, layers.BatchNorm1d | layers.BatchNorm2d):
        return None
    rest = x.known[1:]
    if not rest:
        return layers.Permute((0, 2, 1)), layers.BatchNorm1d(**layer.config()), layers.Permute((0, 2, 1))
    if len(rest) == 1:
        turn = (0, 2, 1, 3)
        return layers.Permute(turn), layers.BatchNorm2d(**layer.config()), layers.Permute(turn)
    raise Unconvertible(f"{type(layer).__name__} does not go over windows that stand in the axis of the batch")
