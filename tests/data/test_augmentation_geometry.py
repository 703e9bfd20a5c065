"""Crops, flips, rotations and affine maps against index sets, naive loops, NumPy, Pillow and PyTorch."""

import itertools
import math

import numpy as np
import pytest

from colonnade.data.augmentation import (
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomVerticalFlip,
)
from colonnade.data.augmentation.geometry import inverse_affine
from colonnade.data.augmentation.rectangles import draw_sizes, inside
from colonnade.data.augmentation.sampling import linear_taps, nearest_taps, resize, sample
from colonnade.data.draws import Draws

LABELS = np.zeros(0, np.int64)


def images(n=4, channels=3, height=7, width=9, dtype=np.float64):
    """Images (n, c, h, w) no two numbers of which are alike."""
    numbers = np.random.default_rng(3).permutation(n * channels * height * width) + 1
    return (numbers / (numbers.size + 1)).astype(dtype).reshape(n, height, width, channels).transpose(0, 3, 1, 2)


def applied(augment, x, seed=0):
    return augment(x, LABELS, Draws(seed, 0, np.arange(len(x))))[0]


@pytest.mark.parametrize(
    ("flip", "flipped"), [(RandomHorizontalFlip, np.s_[..., ::-1]), (RandomVerticalFlip, np.s_[..., ::-1, :])]
)
def test_flips_reverse_columns_or_rows_with_probability_p(flip, flipped):
    x = images(1000, height=3, width=4)
    y = applied(flip(0.3), x)
    turned = (y == x[flipped]).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(y[~turned], x[~turned])
    assert abs(turned.mean() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 1000)
    np.testing.assert_array_equal(applied(flip(1), x), x[flipped])
    np.testing.assert_array_equal(applied(flip(0), x), x)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
@pytest.mark.parametrize(
    ("padding", "sides"),
    [(2, (2, 2, 2, 2)), ((1, 2), (1, 2, 1, 2)), ((0, 1, 2, 1), (0, 1, 2, 1)), (None, (0, 0, 0, 0))],
)
def test_crop_is_a_window_of_the_padded_image_and_every_window_occurs(padding, sides, mode):
    left, above, right, below = sides
    x = images(600, channels=1, height=4, width=5)
    y = applied(RandomCrop((3, 4), padding=padding, padding_mode=mode), x)
    padded = np.pad(x, ((0, 0), (0, 0), (above, below), (left, right)), mode)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 4), axis=(2, 3))  # (n, 1, tops, lefts, 3, 4)
    equal = (windows == y[:, :, None, None]).all(axis=(1, 4, 5))  # (n, tops, lefts)
    assert equal.any(axis=(1, 2)).all()
    assert (equal.sum(axis=(1, 2)) == 1).any(axis=0)
    assert equal.any(axis=0).all()


def test_crop_pads_with_a_colour():
    x = images(channels=3)
    y = applied(RandomCrop((11, 15), padding=(3, 2), fill=(0, 0.5, 1)), x)
    for channel, value in enumerate((0, 0.5, 1)):
        np.testing.assert_array_equal(y[:, channel, 2:-2, 3:-3], x[:, channel])
        assert (y[:, channel, :2] == value).all()
        assert (y[:, channel, :, -3:] == value).all()


def test_crop_pads_only_what_is_too_small():
    x = images(height=5, width=12)
    y = applied(RandomCrop((8, 12), pad_if_needed=True), x)
    for image, crop in zip(x, y, strict=True):
        assert any((crop[:, top : top + 5] == image).all() and (crop > 0).sum() == image.size for top in range(4))
    assert applied(RandomCrop((5, 6), pad_if_needed=True), x).shape == (4, 3, 5, 6)


WINDOWS = [((2, 1, 4, 5), (7, 9)), ((0, 0, 7, 9), (3, 4)), ((1, 3, 6, 3), (6, 8)), ((3, 2, 1, 1), (2, 2))]


