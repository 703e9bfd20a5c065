"""Metrics: how good outputs are, in numbers for people rather than for the optimizer.

Names and values are those of scikit-learn where it has them. Everything is counted in float64 and int64, whatever the
type of the outputs.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from . import arguments
from .errors import ArgumentError, ShapeError
from .ops.layout import Array


class ClassReport(TypedDict):
    """One class. Where a share would be of nothing, it is 0.

    Attributes:
        precision: Of the images said to be of this class, the share that are.
        recall: Of the images of this class, the share said to be.
        f1: Their harmonic mean, 2 · precision · recall / (precision + recall).
        support: How many images are of this class.
    """

    precision: float
    recall: float
    f1: float
    support: int


class Calibration(NamedTuple):
    """How far a model's confidence can be believed, in bins of equal width from 0 to 1.

    Attributes:
        ece: Expected calibration error, Σ images in bin / images · |accuracy − confidence|, from 0 to 1.
        mce: Maximum calibration error: the greatest |accuracy − confidence| of a bin that has images.
        edges: (bins + 1,), where the bins begin and end; each has its upper edge.
        counts: (bins,), images whose confidence lies there.
        confidence: (bins,), their mean confidence; NaN in an empty bin.
        accuracy: (bins,), the share of right answers among them; NaN in an empty bin.
    """

    ece: float
    mce: float
    edges: Array
    counts: Array
    confidence: Array
    accuracy: Array


def are_labels(targets: Array, outputs: Array) -> bool:
    """Whether the targets are class numbers, one where `outputs` has a number for each class along its axis 1."""
    return targets.dtype.kind in "iu" and outputs.ndim >= 2 and targets.ndim == outputs.ndim - 1


def predicted(outputs: Array) -> Array:
    """The class of the greatest output, the first of equals; −1, no class, where any of them is NaN.

    Shapes: outputs (n, classes, ...), the class numbers (n, ...), int64.
    """
    best = outputs.argmax(axis=1)  # where there is a NaN, the first of them
    greatest = np.take_along_axis(outputs, np.expand_dims(best, 1), axis=1).squeeze(1)
    return np.where(greatest == greatest, best, -1)


def right(outputs: Array, labels: Array) -> Array:
    """Which labels are the class that is predicted; booleans of the shape of `labels`.

    Shapes: outputs (n, classes, ...), labels (n, ...).
    """
    return np.asarray(predicted(outputs) == labels)


def accuracy(outputs: ArrayLike, labels: ArrayLike) -> float:
    """The share of labels that are the class of the greatest output, the first of equals; with NaN there is none.

    Args:
        outputs: (n, classes, ...): logits or probabilities.
        labels: (n, ...), class numbers.

    Raises:
        ShapeError: Not a label for each output.
        ArgumentError: No labels, or class numbers that are not.
    """
    outputs, labels = _scores("accuracy", outputs, labels)
    return float(np.mean(right(outputs, labels)))


def top_k(outputs: ArrayLike, labels: ArrayLike, k: int = 5) -> float:
    """The share of labels that are among the classes of the k greatest outputs; of equals the first come first.

    Outputs with NaN among them name no class.

    Args:
        outputs: (n, classes, ...): logits or probabilities.
        labels: (n, ...), class numbers.
        k: How many classes may be named; all of them where there are fewer.

    Raises:
        ShapeError: Not a label for each output.
        ArgumentError: No labels, class numbers that are not, or k that is not positive.
    """
    outputs, labels = _scores("top_k", outputs, labels)
    k = arguments.whole("top_k", "k", k, 1)
    own = np.take_along_axis(outputs, labels[:, None], axis=1)
    before = np.arange(outputs.shape[1]).reshape(-1, *[1] * (outputs.ndim - 2)) < labels[:, None]
    rank = np.count_nonzero((outputs > own) | ((outputs == own) & before), axis=1)  # classes that come first
    return float(np.mean((rank < k) & (predicted(outputs) >= 0)))


def confusion_matrix(
    predicted: ArrayLike, labels: ArrayLike, classes: int | None = None, *, ignore_index: int | None = None
) -> Array:
    """How many images, or pixels, of each class were taken for which, (classes, classes), int64; a row a true class.

    Args:
        predicted: (n, ...), class numbers that were answered.
        labels: (n, ...), class numbers that are right.
        classes: How many there are; by default as many as the greatest number needs.
        ignore_index: A label that says: leave this one out, as in `CrossEntropyLoss`.

    Raises:
        ShapeError: Not an answer for each label.
        ArgumentError: Numbers that are no class.
    """
    predicted = arguments.array("confusion_matrix", "predicted", predicted)
    labels = arguments.array("confusion_matrix", "labels", labels)
    classes = None if classes is None else arguments.whole("confusion_matrix", "classes", classes, 0)
    if predicted.shape != labels.shape:
        raise ShapeError(
            f"confusion_matrix: expected an answer for each of {labels.shape} labels, got {predicted.shape}."
        )
    both = np.stack([labels.ravel(), predicted.ravel()])
    if ignore_index is not None:
        both = both[:, both[0] != arguments.whole("confusion_matrix", "ignore_index", ignore_index)]
    if both.dtype.kind not in "iu" and both.size:
        raise ArgumentError(f"confusion_matrix: class numbers must be integers, got {both.dtype}.")
    both = both.astype(np.int64)
    least, most = (int(both.min()), int(both.max())) if both.size else (0, -1)
    count = most + 1 if classes is None else classes
    if least < 0 or most >= count:
        raise ArgumentError(f"confusion_matrix: class numbers must be from 0 to {count - 1}, got {least} to {most}.")
    return np.bincount(both[0] * count + both[1], minlength=count * count).reshape(count, count)


def class_reports(confusion: ArrayLike) -> list[ClassReport]:
    """Precision, recall and F1 of each class, from the confusion matrix.

    Args:
        confusion: (classes, classes), rows are what the images are.

    Raises:
        ShapeError: No square.
        ArgumentError: Numbers that count nothing.
    """
    counts = _counts("class_reports", confusion)
    reports: list[ClassReport] = []
    for number in range(len(counts)):
        hits, said, support = (
            int(each) for each in (counts[number, number], counts[:, number].sum(), counts[number].sum())
        )
        reports.append(
            {
                "precision": hits / said if said else 0.0,
                "recall": hits / support if support else 0.0,
                "f1": 2 * hits / (said + support) if said + support else 0.0,
                "support": support,
            }
        )
    return reports


def class_ious(confusion: ArrayLike) -> Array:
    """Intersection over union of each class, from the confusion matrix, (classes,), float64.

        IoU = images that are of the class and are said to be / images that are or are said to be

    Where there is none that is or is said to be, it is NaN. It is also known as the Jaccard index.

    Args:
        confusion: (classes, classes), rows are what the images, or the pixels, are.

    Raises:
        ShapeError: No square.
        ArgumentError: Numbers that count nothing.
    """
    counts = _counts("class_ious", confusion)
    hits = counts.diagonal()
    union = counts.sum(axis=0) + counts.sum(axis=1) - hits
    ious: Array = np.divide(hits, union, out=np.full(len(counts), math.nan), where=union > 0)
    return ious


def mean_iou(confusion: ArrayLike) -> float:
    """The mean of `class_ious`, of the classes that are there or are said to be.

    Args:
        confusion: (classes, classes), rows are what the images, or the pixels, are.

    Raises:
        ShapeError: No square.
        ArgumentError: Numbers that count nothing, or no count at all.
    """
    ious = class_ious(confusion)
    if np.isnan(ious).all():
        raise ArgumentError("mean_iou: expected at least one count, got none.")
    return float(np.nanmean(ious))


def calibration(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15) -> Calibration:
    """How often the class that a model finds likeliest is right, beside how likely it finds it.

    Args:
        probabilities: (n, classes), as `predict_proba` gives them.
        labels: (n,), class numbers.
        bins: Of the same width.

    Raises:
        ShapeError: Not a label for each row.
        ArgumentError: No labels, class numbers that are not, numbers that are no probabilities, or no bins.

    Guo et al. 2017, On calibration of modern neural networks, arXiv:1706.04599, section 2 and its 15 bins.
    """
    given, numbers = _scores("calibration", probabilities, labels)
    if given.ndim != 2:
        raise ShapeError(f"calibration: expected probabilities (n, classes), got shape {given.shape}.")
    bins = arguments.whole("calibration", "bins", bins, 1)
    given = given.astype(np.float64)
    if not (given.min() >= 0 and given.max() <= 1 + 1e-6):  # so written that NaN is refused too
        raise ArgumentError(f"calibration: expected probabilities in [0, 1], got {given.min():g} to {given.max():g}.")
    confidence = np.minimum(given.max(axis=1), 1.0)
    is_right = right(given, numbers)
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, weights=each, minlength=bins) for each in (confidence, is_right)]
    with np.errstate(invalid="ignore"):
        mean_confidence, mean_right = (each / counts for each in sums)
    gaps = np.abs(mean_right - mean_confidence)[counts > 0]
    shares = counts[counts > 0] / counts.sum()
    edges = np.linspace(0, 1, bins + 1)
    return Calibration(float(shares @ gaps), float(gaps.max()), edges, counts, mean_confidence, mean_right)


def wilson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Between which bounds a share lies, of which `successes` of `trials` were seen: the Wilson score interval.

        (p + z²/2n ± z · √(p (1 − p) / n + z²/4n²)) / (1 + z²/n)        p = successes / n

    It holds for a few trials and for shares near 0 and 1, where p ± z · √(p (1 − p) / n) does not.

    Args:
        successes: Such as right answers.
        trials: n, such as images.
        confidence: How often an interval so made holds the true share; it gives z.

    Returns:
        The lower and the upper bound, in [0, 1].

    Raises:
        ArgumentError: Numbers that make no share, or a confidence outside of (0, 1).

    Wilson 1927, Probable inference, the law of succession, and statistical inference.
    """
    from statistics import NormalDist  # few need it, and it takes long to import

    confidence = arguments.number("wilson", "confidence", confidence, above=0, below=1)
    successes, trials = arguments.whole("wilson", "successes", successes), arguments.whole("wilson", "trials", trials)
    if not 0 <= successes <= trials or not trials:
        raise ArgumentError(f"wilson: expected 0 to n successes of n > 0 trials, got {successes} of {trials}.")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / trials
    middle = share + z * z / (2 * trials)
    reach = z * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    scale = 1 + z * z / trials
    # The bounds at no and at all successes are 0 and 1; the root misses them by a rounding.
    low = 0.0 if successes == 0 else (middle - reach) / scale
    return low, 1.0 if successes == trials else (middle + reach) / scale


