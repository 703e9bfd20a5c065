"""Whatever a file holds, it is read, or refused in one line: in bounded time and memory."""

from __future__ import annotations

import pytest

from tests.fuzz.campaign import campaign
from tests.fuzz.formats import FORMATS

pytest.importorskip("onnx", reason="onnx is not installed")

FILES = 100  # of each format


@pytest.mark.parametrize("name", FORMATS)
def test_changed_files_are_read_or_refused_in_one_line(name: str) -> None:
    results = list(campaign(FILES, names=[name]))
    assert [f"{each.name} {each.number}: {each.what}" for each in results if each.came == "fault"] == []
    assert {each.came for each in results} >= {"refused"}, "no file was changed so that anything was noticed"
