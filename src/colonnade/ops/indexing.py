"""Places that are computed: numbers taken from there, and put there. Derived in docs/math/rearrangement.md.

Axis 0 is the batch. An index has as many axes as what it is an index of; along all axes but one, length 1 is stretched.
Negative places count from the end. `out` is written and returned; it is made, like scratch, if it is not given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .layout import Array, made

REDUCTIONS = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def take_along_forward(x: Array, index: Array, axis: int, out: Array | None = None) -> Array:
    """y[…, i, …] = x[…, index[…, i, …], …] along `axis`."""
    taken = x[_places(index, axis, x.shape)]
    if out is None:
        return taken
    np.copyto(out, taken)
    return out


def take_along_backward(
    index: Array, grad_y: Array, axis: int, shape: Sequence[int], out: Array | None = None
) -> Array:
    """grad_x[…, u, …] = Σ grad_y[…, i, …] over index[…, i, …] = u; `shape` is x's."""
    out = np.empty(shape, grad_y.dtype) if out is None else out
    out.fill(0)
    np.add.at(out, _places(index, axis, out.shape), grad_y)
    return out


def scatter_forward(
    x: Array, index: Array, source: Array, axis: int, reduce: str = "none", out: Array | None = None
) -> Array:
    """y = x, but y[…, index[…, i, …], …] = source[…, i, …] along `axis`; of several for one place the last.

    Args:
        x: (n, ...).
        index: Places; stretched to source.
        source: Numbers, no longer than x along other axes: they go to the first places there.
        axis: Which.
        reduce: How x and source are combined: "none", "add", "mul", "max" or "min".
        out: Takes the result.
    """
    (out,) = made(x, out)
    np.copyto(out, x)
    places = _places(index, axis, _reached(source, axis, x.shape))
    if reduce == "none":
        out[places] = source
    else:
        REDUCTIONS[reduce].at(out, places, source)
    return out


def scatter_backward_input(
    index: Array, grad_y: Array, axis: int, shape: Sequence[int], reduce: str = "none", out: Array | None = None
) -> Array:
    """grad_x = grad_y, and where x was written over 0; `shape` is the source's, `reduce` "none" or "add"."""
    (out,) = made(grad_y, out)
    np.copyto(out, grad_y)
    if reduce == "none":
        out[_places(index, axis, _reached(np.broadcast_to(0, shape), axis, grad_y.shape))] = 0
    return out


def scatter_backward_source(
    index: Array, grad_y: Array, axis: int, shape: Sequence[int], reduce: str = "none", out: Array | None = None
) -> Array:
    """grad_source[…, i, …] = grad_y[…, index[…, i, …], …], and 0 where another was written over it.

    `shape` is the source's, `reduce` "none" or "add".
    """
    out = np.empty(shape, grad_y.dtype) if out is None else out
    places = _places(index, axis, _reached(out, axis, grad_y.shape))
    np.copyto(out, grad_y[places])
    if reduce == "none":
        order = np.arange(out.size).reshape(out.shape)
        last = np.zeros(grad_y.shape, order.dtype)
        last[places] = order
        out[last[places] != order] = 0
    return out


def top_k_places(x: Array, k: int, axis: int, largest: bool = True, out: Array | None = None) -> Array:
    """y: where along `axis` the k greatest numbers are, the greatest first, of equal ones the first; or the least."""
    order = np.argsort(np.negative(x) if largest else x, axis=axis, kind="stable")
    chosen = order[(*[slice(None)] * axis, slice(k))]
    if out is None:
        return chosen
    np.copyto(out, chosen)
    return out


def one_hot(x: Array, count: int, axis: int, out: Array | None = None) -> Array:
    """y[…, i, …] = 1 where x = i, else 0: `count` numbers along a new axis. A number out of range has no 1."""
    classes = np.arange(count, dtype=x.dtype).reshape(-1, *[1] * (x.ndim - axis))
    numbers = np.expand_dims(x, axis)
    if out is None:
        out = np.empty(np.broadcast_shapes(numbers.shape, classes.shape), x.dtype)
    np.equal(numbers, classes, out=out)
    np.maximum(out, np.equal(numbers, classes - count), out=out)
    return out


def _places(index: Array, axis: int, shape: Sequence[int]) -> tuple[Array, ...]:
    """An index of an array of `shape` by all of its axes: each place of every axis but one."""
    ranks = len(shape)
    return tuple(
        index if place == axis else np.arange(size).reshape(-1, *[1] * (ranks - 1 - place))
        for place, size in enumerate(shape)
    )


def _reached(source: Array, axis: int, shape: Sequence[int]) -> tuple[int, ...]:
    """The part of an array of `shape` that a source is put into."""
    return (*source.shape[:axis], shape[axis], *source.shape[axis + 1 :])
