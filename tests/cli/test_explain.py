"""`colonnade explain`, as a person runs it."""

import json

import numpy as np
import pytest
from PIL import Image

import colonnade as cn


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "digit.png"
    Image.fromarray(cn.data.load("digits").test.x[3, 0]).save(path)
    return path


def test_explain_writes_its_pictures_and_says_where(here, trained, image, tmp_path):
    result = here("explain", trained / "model.safetensors", image, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    of_class, layer, *files = result.stdout.splitlines()
    assert of_class.split()[0] == "class"
    assert layer == "layer 6"
    assert files == [
        str(tmp_path / "out" / f"digit-{name}.png")
        for name in ("image", "grad-cam", "occlusion", "features", "combined")
    ]
    for file in files:
        with Image.open(file) as picture:
            assert min(picture.size) >= 224
            assert np.asarray(picture).std() > 0


def test_json_is_all_there_is_on_standard_output(here, trained, image, tmp_path):
    path = trained / "model.safetensors"
    result = here("explain", path, image, "--class", 7, "--layer", "0", "--out", tmp_path, "--json")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    probability = cn.load(path).predict_proba(cn.data.load("digits").test.x[3:4])[0, 7]
    assert (answer["class"], answer["number"], answer["layer"]) == ("7", 7, "0")
    assert answer["probability"] == pytest.approx(probability, rel=1e-4)
    assert sorted(answer["files"]) == ["combined", "features", "grad-cam", "image", "occlusion"]


def test_a_class_is_given_by_its_name_too(here, image, tmp_path):
    model = cn.zoo.cnn((1, 8, 8), 3)
    model.classes = ["cat", "dog", "2"]
    model.save(tmp_path / "model.safetensors")
    result = here("explain", tmp_path / "model.safetensors", image, "--class", "dog", "--out", tmp_path, "--json")
    assert json.loads(result.stdout)["number"] == 1
    result = here("explain", tmp_path / "model.safetensors", image, "--class", "doge", "--out", tmp_path)
    assert result.returncode == 2
    assert result.stderr == "error: There is no class 'doge': did you mean dog? The classes are cat, dog, 2.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--class", "10"], "expected a name, or a number from 0 to 9. The classes are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9."),
        (["--class", "-1"], "There is no class '-1'"),
        (["--layer", "12"], "expected the name of a layer, such as"),
        (["--layer", "12"], "those that put out maps are 0, 1, 2, 3, 4, 5, 6, 7"),
        (["--layer", "9"], "layer 9 puts out no maps"),
    ],
)
def test_what_the_user_got_wrong_is_one_line_and_status_2(here, trained, image, tmp_path, arguments, message):
    result = here("explain", trained / "model.safetensors", image, "--out", tmp_path / "out", *arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_image_is_one_line(here, trained, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    result = here("explain", trained / "model.safetensors", tmp_path / "text.png", "--out", tmp_path / "out")
    assert result.returncode == 2
    assert "expected an image" in result.stderr


@pytest.mark.parametrize("size", [(300, 200), (40, 90), (64, 64)])
def test_the_maps_lie_over_the_photograph_at_its_own_size_and_turned_as_it_is(here, tmp_path, size):
    width, height = size
    pixels = np.random.default_rng(0).integers(0, 256, (width, height, 3), np.uint8)  # lies on its side
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    model = cn.Model([cn.Conv2d(3, 4, 3), cn.ReLU(), cn.Flatten(), cn.Dense(4 * 36, 2)], seed=0).build((3, 8, 8))
    (tmp_path / "run").mkdir()
    model.save(tmp_path / "run" / "model.safetensors")
    result = here("explain", tmp_path / "run", tmp_path / "photo.png", "--out", tmp_path / "out", "--json")
    assert result.returncode == 0, result.stderr
    files = json.loads(result.stdout)["files"]
    for name in ("image", "grad-cam", "occlusion"):
        with Image.open(files[name]) as picture:
            assert picture.size == size
    with Image.open(files["image"]) as picture:
        np.testing.assert_array_equal(np.asarray(picture), np.rot90(pixels, -1))
    with Image.open(files["combined"]) as picture:
        assert picture.mode == "RGB"
        assert picture.width > picture.height


def test_the_heat_is_where_the_evidence_is(here, tmp_path):
    """A model that counts what is bright to the left, and a photograph far larger than what it takes."""
    model = cn.Model([cn.Conv2d(3, 1, 1), cn.Flatten(), cn.Dense(64, 2)], seed=0).build((3, 8, 8))
    kernel, bias, weight, offset = model.parameters()
    kernel.value[:], bias.value[:], offset.value[:], weight.value[:] = 1, 0, 0, 0
    weight.value[0].reshape(8, 8)[:, :4] = 1
    model.save(tmp_path / "model.safetensors")
    pixels = np.zeros((240, 320, 3), np.uint8)
    pixels[60:180, :160] = 255
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    result = here(
        "explain", tmp_path / "model.safetensors", tmp_path / "photo.png", "--out", tmp_path, "--class", 0, "--json"
    )
    with Image.open(json.loads(result.stdout)["files"]["grad-cam"]) as picture:
        shown = np.asarray(picture).astype(int)
    redness = shown[..., 0] - shown[..., 2]
    assert redness[90:150, 20:120].mean() > redness[:, 200:].mean() + 20


@pytest.mark.parametrize("name", ["菊", "two\nlines", "\x1b[2J", "a" * 500, "é" * 30, ""])
def test_class_names_of_any_kind_become_titles(here, tmp_path, image, name):
    model = cn.zoo.cnn((1, 8, 8), 2)
    model.classes = [name, "other"]
    model.save(tmp_path / "model.safetensors")
    result = here("explain", tmp_path / "model.safetensors", image, "--class", 0, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 7
    with Image.open(tmp_path / "digit-combined.png") as picture:
        assert picture.width < 2_500
