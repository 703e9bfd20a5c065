"""Arguments that several augmentations take, checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Literal, cast, get_args

import numpy as np

from ...errors import ArgumentError, ShapeError
from ...ops.layout import Array

Interval = tuple[float, float]
Size = int | tuple[int, int] | None
Fill = float | Sequence[float]
Interpolation = Literal["nearest", "bilinear"]


def number(owner: str, name: str, value: float, least: float = -math.inf, most: float = math.inf) -> float:
    """A finite number in [least, most] as Python's own; raises ArgumentError."""
    if not isinstance(value, Real) or not math.isfinite(value):
        raise ArgumentError(f"{owner}: {name} must be a finite number, got {value!r}.")
    if not least <= value <= most:
        raise ArgumentError(f"{owner}: {name} must be {_bounds(least, most)}, got {value!r}.")
    return float(value)


def whole(owner: str, name: str, value: int, least: int) -> int:
    """A whole number of at least `least`; raises ArgumentError."""
    if not isinstance(value, Integral):
        raise ArgumentError(f"{owner}: {name} must be a whole number, got {value!r}.")
    if value < least:
        raise ArgumentError(f"{owner}: {name} must be at least {least}, got {value}.")
    return int(value)


def interval(
    owner: str, name: str, value: Sequence[float], least: float = -math.inf, most: float = math.inf
) -> Interval:
    """Two numbers, the smaller first, both in [least, most]; raises ArgumentError."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise ArgumentError(f"{owner}: {name} must be two numbers, from and to, got {value!r}.")
    low, high = (number(owner, name, each, least, most) for each in value)
    if low > high:
        raise ArgumentError(f"{owner}: {name} must go from the smaller to the greater number, got {value!r}.")
    return low, high


def about_zero(owner: str, name: str, value: float | Sequence[float], most: float = math.inf) -> Interval:
    """A number v as the interval [−v, v], or an interval itself; raises ArgumentError."""
    if isinstance(value, Sequence):
        return interval(owner, name, value, -most, most)
    width = number(owner, name, value, 0, most)
    return -width, width


def positive_interval(owner: str, name: str, value: Sequence[float], most: float = math.inf) -> Interval:
    """Two numbers above 0 and up to `most`, the smaller first; raises ArgumentError."""
    low, high = interval(owner, name, value, 0, most)
    if low == 0:
        raise ArgumentError(f"{owner}: {name} must be above 0, got {value!r}.")
    return low, high


def image_size(owner: str, size: Size) -> tuple[int, int] | None:
    """Height and width, from both or from the side of a square; None stays None; raises ArgumentError."""
    if size is None:
        return None
    height, width = size if isinstance(size, Sequence) and len(size) == 2 else (size, size)
    return whole(owner, "size", height, 1), whole(owner, "size", width, 1)


def interpolation_mode(owner: str, value: str) -> Interpolation:
    """One of the known interpolations; raises ArgumentError."""
    if value not in get_args(Interpolation):
        raise ArgumentError(f"{owner}: interpolation must be 'nearest' or 'bilinear', got {value!r}.")
    return cast(Interpolation, value)


def fill_value(owner: str, name: str, value: Fill) -> Fill:
    """A pixel as one number for all channels, or one a channel; raises ArgumentError."""
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return tuple(number(owner, name, each) for each in value)
    return number(owner, name, value)  # type: ignore[arg-type]


def fill_pixel(owner: str, value: Fill, x: Array) -> Array:
    """The pixel (c,) of x's type for images (n, h, w, c); raises ShapeError where the channels are not as many."""
    pixel = np.atleast_1d(np.asarray(value, x.dtype))
    if len(pixel) not in (1, x.shape[-1]):
        raise ShapeError(f"{owner}: expected a fill value for each of {x.shape[-1]} channels, got {len(pixel)}.")
    return np.broadcast_to(pixel, x.shape[-1:])


def _bounds(least: float, most: float) -> str:
    if math.isinf(most):
        return f"at least {least:g}"
    return f"in [{least:g}, {most:g}]"
