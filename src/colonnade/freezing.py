"""Which parts of a model are trained, by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from . import arguments
from .errors import ArgumentError
from .layers.base import Layer
from .steps import Step
from .tensor import Parameter

Part = tuple[Layer | None, list[Parameter]]  # a layer and its parameters, or a parameter alone


def set_trainable(steps: Sequence[Step], names: Sequence[str], trainable: bool) -> None:
    """Freeze parts, or undo it; see :meth:`colonnade.Model.freeze`.

    Args:
        steps: All of a model's.
        names: Of layers, of what they lie in, or of parameters; `*` stands for anything, no name for all.
        trainable: False to freeze.

    Raises:
        ArgumentError: A name that fits nothing; then nothing is changed.
    """
    parts = named(steps)
    chosen = []  # of all names, before anything is changed for the first
    for pattern in names or ("*",):
        if not isinstance(pattern, str):
            raise ArgumentError(f"Model: a layer is named in text, such as '0', got {arguments.shown(pattern)}.")
        found = parts.get(pattern) or [
            part for name, found in parts.items() if fnmatchcase(name, pattern) for part in found
        ]
        if not found:
            raise ArgumentError(f"Model: no layer or parameter is called {pattern!r}.")
        chosen.extend(found)
    for layer, parameters in chosen:
        if layer is not None:
            layer.trainable = trainable
        for parameter in parameters:
            parameter.trainable = trainable and not parameter.fixed


def named(steps: Sequence[Step]) -> dict[str, list[Part]]:
    """What each name is of: a layer and its parameters, several of what lies in it, or a parameter alone."""
    parts: dict[str, list[Part]] = {}
    for step in steps:
        parameters = dict(step.layer.parameters())
        for name in _prefixes("", step.name):
            parts.setdefault(name, []).append((step.layer, [*parameters.values()]))
        for key, parameter in parameters.items():
            for name in _prefixes(f"{step.name}.", key):
                parts.setdefault(name, []).append((None, [parameter]))
    return parts


def frozen(steps: Sequence[Step]) -> list[str]:
    """The names of the frozen layers, and of frozen parameters of others."""
    names = []
    for step in steps:
        if not step.layer.trainable:
            names.append(step.name)
        else:
            parameters = step.layer.parameters()
            names += [f"{step.name}.{name}" for name, each in parameters if not (each.trainable or each.fixed)]
    return names


def _prefixes(start: str, name: str) -> Iterator[str]:
    """`start` and a name, and what that lies in: for "3.main.0" also "3" and "3.main"."""
    for part in name.split("."):
        start += part
        yield start
        start += "."
