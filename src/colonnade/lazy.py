"""The names that a package offers, each imported from its module when it is first asked for (PEP 562).

They are written once, in the package's stub `__init__.pyi`, as `from .dense import Dense as Dense`. There editors, type
checkers and the documentation read them, and so does the package itself.
"""

from __future__ import annotations

import _ast  # `ast` itself, which only adds conveniences, takes a few milliseconds to import
import _thread
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ModuleSpec
from typing import Any

PATIENCE = 5.0  # seconds that a fork waits for imports, at most: a module that is imported may wait for anything
PAUSE = 0.001

_importing: set[int] = set()  # the threads that import a name
_forking: int | None = None  # the thread that forks


def attach_stub(spec: ModuleSpec) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What makes a package that imports nothing offer what its stub says: `__getattr__`, `__dir__` and `__all__`.

    A submodule is imported when it is asked for, too. It is in `__all__` if the stub has it as `from . import data as
    data`.

    Args:
        spec: The package's `__spec__`.
    """
    package = sys.modules[spec.name]
    names, places = _read(spec)

    def __getattr__(name: str) -> Any:  # noqa: N807 - it becomes the package's
        if place := places.get(name):
            value = getattr(_imported(place, spec.name), name)
            setattr(package, name, value)
            return value
        if not name.startswith("_"):
            submodule = f"{spec.name}.{name}"
            try:
                return _imported(submodule)
            except ModuleNotFoundError as error:
                if error.name != submodule:  # it is there, and something that it imports is not
                    raise
        raise AttributeError(f"module {spec.name!r} has no attribute {name!r}")

    def __dir__() -> list[str]:  # noqa: N807
        return sorted({*vars(package), *names})

    return __getattr__, __dir__, names


def _imported(name: str, package: str | None = None) -> Any:
    """A module; while it is imported nothing forks.

    The lock of a module that some thread imports is held for good in a child that is forked meanwhile.
    """
    thread = _thread.get_ident()
    if thread in _importing or thread == _forking:
        return import_module(name, package)
    try:
        _importing.add(thread)
        while _forking is not None:  # said after the thread has been put there, so that a fork sees it or is seen
            _importing.discard(thread)
            time.sleep(PAUSE)
            _importing.add(thread)
        return import_module(name, package)
    finally:
        _importing.discard(thread)


def _before_fork() -> None:
    global _forking
    _forking = _thread.get_ident()
    end = time.monotonic() + PATIENCE
    while _importing - {_forking} and time.monotonic() < end:
        time.sleep(PAUSE)


def _after_fork() -> None:
    global _forking
    _forking = None


def _in_child() -> None:
    _importing.intersection_update({_thread.get_ident()})
    _after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)


def _read(spec: ModuleSpec) -> tuple[list[str], dict[str, str]]:
    """The names in a stub, and of those that lie in another module the module."""
    loader: Any = spec.loader
    stub = os.path.join(os.path.dirname(spec.origin or ""), "__init__.pyi")  # noqa: PTH118, PTH120 - pathlib is slow to import
    names: list[str] = []
    places: dict[str, str] = {}
    tree: Any = compile(loader.get_data(stub), stub, "exec", _ast.PyCF_ONLY_AST)
    for node in tree.body:
        if isinstance(node, _ast.AnnAssign) and isinstance(node.target, _ast.Name) and node.target.id != "__all__":
            names.append(node.target.id)  # defined in the package itself
        elif isinstance(node, _ast.ImportFrom) and node.level:
            place = "." * node.level + (node.module or "")
            given = [alias.name for alias in node.names]
            if given == ["*"]:
                given = import_module(place, spec.name).__all__
            names += given
            if node.module:  # otherwise they are submodules
                places |= dict.fromkeys(given, place)
    return names, places
