"""Metrics: counted by hand, and beside scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from colonnade import metrics
from colonnade.errors import ArgumentError, ShapeError
from colonnade.metrics import are_labels, right

OUTPUTS = np.array([[0.1, 0.9, 0.0], [2.0, 2.0, 1.0], [-1.0, -3.0, -0.5]])


@pytest.fixture
def scores() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of seven classes for 500 images, rather good ones, and what the images are; one class is absent."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 6, 500)
    logits = rng.normal(size=(500, 7)) + 1.5 * (np.arange(7) == labels[:, None])
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), labels


def test_a_label_is_right_where_its_output_is_the_first_greatest() -> None:
    np.testing.assert_array_equal(right(OUTPUTS, np.array([1, 0, 2])), [True, True, True])
    np.testing.assert_array_equal(right(OUTPUTS, np.array([0, 1, 2])), [False, False, True])


def test_every_pixel_has_its_own_label() -> None:
    pixels = np.moveaxis(OUTPUTS.reshape(1, 1, 3, 3), -1, 1)  # (1, 3, 1, 3): three classes, a row of three pixels
    np.testing.assert_array_equal(right(pixels, np.array([[[1, 1, 2]]])), [[[True, False, True]]])
    assert metrics.accuracy(pixels, np.array([[[1, 1, 2]]])) == 2 / 3
    assert metrics.top_k(pixels, np.array([[[1, 1, 2]]]), k=2) == 1


@pytest.mark.parametrize(
    ("targets", "expected"),
    [(np.zeros(3, int), True), (np.zeros(3), False), (np.zeros((3, 3), int), False), (np.zeros(3, bool), False)],
)
def test_labels_are_whole_numbers_one_for_each_row_of_outputs(targets: np.ndarray, expected: bool) -> None:
    assert are_labels(targets, OUTPUTS) is expected


def test_top_k_counts_the_first_of_equals_first() -> None:
    equal = np.zeros((3, 3))
    assert [metrics.top_k(equal, np.array([0, 1, 2]), k) for k in (1, 2, 3, 9)] == [1 / 3, 2 / 3, 1, 1]
    assert metrics.top_k(OUTPUTS, np.array([1, 0, 2]), 1) == metrics.accuracy(OUTPUTS, np.array([1, 0, 2])) == 1


def test_outputs_with_nan_are_no_answer() -> None:
    nan = math.nan
    outputs = np.array([[nan, 1.0, 2.0], [nan, nan, nan], [3.0, 1.0, nan], [0.0, 1.0, 2.0]])
    np.testing.assert_array_equal(metrics.predicted(outputs), [-1, -1, -1, 2])
    for labels in ([0, 0, 0, 2], [2, 1, 2, 2], [1, 2, 1, 2]):
        assert metrics.accuracy(outputs, labels) == 0.25
        assert [metrics.top_k(outputs, labels, k) for k in (1, 2, 3, 9)] == [0.25] * 4
    pixels = np.moveaxis(outputs.reshape(1, 2, 2, 3), -1, 1)
    np.testing.assert_array_equal(right(pixels, np.array([[[2, 1], [0, 2]]])), [[[False, False], [False, True]]])


def test_infinite_outputs_are_as_great_as_they_are() -> None:
    outputs = np.array([[-math.inf, math.inf, 0.0], [math.inf, math.inf, 0.0], [-math.inf] * 3])
    assert metrics.accuracy(outputs, [1, 0, 0]) == 1
    assert [metrics.top_k(outputs, [2, 1, 2], k) for k in (1, 2, 3)] == [0, 2 / 3, 1]


def test_what_no_image_counts_is_refused() -> None:
    for wrong in ([[1.0, math.nan], [0, 1]], [[1, -1], [0, 1]], [[0.5, 0], [0, 1]], [[math.inf, 0], [0, 1]]):
        with pytest.raises(ArgumentError, match=r"^class_reports: expected whole numbers that are not negative, got "):
            metrics.class_reports(wrong)
    for metric in (metrics.accuracy, metrics.top_k, metrics.calibration):
        with pytest.raises(ArgumentError, match=f"^{metric.__name__}: class numbers must be integers, got float64"):
            metric(OUTPUTS, [0, 1, math.nan])
        with pytest.raises(
            ArgumentError, match=f"^{metric.__name__}: outputs must hold numbers in a regular array, got an"
        ):
            metric(OUTPUTS * 1j, [0, 1, 2])
    with pytest.raises(ArgumentError, match=r"^confusion_matrix: class numbers must be from 0 to 1, got -1 to 1"):
        metrics.confusion_matrix([0, -1], [0, 1])


def test_accuracy_and_top_k_agree_with_scikit_learn(scores: tuple[np.ndarray, np.ndarray]) -> None:
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is what the metrics are compared with")
    probabilities, labels = scores
    assert metrics.accuracy(probabilities, labels) == reference.accuracy_score(labels, probabilities.argmax(axis=1))
    for k in (1, 2, 5):
        expected = reference.top_k_accuracy_score(labels, probabilities, k=k, labels=range(7))
        assert metrics.top_k(probabilities, labels, k) == pytest.approx(expected)


def test_confusion_matrix_and_reports_agree_with_scikit_learn(scores: tuple[np.ndarray, np.ndarray]) -> None:
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is what the metrics are compared with")
    probabilities, labels = scores
    predicted = probabilities.argmax(axis=1)
    confusion = metrics.confusion_matrix(predicted, labels, classes=7)
    np.testing.assert_array_equal(confusion, reference.confusion_matrix(labels, predicted, labels=range(7)))
    assert confusion.dtype == np.int64
    expected = reference.precision_recall_fscore_support(labels, predicted, labels=range(7), zero_division=0)
    reports = metrics.class_reports(confusion)
    for name, column in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose([report[name] for report in reports], column)  # type: ignore[literal-required]
    assert reports[6]["support"] == reports[6]["recall"] == 0


def test_calibration_agrees_with_scikit_learn_and_with_a_loop(scores: tuple[np.ndarray, np.ndarray]) -> None:
    reference = pytest.importorskip("sklearn.calibration", reason="scikit-learn is what the metrics are compared with")
    probabilities, labels = scores
    found = metrics.calibration(probabilities, labels, bins=10)
    confidence, hits = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    accuracies, confidences = reference.calibration_curve(hits, confidence, n_bins=10)
    np.testing.assert_allclose(found.accuracy[found.counts > 0], accuracies)
    np.testing.assert_allclose(found.confidence[found.counts > 0], confidences)
    ece = worst = 0.0
    for low, high in zip(found.edges[:-1], found.edges[1:], strict=True):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gap = abs(hits[inside].mean() - confidence[inside].mean())
            ece, worst = ece + gap * inside.mean(), max(worst, gap)
    assert found.ece == pytest.approx(ece)
    assert found.mce == pytest.approx(worst)
    assert found.counts.sum() == 500


def test_whoever_is_sure_and_right_is_calibrated_and_whoever_is_sure_and_wrong_is_not() -> None:
    sure = np.eye(4, dtype=np.float32)
    assert metrics.calibration(sure, np.arange(4)).ece == 0
    wrong = metrics.calibration(sure, (np.arange(4) + 1) % 4)
    assert wrong.ece == wrong.mce == 1
    assert wrong.counts[-1] == 4
    assert np.isnan(wrong.accuracy[:-1]).all()


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (1, 10), (105, 150), (9876, 10000)])
def test_wilson_bounds_are_where_the_share_is_z_deviations_away(successes: int, trials: int) -> None:
    bounds = metrics.wilson(successes, trials)
    z, seen = 1.959963984540054, successes / trials
    for bound in bounds:
        if 0 < bound < 1:  # the interval's definition: |p̂ − p| = z · √(p (1 − p) / n)
            assert abs(seen - bound) == pytest.approx(z * math.sqrt(bound * (1 - bound) / trials))
    assert 0 <= bounds[0] <= seen <= bounds[1] <= 1


def test_a_wilson_interval_holds_the_share_as_often_as_it_says() -> None:
    seen = np.random.default_rng(0).binomial(50, 0.9, 2000)
    held = [low <= 0.9 <= high for low, high in (metrics.wilson(int(each), 50, 0.9) for each in seen)]
    assert np.mean(held) == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: metrics.accuracy(OUTPUTS, [0, 1]), ShapeError, r"accuracy: outputs of shape \(3, 3\) need a label"),
        (lambda: metrics.accuracy(OUTPUTS, [0, 1, 3]), ArgumentError, "class numbers must be from 0 to 2, got 0 to 3"),
        (lambda: metrics.accuracy(OUTPUTS, [0.0, 1.0, 2.0]), ArgumentError, "must be integers, got float64"),
        (lambda: metrics.accuracy(np.zeros((0, 3)), np.zeros(0, int)), ArgumentError, "at least one label"),
        (lambda: metrics.top_k(OUTPUTS, [0, 1, 2], 0), ArgumentError, "top_k: k must be positive, got 0"),
        (lambda: metrics.confusion_matrix([0, 1], [0]), ShapeError, "an answer for each"),
        (lambda: metrics.confusion_matrix([0, 5], [0, 1], 3), ArgumentError, "from 0 to 2, got 0 to 5"),
        (lambda: metrics.confusion_matrix([0, -1], [0, 1]), ArgumentError, "got -1 to 1"),
        (lambda: metrics.confusion_matrix([0.5], [0]), ArgumentError, "must be integers"),
        (lambda: metrics.class_reports(np.zeros((2, 3))), ShapeError, r"\(classes, classes\), got shape \(2, 3\)"),
        (lambda: metrics.calibration(OUTPUTS, [0, 1, 2]), ArgumentError, r"probabilities in \[0, 1\], got -3 to 2"),
        (lambda: metrics.calibration(OUTPUTS * np.nan, [0, 1, 2]), ArgumentError, "probabilities in"),
        (lambda: metrics.calibration(np.eye(3), [0, 1, 2], 0), ArgumentError, "bins must be positive"),
        (lambda: metrics.wilson(3, 2), ArgumentError, "got 3 of 2"),
        (lambda: metrics.wilson(0, 0), ArgumentError, "got 0 of 0"),
        (lambda: metrics.wilson(1, 2, 1.0), ArgumentError, "confidence must be above 0 and below 1, got 1.0"),
    ],
)
def test_wrong_input_is_one_line(call, error, message) -> None:
    with pytest.raises(error, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_no_images_make_an_empty_matrix() -> None:
    assert metrics.confusion_matrix([], [], 2).tolist() == [[0, 0], [0, 0]]


def test_intersection_over_union_is_counted_by_hand() -> None:
    labels = np.array([[[0, 0, 1], [1, 255, 1]]])  # a picture of two rows, a pixel of which does not count
    answers = np.array([[[0, 1, 1], [3, 0, 1]]])
    confusion = metrics.confusion_matrix(answers, labels, 4, ignore_index=255)
    assert confusion.sum() == 5
    ious = metrics.class_ious(confusion)
    np.testing.assert_allclose(ious, [1 / 2, 2 / 4, math.nan, 0])  # nothing is or is said to be of class 2
    assert metrics.mean_iou(confusion) == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)


def test_intersection_over_union_agrees_with_scikit_learn(scores: tuple[np.ndarray, np.ndarray]) -> None:
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is what the metrics are compared with")
    probabilities, labels = scores
    predicted = probabilities.argmax(axis=1)
    confusion = metrics.confusion_matrix(predicted, labels, classes=7)
    expected = reference.jaccard_score(labels, predicted, labels=range(7), average=None)
    np.testing.assert_allclose(metrics.class_ious(confusion), expected)
    assert metrics.mean_iou(confusion) == pytest.approx(expected.mean())


def test_intersection_over_union_of_nothing_is_refused() -> None:
    for metric in (metrics.class_ious, metrics.mean_iou):
        with pytest.raises(
            ShapeError, match=r"^class_ious: expected a matrix \(classes, classes\), got shape \(2, 3\)"
        ):
            metric(np.ones((2, 3)))
        with pytest.raises(ArgumentError, match=r"^class_ious: expected whole numbers that are not negative, got "):
            metric([[1, -1], [0, 1]])
    with pytest.raises(ArgumentError, match=r"^mean_iou: expected at least one count, got none"):
        metrics.mean_iou(np.zeros((3, 3), int))
    with pytest.raises(ArgumentError, match=r"^confusion_matrix: ignore_index must be a whole number, got 0\.5"):
        metrics.confusion_matrix([0, 1], [0, 1], ignore_index=0.5)  # type: ignore[arg-type]
