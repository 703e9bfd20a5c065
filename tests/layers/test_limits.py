"""Activations where floating point ends: at zero of both signs, denormal, huge and infinite numbers, and NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import colonnade as cn

INF = math.inf
Limits = tuple[float, float, float, float]  # value and slope at −∞, value and slope at ∞
RAMP: Limits = (0, 0, INF, 1)
SELU = (1.0507009873554804934193349852946, 1.6732632423543772848170429916717)

# How the layer is made, and the limits. PyTorch's own layer of the name tells what is between.
LAYERS: dict[str, tuple[Callable[[Any], Any], Limits]] = {
    "ReLU": (lambda nn: nn.ReLU(), RAMP),
    "LeakyReLU": (lambda nn: nn.LeakyReLU(0.25), (-INF, 0.25, INF, 1)),
    "LeakyReLU, falling": (lambda nn: nn.LeakyReLU(-0.5), (INF, -0.5, INF, 1)),
    "LeakyReLU, steep": (lambda nn: nn.LeakyReLU(2.0), (-INF, 2, INF, 1)),
    "LeakyReLU, flat": (lambda nn: nn.LeakyReLU(0.0), RAMP),
    "PReLU": (lambda nn: nn.PReLU(), (-INF, 0.25, INF, 1)),
    "Tanh": (lambda nn: nn.Tanh(), (-1, 0, 1, 0)),
    "Sigmoid": (lambda nn: nn.Sigmoid(), (0, 0, 1, 0)),
    "Softsign": (lambda nn: nn.Softsign(), (-1, 0, 1, 0)),
    "ELU": (lambda nn: nn.ELU(), (-1, 0, INF, 1)),
    "ELU, scaled": (lambda nn: nn.ELU(1.5), (-1.5, 0, INF, 1)),
    "SELU": (lambda nn: nn.SELU(), (-SELU[0] * SELU[1], 0, INF, SELU[0])),
    "CELU": (lambda nn: nn.CELU(2.0), (-2, 0, INF, 1)),
    "CELU, sharp": (lambda nn: nn.CELU(0.125), (-0.125, 0, INF, 1)),
    "Softplus": (lambda nn: nn.Softplus(), RAMP),
    "Softplus, sharp": (lambda nn: nn.Softplus(4.0, 5.0), RAMP),
    "Threshold": (lambda nn: nn.Threshold(0.125, 20.0), (20, 0, INF, 1)),
    "Hardtanh": (lambda nn: nn.Hardtanh(-2.0, 1.5), (-2, 0, 1.5, 0)),
    "ReLU6": (lambda nn: nn.ReLU6(), (0, 0, 6, 0)),
    "Hardswish": (lambda nn: nn.Hardswish(), RAMP),
    "GELU": (lambda nn: nn.GELU(), RAMP),
    "GELU by tanh": (lambda nn: nn.GELU("tanh"), RAMP),
    "SiLU": (lambda nn: nn.SiLU(), RAMP),
    "Mish": (lambda nn: nn.Mish(), RAMP),
}
# Layers that PyTorch has as functions; the slope of its own Hardsigmoid is a sixth of float32, in float64 too.
FUNCTIONS: dict[str, tuple[Callable[[], Any], Callable[[Any, Any], Any], Limits]] = {
    "Hardsigmoid": (lambda: cn.Hardsigmoid(), lambda torch, x: (x / 6 + 0.5).clamp(0, 1), (0, 0, 1, 0)),
    "Abs": (lambda: cn.Abs(), lambda torch, x: x.abs(), (INF, -1, INF, 1)),
    "Exp": (lambda: cn.Exp(), lambda torch, x: x.exp(), (0, 0, INF, INF)),
    "Erf": (lambda: cn.Erf(), lambda torch, x: torch.erf(x), (-1, 0, 1, 0)),
    "Log": (lambda: cn.Log(), lambda torch, x: x.log(), (math.nan, -0.0, INF, 0)),
    "Sqrt": (lambda: cn.Sqrt(), lambda torch, x: x.sqrt(), (math.nan, math.nan, INF, 0)),
    "Atan": (lambda: cn.Atan(), lambda torch, x: x.atan(), (-math.pi / 2, 0, math.pi / 2, 0)),
    "Sinh": (lambda: cn.Sinh(), lambda torch, x: x.sinh(), (-INF, INF, INF, INF)),
    "Cosh": (lambda: cn.Cosh(), lambda torch, x: x.cosh(), (INF, -INF, INF, INF)),
    "Asinh": (lambda: cn.Asinh(), lambda torch, x: x.asinh(), (-INF, 0, INF, 0)),
    "Reciprocal": (lambda: cn.Reciprocal(), lambda torch, x: 1 / x, (0, 0, 0, 0)),
    "Affine": (lambda: cn.Affine(2.0, 1.0), lambda torch, x: 2 * x + 1, (-INF, 2, INF, 2)),
    "square": (lambda: cn.Power(2.0), lambda torch, x: x**2, (INF, -INF, INF, INF)),
    "cube": (lambda: cn.Power(3.0), lambda torch, x: x**3, (-INF, INF, INF, INF)),
    "first power": (lambda: cn.Power(1.0), lambda torch, x: x**1, (-INF, 1, INF, 1)),
    "zeroth power": (lambda: cn.Power(0.0), lambda torch, x: x**0, (1, 0, 1, 0)),
    "Sign": (lambda: cn.Sign(), lambda torch, x: x.sign(), (-1, 0, 1, 0)),
    "Floor": (lambda: cn.Floor(), lambda torch, x: x.floor(), (-INF, 0, INF, 0)),
    "Ceil": (lambda: cn.Ceil(), lambda torch, x: x.ceil(), (-INF, 0, INF, 0)),
    "Round": (lambda: cn.Round(), lambda torch, x: x.round(), (-INF, 0, INF, 0)),
    "Trunc": (lambda: cn.Trunc(), lambda torch, x: x.trunc(), (-INF, 0, INF, 0)),
}


def points(dtype: str) -> np.ndarray:
    """Numbers of all sizes, of both signs; none is the end of a piece."""
    limits = np.finfo(dtype)
    sizes = [0.0, limits.smallest_subnormal, limits.tiny / 4, limits.tiny, 1e-30, 1e-10, 1e-4, 0.01, 0.1, 0.3, 0.6, 0.9]
    sizes += [
        1.2,
        2.5,
        2.99,
        4,
        5.5,
        7,
        9,
        12,
        16,
        19,
        26,
        40,
        80,
        88,
        89,
        104,
        300,
        709,
        746,
        1e3,
        1e5,
        1e10,
        1e30,
        3e38,
    ]
    return np.array([*sizes, *(-size for size in sizes)], dtype)


def outcome(layer: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and slopes; the first by inference as well."""
    model = cn.Model([layer], dtype=x.dtype)
    y = model(x[None], training=True)
    slope = model.backward(np.ones_like(y))
    np.testing.assert_array_equal(model(x[None]), y)
    return y[0], slope[0]


