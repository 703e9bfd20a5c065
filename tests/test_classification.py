"""What a model sees in photographs: each as Pillow itself reads it, by any road that it comes."""

from __future__ import annotations

import copy
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import colonnade as cn
from colonnade.classification import Classification, Classifications
from colonnade.errors import ArgumentError, DataError, ShapeError
from tests.data.pictures import SHADES, expert, save, shaded

NAMES = ["cat", "dog", "<b>fox</b>", "\x1b[31mowl"]
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (30, 40, 3), np.uint8)


def linear(channels: int = 3) -> cn.Model:
    """A model of 5×7 images whose probabilities can be reckoned by hand."""
    model = cn.Model([cn.Flatten(), cn.Dense(channels * 5 * 7, 4)], seed=3).build((channels, 5, 7))
    for parameter in model.parameters():
        parameter.value[:] = np.random.default_rng(1).normal(0, 0.5, parameter.shape)
    model.classes = NAMES
    model.pixels = {"kind": "bytes", "least": 0, "most": 255}
    model.normalization = {"mean": [0.4] * channels, "std": [0.25] * channels}
    return model


def by_hand(image: Image.Image, mode: str = "RGB") -> dict[str, float]:
    """What `linear` says of an image, as Pillow makes it fit."""
    fitted = np.asarray(image.convert(mode).resize((7, 5), Image.Resampling.BILINEAR), np.float64)
    x = (np.atleast_3d(fitted).transpose(2, 0, 1).ravel() / 255 - 0.4) / 0.25
    weight, bias = (
        parameter.value.astype(np.float64) for parameter in linear(len(mode) if mode != "L" else 1).parameters()
    )
    scores = np.exp(weight @ x + bias - (weight @ x + bias).max())
    return dict(zip(NAMES, scores / scores.sum(), strict=True))


def close(answer: Classification, expected: dict[str, float]) -> None:
    assert dict(answer) == pytest.approx(expected, abs=1e-4)
    assert [share for _, share in answer] == sorted((share for _, share in answer), reverse=True)


def near(answer: Classification, expected: dict[str, float]) -> None:
    """But for the rounding to bytes on the way."""
    assert dict(answer) == pytest.approx(expected, abs=0.03)


