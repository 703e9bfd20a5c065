"""Attention: every position of a sequence takes a mean over all others, weighted by how well they match it."""

from __future__ import annotations

import math

import numpy as np

from .layout import Array
from .softmax import softmax_backward, softmax_forward


def heads(projected: Array, count: int) -> tuple[Array, Array, Array]:
    """Queries, keys and values, each (n, heads, t, d / heads), in their projection (n, t, 3d): views."""
    images, length, width = projected.shape
    parted = projected.reshape(images, length, 3, count, width // (3 * count)).transpose(2, 0, 3, 1, 4)
    return parted[0], parted[1], parted[2]


def by_head(x: Array, count: int) -> Array:
    """(n, t, d) as (n, heads, t, d / heads), a view."""
    images, length, width = x.shape
    return x.reshape(images, length, count, width // count).transpose(0, 2, 1, 3)


def attention_weights(projected: Array, count: int, weights: Array) -> None:
    """A = softmax(Q Kᵀ / √(d / heads)), (n, heads, t, t), rows sum to one."""
    queries, keys, _ = heads(projected, count)
    np.matmul(queries, keys.transpose(0, 1, 3, 2), out=weights)
    np.multiply(weights, 1 / math.sqrt(queries.shape[3]), out=weights)
    softmax_forward(weights, 3, weights)


def attention_forward(projected: Array, weights: Array, out: Array) -> None:
    """A V, in `out` (n, t, d): the heads side by side."""
    _, _, values = heads(projected, weights.shape[1])
    np.matmul(weights, values, out=by_head(out, weights.shape[1]))


def attention_backward(
    projected: Array, weights: Array, dropped: Array, kept: Array | None, grad: Array, out: Array, grad_weights: Array
) -> None:
    """The gradient at Q, K and V, in `out`, (n, t, 3d).

    With G the gradient at A V: grad_V = Aᵀ G, grad_A = G Vᵀ, and with S the gradient that grad_A becomes at the
    scores, behind the softmax, grad_Q = S K / √(d / heads) and grad_K = Sᵀ Q / √(d / heads).

    Args:
        projected: (n, t, 3d).
        weights: A, (n, heads, t, t).
        dropped: A as it was multiplied with V: after dropout.
        kept: What dropout multiplied A with, or None.
        grad: G, (n, t, d).
        out: Written.
        grad_weights: Scratch of A's shape.
    """
    count = weights.shape[1]
    queries, keys, values = heads(projected, count)
    grad_queries, grad_keys, grad_values = heads(out, count)
    grad = by_head(grad, count)
    np.matmul(dropped.transpose(0, 1, 3, 2), grad, out=grad_values)
    np.matmul(grad, values.transpose(0, 1, 3, 2), out=grad_weights)
    if kept is not None:
        np.multiply(grad_weights, kept, out=grad_weights)
    softmax_backward(weights, grad_weights, 3, grad_weights)
    np.multiply(grad_weights, 1 / math.sqrt(queries.shape[3]), out=grad_weights)
    np.matmul(grad_weights, keys, out=grad_queries)
    np.matmul(grad_weights.transpose(0, 1, 3, 2), queries, out=grad_keys)
