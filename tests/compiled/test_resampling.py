"""Compiled interpolation against products with the matrices."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from colonnade.compiled.resampling import band, interpolate
from colonnade.ops.resampling import linear_matrix

pytestmark = pytest.mark.thorough


def test_a_band_is_the_matrix_it_was_made_of() -> None:
    rng = np.random.default_rng(0)
    matrices = [linear_matrix(size, outputs, size / outputs, corners, np.float32)
                for size in (1, 2, 5, 9) for outputs in (1, 3, 10, 23) for corners in (False, True)]  # fmt: skip
    matrices += [each.T for each in matrices]
    matrices += [np.where(rng.random((7, 5)) < 0.4, rng.normal(size=(7, 5)), 0).astype(np.float32), np.zeros((2, 3))]
    for matrix in matrices:
        starts, weights = band(matrix)
        again = np.zeros(matrix.shape)
        for row, start in enumerate(starts):
            again[row, start : start + weights.shape[1]] = weights[row]
        np.testing.assert_array_equal(again, matrix)


def test_rows_are_interpolated_as_by_the_matrix() -> None:
    rng = np.random.default_rng(0)
    for run in (*range(1, 35), 63, 64, 65, 130):
        for size, outputs in ((1, 3), (5, 9), (9, 5)):
            matrix = linear_matrix(size, outputs, size / outputs, False, np.float32)
            for each in (matrix, matrix.T.copy()):
                x = rng.normal(size=(2, each.shape[1], run)).astype(np.float32)
                y = np.full((2, each.shape[0], run), np.nan, np.float32)
                interpolate(x, *band(each), y)
                exact = each.astype(float) @ x
                np.testing.assert_allclose(y, exact, rtol=0, atol=1e-6 * max(np.abs(exact).max(), 1e-30))


def test_a_band_that_leaves_the_image_is_refused() -> None:
    x, y, weights = np.ones((2, 4, 5), np.float32), np.ones((2, 3, 5), np.float32), np.ones((3, 2), np.float32)
    for starts in ([0, 1, 3], [-1, 0, 0]):
        with pytest.raises(ValueError, match="interpolate: the band must lie in x"):
            interpolate(x, np.array(starts), weights, y)
    with pytest.raises(ValueError, match=r"interpolate: x must be \(stacks, size, run\)"):
        interpolate(x, np.array([0, 1]), weights, y)