def content(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("channels", [1, 3])
def test_every_road_leads_to_what_pillow_reads(tmp_path, channels):
    image = Image.fromarray(PIXELS if channels == 3 else PIXELS[..., 0])
    path = tmp_path / "photo.png"
    image.save(path)
    array = np.asarray(image)
    roads = [
        path,
        str(path),
        path.read_bytes(),
        bytearray(path.read_bytes()),
        image,
        Image.open(path),
        array,
        array.tolist(),
    ]
    roads += [np.moveaxis(np.atleast_3d(array), 2, 0), np.atleast_3d(array), array.astype(np.int64)]
    expected = by_hand(image, "RGB" if channels == 3 else "L")
    for road in roads:
        answer = linear(channels).classify(road)
        assert isinstance(answer, Classification)
        close(answer, expected)


def test_colours_become_grey_and_grey_becomes_coloured_as_pillow_does_it():
    colours, grey = Image.fromarray(PIXELS), Image.fromarray(PIXELS[..., 0])
    close(linear(1).classify(PIXELS), by_hand(colours, "L"))
    close(linear(3).classify(PIXELS[..., 0]), by_hand(grey))
    near(linear(1).classify(PIXELS / 255), by_hand(colours, "L"))
    near(linear(3).classify(PIXELS[..., 0] / 255), by_hand(grey))


def rounded(answer: Classification) -> dict[str, float]:
    return {name: round(share, 2) for name, share in answer}


@pytest.mark.parametrize("scale", [1, 255])
def test_numbers_of_either_range_are_resized_and_taken_for_what_they_are(scale):
    near(linear().classify(PIXELS * (scale / 255)), by_hand(Image.fromarray(PIXELS)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_exif_says(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = content(Image.fromarray(PIXELS), exif=exif)
    expected = by_hand(ImageOps.exif_transpose(Image.open(io.BytesIO(file))))
    for what in (file, Image.open(io.BytesIO(file))):
        close(linear().classify(what), expected)
    assert (orientation == 1) == (expected == by_hand(Image.fromarray(PIXELS)))


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "RGBX"])
def test_an_image_of_any_mode_is_what_pillow_makes_of_it(mode):
    image = Image.fromarray(PIXELS).convert(mode)
    close(linear().classify(image), by_hand(image))
    if mode in ("1", "L", "P"):
        close(linear().classify(content(image)), by_hand(image))
    if mode == "CMYK":
        close(linear().classify(content(image, "TIFF")), by_hand(image))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_is_transparent_lies_on_white(mode):
    image = Image.fromarray(PIXELS).convert("RGBA")
    image.putalpha(Image.fromarray(PIXELS[..., 1]))
    image = image.convert(mode)
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    close(linear().classify(image), by_hand(white))
    if mode == "RGBA":
        close(linear().classify(np.asarray(image)), by_hand(white))


def test_sixteen_bits_are_black_to_white():
    deep = RNG.integers(0, 65_536, (30, 40)).astype(np.uint16)
    image = Image.fromarray(np.rint(deep / 257).astype(np.uint8))
    close(linear(1).classify(content(Image.fromarray(deep))), by_hand(image, "L"))
    close(linear(1).classify(Image.fromarray(deep)), by_hand(image, "L"))


def test_a_picture_that_was_handed_in_stays_as_it_is(tmp_path):
    save(tmp_path / "a.jpg", 60, (300, 400))
    image = Image.open(tmp_path / "a.jpg")
    linear().classify(image)
    assert (image.size, image.mode) == ((400, 300), "RGB")
    assert np.asarray(image).shape == (300, 400, 3)


# Several


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_batch_is_answered_image_by_image(dtype):
    batch = RNG.integers(0, 256, (5, 12, 9, 3)).astype(np.uint8)
    given = batch if dtype == np.uint8 else (batch / 255).astype(dtype)
    for x in (given, given.transpose(0, 3, 1, 2), list(given)):
        found = linear().classify(x)
        assert isinstance(found, Classifications)
        assert [rounded(answer) for answer in found] == [rounded(linear().classify(image)) for image in given]


def test_images_that_fit_are_left_as_they_are():
    x = RNG.random((3, 3, 5, 7), np.float32)
    found = linear().classify(x, top=4)
    expected = linear().predict_proba(x)
    for answer, row in zip(found, expected, strict=True):
        assert dict(answer) == pytest.approx(dict(zip(NAMES, row.tolist(), strict=True)), rel=1e-6)


def test_grey_images_in_a_row_are_several_unless_they_may_be_one():
    x = RNG.integers(0, 256, (5, 5, 7)).astype(np.uint8)
    for answer, image in zip(linear(1).classify(x), x, strict=True):
        close(answer, dict(linear(1).classify(image)))
    with pytest.raises(ShapeError, match=r"is it one image, x\[None\], or 3 grey ones, x\[:, None\]\?"):
        linear(1).classify(x[:3])


def test_a_folder_is_looked_through_at_any_depth(tmp_path):
    shaded(tmp_path, daisy=2, roses=3)
    shaded(tmp_path / "deeper", "still", tulips=2)
    shaded(tmp_path / ".hidden", tulips=2)
    (tmp_path / "notes.txt").write_text("no image")
    found = expert("daisy", "roses", "tulips").classify(tmp_path)
    assert [answer.source for answer in found] == sorted(
        path for path in tmp_path.rglob("*.png") if ".hidden" not in path.parts
    )
    assert [answer.name for answer in found] == [answer.source.parent.name for answer in found]
    assert len(found) == 7


def test_images_that_can_not_be_read_are_left_out_of_a_folder_with_a_warning(tmp_path):
    shaded(tmp_path, daisy=2, roses=3)
    (tmp_path / "roses" / "broken.jpg").write_bytes(b"no image")
    (tmp_path / "roses" / "link.png").symlink_to(tmp_path / "nowhere")
    with pytest.warns(UserWarning, match="an image is left out") as warned:
        found = expert("daisy", "roses").classify(tmp_path)
    assert len(found) == 5
    assert len(warned) == 2
    with pytest.raises(DataError, match=r"broken\.jpg: expected an image"):
        expert("daisy", "roses").classify([tmp_path / "roses" / "broken.jpg"])


def test_a_list_may_hold_everything(tmp_path):
    shaded(tmp_path, daisy=2, tulips=1)
    rose = np.full((4, 6, 3), (SHADES["roses"], 255 - SHADES["roses"], 7), np.uint8)
    found = expert("daisy", "roses", "tulips").classify(
        [rose, tmp_path, Image.fromarray(rose), content(Image.fromarray(rose))]
    )
    assert [answer.name for answer in found] == ["roses", "daisy", "daisy", "tulips", "roses", "roses"]


def test_many_files_are_more_than_one_batch(tmp_path):
    shaded(tmp_path, daisy=70, roses=70)
    found = expert("daisy", "roses").classify(tmp_path, top=1)
    assert [answer.name for answer in found] == ["daisy"] * 70 + ["roses"] * 70


# Answers


def test_an_answer_is_a_list_of_names_and_probabilities():
    answer = linear().classify(PIXELS, top=2)
    assert len(answer) == 2
    assert (answer.name, answer.probability) == answer[0] == (answer[0].name, answer[0].probability)
    assert len(linear().classify(PIXELS, top=99)) == 4
    assert copy.deepcopy(answer) == answer
    nameless = linear()
    nameless.classes = None
    assert {name for name, _ in nameless.classify(PIXELS)} == {"0", "1", "2", "3"}


def test_it_prints_in_lines_that_no_name_can_break(tmp_path):
    path = tmp_path / "\x1b[2Jphoto.png"
    Image.fromarray(PIXELS).save(path)
    answer = linear().classify(path, top=4)
    lines = repr(answer).splitlines()
    assert len(lines) == 5
    assert lines[0].endswith(r"\x1b[2Jphoto.png")
    assert sum(float(line.split()[-2]) for line in lines[1:]) == pytest.approx(100, abs=0.05)
    assert "\x1b" not in repr(answer)
    several = linear().classify([path, path], top=1)
    assert repr(several) == "\n".join([answer.line().split("  ")[0]] * 2)
    batch = linear().classify(np.stack([PIXELS] * 70))
    assert repr(batch).splitlines()[-1] == "… and 10 others"
    assert repr(batch).startswith("0: ")


def test_a_notebook_shows_the_pictures_and_takes_no_name_for_markup(tmp_path):
    path = tmp_path / "<script>.png"
    Image.fromarray(PIXELS).save(path)
    for what in (path, PIXELS, path.read_bytes(), Image.fromarray(PIXELS)):
        markup = linear().classify(what)._repr_html_()
        assert markup.count('<img src="data:image/png;base64,') == 1
        assert "<b>" not in markup
        assert "<script>" not in markup
        assert "&lt;b&gt;fox" in markup
        assert "\x1b" not in markup
    answers = linear().classify(np.stack([PIXELS] * 30))
    assert answers._repr_html_().count("<img ") == 24
    assert "… and 6 others" in answers._repr_html_()
    answer = linear().classify(path)
    path.unlink()
    assert "<img " not in answer._repr_html_()


def test_the_picture_is_the_photograph_made_small():
    picture = linear().classify(np.repeat(np.repeat(PIXELS, 10, 0), 10, 1)).picture()
    assert picture.shape == (120, 160, 3)
    assert linear().classify(RNG.random((3, 5, 7), np.float32)).picture().shape == (65, 91, 3)


# What can't be


def test_what_is_given_and_what_is_taken_are_said():
    with pytest.raises(ShapeError, match=r"this model takes 3×5×7, bytes or numbers in 0\.\.1; got \(4, 4, 2, 9, 3\)"):
        linear().classify(np.zeros((4, 4, 2, 9, 3)))
    with pytest.raises(ShapeError, match=r"got \(2, 9, 7\)"):
        linear().classify(np.zeros((2, 9, 7)))
    with pytest.raises(ArgumentError, match="pixels like those in training"):
        linear().classify(RNG.normal(0, 90, (3, 5, 7)))


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("nowhere.jpg", DataError, r"nowhere\.jpg: there is no such file"),
        ("", ArgumentError, "must be a path"),
        (b"", DataError, "the image: expected an image, got 0 bytes of something else"),
        (b"no image", DataError, "got 8 bytes of something else"),
        (None, ArgumentError, "expected the path of an image, the bytes of its file or an image of Pillow, got None"),
        (3, ArgumentError, "got 3"),
        (np.zeros((0, 5, 7)), ShapeError, "got"),
        ([], ShapeError, r"got \(0,\)"),
        (["nowhere.jpg"], DataError, "there is no such file"),
    ],
)
def test_what_is_no_image_is_said_in_a_line(what, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message) as raised:
        linear().classify(what)
    assert "\n" not in str(raised.value)


