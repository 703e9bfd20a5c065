"""Normalisation in PyTorch, as layers.

A function here has the name and the arguments of the one in PyTorch; `graph` is where it puts its layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from .... import layers
from ....layers.base import Layer
from ..values import Array, Tensor, Unconvertible, array_of, weights_of
from .arithmetic import affine, join, mul, rsqrt, square
from .reductions import norm
from .shapes import dim

if TYPE_CHECKING:
    from ..importer import Importer


def layer_norm(
    graph: Importer, input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None,
    eps: float = 1e-5, cudnn_enable: bool = True,
) -> Tensor:  # fmt: skip
    layer = layers.LayerNorm(tuple(normalized_shape), eps, weight is not None, bias=weight is not None is not bias)
    return _shifted(graph, layer, input, weight, bias)


def rms_norm(
    graph: Importer, input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None
) -> Tensor:
    """x / √(mean of x² + ε), times the weight."""
    axes = tuple(range(-len(normalized_shape), 0))
    mean = graph.put(layers.Mean(axes, True), square(graph, input))
    inverse = rsqrt(graph, affine(graph, mean, 1, torch.finfo(torch.float64).eps if eps is None else eps))
    y = mul(graph, input, inverse)
    return y if weight is None else mul(graph, y, weight)


def _shifted(graph: Importer, layer: Layer, x: Any, weight: Any, bias: Any, axis: int = -1, **held: Any) -> Tensor:
    """A norm with its weights; where there is a bias alone, it is added."""
    arrays = weights_of(weight=weight, bias=None if weight is None else bias, **held)
    y = graph.weighed(layer, arrays, x)
    if weight is not None or bias is None:
        return y
    if axis == 1:
        shape = (array_of(bias).tensor.numel(), *[1] * (dim(graph, y) - 2))
        bias = graph.call_function("reshape", bias, shape)
    return graph.join(layers.Add, y, bias)


def group_norm(
    graph: Importer, input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:  # fmt: skip
    x = graph.value(input)
    channels = x.known[0] if weight is None else array_of(weight).tensor.numel()
    layer = layers.GroupNorm(num_groups, channels, eps, weight is not None, bias=weight is not None is not bias)
    return _shifted(graph, layer, x, weight, bias, axis=1)


def weight_norm(graph: Importer, v: Any, g: Any, dim: int = 0) -> Tensor:
    """g · v / ‖v‖, the norm over all axes but one, of parameters alone."""
    axes = tuple(axis for axis in range(1, graph.value(v).rank) if axis != dim)
    return mul(graph, join(layers.Div)(graph, v, norm(graph, v, 2, axes, True)), g)


def batch_norm(
    graph: Importer, input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """With the batch's statistics in training, and with the module's own outside it."""
    x = graph.value(input)
    if isinstance(running_mean, Array) and graph.at_rest(running_mean):
        raise Unconvertible("it uses its running statistics in training too, and Colonnade's layer does not")
    channels = x.known[0]
    tracked = running_mean is not None
    if training and tracked:
        raise Unconvertible("it uses the batch's statistics outside training too: pass training=self.training")
    kind = {3: layers.BatchNorm2d, 4: layers.BatchNorm3d}.get(len(x.known), layers.BatchNorm1d)
    affine = weight is not None
    layer = kind(channels, eps, momentum if tracked else None, affine, tracked, bias=affine and bias is not None)
    held = {}
    if tracked:
        held = {"running_mean": running_mean, "running_var": running_var}
        if (count := graph.neighbour(running_mean, "num_batches_tracked")) is not None:
            held["num_batches_tracked"] = count
    return _shifted(graph, layer, x, weight, bias, axis=1, **held)


def batch_norm_weights_first(
    graph: Importer, input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool,
    momentum: float, eps: float, cudnn_enabled: bool = True,
) -> Tensor:  # fmt: skip
    """The same, in the order of `torch.batch_norm`; of a module's own averages the graph has only today's weight."""
    if isinstance(running_mean, Array):
        module = graph.module.get_submodule(running_mean.path.rpartition(".")[0])
        momentum = module.momentum if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) else momentum
    return batch_norm(graph, input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    graph: Importer, input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None,
    bias: Any = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Of each channel of each image by itself."""
    if running_mean is not None:
        raise Unconvertible("running statistics are not supported: use torch.nn.InstanceNorm2d")
    x = graph.value(input)
    return group_norm(graph, x, x.known[0], weight, bias, eps)
