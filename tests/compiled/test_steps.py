"""The compiled steps against the optimizers, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from colonnade.optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, NAdam, Optimizer, RAdam, RMSprop
from colonnade.optimizers.base import CHUNK
from colonnade.optimizers.compiled import compiled_update
from colonnade.tensor import Parameter
from colonnade.workers import get_threads, set_threads, spread
from tests.test_optimizers import OF_OUR_OWN, RULES, laid_parameters

Array = np.ndarray[Any, Any]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("rule", "arguments"), RULES + OF_OUR_OWN, ids=lambda each: each.__name__ if isinstance(each, type) else str(each)
)
def test_ten_steps_are_the_optimizers_bit_for_bit(rule: type[Optimizer], arguments: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    for size in (1, 15, 64, 65, 333):
        optimizer = rule(laid_parameters([(size,)], "float32"), **arguments)
        update = compiled_update(optimizer)
        assert update is not None
        value = rng.normal(size=size).astype(np.float32)
        expected, state = value.copy(), {name: array.copy() for name, array in optimizer.state.items()}
        for _ in range(10):
            grad = (rng.normal(size=size) * 10.0 ** rng.integers(-3, 4)).astype(np.float32)
            grad[0] *= 0
            optimizer.steps += 1
            if isinstance(optimizer, NAdam):
                optimizer._product *= optimizer._momentum(optimizer.steps)
            optimizer.update(expected, grad, optimizer.state, np.empty((2, size), np.float32))
            update(value, grad, state)
            np.testing.assert_array_equal(value, expected)
            for name, array in optimizer.state.items():
                np.testing.assert_array_equal(state[name], array)


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:.* encountered in")
@pytest.mark.parametrize("rule", [SGD, Adam, AdamW, NAdam, Adamax, RAdam, Adadelta, Adagrad, RMSprop, Lion])
def test_gradients_that_are_no_numbers_do_what_numpys_do(rule: type[Optimizer]) -> None:
    optimizer = rule(laid_parameters([(6,)], "float32"))
    value = np.ones(6, np.float32)
    expected, state = value.copy(), {name: array.copy() for name, array in optimizer.state.items()}
    grad = np.array([1, np.nan, np.inf, -np.inf, 0, 3e38], np.float32)
    optimizer.steps += 1
    if isinstance(optimizer, NAdam):
        optimizer._product *= optimizer._momentum(optimizer.steps)
    optimizer.update(expected, grad, optimizer.state, np.empty((2, 6), np.float32))
    update = compiled_update(optimizer)
    assert update is not None
    update(value, grad, state)
    np.testing.assert_array_equal(value, expected)


def stepped(rule: type[Optimizer], compiled: bool, **arguments: Any) -> tuple[Array, dict[str, Array]]:
    """Values and moments after three steps of parameters of several chunks, some of them frozen."""
    parameters: list[Parameter] = laid_parameters([(3, 5), (CHUNK, 3), (7,), (CHUNK + 9,)], "float32")
    parameters[2].trainable = False
    buffer = parameters[0].buffer
    assert buffer is not None
    buffer.spread = spread if compiled else None
    optimizer = rule(parameters, **arguments)
    for step in range(3):
        buffer.grad[...] = np.random.default_rng(step).normal(size=buffer.grad.size)
        optimizer.step()
    return buffer.value, optimizer.state


def test_steps_over_several_chunks_are_the_same_bits_compiled_on_any_number_of_threads() -> None:
    expected, moments = stepped(SGD, False, lr=0.1, momentum=0.9, weight_decay=0.01)
    before = get_threads()
    try:
        for threads in (1, 2, 3):
            set_threads(threads)
            values, state = stepped(SGD, True, lr=0.1, momentum=0.9, weight_decay=0.01)
            np.testing.assert_array_equal(values, expected)
            np.testing.assert_array_equal(state["momentum_buffer"], moments["momentum_buffer"])
    finally:
        set_threads(before)


class Halving(Optimizer):
    """A rule from elsewhere."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, 0.1, 0.0, False)

    def update(self, value: Array, grad: Array, state: dict[str, Array], scratch: Array) -> None:
        np.multiply(value, 0.5, out=scratch[0])
        value[...] = scratch[0]


def test_a_rule_from_elsewhere_runs_in_numpy() -> None:
    np.testing.assert_array_equal(stepped(Halving, True)[0], stepped(Halving, False)[0])
