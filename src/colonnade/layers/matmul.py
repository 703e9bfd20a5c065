"""MatMul: the matrix product of two tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import ShapeError
from ..ops.layout import Array
from ..tensor import Shape, Tensor
from .base import Block, Direction, Scratch
from .wiring import Wiring, sum_to


class MatMul(Wiring):
    """y = x₁ x₂, the last two axes being the matrices'; in those before them, length 1 is stretched.

    Shapes: x₁ (n, ..., m, k), x₂ (n, ..., k, p), y (n, ..., m, p). An object stands in one place.

    Raises:
        ShapeError: Other than two inputs, of as many axes each, whose matrices fit.
    """

    reads = {"input"}
    cheap = False

    def __init__(self) -> None:
        self._shapes: tuple[Shape, Shape] = ((), ())

    def join(self, shapes: Sequence[Shape]) -> Shape:
        given = ", ".join(map(str, shapes))
        if len(shapes) != 2 or len(shapes[0]) != len(shapes[1]) or len(shapes[0]) < 2:
            raise ShapeError(f"MatMul: expected two inputs of as many axes each, two or more, got {given}.")
        left, right = shapes
        if left[-1] != right[-2]:
            raise ShapeError(f"MatMul: expected as many columns as rows, got {given}.")
        try:
            stack = np.broadcast_shapes(left[:-2], right[:-2])
        except ValueError:
            raise ShapeError(
                f"MatMul: expected stacks of matrices that can be stretched to one, got {given}."
            ) from None
        self._shapes = left, right
        return (*stack, left[-2], right[-1])

    # Arrays of four axes lie channels-last, where a matrix has no rows side by side, and the product would be slow.
    # They are copied, and so is what becomes one.

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        images, stack = shape[0], shape[1:-2]
        spaces = {}
        if len(shape) == 4:
            names = ("left", "right", "product")
            for name, each in zip(names, (*self._shapes, shape[1:]), strict=True):
                spaces[name] = Scratch((images, *each))
        if direction == "backward":
            for name, each in zip(("grad_left", "grad_right"), self._shapes, strict=True):
                if len(shape) == 4 or each[:-2] != stack:
                    spaces[name] = Scratch((images, *stack, *each[-2:]))
        return spaces

    def _plain(self, array: Array, name: str, block: Block) -> Array:
        if name not in block.scratch:
            return array
        np.copyto(block.scratch[name], array)
        return block.scratch[name]

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        left, right = self._plain(x[0].value, "left", block), self._plain(x[1].value, "right", block)
        product = block.scratch.get("product", y.value)
        np.matmul(left, right, out=product)
        if product is not y.value:
            np.copyto(y.value, product)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        grad_y = self._plain(y.grad, "product", block)
        for number, (name, other) in enumerate((("grad_left", "right"), ("grad_right", "left"))):
            if not x[number].has_grad:
                continue
            turned = self._plain(x[1 - number].value, other, block).swapaxes(-1, -2)
            target = block.scratch.get(name, x[number].grad)
            pair = (grad_y, turned) if number == 0 else (turned, grad_y)
            np.matmul(*pair, out=target)
            if target is not x[number].grad:
                sum_to(target, x[number].grad)

    def multiplications(self, shape: Shape) -> int:
        return math.prod(shape) * self._shapes[0][-1]
