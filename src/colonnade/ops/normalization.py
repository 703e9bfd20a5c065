"""Batch normalisation: each channel over the whole batch. Written in docs/math/batch_norm.md.

Arrays are (n, c), or (n, c, ...) with any number of axes of positions; vectors are (c,), one number a channel. Where
the batch comes in parts, `batch_moments` of each are joined, `batch_norm_backward_sums` of each are added, and each is
then normalised by the statistics of all. Called with a whole batch, the functions take them from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .channels import channel_sums, repeats
from .layout import Array, as_laid, ends_in_channels

# Deviations from zero to the mean beyond which it is subtracted in a pass of its own: nearer, that would win nothing.
FAR = 4.0


class Statistics(NamedTuple):
    """Of each channel, in float64.

    Attributes:
        mean: μ, (c,).
        variance: σ², (c,), biased.
        size: m, how many numbers of a channel there are.
    """

    mean: Array
    variance: Array
    size: int


def batch_moments(x: Array, scratch: Array | None = None) -> tuple[int, Array, Array, Array]:
    """The count, m, mean − m and Σ(x − mean)² of each channel, for :func:`join_moments`.

    E[x²] − E[x]² loses digits, in float64 too: every one when the mean is 10⁸ deviations away, in float32 at some
    thousand. So all is taken about m, the mean as far as x's type tells it: D = Σ(x − m), M = Σ(x − m)².

    Args:
        x: (n, c, ...).
        scratch: Of x's shape.
    """
    count, scratch = x.size // x.shape[1], np.empty_like(x) if scratch is None else scratch
    mean = (sums_by_channel(x) / count).astype(x.dtype)
    (values, centred), (m,) = by_channel((x, scratch), (mean,))
    np.subtract(values, m, out=centred)
    difference = sums_by_channel(scratch)
    np.square(centred, out=centred)
    missed = difference / count
    return count, mean, missed, sums_by_channel(scratch) - difference * missed


def join_moments(moments: Array, count: Array | float, near: Array, missed: Array, squares: Array) -> None:
    """Of two sets of numbers together: count, m, mean − m and Σ(x − mean)² of each channel, (4, c). Chan et al. 1979.

    m is a number near the mean, that of the first set: the mean itself would lose the digits that far numbers have not.

    Args:
        moments: Of the first set, and then of both; zeros for none.
        count: Of the second.
        near: Its m.
        missed: Its mean − m.
        squares: Its Σ(x − mean)².
    """
    if not moments[0].any():
        moments[1] = near
    total = moments[0] + count
    part = count / np.maximum(total, 1)
    distance = near - moments[1] + missed - moments[2]
    moments[3] += squares + distance * distance * (moments[0] * part)
    moments[2] += distance * part
    moments[0] = total


def batch_statistics(x: Array) -> Statistics:
    """μ = mean x and σ² = mean (x − μ)² of each channel of (n, c, ...)."""
    count, near, missed, squares = batch_moments(x)
    return Statistics(near + missed, np.maximum(squares / count, 0.0), count)


def batch_norm_forward(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float = 1e-5,
    statistics: Statistics | None = None,
    out: Array | None = None,
) -> Array:
    """y = γ · (x − μ) / √(σ² + ε) + β.

    Args:
        x: (n, c, ...).
        weight: γ, (c,), or None for one.
        bias: β, (c,), or None for zero.
        eps: ε.
        statistics: μ and σ²; x's own if not given.
        out: Written, and returned; may be x; made if not given.
    """
    statistics = statistics or batch_statistics(x)
    out = np.empty_like(x) if out is None else out
    centre, scale, shift = forward_vectors(statistics, weight, bias, eps, x.dtype)
    near = is_near(statistics, eps)
    (values, y), (c, a, b) = by_channel((x, out), (centre, scale, shift - centre * scale if near else shift))
    np.multiply(values if near else np.subtract(values, c, out=y), a, out=y)
    np.add(y, b, out=y)
    return out


def batch_norm_backward(
    x: Array,
    grad_y: Array,
    weight: Array | None,
    eps: float = 1e-5,
    statistics: Statistics | None = None,
    sums: Array | None = None,
    out: Array | None = None,
    scratch: Array | None = None,
) -> Array:
    """grad_x = γ / √(σ² + ε) · (grad_y − mean grad_y − x̂ · mean(grad_y · x̂)), with x̂ = (x − μ) / √(σ² + ε).

    Args:
        x: (n, c, ...).
        grad_y: The gradient at y.
        weight: γ, (c,), or None for one.
        eps: ε.
        statistics: Of the whole batch; x's own if not given.
        sums: Of the whole batch, from :func:`batch_norm_backward_sums`; x's own if not given.
        out: Written, and returned; may be grad_y; made if not given.
        scratch: Of x's shape.
    """
    statistics = statistics or batch_statistics(x)
    sums = batch_norm_backward_sums(x, grad_y, statistics.mean) if sums is None else sums
    out = np.empty_like(x) if out is None else out
    scratch = np.empty_like(x) if scratch is None else scratch
    centre, of_grad, of_x, constant = backward_vectors(statistics, weight, sums, eps, x.dtype)
    near = is_near(statistics, eps)
    vectors = (centre, of_grad, of_x, constant - of_x * centre if near else constant)
    (values, gradient, grad_x, part), (c, a, b, d) = by_channel((x, grad_y, out, scratch), vectors)
    np.multiply(values if near else np.subtract(values, c, out=part), b, out=part)
    np.add(part, d, out=part)
    np.multiply(gradient, a, out=grad_x)
    np.add(grad_x, part, out=grad_x)
    return out


def batch_norm_backward_sums(x: Array, grad_y: Array, mean: Array, scratch: Array | None = None) -> Array:
    """Σ grad_y and Σ grad_y · (x − μ) of each channel, (2, c) in float64.

    Args:
        x: (n, c, ...).
        grad_y: The gradient at y.
        mean: μ, (c,) in float64. What x's type misses of it is made up for.
        scratch: Of x's shape.
    """
    scratch = np.empty_like(x) if scratch is None else scratch
    centre = mean.astype(x.dtype)
    (values, gradient, products), (c,) = by_channel((x, grad_y, scratch), (centre,))
    np.subtract(values, c, out=products)
    np.multiply(products, gradient, out=products)
    of_grad = sums_by_channel(grad_y)
    return np.stack([of_grad, sums_by_channel(scratch) - (mean - centre) * of_grad])


def batch_norm_backward_parameters(sums: Array, variance: Array, eps: float = 1e-5) -> tuple[Array, Array]:
    """The gradients at γ, Σ grad_y · x̂, and at β, Σ grad_y; (c,) in float64."""
    return sums[1] / np.sqrt(variance + eps), sums[0]


def batch_norm_backward_constant(grad_y: Array, scale: Array, out: Array | None = None) -> Array:
    """grad_x = scale · grad_y, where μ and σ² do not depend on x: scale is γ / √(σ² + ε), (c,)."""
    out = np.empty_like(grad_y) if out is None else out
    (gradient, grad_x), (a,) = by_channel((grad_y, out), (scale,))
    np.multiply(gradient, a, out=grad_x)
    return out


def forward_vectors(
    statistics: Statistics, weight: Array | None, bias: Array | None, eps: float, dtype: Any
) -> tuple[Array, Array, Array]:
    """Centre, scale and shift in y = (x − centre) · scale + shift, (c,) in float64; the centre is one of `dtype`'s."""
    centre = statistics.mean.astype(dtype).astype(np.float64)
    scale = (1.0 if weight is None else weight) / np.sqrt(statistics.variance + eps)
    return centre, scale, (0.0 if bias is None else bias) - (statistics.mean - centre) * scale


