"""Compiled leaves: layers that take the place of others in a plan, and whose work Numba has compiled.

A leaf fulfils the contract of a layer, and calls the functions of `compiled` where a layer calls those of `ops`. Which
leaf takes the place of which layers is said here, once; neither layers nor the executor know of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import layers
from ..layers.base import Layer
from ..layers.wiring import Wiring
from ..tensor import Shape
from . import dot_product_attention, dropout, local_response, matmul, prelu, rearrangement, resampling, wiring
from .activation import NONE, CompiledActivation, activation_of
from .attention import attention_leaves
from .base import Leaf
from .convolution import TiledConv2d
from .dense import TiledDense
from .normalization import (
    CompiledBatchNorm,
    CompiledBatchNormPool,
    CompiledGroupNorm,
    CompiledLayerNorm,
    CompiledNormalizedSum,
)
from .pooling import CompiledAveragePool2d, CompiledAverageSquares, CompiledMaxPool2d, CompiledMean
from .sequence import TiledConv1d, of_images, takes_either
from .softmax import CompiledSoftmax
from .transposed_convolution import TiledConvTranspose
from .wiring import CompiledAddition

__all__ = ["Leaf", "leaves_for", "of_images", "takes_either"]


def leaves_for(run: Sequence[Layer], inputs: Sequence[Shape], output: Shape, training: bool) -> list[Leaf]:
    """The leaves that do the work of all layers of a run, one after the other: mostly one, none if there is none.

    Args:
        run: Layers that follow one another.
        inputs: Of one image at each input of the first.
        output: Of one image at the output of the first.
        training: Whether they run as in training.
    """
    if len(run) == 1 and isinstance(run[0], layers.MultiheadAttention):
        return attention_leaves(run[0], output)
    if rearranging := inputs and rearrangement.leaf_for(run, inputs[0]):
        return [rearranging]
    if attention := dot_product_attention.leaf_for(run, inputs):
        return [attention]
    leaf = _joined(run, inputs, output, training) or (_alone(run[0], inputs, output) if len(run) == 1 else None)
    return [leaf] if leaf else []


NORMS = layers.BatchNorm2d, layers.BatchNorm1d


def _joined(run: Sequence[Layer], inputs: Sequence[Shape], output: Shape, training: bool) -> Leaf | None:
    """The leaf of a layer that others may be joined with, and of those."""
    first, *rest = run
    activation = activation_of(rest[-1]) if rest else None
    # A gradient that reads the output needs nothing that lies between the two: so it may be taken in the same pass.
    follows = len(rest) == 1 and activation is not None and (not training or "input" not in activation.reads)
    last, by = (rest[0], activation) if follows and activation else (None, NONE)
    if rest and isinstance(first, NORMS) and len(output) != 2:
        if isinstance(rest[0], layers.Add) and len(inputs) == 2 and inputs[0] == inputs[1]:
            if len(rest) == 1:
                return CompiledNormalizedSum(first, rest[0], None, NONE)
            return CompiledNormalizedSum(first, rest[0], rest[1], activation) if len(rest) == 2 and activation else None
        if len(rest) == 1 and activation:  # what its gradient reads is computed from the norm's input
            return CompiledBatchNorm(first, rest[0], activation)
    if rest and not follows:
        if training and isinstance(first, NORMS):
            return _pooled(first, rest, inputs[0])
        return None
    if isinstance(first, layers.Conv2d):
        return TiledConv2d(first, inputs[0], last, by)
    if isinstance(first, layers.Conv1d) and len(output) == 3:
        return TiledConv1d(first, inputs[0], output, last, by)
    if isinstance(first, layers.ConvTranspose1d | layers.ConvTranspose2d) and len(output) == 3:
        return TiledConvTranspose(first, inputs[0], output, last, by)
    if isinstance(first, layers.Dense):
        return TiledDense(first, last, by)
    if isinstance(first, NORMS) and len(output) != 2:
        return CompiledBatchNorm(first, last, by)
    if isinstance(first, layers.Add) and rest and not training and len(set(inputs)) == 1:
        return CompiledAddition(first, last, by)
    return None


def _pooled(norm: layers.BatchNorm2d | layers.BatchNorm1d, rest: Sequence[Layer], shape: Shape) -> Leaf | None:
    """Batch norm and the pool behind it, and perhaps a ReLU, which a plan has moved behind the pool."""
    pool, *after = rest
    if not isinstance(pool, layers.MaxPool2d) or not CompiledBatchNormPool.suits(pool, shape):
        return None
    if not after:
        return CompiledBatchNormPool(norm, pool)
    relu = activation_of(after[0]) if len(after) == 1 and isinstance(after[0], layers.ReLU) else None
    return CompiledBatchNormPool(norm, pool, after[0], relu) if relu else None


def _alone(layer: Layer, inputs: Sequence[Shape], output: Shape) -> Leaf | None:
    """The leaf of a single layer that no other is joined with."""
    if isinstance(layer, Wiring):
        return wiring.leaf_for(layer, inputs) or matmul.leaf_for(layer, inputs)
    shape = inputs[0]
    if activation := activation_of(layer):
        return CompiledActivation(layer, activation)
    if isinstance(layer, layers.MaxPool2d) and CompiledMaxPool2d.suits(layer):
        return CompiledMaxPool2d(layer)
    if isinstance(layer, layers.AvgPool2d) and CompiledAverageSquares.suits(layer, shape):
        return CompiledAverageSquares(layer)
    if isinstance(layer, layers.AvgPool2d | layers.AdaptiveAvgPool2d):
        return CompiledAveragePool2d(layer, shape, (output[1], output[2]))
    if isinstance(layer, layers.Mean) and CompiledMean.suits(layer, shape):
        return CompiledMean(layer, shape)
    if isinstance(layer, layers.LayerNorm | layers.LayerNorm2d):
        return CompiledLayerNorm(layer, shape)
    if isinstance(layer, layers.GroupNorm) or (
        isinstance(layer, layers.InstanceNorm2d) and not layer.track_running_stats
    ):
        return CompiledGroupNorm(layer, shape[0]) if len(shape) in (1, 3) else None
    if isinstance(layer, layers.Softmax | layers.LogSoftmax):
        return CompiledSoftmax(layer, shape)
    return (
        dropout.leaf_for(layer)
        or prelu.leaf_for(layer, shape)
        or local_response.leaf_for(layer, shape)
        or resampling.leaf_for(layer, shape, output)
    )
