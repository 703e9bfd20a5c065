"""Numbers that change their places: slices, picked places, borders, copies. Derived in docs/math/rearrangement.md.

Axis 0 is the batch. `out` is written and returned; it is made, like scratch, if it is not given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .layout import Array, made

Index = tuple[int | slice, ...]


def along(axis: int, place: int | slice) -> tuple[int | slice, ...]:
    """The index that takes `place` of one axis, and all of those before it."""
    return (*[slice(None)] * axis, place)


def slice_forward(x: Array, index: Index, out: Array | None = None) -> Array:
    """y = x[index], of whole numbers and slices."""
    out = np.empty(x[index].shape, x.dtype) if out is None else out
    np.copyto(out, x[index])
    return out


def slice_backward(grad_y: Array, index: Index, shape: Sequence[int], out: Array | None = None) -> Array:
    """grad_x[index] = grad_y, and zero elsewhere; `shape` is x's."""
    out = np.empty(shape, grad_y.dtype) if out is None else out
    out.fill(0)
    np.copyto(out[index], grad_y)
    return out


def index_select_forward(x: Array, axis: int, index: Sequence[int], out: Array | None = None) -> Array:
    """y[…, i, …] = x[…, index[i], …] along `axis`."""
    out = np.empty((*x.shape[:axis], len(index), *x.shape[axis + 1 :]), x.dtype) if out is None else out
    for place, source in enumerate(index):
        np.copyto(out[along(axis, place)], x[along(axis, source)])
    return out


def index_select_backward(grad_y: Array, axis: int, index: Sequence[int], size: int, out: Array | None = None) -> Array:
    """grad_x[…, u, …] = Σ grad_y[…, i, …] over index[i] = u; `size` is x's along `axis`."""
    out = np.empty((*grad_y.shape[:axis], size, *grad_y.shape[axis + 1 :]), grad_y.dtype) if out is None else out
    out.fill(0)
    for place, source in enumerate(index):
        target = out[along(axis, source)]
        np.add(target, grad_y[along(axis, place)], out=target)
    return out


def tile_forward(x: Array, repeats: Sequence[int], out: Array | None = None) -> Array:
    """y[n, r₁ + i₁ · s₁, …] = x[n, r₁, …]: as often along each axis of an image as `repeats` says, s being its size."""
    if out is None:
        shape = (size * count for size, count in zip(x.shape[1:], repeats, strict=True))
        out = np.empty((len(x), *shape), x.dtype)
    np.copyto(_copies(out, x.shape), x.reshape(_alone(x.shape)))
    return out


def tile_backward(grad_y: Array, repeats: Sequence[int], out: Array | None = None) -> Array:
    """grad_x: the sum Σ grad_y over the copies."""
    if out is None:
        shape = (size // count for size, count in zip(grad_y.shape[1:], repeats, strict=True))
        out = np.empty((len(grad_y), *shape), grad_y.dtype)
    copies = _copies(grad_y, out.shape)
    axes = tuple(range(1, copies.ndim, 2))
    np.add.reduce(copies, axis=axes, keepdims=True, out=out.reshape(_alone(out.shape)))
    return out


def triangle_forward(x: Array, diagonal: int = 0, upper: bool = False, out: Array | None = None) -> Array:
    """y[…, i, j] = x[…, i, j] where j ≤ i + diagonal, and zero elsewhere; where j ≥ i + diagonal if `upper`."""
    (out,) = made(x, out)
    np.copyto(out, x)
    rows, columns = x.shape[-2:]
    lower = np.tri(rows, columns, diagonal - upper, dtype=np.bool_)
    np.copyto(out, 0, where=lower if upper else ~lower)
    return out


def triangle_backward(grad_y: Array, diagonal: int = 0, upper: bool = False, out: Array | None = None) -> Array:
    """grad_x = grad_y where the number was kept, and zero elsewhere."""
    return triangle_forward(grad_y, diagonal, upper, out)


def _alone(shape: Sequence[int]) -> list[int]:
    """(n, s₁, s₂ …) as (n, 1, s₁, 1, s₂ …)."""
    return [shape[0], *(each for size in shape[1:] for each in (1, size))]


def _copies(tiled: Array, shape: Sequence[int]) -> Array:
    """(n, r₁ · s₁, …) as (n, r₁, s₁, …), a view."""
    parts = [(whole // size, size) for whole, size in zip(tiled.shape[1:], shape[1:], strict=True)]
    return tiled.reshape(tiled.shape[0], *(each for part in parts for each in part))


def inner(padded: Array, borders: Sequence[tuple[int, int]]) -> Array:
    """The part of a padded array that was there before; a view. `borders` are of the axes after the batch."""
    sizes = padded.shape[1:]
    cut = (slice(before, size - after) for size, (before, after) in zip(sizes, borders, strict=True))
    return padded[(slice(None), *cut)]


def pad_forward(
    x: Array,
    borders: Sequence[tuple[int, int]],
    mode: str = "constant",
    value: float = 0.0,
    out: Array | None = None,
) -> Array:
    """y[n, before + i, …] = x[n, i, …], and around it a border: of one number, or of what is beside it.

    Args:
        x: (n, ...).
        borders: How much before and after, for each axis after the batch.
        mode: "constant", "reflect", "replicate" or "circular"; see :class:`colonnade.Pad`.
        value: The number.
        out: Takes the result.
    """
    if out is None:
        shape = (before + size + after for size, (before, after) in zip(x.shape[1:], borders, strict=True))
        out = np.empty((len(x), *shape), x.dtype)
    np.copyto(inner(out, borders), x)
    if mode == "constant":
        for axis, (before, after) in enumerate(borders, 1):
            out[along(axis, slice(before))] = value
            out[along(axis, slice(out.shape[axis] - after, None))] = value
    else:
        for target, source in _sources(out, borders, mode):
            np.copyto(target, source)
    return out


def pad_backward(
    grad_y: Array,
    borders: Sequence[tuple[int, int]],
    mode: str = "constant",
    out: Array | None = None,
    gathered: Array | None = None,
) -> Array:
    """grad_x: Σ grad_y over a number and its copies in the border. `gathered` is scratch of grad_y's shape."""
    out = np.empty(inner(grad_y, borders).shape, grad_y.dtype) if out is None else out
    if mode == "constant":
        np.copyto(out, inner(grad_y, borders))
        return out
    (gathered,) = made(grad_y, gathered)
    np.copyto(gathered, grad_y)
    for target, source in reversed(list(_sources(gathered, borders, mode))):
        np.add(source, target, out=source)
    np.copyto(out, inner(gathered, borders))
    return out


def _sources(padded: Array, borders: Sequence[tuple[int, int]], mode: str) -> Iterator[tuple[Array, Array]]:
    """The lines of the border, axis by axis, each with the line it is a copy of: views of `padded`.

    Lines run over the whole array in the other axes, so that those of later axes copy the corners too.
    """
    for axis, (before, after) in enumerate(borders, 1):
        size = padded.shape[axis] - before - after
        for place in (*range(-1, -before - 1, -1), *range(size, size + after)):
            source = {
                "reflect": -place if place < 0 else 2 * (size - 1) - place,
                "replicate": 0 if place < 0 else size - 1,
                "circular": place % size,
            }[mode]
            yield padded[along(axis, before + place)], padded[along(axis, before + source)]
