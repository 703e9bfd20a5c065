"""Images looked at where a grid or a box says: means of the pixels around. Derived in docs/math/rearrangement.md.

Along each axis a place has a few pixels, its taps, and a weight for each. `out` is written and returned; it is made if
it is not given.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .layout import Array

CUBIC = -0.75  # the slope of the cubic kernel at its end


class Taps(NamedTuple):
    """The pixels that places along one axis look at.

    Attributes:
        pixels: Which, (n, places, taps), in range.
        weight: Of each, likewise; zero outside the image, where the border is.
        slope: Of the weights by the place as the grid gives it.
    """

    pixels: Array
    weight: Array
    slope: Array


def grid_sample_forward(
    x: Array,
    grid: Array,
    mode: str = "linear",
    padding: str = "zeros",
    align_corners: bool = False,
    out: Array | None = None,
) -> Array:
    """y[n, c, …] = Σ over pixels of weight · x[n, c, pixel], the pixels around grid[n, …].

    Args:
        x: (n, c, ...), with one, two or three axes of pixels.
        grid: (n, ..., axes of pixels), the last axis of x first, from −1 to 1 in x.
        mode: "linear", "nearest" or "cubic".
        padding: What is outside the image: "zeros", "border" or "reflection".
        align_corners: Whether −1 and 1 are the centres of the pixels at the border, rather than their outer edges.
        out: Written, and returned; made if not given: (n, c, ...) with the grid's axes.
    """
    out = np.empty((*x.shape[:2], *grid.shape[1:-1]), x.dtype) if out is None else out
    flat, total = x.reshape(*x.shape[:2], -1), np.zeros((*x.shape[:2], math.prod(grid.shape[1:-1])), x.dtype)
    for index, weights in _corners(_taps(x.shape[2:], grid, mode, padding, align_corners), x.shape[2:]):
        picked = np.take_along_axis(flat, index[:, None], axis=2)
        total += picked * math.prod(weights)[:, None]  # type: ignore[index]
    out[...] = total.reshape(out.shape)
    return out


def grid_sample_backward_input(
    grid: Array,
    grad_y: Array,
    shape: Sequence[int],
    mode: str = "linear",
    padding: str = "zeros",
    align_corners: bool = False,
    out: Array | None = None,
) -> Array:
    """grad_x[n, c, pixel] = Σ weight · grad_y over the places that look at it; `shape` is x's."""
    out = np.empty(tuple(shape), grad_y.dtype) if out is None else out
    total = np.zeros((*shape[:2], math.prod(shape[2:])), grad_y.dtype)
    rows, channels = np.arange(shape[0])[:, None, None], np.arange(shape[1])[:, None]
    flat = grad_y.reshape(*grad_y.shape[:2], -1)
    for index, weights in _corners(_taps(shape[2:], grid, mode, padding, align_corners), shape[2:]):
        np.add.at(total, (rows, channels, index[:, None]), flat * math.prod(weights)[:, None])  # type: ignore[index]
    out[...] = total.reshape(out.shape)
    return out


def grid_sample_backward_grid(
    x: Array,
    grid: Array,
    grad_y: Array,
    mode: str = "linear",
    padding: str = "zeros",
    align_corners: bool = False,
    out: Array | None = None,
) -> Array:
    """grad_grid[n, …, axis] = Σ slope of the weight along the axis · x · grad_y, over pixels and channels."""
    out = np.empty(grid.shape, grid.dtype) if out is None else out
    taps = _taps(x.shape[2:], grid, mode, padding, align_corners)
    flat, grad = x.reshape(*x.shape[:2], -1), grad_y.reshape(*grad_y.shape[:2], -1)
    total = np.zeros((len(x), grad.shape[2], len(taps)), grid.dtype)
    for axis in range(len(taps)):
        sloped = [each._replace(weight=each.slope) if place == axis else each for place, each in enumerate(taps)]
        for index, weights in _corners(sloped, x.shape[2:]):
            seen = (np.take_along_axis(flat, index[:, None], axis=2) * grad).sum(axis=1)
            total[:, :, len(taps) - 1 - axis] += seen * math.prod(weights)
    out[...] = total.reshape(out.shape)
    return out


