"""Embedding: whole numbers become vectors."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .. import arguments
from ..errors import ArgumentError
from ..ops.embedding import embedding_backward, embedding_forward
from ..ops.layout import Array
from ..tensor import Parameter, Shape, Tensor
from .base import PLACE, Block, Direction, Layer, Scratch


def whole_numbers(name: str, x: Array, least: int, most: int, index: Array, differs: Array) -> Array:
    """The numbers in x as `index`, whose type is whole; `differs` is scratch of x's shape, of bools.

    Raises:
        ArgumentError: In the name of a layer, a number that is not whole, or out of range.
    """
    low, high = x.min(), x.max()
    if not (low >= least and high <= most):  # so written that NaN is refused too
        raise ArgumentError(f"{name}: expected numbers from {least} to {most}, got {high if low >= least else low:g}.")
    np.copyto(index, x, casting="unsafe")
    if np.not_equal(index, x, out=differs).any():
        raise ArgumentError(f"{name}: expected whole numbers, got {x[differs][0]:g}.")
    return index


class Embedding(Layer):
    """y[n, ...] = weight[x[n, ...]]: the vector of each number.

    The numbers come in the model's own type, in which whole numbers are exact up to 2²⁴ (float32). There is nothing
    to learn from them: the gradient at the input is zero.

    Shapes: x (n, ...) of whole numbers from 0 to num_embeddings − 1, y (n, ..., embedding_dim).

    Args:
        num_embeddings: How many vectors there are.
        embedding_dim: How many numbers each has.
        padding_idx: A number that stands for nothing: its vector begins as zeros, and is not learned.
        max_norm: None: PyTorch's would shorten the vectors as they are looked up, which is not supported.
        norm_type: Of `max_norm`; without effect.
        scale_grad_by_freq: False, the only way there is.
        sparse: Without effect: the gradient is as large as the weight.
        _weight: None: give first values with `load_state_dict`.
        _freeze: False: freeze with `Model.freeze`.
        device: None or "cpu".
        dtype: None: a model has one type for all.

    Attributes:
        weight: (num_embeddings, embedding_dim), at first N(0, 1).

    Raises:
        ArgumentError: A size below one, a padding out of range, or, in a batch, a number that is not one of them.

    After torch.nn.Embedding.
    """

    reads: ClassVar[set[str]] = {"input"}
    rectifies = False

    ignored = ("max_norm", "norm_type", "scale_grad_by_freq", "sparse", "_weight", "_freeze", *PLACE)

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: None = None,
    ) -> None:
        name = "Embedding"
        arguments.placeless(name, device, dtype)
        arguments.unsupported(name, "its vectors are only what they were learned to be", max_norm=(max_norm, None))
        arguments.unsupported(name, "the gradient is the sum's", scale_grad_by_freq=(scale_grad_by_freq, False))
        arguments.unsupported(name, "use Model.load_state_dict", _weight=(_weight, None))
        arguments.unsupported(name, "use Model.freeze", _freeze=(_freeze, False))
        arguments.number(name, "norm_type", norm_type, above=0, finite=False)
        arguments.flag(name, "sparse", sparse)
        self.num_embeddings = arguments.whole(name, "num_embeddings", num_embeddings, 1)
        self.embedding_dim = arguments.whole(name, "embedding_dim", embedding_dim, 1)
        padding = None if padding_idx is None else arguments.whole(name, "padding_idx", padding_idx)
        if padding is not None and not -self.num_embeddings <= padding < self.num_embeddings:
            raise ArgumentError(
                f"Embedding: padding_idx must be one of the {num_embeddings} numbers, got {padding_idx}."
            )
        self.padding_idx = None if padding is None else padding % self.num_embeddings
        self.weight = Parameter((self.num_embeddings, self.embedding_dim), self._draw)

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
        scratch = block.scratch["index"], block.scratch["differs"]
        return whole_numbers("Embedding", x, 0, self.num_embeddings - 1, *scratch)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        embedding_forward(self._index(x.value, block), self.weight.array, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        index, gradient = self._index(x.value, block), block.grad(self.weight)
        embedding_backward(index, y.grad, self.num_embeddings, self.padding_idx, gradient)
        if x.has_grad:
            x.grad.fill(0)
