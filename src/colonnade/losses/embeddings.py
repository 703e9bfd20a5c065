"""Losses of distances: how near embeddings of the same should be, and how far those of others."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from .. import arguments
from ..errors import ArgumentError, ShapeError
from ..ops.layout import Array
from ..tensor import Shape
from .base import Loss, Reduction

TINY = 1e-12  # keeps the cosine of a vector of no length finite


class _Embeddings(Loss):
    """A loss of vectors along the last axis, of one shape, with a value for each."""

    def check(self, shape: tuple[Shape, ...], targets: Any) -> None:
        """Inputs of one shape."""
        if len(set(shape)) > 1:
            names = ", ".join(self.inputs)
            raise ShapeError(f"{self._name}: {names} must have one shape, got {', '.join(map(str, shape))}.")

    def count(self, shape: tuple[Shape, ...], targets: Any) -> float:
        """The number of vectors of an input."""
        return math.prod(shape[0][:-1])

    def spread(self, weights: Array) -> Array:
        """A weight of each vector, for all its numbers."""
        return weights[..., np.newaxis]


class TripletMarginLoss(_Embeddings):
    """An anchor is to be nearer to a positive than to a negative, by a margin.

        loss = Σ max(d(a, p) − d(a, n) + margin, 0) / N        d(x, y) = ‖x − y + ε‖ along the last axis

    With swap, d(a, n) is the smaller of d(a, n) and d(p, n). Where a value is zero, no gradient is.

    Shapes: anchor, positive and negative are (n, ..., features), of one shape; there are no targets.

    Args:
        margin: By how much.
        p: The norm ‖·‖ is (Σ |x|ᵖ)^(1/p); infinity for the greatest absolute value.
        eps: ε, keeps the slope finite where two are the same.
        swap: Whether the positive may take the anchor's place, where it is nearer to the negative.
        size_average: See :class:`Loss`.
        reduce: See there.
        reduction: `"mean"` divides by N, the number of triplets, `"sum"` does not, `"none"` keeps a value for each.

    Raises:
        ArgumentError: A margin or p that is not positive.
        ShapeError: Inputs of several shapes.

    Balntas et al. 2016, Learning local feature descriptors with triplets and shallow convolutional neural networks.
    Derived in docs/math/losses.md.
    """

    inputs = ("anchor", "positive", "negative")
    takes_targets: ClassVar[bool] = False

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: None = None,
        reduce: None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = arguments.number(self._name, "margin", margin, above=0)
        self.p = arguments.number(self._name, "p", p, above=0, finite=False)
        self.eps = arguments.number(self._name, "eps", eps, 0)
        self.swap = arguments.flag(self._name, "swap", swap)

    def __call__(  # type: ignore[override]  # there are no targets
        self, anchor: Array, positive: Array, negative: Array, *, gradient: ArrayLike | None = None
    ) -> tuple[Any, tuple[Array, Array, Array]]:
        """The loss, and its gradients at `anchor`, `positive` and `negative`; see :meth:`Loss.__call__`."""
        return self.reduced((anchor, positive, negative), None, gradient)

    def terms(self, y: tuple[Array, Array, Array], targets: None) -> tuple[Array, tuple[Array, ...]]:
        """max(d(a, p) − d(a, n) + margin, 0) of each triplet, and the gradients of their sum."""
        anchor, positive, negative = y
        near, at_near = self._distance(anchor, positive)
        far, at_far = self._distance(anchor, negative)
        grads = [at_near - at_far, -at_near, at_far]
        if self.swap:
            other, at_other = self._distance(positive, negative)
            # Of two distances that are the same, each has half of the gradient.
            share = np.where(far == other, 0.5, far > other)[..., np.newaxis].astype(anchor.dtype)
            grads = [
                at_near - (1 - share) * at_far,
                -at_near - share * at_other,
                (1 - share) * at_far + share * at_other,
            ]
            far = np.minimum(far, other)
        values = near - far + self.margin
        kept = ~(values < 0)  # so written that NaN is told
        return np.where(kept, values, 0), tuple(np.where(kept[..., np.newaxis], grad, 0) for grad in grads)

    def _distance(self, x: Array, y: Array) -> tuple[Array, Array]:
        """d(x, y), and its slope at x."""
        difference = x - y + self.eps
        size = np.abs(difference)
        if self.p == math.inf:
            distance = size.max(axis=-1, keepdims=True)
            greatest = size == distance
            slope = np.sign(difference) * greatest / greatest.sum(axis=-1, keepdims=True)
        else:
            distance = np.sum(size**self.p, axis=-1, keepdims=True) ** (1 / self.p)
            # |x|ᵖ⁻¹ / dᵖ⁻¹ as a power of their quotient, which is no more than 1: neither overflows.
            share = np.divide(size, distance, out=np.ones_like(size), where=size != 0)
            slope = np.sign(difference) * share ** (self.p - 1)
        slope = np.where(distance == 0, 0, slope)
        return distance[..., 0], slope.astype(x.dtype, copy=False)


class CosineEmbeddingLoss(_Embeddings):
    """Two vectors are to point the same way, or not.

        loss = Σ value / N        value = 1 − cos(x1, x2) where the target is 1, max(cos(x1, x2) − margin, 0) where −1
        cos(a, b) = a · b / √(|a|² |b|²),  ∂cos/∂a = b / √(|a|² |b|²) − cos(a, b) · a / |a|²

    Shapes: x1 and x2 are (n, features), targets (n,); or vectors (features,) and one target.

    Args:
        margin: How alike vectors may be that are not to be.
        size_average: See :class:`Loss`.
        reduce: See there.
        reduction: `"mean"` divides by N, the number of pairs, `"sum"` does not, `"none"` keeps a value for each.

    Raises:
        ArgumentError: Targets other than 1 and −1, or a margin out of [−1, 1].
        ShapeError: Inputs of several shapes, or another number of targets.

    Derived in docs/math/losses.md.
    """

    inputs = ("x1", "x2")

    def __init__(
        self, margin: float = 0.0, size_average: None = None, reduce: None = None, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = arguments.number(self._name, "margin", margin, -1, 1)

    def __call__(  # type: ignore[override]  # of two inputs
        self, x1: Array, x2: Array, target: ArrayLike, *, gradient: ArrayLike | None = None
    ) -> tuple[Any, tuple[Array, Array]]:
        """The loss, and its gradients at `x1` and `x2`; see :meth:`Loss.__call__`."""
        return self.reduced((x1, x2), target, gradient)

    def check(self, shape: tuple[Shape, ...], targets: Array) -> None:
        """Inputs of one shape, and a target of each pair."""
        super().check(shape, targets)
        if len(shape[0]) > 2 or targets.shape != shape[0][:-1]:
            raise ShapeError(
                f"{self._name}: x1 and x2 (n, features) need targets (n,), got {shape[0]} and {targets.shape}."
            )
        wrong = ~np.isin(targets, (1, -1))
        if wrong.any():
            raise ArgumentError(f"{self._name}: targets must be 1 or -1, got {targets[wrong].flat[0]:g}.")

    def terms(self, y: tuple[Array, Array], targets: Array) -> tuple[Array, tuple[Array, Array]]:
        """1 − cos, or max(cos − margin, 0), of each pair, and the gradients of their sum."""
        x1, x2 = y
        squares = [np.sum(np.square(x), axis=-1) + TINY for x in y]
        root = np.sqrt(squares[0] * squares[1])
        cosine = np.sum(x1 * x2, axis=-1) / root
        alike = targets == 1
        above = cosine - self.margin
        values = np.where(alike, 1 - cosine, np.where(above < 0, 0, above))
        slope = np.where(alike, -1, np.where(above < 0, 0, 1)).astype(x1.dtype)[..., np.newaxis]
        grads = [
            slope * (other / root[..., np.newaxis] - (cosine / square)[..., np.newaxis] * x)
            for x, other, square in ((x1, x2, squares[0]), (x2, x1, squares[1]))
        ]
        return values, (grads[0], grads[1])
