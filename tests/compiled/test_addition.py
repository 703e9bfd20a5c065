"""Compiled sums, products and channels times a number each, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from colonnade.compiled.activation import GELU, IDENTITY, RELU, SILU, activation_backward, activation_forward
from colonnade.compiled.addition import (
    addition_backward,
    addition_forward,
    channel_scaling_backward,
    channel_scaling_forward,
    multiplication_backward,
    multiplication_forward,
)
from colonnade.compiled.runs import ROWS, TURNS

pytestmark = pytest.mark.thorough

Array = np.ndarray[Any, Any]

SIZES = [*range(1, 71), 127, 128, 129, 256]


def arrays(shape: Any, count: int) -> list[Array]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(np.float32) for _ in range(count)]


@pytest.mark.parametrize("kind", [IDENTITY, RELU, SILU])
def test_an_addition_is_the_activation_of_the_sum(kind: int) -> None:
    for size in SIZES:
        x, other, y, expected = arrays(size, 4)
        addition_forward(kind)(x, other, 0.0, 0.0, y)
        activation_forward(kind)(x + other, 0.0, 0.0, expected)
        np.testing.assert_array_equal(y, expected)
        addition_forward(kind)(x, other, 0.0, 0.0, x)
        np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize("kind", [SILU, GELU])
def test_the_gradient_of_an_addition_adds_up_anew_what_it_reads(kind: int) -> None:
    for size in SIZES:
        x, other, grad_y, grad_x, expected = arrays(size, 5)
        addition_backward(kind)(x, other, grad_y, 0.0, 0.0, grad_x)
        activation_backward(kind)(x + other, grad_y, 0.0, 0.0, expected)
        np.testing.assert_array_equal(grad_x, expected)
        addition_backward(kind)(x, other, grad_y, 0.0, 0.0, grad_y)
        np.testing.assert_array_equal(grad_y, expected)


def test_a_product_and_its_gradients_are_numpys() -> None:
    for size in SIZES:
        x, other, y, grad_y, grad_x, grad_other = arrays(size, 6)
        x[0] = np.nan
        multiplication_forward(x, other, y)
        np.testing.assert_array_equal(y, x * other)
        multiplication_backward(x, other, grad_y, grad_x, grad_other)
        np.testing.assert_array_equal(grad_x, grad_y * other)
        np.testing.assert_array_equal(grad_other, grad_y * x)
        multiplication_backward(x, other, grad_y, grad_x, grad_y)
        np.testing.assert_array_equal(grad_y, grad_other)


def test_channels_times_a_number_each_and_their_gradients_are_numpys() -> None:
    shapes = [(2, 9, channels) for channels in (*range(1, 71), 256)] + [
        (3, count, 5) for count in (*range(1, 10), ROWS * TURNS, 2 * ROWS * TURNS + 3)
    ]
    for shape in shapes:
        x, y, grad_y, grad_x = arrays(shape, 4)
        factor, grad_factor = arrays((shape[0], shape[2]), 2)
        channel_scaling_forward(x, factor, y)
        np.testing.assert_array_equal(y, x * factor[:, None])
        channel_scaling_backward(x, factor, grad_y, grad_x, grad_factor)
        np.testing.assert_array_equal(grad_x, grad_y * factor[:, None])
        exact = (x.astype(float) * grad_y).sum(axis=1)
        np.testing.assert_allclose(grad_factor, exact, rtol=0, atol=1e-5 * np.abs(exact).max())
        channel_scaling_backward(x, factor, grad_y, grad_y, grad_factor)
        np.testing.assert_array_equal(grad_y, grad_x)
