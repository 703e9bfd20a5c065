"""Functions of each number by itself that networks are put together from. See docs/math/activations.md.

`out` is written and returned, and may be the first array; it is made, like scratch, if it is not given. Outside the
range of a function the result is NaN or an infinity, without a word.
"""

from __future__ import annotations

import math

import numpy as np

from .activation import silent
from .gaussian import FARTHEST, normal_tail, polynomial
from .layout import Array, made

# erf x = x Σ ERF[k] x²ᵏ, its power series, is exact where |x| < ERF_END; 1 less the tail loses digits there.
ERF = [2 / math.sqrt(math.pi) * (-1) ** k / (math.factorial(k) * (2 * k + 1)) for k in range(14)]
ERF_END = 0.6


def affine_forward(x: Array, scale: float, shift: float = 0.0, out: Array | None = None) -> Array:
    """y = scale · x + shift."""
    (out,) = made(x, out)
    np.multiply(x, scale, out=out)
    if shift:
        np.add(out, shift, out=out)
    return out


def affine_backward(grad_y: Array, scale: float, out: Array | None = None) -> Array:
    """grad_x = scale · grad_y."""
    (out,) = made(grad_y, out)
    return np.multiply(grad_y, scale, out=out)


def abs_forward(x: Array, out: Array | None = None) -> Array:
    """y = |x|."""
    (out,) = made(x, out)
    return np.absolute(x, out=out)


def abs_backward(x: Array, grad_y: Array, out: Array | None = None, sign: Array | None = None) -> Array:
    """grad_x = sign(x) grad_y. `sign` is scratch."""
    out, sign = made(x, out, sign)
    np.sign(x, out=sign)
    return np.multiply(grad_y, sign, out=out)


@silent
def exp_forward(x: Array, out: Array | None = None) -> Array:
    """y = eˣ."""
    (out,) = made(x, out)
    return np.exp(x, out=out)


@silent
def exp_backward(y: Array, grad_y: Array, out: Array | None = None) -> Array:
    """grad_x = y grad_y."""
    (out,) = made(y, out)
    return np.multiply(grad_y, y, out=out)


@silent
def log_forward(x: Array, out: Array | None = None) -> Array:
    """y = log x."""
    (out,) = made(x, out)
    return np.log(x, out=out)


@silent
def log_backward(x: Array, grad_y: Array, out: Array | None = None) -> Array:
    """grad_x = grad_y / x."""
    (out,) = made(x, out)
    return np.divide(grad_y, x, out=out)


@silent
def sqrt_forward(x: Array, out: Array | None = None) -> Array:
    """y = √x."""
    (out,) = made(x, out)
    return np.sqrt(x, out=out)


@silent
def sqrt_backward(y: Array, grad_y: Array, out: Array | None = None) -> Array:
    """grad_x = grad_y / 2y."""
    (out,) = made(y, out)
    np.divide(grad_y, y, out=out)
    return np.multiply(out, 0.5, out=out)


@silent
def reciprocal_forward(x: Array, out: Array | None = None) -> Array:
    """y = 1 / x."""
    (out,) = made(x, out)
    return np.divide(1, x, out=out)


@silent
def reciprocal_backward(y: Array, grad_y: Array, out: Array | None = None, square: Array | None = None) -> Array:
    """grad_x = −y² grad_y. `square` is scratch."""
    out, square = made(y, out, square)
    np.multiply(y, y, out=square)
    np.multiply(grad_y, square, out=out)
    return np.negative(out, out=out)


@silent
def power_forward(x: Array, exponent: float, out: Array | None = None) -> Array:
    """y = x ** exponent; squares and roots the short way."""
    (out,) = made(x, out)
    if exponent == 2:
        np.multiply(x, x, out=out)
    elif exponent == 0.5:
        np.sqrt(x, out=out)
    else:
        np.power(x, exponent, out=out)
    return out


@silent
def power_backward(
    x: Array,
    grad_y: Array,
    exponent: float,
    out: Array | None = None,
    slope: Array | None = None,
    flat_at_zero: bool = False,
) -> Array:
    """grad_x = exponent · x ** (exponent − 1) · grad_y; where `flat_at_zero`, 0 at x = 0. `slope` is scratch."""
    out, slope = made(x, out, slope)
    if exponent == 2:
        np.multiply(x, 2, out=slope)
    elif exponent == 0:
        slope.fill(0)  # not zero by infinity
    else:
        np.power(x, exponent - 1, out=slope)
        np.multiply(slope, exponent, out=slope)
    if flat_at_zero:
        zero = x == 0  # before `out`, which may be the same
        np.multiply(grad_y, slope, out=out)
        np.copyto(out, 0, where=zero)
        return out
    return np.multiply(grad_y, slope, out=out)


