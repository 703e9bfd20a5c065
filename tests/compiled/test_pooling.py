"""Compiled pools against naive loops, and the layers' own in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from colonnade.compiled.pooling import (
    average_pool_backward,
    average_pool_forward,
    average_squares_backward,
    average_squares_forward,
    max_pool_backward,
    max_pool_forward,
)

pytestmark = pytest.mark.thorough

SETTINGS = [
    ((2, 2), (2, 2), (0, 0), (1, 1)),
    ((3, 3), (2, 2), (1, 1), (1, 1)),
    ((3, 2), (1, 3), (1, 0), (2, 1)),
    ((1, 5), (2, 1), (0, 2), (1, 1)),
]


def naive_max(x: np.ndarray, kernel, stride, padding, dilation) -> tuple[np.ndarray, np.ndarray]:
    n, h, w, c = x.shape
    height, width = (
        (size + 2 * padding[k] - dilation[k] * (kernel[k] - 1) - 1) // stride[k] + 1 for k, size in ((0, h), (1, w))
    )
    y, winners = np.full((n, height, width, c), -np.inf, np.float32), np.zeros((n, height, width, c), np.uint8)
    for image, i, j, channel in np.ndindex(y.shape):
        for s, t in np.ndindex(kernel):
            row, column = i * stride[0] - padding[0] + s * dilation[0], j * stride[1] - padding[1] + t * dilation[1]
            if 0 <= row < h and 0 <= column < w:
                number, most = x[image, row, column, channel], y[image, i, j, channel]
                if number > most or np.isnan(number):
                    y[image, i, j, channel], winners[image, i, j, channel] = number, s * kernel[1] + t
    return y, winners


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), SETTINGS)
@pytest.mark.parametrize("channels", [1, 7, 16, 37])
def test_max_pool_finds_the_greatest_and_where_it_was(kernel, stride, padding, dilation, channels: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-3, 3, (2, 7, 9, channels)).astype(np.float32)  # many are equal: the first counts
    x[0, 2, 3, 0] = np.nan
    expected, places = naive_max(x, kernel, stride, padding, dilation)
    y, winners = np.empty_like(expected), np.empty_like(places)
    max_pool_forward(True)(x, y, winners, kernel, stride, padding, dilation)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(winners, places)
    without = np.empty_like(expected)
    max_pool_forward(False)(x, without, winners[:0], kernel, stride, padding, dilation)
    np.testing.assert_array_equal(without, expected)

    grad = rng.standard_normal(y.shape).astype(np.float32)
    grad_x, naive = np.full(x.shape, np.nan, np.float32), np.zeros(x.shape)
    max_pool_backward(grad, winners, grad_x, kernel, stride, padding, dilation)
    for image, i, j, channel in np.ndindex(y.shape):
        s, t = divmod(int(places[image, i, j, channel]), kernel[1])
        row, column = i * stride[0] - padding[0] + s * dilation[0], j * stride[1] - padding[1] + t * dilation[1]
        naive[image, row, column, channel] += grad[image, i, j, channel]
    np.testing.assert_allclose(grad_x, naive, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 16, 37])
def test_average_pool_over_windows_of_any_bounds(channels: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 6, 5, channels)).astype(np.float32)
    rows, columns = np.array([[0, 2], [1, 6], [5, 5]]), np.array([[0, 5], [2, 3]])
    shares = rng.random((3, 2)).astype(np.float32)
    y = np.empty((2, 3, 2, channels), np.float32)
    average_pool_forward(x, y, rows, columns, shares)
    grad = rng.standard_normal(y.shape).astype(np.float32)
    grad_x, naive = np.full(x.shape, np.nan, np.float32), np.zeros(x.shape)
    average_pool_backward(grad, grad_x, rows, columns, shares)
    for i, (top, bottom) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            seen = x[:, top:bottom, left:right].astype(np.float64).sum(axis=(1, 2)) * shares[i, j]
            np.testing.assert_allclose(y[:, i, j], seen, rtol=1e-5, atol=1e-6)
            naive[:, top:bottom, left:right] += (grad[:, i, j] * shares[i, j])[:, None, None]
    np.testing.assert_allclose(grad_x, naive, rtol=1e-5, atol=1e-6)


def test_arrays_that_do_not_fit_are_refused() -> None:
    x, y = np.zeros((1, 4, 4, 2), np.float32), np.zeros((1, 2, 2, 3), np.float32)
    with pytest.raises(ValueError, match="channels in and out"):
        max_pool_forward(False)(x, y, np.zeros(0, np.uint8), (2, 2), (2, 2), (0, 0), (1, 1))
    with pytest.raises(ValueError, match="a winner for each"):
        max_pool_forward(True)(x, x, np.zeros(3, np.uint8), (2, 2), (2, 2), (0, 0), (1, 1))
    with pytest.raises(ValueError, match="window of 255"):
        max_pool_forward(False)(x, x, np.zeros(0, np.uint8), (16, 16), (2, 2), (0, 0), (1, 1))
    bounds, shares = np.array([[0, 5]]), np.ones((1, 1), np.float32)
    with pytest.raises(ValueError, match="inside the image"):
        average_pool_forward(x, np.zeros((1, 1, 1, 2), np.float32), bounds, bounds, shares)
    with pytest.raises(ValueError, match="a share for each window"):
        average_pool_forward(x, np.zeros((1, 2, 1, 2), np.float32), bounds, bounds, shares)


@pytest.mark.parametrize("channels", [1, 6, 15, 16, 17, 40])
@pytest.mark.parametrize("size", [2, 3])
def test_squares_side_by_side_are_averaged(channels: int, size: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3 * size, 5 * size, channels)).astype(np.float32)
    y = np.full((2, 3, 5, channels), np.nan, np.float32)
    average_squares_forward(size)(x, y)
    np.testing.assert_allclose(y, x.reshape(2, 3, size, 5, size, channels).mean(axis=(2, 4)), rtol=1e-5, atol=1e-6)
    grad_x = np.full_like(x, np.nan)
    average_squares_backward(size)(y, grad_x)
    np.testing.assert_allclose(grad_x, y.repeat(size, axis=1).repeat(size, axis=2) / size**2, rtol=1e-6)
    with pytest.raises(ValueError, match="side by side"):
        average_squares_forward(size)(x[:, 1:].copy(), y)
