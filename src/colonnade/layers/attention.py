"""MultiheadAttention, of a sequence to itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import arguments, initializers
from ..errors import ShapeError
from ..ops.attention import attention_backward, attention_forward, attention_weights
from ..ops.dense import dense_backward_input, dense_forward
from ..ops.layout import Array
from ..tensor import Parameter, Shape, Tensor
from .base import PLACE, Block, Direction, Layer, Scratch


class MultiheadAttention(Layer):
    """Each position of a sequence asks all positions, itself among them, and takes a mean of their answers.

    Q, K, V = the thirds of x W_inᵀ + b_in, each cut into heads of d / num_heads numbers;
    y = concat over heads of softmax(Q Kᵀ / √(d / num_heads)) V, times W_outᵀ, plus b_out.

    Shapes: x and y (n, t, embed_dim).

    Args:
        embed_dim: d.
        num_heads: How many heads; d is divisible by it.
        dropout: In training, the probability that a weight of the mean is left out.
        bias: Whether to add b_in and b_out.
        add_bias_kv: False: a learned key and value are not supported.
        add_zero_attn: False: a key and value of zeros are not supported.
        kdim: d, or None for it.
        vdim: d, or None for it.
        batch_first: True, the only way there is.
        device: None or "cpu".
        dtype: None: a model has one type for all.

    Attributes:
        in_proj_weight: W_in, (3d, d).
        in_proj_bias: b_in, (3d,), or None.
        out_proj_weight: W_out, (d, d), saved as "out_proj.weight".
        out_proj_bias: b_out, (d,), or None, saved as "out_proj.bias".

    Raises:
        ArgumentError: A size below one, heads that do not divide d, or a probability out of range.
        ShapeError: An input that is no sequence of d numbers each.

    Vaswani et al. 2017, Attention is all you need, arXiv:1706.03762. It is torch.nn.MultiheadAttention with
    batch_first, called with x for query, key and value.
    """

    ignored = ("add_bias_kv", "add_zero_attn", "kdim", "vdim", "batch_first", *PLACE)

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = True,
        device: Any = None,
        dtype: None = None,
    ) -> None:
        name = "MultiheadAttention"
        arguments.placeless(name, device, dtype)
        self.embed_dim = embed_dim = arguments.whole(name, "embed_dim", embed_dim, 1)
        self.num_heads = arguments.whole(name, "num_heads", num_heads, 1)
        arguments.divisible(name, "num_heads", self.num_heads, embed_dim=embed_dim)
        self.dropout = arguments.number(name, "dropout", dropout, 0, 1)
        self.bias = arguments.flag(name, "bias", bias)
        reason = "a sequence looks at itself, and at nothing else"
        arguments.unsupported(name, reason, add_bias_kv=(add_bias_kv, False), add_zero_attn=(add_zero_attn, False))
        for other, size in (("kdim", kdim), ("vdim", vdim)):
            if size is not None and arguments.whole(name, other, size, 1) != embed_dim:
                arguments.unsupported(name, reason, **{other: (size, None)})
        arguments.unsupported(name, "the batch is the first axis of every array", batch_first=(batch_first, True))
        self.in_proj_weight = Parameter((3 * embed_dim, embed_dim), initializers.weights)
        self.in_proj_bias = Parameter((3 * embed_dim,), initializers.zeros) if self.bias else None
        self.out_proj_weight = Parameter((embed_dim, embed_dim), initializers.weights)
        self.out_proj_bias = Parameter((embed_dim,), initializers.zeros) if self.bias else None

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        for name, parameter in super().parameters():
            yield name.replace("out_proj_", "out_proj."), parameter

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if len(shape) != 2 or shape[1] != self.embed_dim:
            raise ShapeError(
                f"MultiheadAttention: expected sequences (length, {self.embed_dim}), got an input of shape {shape}."
            )
        return shape

    def _shapes(self, shape: Shape) -> tuple[Shape, Shape]:
        """Of the projection and of the weights."""
        images, length, width = shape
        return (images, length, 3 * width), (images, self.num_heads, length, length)

    def saved(self, shape: Shape) -> dict[str, Scratch]:
        projected, weights = self._shapes(shape)
        return {"projected": Scratch(projected), "weights": Scratch(weights)}

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        projected, weights = self._shapes(shape)
        spaces = {"context": Scratch(shape)}
        if direction == "forward":  # outside training, where nothing is saved
            spaces |= {"projected": Scratch(projected), "weights": Scratch(weights)}
        else:
            spaces |= {"grad_projected": Scratch(projected), "grad_weights": Scratch(weights)}
            spaces |= {"in_proj": Scratch(self.in_proj_weight.shape), "out_proj": Scratch(self.out_proj_weight.shape)}
        if self.dropout:
            drawn = (shape[0], 8 * -(math.prod(weights[1:]) // -8))  # the stream gives eight at a time
            spaces |= {"random": Scratch(drawn, np.float32), "kept": Scratch(weights), "dropped": Scratch(weights)}
        return spaces

    def _drop(self, weights: Array, block: Block) -> tuple[Array, Array | None]:
        """The weights after dropout, and what it multiplied them with."""
        if not (self.dropout and block.training):
            return weights, None
        kept, dropped = block.scratch["kept"], block.scratch["dropped"]
        drawn = block.random(block.scratch["random"])[:, : math.prod(weights.shape[1:])]
        np.greater_equal(drawn, self.dropout, out=kept.reshape(drawn.shape))
        np.multiply(kept, 1 / (1 - self.dropout) if self.dropout < 1 else 0.0, out=kept)
        return np.multiply(weights, kept, out=dropped), kept

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        held = block.saved or block.scratch
        projected, weights, context = held["projected"], held["weights"], block.scratch["context"]
        of_input, of_output = self._biases()
        dense_forward(_rows(x.value), self.in_proj_weight.array, of_input, _rows(projected))
        attention_weights(projected, self.num_heads, weights)
        attention_forward(projected, self._drop(weights, block)[0], context)
        dense_forward(_rows(context), self.out_proj_weight.array, of_output, _rows(y.value))

    def _biases(self) -> tuple[Array | None, Array | None]:
        if self.in_proj_bias is None or self.out_proj_bias is None:
            return None, None
        return self.in_proj_bias.array, self.out_proj_bias.array

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        projected, weights = block.saved["projected"], block.saved["weights"]
        context, grad_projected = block.scratch["context"], block.scratch["grad_projected"]
        dropped, kept = self._drop(weights, block)
        attention_forward(projected, dropped, context)
        grad_y = _rows(y.grad)
        block.add_product(self.out_proj_weight, grad_y.T, _rows(context), block.scratch["out_proj"])
        dense_backward_input(grad_y, self.out_proj_weight.array, _rows(context))  # from here on the gradient at it
        attention_backward(projected, weights, dropped, kept, context, grad_projected, block.scratch["grad_weights"])
        grad_rows = _rows(grad_projected)
        block.add_product(self.in_proj_weight, grad_rows.T, _rows(x.value), block.scratch["in_proj"])
        if self.in_proj_bias is not None and self.out_proj_bias is not None:
            block.add_grad(self.out_proj_bias, grad_y.sum(axis=0))
            block.add_grad(self.in_proj_bias, grad_rows.sum(axis=0))
        if x.has_grad:
            dense_backward_input(grad_rows, self.in_proj_weight.array, _rows(x.grad))

    def multiplications(self, shape: Shape) -> int:
        length, width = shape
        return 4 * length * width**2 + 2 * length**2 * width


def _rows(array: Array) -> Array:
    return array.reshape(-1, array.shape[-1])
