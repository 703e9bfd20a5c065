"""Detection: counted by hand, beside loops that follow the definitions, and beside pycocotools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from colonnade import detection
from colonnade.detection import Detections, Objects, box_iou, mean_average_precision, non_max_suppression
from colonnade.errors import ArgumentError, ShapeError

BOX, MOVED, AWAY = [0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]  # the first two share a third of their union


def boxes_at_random(rng: np.random.Generator, count: int) -> np.ndarray:
    """Boxes that overlap often, on whole pixels, so that some overlaps are equal."""
    corners = rng.integers(0, 12, (count, 2))
    return np.concatenate([corners, corners + rng.integers(1, 9, (count, 2))], axis=1).astype(float)


# Overlap


def test_the_overlap_of_boxes_is_counted_by_hand() -> None:
    found = box_iou([BOX, MOVED, AWAY], [BOX, [0, 0, 1, 2], [2, 2, 3, 3]])
    np.testing.assert_allclose(found, [[1, 1 / 2, 0], [1 / 3, 0, 0], [0, 0, 0]])


def test_the_overlap_of_boxes_on_a_grid_is_that_of_their_pixels() -> None:
    rng = np.random.default_rng(0)
    boxes, others = boxes_at_random(rng, 20), boxes_at_random(rng, 15)

    def pixels(box: np.ndarray) -> set[tuple[int, int]]:
        left, top, right, bottom = map(int, box)
        return {(x, y) for x in range(left, right) for y in range(top, bottom)}

    expected = [[len(pixels(a) & pixels(b)) / len(pixels(a) | pixels(b)) for b in others] for a in boxes]
    np.testing.assert_allclose(box_iou(boxes, others), expected)


def test_boxes_without_area_and_no_boxes_overlap_nothing() -> None:
    assert box_iou([[1, 1, 1, 1]], [[1, 1, 1, 1], BOX]).tolist() == [[0, 0]]
    assert box_iou([], [BOX]).shape == (0, 1)
    assert box_iou([BOX, MOVED], np.empty((0, 4))).shape == (2, 0)


# Suppression


def test_of_boxes_that_overlap_the_best_is_kept() -> None:
    boxes, scores = [MOVED, BOX, AWAY], [0.5, 0.9, 0.1]
    assert non_max_suppression(boxes, scores, iou=0.3).tolist() == [1, 2]
    assert non_max_suppression(boxes, scores, iou=1 / 3).tolist() == [1, 0, 2]  # more than so much, not as much
    assert non_max_suppression(boxes, scores, [7, 2, 2], iou=0.3).tolist() == [1, 0, 2]
    assert non_max_suppression([BOX, BOX, BOX], [1, 1, 1]).tolist() == [0]
    assert non_max_suppression([], []).tolist() == []


def test_suppression_is_the_loop_of_its_definition() -> None:
    rng = np.random.default_rng(1)
    for count in (1, 7, 40):
        boxes, scores, classes = boxes_at_random(rng, count), rng.integers(0, 9, count) / 8, rng.integers(0, 2, count)
        kept: list[int] = []
        for place in sorted(range(count), key=lambda place: (-scores[place], place)):
            rivals = [other for other in kept if classes[other] == classes[place]]
            if all(box_iou(boxes[[place]], boxes[[other]])[0, 0] <= 0.4 for other in rivals):
                kept.append(place)
        assert non_max_suppression(boxes, scores, classes, iou=0.4).tolist() == kept


# Average precision


def test_what_is_all_right_has_a_precision_of_one_and_what_is_all_wrong_of_zero() -> None:
    objects = [Objects([BOX, AWAY], [0, 1]), Objects([MOVED], [1])]
    right = [Detections([AWAY, BOX], [0.1, 0.2], [1, 0]), Detections([MOVED], [0.9], [1])]
    found = mean_average_precision(right, objects)
    assert found.mean == 1
    assert found.classes == (0, 1)
    assert found.each.shape == (10, 2)
    swapped = [Detections([AWAY, BOX], [0.1, 0.2], [0, 1]), Detections([MOVED], [0.9], [0])]
    assert mean_average_precision(swapped, objects).mean == 0
    assert mean_average_precision([Detections([], [], [])] * 2, objects).mean == 0


def test_the_area_is_counted_by_hand() -> None:
    """Right, wrong, right: precision 1 up to a recall of a third, 2/3 up to two thirds, and none beyond."""
    objects = [Objects([BOX, AWAY, [7, 0, 8, 1]], [0, 0, 0])]
    found = [Detections([BOX, [9, 9, 10, 10], AWAY], [0.9, 0.8, 0.7], [0, 0, 0])]
    expected = (34 * 1 + 33 * 2 / 3) / 101  # recalls 0, 0.01, … 0.33, then to 0.66
    assert mean_average_precision(found, objects, ious=(0.5,)).mean == pytest.approx(expected, rel=1e-12)


def test_an_object_is_found_once() -> None:
    objects = [Objects([BOX], [0])]
    twice = [Detections([BOX, BOX], [0.9, 0.8], [0, 0])]
    assert mean_average_precision(twice, objects).mean == 1  # the second is wrong, but the curve is at its end
    late = [Detections([MOVED, BOX], [0.9, 0.8], [0, 0])]
    found = mean_average_precision(late, objects, ious=(0.3, 0.5))
    np.testing.assert_allclose(found.each[:, 0], [1, 0.5])  # at 0.3 the first takes it, at 0.5 it is wrong


def test_only_the_best_of_an_image_and_class_count() -> None:
    objects = [Objects([BOX], [0])]
    found = [Detections([AWAY, AWAY, BOX], [0.9, 0.8, 0.7], [0, 1, 0])]
    assert mean_average_precision(found, objects, per_image=1).mean == 0
    assert mean_average_precision(found, objects, per_image=2).mean == 0.5


def scenes(seed: int, images: int = 12) -> tuple[list[Detections], list[Objects]]:
    """What a fair detector might find: objects a little moved, some of another class, some twice, some nowhere."""
    rng = np.random.default_rng(seed)
    found, objects = [], []
    for _ in range(images):
        true = boxes_at_random(rng, rng.integers(0, 6))
        kinds = rng.integers(0, 3, len(true))
        near = np.concatenate([true, true[::2], boxes_at_random(rng, 2)])
        near = near + rng.uniform(-0.7, 0.7, near.shape) * (rng.random((len(near), 1)) < 0.8)
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2])
        said = np.concatenate([kinds, kinds[::2], rng.integers(0, 4, 2)])
        said = np.where(rng.random(len(said)) < 0.1, 3 - said, said)
        found.append(Detections(near, rng.integers(0, 30, len(said)) / 30, said))
        objects.append(Objects(true, kinds))
    return found, objects


def by_definition(found: list[Detections], objects: list[Objects], number: int, iou: float) -> float:
    """The average precision of a class, in loops."""
    ranked = []  # (score, image, box), the best first; of equals those of earlier images
    for image, (boxes, scores, classes) in enumerate(found):
        own = [(score, image, box) for box, score, kind in zip(boxes, scores, classes, strict=True) if kind == number]
        ranked += sorted(own, key=lambda each: -each[0])
    ranked.sort(key=lambda each: -each[0])
    wanted = [[box for box, kind in zip(*each, strict=True) if kind == number] for each in objects]
    taken: set[tuple[int, int]] = set()
    curve = []
    for rank, (_, image, box) in enumerate(ranked, 1):
        free = [place for place in range(len(wanted[image])) if (image, place) not in taken]
        overlaps = {place: box_iou([box], [wanted[image][place]])[0, 0] for place in free}
        best = max(free, key=lambda place: (overlaps[place], place), default=None)
        if best is not None and overlaps[best] >= iou:
            taken.add((image, best))
        curve.append((len(taken) / sum(map(len, wanted)), len(taken) / rank))
    total = 0.0
    for least in np.linspace(0, 1, 101):
        total += max((precision for recall, precision in curve if recall >= least), default=0)
    return total / 101


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_the_loop_of_its_definition(seed: int) -> None:
    found, objects = scenes(seed)
    ious = (0.3, 0.5, 0.75)
    made = mean_average_precision(found, objects, ious=ious)
    expected = [[by_definition(found, objects, number, iou) for number in made.classes] for iou in ious]
    np.testing.assert_allclose(made.each, expected, rtol=1e-12)
    assert made.mean == pytest.approx(np.mean(expected))
    assert 0 < made.mean < 1
    assert made.ious == ious


@pytest.mark.parametrize("seed", range(3, 6))
def test_average_precision_is_that_of_pycocotools(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is what average precision is compared with")
    from pycocotools.cocoeval import COCOeval

    found, objects = scenes(seed)
    truth, numbers = coco.COCO(), range(4)

    def sized(box: Any) -> list[float]:
        left, top, right, bottom = map(float, box)
        return [left, top, right - left, bottom - top]

    annotations = [
        {"image_id": image, "category_id": int(kind), "bbox": sized(box), "area": 1, "iscrowd": 0}
        for image, each in enumerate(objects)
        for box, kind in zip(*each, strict=True)
    ]
    truth.dataset = {
        "info": {},
        "images": [{"id": image} for image in range(len(objects))],
        "categories": [{"id": number} for number in numbers],
        "annotations": [{"id": place, **each} for place, each in enumerate(annotations, 1)],
    }
    truth.createIndex()
    answers = truth.loadRes(
        [
            {"image_id": image, "category_id": int(kind), "bbox": sized(box), "score": float(score)}
            for image, each in enumerate(found)
            for box, score, kind in zip(*each, strict=True)
        ]
    )
    judge = COCOeval(truth, answers, "bbox")
    judge.evaluate()
    judge.accumulate()
    precision = judge.eval["precision"][:, :, :, 0, -1].mean(axis=1)  # (overlaps, classes), −1 where there is no object
    made = mean_average_precision(found, objects)
    np.testing.assert_allclose(made.each, precision[:, list(made.classes)], rtol=1e-9)
    assert (np.delete(precision, list(made.classes), axis=1) == -1).all()


# What is refused


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: box_iou([[1, 2, 3]], [BOX]), ShapeError, r"box_iou: boxes must have the shape \(k, 4\), got \(1, 3\)"),
        (
            lambda: box_iou([BOX], [[2, 0, 1, 1]]),
            ArgumentError,
            r"box_iou: others must be \(left, top, right, bottom\) with left ≤ right and top ≤ bottom, all finite, "
            r"got \[2\.0, 0\.0, 1\.0, 1\.0\]",
        ),
        (lambda: box_iou([[0, 0, np.nan, 1]], [BOX]), ArgumentError, r"box_iou: boxes must be .*nan"),
        (lambda: box_iou([[0, 0, np.inf, 1]], [BOX]), ArgumentError, r"box_iou: boxes must be .*inf"),
        (
            lambda: non_max_suppression([BOX], [1, 2]),
            ShapeError,
            r"non_max_suppression: scores must have the shape \(1,\), one for each box, got \(2,\)",
        ),
        (
            lambda: non_max_suppression([BOX], [np.nan]),
            ArgumentError,
            r"non_max_suppression: scores must be finite, got nan",
        ),
        (
            lambda: non_max_suppression([BOX], [1], [0.5]),
            ArgumentError,
            r"non_max_suppression: classes must be whole numbers, got float64",
        ),
        (
            lambda: non_max_suppression([BOX], [1], iou=2),
            ArgumentError,
            r"non_max_suppression: iou must lie between 0 and 1, got 2",
        ),
        (
            lambda: mean_average_precision([], [Objects([BOX], [0])]),
            ShapeError,
            r"mean_average_precision: expected detections of each of 1 images, got 0",
        ),
        (
            lambda: mean_average_precision([Detections([], [], [])], [Objects([], [])]),
            ArgumentError,
            r"mean_average_precision: expected at least one object, got none in 1 images",
        ),
        (
            lambda: mean_average_precision([], []),
            ArgumentError,
            r"mean_average_precision: expected at least one object, got none in 0 images",
        ),
        (
            lambda: mean_average_precision([Detections([], [], [])], [Objects([BOX], [0])], ious=(0.5, 1.5)),
            ArgumentError,
            r"mean_average_precision: ious must be numbers above 0 and at most 1, got \(0\.5, 1\.5\)",
        ),
        (
            lambda: mean_average_precision([Detections([], [], [])], [Objects([BOX], [0])], per_image=0),
            ArgumentError,
            r"mean_average_precision: per_image must be positive, got 0",
        ),
        (
            lambda: mean_average_precision([Detections([BOX], [1], [0])], [Objects([BOX], [0, 1])]),
            ShapeError,
            r"mean_average_precision: classes must have the shape \(1,\), one for each box, got \(2,\)",
        ),
    ],
)
def test_what_is_no_detection_is_refused(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        call()


def test_the_overlaps_of_coco_are_ten() -> None:
    assert detection.COCO_IOUS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
