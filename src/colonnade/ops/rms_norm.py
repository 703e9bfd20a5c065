"""Division by the root of the mean square, each image by itself. Derived in docs/math/layer_norm.md.

`out` is written and returned, and may be x or grad_y; it is made, like scratch, if it is not given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .layout import Array, made
from .standardization import Rows


def rms_norm_forward(
    x: Array, weight: Array | None = None, eps: float | None = None, out: Array | None = None, *,
    shape: Sequence[int] | None = None,
) -> Array:  # fmt: skip
    """y = γ · x / √(mean x² + ε), with the mean over the last axes.

    Args:
        x: (n, ..., *shape).
        weight: γ, of `shape`, or None for one.
        eps: ε; None for the least number that makes a difference to one, of x's type.
        out: Of x's shape; may be `x`.
        shape: That of what is normalised together: that of γ if it is not given, without γ the last axis.
    """
    (out,) = made(x, out)
    rows = Rows.of(x, weight, shape)
    values, outputs, gamma = rows.view(x), rows.view(out), rows.flat(weight)
    np.multiply(values, _inverse(values, eps)[:, None], out=outputs)
    if gamma is not None:
        np.multiply(outputs, gamma, out=outputs)
    return rows.write_back(outputs, out)


def rms_norm_backward(
    x: Array, grad_y: Array, weight: Array | None = None, eps: float | None = None, out: Array | None = None,
    scratch: Array | None = None, *, shape: Sequence[int] | None = None, input_gradient: bool = True,
) -> tuple[Array | None, Array]:  # fmt: skip
    """grad_x = r · (ĝ − x̂ · mean(ĝ x̂)), with ĝ = γ · grad_y, r = 1 / √(mean x² + ε) and x̂ = r · x.

    Args:
        x: (n, ..., *shape).
        grad_y: The gradient at y.
        weight: γ, of `shape`, or None for one.
        eps: ε, as in the forward pass.
        out: Takes the gradient at the input; may be `grad_y`.
        scratch: Flat scratch of as many numbers as x has.
        shape: As in the forward pass.
        input_gradient: False where nobody needs the gradient at the input.

    Returns:
        The gradients at x and at γ, Σ grad_y · x̂, of `shape`.
    """
    rows = Rows.of(x, weight, shape)
    values, gradient, gamma = rows.view(x), rows.view(grad_y), rows.flat(weight)
    scratch = np.empty(x.size, x.dtype) if scratch is None else scratch
    inverse = _inverse(values, eps)[:, None]
    standard = np.multiply(values, inverse, out=scratch[: x.size].reshape(values.shape))
    np.multiply(standard, gradient, out=standard)
    grad_weight = rows.parameter(standard.sum(axis=0))
    if not input_gradient:
        return None, grad_weight
    (out,) = made(grad_y, out)
    target = rows.view(out)
    if gamma is not None:
        np.multiply(standard, gamma, out=standard)
    mean = standard.mean(axis=1)[:, None]
    np.multiply(values, mean * np.square(inverse), out=standard)
    if gamma is None:
        np.multiply(gradient, inverse, out=target)
    else:
        np.multiply(gradient, gamma, out=target)
        np.multiply(target, inverse, out=target)
    np.subtract(target, standard, out=target)
    return rows.write_back(target, out), grad_weight


def _inverse(rows: Array, eps: float | None) -> Array:
    """1 / √(mean x² + ε) of each row."""
    eps = float(np.finfo(rows.dtype).eps) if eps is None else eps
    squares = np.matmul(rows[:, None, :], rows[:, :, None])[:, 0, 0]
    made: Array = 1 / np.sqrt(squares / rows.shape[1] + eps)
    return made
