"""Connectionist temporal classification: a text is told of a longer sequence, whoever knows where its letters stand."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .. import arguments
from ..errors import ArgumentError, ShapeError
from ..ops.layout import Array
from ..tensor import Shape
from .base import Loss, Reduction


class Texts(NamedTuple):
    """The targets of a batch.

    Attributes:
        labels: (n, s), of each text the class numbers, and behind its length anything.
        steps: (n,), how many steps of each sequence count.
        lengths: (n,), of the texts.
    """

    labels: Array
    steps: Array
    lengths: Array


class CTCLoss(Loss):
    """Negative log-likelihood of a text, over all ways in which a sequence may spell it.

    A way, or path, is a class of each step. It spells what is left when equal neighbours are joined and then blanks are
    dropped. With a text t and blanks about its letters, l = (blank, t₁, blank, t₂, ..., blank):

        α₀(s) = y₀(l_s) for s ≤ 1
        α_t(s) = y_t(l_s) + log(e^α_{t−1}(s) + e^α_{t−1}(s−1) + [l_s ≠ l_{s−2}] e^α_{t−1}(s−2))
        loss = −log(e^α_{T−1}(L − 1) + e^α_{T−1}(L − 2)),  L = the length of l

    β is the same from the end, and γ_t(c) = Σ_{s: l_s = c} e^(α_t(s) + β_t(s) + loss) the share of the paths that are
    at class c in step t. The gradient is PyTorch's, e^y − γ: that at the logits of which y is the log-softmax. Behind
    `LogSoftmax` it is the gradient whether e^y is in it or not, since the softmax takes what all classes have in common
    away.

    Shapes: y (t, n, C), logarithms of probabilities as `LogSoftmax` gives them; (n, t, C) with batch_first. Targets
    (n, s), class numbers padded to one length; or all texts one after the other, (Σ lengths,). Where no lengths of the
    texts are given, the padding is negative, such as −1; where none of the sequences are, all steps count.

    Args:
        blank: The class that stands for no letter.
        reduction: `"mean"` divides each loss by the length of its text and takes the mean over the batch, `"sum"` adds
            them up, `"none"` keeps a value for each text.
        zero_infinity: Whether a loss that is infinite, since the sequence is too short for its text, counts as zero
            and has no gradient.
        batch_first: Whether y has the batch as its first axis, as a model puts it out. Training by `fit` needs it.

    Raises:
        ArgumentError: Class numbers out of range, blanks among them, or lengths out of range.
        ShapeError: Targets or lengths that do not fit y.

    Graves et al. 2006, Connectionist temporal classification. Derived in docs/math/losses.md.
    """

    names_classes = False  # of steps

    def __init__(
        self,
        blank: int = 0,
        reduction: Reduction = "mean",
        zero_infinity: bool = False,
        *,
        batch_first: bool = False,
    ) -> None:
        super().__init__(reduction=reduction)
        self.blank = arguments.whole(self._name, "blank", blank, 0)
        self.zero_infinity = arguments.flag(self._name, "zero_infinity", zero_infinity)
        self.batch_first = arguments.flag(self._name, "batch_first", batch_first)
        self.batch_axis = 0 if self.batch_first else 1

    def __call__(
        self,
        log_probs: Array,
        targets: ArrayLike,
        input_lengths: ArrayLike | None = None,
        target_lengths: ArrayLike | None = None,
        *,
        gradient: ArrayLike | None = None,
    ) -> tuple[Any, Array]:
        """The loss, and its gradient at `log_probs`; see :meth:`Loss.__call__`.

        Args:
            log_probs: y.
            targets: The texts.
            input_lengths: How many steps of each sequence count, (n,); all if left out.
            target_lengths: Of the texts, (n,); up to the first negative number if left out.
            gradient: As for every loss.
        """
        return self.reduced(log_probs, (targets, input_lengths, target_lengths), gradient)

    def check(self, shape: Shape, targets: Any) -> None:
        """Texts that fit."""
        self._texts(shape, targets)

    def check_meaning(self, shape: Shape, targets: Any) -> None:
        """A path for each text: a step for each letter, and one for a blank between two that are equal."""
        labels, steps, lengths = self._texts(shape, targets)
        within = np.arange(1, labels.shape[1]) < lengths[:, np.newaxis]
        needed = lengths + ((labels[:, 1:] == labels[:, :-1]) & within).sum(axis=1)
        lost = np.flatnonzero(needed > steps)
        if lost.size and not self.zero_infinity:
            first = lost[0]
            raise ArgumentError(
                f"{self._name}: a text of {lengths[first]} letters needs {needed[first]} steps, one more between equal "
                f"letters, got {steps[first]}: the loss would be infinite ({lost.size} of {len(lengths)} texts; "
                "zero_infinity=True leaves them out)."
            )

    def count(self, shape: Shape, targets: Any) -> float:
        """The number of texts."""
        return shape[self.batch_axis]

    def spread(self, weights: Array) -> Array:
        """A weight of each text, for all steps and classes."""
        return weights[:, np.newaxis, np.newaxis] if self.batch_first else weights[:, np.newaxis]

    def terms(self, y: Array, targets: Any) -> tuple[Array, Array]:
        """−log of the share of all paths that spell each text, and the gradient of their sum."""
        texts = self._texts(y.shape, targets)
        log_p = (np.swapaxes(y, 0, 1) if self.batch_first else y).astype(np.float64)  # (t, n, C)
        classes, repeated = self._with_blanks(texts)
        steps = np.arange(len(log_p))[:, np.newaxis]
        counted = steps < texts.steps  # (t, n)
        each = np.take_along_axis(log_p, classes[np.newaxis], axis=2)  # (t, n, L): log-probabilities along the text
        each = np.where(counted[..., np.newaxis], each, 0)
        values, alpha = _forward(each, texts, repeated)
        beta = _backward(each, texts, repeated)
        share = np.exp(alpha + beta + values[:, np.newaxis])  # (t, n, L), that of the paths that are there
        gamma = np.zeros_like(log_p)
        images = np.arange(log_p.shape[1])
        for place in range(classes.shape[1]):
            gamma[:, images, classes[:, place]] += share[..., place]
        grad = np.exp(log_p) - gamma
        lost = np.isposinf(values)
        grad[:, lost] = math.nan  # γ are shares of no paths
        if self.zero_infinity:
            values, counted = np.where(lost, 0, values), counted & ~lost
        grad = np.where(counted[..., np.newaxis], grad, 0)
        if self.reduction == "mean":
            lengths = np.maximum(texts.lengths, 1)
            values, grad = values / lengths, grad / lengths[:, np.newaxis]
        return values, np.swapaxes(grad, 0, 1) if self.batch_first else grad

    def _with_blanks(self, texts: Texts) -> tuple[Array, Array]:
        """l of each text, (n, L); and which of its places are not reached from two places before."""
        images, longest = texts.labels.shape
        classes = np.full((images, 2 * longest + 1), self.blank, np.intp)
        there = np.arange(longest) < texts.lengths[:, np.newaxis]
        classes[:, 1::2] = np.where(there, texts.labels, self.blank)
        repeated = np.ones(classes.shape, bool)
        repeated[:, 2:] = (classes[:, 2:] == self.blank) | (classes[:, 2:] == classes[:, :-2])
        return classes, repeated

    def _targets(self, given: Any) -> Any:
        if not isinstance(given, tuple):  # from `fit`: an array of texts
            return super()._targets(given)
        names = ("targets", "input_lengths", "target_lengths")
        return tuple(
            None if each is None else arguments.array(self._name, name, each)
            for name, each in zip(names, given, strict=True)
        )

    def _texts(self, shape: Shape, targets: Any) -> Texts:
        """The targets, held to the rules."""
        if len(shape) != 3:
            layout = "(n, t, C)" if self.batch_first else "(t, n, C)"
            raise ShapeError(f"{self._name}: y must have the shape {layout}, got {shape}.")
        images, longest = shape[self.batch_axis], shape[1 - self.batch_axis]
        labels, steps, lengths = targets if isinstance(targets, tuple) else (targets, None, None)
        if labels.size and not np.issubdtype(labels.dtype, np.integer):
            raise ArgumentError(f"{self._name}: class numbers must be integers, got {labels.dtype}.")
        if labels.ndim not in (1, 2) or (labels.ndim == 2 and len(labels) != images):
            raise ShapeError(f"{self._name}: targets must have the shape ({images}, s), got {labels.shape}.")
        if lengths is None:
            if labels.ndim == 1:
                raise ArgumentError(f"{self._name}: texts one after the other need target_lengths, got none.")
            lengths = np.logical_and.accumulate(labels >= 0, axis=1).sum(axis=1)
            if ((labels >= 0).sum(axis=1) != lengths).any():
                raise ArgumentError(f"{self._name}: expected negative targets at the end of a text, got some within.")
        lengths = self._lengths("target_lengths", lengths, images, labels.shape[1] if labels.ndim == 2 else labels.size)
        steps = np.full(images, longest) if steps is None else steps
        steps = self._lengths("input_lengths", steps, images, longest)
        there = np.arange(lengths.max(initial=0)) < lengths[:, np.newaxis]
        if labels.ndim == 1:
            if lengths.sum() != labels.size:
                raise ShapeError(f"{self._name}: target_lengths must add up to {labels.size}, got {lengths.sum()}.")
            padded = np.full(there.shape, self.blank)
            padded[there] = labels
        else:
            padded = labels[:, : there.shape[1]]
        letters, classes = padded[there], shape[2]
        if self.blank >= classes:
            raise ArgumentError(f"{self._name}: blank must be one of {classes} classes, got {self.blank}.")
        wrong = (letters < 0) | (letters >= classes) | (letters == self.blank)
        if wrong.any():
            raise ArgumentError(
                f"{self._name}: class numbers must be from 0 to {classes - 1} and not {self.blank}, the blank, "
                f"got {letters[wrong][0]}."
            )
        return Texts(padded, steps, lengths)

    def _lengths(self, name: str, given: Array, images: int, most: int) -> Array:
        """A length of each image."""
        if given.shape != (images,):
            raise ShapeError(f"{self._name}: {name} must have the shape ({images},), got {given.shape}.")
        if not np.issubdtype(given.dtype, np.integer) or (given < 0).any() or (given > most).any():
            wrong = given if not np.issubdtype(given.dtype, np.integer) else given[(given < 0) | (given > most)]
            raise ArgumentError(f"{self._name}: {name} must be whole numbers from 0 to {most}, got {wrong.flat[0]}.")
        return given.astype(np.int64)


def _forward(each: Array, texts: Texts, repeated: Array) -> tuple[Array, Array]:
    """The losses, (n,), and α, (t, n, L)."""
    images = np.arange(each.shape[1])
    alpha = np.full(each.shape, -math.inf)
    alpha[0, :, :2] = each[0, :, :2]
    alpha[0, texts.lengths == 0, 1:] = -math.inf
    for step in range(1, len(each)):
        before = alpha[step - 1]
        alpha[step] = each[step] + _joined(before, _moved(before, 1), _moved(before, 2), repeated)
    last = alpha[np.maximum(texts.steps, 1) - 1, images]  # (n, L)
    ends = 2 * texts.lengths
    letter = np.where(texts.lengths > 0, last[images, np.maximum(ends - 1, 0)], -math.inf)
    values = -np.logaddexp(last[images, ends], letter)
    # Of no steps there is one path, which spells nothing.
    return np.where(texts.steps > 0, values, np.where(texts.lengths > 0, math.inf, 0)), alpha


def _backward(each: Array, texts: Texts, repeated: Array) -> Array:
    """β, (t, n, L): log of what the steps that follow make of each place."""
    places, ends = np.arange(each.shape[2]), 2 * texts.lengths[:, np.newaxis]
    ending = (places == ends) | ((places == ends - 1) & (ends > 0))
    beta = np.full(each.shape, -math.inf)
    after = np.where(ending, 0, -math.inf)
    for step in reversed(range(len(each))):
        last = (texts.steps - 1 == step)[:, np.newaxis]
        if step + 1 < len(each):
            following = beta[step + 1] + each[step + 1]
            two_on = _moved(np.where(repeated, -math.inf, following), -2)
            beta[step] = np.logaddexp(np.logaddexp(following, _moved(following, -1)), two_on)
        beta[step] = np.where(last, after, np.where(texts.steps[:, np.newaxis] <= step, -math.inf, beta[step]))
    return beta


def _joined(same: Array, one: Array, two: Array, repeated: Array) -> Array:
    """log of the sum of what comes from the same place, from the one before, and from two before where one may."""
    return np.logaddexp(np.logaddexp(same, one), np.where(repeated, -math.inf, two))


def _moved(x: Array, places: int) -> Array:
    """The numbers so many places further on along a text; nothing, −∞, comes in."""
    made = np.full(x.shape, -math.inf)
    if places > 0:
        made[:, places:] = x[:, :-places]
    else:
        made[:, :places] = x[:, -places:]
    return made
