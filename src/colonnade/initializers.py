"""How parameters begin. Each function draws an array of a shape from a stream of random numbers.

Derived in docs/math/training.md.
"""

from __future__ import annotations

import math

import numpy as np

from .ops.layout import Array
from .tensor import Shape


def fans(shape: Shape) -> tuple[int, int]:
    """How many inputs feed one output, and how many outputs one input feeds, of a weight (out, in, ...)."""
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def he_normal(shape: Shape, rng: np.random.Generator) -> Array:
    """N(0, 2 / fan_in): keeps the variance through a ReLU (He et al. 2015, arXiv:1502.01852)."""
    fan_in, _ = fans(shape)
    return rng.normal(0.0, math.sqrt(2.0 / fan_in), shape)


def glorot_uniform(shape: Shape, rng: np.random.Generator) -> Array:
    """U(−a, a), a = √(6 / (fan_in + fan_out)): keeps the variance both ways (Glorot and Bengio 2010)."""
    bound = math.sqrt(6.0 / sum(fans(shape)))
    return rng.uniform(-bound, bound, shape)


def weights(shape: Shape, rng: np.random.Generator, rectified: bool) -> Array:
    """He where a ReLU follows, Glorot for the rest."""
    return he_normal(shape, rng) if rectified else glorot_uniform(shape, rng)


def small_normal(shape: Shape, rng: np.random.Generator, rectified: bool) -> Array:
    """N(0, 0.02²): embeddings (Dosovitskiy et al. 2020, arXiv:2010.11929)."""
    return rng.normal(0.0, 0.02, shape)


def zeros(shape: Shape, rng: np.random.Generator, rectified: bool) -> Array:
    """All zeros: biases and shifts."""
    return np.zeros(shape)


def ones(shape: Shape, rng: np.random.Generator, rectified: bool) -> Array:
    """All ones: the scales of normalisations."""
    return np.ones(shape)
