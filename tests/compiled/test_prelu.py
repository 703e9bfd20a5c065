"""Compiled PReLU against the formula in float64."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from colonnade.compiled.prelu import prelu_backward, prelu_forward
from colonnade.compiled.runs import ROWS, TURNS

pytestmark = pytest.mark.thorough


def test_prelu_is_the_formula_and_its_gradient_is_added() -> None:
    rng = np.random.default_rng(0)
    shapes = [(9, channels) for channels in (*range(1, 71), 256)]
    shapes += [(positions, 5) for positions in (1, 2, 3, 4, 5, ROWS * TURNS - 1, ROWS * TURNS + 1, 2 * ROWS * TURNS)]
    for shape in shapes:
        x, grad_y = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
        weight = rng.normal(size=shape[1]).astype(np.float32)
        y, grad_x, grad_weight = np.empty_like(x), np.empty_like(x), np.ones_like(weight)
        prelu_forward(x, weight, y)
        prelu_backward(x, grad_y, weight, grad_x, grad_weight)
        np.testing.assert_array_equal(y, np.where(x > 0, x, weight * x))
        np.testing.assert_array_equal(grad_x, np.where(x > 0, grad_y, weight * grad_y))
        exact = 1 + (np.minimum(x, 0).astype(float) * grad_y).sum(axis=0)
        np.testing.assert_allclose(grad_weight, exact, rtol=0, atol=1e-5 * np.abs(exact).max())
        prelu_backward(x, grad_y, weight, grad_y, grad_weight)
        np.testing.assert_array_equal(grad_y, grad_x)


def test_no_number_stays_in_its_place() -> None:
    x = np.ones((5, 21), np.float32)
    x[4, 20] = np.nan
    y = np.empty_like(x)
    prelu_forward(x, np.full(21, 0.5, np.float32), y)
    np.testing.assert_array_equal(y, x)
