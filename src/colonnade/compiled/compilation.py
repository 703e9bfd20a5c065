"""How Numba compiles the functions of this folder, and where it keeps their machine code.

Numba's own cache has two gaps. It takes machine code for valid as long as the file of its function is unchanged, though
a function that it calls may stand in another. And it numbers the machine codes of a function in an index, so that two
processes which compile it at once, for other arguments, may file one under the other's number. Here machine code is
filed under a digest of everything that it was made from.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from llvmlite.binding import ffi
from numba import njit
from numba.core.caching import FunctionCache, IndexDataCacheFile

from ..ops import gates, gaussian
from ..turns import undisturbed

# Wherever such a function is called it is written out, so that its tiles stay in registers.
inlined: Callable[..., Any] = njit(error_model="numpy", forceinline=True)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have Numba compile a function at its first call for each combination of types, and keep the machine code."""
    dispatcher: Any = njit(nogil=True, error_model="numpy")(function)
    dispatcher._cache = _Cache(function)
    # What a call does in Python: where it meets an unknown type, and where it finds no machine code for its arguments.
    for name in ("typeof_pyval", "_compile_for_args"):
        setattr(dispatcher, name, partial(undisturbed, getattr(dispatcher, name)))
    return dispatcher


@lru_cache
def _sources() -> str:
    """A digest of all files that compiled functions are made from: this folder, and where constants come from."""
    digest = hashlib.sha256()
    for path in [*sorted(Path(__file__).parent.glob("*.py")), Path(gates.__file__), Path(gaussian.__file__)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _Cache(FunctionCache):
    """Numba's cache, with a file of its own for each key."""

    def _index_key(self, signature: Any, codegen: Any) -> Any:
        key = (*super()._index_key(signature, codegen), _sources())
        digest = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        stamp = self._impl.locator.get_source_stamp()
        self._cache_file = IndexDataCacheFile(self._cache_path, f"{self._impl.filename_base}-{digest}", stamp)
        return key


def _free_llvm() -> None:
    """Give a forked child a lock of its own around LLVM: any thread takes it whose garbage has something of LLVM's."""
    lock = ffi.lib._lock
    if lock._lock.acquire(blocking=False):
        lock._lock.release()
    else:
        lock._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_llvm)