def require_close(found: np.ndarray, expected: np.ndarray, scale: np.ndarray, dtype: str) -> None:
    """Some last digits of what is to be told apart; beyond the type's range the infinity."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        expected = expected.astype(dtype)
        finite = np.isfinite(expected)
        near = np.abs(found - expected) <= 8 * np.finfo(dtype).eps * (np.abs(expected) + scale) + np.finfo(dtype).tiny
    np.testing.assert_array_equal(found[~finite], expected[~finite])
    assert near[finite].all(), (found[finite][~near[finite]], expected[finite][~near[finite]])


def require_limits(layer: Callable[[], Any], limits: Limits, dtype: str) -> None:
    y, slope = outcome(layer(), np.array([-INF, INF], dtype))
    np.testing.assert_allclose(y, [limits[0], limits[2]], rtol=np.finfo(dtype).eps)
    np.testing.assert_allclose(slope, [limits[1], limits[3]], rtol=np.finfo(dtype).eps)


def require_function(layer: Callable[[], Any], expected: Callable[[Any], Any], dtype: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = points(dtype)
    given = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    truth = expected(given)
    if truth.requires_grad:
        truth.sum().backward()
    grad = given.grad.numpy() if truth.requires_grad else np.zeros(x.shape)
    y, slope = outcome(layer(), x)
    require_close(y, truth.detach().numpy(), np.minimum(np.abs(x), 1), dtype)
    require_close(slope, grad, np.ones(x.shape), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_activations_have_their_limits(name: str, dtype: str) -> None:
    make, limits = LAYERS[name]
    require_limits(lambda: make(cn), limits, dtype)
    greatest = np.finfo(dtype).max
    y, slope = outcome(make(cn), np.array([-greatest, greatest]))  # as good as infinite, where the limit is finite
    ends = np.array([limits[0], limits[2]])
    np.testing.assert_allclose(y[np.isfinite(ends)], ends[np.isfinite(ends)], rtol=np.finfo(dtype).eps)
    np.testing.assert_allclose(slope, [limits[1], limits[3]], rtol=np.finfo(dtype).eps)
    if limits == RAMP:
        assert y[1] == greatest


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_their_limits(name: str, dtype: str) -> None:
    make, _, limits = FUNCTIONS[name]
    require_limits(make, limits, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_activations_of_numbers_of_all_sizes_are_those_of_pytorch(name: str, dtype: str) -> None:
    make, _ = LAYERS[name]
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    require_function(lambda: make(cn), lambda x: make(torch.nn).double()(x), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_numbers_of_all_sizes_are_those_of_pytorch(name: str, dtype: str) -> None:
    make, expected, _ = FUNCTIONS[name]
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    require_function(make, lambda x: expected(torch, x), dtype)


@pytest.mark.parametrize("name", [*LAYERS, *(name for name in FUNCTIONS if name not in ("Sign", "zeroth power"))])
def test_a_nan_stays_a_nan(name: str) -> None:
    layer = LAYERS[name][0](cn) if name in LAYERS else FUNCTIONS[name][0]()
    x = np.array([[1.0, math.nan, -2.0]], np.float32)
    np.testing.assert_array_equal(np.isnan(cn.Model([layer])(x)), np.isnan(x) | ((x < 0) & (name in ("Log", "Sqrt"))))


@pytest.mark.parametrize("name", ["Add", "Sub", "Mul", "Div", "Pow"])
def test_arithmetic_of_numbers_of_all_sizes_is_that_of_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    numbers = [0.0, -0.0, 1e-40, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0, 3e38, -3e38, INF, -INF]
    pairs = [each.reshape(-1, 1) for each in np.meshgrid(np.array(numbers, np.float32), np.array(numbers, np.float32))]
    given = [torch.tensor(each, requires_grad=True) for each in pairs]
    expected = getattr(torch, name.lower())(*given)
    expected.sum().backward()
    model = cn.Model(cn.Graph({"y": (getattr(cn, name)(), "a", "b")}, inputs=["a", "b"]))
    y = model(tuple(pairs), training=True)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-5)
    for found, theirs in zip(model.backward(np.ones_like(y)), given, strict=True):
        np.testing.assert_allclose(found, theirs.grad.numpy(), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax"])
def test_softmax_of_numbers_of_all_sizes_is_that_of_pytorch(name: str, dtype: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = np.stack(np.broadcast_arrays([0.3], [-0.0], *np.meshgrid([*points(dtype)[::3], -INF], points(dtype)[::3])), -1)
    x = x.reshape(-1, 4).astype(dtype)
    grad = np.random.default_rng(0).normal(size=x.shape).astype(dtype)
    given = torch.tensor(x, requires_grad=True)
    expected = getattr(torch.nn, name)(1)(given)
    expected.backward(torch.tensor(grad))
    model = cn.Model([getattr(cn, name)(1)], dtype=dtype)
    tolerance = 8 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(model(x, training=True), expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(model.backward(grad), given.grad.numpy(), rtol=tolerance, atol=2 * tolerance)
