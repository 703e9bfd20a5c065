"""MultiheadAttention, of a sequence to itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import arguments, initializers
from ..errors import ShapeError
from ..ops.attention import attention_backward, attention_forward, attention_mean, by_head, heads
from ..ops.dense import dense_backward_bias, dense_backward_input, dense_backward_weight, dense_forward
from ..ops.dropout import dropout_kept, dropout_scale
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

    def _dropout(self, block: Block) -> tuple[Array | None, Array | None]:
        """What dropout multiplies the weights with, and scratch for what becomes of them; the same both ways."""
        if not (self.dropout and block.training):
            return None, None
        factor = block.scratch["kept"]
        drawn = block.random(block.scratch["random"])[:, : math.prod(factor.shape[1:])]
        dropout_kept(drawn, self.dropout, factor.reshape(drawn.shape))
        np.multiply(factor, dropout_scale(self.dropout), out=factor)
        return factor, block.scratch["dropped"]

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        held = block.saved or block.scratch
        projected, weights, context = held["projected"], held["weights"], block.scratch["context"]
        factor, dropped = self._dropout(block)
        dense_forward(x.value, self.in_proj_weight.array, _array(self.in_proj_bias), projected)
        queries, keys, values = heads(projected, self.num_heads)
        attention_forward(queries, keys, values, factor, by_head(context, self.num_heads), weights, dropped)
        dense_forward(context, self.out_proj_weight.array, _array(self.out_proj_bias), y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        weights, context, grad_projected = (
            block.saved["weights"],
            block.scratch["context"],
            block.scratch["grad_projected"],
        )
        queries, keys, values = heads(block.saved["projected"], self.num_heads)
        (factor, dropped), answers = self._dropout(block), by_head(context, self.num_heads)
        attention_mean(weights, values, factor, answers, dropped)
        self._add_gradients(block, self.out_proj_weight, self.out_proj_bias, context, y.grad, "out_proj")
        dense_backward_input(y.grad, self.out_proj_weight.array, context)  # from here on the gradient at it
        gradients, grad_weights = heads(grad_projected, self.num_heads), block.scratch["grad_weights"]
        attention_backward(queries, keys, values, answers, factor, gradients, weights, dropped, grad_weights)
        self._add_gradients(block, self.in_proj_weight, self.in_proj_bias, x.value, grad_projected, "in_proj")
        if x.has_grad:
            dense_backward_input(grad_projected, self.in_proj_weight.array, x.grad)

    @staticmethod
    def _add_gradients(
        block: Block, weight: Parameter, bias: Parameter | None, x: Array, grad_y: Array, scratch: str
    ) -> None:
        """Those of a projection of x."""
        if weight.trainable:
            block.add_grad(weight, dense_backward_weight(x, grad_y, block.scratch[scratch]))
        if bias is not None:
            block.add_grad(bias, dense_backward_bias(grad_y))

    def multiplications(self, shape: Shape) -> int:
        length, width = shape
        return 4 * length * width**2 + 2 * length**2 * width


def _array(parameter: Parameter | None) -> Array | None:
    return None if parameter is None else parameter.array
