"""The order of arrays in memory: one rule, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]

# A cache line, and the widest vector register, in bytes.
ALIGNMENT = 64


def empty(shape: int | tuple[int, ...], dtype: DTypeLike) -> Array:
    """As `np.empty`, at the start of a cache line.

    NumPy aligns to 16 bytes. A load of 64 bytes then reads two lines: a sum of arrays in cache takes up to twice as
    long, and a product of matrices by OpenBLAS's small kernels half as long again.
    """
    dtype = np.dtype(dtype)
    shape = (shape,) if isinstance(shape, int) else shape
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def made(like: Array, *arrays: Array | None, dtype: DTypeLike | None = None) -> list[Array]:
    """The arrays, and for each that is None a new one, of the shape, type and memory order of `like`.

    Args:
        like: Any array.
        arrays: What an op was handed as `out` and scratch.
        dtype: Of the new ones; that of `like` if not given.
    """
    return [np.empty_like(like, dtype) if array is None else array for array in arrays]


def memory_axes(rank: int) -> tuple[int, ...]:
    """The one rule of memory order: the axes of an array of so many, outermost in memory first, the batch included.

    Images (n, c, h, w) lie channels-last. All else lies as it is written: features (n, d), sequences (n, c, l), volumes
    (n, c, d, h, w), and whatever has more axes. Of other numbers of axes none need be the channels: those
    of attention are (n, 3, heads, t, d).
    """
    return (0, 2, 3, 1) if rank == 4 else tuple(range(rank))


def ends_in_channels(rank: int) -> bool:
    """Whether the channels, axis 1, run fastest in memory."""
    return memory_axes(rank)[-1] == 1


def laid_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape (n, ...) of a batch in the order in which its axes lie in memory."""
    return tuple(shape[axis] for axis in memory_axes(len(shape)))


def as_laid(x: Array) -> Array:
    """A batch (n, ...) with its axes in the order in which they lie in memory; a view."""
    return x.transpose(memory_axes(x.ndim))


def as_written(laid: Array) -> Array:
    """The batch (n, ...) that :func:`as_laid` makes this of; a view."""
    return laid.transpose(_written_axes(laid.ndim))


@lru_cache
def _written_axes(rank: int) -> tuple[int, ...]:
    """For each axis of an array of so many, which it is in memory."""
    return tuple(np.argsort(memory_axes(rank)).tolist())


def channels_last(x: Array) -> Array:
    """The contiguous (n, h, w, c) array behind an image batch (n, c, h, w); a view.

    Batches lie channels-last because the runs that are copied when windows are laid out are then k_w · c long, and
    the column matrix needs no transpose before the product.
    """
    return x.transpose(0, 2, 3, 1)


def channels_first(x: Array) -> Array:
    """The image batch (n, c, h, w) that lies in memory as `x`, (n, h, w, c); a view."""
    return x.transpose(0, 3, 1, 2)


def empty_batch(shape: Sequence[int], dtype: DTypeLike) -> Array:
    """A batch (n, ...) that lies as :func:`memory_axes` says, not yet written."""
    return as_written(empty(laid_shape(shape), dtype))


def same_order(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether one image's numbers, in two shapes, lie in memory in the same order.

    Images (c, h, w) lie as (h, w, c), all else as it is written: that is the same order for one channel or one pixel,
    and for another shape of as many channels.
    """
    plain = [len(each) != 3 or each[0] == 1 or each[1] * each[2] == 1 for each in (shape, other)]
    return all(plain) or (not any(plain) and shape[0] == other[0])


def reshape(x: Array, out: Array, plain: Array | None = None) -> Array:
    """The numbers of each image in the shape of `out`, (n, ...), the last axis running fastest, whatever the layout.

    Args:
        x: (n, ...).
        out: Written, and returned.
        plain: Flat scratch of as many numbers, used where both are images (n, c, h, w).
    """
    if x.ndim != 4:
        np.copyto(out, x.reshape(out.shape))
    elif out.ndim != 4:
        np.copyto(out.reshape(x.shape), x)
    elif x.shape == out.shape:
        np.copyto(out, x)
    else:
        plain = np.empty(x.size, x.dtype) if plain is None else plain
        np.copyto(plain.reshape(x.shape), x)
        np.copyto(out, plain.reshape(out.shape))
    return out


def constant(array: Array) -> Array:
    """The same array, read-only from now on: what a cache hands to many."""
    array.flags.writeable = False
    return array


@lru_cache(maxsize=4096)
def divisors(number: int) -> list[int]:
    """All of them, the smallest first."""
    small = [divisor for divisor in range(1, math.isqrt(number) + 1) if number % divisor == 0]
    return sorted({*small, *(number // divisor for divisor in small)})


def lies_in_order(x: Array) -> bool:
    """Whether the numbers lie in memory as the array is written, the last axis running fastest."""
    return bool(x.flags.c_contiguous)


def in_order(x: Array, space: Array) -> Array:
    """The array itself if it lies in order, else a copy that does, in `space`, flat and of its size."""
    if lies_in_order(x):
        return x
    copied = space.reshape(x.shape)
    np.copyto(copied, x)
    return copied


def write_back(numbers: Array, out: Array) -> Array:
    """`out`, with `numbers`, which is a view of it in another shape, or where there is none a copy that was written."""
    if not np.may_share_memory(numbers, out):
        out[...] = numbers.reshape(out.shape)
    return out


def laid_like(x: Array, numbers: Array) -> Array:
    """Scratch memory as images of x's shape and order in memory, however many it holds; a view."""
    return as_written(numbers.reshape(-1, *laid_shape(x.shape)[1:]))


def in_memory_order(x: Array) -> Array:
    """The numbers of an array (n, ...) in the order in which they lie in memory, flat; a view."""
    return as_laid(x).reshape(-1)
