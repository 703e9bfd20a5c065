from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from colonnade.ops import pooling
from colonnade.ops.window import Window
from tests import reference

Array = np.ndarray[Any, Any]


def images(n: int, c: int, h: int, w: int) -> Array:
    """Small whole numbers, so that windows have ties; channels-last."""
    numbers = np.random.default_rng(0).integers(-2, 3, (n, h, w, c))
    return numbers.astype(np.float64).transpose(0, 3, 1, 2)


def unwritten(n: int, c: int, h: int, w: int) -> Array:
    """NaN, to show what was never written; channels-last."""
    return np.full((n, h, w, c), np.nan).transpose(0, 3, 1, 2)


def window_of(kernel: Any, stride: Any, padding: Any, dilation: Any = 1) -> Window:
    vertical, horizontal = reference.pair(padding)
    kernel = reference.pair(kernel)
    stride = kernel if stride is None else reference.pair(stride)
    return Window(kernel, stride, (vertical, vertical, horizontal, horizontal), reference.pair(dilation))


def fits(size: tuple[int, int], window: Window) -> bool:
    """Whether PyTorch would take these arguments."""
    padded = window.padded_size(size)
    return all(
        window.extent[axis] <= padded[axis] and window.padding[2 * axis] <= window.extent[axis] // 2 for axis in (0, 1)
    )


WINDOWS = [
    (size, kernel, stride, padding, dilation, ceil_mode)
    for size, kernel, stride, padding, dilation, ceil_mode in itertools.product(
        [(6, 6), (7, 5), (1, 4)],
        [1, 2, 3, (3, 2)],
        [None, 1, 3, (2, 1)],
        [0, 1, (0, 1)],
        [1, 2, (1, 2)],
        [False, True],
    )
    if fits(size, window_of(kernel, stride, padding, dilation))
]


def pooled(x: Array, window: Window, y: Array) -> None:
    pooling.max_pool_forward(x, window, y)


def max_backward(x: Array, y: Array, grad_y: Array, window: Window) -> Array:
    winners = np.full(y.shape, 77, pooling.winner_dtype(window))
    pooling.max_pool_winners(x, y, window, winners, np.ones(y.shape, bool))
    np.testing.assert_array_equal(pooling.max_pool_winners(x, y, window), winners)
    gradient = pooling.max_pool_backward(grad_y, winners, window, unwritten(*x.shape))
    scratch = np.full(y.shape, np.nan), np.ones(y.shape, bool)
    np.testing.assert_array_equal(
        pooling.max_pool_backward(grad_y, winners, window, unwritten(*x.shape), *scratch), gradient
    )
    return gradient


def test_max_pool_of_every_geometry_is_the_naive_loops() -> None:
    for size, kernel, stride, padding, dilation, ceil_mode in WINDOWS:
        x = images(2, 3, *size)
        window = window_of(kernel, stride, padding, dilation)
        arguments = (kernel, stride, padding, dilation, ceil_mode)
        expected = reference.max_pool2d(x, *arguments)
        assert pooling.pooled_size(window, size, ceil_mode) == expected.shape[2:], arguments
        y = unwritten(*expected.shape)
        pooled(x, window, y)
        np.testing.assert_array_equal(y, expected, err_msg=str(arguments))

        grad_y = images(*y.shape) + 0.25
        expected = reference.max_pool2d_backward(x, grad_y, *arguments)
        gradient = max_backward(x, y, grad_y, window)
        np.testing.assert_allclose(gradient, expected, atol=1e-14, err_msg=str(arguments))


@pytest.mark.parametrize("divisor_override", [None, 5])
@pytest.mark.parametrize("count_include_pad", [True, False])
def test_average_pool_of_every_geometry_is_the_naive_loops(
    count_include_pad: bool, divisor_override: int | None
) -> None:
    for size, kernel, stride, padding, dilation, ceil_mode in WINDOWS:
        if dilation != 1:
            continue
        x = images(2, 3, *size)
        window = window_of(kernel, stride, padding)
        arguments = (kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)
        expected = reference.avg_pool2d(x, *arguments)
        outputs = expected.shape[2:]
        share = pooling.shares(window, size, outputs, count_include_pad, divisor_override, np.float64)
        y = unwritten(*expected.shape)
        pooling.avg_pool_forward(x, window, y, share)
        np.testing.assert_allclose(y, expected, atol=1e-14, err_msg=str(arguments))

        grad_y, grad_x = images(*y.shape), unwritten(*x.shape)
        pooling.avg_pool_backward(grad_y, window, grad_x, share, np.full(y.shape, np.nan))
        expected = reference.avg_pool2d_backward(x, grad_y, *arguments)
        np.testing.assert_allclose(grad_x, expected, atol=1e-14, err_msg=str(arguments))


