"""Numbers on a grid, as quantised networks have them. See docs/math/rearrangement.md."""

from __future__ import annotations

import numpy as np

from .layout import Array, made


def quantize_forward(
    x: Array,
    scale: Array | float,
    zero_point: Array | float = 0.0,
    low: float = 0.0,
    high: float = 255.0,
    out: Array | None = None,
) -> Array:
    """y = min(max(round(x / scale) + zero_point, low), high), of two places as near the even one.

    Args:
        x: Any shape.
        scale: From one place of the grid to the next; broadcast to x.
        zero_point: What stands for zero; broadcast to x.
        low: The least output.
        high: The greatest.
        out: Written, and returned; made if not given.
    """
    (out,) = made(x, out)
    np.divide(x, scale, out=out)
    np.rint(out, out=out)
    np.add(out, zero_point, out=out)
    return np.clip(out, low, high, out=out)


def dequantize_forward(
    x: Array, scale: Array | float, zero_point: Array | float = 0.0, out: Array | None = None
) -> Array:
    """y = (x − zero_point) · scale; arguments as in :func:`quantize_forward`."""
    (out,) = made(x, out)
    np.subtract(x, zero_point, out=out)
    return np.multiply(out, scale, out=out)


def dequantize_backward(grad_y: Array, scale: Array | float, out: Array | None = None) -> Array:
    """grad_x = scale · grad_y."""
    (out,) = made(grad_y, out)
    return np.multiply(grad_y, scale, out=out)
