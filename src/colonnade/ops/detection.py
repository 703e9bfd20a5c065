"""Boxes that are kept of many: derived in docs/math/rearrangement.md.

`out` is written and returned; it is made if it is not given.
"""

from __future__ import annotations

import numpy as np

from .layout import Array


def non_max_suppression(
    boxes: Array,
    scores: Array,
    most: int,
    iou_threshold: float = 0.5,
    score_threshold: float = -np.inf,
    centers: bool = False,
    out: Array | None = None,
) -> Array:
    """The places of the boxes that are kept of each class, the one with the highest score first; −1 where none is left.

    One after the other the box with the highest score is kept, and those of the rest are dropped whose overlap with it,
    the area that both have by the area that either has, is above `iou_threshold`.

    Args:
        boxes: (n, b, 4): two opposite corners (y, x, y, x), or with `centers` (x, y, width, height).
        scores: (n, c, b).
        most: k, how many are kept of each class, at most.
        iou_threshold: Boxes that overlap more are taken for one.
        score_threshold: Boxes count with a score above it.
        centers: How a box is said.
        out: Written, and returned; made if not given: (n, c, k).
    """
    out = np.empty((*scores.shape[:2], most), scores.dtype) if out is None else out
    out.fill(-1)
    for image, kind in np.ndindex(*scores.shape[:2]):
        low, high = _corners(boxes[image], centers)
        own = scores[image, kind]
        left = np.argsort(-own, kind="stable")
        left = left[own[left] > score_threshold]
        for place in range(most):
            if not left.size:
                break
            best, left = left[0], left[1:]
            out[image, kind, place] = best
            left = left[overlap(low[best], high[best], low[left], high[left]) <= iou_threshold]
    return out


def _corners(boxes: Array, centers: bool) -> tuple[Array, Array]:
    """The least and the greatest coordinates of boxes."""
    if centers:
        half = boxes[:, 2:] / 2
        return boxes[:, :2] - half, boxes[:, :2] + half
    return np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])


def overlap(low: Array, high: Array, lows: Array, highs: Array) -> Array:
    """The area that boxes have in common with others by that of both; zero where one of them has none.

    Args:
        low: (..., 2), the least coordinates of the boxes; broadcast with those of the others.
        high: (..., 2), the greatest.
        lows: (..., 2), of the others.
        highs: (..., 2), likewise.
    """
    inside = np.clip(np.minimum(high, highs) - np.maximum(low, lows), 0, None).prod(axis=-1)
    one, others = (high - low).prod(axis=-1), (highs - lows).prod(axis=-1)
    both = one + others - inside
    share: Array = np.divide(inside, both, out=np.zeros_like(inside), where=(inside > 0) & (both > 0))
    return share
