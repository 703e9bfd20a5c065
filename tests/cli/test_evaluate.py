"""`colonnade evaluate`, as a person runs it."""

import json

import numpy as np
import pytest

import colonnade as cn
from colonnade import metrics


def test_evaluate_agrees_with_the_last_line_of_training(run, trained):
    record = json.loads((trained / "metrics.jsonl").read_text().splitlines()[-1])
    result = run("evaluate", trained / "model.safetensors")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == f"test accuracy {record['test_accuracy']:.4f}"


def test_json_is_all_there_is_on_standard_output(run, trained):
    result = run("evaluate", trained / "model.safetensors", "--json")
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


def test_every_class_has_a_line(run, trained):
    lines = run("evaluate", trained / "model.safetensors").stdout.splitlines()
    assert lines[0].split() == ["class", "precision", "recall", "F1", "images"]
    assert [line.split()[0] for line in lines[1:11]] == [str(number) for number in range(10)]
    assert sum(int(line.split()[-1]) for line in lines[1:11]) == 355
    assert len({len(line) for line in lines[:11]}) == 1
    assert lines[11].startswith("expected calibration error 0.")
    assert lines[12].startswith("test loss ")
    assert lines[13].startswith("test accuracy from ")


@pytest.mark.parametrize("content", [None, b"", b"not a model", (2**60).to_bytes(8, "little") + b"{}"])
def test_a_file_that_is_no_model_is_one_line_and_status_2(run, tmp_path, content):
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)
    result = run("evaluate", path)
    assert result.returncode == 2
    assert str(path) in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_a_folder_is_no_model(run, tmp_path):
    result = run("evaluate", tmp_path)
    assert result.returncode == 2
    assert str(tmp_path) in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_images_of_another_size_than_the_model_takes_are_one_line_and_status_2(run, tmp_path):
    cn.zoo.cnn(input_shape=(1, 28, 28)).save(tmp_path / "model.safetensors")
    result = run("evaluate", tmp_path / "model.safetensors", "--data", "digits")
    assert result.returncode == 2
    assert "layer" in result.stderr
    assert len(result.stderr.splitlines()) == 1
