from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from colonnade.errors import ArgumentError, ShapeError
from colonnade.layers.dense import Dense
from colonnade.ops.dense import dense_backward_bias, dense_backward_input, dense_backward_weight, dense_forward
from tests import reference

Array = np.ndarray[Any, Any]
SIZES = [(1, 1, 1), (1, 5, 3), (4, 1, 6), (5, 7, 1), (6, 4, 9)]


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(("images", "inputs", "outputs"), SIZES)
def test_dense_is_the_naive_sum(images: int, inputs: int, outputs: int, biased: bool) -> None:
    x, weight = normal(images, inputs), normal(outputs, inputs, seed=1)
    bias = normal(outputs, seed=2) if biased else None
    y = np.full((images, outputs), np.nan)
    dense_forward(x, weight, bias, y)
    np.testing.assert_allclose(y, reference.dense(x, weight, bias), atol=1e-13)


@pytest.mark.parametrize(("images", "inputs", "outputs"), SIZES)
def test_dense_backward_is_the_naive_sum(images: int, inputs: int, outputs: int) -> None:
    x, weight, grad_y = normal(images, inputs), normal(outputs, inputs, seed=1), normal(images, outputs, seed=2)
    grad_x = np.full_like(x, np.nan)
    dense_backward_input(grad_y, weight, grad_x)
    np.testing.assert_allclose(grad_x, reference.dense_backward(x, weight, grad_y)[0], atol=1e-13)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 3), "Dense: in_features must be positive, got 0"), ((3, -1), "Dense: out_features must be positive, got -1")],
)
def test_an_argument_that_breaks_a_rule_is_named(arguments: tuple[int, int], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Dense(*arguments)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4,), r"Dense: expected 3 input features, got an input of shape \(4,\)\."),
        ((3, 2, 2), r"got an input of shape \(3, 2, 2\) \(a Flatten before it\?\)"),
    ],
)
def test_an_input_that_does_not_fit_is_named(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        Dense(3, 2).build(shape, np.random.default_rng(0))


@pytest.mark.parametrize("shape", [(4, 3), (2, 5, 3), (2, 4, 5, 3), (2, 1, 4, 5, 3)])
def test_each_function_takes_plain_arrays_in_one_line(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = rng.normal(size=shape), rng.normal(size=(6, 3)), rng.normal(size=6)
    rows = x.reshape(-1, 3)
    y = dense_forward(x, weight, bias)
    np.testing.assert_allclose(y.reshape(-1, 6), reference.dense(rows, weight, bias), atol=1e-13)
    grad_y = rng.normal(size=y.shape)
    grads = reference.dense_backward(rows, weight, grad_y.reshape(-1, 6))
    np.testing.assert_allclose(dense_backward_input(grad_y, weight).reshape(-1, 3), grads[0], atol=1e-13)
    np.testing.assert_allclose(dense_backward_weight(x, grad_y), grads[1], atol=1e-13)
    np.testing.assert_allclose(dense_backward_bias(grad_y), grads[2], atol=1e-13)