def _corners(taps: Sequence[Taps], sizes: Sequence[int]) -> Iterator[tuple[Array, list[Array]]]:
    """One pixel a place, by its number among all, and its weight along each axis; all combinations, one by one."""
    for chosen in itertools.product(*(range(each.pixels.shape[2]) for each in taps)):
        index: Array = np.zeros(taps[0].pixels.shape[:2], np.intp)
        for each, size, tap in zip(taps, sizes, chosen, strict=True):
            index = index * size + each.pixels[:, :, tap]
        yield index, [each.weight[:, :, tap] for each, tap in zip(taps, chosen, strict=True)]


def _taps(sizes: Sequence[int], grid: Array, mode: str, padding: str, align_corners: bool) -> list[Taps]:
    """Of all axes of pixels, the first first."""
    places = grid.reshape(len(grid), -1, grid.shape[-1])[:, :, ::-1]
    return [_along(size, places[:, :, axis], mode, padding, align_corners) for axis, size in enumerate(sizes)]


def _along(size: int, places: Array, mode: str, padding: str, align_corners: bool) -> Taps:
    step = (size - 1) / 2 if align_corners else size / 2
    ends = (0.0, size - 1.0) if align_corners else (-0.5, size - 0.5)
    position = (places + 1) * step + ends[0]
    slope = np.full_like(position, step)
    if mode != "cubic":  # whose taps are put back into the image one by one
        position, slope = _inside(position, slope, size, padding, ends)
    if mode == "nearest":
        index = np.rint(position)[:, :, None]
        weight = np.ones_like(index)
        return _kept(index, weight, np.zeros_like(weight), size, padding, ends)
    first = np.floor(position)
    share = (position - first)[:, :, None]
    if mode == "linear":
        index = first[:, :, None] + np.arange(2)
        weight, change = np.concatenate([1 - share, share], axis=2), np.array([-1.0, 1.0])
        return _kept(index, weight, (slope[:, :, None] * change).astype(places.dtype), size, padding, ends)
    index = first[:, :, None] + np.arange(-1, 3)
    weight, change = _cubic(share - np.arange(-1, 3))
    return _kept(index, weight, slope[:, :, None] * change, size, padding, ends)


def _kept(index: Array, weight: Array, slope: Array, size: int, padding: str, ends: tuple[float, float]) -> Taps:
    """Taps in range: those outside are put back into the image, or without weight."""
    if padding != "zeros":
        index, _ = _inside(index, np.zeros_like(index), size, padding, ends)
    inside = (index >= 0) & (index <= size - 1)
    found = np.where(inside, index, 0).astype(np.intp)
    return Taps(
        found, np.where(inside, weight, 0).astype(weight.dtype), np.where(inside, slope, 0).astype(weight.dtype)
    )


def _inside(position: Array, slope: Array, size: int, padding: str, ends: tuple[float, float]) -> tuple[Array, Array]:
    """Positions put back into the image, and their slope by the grid."""
    if padding == "zeros":
        return position, slope
    if padding == "reflection":
        low, span = ends[0], ends[1] - ends[0]
        if span == 0:
            position, slope = np.zeros_like(position), np.zeros_like(slope)
        else:
            slope = np.where(position < low, -slope, slope)
            distance = np.abs(position - low)
            odd = np.floor(distance / span) % 2 == 1
            rest = np.fmod(distance, span)
            position, slope = np.where(odd, span - rest, rest) + low, np.where(odd, -slope, slope)
    outside = (position <= 0) | (position >= size - 1)
    return np.clip(position, 0, size - 1), np.where(outside, 0, slope)


