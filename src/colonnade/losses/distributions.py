"""Losses of distributions: how far one is from another, and how likely numbers are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import arguments
from ..errors import ArgumentError, ShapeError
from ..ops.layout import Array
from ..tensor import Shape
from .base import Loss, Reduction, stretchable


class KLDivLoss(Loss):
    """Kullback-Leibler divergence of the targets from y, which holds logarithms.

        loss = Σ t · (log t − y) / Z        0 · log 0 = 0
        ∂loss/∂y = −t / Z

    Shapes: y and targets of one shape, any.

    Args:
        size_average: See :class:`Loss`.
        reduce: See there.
        reduction: `"mean"` divides by the number of numbers, as in PyTorch, `"batchmean"` by the number of images, as
            the divergence is defined, `"sum"` by nothing; `"none"` keeps a value for each number of y.
        log_target: Whether the targets are logarithms too.

    Raises:
        ShapeError: Targets of another shape.
    """

    reductions = ("mean", "sum", "none", "batchmean")

    def __init__(
        self,
        size_average: None = None,
        reduce: None = None,
        reduction: Reduction = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = arguments.flag(self._name, "log_target", log_target)

    def count(self, shape: Shape, targets: Array) -> float:
        """Z."""
        return shape[0] if self.reduction == "batchmean" else math.prod(shape)

    def terms(self, y: Array, targets: Array) -> tuple[Array, Array]:
        """t · (log t − y) of each number, and the gradient of the sum."""
        given = targets.astype(y.dtype)
        if self.log_target:
            log_t, t = given, np.exp(given)
        else:
            log_t, t = np.log(np.where(given == 0, 1, given)), given  # NaN of what is no share
        counted = (t != 0) | np.isnan(y)  # 0 · log 0 = 0, but a NaN is told
        return np.where(counted, t * (log_t - y), 0), np.negative(t)


class GaussianNLLLoss(Loss):
    """Negative log-likelihood of normal distributions, whose means and variances a model puts out.

        loss = Σ ½ (log v + (y − t)² / v) / N        v = max(var, ε), N = the number of numbers in y
        ∂loss/∂y = (y − t) / v / N
        ∂loss/∂var = ½ (1 − (y − t)² / v) / v / N

    The gradient at var is that at v, also where ε is the greater: a variance of nothing still learns to grow.

    Shapes: y, called `input` by PyTorch, and targets are of one shape; var has it too, or 1 for one of its axes, or all
    axes but the last, or is a single number.

    Args:
        full: Whether the constant ½ log 2π is added to each value.
        eps: ε, the least variance that is reckoned with.
        reduction: `"mean"` divides by N, `"sum"` does not, `"none"` keeps a value for each number of y.

    Raises:
        ArgumentError: A negative variance, or ε that is not positive.
        ShapeError: Targets of another shape, or variances that do not fit.

    Nix and Weigend 1994, Estimating the mean and variance of the target probability distribution. Derived in
    docs/math/losses.md.
    """

    inputs = ("input", "var")

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = arguments.flag(self._name, "full", full)
        self.eps = arguments.number(self._name, "eps", eps, above=0)

    def __call__(  # type: ignore[override]  # the order of arguments is PyTorch's
        self, input: Array, target: ArrayLike, var: ArrayLike, *, gradient: ArrayLike | None = None
    ) -> tuple[Any, tuple[Array, Array]]:
        """The loss, and its gradients at `input` and `var`; see :meth:`Loss.__call__`."""
        return self.reduced((input, var), target, gradient)

    def check(self, shape: tuple[Shape, Shape], targets: Array) -> None:
        """Targets of the means' shape, and variances that fit it."""
        means, variances = shape
        super().check(means, targets)
        full = stretchable(variances, len(means))
        pairs = list(zip(means, full, strict=False))
        stretched = [each for size, each in pairs if size != each]
        fits = len(full) == len(means) and (not variances or stretched in ([], [1]))
        if not fits or 0 < len(variances) < len(means) - 1:
            raise ShapeError(
                f"{self._name}: var must have the shape {means}, with 1 for one axis or without the last, or be a "
                f"number, got {variances}."
            )

    def count(self, shape: tuple[Shape, Shape], targets: Array) -> float:
        """N."""
        return math.prod(shape[0])

    def terms(self, y: tuple[Array, Array], targets: Array) -> tuple[Array, tuple[Array, Array]]:
        """½ (log v + (y − t)² / v) of each number, and the gradients of the sum, that at var stretched to y."""
        means, variances = y
        if (variances < 0).any():
            raise ArgumentError(f"{self._name}: var must not be negative, got {variances.min():g}.")
        v = np.maximum(variances, self.eps).reshape(stretchable(variances.shape, means.ndim))
        difference = np.subtract(means, targets, dtype=means.dtype)
        squares = np.square(difference) / v
        values = (np.log(v) + squares) / 2
        if self.full:
            values += math.log(2 * math.pi) / 2
        return values, (difference / v, (1 - squares) / (2 * v))
