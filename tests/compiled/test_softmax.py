"""Compiled softmax and its logarithm against NumPy's in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from colonnade.compiled import softmax as compiled
from colonnade.ops import softmax as ops

pytestmark = pytest.mark.thorough

Array = np.ndarray[Any, Any]

SHAPES = [(rows, 10) for rows in range(1, 10)] + [(5, length) for length in (*range(1, 71), 256, 1000)]


def forward(function: Any, x: Array) -> Array:
    y = np.full_like(x, np.nan)
    function(x, y)
    return y


def backward(function: Any, y: Array, grad_y: Array) -> Array:
    grad_x = np.full_like(y, np.nan)
    function(y, grad_y, grad_x)
    return grad_x


def close(found: Array, exact: Array) -> None:
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-5 * max(np.abs(exact).max(), 1e-30))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_and_its_gradient_are_numpys(name: str) -> None:
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        x, grad_y = rng.normal(0, 4, shape).astype(np.float32), rng.normal(size=shape).astype(np.float32)
        exact_y, exact_grad = np.empty(shape), np.empty(shape)
        getattr(ops, f"{name}_forward")(x.astype(float), 1, exact_y)
        getattr(ops, f"{name}_backward")(exact_y, grad_y.astype(float), 1, exact_grad)
        y = forward(getattr(compiled, f"{name}_forward"), x)
        close(y, exact_y)
        close(backward(getattr(compiled, f"{name}_backward"), y, grad_y), exact_grad)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_in_place_it_is_bit_for_bit_the_same(name: str) -> None:
    rng = np.random.default_rng(0)
    x, grad_y = rng.normal(size=(7, 37)).astype(np.float32), rng.normal(size=(7, 37)).astype(np.float32)
    y = forward(getattr(compiled, f"{name}_forward"), x)
    grad_x = backward(getattr(compiled, f"{name}_backward"), y, grad_y)
    getattr(compiled, f"{name}_forward")(x, x)
    getattr(compiled, f"{name}_backward")(y, grad_y, grad_y)
    np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(grad_y, grad_x)


@pytest.mark.filterwarnings("ignore:.* encountered in")
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_no_numbers_infinities_and_huge_logits_are_numpys(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(10, 21)).astype(np.float32)
    x[1, 17] = np.nan
    x[2, 3] = np.inf
    x[3, [0, 20]] = -np.inf  # as a mask does
    x[4] = -np.inf
    x[5, :] = -3e38
    x[6, 5] = 3e38
    x[7] = np.linspace(-1e4, 1e4, 21)
    x[9, 20] = np.nan  # in the rest of the rows, and of a vector
    expected = np.empty_like(x)
    getattr(ops, f"{name}_forward")(x, 1, expected)
    y = forward(getattr(compiled, f"{name}_forward"), x)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (7, 7), (3, 20), (20, 3)])
def test_scores_of_what_follows_are_hidden(rows: int, columns: int) -> None:
    scores = np.random.default_rng(0).normal(size=(2, 3, rows, columns)).astype(np.float32)
    expected = np.where(np.tri(rows, columns, dtype=bool), scores, -np.inf)
    compiled.hide_later(scores)
    np.testing.assert_array_equal(scores, expected)
    weights = forward(compiled.softmax_forward, scores.reshape(-1, columns))
    close(weights, ops.softmax_forward(expected.reshape(-1, columns).astype(float)))
