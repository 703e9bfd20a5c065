"""Sines, tangents and their kin, of a circle and of a hyperbola, each number by itself. See docs/math/activations.md.

`out` is written and returned, and may be the first array; it is made, like scratch, if it is not given. Outside the
range of a function the result is NaN or an infinity, without a word.
"""

from __future__ import annotations

import numpy as np

from .activation import silent
from .layout import Array, made


@silent
def sin_forward(x: Array, out: Array | None = None) -> Array:
    """y = sin x."""
    (out,) = made(x, out)
    return np.sin(x, out=out)


@silent
def sin_backward(x: Array, grad_y: Array, out: Array | None = None, slope: Array | None = None) -> Array:
    """grad_x = cos x · grad_y. `slope` is scratch."""
    out, slope = made(x, out, slope)
    np.cos(x, out=slope)
    return np.multiply(grad_y, slope, out=out)


@silent
def cos_forward(x: Array, out: Array | None = None) -> Array:
    """y = cos x."""
    (out,) = made(x, out)
    return np.cos(x, out=out)


@silent
def cos_backward(x: Array, grad_y: Array, out: Array | None = None, slope: Array | None = None) -> Array:
    """grad_x = −sin x · grad_y. `slope` is scratch."""
    out, slope = made(x, out, slope)
    np.sin(x, out=slope)
    np.multiply(grad_y, slope, out=out)
    return np.negative(out, out=out)


@silent
def tan_forward(x: Array, out: Array | None = None) -> Array:
    """y = tan x."""
    (out,) = made(x, out)
    return np.tan(x, out=out)


@silent
def tan_backward(y: Array, grad_y: Array, out: Array | None = None, slope: Array | None = None) -> Array:
    """grad_x = (1 + y²) grad_y. `slope` is scratch."""
    out, slope = made(y, out, slope)
    np.multiply(y, y, out=slope)
    np.add(slope, 1, out=slope)
    return np.multiply(grad_y, slope, out=out)


@silent
def asin_forward(x: Array, out: Array | None = None) -> Array:
    """y = arcsin x, from −π/2 to π/2."""
    (out,) = made(x, out)
    return np.arcsin(x, out=out)


@silent
def asin_backward(x: Array, grad_y: Array, out: Array | None = None, slope: Array | None = None) -> Array:
    """grad_x = grad_y / √(1 − x²). `slope` is scratch."""
    out, slope = made(x, out, slope)
    np.multiply(x, x, out=slope)
    np.subtract(1, slope, out=slope)
    np.sqrt(slope, out=slope)
    return np.divide(grad_y, slope, out=out)


@silent
def acos_forward(x: Array, out: Array | None = None) -> Array:
    """y = arccos x, from 0 to π."""
    (out,) = made(x, out)
    return np.arccos(x, out=out)


@silent
def acos_backward(x: Array, grad_y: Array, out: Array | None = None, slope: Array | None = None) -> Array:
    """grad_x = −grad_y / √(1 − x²). `slope` is scratch."""
    out, slope = made(x, out, slope)
    asin_backward(x, grad_y, out, slope)
    return np.negative(out, out=out)


@silent
def atan_forward(x: Array, out: Array | None = None) -> Array:
    """y = arctan x, from −π/2 to π/2."""
    (out,) = made(x, out)
    return np.arctan(x, out=out)


@silent
def atan_backward(x: Array, grad_y: Array, out: Array | None = None, slope: Array | None = None) -> Array:
    """grad_x = grad_y / (1 + x²). `slope` is scratch."""
    out, slope = made(x, out, slope)
    np.multiply(x, x, out=slope)
    np.add(slope, 1, out=slope)
    return np.divide(grad_y, slope, out=out)


@silent
def sinh_forward(x: Array, out: Array | None = None) -> Array:
    """y = sinh x = (eˣ − e⁻ˣ) / 2."""
    (out,) = made(x, out)
    return np.sinh(x, out=out)


@silent
def sinh_backward(x: Array, grad_y: Array, out: Array | None = None, slope: Array | None = None) -> Array:
    """grad_x = cosh x · grad_y. `slope` is scratch."""
    out, slope = made(x, out, slope)
    np.cosh(x, out=slope)
    return np.multiply(grad_y, slope, out=out)


@silent
def cosh_forward(x: Array, out: Array | None = None) -> Array:
    """y = cosh x = (eˣ + e⁻ˣ) / 2."""
    (out,) = made(x, out)
    return np.cosh(x, out=out)


@silent
def cosh_backward(x: Array, grad_y: Array, out: Array | None = None, slope: Array | None = None) -> Array:
    """grad_x = sinh x · grad_y. `slope` is scratch."""
    out, slope = made(x, out, slope)
    np.sinh(x, out=slope)
    return np.multiply(grad_y, slope, out=out)


@silent
def asinh_forward(x: Array, out: Array | None = None) -> Array:
    """y = arsinh x = log(x + √(x² + 1))."""
    (out,) = made(x, out)
    return np.arcsinh(x, out=out)


@silent
def asinh_backward(x: Array, grad_y: Array, out: Array | None = None, slope: Array | None = None) -> Array:
    """grad_x = grad_y / √(x² + 1). `slope` is scratch."""
    out, slope = made(x, out, slope)
    np.multiply(x, x, out=slope)
    np.add(slope, 1, out=slope)
    np.sqrt(slope, out=slope)
    return np.divide(grad_y, slope, out=out)


@silent
def acosh_forward(x: Array, out: Array | None = None) -> Array:
    """y = arcosh x = log(x + √(x² − 1))."""
    (out,) = made(x, out)
    return np.arccosh(x, out=out)


@silent
def acosh_backward(x: Array, grad_y: Array, out: Array | None = None, slope: Array | None = None) -> Array:
    """grad_x = grad_y / √(x² − 1); NaN below 1. `slope` is scratch."""
    out, slope = made(x, out, slope)
    np.multiply(x, x, out=slope)
    np.subtract(slope, 1, out=slope)
    np.sqrt(slope, out=slope)
    return np.divide(grad_y, slope, out=out)


@silent
def atanh_forward(x: Array, out: Array | None = None) -> Array:
    """y = artanh x = ½ log((1 + x) / (1 − x))."""
    (out,) = made(x, out)
    return np.arctanh(x, out=out)


@silent
def atanh_backward(x: Array, grad_y: Array, out: Array | None = None, slope: Array | None = None) -> Array:
    """grad_x = grad_y / (1 − x²). `slope` is scratch."""
    out, slope = made(x, out, slope)
    np.multiply(x, x, out=slope)
    np.subtract(1, slope, out=slope)
    return np.divide(grad_y, slope, out=out)
