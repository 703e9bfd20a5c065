"""Convolution against the naive loops of the paper."""

from __future__ import annotations

import functools
import itertools
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.ops import columns, depthwise
from colonnade.ops.convolution import (
    conv2d_backward_bias,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_columns,
    conv2d_forward,
)
from colonnade.ops.layout import Array
from colonnade.ops.window import Window
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


def laid_channels_last(array: Array) -> Array:
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("lay", [np.ascontiguousarray, laid_channels_last], ids=["plainly", "channels last"])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("outputs", [4, 8])
@pytest.mark.parametrize("stride", [1, 2])
def test_each_function_takes_plain_arrays_in_one_line(
    lay: Callable[[Array], Array], groups: int, outputs: int, stride: int
) -> None:
    rng = np.random.default_rng(0)
    x = lay(rng.normal(size=(3, 4, 7, 8)))
    weight, bias = lay(rng.normal(size=(outputs, 4 // groups, 3, 2))), rng.normal(size=outputs)
    window = Window((3, 2), (stride, stride), (1, 1, 2, 2))
    options: dict[str, Any] = {"stride": stride, "padding": (1, 2), "dilation": 1, "groups": groups}
    y = conv2d_forward(x, weight, bias, window)
    np.testing.assert_allclose(y, reference.conv2d(x, weight, bias, **options), rtol=1e-12, atol=1e-12)
    grad_y = lay(rng.normal(size=y.shape))
    grad_x, grad_weight, grad_bias = reference.conv2d_backward(x, weight, grad_y, **options)
    same: Any = functools.partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-12)
    same(conv2d_backward_input(grad_y, weight, window, size=(7, 8), groups=groups), grad_x)
    same(conv2d_backward_weight(x, grad_y, window, groups=groups), grad_weight)
    same(conv2d_backward_bias(grad_y), grad_bias)
    # Into arrays that hold anything, in any order, with too little scratch.
    enough = conv2d_columns(window, x.shape, outputs, groups, backward=True)
    for space in (None, np.empty(7), np.empty(enough)):
        same(conv2d_forward(x, weight, bias, window, np.full(y.shape, np.nan), space), y)
        same(conv2d_backward_input(grad_y, weight, window, np.full(x.shape, np.nan), space), grad_x)
        same(conv2d_backward_weight(x, grad_y, window, np.full(weight.shape, np.nan), space), grad_weight)


def test_the_smallest_images_are_meant_where_no_size_is_given() -> None:
    window = Window((3, 3), (2, 2), (1, 1, 0, 0))
    grad_y, weight = np.ones((1, 2, 3, 4)), np.ones((2, 5, 3, 3))
    assert conv2d_backward_input(grad_y, weight, window).shape == (1, 5, 5, 9)
    assert window.output_size((5, 9)) == (3, 4)


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("outputs", [8, 16])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_scratch_is_enough(groups: int, outputs: int, stride: int) -> None:
    """Nothing of a block's size is made beside the scratch that `conv2d_columns` asks for."""
    window = Window((3, 3), (stride, stride), (1, 1, 1, 1))
    x = laid_channels_last(np.ones((64, 8, 30, 30)))
    weight = np.ones((outputs, 8 // groups, 3, 3))
    y, grad_weight = conv2d_forward(x, weight, None, window), np.empty_like(weight)
    forward, backward = (
        np.empty(conv2d_columns(window, x.shape, outputs, groups, backward=back)) for back in (False, True)
    )
    calls = {
        "forward": lambda: conv2d_forward(x, weight, None, window, y, forward),
        "input": lambda: conv2d_backward_input(y, weight, window, x, backward),
        "weight": lambda: conv2d_backward_weight(x, y, window, grad_weight, backward),
    }
    for name, call in calls.items():
        call()  # what is cached is made
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 250_000 < x.nbytes / 10, name  # NumPy itself may buffer 8192 numbers of each operand


def test_many_outputs_of_each_channel_are_products() -> None:
    settings = {"kernel": 3, "stride": 1, "padding": 1, "dilation": 1, "groups": 2}
    passes(settings, (2, 2, 6, 7), 18)


@pytest.mark.parametrize("stride", [1, 2, 3, (1, 4)])
def test_gradients_that_are_scattered_give_the_papers_sums(stride: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Window, "turned", lambda *_: None)
    across = stride[1] if isinstance(stride, tuple) else stride
    for dilation, padding in itertools.product((1, 2, 3), (0, 1)):
        settings = {"kernel": 4, "stride": stride, "padding": padding, "dilation": dilation, "groups": 1}
        width = 5 * across + dilation * 3 + 1 - 2 * padding  # six windows in a row
        for groups in (1, 2, 4):
            passes({**settings, "groups": groups}, (3, 4, 11, width), 8 if groups < 4 else 4)


def test_the_column_matrix_is_the_papers() -> None:
    rng = np.random.default_rng(0)
    for channels in (1, 3, 4, 9):
        x = laid_channels_last(rng.normal(size=(2, channels, 6, 5)))
        ((matrix, images, rows),) = columns.column_matrices(x, Window((3, 2)), (4, 4))
        assert matrix.shape == (2 * 4 * 4, 3 * 2 * channels)
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 2), axis=(2, 3)).transpose(0, 2, 3, 1, 4, 5)
        papers = windows.reshape(2 * 4 * 4, channels * 3 * 2)
        reordered = papers.reshape(-1, channels, 3 * 2).transpose(0, 2, 1).reshape(matrix.shape)
        np.testing.assert_array_equal(matrix, reordered)
        assert (x[images].shape[0], rows.start) == (2, 0)


def test_parts_of_a_product_divide_its_rows_and_are_small() -> None:
    for rows, numbers in itertools.product((1, 7, 196, 1024, 25088), (1, 27, 2304, 36864, 589824)):
        part = columns.part_rows(rows, numbers)
        assert rows % part == 0
        assert part == rows or (part * numbers <= columns.SMALL and part >= columns.FEW_ROWS)


@pytest.mark.parametrize("numbers", [1, 200, 5000])
def test_blocks_of_any_size_give_the_same(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (columns, depthwise):
        monkeypatch.setattr(module, "BLOCK_NUMBERS", numbers)
    monkeypatch.setattr(columns, "BLOCK_ROWS", 1)
    for settings in GRID[::7]:
        passes(settings, (3, 4, 7, 8), 6)
    for settings in filter(fits, DEPTHWISE[::11]):
        passes(settings, (3, 3, *DEPTHWISE_SIZE), 3)


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
        (
            {"padding_mode": "mirror"},
            "Conv2d: padding_mode must be one of zeros, reflect, replicate, circular, got 'mirror'",
        ),
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
