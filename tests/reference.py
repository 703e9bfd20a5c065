"""The naive loops of the paper: every formula written out, one number at a time, in float64.

Slow, and as plain as can be made: what the package computes fast is held against these. Batches are (n, c, h, w),
kernels (c_out, c_in / groups, k_h, k_w), dense weights (out, in). A size that concerns both directions is a number or
a pair (vertical, horizontal); a padding may also be ((top, bottom), (left, right)).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pair = int | tuple[int, int]
Padding = Pair | tuple[tuple[int, int], tuple[int, int]]
Place = tuple[int, int]


def pair(size: Pair) -> tuple[int, int]:
    """A number stands for both directions."""
    return (size, size) if isinstance(size, int) else size


def borders(padding: Padding) -> tuple[tuple[int, int], tuple[int, int]]:
    """((top, bottom), (left, right))"""
    vertical, horizontal = (padding, padding) if isinstance(padding, int) else padding
    if isinstance(vertical, int):
        vertical = (vertical, vertical)
    if isinstance(horizontal, int):
        horizontal = (horizontal, horizontal)
    return vertical, horizontal


def output_size(
    size: int, kernel: int, stride: int, before: int, after: int, dilation: int = 1, ceil_mode: bool = False
) -> int:
    """How many windows fit: ⌊(size + before + after − dilation · (kernel − 1) − 1) / stride⌋ + 1.

    With `ceil_mode` a window may hang over the end, as long as it starts before the padding at the end does.
    """
    last_start = size + before + after - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return last_start // stride + 1
    windows = math.ceil(last_start / stride) + 1
    if (windows - 1) * stride >= size + before:
        windows -= 1
    return windows


# --- Convolution --------------------------------------------------------------------------------------------------


def conv2d_places(
    x: Array, weight: Array, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> tuple[tuple[int, int, int, int], Iterator[tuple[Any, Any, Any]]]:
    """The output's shape, and every product of the convolution: the places in output, input and kernel that meet.

    Products with the padding are left out: they are zero.
    """
    (n, _, h, w), (c_out, c_group, k_h, k_w) = x.shape, weight.shape
    (s_h, s_w), (d_h, d_w) = pair(stride), pair(dilation)
    (top, bottom), (left, right) = borders(padding)
    h_out = output_size(h, k_h, s_h, top, bottom, d_h)
    w_out = output_size(w, k_w, s_w, left, right, d_w)

    def places() -> Iterator[tuple[Any, Any, Any]]:
        for image, o, i, j in np.ndindex(n, c_out, h_out, w_out):
            group = o // (c_out // groups)
            for c, p, q in np.ndindex(c_group, k_h, k_w):
                row, column = i * s_h + p * d_h - top, j * s_w + q * d_w - left
                if 0 <= row < h and 0 <= column < w:
                    yield (image, o, i, j), (image, group * c_group + c, row, column), (o, c, p, q)

    return (n, c_out, h_out, w_out), places()


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Array:
    """y[n, o, i, j] = b[o] + Σ_{c, p, q} w[o, c, p, q] · x[n, c, i · s + p · d − padding, j · s + q · d − padding]"""
    shape, places = conv2d_places(x, weight, stride, padding, dilation, groups)
    y = np.zeros(shape)
    for at_y, at_x, at_weight in places:
        y[at_y] += float(x[at_x]) * float(weight[at_weight])
    if bias is not None:
        for image, o, i, j in np.ndindex(*shape):
            y[image, o, i, j] += float(bias[o])
    return y


def conv2d_backward(
    x: Array,
    weight: Array,
    gy: Array,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> tuple[Array, Array, Array]:
    """The gradients at the input, the kernel and the bias: each product passes gy to either factor."""
    shape, places = conv2d_places(x, weight, stride, padding, dilation, groups)
    gx, gweight, gbias = np.zeros(x.shape), np.zeros(weight.shape), np.zeros(weight.shape[0])
    for at_y, at_x, at_weight in places:
        gx[at_x] += float(gy[at_y]) * float(weight[at_weight])
        gweight[at_weight] += float(gy[at_y]) * float(x[at_x])
    for image, o, i, j in np.ndindex(*shape):
        gbias[o] += float(gy[image, o, i, j])
    return gx, gweight, gbias


# --- Pooling ------------------------------------------------------------------------------------------------------


def pool2d_windows(
    x: Array, kernel_size: Pair, stride: Pair | None, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[tuple[int, int], Iterator[tuple[int, int, list[Place]]]]:
    """The output's height and width, and for each output place the input places of its window, row by row.

    Only places of the image itself: none in the padding.
    """
    h, w = x.shape[2:]
    (k_h, k_w), (p_h, p_w), (d_h, d_w) = pair(kernel_size), pair(padding), pair(dilation)
    s_h, s_w = pair(kernel_size if stride is None else stride)
    h_out = output_size(h, k_h, s_h, p_h, p_h, d_h, ceil_mode)
    w_out = output_size(w, k_w, s_w, p_w, p_w, d_w, ceil_mode)

    def windows() -> Iterator[tuple[int, int, list[Place]]]:
        for i, j in np.ndindex(h_out, w_out):
            rows = [i * s_h + p * d_h - p_h for p in range(k_h)]
            columns = [j * s_w + q * d_w - p_w for q in range(k_w)]
            inside = [(row, column) for row, column in product(rows, columns) if 0 <= row < h and 0 <= column < w]
            yield i, j, inside

    return (h_out, w_out), windows()


def first_maximum(image: Array, window: list[Place]) -> Place | None:
    """The place of a window's maximum: the first of equal ones; a NaN counts as the greatest. None if it is empty."""
    best = None
    for place in window:
        if best is None or (image[place] > image[best]) or (np.isnan(image[place]) and not np.isnan(image[best])):
            best = place
    return best


