"""Norms, batch norm in training with what follows it in the same pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np

from ..compiled import batch_norm as compiled
from ..compiled.activation import NONE, Activation
from ..compiled.layer_norm import group_norm_backward, group_norm_forward, layer_norm_backward, layer_norm_forward
from ..compiled.statistics import batch_norm_gradients, batch_norm_statistics
from ..layers.base import Block, Bound, Direction, Layer, Scratch
from ..layers.normalization import BatchNorm
from ..layers.pooling import MaxPool2d
from ..layers.standardization import GroupNorm, InstanceNorm2d, LayerNorm, LayerNorm2d
from ..layers.wiring import Wiring
from ..ops.layout import Array
from ..ops.normalization import forward_vectors
from ..tensor import Shape, Tensor
from .base import Leaf, plain, positions, rows


def leaf_for(layer: Layer, shape: Shape) -> Leaf | None:
    """The leaf of a layer that normalizes each image by itself; None for any other."""
    if isinstance(layer, LayerNorm):
        return CompiledLayerNorm(layer, shape)
    if isinstance(layer, InstanceNorm2d) and layer.track_running_stats:
        return None
    if isinstance(layer, GroupNorm | InstanceNorm2d) and len(shape) in (1, 3):
        return CompiledGroupNorm(layer, shape[0])
    return None


class Vectors:
    """What a batch norm's passes read, and make, one number a channel each.

    Attributes:
        statistics: (2, c) in float64: μ and σ².
        forward: (3, c): centre, scale and shift: y = (x − centre) · scale + shift.
        backward: (3, c): what the gradients, x − centre and 1 are multiplied by.
        gradients: (2, c) in float64: of γ and of β.
    """

    def __init__(self, channels: int) -> None:
        self.statistics, self.gradients = np.empty((2, 2, channels))
        self.forward, self.backward = np.empty((2, 3, channels), np.float32)


NOTHING = np.empty(0, np.float32)


class CompiledBatchNorm(Leaf):
    """Batch norm and an activation in one pass; in the backward pass the activation's input is computed once more."""

    cheap = True
    reads: ClassVar[set[str]] = {"input"}

    def __init__(self, norm: BatchNorm, layer: Layer | None = None, activation: Activation = NONE) -> None:
        self.norm, self.activation = norm, activation
        self.stands_for = (norm,) if layer is None else (norm, layer)

    def check(self, shape: Shape, training: bool) -> None:
        self.norm.check(shape, training)

    def sums(self, training: bool) -> Shape | None:
        return self.norm.sums(training)

    def total(self, lanes: Array, direction: Direction) -> Array:
        return lanes

    def bind_sum_forward(self, x: Tensor, block: Block) -> Iterator[Bound]:
        yield compiled.batch_norm_moments, (rows(x.value), block.sums)

    def begin_forward(self, before: Vectors | None, shape: Shape, training: bool, sums: Array | None) -> Vectors:
        norm, made = self.norm, before or Vectors(self.norm.num_features)
        if sums is None:
            made.forward[...] = forward_vectors(norm.running(), *norm.arrays(), norm.eps, np.float32)
            return made
        running, share = (NOTHING, NOTHING), 0.0
        if training and norm.track_running_stats:
            running, share = (norm.running_mean, norm.running_var), norm.next_share()
        size, arrays = math.prod(shape) // norm.num_features, self._arrays()
        batch_norm_statistics(sums, size, *arrays, norm.eps, running, share, made.statistics, made.forward)
        return made

    def _arrays(self) -> tuple[Array, Array]:
        """γ and β, or nothing."""
        weight, bias = self.norm.arrays()
        return NOTHING if weight is None else weight, NOTHING if bias is None else bias

    def bind_forward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        return self._forward(x, None, y, block)

    def _forward(self, x: Tensor, other: Tensor | None, y: Tensor, block: Block) -> Iterator[Bound]:
        values, (kind, a, b) = rows(x.value), self.activation
        added = values if other is None else rows(other.value)
        forward = compiled.batch_norm_forward(kind, other is not None)
        yield forward, (values, added, *block.state.forward, rows(y.value), a, b)

    def bind_sum_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        return self._sum_backward(x, None, y, block)

    def _sum_backward(self, x: Tensor, other: Tensor | None, y: Tensor, block: Block) -> Iterator[Bound]:
        values, (kind, a, b) = rows(x.value), self.activation
        added = values if other is None else rows(other.value)
        sums_of = compiled.batch_norm_backward_sums(kind, other is not None)
        yield sums_of, (rows(y.grad), values, added, *block.state.forward, block.sums, a, b)

    def begin_backward(self, state: Vectors, shape: Shape, sums: Array | None) -> Vectors:
        norm, size = self.norm, math.prod(shape) // self.norm.num_features
        weight, made = self._arrays()[0], (state.gradients, state.backward)
        batch_norm_gradients(sums, size, weight, norm.eps, state.statistics, state.forward[0], *made)
        for parameter, gradient in zip((norm.weight, norm.bias), state.gradients, strict=True):
            if parameter is not None:
                parameter.add_grad(gradient)
        return state

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        if x.has_grad:
            values, (kind, a, b) = rows(x.value), self.activation
            backward, grad_x = compiled.batch_norm_backward(kind, False), rows(x.grad)
            vectors = *block.state.forward, *block.state.backward
            yield backward, (rows(y.grad), values, values, *vectors, grad_x, grad_x, a, b)


