"""The tail of the normal distribution, which NumPy lacks, and GELU, which is made of it. See docs/math/activations.md.

Q(a) = ½ erfc(a / √2) = exp(−a² / 2) · t · P(2t − 1)    with t = k / (k + a), k = 4√2, for a ≥ 0

t carries all of [0, ∞) to (0, 1], and what remains of Q beside the exponential is so smooth there that a polynomial
takes it up: one formula for every a, without a branch. P was fitted at 50 digits to the Chebyshev nodes of t; its
coefficients are nearly all of one sign, so no digits are lost in summing them.

`out` is written and returned, and may be the first array; it is made, like scratch, if it is not given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .layout import Array, made

# P, lowest power first: an absolute error of 3e-16.
TAIL = (
    0.13699945762506138,
    0.12206859113511025,
    0.09665108778315383,
    0.06760672891415431,
    0.04135644848478948,
    0.021751367154991517,
    0.009547689362963852,
    0.0032962566675878925,
    0.000764006963548299,
    3.5119857390625925e-05,
    -5.6881621457116006e-05,
    -2.2101595976638605e-05,
    -4.542754768683714e-07,
    2.3575818967988034e-06,
    5.865479892193299e-07,
    -1.7794297261111042e-07,
    -1.0545645150702242e-07,
    9.300167599144599e-09,
    1.5316102588306564e-08,
    3.453536592431543e-11,
    -1.90941111248831e-09,
    -8.818603200481439e-11,
    1.5092270742581906e-10,
    9.566147939211161e-12,
)
SCALE = 4 * math.sqrt(2)
# Beyond, Q and the density are zero in float64 as well; an infinity stops here, before it is multiplied by zero.
FARTHEST = 40.0


def normal_tail(a: Array, out: Array | None = None, t: Array | None = None, density: Array | None = None) -> Array:
    """Q(a) in `out`, for 0 ≤ a ≤ FARTHEST; exp(−a² / 2) is left in `density`. `t` is scratch."""
    out, t, density = made(a, out, t, density)
    np.multiply(a, a, out=density)
    np.multiply(density, -0.5, out=density)
    np.exp(density, out=density)
    np.add(a, SCALE, out=t)
    np.divide(2 * SCALE, t, out=t)
    np.subtract(t, 1, out=t)
    polynomial(t, TAIL, out)
    np.add(t, 1, out=t)
    np.multiply(t, 0.5, out=t)
    np.multiply(out, t, out=out)
    return np.multiply(out, density, out=out)


def polynomial(x: Array, coefficients: Sequence[float], out: Array | None = None) -> Array:
    """Σ coefficients[k] · xᵏ, by Horner's rule; of at least two coefficients. `out` is not `x`."""
    (out,) = made(x, out)
    np.multiply(x, coefficients[-1], out=out)
    for coefficient in coefficients[-2:0:-1]:
        np.add(out, coefficient, out=out)
        np.multiply(out, x, out=out)
    return np.add(out, coefficients[0], out=out)


def gelu_forward(
    x: Array,
    out: Array | None = None,
    slope: Array | None = None,
    a: Array | None = None,
    tail: Array | None = None,
    t: Array | None = None,
    density: Array | None = None,
) -> Array:
    """y = x Φ(x) = max(x, 0) − |x| Q(|x|): exact to the last digits on either side.

    The slope is made of the same parts, Φ(x) + x φ(x) = [x ≥ 0] + sign(x) (|x| φ(x) − Q(|x|)), and left in `slope` if
    it is given: the way back is then one product. The last four are scratch.

    In float32 the tail's leading digits are not worth their passes: :func:`gelu_forward_short`.
    """
    if x.dtype == np.float32:
        return gelu_forward_short(x, out, slope, a, tail, t)
    out, a, tail, t, density = made(x, out, a, tail, t, density)
    np.abs(x, out=a)
    np.minimum(a, FARTHEST, out=a)
    normal_tail(a, tail, t, density)
    if slope is not None:
        np.multiply(a, density, out=slope)
        np.multiply(slope, 1 / math.sqrt(2 * math.pi), out=slope)
        np.subtract(slope, tail, out=slope)
        np.copysign(1, x, out=t)  # of −0 it is −1, as the limit from below
        np.multiply(slope, t, out=slope)
        np.greater(t, 0, out=t)
        np.add(slope, t, out=slope)
    np.multiply(a, tail, out=tail)
    np.maximum(x, 0, out=out)
    return np.subtract(out, tail, out=out)


