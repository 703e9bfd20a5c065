"""Normalisations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .... import layers
from ....tensor import Shape
from ..values import Images, Known, Layout, UnsupportedError, Value
from .elementwise import Conversion
from .reductions import reduced

if TYPE_CHECKING:
    from ..call import Call


def batch_normalization(call: Call) -> Value:
    x = call.plain()
    scale, bias, mean, variance = (call.known(place) for place in range(1, 5))
    if call.opset < 9 and not call.attribute("spatial", 1):
        raise UnsupportedError("it normalises every pixel by itself (spatial=0)")
    training = call.opset >= 14 and bool(call.attribute("training_mode", 0))
    if any(call.needed(place) for place in range(1, 5)):
        raise UnsupportedError("a layer has one output, and the statistics are wanted too")
    settings = {
        "eps": call.attribute("epsilon", 1e-5),
        "momentum": round(1.0 - call.attribute("momentum", 0.9), 7),  # as many digits as float32 has
        "track_running_stats": not training,
    }
    weights = {"weight": scale, "bias": bias}
    if not training:
        weights |= {"running_mean": mean, "running_var": variance}
    kinds = {2: layers.BatchNorm2d, 3: layers.BatchNorm3d}
    flat, axes = x, len(call.image_of(x)) - 1
    if axes > 3:  # all that is not channels is positions
        flat = call.importer.reshaped(x, Layout((1, x.layout.sizes[1], math.prod(x.layout.sizes[2:])), 0))
    layer = kinds.get(axes, layers.BatchNorm1d)(len(scale), **settings)
    return call.importer.reshaped(call.emit(layer, flat, names=call.names(1, 2, 3), weights=weights), x.layout)


def layer_normalization(call: Call) -> list[Value | None]:
    x, given = call.data(), [call.value(place) if call.has(place) else None for place in (1, 2)]
    axis, eps = x.layout.axis(call.attribute("axis", -1)), call.attribute("epsilon", 1e-5)
    if not any(isinstance(each, Images) and each.content is None for each in given):
        scale, bias = call.known(1), call.optional(2)
        y = _normalized(call, x, scale, bias, axis, lambda sizes: layers.LayerNorm(sizes, eps, bias=bias is not None))
    else:  # what is computed can't be a layer's own
        y = _normalized(call, x, None, None, axis, lambda sizes: layers.LayerNorm(sizes, eps, False))
        for layer, other in zip((layers.Mul, layers.Add), given, strict=True):
            if other is not None:
                parts, layout = call.importer.aligned([y, other])
                y = call.emit(layer(stretch=True), *parts, layout=layout)
    mean = inverse = None
    axes = range(axis, x.layout.rank)
    if call.needed(1) or call.needed(2):
        mean = reduced(call, x, axes, True, layers.Mean)
    if mean is not None and call.needed(2):
        parts, layout = call.importer.aligned([x, mean])
        squares = call.emit(layers.Power(2.0), call.emit(layers.Sub(stretch=True), *parts, layout=layout))
        variance = reduced(call, squares, axes, True, layers.Mean)
        inverse = call.emit(layers.Power(-0.5), call.emit(layers.Affine(1.0, eps), variance))
    return [y, mean, inverse]


def _normalized(
    call: Call,
    x: Images,
    scale: np.ndarray | None,
    bias: np.ndarray | None,
    axis: int,
    make: Callable[[Shape], layers.Layer],
) -> Images:
    """What a layer makes of the axes from `axis` on."""
    layout = x.layout
    sizes = layout.sizes[axis:]
    for each in range(axis, layout.rank):
        layout.dim(each)
    given = {"weight": scale, "bias": bias}
    weights = {name: np.broadcast_to(array, sizes) for name, array in given.items() if array is not None}
    image = layout.image
    if 3 in (len(image), len(sizes)) and len(image) != len(sizes):
        # A tensor of three axes lies channels-last, and LayerNorm takes it whole or not at all.
        count = math.prod(sizes)
        x = call.importer.reshaped(x, Layout((1, math.prod(image) // count, count), 0))
        sizes, weights = (count,), {name: array.reshape(-1) for name, array in weights.items()}
    return call.importer.reshaped(call.emit(make(sizes), x, names=call.names(1, 2), weights=weights), layout)


def rms_normalization(call: Call) -> Value:
    x, eps = call.data(), call.attribute("epsilon", 1e-5)
    axis = x.layout.axis(call.attribute("axis", -1))
    scale = call.value(1)
    if isinstance(scale, Known):
        return _normalized(call, x, scale.array, None, axis, lambda sizes: layers.RMSNorm(sizes, eps))
    squares = call.emit(layers.Power(2.0), x)
    mean = reduced(call, squares, range(axis, x.layout.rank), True, layers.Mean)
    inverse = call.emit(layers.Power(-0.5), call.emit(layers.Affine(1.0, eps), mean))
    parts, layout = call.importer.aligned([x, inverse])
    standard = call.emit(layers.Mul(stretch=True), *parts, layout=layout)
    parts, layout = call.importer.aligned([standard, scale])
    return call.emit(layers.Mul(stretch=True), *parts, layout=layout)


def group_normalization(call: Call) -> Value:
    x, scale, bias = call.plain(), call.known(1), call.known(2)
    groups, channels = call.attribute("num_groups"), x.layout.sizes[1]
    if call.opset < 21:  # one number a group, not a channel
        scale, bias = (np.repeat(each, channels // groups) for each in (scale, bias))
    layer = layers.GroupNorm(groups, channels, call.attribute("epsilon", 1e-5))
    return call.emit(layer, x, names=call.names(1, 2), weights={"weight": scale, "bias": bias})


def instance_normalization(call: Call) -> Value:
    x, scale, bias = call.plain(), call.known(1), call.known(2)
    eps, channels = call.attribute("epsilon", 1e-5), x.layout.sizes[1]
    image = call.image_of(x)
    kinds = {1: layers.InstanceNorm1d, 2: layers.InstanceNorm2d, 3: layers.InstanceNorm3d}
    kind = kinds.get(len(image) - 1) if math.prod(image[1:]) > 1 else None
    layer = kind(channels, eps, affine=True) if kind else layers.GroupNorm(channels, channels, eps)
    return call.emit(layer, x, names=call.names(1, 2), weights={"weight": scale, "bias": bias})


def local_response(call: Call) -> Value:
    size = call.attribute("size")
    if size % 2 == 0:
        raise UnsupportedError(f"a window of {size} channels, which PyTorch and ONNX place differently")
    numbers = (call.attribute(name, value) for name, value in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    return call.emit(layers.LocalResponseNorm(size, *numbers), call.plain())


CONVERSIONS: dict[str, Conversion] = {
    "BatchNormalization": batch_normalization,
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "LRN": local_response,
    "LayerNormalization": layer_normalization,
    "RMSNormalization": rms_normalization,
}
