"""Layer, group and instance norm: what `ops.standardization` computes.

Layer norm goes through some rows at a time, and takes its sums along them. Group norm takes images as
(n, positions, c), channels last: some positions at a time, and a sum of each of 16 channels stays in registers.

A mean that is far larger than the deviation is rounded by more than what is left should be. What is left once it is
subtracted has a mean of its own, small and therefore exact, which is subtracted in turn: the rest.
"""

from __future__ import annotations

import numpy as np

from .compilation import compiled, inlined
from .elementwise import greatest, multiply_add, square_root, where_first
from .reductions import column_sums, row_sums
from .registers import WIDTH
from .runs import ROWS, TURNS, add_columns, load_rows, store_rows, together
from .tiles import load_first, store_first, zeros


@inlined
def _moments(x, at, step, length, eps):
    """μ, its rest and 1 / √(σ² + ε) of some rows, each as a tile that holds a row's number in all its places."""
    total = zeros(ROWS, 1)
    for c in range(0, length, WIDTH):
        total = total + load_rows(x, at + c, step, length - c)
    mean, total, squares = row_sums(total) * (1.0 / length), zeros(ROWS, 1), zeros(ROWS, 1)
    for c in range(0, length, WIDTH):
        centred = where_first(load_rows(x, at + c, step, length - c) - mean, 0.0, length - c)
        total = total + centred
        squares = multiply_add(centred, centred, squares)
    rest = row_sums(total) * (1.0 / length)
    variance = greatest(row_sums(squares) * (1.0 / length) - rest * rest, 0.0)
    return mean, rest, 1.0 / square_root(variance + eps)


@compiled
def layer_norm_forward(x, eps, weight, bias, y):
    """y = γ · (x − μ) / √(σ² + ε) + β of each row; x and y (rows, d), γ and β (d,); y may be x."""
    rows, length = x.shape
    if y.shape != x.shape or weight.size != length or bias.size != length:
        raise ValueError("layer_norm_forward: x and y must be (rows, d), weight and bias (d,).")
    row = 0
    while row < rows:
        at = row * length
        count, step, _ = together(rows - row, length)
        mean, rest, inverse = _moments(x, at, step, length, eps)
        for c in range(0, length, WIDTH):
            left = length - c
            standard = (load_rows(x, at + c, step, left) - mean - rest) * inverse
            gamma, beta = load_rows(weight, c, 0, left), load_rows(bias, c, 0, left)
            store_rows(multiply_add(standard, gamma, beta), y, at + c, step, left)
        row += count


@compiled
def layer_norm_backward(x, grad_y, eps, weight, grad_x, grad_weight, grad_bias):
    """grad_x = (ĝ − mean ĝ − x̂ · mean(ĝ x̂)) / √(σ² + ε) of each row, with ĝ = γ · grad_y.

    Σ grad_y · x̂ is added to `grad_weight`, Σ grad_y to `grad_bias`.

    Args:
        x: (rows, d); grad_y and grad_x likewise, and grad_x may be grad_y.
        weight: (d,); grad_weight and grad_bias likewise.
    """
    rows, length = x.shape
    if grad_y.shape != x.shape or grad_x.shape != x.shape:
        raise ValueError("layer_norm_backward: x, grad_y and grad_x must be of one shape.")
    if weight.size != length or grad_weight.size != length or grad_bias.size != length:
        raise ValueError("layer_norm_backward: weight, grad_weight and grad_bias must be (d,) for rows of d.")
    row = 0
    while row < rows:
        at = row * length
        count, step, share = together(rows - row, length)
        mean, rest, inverse = _moments(x, at, step, length, eps)
        of_grad, of_product = zeros(ROWS, 1), zeros(ROWS, 1)
        for c in range(0, length, WIDTH):
            left = length - c
            standard = (load_rows(x, at + c, step, left) - mean - rest) * inverse
            grad = load_rows(grad_y, at + c, step, left)
            product = grad * standard
            gamma = load_rows(weight, c, 0, left)
            of_grad = multiply_add(grad, gamma, of_grad)
            of_product = multiply_add(product, gamma, of_product)
            added = load_first(1, 1, grad_weight, c, 0, left) + column_sums(product) * share
            store_first(added, grad_weight, c, 0, left)
            added = load_first(1, 1, grad_bias, c, 0, left) + column_sums(grad) * share
            store_first(added, grad_bias, c, 0, left)
        mean_grad, mean_product = row_sums(of_grad) * (1.0 / length), row_sums(of_product) * (1.0 / length)
        for c in range(0, length, WIDTH):
            left = length - c
            standard = (load_rows(x, at + c, step, left) - mean - rest) * inverse
            grad = load_rows(grad_y, at + c, step, left) * load_rows(weight, c, 0, left)
            store_rows((grad - mean_grad - standard * mean_product) * inverse, grad_x, at + c, step, left)
        row += count