# For float32, Φ(x) = ½ (1 + tanh(x G(x²))): G is the polynomial, fitted for |x| ≤ 5.6, with which x Φ(x) is off by at
# most 7e-8, half a last digit at 1. From SHORT_END on the tanh is ±1 to the last digit.
SHORT = (
    7.97884493e-01,
    3.63339113e-02,
    -3.29547638e-05,
    -5.52779401e-05,
    3.97311297e-06,
    -1.33646853e-07,
    1.80936293e-09,
)
SHORT_END = 15.0


def gelu_forward_short(
    x: Array,
    out: Array | None = None,
    slope: Array | None = None,
    bounded: Array | None = None,
    square: Array | None = None,
    gate: Array | None = None,
) -> Array:
    """y = ½ x (1 + tanh(x G(x²))): :func:`gelu_forward`, to the digits of float32 beside 1.

    The last three are scratch.
    """
    out, bounded, square, gate = made(x, out, bounded, square, gate)
    np.maximum(x, -SHORT_END, out=out)
    np.minimum(out, SHORT_END, out=bounded)
    np.multiply(bounded, bounded, out=square)
    polynomial(square, SHORT, gate)
    np.multiply(gate, bounded, out=gate)
    np.tanh(gate, out=gate)
    np.multiply(gate, 0.5, out=gate)
    np.add(gate, 0.5, out=gate)
    np.multiply(out, gate, out=out)
    if slope is not None:  # Φ(x) + x φ(x)
        np.multiply(square, -0.5, out=square)
        np.exp(square, out=square)
        np.multiply(square, bounded, out=square)
        np.multiply(square, 1 / math.sqrt(2 * math.pi), out=square)
        np.add(square, gate, out=slope)
    return out


def gelu_slope(x: Array, forward: Callable[..., Array] = gelu_forward) -> Array:
    """Φ(x) + x φ(x), or the slope of :func:`gelu_tanh_forward`: what a forward pass leaves beside y."""
    (slope,) = made(x, None)
    forward(x, None, slope)
    return slope


def gelu_backward(grad_y: Array, slope: Array, out: Array | None = None) -> Array:
    """grad_x = slope · grad_y, with the slope that the forward pass left."""
    (out,) = made(grad_y, out)
    return np.multiply(grad_y, slope, out=out)


# √(2/π) and the factor of x³ in the approximation by tanh. Beyond TANH_END the tanh is ±1 to the last digit, and the
# cube of a larger x might overflow.
TANH_SCALE = math.sqrt(2 / math.pi)
TANH_CUBE = 0.044715
TANH_END = 10.0


def gelu_tanh_forward(
    x: Array,
    out: Array | None = None,
    slope: Array | None = None,
    bounded: Array | None = None,
    square: Array | None = None,
    gate: Array | None = None,
) -> Array:
    """y = ½ x (1 + τ), τ = tanh(√(2/π) (x + 0.044715 x³)).

    The slope is ½ (1 + τ + x (1 − τ²) √(2/π) (1 + 3 · 0.044715 x²)), left in `slope` if there is one. The last three
    are scratch.
    """
    out, bounded, square, gate = made(x, out, bounded, square, gate)
    np.clip(x, -TANH_END, TANH_END, out=bounded)
    np.multiply(bounded, bounded, out=square)
    np.multiply(square, TANH_CUBE, out=square)
    np.add(square, 1, out=square)
    np.multiply(bounded, square, out=gate)
    np.multiply(gate, TANH_SCALE, out=gate)
    np.tanh(gate, out=gate)
    if slope is not None:
        np.multiply(square, 3 * TANH_SCALE, out=square)
        np.subtract(square, 2 * TANH_SCALE, out=square)  # √(2/π) (3 (1 + c x²) − 2)
        np.multiply(square, bounded, out=square)
        np.multiply(gate, gate, out=slope)
        np.subtract(1, slope, out=slope)
        np.multiply(slope, square, out=slope)
        np.add(slope, gate, out=slope)
        np.add(slope, 1, out=slope)
        np.multiply(slope, 0.5, out=slope)
    np.add(gate, 1, out=gate)
    np.multiply(gate, 0.5, out=gate)
    np.maximum(x, -TANH_END, out=out)
    return np.multiply(out, gate, out=out)
