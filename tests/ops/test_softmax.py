from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from colonnade.ops.softmax import log_softmax_forward, softmax_backward, softmax_forward
from tests import reference

Array = np.ndarray[Any, Any]


def probabilities(x: Array, axis: int = 1) -> Array:
    out = np.full_like(x, np.nan)
    softmax_forward(x, axis, out)
    return out


def test_softmax_is_the_naive_formula() -> None:
    x = np.random.default_rng(0).normal(0, 4, (5, 7))
    np.testing.assert_allclose(probabilities(x), [reference.softmax(row) for row in x], rtol=1e-13)


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_softmax_sums_to_one_along_its_axis(axis: int) -> None:
    p = probabilities(np.random.default_rng(0).normal(0, 4, (2, 3, 4, 5)), axis)
    np.testing.assert_allclose(p.sum(axis=axis), 1, rtol=1e-14)
    assert (p > 0).all()


def test_softmax_and_its_logarithm_of_huge_logits_are_finite() -> None:
    x = np.array([[1e4, 1e4 - 1, -1e4], [-3e38, -3e38, -3e38]], np.float32)
    np.testing.assert_allclose(probabilities(x)[0], [0.7310586, 0.2689414, 0], atol=1e-6)
    np.testing.assert_allclose(probabilities(x)[1], 1 / 3, rtol=1e-6)
    log_p = np.empty_like(x)
    log_softmax_forward(x, 1, log_p)
    np.testing.assert_allclose(log_p[0], [-0.3132617, -1.3132617, -2e4 - 0.3132617], rtol=1e-6)


def test_log_softmax_is_the_logarithm_of_softmax() -> None:
    x = np.random.default_rng(0).normal(0, 4, (2, 3, 4))
    for axis in (1, 2):
        log_p = np.full_like(x, np.nan)
        log_softmax_forward(x, axis, log_p)
        np.testing.assert_allclose(log_p, np.log(probabilities(x, axis)), rtol=1e-12)


@pytest.mark.parametrize("axis", [1, 2])
def test_softmax_backward_is_the_finite_difference(axis: int) -> None:
    rng = np.random.default_rng(0)
    x, grad_y, step = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4)), 1e-5
    grad_x = np.full_like(x, np.nan)
    softmax_backward(probabilities(x, axis), grad_y, axis, grad_x)
    for place in np.ndindex(x.shape):
        shift = np.zeros_like(x)
        shift[place] = step
        change = probabilities(x + shift, axis) - probabilities(x - shift, axis)
        np.testing.assert_allclose(grad_x[place], (change * grad_y).sum() / (2 * step), rtol=1e-6, atol=1e-10)


def test_softmax_in_place_is_bit_for_bit_the_same() -> None:
    rng = np.random.default_rng(0)
    x, grad_y = rng.normal(size=(5, 7)), rng.normal(size=(5, 7))
    y, grad_x = probabilities(x), np.empty((5, 7))
    softmax_backward(y, grad_y, 1, grad_x)
    softmax_forward(x, 1, x)
    softmax_backward(y, grad_y, 1, grad_y)
    np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(grad_y, grad_x)
