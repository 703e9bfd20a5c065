"""RMSNorm: each image divided by the root of its mean square."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import arguments, initializers
from ..errors import ArgumentError, ShapeError
from ..ops.rms_norm import rms_norm_backward, rms_norm_forward
from ..tensor import Parameter, Shape, Tensor
from .base import PLACE, Block, Direction, Layer, Scratch


class RMSNorm(Layer):
    """y = γ · x / √(mean x² + ε), with the mean over all that `normalized_shape` covers: the last axes.

    Shapes: x and y (n, ..., *normalized_shape); an image batch (n, c, h, w) is normalised whole, over (c, h, w).

    Args:
        normalized_shape: The sizes of the last axes, or the size of the last.
        eps: ε, added to the mean square; None for the least number that makes a difference to one, of the model's type.
        elementwise_affine: Whether to learn γ.
        device: None or "cpu".
        dtype: None: a model has one type for all.

    Attributes:
        weight: γ, of `normalized_shape`, or None.

    Raises:
        ArgumentError: A size below one, or a negative ε.
        ShapeError: An input that does not end in `normalized_shape`, or an image batch not covered whole.

    Derived in docs/math/layer_norm.md. Zhang and Sennrich 2019, Root mean square layer normalization, arXiv:1910.07467.
    """

    in_place = True
    cheap = True
    rectifies = None
    ignored = PLACE

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: None = None,
    ) -> None:
        arguments.placeless("RMSNorm", device, dtype)
        given = normalized_shape if arguments.is_sequence(normalized_shape) else (normalized_shape,)
        self.normalized_shape = sizes = arguments.wholes("RMSNorm", "normalized_shape", given)
        if not sizes or min(sizes) < 1:
            raise ArgumentError(f"RMSNorm: normalized_shape must hold positive sizes, got {normalized_shape!r}.")
        self.eps = None if eps is None else arguments.number("RMSNorm", "eps", eps, 0)
        self.elementwise_affine = arguments.flag("RMSNorm", "elementwise_affine", elementwise_affine)
        # Of images γ lies as the images do, channels last.
        order = (1, 2, 0) if len(sizes) == 3 else None
        self.weight = Parameter(sizes, initializers.ones, memory_axes=order) if self.elementwise_affine else None

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if shape[-len(self.normalized_shape) :] != self.normalized_shape:
            raise ShapeError(
                f"RMSNorm: expected an input that ends in {self.normalized_shape}, got an input of shape {shape}."
            )
        if 3 in (len(shape), len(self.normalized_shape)) and shape != self.normalized_shape:
            raise ShapeError(
                f"RMSNorm: images are normalised whole, all of (c, h, w): got normalized_shape "
                f"{self.normalized_shape} and an input of shape {shape}."
            )
        return shape

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"numbers": Scratch((math.prod(shape),))} if direction == "backward" else {}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        weight = None if self.weight is None else self.weight.array
        rms_norm_forward(x.value, weight, self.eps, y.value, shape=self.normalized_shape)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        weight = None if self.weight is None else self.weight.array
        _, of_weight = rms_norm_backward(
            x.value,
            y.grad,
            weight,
            self.eps,
            x.grad if x.has_grad else None,
            block.scratch["numbers"],
            shape=self.normalized_shape,
            input_gradient=x.has_grad,
        )
        if self.weight is not None:
            block.add_grad(self.weight, of_weight)

    def multiplications(self, shape: Shape) -> int:
        return math.prod(shape)