class CompiledNormalizedSum(CompiledBatchNorm, Wiring):
    """y = f(batch norm of x₁ + x₂), in one pass, f being the identity or an activation: the end of a residual block."""

    def __init__(
        self, norm: BatchNorm, addition: Layer, layer: Layer | None = None, activation: Activation = NONE
    ) -> None:
        super().__init__(norm, layer, activation)
        self.stands_for = (norm, addition) if layer is None else (norm, addition, layer)

    def bind_sum_forward(self, x: Any, block: Block) -> Iterator[Bound]:
        return super().bind_sum_forward(x[0], block)

    def bind_forward(self, x: Any, y: Tensor, block: Block) -> Iterator[Bound]:
        return self._forward(x[0], x[1], y, block)

    def bind_sum_backward(self, x: Any, y: Tensor, block: Block) -> Iterator[Bound]:
        return self._sum_backward(x[0], x[1], y, block)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"nobody's": Scratch(shape)} if direction == "backward" else {}

    def bind_backward(self, x: Any, y: Tensor, block: Block) -> Iterator[Bound]:
        (values, added), (kind, a, b) = (rows(tensor.value) for tensor in x), self.activation
        nobody = block.scratch["nobody's"].reshape(values.shape)
        gradients = [rows(tensor.grad) if tensor.has_grad else nobody for tensor in x]
        backward = compiled.batch_norm_backward(kind, True)
        vectors = *block.state.forward, *block.state.backward
        yield backward, (rows(y.grad), values, added, *vectors, *gradients, a, b)


