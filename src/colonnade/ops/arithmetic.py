"""Arithmetic of several arrays, element by element. Derived in docs/math/rearrangement.md.

Inputs may have axes of length 1 where others have more: these are stretched, and the gradient at a stretched input is
the sum over its copies. `out` is written and returned; it is made, like scratch, if it is not given. As the gradient at
an input it has that input's shape, and if it is not given that of y: as if nothing was stretched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .layout import Array, made
from .reduction import sum_to

# What may be applied to two arrays: np.add, np.maximum and the like.
OfTwo = Any


def combine_forward(function: OfTwo, arrays: Sequence[Array], out: Array | None = None) -> Array:
    """y = x₁ ∘ x₂ ∘ …, from the first on, with a function of two arrays: np.add for a sum."""
    if out is None:
        out = np.empty(np.broadcast_shapes(*(array.shape for array in arrays)), arrays[0].dtype)
    function(arrays[0], arrays[1], out=out)
    for other in arrays[2:]:
        function(out, other, out=out)
    return out


def add_backward(grad_y: Array, out: Array | None = None) -> Array:
    """grad_x = grad_y, for each input of a sum."""
    return _to(grad_y, out)


def subtract_forward(left: Array, right: Array, out: Array | None = None) -> Array:
    """y = x₁ − x₂."""
    return np.subtract(left, right, out=out)


def subtract_backward_right(grad_y: Array, out: Array | None = None) -> Array:
    """grad_x₂ = −grad_y; that at x₁ is :func:`add_backward`."""
    out = _to(grad_y, out)
    return np.negative(out, out=out)


def multiply_backward(
    others: Sequence[Array], grad_y: Array, out: Array | None = None, product: Array | None = None
) -> Array:
    """grad_x = grad_y · the product of all other inputs of y = x₁ · x₂ · … `product` is scratch of y's shape."""
    (product,) = made(grad_y, product)
    source = grad_y
    for other in others:
        source = np.multiply(source, other, out=product)
    return _to(source, out)


def divide_forward(left: Array, right: Array, out: Array | None = None) -> Array:
    """y = x₁ / x₂."""
    return np.divide(left, right, out=out)


def divide_backward_left(right: Array, grad_y: Array, out: Array | None = None, quotient: Array | None = None) -> Array:
    """grad_x₁ = grad_y / x₂. `quotient` is scratch of y's shape."""
    (quotient,) = made(grad_y, quotient)
    np.divide(grad_y, right, out=quotient)
    return _to(quotient, out)


def divide_backward_right(
    left: Array, right: Array, grad_y: Array, out: Array | None = None, quotient: Array | None = None
) -> Array:
    """grad_x₂ = −x₁ / x₂² · grad_y. `quotient` is scratch of y's shape."""
    (quotient,) = made(grad_y, quotient)
    np.divide(left, right, out=quotient)
    np.divide(quotient, right, out=quotient)
    np.multiply(quotient, grad_y, out=quotient)
    out = _to(quotient, out)
    return np.negative(out, out=out)


def remainder_forward(left: Array, right: Array, truncated: bool = False, out: Array | None = None) -> Array:
    """y = x₁ − ⌊x₁ / x₂⌋ x₂, with the sign of x₂; with that of x₁, the quotient cut off, if `truncated`."""
    return (np.fmod if truncated else np.remainder)(left, right, out=out)


def remainder_backward_right(
    left: Array,
    right: Array,
    grad_y: Array,
    truncated: bool = False,
    out: Array | None = None,
    quotient: Array | None = None,
) -> Array:
    """grad_x₂ = −⌊x₁ / x₂⌋ · grad_y; that at x₁ is :func:`add_backward`. `quotient` is scratch of y's shape."""
    (quotient,) = made(grad_y, quotient)
    if truncated:
        np.divide(left, right, out=quotient)
        np.trunc(quotient, out=quotient)
    else:
        np.floor_divide(left, right, out=quotient)
    np.multiply(quotient, grad_y, out=quotient)
    out = _to(quotient, out)
    return np.negative(out, out=out)


def pow_forward(base: Array, exponent: Array, out: Array | None = None) -> Array:
    """y = x₁ ** x₂; NaN where x₁ is negative and x₂ no whole number."""
    return np.power(base, exponent, out=out)


