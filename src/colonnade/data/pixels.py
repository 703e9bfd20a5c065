"""What the numbers of images stand for, so that a model is asked with what it was trained on.

The same photograph may come as bytes, as whole numbers or floats from 0 to 255, or as floats from 0 to 1. A model
remembers which it has seen. What else can be told apart is converted to that, and what can't be meant is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import ArgumentError
from ..ops.layout import Array
from .stream import Stream

if TYPE_CHECKING:
    from .examples import Examples

WHITE = 255.0  # the greatest byte
# Where images were resized, numbers leave their range by so much of it on either side; anything beyond is of another.
OVERSHOOT = 0.5
# Numbers that are so many times as great as all in training are of another range.
FAR = 8.0
# Up to here a float might be bytes of a dark photograph, or no byte at all.
DARK = 16.0
# The share of numbers that may lie anywhere.
OUTLIERS = 0.01
SAMPLED = 256  # images that tell of a data set which does not lie in memory
KINDS = {"bytes": "bytes", "integers": "whole numbers", "floats": "numbers"}


class Pixels(NamedTuple):
    """The numbers of some images.

    Attributes:
        kind: "bytes", "integers" of more bits, or "floats".
        least: The least of them.
        most: The greatest.
    """

    kind: str
    least: float
    most: float

    def __str__(self) -> str:
        return f"{KINDS[self.kind]} from {self.least:.4g} to {self.most:.4g}"

    @property
    def are_shares(self) -> bool:
        """Whether they are shares of white, from 0 to 1; or, if the model is given them so, bytes."""
        return self.kind == "bytes" or (self.least >= 0 and self.most <= 1 + OVERSHOOT)

    @property
    def are_levels(self) -> bool:
        """Whether they may be what bytes are, each taken for itself."""
        return self.least >= 0 and self.most <= WHITE


def remembered(said: Mapping[str, Any] | None) -> Pixels | None:
    """What a model file says of the images that its model was trained on.

    Raises:
        ArgumentError: Something else.
    """
    if said is None:
        return None
    try:
        pixels = Pixels(said["kind"], float(said["least"]), float(said["most"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        pixels = None
    if pixels is None or pixels.kind not in [*KINDS] or not -math.inf < pixels.least <= pixels.most < math.inf:
        raise ArgumentError("pixels: expected a kind, and the least and the greatest number of it.")
    return pixels


def measured(x: Array) -> Pixels | None:
    """The kind and the range of the numbers in an array; None where they are not all finite, which others refuse."""
    if not x.size:
        return None
    kind = "bytes" if x.dtype == np.uint8 else "integers" if x.dtype.kind in "iu" else "floats"
    least, most = float(x.min()), float(x.max())
    return Pixels(kind, least, most) if math.isfinite(least) and math.isfinite(most) else None


def sampled(examples: Examples) -> Array:
    """The images that tell of a data set: all where it lies in memory, else some from everywhere in it."""
    x = getattr(examples, "x", None)
    if isinstance(x, np.ndarray) and getattr(examples, "in_memory", False):
        return x
    return examples.take(np.unique(np.linspace(0, len(examples) - 1, SAMPLED).astype(np.intp)))


class Scale:
    """What of a data set's numbers stands for 1 to a model: found once, for all batches alike.

    Args:
        who: Asks.
        said: What the model remembers of the images that it was trained on.
        learns: Whether it is to be trained on these: it then remembers them, if they can't be what it was trained on.

    Attributes:
        known: What it remembers from now on; None while nobody knows.
    """

    def __init__(self, who: str, said: Mapping[str, Any] | None = None, learns: bool = False) -> None:
        self.known = remembered(said)
        self._who, self._learns = who, learns
        self._units: dict[np.dtype[Any], float] = {}

    def of(self, examples: Examples | Stream, taken: Array) -> float:
        """The number for images `taken` from a data set.

        Raises:
            ArgumentError: Numbers that can't be meant.
        """
        found = self._units.get(taken.dtype)
        if found is None:
            found = self._units[taken.dtype] = self._find(examples, taken)
        return found

    def _find(self, examples: Examples | Stream, taken: Array) -> float:
        if taken.dtype == np.uint8:
            values = taken
        elif isinstance(examples, Stream):
            # It can't be looked at before it is there, and where a resumed run takes it up nobody knows.
            return 1.0
        else:
            values = sampled(examples)
        if self._learns:
            try:
                unit(self._who, self.known, values)
            except ArgumentError:
                self.known = None
            if self.known is None:
                # Of bytes it does not matter which there are.
                self.known = Pixels("bytes", 0.0, WHITE) if values.dtype == np.uint8 else measured(values)
        return unit(self._who, self.known, values)


def unit(who: str, known: Pixels | None, x: Array) -> float:
    """The number that stands for 1 to the model, of those in `x`.

    Args:
        who: Asks.
        known: What the model was trained on; None where nobody knows: numbers are then taken as they are, and bytes
            as shares of white.
        x: What it is asked with, (n, c, h, w), or (n, ...). Of rows of numbers no range is expected.

    Raises:
        ArgumentError: Numbers that can't be meant.
    """
    given = measured(x)
    if known is None or given is None:
        return WHITE if x.dtype == np.uint8 else 1.0
    if x.ndim != 4 and "bytes" not in (known.kind, given.kind):
        return 1.0
    found = (_for_shares if known.are_shares else _for_levels if known.are_levels else _for_others)(known, given, x)
    if found is None:
        raise ArgumentError(f"{who}: expected pixels like those in training, {known}, got {given}.")
    return found


def _for_shares(known: Pixels, given: Pixels, x: Array) -> float | None:
    """For a model that takes shares of white, be it that it was trained on bytes."""
    if given.kind == "bytes":
        return WHITE
    if known.kind == "bytes":
        if given.kind == "integers":
            return WHITE if given.are_levels else None
        if given.least >= -OVERSHOOT and given.most <= 1 + OVERSHOOT:
            return 1.0
        return WHITE if given.are_levels or _are_bright(given) else None
    if _are_within(x, given, -OVERSHOOT, 1 + OVERSHOOT):
        return 1.0
    return WHITE if _are_bright(given) else None


def _for_levels(known: Pixels, given: Pixels, x: Array) -> float | None:
    """For a model that takes numbers of a byte's range, each for itself."""
    if given.kind == "floats" and 0 < given.most <= 1 + OVERSHOOT and given.least >= -OVERSHOOT:
        return 1 / WHITE if known.most > WHITE / 2 else None
    # Resizing may carry a little below black; what is dark and goes both ways is standardised.
    least = -OVERSHOOT / 2 * min(known.most, given.most) if given.most > DARK else 0.0
    return 1.0 if _are_within(x, given, least, FAR * known.most) else None


def _for_others(known: Pixels, given: Pixels, x: Array) -> float | None:
    """For a model that takes numbers of another range, such as those less their mean by their deviation."""
    if given.kind == "bytes":
        return None
    if known.least >= 0:  # of more bits than bytes have: shares of white would be as good as black
        return None if given.kind == "floats" and 0 < given.most <= 1 + OVERSHOOT else 1.0
    reach = max(DARK, FAR * max(-known.least, known.most))
    return 1.0 if _are_within(x, given, -reach, reach) else None


def _are_bright(given: Pixels) -> bool:
    """Whether they are of a byte's range beyond doubt, if resizing may have carried them a little over its ends."""
    reach = OVERSHOOT / 2
    return DARK < given.most <= (1 + reach) * WHITE and given.least >= -reach * given.most


def _are_within(x: Array, given: Pixels, least: float, most: float) -> bool:
    """Whether numbers are between two, all but a few: one that is far off is an outlier, not of another range."""
    if least <= given.least and given.most <= most:
        return True
    return bool(np.count_nonzero((x < least) | (x > most)) <= OUTLIERS * x.size)
