"""What running a model may take: bytes of memory, and work.

A file of three hundred bytes can ask for more of both than any machine has. What is asked for is known from shapes
alone, so it is refused before anything is allocated or begun.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import NamedTuple

from .errors import ArgumentError

if sys.platform != "win32":
    import resource  # here, since a fork may come into an import that is made in the first pass

BYTES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
MEMORY, WORK = "COLONNADE_MEMORY", "COLONNADE_WORK"
# Work is counted in the multiplications of a matrix product, of which a core does some 30 billion a second. A number
# that is read or written by itself takes as long as NUMBER of them, and a call of NumPy as long as CALL.
NUMBER, CALL = 32, 1 << 16
# For one image: some minutes of one core. The largest vision transformers take a thirtieth of it.
MOST_WORK = 5e12


class Limits(NamedTuple):
    """The most that a model may take.

    Attributes:
        memory: Bytes of all that a pass allocates.
        work: Of one image's forward pass; see :meth:`colonnade.layers.base.Layer.work`.
    """

    memory: float
    work: float


def of_files(memory: float | str | None = None, work: float | str | None = None) -> Limits:
    """The limits of a model that comes out of a file.

    Args:
        memory: Bytes, or text such as "2G"; else what the environment variable COLONNADE_MEMORY says, or else all the
            memory that this process may have.
        work: Else COLONNADE_WORK, or else 5e12, some minutes an image.

    Raises:
        ArgumentError: What is no positive number.
    """
    given = {"memory": memory, "work": work}
    found = []
    for name, variable, default in (("memory", MEMORY, float(machine_memory())), ("work", WORK, MOST_WORK)):
        owner, value = (
            (f"load: {name}", given[name]) if given[name] is not None else (variable, os.environ.get(variable))
        )
        unset = value is None or (owner == variable and not value)
        number = default if unset else amount(owner, value, BYTES)
        if number is None or isinstance(number, bool) or not isinstance(number, int | float) or not number > 0:
            raise ArgumentError(f"{owner} must be a positive number, got {value!r}.")
        found.append(number)
    return Limits(*found)


def machine_memory() -> int:
    """The bytes that this process may have: those of the machine, of its container, or of its resource limit."""
    known = [sys.maxsize]
    if hasattr(os, "sysconf") and {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= os.sysconf_names.keys():
        known.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(file, encoding="utf-8") as text:  # noqa: PTH123 — `import colonnade` leaves pathlib alone
                known.append(int(text.read()))
        except (OSError, ValueError):  # there is none, or it says "max"
            continue
    if sys.platform != "win32":
        known.append(resource.getrlimit(resource.RLIMIT_AS)[0])
    return min(each for each in known if each > 0)


def amount(owner: str, value: float | str | None, units: Mapping[str, int]) -> float | None:
    """A number with a unit, such as 2G or 90m, as a number; what is no text as it is.

    Raises:
        ArgumentError: Something else.
    """
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(\d{1,100}(?:\.\d+)?(?:e\d{1,2})?) ?([A-Za-z]*?)B?", value.strip())
    if found is None or found[2] not in units:
        known = ", ".join(unit for unit in units if unit)
        raise ArgumentError(f"{owner}: expected a number, alone or with one of {known}, got {value!r}.")
    return float(found[1]) * units[found[2]]
