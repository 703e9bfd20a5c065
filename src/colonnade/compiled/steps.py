"""The steps of the optimizers, in one pass over flat arrays: the rules of `colonnade.optimizers`, to the same bits.

Each operation rounds as NumPy's does, in the same order: where a step waits for memory, fewer roundings gain nothing.
Arrays that a rule keeps only with some of its arguments are None without. `sign` is −1 to climb the gradient, else 1.
"""

from __future__ import annotations

import math

from .compilation import compiled, inlined
from .elementwise import absolute, greatest, square_root, where_greater
from .runs import RUN, load_run, store_run


@inlined
def _direction(value, grad, weight_decay, sign):
    """g = ±grad + λ · value."""
    g = grad * sign
    if weight_decay != 0.0:
        g = value * weight_decay + g
    return g


@inlined
def _decoupled(value, lr, weight_decay):
    """(1 − lr · λ) · value."""
    if weight_decay != 0.0:
        value = value * (1.0 - lr * weight_decay)
    return value


@compiled
def sgd(value, grad, buffer, lr, momentum, kept, weight_decay, nesterov, sign):
    """b ← μ · b + kept · g;  value ← value − lr · b, with nesterov − lr · (g + μ · b), without momentum − lr · g.

    Args:
        value: (size,); grad and buffer likewise. buffer is None without momentum.
        kept: 1 − κ, and 1 at the first step.
    """
    if grad.size != value.size or (buffer is not None and buffer.size != value.size):
        raise ValueError("sgd: value, grad and buffer must be of one size.")
    for i in range(0, value.size, RUN):
        w = load_run(value, i)
        g = _direction(w, load_run(grad, i), weight_decay, sign)
        if buffer is not None:
            b = load_run(buffer, i) * momentum + g * kept
            store_run(b, buffer, i)
            g = g + b * momentum if nesterov else b
        store_run(w - g * lr, value, i)


@compiled
def adam(value, grad, m, v, largest, lr, beta1, beta2, eps, weight_decay, decoupled, steps, sign):
    """m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²;  value ← value − lr · m̂ / (√v̂ + ε).

    Args:
        value: (size,); grad, m, v and largest likewise. largest, of the v so far, is None without amsgrad.
        decoupled: Whether the decay shrinks the values themselves, as AdamW does.
        steps: t, counted from 1.
    """
    if grad.size != value.size or m.size != value.size or v.size != value.size:
        raise ValueError("adam: value, grad, m and v must be of one size.")
    if largest is not None and largest.size != value.size:
        raise ValueError("adam: largest must be of value's size.")
    r = math.sqrt(1.0 - beta2**steps)
    step, small = lr * r / (1.0 - beta1**steps), r * eps
    of_grad, shrinking = (0.0, weight_decay) if decoupled else (weight_decay, 0.0)
    for i in range(0, value.size, RUN):
        w = _decoupled(load_run(value, i), lr, shrinking)
        g = _direction(w, load_run(grad, i), of_grad, sign)
        mean = load_run(m, i) * beta1 + g * (1.0 - beta1)
        squares = load_run(v, i) * beta2 + g * g * (1.0 - beta2)
        store_run(mean, m, i)
        store_run(squares, v, i)
        if largest is not None:
            squares = greatest(load_run(largest, i), squares)
            store_run(squares, largest, i)
        store_run(w - mean / (square_root(squares) + small) * step, value, i)


@compiled
def nadam(value, grad, m, v, lr, beta1, beta2, of_g, of_m, eps, weight_decay, decoupled, steps, sign):
    """As :func:`adam`, value ← value − lr · (of_g · g + of_m · m) / (√v̂ + ε)."""
    if grad.size != value.size or m.size != value.size or v.size != value.size:
        raise ValueError("nadam: value, grad, m and v must be of one size.")
    r = math.sqrt(1.0 - beta2**steps)
    of_grad, shrinking = (0.0, weight_decay) if decoupled else (weight_decay, 0.0)
    for i in range(0, value.size, RUN):
        w = _decoupled(load_run(value, i), lr, shrinking)
        g = _direction(w, load_run(grad, i), of_grad, sign)
        mean = load_run(m, i) * beta1 + g * (1.0 - beta1)
        squares = load_run(v, i) * beta2 + g * g * (1.0 - beta2)
        store_run(mean, m, i)
        store_run(squares, v, i)
        step = (g * of_g + mean * of_m) / (square_root(squares) + r * eps)
        store_run(w - step * (lr * r), value, i)


@compiled
def adagrad(value, grad, total, lr, eps, weight_decay, sign):
    """s ← s + g²;  value ← value − lr · g / (√s + ε), with lr as it has decayed and s in `total`."""
    if grad.size != value.size or total.size != value.size:
        raise ValueError("adagrad: value, grad and total must be of one size.")
    for i in range(0, value.size, RUN):
        w = load_run(value, i)
        g = _direction(w, load_run(grad, i), weight_decay, sign)
        squares = load_run(total, i) + g * g
        store_run(squares, total, i)
        store_run(w - g / (square_root(squares) + eps) * lr, value, i)