def backward_vectors(
    statistics: Statistics, weight: Array | None, sums: Array, eps: float, dtype: Any
) -> tuple[Array, Array, Array, Array]:
    """Centre, a, b and d in grad_x = a · grad_y + b · (x − centre) + d, (c,) in float64; as `forward_vectors`."""
    centre, scale, _ = forward_vectors(statistics, weight, None, eps, dtype)
    of_x = -scale / (statistics.variance + eps) * sums[1] / statistics.size
    return centre, scale, of_x, -scale * sums[0] / statistics.size - of_x * (statistics.mean - centre)


def is_near(statistics: Statistics, eps: float) -> bool:
    """Whether all means are so near zero that x · scale is rounded by no more than the result should be."""
    return bool(np.all(np.abs(statistics.mean) <= FAR * np.sqrt(statistics.variance + eps)))


def by_channel(arrays: Sequence[Array], vectors: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """Arrays of one shape (n, c, ...), and vectors (c,) in their type, in shapes that broadcast; arrays are views.

    Of arrays that lie channels-last the rows are made long, and the vectors repeated: NumPy's inner loop is as long as
    a row, and one of 16 numbers would cost twice the time.
    """
    x = arrays[0]
    vectors = [vector.astype(x.dtype) for vector in vectors]
    rows = [as_laid(array) for array in arrays]
    if not (ends_in_channels(x.ndim) and all(array.flags.c_contiguous for array in rows)):
        return list(arrays), [vector.reshape(-1, *[1] * (x.ndim - 2)) for vector in vectors]
    count = repeats(x.shape, x.shape[1])
    return [array.reshape(-1, count * x.shape[1]) for array in rows], [np.tile(vector, count) for vector in vectors]


def sums_by_channel(x: Array) -> Array:
    """Σx of each channel in float64, (c,), for x (n, c, ...)."""
    if ends_in_channels(x.ndim):
        return channel_sums(as_laid(x).reshape(-1, x.shape[1]))
    return np.asarray(x.reshape(*x.shape[:2], -1).sum(axis=2).sum(axis=0, dtype=np.float64))