def _cubic(distance: Array) -> tuple[Array, Array]:
    """The weights of pixels at a distance, and their slopes by it (Keys 1981)."""
    near, a = np.abs(distance), CUBIC
    inner, sign = near <= 1, np.sign(distance)
    weight = np.where(
        inner, ((a + 2) * near - (a + 3)) * near * near + 1, ((a * near - 5 * a) * near + 8 * a) * near - 4 * a
    )
    slope = np.where(inner, (3 * (a + 2) * near - 2 * (a + 3)) * near, (3 * a * near - 10 * a) * near + 8 * a) * sign
    return weight.astype(distance.dtype), slope.astype(distance.dtype)


def roi_align_matrix(
    start: float, length: float, outputs: int, size: int, samples: int, dtype: np.dtype[np.generic] | type = float
) -> Array:
    """The matrix (outputs, size) whose row i is the mean of linear interpolations at `samples` places in part i.

    The parts, of equal length, are those of a box from `start` on; 0 samples are as many as a part has pixels. A place
    more than one pixel outside counts as zero.
    """
    pixels, weights = roi_align_places(start, length, outputs, size, samples)
    matrix = np.zeros((outputs, size), dtype)
    rows = np.broadcast_to(np.arange(outputs)[:, None, None], pixels.shape)
    np.add.at(matrix, (rows, pixels), weights / max(1, pixels.shape[1]))
    return matrix


def roi_align_places(start: float, length: float, outputs: int, size: int, samples: int) -> tuple[Array, Array]:
    """The two pixels that each place in each part lies between, and their weights, both (outputs, places, 2)."""
    part = length / outputs
    count = max(0, samples or math.ceil(part))  # nothing lies in a box that ends where it begins, or before
    places = start + part * (np.arange(outputs)[:, None] + (np.arange(count) + 0.5) / max(1, count))
    seen = (places >= -1) & (places <= size)
    inside = np.clip(places, 0, size - 1)
    lower = inside.astype(np.intp)
    share = inside - lower
    pixels = np.stack([lower, np.minimum(lower + 1, size - 1)], axis=-1)
    return pixels, np.where(seen[..., None], np.stack([1 - share, share], axis=-1), 0)


def roi_align_forward(
    x: Array,
    boxes: Array,
    size: tuple[int, int],
    scale: float = 1.0,
    samples: int = 0,
    aligned: bool = True,
    out: Array | None = None,
) -> Array:
    """y[n, r, c] = V x[n, c] Hᵀ, V and H the matrices of box r of image n: see :func:`roi_align_matrix`.

    Args:
        x: (n, c, h, w).
        boxes: (n, r, 4): left, top, right and bottom.
        size: (h_out, w_out).
        scale: How many pixels of x are one of the boxes' units.
        samples: In each part, each way; 0 for as many as it has pixels.
        aligned: Whether pixels are squares, their centres half a unit inside.
        out: Written, and returned; made if not given: (n, r, c, h_out, w_out).
    """
    out = np.empty((*boxes.shape[:2], x.shape[1], *size), x.dtype) if out is None else out
    for image, each in np.ndindex(*boxes.shape[:2]):
        vertical, horizontal = box_matrices(boxes[image, each], size, x.shape[2:], scale, samples, aligned, x.dtype)
        out[image, each] = vertical @ x[image] @ horizontal.T
    return out


def roi_align_backward(
    boxes: Array,
    grad_y: Array,
    shape: Sequence[int],
    scale: float = 1.0,
    samples: int = 0,
    aligned: bool = True,
    out: Array | None = None,
) -> Array:
    """grad_x[n, c] = Σ Vᵀ grad_y[n, r, c] H over the boxes; `shape` is x's."""
    out = np.empty(tuple(shape), grad_y.dtype) if out is None else out
    out.fill(0)
    for image, each in np.ndindex(*boxes.shape[:2]):
        size = (grad_y.shape[3], grad_y.shape[4])
        matrices = box_matrices(boxes[image, each], size, shape[2:], scale, samples, aligned, grad_y.dtype)
        out[image] += matrices[0].T @ grad_y[image, each] @ matrices[1]
    return out


