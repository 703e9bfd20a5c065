"""What the nodes of a graph are called that is made of one file for several sizes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from ...layers import Layer
from ...ops.layout import Array


class Names:
    """What the nodes of our graph are called: by what they come from, and not by what else there is at some size.

    Layers whose first weights differ from size to size, since they are computed from it, are called differently.

    Args:
        constants: The file's arrays by name.
    """

    def __init__(self, constants: Mapping[str, Array]) -> None:
        self.constants = constants
        self._owners = {id(_owner(array)): name for name, array in constants.items()}
        self._names: dict[Hashable, str] = {}

    def key(self, layer: Layer, weights: Mapping[str, Array], origin: str, seen: Counter[Hashable]) -> Hashable:
        """What a node is known by.

        Args:
            layer: That stands there.
            weights: What it is given, by the names of its parameters and buffers.
            origin: The name of an output of the ONNX node that it comes from.
            seen: How many of the kind there were before at this size; counted on.
        """
        learned = any(True for _ in layer.parameters())
        tokens = tuple((name, self._token(array)) for name, array in weights.items()) if learned else ()
        kind = (origin, type(layer).__name__, tokens)
        seen[kind] += 1
        return kind, seen[kind]

    def of(self, key: Hashable) -> str | None:
        """The name of the node that is known by this key; None if there was none yet."""
        return self._names.get(key)

    def give(self, key: Hashable, name: str) -> None:
        """Call the node so at every size."""
        self._names[key] = name

    def given(self) -> set[str]:
        """All names that were given."""
        return {*self._names.values()}

    def copy(self) -> Names:
        """As many names, which may become more by themselves."""
        made = Names(self.constants)
        made._names = dict(self._names)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return _names, (self.constants, self._names)

    def _token(self, array: Array) -> Hashable:
        """What is equal for equal numbers: where they stand in the file, or a digest of what was computed."""
        name = self._owners.get(id(_owner(array)))
        if name is not None:
            return name, _address(array) - _address(self.constants[name]), array.shape, array.strides, array.dtype.str
        return array.dtype.str, digest(array)


def digest(array: Array) -> Hashable:
    """What is equal for equal numbers of one type, if they are repeated likewise: nothing of their size is made."""
    once = array[tuple(slice(0, 1) if step == 0 else slice(None) for step in array.strides)]
    return array.shape, once.shape, hashlib.sha256(once.tobytes()).digest()


def _names(constants: Mapping[str, Array], names: dict[Hashable, str]) -> Names:
    made = Names(constants)
    made._names = names
    return made


def _owner(array: Array) -> Any:
    """What holds the bytes of an array."""
    owner: Any = array
    while isinstance(owner, np.ndarray) and owner.base is not None:
        owner = owner.base
    return owner


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
