"""Depthwise convolution: each channel by itself, so there is no product of matrices to make of it.

Each value of the kernel, a tap, is a vector of one number a channel, and Y = Σ over taps of what the tap sees times
its vector. `einsum` multiplies and adds in one pass where `multiply` and `add` need two; its inner loop is a run of
neighbouring positions with all their channels, to which the vectors are repeated. Both gradients are such sums too.
Written in docs/math/convolution.md.

With a stride, neighbouring outputs see positions that are no neighbours. So rows are laid out sorted by phase, the
positions that are equal modulo the stride side by side, and each phase has its own taps.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .layout import Array, divisors
from .window import Pair, Window

# The length of a run, in numbers, that is fastest: in a shorter one its start is felt, and of longer ones the kernel
# no longer fits the cache.
RUN = 768
# From so many channels on, the gradient at the kernel is summed up position by position, below that row by row: of
# any run in between NumPy makes loops that take twice the time.
MANY_CHANNELS = 128


class Taps(NamedTuple):
    """The values of the kernel, along one axis, that meet at one phase, in the order of what they see.

    Attributes:
        phase: Which.
        values: Which of the kernel's values.
        first: What the first one sees for the first output, counted in positions of the phase.
        step: Positions from what one sees to what the next one does.
        number: How many.
    """

    phase: int
    values: slice
    first: int
    step: int
    number: int


def taps_forward(window: Window, axis: int) -> list[Taps]:
    """For each phase of the padded image the taps that read it: tap t of output i reads i · stride + t · dilation."""
    return _by_phase(window, axis, before=0, sign=1)


def taps_backward(window: Window, axis: int) -> list[Taps]:
    """For each phase of the image the taps that send it gradients, and where in the output they take them from.

    Position s · u + a of the image was read, by tap t, of output u − (t · dilation − padding − a) / s, where that is
    whole: so what is first seen may come before the first output.
    """
    return _by_phase(window, axis, before=window.padding[2 * axis], sign=-1)


def _by_phase(window: Window, axis: int, before: int, sign: int) -> list[Taps]:
    stride, found = window.stride[axis], []
    for phase in range(stride):
        places = [divmod(tap * window.dilation[axis] - before, stride) for tap in range(window.kernel[axis])]
        taps = [(sign * place, tap) for tap, (place, remainder) in enumerate(places) if remainder == phase]
        taps.sort()
        if not taps:
            found.append(Taps(phase, slice(0, 0), 0, 1, 0))
            continue
        (first, start), (last, stop) = taps[0], taps[-1]
        between = max(1, len(taps) - 1)
        step, jump = (last - first) // between or 1, (stop - start) // between or sign
        end = stop + (1 if jump > 0 else -1)
        found.append(Taps(phase, slice(start, end if end >= 0 else None, jump), first, step, len(taps)))
    return found


def positions_a_run(width: int, channels: int) -> int:
    """How many positions make up a run: a divisor of the width, for a length as near to `RUN` as can be."""
    return min(divisors(width), key=lambda count: abs(math.log(count * channels / RUN)))


def positions_a_sum(width: int, channels: int) -> int:
    """As :func:`positions_a_run`, for the gradient at the kernel."""
    return 1 if channels >= MANY_CHANNELS else width


def lay(x: Array, window: Window, multiplier: int, laid: Array) -> None:
    """Copy images into their padded frame, each row sorted by phase, each channel repeated.

    Args:
        x: (n, h, w, c).
        window: How the kernel moves.
        multiplier: m, how often a channel is repeated.
        laid: Written: (n, h with its border, phases, columns of a phase, c · m).
    """
    top, _, left, _ = window.padding
    bottom, phases = top + x.shape[1], laid.shape[2]
    laid[:, :top] = 0
    laid[:, bottom:] = 0
    for phase in range(phases):
        offset = (phase - left) % phases
        columns = x[:, :, offset::phases]
        start = (offset + left) // phases
        stop = start + columns.shape[2]
        space = laid[:, top:bottom, phase]
        space[:, :, :start] = 0
        space[:, :, stop:] = 0
        for number in range(multiplier):
            space[:, :, start:stop, number::multiplier] = columns


def seen(image: Array, rows: Taps, columns: Taps, stride: int, outputs: Pair, together: int) -> Array:
    """What the taps see: (n, rows of outputs, runs, run, taps down, taps across), a view.

    Args:
        image: (n, h, w, c), each row contiguous, of one phase of columns.
        rows: The taps down.
        columns: Those across.
        stride: Rows of the image from one row of outputs to the next.
        outputs: How many rows and columns of outputs.
        together: Positions a run.
    """
    images, height, width, channels = image.shape
    flat = image.reshape(images, height, width * channels)
    runs = sliding_window_view(flat, together * channels, axis=2)[:, rows.first :, columns.first * channels :: channels]
    span = ((rows.number - 1) * rows.step + 1, (columns.number - 1) * columns.step + 1)
    views = sliding_window_view(runs, span, axis=(1, 2))[:, ::stride, ::together, :, :: rows.step, :: columns.step]
    return views[:, : outputs[0], : outputs[1] // together]


def depthwise(views: list[Array], kernels: list[Array], y: Array, part: Array) -> None:
    """y = Σ over taps of what they see · their vectors.

    Args:
        views: From :func:`seen`, one for each phase of columns.
        kernels: The vectors, (taps down, taps across, run) each.
        y: Written: (n, rows, runs, run).
        part: Scratch of y's shape, where there are several phases.
    """
    np.einsum("nijlst,stl->nijl", views[0], kernels[0], out=y)
    for view, kernel in zip(views[1:], kernels[1:], strict=True):
        np.einsum("nijlst,stl->nijl", view, kernel, out=part)
        np.add(y, part, out=y)


def depthwise_backward_weight(views: list[Array], grad_y: Array, grads: list[Array]) -> None:
    """The gradient at the vectors, repeated as they are: Σ over images, rows and runs of what a tap sees · grad_y.

    Args:
        views: From :func:`seen`, one for each phase of columns.
        grad_y: (n, rows, runs, run).
        grads: Written: (taps down, taps across, run) each.
    """
    for view, grad in zip(views, grads, strict=True):
        np.einsum("nijlst,nijl->stl", view, grad_y, out=grad)


def gather(laid: Array, multiplier: int, out: Array) -> None:
    """Add up what belongs to the m copies of a channel: laid (n, h, w, c · m), out (n, h, w, c)."""
    np.copyto(out, laid[..., ::multiplier])
    for number in range(1, multiplier):
        np.add(out, laid[..., number::multiplier], out=out)
