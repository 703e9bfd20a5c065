"""Numbers that change their places: slices, picked places, borders, copies. Axis 0 is the batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .layout import Array


def along(axis: int, place: int | slice) -> tuple[int | slice, ...]:
    """The index that takes `place` of one axis, and all of those before it."""
    return (*[slice(None)] * axis, place)


def index_select_forward(x: Array, axis: int, index: Sequence[int], out: Array) -> None:
    """y[…, i, …] = x[…, index[i], …] along `axis`."""
    for place, source in enumerate(index):
        np.copyto(out[along(axis, place)], x[along(axis, source)])


def index_select_backward(grad_y: Array, axis: int, index: Sequence[int], out: Array) -> None:
    """grad_x: what was picked several times gets the sum."""
    out.fill(0)
    for place, source in enumerate(index):
        target = out[along(axis, source)]
        np.add(target, grad_y[along(axis, place)], out=target)


def tile_forward(x: Array, out: Array) -> None:
    """y is x, as often along each axis as fits."""
    np.copyto(_copies(out, x.shape), x.reshape(_alone(x.shape)))


def tile_backward(grad_y: Array, out: Array) -> None:
    """grad_x: the sum over the copies."""
    copies = _copies(grad_y, out.shape)
    axes = tuple(range(1, copies.ndim, 2))
    np.add.reduce(copies, axis=axes, keepdims=True, out=out.reshape(_alone(out.shape)))


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


def pad_forward(x: Array, borders: Sequence[tuple[int, int]], mode: str, value: float, out: Array) -> None:
    """x with a border: of one number, or of what is beside it.

    Args:
        x: (n, ...).
        borders: How much before and after, for each axis after the batch.
        mode: "constant", "reflect", "replicate" or "circular"; see :class:`colonnade.Pad`.
        value: The number.
        out: Takes the result.
    """
    if mode == "constant":
        out.fill(value)
    np.copyto(inner(out, borders), x)
    if mode != "constant":
        for target, source in _sources(out, borders, mode):
            np.copyto(target, source)


def pad_backward(
    grad_y: Array, borders: Sequence[tuple[int, int]], mode: str, out: Array, gathered: Array | None
) -> None:
    """grad_x: every number gets what its copies in the border got too. `gathered` is scratch of grad_y's shape."""
    if mode == "constant" or gathered is None:
        np.copyto(out, inner(grad_y, borders))
        return
    np.copyto(gathered, grad_y)
    for target, source in reversed(list(_sources(gathered, borders, mode))):
        np.add(source, target, out=source)
    np.copyto(out, inner(gathered, borders))


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
