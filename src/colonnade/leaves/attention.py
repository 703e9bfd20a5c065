"""Attention: a dense layer in front, the heads' products and softmax between, a dense layer behind."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from typing import ClassVar

import numpy as np

from ..compiled.dropout import dropout
from ..compiled.geometry import tile_size
from ..compiled.matmul import Sizes, Stack, matmul, transpose_stack
from ..compiled.softmax import hide_later, softmax_backward, softmax_forward
from ..layers.attention import MultiheadAttention
from ..layers.base import Block, Bound, Direction, Scratch
from ..layers.dense import Dense
from ..ops.layout import Array
from ..tensor import Parameter, Shape, Tensor
from .base import Leaf
from .dense import TiledDense


def attention_leaves(layer: MultiheadAttention, shape: Shape) -> list[Leaf]:
    """What does the work of a MultiheadAttention, one after the other, for sequences of `shape` (t, d).

    Nothing does for one of several inputs, or of several outputs: it runs in NumPy.
    """
    if layer.masks or layer.more_keys or layer.return_weights or not layer.alone:
        return []
    length, width = shape
    assert layer.in_proj_weight is not None
    before = _projection(width, 3 * width, layer.in_proj_weight, layer.in_proj_bias)
    behind = _projection(width, width, layer.out_proj_weight, layer.out_proj_bias)
    made: list[Leaf] = [TiledDense(before), CompiledAttention(layer, length), TiledDense(behind)]
    made[0].writes, made[1].writes = (length, 3 * width), (length, width)
    return made


def _projection(inputs: int, outputs: int, weight: Parameter, bias: Parameter | None) -> Dense:
    """A dense layer of parameters that exist."""
    dense = Dense(inputs, outputs, bias is not None)
    dense.weight, dense.bias = weight, bias
    return dense


class CompiledAttention(Leaf):
    """Of queries, keys and values, side by side, the mean of the values that each position takes in each head.

    x is (n, t, 3d), y (n, t, d): the part of a MultiheadAttention between its projections.

    Args:
        layer: Whose heads they are.
        length: t.
    """

    reads: ClassVar[set[str]] = {"input"}

    def __init__(self, layer: MultiheadAttention, length: int) -> None:
        self.layer, self.stands_for = layer, (layer,)
        self.heads, self.length, self.width = layer.num_heads, length, layer.embed_dim
        self.size = size = self.width // self.heads
        self.factor = 1 / math.sqrt(size)
        # Where the matrices of the heads stand: (t, d / heads) in the projection and in the output, (t, t) as weights.
        image, row = 3 * self.width * length, 3 * self.width
        self.queries, self.keys, self.values = (Stack(part * self.width, image, size, row, 1) for part in range(3))
        self.outputs = Stack(0, self.width * length, size, self.width, 1)
        self.matches = Stack(0, self.heads * length**2, length**2, length, 1)
        self.turned = Stack(0, self.width * length, size * length, length, 1)
        self.to_matches, self.to_rows = matmul(*tile_size(length, length)), matmul(*tile_size(length, size))

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        return iter(())  # those are of the dense layers

    def multiplications(self, shape: Shape) -> int:
        return 2 * self.length**2 * self.width

    def _weights(self, images: int) -> Scratch:
        return Scratch((images, self.heads, self.length, self.length))

    def saved(self, shape: Shape) -> dict[str, Scratch]:
        return {"weights": self._weights(shape[0])}

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        images = shape[0]
        spaces = {
            "turned": Scratch((images, self.heads, self.size, self.length)),
            "grad_weights": self._weights(images),
        }
        if self.layer.dropout:
            spaces |= {"dropped": self._weights(images), "key": Scratch((2,), np.uint64)}
        return spaces

    def _drop(self, weights: Array, out: Array, block: Block) -> Generator[Bound, None, Array]:
        """The weights as they count, in `out` if some are left out: in training, with dropout."""
        if not (self.layer.dropout and block.training):
            return weights
        images = len(weights)
        key, p = block.scratch["key"], self.layer.dropout
        yield block.key, (key,)
        yield dropout, (weights.reshape(images, -1), key, block.start, p, out.reshape(images, -1))
        return out

    def _sizes(self, images: int, terms: int, columns: int) -> Sizes:
        return Sizes(images, self.heads, self.length, terms, columns)

    def bind_forward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        images, length, size, turned = len(x.value), self.length, self.size, block.scratch["turned"]
        weights = block.saved["weights"] if block.training else block.scratch["grad_weights"]
        yield transpose_stack, (x.value, self.keys, turned, images, self.heads)
        sizes = self._sizes(images, size, length)
        yield self.to_matches, (x.value, self.queries, turned, self.turned, weights, self.matches, sizes, self.factor)
        if self.layer.is_causal:
            yield hide_later, (weights,)
        yield softmax_forward, (weights.reshape(-1, length), weights.reshape(-1, length))
        counted = yield from self._drop(weights, block.scratch["dropped"] if self.layer.dropout else weights, block)
        sizes = self._sizes(images, length, size)
        yield self.to_rows, (counted, self.matches, x.value, self.values, y.value, self.outputs, sizes, 1.0)

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        """With A the weights and G the gradient at y: grad_V = Aᵀ G, grad_A = G Vᵀ; S its gradient before softmax.

        grad_Q = S K / √(d / heads), grad_K = Sᵀ Q / √(d / heads).
        """
        images, length, size, turned = len(x.value), self.length, self.size, block.scratch["turned"]
        weights, grad = block.saved["weights"], block.scratch["grad_weights"]
        counted = yield from self._drop(weights, block.scratch["dropped"] if self.layer.dropout else weights, block)
        wide, narrow = self._sizes(images, size, length), self._sizes(images, length, size)
        yield self.to_rows, (counted, self.matches.turned, y.grad, self.outputs, x.grad, self.values, narrow, 1.0)
        yield transpose_stack, (x.value, self.values, turned, images, self.heads)
        yield self.to_matches, (y.grad, self.outputs, turned, self.turned, grad, self.matches, wide, 1.0)
        yield from self._drop(grad, grad, block)
        rows = grad.reshape(-1, length)
        yield softmax_backward, (weights.reshape(-1, length), rows, rows)
        yield self.to_rows, (grad, self.matches, x.value, self.keys, x.grad, self.queries, narrow, self.factor)
        yield self.to_rows, (grad, self.matches.turned, x.value, self.queries, x.grad, self.keys, narrow, self.factor)
