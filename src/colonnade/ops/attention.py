"""Attention: every position of a sequence takes a mean over all others, weighted by how well they match it.

Derived in docs/math/attention.md. Queries Q, keys K and values V are (n, heads, t, d), d numbers a head; the weights A
of the mean are (n, heads, t, t). `out` is written and returned; it is made, like scratch, if it is not given.
"""

from __future__ import annotations

import math

import numpy as np

from .layout import Array, made
from .softmax import softmax_backward, softmax_forward

QueriesKeysValues = tuple[Array, Array, Array]


def heads(projected: Array, count: int) -> QueriesKeysValues:
    """Q, K and V, each (n, heads, t, d), in their projection (n, t, 3 · heads · d): views."""
    images, length, width = projected.shape
    parted = projected.reshape(images, length, 3, count, width // (3 * count)).transpose(2, 0, 3, 1, 4)
    return parted[0], parted[1], parted[2]


def by_head(x: Array, count: int) -> Array:
    """(n, t, heads · d) as (n, heads, t, d), a view."""
    images, length, width = x.shape
    return x.reshape(images, length, count, width // count).transpose(0, 2, 1, 3)


def attention_weights(queries: Array, keys: Array, out: Array | None = None) -> Array:
    """A = softmax(Q Kᵀ / √d), (n, heads, t, t): rows sum to one."""
    out = np.matmul(queries, keys.transpose(0, 1, 3, 2), out=out)
    np.multiply(out, 1 / math.sqrt(queries.shape[3]), out=out)
    return softmax_forward(out, 3, out)


def attention_mean(
    weights: Array, values: Array, factor: Array | None = None, out: Array | None = None, dropped: Array | None = None
) -> Array:
    """Y = (A · m) V, (n, heads, t, d).

    Args:
        weights: A.
        values: V.
        factor: m, what dropout multiplies A with, of its shape; None for one.
        out: Written.
        dropped: Scratch of A's shape: takes A · m.
    """
    if factor is not None:
        weights = np.multiply(weights, factor, out=dropped)
    return np.matmul(weights, values, out=out)


def attention_forward(
    queries: Array,
    keys: Array,
    values: Array,
    factor: Array | None = None,
    out: Array | None = None,
    weights: Array | None = None,
    dropped: Array | None = None,
) -> Array:
    """Y = (softmax(Q Kᵀ / √d) · m) V, (n, heads, t, d).

    Args:
        queries: Q.
        keys: K.
        values: V.
        factor: m, what dropout multiplies the weights with, of their shape; None for one.
        out: Written.
        weights: Takes A, the weights before dropout.
        dropped: Scratch of A's shape.
    """
    return attention_mean(attention_weights(queries, keys, weights), values, factor, out, dropped)


def attention_backward(
    queries: Array,
    keys: Array,
    values: Array,
    grad_y: Array,
    factor: Array | None = None,
    out: QueriesKeysValues | None = None,
    weights: Array | None = None,
    dropped: Array | None = None,
    grad_weights: Array | None = None,
) -> QueriesKeysValues:
    """The gradients at Q, K and V.

    With G the gradient at Y: grad_V = (A · m)ᵀ G, grad_A = G Vᵀ · m, and with S the gradient that grad_A becomes at the
    scores, behind the softmax, grad_Q = S K / √d and grad_K = Sᵀ Q / √d.

    Args:
        queries: Q.
        keys: K.
        values: V.
        grad_y: G, (n, heads, t, d).
        factor: m, as in the forward pass.
        out: Written: the three gradients.
        weights: A, as the forward pass left it; computed if it is not given.
        dropped: Scratch of A's shape.
        grad_weights: Scratch of A's shape.
    """
    weights = attention_weights(queries, keys) if weights is None else weights
    (grad_weights,) = made(weights, grad_weights)
    grad_queries, grad_keys, grad_values = out or (np.empty_like(each) for each in (queries, keys, values))
    counted = weights if factor is None else np.multiply(weights, factor, out=dropped)
    np.matmul(counted.transpose(0, 1, 3, 2), grad_y, out=grad_values)
    np.matmul(grad_y, values.transpose(0, 1, 3, 2), out=grad_weights)
    if factor is not None:
        np.multiply(grad_weights, factor, out=grad_weights)
    softmax_backward(weights, grad_weights, 3, grad_weights)
    np.multiply(grad_weights, 1 / math.sqrt(queries.shape[3]), out=grad_weights)
    np.matmul(grad_weights, keys, out=grad_queries)
    np.matmul(grad_weights.transpose(0, 1, 3, 2), queries, out=grad_keys)
    return grad_queries, grad_keys, grad_values
