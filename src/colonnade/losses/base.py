"""What all losses share: values, their reduction to one number, and the gradient at each output."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from .. import arguments
from ..errors import ArgumentError, ShapeError
from ..ops.layout import Array

Reduction = Literal["mean", "sum", "none", "batchmean"]


class Loss:
    """A number that says how far `y` is from `targets`, and its gradient at `y`.

        loss = Σ values / count
        gradient = Σ ∂value/∂y / count

    A subclass writes in `terms` the values and the gradient of their sum, in `count` by what a mean divides, and in
    `check` what targets it takes. One that compares several outputs names them in `inputs`: y, its shape and the
    gradient are then tuples, in this order, wherever they stand. Sums are taken in float64, whatever the type of `y`. A
    loss that is no finite number is returned as it is, without a warning: what then, is for the caller to decide.

    Args:
        size_average: None: PyTorch has given it up, for `reduction`.
        reduce: None, likewise.
        reduction: `"mean"` divides by what the subclass names, `"sum"` by nothing. `"none"` leaves the values as they
            are: one for each image, or for each number of y.

    Attributes:
        inputs: The names of the outputs that it compares.
        takes_targets: Whether there are targets beside them.
        names_classes: Whether whole numbers for targets are classes along axis 1, of which the greatest may be right.
        batch_axis: Which axis of y holds the images.

    Raises:
        ArgumentError: Another reduction.
    """

    reductions: ClassVar[tuple[Reduction, ...]] = ("mean", "sum", "none")
    inputs: ClassVar[tuple[str, ...]] = ("y",)
    takes_targets: ClassVar[bool] = True
    names_classes: ClassVar[bool] = True
    batch_axis: int = 0

    def __init__(self, size_average: None = None, reduce: None = None, reduction: Reduction = "mean") -> None:
        old = {"size_average": (size_average, None), "reduce": (reduce, None)}
        arguments.unsupported(self._name, "give reduction", **old)
        self.reduction = arguments.choice(self._name, "reduction", reduction, self.reductions)

    def __call__(self, y: Array, targets: ArrayLike, *, gradient: ArrayLike | None = None) -> tuple[Any, Any]:
        """The loss, and its gradient at `y`.

        Args:
            y: The output of a model.
            targets: What it should be.
            gradient: What is carried back through the loss: a weight of each value, of their shape, with the reduction
                `"none"`; else a number. All ones if left out.

        Returns:
            A number, or the values with the reduction `"none"`; and a new array of the shape and type of `y`.

        Raises:
            ArgumentError: An empty batch, or numbers of a wrong type or out of range.
            ShapeError: Targets that do not fit `y`.
        """
        return self.reduced(y, targets, gradient)

    def reduced(self, y: Any, targets: Any, gradient: ArrayLike | None = None) -> tuple[Any, Any]:
        """As a call, with a tuple for y where there are several inputs, and None for targets where there are none."""
        outputs, targets = self._checked(y, targets)
        values, gradients = self._evaluated(outputs, targets)
        weights = None if gradient is None else arguments.array(self._name, "gradient", gradient)
        if weights is not None and weights.shape != (values.shape if self.reduction == "none" else ()):
            expected = f"have the shape {values.shape}, as the values" if self.reduction == "none" else "be one number"
            raise ShapeError(f"{self._name}: gradient must {expected}, got {weights.shape}.")
        if weights is not None:
            weights = self.spread(weights) if self.reduction == "none" else weights
            gradients = tuple(each * weights.astype(each.dtype) for each in gradients)
        if self.reduction == "none":
            return values.astype(outputs[0].dtype), self._as_given(outputs, gradients)
        total = float(np.sum(values, dtype=np.float64))
        if self.reduction != "sum":
            count = self.count(self._said([each.shape for each in outputs]), targets)
            if count == 0:
                raise ArgumentError(f"{self._name}: a mean needs a target that counts, got none in {np.size(targets)}.")
            total /= count
            for each in gradients:
                each /= count
        return total, self._as_given(outputs, gradients)

    def summed(self, y: Any, targets: Any) -> tuple[float, float, Any]:
        """What a mean is made of, whatever the reduction: the sum, by what a mean divides, and the sum's gradient.

        Added up over batches they make the mean of all; of a batch whose targets are all left out, too.

        Raises:
            ArgumentError: An empty batch, or numbers of a wrong type or out of range.
            ShapeError: Targets that do not fit `y`.
        """
        outputs, targets = self._checked(y, targets)
        values, gradients = self._evaluated(outputs, targets)
        count = self.count(self._said([each.shape for each in outputs]), targets)
        return float(np.sum(values, dtype=np.float64)), count, self._as_given(outputs, gradients)

    def check(self, shape: Any, targets: Any) -> None:
        """Raise what a call would, for outputs of that shape: the targets of a whole data set can be tried at once.

        Raises:
            ArgumentError: Numbers of a wrong type or out of range.
            ShapeError: Targets that do not fit the outputs.
        """
        if targets.shape != shape:
            raise ShapeError(f"{self._name}: targets must have the shape of y, {shape}, got {targets.shape}.")

    def check_meaning(self, shape: Any, targets: Any) -> None:
        """Raise where a model could learn nothing from such targets, though a call would give a number.

        `fit` and `evaluate` ask it, behind `check`; a call does not.

        Raises:
            ArgumentError: Targets that do not mean what the loss takes them for.
        """

    def count(self, shape: Any, targets: Any) -> float:
        """By what a mean divides, for outputs of that shape: what a batch weighs beside others."""
        return float(math.prod(shape))

    def terms(self, y: Any, targets: Any) -> tuple[Array, Any]:
        """The values, and the gradient of their sum at `y`: new arrays."""
        raise NotImplementedError

    def spread(self, weights: Array) -> Array:
        """A number of each value, laid so that it is multiplied by the gradient that the value has."""
        return weights

    def _checked(self, y: Any, targets: Any) -> tuple[tuple[Array, ...], Any]:
        """The outputs as arrays of a batch, and targets that fit them."""
        given = (y,) if len(self.inputs) == 1 else y
        if not isinstance(given, tuple | list) or len(given) != len(self.inputs):
            raise ArgumentError(f"{self._name}: expected {', '.join(self.inputs)}, got {arguments.shown(y)}.")
        outputs = tuple(map(np.asarray, given))
        for name, each in zip(self.inputs, outputs, strict=True):
            if not np.issubdtype(each.dtype, np.floating):
                raise ArgumentError(f"{self._name}: {name} must be floating point, got {each.dtype}.")
        name, first = self.inputs[0], outputs[0]
        if not first.ndim:
            raise ShapeError(f"{self._name}: {name} must have the batch as its first axis, got a single number.")
        if first.size == 0:
            raise ArgumentError(f"{self._name}: expected at least one image, got {name} of shape {first.shape}.")
        targets = self._targets(targets)
        self.check(self._said([each.shape for each in outputs]), targets)
        return outputs, targets

    def _targets(self, given: Any) -> Any:
        """The targets as they are checked: an array, or None."""
        return arguments.array(self._name, "targets", given) if self.takes_targets else None

    def _evaluated(self, outputs: tuple[Array, ...], targets: Any) -> tuple[Array, tuple[Array, ...]]:
        """What `terms` gives, the gradients in a tuple."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            values, gradients = self.terms(self._said(outputs), targets)
        return values, (gradients if isinstance(gradients, tuple) else (gradients,))

    def _as_given(self, outputs: tuple[Array, ...], gradients: tuple[Array, ...]) -> Any:
        """The gradient at each output, of its shape and type."""
        pairs = zip(gradients, outputs, strict=True)
        return self._said([like(gradient, each) for gradient, each in pairs])

    def _said(self, each: Any) -> Any:
        """What there is of each input, as it is said: by itself where there is one, else a tuple."""
        return tuple(each) if len(self.inputs) > 1 else each[0]

    @property
    def _name(self) -> str:
        return type(self).__name__


def like(gradient: Array, x: Array) -> Array:
    """A gradient of what an array was stretched to, at the array: summed along the axes that it has not.

    An array of one axis less has not the last.
    """
    if gradient.shape != x.shape:
        axes = stretchable(x.shape, gradient.ndim)
        gradient = gradient.sum(axis=tuple(axis for axis, size in enumerate(axes) if size == 1), keepdims=True)
    return gradient.reshape(x.shape).astype(x.dtype, copy=False)


def stretchable(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """The shape with so many axes: a single number, or an array of all but the last, is the same along the others."""
    return (*shape, *[1] * (rank - len(shape)))
