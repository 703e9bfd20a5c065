"""Boxes that are kept, beside the plainest way to choose them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from colonnade.ops.detection import non_max_suppression, overlap

Array = np.ndarray[Any, Any]


def plainly(boxes: Array, scores: Array, most: int, threshold: float, least: float) -> list[int]:
    """One image and one class, box by box, by rational areas of corners (y, x, y, x)."""
    kept: list[int] = []
    for place in sorted(range(len(scores)), key=lambda each: (-scores[each], each)):
        if len(kept) == most or scores[place] <= least:
            break
        shares = []
        for other in kept:
            sides = [
                min(max(boxes[place][axis::2]), max(boxes[other][axis::2]))
                - max(min(boxes[place][axis::2]), min(boxes[other][axis::2]))
                for axis in (0, 1)
            ]
            inside = sides[0] * sides[1] if min(sides) > 0 else 0.0
            areas = [abs(np.prod(boxes[each][2:] - boxes[each][:2])) for each in (place, other)]
            shares.append(inside / (sum(areas) - inside) if inside else 0.0)
        if all(share <= threshold for share in shares):
            kept.append(place)
    return kept


@pytest.mark.parametrize("most", [1, 4, 30])
@pytest.mark.parametrize("least", [-np.inf, 0.4])
def test_boxes_are_kept_as_the_plainest_way_keeps_them(most: int, least: float) -> None:
    rng = np.random.default_rng(0)
    boxes, scores = rng.integers(0, 8, (2, 20, 4)).astype(float), rng.integers(0, 20, (2, 3, 20)) / 20
    found = non_max_suppression(boxes, scores, most, 0.3, least)
    assert found.shape == (2, 3, most)
    for image, kind in np.ndindex(2, 3):
        wanted = plainly(boxes[image], scores[image, kind], most, 0.3, least)
        assert found[image, kind].tolist() == wanted + [-1] * (most - len(wanted))


def test_centres_and_sizes_are_the_same_boxes_as_corners() -> None:
    rng = np.random.default_rng(1)
    middle, size, scores = rng.random((1, 15, 2)), rng.random((1, 15, 2)), rng.random((1, 2, 15))
    corners = np.concatenate([middle - size / 2, middle + size / 2], 2)[..., [1, 0, 3, 2]]
    centred = np.concatenate([middle, size], 2)
    np.testing.assert_array_equal(
        non_max_suppression(centred, scores, 5, 0.2, centers=True), non_max_suppression(corners, scores, 5, 0.2)
    )


def test_overlap_is_what_both_have_by_what_either_has() -> None:
    low, high = np.zeros(2), np.full(2, 2.0)
    lows = np.array([[0.0, 0], [1, 1], [2, 0], [0, 0], [0.5, 0.5]])
    highs = np.array([[2.0, 2], [3, 3], [4, 2], [0, 0], [1.5, 1.5]])
    np.testing.assert_allclose(overlap(low, high, lows, highs), [1, 1 / 7, 0, 0, 1 / 4])
