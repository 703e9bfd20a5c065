"""The tail of the normal distribution and GELU, against the C library's erfc."""

from __future__ import annotations

import math

import numpy as np
import pytest

from colonnade.ops.gaussian import FARTHEST, gelu_backward, gelu_forward, normal_tail


def scratch(x: np.ndarray, count: int = 4) -> list[np.ndarray]:
    return [np.full_like(x, np.nan) for _ in range(count)]


def exact_tail(a: np.ndarray) -> np.ndarray:
    return np.array([math.erfc(each / math.sqrt(2)) / 2 for each in a.astype(float)])


def test_gelu_in_float32_is_right_to_the_last_digits_beside_one() -> None:
    x = np.concatenate([np.linspace(-20, 20, 40_001), np.geomspace(1e-12, 8, 2001)]).astype(np.float32)
    y, slope = np.empty_like(x), np.empty_like(x)
    gelu_forward(x, y, slope, *scratch(x))
    exact = x.astype(float)
    below = exact_tail(-exact)
    np.testing.assert_allclose(y, exact * below, rtol=3e-7, atol=2e-7)
    density = np.exp(-(exact**2) / 2) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(slope, below + exact * density, rtol=0, atol=4e-7)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 5e-16), ("float32", 3e-7)])
def test_the_tail_is_right_to_the_last_digits_everywhere(dtype: str, tolerance: float) -> None:
    a = np.concatenate([np.linspace(0, FARTHEST, 20_001), np.geomspace(1e-12, FARTHEST, 2001)]).astype(dtype)
    tail, t, density = scratch(a, 3)
    normal_tail(a, tail, t, density)
    np.testing.assert_allclose(tail, exact_tail(a), rtol=0, atol=tolerance)
    np.testing.assert_allclose(density, np.exp(-(a.astype(float) ** 2) / 2), rtol=1e-5, atol=tolerance)


def test_far_out_the_tail_keeps_its_leading_digits() -> None:
    a = np.linspace(1, 25, 2001)
    tail, t, density = scratch(a, 3)
    normal_tail(a, tail, t, density)
    np.testing.assert_allclose(tail, exact_tail(a), rtol=3e-13)


def test_gelu_keeps_its_leading_digits_where_it_is_small() -> None:
    x = -np.linspace(0.1, 20, 500)
    y = np.empty_like(x)
    gelu_forward(x, y, None, *scratch(x))
    np.testing.assert_allclose(y, x * exact_tail(-x), rtol=3e-13)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_gelu_at_its_ends_and_at_zero(dtype: str) -> None:
    x = np.array([-math.inf, -1e30, 0.0, 1e30, math.inf, math.nan], dtype)
    y, slope, grad = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    gelu_forward(x, y, slope, *scratch(x))
    np.testing.assert_array_equal(y, np.array([0, 0, 0, 1e30, math.inf, math.nan], dtype))
    gelu_backward(np.ones_like(x), slope, grad)
    np.testing.assert_allclose(grad[:5], [0, 0, 0.5, 1, 1], atol=1e-7)
    assert np.isnan(grad[5])
