"""Dropout, drawing the very numbers that NumPy's Philox generator draws.

Philox (Salmon et al. 2011) counts, and scrambles the count with a key: the n-th group of eight numbers is found
without those before it, so that each image draws the same wherever the batch is cut.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compilation import compiled, inlined
from .registers import WIDTH
from .tiles import load, load_first, store, store_first

# What a draw of 32 bits makes: eight of the 2 · 4 · 64 bits that one count gives.
GROUP = 8
_FIRST, _SECOND = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_KEY_STEPS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_KEY_STEP_0, _KEY_STEP_1 = _KEY_STEPS
_LOW, _HALF, _DROPPED, _ZERO, _ONE = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(8), np.uint64(0), np.uint64(1)


@intrinsic
def _product(typing: Any, a: Any, b: Any) -> Any:
    """The upper and the lower 64 bits of a · b."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(each, wide) for each in arguments))
        upper = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))
        return context.make_tuple(builder, signature.return_type, [upper, builder.trunc(product, ir.IntType(64))])

    if a != types.uint64 or b != types.uint64:
        return None
    return types.UniTuple(types.uint64, 2)(a, b), generate


@inlined
def _scramble(count, key_0, key_1):
    """Philox4x64-10 of a count below 2⁶⁴: four words of 64 bits."""
    a, b, c, d = count, _ZERO, _ZERO, _ZERO
    for _ in range(10):
        upper_a, lower_a = _product(_FIRST, a)
        upper_c, lower_c = _product(_SECOND, c)
        a, b, c, d = upper_c ^ b ^ key_0, lower_c, upper_a ^ d ^ key_1, lower_a
        key_0 += _KEY_STEP_0
        key_1 += _KEY_STEP_1
    return a, b, c, d


@inlined
def _factors(word, limit, kept, out, i):
    """out[i] and out[i + 1]: `kept` where the uniform number of 24 bits is not below the limit, else zero."""
    out[i] = kept if np.float32((word & _LOW) >> _DROPPED) >= limit else np.float32(0)
    out[i + 1] = kept if np.float32((word >> _HALF) >> _DROPPED) >= limit else np.float32(0)


@inlined
def _draw(count, key, limit, kept, out, i):
    """Eight factors from out[i] on, of the group `count` of the stream."""
    a, b, c, d = _scramble(np.uint64(count) + _ONE, key[0], key[1])  # NumPy counts on before it draws
    _factors(a, limit, kept, out, i)
    _factors(b, limit, kept, out, i + 2)
    _factors(c, limit, kept, out, i + 4)
    _factors(d, limit, kept, out, i + 6)


@inlined
def _limits(p):
    """p in units of 2⁻²⁴, and 1 / (1 − p)."""
    return np.float32(p) * np.float32(16777216), np.float32(1.0 / (1.0 - p) if p < 1.0 else 0.0)


@compiled
def dropout(x, key, start, p, y):
    """y = x · m / (1 − p), m being 0 with probability p and else 1: forward and, of gradients, backward.

    Args:
        x: (n, size), each image as it lies in memory; y likewise, and may be x.
        key: Of `np.random.Philox(...)`, (2,) uint64.
        start: The place of the first image in the batch.
        p: The probability that a number is left out.
    """
    if x.shape != y.shape or key.size != 2:
        raise ValueError("dropout: x and y must be of one shape (n, size), key (2,).")
    images, size = x.shape
    limit, kept = _limits(p)
    factors = np.empty(WIDTH, np.float32)
    groups = (size + GROUP - 1) // GROUP
    for image in range(images):
        count = (start + image) * groups
        for c in range(0, size, WIDTH):
            _draw(count, key, limit, kept, factors, 0)
            _draw(count + 1, key, limit, kept, factors, GROUP)  # not of this image if less is left, and not used then
            count += 2
            i = image * size + c
            if size - c >= WIDTH:
                store(load(1, 1, x, i, 0) * load(1, 1, factors, 0, 0), y, i, 0)
            else:
                store_first(load_first(1, 1, x, i, 0, size - c) * load(1, 1, factors, 0, 0), y, i, 0, size - c)


@compiled
def draw_factors(key, start, p, out):
    """What each channel of each image is multiplied by, 0 or 1 / (1 − p), in `out` (n, c); arguments as `dropout`."""
    if key.size != 2:
        raise ValueError("draw_factors: key must be (2,).")
    images, size = out.shape
    limit, kept = _limits(p)
    factors = np.empty(GROUP, np.float32)
    groups = (size + GROUP - 1) // GROUP
    for image in range(images):
        for group in range(groups):
            _draw((start + image) * groups + group, key, limit, kept, factors, 0)
            for c in range(group * GROUP, min(size, (group + 1) * GROUP)):
                out[image, c] = factors[c - group * GROUP]
