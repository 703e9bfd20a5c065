"""Image files, made to fit a model."""

import os
import struct
import subprocess
import sys
import zlib
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

import colonnade as cn
from colonnade.data.images import FORMATS, SUFFIXES, known_formats, read_images
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


# Pixels of more than 8 bits, and of every mode, beside what the file says, worked out one number at a time


def shade(value, white):
    """A number between black and white as a byte: exact, rounded."""
    share = Fraction(float(value)) / Fraction(white)
    return round(255 * min(max(share, Fraction(0)), Fraction(1)))


def tiff(path, data, bits, kind, size, white_is_zero=False):
    """A grey TIFF of one strip, (h, w), written by hand: Pillow writes few of those that it reads."""
    height, width = size
    tags = [(256, 3, width), (257, 3, height), (258, 3, bits), (259, 3, 1), (262, 3, int(not white_is_zero))]
    tags += [(273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, len(data)), (339, 3, kind)]
    entries = [struct.pack("<HHII" if each == 4 else "<HHIHxx", tag, each, 1, value) for tag, each, value in tags]
    path.write_bytes(
        b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + b"".join(entries) + bytes(4)
    )
    return path


UNSIGNED, SIGNED, FLOAT = 1, 2, 3
DEEP = [  # type, kind, pixels, white
    ("<u2", UNSIGNED, [0, 1, 128, 129, 255, 256, 0x1234, 40_000, 65_535], 65_535),
    ("<u2", UNSIGNED, [0, 1, 2, 200], 65_535),  # a dark photograph stays dark
    ("<i2", SIGNED, [-32_768, -1, 0, 100, 20_000, 32_767], 32_767),
    ("<u4", UNSIGNED, [0, 1, 100, 255], 255),
    ("<u4", UNSIGNED, [0, 256, 40_000, 65_535], 65_535),
    ("<u4", UNSIGNED, [0, 65_536, 2**31 - 1, 2**31, 2**32 - 1], 2**32 - 1),
    ("<i4", SIGNED, [-(2**31), -1, 0, 77, 255], 255),
    ("<i4", SIGNED, [-5, 300, 65_535], 65_535),
    ("<i4", SIGNED, [-1, 2**30, 2**31 - 1], 2**31 - 1),
    ("<i4", SIGNED, [0, 2**30], 2**31 - 1),
    ("<i4", SIGNED, [0, 50_000, 100_000], 100_000),  # all would be black beside 2³¹
    ("<u4", UNSIGNED, [0, 50_000, 100_000], 100_000),
    ("<f4", FLOAT, [0, 0.25, 0.5, 0.999, 1], 1),
    ("<f4", FLOAT, [-3e38, -0.1, 0.5, 1.08], 1),  # resizing overshoots
    ("<f4", FLOAT, [0, 1, 127.5, 200, 255], 255),
    ("<f4", FLOAT, [0, 1000, 65_535], 65_535),
    ("<f4", FLOAT, [0, 1e30, 3e38], 3e38),
    ("<f4", FLOAT, [-2, -1, 0], 1),
]


@pytest.mark.parametrize(
    ("kind", "sample", "pixels", "white", "white_is_zero"),
    [(*each, False) for each in DEEP] + [(*each, True) for each in DEEP if each[0] in ("<u2", "<f4")],
)
def test_deep_pixels_are_scaled_from_black_to_white(tmp_path, kind, sample, pixels, white, white_is_zero):
    values = np.array([pixels], kind)
    bits = 8 * values.itemsize
    path = tiff(tmp_path / "deep.tif", values.tobytes(), bits, sample, values.shape, white_is_zero)
    white = float(np.float32(white)) if white == 3e38 else white
    expected = [shade(value, white) for value in values[0]]
    expected = [255 - each for each in expected] if white_is_zero else expected
    got = read_images([path], (3, 1, len(pixels)))[0, :, 0]
    assert got.tolist() == [expected] * 3


def test_deep_pixels_of_other_formats_and_byte_orders_are_scaled_alike(tmp_path):
    values = np.array([[0, 1, 129, 0x1234, 40_000, 65_535]], np.uint16)
    expected = [[shade(value, 65_535) for value in values[0]]]
    for name in ("a.png", "a.tif", "a.pgm", "a.jp2"):
        Image.fromarray(values).save(tmp_path / name)
        np.testing.assert_array_equal(read_images([tmp_path / name], (1, 1, 6))[0, 0], expected)
    Image.fromarray(values.astype(">u2")).save(tmp_path / "b.tif")  # Pillow's I;16B
    np.testing.assert_array_equal(read_images([tmp_path / "b.tif"], (1, 1, 6))[0, 0], expected)
    dark = np.array([[0, 3, 200]], np.uint16)
    Image.fromarray(dark).save(tmp_path / "dark.pgm")  # Pillow's I
    assert read_images([tmp_path / "dark.pgm"], (1, 1, 3)).ravel().tolist() == [0, 0, 1]


