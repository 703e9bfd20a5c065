"""Losses of class numbers and of yes-or-no targets, from logits or from logarithms of probabilities."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from .. import arguments
from ..errors import ArgumentError, ShapeError
from ..ops.layout import Array
from ..ops.softmax import log_softmax_forward
from ..tensor import Shape
from .base import Loss, Reduction


class CrossEntropyLoss(Loss):
    """Softmax and negative log-likelihood in one, from logits.

        loss = −Σ q · log p / Z        p = softmax(y) along the classes
        ∂loss/∂y = (p · Σ_c q − q) / Z

    q is the distribution that p should have: one at an image's class, else zero; smoothed to
    (1 − label_smoothing) · q + label_smoothing / C; times the classes' weights. Z is the number of images, or, with
    weights and class numbers, the sum of the weights of the images' classes.

    Shapes: y (n, C) or (n, C, d₁, ...); targets are class numbers (n,) or (n, d₁, ...), or probabilities of y's shape.

    Args:
        weight: One weight a class, (C,); all 1 if left out.
        size_average: See :class:`Loss`.
        ignore_index: A class number that says: leave this target out.
        reduce: See :class:`Loss`.
        reduction: `"mean"` divides by Z, `"sum"` does not, `"none"` keeps a value for each target.
        label_smoothing: Share of q spread over all classes, in [0, 1] (Szegedy et al. 2016, arXiv:1512.00567).

    Raises:
        ArgumentError: Class numbers out of range or not integer, or a mean over nothing.
        ShapeError: Targets or weights that do not fit y.

    Derived in docs/math/softmax_cross_entropy.md.
    """

    def __init__(
        self,
        weight: ArrayLike | None = None,
        size_average: None = None,
        ignore_index: int = -100,
        reduce: None = None,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.weight = None if weight is None else arguments.array(self._name, "weight", weight)
        self.ignore_index = arguments.whole(self._name, "ignore_index", ignore_index)
        self.label_smoothing = arguments.number(self._name, "label_smoothing", label_smoothing, 0, 1)

    def check(self, shape: Shape, targets: Array) -> None:
        """Probabilities of the outputs' shape, or class numbers in range."""
        if len(shape) < 2:
            raise ShapeError(f"{self._name}: y must have the shape (n, classes, ...), got {shape}.")
        classes, expected = shape[1], (shape[0], *shape[2:])
        if self.weight is not None and self.weight.shape != (classes,):
            raise ShapeError(f"{self._name}: weight must have the shape ({classes},), got {self.weight.shape}.")
        if targets.shape == shape:
            if not np.issubdtype(targets.dtype, np.floating):
                raise ArgumentError(f"{self._name}: probabilities must be floating point, got {targets.dtype}.")
            return
        if targets.shape != expected:
            raise ShapeError(
                f"{self._name}: targets for y of shape {shape} must be class numbers of shape {expected} or "
                f"probabilities of shape {shape}, got {targets.shape}."
            )
        if not np.issubdtype(targets.dtype, np.integer):
            raise ArgumentError(f"{self._name}: class numbers must be integers, got {targets.dtype}.")
        wrong = self.counted(targets) & ((targets < 0) | (targets >= classes))
        if wrong.any():
            raise ArgumentError(
                f"{self._name}: class numbers must be from 0 to {classes - 1}, got {targets[wrong][0]}."
            )

    def check_meaning(self, shape: Shape, targets: Array) -> None:
        """More than one class, and shares of them that are not negative."""
        if shape[1] == 1:
            raise ArgumentError(
                f"{self._name}: of one class it is 0 whatever the model puts out: expected loss='bce_with_logits' for "
                "yes or no, loss='mse' for a number, or an output for each class."
            )
        if targets.shape == shape and targets.min() < 0:
            raise ArgumentError(
                f"{self._name}: targets of y's shape, {shape}, are probabilities or weights of the classes, got "
                f"{targets.min():g}: expected loss='mse' for numbers."
            )

    def counted(self, labels: Array) -> Array:
        """Which class numbers count: those that are not `ignore_index`."""
        return np.asarray(labels != self.ignore_index)

    def count(self, shape: Shape, targets: Array) -> float:
        """Z."""
        if targets.shape == shape:
            return math.prod(shape) / shape[1]
        labels = targets[self.counted(targets)]
        return float(labels.size if self.weight is None else np.sum(self.weight[labels], dtype=np.float64))

    def terms(self, y: Array, targets: Array) -> tuple[Array, Array]:
        """−Σ q · log p along the classes, and the gradient of the sum."""
        log_p = np.empty(y.shape, y.dtype)  # in the order of its axes, however y lies
        log_softmax_forward(y, 1, out=log_p)
        if targets.shape != y.shape and not self.label_smoothing:
            return self._terms_of_classes(log_p, targets)
        q = self._distribution(y, targets)
        p = np.exp(log_p)
        values = _cost(q, log_p).sum(axis=1, dtype=np.float64)
        if targets.shape != y.shape:
            values[~self.counted(targets)] = 0
        grad = np.multiply(p, q.sum(axis=1, keepdims=True), out=p)
        grad -= q
        return values, grad

    def spread(self, weights: Array) -> Array:
        """A weight of each target, for all classes."""
        return weights[:, np.newaxis]

    def _terms_of_classes(self, log_p: Array, targets: Array) -> tuple[Array, Array]:
        """The same where q is one number for each target, at its class, and else zero; `log_p` is written over."""
        images, classes, *places = log_p.shape
        count = math.prod(places)
        labels, counted = targets.reshape(images, count).astype(np.intp), self.counted(targets).reshape(images, count)
        every = bool(counted.all())
        if not every:
            labels = np.where(counted, labels, 0)
        q = counted.astype(log_p.dtype) if self.weight is None else self.weight.astype(log_p.dtype)[labels] * counted
        flat = log_p.reshape(-1)
        at = (np.arange(images)[:, np.newaxis] * classes + labels) * count + np.arange(count)
        values = np.where(counted, _cost(q, flat[at]), 0).reshape(targets.shape)
        np.exp(flat, out=flat)
        if not every or self.weight is not None:
            log_p *= q.reshape(images, 1, *places)
        flat[at] -= q
        return values, log_p

    def _distribution(self, y: Array, targets: Array) -> Array:
        """q, of y's shape."""
        classes = y.shape[1]
        counted = None
        if targets.shape == y.shape:
            q = targets.astype(y.dtype)
        else:
            labels = targets[:, np.newaxis]  # (n, 1, d₁, ...)
            counted = self.counted(labels)
            q = np.zeros_like(y)
            np.put_along_axis(q, np.where(counted, labels, 0), 1, axis=1)
        if self.label_smoothing:
            q *= 1 - self.label_smoothing
            q += self.label_smoothing / classes
        if self.weight is not None:
            q *= self.weight.astype(y.dtype).reshape(classes, *[1] * (y.ndim - 2))
        if counted is not None:
            q *= counted
        return q


