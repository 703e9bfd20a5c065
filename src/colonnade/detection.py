"""Detection: how far boxes overlap, which of many are kept, and how good those that were found are.

A box is (left, top, right, bottom), in any unit; x grows to the right and y down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import arguments
from .errors import ArgumentError, ShapeError
from .ops import detection as ops
from .ops.layout import Array

COCO_IOUS = tuple(float(number) / 100 for number in range(50, 100, 5))
RECALLS = np.linspace(0, 1, 101)  # where precision is read, as COCO does


class Detections(NamedTuple):
    """What a detector found in an image.

    Attributes:
        boxes: (k, 4).
        scores: (k,), how sure it is of each.
        classes: (k,), class numbers.
    """

    boxes: ArrayLike
    scores: ArrayLike
    classes: ArrayLike


class Objects(NamedTuple):
    """What there is in an image.

    Attributes:
        boxes: (m, 4).
        classes: (m,), class numbers.
    """

    boxes: ArrayLike
    classes: ArrayLike


class AveragePrecision(NamedTuple):
    """The area under the curve of precision over recall.

    Attributes:
        mean: Over all overlaps and classes.
        each: (overlaps, classes), of each by itself.
        ious: The overlaps, in the order of the rows.
        classes: The class numbers that there are, in the order of the columns.
    """

    mean: float
    each: Array
    ious: tuple[float, ...]
    classes: tuple[int, ...]


def box_iou(boxes: ArrayLike, others: ArrayLike) -> Array:
    """Intersection over union of each box with each other one: 1 where they are the same, 0 where they don't meet.

    Args:
        boxes: (k, 4).
        others: (m, 4).

    Returns:
        (k, m), float64. Where both boxes are empty, 0.

    Raises:
        ShapeError: Not four numbers a box.
        ArgumentError: NaN, or a box whose right or bottom is before its left or top.
    """
    return _overlaps(_boxes("box_iou", "boxes", boxes), _boxes("box_iou", "others", others))


def _overlaps(boxes: Array, others: Array) -> Array:
    """`box_iou` of what is checked."""
    first, second = boxes[:, np.newaxis], others[np.newaxis]
    return ops.overlap(first[..., :2], first[..., 2:], second[..., :2], second[..., 2:])


def non_max_suppression(
    boxes: ArrayLike, scores: ArrayLike, classes: ArrayLike | None = None, *, iou: float = 0.5
) -> Array:
    """Which boxes are kept: the best, then the best of those that do not overlap it by more than `iou`, and so on.

    Args:
        boxes: (k, 4).
        scores: (k,).
        classes: (k,): then only boxes of one class suppress each other. None for all as one class.
        iou: The overlap, intersection over union, from 0 to 1.

    Returns:
        The places of those that are kept, the best first and the first of equals first, int64.

    Raises:
        ShapeError: Not four numbers, or not a score or class, for each box.
        ArgumentError: Scores that are not finite, an overlap out of range, or class numbers that are not whole.
    """
    who = "non_max_suppression"
    iou = arguments.number(who, "iou", iou, 0, 1)
    given = _boxes(who, "boxes", boxes)
    weights = _row(who, "scores", scores, len(given))
    kinds = np.zeros(len(given), np.int64) if classes is None else _numbers(who, "classes", classes, len(given))
    kept = [np.empty(0, np.int64)]
    for kind in np.unique(kinds):
        own = np.flatnonzero(kinds == kind)
        places = ops.non_max_suppression(given[np.newaxis, own], weights[np.newaxis, np.newaxis, own], len(own), iou)
        kept.append(own[places[places >= 0].astype(np.int64)])
    found = np.sort(np.concatenate(kept))
    return found[np.argsort(-weights[found], kind="stable")]


def mean_average_precision(
    found: Sequence[Detections],
    objects: Sequence[Objects],
    *,
    ious: Sequence[float] = COCO_IOUS,
    per_image: int = 100,
) -> AveragePrecision:
    """How good a detector is, as COCO measures it: precision at 101 recalls from 0 to 1, averaged.

    Of each class all detections are sorted by score. One is right if it overlaps an object of its image and class by
    `iou` that no better one has taken. Precision and recall of the best 1, 2, 3, … make a curve; at each recall the
    greatest precision from there on counts, and 0 where the curve does not come so far.

    Args:
        found: Of each image.
        objects: Of each image, in the same order.
        ious: Overlaps that make a detection right, each above 0 and at most 1. By default COCO's 0.5, 0.55, … 0.95;
            (0.5,) is what Pascal VOC asks.
        per_image: How many detections of an image and class count, the best of them.

    Raises:
        ShapeError: Not the detections of each image, or arrays that do not belong together.
        ArgumentError: No object in any image, or numbers out of range.

    Lin et al. 2014, Microsoft COCO, arXiv:1405.0312. The numbers are those of pycocotools for objects that are no
    crowds.
    """
    who = "mean_average_precision"
    if len(found) != len(objects):
        raise ShapeError(f"{who}: expected detections of each of {len(objects)} images, got {len(found)}.")
    least = arguments.numbers(who, "ious", ious, above=0)
    if not least or max(least) > 1:
        raise ArgumentError(f"{who}: ious must be numbers above 0 and at most 1, got {arguments.shown(ious)}.")
    per_image = arguments.whole(who, "per_image", per_image, 1)
    given = [_detections(who, each) for each in found]
    truth = [_objects(who, each) for each in objects]
    classes = np.unique(np.concatenate([kinds for _, kinds in truth])) if truth else np.empty(0, np.int64)
    if not len(classes):
        raise ArgumentError(f"{who}: expected at least one object, got none in {len(truth)} images.")
    each = np.empty((len(least), len(classes)))
    for column, number in enumerate(classes):
        scores, hits, count = [], [], 0
        for (boxes, weights, kinds), (own, own_kinds) in zip(given, truth, strict=True):
            chosen = np.flatnonzero(kinds == number)
            chosen = chosen[np.argsort(-weights[chosen], kind="stable")][:per_image]
            wanted = own[own_kinds == number]
            scores.append(weights[chosen])
            hits.append(_hits(_overlaps(boxes[chosen], wanted), least))
            count += len(wanted)
        order = np.argsort(-np.concatenate(scores), kind="stable")
        each[:, column] = [_area(right, count) for right in np.concatenate(hits, axis=1)[:, order]]
    return AveragePrecision(float(each.mean()), each, least, tuple(map(int, classes)))


def _hits(overlaps: Array, ious: Sequence[float]) -> Array:
    """Which detections are right, for each overlap that is asked; the best come first and take what they overlap most.

    Shapes: overlaps (detections, objects), the result (ious, detections).
    """
    hits = np.zeros((len(ious), len(overlaps)), bool)
    if not overlaps.size:
        return hits
    last = overlaps.shape[1] - 1
    for row, iou in enumerate(ious):
        free = overlaps.copy()
        for place in range(len(free)):
            best = last - free[place, ::-1].argmax()  # of equals the last, as pycocotools has it
            if free[place, best] >= min(iou, 1 - 1e-10):
                hits[row, place] = True
                free[:, best] = -1
    return hits


def _area(right: Array, count: int) -> float:
    """The mean of precision at all recalls, of detections in order, the best first."""
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(hits / count, RECALLS, side="left")
    return float(np.append(precision, 0)[places].mean())


def _detections(who: str, given: Detections) -> tuple[Array, Array, Array]:
    boxes, scores, classes = given
    made = _boxes(who, "boxes", boxes)
    return made, _row(who, "scores", scores, len(made)), _numbers(who, "classes", classes, len(made))


def _objects(who: str, given: Objects) -> tuple[Array, Array]:
    boxes, classes = given
    made = _boxes(who, "boxes", boxes)
    return made, _numbers(who, "classes", classes, len(made))


def _boxes(who: str, name: str, boxes: ArrayLike) -> Array:
    """Boxes as float64; an empty list are none."""
    made = arguments.array(who, name, boxes).astype(np.float64)
    if not made.size:
        return np.empty((0, 4))
    if made.ndim != 2 or made.shape[1] != 4:
        raise ShapeError(f"{who}: {name} must have the shape (k, 4), got {made.shape}.")
    wrong = ~((made[:, :2] <= made[:, 2:]) & np.isfinite(made[:, :2]) & np.isfinite(made[:, 2:])).all(axis=1)
    if wrong.any():
        raise ArgumentError(
            f"{who}: {name} must be (left, top, right, bottom) with left ≤ right and top ≤ bottom, all finite, "
            f"got {made[wrong][0].tolist()}."
        )
    return made


def _row(who: str, name: str, values: ArrayLike, count: int) -> Array:
    """A number for each box."""
    made = arguments.array(who, name, values).astype(np.float64)
    if made.shape != (count,):
        raise ShapeError(f"{who}: {name} must have the shape ({count},), one for each box, got {made.shape}.")
    if not np.isfinite(made).all():
        raise ArgumentError(f"{who}: {name} must be finite, got {made[~np.isfinite(made)][0]}.")
    return made


def _numbers(who: str, name: str, values: ArrayLike, count: int) -> Array:
    """A class number for each box."""
    made = arguments.array(who, name, values)
    if made.shape != (count,):
        raise ShapeError(f"{who}: {name} must have the shape ({count},), one for each box, got {made.shape}.")
    if made.size and made.dtype.kind not in "iu":
        raise ArgumentError(f"{who}: {name} must be whole numbers, got {made.dtype}.")
    return made.astype(np.int64)