@compiled
def _sum_channels(x, at, positions, channels, part, sums):
    """Σ x of each channel of an image at x[at] in `sums`."""
    sums[:] = 0.0
    for c in range(0, channels, WIDTH):
        left = channels - c
        position = 0
        while position < positions:
            total = zeros(ROWS, 1)
            end = min(positions, position + TURNS * ROWS)
            while position < end:
                count, step, share = together(end - position, channels)
                tile = load_rows(x, at + position * channels + c, step, left)
                total = multiply_add(tile, share, total)
                position += count
            add_columns(total, part, c, left, sums)


@compiled
def _sum_squares(x, at, positions, channels, mean, part, rests, sums):
    """Σ (x − μ) of each channel of an image in `rests`, Σ (x − μ)² in `sums`."""
    rests[:] = 0.0
    sums[:] = 0.0
    for c in range(0, channels, WIDTH):
        left = channels - c
        centre = load_rows(mean, c, 0, left)
        position = 0
        while position < positions:
            total, squares = zeros(ROWS, 1), zeros(ROWS, 1)
            end = min(positions, position + TURNS * ROWS)
            while position < end:
                count, step, share = together(end - position, channels)
                centred = load_rows(x, at + position * channels + c, step, left) - centre
                total = multiply_add(centred, share, total)
                squares = multiply_add(centred * share, centred, squares)
                position += count
            add_columns(total, part, c, left, rests)
            add_columns(squares, part, c, left, sums)


@compiled
def _sum_gradients(x, grad_y, at, positions, channels, mean, rest, part, of_grad, of_product):
    """Σ grad_y and Σ grad_y (x − μ) of each channel of an image."""
    of_grad[:] = 0.0
    of_product[:] = 0.0
    for c in range(0, channels, WIDTH):
        left = channels - c
        centre, left_over = load_rows(mean, c, 0, left), load_rows(rest, c, 0, left)
        position = 0
        while position < positions:
            grads, products = zeros(ROWS, 1), zeros(ROWS, 1)
            end = min(positions, position + TURNS * ROWS)
            while position < end:
                count, step, share = together(end - position, channels)
                i = at + position * channels + c
                grad = load_rows(grad_y, i, step, left) * share
                grads = grads + grad
                products = multiply_add(grad, load_rows(x, i, step, left) - centre - left_over, products)
                position += count
            add_columns(grads, part, c, left, of_grad)
            add_columns(products, part, c, left, of_product)


@compiled
def _over_groups(sums, groups, count, means):
    """The mean over each group of channels, for each of them; `count` numbers a group."""
    size = sums.size // groups
    for group in range(groups):
        total = 0.0
        for c in range(group * size, (group + 1) * size):
            total += sums[c]
        for c in range(group * size, (group + 1) * size):
            means[c] = total / count


