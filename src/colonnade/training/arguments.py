"""What `fit` and `evaluate` are given, held to the rules before anything is done with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike

from ..data.batches import Batches
from ..data.examples import Arrays
from ..data.pairing import paired
from ..data.stream import Stream
from ..errors import ArgumentError, DivergenceError, ShapeError
from ..losses import Loss
from ..ops.layout import Array
from .protocols import Criterion, Learner, Trainable

if TYPE_CHECKING:
    from ..data.examples import Examples


def is_examples(x: Any) -> TypeGuard[Examples]:
    """Whether x has images and targets of its own, and hands them out as they are asked for."""
    return all(hasattr(x, name) for name in ("take", "targets", "shape", "__len__"))


def images(who: str, x: ArrayLike | Examples) -> Examples:
    """Images, whatever their targets.

    Raises:
        ArgumentError: No images.
    """
    if not is_examples(x):
        return Arrays(_array(who, x))
    if not len(x):
        raise ArgumentError(f"{who}: expected at least one image, got none.")
    return x


def examples(who: str, x: ArrayLike | Examples, y: ArrayLike | None) -> Examples:
    """Images and a target for each.

    Raises:
        ArgumentError: No images, no targets, or targets twice.
        ShapeError: Targets of another number.
    """
    if is_examples(x):
        if y is not None:
            raise ArgumentError(f"{who}: {type(x).__name__} has targets of its own, expected no y.")
        return images(who, x)
    array = _array(who, x)
    if y is None:
        raise ArgumentError(f"{who}: expected targets y, or x with targets of its own, got {type(x).__name__}.")
    targets = np.asarray(y)
    if not targets.ndim or len(array) != len(targets):
        raise ShapeError(f"{who}: expected a target for each of {len(array)} images, got y of shape {targets.shape}.")
    return Arrays(array, targets)


def _array(who: str, x: Any) -> Array:
    array = np.asarray(x)
    if not array.ndim or not len(array):
        raise ArgumentError(f"{who}: expected at least one image, got x of shape {array.shape}.")
    return array


def held_out(
    validation: tuple[ArrayLike, ArrayLike] | Examples,
    model: Trainable,
    train: Examples | Stream,
    loss: Criterion,
    classes: Sequence[str] | None,
) -> Examples:
    """The validation part, held to all that `evaluate` will ask of it: an epoch is a dear way to find out.

    Raises:
        ArgumentError: Neither a pair nor examples, no images, or targets that are no class of the model.
        ShapeError: Images of another shape than in training.
        DivergenceError: An array of images with NaN or infinity.
    """
    who = "fit: validation"
    if is_examples(validation):
        found = images(who, validation)
    elif isinstance(validation, tuple | list) and len(validation) == 2:
        found = examples(who, *validation)
    else:
        raise ArgumentError(f"{who}: expected a pair (x, y), got {type(validation).__name__}.")
    found = paired(who, found, classes)
    if tuple(found.shape) != tuple(train.shape):
        raise ShapeError(
            f"{who}: expected images of shape {tuple(train.shape)}, as in training, got {tuple(found.shape)}."
        )
    if isinstance(found, Arrays) and found.in_memory:
        try:
            Batches(found.x, model.dtype).require_finite()
        except DivergenceError as error:
            raise DivergenceError(f"{who}: {error}") from None
    require_fit(who, model, found, loss)
    return found


def require_whole(who: str, least: int, **numbers: int) -> None:
    """Have numbers be whole, and not less than `least`, which is 0 or 1.

    Raises:
        ArgumentError: They are not.
    """
    for name, number in numbers.items():
        if not isinstance(number, int | np.integer) or isinstance(number, bool) or number < least:
            rule = "a positive whole number" if least else "a whole number, not negative"
            raise ArgumentError(f"{who}: {name} must be {rule}, got {number!r}.")


def require_positive(who: str, **numbers: float | None) -> None:
    """Have numbers that are given be positive.

    Raises:
        ArgumentError: They are not.
    """
    for name, number in numbers.items():
        if number is not None and not (isinstance(number, int | float | np.number) and 0 < number < math.inf):
            raise ArgumentError(f"{who}: {name} must be a positive number, got {number!r}.")


def require_fit(who: str, model: Trainable, given: Examples | Stream, loss: Criterion) -> None:
    """Have the images fit the model, and all targets the loss, not only those of the first batch; one must count.

    Of a loss of another kind nothing is known but what it does when called, of a stream's targets nothing at all.

    Raises:
        ArgumentError: Targets that are no class of the model, or none that counts.
        ShapeError: Images or targets that do not fit.
    """
    shape = tuple(given.shape)
    if model.input_shape != shape:
        model.build(shape)
    if isinstance(loss, Loss) and model.output_shape is not None and not isinstance(given, Stream):
        outputs, targets = (len(given), *model.output_shape), np.asarray(given.targets)
        try:
            loss.check(outputs, targets)
        except ArgumentError as error:
            raise type(error)(f"{who}: {error}") from None
        if not loss.count(outputs, targets):
            raise ArgumentError(f"{who}: a mean needs a target that counts, got none in {targets.size}.")


def require_own(model: Trainable, optimizer: Learner) -> None:
    """Have an optimizer learn this model's parameters, some of them at least, and no others.

    Raises:
        ArgumentError: It learns those of another model.
    """
    learned: Sequence[Any] = getattr(optimizer, "parameters", [])
    own = set(map(id, model.parameters()))
    if strange := [parameter for parameter in learned if id(parameter) not in own]:
        raise ArgumentError(
            f"fit: the optimizer must learn this model's parameters, got {len(strange)} of another model, "
            f"such as {strange[0].name or 'one without a name'!r} of shape {strange[0].shape}."
        )
