"""Batch norm's statistics from the moments of lanes, against the whole batch in float64."""

from __future__ import annotations

import numpy as np
import pytest

from colonnade.ops.normalization import backward_vectors, forward_vectors, join_moments

pytest.importorskip("numba")

from colonnade.compiled.statistics import batch_norm_gradients, batch_norm_statistics
from colonnade.ops.normalization import Statistics

NOTHING = np.empty(0, np.float32)
CHANNELS, EPS = 5, 1e-5


def lanes_of(parts: list[np.ndarray]) -> np.ndarray:
    lanes = np.zeros((len(parts), 4, CHANNELS))
    for lane, part in zip(lanes, parts, strict=True):
        near = part.mean(axis=0).astype(np.float32).astype(np.float64)
        mean = part.mean(axis=0)
        join_moments(lane, len(part), near, mean - near, ((part - mean) ** 2).sum(axis=0))
    return lanes


@pytest.mark.parametrize("centre", [0.0, 3.0, 1e6])
@pytest.mark.parametrize("affine", [True, False])
def test_statistics_and_vectors_are_those_of_the_whole_batch(centre: float, affine: bool) -> None:
    rng = np.random.default_rng(0)
    x = centre + rng.standard_normal((37, CHANNELS)) * np.arange(1, CHANNELS + 1)
    lanes = lanes_of([x[:10], x[10:11], x[11:]])
    weight, bias = rng.standard_normal((2, CHANNELS)).astype(np.float32) if affine else (NOTHING, NOTHING)
    running = np.zeros(CHANNELS, np.float32), np.ones(CHANNELS, np.float32)
    statistics, vectors = np.empty((2, CHANNELS)), np.empty((3, CHANNELS), np.float32)
    batch_norm_statistics(lanes, 37, weight, bias, EPS, running, 0.1, statistics, vectors)
    np.testing.assert_allclose(statistics, [x.mean(axis=0), x.var(axis=0)], rtol=1e-9)
    np.testing.assert_allclose(running[0], 0.1 * x.mean(axis=0), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(running[1], 0.9 + 0.1 * x.var(axis=0, ddof=1), rtol=1e-6)
    given = Statistics(*statistics, 37)
    parameters = (weight, bias) if affine else (None, None)
    np.testing.assert_allclose(vectors, forward_vectors(given, *parameters, EPS, np.float32), rtol=1e-6, atol=1e-7)

    sums = rng.standard_normal((3, 4, CHANNELS))
    gradients, backward = np.empty((2, CHANNELS)), np.empty((3, CHANNELS), np.float32)
    batch_norm_gradients(sums, 37, weight, EPS, statistics, vectors[0], gradients, backward)
    of_grad, products = sums[:, :2].sum(axis=0)
    products -= (statistics[0] - vectors[0]) * of_grad
    np.testing.assert_allclose(gradients, [products / np.sqrt(statistics[1] + EPS), of_grad], rtol=1e-9)
    _, *expected = backward_vectors(given, parameters[0], np.stack([of_grad, products]), EPS, np.float32)
    np.testing.assert_allclose(backward, expected, rtol=1e-6, atol=1e-9)


def test_arrays_of_other_shapes_are_refused() -> None:
    statistics, vectors, sums = np.empty((2, CHANNELS)), np.empty((3, CHANNELS), np.float32), np.ones((2, 3, CHANNELS))
    with pytest.raises(ValueError, match=r"batch_norm_statistics: moments \(lanes, 4, c\)"):
        batch_norm_statistics(sums, 4, NOTHING, NOTHING, EPS, (NOTHING, NOTHING), 0.0, statistics, vectors)
    with pytest.raises(ValueError, match=r"batch_norm_gradients: sums \(lanes, 4, c\)"):
        batch_norm_gradients(sums, 4, NOTHING, EPS, statistics, vectors[0], statistics, vectors)
    few = np.ones(2, np.float32)
    sums = np.ones((2, 4, CHANNELS))
    with pytest.raises(ValueError, match="batch_norm_statistics: parameters and running statistics"):
        batch_norm_statistics(sums, 4, few, NOTHING, EPS, (NOTHING, NOTHING), 0.0, statistics, vectors)
    with pytest.raises(ValueError, match="batch_norm_gradients: gradients"):
        batch_norm_gradients(sums, 4, few, EPS, statistics, vectors[0], statistics, vectors)
