"""Classes paired by name: the numbers of a data set's classes made those of a model's."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Sequence

import numpy as np

from ..errors import ArgumentError
from ..ops.layout import Array
from .examples import Arrays, Examples

SHOWN = 8  # names in a message


def class_names(examples: object) -> list[str] | None:
    """The names of the classes that examples have: a list of text called `classes`; None where they have none."""
    names = getattr(examples, "classes", None)
    if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
        return list(names)
    return None


def composed(name: str) -> str:
    """A name in the one form in which names are compared: macOS writes é as two signs, others as one."""
    return unicodedata.normalize("NFC", name)


def pair(who: str, names: Sequence[str], known: Sequence[str]) -> Array:
    """The place in `known` of each of `names`, (names,), int64.

    Raises:
        ArgumentError: A name that is not known, or that is known twice.
    """
    places: dict[str, int] = {}
    for number, name in enumerate(map(composed, known)):
        if places.setdefault(name, number) != number and name in map(composed, names):
            raise ArgumentError(f"{who}: the model has two classes {name!r}, expected one to pair the images' with.")
    if unknown := [name for name in names if composed(name) not in places]:
        raise ArgumentError(
            f"{who}: expected the classes of the model ({listed(known)}), got {listed(unknown)}, which it has not."
        )
    return np.array([places[composed(name)] for name in names], np.int64)


def paired(who: str, examples: Examples, known: Sequence[str] | None, names: Sequence[str] | None = None) -> Examples:
    """Examples whose class numbers are those of a model, where both have names.

    A class of the model that the examples lack is warned of. Numbers that name no class, such as those that a loss
    ignores, stay as they are.

    Args:
        who: For messages.
        examples: With `classes`, see `class_names`.
        known: The model's classes, one for each output; None where they have no names.
        names: The examples' classes where they do not say themselves.

    Raises:
        ArgumentError: A class that the model does not know.
    """
    names = class_names(examples) if names is None else names
    if names is None or known is None or list(map(composed, names)) == list(map(composed, known)):
        return examples
    numbers = pair(who, names, known)
    if missing := [name for number, name in enumerate(known) if number not in numbers]:
        have = f"{len(missing)} of the model's classes {'has' if len(missing) == 1 else 'have'} no images here"
        warnings.warn(f"{who}: {have}: {listed(missing)}.", stacklevel=4)
    return renumbered(examples, numbers, known)


def renumbered(examples: Examples, numbers: Array, classes: Sequence[str]) -> Examples:
    """Examples whose class `n` is class `numbers[n]` of these classes."""
    targets = _moved(np.asarray(examples.targets), numbers, len(classes))
    if isinstance(examples, Arrays):
        return Arrays(examples.x, targets, classes)
    return _Renumbered(examples, targets, list(classes))


def _moved(targets: Array, numbers: Array, classes: int) -> Array:
    """Distributions over classes, (n, classes), or class numbers of any shape, with the classes where they belong."""
    if targets.ndim == 2 and targets.shape[1] == len(numbers):
        moved = np.zeros((len(targets), classes), targets.dtype)
        moved[:, numbers] = targets
        return moved
    if targets.dtype.kind in "iu":
        named = (targets >= 0) & (targets < len(numbers))
        return np.where(named, numbers[np.where(named, targets, 0)], targets)
    return targets


class _Renumbered:
    """Examples with other class numbers."""

    def __init__(self, examples: Examples, targets: Array, classes: list[str]) -> None:
        self.shape = tuple(examples.shape)
        self.targets = targets
        self.classes = classes
        self.take = examples.take

    def __len__(self) -> int:
        return len(self.targets)


def listed(names: Sequence[str], most: int = SHOWN) -> str:
    """Names for a message, the first of many."""
    rest = f" and {len(names) - most} others" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