@silent
def erf_forward(
    x: Array,
    out: Array | None = None,
    a: Array | None = None,
    tail: Array | None = None,
    t: Array | None = None,
    density: Array | None = None,
    small: Array | None = None,
) -> Array:
    """y = erf x = sign(x) (1 − 2 Q(√2 |x|)), Q the tail of the normal distribution; near zero the power series.

    The last five are scratch, `small` of bools.
    """
    out, a, tail, t, density = made(x, out, a, tail, t, density)
    (small,) = made(x, small, dtype=np.bool_)
    np.absolute(x, out=a)
    np.less(a, ERF_END, out=small)
    np.multiply(a, math.sqrt(2), out=a)
    np.minimum(a, FARTHEST, out=a)
    normal_tail(a, tail, t, density)
    np.multiply(tail, -2, out=tail)
    np.add(tail, 1, out=tail)
    np.copysign(tail, x, out=tail)
    np.multiply(x, x, out=t)
    polynomial(t, ERF, a)
    np.multiply(a, x, out=a)
    np.copyto(tail, a, where=small)
    np.copyto(out, tail)
    return out


def erf_backward(x: Array, grad_y: Array, out: Array | None = None, density: Array | None = None) -> Array:
    """grad_x = 2/√π · exp(−x²) grad_y. `density` is scratch."""
    out, density = made(x, out, density)
    np.clip(x, -FARTHEST, FARTHEST, out=density)
    np.multiply(density, density, out=density)
    np.negative(density, out=density)
    np.exp(density, out=density)
    np.multiply(density, 2 / math.sqrt(math.pi), out=density)
    return np.multiply(grad_y, density, out=out)


def softsign_forward(x: Array, out: Array | None = None, size: Array | None = None) -> Array:
    """y = x / (1 + |x|). `size` is scratch."""
    out, size = made(x, out, size)
    most = np.finfo(x.dtype).max
    np.clip(x, -most, most, out=out)  # infinity by infinity would be NaN
    np.absolute(out, out=size)
    np.add(size, 1, out=size)
    return np.divide(out, size, out=out)


def softsign_backward(y: Array, grad_y: Array, out: Array | None = None, slope: Array | None = None) -> Array:
    """grad_x = (1 − |y|)² grad_y. `slope` is scratch."""
    out, slope = made(y, out, slope)
    np.absolute(y, out=slope)
    np.subtract(1, slope, out=slope)
    np.multiply(slope, slope, out=slope)
    return np.multiply(grad_y, slope, out=out)


@silent
def celu_forward(x: Array, alpha: float = 1.0, out: Array | None = None, negative: Array | None = None) -> Array:
    """y = max(x, 0) + α (exp(min(x, 0) / α) − 1). `negative` is scratch."""
    out, negative = made(x, out, negative)
    np.minimum(x, 0, out=negative)
    np.divide(negative, alpha, out=negative)
    np.expm1(negative, out=negative)
    np.multiply(negative, alpha, out=negative)
    np.maximum(x, 0, out=out)
    return np.add(out, negative, out=out)


@silent
def celu_backward(
    x: Array, grad_y: Array, alpha: float = 1.0, out: Array | None = None, slope: Array | None = None
) -> Array:
    """grad_x = exp(min(x, 0) / α) grad_y. `slope` is scratch."""
    out, slope = made(x, out, slope)
    np.minimum(x, 0, out=slope)
    np.divide(slope, alpha, out=slope)
    np.exp(slope, out=slope)
    return np.multiply(grad_y, slope, out=out)


def threshold_forward(
    x: Array, threshold: float, value: float, out: Array | None = None, above: Array | None = None
) -> Array:
    """y = x where x > threshold, else value. `above` is scratch, of bools."""
    (out,) = made(x, out)
    (above,) = made(x, above, dtype=np.bool_)
    np.less_equal(x, threshold, out=above)  # a NaN stays
    np.copyto(out, x)
    np.copyto(out, value, where=above)
    return out


def threshold_backward(
    x: Array, grad_y: Array, threshold: float, out: Array | None = None, above: Array | None = None
) -> Array:
    """grad_x = grad_y where x > threshold, else 0. `above` is scratch, of bools."""
    (out,) = made(x, out)
    (above,) = made(x, above, dtype=np.bool_)
    np.less_equal(x, threshold, out=above)
    np.logical_not(above, out=above)
    return np.multiply(grad_y, above, out=out)
