"""Pooling along a sequence (n, c, l), place by place of the window: long runs, whatever the window's length.

Written in docs/math/pooling.md. `out` is written and returned; it is made, like scratch, if it is not given.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import DTypeLike

from .layout import Array, constant, made
from .sequence import Stride1d
from .window import values_inside

Places = tuple[tuple[slice, slice], ...]


def pooled_length(window: Stride1d, length: int, ceil_mode: bool) -> int:
    """How many windows there are: ⌊(padded − extent) / stride⌋ + 1.

    With `ceil_mode` it is rounded up, and the last window hangs over the end; it must start inside the sequence or
    the padding before it. Below one where the window is longer than the padded sequence.
    """
    if not ceil_mode:
        return window.outputs(length)
    last_start = length + window.before + window.after - window.extent
    count = -(-last_start // window.stride) + 1
    return count - (1 if (count - 1) * window.stride >= length + window.before else 0)


@lru_cache(maxsize=256)
def places(window: Stride1d, length: int, outputs: int) -> Places:
    """For each value of the window: which windows have it inside the sequence, and what it sees in those."""
    found = []
    numbers = (window.kernel, window.stride, window.before, window.dilation)
    for position in values_inside(*numbers, length, outputs):
        start = position * window.dilation - window.before  # what the first window sees: may be outside
        first = max(0, -(start // window.stride))
        stop = min(outputs, (length - 1 - start) // window.stride + 1)
        if first < stop:
            seen = slice(start + first * window.stride, start + (stop - 1) * window.stride + 1, window.stride)
            found.append((slice(first, stop), seen))
    return tuple(found)


def max_pool1d_forward(x: Array, window: Stride1d, out: Array | None = None) -> Array:
    """The maximum of each window: x (n, c, l), y (n, c, l_out). Padding is −∞; a NaN is the maximum."""
    out = _pooled(x, window) if out is None else out
    out.fill(-math.inf)
    for windows, seen in places(window, x.shape[2], out.shape[2]):
        part = out[:, :, windows]
        np.maximum(part, x[:, :, seen], out=part)
    return out


def max_pool1d_winners(
    x: Array, y: Array, window: Stride1d, out: Array | None = None, free: Array | None = None
) -> Array:
    """Which place of each window holds its maximum; of equal ones the first.

    Args:
        x: The input, (n, c, l).
        y: The output, (n, c, l_out).
        window: How the window moves.
        out: Written: bools, (n, places, c, l_out), for what :func:`places` finds.
        free: Scratch, bools of y's shape: the windows without a winner yet.
    """
    found = places(window, x.shape[2], y.shape[2])
    out = np.empty((len(x), len(found), *y.shape[1:]), np.bool_) if out is None else out
    (free,) = made(y, free, dtype=np.bool_)
    free.fill(True)
    for number, (windows, seen) in enumerate(found):
        winner = out[:, number]
        winner.fill(False)
        np.equal(x[:, :, seen], y[:, :, windows], out=winner[:, :, windows])
        np.logical_and(winner, free, out=winner)
        np.greater(free, winner, out=free)
    return out


def max_pool1d_backward(
    grad_y: Array,
    winners: Array,
    window: Stride1d,
    out: Array | None = None,
    take: Array | None = None,
    *,
    length: int | None = None,
) -> Array:
    """The gradient of each window goes to its winner.

    Args:
        grad_y: The gradient at the output, (n, c, l_out).
        winners: From :func:`max_pool1d_winners`.
        window: How the window moves.
        out: Written: the gradient at the input, (n, c, l).
        take: Scratch of grad_y's shape.
        length: l if `out` is not given; by default that of the shortest sequence with so many windows.
    """
    out = _unpooled(grad_y, window, length) if out is None else out
    (take,) = made(grad_y, take)
    out.fill(0)
    for number, (windows, seen) in enumerate(places(window, out.shape[2], grad_y.shape[2])):
        np.multiply(grad_y, winners[:, number], out=take)
        target = out[:, :, seen]
        np.add(target, take[:, :, windows], out=target)
    return out


@lru_cache(maxsize=64)
def shares(window: Stride1d, length: int, outputs: int, count_include_pad: bool, dtype: DTypeLike) -> Array:
    """What each value of a window counts in its average, 1 / d: (l_out,).

    The padding counts in d or does not; what hangs over the padding never does.
    """
    start = np.arange(outputs) * window.stride - window.before
    stop = np.minimum(start + window.kernel, length + (window.after if count_include_pad else 0))
    return constant((1.0 / (stop - (start if count_include_pad else np.maximum(start, 0)))).astype(dtype))


def avg_pool1d_forward(x: Array, window: Stride1d, out: Array | None = None, share: Array | None = None) -> Array:
    """The average of each window: x (n, c, l), y (n, c, l_out); `share` is what :func:`shares` says."""
    out = _pooled(x, window) if out is None else out
    out.fill(0)
    for windows, seen in places(window, x.shape[2], out.shape[2]):
        part = out[:, :, windows]
        np.add(part, x[:, :, seen], out=part)
    return np.multiply(out, 1 / window.kernel if share is None else share, out=out)


def avg_pool1d_backward(
    grad_y: Array,
    window: Stride1d,
    out: Array | None = None,
    share: Array | None = None,
    part: Array | None = None,
    *,
    length: int | None = None,
) -> Array:
    """Every value of a window gets the same share of its gradient.

    Args:
        grad_y: The gradient at the output, (n, c, l_out).
        window: How the window moves.
        out: Written: the gradient at the input, (n, c, l).
        share: From :func:`shares`; one over the window's length if not given.
        part: Scratch of grad_y's shape.
        length: l if `out` is not given; by default that of the shortest sequence with so many windows.
    """
    out = _unpooled(grad_y, window, length) if out is None else out
    (part,) = made(grad_y, part)
    np.multiply(grad_y, 1 / window.kernel if share is None else share, out=part)
    out.fill(0)
    for windows, seen in places(window, out.shape[2], grad_y.shape[2]):
        target = out[:, :, seen]
        np.add(target, part[:, :, windows], out=target)
    return out


def _pooled(x: Array, window: Stride1d) -> Array:
    """Room for the output of a pool of x whose windows fit."""
    return np.empty((*x.shape[:2], window.outputs(x.shape[2])), x.dtype)


def _unpooled(y: Array, window: Stride1d, length: int | None) -> Array:
    """Room for sequences of which y is a pool's output."""
    return np.empty((*y.shape[:2], window.input_length(y.shape[2]) if length is None else length), y.dtype)
