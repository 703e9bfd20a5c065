"""Arrays become the pictures that they are said to become."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest

import colonnade as cn
from colonnade import pictures
from colonnade.errors import ArgumentError, ShapeError


def test_bytes_are_shown_as_they_are():
    image = np.random.default_rng(0).integers(0, 256, (3, 4, 5), np.uint8)
    assert np.array_equal(pictures.picture(image), image.transpose(1, 2, 0))
    assert np.array_equal(pictures.picture(image[:1]), image[0])
    assert np.array_equal(pictures.picture(image[0]), image[0])


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ([[0.0, 1.0, 0.2]], [[0, 255, 51]]),
        ([[-1.0, 0.0, 1.0]], [[0, 128, 255]]),
        ([[10.0, 20.0]], [[0, 255]]),
        ([[7.0, 7.0]], [[0, 0]]),
        ([[False, True]], [[0, 255]]),
        ([[np.nan, 1.0, np.inf]], [[0, 255, 0]]),
    ],
)
def test_numbers_are_shown_from_least_to_greatest_or_from_0_to_1(image, expected):
    assert pictures.picture(np.array(image)).tolist() == expected


def test_of_other_numbers_of_channels_the_mean_is_shown():
    image = np.stack([np.full((2, 2), 0.25), np.full((2, 2), 0.75)])
    assert pictures.picture(image).tolist() == [[128, 128], [128, 128]]


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (7,), (0, 4, 4), (1, 0, 4)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(ShapeError, match=r"picture: expected one image .* got \("):
        pictures.picture(np.zeros(shape))


def test_filters_are_grey_at_zero_and_black_or_white_at_the_largest_weight():
    kernel = np.zeros((2, 1, 1, 3), np.float32)
    kernel[0, 0, 0] = [-2, 0, 1]
    assert pictures.filter_pictures(kernel).tolist() == [[[0, 128, 191]], [[128, 128, 128]]]
    assert pictures.filter_pictures(np.ones((4, 3, 5, 5))).shape == (4, 5, 5, 3)
    assert pictures.filter_pictures(np.zeros((4, 6, 5, 5))).shape == (4, 5, 5)
    with pytest.raises(ShapeError, match=r"got \(3, 3\)"):
        pictures.filter_pictures(np.zeros((3, 3)))


def test_the_first_kernel_is_that_of_the_first_convolution():
    model = cn.Model([cn.Flatten(), cn.Dense(4, 4), cn.Unflatten(1, (1, 2, 2)), cn.Conv2d(1, 2, 2)])
    kernel = pictures.first_kernel(model)
    assert kernel is not None
    assert kernel.name == "3.weight"
    assert pictures.first_kernel(cn.Model([cn.Dense(2, 2)])) is None


def test_heat_grows_ever_lighter():
    colours = pictures.heat_picture(np.linspace(0, 1, 101)[np.newaxis])[0].astype(float)
    luminance = colours @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) >= 0).all()
    assert pictures.heat_picture(np.array([[np.nan, -1, 2]])).shape == (1, 3, 3)


def test_heat_is_laid_over_a_grey_image():
    image = np.zeros((3, 2, 2), np.uint8)
    image[0] = 255
    laid = pictures.laid_over(np.zeros((2, 2)), image).astype(int)
    assert np.abs(laid - laid[..., :1]).max() <= 3
    assert laid.shape == (2, 2, 3)
    assert pictures.laid_over(np.zeros((2, 2)), image, 5).shape == (6, 6, 3)


def test_a_sheet_has_its_pictures_row_by_row():
    each = np.arange(5, dtype=np.uint8).reshape(5, 1, 1)
    assert pictures.sheet(each, columns=3).tolist() == [
        [0, 255, 1, 255, 2],
        [255, 255, 255, 255, 255],
        [3, 255, 4, 255, 255],
    ]
    assert pictures.sheet(each, columns=5, gap=0).tolist() == [[0, 1, 2, 3, 4]]


def test_enlarging_repeats_pixels_until_the_shorter_side_is_long_enough():
    assert pictures.enlarged(np.array([[1, 2]], np.uint8), 2).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]
    assert pictures.enlarged(np.zeros((9, 9), np.uint8), 4).shape == (9, 9)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_png_and_data_uri_give_the_pixels_back(shape):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    scheme, _, content = pictures.data_uri(pixels).partition(",")
    assert scheme == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))), pixels)


def test_png_refuses_what_is_no_picture():
    with pytest.raises(ArgumentError, match="float64"):
        pictures.png(np.zeros((2, 2)))


def test_pictures_side_by_side_have_one_height_and_their_titles():
    red, grey = np.full((20, 30, 3), (255, 0, 0), np.uint8), np.full((40, 10), 90, np.uint8)
    whole = pictures.side_by_side([red, grey], ["a red one", "g"], height=60, gap=5)
    assert whole.shape[2] == 3
    assert (whole[5:65] == (255, 0, 0)).all(axis=2).sum() == 60 * 90
    assert (whole[5:65] == 90).all(axis=2).sum() == 60 * 15
    assert whole[66:].min() < 100  # letters
    assert (whole[:5] == 255).all()
