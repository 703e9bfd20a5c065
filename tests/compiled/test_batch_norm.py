"""Compiled batch norm against float64."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from colonnade.compiled.batch_norm import batch_norm_forward, batch_norm_moments, batch_norm_pool_forward
from colonnade.ops.normalization import join_moments


@pytest.mark.parametrize("channels", [1, 5, 16, 33])
@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_moments_are_those_of_all_numbers_however_far_and_cut(channels: int, mean: float) -> None:
    x = (np.random.default_rng(0).standard_normal((2500, channels)) + mean).astype(np.float32)
    moments = np.zeros((4, channels))
    for start, stop in ((0, 1), (1, 3), (3, 2000), (2000, 2500)):
        batch_norm_moments(x[start:stop].copy(), moments)
    exact = x.astype(np.float64)
    np.testing.assert_array_equal(moments[0], 2500)
    np.testing.assert_allclose(moments[1] + moments[2], exact.mean(0), rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(moments[3], ((exact - exact.mean(0)) ** 2).sum(0), rtol=1e-6)


def test_moments_are_joined_as_in_numpy() -> None:
    x = np.random.default_rng(0).standard_normal((64, 7)).astype(np.float32)
    before = np.stack([np.full(7, 10.0), np.arange(7.0), np.full(7, 0.5), np.arange(7.0) + 1])
    joined, exact = before.copy(), x.astype(np.float64)
    batch_norm_moments(x, before)
    join_moments(joined, 64, exact.mean(0), np.zeros(7), ((exact - exact.mean(0)) ** 2).sum(0))
    np.testing.assert_allclose(before, joined, rtol=1e-6)


def test_not_a_number_goes_through_and_wins_its_window() -> None:
    x = np.zeros((1, 2, 2, 3), np.float32)
    x[0, 1, 0, 1] = np.nan
    ones, zeros, zero = np.ones(3, np.float32), np.zeros(3, np.float32), np.float32(0)
    y = np.empty((4, 3), np.float32)
    values = x.reshape(4, 3)
    batch_norm_forward(1, False)(values, values, zeros, ones, zeros, y, zero, zero)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x.reshape(4, 3)))
    pooled, winners = np.empty((1, 1, 1, 3), np.float32), np.empty((1, 1, 1, 3), np.uint8)
    batch_norm_pool_forward(0, 2)(x, zeros, ones, zeros, pooled, winners, zero, zero)
    np.testing.assert_array_equal(np.isnan(pooled[0, 0, 0]), [False, True, False])
    assert winners[0, 0, 0, 1] == 2


def test_moments_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="must be \\(4, c\\)"):
        batch_norm_moments(np.zeros((4, 3), np.float32), np.zeros((2, 3)))


def test_arrays_and_vectors_that_do_not_fit_are_refused() -> None:
    x, vector, zero = np.zeros((4, 3), np.float32), np.zeros(3, np.float32), np.float32(0)
    forward = batch_norm_forward(1, False)
    with pytest.raises(ValueError, match="of one shape"):
        forward(x, x, vector, vector, vector, np.zeros((3, 3), np.float32), zero, zero)
    with pytest.raises(ValueError, match="a number for each channel"):
        forward(x, x, vector, vector[:2].copy(), vector, x.copy(), zero, zero)
    images, winners = np.zeros((1, 4, 4, 3), np.float32), np.zeros((1, 2, 1, 3), np.uint8)
    pooled = np.zeros((1, 2, 1, 3), np.float32)
    with pytest.raises(ValueError, match="a window of x and a winner"):
        batch_norm_pool_forward(0, 2)(images, vector, vector, vector, pooled, winners, zero, zero)
