"""`colonnade summary`, as a person runs it."""

import json

import pytest

import colonnade as cn


def test_summary_of_a_network_is_that_of_the_model(here):
    result = here("summary", "cnn", "--input", "1,28,28", "--batch-size", 128)
    assert result.returncode == 0, result.stderr
    assert result.stdout.rstrip("\n") == cn.zoo.cnn().summary((1, 28, 28), batch_size=128).rstrip("\n")


def test_summary_of_a_file_knows_its_input(here, trained):
    model = cn.load(trained / "model.safetensors")
    result = here("summary", trained / "model.safetensors")
    assert result.returncode == 0, result.stderr
    assert result.stdout.rstrip("\n") == model.summary(model.input_shape).rstrip("\n")


def test_json_counts_what_the_model_holds(here):
    result = here("summary", "cnn", "--input", "1,28,28", "--batch-size", 128, "--json")
    answer = json.loads(result.stdout)
    model = cn.zoo.cnn(input_shape=(1, 28, 28))
    assert answer["parameters"] == sum(parameter.value.size for parameter in model.parameters())
    assert answer["input_shape"] == [1, 28, 28]
    assert answer["batch_size"] == 128


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cnm"], "did you mean cnn"),
        (["nothing-like-it"], "nothing-like-it"),
        (["cnn", "--input", "28"], "(c, h, w)"),
        (["cnn", "--input", "1,28,x"], "--input"),
        (["cnn", "--input", "1,0,28"], "--input"),
        (["cnn", "--input", "1,28,28", "--batch-size", "0"], "--batch-size"),
    ],
)
def test_what_the_user_got_wrong_is_one_line_and_status_2(here, arguments, message):
    result = here("summary", *arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_model_larger_than_memory_is_one_line_and_status_2(here):
    result = here("summary", "cnn", "--input", "1,40000000,40000000")
    assert result.returncode == 2
    assert "more than the" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert len(result.stderr.splitlines()) == 1


def test_an_image_too_small_for_the_network_is_one_line_and_status_2(here):
    result = here("summary", "vgg", "--input", "3,2,2")
    assert result.returncode == 2
    assert "2×2" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("columns", [60, 80, 100, 200])
def test_the_table_is_as_wide_as_the_window(here, monkeypatch, columns):
    monkeypatch.setattr("colonnade.cli.summary.width", lambda: columns)
    lines = here("summary", "cnn", "--input", "1,28,28").stdout.splitlines()
    table = lines[: lines.index(lines[1], 2) + 1]
    assert max(map(len, table)) <= columns
    assert table[0].split()[:3] == ["layer", "output", "parameters"]
    assert ("kept bytes" in table[0]) == (columns > 60)
    assert len(table[1]) == max(map(len, table))
