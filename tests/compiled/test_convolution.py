"""Convolutions by tiles and by Winograd's patches against the paper's matrix product in float64."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from colonnade.ops.window import Window

pytest.importorskip("numba")

from colonnade.compiled import convolution, direct, patches, scattering
from colonnade.compiled.depthwise import Depthwise
from colonnade.compiled.direct import Walk, pad, windows_times_gradient, windows_times_kernel
from colonnade.compiled.patches import Winograd
from colonnade.compiled.registers import largest_rows
from colonnade.compiled.scattering import Scattered
from colonnade.compiled.ways import Call
from colonnade.compiled.windows import Direct

pytestmark = pytest.mark.thorough

TOLERANCE = 1e-5  # of the largest number


def done(calls: Iterator[Call]) -> Any:
    """Call what `calls` yields; what it returns."""
    while True:
        try:
            function, arguments = next(calls)
        except StopIteration as end:
            return end.value
        function(*arguments)


def columns(x: np.ndarray, window: Window) -> np.ndarray:
    """(n, h_out, w_out, k_h, k_w, c): the paper's windows, of images (n, h, w, c)."""
    top, bottom, left, right = window.padding
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, window.extent, axis=(1, 2))
    seen = seen[:, :: window.stride[0], :: window.stride[1], :, :: window.dilation[0], :: window.dilation[1]]
    return seen.transpose(0, 1, 2, 4, 5, 3)


class Case:
    """One convolution with its three results in float64, of images (n, h, w, c) and kernels (c_out, k_h, k_w, c/g)."""

    def __init__(self, window: Window, images: tuple[int, int, int, int], outputs: int, groups: int = 1) -> None:
        rng = np.random.default_rng(0)
        n, height, width, channels = images
        size = window.output_size((height, width))
        self.window, self.groups = window, groups
        self.x = rng.standard_normal(images)
        self.kernel = rng.standard_normal((outputs, *window.kernel, channels // groups))
        self.bias = rng.standard_normal(outputs)
        self.grad = rng.standard_normal((n, *size, outputs))
        seen = columns(self.x, window)
        by_group = seen.reshape(*seen.shape[:5], groups, -1)
        kernels = self.kernel.reshape(groups, -1, *self.kernel.shape[1:])
        grads = self.grad.reshape(*self.grad.shape[:3], groups, -1)
        self.y = np.einsum("nijstgc,gostc->nijgo", by_group, kernels).reshape(self.grad.shape) + self.bias
        self.grad_kernel = np.einsum("nijstgc,nijgo->gstco", by_group, grads)
        spread = np.einsum("nijgo,gostc->nijstgc", grads, kernels).reshape(seen.shape)
        top, bottom, left, right = window.padding
        padded = np.zeros((n, height + top + bottom, width + left + right, channels))
        for i, j, s, t in itertools.product(*map(range, seen.shape[1:5])):
            row, column = i * window.stride[0] + s * window.dilation[0], j * window.stride[1] + t * window.dilation[1]
            padded[:, row, column] += spread[:, i, j, s, t]
        self.grad_x = padded[:, top : top + height, left : left + width]

    def check(self) -> None:
        window, groups = self.window, self.groups
        x, kernel, bias, grad = (
            np.ascontiguousarray(each, np.float32) for each in (self.x, self.kernel, self.bias, self.grad)
        )
        read, written = x.shape[1:], grad.shape[1:]
        by_group = kernel.reshape(groups, -1, *kernel.shape[1:])

        forward = convolution.product(window, read, written, groups, True)
        y = np.full(grad.shape, np.nan, np.float32)
        packed = forward.pack(np.ascontiguousarray(np.moveaxis(by_group, 1, -1)), bias)
        done(forward.calls(x, packed, y, self.work(forward.room(len(x)))))
        close(y, self.y)

        back = convolution.product(window, written, read, groups, False)
        grad_x = np.full(x.shape, np.nan, np.float32)
        turned = np.ascontiguousarray(by_group.transpose(0, 2, 3, 1, 4))
        done(back.calls(grad, back.pack(turned, None), grad_x, self.work(back.room(len(x)))))
        close(grad_x, self.grad_x)

        weight = convolution.kernel_gradient(window, read, written, groups)
        close(done(weight.calls(x, grad, self.work(weight.room(len(x))))), self.grad_kernel)

    @staticmethod
    def work(size: int) -> np.ndarray:
        """Scratch memory that holds what was there before."""
        return np.full(size, np.nan, np.float32)


def close(got: np.ndarray, expected: np.ndarray) -> None:
    scale = max(np.abs(expected).max(initial=0.0), 1e-30)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max(initial=0.0) <= TOLERANCE * scale


@pytest.mark.parametrize("width", [*range(1, 18), 28, 31, 40])
def test_every_width_is_covered(width: int) -> None:
    Case(Window((3, 3), (1, 1), (1, 1, 1, 1)), (2, 3, width, 5), 7).check()


@pytest.mark.parametrize("channels", [1, 2, 3, 15, 16, 17, 31, 32, 33, 47, 48, 64, 70])
def test_every_number_of_channels_is_covered(channels: int) -> None:
    Case(Window((3, 3), (1, 1), (1, 1, 1, 1)), (2, 4, 6, channels), channels).check()
    Case(Window((1, 1)), (2, 4, 5, channels), 256 // (1 + channels) + 1).check()


@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 1), (4, 5)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1), (1, 3)])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 5), (4, 1)])
def test_strides_dilations_and_paddings(
    stride: tuple[int, int], dilation: tuple[int, int], kernel: tuple[int, int]
) -> None:
    for padding in ((0, 0, 0, 0), (1, 1, 2, 2), (0, 1, 3, 0)):
        Case(Window(kernel, stride, padding, dilation), (2, 8, 14, 3), 6).check()