def roi_align_max_forward(
    x: Array,
    boxes: Array,
    size: tuple[int, int],
    scale: float = 1.0,
    samples: int = 0,
    aligned: bool = True,
    out: Array | None = None,
) -> Array:
    """y[n, r, c] = max wᵥ wₕ x[n, c] over the pixels around the places of each part, as ONNX has it.

    It is the greatest pixel as it is weighted, not the greatest interpolation. Arguments as of
    :func:`roi_align_forward`.
    """
    out = np.empty((*boxes.shape[:2], x.shape[1], *size), x.dtype) if out is None else out
    for image, each in np.ndindex(*boxes.shape[:2]):
        at, weights = box_pixels(boxes[image, each], size, x.shape[2:], scale, samples, aligned)
        if not weights.size:
            out[image, each] = 0
            continue
        np.max(x[image][:, *at] * weights.astype(x.dtype), axis=-1, out=out[image, each])
    return out


def roi_align_max_backward(
    x: Array,
    boxes: Array,
    grad_y: Array,
    scale: float = 1.0,
    samples: int = 0,
    aligned: bool = True,
    out: Array | None = None,
) -> Array:
    """grad_x = Σ wᵥ wₕ grad_y at the pixel that was the greatest, of equal ones the first."""
    out = np.empty(x.shape, x.dtype) if out is None else out
    out.fill(0)
    for image, each in np.ndindex(*boxes.shape[:2]):
        size = (grad_y.shape[3], grad_y.shape[4])
        (rows, columns), weights = box_pixels(boxes[image, each], size, x.shape[2:], scale, samples, aligned)
        if not weights.size:
            continue
        weights = weights.astype(x.dtype)
        first = np.argmax(x[image][:, rows, columns] * weights, axis=-1)  # (c, h_out, w_out)
        part = np.ix_(*map(range, size))
        channels = np.arange(x.shape[1])[:, None, None]
        chosen = weights[*part, first] * grad_y[image, each]
        np.add.at(out[image], (channels, rows[*part, first], columns[*part, first]), chosen)
    return out


def box_pixels(
    box: Array, size: tuple[int, int], pixels: Sequence[int], scale: float, samples: int, aligned: bool
) -> tuple[tuple[Array, Array], Array]:
    """The rows and columns of the pixels around all places of each part, and their weights: (h_out, w_out, pixels)."""
    (rows, of_rows), (columns, of_columns) = (
        [each.reshape(outputs, -1) for each in roi_align_places(start, length, outputs, pixels[axis], samples)]
        for axis, ((start, length), outputs) in enumerate(zip(box_sides(box, scale, aligned), size, strict=True))
    )
    shape = (*size, rows.shape[1] * columns.shape[1])
    pairs = [
        np.broadcast_arrays(one[:, None, :, None], other[None, :, None, :])
        for one, other in ((rows, columns), (of_rows, of_columns))
    ]
    return (pairs[0][0].reshape(shape), pairs[0][1].reshape(shape)), (pairs[1][0] * pairs[1][1]).reshape(shape)


def box_matrices(
    box: Array,
    size: tuple[int, int],
    pixels: Sequence[int],
    scale: float,
    samples: int,
    aligned: bool,
    dtype: np.dtype[np.generic],
) -> tuple[Array, Array]:
    """Of the rows, and of the columns."""
    vertical, horizontal = (
        roi_align_matrix(start, length, size[axis], pixels[axis], samples, dtype)
        for axis, (start, length) in enumerate(box_sides(box, scale, aligned))
    )
    return vertical, horizontal


def box_sides(box: Array, scale: float, aligned: bool) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where a box begins and how long it is, from top to bottom and from left to right, in pixels."""
    half = 0.5 if aligned else 0.0
    left, top, right, bottom = (float(each) * scale - half for each in box)
    least = -math.inf if aligned else 1.0
    return (top, max(bottom - top, least)), (left, max(right - left, least))
