"""Layer, group and instance normalisation: each image by itself. Derived in docs/math/layer_norm.md.

Layer norm works on rows, what is normalised together being the last axes; group norm on the channels of images
(n, c, ...), of which some are normalised together; instance norm is group norm with as many groups as channels. Sums
are products with ones, or with what else they are weighted by: many times faster than `sum`, and without a pass that
writes the products down.

A mean that is far larger than the deviation is rounded by more than what is left once it is subtracted should be. What
is left then has a mean of its own, small and therefore exact, which is subtracted in turn where it can be felt.

`out` is written and returned, and may be x or grad_y; it is made if it is not given. `scratch` is flat memory, of
`norm_scratch` numbers: it only saves making some at each call.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .channels import channel_sums, repeats
from .columns import in_lines, room
from .layout import Array, channels_last, made, write_back

# At the input, or None where nobody needs it, at γ and at β.
Gradients = tuple[Array | None, Array, Array]

# About so many numbers go through all passes together, while they are in the second-level cache.
TOGETHER = 65536
# But so many rows or images at least: each tile adds to gradients as large as one may be.
LEAST = 4


def layer_norm_forward(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
    out: Array | None = None,
    *,
    shape: Sequence[int] | None = None,
) -> Array:
    """y = γ · (x − μ) / √(σ² + ε) + β, with μ and σ² over the last axes.

    Args:
        x: (n, ..., *shape).
        weight: γ, of `shape`, or None for one.
        bias: β, of `shape`, or None for zero.
        eps: ε.
        out: Of x's shape; may be `x`.
        shape: That of what is normalised together: that of γ if it is not given, without γ the last axis.
    """
    (out,) = made(x, out)
    rows = Rows.of(x, weight, shape)
    values, outputs, gamma, beta = rows.view(x), rows.view(out), rows.flat(weight), rows.flat(bias)
    for tile in tiles(values):
        _layer_norm_rows(values[tile], gamma, beta, eps, outputs[tile])
    return rows.write_back(outputs, out)


def layer_norm_backward(
    x: Array,
    grad_y: Array,
    weight: Array | None = None,
    eps: float = 1e-5,
    out: Array | None = None,
    scratch: Array | None = None,
    *,
    shape: Sequence[int] | None = None,
    input_gradient: bool = True,
) -> Gradients:
    """grad_x = (ĝ − mean ĝ − x̂ · mean(ĝ x̂)) / √(σ² + ε) with ĝ = γ · grad_y and x̂ = (x − μ) / √(σ² + ε).

    Args:
        x: (n, ..., *shape).
        grad_y: The gradient at y.
        weight: γ, of `shape`, or None for one.
        eps: ε.
        out: Takes the gradient at the input; may be `grad_y`.
        scratch: Scratch.
        shape: As in the forward pass.
        input_gradient: False where nobody needs the gradient at the input.

    Returns:
        The gradients at x, at γ, Σ grad_y · x̂, and at β, Σ grad_y; the last two of `shape`.
    """
    rows = Rows.of(x, weight, shape)
    values, gradient, gamma = rows.view(x), rows.view(grad_y), rows.flat(weight)
    if input_gradient:
        (out,) = made(grad_y, out)
        grad_x = rows.view(out)
    spaces = _spaces(scratch, values)
    total = np.zeros((2, values.shape[1]), x.dtype)
    for tile in tiles(values):
        centred, products = (space[: len(values[tile])] for space in spaces)
        target = grad_x[tile] if input_gradient else None
        total += _layer_norm_rows_backward(values[tile], gradient[tile], gamma, eps, target, centred, products)
    made_of = rows.write_back(grad_x, out) if input_gradient and out is not None else None
    return made_of, rows.parameter(total[0]), rows.parameter(total[1])


def group_norm_forward(
    x: Array,
    groups: int,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
    out: Array | None = None,
    scratch: Array | None = None,
) -> Array:
    """y = γ · (x − μ) / √(σ² + ε) + β, with μ and σ² over each group of channels of each image.

    Args:
        x: (n, c, ...).
        groups: How many groups the channels are cut into; c for instance norm.
        weight: γ, (c,), or None for one.
        bias: β, (c,), or None for zero.
        eps: ε.
        out: Of x's shape; may be `x`.
        scratch: Scratch.
    """
    (out,) = made(x, out)
    channels = Channels.of(x, groups)
    values, outputs = channels.view(x), channels.view(out)
    _, space = _spaces(scratch, values)
    for tile in tiles(values):
        y = outputs[tile]
        scale = group_norm_center(values[tile], channels, eps, y, space[: len(y)])
        np.multiply(y, channels.spread(scale if weight is None else scale * weight), out=y)
        if bias is not None:
            np.add(y, channels.spread(bias[None]), out=y)
    return channels.write_back(outputs, out)


def group_norm_backward(
    x: Array,
    grad_y: Array,
    groups: int,
    weight: Array | None = None,
    eps: float = 1e-5,
    out: Array | None = None,
    scratch: Array | None = None,
    *,
    input_gradient: bool = True,
) -> Gradients:
    """grad_x as in :func:`layer_norm_backward`, with means over each group of channels of each image.

    Args:
        x: (n, c, ...).
        grad_y: The gradient at y.
        groups: How many groups the channels are cut into.
        weight: γ, (c,), or None for one.
        eps: ε.
        out: Takes the gradient at the input; may be `grad_y`.
        scratch: Scratch.
        input_gradient: False where nobody needs the gradient at the input.

    Returns:
        The gradients at x, at γ, Σ grad_y · x̂, and at β, Σ grad_y; the last two (c,).
    """
    channels = Channels.of(x, groups)
    values, gradient = channels.view(x), channels.view(grad_y)
    if input_gradient:
        (out,) = made(grad_y, out)
        grad_x = channels.view(out)
    spaces = _spaces(scratch, values)
    total = np.zeros((2, x.shape[1]), x.dtype)
    for tile in tiles(values):
        centred, products = (space[: len(values[tile])] for space in spaces)
        target = grad_x[tile] if input_gradient else None
        total += _group_norm_tile_backward(
            values[tile], gradient[tile], channels, weight, eps, target, centred, products
        )
    made_of = channels.write_back(grad_x, out) if input_gradient and out is not None else None
    return made_of, total[0], total[1]


def instance_norm_sums(x: Array, scratch: Array | None = None) -> Array:
    """Σ μ and Σ σ² of each channel over the images, σ² unbiased: (2, c) in float64, for x (n, c, h, w)."""
    channels, count = Channels.of(x, x.shape[1]), math.prod(x.shape[2:])
    values, total = channels.view(x), np.zeros((2, x.shape[1]))
    _, space = _spaces(scratch, values)
    for tile in tiles(values):
        squares = space[: len(values[tile])]
        mean = channels.sums(values[tile]) / count
        np.subtract(values[tile], channels.spread(mean), out=squares)
        rest = channels.sums(squares) / count
        np.subtract(squares, channels.spread(rest), out=squares)
        np.square(squares, out=squares)
        total[0] += np.add(mean, rest, dtype=np.float64).sum(axis=0)
        total[1] += channels.sums(squares).sum(axis=0) / (count - 1)
    return total


def norm_scratch(count: int, size: int) -> int:
    """How many numbers of scratch a pass takes: of so many rows or images, each of so many numbers."""
    rows = tile_rows(count, size)
    return in_lines(rows * size, rows * size)


def tile_rows(count: int, size: int) -> int:
    """How many of so many rows, each of so many numbers, go through all passes together."""
    return min(count, max(LEAST, TOGETHER // size))


def tiles(x: Array) -> Iterator[slice]:
    """The tiles of an array along its first axis."""
    step = tile_rows(len(x), x[0].size)
    return (slice(start, start + step) for start in range(0, len(x), step))


def _spaces(scratch: Array | None, x: Array) -> list[Array]:
    """Scratch of the shape of two tiles."""
    shape = (tile_rows(len(x), x[0].size), *x.shape[1:])
    return [space.reshape(shape) for space in room(scratch, x.dtype, math.prod(shape), math.prod(shape))]


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


def _layer_norm_rows(x: Array, weight: Array | None, bias: Array | None, eps: float, out: Array) -> None:
    """For rows (rows, d); γ and β (d,). `out` may be `x`."""
    np.multiply(out, layer_norm_center(x, eps, out), out=out)
    if weight is not None:
        np.multiply(out, weight, out=out)
    if bias is not None:
        np.add(out, bias, out=out)


def _layer_norm_rows_backward(
    x: Array, grad_y: Array, weight: Array | None, eps: float, out: Array | None, centred: Array, products: Array
) -> Array:
    """For rows (rows, d): the gradients at γ and β, (2, d), and that at x in `out`, unless that is None."""
    rows, length = x.shape
    inverse = layer_norm_center(x, eps, centred)
    np.multiply(grad_y, centred, out=products)
    gradients = np.stack([np.matmul(inverse[:, 0], products), np.matmul(np.ones(rows, x.dtype), grad_y)])
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


def _group_norm_tile_backward(
    x: Array,
    grad_y: Array,
    channels: Channels,
    weight: Array | None,
    eps: float,
    out: Array | None,
    centred: Array,
    products: Array,
) -> Array:
    """For a tile as `channels` sees it: gradients at γ and β, (2, c), and that at x in `out`, unless that is None."""
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
    return np.stack([of_product.sum(axis=0), of_grad.sum(axis=0)])


class Rows(NamedTuple):
    """How layer norm sees its arrays: as rows (rows, d), in the order in which they lie in memory.

    Attributes:
        shape: Of what is normalised together.
        images: Whether that is whole images (c, h, w) that lie channels-last.
    """

    shape: tuple[int, ...]
    images: bool

    @classmethod
    def of(cls, x: Array, weight: Array | None, shape: Sequence[int] | None) -> Rows:
        """Of x, for arguments as in :func:`layer_norm_forward`."""
        covered = tuple(shape) if shape is not None else (x.shape[-1:] if weight is None else weight.shape)
        return cls(covered, x.ndim == 4 and len(covered) == 3 and not x.flags.c_contiguous)

    def view(self, x: Array) -> Array:
        """An array as rows: a view of one that lies as it should, else a copy."""
        return (channels_last(x) if self.images else x).reshape(-1, math.prod(self.shape))

    def flat(self, parameter: Array | None) -> Array | None:
        """γ or β, (d,)."""
        if parameter is None:
            return None
        return (parameter.transpose(1, 2, 0) if self.images else parameter).reshape(-1)

    def parameter(self, flat: Array) -> Array:
        """The gradient at γ or β from its numbers (d,)."""
        if not self.images:
            return flat.reshape(self.shape)
        channels, height, width = self.shape
        return flat.reshape(height, width, channels).transpose(2, 0, 1)

    def write_back(self, rows: Array, out: Array) -> Array:
        """`out` from what :meth:`view` made of it."""
        write_back(rows, channels_last(out) if self.images else out)
        return out


class Channels(NamedTuple):
    """How group norm sees its arrays: images as (n, rows, r · c), rows of r positions; all else as (n, c, positions).

    Numbers of one a channel are (n, c), or (1, c).

    Attributes:
        channels: c.
        groups: How many groups the channels are cut into.
        repeats: r, or None where channels are not last in memory.
    """

    channels: int
    groups: int
    repeats: int | None

    @classmethod
    def of(cls, x: Array, groups: int) -> Channels:
        """Of x, (n, c, ...)."""
        last = x.ndim == 4 and channels_last(x).flags.c_contiguous
        return cls(x.shape[1], groups, repeats(x.shape, x.shape[1]) if last else None)

    def view(self, x: Array) -> Array:
        """An array as group norm sees it: a view of one that lies as it should, else a copy."""
        if self.repeats is None:
            return x.reshape(len(x), self.channels, -1)
        return channels_last(x).reshape(len(x), -1, self.repeats * self.channels)

    def write_back(self, view: Array, out: Array) -> Array:
        """`out` from what :meth:`view` made of it."""
        write_back(view, out if self.repeats is None else channels_last(out))
        return out

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
