"""Activations that let x through a gate between 0 and 1: y = x · gate(x). See docs/math/activations.md.

`out` is written and returned, and may be the first array, or grad_y; it is made, like scratch, if it is not given.
"""

from __future__ import annotations

import numpy as np

from .activation import sigmoid_forward, silent
from .layout import Array, made
from .pieces import clip_backward

# From here on mish is x to the last digit of float64, and the square of the exponential is still a float32.
LINEAR = 20.0
# Beyond, every gate is open or shut to the last digit of float64. An infinity stops here, before it is multiplied by
# the zero of a gate or of its slope.
FARTHEST = 1000.0


@silent
def silu_forward(x: Array, out: Array | None = None, gate: Array | None = None) -> Array:
    """y = x σ(x) = x / (1 + exp(−x)). `gate` is scratch."""
    out, gate = made(x, out, gate)
    np.maximum(x, -FARTHEST, out=out)
    np.negative(out, out=gate)
    np.exp(gate, out=gate)
    np.add(gate, 1, out=gate)
    return np.divide(out, gate, out=out)


def silu_backward(
    x: Array,
    grad_y: Array,
    out: Array | None = None,
    gate: Array | None = None,
    slope: Array | None = None,
    bounded: Array | None = None,
) -> Array:
    """grad_x = σ (1 + x (1 − σ)) grad_y. The last three are scratch."""
    out, gate, slope, bounded = made(x, out, gate, slope, bounded)
    np.clip(x, -FARTHEST, FARTHEST, out=bounded)
    sigmoid_forward(bounded, gate)
    np.subtract(1, gate, out=slope)
    np.multiply(slope, bounded, out=slope)
    np.add(slope, 1, out=slope)
    np.multiply(slope, gate, out=slope)
    return np.multiply(grad_y, slope, out=out)


def mish_forward(x: Array, out: Array | None = None, gate: Array | None = None, term: Array | None = None) -> Array:
    """y = x tanh(log(1 + eˣ)) = x n / (n + 2), with n = eˣ (eˣ + 2). `gate` and `term` are scratch."""
    out, gate, term = made(x, out, gate, term)
    _exponential(x, term)
    _mish_gate(term, gate, term)
    np.maximum(x, -FARTHEST, out=out)
    return np.multiply(out, gate, out=out)


def mish_backward(
    x: Array,
    grad_y: Array,
    out: Array | None = None,
    gate: Array | None = None,
    exponential: Array | None = None,
    term: Array | None = None,
) -> Array:
    """grad_x = (ω + x σ(x) (1 − ω²)) grad_y, with ω the gate and σ = e / (1 + e). The last three are scratch."""
    out, gate, exponential, term = made(x, out, gate, exponential, term)
    _exponential(x, exponential)
    _mish_gate(exponential, gate, term)
    np.add(exponential, 1, out=term)
    np.divide(exponential, term, out=exponential)
    np.clip(x, -FARTHEST, FARTHEST, out=term)
    np.multiply(exponential, term, out=exponential)
    np.multiply(gate, gate, out=term)
    np.subtract(1, term, out=term)
    np.multiply(term, exponential, out=term)
    np.add(term, gate, out=term)
    return np.multiply(grad_y, term, out=out)


def _exponential(x: Array, out: Array) -> None:
    np.minimum(x, LINEAR, out=out)
    np.exp(out, out=out)


def _mish_gate(exponential: Array, gate: Array, term: Array) -> None:
    """n / (n + 2); `term` may be `exponential`."""
    np.add(exponential, 2, out=gate)
    np.multiply(gate, exponential, out=gate)
    np.add(gate, 2, out=term)
    np.divide(gate, term, out=gate)


def hardswish_forward(x: Array, out: Array | None = None, gate: Array | None = None) -> Array:
    """y = x · min(max(x / 6 + ½, 0), 1). `gate` is scratch."""
    out, gate = made(x, out, gate)
    hardsigmoid_forward(x, gate)
    np.maximum(x, -3, out=out)  # the gate is shut there
    return np.multiply(out, gate, out=out)


def hardswish_backward(
    x: Array,
    grad_y: Array,
    out: Array | None = None,
    gate: Array | None = None,
    slope: Array | None = None,
    mask: Array | None = None,
) -> Array:
    """grad_x = (γ + x / 6 · [0 < γ < 1]) grad_y, γ the gate. The last three are scratch, `mask` of bools."""
    out, gate, slope = made(x, out, gate, slope)
    (mask,) = made(x, mask, dtype=np.bool_)
    hardsigmoid_forward(x, gate)
    np.subtract(1, gate, out=slope)
    np.multiply(slope, gate, out=slope)
    np.not_equal(slope, 0, out=mask)
    np.clip(x, -3, 3, out=slope)
    np.multiply(slope, 1 / 6, out=slope)
    np.multiply(slope, mask, out=slope)
    np.add(slope, gate, out=slope)
    return np.multiply(grad_y, slope, out=out)


def hardsigmoid_forward(x: Array, out: Array | None = None) -> Array:
    """y = min(max(x / 6 + ½, 0), 1): the sigmoid in three straight pieces."""
    (out,) = made(x, out)
    np.multiply(x, 1 / 6, out=out)
    np.add(out, 0.5, out=out)
    return np.clip(out, 0, 1, out=out)


def hardsigmoid_backward(
    y: Array, grad_y: Array, out: Array | None = None, mask: Array | None = None, other: Array | None = None
) -> Array:
    """grad_x = grad_y / 6 where 0 < y < 1, else 0. `mask` and `other` are scratch, bools."""
    return clip_backward(y, grad_y, 0, 1, 1 / 6, out, mask, other)
