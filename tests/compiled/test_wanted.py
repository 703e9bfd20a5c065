"""Whether models run compiled: what was said, and otherwise whether there is a Numba that can be used."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import colonnade as cn
from colonnade import compiled
from colonnade.errors import ArgumentError, MissingExtraError


def runs_compiled(setting: bool | None) -> bool:
    plan = cn.zoo.lenet5(compiled=setting).plan((2, 1, 28, 28))
    return any(step.compiled for step in plan.steps)


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLONNADE_COMPILED", raising=False)


@pytest.fixture
def no_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)


@pytest.mark.skipif(not find_spec("numba"), reason="without Numba nothing is compiled")
def test_the_model_decides_then_the_environment_then_whether_numba_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert runs_compiled(None)
    monkeypatch.setenv("COLONNADE_COMPILED", "0")
    assert not runs_compiled(None)
    assert runs_compiled(True)
    monkeypatch.setenv("COLONNADE_COMPILED", "1")
    assert runs_compiled(None)
    assert not runs_compiled(False)


def test_the_environment_says_0_or_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLONNADE_COMPILED", "yes")
    with pytest.raises(ArgumentError, match="COLONNADE_COMPILED must be 0 or 1, got 'yes'"):
        runs_compiled(None)


@pytest.mark.parametrize("variable", ["COLONNADE_COMPILED", "COLONNADE_MEMORY", "COLONNADE_WORK"])
def test_what_the_environment_says_wrongly_is_not_the_fault_of_a_file(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    cn.Model([cn.Dense(3, 2)], compiled=False).build((3,)).save(path)
    monkeypatch.setenv(variable, "bogus")
    with pytest.raises(ArgumentError, match=f"^{variable}.*, got 'bogus'"):
        cn.load(path)


@pytest.mark.parametrize("setting", ["no", 2])
def test_a_model_is_told_true_or_false(setting: object) -> None:
    with pytest.raises(ArgumentError, match="Model: compiled must be True or False, got "):
        cn.Model([cn.Dense(3, 2)], compiled=setting)  # type: ignore[arg-type]


@pytest.mark.usefixtures("no_numba")
def test_without_numba_models_run_in_numpy_and_nothing_is_said() -> None:
    assert not runs_compiled(None)
    assert not runs_compiled(False)


@pytest.mark.usefixtures("no_numba")
@pytest.mark.parametrize("by", ["model", "environment"])
def test_without_numba_a_model_that_must_be_compiled_is_an_error(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLONNADE_COMPILED", "1")
    with pytest.raises(MissingExtraError, match='Model: compiled needs Numba: pip install "colonnade\\[fast\\]"'):
        runs_compiled(True if by == "model" else None)


BROKEN = """
import sys, warnings
import numpy as np, colonnade as cn

x = np.ones((2, 1, 28, 28))
with warnings.catch_warnings(record=True) as said:
    model = cn.zoo.lenet5(seed=1)
    optimizer = cn.SGD(model.parameters(), lr=0.1)
    model.backward(model(x, training=True))
    optimizer.step()
assert np.array_equal(model(x, training=True), model(x, training=True))
print({str(each.message) for each in said})
try:
    cn.zoo.lenet5(compiled=True)(x)
except cn.errors.MissingExtraError as error:
    print(error)
"""


def test_a_numba_that_cannot_be_imported_is_done_without_and_a_warning_says_so(tmp_path: Path) -> None:
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs another NumPy.')")
    path = os.pathsep.join([str(tmp_path), str(Path(cn.__file__).parents[1])])
    environment = os.environ | {"PYTHONPATH": path}
    command = [sys.executable, "-c", BROKEN]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    warning, error = run.stdout.splitlines()
    assert warning == (
        "{'Models run in NumPy: Numba is installed, but cannot be imported: Numba needs another NumPy.'}"
    ), run.stderr
    assert error == "Model: compiled needs Numba, which cannot be imported: Numba needs another NumPy."


@pytest.mark.skipif(not find_spec("numba"), reason="without Numba there is nothing to switch off")
def test_with_numbas_compiler_switched_off_models_run_in_numpy() -> None:
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "COLONNADE_COMPILED": ""}
    command = [sys.executable, "-W", "ignore", "-c", BROKEN]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert "Model: compiled needs Numba, which cannot be imported: NUMBA_DISABLE_JIT is set." in run.stdout, run.stderr


def test_it_is_told_to_the_last_listener_alone() -> None:
    heard: list[tuple[str, str | None]] = []
    with compiled.heard_by(lambda function, count: heard.append(("first", function))):
        with compiled.heard_by(lambda function, count: heard.append(("second", function))):
            compiled.tell("pad")
        compiled.tell(None)
    compiled.tell("pad")
    assert heard == [("second", "pad"), ("first", None)]