@pytest.mark.parametrize(("window", "size"), WINDOWS)
def test_resized_window_equals_pillow_s(window, size):
    image = pytest.importorskip("PIL.Image")
    top, left, height, width = window
    x = images(1, channels=1, dtype=np.float32)
    y = resize(
        np.ascontiguousarray(x.transpose(0, 2, 3, 1)),
        linear_taps(np.array([top]), np.array([height]), 7, size[0], True),
        linear_taps(np.array([left]), np.array([width]), 9, size[1], True),
    )
    cut = image.fromarray(np.ascontiguousarray(x[0, 0, top : top + height, left : left + width]))
    expected = np.asarray(cut.resize(size[::-1], image.Resampling.BILINEAR))
    np.testing.assert_allclose(y[0, ..., 0], expected, atol=1e-6)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(("window", "size"), WINDOWS)
def test_resized_window_equals_pytorch_s(window, size, antialias):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    top, left, height, width = window
    x = images(3)
    both = np.full((2, 3), [[top], [left]]), np.full((2, 3), [[height], [width]])
    taps = [
        linear_taps(start, length, pixels, outputs, antialias)
        for start, length, pixels, outputs in zip(*both, (7, 9), size, strict=True)
    ]
    cut = torch.tensor(x[:, :, top : top + height, left : left + width].copy())
    expected = torch.nn.functional.interpolate(cut, size, mode="bilinear", antialias=antialias).numpy()
    y = resize(np.ascontiguousarray(x.transpose(0, 2, 3, 1)), *taps).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    nearest = [nearest_taps(*each) for each in zip(*both, size, strict=True)]
    expected = torch.nn.functional.interpolate(cut, size, mode="nearest").numpy()
    y = resize(np.ascontiguousarray(x.transpose(0, 2, 3, 1)), *nearest).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(y, expected)


def test_images_of_one_batch_are_resized_from_windows_of_their_own():
    x = np.ascontiguousarray(images(6).transpose(0, 2, 3, 1))
    tops, heights = np.array([0, 1, 2, 3, 0, 5]), np.array([7, 6, 1, 4, 2, 2])
    lefts, widths = np.array([0, 8, 3, 0, 1, 4]), np.array([9, 1, 5, 2, 8, 3])
    y = resize(x, linear_taps(tops, heights, 7, 5, True), linear_taps(lefts, widths, 9, 6, True))
    for image in range(6):
        one = slice(image, image + 1)
        alone = resize(
            x[one], linear_taps(tops[one], heights[one], 7, 5, True), linear_taps(lefts[one], widths[one], 9, 6, True)
        )
        np.testing.assert_array_equal(y[one], alone)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_resized_crop_of_the_whole_image_is_the_image(interpolation):
    x = images(height=8, width=8)
    whole = RandomResizedCrop(scale=(1, 1), ratio=(1, 1), interpolation=interpolation)
    np.testing.assert_array_equal(applied(whole, x), x)


def test_resized_crop_without_a_window_that_fits_takes_the_largest_in_the_middle():
    x = images(height=6, width=12)
    flat = applied(RandomResizedCrop((2, 12), scale=(1, 1), ratio=(6, 6)), x)
    np.testing.assert_array_equal(flat, x[:, :, 2:4])
    tall = applied(RandomResizedCrop((6, 3), scale=(1, 1), ratio=(0.5, 0.5)), x)
    np.testing.assert_array_equal(tall, x[:, :, :, 4:7])


def test_windows_have_the_areas_and_shapes_asked_for():
    numbers = Draws(0, 0, np.arange(5000))
    height, width, found = draw_sizes(numbers, (300, 400), (0.2, 0.8), (0.5, 2.0))
    area, ratio = height * width / (300 * 400), width / height
    assert found.mean() > 0.99
    assert area[found].min() > 0.195
    assert area[found].max() < 0.805
    assert ratio[found].min() > 0.49
    assert ratio[found].max() < 2.04
    assert height.max() <= 300
    assert width.max() <= 400
    # log width is the mean of log area and log ratio; the latter's mean is 0, E log U(a, 2a) = log 4a − 1.
    _, width, _ = draw_sizes(numbers, (300, 400), (0.01, 0.02), (0.5, 2.0))
    assert abs(np.log(width).mean() - (math.log(4 * 1200) - 1) / 2) < 0.02


