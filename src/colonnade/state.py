"""State dicts: whose array a name is, also under the names that it has elsewhere, and what two of them do not share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import arguments
from .errors import ArgumentError, ShapeError
from .ops.layout import Array
from .tensor import Shape


class Alias(NamedTuple):
    """Where an array comes from that has another name elsewhere.

    Attributes:
        name: Ours.
        shape: The shape that it has elsewhere.
        axes: The order in which its axes are ours, once it has our sizes in that order.
    """

    name: str
    shape: Shape
    axes: tuple[int, ...]

    def taken(self, array: Array, shape: Shape) -> Array:
        """The array in our shape; as it is, if it does not have the one that it should."""
        if _long(array.shape) != _long(self.shape):
            return array
        return array.reshape([shape[axis] for axis in np.argsort(self.axes)]).transpose(self.axes)


class IncompatibleKeys(NamedTuple):
    """What `Model.load_state_dict` found to differ.

    Attributes:
        missing_keys: Names that the model has, and the state has not.
        unexpected_keys: The other way round.
    """

    missing_keys: list[str]
    unexpected_keys: list[str]


def by_own_names(
    state: Mapping[str, ArrayLike], places: Mapping[str, Array], aliases: Mapping[str, Alias]
) -> dict[str, Array]:
    """Arrays by a model's own names, where some are by those that they have elsewhere.

    Args:
        state: Arrays by either name.
        places: The model's arrays by its own.
        aliases: The other names.

    Raises:
        ArgumentError: Two names of one array with different numbers.
    """
    found: dict[str, Array] = {}
    for name, value in state.items():
        array, alias, own = arguments.array("Model", name, value), aliases.get(name), name
        if alias is not None and name not in places and alias.name in places:
            own, array = alias.name, alias.taken(array, places[alias.name].shape)
        if own in found and not np.array_equal(found[own].ravel(), array.ravel(), equal_nan=True):
            raise ArgumentError(f"Model: {own} must be the same under all its names, got other numbers as {name}.")
        found[own] = array
    return found


def require_shapes(arrays: Mapping[str, Array], places: Mapping[str, Array]) -> None:
    """Raise ShapeError where an array does not fit its place; axes of length 1 more or less are no difference."""
    for name, array in arrays.items():
        if _long(array.shape) != _long(places[name].shape):
            raise ShapeError(f"Model: {name} must have shape {places[name].shape}, got {array.shape}.")


def _long(shape: Sequence[int]) -> list[int]:
    """The axes that are longer than 1."""
    return [size for size in shape if size != 1]
