"""Running sums. Derived in docs/math/rearrangement.md."""

from __future__ import annotations

import numpy as np

from .layout import Array, made


def cumsum_forward(
    x: Array, axis: int, exclusive: bool = False, reverse: bool = False, out: Array | None = None
) -> Array:
    """y[…, i, …] = Σ x[…, j, …] over j ≤ i along `axis`.

    Args:
        x: Any shape.
        axis: Which.
        exclusive: Over j < i.
        reverse: From the end: over j ≥ i.
        out: Written, and returned; made if not given.
    """
    (out,) = made(x, out)
    source, target = (np.flip(x, axis), np.flip(out, axis)) if reverse else (x, out)
    if exclusive:
        before: tuple[slice, ...] = (*[slice(None)] * axis,)
        target[(*before, slice(1))] = 0
        source, target = source[(*before, slice(-1))], target[(*before, slice(1, None))]
    np.add.accumulate(source, axis=axis, out=target)
    return out


def cumsum_backward(
    grad_y: Array, axis: int, exclusive: bool = False, reverse: bool = False, out: Array | None = None
) -> Array:
    """grad_x[…, j, …] = Σ grad_y[…, i, …] over i ≥ j: the running sum from the other end."""
    return cumsum_forward(grad_y, axis, exclusive, not reverse, out)