def test_inside_is_the_set_of_pixels_within_bounds():
    bounds = np.array([[0, 2, 1, 3], [-3, 2, 4, 9], [1, 1, 0, 5], [4, 9, -9, 9]])
    marked = inside(*bounds.T, (5, 6))
    for (top, bottom, left, right), mask in zip(bounds, marked, strict=True):
        naive = [[top <= row < bottom and left <= column < right for column in range(6)] for row in range(5)]
        np.testing.assert_array_equal(mask, naive)


@pytest.mark.parametrize("side", [6, 7])
@pytest.mark.parametrize("quarters", [1, 2, 3, 4])
def test_rotation_by_right_angles_is_that_of_numpy(quarters, side):
    x = images(height=side, width=side)
    expected = np.rot90(x, quarters, axes=(2, 3))
    angles = (90 * quarters, 90 * quarters)
    np.testing.assert_array_equal(applied(RandomRotation(angles), x), expected)
    np.testing.assert_allclose(applied(RandomRotation(angles, "bilinear"), x), expected, atol=1e-12)
    clockwise = (-90 * quarters, -90 * quarters)
    np.testing.assert_array_equal(applied(RandomAffine(clockwise), x), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_affine_map_without_any_change_is_the_identity(interpolation, dtype):
    x = images(dtype=dtype)
    np.testing.assert_array_equal(applied(RandomAffine(0, interpolation=interpolation), x), x)
    np.testing.assert_array_equal(applied(RandomRotation(0, interpolation), x), x)


def test_translation_moves_by_whole_pixels_and_fills_in():
    x = images(200)
    y = applied(RandomAffine(0, translate=(0.3, 0.5), fill=0.25), x)
    padded = np.pad(x, ((0, 0), (0, 0), (4, 4), (3, 3)), constant_values=0.25)
    seen = set()
    for image, moved in zip(padded, y, strict=True):
        for down, right in itertools.product(range(-4, 5), range(-3, 4)):
            if (image[:, 4 - down : 11 - down, 3 - right : 12 - right] == moved).all():
                seen.add((down, right))
                break
        else:
            pytest.fail("moved by no whole number of pixels")
    # 0.5 · 7 and 0.3 · 9 pixels at most: 3.5 rounds to 4, 2.7 to 3
    assert {abs(down) for down, _ in seen} == {0, 1, 2, 3} | ({4} & {abs(down) for down, _ in seen})
    assert {abs(right) for _, right in seen} == {0, 1, 2, 3}


PARAMETERS = [
    {},
    {"angle": 33.0},
    {"right": 2.0, "down": -3.0},
    {"scale": 0.7},
    {"shear": (20.0, 0.0)},
    {"shear": (0.0, -15.0)},
    {"angle": -70.0, "right": 1.0, "down": 2.0, "scale": 1.3, "shear": (10.0, 25.0)},
    {"angle": 140.0, "scale": 0.5, "shear": (-30.0, 5.0), "center": (1.0, 6.0)},
]


def forward_map(angle=0.0, right=0.0, down=0.0, scale=1.0, shear=(0.0, 0.0), center=(4.5, 3.5)):
    """T · C · R · S · SHy · SHx · C⁻¹ as torchvision documents it, in coordinates with pixel 0 from 0 to 1."""

    def move(x, y):
        return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])

    a, across, along = np.radians([angle, *shear])
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    shear_x = np.array([[1, -np.tan(across), 0], [0, 1, 0], [0, 0, 1]])
    shear_y = np.array([[1, 0, 0], [-np.tan(along), 1, 0], [0, 0, 1]])
    scaled = np.diag([scale, scale, 1])
    return move(right, down) @ move(*center) @ turn @ scaled @ shear_y @ shear_x @ move(-center[0], -center[1])


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_inverse_map_is_the_inverse_of_the_documented_product(parameters):
    to_centres = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # whole numbers are the middles of pixels
    expected = np.linalg.inv(to_centres) @ np.linalg.inv(forward_map(**parameters)) @ to_centres
    made = np.reshape(inverse_affine((7, 9), **parameters), (2, 3))
    np.testing.assert_allclose(made, expected[:2], atol=1e-12)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("parameters", PARAMETERS)
