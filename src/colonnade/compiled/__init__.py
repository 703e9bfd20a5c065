"""Functions on arrays that Numba compiles: what `ops` computes in NumPy, at the speed of the processor.

Only this module is imported before a plan wants compiled functions, and with it no Numba. docs/architecture.md tells
how compiled leaves enter a plan, tiles.py what the functions are made of.
"""

from __future__ import annotations

import importlib.util
import os

import numpy as np
from numpy.typing import DTypeLike

from ..errors import ArgumentError, MissingExtraError

VARIABLE = "COLONNADE_COMPILED"


def installed() -> bool:
    """Whether there is a Numba to compile with."""
    return importlib.util.find_spec("numba") is not None


def wanted(setting: bool | None, dtype: DTypeLike) -> bool:
    """Whether a model of this type of numbers is to run compiled.

    Args:
        setting: True or False, or None for what the environment variable `COLONNADE_COMPILED` says, 0 or 1; without
            it, for no: a process that is forked while another thread compiles may wait for ever.
        dtype: Compiled functions are of float32; all else runs in NumPy.

    Raises:
        ArgumentError: The variable has another value.
        MissingExtraError: Yes was said, and Numba is not installed.
    """
    if setting is None and (said := os.environ.get(VARIABLE, "")):
        if said not in ("0", "1"):
            raise ArgumentError(f"{VARIABLE} must be 0 or 1, got {said!r}.")
        setting = said == "1"
    if setting and not installed():
        raise MissingExtraError('Model: compiled needs Numba: pip install "colonnade[fast]".')
    return np.dtype(dtype) == np.float32 and bool(setting)