@pytest.mark.parametrize(("channels", "outputs"), [(1, 6), (6, 16), (3, 5), (20, 1)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 3)])
def test_neighbours_of_few_channels_are_computed_together(channels: int, outputs: int, stride: tuple[int, int]) -> None:
    for kernel, padding in (((3, 3), (1, 1, 1, 1)), ((5, 5), (0, 0, 0, 0)), ((2, 4), (0, 1, 2, 0))):
        window = Window(kernel, stride, padding)
        for width in (8, 11, 12, 28):
            Case(window, (2, 6, width, channels), outputs).check()


@pytest.mark.parametrize(("groups", "channels", "outputs"), [(2, 6, 4), (3, 3, 6), (4, 64, 128), (5, 5, 5)])
def test_groups_do_not_see_one_another(groups: int, channels: int, outputs: int) -> None:
    Case(Window((3, 3), (2, 1), (1, 1, 1, 1)), (2, 7, 6, channels), outputs, groups).check()


@pytest.mark.parametrize("channels", [2, 15, 16, 17, 70])
@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
def test_depthwise_channels_stand_alone(channels: int, stride: tuple[int, int]) -> None:
    for width in (1, 4, 13, 29):
        for kernel, dilation in (((3, 3), (1, 1)), ((1, 2), (1, 3))):
            window = Window(kernel, stride, (1, 1, 3, 3), dilation)
            case = Case(window, (2, 5, width, channels), channels, channels)
            assert isinstance(
                convolution.product(window, (5, width, channels), case.grad.shape[1:], channels, True),
                Depthwise,
            )
            case.check()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (5, 4), (13, 9), (16, 16)])
@pytest.mark.parametrize(("channels", "outputs"), [(16, 16), (24, 24), (32, 50), (64, 33), (256, 40)])
def test_winograd_covers_odd_sizes(height: int, width: int, channels: int, outputs: int) -> None:
    for padding in ((1, 1, 1, 1), (2, 2, 0, 1)):
        window = Window((3, 3), (1, 1), padding)
        if min(window.output_size((height, width))) < 1:
            continue
        # Beside the sixteen sums of a patch, SSE has no registers for enough rows.
        assert patches.suits(window, channels, outputs, 1) == (largest_rows(1) >= 4)
        Case(window, (3, height, width, channels), outputs).check()


@pytest.mark.parametrize(
    "images", [(1, 2, 300, 130), (2, 7, 50, 130), (9, 5, 6, 130)], ids=["columns", "rows", "images"]
)
def test_the_kernels_gradient_is_summed_over_boxes_of_positions(images: tuple[int, int, int, int]) -> None:
    assert math.prod(images[:3]) > 2 * direct.LEAST_POSITIONS
    for outputs, groups in ((140, 1), (130, 130), (26, 2)):
        Case(Window((2, 2), (1, 1), (1, 0, 0, 1)), images, outputs, groups).check()
    Case(Window((1, 1)), images, 140).check()


