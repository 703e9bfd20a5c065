"""Batch norm against the naive loops, and where one-pass sums would fail."""

from __future__ import annotations

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError, ShapeError
from tests import reference


@pytest.mark.parametrize("shape", [(7, 3), (5, 3, 4), (4, 3, 5, 2), (2, 1, 3, 3)])
def test_batch_norm_and_its_gradients_are_the_formula(shape: tuple[int, ...]) -> None:
    kind = cn.BatchNorm2d if len(shape) == 4 else cn.BatchNorm1d
    layer = kind(shape[1], eps=1e-3)
    model = cn.Model([layer], dtype="float64")
    rng = np.random.default_rng(0)
    x, grad_y = rng.normal(2.0, 3.0, shape), rng.normal(size=shape)
    layer.weight.value[...] = rng.normal(size=shape[1])
    layer.bias.value[...] = rng.normal(size=shape[1])
    expected = reference.batch_norm(x, layer.weight.value, layer.bias.value, eps=1e-3)
    np.testing.assert_allclose(model(x, training=True), expected, rtol=1e-10, atol=1e-10)
    grad_x, grad_weight, grad_bias = reference.batch_norm_backward(x, grad_y, layer.weight.value, eps=1e-3)
    np.testing.assert_allclose(model.backward(grad_y), grad_x, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(layer.weight.grad, grad_weight, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(layer.bias.grad, grad_bias, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("mean", [0.0, 100.0, 3000.0])
def test_float32_statistics_survive_a_mean_of_thousands_of_deviations(mean: float) -> None:
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(64, 2, 16, 16)) + mean).astype(np.float32)
    layer = cn.BatchNorm2d(2, momentum=1.0)
    cn.Model([layer])(x, training=True)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(layer.running_mean, exact.mean(axis=(0, 2, 3)), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(layer.running_var, exact.var(axis=(0, 2, 3), ddof=1), rtol=1e-4)


def test_a_single_value_a_channel_is_refused_in_training_only() -> None:
    model = cn.Model([cn.BatchNorm1d(3)])
    message = r"BatchNorm1d: training needs more than one value a channel, got an input of shape \(1, 3\)"
    with pytest.raises(ShapeError, match=message):
        model(np.ones((1, 3)), training=True)
    assert model(np.ones((1, 3))).shape == (1, 3)
    assert cn.Model([cn.BatchNorm2d(3)])(np.ones((1, 3, 1, 2)), training=True).shape == (1, 3, 1, 2)


def test_a_constant_channel_gives_its_shift() -> None:
    layer = cn.BatchNorm2d(2)
    layer.bias.value[...] = [1.0, -2.0]
    y = cn.Model([layer])(np.full((3, 2, 4, 4), 7.0), training=True)
    np.testing.assert_allclose(y[:, 0], 1.0, atol=1e-3)
    np.testing.assert_allclose(y[:, 1], -2.0, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_features": 0}, "BatchNorm2d: num_features must be positive, got 0"),
        ({"eps": -1.0}, "BatchNorm2d: eps must be zero or more, got -1.0"),
        ({"momentum": 2.0}, "BatchNorm2d: momentum must lie between 0 and 1, got 2.0"),
    ],
)
def test_an_argument_that_breaks_a_rule_is_named(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        cn.BatchNorm2d(**{"num_features": 3, **arguments})  # type: ignore[arg-type]


def test_an_input_of_other_channels_is_refused() -> None:
    with pytest.raises(
        ShapeError, match=r"layer 0, BatchNorm2d: expected 3 channels, got an input of shape \(2, 4, 4\)"
    ):
        cn.Model([cn.BatchNorm2d(3)]).build((2, 4, 4))
    with pytest.raises(ShapeError, match="layer 0, BatchNorm1d: expected 3 features"):
        cn.Model([cn.BatchNorm1d(3)]).build((2,))
