"""`colonnade predict`, as a person runs it."""

import json

import numpy as np
import pytest
from PIL import Image

import colonnade as cn


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Five of the test digits as PNG files."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for number, image in enumerate(cn.data.load("digits").test.x[:5]):
        paths.append(folder / f"{number}.png")
        Image.fromarray(np.asarray(image[0])).save(paths[-1])
    return paths


def test_predict_has_a_line_an_image(run, trained, pictures):
    result = run("predict", trained / "model.safetensors", *pictures)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == len(pictures)
    classes = cn.load(trained / "model.safetensors").predict(cn.data.load("digits").test.x[:5])
    for line, path, number in zip(lines, pictures, classes, strict=True):
        assert line.startswith(f"{path}: {number} ")


def test_json_ranks_as_many_classes_as_asked_for(run, trained, pictures):
    result = run("predict", trained / "model.safetensors", pictures[0], "--top", 3, "--json")
    (prediction,) = json.loads(result.stdout)["predictions"]
    assert prediction["image"] == str(pictures[0])
    probabilities = [choice["probability"] for choice in prediction["top"]]
    assert len(probabilities) == 3
    assert probabilities == sorted(probabilities, reverse=True)


def test_more_classes_than_there_are_is_all_of_them(run, trained, pictures):
    result = run("predict", trained / "model.safetensors", pictures[0], "--top", 99, "--json")
    (prediction,) = json.loads(result.stdout)["predictions"]
    assert sum(choice["probability"] for choice in prediction["top"]) == pytest.approx(1, abs=1e-5)
    assert len(prediction["top"]) == 10


def test_a_photograph_of_another_size_and_colour_is_made_to_fit(run, trained, tmp_path):
    Image.new("RGB", (40, 30), (200, 10, 10)).save(tmp_path / "red.jpg")
    assert run("predict", trained / "model.safetensors", tmp_path / "red.jpg").returncode == 0


@pytest.mark.parametrize("content", [None, b"not an image"])
def test_a_file_that_is_no_image_is_one_line_and_status_2(here, trained, pictures, tmp_path, content):
    path = tmp_path / "image.png"
    if content is not None:
        path.write_bytes(content)
    result = here("predict", trained / "model.safetensors", pictures[0], path)
    assert result.returncode == 2
    assert str(path) in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


@pytest.mark.parametrize("arguments", [[], ["--top", "0"]])
def test_wrong_arguments_are_one_line_and_status_2(here, trained, pictures, arguments):
    images = pictures[:1] if arguments else []
    result = here("predict", trained / "model.safetensors", *images, *arguments)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
