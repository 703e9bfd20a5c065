"""Pooling along a sequence (n, c, l), place by place of the window: long runs, whatever the window's length."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import DTypeLike

from .layout import Array, constant
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


def max_pool1d_forward(x: Array, places: Places, out: Array) -> None:
    """The maximum of each window: x (n, c, l), out (n, c, l_out). Padding is −∞; a NaN is the maximum."""
    out.fill(-math.inf)
    for windows, seen in places:
        part = out[:, :, windows]
        np.maximum(part, x[:, :, seen], out=part)


def max_pool1d_winners(x: Array, y: Array, places: Places, winners: Array, free: Array) -> None:
    """Which place of each window holds its maximum; of equal ones the first.

    Args:
        x: The input, (n, c, l).
        y: The output, (n, c, l_out).
        places: From :func:`places`.
        winners: Written: bool, (n, places, c, l_out).
        free: Scratch, bool, (n, c, l_out): the windows without a winner yet.
    """
    free.fill(True)
    for number, (windows, seen) in enumerate(places):
        winner = winners[:, number]
        winner.fill(False)
        np.equal(x[:, :, seen], y[:, :, windows], out=winner[:, :, windows])
        np.logical_and(winner, free, out=winner)
        np.greater(free, winner, out=free)


def max_pool1d_backward(grad_y: Array, winners: Array, places: Places, out: Array, take: Array) -> None:
    """The gradient of each window goes to its winner. `take` is scratch, of grad_y's shape."""
    out.fill(0)
    for number, (windows, seen) in enumerate(places):
        np.multiply(grad_y, winners[:, number], out=take)
        target = out[:, :, seen]
        np.add(target, take[:, :, windows], out=target)


@lru_cache(maxsize=64)
def shares(window: Stride1d, length: int, outputs: int, count_include_pad: bool, dtype: DTypeLike) -> Array:
    """What each value of a window counts in its average, 1 / d: (l_out,).

    The padding counts in d or does not; what hangs over the padding never does.
    """
    start = np.arange(outputs) * window.stride - window.before
    stop = np.minimum(start + window.kernel, length + (window.after if count_include_pad else 0))
    return constant((1.0 / (stop - (start if count_include_pad else np.maximum(start, 0)))).astype(dtype))


def avg_pool1d_forward(x: Array, places: Places, share: Array, out: Array) -> None:
    """The average of each window: x (n, c, l), out (n, c, l_out); `share` from :func:`shares`."""
    out.fill(0)
    for windows, seen in places:
        part = out[:, :, windows]
        np.add(part, x[:, :, seen], out=part)
    np.multiply(out, share, out=out)


def avg_pool1d_backward(grad_y: Array, places: Places, share: Array, out: Array, part: Array) -> None:
    """Every value of a window gets the same share of its gradient; `part` is scratch, of grad_y's shape."""
    np.multiply(grad_y, share, out=part)
    out.fill(0)
    for windows, seen in places:
        target = out[:, :, seen]
        np.add(target, part[:, :, windows], out=target)
