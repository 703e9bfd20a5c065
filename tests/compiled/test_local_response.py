"""Compiled local response norm against NumPy's in float64."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from colonnade.compiled.local_response import local_response_backward, local_response_forward
from colonnade.ops import local_response as ops

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 31])
def test_local_response_norm_and_its_gradient_are_numpys(size: int) -> None:
    rng = np.random.default_rng(0)
    way = size, 0.7, 0.75, 2.0
    for channels in (*range(1, 36), 48, 63, 64, 65):
        x, grad_y = rng.normal(0, 3, (2, 4, channels)).astype(np.float32)
        exact_y, exact_grad = np.empty(x.shape), np.empty(x.shape)
        spaces = [np.empty(x.shape) for _ in range(3)]
        ops.local_response_forward(x.astype(float), *way, exact_y, *spaces[:2])
        ops.local_response_backward(x.astype(float), grad_y.astype(float), *way, exact_grad, *spaces)
        y, grad_x = np.full_like(x, np.nan), np.full_like(x, np.nan)
        local_response_forward(x, *way, y)
        local_response_backward(x, grad_y, *way, grad_x)
        np.testing.assert_allclose(y, exact_y, rtol=0, atol=2e-6 * np.abs(exact_y).max())
        np.testing.assert_allclose(grad_x, exact_grad, rtol=0, atol=2e-6 * np.abs(exact_grad).max())
        local_response_backward(x, grad_y, *way, grad_y)
        np.testing.assert_array_equal(grad_y, grad_x)
        local_response_forward(x, *way, x)
        np.testing.assert_array_equal(x, y)


def test_other_shapes_are_refused() -> None:
    x, y = np.ones((3, 4), np.float32), np.ones((3, 5), np.float32)
    with pytest.raises(ValueError, match="local_response_forward: x and y must be"):
        local_response_forward(x, 3, 1.0, 0.75, 1.0, y)
    with pytest.raises(ValueError, match="local_response_backward: x, grad_y and grad_x must be"):
        local_response_backward(x, x, 0, 1.0, 0.75, 1.0, x)