class CompiledBatchNormPool(CompiledBatchNorm):
    """Batch norm in training, a max pool whose windows lie side by side, and a ReLU or nothing, in one pass."""

    cheap = False  # where the maxima were is saved

    def __init__(
        self, norm: BatchNorm, pool: MaxPool2d, layer: Layer | None = None, activation: Activation = NONE
    ) -> None:
        super().__init__(norm, layer, activation)
        self.stands_for = (norm, pool) if layer is None else (norm, pool, layer)
        self.size = pool.window.kernel[0]

    def saved(self, shape: Shape) -> dict[str, Scratch]:
        images, channels, height, width = shape
        return {"winners": Scratch((images, height // self.size, width // self.size, channels), np.uint8)}

    def bind_forward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        kind, a, b = self.activation
        forward = compiled.batch_norm_pool_forward(kind, self.size)
        yield forward, (plain(x.value), *block.state.forward, plain(y.value), block.saved["winners"], a, b)

    def bind_sum_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        centre = block.state.forward[0]
        backward = compiled.batch_norm_pool_backward_sums(self.size)
        yield backward, (plain(y.grad), plain(x.value), block.saved["winners"], centre, block.sums)

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        if x.has_grad:
            backward = compiled.batch_norm_pool_backward(self.size)
            vectors = block.state.forward[0], *block.state.backward
            yield backward, (plain(y.grad), plain(x.value), block.saved["winners"], *vectors, plain(x.grad))


class Standardizing(Leaf):
    """What layer and group norm share: γ and β, ones and zeros where there are none, and the passes.

    Attributes:
        norm: The layer.
        size: How many numbers γ and β have.
        run, run_back: The compiled functions.
        arguments: Of theirs, what stands between the arrays and γ.
    """

    cheap = True
    in_place = True
    reads: ClassVar[set[str]] = {"input"}
    norm: Any
    size: int
    run: Callable[..., None]
    run_back: Callable[..., None]
    arguments: tuple[Any, ...]

    def seen(self, x: Array) -> Array:
        """A block's array as the functions take it."""
        raise NotImplementedError

    def begin_forward(self, before: Array | None, shape: Shape, training: bool, sums: Array | None) -> Array:
        """γ and β, (2, size), as they lie in memory."""
        if before is None:
            before = np.stack([np.ones(self.size, np.float32), np.zeros(self.size, np.float32)])
        for vector, parameter in zip(before, (self.norm.weight, self.norm.bias), strict=True):
            if parameter is not None:
                parameter.lay(vector)[...] = parameter.array
        return before

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        names = ("grad_weight", "grad_bias", "grad") if direction == "backward" else ()
        return {name: Scratch(shape if name == "grad" else (self.size,)) for name in names}

    def bind_forward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        yield self.run, (self.seen(x.value), *self.arguments, *block.state, self.seen(y.value))

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        (weight, _), grad = block.state, self.seen(y.grad)
        grad_x = self.seen(x.grad) if x.has_grad else block.scratch["grad"].reshape(grad.shape)
        gradients = block.scratch["grad_weight"], block.scratch["grad_bias"]
        for gradient in gradients:
            yield gradient.fill, (0,)
        yield self.run_back, (self.seen(x.value), grad, *self.arguments, weight, grad_x, *gradients)
        for parameter, gradient in zip((self.norm.weight, self.norm.bias), gradients, strict=True):
            if parameter is not None and parameter.trainable:
                yield block.add_grad, (parameter, parameter.lay(gradient))


class CompiledLayerNorm(Standardizing):
    """Layer norm over the last axes, over whole images, or over the channels of each pixel."""

    def __init__(self, norm: LayerNorm, shape: Shape) -> None:
        self.norm, self.stands_for = norm, (norm,)
        covers = (shape[0],) if isinstance(norm, LayerNorm2d) else norm.normalized_shape
        self.size = math.prod(covers)
        self.run, self.run_back = layer_norm_forward, layer_norm_backward
        self.arguments = (np.float32(norm.eps),)

    def seen(self, x: Array) -> Array:
        return plain(x).reshape(-1, self.size)


class CompiledGroupNorm(Standardizing):
    """Group norm, and instance norm by the statistics of each image."""

    def __init__(self, norm: GroupNorm | InstanceNorm2d, channels: int) -> None:
        self.norm, self.stands_for, self.size = norm, (norm,), channels
        groups = norm.num_groups if isinstance(norm, GroupNorm) else channels
        self.run, self.run_back = group_norm_forward, group_norm_backward
        self.arguments = groups, np.float32(norm.eps)

    def seen(self, x: Array) -> Array:
        return positions(x)
