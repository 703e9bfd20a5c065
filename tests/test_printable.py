"""What others wrote is seen by a person as text: escaped and cut, in every place."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.cli.main import main
from colonnade.errors import ColonnadeError
from colonnade.printable import LONGEST_MESSAGE, LONGEST_NAME, printable, shown
from tests.data.pictures import save

HOSTILE = "a\x1b[31m\r\nb\u202e\u2066\x07\x9b\ud800\u2028[red][/]"
ESCAPED = r"a\x1b[31m\r\nb\u202e\u2066\x07\x9b\ud800\u2028[red][/]"


def is_plain(text: str) -> bool:
    """Whether nothing in a text but the ends of lines is obeyed rather than shown."""
    text.encode("utf-8")
    return all(unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for each in text if each != "\n")


def test_controls_marks_of_direction_and_halves_of_characters_are_escaped() -> None:
    assert printable(HOSTILE) == ESCAPED


PLAIN = ["", "rose", "Grünkohl", "日本語", "مرحبا", "می\u200cخواهم", "👩\u200d🌾", "[bold]", "a\\nb", "naïve…"]


@pytest.mark.parametrize("text", PLAIN)
def test_text_that_is_seen_as_itself_stays(text: str) -> None:
    assert printable(text) == text


def test_long_text_keeps_its_ends() -> None:
    made = printable("begin" + "y" * 400_000 + "end")
    assert made.startswith("beginyyy")
    assert made.endswith("yyyend")
    assert "(399,888 more)" in made
    assert len(made) < LONGEST_NAME + 30
    assert printable("y" * LONGEST_NAME) == "y" * LONGEST_NAME


def test_a_value_is_shortened_before_it_is_written_out() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    for value in (nested, "y" * 10**6, [10**6] * 10**6, {name: name for name in range(10**5)}, 7**4000):
        assert len(shown(value)) < 700
    assert shown("a\x1b\u202e") == r"'a\x1b\u202e'"


@pytest.mark.parametrize("kind", [each for each in vars(cn.errors).values() if isinstance(each, type)])
def test_every_error_of_ours_is_one_printable_line(kind: type[Exception]) -> None:
    if not issubclass(kind, ColonnadeError):
        return
    error = kind(f"{HOSTILE}: must be positive, got {'y' * 400_000}.")
    assert is_plain(str(error))
    assert "\n" not in str(error)
    assert str(error).startswith(f"{ESCAPED}: must be positive, got yyy")
    assert str(error).endswith("yyy.")
    assert len(str(error)) < LONGEST_MESSAGE + 100


@pytest.mark.parametrize(
    "make",
    [
        lambda value: cn.Model([cn.ReLU()], dtype=value),
        lambda value: cn.Graph({"a": (cn.ReLU(), value)}),
        lambda value: cn.data.load(value),
        lambda value: cn.MaxPool2d(value),
        lambda value: cn.load(f"/nowhere/{value}"),
        lambda value: cn.Model([cn.Dense(2, 3)]).freeze(value),
    ],
)
@pytest.mark.parametrize("value", [HOSTILE, HOSTILE + "y" * 400_000])
def test_errors_that_echo_what_they_were_given(make: Any, value: str) -> None:
    with pytest.raises((ColonnadeError, OSError)) as caught:
        make(value)
    if isinstance(caught.value, ColonnadeError):
        assert is_plain(str(caught.value))
        assert len(str(caught.value)) < LONGEST_MESSAGE + 100


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A model whose names are all hostile."""
    name = HOSTILE.replace("\ud800", "")
    graph = cn.Graph({name: (cn.Flatten(), "input"), "end": (cn.Dense(64, 2), name)})
    model = cn.Model(graph, seed=0).build((1, 8, 8))
    model.classes = [HOSTILE, "y" * 10_000]
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("command", [["summary"], ["profile", "--steps", "1"], ["predict"], ["explain"]], ids=str)
def test_the_command_line_shows_hostile_names_escaped(
    hostile: Path, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *options = command
    image = save(tmp_path / "a\x1b[2J\n.png", size=(8, 8))
    files = [str(image)] if name in ("predict", "explain") else []
    options += ["--out", str(tmp_path / "out")] if name == "explain" else []
    main([name, str(hostile), *files, *options])
    told = capsys.readouterr()
    assert told.out + told.err
    assert is_plain(told.out + told.err)
    assert max(map(len, (told.out + told.err).splitlines())) < LONGEST_MESSAGE + 100


def test_json_keeps_names_as_they_are(hostile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(hostile), str(save(tmp_path / "a.png", size=(8, 8))), "--top", "2", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {each["class"] for each in answer["predictions"][0]["top"]} == {HOSTILE, "y" * 10_000}


def test_the_error_of_a_command_is_one_printable_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = HOSTILE.replace("\ud800", "\udcff")  # a byte of a file name that is no text
    for wrong in (["summary", name], ["train", "--data", name + "y" * 5000], ["predict", name, "b"], [name]):
        assert main(wrong) == 2
        told = capsys.readouterr().err
        assert is_plain(told)
        assert told.count("\n") == 1
        assert len(told) < LONGEST_MESSAGE + 100


def test_plots_take_no_name_for_mathematics() -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="matplotlib is not installed")
    for name in (r"$\frac{$", HOSTILE):
        axes = cn.plot.confusion_matrix(np.eye(2, dtype=int), [name, "b"])
        axes.figure.canvas.draw()
        assert is_plain(axes.get_xticklabels()[0].get_text())
        cn.plot.images(np.zeros((1, 1, 4, 4)), [name]).figure.canvas.draw()
        pyplot.close("all")


def test_notebooks_show_names_escaped() -> None:
    model = cn.Model(cn.Graph({"<b>\x1b": (cn.ReLU(), "input")})).build((1, 2, 2))
    html = model._repr_html_()
    assert r"&lt;b&gt;\x1b" in html
    assert is_plain(html)
