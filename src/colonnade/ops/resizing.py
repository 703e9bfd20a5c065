"""Resizing along one axis as a matrix: where each number of the output looks, and with what weights.

The forward and backward pass with two such matrices stand in :mod:`colonnade.ops.resampling`. Written in
docs/math/rearrangement.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .layout import Array, constant
from .resampling import index_matrix

CLOSE = 1e-6  # pixels: as ONNX Runtime has it


def sources(
    size: int,
    outputs: int,
    scale: float,
    coordinates: str,
    region: tuple[float, float] = (0.0, 1.0),
    dtype: DTypeLike = np.float64,
) -> Array:
    """Where in the input each output lies, (outputs,), in the words of ONNX Resize.

    Args:
        size: Pixels in.
        outputs: Pixels out.
        scale: How many of these make one of those.
        coordinates: "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
            "tf_half_pixel_for_nn" or "tf_crop_and_resize".
        region: Start and end of the part that is resized, for the last, the whole being 0 to 1.
        dtype: What is computed in. Which pixel is the nearest to a place half-way between two is a matter of rounding,
            and those who run such files round to float32.
    """
    steps: Array = np.arange(outputs, dtype=dtype)
    scale = np.asarray(scale, dtype).item()
    if coordinates == "asymmetric":
        return steps / scale
    if coordinates == "tf_half_pixel_for_nn":
        return (steps + 0.5) / scale
    if coordinates == "align_corners":
        return steps * (size - 1) / max(outputs - 1, 1)
    if coordinates == "tf_crop_and_resize":
        start, end = region
        if outputs == 1:
            return np.full(1, (start + end) * (size - 1) / 2)
        return start * (size - 1) + steps * (end - start) * (size - 1) / (outputs - 1)
    if coordinates == "pytorch_half_pixel" and outputs == 1:
        return np.zeros(1)
    if coordinates == "half_pixel_symmetric":  # of which only the offset is computed in the type
        offset = size / 2 * (1 - np.full(1, outputs, dtype) / (scale * size))
        return (offset + (np.arange(outputs) + 0.5) / scale - 0.5).astype(dtype)
    return (steps + 0.5) / scale - 0.5


def nearest_places(positions: Array, size: int, rounding: str) -> Array:
    """The pixel at each position: "round_prefer_floor", "round_prefer_ceil", "floor" or "ceil", within the image.

    A position is half-way between two pixels where it is so but for rounding.
    """
    positions = positions.astype(np.float64)
    rounded = {
        "round_prefer_floor": lambda: np.ceil(positions - 0.5 - CLOSE),
        "round_prefer_ceil": lambda: np.floor(positions + 0.5 + CLOSE),
        "floor": lambda: np.floor(positions),
        "ceil": lambda: np.ceil(positions),
    }[rounding]()
    places: Array = np.clip(rounded, 0, size - 1).astype(np.intp)
    return places


def triangle(distance: Array) -> Array:
    """max(1 − |d|, 0): the weights of linear interpolation."""
    weights: Array = np.maximum(1 - np.abs(distance), 0)
    return weights


def cubic(distance: Array, a: float) -> Array:
    """The weights of cubic convolution. Keys 1981, Cubic convolution interpolation for digital image processing."""
    d = np.abs(distance)
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    weights: Array = np.where(d <= 1, near, np.where(d < 2, far, 0.0))
    return weights


def interpolation_matrix(
    positions: Array, size: int, kernel: Callable[[Array], Array], reach: int, shrink: float, exclude_outside: bool
) -> Array:
    """The matrix (outputs, size) that takes weighted means of the pixels around each position.

    Args:
        positions: (outputs,).
        size: Pixels in.
        kernel: The weight at a distance.
        reach: How many pixels away it ends.
        shrink: Below 1 the kernel is drawn out by 1/shrink: smoothing, for making smaller.
        exclude_outside: Give pixels outside the image no weight, rather than to take those at its edge.
    """
    span = math.ceil(reach / shrink)
    places = np.floor(positions).astype(np.intp)[:, None] + np.arange(1 - span, span + 1)  # (outputs, 2 · span)
    weights = kernel((places - positions[:, None]) * shrink)
    if exclude_outside:
        weights = np.where((places < 0) | (places >= size), 0.0, weights)
    total = weights.sum(axis=1, keepdims=True)
    weights = weights / np.where(total == 0, 1.0, total)
    matrix = np.zeros((len(positions), size))
    np.add.at(matrix, (np.arange(len(positions))[:, None], np.clip(places, 0, size - 1)), weights)
    return matrix


class Way(NamedTuple):
    """How one axis is resized: arguments of the functions above, in the words of ONNX Resize."""

    size: int
    outputs: int
    scale: float
    coordinates: str
    region: tuple[float, float]
    mode: str  # "nearest", "linear" or "cubic"
    rounding: str
    slope: float
    exclude_outside: bool
    antialias: bool

    def positions(self) -> Array:
        """Where in the input each output lies, (outputs,)."""
        dtype = np.float32 if self.mode == "nearest" else np.float64
        return sources(self.size, self.outputs, self.scale, self.coordinates, self.region, dtype)


def outside(way: Way) -> Array:
    """Which outputs lie outside the image, (outputs,)."""
    if way.coordinates != "tf_crop_and_resize":
        return np.zeros(way.outputs, np.bool_)
    positions = way.positions()
    found: Array = (positions < 0) | (positions > way.size - 1)
    return found


@lru_cache(maxsize=16)
def resize_matrix(way: Way, dtype: DTypeLike) -> Array:
    """The matrix (outputs, size) of one axis; what lies outside the image has no weights."""
    size = way.size
    if way.antialias and way.outputs == size and way.coordinates != "tf_crop_and_resize":
        return constant(np.eye(size, dtype=dtype))  # nothing is made smaller, whatever the scale
    if way.mode == "nearest":
        matrix = index_matrix(nearest_places(way.positions(), size, way.rounding), size, np.float64)
    else:
        shrink = min(way.scale, 1.0) if way.antialias else 1.0
        kernel, reach = (partial(cubic, a=way.slope), 2) if way.mode == "cubic" else (triangle, 1)
        matrix = interpolation_matrix(way.positions(), size, kernel, reach, shrink, way.exclude_outside)
    matrix[outside(way)] = 0
    return constant(matrix.astype(dtype))
