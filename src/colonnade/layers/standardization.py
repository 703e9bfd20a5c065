"""Normalisations that see one image at a time: LayerNorm, LayerNorm2d, GroupNorm, InstanceNorm1d to 3d."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import arguments, initializers
from ..errors import ArgumentError, ShapeError
from ..ops.layout import Array, channels_last, laid_like
from ..ops.normalization import (
    Statistics,
    batch_norm_backward_constant,
    batch_norm_backward_parameters,
    batch_norm_backward_sums,
    batch_norm_forward,
    forward_vectors,
)
from ..ops.standardization import (
    Gradients,
    group_norm_backward,
    group_norm_forward,
    instance_norm_sums,
    layer_norm_backward,
    layer_norm_forward,
    norm_scratch,
)
from ..tensor import Parameter, Shape, Tensor
from .base import PLACE, Block, Direction, Layer, Scratch, expect_axes


class Standardization(Layer):
    """What these share: y = γ · (x − μ) / √(σ² + ε) + β."""

    in_place = True
    cheap = True
    rectifies = None
    ignored = PLACE
    eps: float
    weight: Parameter | None
    bias: Parameter | None

    def arrays(self) -> tuple[Array | None, Array | None]:
        """γ and β, or None."""
        return tuple(None if each is None else each.array for each in (self.weight, self.bias))  # type: ignore[return-value]

    def alone(self, shape: Shape) -> int:
        """How many numbers of an input of `shape` are normalised by themselves, or go through the passes together."""
        raise NotImplementedError

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        size = self.alone(shape)
        return {"numbers": Scratch((norm_scratch(math.prod(shape) // size, size),))}

    def _add_gradients(self, block: Block, of_weight: Array, of_bias: Array) -> None:
        for parameter, gradient in ((self.weight, of_weight), (self.bias, of_bias)):
            if parameter is not None:
                block.add_grad(parameter, gradient)

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
        device: None or "cpu".
        dtype: None: a model has one type for all.

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
        device: Any = None,
        dtype: None = None,
    ) -> None:
        name = type(self).__name__
        arguments.placeless(name, device, dtype)
        given = normalized_shape if arguments.is_sequence(normalized_shape) else (normalized_shape,)
        self.normalized_shape = sizes = arguments.wholes(name, "normalized_shape", given)
        if not sizes or min(sizes) < 1:
            raise ArgumentError(f"{name}: normalized_shape must hold positive sizes, got {normalized_shape!r}.")
        self.eps = arguments.number(name, "eps", eps, 0)
        self.elementwise_affine = arguments.flag(name, "elementwise_affine", elementwise_affine)
        shifts = self.elementwise_affine and arguments.flag(name, "bias", bias)
        # Of images γ and β lie as the images do, channels last.
        order = (1, 2, 0) if len(sizes) == 3 else None
        self.weight = Parameter(sizes, initializers.ones, memory_axes=order) if self.elementwise_affine else None
        self.bias = Parameter(sizes, initializers.zeros, memory_axes=order) if shifts else None

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

    def alone(self, shape: Shape) -> int:
        return math.prod(self.normalized_shape)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return super().scratch(shape, direction) if direction == "backward" else {}

    def seen(self, array: Array) -> Array:
        """The array as it is normalised over the last axes, a view."""
        return array

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        weight, bias = self.arrays()
        values, outputs = self.seen(x.value), self.seen(y.value)
        layer_norm_forward(values, weight, bias, self.eps, outputs, shape=self.normalized_shape)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        values, grad_y, grad_x = self.seen(x.value), self.seen(y.grad), self.seen(x.grad) if x.has_grad else None
        _, *gradients = layer_norm_backward(
            values,
            grad_y,
            self.arrays()[0],
            self.eps,
            grad_x,
            block.scratch["numbers"],
            shape=self.normalized_shape,
            input_gradient=x.has_grad,
        )
        self._add_gradients(block, *gradients)


class LayerNorm2d(LayerNorm):
    """y = γ · (x − μ) / √(σ² + ε) + β, with μ and σ² of the channels of each pixel by itself.

    Shapes: x and y (n, num_channels, h, w).

    Args:
        num_channels: Channels.
        eps: ε, added to the variance.
        affine: Whether to learn γ and β.

    Attributes:
        weight: γ of each channel, (num_channels,), or None.
        bias: β, likewise.

    Raises:
        ArgumentError: A number of channels below one, or a negative ε.
        ShapeError: An input that is no image, or of other channels.

    Liu et al. 2022, A ConvNet for the 2020s, arXiv:2201.03545. After torchvision's layer of the name.
    """

    def __init__(self, num_channels: int, eps: float = 1e-6, affine: bool = True) -> None:
        self.num_channels = arguments.whole("LayerNorm2d", "num_channels", num_channels, 1)
        self.affine = arguments.flag("LayerNorm2d", "affine", affine)
        super().__init__(self.num_channels, eps, self.affine)

    def config(self) -> dict[str, Any]:
        return {"num_channels": self.num_channels, "eps": self.eps, "affine": self.affine}

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        expect_axes("LayerNorm2d", shape, 2)
        _check_channels("LayerNorm2d", self.num_channels, shape)
        return shape

    def seen(self, array: Array) -> Array:
        return channels_last(array)


class ChannelStandardization(Standardization):
    """What GroupNorm and the instance norms share: what is normalised together is a group of an image's channels."""

    groups: int
    channels: int

    def _learn(self, channels: int, affine: bool, bias: bool) -> None:
        """Declare γ and β, one number a channel."""
        shifts = arguments.flag(type(self).__name__, "bias", bias)
        self.weight = Parameter((channels,), initializers.ones) if affine else None
        self.bias = Parameter((channels,), initializers.zeros) if affine and shifts else None

    def config(self) -> dict[str, Any]:
        # Without γ there is no β to tell by, and `bias` does not matter.
        return super().config() | {"bias": self.weight is None or self.bias is not None}

    def alone(self, shape: Shape) -> int:
        return math.prod(shape[1:])

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        weight, bias = self.arrays()
        group_norm_forward(x.value, self.groups, weight, bias, self.eps, y.value, block.scratch["numbers"])

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        grad_x = x.grad if x.has_grad else None
        _, *gradients = self._gradients(x, y, block, grad_x)
        self._add_gradients(block, *gradients)

    def _gradients(self, x: Tensor, y: Tensor, block: Block, grad_x: Array | None) -> Gradients:
        """Those at the input, in `grad_x` unless that is None, at γ and at β."""
        weight, needed = self.arrays()[0], grad_x is not None
        numbers = block.scratch["numbers"]
        return group_norm_backward(
            x.value, y.grad, self.groups, weight, self.eps, grad_x, numbers, input_gradient=needed
        )


