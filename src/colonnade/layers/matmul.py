"""MatMul: the matrix product of two tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import ShapeError
from ..ops.matmul import matmul_backward_left, matmul_backward_right, matmul_forward, matmul_scratch
from ..tensor import Shape, Tensor
from .base import Block, Direction, Scratch
from .wiring import Wiring


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

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        left, right = ((shape[0], *each) for each in self._shapes)
        return {"numbers": Scratch((matmul_scratch(left, right, backward=direction == "backward"),))}

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        matmul_forward(x[0].value, x[1].value, y.value, block.scratch["numbers"])

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        if x[0].has_grad:
            matmul_backward_left(y.grad, x[1].value, x[0].grad, block.scratch["numbers"])
        if x[1].has_grad:
            matmul_backward_right(x[0].value, y.grad, x[1].grad, block.scratch["numbers"])

    def multiplications(self, shape: Shape) -> int:
        return math.prod(shape) * self._shapes[0][-1]
