"""Normalisations that see one image at a time: LayerNorm, GroupNorm, InstanceNorm2d."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import initializers
from ..errors import ArgumentError, ShapeError
from ..ops.layout import Array, channels_last
from ..ops.standardization import (
    Means,
    group_means,
    row_means,
    standardize,
    standardize_backward,
    standardize_forward,
)
from ..tensor import Parameter, Shape, Tensor
from .base import Block, Direction, Layer, Scratch, State


class Standardization(Layer):
    """What these share: y = γ · (x − μ) / √(σ² + ε) + β.

    A subclass says in `view` how an array is seen, in `means` how μ and σ² are taken of that, and in `vector` how γ
    and β are seen beside it.
    """

    in_place = True
    cheap = True
    rectifies = None
    eps: float
    weight: Parameter | None
    bias: Parameter | None

    def view(self, array: Array) -> Array:
        """The array for `standardize`; a view."""
        raise NotImplementedError

    def together(self, shape: Shape) -> int:
        """How many numbers, or positions, a mean is taken of, for an input of `shape`."""
        raise NotImplementedError

    def means(self, view: Array, ones: Array) -> Array:
        """The means of such a view, as they broadcast to it; `ones` holds as many as `together` says."""
        raise NotImplementedError

    def vector(self, array: Array, view: Array) -> Array:
        """γ, β, or the gradient of one, so that it broadcasts to such a view; a view."""
        raise NotImplementedError

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        size = math.prod(shape)
        spaces = {"ones": Scratch((self.together(shape),)), "products": Scratch((size,))}
        return spaces | ({"standard": Scratch((size,))} if direction == "backward" else {})

    def _means(self, block: Block) -> Means:
        ones = block.scratch["ones"]
        ones.fill(1)
        return lambda view: self.means(view, ones)

    def _seen(self, parameter: Parameter | None, view: Array) -> Array | None:
        return None if parameter is None else self.vector(parameter.array, view)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        values = self.view(x.value)
        products = block.scratch["products"].reshape(values.shape)
        weight, bias = self._seen(self.weight, values), self._seen(self.bias, values)
        standardize_forward(values, self._means(block), self.eps, weight, bias, self.view(y.value), products)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        values, grad_y, means = self.view(x.value), self.view(y.grad), self._means(block)
        standard, products = (block.scratch[name].reshape(values.shape) for name in ("standard", "products"))
        inverse = standardize(values, means, self.eps, standard, products)
        if self.weight is not None:
            np.multiply(grad_y, standard, out=products)
            self._add_sum(self.weight, products, block)
        if self.bias is not None:
            self._add_sum(self.bias, grad_y, block)
        if x.has_grad:
            weight = self._seen(self.weight, values)
            standardize_backward(standard, inverse, grad_y, means, weight, self.view(x.grad), products)

    def _add_sum(self, parameter: Parameter, terms: Array, block: Block) -> None:
        """Add the sum of `terms` over the axes along which the parameter is repeated."""
        gradient = self.vector(block.grad(parameter), terms)
        if terms.ndim == 3:  # images: a product with ones adds up columns faster than `sum`
            gradient += np.matmul(block.scratch["ones"], terms).sum(axis=0)
        else:
            repeated = tuple(axis for axis, size in enumerate(gradient.shape) if size == 1)
            gradient += terms.sum(axis=repeated, keepdims=True)

    def multiplications(self, shape: Shape) -> int:
        return math.prod(shape)


class LayerNorm(Standardization):
    """y = γ · (x − μ) / √(σ² + ε) + β, with μ and σ² of all that `normalized_shape` covers: the last axes.

    Shapes: x and y (n, ..., *normalized_shape); an image batch (n, c, h, w) is normalised whole, over (c, h, w).

    Args:
        normalized_shape: The sizes of the last axes, or the size of the last.
        eps: ε, added to the variance.
        elementwise_affine: Whether to learn γ and β.
        bias: Whether to learn β, if γ is learned.

    Attributes:
        weight: γ, of `normalized_shape`, or None.
        bias: β, likewise.

    Raises:
        ArgumentError: A size below one, or a negative ε.
        ShapeError: An input that does not end in `normalized_shape`, or an image batch not covered whole.

    Ba et al. 2016, Layer normalization, arXiv:1607.06450.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        sizes = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        if not sizes or min(sizes) < 1:
            raise ArgumentError(f"LayerNorm: normalized_shape must hold positive sizes, got {normalized_shape!r}.")
        _check_eps("LayerNorm", eps)
        self.normalized_shape, self.eps, self.elementwise_affine = sizes, eps, elementwise_affine
        # Of images γ and β lie as the images do, channels last.
        order = (1, 2, 0) if len(sizes) == 3 else None
        learned = elementwise_affine
        self.weight = Parameter(sizes, initializers.ones, memory_axes=order) if learned else None
        self.bias = Parameter(sizes, initializers.zeros, memory_axes=order) if learned and bias else None

    def config(self) -> dict[str, Any]:
        names = ("normalized_shape", "eps", "elementwise_affine")
        # Without γ there is no β to tell by, and `bias` does not matter.
        return {name: getattr(self, name) for name in names} | {"bias": not self.weight or self.bias is not None}

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if shape[-len(self.normalized_shape) :] != self.normalized_shape:
            raise ShapeError(
                f"LayerNorm: expected an input that ends in {self.normalized_shape}, got an input of shape {shape}."
            )
        if 3 in (len(shape), len(self.normalized_shape)) and shape != self.normalized_shape:
            raise ShapeError(
                f"LayerNorm: images are normalised whole, all of (c, h, w): got normalized_shape "
                f"{self.normalized_shape} and an input of shape {shape}."
            )
        return shape

    def view(self, array: Array) -> Array:
        rows = channels_last(array) if array.ndim == 4 else array
        return rows.reshape(-1, math.prod(self.normalized_shape))

    def together(self, shape: Shape) -> int:
        return math.prod(self.normalized_shape)

    def means(self, view: Array, ones: Array) -> Array:
        return row_means(view, ones)

    def vector(self, array: Array, view: Array) -> Array:
        return (array.transpose(1, 2, 0) if array.ndim == 3 else array).reshape(1, -1)


