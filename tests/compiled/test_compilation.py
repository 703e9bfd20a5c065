"""Where machine code is kept: what was made from other sources, or for other arguments, is never taken for it."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from numba.core import config
from numba.core.errors import TypingError

from colonnade.compiled import compilation, heard_by
from colonnade.compiled.compilation import compiled, inlined


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
    assert len(list(folder.rglob("*.code"))) == 6
    for number in range(3):
        again = adder(number)
        assert (again(1), again(1.5)) == (1 + number, 1.5 + number)
        assert hits(again) == 2


def test_functions_that_hold_other_functions_are_told_apart_by_those(folder: Path) -> None:
    def twice(inner: Any) -> Any:
        @compiled
        def twice(x):  # type: ignore[no-untyped-def]
            return inner(inner(x))

        return twice

    assert [twice(adder(number))(10) for number in (1, 2)] == [12, 14]
    again = twice(adder(2))
    assert (again(10), hits(again)) == (14, 1)


def test_what_a_function_may_not_hold_is_an_error(folder: Path) -> None:
    with pytest.raises(TypeError, match="A compiled function holds array"):
        adder(np.ones(3))(1)


@pytest.mark.parametrize("made_with", ["another Numba", "other sources"])
def test_code_that_was_made_otherwise_is_not_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch, made_with: str
) -> None:
    adder(1)(1)
    monkeypatch.setattr(compilation, "_made_with", lambda: (made_with,))
    other = adder(1)
    assert other(1) == 2
    assert hits(other) == 0


def test_a_change_of_any_source_changes_what_code_is_made_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "colonnade"
    shutil.copytree(Path(compilation.__file__).parents[1], package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(compilation, "__file__", str(package / "compiled" / "compilation.py"))
    seen = {compilation._made_with.__wrapped__()}
    for number, name in enumerate(["compiled/tiles.py", "compiled/winograd.py", "ops/gates.py"]):
        with (package / name).open("a") as file:
            file.write("#\n")
        seen.add(compilation._made_with.__wrapped__())
        assert len(seen) == number + 2


def test_code_for_another_processor_is_not_taken(folder: Path) -> None:
    adder(1)(1)
    other = "sandybridge" if config.CPU_NAME == "nehalem" else "nehalem"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder), "NUMBA_CPU_NAME": other, "NUMBA_CPU_FEATURES": ""}
    command, root = [sys.executable, "-c", PROGRAM.replace("range(4)", "[1]"), "1"], Path(__file__).parents[2]
    for expected in ("0", "1"):
        run = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=300)
        assert (run.returncode, run.stdout.split()) == (0, [expected]), run.stderr


@pytest.mark.parametrize("damage", [lambda content: content[:100], lambda content: os.urandom(len(content))])
def test_damaged_code_is_made_again(folder: Path, damage: Any) -> None:
    adder(1)(1)
    (path,) = folder.rglob("*.code")
    path.write_bytes(damage(path.read_bytes()))
    for found in (0, 1):
        add = adder(1)
        assert (add(1), hits(add)) == (2, found)


def test_code_is_made_where_nothing_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(compilation, "_folders", lambda: iter([tmp_path / "file" / "folder"]))
    for _ in range(2):
        add = adder(1)
        assert (add(1), hits(add)) == (2, 0)


def test_what_code_from_a_file_raises_is_what_the_function_raises(folder: Path) -> None:
    def halves() -> Any:
        @compiled
        def half(x):  # type: ignore[no-untyped-def]
            if x % 2:
                raise ValueError("half: x must be even")
            return x // 2

        return half

    for found in (0, 1):
        half = halves()
        assert (half(4), hits(half)) == (2, found)
        with pytest.raises(ValueError, match="half: x must be even"):
            half(3)


def test_an_inlined_function_is_called_in_compiled_code_alone(folder: Path) -> None:
    @inlined
    def one():  # type: ignore[no-untyped-def]
        return 1

    @compiled
    def two():  # type: ignore[no-untyped-def]
        return one() + one()

    assert two() == 2
    with pytest.raises(TypeError, match="one: an inlined function, which only compiled ones call"):
        one()


def test_a_listener_is_told_what_is_compiled_and_not_what_is_found(folder: Path) -> None:
    heard: list[str | None] = []
    with heard_by(lambda function, count: heard.append(function)):
        adder(1)(1)
        assert heard == ["adder", None]
        heard.clear()
        adder(1)(1)
    adder(2)(1)
    assert heard == [None]


@pytest.mark.parametrize("collects", [True, False])
def test_garbage_is_collected_after_compiling_as_it_was_before(folder: Path, collects: bool) -> None:
    meanwhile: list[bool] = []

    def fails() -> Any:
        @compiled
        def add(x):  # type: ignore[no-untyped-def]
            return x + "no number"

        return add

    (gc.enable if collects else gc.disable)()
    try:
        with heard_by(lambda function, count: meanwhile.append(gc.isenabled()) if function else None):
            assert adder(1)(1) == 2
            assert gc.isenabled() == collects
            with pytest.raises(TypingError):
                fails()(1)
            assert gc.isenabled() == collects
    finally:
        gc.enable()
    assert meanwhile == [False, False]


PROGRAM = """
import sys
from tests.compiled.test_compilation import adder, hits

for number in range(4)[:: int(sys.argv[1])]:
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
    assert afterwards.communicate(timeout=300)[0].split() == ["1"] * 4
    assert afterwards.returncode == 0
