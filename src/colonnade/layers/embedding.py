"""Embedding: whole numbers become vectors."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..errors import ArgumentError
from ..ops.embedding import embedding_backward, embedding_forward
from ..ops.layout import Array
from ..tensor import Parameter, Shape, Tensor
from .base import Block, Direction, Layer, Scratch


class Embedding(Layer):
    """y[n, ...] = weight[x[n, ...]]: the vector of each number.

    The numbers come in the model's own type, in which whole numbers are exact up to 2²⁴ (float32). There is nothing
    to learn from them: the gradient at the input is zero.

    Shapes: x (n, ...) of whole numbers from 0 to num_embeddings − 1, y (n, ..., embedding_dim).

    Args:
        num_embeddings: How many vectors there are.
        embedding_dim: How many numbers each has.
        padding_idx: A number that stands for nothing: its vector begins as zeros, and is not learned.

    Attributes:
        weight: (num_embeddings, embedding_dim), at first N(0, 1).

    Raises:
        ArgumentError: A size below one, a padding out of range, or, in a batch, a number that is not one of them.

    After torch.nn.Embedding.
    """

    reads: ClassVar[set[str]] = {"input"}
    rectifies = False

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None) -> None:
        for name, size in (("num_embeddings", num_embeddings), ("embedding_dim", embedding_dim)):
            if size < 1:
                raise ArgumentError(f"Embedding: {name} must be positive, got {size}.")
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ArgumentError(
                f"Embedding: padding_idx must be one of the {num_embeddings} numbers, got {padding_idx}."
            )
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = Parameter((num_embeddings, embedding_dim), self._draw)

    def _draw(self, shape: Shape, rng: np.random.Generator, rectified: bool) -> Array:
        weight = rng.normal(size=shape)
        if self.padding_idx is not None:
            weight[self.padding_idx] = 0
        return weight

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        return (*shape, self.embedding_dim)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"index": Scratch(shape, np.intp), "differs": Scratch(shape, np.bool_)}

    def _index(self, x: Array, block: Block) -> Array:
        index, differs = block.scratch["index"], block.scratch["differs"]
        least, most = x.min(), x.max()
        if not (least >= 0 and most < self.num_embeddings):  # so written that NaN is refused too
            received = most if least >= 0 else least
            raise ArgumentError(f"Embedding: expected numbers from 0 to {self.num_embeddings - 1}, got {received:g}.")
        np.copyto(index, x, casting="unsafe")
        if np.not_equal(index, x, out=differs).any():
            raise ArgumentError(f"Embedding: expected whole numbers, got {x[differs][0]:g}.")
        return index

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        embedding_forward(self._index(x.value, block), self.weight.array, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        gradient = block.grad(self.weight)
        ignored = None if self.padding_idx is None else gradient[self.padding_idx].copy()
        embedding_backward(self._index(x.value, block), y.grad, gradient)
        if self.padding_idx is not None:
            gradient[self.padding_idx] = ignored
        if x.has_grad:
            x.grad.fill(0)
