"""Normalisations in the operators of ONNX."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .... import layers
from ....layers.normalization import BatchNorm
from ....layers.standardization import InstanceNorm
from ..writer import Expression, GraphWriter
from .arithmetic import reduced


def batch_norm(graph: GraphWriter, layer: BatchNorm | InstanceNorm, x: str) -> str:
    """By the running statistics; without them by those of the batch, as the layer does."""
    if layer.track_running_stats:
        scale, shift = _affine(graph, layer.num_features)
        running = graph.parameter("running_mean"), graph.parameter("running_var")
        how = {"epsilon": float(layer.eps)}
        if layer.momentum is not None:  # in ONNX it is the share that the old statistics keep
            how["momentum"] = 1 - float(layer.momentum)
        return graph.node("BatchNormalization", x, scale, shift, *running, **how)
    standard = _standardized(graph, x, [0, *range(2, len(graph.shape) + 1)], layer.eps)
    return _scaled(graph, standard)


def instance_norm(graph: GraphWriter, layer: InstanceNorm, x: str) -> str:
    if layer.track_running_stats:
        return batch_norm(graph, layer, x)
    return graph.node("InstanceNormalization", x, *_affine(graph, layer.num_features), epsilon=float(layer.eps))


def group_norm(graph: GraphWriter, layer: layers.GroupNorm, x: str) -> str:
    """Each group as if it were a channel: ONNX has had two operators of the name, that scale groups and channels."""
    groups = layer.num_groups
    parted = graph.node("Reshape", x, graph.constant("groups", [0, groups, -1]))
    ones, zeros = graph.constant("ones", np.ones(groups)), graph.constant("zeros", np.zeros(groups))
    standard = graph.node("InstanceNormalization", parted, ones, zeros, epsilon=float(layer.eps))
    return _scaled(graph, graph.node("Reshape", standard, graph.constant("shape", [0, *graph.shape])))


def layer_norm(graph: GraphWriter, layer: layers.LayerNorm, x: str) -> str:
    return _last_axes_norm(graph, x, layer.normalized_shape, layer.eps)


def rms_norm(graph: GraphWriter, layer: layers.RMSNorm, x: str) -> str:
    """Put together: the operator has been there since opset 23 only."""
    axes = [axis - len(layer.normalized_shape) for axis in range(len(layer.normalized_shape))]
    eps = float(np.finfo(graph.dtype).eps if layer.eps is None else layer.eps)
    squares = reduced(graph, "ReduceMean", graph.node("Mul", x, x), axes, True)
    root = graph.node("Sqrt", graph.node("Add", squares, graph.constant("eps", eps)))
    standard, weight = graph.node("Div", x, root), graph.parameter("weight")
    return graph.node("Mul", standard, weight) if weight else standard


def layer_norm_2d(graph: GraphWriter, layer: layers.LayerNorm2d, x: str) -> str:
    last = graph.node("Transpose", x, perm=[0, 2, 3, 1])
    return graph.node("Transpose", _last_axes_norm(graph, last, (layer.num_channels,), layer.eps), perm=[0, 3, 1, 2])


def local_response_norm(graph: GraphWriter, layer: layers.LocalResponseNorm, x: str) -> str:
    how = {"size": layer.size, "alpha": float(layer.alpha), "beta": float(layer.beta), "bias": float(layer.k)}
    if layer.size % 2 and len(graph.shape) == 3:
        return graph.node("LRN", x, **how)
    # What is no image ONNX Runtime refuses, and an even window too, which in ONNX leans to the other side.
    channels = np.arange(graph.shape[0])
    offset = channels - channels[:, None]
    window = (offset >= -(layer.size // 2)) & (offset <= (layer.size - 1) // 2)
    squares = graph.node("Reshape", graph.node("Mul", x, x), graph.constant("rows", [0, graph.shape[0], -1]))
    sums = graph.node("MatMul", graph.constant("window", window * (layer.alpha / layer.size)), squares)
    sums = graph.node("Reshape", sums, graph.constant("shape", [0, *graph.shape]))
    divisor = graph.node(
        "Pow", graph.node("Add", sums, graph.constant("k", how["bias"])), graph.constant("beta", how["beta"])
    )
    return graph.node("Div", x, divisor)


def _last_axes_norm(graph: GraphWriter, x: str, shape: Sequence[int], eps: float) -> str:
    """Over the last axes, which are of `shape`."""
    weight, bias = graph.parameter("weight"), graph.parameter("bias")
    if graph.opset >= 17:
        weight = weight or graph.constant("ones", np.ones(shape))
        return graph.node("LayerNormalization", x, weight, bias, axis=-len(shape), epsilon=float(eps))
    y = _standardized(graph, x, [axis - len(shape) for axis in range(len(shape))], eps)
    y = graph.node("Mul", y, weight) if weight else y
    return graph.node("Add", y, bias) if bias else y


def _affine(graph: GraphWriter, channels: int) -> tuple[str, str]:
    """γ and β, where operators want them though the layer has none."""
    weight = graph.parameter("weight") or graph.constant("ones", np.ones(channels))
    return weight, graph.parameter("bias") or graph.constant("zeros", np.zeros(channels))


def _scaled(graph: GraphWriter, x: str) -> str:
    """γ x + β, by channel, of those that there are."""
    for kind, name in (("Mul", "weight"), ("Add", "bias")):
        vector = graph.by_channel(name)
        x = graph.node(kind, x, vector) if vector else x
    return x


def _standardized(graph: GraphWriter, x: str, axes: Sequence[int], eps: float) -> str:
    """(x − μ) / √(σ² + ε), μ and σ² taken along these axes."""
    centred = graph.node("Sub", x, reduced(graph, "ReduceMean", x, axes, True))
    variance = reduced(graph, "ReduceMean", graph.node("Mul", centred, centred), axes, True)
    deviation = graph.node("Sqrt", graph.node("Add", variance, graph.constant("eps", float(eps))))
    return graph.node("Div", centred, deviation)


EXPRESSIONS: dict[type[layers.Layer], Expression] = {
    layers.BatchNorm1d: batch_norm,
    layers.BatchNorm2d: batch_norm,
    layers.BatchNorm3d: batch_norm,
    layers.GroupNorm: group_norm,
    layers.InstanceNorm1d: instance_norm,
    layers.InstanceNorm2d: instance_norm,
    layers.InstanceNorm3d: instance_norm,
    layers.LayerNorm: layer_norm,
    layers.LayerNorm2d: layer_norm_2d,
    layers.LocalResponseNorm: local_response_norm,
    layers.RMSNorm: rms_norm,
}
