"""Dense: every output sees every input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import arguments, initializers
from ..errors import ShapeError
from ..ops.dense import dense_backward_bias, dense_backward_input, dense_backward_weight, dense_forward
from ..tensor import Parameter, Shape, Tensor
from .base import PLACE, Block, Direction, Layer, Scratch


class Dense(Layer):
    """y = x Wᵀ + b, over the last axis, whatever there is before it.

    Shapes: x (n, ..., in_features), y (n, ..., out_features): features (n, f), sequences (n, l, f), images (n, c, h, w)
    along their rows. Over the channels of each pixel there is Conv2d(in_features, out_features, 1).

    Args:
        in_features: Numbers in.
        out_features: Numbers out.
        bias: Whether to add b.
        device: None or "cpu".
        dtype: None: a model has one type for all.

    Attributes:
        weight: W, (out_features, in_features).
        bias: b, (out_features,), or None.

    Raises:
        ArgumentError: A size below one.
        ShapeError: An input whose last axis is not in_features long.

    Derived in docs/math/dense.md. After torch.nn.Linear.
    """

    wants_batch = True

    ignored = PLACE

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: None = None
    ) -> None:
        arguments.placeless("Dense", device, dtype)
        self.in_features = arguments.whole("Dense", "in_features", in_features, 1)
        self.out_features = arguments.whole("Dense", "out_features", out_features, 1)
        self.weight = Parameter((self.out_features, self.in_features), initializers.weights)
        learned = arguments.flag("Dense", "bias", bias)
        self.bias = Parameter((self.out_features,), initializers.zeros) if learned else None

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if not shape or shape[-1] != self.in_features:
            hint = " (a Flatten before it?)" if len(shape) == 3 else ""
            raise ShapeError(f"Dense: expected {self.in_features} input features, got an input of shape {shape}{hint}.")
        return (*shape[:-1], self.out_features)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        dense_forward(x.value, self.weight.array, None if self.bias is None else self.bias.array, y.value)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        if direction == "forward":
            return {}
        numbers = math.prod(shape[:-1]) * (self.in_features + self.out_features) if len(shape) == 4 else 0
        return {"weight": Scratch(self.weight.shape), "plain": Scratch((numbers,))}

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        if self.weight.trainable:
            gradient, plain = block.scratch["weight"], block.scratch["plain"]
            block.add_grad(self.weight, dense_backward_weight(x.value, y.grad, gradient, plain))
        if self.bias is not None:
            block.add_grad(self.bias, dense_backward_bias(y.grad))
        if x.has_grad:
            dense_backward_input(y.grad, self.weight.array, x.grad)

    def multiplications(self, shape: Shape) -> int:
        return int(np.prod(shape)) * self.out_features
