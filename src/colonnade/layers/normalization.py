"""Batch normalisation: the one layer that must see the whole batch before it can do its part of it."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import arguments, initializers
from ..errors import ShapeError
from ..ops.layout import Array, laid_like
from ..ops.normalization import (
    Statistics,
    batch_moments,
    batch_norm_backward,
    batch_norm_backward_constant,
    batch_norm_backward_parameters,
    batch_norm_backward_sums,
    batch_norm_forward,
    forward_vectors,
    join_moments,
)
from ..tensor import Parameter, Shape, Tensor
from .base import PLACE, Block, Direction, Layer, Scratch


class Gradients(NamedTuple):
    """What the backward pass reads.

    Attributes:
        statistics: Of the batch; outside training, the running ones.
        sums: Over the batch, from `batch_norm_backward_sums`.
    """

    statistics: Statistics
    sums: Array


class BatchNorm(Layer):
    """What BatchNorm1d, BatchNorm2d and BatchNorm3d share.

    Attributes:
        axes: How many axes of positions an input may have.
        counted: What its numbers are counted in.
    """

    axes: ClassVar[tuple[int, ...]]
    counted: ClassVar[str] = "channels"
    in_place = True
    cheap = True
    rectifies = None
    buffers: tuple[str, ...] = ("running_mean", "running_var", "num_batches_tracked")
    ignored = PLACE

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: None = None,
        *,
        bias: bool = True,
    ) -> None:
        name = type(self).__name__
        arguments.placeless(name, device, dtype)
        self.num_features = num_features = arguments.whole(name, "num_features", num_features, 1)
        self.eps = arguments.number(name, "eps", eps, 0)
        self.momentum = None if momentum is None else arguments.number(name, "momentum", momentum, 0, 1)
        self.affine = arguments.flag(name, "affine", affine)
        self.track_running_stats = arguments.flag(name, "track_running_stats", track_running_stats)
        shifts = arguments.flag(name, "bias", bias)
        self.weight = Parameter((num_features,), initializers.ones) if self.affine else None
        self.bias = Parameter((num_features,), initializers.zeros) if self.affine and shifts else None
        if self.track_running_stats:
            # One number repeated takes no memory: a model makes real arrays of them, once it knows that they fit.
            self.running_mean: Array = np.broadcast_to(np.float32(0), (num_features,))  # (c,)
            self.running_var: Array = np.broadcast_to(np.float32(1), (num_features,))  # (c,), unbiased
            self.num_batches_tracked: Array = np.zeros((), np.int64)
        else:
            self.buffers = ()

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if len(shape) - 1 not in self.axes or shape[0] != self.num_features:
            raise ShapeError(
                f"{type(self).__name__}: expected {self.num_features} {self.counted}, got an input of shape {shape}."
            )
        return shape

    def check(self, shape: Shape, training: bool) -> None:
        if training and math.prod(shape) == self.num_features:
            name = type(self).__name__
            raise ShapeError(f"{name}: training needs more than one value a channel, got an input of shape {shape}.")

    def sums(self, training: bool) -> Shape | None:
        # Forward: those of `join_moments`. Backward: the first two rows, of Σ grad_y and Σ grad_y · (x − m).
        return (4, self.num_features) if training or not self.track_running_stats else None

    def total(self, lanes: Array, direction: Direction) -> Array:
        if direction == "backward":
            return super().total(lanes, direction)
        count, near, missed, squares = lanes.transpose(1, 0, 2)
        together, distance = count.sum(axis=0), near - near[0] + missed
        moved = (count * distance).sum(axis=0) / together
        return np.stack([together, near[0], moved, (squares + count * (distance - moved) ** 2).sum(axis=0)])

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"products": Scratch((math.prod(shape),))}

    def arrays(self) -> tuple[Array | None, Array | None]:
        """γ and β, or None."""
        return tuple(None if each is None else each.array for each in (self.weight, self.bias))  # type: ignore[return-value]

    def sum_forward(self, x: Tensor, block: Block) -> None:
        join_moments(block.sums, *batch_moments(x.value, laid_like(x.value, block.scratch["products"])))

    def begin_forward(self, before: Any, shape: Shape, training: bool, sums: Array | None) -> Statistics:
        if sums is None:
            return self.running()
        count = math.prod(shape) // self.num_features
        statistics = Statistics(sums[1] + sums[2], np.maximum(sums[3] / count, 0.0), count)
        if training:
            self._track(*statistics)
        return statistics

    def running(self) -> Statistics:
        """The running statistics; of a layer that keeps none, those of numbers that are standardized already."""
        if not self.track_running_stats:
            return Statistics(np.zeros(self.num_features), np.ones(self.num_features), 0)
        return Statistics(self.running_mean.astype(np.float64), self.running_var.astype(np.float64), 0)

    def running_affine(self) -> tuple[Array, Array]:
        """Scale and shift of each channel outside training, float64."""
        centre, scale, shift = forward_vectors(self.running(), *self.arrays(), self.eps, np.float64)
        return scale, shift - centre * scale

    def _track(self, mean: Array, variance: Array, positions: int) -> None:
        """Move the running statistics towards this batch's, as PyTorch does: the variance is the unbiased one."""
        if self.track_running_stats:
            weight = self.next_share()
            self.running_mean += weight * (mean - self.running_mean)
            self.running_var += weight * (variance * (positions / (positions - 1)) - self.running_var)

    def next_share(self) -> float:
        """The weight in the running statistics of a batch that is counted with this call."""
        self.num_batches_tracked += 1
        # momentum=None asks for the plain average over all batches so far.
        return 1.0 / int(self.num_batches_tracked) if self.momentum is None else self.momentum

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        batch_norm_forward(x.value, *self.arrays(), self.eps, block.state, y.value)

    def sum_backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        block.sums[:2] += self._sums(x, y, block, block.state)

    def _sums(self, x: Tensor, y: Tensor, block: Block, statistics: Statistics) -> Array:
        scratch = laid_like(x.value, block.scratch["products"])
        return batch_norm_backward_sums(x.value, y.grad, statistics.mean, scratch)

    def begin_backward(
        self, state: Statistics, shape: Shape, sums: Array | None
    ) -> Any:  # Gradients; at rest Statistics
        if sums is None:  # outside training
            return state
        gradients = batch_norm_backward_parameters(sums, state.variance, self.eps)
        for parameter, gradient in zip((self.weight, self.bias), gradients, strict=True):
            if parameter is not None:
                parameter.add_grad(gradient)
        return Gradients(state, sums)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        if self.sums(block.training) is None:
            self._backward_at_rest(x, y, block)
        elif x.has_grad:
            statistics, sums = block.state
            scratch = laid_like(x.value, block.scratch["products"])
            batch_norm_backward(x.value, y.grad, self.arrays()[0], self.eps, statistics, sums, x.grad, scratch)

    def _backward_at_rest(self, x: Tensor, y: Tensor, block: Block) -> None:
        """Outside training μ and σ² are constants."""
        statistics: Statistics = block.state
        sums = self._sums(x, y, block, statistics)
        gradients = batch_norm_backward_parameters(sums, statistics.variance, self.eps)
        for parameter, gradient in zip((self.weight, self.bias), gradients, strict=True):
            if parameter is not None:
                block.add_grad(parameter, gradient)
        if x.has_grad:
            batch_norm_backward_constant(y.grad, self.running_affine()[0], x.grad)

    def multiplications(self, shape: Shape) -> int:
        return math.prod(shape)


