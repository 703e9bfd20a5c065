"""Arithmetic of several tensors, element by element: Sub, Div, Remainder, Fmod, Pow, Maximum, Minimum, Where.

Add and Mul stand in :mod:`colonnade.layers.wiring`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from ..errors import ShapeError
from ..ops import arithmetic
from ..ops.layout import laid_like
from ..tensor import Shape, Tensor
from .base import Block, Direction, Scratch
from .wiring import Elementwise


class OfTwo(Elementwise):
    """What those share that have a first input and a second."""

    def join(self, shapes: Sequence[Shape]) -> Shape:
        if len(shapes) != 2:
            raise ShapeError(f"{type(self).__name__}: expected two inputs, got {len(shapes)}.")
        return super().join(shapes)


class Sub(OfTwo):
    """y = x₁ − x₂.

    Args:
        stretch: Take axes of length 1 too, each stretched to the other's length as NumPy does.
    """

    in_place = True

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        arithmetic.subtract_forward(x[0].value, x[1].value, y.value)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        if x[1].has_grad:  # first, since the other may lie where y.grad does
            arithmetic.subtract_backward_right(y.grad, x[1].grad)
        if x[0].has_grad:
            arithmetic.add_backward(y.grad, x[0].grad)


class Div(OfTwo):
    """y = x₁ / x₂.

    Args:
        stretch: Take axes of length 1 too, each stretched to the other's length as NumPy does.
    """

    reads = {"input"}

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"quotient": Scratch((math.prod(shape),))} if direction == "backward" else {}

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        arithmetic.divide_forward(x[0].value, x[1].value, y.value)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        quotient = laid_like(y.grad, block.scratch["quotient"])
        if x[0].has_grad:
            arithmetic.divide_backward_left(x[1].value, y.grad, x[0].grad, quotient)
        if x[1].has_grad:
            arithmetic.divide_backward_right(x[0].value, x[1].value, y.grad, x[1].grad, quotient)


class Remainder(OfTwo):
    """y = x₁ − ⌊x₁ / x₂⌋ x₂: what a division leaves, with the sign of x₂.

    Args:
        stretch: Take axes of length 1 too, each stretched to the other's length as NumPy does.

    After torch.remainder.
    """

    reads = {"input"}
    truncated: ClassVar[bool] = False

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"quotient": Scratch((math.prod(shape),))} if direction == "backward" else {}

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        arithmetic.remainder_forward(x[0].value, x[1].value, self.truncated, y.value)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        left, right = x
        quotient = laid_like(y.grad, block.scratch["quotient"])
        if right.has_grad:
            arithmetic.remainder_backward_right(left.value, right.value, y.grad, self.truncated, right.grad, quotient)
        if left.has_grad:
            arithmetic.add_backward(y.grad, left.grad)


class Fmod(Remainder):
    """As :class:`Remainder` with the quotient cut off, so that y has the sign of x₁. After torch.fmod."""

    truncated = True


class Pow(OfTwo):
    """y = x₁ ** x₂; NaN where x₁ is negative and x₂ no whole number.

    The slope by x₂, y log x₁, is zero where x₁ is zero and x₂ not negative, and that by x₁ where x₂ is zero.
    For one exponent for all there is :class:`Power`.

    Args:
        stretch: Take axes of length 1 too, each stretched to the other's length as NumPy does.
    """

    reads = {"input"}

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        size = math.prod(shape)
        if direction == "forward":
            return {}
        return {"slope": Scratch((size,)), "factor": Scratch((size,)), "zero": Scratch((size,), np.bool_)}

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        arithmetic.pow_forward(x[0].value, x[1].value, y.value)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        base, exponent = x[0].value, x[1].value
        scratch = [laid_like(y.grad, block.scratch[name]) for name in ("slope", "factor", "zero")]
        if x[0].has_grad:
            arithmetic.pow_backward_base(base, exponent, y.grad, x[0].grad, *scratch)
        if x[1].has_grad:
            arithmetic.pow_backward_exponent(base, exponent, y.grad, x[1].grad, *scratch)


class Extremum(Elementwise):
    """What Maximum and Minimum share: the gradient goes to the input that was chosen, in equal parts to equal ones."""

    reads = {"input", "output"}
    choose: ClassVar[np.ufunc]

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        size = math.prod(shape)
        return {"share": Scratch((size,)), "chosen": Scratch((size,))} if direction == "backward" else {}

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        arithmetic.combine_forward(self.choose, [each.value for each in x], y.value)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        share, chosen = (laid_like(y.grad, block.scratch[name]) for name in ("share", "chosen"))
        arithmetic.choice_share([each.value for each in x], y.value, y.grad, share, chosen)
        for each in x:
            if each.has_grad:
                arithmetic.choice_backward(each.value, y.value, share, each.grad, chosen)


class Maximum(Extremum):
    """y = max(x₁, x₂, …), element by element; NaN where any is.

    Args:
        stretch: Take axes of length 1 too, each stretched to the others' length as NumPy does.
    """

    choose = np.maximum


class Minimum(Extremum):
    """y = min(x₁, x₂, …), element by element; NaN where any is.

    Args:
        stretch: Take axes of length 1 too, each stretched to the others' length as NumPy does.
    """

    choose = np.minimum


class Where(Elementwise):
    """y = x₂ where x₁ is not zero, else x₃; no gradient passes to x₁.

    Args:
        stretch: Take axes of length 1 too, each stretched to the others' length as NumPy does.
    """

    reads = {"input"}

    def join(self, shapes: Sequence[Shape]) -> Shape:
        if len(shapes) != 3:
            raise ShapeError(f"Where: expected three inputs, got {len(shapes)}.")
        return super().join(shapes)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        size = math.prod(shape)
        spaces = {"chosen": Scratch((size,), np.bool_)}
        return spaces | ({"part": Scratch((size,))} if direction == "backward" else {})

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        chosen = laid_like(y.value, block.scratch["chosen"])
        arithmetic.where_forward(x[0].value, x[1].value, x[2].value, y.value, chosen)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        scratch = [laid_like(y.grad, block.scratch[name]) for name in ("chosen", "part")]
        if x[0].has_grad:
            x[0].grad.fill(0)
        for target, side in ((x[1], True), (x[2], False)):
            if target.has_grad:
                arithmetic.where_backward(x[0].value, y.grad, side, target.grad, *scratch)
