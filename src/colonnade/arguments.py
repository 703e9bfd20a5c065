"""Arguments, checked: the one way in which layers, losses, optimizers, schedules, augmentations and `fit` do it.

Each function returns the argument as Python's own number, tuple or truth value, or raises ArgumentError: who, the rule,
what was received. A whole number is Python's or NumPy's, and neither a truth value nor 2.0; a number is that or a
fraction.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any, TypeGuard, TypeVar

import numpy as np

from .errors import ArgumentError
from .printable import shown as shown

T = TypeVar("T")
# Of a kernel or an image: a product of two stays within 64 bits.
MOST_SIZE = (1 << 31) - 1


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_sequence(value: Any) -> TypeGuard[Sequence[Any]]:
    """Whether a value is several values in order: a list, a tuple, an array; a text is not."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def whole(
    owner: str, name: str, value: Any, least: int | None = None, most: int | None = None, *, long: bool = False
) -> int:
    """A whole number from `least` to `most`, of 64 bits, as the sizes of arrays are; `long` takes longer ones too."""
    value = _scalar(value)
    if not is_whole(value):
        raise ArgumentError(f"{owner}: {name} must be a whole number, got {shown(value)}.")
    made = int(value)
    if (least is not None and made < least) or (most is not None and made > most):
        raise ArgumentError(f"{owner}: {name} must {_whole_bounds(least, most)}, got {shown(made)}.")
    if abs(made) > sys.maxsize and not long:
        raise ArgumentError(f"{owner}: {name} must be a whole number of 64 bits, got {shown(made)}.")
    return made


def number(
    owner: str,
    name: str,
    value: Any,
    least: float | None = None,
    most: float | None = None,
    *,
    above: float | None = None,
    below: float | None = None,
    finite: bool = True,
) -> float:
    """A number from `least` to `most`, or above and below what is given so.

    Args:
        owner: Whose argument.
        name: Its name.
        value: What was received.
        least: The least that is taken.
        most: The greatest.
        above: What it must be greater than.
        below: What it must be less than.
        finite: Whether infinity is refused. NaN is taken only without it and without bounds.
    """
    value = _scalar(value)
    try:
        made = float(value) if isinstance(value, Real) and not isinstance(value, bool | np.bool) else None
    except OverflowError:  # a whole number beyond what a float holds
        made = None
    if made is None or (finite and not math.isfinite(made)):
        raise ArgumentError(f"{owner}: {name} must be a {'finite ' * finite}number, got {shown(value)}.")
    inside = (
        (least is None or made >= least)
        and (most is None or made <= most)
        and (above is None or made > above)
        and (below is None or made < below)
    )
    if not inside:  # so reckoned that NaN is refused too
        raise ArgumentError(f"{owner}: {name} must {_bounds(least, most, above, below)}, got {shown(value)}.")
    return made


def flag(owner: str, name: str, value: Any) -> bool:
    """True or False, of Python or NumPy; 1 and 0 stand for them."""
    value = _scalar(value)
    if not isinstance(value, bool | np.bool | Integral) or value not in (0, 1):
        raise ArgumentError(f"{owner}: {name} must be True or False, got {shown(value)}.")
    return bool(value)


def choice(owner: str, name: str, value: T, choices: Iterable[T]) -> T:
    """One of some texts, or None where that is among them; the error lists them."""
    known = list(choices)
    if not (value is None or isinstance(value, str)) or value not in known:
        rule = " or ".join(map(repr, known)) if len(known) < 3 else f"one of {', '.join(map(str, known))}"
        raise ArgumentError(f"{owner}: {name} must be {rule}, got {shown(value)}.")
    return value


def sizes(owner: str, name: str, value: Any, count: int, least: int) -> tuple[int, ...]:
    """A whole number for all of `count` directions, or one for each; each at least `least`."""
    given = _scalar(value)
    made = tuple(map(_scalar, given)) if is_sequence(given) else (given,) * count
    if len(made) != count or not all(map(is_whole, made)):
        several = {1: "", 2: " or a pair of them"}.get(count, f" or {count} of them")
        raise ArgumentError(f"{owner}: {name} must be a whole number{several}, got {shown(value)}.")
    if min(made) < least:
        raise ArgumentError(f"{owner}: {name} must {_whole_bounds(least, None)}, got {shown(value)}.")
    return tuple(whole(owner, name, each, most=MOST_SIZE) for each in made)


def pair(owner: str, name: str, value: Any, least: int) -> tuple[int, int]:
    """A whole number for both directions, or a pair of them, each at least `least`."""
    first, second = sizes(owner, name, value, 2, least)
    return first, second


def single(owner: str, name: str, value: Any, least: int) -> int:
    """A whole number, which may stand alone in a tuple, at least `least`."""
    return sizes(owner, name, value, 1, least)[0]


def wholes(owner: str, name: str, value: Any) -> tuple[int, ...]:
    """Whole numbers in order, any number of them."""
    made = tuple(map(_scalar, value)) if is_sequence(value) else ()
    if not is_sequence(value) or not all(map(is_whole, made)):
        raise ArgumentError(f"{owner}: {name} must be whole numbers in order, got {shown(value)}.")
    return tuple(whole(owner, name, each) for each in made)


