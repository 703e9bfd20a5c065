"""JSON and TOML by whoever: read, or refused in one line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from colonnade.documents import DEEPEST, is_folder, parse_json, parse_toml, read_bytes, refusing
from colonnade.errors import ArgumentError, FileFormatError, LimitError


def test_json_and_toml_say_what_they_say() -> None:
    assert parse_json('{"a": [1, 2.5, null, true, "ü"], "b": {}}') == {"a": [1, 2.5, None, True, "ü"], "b": {}}
    assert parse_toml(b'a = 1\r\nb = "x"\n[c]\nd = [1, 2]\n') == {"a": 1, "b": "x", "c": {"d": [1, 2]}}
    deep = "[" * DEEPEST + "]" * DEEPEST
    assert parse_json(deep) == json.loads(deep)
    assert parse_json(str(2**128)) == 2**128


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1),
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 5000 + "1" + "}" * 5000,
        "1" + "0" * 400,
        "[1, -1" + "0" * 5000 + "]",
        '{"a": 1' + "0" * 310 + "}",
    ],
    ids=lambda text: f"{text[:6]} {len(text)}",
)
def test_json_that_is_none_or_hostile_is_one_line(text: str) -> None:
    with pytest.raises(FileFormatError, match=r"^not JSON") as caught:
        parse_json(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        b"a = ",
        b"\xff",
        b"a = " + b"[" * 5000,
        b"a = " + b"[" * 5000 + b"]" * 5000,
        b"a." * 5000 + b"a = 1",
        b"a = 1" + b"0" * 400,
        b"a = 1" + b"0" * 5000,
        b"a = 1\na = 2",
        b"[" + b"a." * 3000 + b"a]",
        b"[" + b'"a" . ' * 100_000 + b"a]",
        b"a = '" + b"y" * (1 << 20) + b"'",
    ],
    ids=lambda text: f"{text[:6]!r} {len(text)}",
)
def test_toml_that_is_none_or_hostile_is_one_line(text: bytes) -> None:
    with pytest.raises(FileFormatError, match=r"^not a TOML file") as caught:
        parse_toml(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error", [RecursionError(), KeyError("x"), RuntimeError("a\nb"), MemoryError(), OverflowError()]
)
def test_whatever_is_raised_becomes_one_line_with_its_cause(error: Exception) -> None:
    with pytest.raises(FileFormatError, match=r"^a\.json: damaged \(.+\)\.$") as caught, refusing("a.json: damaged"):
        raise error
    assert caught.value.__cause__ is error
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [ArgumentError("ours"), LimitError("too much"), FileNotFoundError("gone")])
def test_errors_of_ours_and_of_the_disk_pass(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, refusing("a.json: damaged"):
        raise error
    assert caught.value is error


def test_errors_of_ours_are_the_files_fault_where_that_is_said() -> None:
    with pytest.raises(FileFormatError, match=r"damaged \(stride must be positive\)\."), refusing("damaged", ours=True):
        raise ArgumentError("stride must be positive.")


def test_only_plain_files_of_bounded_size_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    assert read_bytes(tmp_path / "a") == b"x"
    with pytest.raises(FileFormatError, match="got a folder"):
        read_bytes(tmp_path)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(FileFormatError, match="at most 67,108,864 bytes, got 1,099,511,627,776"):
        read_bytes(tmp_path / "sparse")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(FileFormatError, match="got a device or pipe"):
            read_bytes(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["y" * 5000, "a\0b", "nowhere"])
def test_what_can_be_no_folder_is_none(name: str, tmp_path: Path) -> None:
    assert is_folder(tmp_path)
    assert not is_folder(tmp_path / name)
