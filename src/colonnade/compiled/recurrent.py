"""Recurrent cells along a sequence by register tiles, forward and backward: what `ops.recurrent` computes.

What a cell makes of its input is one product for all steps, done before. Here the steps follow one another: at each,
the states before it times W_hh, and the gates. A tile holds the sums of one gate for sixteen units of some images. When
those of all gates are there, the new states are made of them in registers:

    i, f, g, o = h W_i, h W_f, h W_g, h W_o      of the same sixteen units
    c = σ(f) c + σ(i) tanh(g),  h = σ(o) tanh(c)

A single row has too few sums for the processor to work on while it waits for one: the four tiles are then summed in one
loop. On the way back a tile holds the gradient at the states of some units, a sum over all gates.

The last rows of images may be made twice, to the same numbers: nothing that a step reads is written by it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from ..ops.layout import Array
from .activation import activate, activation_gradient
from .compilation import compiled, inlined
from .functions import sigmoid, tanh
from .geometry import even
from .packing import turned_in_panels
from .registers import LEAST_ROWS, WIDTH, Size, largest_rows, vectors_for
from .tiles import add_outer, load, load_first, spread, store, store_first, zeros


class Places(NamedTuple):
    """Where the states of a sequence lie in an array, counted in numbers.

    Unit j behind step t of image n stands at start + n · image + t · step + j.
    """

    start: int
    image: int
    step: int


def gates_tile(images: int, gates: int) -> tuple[int, bool]:
    """Rows of the tiles for so many images, one of each gate, and whether they are summed together."""
    together = images < LEAST_ROWS or largest_rows(gates) >= LEAST_ROWS
    return even(images, largest_rows(gates if together else 1)), together


def gate_shape(gates: int, size: int) -> tuple[int, int, int, int]:
    """Of W_hh as forward passes read it: of each gate the panels of its transpose, (gates, blocks, k, columns).

    Columns are sixteen, and as many as tiles have where a cell has one gate.
    """
    columns = vectors_for(size) * WIDTH if gates == 1 else WIDTH
    return gates, -(-size // columns), size, columns


def gate_panels(weight: Array, out: Array) -> None:
    """Lay W_hh, (gates · k, k), out as `gate_shape` says."""
    for matrix, panels in zip(weight.reshape(len(out), -1, weight.shape[1]), out, strict=True):
        turned_in_panels(matrix, panels)


def backward_tile(images: int, size: int) -> Size:
    """Rows and vectors of the tiles of the way back."""
    vectors = vectors_for(size)
    return Size(even(images, largest_rows(vectors)), vectors)


@inlined
def _require_states(y, at, images, length, size):
    """Raise ValueError where states would leave their array."""
    if min(at.start, at.image, at.step) < 0 or min(images, length, size) < 1:
        raise ValueError("recurrent: there must be states, and none in front of their array.")
    if at.start + (images - 1) * at.image + (length - 1) * at.step + size > y.size:
        raise ValueError("recurrent: states must stay inside their array.")


@inlined
def _require_sizes(array, images, length, width):
    """Raise ValueError where an array is not (images, length, width)."""
    if array.shape[0] != images or array.shape[1] != length or array.shape[2] != width:
        raise ValueError("recurrent: arrays must be (images, length, units of a gate or of all).")


@inlined
def _products(tile, terms, x, i, apart, w, j, width):
    """The tile with Σ x[i + r · apart + k] · w[j + k · width : …] over k < terms added to each row r."""
    for k in range(terms):
        tile = add_outer(tile, x, i + k, apart, w, j + k * width)
    return tile


@inlined
def _load(rows, vectors, x, i, apart, left):
    if left >= vectors * WIDTH:
        return load(rows, vectors, x, i, apart)
    return load_first(rows, vectors, x, i, apart, left)


@inlined
def _store(vectors, tile, y, i, apart, left):
    if left >= vectors * WIDTH:
        store(tile, y, i, apart)
    else:
        store_first(tile, y, i, apart, left)


@lru_cache
def rnn_forward(rows: int, vectors: int, kind: int) -> Any:
    """y_t = f(s_t + W_hh y_{t−1}), f the activation `kind`; see `ops.recurrent.rnn_forward`.

    Args of the function that is returned:
        inner: s, (n, t, k): W_ih x_t + b_ih + b_hh.
        weight: W_hh, by `gates_in_panels`.
        first: The states before the first step, (n, k).
        known: Whether they are other than zero.
        reverse: Whether to read from the end.
        y, at: What the states are written to, and their :class:`Places`.
    """
    width = vectors * WIDTH

    @compiled
    def forward(inner, weight, first, known, reverse, y, at):
        images, length, size = inner.shape
        _require_states(y, at, images, length, size)
        if images < rows or first.size != images * size or weight.size < -(-size // width) * width * size:
            raise ValueError("rnn_forward: first must be (images, units), and weight W_hh in panels.")
        sums, panels, states = inner.reshape(-1), weight.reshape(-1), y.reshape(-1)
        before, place, apart = first.reshape(-1), 0, size
        for number in range(length):
            step = length - 1 - number if reverse else number
            terms = size if known or number else 0
            to, row = at.start + step * at.step, length * size
            for j in range(0, size, width):
                left = size - j
                for number_of_row in range(0, images, rows):
                    r = min(number_of_row, images - rows)
                    tile = _load(rows, vectors, sums, r * row + step * size + j, row, left)
                    tile = _products(tile, terms, before, place + r * apart, apart, panels, j * size, width)
                    _store(vectors, activate(kind, tile, 0.0, 0.0), states, to + r * at.image + j, at.image, left)
            before, place, apart = states, to, at.image

    return forward


@lru_cache
def rnn_backward(rows: int, vectors: int, kind: int) -> Any:
    """grad_s_t = (grad_y_t + W_hhᵀ grad_s_{t+1}) · f'(s_t); see `ops.recurrent.rnn_backward`.

    Args of the function that is returned:
        weight: W_hh, by `in_panels`.
        reverse: As in the forward pass.
        y, grad_y, at: The states, the gradient at them, and the places of both.
        grad_last: The gradient at the state behind the last step, beside what grad_y has of it, (n, k).
        grad_inner: That at s, written.
        grad_first: That at the states before the first step, (n, k), written.
    """
    width = vectors * WIDTH

    @compiled
    def backward(weight, reverse, y, grad_y, at, grad_last, grad_inner, grad_first):
        images, length, size = grad_inner.shape
        _require_states(y, at, images, length, size)
        _require_states(grad_y, at, images, length, size)
        if images < rows or grad_last.size != images * size or grad_first.size != images * size:
            raise ValueError("rnn_backward: grad_last and grad_first must be (images, units).")
        if weight.size < -(-size // width) * width * size:
            raise ValueError("rnn_backward: weight must be W_hh in panels.")
        panels, states, given = weight.reshape(-1), y.reshape(-1), grad_y.reshape(-1)
        last, found, grad_before = grad_last.reshape(-1), grad_inner.reshape(-1), grad_first.reshape(-1)
        row, later = length * size, 0
        for number in range(length + 1):
            step = number if reverse else length - 1 - number
            for j in range(0, size, width):
                left = size - j
                for number_of_row in range(0, images, rows):
                    r = min(number_of_row, images - rows)
                    if number:
                        grad = zeros(rows, vectors)
                        grad = _products(grad, size, found, r * row + later, row, panels, j * size, width)
                    else:
                        grad = _load(rows, vectors, last, r * size + j, size, left)
                    if number == length:
                        _store(vectors, grad, grad_before, r * size + j, size, left)
                        continue
                    place = at.start + r * at.image + step * at.step + j
                    grad = grad + _load(rows, vectors, given, place, at.image, left)
                    state = _load(rows, vectors, states, place, at.image, left)
                    grad = activation_gradient(kind, state, grad, 0.0, 0.0)
                    _store(vectors, grad, found, r * row + step * size + j, row, left)
            later = step * size

    return backward


@lru_cache
def lstm_forward(rows: int, together: bool) -> Any:
    """c_t = f · c_{t−1} + i · g and y_t = o · tanh(c_t); see `ops.recurrent.lstm_forward`.

    Args of the function that is returned:
        inner: W_ih x_t + b_ih + b_hh, (n, t, 4k).
        weight: W_hh, by `gate_panels`.
        first: y before the first step, (n, k).
        known: Whether that is other than zero.
        first_cell: c before the first step, (n, k).
        reverse: Whether to read from the end.
        y, at: What the states are written to, and their :class:`Places`.
        gates: Takes i, f, g, o, (n, t, 4k); or None.
        cells: Takes c, (n, t, k).
    """

    @inlined
    def products(terms, x, i, apart, w, j, gate):
        a, b, c, d = zeros(rows, 1), zeros(rows, 1), zeros(rows, 1), zeros(rows, 1)
        if together:
            for k in range(terms):
                at = j + k * WIDTH
                a = add_outer(a, x, i + k, apart, w, at)
                b = add_outer(b, x, i + k, apart, w, at + gate)
                c = add_outer(c, x, i + k, apart, w, at + 2 * gate)
                d = add_outer(d, x, i + k, apart, w, at + 3 * gate)
        else:
            a = _products(a, terms, x, i, apart, w, j, WIDTH)
            b = _products(b, terms, x, i, apart, w, j + gate, WIDTH)
            c = _products(c, terms, x, i, apart, w, j + 2 * gate, WIDTH)
            d = _products(d, terms, x, i, apart, w, j + 3 * gate, WIDTH)
        return a, b, c, d

    @compiled
    def forward(inner, weight, first, known, first_cell, reverse, y, at, gates, cells):
        images, length, size = cells.shape
        _require_states(y, at, images, length, size)
        _require_sizes(inner, images, length, 4 * size)
        if gates is not None:
            _require_sizes(gates, images, length, 4 * size)
        if images < rows or first.size != images * size or first_cell.size != images * size:
            raise ValueError("lstm_forward: first and first_cell must be (images, units).")
        gate = -(-size // WIDTH) * WIDTH * size
        if weight.size != 4 * gate:
            raise ValueError("lstm_forward: weight must be W_hh in panels.")
        sums, panels, states, held = inner.reshape(-1), weight.reshape(-1), y.reshape(-1), cells.reshape(-1)
        before, place, apart = first.reshape(-1), 0, size
        cell_before, cell_place, cell_apart = first_cell.reshape(-1), 0, size
        row, cell_row = 4 * size * length, size * length
        for number in range(length):
            step = length - 1 - number if reverse else number
            terms = size if known or number else 0
            to = at.start + step * at.step
            for j in range(0, size, WIDTH):
                left = size - j
                for number_of_row in range(0, images, rows):
                    r = min(number_of_row, images - rows)
                    a, b, c, d = products(terms, before, place + r * apart, apart, panels, j * size, gate)
                    k = r * row + step * 4 * size + j
                    i = sigmoid(a + _load(rows, 1, sums, k, row, left))
                    f = sigmoid(b + _load(rows, 1, sums, k + size, row, left))
                    g = tanh(c + _load(rows, 1, sums, k + 2 * size, row, left))
                    o = sigmoid(d + _load(rows, 1, sums, k + 3 * size, row, left))
                    cell = _load(rows, 1, cell_before, cell_place + r * cell_apart + j, cell_apart, left)
                    cell = f * cell + i * g
                    _store(1, cell, held, r * cell_row + step * size + j, cell_row, left)
                    _store(1, o * tanh(cell), states, to + r * at.image + j, at.image, left)
                    if gates is not None:
                        kept = gates.reshape(-1)
                        _store(1, i, kept, k, row, left)
                        _store(1, f, kept, k + size, row, left)
                        _store(1, g, kept, k + 2 * size, row, left)
                        _store(1, o, kept, k + 3 * size, row, left)
            before, place, apart = states, to, at.image
            cell_before, cell_place, cell_apart = held, step * size, cell_row

    return forward


@lru_cache
def lstm_backward(rows: int, vectors: int) -> Any:
    """grad_c_t = grad_y_t · o · (1 − T²) + f_{t+1} · grad_c_{t+1}, T = tanh(c_t); see `ops.recurrent.lstm_backward`.

    Args of the function that is returned:
        weight: W_hh, by `in_panels`.
        reverse: As in the forward pass.
        gates, cells: As the forward pass left them.
        first_cell: c before the first step, (n, k).
        grad_y, at: The gradient at the states, and its places.
        grad_last: The gradient at y behind the last step, beside what grad_y has of it, (n, k).
        grad_cell: That at c behind the last step, (2, n, k): the first half, the other is scratch. Behind the call half
            t modulo 2 holds the gradient at c before the first step.
        grad_inner: The gradient at what i, f, g, o are taken of, (n, t, 4k), written.
        grad_first: That at y before the first step, (n, k), written.
    """
    width = vectors * WIDTH

    @compiled
    def backward(
        weight, reverse, gates, cells, first_cell, grad_y, at, grad_last, grad_cell, grad_inner, grad_first
    ):  # fmt: skip
        images, length, size = cells.shape
        _require_states(grad_y, at, images, length, size)
        _require_sizes(gates, images, length, 4 * size)
        _require_sizes(grad_inner, images, length, 4 * size)
        _require_sizes(grad_cell, 2, images, size)
        if images < rows or min(grad_last.size, grad_first.size, first_cell.size) < images * size:
            raise ValueError("lstm_backward: grad_last, grad_first and first_cell must be (images, units).")
        if weight.size < -(-size // width) * width * 4 * size:
            raise ValueError("lstm_backward: weight must be W_hh in panels.")
        panels, kept, held, given = weight.reshape(-1), gates.reshape(-1), cells.reshape(-1), grad_y.reshape(-1)
        last, carried = grad_last.reshape(-1), grad_cell.reshape(-1)
        found, grad_before = grad_inner.reshape(-1), grad_first.reshape(-1)
        row, cell_row, later = 4 * size * length, size * length, 0
        for number in range(length + 1):
            step = number if reverse else length - 1 - number
            cell_before, cell_place, cell_apart = first_cell.reshape(-1), 0, size
            if number < length - 1:
                cell_before, cell_place, cell_apart = held, (step + 1 if reverse else step - 1) * size, cell_row
            come, go = number % 2 * images * size, (1 - number % 2) * images * size
            for j in range(0, size, width):
                left = size - j
                for number_of_row in range(0, images, rows):
                    r = min(number_of_row, images - rows)
                    if number:
                        grad = zeros(rows, vectors)
                        grad = _products(grad, 4 * size, found, r * row + later, row, panels, 4 * j * size, width)
                    else:
                        grad = _load(rows, vectors, last, r * size + j, size, left)
                    if number == length:
                        _store(vectors, grad, grad_before, r * size + j, size, left)
                        continue
                    place = at.start + r * at.image + step * at.step + j
                    grad = grad + _load(rows, vectors, given, place, at.image, left)
                    k = r * row + step * 4 * size + j
                    i = _load(rows, vectors, kept, k, row, left)
                    f = _load(rows, vectors, kept, k + size, row, left)
                    g = _load(rows, vectors, kept, k + 2 * size, row, left)
                    o = _load(rows, vectors, kept, k + 3 * size, row, left)
                    tangent = tanh(_load(rows, vectors, held, r * cell_row + step * size + j, cell_row, left))
                    grad_c = _load(rows, vectors, carried, come + r * size + j, size, left)
                    grad_c = grad_c + grad * o * (1.0 - tangent * tangent)
                    c = _load(rows, vectors, cell_before, cell_place + r * cell_apart + j, cell_apart, left)
                    _store(vectors, grad_c * g * i * (1.0 - i), found, k, row, left)
                    _store(vectors, grad_c * c * f * (1.0 - f), found, k + size, row, left)
                    _store(vectors, grad_c * i * (1.0 - g * g), found, k + 2 * size, row, left)
                    _store(vectors, grad * tangent * o * (1.0 - o), found, k + 3 * size, row, left)
                    _store(vectors, grad_c * f, carried, go + r * size + j, size, left)
            later = step * 4 * size

    return backward


@lru_cache
def gru_forward(rows: int, together: bool) -> Any:
    """y_t = (1 − z) · m + z · y_{t−1}, m = tanh(s_m + r · (W_hm y_{t−1} + b_hm)); see `ops.recurrent.gru_forward`.

    Args of the function that is returned:
        inner: s: W_ih x_t + b_ih, and b_hh of r and z, (n, t, 3k).
        weight: W_hh, by `gate_panels`.
        bias: b_hm, (k,).
        first: y before the first step, (n, k).
        known: Whether that is other than zero.
        reverse: Whether to read from the end.
        y, at: What the states are written to, and their :class:`Places`.
        gates: Takes r, z, m, (n, t, 3k); or None.
        hidden: Takes W_hm y_{t−1} + b_hm, (n, t, k); or None.
    """

    @inlined
    def products(q, terms, x, i, apart, w, j, gate):
        a, b = zeros(rows, 1), zeros(rows, 1)
        if together:
            for k in range(terms):
                at = j + k * WIDTH
                a = add_outer(a, x, i + k, apart, w, at)
                b = add_outer(b, x, i + k, apart, w, at + gate)
                q = add_outer(q, x, i + k, apart, w, at + 2 * gate)
        else:
            a = _products(a, terms, x, i, apart, w, j, WIDTH)
            b = _products(b, terms, x, i, apart, w, j + gate, WIDTH)
            q = _products(q, terms, x, i, apart, w, j + 2 * gate, WIDTH)
        return a, b, q

    @compiled
    def forward(inner, weight, bias, first, known, reverse, y, at, gates, hidden):
        images, length, size = inner.shape[0], inner.shape[1], bias.size
        _require_states(y, at, images, length, size)
        _require_sizes(inner, images, length, 3 * size)
        if gates is not None:
            _require_sizes(gates, images, length, 3 * size)
        if hidden is not None:
            _require_sizes(hidden, images, length, size)
        if images < rows or first.size != images * size:
            raise ValueError("gru_forward: first must be (images, units).")
        gate = -(-size // WIDTH) * WIDTH * size
        if weight.size != 3 * gate:
            raise ValueError("gru_forward: weight must be W_hh in panels.")
        sums, panels, states = inner.reshape(-1), weight.reshape(-1), y.reshape(-1)
        before, place, apart = first.reshape(-1), 0, size
        row, state_row = 3 * size * length, size * length
        for number in range(length):
            step = length - 1 - number if reverse else number
            terms = size if known or number else 0
            to = at.start + step * at.step
            for j in range(0, size, WIDTH):
                left = size - j
                for number_of_row in range(0, images, rows):
                    q = spread(rows, load_first(1, 1, bias, j, 0, left))
                    n = min(number_of_row, images - rows)
                    a, b, q = products(q, terms, before, place + n * apart, apart, panels, j * size, gate)
                    k = n * row + step * 3 * size + j
                    r = sigmoid(a + _load(rows, 1, sums, k, row, left))
                    z = sigmoid(b + _load(rows, 1, sums, k + size, row, left))
                    m = tanh(r * q + _load(rows, 1, sums, k + 2 * size, row, left))
                    state = _load(rows, 1, before, place + n * apart + j, apart, left)
                    _store(1, (1.0 - z) * m + z * state, states, to + n * at.image + j, at.image, left)
                    if gates is not None:
                        kept = gates.reshape(-1)
                        _store(1, r, kept, k, row, left)
                        _store(1, z, kept, k + size, row, left)
                        _store(1, m, kept, k + 2 * size, row, left)
                    if hidden is not None:
                        _store(1, q, hidden.reshape(-1), n * state_row + step * size + j, state_row, left)
            before, place, apart = states, to, at.image

    return forward


@lru_cache
def gru_backward(rows: int, vectors: int) -> Any:
    """The way back through a GRU, with `reset_after`; see `ops.recurrent.gru_backward`.

    Args of the function that is returned:
        weight: W_hh, by `in_panels`.
        reverse: As in the forward pass.
        gates, hidden: As the forward pass left them.
        first: y before the first step, (n, k).
        y, grad_y, at: The states, the gradient at them, and the places of both.
        grad_last: The gradient at the state behind the last step, beside what grad_y has of it, (n, k).
        carried: Scratch, (2, n, k).
        grad_inner: The gradient at s, (n, t, 3k), written.
        grad_hidden: That at W_hh y + b_hh, (n, t, 3k), written.
        grad_first: That at y before the first step, (n, k), written.
    """
    width = vectors * WIDTH

    @compiled
    def backward(
        weight, reverse, gates, hidden, first, y, grad_y, at, grad_last, carried, grad_inner, grad_hidden, grad_first
    ):  # fmt: skip
        images, length, size = hidden.shape
        _require_states(y, at, images, length, size)
        _require_states(grad_y, at, images, length, size)
        _require_sizes(gates, images, length, 3 * size)
        _require_sizes(grad_inner, images, length, 3 * size)
        _require_sizes(grad_hidden, images, length, 3 * size)
        _require_sizes(carried, 2, images, size)
        if images < rows or min(grad_last.size, grad_first.size, first.size) < images * size:
            raise ValueError("gru_backward: grad_last, grad_first and first must be (images, units).")
        if weight.size < -(-size // width) * width * 3 * size:
            raise ValueError("gru_backward: weight must be W_hh in panels.")
        panels, kept, products, states = weight.reshape(-1), gates.reshape(-1), hidden.reshape(-1), y.reshape(-1)
        given, last, past = grad_y.reshape(-1), grad_last.reshape(-1), carried.reshape(-1)
        found, behind, grad_before = grad_inner.reshape(-1), grad_hidden.reshape(-1), grad_first.reshape(-1)
        row, state_row, later = 3 * size * length, size * length, 0
        for number in range(length + 1):
            step = number if reverse else length - 1 - number
            before, place, apart = first.reshape(-1), 0, size
            if number < length - 1:
                before, place, apart = states, at.start + (step + 1 if reverse else step - 1) * at.step, at.image
            come, go = number % 2 * images * size, (1 - number % 2) * images * size
            for j in range(0, size, width):
                left = size - j
                for number_of_row in range(0, images, rows):
                    n = min(number_of_row, images - rows)
                    if number:
                        grad = _load(rows, vectors, past, come + n * size + j, size, left)
                        grad = _products(grad, 3 * size, behind, n * row + later, row, panels, 3 * j * size, width)
                    else:
                        grad = _load(rows, vectors, last, n * size + j, size, left)
                    if number == length:
                        _store(vectors, grad, grad_before, n * size + j, size, left)
                        continue
                    grad_at = at.start + n * at.image + step * at.step + j
                    grad = grad + _load(rows, vectors, given, grad_at, at.image, left)
                    k = n * row + step * 3 * size + j
                    r = _load(rows, vectors, kept, k, row, left)
                    z = _load(rows, vectors, kept, k + size, row, left)
                    m = _load(rows, vectors, kept, k + 2 * size, row, left)
                    q = _load(rows, vectors, products, n * state_row + step * size + j, state_row, left)
                    state = _load(rows, vectors, before, place + n * apart + j, apart, left)
                    grad_z = grad * (state - m) * z * (1.0 - z)
                    grad_m = grad * (1.0 - z) * (1.0 - m * m)
                    grad_r = grad_m * q * r * (1.0 - r)
                    _store(vectors, grad_r, found, k, row, left)
                    _store(vectors, grad_z, found, k + size, row, left)
                    _store(vectors, grad_m, found, k + 2 * size, row, left)
                    _store(vectors, grad_r, behind, k, row, left)
                    _store(vectors, grad_z, behind, k + size, row, left)
                    _store(vectors, grad_m * r, behind, k + 2 * size, row, left)
                    _store(vectors, grad * z, past, go + n * size + j, size, left)
            later = step * 3 * size

    return backward