@pytest.mark.parametrize(
    ("kernel", "dilation"), [((7, 7), (1, 1)), ((1, 33), (1, 1)), ((40, 1), (1, 1)), ((5, 5), (2, 3))]
)
def test_large_depthwise_kernels_take_several_tiles(kernel: tuple[int, int], dilation: tuple[int, int]) -> None:
    Case(Window(kernel, (1, 1), (8, 8, 8, 8), dilation), (2, 30, 31, 17), 17, 17).check()


def test_winograd_in_many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "SUMMED", 5)
    Case(Window((3, 3), (1, 1), (1, 1, 1, 1)), (4, 9, 11, 32), 40).check()


def test_winograd_is_as_exact_as_the_direct_way() -> None:
    """Its sums are shorter: sixteen products rather than one of 9 · c terms."""
    window = Window((3, 3), (1, 1), (1, 1, 1, 1))
    case = Case(window, (4, 16, 16, 128), 128)
    x, kernel = case.x.astype(np.float32), case.kernel.astype(np.float32)
    errors = []
    for way in (
        Winograd(window, (16, 16, 128), (16, 16, 128), True),
        Direct(window, (16, 16, 128), (16, 16, 128), 1, True),
    ):
        y = np.empty(case.y.shape, np.float32)
        packed = way.pack(np.ascontiguousarray(np.moveaxis(kernel, 0, -1))[None], case.bias)
        done(way.calls(x, packed, y, Case.work(way.room(4))))
        errors.append(np.abs(y - case.y).max() / np.abs(case.y).max())
    assert errors[0] < 2 * errors[1] < 1e-5


@pytest.mark.parametrize(("channels", "outputs"), [(3, 5), (3, 40), (32, 32)])
def test_nan_reaches_the_outputs_that_see_it_and_at_most_their_neighbours(channels: int, outputs: int) -> None:
    # Neighbours that are computed together, and those of one patch, are multiplied by zeros, or added and taken away.
    window = Window((3, 3), (1, 1), (1, 1, 1, 1))
    x = np.zeros((2, 12, 12, channels), np.float32)
    x[0, 5, 1, 1] = np.nan
    way = convolution.product(window, (12, 12, channels), (12, 12, outputs), 1, True)
    y = np.empty((2, 12, 12, outputs), np.float32)
    kernel = np.ones((1, 3, 3, channels, outputs), np.float32)
    done(way.calls(x, way.pack(kernel, None), y, Case.work(way.room(2))))
    together = getattr(way, "together", 2)
    assert np.isnan(y[0, 4:7, 0:3]).all()
    assert np.isfinite(y[0, :3]).all()
    assert np.isfinite(y[0, 8:]).all()
    assert np.isfinite(y[0, :, 3 + together :]).all()
    assert np.isfinite(y[1]).all()


def test_the_same_bits_for_images_together_and_one_by_one() -> None:
    for channels, outputs in ((5, 9), (32, 48)):
        window = Window((3, 3), (1, 1), (1, 1, 1, 1))
        rng = np.random.default_rng(0)
        x = rng.standard_normal((7, 9, 11, channels)).astype(np.float32)
        way = convolution.product(window, x.shape[1:], (9, 11, outputs), 1, True)
        packed = way.pack(rng.standard_normal((1, 3, 3, channels, outputs)).astype(np.float32), None)
        y = np.empty((7, 9, 11, outputs), np.float32)
        done(way.calls(x, packed, y, Case.work(way.room(7))))
        for image in range(7):
            one = np.empty((1, 9, 11, outputs), np.float32)
            done(way.calls(x[image : image + 1], packed, one, Case.work(way.room(1))))
            np.testing.assert_array_equal(one[0], y[image])


