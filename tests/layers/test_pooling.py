from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from colonnade.errors import ArgumentError, ShapeError
from colonnade.layers.adaptive import AdaptiveAvgPool2d, AdaptiveMaxPool2d
from colonnade.layers.base import Layer
from colonnade.layers.pooling import AvgPool2d, MaxPool2d
from colonnade.ops.adaptive import regular_window
from colonnade.ops.window import Window
from tests.layers.passes import laid, passes

Array = np.ndarray[Any, Any]


def images(n: int, c: int, h: int, w: int, dtype: Any = np.float64) -> Array:
    """As after a ReLU: about half are zeros, so that many windows have ties."""
    return laid(np.maximum(np.random.default_rng(0).normal(size=(n, c, h, w)), 0).astype(dtype))


def torch_agrees(layer: Layer, x: Array) -> None:
    """The same layer of PyTorch, built from the same arguments, computes the same."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    twin = getattr(torch.nn, type(layer).__name__)(**layer.config())
    their_x = torch.tensor(x, requires_grad=True)
    their_y = twin(their_x)
    grad_y = np.random.default_rng(1).normal(size=tuple(their_y.shape)).astype(x.dtype)
    their_y.backward(torch.tensor(grad_y))
    y, grad_x = passes(layer, x, grad_y)
    tolerance = 1e-12 if x.dtype == np.float64 else 1e-5
    np.testing.assert_allclose(y, their_y.detach().numpy(), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(grad_x, their_x.grad.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(("kernel", "padding"), [(2, 0), (2, 1), (3, 1), ((3, 2), (0, 1)), (5, 2)])
def test_max_pool_agrees_with_torch(kernel: Any, padding: Any, ceil_mode: bool) -> None:
    for stride, dilation, size in itertools.product([None, 1, (2, 3)], [1, 2], [(9, 11), (10, 10)]):
        torch_agrees(MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil_mode), images(2, 3, *size))


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(("kernel", "padding"), [(2, 0), (2, 1), (3, 1), ((3, 2), (0, 1)), (5, 2)])
def test_average_pool_agrees_with_torch(kernel: Any, padding: Any, ceil_mode: bool) -> None:
    for stride, (counted, divisor), size in itertools.product(
        [None, 1, (2, 3)], [(True, None), (False, None), (True, 3)], [(9, 11), (10, 10)]
    ):
        torch_agrees(AvgPool2d(kernel, stride, padding, ceil_mode, counted, divisor), images(2, 3, *size))


@pytest.mark.parametrize("output_size", [1, 3, (2, 5), (None, 1), (4, None), (9, 8)])
def test_adaptive_pool_agrees_with_torch(output_size: Any) -> None:
    torch_agrees(AdaptiveAvgPool2d(output_size), images(2, 3, 7, 5))


@pytest.mark.parametrize("output_size", [1, 2, 3, (2, 5), (None, 1), (4, None), (9, 8)])
@pytest.mark.parametrize("size", [(7, 5), (6, 8), (13, 13)])
def test_adaptive_max_pool_agrees_with_torch(output_size: Any, size: tuple[int, int]) -> None:
    torch_agrees(AdaptiveMaxPool2d(output_size), images(2, 3, *size))


@pytest.mark.parametrize(
    ("size", "outputs", "kernel", "stride"),
    [((7, 5), (1, 1), (7, 5), (7, 5)), ((14, 6), (7, 3), (2, 2), (2, 2)), ((13, 13), (6, 6), (3, 3), (2, 2))],
)
def test_adaptive_windows_that_are_regular_are_seen_to_be(size: Any, outputs: Any, kernel: Any, stride: Any) -> None:
    assert regular_window(size, outputs) == Window(kernel, stride)
    assert regular_window((7, 5), (3, 3)) is None
    assert regular_window((3, 3), (6, 6)) is None


def test_a_window_of_more_positions_than_a_byte_counts_has_its_maximum_found() -> None:
    torch_agrees(MaxPool2d(17), images(2, 3, 17, 17))
    torch_agrees(MaxPool2d(17, 1), images(1, 2, 18, 19))


@pytest.mark.parametrize("arguments", [{}, {"divisor_override": 3}, {"ceil_mode": True}])
def test_an_average_of_the_whole_image_agrees_with_torch(arguments: dict[str, Any]) -> None:
    for channels in (3, 40):
        torch_agrees(AvgPool2d((6, 5), **arguments), images(2, channels, 6, 5))


@pytest.mark.parametrize("channels", [3, 20])
@pytest.mark.parametrize(
    "layer",
    [MaxPool2d(2), MaxPool2d(3, 2, 1), AvgPool2d(2), AvgPool2d(3, 2, 1, count_include_pad=False), AdaptiveAvgPool2d(3)],
    ids=repr,
)
def test_pools_work_in_float32(layer: Layer, channels: int) -> None:
    torch_agrees(layer, images(2, channels, 8, 8, np.float32))


def test_max_pool_lets_nan_through_as_torch_does() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = images(2, 3, 6, 6, np.float32)
    x[0, 1, 2, 3] = x[1, 2, 5, 5] = np.nan
    for layer in (MaxPool2d(2), MaxPool2d(3, 1, 1)):
        y, _ = passes(layer, x)
        np.testing.assert_array_equal(y, torch.nn.MaxPool2d(**layer.config())(torch.tensor(x)).numpy())


def test_ceil_mode_adds_the_window_that_hangs_over_only_if_it_starts_inside() -> None:
    rng = np.random.default_rng(0)
    assert MaxPool2d(2, ceil_mode=False).build((1, 5, 5), rng) == (1, 2, 2)
    assert MaxPool2d(2, ceil_mode=True).build((1, 5, 5), rng) == (1, 3, 3)
    # The fourth window would start at row 6 of a padded image whose last real row is 5.
    assert MaxPool2d(2, 2, 1, ceil_mode=True).build((1, 5, 5), rng) == (1, 3, 3)


def test_average_pool_of_a_constant_is_that_constant() -> None:
    for layer in (AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), AvgPool2d(4), AdaptiveAvgPool2d(3)):
        y, _ = passes(layer, laid(np.full((2, 3, 8, 8), 5.0)))
        np.testing.assert_allclose(y, 5.0, rtol=1e-14)


@pytest.mark.parametrize("layer", [MaxPool2d((3, 2), 2, 1), AvgPool2d(3, 2), AdaptiveAvgPool2d((None, 2))], ids=repr)
def test_a_pool_is_made_again_from_its_configuration(layer: Layer) -> None:
    assert repr(type(layer)(**layer.config())) == repr(layer)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaxPool2d(0), "MaxPool2d: kernel_size must be positive, got 0"),
        (lambda: MaxPool2d(2, 0), "MaxPool2d: stride must be positive, got 0"),
        (lambda: MaxPool2d(2, dilation=0), "MaxPool2d: dilation must be positive, got 0"),
        (lambda: MaxPool2d(2, padding=-1), "MaxPool2d: padding must be zero or more, got -1"),
        (lambda: MaxPool2d(2, padding=2), r"MaxPool2d: padding must be at most half the window of 2×2, got 2"),
        (
            lambda: MaxPool2d(2, padding=(2, 0)),
            r"MaxPool2d: padding must be at most half the window of 2×2, got \(2, 0\)",
        ),
        (
            lambda: MaxPool2d(2, padding=(0, 2)),
            r"MaxPool2d: padding must be at most half the window of 2×2, got \(0, 2\)",
        ),
        (lambda: AvgPool2d((4, 2), padding=(2, 2)), r"AvgPool2d: padding must be at most half the window of 4×2"),
        (lambda: AvgPool2d(2, divisor_override=0), "AvgPool2d: divisor_override must not be zero, got 0"),
        (lambda: AdaptiveAvgPool2d(0), "AdaptiveAvgPool2d: output_size must be positive, got 0"),
        (
            lambda: AdaptiveAvgPool2d(1.5),
            "output_size must be a whole number or a pair of them, got 1.5",
        ),  # type: ignore[arg-type]
        (
            lambda: AdaptiveAvgPool2d(None),
            "output_size must be a whole number or a pair of them, got None",
        ),  # type: ignore[arg-type]
        (lambda: AdaptiveAvgPool2d((1, 2, 3)), r"AdaptiveAvgPool2d: output_size must be .*, got \(1, 2, 3\)"),  # type: ignore[arg-type]
    ],
)
def test_arguments_out_of_range_get_one_line(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (MaxPool2d(4), (3, 3, 8), r"MaxPool2d: a window spans 4×4, more than the padded input of 3×8"),
        (MaxPool2d(2, dilation=4), (3, 4, 8), r"MaxPool2d: a window spans 5×5, more than .* 4×8"),
        (AvgPool2d(4, padding=1), (3, 8, 1), r"AvgPool2d: a window spans 4×4, more than the padded input of 10×3"),
        (MaxPool2d(2), (10,), r"MaxPool2d: expected images \(c, h, w\), got an input of shape \(10,\)"),
        (AdaptiveAvgPool2d(1), (10,), r"AdaptiveAvgPool2d: expected images \(c, h, w\)"),
    ],
)
def test_images_that_do_not_fit_get_one_line(layer: Layer, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        layer.build(shape, np.random.default_rng(0))
