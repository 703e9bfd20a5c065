"""Arguments that several augmentations take, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast, get_args

import numpy as np

from ...arguments import choice, is_sequence, number, pair, shown
from ...errors import ArgumentError, ShapeError
from ...ops.layout import Array

Interval = tuple[float, float]
Size = int | tuple[int, int] | None
Fill = float | Sequence[float]
Interpolation = Literal["nearest", "bilinear"]


def interval(
    owner: str, name: str, value: Sequence[float], least: float | None = None, most: float | None = None
) -> Interval:
    """Two numbers, the smaller first, both in [least, most]; raises ArgumentError."""
    if not is_sequence(value) or len(value) != 2:
        raise ArgumentError(f"{owner}: {name} must be two numbers, from and to, got {shown(value)}.")
    low, high = (number(owner, name, each, least, most) for each in value)
    if low > high:
        raise ArgumentError(f"{owner}: {name} must go from the smaller to the greater number, got {value!r}.")
    return low, high


def about_zero(owner: str, name: str, value: float | Sequence[float], most: float | None = None) -> Interval:
    """A number v as the interval [−v, v], or an interval itself; raises ArgumentError."""
    if is_sequence(value):
        return interval(owner, name, value, None if most is None else -most, most)
    width = number(owner, name, value, 0, most)
    return -width, width


def positive_interval(owner: str, name: str, value: Sequence[float], most: float | None = None) -> Interval:
    """Two numbers above 0 and up to `most`, the smaller first; raises ArgumentError."""
    low, high = interval(owner, name, value, 0, most)
    if low == 0:
        raise ArgumentError(f"{owner}: {name} must be positive, got {shown(value)}.")
    return low, high


def image_size(owner: str, size: Size) -> tuple[int, int] | None:
    """Height and width, from both or from the side of a square; None stays None; raises ArgumentError."""
    return None if size is None else pair(owner, "size", size, 1)


def interpolation_mode(owner: str, value: str) -> Interpolation:
    """One of the known interpolations; raises ArgumentError."""
    return cast(Interpolation, choice(owner, "interpolation", value, get_args(Interpolation)))


def fill_value(owner: str, name: str, value: Fill) -> Fill:
    """A pixel as one number for all channels, or one a channel; raises ArgumentError."""
    if is_sequence(value) and len(value):
        return tuple(number(owner, name, each) for each in value)
    return number(owner, name, value)


def fill_pixel(owner: str, value: Fill, x: Array) -> Array:
    """The pixel (c,) of x's type for images (n, h, w, c); raises ShapeError where the channels are not as many."""
    pixel = np.atleast_1d(np.asarray(value, x.dtype))
    if len(pixel) not in (1, x.shape[-1]):
        raise ShapeError(f"{owner}: expected a fill value for each of {x.shape[-1]} channels, got {len(pixel)}.")
    return np.broadcast_to(pixel, x.shape[-1:])