@pytest.mark.parametrize(("outputs", "groups"), [(20, 1), (17, 17)])
def test_images_get_their_border_some_at_a_time(outputs: int, groups: int) -> None:
    case = Case(Window((3, 3), (2, 2), (1, 1, 1, 1)), (7, 40, 40, 17), outputs, groups)
    way = Direct(case.window, (40, 40, 17), (20, 20, outputs), groups, True)
    assert way.at_once(7) == 2
    case.check()


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "channels", "width"),
    [
        ((5, 5), (1, 1), (0, 0, 0, 0), 6, 16),
        ((3, 3), (1, 1), (1, 1, 1, 1), 3, 25),
        ((4, 4), (2, 2), (1, 1, 1, 1), 3, 17),
        ((7, 7), (3, 2), (3, 0, 4, 2), 1, 23),
        ((3, 6), (2, 1), (0, 0, 7, 3), 7, 20),
    ],
)
def test_windows_are_added_where_few_channels_are_written(
    kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int, int, int], channels: int, width: int
) -> None:
    for outputs in (1, 18):
        case = Case(Window(kernel, stride, padding), (3, 9, width, channels), outputs)
        way = convolution.product(case.window, case.grad.shape[1:], case.x.shape[1:], 1, False)
        assert isinstance(way, Scattered) or largest_rows(1) < 12
        case.check()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": (1, 2, 6, 2)}, "tile must fit"),
        ({"kernel": (3, 1, 3, 16)}, "images, kernel and bias must fit"),
        ({"kernel": (3, 1, 2, 32)}, "packed for the tile"),
        ({"bias": (19,)}, "images, kernel and bias must fit"),
        ({"lines": (3, 100)}, "must hold a row"),
        ({"lines": (4, 35)}, "must hold a row"),
        ({"run": 17}, "packed for the tile"),
        ({"run": 9}, "must not meet"),
        ({"across": 0}, "tile must fit"),
        ({"top": -1}, "tile must fit"),
        ({"left": 50}, "must hold a row"),
    ],
)
def test_windows_that_would_leave_their_arrays_are_not_added(changes: dict[str, Any], message: str) -> None:
    arguments = {
        "x": (1, 2, 8, 2), "kernel": (3, 1, 2, 16), "bias": (20,), "y": (1, 4, 10, 2), "lines": (4, 36),
        "run": 6, "down": 1, "across": 1, "top": 0, "left": 0, "a": np.float32(0), "b": np.float32(0),
    }  # fmt: skip

    def call(**changed: Any) -> None:
        made = (arguments | changed).values()
        scattering.scattered(4, 1, 0)(*(np.zeros(v, np.float32) if isinstance(v, tuple) else v for v in made))

    call()
    with pytest.raises(ValueError, match=message):
        call(**changes)


def walk(**changes: int) -> Walk:
    return Walk(1, 1, 8, 0, 0, 0, 2, 0, 0, 0, 0, 16, 0)._replace(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_column": 3}, "inside what it reads"),
        ({"x_start": -1}, "inside what it reads"),
        ({"y_column": 17}, "inside what it writes"),
        ({"images": 2, "y_image": 128}, "inside what it writes"),
        ({"height": 0}, "must have positions"),
        ({"width": 7}, "tile"),
    ],
)
def test_a_walk_that_leaves_its_arrays_is_refused(changes: dict[str, int], message: str) -> None:
    times = windows_times_kernel(8, 1, 0)
    x, kernel, bias = np.zeros(16, np.float32), np.zeros((1, 1, 1, 2, 16), np.float32), np.zeros((1, 1, 16), np.float32)
    y, zero = np.zeros(128, np.float32), np.float32(0)
    offsets = np.zeros(1, np.int64)
    times(x, kernel, bias, y, offsets, 2, 16, walk(), zero, zero)
    with pytest.raises(ValueError, match=message):
        times(x, kernel, bias, y, offsets, 2, 16, walk(**changes), zero, zero)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"walk": walk(x_column=3)}, "inside what it reads"),
        ({"walk": walk(y_column=17)}, "inside what it writes"),
        ({"offsets": np.zeros(1, np.int64)}, "as many and as long"),
        ({"offsets": np.array([0, 2, 3])}, "lie evenly"),
        ({"step": 0}, "follow one another"),
        ({"sums": np.zeros(95, np.float32)}, "hold all tiles"),
        ({"sums": np.zeros(0, np.float32), "ends": False}, "hold all tiles"),
    ],
)
def test_a_gradient_that_would_leave_its_arrays_is_refused(changes: dict[str, Any], message: str) -> None:
    times = windows_times_gradient(3, 2, 1, False)
    arguments = {
        "x": np.zeros(20, np.float32), "grad": np.zeros(128, np.float32), "kernel": np.empty((1, 3, 2, 16), np.float32),
        "sums": np.zeros(96, np.float32), "offsets": np.array([0, 2, 4]), "step": 1, "walk": walk(),
        "begins": True, "ends": True,
    }  # fmt: skip
    times(*arguments.values())
    with pytest.raises(ValueError, match=message):
        times(*(arguments | changes).values())


def test_pad_refuses_images_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="must fit"):
        pad(np.zeros((1, 3, 3, 2), np.float32), np.zeros((1, 4, 4, 2), np.float32), 2, 0)
