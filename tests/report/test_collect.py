"""The numbers of a report are those of the run, the model and the data; what is missing is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import DataError
from colonnade.report import collect, render


@pytest.fixture(scope="module")
def report(finished: Path):
    return collect(finished, steps=1, version="1.2.3")


def test_the_judgement_is_what_the_model_says_of_the_images_held_out(report, finished):
    x, y = cn.data.load("digits").test
    probabilities = cn.load(finished / "model.safetensors").predict_proba(x)
    predicted = probabilities.argmax(axis=1)
    judged = report.judgement
    assert judged.images == len(y)
    assert judged.wrong == np.count_nonzero(predicted != y)
    assert judged.accuracy == pytest.approx(np.mean(predicted == y))
    assert judged.accuracy == pytest.approx(report.history[-1]["test_accuracy"])
    assert judged.interval[0] < judged.accuracy < judged.interval[1]
    expected = np.zeros((10, 10), int)
    for true, answer in zip(y, predicted, strict=True):
        expected[true, answer] += 1
    assert judged.matrix == expected.tolist()
    assert [each["support"] for each in judged.reports] == np.bincount(y, minlength=10).tolist()
    assert judged.calibration.counts.sum() == len(y)


def test_the_mistakes_are_the_surest_wrong_answers_surest_first(report, finished):
    x, y = cn.data.load("digits").test
    probabilities = cn.load(finished / "model.safetensors").predict_proba(x)
    mistakes = report.judgement.mistakes
    assert 0 < len(mistakes) <= 24
    assert [each.confidence for each in mistakes] == sorted((each.confidence for each in mistakes), reverse=True)
    for each in mistakes:
        assert each.name == str(y[each.position]) != each.taken_for == str(probabilities[each.position].argmax())
        assert each.confidence == pytest.approx(probabilities[each.position].max())
    shown = {each.position for each in mistakes}
    others = [i for i in np.flatnonzero(probabilities.argmax(axis=1) != y) if i not in shown]
    assert all(probabilities[i].max() <= mistakes[-1].confidence for i in others)


def test_the_confusions_are_the_largest_numbers_beside_the_diagonal(report):
    counts = np.array(report.judgement.matrix)
    np.fill_diagonal(counts, 0)
    found = [each.images for each in report.judgement.confusions]
    assert found == sorted(counts.ravel(), reverse=True)[: len(found)]


def test_memory_and_time_are_of_the_batch_size_of_the_run(report):
    assert report.memory.shape == (64, 1, 8, 8)
    assert report.profile.shape == (64, 1, 8, 8)
    assert report.profile.steps == 1
    assert report.filters.shape == (8, 1, 3, 3)
    assert len(report.filters.uris) == 8
    assert report.parameters == 8 * 9 + 8 + 16 + 720 + 10
    assert report.missing == {}
    assert (report.name, report.version) == ("digits-small", "1.2.3")


def test_a_run_whose_data_moved_away_is_shown_without_them(run):
    (run / "config.toml").write_text('data = "photographs-that-were-here"\n')
    report = collect(run, steps=0)
    assert report.judgement is None
    assert "photographs-that-were-here" in report.missing["judgement"]
    assert report.history
    assert report.memory is not None
    assert report.missing["profile"] == "No step was timed, as was asked for."


def test_data_can_be_named_anew(run):
    (run / "config.toml").write_text('data = "photographs-that-were-here"\n')
    assert collect(run, data="digits", steps=0).judgement is not None


def test_a_folder_of_images_lies_where_the_configuration_says_beside_it(run):
    from PIL import Image

    for part in ("train", "val"):
        for name in map(str, range(10)):
            (run / "digits" / part / name).mkdir(parents=True)
            Image.new("L", (8, 8), 255).save(run / "digits" / part / name / f"{part}{name}.png")
    (run / "config.toml").write_text('data = "images"\n')
    (run / "digits").rename(run / "images")
    assert collect(run, steps=0).judgement.images == 10


def test_a_run_without_a_configuration_says_so_and_asks_for_the_data(run):
    (run / "config.toml").unlink()
    report = collect(run, steps=0)
    assert report.missing["configuration"] == "The run has no config.toml."
    assert "--data" in report.missing["judgement"]
    assert report.memory.shape[0] == 64


@pytest.mark.parametrize("content", [b"\xff\xfe", b"= 3", b'data = "digits"\nbatch_size = "many"\n'])
def test_a_broken_configuration_is_no_obstacle(run, content):
    (run / "config.toml").write_bytes(content)
    report = collect(run, steps=0)
    assert ("configuration" in report.missing) is (b"batch" not in content)
    assert report.memory.shape[0] == 64


def test_an_interrupted_run_has_its_curves_alone(run):
    (run / "model.safetensors").unlink()
    report = collect(run)
    assert len(report.history) == 2
    for section in ("judgement", "filters", "memory", "profile"):
        assert "did not come to its end" in report.missing[section]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "no epoch of the run is over"),
        ("{", "can't be read"),
        ('{"epoch": 1}\n[1, 2]\n', "no records"),
        (None, "no epoch of it is over"),
    ],
)
def test_broken_metrics_are_no_obstacle(run, content, reason):
    if content is None:
        (run / "metrics.jsonl").unlink()
    else:
        (run / "metrics.jsonl").write_text(content)
    report = collect(run, steps=0)
    assert reason in report.missing["curves"]
    assert report.judgement is not None


def test_a_model_that_is_none_is_said_to_be_none(run):
    (run / "model.safetensors").write_bytes(b"no model")
    assert "can't be read" in collect(run).missing["judgement"]


def test_a_model_of_rows_is_said_to_take_no_images(run):
    cn.Model([cn.Dense(3, 2)]).build((3,)).save(run / "model.safetensors")
    assert "takes no images" in collect(run).missing["memory"]


def test_images_of_another_size_or_other_classes_are_not_judged(run):
    other = cn.zoo.cnn((1, 12, 12), 10)
    other.save(run / "model.safetensors")
    assert "expected images of shape (1, 12, 12), got (1, 8, 8)" in collect(run, steps=0).missing["judgement"]
    other = cn.zoo.cnn((1, 8, 8), 10)
    other.classes = [f"digit {number}" for number in range(10)]
    other.save(run / "model.safetensors")
    assert "expected the classes of the model" in collect(run, steps=0).missing["judgement"]


def test_classes_in_another_order_or_fewer_are_judged_by_name(run):
    from tests.data.pictures import expert, shaded

    expert("tulips", "daisy", "roses").save(run / "model.safetensors")
    shaded(run / "images", "train", daisy=1, roses=1)
    shaded(run / "images", "val", daisy=2, roses=3)
    (run / "config.toml").write_text('data = "images"\n')
    with pytest.warns(UserWarning, match="1 of the model's classes has no images here: tulips"):
        judged = collect(run, steps=0).judgement
    assert (judged.images, judged.accuracy, judged.classes) == (5, 1, ["tulips", "daisy", "roses"])
    assert [each["support"] for each in judged.reports] == [0, 2, 3]


def test_a_model_without_a_convolution_has_no_filters(run):
    cn.Model([cn.Flatten(), cn.Dense(64, 10)]).build((1, 8, 8)).save(run / "model.safetensors")
    report = collect(run, steps=0)
    assert report.filters is None
    assert "no convolution" in report.missing["filters"]
    assert report.judgement is not None


def test_a_folder_that_no_run_left_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"expected a run's metrics\.jsonl, .* got none of them"):
        collect(tmp_path)
    with pytest.raises(DataError, match="expected the folder of a run, got nothing there"):
        collect(tmp_path / "nowhere")
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(DataError, match="got a file"):
        collect(file)


def test_numbers_that_are_none_stay_what_they_are(run):
    record = {"epoch": 1, "train_loss": float("nan"), "test_loss": None, "train_accuracy": "half"}
    (run / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    assert collect(run, steps=0).history[0]["train_accuracy"] == "half"


@pytest.mark.parametrize(
    "line", ["[" * 5000 + "]" * 5000, '{"a":' * 3000, '{"epoch": 1' + "0" * 400 + "}", "{", b"\xff".decode("latin-1")]
)
def test_lines_of_metrics_that_can_not_be_read_are_said(run: Path, line: str) -> None:
    with (run / "metrics.jsonl").open("a", encoding="latin-1") as file:
        file.write(line + "\n")
    report = collect(run, steps=0)
    assert report.missing["curves"].startswith("metrics.jsonl can't be read (not JSON")
    assert report.judgement is not None


@pytest.mark.parametrize("value", ["y" * 5000, "a\\u0000b", "../nowhere"])
@pytest.mark.parametrize("name", ["data", "data_dir"])
def test_a_configuration_that_names_no_folder_there_can_be_is_said(run: Path, name: str, value: str) -> None:
    with (run / "config.toml").open("w") as file:
        file.write("".join(f'{each} = "{value if each == name else "mnist"}"\n' for each in ("data", "data_dir")))
    report = collect(run, steps=0)
    assert report.missing["judgement"].startswith("The images held out can't be judged: ")


def test_names_and_values_of_a_run_are_shown_escaped_and_cut(run: Path) -> None:
    (run / "config.toml").write_text('data = "digits"\n"\\u001b[31m" = "\\u202e' + "y" * 10_000 + '"\n')
    long = "y" * 10_000
    (run / "metrics.jsonl").write_text(f'{{"epoch": 1, "\\u001b": "\\u0007\\u202e", "train_loss": [1, "{long}"]}}\n')
    page = render(collect(run, steps=0))
    for hidden in ("\x1b", "\x07", "\u202e", "y" * 1000):
        assert hidden not in page
    assert r"\x1b[31m" in page
    assert r"\u202eyyy" in page
