"""Arithmetic of several tensors, element by element: Sub, Div, Pow, Maximum, Minimum, Where.

Add and Mul stand in :mod:`colonnade.layers.wiring`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from ..errors import ShapeError
from ..ops.layout import laid_like
from ..ops.reduction import sum_to
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
        np.subtract(x[0].value, x[1].value, out=y.value)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        if x[1].has_grad:  # first, since the other may lie where y.grad does
            sum_to(y.grad, x[1].grad)
            np.negative(x[1].grad, out=x[1].grad)
        if x[0].has_grad:
            sum_to(y.grad, x[0].grad)


class Div(OfTwo):
    """y = x₁ / x₂.

    Args:
        stretch: Take axes of length 1 too, each stretched to the other's length as NumPy does.
    """

    reads = {"input"}

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"quotient": Scratch((math.prod(shape),))} if direction == "backward" else {}

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        np.divide(x[0].value, x[1].value, out=y.value)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        quotient = laid_like(y.grad, block.scratch["quotient"])
        if x[0].has_grad:
            np.divide(y.grad, x[1].value, out=quotient)
            sum_to(quotient, x[0].grad)
        if x[1].has_grad:
            np.divide(x[0].value, x[1].value, out=quotient)
            np.divide(quotient, x[1].value, out=quotient)
            np.multiply(quotient, y.grad, out=quotient)
            sum_to(quotient, x[1].grad)
            np.negative(x[1].grad, out=x[1].grad)


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
        np.power(x[0].value, x[1].value, out=y.value)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        base, exponent = x[0].value, x[1].value
        slope, factor, zero = (laid_like(y.grad, block.scratch[name]) for name in ("slope", "factor", "zero"))
        if x[0].has_grad:
            np.subtract(exponent, 1, out=factor)
            np.power(base, factor, out=slope)
            np.multiply(slope, exponent, out=slope)
            np.multiply(slope, y.grad, out=slope)
            np.equal(exponent, 0, out=zero)
            np.copyto(slope, 0, where=zero)
            sum_to(slope, x[0].grad)
        if x[1].has_grad:
            np.power(base, exponent, out=slope)
            np.copyto(factor, base)
            np.log(factor, out=factor)
            np.multiply(slope, factor, out=slope)
            np.multiply(slope, y.grad, out=slope)
            np.equal(base, 0, out=zero)
            np.greater_equal(exponent, 0, out=factor)
            np.logical_and(zero, factor, out=zero)
            np.copyto(slope, 0, where=zero)
            sum_to(slope, x[1].grad)


class Extremum(Elementwise):
    """What Maximum and Minimum share: the gradient goes to the input that was chosen, in equal parts to equal ones."""

    reads = {"input", "output"}
    choose: ClassVar[np.ufunc]

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        size = math.prod(shape)
        return {"share": Scratch((size,)), "chosen": Scratch((size,))} if direction == "backward" else {}

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        self.choose(x[0].value, x[1].value, out=y.value)
        for other in x[2:]:
            self.choose(y.value, other.value, out=y.value)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        share, chosen = (laid_like(y.grad, block.scratch[name]) for name in ("share", "chosen"))
        share.fill(0)
        for each in x:
            np.equal(each.value, y.value, out=chosen)
            np.add(share, chosen, out=share)
        np.divide(y.grad, share, out=share)
        for each in x:
            if each.has_grad:
                np.equal(each.value, y.value, out=chosen)
                np.multiply(chosen, share, out=chosen)
                sum_to(chosen, each.grad)


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
        np.not_equal(x[0].value, 0, out=chosen)
        np.copyto(y.value, x[2].value)
        np.copyto(y.value, x[1].value, where=chosen)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        chosen, part = (laid_like(y.grad, block.scratch[name]) for name in ("chosen", "part"))
        np.not_equal(x[0].value, 0, out=chosen)
        if x[0].has_grad:
            x[0].grad.fill(0)
        # Chosen by copies, not by products: a gradient that is no number stays where it belongs.
        for side in (x[1], x[2]):
            if side.has_grad:
                part.fill(0)
                np.copyto(part, y.grad, where=chosen)
                sum_to(part, side.grad)
            np.logical_not(chosen, out=chosen)
