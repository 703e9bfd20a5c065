"""Attention that a network spells out: two products with softmax between them, as files of other frameworks have it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from .. import layers
from ..compiled.softmax import softmax_backward, softmax_forward
from ..layers.base import Block, Bound, Direction, Layer, Scratch
from ..layers.wiring import Wiring
from ..ops.layout import Array
from ..tensor import Shape, Tensor
from .base import Leaf, plain
from .matmul import Matrices, multiply, put_back, side_by_side


def leaf_for(run: Sequence[Layer], inputs: Sequence[Shape]) -> Leaf | None:
    """The leaf of MatMul, Softmax along rows and MatMul, perhaps with a factor behind the first; None of other runs."""
    if len(run) < 3 or len(inputs) != 3 or not all(isinstance(layer, layers.MatMul) for layer in (run[0], run[-1])):
        return None
    *scaling, softmax = run[1:-1]
    stacks = {shape[:-2] for shape in inputs}
    if not isinstance(softmax, layers.Softmax) or len(stacks) > 1 or inputs[1][-1] != inputs[2][-2]:
        return None
    if softmax.dim not in (-1, len(inputs[0])) or len(scaling) > 1:
        return None
    factor = 1.0
    for layer in scaling:
        if not isinstance(layer, layers.Affine) or layer.shift != 0:
            return None
        factor = layer.scale
    return CompiledDotProductAttention(run, inputs, factor)


class CompiledDotProductAttention(Leaf, Wiring):
    """y = softmax(factor · q k) v of each matrix, softmax along rows.

    The products of queries and keys lie one matrix behind the other, which those of images would not.

    Args:
        run: The layers.
        inputs: One image's shape of q (..., m, d), k (..., d, t) and v (..., t, c).
        factor: A number.
    """

    reads: ClassVar[set[str]] = {"input"}
    cheap = False

    def __init__(self, run: Sequence[Layer], inputs: Sequence[Shape], factor: float) -> None:
        self.stands_for, self.factor = tuple(run), factor
        self.q, self.k, self.v = (Matrices.of(shape) for shape in inputs)
        self.weights = self.q.apart._replace(columns=self.k.columns)
        self.made = self.q._replace(columns=self.v.columns)

    def multiplications(self, shape: Shape) -> int:
        return self.weights.size * (self.q.columns + self.v.columns)

    def saved(self, shape: Shape) -> dict[str, Scratch]:
        return {"weights": Scratch(self.weights.shape(shape[0]))}

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        images = shape[0]
        spaces = {"keys": self.k, "values": self.v, "made": self.made, "weights": self.weights}
        if direction == "backward":
            spaces |= {"queries": self.q, "grad": self.made}
        return {name: Scratch(matrices.shape(images)) for name, matrices in spaces.items()}

    def _rows(self, weights: Array) -> Array:
        return weights.reshape(-1, self.weights.columns)

    def bind_forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> Iterator[Bound]:
        q, k, v, outputs = (plain(each.value) for each in (*x, y))
        weights = block.saved["weights"] if block.training else block.scratch["weights"]
        keys = yield from side_by_side(k, self.k, block.scratch["keys"])
        yield multiply(q, self.q, keys, self.k.apart, weights, self.factor)
        yield softmax_forward, (self._rows(weights), self._rows(weights))
        values = yield from side_by_side(v, self.v, block.scratch["values"])
        made = block.scratch["made"] if self.made.between else outputs
        yield multiply(weights, self.weights, values, self.v.apart, made)
        yield from put_back(made, self.made, outputs)

    def bind_backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> Iterator[Bound]:
        """With A the weights, G the gradient at y and S that before softmax, four products.

        grad_v = Aᵀ G, grad_A = G vᵀ, grad_q = factor · S kᵀ, grad_k = factor · qᵀ S.
        """
        q, k, v = (plain(each.value) for each in x)
        weights, scores = block.saved["weights"], block.scratch["weights"]
        grad = yield from side_by_side(plain(y.grad), self.made, block.scratch["grad"])
        if x[2].has_grad:
            target = plain(x[2].grad)
            made = block.scratch["values"] if self.v.between else target
            yield multiply(weights, self.weights.turned, grad, self.made.apart, made)
            yield from put_back(made, self.v, target)
        if not (x[0].has_grad or x[1].has_grad):
            return
        values = yield from side_by_side(v, self.v.turned, block.scratch["values"])
        yield multiply(grad, self.made.apart, values, self.v.turned.apart, scores)
        yield softmax_backward, (self._rows(weights), self._rows(scores), self._rows(scores))
        if x[0].has_grad:
            target = plain(x[0].grad)
            made = block.scratch["queries"] if self.q.between else target
            keys = yield from side_by_side(k, self.k.turned, block.scratch["keys"])
            yield multiply(scores, self.weights, keys, self.k.turned.apart, made, self.factor)
            yield from put_back(made, self.q, target)
        if x[1].has_grad:
            target = plain(x[1].grad)
            made = block.scratch["keys"] if self.k.between else target
            yield multiply(q, self.q.turned, scores, self.weights, made, self.factor)
            yield from put_back(made, self.k, target)