@compiled
def rmsprop(value, grad, mean, centre, buffer, lr, alpha, eps, momentum, weight_decay, sign):
    """s ← α s + (1 − α) g²;  d = g / (√s + ε);  b ← μ b + d;  value ← value − lr · b.

    Args:
        value: (size,); the arrays likewise. `mean` is s.
        centre: a ← α a + (1 − α) g, and d = g / (√(s − a²) + ε); None if not centered.
        buffer: b; None without momentum: b is d.
    """
    if grad.size != value.size or mean.size != value.size:
        raise ValueError("rmsprop: value, grad and mean must be of one size.")
    if (centre is not None and centre.size != value.size) or (buffer is not None and buffer.size != value.size):
        raise ValueError("rmsprop: centre and buffer must be of value's size.")
    for i in range(0, value.size, RUN):
        w = load_run(value, i)
        g = _direction(w, load_run(grad, i), weight_decay, sign)
        squares = load_run(mean, i) * alpha + g * g * (1.0 - alpha)
        store_run(squares, mean, i)
        if centre is not None:
            a = load_run(centre, i) * alpha + g * (1.0 - alpha)
            store_run(a, centre, i)
            squares = greatest(squares - a * a, 0.0)  # rounding may bring it below
        d = g / (square_root(squares) + eps)
        if buffer is not None:
            d = load_run(buffer, i) * momentum + d
            store_run(d, buffer, i)
        store_run(w - d * lr, value, i)


@compiled
def lion(value, grad, m, lr, beta1, beta2, weight_decay, sign):
    """c = β₁ m + (1 − β₁) g;  value ← (1 − lr · λ) · value − lr · sign(c);  m ← β₂ m + (1 − β₂) g."""
    if grad.size != value.size or m.size != value.size:
        raise ValueError("lion: value, grad and m must be of one size.")
    for i in range(0, value.size, RUN):
        g, mean = load_run(grad, i) * sign, load_run(m, i)
        c = (mean - g) * beta1 + g
        signs = where_greater(c, 0.0, 1.0, where_greater(0.0, c, -1.0, c))  # zero and NaN are their own signs
        w = _decoupled(load_run(value, i), lr, weight_decay)
        store_run(w - signs * lr, value, i)
        store_run(mean * beta2 + g * (1.0 - beta2), m, i)


@compiled
def adamax(value, grad, m, largest, lr, beta1, beta2, eps, weight_decay, steps, sign):
    """m ← β₁ m + (1 − β₁) g;  u ← max(β₂ u, |g| + ε);  value ← value − lr / (1 − β₁ᵗ) · m / u, with u in `largest`."""
    if grad.size != value.size or m.size != value.size or largest.size != value.size:
        raise ValueError("adamax: value, grad, m and largest must be of one size.")
    step = lr / (1.0 - beta1**steps)
    for i in range(0, value.size, RUN):
        w = load_run(value, i)
        g = _direction(w, load_run(grad, i), weight_decay, sign)
        mean = load_run(m, i) * beta1 + g * (1.0 - beta1)
        u = greatest(load_run(largest, i) * beta2, absolute(g) + eps)
        store_run(mean, m, i)
        store_run(u, largest, i)
        store_run(w - mean / u * step, value, i)


@compiled
def radam(value, grad, m, v, lr, rate, rectified, beta1, beta2, eps, weight_decay, decoupled, sign):
    """As :func:`adam`, value ← value − rectified · m / (√v + ε), or − rate · m where `rectified` is 0."""
    if grad.size != value.size or m.size != value.size or v.size != value.size:
        raise ValueError("radam: value, grad, m and v must be of one size.")
    of_grad, shrinking = (0.0, weight_decay) if decoupled else (weight_decay, 0.0)
    for i in range(0, value.size, RUN):
        w = _decoupled(load_run(value, i), lr, shrinking)
        g = _direction(w, load_run(grad, i), of_grad, sign)
        mean = load_run(m, i) * beta1 + g * (1.0 - beta1)
        squares = load_run(v, i) * beta2 + g * g * (1.0 - beta2)
        store_run(mean, m, i)
        store_run(squares, v, i)
        step = mean * rate if rectified == 0.0 else mean / (square_root(squares) + eps) * rectified
        store_run(w - step, value, i)


@compiled
def adadelta(value, grad, mean, moved, lr, rho, eps, weight_decay, sign):
    """s ← ρ s + (1 − ρ) g²;  d = √(a + ε) / √(s + ε) · g;  a ← ρ a + (1 − ρ) d²;  value ← value − lr · d.

    Args:
        value: (size,); the arrays likewise. `mean` is s, `moved` a.
    """
    if grad.size != value.size or mean.size != value.size or moved.size != value.size:
        raise ValueError("adadelta: value, grad, mean and moved must be of one size.")
    for i in range(0, value.size, RUN):
        w, a = load_run(value, i), load_run(moved, i)
        g = _direction(w, load_run(grad, i), weight_decay, sign)
        squares = load_run(mean, i) * rho + g * g * (1.0 - rho)
        step = g / square_root(squares + eps) * square_root(a + eps)
        store_run(squares, mean, i)
        store_run(a * rho + step * step * (1.0 - rho), moved, i)
        store_run(w - step * lr, value, i)
