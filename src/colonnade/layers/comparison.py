"""Comparisons and logic of two tensors, element by element: 1 for true, 0 for false.

Their outputs are constant but for jumps: the gradient that they hand on is zero, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..tensor import Tensor
from .arithmetic import OfTwo
from .base import Block


class Comparison(OfTwo):
    """What these share."""

    function: ClassVar[Any]

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        self.function(x[0].value, x[1].value, out=y.value)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        for each in x:
            if each.has_grad:
                each.grad.fill(0)


class Equal(Comparison):
    """y = 1 where x₁ = x₂, else 0. No gradient passes: it is zero.

    Args:
        stretch: Take axes of length 1 too, each stretched to the other's length as NumPy does.
    """

    function = np.equal


class Less(Comparison):
    """y = 1 where x₁ < x₂, else 0. No gradient passes: it is zero.

    Args:
        stretch: Take axes of length 1 too, each stretched to the other's length as NumPy does.
    """

    function = np.less


class LessEqual(Comparison):
    """y = 1 where x₁ ≤ x₂, else 0. No gradient passes: it is zero.

    Args:
        stretch: Take axes of length 1 too, each stretched to the other's length as NumPy does.
    """

    function = np.less_equal


class Greater(Comparison):
    """y = 1 where x₁ > x₂, else 0. No gradient passes: it is zero.

    Args:
        stretch: Take axes of length 1 too, each stretched to the other's length as NumPy does.
    """

    function = np.greater


class GreaterEqual(Comparison):
    """y = 1 where x₁ ≥ x₂, else 0. No gradient passes: it is zero.

    Args:
        stretch: Take axes of length 1 too, each stretched to the other's length as NumPy does.
    """

    function = np.greater_equal


class LogicalAnd(Comparison):
    """y = 1 where x₁ and x₂ are both other than zero, else 0. No gradient passes: it is zero.

    Args:
        stretch: Take axes of length 1 too, each stretched to the other's length as NumPy does.
    """

    function = np.logical_and


class LogicalOr(Comparison):
    """y = 1 where x₁ or x₂ is other than zero, else 0. No gradient passes: it is zero.

    Args:
        stretch: Take axes of length 1 too, each stretched to the other's length as NumPy does.
    """

    function = np.logical_or


class LogicalXor(Comparison):
    """y = 1 where just one of x₁ and x₂ is other than zero, else 0. No gradient passes: it is zero.

    Args:
        stretch: Take axes of length 1 too, each stretched to the other's length as NumPy does.
    """

    function = np.logical_xor
