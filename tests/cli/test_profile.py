"""`colonnade profile`, as a person runs it."""

import json
import re

import pytest

import colonnade as cn


def test_profile_has_a_line_a_layer(here):
    result = here("profile", "lenet5", "--batch-size", 8, "--steps", 1)
    assert result.returncode == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    for position, layer in enumerate(cn.zoo.lenet5().layers):
        assert any(line[:2] == [str(position), type(layer).__name__] for line in lines)
    assert lines[-1][0] == "step"


def test_json_is_all_there_is_on_standard_output(here, trained):
    path = trained / "model.safetensors"
    result = here("profile", path, "--data", "digits", "--batch-size", 16, "--steps", 1, "--json")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["model"] == str(path)
    assert answer["shape"] == [16, 1, 8, 8]
    assert (answer["training"], answer["threads"], answer["steps"]) == (True, 1, 1)
    parts = [row["seconds"] for row in answer["rows"]] + list(answer["rest"].values())
    assert sum(parts) == pytest.approx(answer["seconds"])


def test_the_images_of_a_data_set_say_how_large_the_network_is(here):
    result = here("profile", "cnn", "--data", "digits", "--batch-size", 2000, "--steps", 1, "--inference", "--json")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["shape"] == [250, 1, 8, 8]
    assert answer["training"] is False


def test_input_and_threads_are_followed(here):
    options = ["--input", "1,12,16", "--batch-size", 1000, "--threads", 2, "--steps", 1, "--json"]
    answer = json.loads(here("profile", "lenet5", *options).stdout)
    assert answer["shape"] == [1000, 1, 12, 16]
    assert answer["threads"] == 2


def test_a_terminal_gets_the_same_numbers_in_bold(here, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    result = here("profile", "lenet5", "--batch-size", 8, "--steps", 1)
    assert result.returncode == 0, result.stderr
    assert "\x1b[1m" in result.stdout
    assert "…" not in result.stdout
    for word in ("Conv2d", "AvgPool2d", "everything else", "100.0"):
        assert word in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cnm"], "did you mean cnn"),
        (["cnn", "--steps", "0"], "--steps"),
        (["cnn", "--threads", "0"], "--threads"),
        (["cnn", "--input", "1,x"], "--input"),
        (["cnn", "--data", "digit"], "did you mean digits"),
        (["cnn", "--input", "3,8,8", "--data", "digits"], "Conv2d"),
        (["cnn", "--input", "1,2,2"], "4×4"),
    ],
)
def test_what_the_user_got_wrong_is_one_line_and_status_2(here, arguments, message):
    result = here("profile", *arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_model_that_has_seen_no_image_needs_their_size(here, tmp_path):
    path = tmp_path / "model.safetensors"
    cn.Model([cn.Flatten()]).save(path)
    result = here("profile", path)
    assert result.returncode == 2
    assert "--input" in result.stderr
    assert here("profile", path, "--input", "1,4,4", "--steps", 1).returncode == 0


def test_models_of_words_and_of_several_inputs_are_profiled_too(here, tmp_path):
    path = tmp_path / "model.safetensors"
    cn.Model([cn.Embedding(9, 4), cn.Flatten(), cn.Dense(20, 2)]).build((5,)).save(path)
    assert here("profile", path, "--batch-size", 3, "--steps", 1).returncode == 0
    nodes = {"words": (cn.Embedding(9, 4), "tokens"), "y": (cn.MatMul(), "words", "x"), "z": (cn.ReLU(), "y")}
    cn.Model(cn.Graph(nodes, ["tokens", "x"], ["y", "z"])).build(((5,), (4, 2))).save(path)
    result = here("profile", path, "--batch-size", 3, "--steps", 1, "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["shape"] == [[3, 5], [3, 4, 2]]


@pytest.mark.parametrize("columns", [60, 80, 100, 200])
def test_the_table_fits_windows_of_any_width(here, monkeypatch, columns):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    result = here("profile", "cnn", "--input", "1,8,8", "--batch-size", 4, "--steps", 1, "--no-compiled")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout).splitlines()
    assert max(map(len, lines)) <= columns
    assert not any("…" in line for line in lines)
    assert any(re.search(r"forward ms.* backward ms.* %", line) for line in lines)
    assert any("held MB" in line for line in lines) == (columns > 100)
