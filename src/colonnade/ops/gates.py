"""Activations that let x through a gate between 0 and 1: y = x · gate(x). `out` may be the first array, or grad_y."""

from __future__ import annotations

import numpy as np

from .activation import sigmoid_forward, silent
from .layout import Array

# From here on mish is x to the last digit of float64, and the square of the exponential is still a float32.
LINEAR = 20.0
# Beyond, every gate is open or shut to the last digit of float64. An infinity stops here, before it is multiplied by
# the zero of a gate or of its slope.
FARTHEST = 1000.0


@silent
def silu_forward(x: Array, out: Array, gate: Array) -> None:
    """y = x σ(x) = x / (1 + exp(−x)). `gate` is scratch."""
    np.maximum(x, -FARTHEST, out=out)
    np.negative(out, out=gate)
    np.exp(gate, out=gate)
    np.add(gate, 1, out=gate)
    np.divide(out, gate, out=out)


def silu_backward(x: Array, grad_y: Array, out: Array, gate: Array, slope: Array, bounded: Array) -> None:
    """grad_x = σ (1 + x (1 − σ)) grad_y. The last three are scratch."""
    np.clip(x, -FARTHEST, FARTHEST, out=bounded)
    sigmoid_forward(bounded, gate)
    np.subtract(1, gate, out=slope)
    np.multiply(slope, bounded, out=slope)
    np.add(slope, 1, out=slope)
    np.multiply(slope, gate, out=slope)
    np.multiply(grad_y, slope, out=out)


def mish_forward(x: Array, out: Array, gate: Array, term: Array) -> None:
    """y = x tanh(log(1 + eˣ)) = x n / (n + 2), with n = eˣ (eˣ + 2). `gate` and `term` are scratch."""
    _exponential(x, term)
    _mish_gate(term, gate, term)
    np.maximum(x, -FARTHEST, out=out)
    np.multiply(out, gate, out=out)


def mish_backward(x: Array, grad_y: Array, out: Array, gate: Array, exponential: Array, term: Array) -> None:
    """grad_x = (ω + x σ(x) (1 − ω²)) grad_y, with ω the gate and σ = e / (1 + e). The last three are scratch."""
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
    np.multiply(grad_y, term, out=out)


def _exponential(x: Array, out: Array) -> None:
    np.minimum(x, LINEAR, out=out)
    np.exp(out, out=out)


def _mish_gate(exponential: Array, gate: Array, term: Array) -> None:
    """n / (n + 2); `term` may be `exponential`."""
    np.add(exponential, 2, out=gate)
    np.multiply(gate, exponential, out=gate)
    np.add(gate, 2, out=term)
    np.divide(gate, term, out=gate)


def hardswish_forward(x: Array, out: Array, gate: Array) -> None:
    """y = x · min(max(x / 6 + ½, 0), 1). `gate` is scratch."""
    hardsigmoid_forward(x, gate)
    np.maximum(x, -3, out=out)  # the gate is shut there
    np.multiply(out, gate, out=out)


def hardswish_backward(x: Array, grad_y: Array, out: Array, gate: Array, slope: Array, mask: Array) -> None:
    """grad_x = (γ + x / 6 · [0 < γ < 1]) grad_y, γ the gate. The last three are scratch, `mask` of bools."""
    hardsigmoid_forward(x, gate)
    np.subtract(1, gate, out=slope)
    np.multiply(slope, gate, out=slope)
    np.not_equal(slope, 0, out=mask)
    np.clip(x, -3, 3, out=slope)
    np.multiply(slope, 1 / 6, out=slope)
    np.multiply(slope, mask, out=slope)
    np.add(slope, gate, out=slope)
    np.multiply(grad_y, slope, out=out)


def hardsigmoid_forward(x: Array, out: Array) -> None:
    """y = min(max(x / 6 + ½, 0), 1): the sigmoid in three straight pieces."""
    np.multiply(x, 1 / 6, out=out)
    np.add(out, 0.5, out=out)
    np.clip(out, 0, 1, out=out)
