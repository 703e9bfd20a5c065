from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from colonnade.ops import activation

Array = np.ndarray[Any, Any]


def relu(x: Array, out: Array) -> None:
    activation.relu_forward(x, out, np.zeros(x.shape[1:], x.dtype))


def relu_backward(y: Array, grad_y: Array, out: Array) -> None:
    activation.relu_backward(y, grad_y, out, np.ones(y.shape, bool))


def leaky_relu(x: Array, out: Array) -> None:
    activation.leaky_relu_forward(x, 0.25, out, np.full_like(x, np.nan))


def leaky_relu_backward(y: Array, grad_y: Array, out: Array) -> None:
    activation.leaky_relu_backward(y, grad_y, 0.25, out, np.full_like(y, np.nan))


def tanh_backward(y: Array, grad_y: Array, out: Array) -> None:
    activation.tanh_backward(y, grad_y, out, np.full_like(y, np.nan))


def sigmoid_backward(y: Array, grad_y: Array, out: Array) -> None:
    activation.sigmoid_backward(y, grad_y, out, np.full_like(y, np.nan))


FUNCTIONS = {
    "relu": (relu, relu_backward, lambda v: max(v, 0.0)),
    "leaky_relu": (leaky_relu, leaky_relu_backward, lambda v: v if v > 0 else 0.25 * v),
    "tanh": (activation.tanh_forward, tanh_backward, math.tanh),
    "sigmoid": (activation.sigmoid_forward, sigmoid_backward, lambda v: 1 / (1 + math.exp(-v))),
}
each_function = pytest.mark.parametrize(("forward", "backward", "formula"), FUNCTIONS.values(), ids=FUNCTIONS)
Forward = Callable[[Array, Array], None]
Backward = Callable[[Array, Array, Array], None]
Formula = Callable[[float], float]


def numbers() -> Array:
    """Of both signs and several sizes, none within a finite difference of the kink at zero."""
    values = np.random.default_rng(0).normal(0, 3, (4, 30))
    return np.where(np.abs(values) < 0.01, 0.5, values)


@each_function
def test_forward_is_the_formula(forward: Forward, backward: Backward, formula: Formula) -> None:
    x = numbers()
    y = np.full_like(x, np.nan)
    forward(x, y)
    np.testing.assert_allclose(y, np.vectorize(formula)(x), rtol=1e-14)


@each_function
def test_backward_is_the_finite_difference(forward: Forward, backward: Backward, formula: Formula) -> None:
    x, step = numbers(), 1e-5
    y, grad_x = np.empty_like(x), np.full_like(x, np.nan)
    grad_y = np.random.default_rng(1).normal(size=x.shape)
    forward(x, y)
    backward(y, grad_y, grad_x)
    slope = (np.vectorize(formula)(x + step) - np.vectorize(formula)(x - step)) / (2 * step)
    np.testing.assert_allclose(grad_x, slope * grad_y, rtol=1e-6, atol=1e-9)


@each_function
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_in_place_is_bit_for_bit_the_same(forward: Forward, backward: Backward, formula: Formula, dtype: Any) -> None:
    x = numbers().astype(dtype)
    y, grad_y, grad_x = np.empty_like(x), numbers()[::-1].astype(dtype), np.empty_like(x)
    forward(x, y)
    backward(y, grad_y, grad_x)
    forward(x, x)
    backward(x, grad_y, grad_y)
    np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(grad_y, grad_x)


@each_function
def test_nan_stays_nan(forward: Forward, backward: Backward, formula: Formula) -> None:
    x = np.array([[1.0, np.nan, -1.0]], np.float32)
    y = np.zeros_like(x)
    forward(x, y)
    np.testing.assert_array_equal(np.isnan(y), [[False, True, False]])


@each_function
def test_numbers_of_any_size_raise_no_warning(forward: Forward, backward: Backward, formula: Formula) -> None:
    x = np.array([[-np.inf, -3e38, -89.0, 0.0, 89.0, 3e38, np.inf]], np.float32)
    y = np.empty_like(x)
    forward(x, y)
    assert not np.isnan(y).any()
    assert (np.diff(y[0, [1, 2, 3, 4, 5]]) >= 0).all()


def test_relu_of_one_image_may_take_a_plain_zero() -> None:
    x = np.array([[-1.0, 2.0, np.nan]], np.float32)
    y = activation.relu_forward(x)
    np.testing.assert_array_equal(y, [[0, 2, np.nan]])


def test_relu_has_no_gradient_at_zero() -> None:
    y, grad_x = np.array([0.0, -0.0, 1e-40, 1.0]), np.empty(4)
    relu_backward(y, np.ones(4), grad_x)
    np.testing.assert_array_equal(grad_x, [0, 0, 1, 1])


def test_sigmoid_is_exact_far_below_zero() -> None:
    x = np.array([-20.0, -50.0, -80.0], np.float32)
    y = np.empty_like(x)
    activation.sigmoid_forward(x, y)
    np.testing.assert_allclose(y, [math.exp(-20), math.exp(-50), math.exp(-80)], rtol=1e-5)
