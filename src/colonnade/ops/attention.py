"""Attention: every position of a sequence takes a mean over those of another, or of its own, by how well they match.

Derived in docs/math/attention.md. Queries Q are (n, heads, t, d), keys K (n, heads, s, d), d numbers a head, and values
V (n, heads, s, ...); the weights A of the mean are (n, heads, t, s). In attention of a sequence to itself s is t. `out`
is written and returned; it is made, like scratch, if it is not given.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import DTypeLike

from .layout import Array, constant, made
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


@lru_cache(maxsize=64)
def causal_mask(length: int, keys: int, dtype: DTypeLike, more: int = 0) -> Array:
    """M_ab = 0 for b ≤ a, else −∞, (t, s + more), read-only: position a looks at no later one.

    Args:
        length: t.
        keys: s.
        dtype: Of the numbers.
        more: How many keys stand behind those of the sequence: they are looked at from everywhere.
    """
    mask = np.zeros((length, keys + more), dtype)
    mask[:, :keys][~np.tri(length, keys, dtype=np.bool_)] = -np.inf
    return constant(mask)


def attention_weights(
    queries: Array, keys: Array, out: Array | None = None, mask: Array | None = None, empty_rows: float = np.nan
) -> Array:
    """A = softmax(Q Kᵀ / √d + M), (n, heads, t, s): rows sum to one.

    Args:
        queries: Q.
        keys: K.
        out: Written.
        mask: M, of A's shape or with axes of length 1: −∞ for what is not looked at. None for zeros.
        empty_rows: What A is in a row that M leaves nothing of.
    """
    out = np.matmul(queries, keys.transpose(0, 1, 3, 2), out=out)
    np.multiply(out, 1 / math.sqrt(queries.shape[3]), out=out)
    if mask is None:
        return softmax_forward(out, 3, out)
    with np.errstate(invalid="ignore"):  # −∞ less −∞ is NaN, where there is nothing to look at
        np.add(out, mask, out=out)
        softmax_forward(out, 3, out)
    if not np.isnan(empty_rows):
        np.copyto(out, empty_rows, where=np.isneginf(mask.max(axis=-1, keepdims=True)))
    return out


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
    mask: Array | None = None,
    empty_rows: float = np.nan,
) -> Array:
    """Y = (softmax(Q Kᵀ / √d + M) · m) V, (n, heads, t, d).

    Args:
        queries: Q.
        keys: K.
        values: V.
        factor: m, what dropout multiplies the weights with, of their shape; None for one.
        out: Written.
        weights: Takes A, the weights before dropout.
        dropped: Scratch of A's shape: takes A · m.
        mask: M, of A's shape or with axes of length 1: −∞ for what is not looked at. None for zeros.
        empty_rows: What A is in a row that M leaves nothing of.
    """
    return attention_mean(attention_weights(queries, keys, weights, mask, empty_rows), values, factor, out, dropped)


def attention_backward(
    queries: Array,
    keys: Array,
    values: Array,
    grad_y: Array,
    factor: Array | None = None,
    out: QueriesKeysValues | None = None,
    weights: Array | None = None,
    dropped: Array | None = None,
    grad_scores: Array | None = None,
    mask: Array | None = None,
    grad_weights: Array | None = None,
    empty_rows: float = np.nan,
) -> QueriesKeysValues:
    """The gradients at Q, K and V.

    With G the gradient at Y: grad_V = (A · m)ᵀ G, grad_A = G Vᵀ · m, and with S the gradient that grad_A becomes at the
    scores, behind the softmax, grad_Q = S K / √d and grad_K = Sᵀ Q / √d. S is also the gradient at M.

    Args:
        queries: Q.
        keys: K.
        values: V.
        grad_y: G, (n, heads, t, d).
        factor: m, as in the forward pass.
        out: Written: the three gradients.
        weights: A, as the forward pass left it; computed if it is not given.
        dropped: Scratch of A's shape.
        grad_scores: Takes S, of A's shape.
        mask: M, as in the forward pass; read only where A is not given.
        grad_weights: A gradient at A · m beside the one that comes through Y, where others read it too.
        empty_rows: As in the forward pass; read only where A is not given.
    """
    weights = attention_weights(queries, keys, None, mask, empty_rows) if weights is None else weights
    (grad_scores,) = made(weights, grad_scores)
    grad_queries, grad_keys, grad_values = out or (np.empty_like(each) for each in (queries, keys, values))
    counted = weights if factor is None else np.multiply(weights, factor, out=dropped)
    np.matmul(counted.transpose(0, 1, 3, 2), grad_y, out=grad_values)
    np.matmul(grad_y, values.transpose(0, 1, 3, 2), out=grad_scores)
    if grad_weights is not None:
        np.add(grad_scores, grad_weights, out=grad_scores)
    if factor is not None:
        np.multiply(grad_scores, factor, out=grad_scores)
    softmax_backward(weights, grad_scores, 3, grad_scores)
    scale = 1 / math.sqrt(queries.shape[3])
    np.multiply(np.matmul(grad_scores, keys, out=grad_queries), scale, out=grad_queries)
    np.multiply(np.matmul(grad_scores.transpose(0, 1, 3, 2), queries, out=grad_keys), scale, out=grad_keys)
    return grad_queries, grad_keys, grad_values
