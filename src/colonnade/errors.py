"""The exceptions of Colonnade: who, the rule, what was received, in one line."""

from __future__ import annotations

from .printable import LONGEST_MESSAGE, printable


class ColonnadeError(Exception):
    """Base of every error that Colonnade raises on purpose.

    Its message is one line, fit for a terminal, whatever names and values stand in it: see :mod:`colonnade.printable`.
    """

    def __str__(self) -> str:
        return printable(super().__str__(), LONGEST_MESSAGE)


class ArgumentError(ColonnadeError, ValueError):
    """An argument that breaks a rule: a stride of zero, labels out of range."""


class ShapeError(ArgumentError):
    """Shapes that do not fit: three channels into a layer that expects one."""


class StateError(ColonnadeError, RuntimeError):
    """A call out of order: backward before forward."""


class DivergenceError(ColonnadeError, ArithmeticError):
    """A loss or a batch that is no longer a finite number."""


class DataError(ColonnadeError, ValueError):
    """A data set that is missing, truncated or not what it claims to be."""


class FileFormatError(ColonnadeError, ValueError):
    """A file that is not a model, or is one of a newer version."""


class LimitError(ColonnadeError, MemoryError):
    """What would take more memory than there is, or more memory or work than is allowed; nothing was begun."""


class MissingExtraError(ColonnadeError, ImportError):
    """An optional dependency that is not installed; the message names the command that installs it."""
