"""Arguments that many layers take, checked."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

from ..errors import ArgumentError
from ..ops.window import Pair


def count(layer: str, name: str, value: int) -> int:
    """A positive whole number as Python's own; raises ArgumentError."""
    if not isinstance(value, Integral):
        raise ArgumentError(f"{layer}: {name} must be a whole number, got {value!r}.")
    if value < 1:
        raise ArgumentError(f"{layer}: {name} must be positive, got {value}.")
    return int(value)


def pair(layer: str, name: str, value: int | tuple[int, int], least: int) -> Pair:
    """A number or a pair as a pair, each at least `least`; raises ArgumentError."""
    made = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(made) != 2 or not all(isinstance(entry, Integral) for entry in made):
        raise ArgumentError(f"{layer}: {name} must be a whole number or a pair of them, got {value!r}.")
    if min(made) < least:
        rule = "positive" if least == 1 else "zero or more"
        raise ArgumentError(f"{layer}: {name} must be {rule}, got {value!r}.")
    return int(made[0]), int(made[1])


def single(layer: str, name: str, value: int | tuple[int], least: int) -> int:
    """A number, or a number alone in a tuple, at least `least`; raises ArgumentError."""
    made = tuple(value) if isinstance(value, Sequence) else (value,)
    if len(made) != 1 or not isinstance(made[0], Integral):
        raise ArgumentError(f"{layer}: {name} must be a whole number, got {value!r}.")
    if made[0] < least:
        raise ArgumentError(f"{layer}: {name} must be {'positive' if least == 1 else 'zero or more'}, got {value!r}.")
    return int(made[0])
