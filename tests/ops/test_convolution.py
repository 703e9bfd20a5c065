"""Convolution against the naive loops of the paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.ops import convolution, depthwise, products
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


DEPTHWISE: list[dict[str, Any]] = [
    {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "groups": 3}
    for kernel in (1, 2, 3, (3, 2), 5)
    for stride in (1, 2, (2, 3), 4)
    for padding in (0, 1, (0, 2), 5)
    for dilation in (1, 2, (1, 3))
]
DEPTHWISE_SIZE = (7, 8)


def fits(settings: dict[str, Any]) -> bool:
    kernel, padding, dilation = (reference.pair(settings[name]) for name in ("kernel", "padding", "dilation"))
    return all(dilation[i] * (kernel[i] - 1) < DEPTHWISE_SIZE[i] + 2 * padding[i] for i in (0, 1))


@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_convolution_and_its_gradients_are_the_papers_sums(multiplier: int) -> None:
    for settings in filter(fits, DEPTHWISE):
        passes(settings, (2, 3, *DEPTHWISE_SIZE), 3 * multiplier)


@pytest.mark.parametrize(("channels", "width"), [(1, 12), (40, 12), (130, 12), (130, 11), (800, 6), (1600, 5)])
def test_depthwise_runs_of_any_length_give_the_same(channels: int, width: int) -> None:
    for run in (1, 100, 768, 10**6):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(depthwise, "RUN", run)
            layer = cn.Conv2d(2 * channels, 2 * channels, 3, 2, 1, groups=2 * channels)
            assert layer.depthwise is not None
            model = cn.Model([layer], dtype="float64")
            x = np.random.default_rng(0).normal(size=(1, 2 * channels, 4, width))
            y = model(x, training=True)
            found = (y, model.backward(y), layer.weight.grad)
            if run == 1:
                first = found
            for ours, theirs in zip(found, first, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_many_outputs_of_each_channel_are_products() -> None:
    assert cn.Conv2d(4, 32, 3, groups=4).depthwise is not None
    assert cn.Conv2d(4, 36, 3, groups=4).depthwise is None
    assert cn.Conv2d(1, 8, 3).depthwise is None
    settings = {"kernel": 3, "stride": 1, "padding": 1, "dilation": 1, "groups": 2}
    passes(settings, (2, 2, 6, 7), 18)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1])
def test_merged_groups_give_the_papers_sums(stride: int, padding: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def merging(merged: int) -> Any:
        def choose(window: Any, size: Any, channels_in: int, channels_out: int, groups: int) -> products.Product:
            return products.Product(window, 1, window, groups // merged, merged)

        return choose

    for merged in (1, 2, 3, 6):
        for module in ("layers.convolution", "ops.products"):
            monkeypatch.setattr(f"colonnade.{module}.product", merging(merged))
        settings = {"kernel": (3, 2), "stride": stride, "padding": padding, "dilation": 1, "groups": 6}
        passes(settings, (2, 12, 6, 7), 18)
        passes({**settings, "kernel": 1}, (2, 12, 6, 7), 18)


# Neighbours are never computed together where windows have gaps.
@pytest.mark.parametrize(("dilation", "together"), [(1, 1), (1, 2), (1, 3), (1, 6), (2, 1), (3, 1)])
@pytest.mark.parametrize("stride", [1, 2, 3, (1, 4)])
def test_gradients_that_are_scattered_give_the_papers_sums(
    stride: Any, dilation: int, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose(forward: products.Product, *_: Any) -> products.Product:
        return products.neighbours(forward._replace(scattered=True), together)

    across = stride[1] if isinstance(stride, tuple) else stride
    monkeypatch.setattr("colonnade.layers.convolution.backward_product", choose)
    for padding in (0, 1):
        settings = {"kernel": 4, "stride": stride, "padding": padding, "dilation": dilation, "groups": 1}
        width = 5 * across + dilation * 3 + 1 - 2 * padding  # six windows in a row
        passes(settings, (3, 2, 11, width), 3)
        passes({**settings, "groups": 2}, (3, 4, 11, width), 6)


@pytest.mark.parametrize("stride", range(1, 9))
@pytest.mark.parametrize("dilation", range(1, 9))
def test_values_apart_never_meet(stride: int, dilation: int) -> None:
    apart = convolution.values_apart(stride, dilation)
    positions = [window * stride + value * dilation for window in range(40) for value in range(apart)]
    assert len(set(positions)) == len(positions)
    longer = [window * stride + value * dilation for window in range(40) for value in range(apart + 1)]
    assert len(set(longer)) < len(longer)


def test_few_channels_are_scattered_and_many_are_not() -> None:
    def scattered(channels_in: int, channels_out: int, kernel: int, size: tuple[int, int], padding: int) -> bool:
        window = cn.Conv2d(channels_in, channels_out, kernel, padding=padding).window
        forward = products.product(window, size, channels_in, channels_out, 1)
        return products.backward_product(forward, size, channels_in, channels_out).scattered

    assert scattered(6, 16, 5, (14, 14), 0)
    assert not scattered(64, 64, 3, (16, 16), 1)
    assert not scattered(256, 512, 1, (16, 16), 0)


def test_each_row_of_a_column_matrix_begins_with_a_vector() -> None:
    window = cn.Conv2d(3, 8, 3, padding=1).window
    size = convolution.columns_size(window, (2, 3, 8, 8), 1)
    padded = np.zeros((1, 2, 10, 10, 3), np.float32)
    inner = window._replace(padding=(0, 0, 0, 0))
    (tile,) = convolution.tiles(padded, inner, np.zeros(size, np.float32))
    assert tile.matrix.shape == (1, 128, 27)
    assert tile.matrix.strides[1] % 64 == 0
    tile.columns[...] = np.arange(tile.columns.size).reshape(tile.columns.shape)
    np.testing.assert_array_equal(tile.matrix.ravel(), np.arange(128 * 27))  # both are views of the same memory


def test_narrow_groups_are_merged_and_wide_ones_are_not() -> None:
    window = cn.Conv2d(4, 4, 3, padding=1).window
    assert products.product(window, (28, 28), 128, 128, 32).merged > 1
    assert products.product(window, (28, 28), 1024, 1024, 32).merged == 1


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
