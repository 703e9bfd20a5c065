"""Functions on arrays that Numba compiles: what `ops` computes in NumPy, at the speed of the processor.

Only this module is imported before a plan wants compiled functions, and with it no Numba. docs/architecture.md tells
how compiled leaves enter a plan, tiles.py what the functions are made of.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from ..errors import ArgumentError, MissingExtraError
from ..turns import undisturbed

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

VARIABLE = "COLONNADE_COMPILED"


# Called with the name of a function as it is begun to be compiled and how many have been in this process, and with None
# when it is done; from another thread.
Listener = Callable[[str | None, int], None]

_listeners: list[Listener] = []
_begun = 0


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Have a listener told of all that is compiled meanwhile, and nobody who was before."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def tell(function: str | None) -> None:
    """Tell the last listener that a function is being compiled, or with None that none is."""
    global _begun
    _begun += function is not None
    for listener in _listeners[-1:]:
        listener(function, _begun)


def installed() -> bool:
    """Whether there is a Numba to compile with."""
    return importlib.util.find_spec("numba") is not None


def wanted(setting: bool | None, dtype: DTypeLike) -> bool:
    """Whether a model of this type of numbers is to run compiled.

    Args:
        setting: True or False, or None for what the environment variable `COLONNADE_COMPILED` says, 0 or 1; without
            it, for yes wherever Numba is installed.
        dtype: Compiled functions are of float32; all else runs in NumPy.

    Raises:
        ArgumentError: The variable has another value.
        MissingExtraError: Yes was said, and Numba is not installed.
    """
    import numpy as np  # the command line lists its commands without it

    said = _said(setting)
    if said and not installed():
        raise MissingExtraError('Model: compiled needs Numba: pip install "colonnade[fast]".')
    return np.dtype(dtype) == np.float32 and (installed() if said is None else said)


def _said(setting: bool | None) -> bool | None:
    """What the model or the environment says; None where neither does."""
    if setting is None and (value := os.environ.get(VARIABLE, "")):
        if value not in ("0", "1"):
            raise ArgumentError(f"{VARIABLE} must be 0 or 1, got {value!r}.")
        return value == "1"
    return setting


def usable(setting: bool | None = None) -> bool:
    """Whether the Numba that is installed can be imported: one that does not know this NumPy, say, cannot.

    Args:
        setting: As of `wanted`. Where yes was said, it must be.

    Raises:
        MissingExtraError: It must be, and is not. Where nothing was said, a warning says so instead.
    """
    fault = _fault()
    if fault and _said(setting):
        raise MissingExtraError(f"Model: compiled needs Numba, which cannot be imported: {fault}")
    if fault:
        warnings.warn(f"Models run in NumPy: Numba is installed, but cannot be imported: {fault}", stacklevel=2)
    return not fault


@lru_cache(maxsize=1)
def _fault() -> str:
    """What keeps Numba from being imported; nothing where it is."""
    try:
        load("compiled.compilation")
    except ImportError as error:
        return str(error)
    return ""


@lru_cache
def load(module: str) -> ModuleType:
    """A module that needs Numba, by its name within the package: imported when it is first asked for."""
    return undisturbed(import_module, f"{__name__.partition('.')[0]}.{module}")
