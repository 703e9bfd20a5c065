"""Images that do not fit a model: what it takes, what it was given, and what may be the matter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..data.pixels import remembered
from ..errors import ShapeError
from .protocols import Trainable

COLOURS = (1, 3)  # channels of most images


def require_shape(who: str, model: Trainable, images: int, shape: Sequence[int]) -> None:
    """Have a model be built for images of that shape.

    Args:
        who: Asks.
        model: Of one input.
        images: How many there are.
        shape: Of one of them.

    Raises:
        ShapeError: They do not fit; the model is as it was.
    """
    shape, known = tuple(shape), model.input_shape
    if known == shape:
        return
    cause = ""
    # What flattens its input would take channels that are elsewhere, and see noise.
    if not (_is_image(known) and _is_image(shape) and known[0] != shape[0]):
        try:
            model.build(shape)
        except ShapeError as error:
            cause = str(error).rstrip(".")
        else:
            return
    given = (images, *shape)
    if known is None:
        raise ShapeError(f"{cause}; got {given}{guess(known, given)}")
    raise ShapeError(f"{who}: this model takes {described(model)}; got {given}{guess(known, given, cause)}")


def described(model: Trainable) -> str:
    """What a model takes: `3×64×64, bytes or numbers in 0..1`."""
    shape = model.input_shape if model.input_shape is not None else getattr(model, "open_shape", None)
    sizes = "×".join("any" if size is None else str(size) for size in shape or ())
    pixels = remembered(getattr(model, "pixels", None))
    if pixels is None:
        return sizes
    return f"{sizes}, {'bytes or numbers in 0..1' if pixels.are_shares else pixels}"


def guess(known: Any, given: Sequence[int], cause: str = "") -> str:
    """The end of the message: what may be the matter with arrays of shape `given`, or else what a layer says.

    Args:
        known: The shape of one image that the model takes, None where it has seen none.
        given: Of the whole array.
        cause: What a layer says.
    """
    channels = known[0] if _is_image(known) else None
    last = len(given) == 4 and given[3] != given[1]
    if last and (given[3] == channels or (channels is None and given[3] in COLOURS and given[1] not in COLOURS)):
        return ": are the channels last?"
    if known is not None and tuple(given) == tuple(known):
        return ": is it one image? Add an axis, x[None]."
    if _is_image(known) and channels == 1 and tuple(given[1:]) == tuple(known[1:]):
        return ": give each image its channel, x[:, None]."
    rest = f" ({cause})" if cause else ""
    if _is_image(known) and len(given) == 4 and given[1] == channels:
        return f"{rest}: model.classify resizes images, as does cn.data.read_image."
    return f"{rest}."


def _is_image(shape: Any) -> bool:
    return isinstance(shape, tuple) and len(shape) == 3 and not isinstance(shape[0], tuple)