class NLLLoss(CrossEntropyLoss):
    """Negative log-likelihood, from log-probabilities: the second half of :class:`CrossEntropyLoss`.

        loss = −Σ w[t] · y[t] / Z
        ∂loss/∂y = −w[t] / Z at an image's class t, else 0

    Shapes: y (n, C) or (n, C, d₁, ...), what `LogSoftmax` gives; targets are class numbers (n,) or (n, d₁, ...).

    Args:
        weight: w, one weight a class, (C,); all 1 if left out.
        size_average: See :class:`Loss`.
        ignore_index: A class number that says: leave this target out.
        reduce: See :class:`Loss`.
        reduction: `"mean"` divides by Z, the sum of the weights of the images' classes, `"sum"` does not, `"none"`
            keeps a value for each target.

    Raises:
        ArgumentError: Class numbers out of range or not integer, or a mean over nothing.
        ShapeError: Targets or weights that do not fit y.
    """

    def __init__(
        self,
        weight: ArrayLike | None = None,
        size_average: None = None,
        ignore_index: int = -100,
        reduce: None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(weight, size_average, ignore_index, reduce, reduction)

    def check_meaning(self, shape: Shape, targets: Array) -> None:
        """All targets have one: log-probabilities may be of one class, too."""

    def check(self, shape: Shape, targets: Array) -> None:
        """Class numbers in range."""
        if targets.shape == shape:
            raise ShapeError(f"{self._name}: targets must be class numbers, one for all classes, got {targets.shape}.")
        super().check(shape, targets)

    def terms(self, y: Array, targets: Array) -> tuple[Array, Array]:
        """−Σ q · y along the classes, and the gradient of the sum."""
        q, counted = self._distribution(y, targets), self.counted(targets)
        labels = np.where(counted, targets, 0)[:, np.newaxis]
        values = _cost(np.take_along_axis(q, labels, 1), np.take_along_axis(y, labels, 1))[:, 0]
        return np.where(counted, values, 0), np.negative(q, out=q)


class BCEWithLogitsLoss(Loss):
    """Sigmoid and binary cross-entropy in one, from logits.

        loss = −Σ w · (r · t · log σ(y) + (1 − t) · log(1 − σ(y))) / N        N = the number of numbers in y
        ∂loss/∂y = w · ((1 − t) · σ(y) − r · t · σ(−y)) / N

    Stable because −log σ(y) = softplus(−y) and −log(1 − σ(y)) = softplus(y), where
    softplus(y) = max(y, 0) + log(1 + e^−|y|).

    Shapes: y and targets of one shape, any.

    Args:
        weight: w, of a shape that broadcasts to y; 1 if left out.
        size_average: See :class:`Loss`.
        reduce: See there.
        reduction: `"mean"` divides by N, `"sum"` does not, `"none"` keeps a value for each number of y.
        pos_weight: r, the weight of the positive targets, of a shape that broadcasts to y; 1 if left out.

    Raises:
        ShapeError: Targets of another shape, or weights that do not broadcast to it.

    Derived in docs/math/softmax_cross_entropy.md.
    """

    def __init__(
        self,
        weight: ArrayLike | None = None,
        size_average: None = None,
        reduce: None = None,
        reduction: Reduction = "mean",
        pos_weight: ArrayLike | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.weight = None if weight is None else arguments.array(self._name, "weight", weight)
        self.pos_weight = None if pos_weight is None else arguments.array(self._name, "pos_weight", pos_weight)

    def check(self, shape: Shape, targets: Array) -> None:
        """Targets of the outputs' shape, and weights that broadcast to it."""
        super().check(shape, targets)
        for name, weights in (("pos_weight", self.pos_weight), ("weight", self.weight)):
            if weights is not None:
                self._require_broadcast(name, weights, shape)

    def check_meaning(self, shape: Shape, targets: Array) -> None:
        """Shares of the positive class."""
        wrong = targets[(targets < 0) | (targets > 1)]
        if wrong.size:
            raise ArgumentError(
                f"{self._name}: targets must be from 0, no, to 1, yes, got {wrong[0]:g}: expected loss='mse' for "
                "numbers, loss='cross_entropy' for class numbers and an output of each class."
            )

    def terms(self, y: Array, targets: Array) -> tuple[Array, Array]:
        """w · (r · t · softplus(−y) + (1 − t) · softplus(y)) of each number, and the gradient of the sum."""
        positive = targets.astype(y.dtype)  # r · t, the share of the positive class
        negative = 1 - positive
        if self.pos_weight is not None:
            positive *= self.pos_weight.astype(y.dtype)
        if self.weight is not None:
            positive *= self.weight.astype(y.dtype)
            negative *= self.weight.astype(y.dtype)

        e = np.exp(-np.abs(y))  # in (0, 1]: nothing overflows, and log1p is exact for small e
        log_1_e = np.log1p(e)
        softplus_y = np.maximum(y, 0) + log_1_e
        softplus_minus_y = np.maximum(-y, 0) + log_1_e
        values = positive * softplus_minus_y + negative * softplus_y

        sigmoid_y = np.where(y >= 0, 1, e) / (1 + e)
        sigmoid_minus_y = np.where(y >= 0, e, 1) / (1 + e)
        return values, negative * sigmoid_y - positive * sigmoid_minus_y

    def _require_broadcast(self, name: str, weights: Array, shape: Shape) -> None:
        try:
            np.broadcast_to(weights, shape)
        except ValueError:
            raise ShapeError(
                f"{self._name}: {name} must have a shape that broadcasts to {shape}, got {weights.shape}."
            ) from None


def _cost(q: Array, log_p: Array) -> Array:
    """−q · log p, where 0 · log 0 = 0: a class ruled out by a logit of −∞ costs nothing where it is not the target."""
    return -q * np.where((q == 0) & np.isneginf(log_p), 0, log_p)
