"""Bilinear: every output sees all products of two inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import arguments
from ..errors import ShapeError
from ..ops.bilinear import (
    bilinear_backward_left,
    bilinear_backward_right,
    bilinear_backward_weight,
    bilinear_forward,
)
from ..ops.dense import dense_backward_bias
from ..ops.layout import Array
from ..tensor import Parameter, Shape, Tensor
from .base import PLACE, Block, Direction, Scratch
from .wiring import Wiring


class Bilinear(Wiring):
    """y_o = x₁ᵀ W_o x₂ + b_o, over the last axes of two inputs.

    Shapes: x₁ (n, ..., in1_features), x₂ (n, ..., in2_features), y (n, ..., out_features).

    Args:
        in1_features: Numbers in the first input.
        in2_features: Numbers in the second.
        out_features: Numbers out.
        bias: Whether to add b.
        device: None or "cpu".
        dtype: None: a model has one type for all.

    Attributes:
        weight: W, (out_features, in1_features, in2_features), drawn like b from U(−1/√in1_features, 1/√in1_features).
        bias: b, (out_features,), or None.

    Raises:
        ArgumentError: A size below one.
        ShapeError: Other than two inputs, of the same axes but for the last; or images, which lie channels-last.

    Written in docs/math/dense.md; after torch.nn.Bilinear.
    """

    reads = {"input"}
    cheap = False
    rectifies = False  # type: ignore[assignment]
    wants_batch = True
    ignored = PLACE

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: None = None,
    ) -> None:
        arguments.placeless("Bilinear", device, dtype)
        self.in1_features = arguments.whole("Bilinear", "in1_features", in1_features, 1)
        self.in2_features = arguments.whole("Bilinear", "in2_features", in2_features, 1)
        self.out_features = arguments.whole("Bilinear", "out_features", out_features, 1)
        self.weight = Parameter((self.out_features, self.in1_features, self.in2_features), self._draw)
        learned = arguments.flag("Bilinear", "bias", bias)
        self.bias = Parameter((self.out_features,), self._draw) if learned else None

    def _draw(self, shape: Shape, rng: np.random.Generator, rectified: bool) -> Array:
        bound = 1 / math.sqrt(self.in1_features)
        return rng.uniform(-bound, bound, shape)

    def join(self, shapes: Sequence[Shape]) -> Shape:
        given = ", ".join(map(str, shapes))
        expected = (self.in1_features, self.in2_features)
        fits = len(shapes) == 2 and len({len(shape) for shape in shapes}) == 1 and len(shapes[0]) not in (0, 3)
        if not fits or shapes[0][:-1] != shapes[1][:-1] or tuple(shape[-1] for shape in shapes) != expected:
            raise ShapeError(
                f"Bilinear: expected two inputs of {expected[0]} and {expected[1]} features, no images, got {given}."
            )
        return (*shapes[0][:-1], self.out_features)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        numbers = math.prod(shape[:-1]) * max(self.in1_features, self.in2_features)
        spaces = {"product": Scratch((numbers,))}
        return spaces | ({"weight": Scratch(self.weight.shape)} if direction == "backward" else {})

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        bias = None if self.bias is None else self.bias.array
        bilinear_forward(x[0].value, x[1].value, self.weight.array, bias, y.value, block.scratch["product"])

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        product = block.scratch["product"]
        if self.weight.trainable:
            gradient = bilinear_backward_weight(x[0].value, x[1].value, y.grad, block.scratch["weight"], product)
            block.add_grad(self.weight, gradient)
        if self.bias is not None:
            block.add_grad(self.bias, dense_backward_bias(y.grad))
        if x[0].has_grad:
            bilinear_backward_left(y.grad, x[1].value, self.weight.array, x[0].grad, product)
        if x[1].has_grad:
            bilinear_backward_right(x[0].value, y.grad, self.weight.array, x[1].grad, product)

    def multiplications(self, shape: Shape) -> int:
        return math.prod(shape) * self.in1_features * (self.in2_features + 1)