def _counts(who: str, confusion: ArrayLike) -> Array:
    """A confusion matrix, checked."""
    counts = arguments.array(who, "confusion", confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ShapeError(f"{who}: expected a matrix (classes, classes), got shape {counts.shape}.")
    if (
        counts.dtype.kind not in "buif"
        or not ((counts >= 0) & (counts == np.floor(counts)) & np.isfinite(counts)).all()
    ):
        raise ArgumentError(f"{who}: expected whole numbers that are not negative, got {counts.tolist()}.")
    return counts


def _scores(who: str, outputs: ArrayLike, labels: ArrayLike) -> tuple[Array, Array]:
    """Outputs and labels, held to each other."""
    outputs, labels = arguments.array(who, "outputs", outputs), arguments.array(who, "labels", labels)
    if outputs.ndim < 2 or labels.shape != outputs.shape[:1] + outputs.shape[2:]:
        raise ShapeError(f"{who}: outputs of shape {outputs.shape} need a label for each, got shape {labels.shape}.")
    if labels.dtype.kind not in "iu":
        raise ArgumentError(f"{who}: class numbers must be integers, got {labels.dtype}.")
    if not labels.size:
        raise ArgumentError(f"{who}: expected at least one label, got none.")
    if labels.min() < 0 or labels.max() >= outputs.shape[1]:
        raise ArgumentError(
            f"{who}: class numbers must be from 0 to {outputs.shape[1] - 1}, got {labels.min()} to {labels.max()}."
        )
    return outputs, labels
