"""Image files, made to fit a model."""

import numpy as np
import pytest
from PIL import Image

from colonnade.data.images import read_images
from colonnade.errors import ArgumentError, DataError


def save(path, pixels, mode=None, **options):
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


def test_batch_is_of_bytes_in_the_models_shape(tmp_path):
    paths = [save(tmp_path / f"{n}.png", np.full((9, 5 + n, 3), 40 * n)) for n in range(3)]
    batch = read_images(paths, (3, 4, 6))
    assert batch.shape == (3, 3, 4, 6)
    assert batch.dtype == np.uint8
    assert [int(image.min()) for image in batch] == [int(image.max()) for image in batch] == [0, 40, 80]


def test_image_of_the_right_size_comes_through_unchanged(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    np.testing.assert_array_equal(
        read_images([save(tmp_path / "a.png", pixels)], (3, 8, 6))[0], pixels.transpose(2, 0, 1)
    )


def test_grey_and_colour_follow_the_model(tmp_path):
    path = save(tmp_path / "red.png", np.full((2, 2, 3), (255, 0, 0)))
    assert set(read_images([path], (1, 2, 2)).flat) == {76}  # 0.299 of 255 (ITU-R 601)
    grey = save(tmp_path / "grey.png", np.full((2, 2), 9))
    assert set(read_images([grey], (3, 2, 2)).flat) == {9}


def test_image_is_turned_as_its_exif_says(tmp_path):
    pixels = np.zeros((4, 2), np.uint8)
    pixels[0] = 255  # the top row becomes the right column
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "turned.png", pixels, exif=exif)
    np.testing.assert_array_equal(read_images([path], (1, 2, 4))[0, 0], [[0, 0, 0, 255]] * 2)


def test_transparent_pixels_are_white_and_palettes_resolved(tmp_path):
    path = save(tmp_path / "clear.png", [[[10, 10, 10, 0], [10, 10, 10, 255]]])
    assert read_images([path], (1, 1, 2)).ravel().tolist() == [255, 10]
    path = save(tmp_path / "palette.png", np.full((2, 2, 3), (0, 0, 255)), mode="P")
    assert read_images([path], (3, 2, 2))[0, :, 0, 0].tolist() == [0, 0, 255]


def test_16_bits_a_pixel_become_8(tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray(np.array([[0, 0x1200, 0xFFFF]], np.uint16)).save(path)
    assert read_images([path], (1, 1, 3)).ravel().tolist() == [0, 0x12, 0xFF]


def test_files_that_are_no_images_are_one_line_each(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    whole = save(tmp_path / "whole.png", np.random.default_rng(0).integers(0, 256, (64, 64))).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    for name, message in (
        ("missing.png", "no such file"),
        (".", "got a folder"),
        ("text.png", "another kind"),
        ("cut.png", "can't be read"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            read_images([tmp_path / name], (1, 8, 8))
        assert str(caught.value).startswith(str(tmp_path))
        assert "\n" not in str(caught.value)


def test_image_of_too_many_pixels_is_refused_unread(tmp_path, monkeypatch):
    path = save(tmp_path / "large.png", np.zeros((20, 20)))
    for limit in (300, 100):  # Pillow warns above its limit, and raises above twice that
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(DataError, match="more pixels than is safe"):
            read_images([path], (1, 8, 8))


def test_wrong_arguments_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match=r"1 or 3 channels, got \(4, 8, 8\)"):
        read_images([tmp_path / "a"], (4, 8, 8))
    with pytest.raises(ArgumentError, match="1 or 3 channels"):
        read_images([tmp_path / "a"], (64,))
    with pytest.raises(ArgumentError, match="at least one image"):
        read_images([], (1, 8, 8))
