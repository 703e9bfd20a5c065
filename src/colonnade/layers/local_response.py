"""LocalResponseNorm: what the first large networks normalised with."""

from __future__ import annotations

import math

import numpy as np

from .. import arguments
from ..errors import ShapeError
from ..limits import CALL, NUMBER
from ..ops.layout import Array, laid_like
from ..ops.local_response import local_response_backward, local_response_forward
from ..tensor import Shape, Tensor
from .base import Block, Direction, Layer, Scratch


class LocalResponseNorm(Layer):
    """y = x / (k + α / size · Σ x²)^β, the sum over the `size` channels around each.

    Shapes: x and y (n, c, ...).

    Args:
        size: Channels of the window: size // 2 before and (size − 1) // 2 after.
        alpha: α.
        beta: β.
        k: What is added.

    Raises:
        ArgumentError: A size below one.
        ShapeError: An input without channels.

    Krizhevsky et al. 2012, ImageNet classification with deep convolutional neural networks. After
    torch.nn.LocalResponseNorm.
    """

    in_place = True
    rectifies = None

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size = arguments.whole("LocalResponseNorm", "size", size, 1)
        self.alpha, self.beta, self.k = (
            arguments.number("LocalResponseNorm", name, value)
            for name, value in (("alpha", alpha), ("beta", beta), ("k", k))
        )

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if not shape:
            raise ShapeError(f"LocalResponseNorm: expected channels, got an input of shape {shape}.")
        return shape

    def work(self, shape: Shape) -> int:
        neighbours = min(self.size, 2 * shape[0])
        return neighbours * (NUMBER * math.prod(shape) + CALL)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"arrays": Scratch((2 if direction == "forward" else 3, math.prod(shape)))}

    def _arrays(self, x: Array, block: Block) -> list[Array]:
        return [laid_like(x, flat) for flat in block.scratch["arrays"]]

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        scratch = self._arrays(x.value, block)
        local_response_forward(x.value, self.size, self.alpha, self.beta, self.k, y.value, *scratch)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        scratch = self._arrays(x.value, block)
        local_response_backward(x.value, y.grad, self.size, self.alpha, self.beta, self.k, x.grad, *scratch)