def names(owner: str, name: str, value: Any, count: int | None = None) -> tuple[str, ...]:
    """Names that all differ, `count` of them where that is known."""
    given = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else []
    if not given or not all(isinstance(each, str) and each for each in given):
        raise ArgumentError(f"{owner}: {name} must be a list of names, got {shown(value)}.")
    if len(set(given)) < len(given):
        raise ArgumentError(f"{owner}: {name} must be different, got {shown(value)}.")
    if count is not None and len(given) != count:
        raise ArgumentError(f"{owner}: expected a name for each of the {count} {name}, got {shown(value)}.")
    return tuple(given)


def numbers(
    owner: str,
    name: str,
    value: Any,
    least: float | None = None,
    *,
    above: float | None = None,
    below: float | None = None,
    finite: bool = True,
) -> tuple[float, ...]:
    """Numbers in order, any number of them, each within the bounds; see :func:`number`."""
    if not is_sequence(value):
        raise ArgumentError(f"{owner}: {name} must be numbers in order, got {shown(value)}.")
    return tuple(number(owner, name, each, least, above=above, below=below, finite=finite) for each in value)


def instance(owner: str, name: str, value: T, kind: type[Any] | tuple[type[Any], ...], article: str) -> T:
    """An object of a class, or of one of several; of the class itself the error says that it is to be called.

    Args:
        owner: Whose argument.
        name: Its name.
        value: What was received.
        kind: The class.
        article: What such an object is called, with its article: "an optimizer".
    """
    if not isinstance(value, kind):
        raise ArgumentError(f"{owner}: {name} must be {article}, got {shown(value)}{hint(value)}.")
    return value


def hint(value: Any) -> str:
    """What to add to an error where a class was received rather than an object of it."""
    return " (the class itself: add parentheses?)" if isinstance(value, type) else ""


def path(owner: str, name: str, value: Any) -> Any:
    """The path of a file or a folder: text that a name can be, or what stands for a path; as it is."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise ArgumentError(f"{owner}: {name} must be a path, got {shown(value)}.")
    return value


def array(owner: str, name: str, value: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """An array of numbers, from anything that NumPy makes one of."""
    try:
        made = np.asarray(value)
    except (ValueError, TypeError):  # rows of different lengths
        made = None
    if made is None or made.dtype.kind not in "fiub":
        got = "lists of different lengths" if made is None else f"an array of {made.dtype}"
        raise ArgumentError(f"{owner}: {name} must hold numbers in a regular array, got {got}.")
    return made


def divisible(owner: str, divisor_name: str, divisor: int, **given: int) -> None:
    """Have whole numbers be divisible by another argument."""
    for name, value in given.items():
        if value % divisor:
            raise ArgumentError(f"{owner}: {name} must be divisible by {divisor_name} = {divisor}, got {value}.")


def plain(value: Any) -> Any:
    """A value with Python's own numbers in place of NumPy's, and tuples in place of lists."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return tuple(map(plain, value)) if isinstance(value, list | tuple) else value


def unsupported(owner: str, reason: str, **given: tuple[Any, Any]) -> None:
    """Refuse arguments of PyTorch's that have no effect here, but at the value that asks for none.

    Args:
        owner: Whose arguments.
        reason: What to do instead, or why there is no such thing.
        **given: By name, what was received and what asks for nothing.
    """
    for name, (value, nothing) in given.items():
        number = isinstance(value, bool | int | float | np.bool | np.number) and not isinstance(nothing, str | None)
        if not (value is nothing or (number and value == nothing)):
            raise ArgumentError(f"{owner}: {name} is not supported ({reason}), got {shown(value)}.")


def placeless(owner: str, device: Any, dtype: Any) -> None:
    """Refuse `device` and `dtype` of PyTorch's layers, but None and the CPU: a model has one type, on the CPU."""
    if device is not None and str(device) != "cpu":
        raise ArgumentError(f"{owner}: device must be None or 'cpu', got {shown(device)}.")
    unsupported(owner, "all layers of a model have one: Model(layers, dtype=...)", dtype=(dtype, None))


def _scalar(value: Any) -> Any:
    """The number in an array of no axes; all else as it is."""
    return value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value


def _whole_bounds(least: int | None, most: int | None) -> str:
    return _bounds(None, None, above=0) if least == 1 and most is None else _bounds(least, most)


def _bounds(least: float | None, most: float | None, above: float | None = None, below: float | None = None) -> str:
    """The rule that bounds are, after "must"."""
    low, high = (least if above is None else above), (most if below is None else below)
    if low == 0 and high is None:
        return "be zero or more" if above is None else "be positive"
    if low is not None and high is not None and above is None and below is None:
        return f"lie between {low:g} and {high:g}"
    rules = [] if low is None else [f"{'at least' if above is None else 'above'} {low:g}"]
    rules += [] if high is None else [f"{'at most' if below is None else 'below'} {high:g}"]
    return f"be {' and '.join(rules)}"