def test_12_bits_have_a_white_of_their_own(tmp_path):
    packed = bytes([0x00, 0x0F, 0xFF, 0x80, 0x00, 0x00])  # 0, 4095, 2048 and one to spare
    path = tiff(tmp_path / "a.tif", packed, 12, UNSIGNED, size=(1, 4))
    assert read_images([path], (1, 1, 4)).ravel().tolist() == [0, 255, shade(2048, 4095), 0]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_floating_point_that_is_no_number_is_refused(tmp_path, wrong):
    Image.fromarray(np.array([[0, wrong]], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif: the image can't be read \(it holds NaN or infinity\)"):
        read_images([tmp_path / "a.tif"], (1, 1, 2))


def png(path, rows, depth, colour, transparent):
    """A PNG with a transparent value, which Pillow does not write of 16 bits."""
    rows = np.asarray(rows, ">u2" if depth == 16 else "u1")

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], depth, colour, 0, 0, 0)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    chunks = [(b"IHDR", header), (b"tRNS", transparent), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks))
    return path


def test_a_value_that_is_transparent_is_white(tmp_path):
    deep = png(tmp_path / "deep.png", [[0, 0x1234, 0x1235]], 16, 0, struct.pack(">H", 0x1234))
    assert read_images([deep], (1, 1, 3)).ravel().tolist() == [0, 255, shade(0x1235, 65_535)]
    grey = png(tmp_path / "grey.png", [[0, 9, 10]], 8, 0, struct.pack(">H", 9))
    assert read_images([grey], (1, 1, 3)).ravel().tolist() == [0, 255, 10]
    colour = png(tmp_path / "colour.png", [[[1, 2, 3], [4, 5, 6]]], 8, 2, struct.pack(">HHH", 1, 2, 3))
    assert read_images([colour], (3, 1, 2))[0, :, 0].T.tolist() == [[255, 255, 255], [4, 5, 6]]


def over_white(value, alpha):
    return round(Fraction(value * alpha + 255 * (255 - alpha), 255))


MODES = {  # of a pixel in each mode: what it is in red, green and blue
    "1": (255, (255, 255, 255)),
    "L": (77, (77, 77, 77)),
    "LA": ((10, 51), (over_white(10, 51),) * 3),
    "PA": ((1, 51), tuple(over_white(value, 51) for value in (200, 100, 50))),
    "P": (1, (200, 100, 50)),
    "RGB": ((1, 2, 3), (1, 2, 3)),
    "RGBA": ((200, 100, 50, 51), tuple(over_white(value, 51) for value in (200, 100, 50))),
    "CMYK": ((255, 0, 0, 0), (0, 255, 255)),
    "YCbCr": ((77, 128, 128), (77, 77, 77)),
    "LAB": ((0, 128, 128), (0, 0, 0)),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_pixel_of_every_mode_is_what_it_is_in_colours(tmp_path, mode):
    pixel, expected = MODES[mode]
    image = Image.new(mode, (3, 2))
    if mode in ("P", "PA"):
        image.putpalette([0, 0, 0, 200, 100, 50])
    image.paste(pixel, (0, 0, 3, 2))
    image.save(tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as saved:
        assert saved.mode == mode
    got = read_images([tmp_path / "a.tif"], (3, 2, 3))[0]
    assert np.abs(got.astype(int) - np.array(expected)[:, None, None]).max() <= 1


def test_a_palette_with_transparency_is_on_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=bytes([255, 51]))
    image.save(tmp_path / "a.gif", transparency=0)
    assert read_images([tmp_path / "a.png"], (3, 1, 2))[0, :, 0].T.tolist() == [
        [10, 20, 30],
        [over_white(value, 51) for value in (200, 100, 50)],
    ]
    assert read_images([tmp_path / "a.gif"], (3, 1, 2))[0, :, 0].T.tolist() == [[255, 255, 255], [200, 100, 50]]


TURNED = {  # how EXIF's orientation n has an array (h, w) be seen
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.T,
    6: lambda x: x.T[:, ::-1],
    7: lambda x: x[::-1, ::-1].T,
    8: lambda x: x.T[::-1],
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, np.uint8) for name in ("a.png", "a.tif", "a.webp", "a.jpg")),
        *(("a.png", np.uint16), ("a.tif", np.uint16), ("a.tif", np.float32)),
    ],
)
@pytest.mark.parametrize("orientation", TURNED)
def test_every_orientation_of_every_depth_is_turned(tmp_path, name, orientation, kind):
    shades = np.array([[0, 50, 100], [150, 200, 255]], np.uint8).repeat(16, 0).repeat(16, 1)
    pixels = shades.astype(kind) * (257 if kind == np.uint16 else 1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"a.webp": {"lossless": True}, "a.jpg": {"quality": 100}}.get(name, {})
    Image.fromarray(pixels).save(tmp_path / name, exif=exif, **options)
    expected = TURNED[orientation](shades).astype(int)
    got = read_images([tmp_path / name], (1, *expected.shape))[0, 0]
    assert np.abs(got - expected).max() <= (3 if name == "a.jpg" else 0)


