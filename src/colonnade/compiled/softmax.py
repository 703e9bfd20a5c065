"""Softmax and its logarithm along rows, some of them at a time: what `ops.softmax` computes along the last axis."""

from __future__ import annotations

import math

from .compilation import compiled, inlined
from .elementwise import greatest, multiply_add, where_first
from .functions import exp, log
from .reductions import row_maxima, row_sums
from .registers import WIDTH
from .runs import ROWS, load_rows, store_rows, together
from .tiles import filled, zeros


@inlined
def _row_maxima(x, at, step, length):
    """The greatest number of each row."""
    maxima = filled(ROWS, 1, -math.inf)
    for c in range(0, length, WIDTH):
        maxima = greatest(maxima, where_first(load_rows(x, at + c, step, length - c), -math.inf, length - c))
    return row_maxima(maxima)


@compiled
def softmax_forward(x, y):
    """p = exp(x − max x) / Σ exp(x − max x) of each row; x and y (rows, d), y may be x."""
    if x.shape != y.shape:
        raise ValueError("softmax_forward: x and y must be of one shape.")
    rows, length = x.shape
    row = 0
    while row < rows:
        at = row * length
        count, step, _ = together(rows - row, length)
        maxima, total = _row_maxima(x, at, step, length), zeros(ROWS, 1)
        for c in range(0, length, WIDTH):
            power = exp(load_rows(x, at + c, step, length - c) - maxima)
            store_rows(power, y, at + c, step, length - c)
            total = total + where_first(power, 0.0, length - c)
        share = 1.0 / row_sums(total)
        for c in range(0, length, WIDTH):
            store_rows(load_rows(y, at + c, step, length - c) * share, y, at + c, step, length - c)
        row += count


@compiled
def softmax_backward(y, grad_y, grad_x):
    """grad_x = y (grad_y − Σ y grad_y) of each row, y the forward pass's output; (rows, d), grad_x may be grad_y."""
    if y.shape != grad_x.shape or grad_y.shape != grad_x.shape:
        raise ValueError("softmax_backward: y, grad_y and grad_x must be of one shape.")
    rows, length = y.shape
    row = 0
    while row < rows:
        at = row * length
        count, step, _ = together(rows - row, length)
        total = zeros(ROWS, 1)
        for c in range(0, length, WIDTH):
            p, grad = load_rows(y, at + c, step, length - c), load_rows(grad_y, at + c, step, length - c)
            total = multiply_add(p, grad, total)
        inner = row_sums(total)
        for c in range(0, length, WIDTH):
            p, grad = load_rows(y, at + c, step, length - c), load_rows(grad_y, at + c, step, length - c)
            store_rows((grad - inner) * p, grad_x, at + c, step, length - c)
        row += count


@compiled
def log_softmax_forward(x, y):
    """log p = (x − max x) − log Σ exp(x − max x) of each row; x and y (rows, d), y may be x."""
    if x.shape != y.shape:
        raise ValueError("log_softmax_forward: x and y must be of one shape.")
    rows, length = x.shape
    row = 0
    while row < rows:
        at = row * length
        count, step, _ = together(rows - row, length)
        maxima, total = _row_maxima(x, at, step, length), zeros(ROWS, 1)
        for c in range(0, length, WIDTH):
            power = exp(load_rows(x, at + c, step, length - c) - maxima)
            total = total + where_first(power, 0.0, length - c)
        log_sum = log(row_sums(total))
        for c in range(0, length, WIDTH):
            # The maximum is not added to the logarithm first: a large one would round away what tells classes apart.
            store_rows(load_rows(x, at + c, step, length - c) - maxima - log_sum, y, at + c, step, length - c)
        row += count


@compiled
def log_softmax_backward(y, grad_y, grad_x):
    """grad_x = grad_y − exp(y) Σ grad_y of each row, y the forward pass's output; (rows, d), grad_x may be grad_y."""
    if y.shape != grad_x.shape or grad_y.shape != grad_x.shape:
        raise ValueError("log_softmax_backward: y, grad_y and grad_x must be of one shape.")
    rows, length = y.shape
    row = 0
    while row < rows:
        at = row * length
        count, step, _ = together(rows - row, length)
        total = zeros(ROWS, 1)
        for c in range(0, length, WIDTH):
            total = total + load_rows(grad_y, at + c, step, length - c)
        summed = row_sums(total)
        for c in range(0, length, WIDTH):
            log_p, grad = load_rows(y, at + c, step, length - c), load_rows(grad_y, at + c, step, length - c)
            store_rows(grad - exp(log_p) * summed, grad_x, at + c, step, length - c)
        row += count


@compiled
def hide_later(scores):
    """scores_ab = −∞ for b > a, of each matrix of scores (n, heads, t, s): position a looks at no later one."""
    if scores.ndim != 4:
        raise ValueError("hide_later: scores must be (n, heads, t, s).")
    _, _, rows, columns = scores.shape
    flat = scores.reshape(-1)
    for at in range(0, flat.size, columns):
        row = (at // columns) % rows
        for column in range(min(row + 1, columns), columns):
            flat[at + column] = -math.inf