def max_pool2d(
    x: Array,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Array:
    """The maximum of each window, −∞ for a window of padding alone."""
    size, windows = pool2d_windows(x, kernel_size, stride, padding, dilation, ceil_mode)
    y = np.full((*x.shape[:2], *size), -np.inf)
    for i, j, window in windows:
        for image, c in np.ndindex(x.shape[:2]):
            best = first_maximum(x[image, c], window)
            if best is not None:
                y[image, c, i, j] = x[image, c][best]
    return y


def max_pool2d_backward(
    x: Array,
    gy: Array,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Array:
    """The gradient of a window goes to its first maximum and to no other place."""
    _, windows = pool2d_windows(x, kernel_size, stride, padding, dilation, ceil_mode)
    gx = np.zeros(x.shape)
    for i, j, window in windows:
        for image, c in np.ndindex(x.shape[:2]):
            best = first_maximum(x[image, c], window)
            if best is not None:
                gx[image, c][best] += gy[image, c, i, j]
    return gx


def avg_pool2d_windows(
    x: Array,
    kernel_size: Pair,
    stride: Pair | None,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> tuple[tuple[int, int], Iterator[tuple[int, int, list[Place], int]]]:
    """As `pool2d_windows`, with what each window's sum is divided by.

    That is the number of places in the window: those of the padding counted or not, those a last window hangs over
    beyond the padding (with `ceil_mode`) never.
    """
    h, w = x.shape[2:]
    (k_h, k_w), (p_h, p_w) = pair(kernel_size), pair(padding)
    s_h, s_w = pair(kernel_size if stride is None else stride)
    size, windows = pool2d_windows(x, kernel_size, stride, padding, 1, ceil_mode)

    def divided() -> Iterator[tuple[int, int, list[Place], int]]:
        for i, j, window in windows:
            rows = [row for row in range(i * s_h - p_h, i * s_h - p_h + k_h) if row < h + p_h]
            columns = [column for column in range(j * s_w - p_w, j * s_w - p_w + k_w) if column < w + p_w]
            count = len(rows) * len(columns) if count_include_pad else len(window)
            yield i, j, window, divisor_override or count

    return size, divided()


def avg_pool2d(
    x: Array,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """The mean of each window; the padding is zeros, which count unless `count_include_pad` says otherwise."""
    size, windows = avg_pool2d_windows(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    y = np.zeros((*x.shape[:2], *size))
    for i, j, window, divisor in windows:
        for image, c in np.ndindex(x.shape[:2]):
            for place in window:
                y[image, c, i, j] += float(x[image, c][place]) / divisor
    return y


def avg_pool2d_backward(
    x: Array,
    gy: Array,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """Each place of a window receives the same share of the window's gradient."""
    _, windows = avg_pool2d_windows(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    gx = np.zeros(x.shape)
    for i, j, window, divisor in windows:
        for image, c in np.ndindex(x.shape[:2]):
            for place in window:
                gx[image, c][place] += float(gy[image, c, i, j]) / divisor
    return gx


def adaptive_windows(size: int, windows: int) -> list[range]:
    """Window i of o covers ⌊i · size / o⌋ up to, without, ⌈(i + 1) · size / o⌉."""
    return [range(i * size // windows, -((i + 1) * size // -windows)) for i in range(windows)]


def adaptive_avg_pool2d(x: Array, output_size: tuple[int, int]) -> Array:
    """The mean of each of `output_size` windows that cover the image evenly."""
    y = np.zeros((*x.shape[:2], *output_size))
    for i, rows in enumerate(adaptive_windows(x.shape[2], output_size[0])):
        for j, columns in enumerate(adaptive_windows(x.shape[3], output_size[1])):
            for image, c in np.ndindex(x.shape[:2]):
                for row, column in product(rows, columns):
                    y[image, c, i, j] += float(x[image, c, row, column]) / (len(rows) * len(columns))
    return y


def adaptive_avg_pool2d_backward(x: Array, gy: Array) -> Array:
    """Each place of a window receives the same share of the window's gradient."""
    gx = np.zeros(x.shape)
    for i, rows in enumerate(adaptive_windows(x.shape[2], gy.shape[2])):
        for j, columns in enumerate(adaptive_windows(x.shape[3], gy.shape[3])):
            for image, c in np.ndindex(x.shape[:2]):
                for row, column in product(rows, columns):
                    gx[image, c, row, column] += float(gy[image, c, i, j]) / (len(rows) * len(columns))
    return gx


# --- Batch normalisation ------------------------------------------------------------------------------------------


def batch_norm_statistics(x: Array) -> tuple[Array, Array, int]:
    """The mean and the biased variance of each channel, and over how many values; x is (n, c) or (n, c, ...)."""
    channels = x.shape[1]
    mean, variance = np.zeros(channels), np.zeros(channels)
    count = x.size // channels
    for c in range(channels):
        values = [float(value) for value in x[:, c].flat]
        mean[c] = math.fsum(values) / count
        variance[c] = math.fsum((value - mean[c]) ** 2 for value in values) / count
    return mean, variance, count


def batch_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
    mean: Array | None = None,
    variance: Array | None = None,
) -> Array:
    """y = weight · (x − mean) / √(variance + eps) + bias, each channel by its own; the batch's statistics if not given.

    The unbiased variance that the running statistics take is count / (count − 1) · variance.
    """
    if mean is None or variance is None:
        mean, variance, _ = batch_norm_statistics(x)
    y = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        c = place[1]
        normalised = (float(x[place]) - float(mean[c])) / math.sqrt(float(variance[c]) + eps)
        scale = 1.0 if weight is None else float(weight[c])
        shift = 0.0 if bias is None else float(bias[c])
        y[place] = scale * normalised + shift
    return y


def batch_norm_backward(
    x: Array, gy: Array, weight: Array | None = None, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """The gradients at input, weight and bias, in training: the statistics are functions of x too.

    By the chain rule, without the short cuts: x acts on y directly, through the variance and through the mean.
    """
    mean, variance, count = batch_norm_statistics(x)
    channels = x.shape[1]
    gx, gweight, gbias = np.zeros(x.shape), np.zeros(channels), np.zeros(channels)
    gmean, gvariance = np.zeros(channels), np.zeros(channels)
    for place in np.ndindex(x.shape):
        c = place[1]
        deviation, gradient = float(x[place]) - mean[c], float(gy[place])
        spread = math.sqrt(variance[c] + eps)
        scale = 1.0 if weight is None else float(weight[c])
        gweight[c] += gradient * deviation / spread
        gbias[c] += gradient
        gmean[c] -= gradient * scale / spread
        gvariance[c] -= 0.5 * gradient * scale * deviation / spread**3
    for place in np.ndindex(x.shape):
        c = place[1]
        scale = 1.0 if weight is None else float(weight[c])
        direct = float(gy[place]) * scale / math.sqrt(variance[c] + eps)
        # The variance does not move with the mean: Σ (x − mean) = 0.
        gx[place] = direct + gvariance[c] * 2.0 * (float(x[place]) - mean[c]) / count + gmean[c] / count
    return gx, gweight, gbias


# --- Dense, softmax -----------------------------------------------------------------------------------------------


def dense(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """y[n, o] = b[o] + Σ_i w[o, i] · x[n, i]"""
    y = np.zeros((x.shape[0], weight.shape[0]))
    for image, o in np.ndindex(y.shape):
        y[image, o] = 0.0 if bias is None else float(bias[o])
        for i in range(weight.shape[1]):
            y[image, o] += float(weight[o, i]) * float(x[image, i])
    return y


def dense_backward(x: Array, weight: Array, gy: Array) -> tuple[Array, Array, Array]:
    """The gradients at the input, the weight and the bias."""
    gx, gweight, gbias = np.zeros(x.shape), np.zeros(weight.shape), np.zeros(weight.shape[0])
    for image, o in np.ndindex(gy.shape):
        gbias[o] += float(gy[image, o])
        for i in range(weight.shape[1]):
            gx[image, i] += float(gy[image, o]) * float(weight[o, i])
            gweight[o, i] += float(gy[image, o]) * float(x[image, i])
    return gx, gweight, gbias


def softmax(row: Array) -> Array:
    """p_i = exp(x_i) / Σ_j exp(x_j), of one row."""
    greatest = max(float(value) for value in row)
    powers = [math.exp(float(value) - greatest) for value in row]
    return np.array([power / math.fsum(powers) for power in powers])


def softmax_cross_entropy(logits: Array, targets: Array) -> tuple[float, Array]:
    """The mean of −log p[n, target_n], p being the softmax of each row, and its gradient (p − 1_target) / n."""
    n, classes = logits.shape
    loss, gradient = 0.0, np.zeros(logits.shape)
    for image in range(n):
        greatest = max(float(value) for value in logits[image])
        log_sum = greatest + math.log(math.fsum(math.exp(float(value) - greatest) for value in logits[image]))
        loss += (log_sum - float(logits[image, targets[image]])) / n
        probabilities = softmax(logits[image])
        for k in range(classes):
            gradient[image, k] = (probabilities[k] - (1.0 if k == targets[image] else 0.0)) / n
    return loss, gradient