def pow_backward_base(
    base: Array,
    exponent: Array,
    grad_y: Array,
    out: Array | None = None,
    slope: Array | None = None,
    factor: Array | None = None,
    zero: Array | None = None,
) -> Array:
    """grad_x₁ = x₂ · x₁ ** (x₂ − 1) · grad_y, and zero where x₂ is. The last three are scratch, `zero` of bools."""
    slope, factor = made(grad_y, slope, factor)
    (zero,) = made(grad_y, zero, dtype=np.bool_)
    np.subtract(exponent, 1, out=factor)
    np.power(base, factor, out=slope)
    np.multiply(slope, exponent, out=slope)
    np.multiply(slope, grad_y, out=slope)
    np.equal(exponent, 0, out=zero)
    np.copyto(slope, 0, where=zero)
    return _to(slope, out)


def pow_backward_exponent(
    base: Array,
    exponent: Array,
    grad_y: Array,
    out: Array | None = None,
    slope: Array | None = None,
    factor: Array | None = None,
    zero: Array | None = None,
) -> Array:
    """grad_x₂ = x₁ ** x₂ · log x₁ · grad_y, and zero where x₁ is and x₂ not negative; as :func:`pow_backward_base`."""
    slope, factor = made(grad_y, slope, factor)
    (zero,) = made(grad_y, zero, dtype=np.bool_)
    np.power(base, exponent, out=slope)
    np.copyto(factor, base)
    np.log(factor, out=factor)
    np.multiply(slope, factor, out=slope)
    np.multiply(slope, grad_y, out=slope)
    np.equal(base, 0, out=zero)
    np.greater_equal(exponent, 0, out=factor)
    np.logical_and(zero, factor, out=zero)
    np.copyto(slope, 0, where=zero)
    return _to(slope, out)


def choice_share(
    arrays: Sequence[Array], y: Array, grad_y: Array, out: Array | None = None, chosen: Array | None = None
) -> Array:
    """grad_y / how many inputs equal y, for y the greatest or the least of them. `chosen` is scratch of y's shape."""
    out, chosen = made(grad_y, out, chosen)
    out.fill(0)
    for each in arrays:
        np.equal(each, y, out=chosen)
        np.add(out, chosen, out=out)
    return np.divide(grad_y, out, out=out)


def choice_backward(x: Array, y: Array, share: Array, out: Array | None = None, chosen: Array | None = None) -> Array:
    """grad_x = share where x = y, else 0: the share from :func:`choice_share`. `chosen` is scratch of y's shape."""
    (chosen,) = made(share, chosen)
    np.equal(x, y, out=chosen)
    np.multiply(chosen, share, out=chosen)
    return _to(chosen, out)


def where_forward(
    condition: Array, yes: Array, no: Array, out: Array | None = None, chosen: Array | None = None
) -> Array:
    """y = x₂ where x₁ is not zero, else x₃. `chosen` is scratch of y's shape, of bools."""
    if out is None:
        out = np.empty(np.broadcast_shapes(condition.shape, yes.shape, no.shape), yes.dtype)
    (chosen,) = made(out, chosen, dtype=np.bool_)
    np.not_equal(condition, 0, out=chosen)
    np.copyto(out, no)
    np.copyto(out, yes, where=chosen)
    return out


def where_backward(
    condition: Array,
    grad_y: Array,
    side: bool,
    out: Array | None = None,
    chosen: Array | None = None,
    part: Array | None = None,
) -> Array:
    """grad_x₂ = grad_y where x₁ is not zero, else 0; and grad_x₃ the other way.

    Chosen by copies, not by products: a gradient that is no number stays where it belongs.

    Args:
        condition: x₁.
        grad_y: The gradient at y.
        side: True for the gradient at x₂, False for that at x₃.
        out: Written.
        chosen: Scratch of y's shape, of bools.
        part: Scratch of y's shape.
    """
    (chosen,), (part,) = made(grad_y, chosen, dtype=np.bool_), made(grad_y, part)
    (np.not_equal if side else np.equal)(condition, 0, out=chosen)
    part.fill(0)
    np.copyto(part, grad_y, where=chosen)
    return _to(part, out)


def _to(gradient: Array, out: Array | None) -> Array:
    """The gradient in the shape of `out`, or as it is."""
    return gradient.copy() if out is None else sum_to(gradient, out)
