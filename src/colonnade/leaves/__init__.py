"""Compiled leaves: layers that take the place of others in a plan, and whose work Numba has compiled.

A leaf fulfils the contract of a layer, and calls the functions of `compiled` where a layer calls those of `ops`. Which
leaf takes the place of which layers is said here, once; neither layers nor the executor know of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import layers
from ..compiled.activation import NONE
from ..layers.base import Layer, computes_otherwise
from ..layers.wiring import Wiring
from ..tensor import Shape
from . import (
    activation,
    dot_product_attention,
    dropout,
    local_response,
    matmul,
    normalization,
    pooling,
    prelu,
    rearrangement,
    recurrent,
    resampling,
    softmax,
    wiring,
)
from .activation import activation_of
from .attention import attention_leaves
from .base import Leaf
from .convolution import TiledConv1d, TiledConv2d, TiledConvTranspose
from .dense import TiledDense
from .normalization import CompiledBatchNorm, CompiledBatchNormPool, CompiledNormalizedSum
from .pooling import side_by_side
from .sequence import of_images, takes_either
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
    if any(computes_otherwise(layer) for layer in run):
        return []
    if len(run) == 1 and isinstance(run[0], layers.MultiheadAttention):
        return attention_leaves(run[0], output)
    if rearranging := inputs and rearrangement.leaf_for(run, inputs[0]):
        return [rearranging]
    if attention := dot_product_attention.leaf_for(run, inputs):
        return [attention]
    leaf = _joined(run, inputs, output, training) or (_alone(run[0], inputs, output) if len(run) == 1 else None)
    return [leaf] if leaf else []


Norm = layers.BatchNorm2d | layers.BatchNorm1d


def _joined(run: Sequence[Layer], inputs: Sequence[Shape], output: Shape, training: bool) -> Leaf | None:
    """The leaf of a layer that others may be joined with, and of those."""
    first, *rest = run
    if isinstance(first, Norm):
        return _normalized(first, rest, inputs, training) if len(output) != 2 else None
    if len(rest) > 1:
        return None
    last = rest[0] if rest else None
    by = activation_of(last) if last else NONE
    # A gradient that reads the output needs nothing that lies between the two: so it may be taken in the same pass.
    if by is None or (training and "input" in by.reads):
        return None
    if isinstance(first, layers.Conv2d):
        return TiledConv2d(first, inputs[0], last, by)
    if isinstance(first, layers.Conv1d) and len(output) == 3:
        return TiledConv1d(first, inputs[0], output, last, by)
    if isinstance(first, layers.ConvTranspose1d | layers.ConvTranspose2d) and len(output) == 3:
        return TiledConvTranspose(first, inputs[0], output, last, by)
    if isinstance(first, layers.Dense):
        return TiledDense(first, last, by)
    if isinstance(first, layers.Add) and last and not training and len(set(inputs)) == 1:
        return CompiledAddition(first, last, by)
    return None


def _normalized(norm: Norm, rest: Sequence[Layer], inputs: Sequence[Shape], training: bool) -> Leaf | None:
    """Batch norm with what follows it: an addition, an activation, in training a pool."""
    if not rest:
        return CompiledBatchNorm(norm)
    last = activation_of(rest[-1])
    if isinstance(rest[0], layers.Add) and len(inputs) == 2 and inputs[0] == inputs[1]:
        if len(rest) == 1:
            return CompiledNormalizedSum(norm, rest[0])
        return CompiledNormalizedSum(norm, rest[0], rest[1], last) if len(rest) == 2 and last else None
    if len(rest) == 1 and last:  # what its gradient reads is computed from the norm's input
        return CompiledBatchNorm(norm, rest[0], last)
    return _pooled(norm, rest, inputs[0]) if training else None


def _pooled(norm: Norm, rest: Sequence[Layer], shape: Shape) -> Leaf | None:
    """Batch norm and the pool behind it, and perhaps a ReLU, which a plan has moved behind the pool."""
    pool, *after = rest
    if not isinstance(pool, layers.MaxPool2d) or not side_by_side(pool.window, shape):
        return None
    if not after:
        return CompiledBatchNormPool(norm, pool)
    relu = activation_of(after[0]) if len(after) == 1 and isinstance(after[0], layers.ReLU) else None
    return CompiledBatchNormPool(norm, pool, after[0], relu) if relu else None


def _alone(layer: Layer, inputs: Sequence[Shape], output: Shape) -> Leaf | None:
    """The leaf of a single layer that no other is joined with."""
    if isinstance(layer, Wiring):
        return wiring.leaf_for(layer, inputs) or matmul.leaf_for(layer, inputs) or recurrent.leaf_for(layer)
    shape = inputs[0]
    return (
        activation.leaf_for(layer)
        or pooling.leaf_for(layer, shape, output)
        or normalization.leaf_for(layer, shape)
        or softmax.leaf_for(layer, shape)
        or dropout.leaf_for(layer)
        or prelu.leaf_for(layer, shape)
        or local_response.leaf_for(layer, shape)
        or resampling.leaf_for(layer, shape, output)
    )
