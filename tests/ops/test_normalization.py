"""Batch norm against the naive loops, and where one-pass sums would fail."""

from __future__ import annotations

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError, ShapeError
from colonnade.ops.normalization import (
    Statistics,
    batch_moments,
    batch_norm_backward,
    batch_norm_backward_parameters,
    batch_norm_backward_sums,
    batch_norm_forward,
    batch_statistics,
    join_moments,
)
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


@pytest.mark.parametrize("shape", [(7, 3), (5, 3, 4), (4, 3, 5, 2)])
@pytest.mark.parametrize("mean", [0.0, 1e5])
def test_each_function_takes_plain_arrays_in_one_line(shape: tuple[int, ...], mean: float) -> None:
    rng = np.random.default_rng(0)
    x, grad_y = rng.normal(mean, 3.0, shape), rng.normal(size=shape)
    weight, bias = rng.normal(size=(2, 3))
    lays = [np.ascontiguousarray]
    if len(shape) == 4:
        lays.append(lambda array: np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))
    for lay in lays:
        x, grad_y = lay(x), lay(grad_y)
        y = batch_norm_forward(x, weight, bias, 1e-3)
        np.testing.assert_allclose(y, reference.batch_norm(x, weight, bias, eps=1e-3), rtol=1e-7, atol=1e-7)
        of_x, of_weight, of_bias = reference.batch_norm_backward(x, grad_y, weight, eps=1e-3)
        np.testing.assert_allclose(batch_norm_backward(x, grad_y, weight, 1e-3), of_x, rtol=1e-7, atol=1e-7)
        statistics = batch_statistics(x)
        sums = batch_norm_backward_sums(x, grad_y, statistics.mean)
        for ours, theirs in zip(
            batch_norm_backward_parameters(sums, statistics.variance, 1e-3), (of_weight, of_bias), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-7)


def test_parts_of_a_batch_are_normalised_as_the_whole() -> None:
    rng = np.random.default_rng(0)
    x, grad_y = rng.normal(5.0, 2.0, (9, 3, 4, 5)), rng.normal(size=(9, 3, 4, 5))
    weight, bias, moments = rng.normal(size=3), rng.normal(size=3), np.zeros((4, 3))
    parts = [slice(0, 2), slice(2, 3), slice(3, 9)]
    for part in parts:
        join_moments(moments, *batch_moments(x[part]))
    statistics = Statistics(moments[1] + moments[2], moments[3] / moments[0], 9 * 4 * 5)
    for ours, theirs in zip(statistics, batch_statistics(x), strict=True):
        np.testing.assert_allclose(ours, theirs)
    sums = sum(batch_norm_backward_sums(x[part], grad_y[part], statistics.mean) for part in parts)
    y, of_x = np.empty_like(x), np.empty_like(x)
    for part in parts:
        batch_norm_forward(x[part], weight, bias, statistics=statistics, out=y[part])
        batch_norm_backward(x[part], grad_y[part], weight, statistics=statistics, sums=sums, out=of_x[part])
    np.testing.assert_allclose(y, batch_norm_forward(x, weight, bias))
    np.testing.assert_allclose(of_x, batch_norm_backward(x, grad_y, weight))
