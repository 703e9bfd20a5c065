"""`colonnade evaluate`, as a person runs it."""

import json
import shutil

import numpy as np
import pytest

import colonnade as cn
from colonnade import metrics
from tests.data.pictures import expert, shaded


def test_evaluate_agrees_with_the_last_line_of_training(here, trained):
    record = json.loads((trained / "metrics.jsonl").read_text().splitlines()[-1])
    result = here("evaluate", trained / "model.safetensors")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == f"test accuracy {record['test_accuracy']:.4f}"


def test_json_is_all_there_is_on_standard_output(here, trained):
    result = here("evaluate", trained / "model.safetensors", "--json")
    answer = json.loads(result.stdout)
    assert set(answer) >= {"model", "data", "loss", "accuracy"}
    digits = cn.data.load("digits")
    classes = cn.load(trained / "model.safetensors").predict(digits.test.x)
    assert answer["accuracy"] == pytest.approx(np.mean(classes == digits.test.y))
    assert answer["interval"] == list(metrics.wilson(int(np.sum(classes == digits.test.y)), 355))
    assert np.trace(answer["confusion"]) == np.sum(classes == digits.test.y)
    assert answer["classes"][3] == {"class": "3", **metrics.class_reports(answer["confusion"])[3]}
    assert answer["top_5"] >= answer["accuracy"]
    assert sum(each["images"] for each in answer["calibration"]["bins"]) == 355
    assert len(answer["calibration"]["bins"]) == 15


def test_every_class_has_a_line(here, trained):
    lines = here("evaluate", trained / "model.safetensors").stdout.splitlines()
    assert lines[0].split() == ["class", "precision", "recall", "F1", "images"]
    assert [line.split()[0] for line in lines[1:11]] == [str(number) for number in range(10)]
    assert sum(int(line.split()[-1]) for line in lines[1:11]) == 355
    assert len({len(line) for line in lines[:11]}) == 1
    assert lines[11].startswith("expected calibration error 0.")
    assert lines[12].startswith("test loss ")
    assert lines[13].startswith("test accuracy from ")


@pytest.mark.parametrize("content", [None, b"", b"not a model", (2**60).to_bytes(8, "little") + b"{}"])
def test_a_file_that_is_no_model_is_one_line_and_status_2(here, tmp_path, content):
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)
    result = here("evaluate", path)
    assert result.returncode == 2
    assert str(path) in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_a_folder_is_no_model(here, tmp_path):
    result = here("evaluate", tmp_path)
    assert result.returncode == 2
    assert str(tmp_path) in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_images_of_another_size_than_the_model_takes_are_one_line_and_status_2(here, tmp_path):
    cn.zoo.cnn(input_shape=(1, 28, 28)).save(tmp_path / "model.safetensors")
    result = here("evaluate", tmp_path / "model.safetensors", "--data", "digits")
    assert result.returncode == 2
    assert "layer" in result.stderr
    assert len(result.stderr.splitlines()) == 1


# Folders: which photographs, and of which classes