def test_a_truncated_file_is_said_to_be(tmp_path):
    (tmp_path / "half.png").write_bytes(content(Image.fromarray(PIXELS))[:900])
    with pytest.raises(DataError, match=r"half\.png: the image can't be read"):
        linear().classify(tmp_path / "half.png")


def test_a_folder_without_images_is_said_to_be_one(tmp_path):
    with pytest.raises(DataError, match=r"expected images .* in this folder, got none"):
        linear().classify(tmp_path)


def test_models_that_take_no_photographs_say_so():
    with pytest.raises(ArgumentError, match="the model has never seen an image"):
        cn.Model([cn.Flatten(), cn.Dense(4, 2)]).classify(PIXELS)
    with pytest.raises(ShapeError, match="expected a model of one image"):
        cn.Model([cn.Dense(4, 2)]).build((4,)).classify(PIXELS)
    body = cn.Graph({"y": (cn.Flatten(), "x"), "z": (cn.ReLU(), "y")}, ["x"], ["y", "z"])
    with pytest.raises(ShapeError, match=r"expected a model of one image .* and one output, got outputs y, z"):
        cn.Model(body).build((3, 5, 7)).classify(PIXELS)
    with pytest.raises(ArgumentError, match="photographs have 1 or 3 channels, this model takes 5"):
        cn.Model([cn.Flatten(), cn.Dense(5 * 4, 2)]).build((5, 2, 2)).classify([Image.fromarray(PIXELS)])
    with pytest.raises(ShapeError, match="expected a number for each class"):
        cn.Model([cn.Conv2d(3, 2, 1)]).build((3, 5, 7)).classify(PIXELS)
    with pytest.raises(ArgumentError, match="classify: top must be positive, got 0"):
        linear().classify(PIXELS, top=0)


def test_a_model_answers_alike_before_and_after_it_was_saved(tmp_path):
    linear().save(tmp_path / "model.safetensors")
    assert cn.load(tmp_path / "model.safetensors").classify(PIXELS) == linear().classify(PIXELS)
    assert cn.load(Path(tmp_path)).classify(PIXELS) == linear().classify(PIXELS)
