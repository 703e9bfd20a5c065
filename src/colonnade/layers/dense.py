"""Dense: every output sees every input."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import arguments, initializers
from ..errors import ShapeError
from ..ops.dense import dense_backward, dense_forward
from ..ops.layout import Array
from ..tensor import Parameter, Shape, Tensor
from .base import PLACE, Block, Direction, Layer, Scratch


class Dense(Layer):
    """y = x Wᵀ + b, over the last axis.

    Shapes: x (n, ..., in_features), y (n, ..., out_features).

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
        ShapeError: An input whose last axis is not in_features long, or images: they lie channels-last in memory, and
            over the channels of each pixel there is the faster Conv2d(in_features, out_features, 1).

    Derived in docs/math/dense.md.
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
        if not shape or shape[-1] != self.in_features or len(shape) == 3:
            hint = " (a Flatten before it?)" if len(shape) == 3 else ""
            raise ShapeError(f"Dense: expected {self.in_features} input features, got an input of shape {shape}{hint}.")
        return (*shape[:-1], self.out_features)

    def _rows(self, array: Array) -> Array:
        return array.reshape(-1, array.shape[-1])

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        bias = None if self.bias is None else self.bias.array
        dense_forward(self._rows(x.value), self.weight.array, bias, self._rows(y.value))

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"weight": Scratch(self.weight.shape)} if direction == "backward" else {}

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        grad_y = self._rows(y.grad)
        block.add_product(self.weight, grad_y.T, self._rows(x.value), block.scratch["weight"])
        if self.bias is not None:
            block.add_grad(self.bias, grad_y.sum(axis=0))
        if x.has_grad:
            dense_backward(grad_y, self.weight.array, self._rows(x.grad))

    def multiplications(self, shape: Shape) -> int:
        return int(np.prod(shape)) * self.out_features
