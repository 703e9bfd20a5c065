"""Losses: how far a batch of outputs is from its targets, and the gradient there.

Names, arguments and defaults are those of torch.nn. A loss is called with the outputs of a model and returns both
the loss and its gradient at them: `loss, grad = CrossEntropyLoss()(y, targets)`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .errors import ArgumentError, ShapeError
from .ops.layout import Array
from .ops.softmax import log_softmax_forward

Reduction = Literal["mean", "sum"]


class Loss:
    """A number that says how far `y` is from `targets`, and its gradient at `y`.

    A subclass writes in `terms` what is summed. Sums are taken in float64, whatever the type of `y`. A loss that is
    no finite number is returned as it is, without a warning: what then, is for the caller to decide.

    Args:
        reduction: `"mean"` divides by what the subclass names, `"sum"` by nothing.

    Raises:
        ArgumentError: Another reduction (PyTorch's "none" makes no single number).
    """

    def __init__(self, reduction: Reduction = "mean") -> None:
        if reduction not in ("mean", "sum"):
            raise ArgumentError(f"{self._name}: reduction must be 'mean' or 'sum', got {reduction!r}.")
        self.reduction = reduction

    def __call__(self, y: Array, targets: ArrayLike) -> tuple[float, Array]:
        """The loss, and its gradient at `y`: a new array of the shape and type of `y`.

        Raises:
            ArgumentError: An empty batch, or numbers of a wrong type or out of range.
            ShapeError: Targets that do not fit `y`.
        """
        if not np.issubdtype(y.dtype, np.floating):
            raise ArgumentError(f"{self._name}: y must be floating point, got {y.dtype}.")
        if y.size == 0:
            raise ArgumentError(f"{self._name}: expected at least one image, got y of shape {y.shape}.")
        with np.errstate(over="ignore", invalid="ignore"):
            total, grad, count = self.terms(y, np.asarray(targets))
            if self.reduction == "mean":
                total /= count
                grad /= count
        return total, grad

    def terms(self, y: Array, targets: Array) -> tuple[float, Array, float]:
        """The sum over the batch, its gradient at `y` (a new array), and by what a mean divides both."""
        raise NotImplementedError

    def _require_shape_of(self, y: Array, targets: Array) -> None:
        if targets.shape != y.shape:
            raise ShapeError(f"{self._name}: targets must have the shape of y, {y.shape}, got {targets.shape}.")

    @property
    def _name(self) -> str:
        return type(self).__name__


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
        ignore_index: A class number that says: leave this target out.
        reduction: `"mean"` divides by Z, `"sum"` does not.
        label_smoothing: Share of q spread over all classes, in [0, 1] (Szegedy et al. 2016, arXiv:1512.00567).

    Raises:
        ArgumentError: Class numbers out of range or not integer, or a mean over nothing.
        ShapeError: Targets or weights that do not fit y.

    Derived in docs/math/softmax_cross_entropy.md.
    """

    def __init__(
        self,
        weight: ArrayLike | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        if not 0 <= label_smoothing <= 1:
            raise ArgumentError(f"{self._name}: label_smoothing must be in [0, 1], got {label_smoothing}.")
        self.weight = None if weight is None else np.asarray(weight)
        self.ignore_index = ignore_index
        self.label_smoothing = float(label_smoothing)

    def terms(self, y: Array, targets: Array) -> tuple[float, Array, float]:
        """Σ −q · log p, its gradient, and Z."""
        if y.ndim < 2:
            raise ShapeError(f"{self._name}: y must have the shape (n, classes, ...), got {y.shape}.")
        q, count = self._distribution(y, targets)
        log_p = np.empty_like(y)
        log_softmax_forward(y, 1, out=log_p)
        p = np.exp(log_p)
        # 0 · log 0 = 0: a class that is ruled out by a logit of −∞ costs nothing where it is not the target.
        total = -float(np.sum(q * np.where(q == 0, 0, log_p), dtype=np.float64))
        grad = np.multiply(p, q.sum(axis=1, keepdims=True), out=p)
        grad -= q
        return total, grad, count

    def _distribution(self, y: Array, targets: Array) -> tuple[Array, float]:
        """q, of y's shape, and Z."""
        classes = y.shape[1]
        weight = None if self.weight is None else self._weight_along_classes(y)
        if targets.shape == y.shape:
            if not np.issubdtype(targets.dtype, np.floating):
                raise ArgumentError(f"{self._name}: probabilities must be floating point, got {targets.dtype}.")
            q = targets.astype(y.dtype)
            counted = None
            count = y.size / classes
        else:
            labels, counted = self._checked_labels(y, targets)
            q = np.zeros_like(y)
            np.put_along_axis(q, labels, 1, axis=1)
            weights = counted if weight is None else counted * np.take(weight, labels)
            count = float(np.sum(weights, dtype=np.float64))
            if count == 0 and self.reduction == "mean":
                raise ArgumentError(f"{self._name}: a mean needs a target that counts, got none in {labels.size}.")
        if self.label_smoothing:
            q *= 1 - self.label_smoothing
            q += self.label_smoothing / classes
        if weight is not None:
            q *= weight
        if counted is not None:
            q *= counted
        return q, count

    def _weight_along_classes(self, y: Array) -> Array:
        """The weights, (1, C, 1, ...), of y's type."""
        assert self.weight is not None
        classes = y.shape[1]
        if self.weight.shape != (classes,):
            raise ShapeError(f"{self._name}: weight must have the shape ({classes},), got {self.weight.shape}.")
        return self.weight.astype(y.dtype).reshape(classes, *[1] * (y.ndim - 2))[np.newaxis]

    def _checked_labels(self, y: Array, labels: Array) -> tuple[Array, Array]:
        """The class numbers, 0 where they do not count, and whether they count; both (n, 1, d₁, ...)."""
        expected = (y.shape[0], *y.shape[2:])
        if labels.shape != expected:
            raise ShapeError(
                f"{self._name}: targets for y of shape {y.shape} must be class numbers of shape {expected} or "
                f"probabilities of shape {y.shape}, got {labels.shape}."
            )
        if not np.issubdtype(labels.dtype, np.integer):
            raise ArgumentError(f"{self._name}: class numbers must be integers, got {labels.dtype}.")
        labels = labels[:, np.newaxis]
        counted = labels != self.ignore_index
        wrong = counted & ((labels < 0) | (labels >= y.shape[1]))
        if wrong.any():
            raise ArgumentError(
                f"{self._name}: class numbers must be from 0 to {y.shape[1] - 1}, got {labels[wrong][0]}."
            )
        return np.where(counted, labels, 0), counted


class MSELoss(Loss):
    """Mean squared error.

        loss = Σ (y − t)² / N        N = the number of numbers in y
        ∂loss/∂y = 2 (y − t) / N

    Shapes: y and targets of one shape, any.

    Args:
        reduction: `"mean"` divides by N, `"sum"` does not.

    Raises:
        ShapeError: Targets of another shape: PyTorch would broadcast, and warn.

    Derived in docs/math/softmax_cross_entropy.md.
    """

    def terms(self, y: Array, targets: Array) -> tuple[float, Array, float]:
        """Σ (y − t)², its gradient, and N."""
        self._require_shape_of(y, targets)
        difference = np.subtract(y, targets, dtype=y.dtype)
        total = float(np.sum(np.square(difference), dtype=np.float64))
        grad = np.multiply(difference, 2, out=difference)
        return total, grad, y.size


class BCEWithLogitsLoss(Loss):
    """Sigmoid and binary cross-entropy in one, from logits.

        loss = −Σ w · (r · t · log σ(y) + (1 − t) · log(1 − σ(y))) / N        N = the number of numbers in y
        ∂loss/∂y = w · ((1 − t) · σ(y) − r · t · σ(−y)) / N

    Stable because −log σ(y) = softplus(−y) and −log(1 − σ(y)) = softplus(y), where
    softplus(y) = max(y, 0) + log(1 + e^−|y|).

    Shapes: y and targets of one shape, any.

    Args:
        weight: w, of a shape that broadcasts to y; 1 if left out.
        reduction: `"mean"` divides by N, `"sum"` does not.
        pos_weight: r, the weight of the positive targets, of a shape that broadcasts to y; 1 if left out.

    Raises:
        ShapeError: Targets of another shape, or weights that do not broadcast to it.

    Derived in docs/math/softmax_cross_entropy.md.
    """

    def __init__(
        self,
        weight: ArrayLike | None = None,
        reduction: Reduction = "mean",
        pos_weight: ArrayLike | None = None,
    ) -> None:
        super().__init__(reduction)
        self.weight = None if weight is None else np.asarray(weight)
        self.pos_weight = None if pos_weight is None else np.asarray(pos_weight)

    def terms(self, y: Array, targets: Array) -> tuple[float, Array, float]:
        """Σ w · (r · t · softplus(−y) + (1 − t) · softplus(y)), its gradient, and N."""
        self._require_shape_of(y, targets)
        positive = targets.astype(y.dtype)  # r · t, the share of the positive class
        negative = 1 - positive
        for name, weights, shares in (
            ("pos_weight", self.pos_weight, [positive]),
            ("weight", self.weight, [positive, negative]),
        ):
            if weights is not None:
                self._require_broadcast(name, weights, y)
                for share in shares:
                    share *= weights.astype(y.dtype)

        e = np.exp(-np.abs(y))  # in (0, 1]: nothing overflows, and log1p is exact for small e
        log_1_e = np.log1p(e)
        softplus_y = np.maximum(y, 0) + log_1_e
        softplus_minus_y = np.maximum(-y, 0) + log_1_e
        total = float(np.sum(positive * softplus_minus_y + negative * softplus_y, dtype=np.float64))

        sigmoid_y = np.where(y >= 0, 1, e) / (1 + e)
        sigmoid_minus_y = np.where(y >= 0, e, 1) / (1 + e)
        grad = negative * sigmoid_y - positive * sigmoid_minus_y
        return total, grad, y.size

    def _require_broadcast(self, name: str, weights: Array, y: Array) -> None:
        try:
            np.broadcast_to(weights, y.shape)
        except ValueError:
            raise ShapeError(
                f"{self._name}: {name} must have a shape that broadcasts to {y.shape}, got {weights.shape}."
            ) from None
