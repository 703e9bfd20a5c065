"""Compiled products of stacks of matrices against NumPy's in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from colonnade.compiled.geometry import tile_size
from colonnade.compiled.matmul import Sizes, Stack, matmul, transpose_stack

pytestmark = pytest.mark.thorough

Array = np.ndarray[Any, Any]

SIZES = [
    *((rows, 5, 7) for rows in (*range(1, 35), 65)),
    *((9, terms, 20) for terms in (1, 2, 31, 64)),
    *((6, 11, columns) for columns in (*range(1, 35), 63, 64, 65, 96, 100)),
]


def stack(x: Array) -> Stack:
    """Of an array whose last two of four axes are the matrices'."""
    return Stack(0, *(step // 4 for step in x.strides))


def close(found: Array, exact: Array) -> None:
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-5 * max(np.abs(exact).max(), 1e-30))


@pytest.mark.parametrize("turned", [False, True])
def test_products_are_numpys(turned: bool) -> None:
    rng = np.random.default_rng(0)
    for rows, terms, columns in SIZES:
        a = rng.normal(size=(2, 3, rows, terms)).astype(np.float32)
        b = rng.normal(size=(2, 3, terms, columns)).astype(np.float32)
        held = np.ascontiguousarray(a.swapaxes(2, 3)) if turned else a
        y = np.full((2, 3, rows, columns), np.nan, np.float32)
        of_a = stack(held).turned if turned else stack(held)
        matmul(*tile_size(rows, columns))(held, of_a, b, stack(b), y, stack(y), Sizes(2, 3, rows, terms, columns), 0.5)
        close(y, 0.5 * (a.astype(float) @ b))


def test_matrices_may_lie_between_others_and_what_is_between_stays() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 9, 3, 4, 5)).astype(np.float32)  # as queries, keys and values of four heads
    y = np.full((2, 9, 4, 6), np.nan, np.float32)
    left, right = Stack(0, 540, 5, 60, 1), Stack(20, 540, 5, 60, 1)
    keys = np.empty((2, 4, 5, 9), np.float32)
    transpose_stack(x, right, keys, 2, 4)
    np.testing.assert_array_equal(keys, x[:, :, 1].transpose(0, 2, 3, 1))
    scores = np.empty((2, 4, 9, 9), np.float32)
    matmul(3, 1)(x, left, keys, stack(keys), scores, stack(scores), Sizes(2, 4, 9, 5, 9), 1.0)
    q, k, v = x.astype(float).transpose(2, 0, 3, 1, 4)
    close(scores, q @ k.swapaxes(2, 3))
    matmul(3, 1)(
        scores, stack(scores), x, Stack(40, 540, 5, 60, 1), y, Stack(0, 216, 6, 24, 1), Sizes(2, 4, 9, 9, 5), 1
    )
    close(y[..., :5], (q @ k.swapaxes(2, 3) @ v).transpose(0, 2, 1, 3))
    assert np.isnan(y[..., 5]).all()


def test_a_matrix_that_serves_a_whole_stack_has_steps_of_zero() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(3, 2, 4, 5)).astype(np.float32)
    b = rng.normal(size=(5, 8)).astype(np.float32)
    y = np.empty((3, 2, 4, 8), np.float32)
    matmul(4, 1)(a, stack(a), b, Stack(0, 0, 0, 8, 1), y, stack(y), Sizes(3, 2, 4, 5, 8), 1.0)
    close(y, a.astype(float) @ b)


def test_nan_goes_through() -> None:
    a, b, y = np.ones((4, 5), np.float32), np.ones((5, 20), np.float32), np.empty((4, 20), np.float32)
    a[1, 2], b[3, 17] = np.nan, np.inf
    matmul(4, 1)(a, Stack(0, 0, 0, 5, 1), b, Stack(0, 0, 0, 20, 1), y, Stack(0, 0, 0, 20, 1), Sizes(1, 1, 4, 5, 20), 1)
    np.testing.assert_array_equal(y, a @ b)


GOOD = Stack(0, 0, 0, 6, 1)
WRONG = {
    "beyond": (Stack(1, 0, 0, 6, 1), GOOD, GOOD, Sizes(1, 1, 6, 6, 6)),
    "beyond of the right": (GOOD, Stack(0, 36, 0, 6, 1), GOOD, Sizes(2, 1, 6, 6, 6)),
    "beyond of what is written": (GOOD, GOOD, Stack(0, 0, 0, 7, 1), Sizes(1, 1, 6, 6, 6)),
    "in front": (Stack(0, 0, 0, -1, 1), GOOD, GOOD, Sizes(1, 1, 6, 6, 6)),
    "empty": (GOOD, GOOD, GOOD, Sizes(1, 1, 6, 0, 6)),
    "too few rows": (GOOD, GOOD, GOOD, Sizes(1, 1, 3, 6, 6)),
    "columns apart": (GOOD, Stack(0, 0, 0, 1, 6), GOOD, Sizes(1, 1, 6, 6, 6)),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_product_that_would_leave_its_arrays_is_refused(name: str) -> None:
    of_a, of_b, of_y, sizes = WRONG[name]
    a, b, y = (np.ones((6, 6), np.float32) for _ in range(3))
    with pytest.raises(ValueError, match="matmul: "):
        matmul(6, 1)(a, of_a, b, of_b, y, of_y, sizes, 1.0)
    np.testing.assert_array_equal(y, 1)


def test_turning_refuses_what_would_leave_its_array() -> None:
    x, y = np.ones(36, np.float32), np.empty((1, 2, 6, 6), np.float32)
    with pytest.raises(ValueError, match="transpose_stack: matrices must stay inside"):
        transpose_stack(x, Stack(0, 0, 1, 6, 1), y, 1, 2)
    with pytest.raises(ValueError, match="nor leave their array in front"):
        transpose_stack(x, Stack(-1, 0, 0, 6, 1), y, 1, 2)
    with pytest.raises(ValueError, match="transpose_stack: y must be"):
        transpose_stack(x, Stack(0, 0, 0, 6, 1), y, 2, 2)
