"""Compiled layer, group and instance norm against the formulas in float64."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip("numba")

from colonnade.compiled.layer_norm import (
    group_norm_backward,
    group_norm_forward,
    layer_norm_backward,
    layer_norm_forward,
)
from colonnade.compiled.runs import ROWS, TURNS
from colonnade.ops import standardization as ops

pytestmark = pytest.mark.thorough

Array = np.ndarray[Any, Any]


class Case(NamedTuple):
    """Inputs in float32: x and grad_y (n, ..., c), weight and bias (c,)."""

    x: Array
    grad_y: Array
    weight: Array
    bias: Array


def case(shape: tuple[int, ...], mean: float = 2.0) -> Case:
    rng = np.random.default_rng(0)
    x, grad_y = rng.normal(mean, 3, shape), rng.normal(0.3, 1, shape)
    weight, bias = rng.normal(1, 0.5, shape[-1]), rng.normal(size=shape[-1])
    return Case(*(array.astype(np.float32) for array in (x, grad_y, weight, bias)))


def exact_layer(given: Case) -> tuple[Array, ...]:
    x, grad_y, weight, bias = (array.astype(float) for array in given)
    y, gradients = ops.layer_norm_forward(x, weight, bias), ops.layer_norm_backward(x, grad_y, weight)
    return y, *(each for each in gradients if each is not None)


def exact_group(given: Case, groups: int) -> tuple[Array, ...]:
    """With channels first, while the compiled function takes them last."""
    x, grad_y = (array.astype(float).transpose(0, 2, 1).copy() for array in (given.x, given.grad_y))
    weight, bias = given.weight.astype(float), given.bias.astype(float)
    y = ops.group_norm_forward(x, groups, weight, bias)
    grad_x, *gradients = ops.group_norm_backward(x, grad_y, groups, weight)
    assert grad_x is not None
    return y.transpose(0, 2, 1), grad_x.transpose(0, 2, 1), *gradients


def found_layer(given: Case) -> tuple[Array, ...]:
    x, grad_y, weight, bias = given
    y, grad_x = np.full_like(x, np.nan), np.full_like(x, np.nan)
    grad_weight, grad_bias = np.ones_like(weight), np.ones_like(bias)
    layer_norm_forward(x, 1e-5, weight, bias, y)
    layer_norm_backward(x, grad_y, 1e-5, weight, grad_x, grad_weight, grad_bias)
    return y, grad_x, grad_weight - 1, grad_bias - 1


def found_group(given: Case, groups: int) -> tuple[Array, ...]:
    x, grad_y, weight, bias = given
    y, grad_x = np.full_like(x, np.nan), np.full_like(x, np.nan)
    grad_weight, grad_bias = np.ones_like(weight), np.ones_like(bias)
    group_norm_forward(x, groups, 1e-5, weight, bias, y)
    group_norm_backward(x, grad_y, groups, 1e-5, weight, grad_x, grad_weight, grad_bias)
    return y, grad_x, grad_weight - 1, grad_bias - 1


def close(found: tuple[Array, ...], exact: tuple[Array, ...]) -> None:
    for ours, truth in zip(found, exact, strict=True):
        np.testing.assert_allclose(ours, truth, rtol=0, atol=1e-5 * max(np.abs(truth).max(), 0.3))


def test_layer_norm_is_the_formula_and_its_gradients_are_added() -> None:
    for shape in [(rows, 33) for rows in range(1, 10)] + [(6, length) for length in (*range(1, 71), 256, 3072)]:
        given = case(shape)
        close(found_layer(given), exact_layer(given))


def test_layer_norm_of_many_rows() -> None:
    given = case((2051, 19))
    close(found_layer(given), exact_layer(given))


def divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


def test_group_norm_is_the_formula_for_all_groups_up_to_instance_norm() -> None:
    for channels in (*range(1, 71), 256):
        for groups in divisors(channels)[:: max(1, channels // 16)]:
            given = case((2, 9, channels))
            close(found_group(given, groups), exact_group(given, groups))
    for positions in (2, 3, 4, 5, 49, ROWS * TURNS - 1, ROWS * TURNS, ROWS * TURNS + 1, ROWS * TURNS + 6):
        for groups in (1, 3, 6):
            given = case((3, positions, 6))
            close(found_group(given, groups), exact_group(given, groups))


def test_a_mean_that_is_many_deviations_away_costs_no_digits() -> None:
    for mean in (3e3, 3e5):
        rows, images = case((8, 400), mean), case((2, 300, 8), mean)
        close(found_layer(rows), exact_layer(rows))
        close(found_group(images, 4), exact_group(images, 4))


def test_in_place_it_is_bit_for_bit_the_same() -> None:
    given = case((7, 3, 37))
    rows = Case(given.x.reshape(21, 37), given.grad_y.reshape(21, 37), *given[2:])
    y, grad_x, *_ = found_layer(rows)
    grads = np.zeros(37, np.float32), np.zeros(37, np.float32)
    x, grad_y = rows.x.copy(), rows.grad_y.copy()
    layer_norm_backward(x, grad_y, 1e-5, rows.weight, grad_y, *grads)
    layer_norm_forward(x, 1e-5, rows.weight, rows.bias, x)
    np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(grad_y, grad_x)
    y, grad_x, *_ = found_group(given, 37)
    x, grad_y = given.x.copy(), given.grad_y.copy()
    group_norm_backward(x, grad_y, 37, 1e-5, given.weight, grad_y, *grads)
    group_norm_forward(x, 37, 1e-5, given.weight, given.bias, x)
    np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(grad_y, grad_x)


def test_no_number_spoils_its_row_or_group_alone() -> None:
    given = case((6, 21))
    given.x[1, 20] = np.nan
    given.x[5, 0] = np.inf
    y, grad_x, grad_weight, _ = found_layer(given)
    for array in (y, grad_x):
        np.testing.assert_array_equal(np.isnan(array).all(axis=1), [False, True, False, False, False, True])
        assert np.isfinite(array[[0, 2, 3, 4]]).all()
    assert np.isnan(grad_weight).all()
    images = case((2, 5, 6))
    images.x[1, 4, 3] = np.nan  # of the second group of three
    y, grad_x, *_ = found_group(images, 3)
    for array in (y, grad_x):
        assert np.isnan(array[1, :, 2:4]).all()
        assert np.isfinite(array[0]).all()
        assert np.isfinite(array[1][:, [0, 1, 4, 5]]).all()