@compiled
def _group_moments(x, at, positions, groups, eps, mean, rest, inverse):
    """μ, its rest and 1 / √(σ² + ε) of each channel's group, (c,) each, of an image at x[at]."""
    channels = mean.size
    count = positions * (channels // groups)
    part, rests, sums = np.empty(WIDTH, np.float32), np.empty(channels, np.float64), np.empty(channels, np.float64)
    _sum_channels(x, at, positions, channels, part, sums)
    _over_groups(sums, groups, count, mean)
    _sum_squares(x, at, positions, channels, mean, part, rests, sums)
    _over_groups(rests, groups, count, rest)
    _over_groups(sums, groups, count, inverse)
    for c in range(channels):
        variance = inverse[c] - rest[c] * rest[c]
        inverse[c] = 1.0 / np.sqrt((variance if not variance < 0.0 else 0.0) + eps)


@compiled
def group_norm_forward(x, groups, eps, weight, bias, y):
    """y = γ · (x − μ) / √(σ² + ε) + β, with μ and σ² of each group of channels of each image.

    Args:
        x: (n, positions, c); y likewise, and may be x.
        groups: How many groups the channels are cut into; c of them for instance norm.
        weight: γ, (c,); bias likewise.
    """
    images, positions, channels = x.shape
    if y.shape != x.shape or weight.size != channels or bias.size != channels:
        raise ValueError("group_norm_forward: x and y must be (n, positions, c), weight and bias (c,).")
    if groups < 1 or channels % groups != 0:
        raise ValueError("group_norm_forward: groups must divide the channels.")
    mean, rest, scale = np.empty(channels, np.float32), np.empty(channels, np.float32), np.empty(channels, np.float32)
    for image in range(images):
        at = image * positions * channels
        _group_moments(x, at, positions, groups, eps, mean, rest, scale)
        for c in range(channels):
            scale[c] *= weight[c]
        for c in range(0, channels, WIDTH):
            left = channels - c
            centre, factor, beta = (
                load_rows(mean, c, 0, left),
                load_rows(scale, c, 0, left),
                load_rows(bias, c, 0, left),
            )
            left_over = load_rows(rest, c, 0, left)
            position = 0
            while position < positions:
                count, step, _ = together(positions - position, channels)
                i = at + position * channels + c
                store_rows(
                    multiply_add(load_rows(x, i, step, left) - centre - left_over, factor, beta), y, i, step, left
                )
                position += count


@compiled
def group_norm_backward(x, grad_y, groups, eps, weight, grad_x, grad_weight, grad_bias):
    """As :func:`layer_norm_backward`, for images (n, positions, c) whose channels are cut into groups."""
    images, positions, channels = x.shape
    if grad_y.shape != x.shape or grad_x.shape != x.shape:
        raise ValueError("group_norm_backward: x, grad_y and grad_x must be of one shape.")
    if weight.size != channels or grad_weight.size != channels or grad_bias.size != channels:
        raise ValueError("group_norm_backward: weight, grad_weight and grad_bias must be (c,).")
    if groups < 1 or channels % groups != 0:
        raise ValueError("group_norm_backward: groups must divide the channels.")
    size = positions * (channels // groups)
    part = np.empty(WIDTH, np.float32)
    mean, rest, inverse = np.empty(channels, np.float32), np.empty(channels, np.float32), np.empty(channels, np.float32)
    of_grad, of_product = np.empty(channels, np.float64), np.empty(channels, np.float64)
    scale, slope, shift = np.empty(channels, np.float32), np.empty(channels, np.float32), np.empty(channels, np.float32)
    for image in range(images):
        at = image * positions * channels
        _group_moments(x, at, positions, groups, eps, mean, rest, inverse)
        _sum_gradients(x, grad_y, at, positions, channels, mean, rest, part, of_grad, of_product)
        for c in range(channels):
            grad_bias[c] += of_grad[c]
            grad_weight[c] += of_product[c] * inverse[c]
            scale[c] = weight[c] * inverse[c]
            of_grad[c] *= weight[c]
            of_product[c] *= weight[c]
        _over_groups(of_grad, groups, size, shift)
        _over_groups(of_product, groups, size, slope)
        for c in range(channels):
            shift[c] *= inverse[c]
            slope[c] *= inverse[c] * inverse[c] * inverse[c]
        for c in range(0, channels, WIDTH):
            left = channels - c
            centre, factor = load_rows(mean, c, 0, left), load_rows(scale, c, 0, left)
            of_x, constant = load_rows(slope, c, 0, left), load_rows(shift, c, 0, left)
            left_over = load_rows(rest, c, 0, left)
            position = 0
            while position < positions:
                count, step, _ = together(positions - position, channels)
                i = at + position * channels + c
                grad, centred = load_rows(grad_y, i, step, left), load_rows(x, i, step, left) - centre - left_over
                store_rows(grad * factor - multiply_add(centred, of_x, constant), grad_x, i, step, left)
                position += count
