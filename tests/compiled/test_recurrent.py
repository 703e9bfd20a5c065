"""Compiled recurrent cells against `ops.recurrent` in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from colonnade.compiled.activation import RELU, TANH
from colonnade.compiled.gemm import panel_shape
from colonnade.compiled.packing import in_panels
from colonnade.compiled.recurrent import (
    Places,
    backward_tile,
    gate_panels,
    gate_shape,
    gates_tile,
    gru_backward,
    gru_forward,
    lstm_backward,
    lstm_forward,
    rnn_backward,
    rnn_forward,
)
from colonnade.ops import recurrent as ops

pytestmark = pytest.mark.thorough

Array = np.ndarray[Any, Any]
GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}
SIZES = [
    *((1 + size % 9, 1 + size % 5, size) for size in range(1, 71)),
    *((images, 3, 20) for images in range(1, 10)),
    *((2, length, 17) for length in range(1, 41)),
    (31, 4, 33),
]


class Case:
    """A cell, its input, and the gradients at its states; in float32, and what ops make of it in float64."""

    def __init__(self, kind: str, images: int, length: int, size: int, reverse: bool, known: bool = True) -> None:
        rng = np.random.default_rng(0)

        def draw(*shape: int) -> Array:
            return rng.normal(size=shape).astype(np.float32)

        gates = GATES[kind]
        self.kind, self.reverse, self.known = kind, reverse, known
        self.images, self.length, self.size = images, length, size
        self.inner, self.weight = draw(images, length, gates * size), draw(gates * size, size)
        self.weight /= np.sqrt(size, dtype=np.float32)
        self.first, self.cell = (draw(images, size) if known else np.zeros((images, size), np.float32) for _ in "hc")
        self.bias = draw(size)  # of a GRU
        # States stand between others, which stay as they are.
        self.grad_y, self.y = draw(images, length + 1, size + 3), np.full((images, length + 1, size + 3), 7, np.float32)
        self.at = Places(2, (length + 1) * (size + 3), size + 3)
        self.grad_last, self.grad_cell = draw(images, size), draw(2, images, size)
        self.made = self.y[:, :length, 2 : size + 2]

    def close(self, found: Array, exact: Array) -> None:
        np.testing.assert_allclose(found, exact, rtol=0, atol=2e-5 * max(1.0, np.abs(exact).max()))

    def run(self) -> None:
        """The compiled functions, held to ops in float64."""
        images, length, size, reverse = self.images, self.length, self.size, self.reverse
        rows = len(self.weight)
        panels = np.empty(gate_shape(GATES[self.kind], size), np.float32)
        gate_panels(self.weight, panels)
        turned = np.empty(panel_shape(rows, size), np.float32)
        in_panels(self.weight, turned)
        empty = lambda *shape: np.full(shape, np.nan, np.float32)  # noqa: E731
        one, back = backward_tile(images, size), backward_tile(images, size)
        grad_inner, grad_first = empty(images, length, rows), empty(images, size)
        gates, beside = empty(images, length, rows), empty(images, length, size)
        x, w, u = self.inner.astype(float), np.eye(rows), self.weight.astype(float)
        h, c = (each.astype(float) if self.known else None for each in (self.first, self.cell))
        grad_y = self.grad_y[:, :length, 2 : size + 2].astype(float)
        last, last_cell = self.grad_last.astype(float), self.grad_cell[0].astype(float)
        exact = {"gates": np.empty((images, length, rows)), "beside": np.empty((images, length, size))}
        forward = (self.inner, panels)
        ends = (self.known, reverse, self.y, self.at)
        if self.kind in ("tanh", "relu"):
            kind = TANH if self.kind == "tanh" else RELU
            rnn_forward(*one, kind)(*forward, self.first, *ends)
            y = ops.rnn_forward(x, w, u, h0=h, nonlinearity=self.kind, reverse=reverse)
            grads = (self.grad_last, grad_inner, grad_first)
            rnn_backward(*back, kind)(turned, reverse, self.y, self.grad_y, self.at, *grads)
            found = ops.rnn_backward(x, y, grad_y, w, u, h, self.kind, reverse, last)
        elif self.kind == "lstm":
            run = lstm_forward(*gates_tile(images, 4))
            run(*forward, self.first, self.known, self.cell, *ends[1:], gates, beside)
            y = ops.lstm_forward(x, w, u, None, None, h, c, reverse, None, *exact.values())
            grads = (self.grad_last, self.grad_cell, grad_inner, grad_first)
            lstm_backward(*back)(turned, reverse, gates, beside, self.cell, self.grad_y, self.at, *grads)
            found = ops.lstm_backward(x, y, grad_y, w, u, *exact.values(), h, c, reverse, last, last_cell)
            self.close(self.grad_cell[length % 2], found.c0)  # type: ignore[arg-type]
        else:
            gru_forward(*gates_tile(images, 3))(*forward, self.bias, self.first, *ends, gates, beside)
            bias = np.concatenate([np.zeros(2 * size), self.bias])
            y = ops.gru_forward(x, w, u, None, bias, h, True, reverse, None, *exact.values())
            grad_hidden, carried = empty(images, length, rows), empty(2, images, size)
            grads = (self.grad_last, carried, grad_inner, grad_hidden, grad_first)
            inputs = (gates, beside, self.first, self.y, self.grad_y, self.at)
            gru_backward(*back)(turned, reverse, *inputs, *grads)
            found = ops.gru_backward(x, y, grad_y, w, u, *exact.values(), h, True, reverse, last)
            self.close(grad_hidden.sum(axis=(0, 1)), found.bias_hh)
        self.close(self.made, y)
        if GATES[self.kind] > 1:
            self.close(gates, exact["gates"])
            self.close(beside, exact["beside"])
        assert found.x is not None  # with the identity for W_ih the gradient at its product
        self.close(grad_inner, found.x)
        self.close(grad_first, found.h0)
        self.y[:, :length, 2 : size + 2] = 7
        np.testing.assert_array_equal(self.y, 7)


@pytest.mark.parametrize("kind", GATES)
def test_cells_are_those_of_ops_forward_and_backward(kind: str) -> None:
    for number, sizes in enumerate(SIZES):
        Case(kind, *sizes, reverse=number % 2 == 1).run()


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("reverse", [False, True])
def test_states_that_are_not_given_are_zero(kind: str, reverse: bool) -> None:
    for sizes in ((1, 1, 5), (1, 3, 20), (5, 2, 33)):
        Case(kind, *sizes, reverse, known=False).run()


@pytest.mark.parametrize("kind", GATES)
def test_each_image_has_the_same_bits_whatever_stands_beside_it(kind: str) -> None:
    whole = Case(kind, 9, 3, 20, reverse=False)
    for images in (1, 2, 4, 9):
        part = Case(kind, images, 3, 20, reverse=False)
        panels = np.empty(gate_shape(GATES[kind], 20), np.float32)
        gate_panels(whole.weight, panels)
        inner, first, cell = (each[:images].copy() for each in (whole.inner, whole.first, whole.cell))
        ends = (True, False, part.y, part.at)
        if GATES[kind] == 1:
            rnn_forward(*backward_tile(images, 20), TANH if kind == "tanh" else RELU)(inner, panels, first, *ends)
        elif kind == "lstm":
            cells = np.empty((images, 3, 20), np.float32)
            lstm_forward(*gates_tile(images, 4))(inner, panels, first, True, cell, *ends[1:], None, cells)
        else:
            gru_forward(*gates_tile(images, 3))(inner, panels, whole.bias, first, *ends, None, None)
        if images == 1:
            one = part.made[0].copy()
        np.testing.assert_array_equal(part.made[0], one)


@pytest.mark.parametrize("kind", GATES)
def test_nan_stays_in_its_sequence_from_its_step_on(kind: str) -> None:
    case = Case(kind, 5, 4, 18, reverse=False)
    case.inner[2, 1] = np.nan  # as a product with one NaN
    panels = np.empty(gate_shape(GATES[kind], 18), np.float32)
    gate_panels(case.weight, panels)
    ends = (True, False, case.y, case.at)
    exact = np.empty((5, 4, 18))
    x, eye, u, h = case.inner.astype(float), np.eye(len(case.weight)), case.weight.astype(float), case.first
    if GATES[kind] == 1:
        rnn_forward(*backward_tile(5, 18), TANH if kind == "tanh" else RELU)(case.inner, panels, case.first, *ends)
        exact = ops.rnn_forward(x, eye, u, h0=h, nonlinearity=kind)
    elif kind == "lstm":
        cells = np.empty((5, 4, 18), np.float32)
        run = lstm_forward(*gates_tile(5, 4))
        run(case.inner, panels, case.first, True, case.cell, *ends[1:], None, cells)
        exact = ops.lstm_forward(x, eye, u, h0=h, c0=case.cell)
    else:
        gru_forward(*gates_tile(5, 3))(case.inner, panels, case.bias, case.first, *ends, None, None)
        exact = ops.gru_forward(x, eye, u, None, np.r_[np.zeros(36), case.bias], h)
    np.testing.assert_array_equal(np.isnan(case.made), np.isnan(exact))
    assert np.isnan(case.made[2, 1:]).any()


WRONG: dict[str, dict[str, Any]] = {
    "states beyond their array": {"at": Places(0, 15, 5)},
    "states in front of their array": {"at": Places(-1, 10, 5)},
    "states of fewer images": {"first": np.ones((1, 5), np.float32)},
    "a weight of another size": {"weight": np.ones((4, 1, 4, 16), np.float32)},
    "a product of another size": {"inner": np.ones((2, 2, 19), np.float32)},
    "fewer images than rows": {"rows": 3},
}


@pytest.mark.parametrize("name", WRONG)
def test_what_would_leave_its_arrays_is_refused(name: str) -> None:
    given: dict[str, Any] = {
        "inner": np.ones((2, 2, 20), np.float32),
        "weight": np.ones((4, 1, 5, 16), np.float32),
        "first": np.ones((2, 5), np.float32),
        "at": Places(0, 10, 5),
        "rows": 2,
    } | WRONG[name]
    y, cells, first = np.full((2, 2, 5), 7, np.float32), np.empty((2, 2, 5), np.float32), given["first"]
    with pytest.raises(ValueError, match=r"^(recurrent|lstm_forward): "):
        lstm_forward(given["rows"], True)(
            *(given["inner"], given["weight"], first, True, np.ones((2, 5), np.float32), False, y, given["at"]),
            *(None, cells),
        )
    np.testing.assert_array_equal(y, 7)