@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 2), (1, 3), (6, 6)])
def test_average_by_product_is_the_naive_loops(kernel: tuple[int, int]) -> None:
    x = images(2, 3, 6, 6)
    window = window_of(kernel, None, 0)
    assert pooling.tiles_exactly(window, (6, 6))
    share = 1 / (kernel[0] * kernel[1])
    expected = reference.avg_pool2d(x, kernel)
    y, rows = unwritten(*expected.shape), np.full((2, 6 // kernel[0], 6, 3), np.nan)
    pooling.avg_pool2d_tiles_forward(x, window, y, share, rows)
    np.testing.assert_allclose(y, expected, atol=1e-14)

    grad_y, grad_x = images(*y.shape), unwritten(*x.shape)
    pooling.avg_pool2d_tiles_backward(grad_y, window, grad_x, share, rows)
    np.testing.assert_allclose(grad_x, reference.avg_pool2d_backward(x, grad_y, kernel), atol=1e-14)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"),
    [(2, 2, 0, (6, 7)), (2, 1, 0, (6, 6)), (2, 3, 0, (6, 6)), (2, 2, 1, (6, 6)), (2, (2, 1), 0, (6, 6))],
)
def test_windows_that_overlap_leave_a_rest_or_see_padding_do_not_tile(
    kernel: Any, stride: Any, padding: Any, size: tuple[int, int]
) -> None:
    assert not pooling.tiles_exactly(window_of(kernel, stride, padding), size)


@pytest.mark.parametrize("outputs", [(1, 1), (1, 3), (2, 1), (3, 2), (7, 5), (9, 8)])
def test_adaptive_average_is_the_naive_loops(outputs: tuple[int, int]) -> None:
    x = images(2, 3, 7, 5)
    y, rows = unwritten(2, 3, *outputs), np.full((2, outputs[0], 5, 3), np.nan)
    pooling.adaptive_avg_pool2d_forward(x, outputs, y, rows)
    np.testing.assert_allclose(y, reference.adaptive_avg_pool2d(x, outputs), atol=1e-14)

    grad_y, grad_x = images(*y.shape), unwritten(*x.shape)
    pooling.adaptive_avg_pool2d_backward(grad_y, (7, 5), grad_x, rows)
    np.testing.assert_allclose(grad_x, reference.adaptive_avg_pool2d_backward(x, grad_y), atol=1e-14)


def test_of_equal_maxima_the_first_in_row_major_order_takes_the_gradient() -> None:
    window = window_of(2, None, 0)
    x = np.array([[1.0, 5.0], [5.0, 5.0]])[None, None]
    y = np.array([[5.0]])[None, None]
    grad_x = max_backward(x, y, np.array([[7.0]])[None, None], window)
    np.testing.assert_array_equal(grad_x[0, 0], [[0, 7], [0, 0]])


def test_a_nan_is_the_maximum_of_its_window_and_of_no_other() -> None:
    x = images(1, 2, 4, 4).copy()
    x[0, 1, 3, 2] = np.nan
    y = unwritten(1, 2, 2, 2)
    pooled(x, window_of(2, None, 0), y)
    assert np.isnan(y[0, 1, 1, 1])
    assert np.isnan(y).sum() == 1


def test_the_gradient_of_a_window_goes_to_its_last_nan() -> None:
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    x[0, 0, [0, 2, 3], [0, 1, 0]] = np.nan
    window = window_of(2, None, 0)
    gradient = max_backward(x, pooling.max_pool_forward(x, window), np.array([[[[1.0, 2], [3, 4]]]]), window)
    np.testing.assert_array_equal(gradient[0, 0], [[1, 0, 0, 0], [0, 0, 0, 2], [0, 0, 0, 0], [3, 0, 0, 4]])


def test_the_maximum_of_nothing_but_padding_is_minus_infinity() -> None:
    # Dilation lets a window step over an image of one pixel, though padding is at most half the window.
    window = window_of(2, 1, 2, 3)
    x = np.ones((1, 1, 1, 1))
    y = unwritten(1, 1, 2, 2)
    pooled(x, window, y)
    np.testing.assert_array_equal(y, reference.max_pool2d(x, 2, 1, 2, 3))
    assert np.isneginf(y[0, 0, 1, 1])


def test_minus_infinity_in_the_image_keeps_its_gradient() -> None:
    x = np.full((1, 1, 2, 2), -np.inf)
    grad_x = max_backward(x, np.full((1, 1, 1, 1), -np.inf), np.ones((1, 1, 1, 1)), window_of(2, None, 0))
    np.testing.assert_array_equal(grad_x[0, 0], [[1, 0], [0, 0]])


def test_equal_windows_share_one_number_and_others_an_array() -> None:
    assert pooling.shares(window_of(2, None, 0), (4, 4), (2, 2), True, None, np.float32) == 0.25
    border = pooling.shares(window_of(3, 1, 1), (4, 4), (4, 4), False, None, np.float32)
    assert isinstance(border, np.ndarray)
    assert border.dtype == np.float32
    np.testing.assert_allclose(1 / border[:, 0], [4, 6, 6, 4], rtol=1e-6)


def test_each_function_takes_plain_arrays_in_one_line() -> None:
    x, window = np.ascontiguousarray(images(2, 3, 6, 7)), window_of(2, None, 0)
    y = pooling.max_pool_forward(x, window)
    np.testing.assert_array_equal(y, reference.max_pool2d(x, 2, 2, 0))
    np.testing.assert_allclose(pooling.avg_pool_forward(x, window), reference.avg_pool2d(x, 2))
    winners = pooling.max_pool_winners(x, y, window)
    grad_x = pooling.max_pool_backward(np.ones_like(y), winners, window, np.empty_like(x))
    np.testing.assert_array_equal(grad_x, reference.max_pool2d_backward(x, np.ones_like(y), 2, 2, 0))
    grad_x = pooling.avg_pool_backward(np.ones_like(y), window, np.empty_like(x))
    np.testing.assert_allclose(grad_x, reference.avg_pool2d_backward(x, np.ones_like(y), 2))
