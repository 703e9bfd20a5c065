"""Where machine code is kept: what was made from other sources, or for other arguments, is never taken for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numba")

from numba.core import config

from colonnade.compiled import compilation
from colonnade.compiled.compilation import compiled


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    return tmp_path


def adder(number: int) -> Any:
    @compiled
    def add(x):  # type: ignore[no-untyped-def]
        return x + number

    return add


def hits(dispatcher: Any) -> int:
    return sum(dispatcher.stats.cache_hits.values())


def test_machine_code_is_kept_and_found_again(folder: Path) -> None:
    first, second = adder(1), adder(1)
    assert first(1) == second(1) == 2
    assert (hits(first), hits(second)) == (0, 1)


def test_each_constant_and_each_type_has_a_file_of_its_own(folder: Path) -> None:
    for number in range(3):
        assert adder(number)(1) == 1 + number
        assert adder(number)(1.5) == 1.5 + number
    assert len(list(folder.rglob("*.nbc"))) == len(list(folder.rglob("*.nbi"))) == 6
    for number in range(3):
        again = adder(number)
        assert (again(1), again(1.5)) == (1 + number, 1.5 + number)
        assert hits(again) == 2


def test_code_from_other_sources_is_not_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adder(1)(1)
    monkeypatch.setattr(compilation, "_sources", lambda: "other")
    other = adder(1)
    assert other(1) == 2
    assert hits(other) == 0


def test_code_for_another_processor_is_not_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adder(1)(1)
    base = compilation.FunctionCache._index_key

    def elsewhere(self: Any, signature: Any, codegen: Any) -> Any:
        return (*base(self, signature, codegen), "another processor")

    monkeypatch.setattr(compilation.FunctionCache, "_index_key", elsewhere)
    other = adder(1)
    assert other(1) == 2
    assert hits(other) == 0


PROGRAM = """
import sys
from tests.compiled.test_compilation import adder, hits

for number in range(8)[:: int(sys.argv[1])]:
    add = adder(number)
    assert add(10) == 10 + number
    print(hits(add))
"""


def test_processes_that_compile_at_once_file_nothing_under_anothers_name(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}

    def start(order: int) -> subprocess.Popen[str]:
        command, root = [sys.executable, "-c", PROGRAM, str(order)], Path(__file__).parents[2]
        return subprocess.Popen(command, env=environment, cwd=root, stdout=subprocess.PIPE, text=True)

    for process in [start(1), start(-1)]:
        process.communicate(timeout=300)
        assert process.returncode == 0
    afterwards = start(1)
    assert afterwards.communicate(timeout=300)[0].split() == ["1"] * 8
    assert afterwards.returncode == 0
