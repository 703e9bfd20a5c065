"""The product of two stacks of matrices. Derived in docs/math/dense.md.

L is (n, ..., m, k), R (n, ..., k, p) and Y (n, ..., m, p); in the axes before the matrices', length 1 is stretched.
`out` is written and returned; it is made if it is not given. `scratch` is flat memory of `matmul_scratch` numbers: it
only saves making some at each call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .columns import in_lines, room
from .layout import Array, in_order, lies_in_order
from .reduction import sum_to


def matmul_forward(left: Array, right: Array, out: Array | None = None, scratch: Array | None = None) -> Array:
    """Y = L R."""
    stack = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    out = np.empty((*stack, left.shape[-2], right.shape[-1]), left.dtype) if out is None else out
    spaces = room(scratch, out.dtype, *(_copied(each) for each in (left, right, out)))
    left, right = in_order(left, spaces[0]), in_order(right, spaces[1])
    product = out if lies_in_order(out) else spaces[2].reshape(out.shape)
    np.matmul(left, right, out=product)
    if product is not out:
        np.copyto(out, product)
    return out


def matmul_backward_left(grad_y: Array, right: Array, out: Array | None = None, scratch: Array | None = None) -> Array:
    """grad_L = grad_Y Rᵀ, summed over the axes along which L was stretched.

    Args:
        grad_y: The gradient at Y.
        right: R.
        out: Of L's shape; as if nothing was stretched if it is not given.
        scratch: Scratch.
    """
    shape = (*grad_y.shape[:-1], right.shape[-2])
    out = np.empty(shape, grad_y.dtype) if out is None else out
    spaces = room(scratch, out.dtype, _copied(grad_y), _copied(right), _product(shape, out))
    grad_y, right = in_order(grad_y, spaces[0]), in_order(right, spaces[1])
    return _multiply_and_sum(grad_y, right.swapaxes(-1, -2), shape, out, spaces[2])


def matmul_backward_right(left: Array, grad_y: Array, out: Array | None = None, scratch: Array | None = None) -> Array:
    """grad_R = Lᵀ grad_Y, summed over the axes along which R was stretched; arguments as before, `out` of R's shape."""
    shape = (*grad_y.shape[:-2], left.shape[-1], grad_y.shape[-1])
    out = np.empty(shape, grad_y.dtype) if out is None else out
    spaces = room(scratch, out.dtype, _copied(left), _copied(grad_y), _product(shape, out))
    left, grad_y = in_order(left, spaces[0]), in_order(grad_y, spaces[1])
    return _multiply_and_sum(left.swapaxes(-1, -2), grad_y, shape, out, spaces[2])


def matmul_scratch(left: Sequence[int], right: Sequence[int], *, backward: bool = False) -> int:
    """How many numbers of scratch a pass takes, for arrays of these shapes.

    Arrays of four axes are images, which lie channels-last: their matrices have no rows side by side, and the product
    would be slow. They are copied, and so is what becomes one.
    """
    stack = np.broadcast_shapes(tuple(left[:-2]), tuple(right[:-2]))
    y = (*stack, left[-2], right[-1])
    images = len(y) == 4
    if not backward:
        return in_lines(*map(math.prod, (left, right, y))) if images else 0
    most = 0
    for other, target in ((right, left), (left, right)):
        whole = (*stack, *target[-2:])
        copied = [math.prod(y), math.prod(other)] if images else []
        summed = [math.prod(whole)] if images or whole != tuple(target) else []
        most = max(most, in_lines(*copied, *summed))
    return most


def _copied(array: Array) -> int:
    """How many numbers a copy of it in order has; none where none is needed."""
    return 0 if lies_in_order(array) else array.size


def _product(shape: Sequence[int], out: Array) -> int:
    """How many numbers the product has that `out` is made from; none where it is `out` itself."""
    return 0 if out.shape == shape and lies_in_order(out) else math.prod(shape)


def _multiply_and_sum(left: Array, right: Array, shape: tuple[int, ...], out: Array, space: Array) -> Array:
    product = space.reshape(shape) if _product(shape, out) else out
    np.matmul(left, right, out=product)
    return out if product is out else sum_to(product, out)
