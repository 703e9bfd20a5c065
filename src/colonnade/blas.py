"""The library that NumPy multiplies with, and its kernels, named for it where it does not know the processor.

OpenBLAS looks at the processor once, when NumPy is first imported. Those of AMD from Zen 5 on it may not know (0.3.31
does not), and then takes its AVX2 kernels; with the AVX-512 kernels that these processors can run, a product of
matrices takes half the time. NumPy is therefore not imported here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import lru_cache
from itertools import product, takewhile
from typing import Any, NamedTuple

VARIABLE = "OPENBLAS_CORETYPE"
SWITCH = "COLONNADE_CORETYPE"
# What the kernels called SkylakeX are compiled for.
NEEDED = {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"}
# Family 25, Zen 4, is the last that OpenBLAS recognises: there, as on Intel's, it finds the AVX-512 kernels itself.
FIRST_UNKNOWN_FAMILY = 26


def environment() -> dict[str, str]:
    """What to add to the environment before NumPy is imported: the kernels' name, or nothing.

    Nothing where NumPy is loaded already, where the operator has set OPENBLAS_CORETYPE, or COLONNADE_CORETYPE=off.
    """
    if "numpy" in sys.modules or VARIABLE in os.environ or os.environ.get(SWITCH, "").lower() == "off":
        return {}
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return {}
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - pathlib is slow to import
            processor = "".join(takewhile(str.strip, file))  # the first; the others are like it
    except OSError:
        return {}
    name = kernels(processor)
    return {} if name is None else {VARIABLE: name}


def kernels(processor: str) -> str | None:
    """OpenBLAS's name of the kernels to take; None where it chooses well by itself.

    Args:
        processor: What /proc/cpuinfo says of one processor.
    """
    fields = (line.partition(":") for line in processor.splitlines())
    facts = {name.strip(): value.strip() for name, _, value in fields}
    family = facts.get("cpu family", "")
    unknown = facts.get("vendor_id") == "AuthenticAMD" and family.isdecimal() and int(family) >= FIRST_UNKNOWN_FAMILY
    return "SKYLAKEX" if unknown and NEEDED.issubset(facts.get("flags", "").split()) else None


class Threads(NamedTuple):
    """How many threads a library multiplies with: what tells, and what sets it."""

    get: Callable[[], int]
    set: Callable[[int], Any]


@lru_cache(maxsize=1)
def _libraries() -> list[Any]:
    """The BLAS libraries that are loaded, as threadpoolctl's controllers; NumPy must be imported."""
    from .turns import undisturbed

    return undisturbed(_look)


def _look() -> list[Any]:
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


@lru_cache(maxsize=1)
def threads() -> list[Threads]:
    """The number of threads of each BLAS library that is loaded."""
    return [_threads(library) for library in _libraries()]


def _threads(library: Any) -> Threads:
    # OpenBLAS's own functions are called in a seventh of the time that threadpoolctl takes.
    for prefix, suffix in product(("", "scipy_"), ("", "64_", "_64")):
        names = (f"{prefix}openblas_{verb}_num_threads{suffix}" for verb in ("get", "set"))
        found: list[Any] = [getattr(library.dynlib, name, None) for name in names]
        if library.internal_api == "openblas" and all(found):
            return Threads(*found)

    def set_threads(count: int) -> None:
        library.set_num_threads(count)
        # Since 3.8 threadpoolctl lets only the thread that did so last do it again, and ignores all others.
        getattr(library, "clear_controlling_thread", lambda: None)()

    return Threads(library.get_num_threads, set_threads)