class BatchNorm2d(BatchNorm):
    """y = γ · (x − μ) / √(σ² + ε) + β, with μ and σ² of each channel over the batch, its rows and its columns.

    Outside training μ and σ² are the running statistics: after each training batch
    running ← (1 − momentum) · running + momentum · batch's, the variance there being the unbiased one.

    Shapes: x and y (n, num_features, h, w).

    Args:
        num_features: Channels.
        eps: ε, added to the variance.
        momentum: Weight of the new batch in the running statistics; None for the plain average over all batches.
        affine: Whether to learn γ (`weight`) and β (`bias`), each (num_features,).
        bias: False to learn γ alone.
        track_running_stats: Whether to keep running statistics; without, the batch's own serve outside training too.
        device: None or "cpu".
        dtype: None: a model has one type for all.

    Raises:
        ArgumentError: An argument out of its range.
        ShapeError: An input of other channels, or, in training, of a single value a channel.

    Derived in docs/math/batch_norm.md. Ioffe and Szegedy 2015, arXiv:1502.03167; conventions of
    torch.nn.BatchNorm2d.
    """

    axes = (2,)


class BatchNorm1d(BatchNorm):
    """As :class:`BatchNorm2d`, for features (n, num_features) or sequences (n, num_features, l)."""

    axes = (0, 1)
    counted = "features"


class BatchNorm3d(BatchNorm):
    """As :class:`BatchNorm2d`, for volumes (n, num_features, d, h, w)."""

    axes = (3,)