def test_sampling_equals_pytorch_s_grid(parameters, interpolation):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    x = images(2)
    inverse = inverse_affine((7, 9), **parameters)
    y = sample(
        np.ascontiguousarray(x.transpose(0, 2, 3, 1)),
        tuple(np.repeat(each, 2) for each in inverse),
        interpolation,
        np.zeros(3),
    )
    # grid_sample counts from −1 to 1 across the image.
    to_pixels = np.array([[4.5, 0, 4], [0, 3.5, 3], [0, 0, 1]])
    whole = np.vstack([np.reshape(inverse, (2, 3)), [0, 0, 1]])
    theta = (np.linalg.inv(to_pixels) @ whole @ to_pixels)[:2]
    grid = torch.nn.functional.affine_grid(torch.tensor(np.stack([theta] * 2)), x.shape, align_corners=False)
    given = torch.tensor(np.ascontiguousarray(x))
    expected = torch.nn.functional.grid_sample(given, grid, mode=interpolation, align_corners=False).numpy()
    np.testing.assert_allclose(y.transpose(0, 3, 1, 2), expected, atol=1e-12)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_sampling_equals_a_naive_loop(interpolation):
    x = images(3, channels=2, height=5, width=4)
    rng = np.random.default_rng(1)
    inverse = tuple(rng.normal(centre, 0.7, 3) for centre in (1, 0, 0.3, 0, 1, -0.4))
    fill = np.array([0.25, 0.75])
    y = sample(np.ascontiguousarray(x.transpose(0, 2, 3, 1)), inverse, interpolation, fill)
    a, b, c, d, e, f = inverse

    def pixel(n, row, column):
        return x[n, :, row, column] if 0 <= row < 5 and 0 <= column < 4 else fill

    for n, i, j in np.ndindex(3, 5, 4):
        row, column = d[n] * j + e[n] * i + f[n], a[n] * j + b[n] * i + c[n]
        top, left = math.floor(row), math.floor(column)
        down, right = row - top, column - left
        if interpolation == "nearest":
            expected = pixel(n, round(row), round(column))
        else:
            expected = (1 - down) * ((1 - right) * pixel(n, top, left) + right * pixel(n, top, left + 1))
            expected += down * ((1 - right) * pixel(n, top + 1, left) + right * pixel(n, top + 1, left + 1))
        np.testing.assert_allclose(y[n, i, j], expected, atol=1e-12)


def test_angles_scales_and_shears_stay_within_their_bounds(monkeypatch):
    seen = {}

    def kept(image, **parameters):
        seen.update(parameters)
        return inverse_affine(image, **parameters)

    monkeypatch.setattr("colonnade.data.augmentation.geometry.inverse_affine", kept)
    x = images(2000, channels=1, height=2, width=2)
    applied(RandomAffine((10, 20), scale=(0.5, 2), shear=(-4, 4, 6, 8)), x)
    for values, (low, high) in (
        (seen["angle"], (10, 20)),
        (seen["scale"], (0.5, 2)),
        (seen["shear"][0], (-4, 4)),
        (seen["shear"][1], (6, 8)),
    ):
        near = 0.01 * (high - low)
        assert low <= values.min() < low + near
        assert high - near < values.max() <= high
    applied(RandomAffine(5), x)
    assert -5 <= seen["angle"].min() < -4.9
    assert (seen["scale"] == 1).all()
    assert (seen["right"] == 0).all()