class GroupNorm(Standardization):
    """y = γ · (x − μ) / √(σ² + ε) + β, with μ and σ² of each group of channels of each image.

    Shapes: x and y (n, num_channels, ...).

    Args:
        num_groups: How many groups the channels are cut into.
        num_channels: Channels.
        eps: ε, added to the variance.
        affine: Whether to learn γ and β.

    Attributes:
        weight: γ of each channel, (num_channels,), or None.
        bias: β, likewise.

    Raises:
        ArgumentError: A number below one, channels that the groups do not divide, or a negative ε.
        ShapeError: An input of other channels.

    Wu and He 2018, Group normalization, arXiv:1803.08494.
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        if num_groups < 1 or num_channels < 1:
            raise ArgumentError(
                f"GroupNorm: num_groups and num_channels must be positive, got {num_groups} and {num_channels}."
            )
        if num_channels % num_groups:
            raise ArgumentError(
                f"GroupNorm: num_channels must be divisible by num_groups = {num_groups}, got {num_channels}."
            )
        _check_eps("GroupNorm", eps)
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.weight = Parameter((num_channels,), initializers.ones) if affine else None
        self.bias = Parameter((num_channels,), initializers.zeros) if affine else None

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        _check_channels("GroupNorm", self.num_channels, shape)
        return shape

    # Images are seen as (n, h · w, c), all else as (n, g, c/g, positions).

    def view(self, array: Array) -> Array:
        if array.ndim == 4:
            return channels_last(array).reshape(len(array), -1, self.num_channels)
        return array.reshape(len(array), self.num_groups, self.num_channels // self.num_groups, -1)

    def together(self, shape: Shape) -> int:
        return math.prod(shape[2:]) if len(shape) == 4 else math.prod(shape[1:]) // self.num_groups

    def means(self, view: Array, ones: Array) -> Array:
        if view.ndim == 3:
            return group_means(view, ones, self.num_groups)
        return row_means(view.reshape(-1, ones.size), ones).reshape(*view.shape[:2], 1, 1)

    def vector(self, array: Array, view: Array) -> Array:
        return array if view.ndim == 3 else array.reshape(1, *view.shape[1:3], 1)


class InstanceNorm2d(Standardization):
    """y = γ · (x − μ) / √(σ² + ε) + β, with μ and σ² of each channel of each image over its rows and columns.

    With `track_running_stats` the running statistics stand for μ and σ² outside training; after each training batch
    running ← (1 − momentum) · running + momentum · the images' mean, of unbiased variances.

    Shapes: x and y (n, num_features, h, w).

    Args:
        num_features: Channels.
        eps: ε, added to the variance.
        momentum: Weight of the new batch in the running statistics; None for zero, as in PyTorch.
        affine: Whether to learn γ and β.
        track_running_stats: Whether to keep running statistics.

    Attributes:
        weight: γ, (num_features,), or None.
        bias: β, likewise.

    Raises:
        ArgumentError: An argument out of its range.
        ShapeError: An input of other channels, or of a single pixel.

    Ulyanov et al. 2016, Instance normalization, arXiv:1607.08022.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
    ) -> None:
        if num_features < 1:
            raise ArgumentError(f"InstanceNorm2d: num_features must be positive, got {num_features}.")
        _check_eps("InstanceNorm2d", eps)
        if momentum is not None and not 0 <= momentum <= 1:
            raise ArgumentError(f"InstanceNorm2d: momentum must lie between 0 and 1, got {momentum}.")
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter((num_features,), initializers.ones) if affine else None
        self.bias = Parameter((num_features,), initializers.zeros) if affine else None
        if track_running_stats:
            self.running_mean: Array = np.broadcast_to(np.float32(0), (num_features,))  # (c,)
            self.running_var: Array = np.broadcast_to(np.float32(1), (num_features,))  # (c,), unbiased
            self.num_batches_tracked: Array = np.zeros((), np.int64)  # PyTorch saves it, and never counts
            self.buffers = ("running_mean", "running_var", "num_batches_tracked")

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if len(shape) != 3:
            raise ShapeError(f"InstanceNorm2d: expected images (c, h, w), got an input of shape {shape}.")
        _check_channels("InstanceNorm2d", self.num_features, shape)
        if shape[1] * shape[2] == 1:
            raise ShapeError(f"InstanceNorm2d: expected more than one pixel a channel, got an input of shape {shape}.")
        return shape

    def view(self, array: Array) -> Array:
        return channels_last(array).reshape(len(array), -1, self.num_features)

    def together(self, shape: Shape) -> int:
        return shape[2] * shape[3]

    def means(self, view: Array, ones: Array) -> Array:
        return group_means(view, ones, self.num_features)

    def vector(self, array: Array, view: Array) -> Array:
        return array

    def sums(self, training: bool) -> Shape | None:
        # Forward: the images' means and variances. Backward: the gradients at γ and β, which a layer with sums adds up
        # here, as it has none in its lanes.
        return (2, self.num_features) if training and self.track_running_stats else None

    def sum_forward(self, x: Tensor, block: Block) -> None:
        values, means = self.view(x.value), self._means(block)
        deviations = block.scratch["products"].reshape(values.shape)
        mean = means(values)
        np.subtract(values, mean, out=deviations)
        np.multiply(deviations, deviations, out=deviations)
        count = values.shape[1]
        block.sums[0] += mean.sum(axis=(0, 1))
        block.sums[1] += means(deviations).sum(axis=(0, 1)) * (count / (count - 1))

    def begin_forward(self, state: State, shape: Shape, training: bool, sums: Array | None) -> None:
        if sums is not None and self.momentum:
            for running, total in ((self.running_mean, sums[0]), (self.running_var, sums[1])):
                running += self.momentum * (total / shape[0] - running)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        if block.training or not self.track_running_stats:
            super().forward(x, y, block)
            return
        values, outputs = self.view(x.value), self.view(y.value)
        inverse = 1 / np.sqrt(self.running_var + self.eps)
        scale = inverse if self.weight is None else inverse * self.weight.array
        np.subtract(values, self.running_mean, out=outputs)
        np.multiply(outputs, scale, out=outputs)
        if self.bias is not None:
            np.add(outputs, self.bias.array, out=outputs)

    def sum_backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        values, grad_y, means = self.view(x.value), self.view(y.grad), self._means(block)
        standard, products = (block.scratch[name].reshape(values.shape) for name in ("standard", "products"))
        standardize(values, means, self.eps, standard, products)
        np.multiply(grad_y, standard, out=products)
        for total, terms in zip(block.sums, (products, grad_y), strict=True):
            total += np.matmul(block.scratch["ones"], terms).sum(axis=0)

    def begin_backward(self, state: State, shape: Shape, sums: Array | None) -> None:
        if sums is not None and self.weight is not None and self.bias is not None:
            self.weight.add_grad(sums[0])
            self.bias.add_grad(sums[1])

    def _add_sum(self, parameter: Parameter, terms: Array, block: Block) -> None:
        if not self.track_running_stats:
            super()._add_sum(parameter, terms, block)


def _check_eps(layer: str, eps: float) -> None:
    if not eps >= 0:
        raise ArgumentError(f"{layer}: eps must be zero or more, got {eps}.")


def _check_channels(layer: str, channels: int, shape: Shape) -> None:
    if shape[0] != channels:
        raise ShapeError(f"{layer}: expected {channels} channels, got an input of shape {shape}.")
