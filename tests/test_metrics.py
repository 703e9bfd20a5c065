"""Accuracy, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from colonnade.metrics import are_labels, right

OUTPUTS = np.array([[0.1, 0.9, 0.0], [2.0, 2.0, 1.0], [-1.0, -3.0, -0.5]])


def test_a_label_is_right_where_its_output_is_the_first_greatest() -> None:
    np.testing.assert_array_equal(right(OUTPUTS, np.array([1, 0, 2])), [True, True, True])
    np.testing.assert_array_equal(right(OUTPUTS, np.array([0, 1, 2])), [False, False, True])


def test_every_pixel_has_its_own_label() -> None:
    pixels = np.moveaxis(OUTPUTS.reshape(1, 1, 3, 3), -1, 1)  # (1, 3, 1, 3): three classes, a row of three pixels
    np.testing.assert_array_equal(right(pixels, np.array([[[1, 1, 2]]])), [[[True, False, True]]])


@pytest.mark.parametrize(
    ("targets", "expected"),
    [(np.zeros(3, int), True), (np.zeros(3), False), (np.zeros((3, 3), int), False), (np.zeros(3, bool), False)],
)
def test_labels_are_whole_numbers_one_for_each_row_of_outputs(targets: np.ndarray, expected: bool) -> None:
    assert are_labels(targets, OUTPUTS) is expected
