"""Functions of each number by itself that networks are put together from. `out` may be the first array.

Outside the range of a function the result is NaN or an infinity, without a word.
"""

from __future__ import annotations

import math

import numpy as np

from .activation import silent
from .gaussian import FARTHEST, normal_tail, polynomial
from .layout import Array

# erf x = x Σ ERF[k] x²ᵏ, its power series, is exact where |x| < ERF_END; 1 less the tail loses digits there.
ERF = [2 / math.sqrt(math.pi) * (-1) ** k / (math.factorial(k) * (2 * k + 1)) for k in range(14)]
ERF_END = 0.6


def affine_forward(x: Array, scale: float, shift: float, out: Array) -> None:
    """y = scale · x + shift."""
    np.multiply(x, scale, out=out)
    if shift:
        np.add(out, shift, out=out)


def affine_backward(grad_y: Array, scale: float, out: Array) -> None:
    """grad_x = scale · grad_y."""
    np.multiply(grad_y, scale, out=out)


def abs_forward(x: Array, out: Array) -> None:
    """y = |x|."""
    np.absolute(x, out=out)


def abs_backward(x: Array, grad_y: Array, out: Array, sign: Array) -> None:
    """grad_x = sign(x) grad_y. `sign` is scratch."""
    np.sign(x, out=sign)
    np.multiply(grad_y, sign, out=out)


@silent
def exp_forward(x: Array, out: Array) -> None:
    """y = eˣ."""
    np.exp(x, out=out)


@silent
def exp_backward(y: Array, grad_y: Array, out: Array) -> None:
    """grad_x = y grad_y."""
    np.multiply(grad_y, y, out=out)


@silent
def log_forward(x: Array, out: Array) -> None:
    """y = log x."""
    np.log(x, out=out)


@silent
def log_backward(x: Array, grad_y: Array, out: Array) -> None:
    """grad_x = grad_y / x."""
    np.divide(grad_y, x, out=out)


@silent
def sqrt_forward(x: Array, out: Array) -> None:
    """y = √x."""
    np.sqrt(x, out=out)


@silent
def sqrt_backward(y: Array, grad_y: Array, out: Array) -> None:
    """grad_x = grad_y / 2y."""
    np.divide(grad_y, y, out=out)
    np.multiply(out, 0.5, out=out)


@silent
def reciprocal_forward(x: Array, out: Array) -> None:
    """y = 1 / x."""
    np.divide(1, x, out=out)


@silent
def reciprocal_backward(y: Array, grad_y: Array, out: Array, square: Array) -> None:
    """grad_x = −y² grad_y. `square` is scratch."""
    np.multiply(y, y, out=square)
    np.multiply(grad_y, square, out=out)
    np.negative(out, out=out)


@silent
def power_forward(x: Array, exponent: float, out: Array) -> None:
    """y = x ** exponent; squares and roots the short way."""
    if exponent == 2:
        np.multiply(x, x, out=out)
    elif exponent == 0.5:
        np.sqrt(x, out=out)
    else:
        np.power(x, exponent, out=out)


@silent
def power_backward(x: Array, grad_y: Array, exponent: float, out: Array, slope: Array) -> None:
    """grad_x = exponent · x ** (exponent − 1) · grad_y. `slope` is scratch."""
    if exponent == 2:
        np.multiply(x, 2, out=slope)
    elif exponent == 0:
        slope.fill(0)  # not zero by infinity
    else:
        np.power(x, exponent - 1, out=slope)
        np.multiply(slope, exponent, out=slope)
    np.multiply(grad_y, slope, out=out)


@silent
def erf_forward(x: Array, out: Array, a: Array, tail: Array, t: Array, density: Array, small: Array) -> None:
    """y = erf x = sign(x) (1 − 2 Q(√2 |x|)), Q the tail of the normal distribution; near zero the power series.

    The last five are scratch, `small` of bools.
    """
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


def erf_backward(x: Array, grad_y: Array, out: Array, density: Array) -> None:
    """grad_x = 2/√π · exp(−x²) grad_y. `density` is scratch."""
    np.clip(x, -FARTHEST, FARTHEST, out=density)
    np.multiply(density, density, out=density)
    np.negative(density, out=density)
    np.exp(density, out=density)
    np.multiply(density, 2 / math.sqrt(math.pi), out=density)
    np.multiply(grad_y, density, out=out)


@silent
def sin_forward(x: Array, out: Array) -> None:
    """y = sin x."""
    np.sin(x, out=out)


@silent
def sin_backward(x: Array, grad_y: Array, out: Array, slope: Array) -> None:
    """grad_x = cos x · grad_y. `slope` is scratch."""
    np.cos(x, out=slope)
    np.multiply(grad_y, slope, out=out)


@silent
def cos_forward(x: Array, out: Array) -> None:
    """y = cos x."""
    np.cos(x, out=out)


@silent
def cos_backward(x: Array, grad_y: Array, out: Array, slope: Array) -> None:
    """grad_x = −sin x · grad_y. `slope` is scratch."""
    np.sin(x, out=slope)
    np.multiply(grad_y, slope, out=out)
    np.negative(out, out=out)


def softsign_forward(x: Array, out: Array, size: Array) -> None:
    """y = x / (1 + |x|). `size` is scratch."""
    most = np.finfo(x.dtype).max
    np.clip(x, -most, most, out=out)  # infinity by infinity would be NaN
    np.absolute(out, out=size)
    np.add(size, 1, out=size)
    np.divide(out, size, out=out)


def softsign_backward(y: Array, grad_y: Array, out: Array, slope: Array) -> None:
    """grad_x = (1 − |y|)² grad_y. `slope` is scratch."""
    np.absolute(y, out=slope)
    np.subtract(1, slope, out=slope)
    np.multiply(slope, slope, out=slope)
    np.multiply(grad_y, slope, out=out)


@silent
def celu_forward(x: Array, alpha: float, out: Array, negative: Array) -> None:
    """y = max(x, 0) + α (exp(min(x, 0) / α) − 1). `negative` is scratch."""
    np.minimum(x, 0, out=negative)
    np.divide(negative, alpha, out=negative)
    np.expm1(negative, out=negative)
    np.multiply(negative, alpha, out=negative)
    np.maximum(x, 0, out=out)
    np.add(out, negative, out=out)


@silent
def celu_backward(x: Array, grad_y: Array, alpha: float, out: Array, slope: Array) -> None:
    """grad_x = exp(min(x, 0) / α) grad_y. `slope` is scratch."""
    np.minimum(x, 0, out=slope)
    np.divide(slope, alpha, out=slope)
    np.exp(slope, out=slope)
    np.multiply(grad_y, slope, out=out)


def threshold_forward(x: Array, threshold: float, value: float, out: Array, above: Array) -> None:
    """y = x where x > threshold, else value. `above` is scratch, of bools."""
    np.less_equal(x, threshold, out=above)  # a NaN stays
    np.copyto(out, x)
    np.copyto(out, value, where=above)


def threshold_backward(x: Array, grad_y: Array, threshold: float, out: Array, above: Array) -> None:
    """grad_x = grad_y where x > threshold, else 0. `above` is scratch, of bools."""
    np.less_equal(x, threshold, out=above)
    np.logical_not(above, out=above)
    np.multiply(grad_y, above, out=out)
