"""Batch normalisation: the one layer that must see the whole batch before it can do its part of it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .. import arguments, initializers
from ..errors import ShapeError
from ..ops.channels import repeats
from ..ops.layout import Array, channels_last
from ..ops.normalization import (
    SUMMED,
    batch_norm_backward,
    batch_norm_backward_sums,
    batch_norm_forward,
    batch_norm_moments,
    join_moments,
)
from ..tensor import Parameter, Shape, Tensor
from .base import PLACE, Block, Direction, Layer, Scratch

# Deviations from zero to the mean beyond which it is subtracted in a pass of its own: nearer, that would win nothing.
FAR = 4.0


class Statistics(NamedTuple):
    """What batch norm does to a batch: y = (x − centre) · scale + shift.

    Attributes:
        mean: μ of each channel, float64.
        inverse: 1/√(σ² + ε), float64.
        distance: From the mean in the model's type to μ.
        centre: The mean in the model's type, along a row; see `BatchNorm._along`.
        centred: Whether it is subtracted first; else it is part of the shift.
        scale: Along a row.
        shift: Along a row.
    """

    mean: Array
    inverse: Array
    distance: Array
    centre: Array
    centred: bool
    scale: Array
    shift: Array


class Gradients(NamedTuple):
    """What the backward pass does: grad_x = grad_y · of_grad + x · of_x + constant, each along a row."""

    statistics: Statistics
    of_grad: Array
    of_x: Array
    constant: Array


class BatchNorm(Layer):
    """What BatchNorm1d and BatchNorm2d share; each says how its input becomes (positions, c)."""

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

    def check(self, shape: Shape, training: bool) -> None:
        if training and math.prod(shape) == self.num_features:
            name = type(self).__name__
            raise ShapeError(f"{name}: training needs more than one value a channel, got an input of shape {shape}.")

    def sums(self, training: bool) -> Shape | None:
        # Forward: count, mean and Σ(x − mean)². Backward: the first two rows, of Σ grad_y and Σ grad_y · (x − m).
        return (3, self.num_features) if training or not self.track_running_stats else None

    def total(self, lanes: Array, direction: Direction) -> Array:
        if direction == "backward":
            return super().total(lanes, direction)
        moments = np.zeros(lanes.shape[1:])
        for count, mean, squares in lanes:
            join_moments(moments, count, mean, squares)
        return moments

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        row = (self.num_features, 1) if len(shape) == 3 else (repeats(shape, self.num_features), self.num_features)
        return {
            "products": Scratch((math.prod(shape),)),
            "ones": Scratch((1, SUMMED)),
            "row": Scratch(row),
        }

    def _rows(self, *arrays: Array) -> tuple[Array, ...]:
        """A block's arrays with channels last, as (positions / r, r · c); a sequence batch (n, c, l) as it is.

        r positions make up the row that the vectors are repeated to; see `_along`.
        """
        if arrays[0].ndim == 3:
            return arrays
        row = repeats(arrays[0].shape, self.num_features) * self.num_features
        return tuple((channels_last(array) if array.ndim == 4 else array).reshape(-1, row) for array in arrays)

    def _along(self, shape: Shape, vector: Array) -> Array:
        """A vector of one number a channel so that it broadcasts against `_rows`, in the model's type."""
        vector = vector.astype(self.dtype)
        return vector[:, None] if len(shape) == 3 else np.tile(vector, repeats(shape, self.num_features))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type the model computes in; float64, which is cast to any, where no array of the layer's tells it."""
        if self.track_running_stats:
            return self.running_mean.dtype
        return np.dtype(np.float64) if self.weight is None else self.weight.dtype

    def sum_forward(self, x: Tensor, block: Block) -> None:
        ones, row = block.scratch["ones"], block.scratch["row"]
        ones.fill(1)
        values, products, rows = block.once("sums", lambda: (*self._positions(x.value, block), *self._rows(x.value)))
        batch_norm_moments(values, rows, ones, row, products, block.sums)

    def _positions(self, values: Array, block: Block) -> tuple[Array, Array]:
        """The values as (positions, c), or (n, c, l) as they are, and scratch of that shape."""
        if values.ndim == 4:
            values = channels_last(values)
        if values.ndim != 3:
            values = values.reshape(-1, self.num_features)
        return values, block.scratch["products"].reshape(values.shape)

    def begin_forward(self, before: Any, shape: Shape, training: bool, sums: Array | None) -> Statistics:
        mean, variance = self._running()
        if sums is not None:
            positions = math.prod(shape) // self.num_features
            mean, variance = sums[1], np.maximum(sums[2] / positions, 0.0)
            if training:
                self._track(mean, variance, positions)
        inverse, scale, shift = self._affine(mean, variance)
        centre = mean.astype(self.dtype)
        centred = bool(np.any(np.abs(mean) * inverse > FAR))
        if centred:
            shift += centre * scale
        along = (self._along(shape, vector) for vector in (centre, scale, shift))
        return Statistics(mean, inverse, mean - centre, next(along), centred, *along)

    def _running(self) -> tuple[Array, Array]:
        if not self.track_running_stats:
            return np.zeros(()), np.ones(())
        return self.running_mean.astype(np.float64), self.running_var.astype(np.float64)

    def _affine(self, mean: Array, variance: Array) -> tuple[Array, Array, Array]:
        """1/√(σ² + ε), and what x is multiplied by and then moved by, in float64."""
        inverse = 1.0 / np.sqrt(variance + self.eps)
        scale = inverse if self.weight is None else inverse * self.weight.array
        return inverse, scale, (0.0 if self.bias is None else self.bias.array) - mean * scale

    def running_affine(self) -> tuple[Array, Array]:
        """Scale and shift of each channel outside training, float64."""
        return self._affine(*self._running())[1:]

    def _track(self, mean: Array, variance: Array, positions: int) -> None:
        """Move the running statistics towards this batch's, as PyTorch does: the variance is the unbiased one."""
        if self.track_running_stats:
            self.num_batches_tracked += 1
            # momentum=None asks for the plain average over all batches so far.
            weight = 1.0 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean += weight * (mean - self.running_mean)
            self.running_var += weight * (variance * (positions / (positions - 1)) - self.running_var)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        values, outputs = block.once("forward", lambda: self._rows(x.value, y.value))
        statistics: Statistics = block.state
        centre = statistics.centre if statistics.centred else None
        batch_norm_forward(values, centre, statistics.scale, statistics.shift, outputs)

    def sum_backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        self._sum_backward(x, y, block, block.state, block.sums)

    def _sum_backward(self, x: Tensor, y: Tensor, block: Block, statistics: Statistics, sums: Array) -> None:
        """Add Σ grad_y and Σ grad_y · (x − centre) to `sums`."""
        ones = block.scratch["ones"]
        ones.fill(1)
        grad_y, products, rows = block.once("sums", lambda: (*self._positions(y.grad, block), *self._rows(x.value)))
        batch_norm_backward_sums(grad_y, rows, ones, statistics.centre, products, sums)

    def _of_parameters(self, statistics: Statistics, sums: Array) -> tuple[Array, Array]:
        """The gradients at γ and β from these sums, which are about the rounded mean."""
        return (sums[1] - statistics.distance * sums[0]) * statistics.inverse, sums[0]

    def begin_backward(
        self, state: Statistics, shape: Shape, sums: Array | None
    ) -> Any:  # Gradients; at rest Statistics
        if sums is None:  # outside training
            return state
        positions = math.prod(shape) // self.num_features
        of_grad = inverse = state.inverse
        of_weight, of_bias = self._of_parameters(state, sums)
        if self.bias is not None:
            self.bias.add_grad(of_bias)
        if self.weight is not None:
            self.weight.add_grad(of_weight)
            of_grad = of_grad * self.weight.array
        of_x = -of_grad * inverse * of_weight / positions
        from_centre = state.distance if state.centred else state.mean
        constant = -of_grad * of_bias / positions - of_x * from_centre
        return Gradients(state, *(self._along(shape, vector) for vector in (of_grad, of_x, constant)))

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        if self.sums(block.training) is None:
            self._backward_at_rest(x, y, block)
        elif x.has_grad:
            statistics, of_grad, of_x, constant = block.state
            values, grad_y, grad_x = block.once("backward", lambda: self._rows(x.value, y.grad, x.grad))
            products = block.scratch["products"].reshape(values.shape)
            centre = statistics.centre if statistics.centred else None
            batch_norm_backward(grad_y, values, centre, of_grad, of_x, constant, products, grad_x)

    def _backward_at_rest(self, x: Tensor, y: Tensor, block: Block) -> None:
        """Outside training μ and σ² are constants, and y = x · scale + shift."""
        statistics: Statistics = block.state
        sums = np.zeros((2, self.num_features))
        self._sum_backward(x, y, block, statistics, sums)
        for parameter, gradient in zip((self.weight, self.bias), self._of_parameters(statistics, sums), strict=True):
            if parameter is not None:
                block.add_grad(parameter, gradient)
        if x.has_grad:
            grad_y, grad_x = self._rows(y.grad, x.grad)
            np.multiply(grad_y, statistics.scale, out=grad_x)

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

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if len(shape) != 3 or shape[0] != self.num_features:
            raise ShapeError(f"BatchNorm2d: expected {self.num_features} channels, got an input of shape {shape}.")
        return shape


class BatchNorm1d(BatchNorm):
    """As :class:`BatchNorm2d`, for features (n, num_features) or sequences (n, num_features, l)."""

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if len(shape) not in (1, 2) or shape[0] != self.num_features:
            raise ShapeError(f"BatchNorm1d: expected {self.num_features} features, got an input of shape {shape}.")
        return shape
