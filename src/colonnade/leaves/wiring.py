"""What joins paths, and parts them: sums, products, channels side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from .. import layers
from ..compiled.activation import IDENTITY, NONE, Activation, activation_backward
from ..compiled.addition import (
    addition_forward,
    channel_scaling_backward,
    channel_scaling_forward,
    multiplication_backward,
    multiplication_forward,
)
from ..compiled.copies import copy_columns
from ..layers.base import Block, Bound, Direction, Layer, Scratch
from ..layers.wiring import Fork, Wiring
from ..ops.layout import Array
from ..tensor import Shape, Tensor
from .base import Leaf, last_axis, plain, positions, rows


def leaf_for(layer: Layer, inputs: Sequence[Shape]) -> Leaf | None:
    """The leaf of a layer that has several inputs, of such shapes, or several outputs; None if there is none."""
    alike = len(set(inputs)) == 1
    if isinstance(layer, layers.Add) and alike:
        return CompiledAddition(layer)
    if isinstance(layer, Fork):
        return CompiledFork(layer)
    if isinstance(layer, layers.Concat) and layer.dim % (len(inputs[0]) + 1) == last_axis(inputs[0]):
        return CompiledConcat(layer)
    if isinstance(layer, layers.Mul) and len(inputs) == 2:
        if alike:
            return CompiledMultiplication(layer)
        wide = 0 if inputs[0][1:] != (1, 1) else 1
        if len(inputs[0]) == 3 and inputs[1 - wide] == (inputs[wide][0], 1, 1):
            return CompiledChannelScaling(layer, wide)
    return None


class CompiledAddition(Leaf, Wiring):
    """y = f(x₁ + x₂ + …), f the identity or an activation whose gradient reads the output."""

    in_place = True

    def __init__(self, addition: layers.Add, layer: Layer | None = None, activation: Activation = NONE) -> None:
        self.stands_for = (addition,) if layer is None else (addition, layer)
        self.activation = activation
        self.reads = activation.reads  # type: ignore[misc]
        self.views = addition.views if layer is None else set()  # type: ignore[misc]

    def bind_forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> Iterator[Bound]:
        kind, a, b = self.activation
        total, outputs = plain(x[0].value), plain(y.value)
        for other in x[1:-1]:
            yield addition_forward(IDENTITY), (total, plain(other.value), a, b, outputs)
            total = outputs
        yield addition_forward(kind), (total, plain(x[-1].value), a, b, outputs)

    def bind_backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> Iterator[Bound]:
        kind, a, b = self.activation
        grad = plain(y.grad)
        graded = [tensor for tensor in x if tensor.has_grad]
        known = plain(y.value) if self.reads else grad
        yield activation_backward(kind), (known, grad, a, b, plain(graded[0].grad))
        for tensor in graded[1:]:
            yield np.copyto, (plain(tensor.grad), plain(graded[0].grad))


class CompiledFork(Leaf, Wiring):
    """Hands its input on to several readers, and adds up what comes back."""

    views: ClassVar[set[str]] = {"forward"}
    in_place = True

    def __init__(self, fork: Fork) -> None:
        self.stands_for = (fork,)

    def bind_forward(self, x: Sequence[Tensor], y: Sequence[Tensor], block: Block) -> Iterator[Bound]:
        for output in y:
            yield np.copyto, (output.value, x[0].value)

    def bind_backward(self, x: Sequence[Tensor], y: Sequence[Tensor], block: Block) -> Iterator[Bound]:
        _, a, b = NONE
        total, first = plain(x[0].grad), plain(y[0].grad)
        for output in y[1:]:
            yield addition_forward(IDENTITY), (first, plain(output.grad), a, b, total)
            first = total


class CompiledConcat(Leaf, Wiring):
    """The inputs side by side along the axis that lies last in memory."""

    def __init__(self, concat: layers.Concat) -> None:
        self.stands_for = (concat,)

    def bind_forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> Iterator[Bound]:
        outputs, to = rows(y.value), 0
        for tensor in x:
            values = rows(tensor.value)
            yield copy_columns, (values, 0, outputs, to, values.shape[1])
            to += values.shape[1]

    def bind_backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> Iterator[Bound]:
        grad, first = rows(y.grad), 0
        for tensor in x:
            columns = tensor.shape[1] if len(tensor.shape) == 4 else tensor.shape[-1]
            if tensor.has_grad:
                yield copy_columns, (grad, first, rows(tensor.grad), 0, columns)
            first += columns


class CompiledMultiplication(Leaf, Wiring):
    """y = x₁ · x₂, number by number."""

    reads: ClassVar[set[str]] = {"input"}

    def __init__(self, mul: layers.Mul) -> None:
        self.stands_for = (mul,)

    def bind_forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> Iterator[Bound]:
        yield multiplication_forward, (plain(x[0].value), plain(x[1].value), plain(y.value))

    def bind_backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> Iterator[Bound]:
        grad, (left, right) = plain(y.grad), x
        if left.has_grad and right.has_grad:
            yield (
                multiplication_backward,
                (plain(left.value), plain(right.value), grad, plain(left.grad), plain(right.grad)),
            )
            return
        target, other = (left, right) if left.has_grad else (right, left)
        yield multiplication_forward, (grad, plain(other.value), plain(target.grad))


class CompiledChannelScaling(Leaf, Wiring):
    """Images times a number for each of their channels, as in squeeze-and-excitation.

    Args:
        mul: The layer.
        wide: Which of its two inputs is the images, 0 or 1.
    """

    reads: ClassVar[set[str]] = {"input"}

    def __init__(self, mul: layers.Mul, wide: int) -> None:
        self.stands_for, self.wide = (mul,), wide

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"grad": Scratch(shape)} if direction == "backward" else {}

    def bind_forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> Iterator[Bound]:
        images, factor = x[self.wide], x[1 - self.wide]
        yield channel_scaling_forward, (positions(images.value), _vectors(factor.value), positions(y.value))

    def bind_backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> Iterator[Bound]:
        images, factor, grad = x[self.wide], x[1 - self.wide], positions(y.grad)
        if not factor.has_grad:
            yield channel_scaling_forward, (grad, _vectors(factor.value), positions(images.grad))
            return
        target = positions(images.grad) if images.has_grad else block.scratch["grad"].reshape(grad.shape)
        values, factors = positions(images.value), _vectors(factor.value)
        yield channel_scaling_backward, (values, factors, grad, target, _vectors(factor.grad))


def _vectors(x: Array) -> Array:
    """(n, c, 1, 1) as (n, c)."""
    return plain(x).reshape(x.shape[0], x.shape[1])
