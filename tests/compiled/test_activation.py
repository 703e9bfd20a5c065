"""The compiled activations against the layers, which compute them in NumPy, and those of float64 for the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from colonnade import layers
from colonnade.compiled import activation as compiled
from colonnade.compiled.activation import KINDS, activation_backward, activation_forward
from colonnade.layers import Layer
from tests.layers.passes import passes

pytestmark = pytest.mark.thorough

Array = np.ndarray[Any, Any]

SELU_SCALE, SELU_ALPHA = layers.SELU.scale, layers.SELU().alpha

# Every kind, with the layer that it is and its parameters.
LAYERS: list[tuple[Layer, int, float, float]] = [
    (layers.Identity(), compiled.IDENTITY, 0, 0),
    (layers.ReLU(), compiled.RELU, 0, 0),
    (layers.LeakyReLU(), compiled.LEAKY_RELU, 0.01, 0),
    (layers.LeakyReLU(-0.5), compiled.LEAKY_RELU, -0.5, 0),
    (layers.LeakyReLU(1.5), compiled.LEAKY_RELU, 1.5, 0),
    (layers.LeakyReLU(0.0), compiled.LEAKY_RELU, 0, 0),
    (layers.ReLU6(), compiled.CLIP, 0, 6),
    (layers.Hardtanh(-1.5, 0.5), compiled.CLIP, -1.5, 0.5),
    (layers.Threshold(0.5, -2), compiled.THRESHOLD, 0.5, -2),
    (layers.ELU(0.7), compiled.ELU, 0.7, 1),
    (layers.SELU(), compiled.ELU, SELU_ALPHA * SELU_SCALE, SELU_SCALE),
    (layers.CELU(0.8), compiled.CELU, 0.8, 0),
    (layers.Softplus(), compiled.SOFTPLUS, 1, 20),
    (layers.Softplus(2, 3), compiled.SOFTPLUS, 2, 3),
    (layers.Softplus(1, -2), compiled.SOFTPLUS, 1, -2),
    (layers.Softsign(), compiled.SOFTSIGN, 0, 0),
    (layers.Tanh(), compiled.TANH, 0, 0),
    (layers.Sigmoid(), compiled.SIGMOID, 0, 0),
    (layers.Hardsigmoid(), compiled.HARDSIGMOID, 0, 0),
    (layers.Hardswish(), compiled.HARDSWISH, 0, 0),
    (layers.SiLU(), compiled.SILU, 0, 0),
    (layers.Mish(), compiled.MISH, 0, 0),
    (layers.GELU(), compiled.GELU, 0, 0),
    (layers.GELU("tanh"), compiled.GELU_TANH, 0, 0),
    (layers.Exp(), compiled.EXP, 0, 0),
    (layers.Log(), compiled.LOG, 0, 0),
    (layers.Sqrt(), compiled.SQRT, 0, 0),
    (layers.Reciprocal(), compiled.RECIPROCAL, 0, 0),
    (layers.Power(2), compiled.SQUARE, 0, 0),
    (layers.Abs(), compiled.ABS, 0, 0),
    (layers.Erf(), compiled.ERF, 0, 0),
    (layers.Affine(1.5, -0.5), compiled.AFFINE, 1.5, -0.5),
]
table = pytest.mark.parametrize(("layer", "kind", "a", "b"), LAYERS, ids=[str(row[0]) for row in LAYERS])

# All remainders of a run of 64 numbers, and of several runs.
SIZES = [*range(1, 71), 127, 128, 129, 256, 1000]


def test_the_table_has_every_kind() -> None:
    assert {kind for _, kind, _, _ in LAYERS} == set(range(len(KINDS)))


def run(kind: int, a: float, b: float, x: Array, grad_y: Array) -> tuple[Array, Array]:
    """Output and gradient at the input; the gradient is told only what the kind says that it reads."""
    y, grad_x, known = np.full_like(x, np.nan), np.full_like(x, np.nan), np.full_like(x, np.nan)
    activation_forward(kind)(x, np.float32(a), np.float32(b), y)
    if KINDS[kind].reads != "nothing":
        known = x if KINDS[kind].reads == "input" else y
    activation_backward(kind)(known, grad_y, np.float32(a), np.float32(b), grad_x)
    return y, grad_x


def close(found: Array, exact: Array) -> None:
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-5 * np.abs(exact).max())


def numbers(layer: Layer, rng: np.random.Generator, size: int) -> Array:
    x = rng.normal(0, 3, size).astype(np.float32)
    return np.abs(x) + np.float32(0.01) if isinstance(layer, layers.Log | layers.Sqrt | layers.Reciprocal) else x


@table
def test_an_activation_is_the_layer(layer: Layer, kind: int, a: float, b: float) -> None:
    rng = np.random.default_rng(0)
    for size in SIZES:
        x, grad_y = numbers(layer, rng, size), rng.normal(size=size).astype(np.float32)
        y, grad_x = run(kind, a, b, x, grad_y)
        exact_y, exact_grad = passes(layer, x[None].astype(float), grad_y[None].astype(float))
        close(y, exact_y[0])
        close(grad_x, exact_grad[0])


@table
def test_an_activation_in_place_is_bit_for_bit_the_same(layer: Layer, kind: int, a: float, b: float) -> None:
    rng = np.random.default_rng(0)
    x, grad_y = numbers(layer, rng, 100), rng.normal(size=100).astype(np.float32)
    y, grad_x = run(kind, a, b, x, grad_y)
    known = y.copy() if KINDS[kind].reads == "output" else x.copy()
    activation_backward(kind)(known, grad_y, np.float32(a), np.float32(b), grad_y)
    activation_forward(kind)(x, np.float32(a), np.float32(b), x)
    np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(grad_y, grad_x)


@table
def test_kinks_ends_and_no_numbers_are_the_layers(layer: Layer, kind: int, a: float, b: float) -> None:
    ends = [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e30, -1e30, 100, -100, 1e-40, -1e-40, 0.0, -0.0]
    kinks = [1, -1, 0.5, -0.5, -1.5, 1.5, 3, -3, 6, -6, 20, 8, -8, 10.5, -10.5]
    x = np.array(ends + kinks, np.float32)
    with np.errstate(all="ignore"):
        expected = passes(layer, x[None])
    for found, numpys in zip(run(kind, a, b, x, np.ones_like(x)), expected, strict=True):
        np.testing.assert_allclose(found, numpys[0], rtol=1e-5, atol=2e-7)


@table
def test_a_gradient_that_is_no_number_stays_in_its_place(layer: Layer, kind: int, a: float, b: float) -> None:
    x, grad_y = np.full(70, 0.7, np.float32), np.ones(70, np.float32)
    grad_y[[3, 64]] = np.nan
    _, grad_x = run(kind, a, b, x, grad_y)
    np.testing.assert_array_equal(np.isnan(grad_x), np.isnan(grad_y))


def test_the_gradient_of_a_leaky_relu_reads_the_output_too() -> None:
    x = np.random.default_rng(0).normal(size=100).astype(np.float32)
    grads = []
    for known in (x, np.where(x > 0, x, np.float32(0.1) * x)):
        grad_x = np.empty_like(x)
        activation_backward(compiled.LEAKY_RELU)(known, x, 0.1, 0.0, grad_x)
        grads.append(grad_x)
    np.testing.assert_array_equal(*grads)
