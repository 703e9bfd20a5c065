"""The activations by hand: far out, at kinks, and their arguments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError, ShapeError
from tests.layers.passes import passes

CURVES = [
    cn.ELU(),
    cn.SELU(),
    cn.GELU(),
    cn.GELU("tanh"),
    cn.SiLU(),
    cn.Mish(),
    cn.Hardswish(),
    cn.Softplus(),
    cn.ReLU6(),
    cn.Hardtanh(),
    cn.Hardsigmoid(),
    cn.PReLU(),
]


@pytest.mark.parametrize("layer", CURVES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_far_out_an_activation_neither_overflows_nor_warns(layer: cn.Layer, dtype: str) -> None:
    model = cn.Model(cn.composites.construct(cn.composites.describe([layer])), dtype=dtype)
    x = np.array([[-1e30, -1e4, -100, -30, 0.0, 30, 100, 1e4, 1e30]], dtype)
    assert np.isfinite(model(x, training=True)).all()
    assert np.isfinite(model.backward(np.ones_like(x))).all()


def test_linear_ends_and_their_slopes() -> None:
    x = np.array([[-7.0, -2.0, 0.25, 5.0, 7.0]])
    ends = {
        cn.ReLU6(): ([0, 0, 0.25, 5, 6], [0, 0, 1, 1, 0]),
        cn.Hardtanh(-2.5, 0.5): ([-2.5, -2, 0.25, 0.5, 0.5], [0, 1, 1, 0, 0]),
        cn.Hardsigmoid(): ([0, 1 / 6, 0.5 + 0.25 / 6, 1, 1], [0, 1 / 6, 1 / 6, 0, 0]),
        cn.Hardswish(): ([0, -2 / 6, 0.25 * (0.5 + 0.25 / 6), 5, 7], [0, 0.5 - 4 / 6, 0.5 + 0.5 / 6, 1, 1]),
    }
    for layer, (expected, slope) in ends.items():
        y, grad = passes(layer, x)
        np.testing.assert_allclose(y, [expected], rtol=1e-12, err_msg=str(layer))
        np.testing.assert_allclose(grad, [slope], rtol=1e-12, atol=1e-15, err_msg=str(layer))


def test_softplus_is_the_line_beyond_its_threshold() -> None:
    y, grad = passes(cn.Softplus(beta=2, threshold=3), np.array([[1.5, 1.5 + 1e-9, 40.0, 0.0]]))
    np.testing.assert_allclose(y, [[math.log(1 + math.exp(3)) / 2, 1.5, 40, math.log(2) / 2]], rtol=1e-8)
    np.testing.assert_allclose(grad, [[1 / (1 + math.exp(-3)), 1, 1, 0.5]], rtol=1e-12)


def test_log_softmax_stays_exact_where_the_softmax_is_zero() -> None:
    y, _ = passes(cn.LogSoftmax(dim=1), np.array([[0.0, 1000.0]]))
    np.testing.assert_array_equal(y, [[-1000, 0]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cn.GELU("erf"), r"GELU: approximate must be 'none' or 'tanh', got 'erf'\."),
        (lambda: cn.Softplus(0), r"Softplus: beta must be positive, got 0\."),
        (lambda: cn.Softplus(1, "much"), r"Softplus: threshold must be a number, got 'much'\."),
        (lambda: cn.Hardtanh(1, 1), r"Hardtanh: min_val must be below max_val, got 1 and 1\."),
        (lambda: cn.PReLU(0), r"PReLU: num_parameters must be positive, got 0\."),
        (lambda: cn.Dropout2d(1.5), r"Dropout2d: p must lie between 0 and 1, got 1\.5\."),
    ],
)
def test_arguments_out_of_range_are_refused_in_one_line(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{message}$"):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (cn.PReLU(3), (2, 4, 4), r"PReLU: expected 3 channels, got an input of shape \(2, 4, 4\)\."),
        (cn.LogSoftmax(dim=0), (4,), r"LogSoftmax: dim must be an axis of one image, 1 to 1, got 0\."),
        (cn.Dropout2d(), (4,), r"Dropout2d: expected images \(c, h, w\), got an input of shape \(4,\)\."),
    ],
)
def test_inputs_that_do_not_fit_are_refused_in_one_line(layer: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=f"^layer 0, {message}$"):
        cn.Model([layer]).build(shape)


def test_dropout2d_leaves_out_whole_channels_and_keeps_the_mean() -> None:
    model = cn.Model([cn.Dropout2d(0.25)], seed=1)
    x = np.ones((200, 20, 3, 2), np.float32)
    y = model(x, training=True)
    by_channel = y.reshape(200, 20, -1)
    assert (by_channel == by_channel[:, :, :1]).all()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert y.mean() == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(model.backward(np.ones_like(x)), y)
    np.testing.assert_array_equal(model(x), x)