class GroupNorm(ChannelStandardization):
    """y = γ · (x − μ) / √(σ² + ε) + β, with μ and σ² of each group of channels of each image.

    Shapes: x and y (n, num_channels, ...).

    Args:
        num_groups: How many groups the channels are cut into.
        num_channels: Channels.
        eps: ε, added to the variance.
        affine: Whether to learn γ and β.
        device: None or "cpu".
        dtype: None: a model has one type for all.
        bias: False to learn γ alone.

    Attributes:
        weight: γ of each channel, (num_channels,), or None.
        bias: β, likewise.

    Raises:
        ArgumentError: A number below one, channels that the groups do not divide, or a negative ε.
        ShapeError: An input of other channels.

    Wu and He 2018, Group normalization, arXiv:1803.08494.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: None = None,
        *,
        bias: bool = True,
    ) -> None:
        arguments.placeless("GroupNorm", device, dtype)
        self.groups = self.num_groups = arguments.whole("GroupNorm", "num_groups", num_groups, 1)
        self.channels = self.num_channels = arguments.whole("GroupNorm", "num_channels", num_channels, 1)
        arguments.divisible("GroupNorm", "num_groups", self.num_groups, num_channels=self.num_channels)
        self.eps = arguments.number("GroupNorm", "eps", eps, 0)
        self.affine = arguments.flag("GroupNorm", "affine", affine)
        self._learn(self.num_channels, self.affine, bias)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        _check_channels("GroupNorm", self.num_channels, shape)
        return shape


class InstanceNorm(ChannelStandardization):
    """InstanceNorm1d, InstanceNorm2d and InstanceNorm3d, but for the number of axes.

    Attributes:
        axes: How many axes of positions there are.
    """

    axes: ClassVar[int]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: None = None,
        *,
        bias: bool = True,
    ) -> None:
        name = type(self).__name__
        arguments.placeless(name, device, dtype)
        self.num_features = num_features = arguments.whole(name, "num_features", num_features, 1)
        self.groups = self.channels = num_features
        self.eps = arguments.number(name, "eps", eps, 0)
        self.momentum = None if momentum is None else arguments.number(name, "momentum", momentum, 0, 1)
        self.affine = arguments.flag(name, "affine", affine)
        self.track_running_stats = arguments.flag(name, "track_running_stats", track_running_stats)
        self._learn(num_features, self.affine, bias)
        if self.track_running_stats:
            self.running_mean: Array = np.broadcast_to(np.float32(0), (num_features,))  # (c,)
            self.running_var: Array = np.broadcast_to(np.float32(1), (num_features,))  # (c,), unbiased
            self.num_batches_tracked: Array = np.zeros((), np.int64)  # PyTorch saves it, and never counts
            self.buffers = ("running_mean", "running_var", "num_batches_tracked")

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        name = type(self).__name__
        expect_axes(name, shape, self.axes)
        _check_channels(name, self.num_features, shape)
        if math.prod(shape[1:]) == 1:
            position = "pixel" if self.axes == 2 else "position"
            raise ShapeError(f"{name}: expected more than one {position} a channel, got an input of shape {shape}.")
        return shape

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        spaces = super().scratch(shape, direction)
        if direction == "backward" and self.track_running_stats:
            products = math.prod(shape)  # outside training
            spaces["numbers"] = Scratch((max(products, *spaces["numbers"].shape),))
        return spaces

    def sums(self, training: bool) -> Shape | None:
        # Forward: the images' means and variances. Backward: the gradients at γ and β, which a layer with sums adds up
        # here, as it has none in its lanes.
        return (2, self.num_features) if training and self.track_running_stats else None

    def sum_forward(self, x: Tensor, block: Block) -> None:
        block.sums += instance_norm_sums(x.value, block.scratch["numbers"])

    def begin_forward(self, before: Any, shape: Shape, training: bool, sums: Array | None) -> None:
        if sums is not None and self.momentum:
            for running, total in ((self.running_mean, sums[0]), (self.running_var, sums[1])):
                running += self.momentum * (total / shape[0] - running)

    # Outside training μ and σ² are constants, the same for all images, as in batch norm.

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        if block.training or not self.track_running_stats:
            super().forward(x, y, block)
        else:
            batch_norm_forward(x.value, *self.arrays(), self.eps, self._running(), y.value)

    def _running(self) -> Statistics:
        return Statistics(self.running_mean.astype(np.float64), self.running_var.astype(np.float64), 0)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        if block.training or not self.track_running_stats:
            super().backward(x, y, block)
            return
        running = self._running()
        products = laid_like(x.value, block.scratch["numbers"][: x.value.size])
        sums = batch_norm_backward_sums(x.value, y.grad, running.mean, products)
        self._add_gradients(block, *batch_norm_backward_parameters(sums, running.variance, self.eps))
        if x.has_grad:
            _, scale, _ = forward_vectors(running, *self.arrays(), self.eps, np.float64)
            batch_norm_backward_constant(y.grad, scale, x.grad)

    def sum_backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        _, of_weight, of_bias = self._gradients(x, y, block, None)
        block.sums += (of_weight, of_bias)

    def begin_backward(self, state: None, shape: Shape, sums: Array | None) -> None:
        for parameter, gradient in zip((self.weight, self.bias), () if sums is None else sums, strict=False):
            if parameter is not None:
                parameter.add_grad(gradient)

    def _add_gradients(self, block: Block, of_weight: Array, of_bias: Array) -> None:
        if self.sums(block.training) is None:
            super()._add_gradients(block, of_weight, of_bias)


class InstanceNorm2d(InstanceNorm):
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
        device: None or "cpu".
        dtype: None: a model has one type for all.
        bias: False to learn γ alone.

    Attributes:
        weight: γ, (num_features,), or None.
        bias: β, likewise.

    Raises:
        ArgumentError: An argument out of its range.
        ShapeError: An input of other channels, or of a single pixel.

    Ulyanov et al. 2016, Instance normalization, arXiv:1607.08022.
    """

    axes = 2


class InstanceNorm1d(InstanceNorm):
    """As :class:`InstanceNorm2d`, for sequences (n, num_features, l)."""

    axes = 1


class InstanceNorm3d(InstanceNorm):
    """As :class:`InstanceNorm2d`, for volumes (n, num_features, d, h, w)."""

    axes = 3


def _check_channels(layer: str, channels: int, shape: Shape) -> None:
    if shape[0] != channels:
        raise ShapeError(f"{layer}: expected {channels} channels, got an input of shape {shape}.")
