"""Losses: how far a batch of outputs is from its targets, and the gradient there.

Names, arguments and defaults are those of torch.nn. A loss is called with the outputs of a model and returns both
the loss and its gradient at them: `loss, grad = CrossEntropyLoss()(y, targets)`.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from . import arguments
from .errors import ArgumentError, ShapeError
from .ops.layout import Array
from .ops.softmax import log_softmax_forward
from .tensor import Shape

Reduction = Literal["mean", "sum", "batchmean"]


class Loss:
    """A number that says how far `y` is from `targets`, and its gradient at `y`.

    A subclass writes in `terms` what is summed, in `count` by what a mean divides, and in `check` what targets it
    takes. Sums are taken in float64, whatever the type of `y`. A loss that is no finite number is returned as it is,
    without a warning: what then, is for the caller to decide.

    Args:
        size_average: None: PyTorch has given it up, for `reduction`.
        reduce: None, likewise.
        reduction: `"mean"` divides by what the subclass names, `"sum"` by nothing.

    Raises:
        ArgumentError: Another reduction (PyTorch's "none" makes no single number).
    """

    reductions: ClassVar[tuple[Reduction, ...]] = ("mean", "sum")

    def __init__(self, size_average: None = None, reduce: None = None, reduction: Reduction = "mean") -> None:
        old = {"size_average": (size_average, None), "reduce": (reduce, None)}
        arguments.unsupported(self._name, "give reduction", **old)
        self.reduction = arguments.choice(self._name, "reduction", reduction, self.reductions)

    def __call__(self, y: Array, targets: ArrayLike) -> tuple[float, Array]:
        """The loss, and its gradient at `y`: a new array of the shape and type of `y`.

        Raises:
            ArgumentError: An empty batch, or numbers of a wrong type or out of range.
            ShapeError: Targets that do not fit `y`.
        """
        total, count, grad = self.summed(y, targets)
        if self.reduction != "sum":
            if count == 0:
                raise ArgumentError(
                    f"{self._name}: a mean needs a target that counts, got none in {np.asarray(targets).size}."
                )
            total /= count
            grad /= count
        return total, grad

    def summed(self, y: Array, targets: ArrayLike) -> tuple[float, float, Array]:
        """What a mean is made of, whatever the reduction: the sum, by what a mean divides, and the sum's gradient.

        Added up over batches they make the mean of all; of a batch whose targets are all left out, too.

        Raises:
            ArgumentError: An empty batch, or numbers of a wrong type or out of range.
            ShapeError: Targets that do not fit `y`.
        """
        y, targets = np.asarray(y), arguments.array(self._name, "targets", targets)
        if not np.issubdtype(y.dtype, np.floating):
            raise ArgumentError(f"{self._name}: y must be floating point, got {y.dtype}.")
        if not y.ndim:
            raise ShapeError(f"{self._name}: y must have the batch as its first axis, got a single number.")
        if y.size == 0:
            raise ArgumentError(f"{self._name}: expected at least one image, got y of shape {y.shape}.")
        self.check(y.shape, targets)
        with np.errstate(over="ignore", invalid="ignore"):
            total, grad = self.terms(y, targets)
        return total, self.count(y.shape, targets), grad

    def check(self, shape: Shape, targets: Array) -> None:
        """Raise what a call would, for outputs of that shape: the targets of a whole data set can be tried at once.

        Raises:
            ArgumentError: Numbers of a wrong type or out of range.
            ShapeError: Targets that do not fit the outputs.
        """
        if targets.shape != shape:
            raise ShapeError(f"{self._name}: targets must have the shape of y, {shape}, got {targets.shape}.")

    def count(self, shape: Shape, targets: Array) -> float:
        """By what a mean divides, for outputs of that shape: what a batch weighs beside others."""
        return math.prod(shape)

    def terms(self, y: Array, targets: Array) -> tuple[float, Array]:
        """The sum over the batch, and its gradient at `y`, a new array."""
        raise NotImplementedError

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
        size_average: See :class:`Loss`.
        ignore_index: A class number that says: leave this target out.
        reduce: See :class:`Loss`.
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

    def counted(self, labels: Array) -> Array:
        """Which class numbers count: those that are not `ignore_index`."""
        return np.asarray(labels != self.ignore_index)

    def count(self, shape: Shape, targets: Array) -> float:
        """Z."""
        if targets.shape == shape:
            return math.prod(shape) / shape[1]
        labels = targets[self.counted(targets)]
        return float(labels.size if self.weight is None else np.sum(self.weight[labels], dtype=np.float64))

    def terms(self, y: Array, targets: Array) -> tuple[float, Array]:
        """Σ −q · log p and its gradient."""
        log_p = np.empty(y.shape, y.dtype)  # in the order of its axes, however y lies
        log_softmax_forward(y, 1, out=log_p)
        if targets.shape != y.shape and not self.label_smoothing:
            return self._terms_of_classes(log_p, targets)
        q = self._distribution(y, targets)
        p = np.exp(log_p)
        # 0 · log 0 = 0: a class that is ruled out by a logit of −∞ costs nothing where it is not the target.
        total = -float(np.sum(q * np.where(q == 0, 0, log_p), dtype=np.float64))
        grad = np.multiply(p, q.sum(axis=1, keepdims=True), out=p)
        grad -= q
        return total, grad

    def _terms_of_classes(self, log_p: Array, targets: Array) -> tuple[float, Array]:
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
        total = -float(np.sum(np.where(q == 0, 0, q * flat[at]), dtype=np.float64))
        np.exp(flat, out=flat)
        if not every or self.weight is not None:
            log_p *= q.reshape(images, 1, *places)
        flat[at] -= q
        return total, log_p

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
        reduction: `"mean"` divides by Z, the sum of the weights of the images' classes, `"sum"` does not.

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

    def check(self, shape: Shape, targets: Array) -> None:
        """Class numbers in range."""
        if targets.shape == shape:
            raise ShapeError(f"{self._name}: targets must be class numbers, one for all classes, got {targets.shape}.")
        super().check(shape, targets)

    def terms(self, y: Array, targets: Array) -> tuple[float, Array]:
        """−Σ q · y and its gradient."""
        q = self._distribution(y, targets)
        total = -float(np.sum(np.where(q == 0, 0, q * y), dtype=np.float64))
        return total, np.negative(q, out=q)


class KLDivLoss(Loss):
    """Kullback-Leibler divergence of the targets from y, which holds logarithms.

        loss = Σ t · (log t − y) / Z        0 · log 0 = 0
        ∂loss/∂y = −t / Z

    Shapes: y and targets of one shape, any.

    Args:
        size_average: See :class:`Loss`.
        reduce: See there.
        reduction: `"mean"` divides by the number of numbers, as in PyTorch, `"batchmean"` by the number of images, as
            the divergence is defined, `"sum"` by nothing.
        log_target: Whether the targets are logarithms too.

    Raises:
        ShapeError: Targets of another shape.
    """

    reductions = ("mean", "sum", "batchmean")

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

    def terms(self, y: Array, targets: Array) -> tuple[float, Array]:
        """Σ t · (log t − y) and its gradient."""
        given = targets.astype(y.dtype)
        if self.log_target:
            log_t, t = given, np.exp(given)
        else:
            log_t, t = np.log(np.where(given > 0, given, 1)), given
        counted = (t > 0) | np.isnan(y)  # 0 · log 0 = 0, but a NaN is told
        total = float(np.sum(np.where(counted, t * (log_t - y), 0), dtype=np.float64))
        return total, np.negative(t)


class MSELoss(Loss):
    """Mean squared error.

        loss = Σ (y − t)² / N        N = the number of numbers in y
        ∂loss/∂y = 2 (y − t) / N

    Shapes: y and targets of one shape, any.

    Args:
        size_average: See :class:`Loss`.
        reduce: See there.
        reduction: `"mean"` divides by N, `"sum"` does not.

    Raises:
        ShapeError: Targets of another shape: PyTorch would broadcast, and warn.

    Derived in docs/math/softmax_cross_entropy.md.
    """

    def terms(self, y: Array, targets: Array) -> tuple[float, Array]:
        """Σ (y − t)² and its gradient."""
        difference = np.subtract(y, targets, dtype=y.dtype)
        total = float(np.sum(np.square(difference), dtype=np.float64))
        grad = np.multiply(difference, 2, out=difference)
        return total, grad


class L1Loss(Loss):
    """Mean absolute error.

        loss = Σ |y − t| / N        N = the number of numbers in y
        ∂loss/∂y = sign(y − t) / N

    Shapes: y and targets of one shape, any.

    Args:
        size_average: See :class:`Loss`.
        reduce: See there.
        reduction: `"mean"` divides by N, `"sum"` does not.

    Raises:
        ShapeError: Targets of another shape.
    """

    def terms(self, y: Array, targets: Array) -> tuple[float, Array]:
        """Σ |y − t| and its gradient."""
        difference = np.subtract(y, targets, dtype=y.dtype)
        total = float(np.sum(np.abs(difference), dtype=np.float64))
        return total, np.sign(difference, out=difference)


class HuberLoss(Loss):
    """Squares of small errors, absolute values of large ones: an outlier pulls no harder than others.

        loss = Σ h / N,  h = ½ (y − t)² where |y − t| ≤ δ, else δ (|y − t| − ½ δ)
        ∂loss/∂y = min(max(y − t, −δ), δ) / N

    Shapes: y and targets of one shape, any.

    Args:
        reduction: `"mean"` divides by N, the number of numbers in y, `"sum"` does not.
        delta: δ, up to where an error is small.

    Raises:
        ArgumentError: δ that is not positive.
        ShapeError: Targets of another shape.

    Huber 1964, Robust estimation of a location parameter.
    """

    def __init__(self, reduction: Reduction = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = arguments.number(self._name, "delta", delta, above=0)

    def terms(self, y: Array, targets: Array) -> tuple[float, Array]:
        """Σ h and its gradient."""
        difference = np.subtract(y, targets, dtype=y.dtype)
        size = np.abs(difference)
        small = np.minimum(size, self.delta)
        total = float(np.sum(small * (size - small / 2), dtype=np.float64))
        return total, np.clip(difference, -self.delta, self.delta, out=difference)


class SmoothL1Loss(Loss):
    """The absolute error, rounded where it is small: the Huber loss divided by its δ, so that its ends stay L1's.

        loss = Σ h / N,  h = ½ (y − t)² / β where |y − t| < β, else |y − t| − ½ β
        ∂loss/∂y = min(max((y − t) / β, −1), 1) / N

    Shapes: y and targets of one shape, any.

    Args:
        size_average: See :class:`Loss`.
        reduce: See there.
        reduction: `"mean"` divides by N, the number of numbers in y, `"sum"` does not.
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

    def terms(self, y: Array, targets: Array) -> tuple[float, Array]:
        """Σ h and its gradient."""
        if self.beta == 0:
            return L1Loss().terms(y, targets)
        total, grad = HuberLoss(delta=self.beta).terms(y, targets)
        grad /= self.beta
        return total / self.beta, grad


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
        reduction: `"mean"` divides by N, `"sum"` does not.
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

    def terms(self, y: Array, targets: Array) -> tuple[float, Array]:
        """Σ w · (r · t · softplus(−y) + (1 − t) · softplus(y)) and its gradient."""
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
        total = float(np.sum(positive * softplus_minus_y + negative * softplus_y, dtype=np.float64))

        sigmoid_y = np.where(y >= 0, 1, e) / (1 + e)
        sigmoid_minus_y = np.where(y >= 0, e, 1) / (1 + e)
        grad = negative * sigmoid_y - positive * sigmoid_minus_y
        return total, grad

    def _require_broadcast(self, name: str, weights: Array, shape: Shape) -> None:
        try:
            np.broadcast_to(weights, shape)
        except ValueError:
            raise ShapeError(
                f"{self._name}: {name} must have a shape that broadcasts to {shape}, got {weights.shape}."
            ) from None
