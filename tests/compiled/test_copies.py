"""Compiled copies of columns against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from colonnade.compiled.copies import copy_columns

pytestmark = pytest.mark.thorough


def test_columns_are_copied_and_what_stands_beside_them_stays() -> None:
    rng = np.random.default_rng(0)
    for rows in (*range(1, 10), 33):
        for columns in (*range(1, 35), 64):
            x = rng.normal(size=(rows, columns + 3)).astype(np.float32)
            y = rng.normal(size=(rows, columns + 5)).astype(np.float32)
            expected = y.copy()
            expected[:, 4 : 4 + columns] = x[:, 2 : 2 + columns]
            copy_columns(x, 2, y, 4, columns)
            np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(("first", "to", "columns"), [(1, 0, 6), (0, 3, 6), (-1, 0, 2), (0, -1, 2), (0, 0, -1)])
def test_columns_that_are_not_there_are_refused(first: int, to: int, columns: int) -> None:
    x, y = np.ones((5, 6), np.float32), np.ones((5, 8), np.float32)
    with pytest.raises(ValueError, match="copy_columns: x and y must have as many rows, and the columns"):
        copy_columns(x, first, y, to, columns)


def test_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="copy_columns: x and y must have as many rows"):
        copy_columns(np.ones((5, 6), np.float32), 0, np.ones((4, 6), np.float32), 0, 6)
