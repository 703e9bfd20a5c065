"""What a package offers is imported when it is first asked for, and everyone finds it all the same."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import colonnade as cn
from colonnade import composites, data, layers

PACKAGES = [cn, composites, data, layers]


def run(program: str) -> list[str]:
    """What a program of its own prints, in words."""
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_what_the_stub_says_is_there(package: ModuleType) -> None:
    tree = ast.parse(Path(inspect.getfile(package)).with_suffix(".pyi").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            place = importlib.import_module("." * node.level + node.module, package.__name__)
            for alias in node.names:
                if alias.name != "*":
                    assert getattr(package, alias.name) is getattr(place, alias.name)
    assert {*package.__all__} <= {*dir(package)}
    assert len({*package.__all__}) == len(package.__all__)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_no_name_is_a_submodule_too(package: ModuleType) -> None:
    # To import the submodule would put it in the place of what is meant.
    submodules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert [
        name for name in package.__all__ if name in submodules and not inspect.ismodule(getattr(package, name))
    ] == []


def test_names_are_found_in_every_way() -> None:
    assert run("from colonnade import *; print(Dense.__name__, Model.__name__, zoo.__name__)") == [
        *("Dense", "Model", "colonnade.zoo")
    ]
    assert run("from colonnade import Conv2d, load; print(Conv2d.__module__)") == ["colonnade.layers.convolution"]
    assert run("import colonnade.layers as l; print(l.ReLU.__name__)") == ["ReLU"]
    assert run("import colonnade; print(colonnade.plan.cutting.__name__)") == ["colonnade.plan.cutting"]


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'colonnade' has no attribute 'Desne'"):
        cn.Desne  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(layers, "__wrapped__")


def test_a_submodule_that_lacks_what_it_imports_says_so() -> None:
    program = """
import sys
sys.modules["numpy"] = None
import colonnade
try:
    colonnade.tensor
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert run(program) == ["numpy"]


def test_threads_that_ask_at_once_are_given_the_same() -> None:
    program = """
import sys, threading
import colonnade as cn
sys.setswitchinterval(1e-6)
names, found, barrier = cn.__all__, [], threading.Barrier(4)
def ask(names):
    barrier.wait()
    found.append({name: getattr(cn, name) for name in names})
threads = [threading.Thread(target=ask, args=[names[::step]]) for step in (1, -1, 1, -1)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(found), all(each == found[0] for each in found))
"""
    assert run(program) == ["4", "True"]


def test_a_file_names_layers_that_nobody_has_asked_for(tmp_path: Path) -> None:
    model = cn.Model([cn.Conv2d(1, 2, 3), cn.Mish(), cn.Residual([cn.GroupNorm(1, 2)])], seed=0)
    model.save(tmp_path / "model.safetensors")
    program = f"import colonnade; print(*colonnade.load({str(tmp_path / 'model.safetensors')!r}).state_dict())"
    assert run(program) == list(model.state_dict())