KNOWN = ("tulips", "daisy", "roses")  # not sorted: a place tells nothing


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A file of a model that is right on all, if its classes are paired rightly."""
    path = tmp_path_factory.mktemp("expert") / "model.safetensors"
    expert(*KNOWN).save(path)
    return path


def evaluated(result, title, images, *warnings):
    """Holds that all is right, and what is said of the images on standard error."""
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "test accuracy 1.0000"
    assert f"(95 % Wilson interval, {images:,} images)" in result.stdout.splitlines()[-2]
    *warned, said = result.stderr.splitlines()
    assert said.startswith(title)
    assert f", {images:,} photographs of " in said
    assert warned == [f"warning: {each}" for each in warnings]


def test_a_folder_without_parts_is_tested_whole(here, model, tmp_path):
    shaded(tmp_path, daisy=5, roses=6, tulips=7)
    evaluated(here("evaluate", model, "--data", tmp_path), f"{tmp_path}: all that is there", 18)
    answer = json.loads(here("evaluate", model, "--data", tmp_path, "--json").stdout)
    assert (answer["n"], answer["part"], answer["accuracy"]) == (18, "all", 1)
    for part, images in (("all", 18), ("train", 15), ("val", 3)):
        evaluated(here("evaluate", model, "--data", tmp_path, "--part", part), f"{tmp_path}: ", images)


@pytest.mark.parametrize("held_out", ["val", "Validation", "test"])
def test_a_folder_with_parts_is_tested_on_what_is_held_out(here, model, tmp_path, held_out):
    shaded(tmp_path, "train", daisy=5, roses=6, tulips=7)
    shaded(tmp_path, held_out, daisy=1, roses=2, tulips=3)
    shaded(tmp_path, "testing", daisy=1, roses=1, tulips=1)
    evaluated(here("evaluate", model, "--data", tmp_path), f"{tmp_path / held_out}: the part held out", 6)
    for part, title, images in (
        ("val", f"{tmp_path / held_out}: the part held out", 6),
        ("train", f"{tmp_path / 'train'}: the part to learn from", 18),
        ("all", f"{tmp_path}: all that is in ", 27),
    ):
        evaluated(here("evaluate", model, "--data", tmp_path, "--part", part), title, images)
    evaluated(here("evaluate", model, "--data", tmp_path / "train"), f"{tmp_path / 'train'}: all that is there", 18)


def test_parts_of_a_data_set_by_name(here, trained):
    for part, images in (("val", 355), ("train", 1442), ("all", 1797)):
        result = here("evaluate", trained / "model.safetensors", "--part", part)
        assert f", {images:,} images of 10 classes" in result.stderr
        assert f", {images:,} images)" in result.stdout.splitlines()[-2]


def test_classes_are_paired_by_name_and_the_missing_are_said(here, model, tmp_path):
    shaded(tmp_path, roses=2, tulips=3)
    warning = f"{tmp_path}: 1 of the model's classes has no images here: daisy."
    result = here("evaluate", model, "--data", tmp_path)
    evaluated(result, f"{tmp_path}: all that is there", 5, warning)
    lines = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()[1:4]}
    assert lines["daisy"] == ["0.0000", "–", "–", "0"]
    assert lines["roses"] == ["1.0000", "1.0000", "1.0000", "2"]
    shaded(tmp_path / "one", roses=2)
    evaluated(here("evaluate", model, "--data", tmp_path / "one"), "", 2, *[
        f"{tmp_path / 'one'}: 2 of the model's classes have no images here: tulips, daisy."
    ])  # fmt: skip


def test_parts_that_have_other_classes_each_are_paired_one_by_one(here, model, tmp_path):
    shaded(tmp_path, "train", daisy=2, roses=3)
    shaded(tmp_path, "val", roses=4, tulips=5)
    evaluated(here("evaluate", model, "--data", tmp_path, "--part", "all"), f"{tmp_path}: all that is in train and", 14)


def test_a_class_that_the_model_does_not_know_is_one_line_and_status_2(here, model, trained, tmp_path):
    shaded(tmp_path, roses=2, sunflowers=3)
    result = here("evaluate", model, "--data", tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == (
        f"error: {tmp_path}: expected the classes of the model (tulips, daisy, roses), got sunflowers, "
        "which it has not.\n"
    )
    named = cn.load(trained / "model.safetensors")
    named.classes = [f"digit {number}" for number in range(10)]
    named.save(tmp_path / "named.safetensors")
    assert "got 0, 1, 2" in here("evaluate", tmp_path / "named.safetensors").stderr


def test_a_model_without_names_is_told_by_order_and_says_so(here, tmp_path):
    model = expert("daisy", "roses", "tulips")
    model.classes = None
    model.save(tmp_path / "model.safetensors")
    shaded(tmp_path / "photographs", daisy=1, roses=2, tulips=3)
    result = here("evaluate", tmp_path / "model.safetensors", "--data", tmp_path / "photographs")
    assert result.stdout.splitlines()[-1] == "test accuracy 1.0000"
    assert "model.safetensors has no names of classes: they are taken in the order of the data's." in result.stderr


def test_photographs_are_read_as_large_and_as_colourful_as_the_model_takes_them(here, tmp_path):
    cn.Model([cn.Flatten(), cn.Dense(35, 2)], seed=0).build((1, 5, 7)).save(tmp_path / "model.safetensors")
    shaded(tmp_path / "photographs", daisy=1, roses=2)
    assert here("evaluate", tmp_path / "model.safetensors", "--data", tmp_path / "photographs").returncode == 0


def test_parts_that_are_not_there_are_one_line_and_status_2(here, model, tmp_path):
    shaded(tmp_path, "test", daisy=1, roses=2, tulips=3)
    evaluated(here("evaluate", model, "--data", tmp_path), f"{tmp_path / 'test'}: the part held out", 6)
    for part, message in (("train", "expected a part to learn from"), ("test", "'test' is not one of 'val', 'train'")):
        result = here("evaluate", model, "--data", tmp_path, "--part", part)
        assert result.returncode == 2
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_what_is_left_out_is_said_in_a_line(here, model, tmp_path):
    shaded(tmp_path, daisy=1, roses=2, tulips=3)
    (tmp_path / "roses" / "1.HEIC").touch()
    (tmp_path / "tulips" / "2.txt").touch()
    (tmp_path / "tulips" / "Thumbs.db").touch()
    shutil.copytree(tmp_path / "roses", tmp_path / "tulips" / "@eaDir")
    shutil.copytree(tmp_path / "roses", tmp_path / "__MACOSX" / "roses")
    warning = f"{tmp_path}: left out 2 files: .heic 1, .txt 1."
    evaluated(here("evaluate", model, "--data", tmp_path), f"{tmp_path}: all that is there", 6, warning)
    result = here("train", "--data", tmp_path, "--epochs", 1, "--model", "mlp", "--out", tmp_path / "out")
    assert result.returncode == 2  # a single daisy can't be divided
    assert result.stderr.splitlines()[0] == f"warning: {warning}"


def test_names_of_folders_and_classes_are_shown_without_their_control_characters(here, tmp_path):
    model = expert("daisy", "roses", "tulips")
    model.classes = ["daisy", "roses", "\x1b[31mtulips"]
    model.save(tmp_path / "model.safetensors")
    place = shaded(tmp_path / "\x1b[2Jphotographs", daisy=1, roses=2)
    (place / "roses" / "1.\x1b[5m").touch()
    result = here("evaluate", tmp_path / "model.safetensors", "--data", place)
    assert result.returncode == 0, result.stderr
    assert "\x1b" not in result.stdout + result.stderr
    assert len(result.stderr.splitlines()) == 3
    assert r"have no images here: \x1b[31mtulips." in result.stderr.replace("has", "have")


# A run knows its data


def test_a_run_is_tested_on_what_it_held_out(here, trained, tmp_path):
    told = here("evaluate", trained / "model.safetensors")
    assert here("evaluate", trained).stdout == told.stdout
    shaded(tmp_path / "photographs", daisy=10, roses=10)
    run = tmp_path / "run"
    options = ("--epochs", 1, "--size", 16, "--model", "mlp")
    assert here("train", "--data", tmp_path / "photographs", "--out", run, *options).returncode == 0
    record = json.loads((run / "metrics.jsonl").read_text())
    result = here("evaluate", run)
    assert result.stdout.splitlines()[-1] == f"test accuracy {record['test_accuracy']:.4f}"
    assert result.stderr.startswith(f"{tmp_path / 'photographs'}: the share held out when it is split, 4 photographs")
    answer = json.loads(here("evaluate", run, "--json", "--part", "all").stdout)
    assert (answer["n"], answer["data"], answer["part"]) == (20, str(tmp_path / "photographs"), "all")


def test_images_that_a_run_left_out_are_left_out_again(here, tmp_path):
    shaded(tmp_path / "photographs", daisy=10, roses=10)
    (tmp_path / "photographs" / "daisy" / "003.png").write_bytes(b"no image")
    options = ("--data", tmp_path / "photographs", "--epochs", 1, "--model", "mlp", "--size", 16)
    failed = here("train", *options, "--out", tmp_path / "run")
    assert failed.returncode == 2
    assert "003.png: expected an image" in failed.stderr
    result = here("train", *options, "--out", tmp_path / "run", "--on-error", "skip")
    assert result.returncode == 0, result.stderr
    record = json.loads((tmp_path / "run" / "metrics.jsonl").read_text())
    evaluated = here("evaluate", tmp_path / "run")
    assert evaluated.stdout.splitlines()[-1] == f"test accuracy {record['test_accuracy']:.4f}"
    assert len([line for line in evaluated.stderr.splitlines() if "an image is left out" in line]) == 1


def test_a_folder_that_is_said_is_tested_whole_even_if_it_is_the_runs_own(here, tmp_path, model):
    shaded(tmp_path / "photographs", daisy=5, roses=6, tulips=7)
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(model, run)
    (run / "config.toml").write_text('data = "../photographs"')
    evaluated(here("evaluate", run), f"{run}/../photographs: the share held out", 3)
    evaluated(here("evaluate", run, "--data", tmp_path / "photographs"), f"{tmp_path / 'photographs'}: all that", 18)


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_lines_are_as_wide_as_the_window(here, tmp_path, monkeypatch, columns):
    names = ["daisy with a very long name that goes on and on and on, and then on", "roses", "tulips"]
    model = expert("daisy", "roses", "tulips")
    model.classes = names
    model.save(tmp_path / "model.safetensors")
    place = shaded(tmp_path / "photographs", roses=1)
    monkeypatch.setattr("colonnade.cli.evaluate.width", lambda: columns)
    lines = here("evaluate", tmp_path / "model.safetensors", "--data", place).stdout.splitlines()[:4]
    assert len({len(line) for line in lines}) == 1
    assert max(map(len, lines)) <= columns
    assert lines[1].startswith(names[0][:10])
    assert ("…" in lines[1]) == (columns < 120)
