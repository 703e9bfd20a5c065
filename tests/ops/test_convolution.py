"""Convolution against the naive loops of the paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.ops import convolution
from tests import reference

# kernel, stride, padding, dilation, groups, channels in and out: odd sizes on purpose
GRID: list[dict[str, Any]] = [
    {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    for kernel in (1, 2, 3, (3, 2), (1, 4))
    for stride in (1, 2, (2, 3))
    for padding in (0, 1, (0, 2))
    for dilation in (1, 2)
    for groups in (1, 2)
]


def passes(settings: dict[str, Any], shape: tuple[int, int, int, int], outputs: int) -> None:
    layer = cn.Conv2d(
        shape[1],
        outputs,
        settings["kernel"],
        stride=settings["stride"],
        padding=settings["padding"],
        dilation=settings["dilation"],
        groups=settings["groups"],
    )
    model = cn.Model([layer], dtype="float64")
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape)
    assert layer.bias is not None
    layer.bias.value[...] = rng.normal(size=outputs)
    options = {name: settings[name] for name in ("stride", "padding", "dilation", "groups")}
    expected = reference.conv2d(x, layer.weight.value, layer.bias.value, **options)
    np.testing.assert_allclose(model(x, training=True), expected, rtol=1e-10, atol=1e-10)
    grad_y = rng.normal(size=expected.shape)
    grad_x, grad_weight, grad_bias = reference.conv2d_backward(x, layer.weight.value, grad_y, **options)
    np.testing.assert_allclose(model.backward(grad_y), grad_x, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(layer.weight.grad, grad_weight, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(layer.bias.grad, grad_bias, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("settings", GRID, ids=lambda settings: "-".join(map(str, settings.values())).replace(" ", ""))
def test_convolution_and_its_gradients_are_the_papers_sums(settings: dict[str, Any]) -> None:
    passes(settings, (2, 4, 7, 8), 6)


def test_depthwise_convolution_is_the_papers_sum() -> None:
    for stride in (1, 2):
        for multiplier in (1, 2):
            settings = {"kernel": 3, "stride": stride, "padding": 1, "dilation": 1, "groups": 5}
            passes(settings, (2, 5, 6, 7), 5 * multiplier)


@pytest.mark.parametrize("numbers", [1, 200, 5000])
def test_tiles_of_any_size_give_the_same(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "TILE_NUMBERS", numbers)
    monkeypatch.setattr(convolution, "TILE_ROWS", 1)
    for settings in GRID[::7]:
        passes(settings, (3, 4, 7, 8), 6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 0}, "Conv2d: in_channels must be positive, got 0"),
        ({"kernel_size": 0}, "Conv2d: kernel_size must be positive, got 0"),
        ({"kernel_size": (3, 3, 3)}, "Conv2d: kernel_size must be a whole number or a pair"),
        ({"kernel_size": 2.5}, "Conv2d: kernel_size must be a whole number or a pair of them, got 2.5"),
        ({"stride": 0}, "Conv2d: stride must be positive, got 0"),
        ({"padding": -1}, "Conv2d: padding must be zero or more, got -1"),
        ({"padding": "full"}, "Conv2d: padding must be a number, a pair, 'same' or 'valid', got 'full'"),
        ({"padding": "same", "stride": 2}, "Conv2d: padding 'same' needs stride 1, got 2"),
        ({"dilation": (1, 0)}, r"Conv2d: dilation must be positive, got \(1, 0\)"),
        ({"groups": 3}, "Conv2d: in_channels must be divisible by groups = 3, got 4"),
        ({"groups": 4}, "Conv2d: out_channels must be divisible by groups = 4, got 6"),
        ({"padding_mode": "reflect"}, "Conv2d: padding_mode must be 'zeros', got 'reflect'"),
    ],
)
def test_an_argument_that_breaks_a_rule_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(cn.errors.ArgumentError, match=message):
        cn.Conv2d(**{"in_channels": 4, "out_channels": 6, "kernel_size": 3, **arguments})


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 28, 28), r"layer 0, Conv2d: expected 3 input channels, got an input of shape \(1, 28, 28\)"),
        ((3, 4, 28), "layer 0, Conv2d: a window spans 5×5, more than the padded input of 4×28"),
        ((3, 28), r"layer 0, Conv2d: expected 3 input channels, got an input of shape \(3, 28\)"),
    ],
)
def test_an_input_that_does_not_fit_is_named_with_its_layer(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(cn.errors.ShapeError, match=message):
        cn.Model([cn.Conv2d(3, 8, 5)])(np.zeros((2, *shape)))
