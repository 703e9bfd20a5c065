"""Kernels as tiles read them, by NumPy's own words."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from colonnade.compiled.packing import in_panels, transpose, turned

SIZES = [(1, 1, 1), (1, 16, 16), (2, 15, 17), (3, 33, 16), (1, 16, 40), (9, 48, 70), (4, 5, 130)]


@pytest.mark.parametrize("size", SIZES)
def test_matrices_are_turned(size: tuple[int, int, int]) -> None:
    x = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    np.testing.assert_array_equal(turned(x), x.transpose(0, 2, 1))


def test_a_matrix_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="each matrix turned"):
        transpose(np.zeros((1, 3, 4), np.float32), np.zeros((1, 3, 4), np.float32))


@pytest.mark.parametrize("size", SIZES)
def test_panels_hold_the_columns_in_blocks_filled_up_with_zeros(size: tuple[int, int, int]) -> None:
    x = np.random.default_rng(0).standard_normal(size[1:]).astype(np.float32)
    made = np.full((-(-x.shape[1] // 32), len(x), 32), np.nan, np.float32)
    in_panels(x, made)
    side_by_side = np.concatenate(made, axis=1)
    np.testing.assert_array_equal(side_by_side[:, : x.shape[1]], x)
    assert not side_by_side[:, x.shape[1] :].any()
