"""Layer, group and instance normalisation: each image by itself.

Layer norm works on rows (rows, d), what is normalised together along the second axis; group norm on channels, of which
some are normalised together. Sums are products with ones, or with what else they are weighted by: many times faster
than `sum`, and without a pass that writes the products down.

A mean that is far larger than the deviation is rounded by more than what is left once it is subtracted should be. What
is left then has a mean of its own, small and therefore exact, which is subtracted in turn where it can be felt.
"""

from __future__ import annotations

import numpy as np

from .channels import channel_sums
from .layout import Array

Gradients = tuple[Array, Array]  # at γ and at β


def felt(mean: Array, variance: Array) -> Array | None:
    """Means of what was centred, zero where no more than the rounding of a deviation; None where all are."""
    is_felt = np.abs(mean) > np.finfo(mean.dtype).eps * np.sqrt(variance)
    return np.where(is_felt, mean, 0) if is_felt.any() else None


def layer_norm_center(x: Array, eps: float, out: Array) -> Array:
    """x − μ of each row in `out`; returns 1 / √(σ² + ε), (rows, 1). `out` may be `x`.

    A row's bits do not depend on the others, as in a product of a matrix they do: what is computed again for the
    backward pass, in other blocks, must be the same.
    """
    length = x.shape[1]
    ones = np.ones(length, x.dtype)
    np.subtract(x, (np.vecdot(x, ones) / length)[:, None], out=out)
    variance = np.vecdot(out, out) / length
    if (rest := felt(np.vecdot(out, ones) / length, variance)) is not None:
        np.subtract(out, rest[:, None], out=out)
        variance = np.vecdot(out, out) / length
    inverse: Array = 1 / np.sqrt(variance + eps)
    return inverse[:, None].astype(x.dtype, copy=False)


def layer_norm_forward(x: Array, eps: float, weight: Array | None, bias: Array | None, out: Array) -> None:
    """y = γ · (x − μ) / √(σ² + ε) + β for rows (rows, d); γ and β (d,), None for one and zero. `out` may be `x`."""
    np.multiply(out, layer_norm_center(x, eps, out), out=out)
    if weight is not None:
        np.multiply(out, weight, out=out)
    if bias is not None:
        np.add(out, bias, out=out)


def layer_norm_backward(
    x: Array, grad_y: Array, eps: float, weight: Array | None, out: Array | None, centred: Array, products: Array
) -> Gradients:
    """grad_x = (ĝ − mean ĝ − x̂ · mean(ĝ x̂)) / √(σ² + ε) with ĝ = γ · grad_y and x̂ = (x − μ) / √(σ² + ε).

    Args:
        x: (rows, d).
        grad_y: The gradient at the output.
        eps: ε.
        weight: γ, or None for one.
        out: Takes the gradient at the input; may be `grad_y`; None where nobody needs it.
        centred: Scratch of x's shape.
        products: Likewise.

    Returns:
        The gradients at γ, Σ grad_y · x̂, and at β, Σ grad_y; (d,).
    """
    rows, length = x.shape
    inverse = layer_norm_center(x, eps, centred)
    np.multiply(grad_y, centred, out=products)
    gradients = np.matmul(inverse[:, 0], products), np.matmul(np.ones(rows, x.dtype), grad_y)
    if out is not None:
        gamma = np.ones(length, x.dtype) if weight is None else weight
        mean = np.matmul(grad_y, gamma)[:, None] / x.dtype.type(length)
        slope = np.matmul(products, gamma)[:, None] / x.dtype.type(length) * np.square(inverse)
        np.multiply(grad_y, gamma, out=out)
        np.multiply(centred, slope, out=centred)
        np.add(centred, mean, out=centred)
        np.subtract(out, centred, out=out)
        np.multiply(out, inverse, out=out)
    return gradients


class Channels:
    """How group norm sees its arrays: images as (n, rows, r · c), rows of r positions; all else as (n, c, positions).

    Numbers of one a channel are (n, c), or (1, c).

    Args:
        channels: c.
        groups: How many groups the channels are cut into.
        repeats: r, or None where channels are not last.
    """

    def __init__(self, channels: int, groups: int, repeats: int | None) -> None:
        self.channels, self.groups, self.repeats = channels, groups, repeats

    def sums(self, x: Array) -> Array:
        """Of each image and channel."""
        if self.repeats is None:
            return np.asarray(x.sum(axis=2))
        positions = x.reshape(len(x), -1, self.channels)
        return channel_sums(positions).astype(x.dtype, copy=False)

    def means(self, sums: Array, size: int) -> Array:
        """The means over groups, for each of their channels; `size` is that of one image."""
        grouped = sums.reshape(len(sums), self.groups, -1).sum(axis=2)
        grouped /= size // self.groups
        return np.repeat(grouped, self.channels // self.groups, axis=1)

    def spread(self, vector: Array) -> Array:
        """Numbers of one a channel, so that they broadcast to the arrays."""
        return vector[:, :, None] if self.repeats is None else np.tile(vector, self.repeats)[:, None]


def group_norm_center(x: Array, channels: Channels, eps: float, out: Array, squares: Array) -> Array:
    """x − μ in `out`; returns 1 / √(σ² + ε), (n, c). `squares` is scratch; `out` may be `x`."""
    size = x[0].size
    np.subtract(x, channels.spread(channels.means(channels.sums(x), size)), out=out)
    np.multiply(out, out, out=squares)
    mean, inverse = (channels.means(channels.sums(each), size) for each in (out, squares))
    if (rest := felt(mean, inverse)) is not None:
        np.subtract(out, channels.spread(rest), out=out)
        np.multiply(out, out, out=squares)
        inverse = channels.means(channels.sums(squares), size)
    inverse += eps
    np.sqrt(inverse, out=inverse)
    np.divide(1, inverse, out=inverse)
    return inverse


def group_norm_forward(
    x: Array, channels: Channels, eps: float, weight: Array | None, bias: Array | None, out: Array, squares: Array
) -> None:
    """y = γ · (x − μ) / √(σ² + ε) + β; γ and β (c,), None for one and zero. `squares` is scratch; `out` may be `x`."""
    scale = group_norm_center(x, channels, eps, out, squares)
    np.multiply(out, channels.spread(scale if weight is None else scale * weight), out=out)
    if bias is not None:
        np.add(out, channels.spread(bias[None]), out=out)


def group_norm_backward(
    x: Array,
    grad_y: Array,
    channels: Channels,
    eps: float,
    weight: Array | None,
    out: Array | None,
    centred: Array,
    products: Array,
) -> Gradients:
    """As :func:`layer_norm_backward`, for `x` as `channels` sees it; returns the gradients at γ and β, (c,)."""
    inverse = group_norm_center(x, channels, eps, centred, products)
    np.multiply(grad_y, centred, out=products)
    of_grad, of_product = channels.sums(grad_y), channels.sums(products) * inverse
    if out is not None:
        scale = inverse if weight is None else inverse * weight
        # Sums of channels times γ / √(σ² + ε), which is one number a channel, become those of groups.
        gamma = np.ones((1, channels.channels), x.dtype) if weight is None else weight
        mean = channels.means(of_grad * gamma, x[0].size)
        slope = channels.means(of_product * gamma, x[0].size)
        np.multiply(centred, channels.spread(slope * np.square(inverse)), out=centred)
        np.add(centred, channels.spread(mean * inverse), out=centred)
        np.multiply(grad_y, channels.spread(scale), out=out)
        np.subtract(out, centred, out=out)
    return of_product.sum(axis=0), of_grad.sum(axis=0)
