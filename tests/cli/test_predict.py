"""`colonnade predict`, as a person runs it."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import colonnade as cn
from tests.data.pictures import SHADES, expert, save, shaded


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Five of the test digits as PNG files."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for number, image in enumerate(cn.data.load("digits").test.x[:5]):
        paths.append(folder / f"{number}.png")
        Image.fromarray(np.asarray(image[0])).save(paths[-1])
    return paths


def test_predict_has_a_line_an_image(here, trained, pictures):
    result = here("predict", trained / "model.safetensors", *pictures)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == len(pictures)
    classes = cn.load(trained / "model.safetensors").predict(cn.data.load("digits").test.x[:5])
    for line, path, number in zip(lines, pictures, classes, strict=True):
        assert line.startswith(f"{path}: {number} ")


def test_json_ranks_as_many_classes_as_asked_for(here, trained, pictures):
    result = here("predict", trained / "model.safetensors", pictures[0], "--top", 3, "--json")
    (prediction,) = json.loads(result.stdout)["predictions"]
    assert prediction["image"] == str(pictures[0])
    probabilities = [choice["probability"] for choice in prediction["top"]]
    assert len(probabilities) == 3
    assert probabilities == sorted(probabilities, reverse=True)


def test_more_classes_than_there_are_is_all_of_them(here, trained, pictures):
    result = here("predict", trained / "model.safetensors", pictures[0], "--top", 99, "--json")
    (prediction,) = json.loads(result.stdout)["predictions"]
    assert sum(choice["probability"] for choice in prediction["top"]) == pytest.approx(1, abs=1e-5)
    assert len(prediction["top"]) == 10


def test_a_photograph_of_another_size_and_colour_is_made_to_fit(here, trained, tmp_path):
    Image.new("RGB", (40, 30), (200, 10, 10)).save(tmp_path / "red.jpg")
    assert here("predict", trained / "model.safetensors", tmp_path / "red.jpg").returncode == 0


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


# Folders and runs


@pytest.fixture
def flowers(tmp_path):
    """A run's folder with a model that tells shades apart, and photographs at several depths."""
    (tmp_path / "run").mkdir()
    expert("daisy", "roses", "tulips").save(tmp_path / "run" / "model.safetensors")
    shaded(tmp_path / "photographs", daisy=2, roses=70)
    shaded(tmp_path / "photographs" / "more", "deep", tulips=3)
    (tmp_path / "photographs" / "notes.txt").write_text("no image")
    return tmp_path


def test_a_run_and_folders_are_taken(here, flowers):
    result = here("predict", flowers / "run", flowers / "photographs", flowers / "photographs" / "daisy" / "000.png")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 76
    for line in lines:
        path, answer = line.rsplit(": ", 1)
        assert answer.split()[0] == Path(path).parent.name
    assert lines[-1].startswith(str(flowers / "photographs" / "daisy" / "000.png"))


def test_a_table_has_a_row_an_image(here, flowers):
    table = flowers / "answers.csv"
    result = here("predict", flowers / "run", flowers / "photographs", "--csv", table, "--top", 2)
    assert result.stdout == f"wrote {table}: 75 images\n"
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "class", "probability", "class_2", "probability_2"]
    assert [row["class"] for row in rows] == [Path(row["image"]).parent.name for row in rows]
    assert all(float(row["probability"]) >= float(row["probability_2"]) for row in rows)
    text = here("predict", flowers / "run", flowers / "photographs", "--csv", "-", "--top", 2).stdout
    assert text == table.read_text(encoding="utf-8")


def test_lines_of_json_are_what_json_says_at_once(here, flowers):
    lines = flowers / "answers.jsonl"
    result = here("predict", flowers / "run", flowers / "photographs", "--jsonl", lines)
    assert result.stdout == f"wrote {lines}: 75 images\n"
    found = [json.loads(line) for line in lines.read_text().splitlines()]
    whole = here("predict", flowers / "run", flowers / "photographs", "--json").stdout
    assert json.loads(whole)["predictions"] == found


def test_what_can_not_be_read_in_a_folder_is_left_out_and_said(here, flowers):
    (flowers / "photographs" / "broken.jpg").write_bytes(b"no image")
    result = here("predict", flowers / "run", flowers / "photographs", "--csv", flowers / "a.csv")
    assert result.returncode == 0
    assert result.stderr.splitlines() == [
        f"warning: {flowers / 'photographs' / 'broken.jpg'}: expected an image, got a file of another kind.",
        "warning: 1 of 76 images can't be read and are left out.",
    ]
    assert result.stdout.endswith(": 75 images\n")
    named = here("predict", flowers / "run", flowers / "photographs" / "broken.jpg", "--csv", flowers / "a.csv")
    assert named.returncode == 2
    assert len((flowers / "a.csv").read_text().splitlines()) == 76  # of before


@pytest.mark.skipif(os.name != "posix", reason="the names are POSIX's")
def test_names_of_any_bytes_come_through(here, flowers):
    folder = flowers / "hostile"
    names = [b"a,b.png", b'"quoted".png', b"two\nlines.png", b"\xff\xfe.png", b"=1+1.png", b"\x1b[2J.png"]
    for name in names:
        save(folder / os.fsdecode(name), SHADES["roses"])
    assert here("predict", flowers / "run", folder, "--csv", flowers / "a.csv").returncode == 0
    with (flowers / "a.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert {os.fsencode(row["image"]) for row in rows} == {os.fsencode(folder) + b"/" + name for name in names}
    assert {row["class"] for row in rows} == {"roses"}
    answers = json.loads(here("predict", flowers / "run", folder, "--json").stdout)["predictions"]
    assert {os.fsencode(answer["image"]) for answer in answers} == {os.fsencode(folder) + b"/" + name for name in names}
    said = here("predict", flowers / "run", folder).stdout
    assert len(said.splitlines()) == len(names)
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["empty"],
            "empty: expected images (.jpg, .png, .webp, .gif, .bmp, .tif and others) in this folder, got none.",
        ),
        (["photographs", "--csv", "a", "--json"], "expected one of --csv, --jsonl and --json."),
        (["photographs", "--csv", "nowhere/a.csv"], "nowhere"),
        (["photographs", "--csv", "empty"], "empty"),
    ],
)
def test_what_folders_can_not_be_is_one_line_and_status_2(here, flowers, arguments, message):
    (flowers / "empty").mkdir()
    result = here("predict", "run", *arguments, cwd=flowers)
    assert result.returncode == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_folder_that_is_no_run_says_so(here, tmp_path, pictures):
    result = here("predict", tmp_path, pictures[0])
    assert result.returncode == 2
    assert result.stderr == (
        f"error: {tmp_path}: expected a model or the folder of a run, got a folder without model.safetensors.\n"
    )


def test_an_image_of_more_pixels_than_is_safe_is_one_line(here, flowers):
    Image.new("1", (10_000, 10_000)).save(flowers / "photographs" / "bomb.png")
    bomb = flowers / "photographs" / "bomb.png"
    named = here("predict", flowers / "run", bomb)
    assert named.returncode == 2
    assert named.stderr == f"error: {bomb}: expected a photograph, got an image of more pixels than is safe to open.\n"
    found = here("predict", flowers / "run", flowers / "photographs")
    assert found.returncode == 0
    assert [line.split(":")[0] for line in found.stderr.splitlines()] == ["warning", "warning"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_a_full_disk_is_said_of_the_file_that_it_is_full_for() -> None:
    from colonnade.cli.predict import _write

    with pytest.raises(OSError, match="/dev/full"):
        _write(Path("/dev/full"), iter(["a line\n"]))
