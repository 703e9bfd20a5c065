from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from colonnade.errors import ArgumentError, ShapeError
from colonnade.layers.activation import LeakyReLU, ReLU, Sigmoid, Softmax, Tanh
from colonnade.layers.base import Layer
from tests.layers.passes import laid, passes

Array = np.ndarray[Any, Any]

LAYERS = [
    ReLU(),
    *(LeakyReLU(slope) for slope in (0.01, 0.0, 1.0, 1.5, -0.5)),
    Tanh(),
    Sigmoid(),
    Softmax(),
    Softmax(-1),
]
SHAPES = [(4, 3, 5, 6), (1, 3, 5, 6), (4, 7), (1, 7), (2, 3, 4)]


def numbers(shape: tuple[int, ...], seed: int = 0, dtype: Any = np.float64) -> Array:
    return laid(np.random.default_rng(seed).normal(0, 2, shape).astype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_activations_agree_with_torch(layer: Layer, shape: tuple[int, ...], dtype: Any) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x, grad_y = numbers(shape, dtype=dtype), numbers(shape, 1, dtype)
    their_x = torch.tensor(x, requires_grad=True)
    their_y = getattr(torch.nn, type(layer).__name__)(**layer.config())(their_x)
    their_y.backward(torch.tensor(grad_y))
    y, grad_x = passes(layer, x, grad_y)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(y, their_y.detach().numpy(), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(grad_x, their_x.grad.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_activations_in_place_are_bit_for_bit_the_same(layer: Layer, shape: tuple[int, ...]) -> None:
    x, grad_y = numbers(shape), numbers(shape, 1)
    assert layer.in_place
    for apart, shared in zip(passes(layer, x, grad_y), passes(layer, x, grad_y, in_place=True), strict=True):
        np.testing.assert_array_equal(apart, shared)


@pytest.mark.parametrize("images", [1, 3])
def test_relu_lets_nan_through(images: int) -> None:
    x = numbers((images, 2, 3, 3), dtype=np.float32)
    x[0, 1, 2, 0] = np.nan
    y, _ = passes(ReLU(), x)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))


def test_only_the_relu_family_rectifies() -> None:
    assert [layer.rectifies for layer in (ReLU(), LeakyReLU(), Tanh(), Sigmoid(), Softmax())] == [
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_an_activation_is_made_again_from_its_configuration(layer: Layer) -> None:
    assert repr(type(layer)(**layer.config())) == repr(layer)


@pytest.mark.parametrize("slope", [float("inf"), float("nan")])
def test_a_slope_that_is_no_number_gets_one_line(slope: float) -> None:
    with pytest.raises(ArgumentError, match=f"LeakyReLU: negative_slope must be a finite number, got {slope}"):
        LeakyReLU(slope)


@pytest.mark.parametrize("dim", [0, 2, -2, -3])
def test_softmax_over_the_batch_or_a_missing_axis_gets_one_line(dim: int) -> None:
    with pytest.raises(ShapeError, match=f"Softmax: dim must be an axis of one image, 1 to 1, got {dim}"):
        Softmax(dim).build((10,), np.random.default_rng(0))
