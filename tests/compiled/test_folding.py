"""Sums over lanes, to the bits of NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from colonnade.ops.folding import fold

pytest.importorskip("numba")

from colonnade.compiled import folding


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("size", [1, 15, 64, 1024, 2500])
def test_lanes_are_summed_to_the_same_bits_either_way(count: int, size: int) -> None:
    rng = np.random.default_rng(count)
    parts = rng.standard_normal((count, size + 7)).astype(np.float32)
    total = rng.standard_normal(size).astype(np.float32)
    exact = total + parts[:, 3 : size + 3].astype(np.float64).sum(axis=0)
    expected = total.copy()
    fold(parts.copy(), 3, expected)
    np.testing.assert_allclose(expected, exact, rtol=1e-5, atol=1e-5)
    folding.fold(parts, 3, total)
    np.testing.assert_array_equal(total, expected)


@pytest.mark.parametrize("start", [-1, 8])
def test_parts_that_do_not_reach_are_refused(start: int) -> None:
    with pytest.raises(ValueError, match="fold: the parts must hold as many numbers as total"):
        folding.fold(np.zeros((2, 10), np.float32), start, np.zeros(3, np.float32))
