"""Recurrent layers: along a sequence, each step reads the one before it. Derived in docs/math/recurrent.md.

Sequences x are (n, t, d) and the states h (n, k). What a step reads of x is one product for all steps at once, what it
reads of the state before is one product a step. The gates of a cell lie side by side, in PyTorch's order: W_ih is
(gates · k, d) and W_hh (gates · k, k). A state before the first step that is not given is zero. With `reverse` the
sequence is read from its end; y[:, t] is then still what was made of x[:, t].

`out` is written and returned; it is made, like the arrays that backward reads, if it is not given.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .dense import dense_backward_bias, dense_backward_input, dense_backward_weight, dense_forward
from .layout import Array


class Gradients(NamedTuple):
    """What a backward pass gives: each of the shape of what it is the gradient at.

    Attributes:
        x: At the sequence; None where it was not asked for.
        weight_ih: At W_ih.
        weight_hh: At W_hh.
        bias_ih: At b_ih.
        bias_hh: At b_hh.
        h0: At the state before the first step.
        c0: At the cell before the first step, of an LSTM.
    """

    x: Array | None
    weight_ih: Array
    weight_hh: Array
    bias_ih: Array
    bias_hh: Array
    h0: Array
    c0: Array | None = None


def order(length: int, reverse: bool) -> range:
    """The steps, in the order in which they are read."""
    return range(length - 1, -1, -1) if reverse else range(length)


def last(states: Array, reverse: bool) -> Array:
    """The state behind the last step that is read, (n, k), of all states (n, t, k); a view."""
    return states[:, 0 if reverse else -1]


def _before(states: Array, first: Array | None, step: int, reverse: bool) -> Array | None:
    """The state that a step reads; None for zero."""
    step = step + 1 if reverse else step - 1
    return states[:, step] if 0 <= step < states.shape[1] else first


def _recurrent(state: Array | None, weight: Array, bias: Array | None, images: int) -> Array:
    """W_hh h + b_hh of one step, (n, gates · k)."""
    made = np.zeros((images, len(weight)), weight.dtype) if state is None else state @ weight.T
    if bias is not None:
        made += bias
    return made


def _sigmoid(x: Array) -> None:
    """σ(x) = (1 + tanh(x / 2)) / 2, in place."""
    x *= 0.5
    np.tanh(x, out=x)
    x *= 0.5
    x += 0.5


def _states(x: Array, size: int, out: Array | None) -> Array:
    return np.empty((*x.shape[:2], size), x.dtype) if out is None else out


def rnn_forward(
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    h0: Array | None = None,
    nonlinearity: str = "tanh",
    reverse: bool = False,
    out: Array | None = None,
    gates: Array | None = None,
) -> Array:
    """y_t = f(W_ih x_t + b_ih + W_hh y_{t−1} + b_hh), (n, t, k).

    Args:
        x: (n, t, d).
        weight_ih: W_ih, (k, d).
        weight_hh: W_hh, (k, k).
        bias_ih: b_ih, (k,).
        bias_hh: b_hh, (k,).
        h0: y before the first step, (n, k).
        nonlinearity: f, "tanh" or "relu".
        reverse: Whether to read from the end.
        out: Written.
        gates: Scratch of y's shape, contiguous.
    """
    y = _states(x, weight_hh.shape[1], out)
    gates = dense_forward(x, weight_ih, bias_ih, gates)
    for step in order(x.shape[1], reverse):
        inner = _recurrent(_before(y, h0, step, reverse), weight_hh, bias_hh, len(x))
        inner += gates[:, step]
        if nonlinearity == "tanh":
            np.tanh(inner, out=y[:, step])
        else:
            np.maximum(inner, 0, out=y[:, step])
    return y


def rnn_backward(
    x: Array,
    y: Array,
    grad_y: Array,
    weight_ih: Array,
    weight_hh: Array,
    h0: Array | None = None,
    nonlinearity: str = "tanh",
    reverse: bool = False,
    grad_last: Array | None = None,
    grad_gates: Array | None = None,
    out: Array | None = None,
    input_gradient: bool = True,
) -> Gradients:
    """With s_t what f is taken of: grad_s_t = (grad_y_t + W_hhᵀ grad_s_{t+1}) · f'(s_t), and from it all gradients.

    Args:
        x: (n, t, d).
        y: As the forward pass left it, (n, t, k).
        grad_y: The gradient at it.
        weight_ih: W_ih.
        weight_hh: W_hh.
        h0: y before the first step.
        nonlinearity: f.
        reverse: As in the forward pass.
        grad_last: The gradient at the state behind the last step, beside what grad_y has of it, (n, k).
        grad_gates: Scratch of y's shape, contiguous.
        out: The gradient at x, written.
        input_gradient: Whether it is wanted.
    """
    grad_gates = _states(x, len(weight_ih), grad_gates)
    grad_weight = np.zeros_like(weight_hh)
    grad_state = np.zeros_like(y[:, 0]) if grad_last is None else grad_last
    for step in reversed(order(x.shape[1], reverse)):
        grad = grad_state + grad_y[:, step]
        state = y[:, step]
        grad *= 1 - state * state if nonlinearity == "tanh" else state > 0
        grad_gates[:, step] = grad
        before = _before(y, h0, step, reverse)
        if before is not None:
            grad_weight += grad.T @ before
        grad_state = grad @ weight_hh
    grad_bias = dense_backward_bias(grad_gates)
    return _gradients(x, grad_gates, weight_ih, grad_weight, grad_bias, grad_state, None, out, input_gradient)


def lstm_forward(
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    h0: Array | None = None,
    c0: Array | None = None,
    reverse: bool = False,
    out: Array | None = None,
    gates: Array | None = None,
    cells: Array | None = None,
) -> Array:
    """y_t = o · tanh(c_t), with c_t = f · c_{t−1} + i · g, (n, t, k).

    i, f, g, o are the quarters of W_ih x_t + b_ih + W_hh y_{t−1} + b_hh, of g the tanh, of the others σ.

    Args:
        x: (n, t, d).
        weight_ih: W_ih, (4k, d).
        weight_hh: W_hh, (4k, k).
        bias_ih: b_ih, (4k,).
        bias_hh: b_hh, (4k,).
        h0: y before the first step, (n, k).
        c0: c before the first step, (n, k).
        reverse: Whether to read from the end.
        out: Written.
        gates: Takes i, f, g, o of each step, (n, t, 4k), contiguous.
        cells: Takes c, (n, t, k).
    """
    size = weight_hh.shape[1]
    y, cells = _states(x, size, out), _states(x, size, cells)
    gates = dense_forward(x, weight_ih, bias_ih, gates)
    for step in order(x.shape[1], reverse):
        at, cell = gates[:, step], cells[:, step]
        at += _recurrent(_before(y, h0, step, reverse), weight_hh, bias_hh, len(x))
        _sigmoid(at[:, : 2 * size])
        np.tanh(at[:, 2 * size : 3 * size], out=at[:, 2 * size : 3 * size])
        _sigmoid(at[:, 3 * size :])
        i, f, g, o = np.split(at, 4, axis=1)
        np.multiply(i, g, out=cell)
        before = _before(cells, c0, step, reverse)
        if before is not None:
            cell += f * before
        np.multiply(o, np.tanh(cell), out=y[:, step])
    return y


def lstm_backward(
    x: Array,
    y: Array,
    grad_y: Array,
    weight_ih: Array,
    weight_hh: Array,
    gates: Array,
    cells: Array,
    h0: Array | None = None,
    c0: Array | None = None,
    reverse: bool = False,
    grad_last: Array | None = None,
    grad_last_cell: Array | None = None,
    grad_gates: Array | None = None,
    out: Array | None = None,
    input_gradient: bool = True,
) -> Gradients:
    """With T = tanh(c_t): grad_c_t = grad_y_t · o · (1 − T²) + f_{t+1} · grad_c_{t+1}, and from it all gradients.

    grad_i = grad_c g, grad_f = grad_c c_{t−1}, grad_g = grad_c i and grad_o = grad_y T, each times the slope of its σ
    or tanh; grad_y_t includes what comes from the next step.

    Args:
        x: (n, t, d).
        y: As the forward pass left it, (n, t, k).
        grad_y: The gradient at it.
        weight_ih: W_ih.
        weight_hh: W_hh.
        gates: As the forward pass left them.
        cells: As the forward pass left them.
        h0: y before the first step.
        c0: c before the first step.
        reverse: As in the forward pass.
        grad_last: The gradient at the state behind the last step, beside what grad_y has of it, (n, k).
        grad_last_cell: The gradient at the cell behind the last step, (n, k).
        grad_gates: Scratch of the gates' shape, contiguous.
        out: The gradient at x, written.
        input_gradient: Whether it is wanted.
    """
    grad_gates = _states(x, len(weight_ih), grad_gates)
    grad_weight = np.zeros_like(weight_hh)
    grad_state = np.zeros_like(y[:, 0]) if grad_last is None else grad_last
    grad_cell = np.zeros_like(y[:, 0]) if grad_last_cell is None else grad_last_cell
    for step in reversed(order(x.shape[1], reverse)):
        i, f, g, o = np.split(gates[:, step], 4, axis=1)
        grad_i, grad_f, grad_g, grad_o = np.split(grad_gates[:, step], 4, axis=1)
        tangent = np.tanh(cells[:, step])
        grad = grad_state + grad_y[:, step]
        grad_cell = grad_cell + grad * o * (1 - tangent * tangent)
        grad_i[...] = grad_cell * g * i * (1 - i)
        before = _before(cells, c0, step, reverse)
        grad_f[...] = 0 if before is None else grad_cell * before * f * (1 - f)
        grad_g[...] = grad_cell * i * (1 - g * g)
        grad_o[...] = grad * tangent * o * (1 - o)
        grad_cell = grad_cell * f
        state = _before(y, h0, step, reverse)
        if state is not None:
            grad_weight += grad_gates[:, step].T @ state
        grad_state = grad_gates[:, step] @ weight_hh
    grad_bias = dense_backward_bias(grad_gates)
    return _gradients(x, grad_gates, weight_ih, grad_weight, grad_bias, grad_state, grad_cell, out, input_gradient)


def gru_forward(
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    h0: Array | None = None,
    reset_after: bool = True,
    reverse: bool = False,
    out: Array | None = None,
    gates: Array | None = None,
    hidden: Array | None = None,
) -> Array:
    """y_t = (1 − z) · m + z · y_{t−1}, (n, t, k), m = tanh(W_im x + b_im + r · (W_hm y_{t−1} + b_hm)).

    r and z are σ of the first two thirds of W_ih x_t + b_ih + W_hh y_{t−1} + b_hh; W_im, b_im, W_hm, b_hm are the last
    third of each. With `reset_after` false m = tanh(W_im x + b_im + W_hm (r · y_{t−1}) + b_hm), as first published.

    Args:
        x: (n, t, d).
        weight_ih: W_ih, (3k, d).
        weight_hh: W_hh, (3k, k).
        bias_ih: b_ih, (3k,).
        bias_hh: b_hh, (3k,).
        h0: y before the first step, (n, k).
        reset_after: Whether r multiplies behind the product or before it.
        reverse: Whether to read from the end.
        out: Written.
        gates: Takes r, z, m of each step, (n, t, 3k), contiguous.
        hidden: Takes W_hm y_{t−1} + b_hm of each step, (n, t, k), for `reset_after`.
    """
    size = weight_hh.shape[1]
    y, hidden = _states(x, size, out), _states(x, size, hidden)
    gates = dense_forward(x, weight_ih, bias_ih, gates)
    both = slice(0, 2 * size)
    bias_gates = None if bias_hh is None else bias_hh[both]
    bias_new = None if bias_hh is None else bias_hh[2 * size :]
    for step in order(x.shape[1], reverse):
        at, before = gates[:, step], _before(y, h0, step, reverse)
        at[:, both] += _recurrent(before, weight_hh[both], bias_gates, len(x))
        _sigmoid(at[:, both])
        r, z, m = np.split(at, 3, axis=1)
        if reset_after:
            hidden[:, step] = _recurrent(before, weight_hh[2 * size :], bias_new, len(x))
            m += r * hidden[:, step]
        else:
            m += _recurrent(None if before is None else r * before, weight_hh[2 * size :], bias_new, len(x))
        np.tanh(m, out=m)
        np.multiply(1 - z, m, out=y[:, step])
        if before is not None:
            y[:, step] += z * before
    return y


def gru_backward(
    x: Array,
    y: Array,
    grad_y: Array,
    weight_ih: Array,
    weight_hh: Array,
    gates: Array,
    hidden: Array | None = None,
    h0: Array | None = None,
    reset_after: bool = True,
    reverse: bool = False,
    grad_last: Array | None = None,
    grad_gates: Array | None = None,
    out: Array | None = None,
    input_gradient: bool = True,
) -> Gradients:
    """grad_z = grad_y (y_{t−1} − m), grad_m = grad_y (1 − z), each times its slope, and from them all gradients.

    With s what the tanh is taken of and q = W_hm y_{t−1} + b_hm: grad_r = grad_s q and grad_q = grad_s r; without
    `reset_after`, with p = r · y_{t−1}: grad_p = W_hmᵀ grad_s and grad_r = grad_p y_{t−1}.

    Args:
        x: (n, t, d).
        y: As the forward pass left it, (n, t, k).
        grad_y: The gradient at it.
        weight_ih: W_ih.
        weight_hh: W_hh.
        gates: As the forward pass left them.
        hidden: As the forward pass left it, for `reset_after`.
        h0: y before the first step.
        reset_after: As in the forward pass.
        reverse: As in the forward pass.
        grad_last: The gradient at the state behind the last step, beside what grad_y has of it, (n, k).
        grad_gates: Scratch of the gates' shape, contiguous.
        out: The gradient at x, written.
        input_gradient: Whether it is wanted.
    """
    size = weight_hh.shape[1]
    grad_gates = _states(x, len(weight_ih), grad_gates)
    grad_weight, grad_bias = np.zeros_like(weight_hh), np.zeros_like(weight_hh[:, 0])
    grad_state = np.zeros_like(y[:, 0]) if grad_last is None else grad_last
    for step in reversed(order(x.shape[1], reverse)):
        r, z, m = np.split(gates[:, step], 3, axis=1)
        grad_r, grad_z, grad_m = np.split(grad_gates[:, step], 3, axis=1)
        before = _before(y, h0, step, reverse)
        grad = grad_state + grad_y[:, step]
        grad_z[...] = grad * (-m if before is None else before - m) * z * (1 - z)
        grad_m[...] = grad * (1 - z) * (1 - m * m)
        grad_state = grad * z
        recurrent = grad_gates[:, step].copy()  # the gradient at W_hh y + b_hh
        if reset_after:
            assert hidden is not None
            grad_r[...] = grad_m * hidden[:, step] * r * (1 - r)
            recurrent[:, 2 * size :] *= r
            read = before
        else:
            grad_product = grad_m @ weight_hh[2 * size :]
            grad_r[...] = 0 if before is None else grad_product * before * r * (1 - r)
            grad_state += grad_product * r
            read = None if before is None else r * before
        recurrent[:, :size] = grad_r
        if before is not None and read is not None:
            grad_weight[: 2 * size] += recurrent[:, : 2 * size].T @ before
            grad_weight[2 * size :] += recurrent[:, 2 * size :].T @ read
        grad_bias += recurrent.sum(axis=0)
        grad_state += recurrent @ weight_hh if reset_after else recurrent[:, : 2 * size] @ weight_hh[: 2 * size]
    return _gradients(x, grad_gates, weight_ih, grad_weight, grad_bias, grad_state, None, out, input_gradient)


def _gradients(
    x: Array,
    grad_gates: Array,
    weight_ih: Array,
    grad_weight: Array,
    grad_bias: Array,
    grad_state: Array,
    grad_cell: Array | None,
    out: Array | None,
    input_gradient: bool,
) -> Gradients:
    """Those of the product with x, which is one for all steps, beside the others."""
    return Gradients(
        dense_backward_input(grad_gates, weight_ih, out) if input_gradient else None,
        dense_backward_weight(x, grad_gates),
        grad_weight,
        dense_backward_bias(grad_gates),
        grad_bias,
        grad_state,
        grad_cell,
    )
