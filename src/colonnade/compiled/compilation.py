"""How Numba compiles the functions of this folder, and what their machine code is kept under.

Numba's own cache has gaps. It takes machine code for valid as long as the file of its function is unchanged, though a
function that it calls may stand in another. It numbers the machine codes of a function in an index, so that two
processes which compile it at once, for other arguments, may file one under the other's number. And it reads whatever
lies in its folder. Here machine code is kept under everything that it was made from, in files that are checked.
"""

from __future__ import annotations

import gc
import hashlib
import os
import pickle
import platform
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from types import FunctionType
from typing import Any, NoReturn

import llvmlite
import numba
import numpy as np
import numpy.ma
from llvmlite.binding import ffi
from numba import njit
from numba.core import config
from numba.core.caching import NullCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, CompileResult
from numba.core.dispatcher import Dispatcher
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

from ..turns import undisturbed
from . import elementwise, machine_code, tell  # noqa: F401 - elementwise says what + and * of tiles mean

if config.DISABLE_JIT:
    raise ImportError("NUMBA_DISABLE_JIT is set.")


class _Library(JITCodeLibrary):
    """A function's code on its way through LLVM, by the passes over the whole of it alone.

    Numba has LLVM go over each function of it first. Tiles are so many values that this is a tenth of the time, and
    the code that comes out is as fast without.
    """

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout


class _Compiler(Compiler):
    """Numba's compiler, with such a library."""

    def __init__(self, typing: Any, target: Any, library: Any, *arguments: Any) -> None:
        library = _Library(target.codegen(), "colonnade")
        library.enable_object_caching()
        super().__init__(typing, target, library, *arguments)


# Of all: what divides by zero goes on as in NumPy, and nobody asks for a function of C.
_OPTIONS = {"error_model": "numpy", "no_cfunc_wrapper": True, "pipeline_class": _Compiler}


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have Numba write a function out wherever a compiled one calls it, so that its tiles stay in registers."""

    def refuse(*arguments: Any) -> NoReturn:
        raise TypeError(f"{function.__name__}: an inlined function, which only compiled ones call.")

    dispatcher: Any = njit(**_OPTIONS, forceinline=True, no_cpython_wrapper=True)(function)
    dispatcher._compile_for_args = refuse
    dispatcher._insert = lambda *entry: None  # it has none that Python could enter by
    return dispatcher


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have Numba compile a function at its first call for each combination of types, and keep the machine code."""
    dispatcher: Any = njit(**_OPTIONS, nogil=True)(function)
    dispatcher._cache = _Kept(function)
    dispatcher.compile = _without_collection()(dispatcher.compile)
    make = dispatcher._compile_for_args

    def make_and_tell(*arguments: Any) -> Any:
        try:
            return make(*arguments)
        finally:
            tell(None)

    # What a call does in Python: where it meets an unknown type, and where it finds no machine code for its arguments.
    dispatcher.typeof_pyval = partial(undisturbed, dispatcher.typeof_pyval)
    dispatcher._compile_for_args = partial(undisturbed, make_and_tell)
    return dispatcher


def entry(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Callable[..., Any]:
    """What a call of a function with these arguments comes to, found once.

    Of a compiled one it is its machine code for arguments of their types, compiled if need be: calling it with the same
    objects takes a third of the time, because nothing is looked up. Any other function is returned as it is.
    """
    if not isinstance(function, Dispatcher):
        return function
    try:
        made: Callable[..., Any] = undisturbed(_machine_code, function, arguments)  # once: each time takes a thread
    finally:
        tell(None)
    return made


def _machine_code(function: Dispatcher, arguments: tuple[Any, ...]) -> Any:
    return function.compile(tuple(function.typeof_pyval(argument) for argument in arguments))


@contextmanager
def _without_collection() -> Iterator[None]:
    """Have Python collect no garbage: to look through all that a compiler holds takes a tenth of its time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@lru_cache
def _made_with() -> tuple[str, ...]:
    """All that any machine code is made with: versions, and a digest of the sources of compiled functions."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted([*package.glob("compiled/*.py"), *package.glob("ops/*.py")]):
        digest.update(path.read_bytes())
    versions = numba.__version__, llvmlite.__version__, np.__version__, platform.python_version()
    return (*versions, digest.hexdigest())


def _told(value: Any) -> Any:
    """What a compiled function is made from, told the same in each process: its name, and what it holds of its makers.

    Raises:
        TypeError: It holds what cannot be told.
    """
    if isinstance(value, Dispatcher):
        value = value.py_func
    if isinstance(value, FunctionType):
        held = [_told(cell.cell_contents) for cell in value.__closure__ or ()]
        return value.__module__, value.__qualname__, value.__code__.co_code, held
    if isinstance(value, tuple):
        return [_told(each) for each in value]
    if isinstance(value, int | float | str | None):
        return value
    raise TypeError(f"A compiled function holds {value!r}, by which its machine code cannot be found again.")


class _Kept(NullCache):
    """Where a dispatcher finds machine code, and leaves it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def _key(self, signature: Any, context: Any) -> str:
        return repr((_told(self._function), signature, context.codegen().magic_tuple(), _made_with()))

    def load_overload(self, signature: Any, context: Any) -> Any:
        """The machine code for arguments of these types, if it was kept."""
        content = machine_code.read(_folders(), self._function.__name__, self._key(signature, context))
        if content is None:
            tell(self._function.__qualname__.partition(".")[0])
            return None
        rtsys.initialize(context)
        return CompileResult._rebuild(context, *pickle.loads(content))  # noqa: S301 - our own, see machine_code.py

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep it, unless it holds addresses of this process."""
        if not result.library.has_dynamic_globals:
            key = self._key(signature, result.target_context)
            machine_code.write(_folders(), self._function.__name__, key, dumps(result._reduce()))


def _folders() -> Iterator[Path]:
    return machine_code.folders(config.CACHE_DIR)


def _free_llvm() -> None:
    """Give a forked child a lock of its own around LLVM: any thread takes it whose garbage has something of LLVM's."""
    lock = ffi.lib._lock
    if lock._lock.acquire(blocking=False):
        lock._lock.release()
    else:
        lock._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_llvm)
