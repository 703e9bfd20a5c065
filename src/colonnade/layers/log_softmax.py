"""LogSoftmax: the logarithm of Softmax, exact where that would be zero."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .. import arguments
from ..errors import ShapeError
from ..ops.softmax import log_softmax_backward, log_softmax_forward
from ..tensor import Shape, Tensor
from .base import Block, Layer


class LogSoftmax(Layer):
    """y = log(exp(x) / Σ exp(x)), along one axis; `NLLLoss` takes it, `CrossEntropyLoss` takes logits.

    Shapes: any (n, ...), the output as the input.

    Args:
        dim: The axis whose exponentials sum to one, counted with the batch as axis 0.

    Raises:
        ShapeError: An axis that the input does not have, or axis 0, which would mix the images of a batch.

    Written in docs/math/softmax_cross_entropy.md.
    """

    reads: ClassVar[set[str]] = {"output"}

    def __init__(self, dim: int = 1) -> None:
        self.dim = arguments.whole("LogSoftmax", "dim", dim)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        axes = len(shape) + 1
        if not -axes <= self.dim < axes or self.dim % axes == 0:
            raise ShapeError(f"LogSoftmax: dim must be an axis of one image, 1 to {len(shape)}, got {self.dim}.")
        return shape

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        log_softmax_forward(x.value, self.dim, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        log_softmax_backward(y.value, y.grad, self.dim, x.grad)
