"""Losses of numbers: squares and absolute values of what is wrong, and what lies between."""

from __future__ import annotations

import numpy as np

from .. import arguments
from ..ops.layout import Array
from .base import Loss, Reduction


class MSELoss(Loss):
    """Mean squared error.

        loss = Σ (y − t)² / N        N = the number of numbers in y
        ∂loss/∂y = 2 (y − t) / N

    Shapes: y and targets of one shape, any.

    Args:
        size_average: See :class:`Loss`.
        reduce: See there.
        reduction: `"mean"` divides by N, `"sum"` does not, `"none"` keeps a value for each number of y.

    Raises:
        ShapeError: Targets of another shape: PyTorch would broadcast, and warn.

    Derived in docs/math/softmax_cross_entropy.md.
    """

    def terms(self, y: Array, targets: Array) -> tuple[Array, Array]:
        """(y − t)² of each number, and the gradient of the sum."""
        difference = np.subtract(y, targets, dtype=y.dtype)
        return np.square(difference), 2 * difference


class L1Loss(Loss):
    """Mean absolute error.

        loss = Σ |y − t| / N        N = the number of numbers in y
        ∂loss/∂y = sign(y − t) / N

    Shapes: y and targets of one shape, any.

    Args:
        size_average: See :class:`Loss`.
        reduce: See there.
        reduction: `"mean"` divides by N, `"sum"` does not, `"none"` keeps a value for each number of y.

    Raises:
        ShapeError: Targets of another shape.
    """

    def terms(self, y: Array, targets: Array) -> tuple[Array, Array]:
        """|y − t| of each number, and the gradient of the sum."""
        difference = np.subtract(y, targets, dtype=y.dtype)
        return np.abs(difference), np.sign(difference)


class HuberLoss(Loss):
    """Squares of small errors, absolute values of large ones: an outlier pulls no harder than others.

        loss = Σ h / N,  h = ½ (y − t)² where |y − t| ≤ δ, else δ (|y − t| − ½ δ)
        ∂loss/∂y = min(max(y − t, −δ), δ) / N

    Shapes: y and targets of one shape, any.

    Args:
        reduction: `"mean"` divides by N, the number of numbers in y, `"sum"` does not, `"none"` keeps a value for each
            number of y.
        delta: δ, up to where an error is small.

    Raises:
        ArgumentError: δ that is not positive.
        ShapeError: Targets of another shape.

    Huber 1964, Robust estimation of a location parameter.
    """

    def __init__(self, reduction: Reduction = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = arguments.number(self._name, "delta", delta, above=0)

    def terms(self, y: Array, targets: Array) -> tuple[Array, Array]:
        """h of each number, and the gradient of the sum."""
        difference = np.subtract(y, targets, dtype=y.dtype)
        size = np.abs(difference)
        small = np.minimum(size, self.delta)
        return small * (size - small / 2), np.clip(difference, -self.delta, self.delta, out=difference)


class SmoothL1Loss(Loss):
    """The absolute error, rounded where it is small: the Huber loss divided by its δ, so that its ends stay L1's.

        loss = Σ h / N,  h = ½ (y − t)² / β where |y − t| < β, else |y − t| − ½ β
        ∂loss/∂y = min(max((y − t) / β, −1), 1) / N

    Shapes: y and targets of one shape, any.

    Args:
        size_average: See :class:`Loss`.
        reduce: See there.
        reduction: `"mean"` divides by N, the number of numbers in y, `"sum"` does not, `"none"` keeps a value for each
            number of y.
        beta: β, up to where an error is small; with 0 it is `L1Loss`.

    Raises:
        ArgumentError: A negative β.
        ShapeError: Targets of another shape.

    Girshick 2015, Fast R-CNN, arXiv:1504.08083.
    """

    def __init__(
        self,
        size_average: None = None,
        reduce: None = None,
        reduction: Reduction = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = arguments.number(self._name, "beta", beta, 0)

    def terms(self, y: Array, targets: Array) -> tuple[Array, Array]:
        """h of each number, and the gradient of the sum."""
        if self.beta == 0:
            return L1Loss().terms(y, targets)
        values, grad = HuberLoss(delta=self.beta).terms(y, targets)
        return values / self.beta, grad / self.beta