# Formats


def test_suffixes_are_all_that_pillow_knows_of_the_formats():
    Image.init()
    known = {suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS}
    assert known <= set(SUFFIXES)
    assert len(set(SUFFIXES)) == len(SUFFIXES)
    assert set(known_formats()) <= set(FORMATS)


WRITTEN = [(name, suffix) for name in FORMATS if name not in ("SUN", "PSD", "XPM") for suffix in FORMATS[name]]


@pytest.mark.parametrize(("name", "suffix"), WRITTEN)
def test_every_format_is_read_whatever_its_suffix(tmp_path, name, suffix):
    Image.init()
    if name not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {name}")
    image = Image.new("RGB", (64, 64), (200, 60, 30))
    bits = name == "XBM"
    (Image.new("1", (64, 64)) if bits else image).save(tmp_path / f"a{suffix.upper()}", name)
    got = read_images([tmp_path / f"a{suffix.upper()}"], (3, 4, 4))[0].astype(int)
    expected = np.zeros(3) if bits else np.array([200, 60, 30])
    assert np.abs(got - expected[:, None, None]).max() <= 8


def test_what_pillow_would_hand_to_another_program_is_not_opened(tmp_path):
    (tmp_path / "a.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with pytest.raises(DataError, match="another kind"):
        read_images([tmp_path / "a.png"], (3, 8, 8))


def test_the_formats_are_known_whoever_asks_first():
    program = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from colonnade.data.images import known_formats\n"
        "with ThreadPoolExecutor(8) as pool: made = set(pool.map(lambda _: known_formats(), range(64)))\n"
        "assert len(made) == 1 and 'TIFF' in made.pop()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# What is no image


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: expected an image, got no plain file"):
        read_images([tmp_path / "a.png"], (3, 8, 8))


def test_links_that_lead_nowhere_are_told_from_files_that_are_not_there(tmp_path):
    (tmp_path / "dead.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
    for name in ("dead.png", "round.png"):
        with pytest.raises(DataError, match=rf"{name}: a link to a file that is not there"):
            read_images([tmp_path / name], (3, 8, 8))


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


def test_whatever_pillows_readers_raise_is_one_line(tmp_path):
    path = tmp_path / "a.dds"
    Image.new("RGB", (8, 8)).save(path)
    content = bytearray(path.read_bytes())
    content[80:88] = struct.pack("<I", 4) + b"ABCD"  # a compression that there is not
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.dds: the image can't be read") as caught:
        read_images([path], (3, 8, 8))
    assert isinstance(caught.value.__cause__, NotImplementedError)


# One image, for a person


def test_read_image_is_what_pillow_reads(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    path = save(tmp_path / "a.png", pixels)
    for what in (path, str(path), path.read_bytes(), Image.open(path)):
        image = cn.data.read_image(what)
        np.testing.assert_array_equal(image, np.asarray(Image.open(path)).transpose(2, 0, 1))
        assert image.flags.c_contiguous
        assert image.flags.writeable
    resized = np.asarray(Image.open(path).convert("L").resize((4, 3), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(cn.data.read_image(path, (3, 4), channels=1)[0], resized)
    assert cn.data.read_image(path, 5).shape == (3, 5, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "read_image: size must be positive, got 0"),
        ({"size": (2, 3, 4)}, "read_image: size must be a whole number or a pair of them"),
        ({"channels": 4}, "read_image: channels must be 1 or 3, got 4"),
        ({"what": 3}, "read_image: expected the path of an image, .* got 3"),
        ({"what": ""}, "read_image: the image must be a path, got ''"),
    ],
)
def test_what_read_image_can_not_do_is_said(tmp_path, arguments, message):
    with pytest.raises(cn.errors.ArgumentError, match=message):
        cn.data.read_image(**{"what": tmp_path / "a.png"} | arguments)
