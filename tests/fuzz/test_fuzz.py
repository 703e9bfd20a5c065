"""Whatever a file holds, it is read, or refused in one line: in bounded time and memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.campaign import Reader
from tests.fuzz.formats import FORMATS

pytest.importorskip("onnx", reason="onnx is not installed")

FILES = 250  # of each format
SLOW = {"run, metrics": 10, "run, configuration": 10, "model": 100, "onnx": 150}  # fewer of what takes longest
UNCHANGED = 3  # of the files that are changed
NEVER_REFUSED = {"run, metrics", "run, configuration"}  # a report says what it could not read


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    """A process that reads files."""
    made = Reader()
    yield made
    made.close()


@pytest.mark.parametrize("name", FORMATS)
def test_changed_files_are_read_or_refused_in_one_line(name: str, reader: Reader) -> None:
    results = [reader.read(name, number) for number in range(-UNCHANGED, SLOW.get(name, FILES))]
    assert [f"{each.name} {each.number}: {each.what}" for each in results if each.came == "fault"] == []
    assert "read" in {each.came for each in results if each.number < 0}, "what the changes begin with can't be read"
    assert name in NEVER_REFUSED or "refused" in {each.came for each in results}, "no change was noticed"
