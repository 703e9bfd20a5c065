"""The compiled steps against the optimizers, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from colonnade.compiled import steps
from colonnade.optimizers import SGD, Adagrad, Adam, AdamW, Lion, NAdam, Optimizer, RMSprop
from tests.test_optimizers import OF_OUR_OWN, RULES, laid_parameters

pytestmark = pytest.mark.thorough

Array = np.ndarray[Any, Any]


def sgd(o: Any, value: Array, grad: Array, state: dict[str, Array]) -> None:
    kept = 1.0 if o.steps == 1 else 1.0 - o.dampening
    steps.sgd(value, grad, state.get("momentum_buffer"), o.lr, o.momentum, kept, o.weight_decay, o.nesterov, sign(o))


def adam(o: Any, value: Array, grad: Array, state: dict[str, Array]) -> None:
    moments = state["exp_avg"], state["exp_avg_sq"], state.get("max_exp_avg_sq")
    decay = o.weight_decay, o.decoupled_weight_decay
    steps.adam(value, grad, *moments, o.lr, *o.betas, o.eps, *decay, o.steps, sign(o))


def nadam(o: Any, value: Array, grad: Array, state: dict[str, Array]) -> None:
    now, following = o._momentum(o.steps), o._momentum(o.steps + 1)
    of_g, of_m = (1 - now) / (1 - o._product), following / (1 - o._product * following)
    decay = o.weight_decay, o.decoupled_weight_decay
    steps.nadam(
        value, grad, state["exp_avg"], state["exp_avg_sq"], o.lr, *o.betas, of_g, of_m, o.eps, *decay, o.steps, sign(o)
    )


def adagrad(o: Any, value: Array, grad: Array, state: dict[str, Array]) -> None:
    lr = o.lr / (1 + (o.steps - 1) * o.lr_decay)
    steps.adagrad(value, grad, state["sum"], lr, o.eps, o.weight_decay, sign(o))


def rmsprop(o: Any, value: Array, grad: Array, state: dict[str, Array]) -> None:
    kept = state["square_avg"], state.get("grad_avg"), state.get("momentum_buffer")
    steps.rmsprop(value, grad, *kept, o.lr, o.alpha, o.eps, o.momentum, o.weight_decay, sign(o))


def lion(o: Any, value: Array, grad: Array, state: dict[str, Array]) -> None:
    steps.lion(value, grad, state["exp_avg"], o.lr, *o.betas, o.weight_decay, sign(o))


def sign(optimizer: Optimizer) -> float:
    return -1.0 if optimizer.maximize else 1.0


STEPS: dict[type[Optimizer], Callable[..., None]] = {
    SGD: sgd,
    Adam: adam,
    AdamW: adam,
    NAdam: nadam,
    Adagrad: adagrad,
    RMSprop: rmsprop,
    Lion: lion,
}


@pytest.mark.parametrize(
    ("rule", "arguments"), RULES + OF_OUR_OWN, ids=lambda each: each.__name__ if isinstance(each, type) else str(each)
)
def test_ten_steps_are_the_optimizers_bit_for_bit(rule: type[Optimizer], arguments: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    for size in (1, 15, 64, 65, 333):
        optimizer = rule(laid_parameters([(size,)], "float32"), **arguments)
        value = rng.normal(size=size).astype(np.float32)
        expected, state = value.copy(), {name: array.copy() for name, array in optimizer.state.items()}
        for _ in range(10):
            grad = (rng.normal(size=size) * 10.0 ** rng.integers(-3, 4)).astype(np.float32)
            grad[0] *= 0
            optimizer.steps += 1
            if isinstance(optimizer, NAdam):
                optimizer._product *= optimizer._momentum(optimizer.steps)
            optimizer.update(expected, grad, optimizer.state, np.empty((2, size), np.float32))
            STEPS[rule](optimizer, value, grad, state)
            np.testing.assert_array_equal(value, expected)
            for name, array in optimizer.state.items():
                np.testing.assert_array_equal(state[name], array)


@pytest.mark.filterwarnings("ignore:.* encountered in")
@pytest.mark.parametrize("rule", STEPS)
def test_gradients_that_are_no_numbers_do_what_numpys_do(rule: type[Optimizer]) -> None:
    optimizer = rule(laid_parameters([(6,)], "float32"))
    value = np.ones(6, np.float32)
    expected, state = value.copy(), {name: array.copy() for name, array in optimizer.state.items()}
    grad = np.array([1, np.nan, np.inf, -np.inf, 0, 3e38], np.float32)
    optimizer.steps += 1
    if isinstance(optimizer, NAdam):
        optimizer._product *= optimizer._momentum(optimizer.steps)
    optimizer.update(expected, grad, optimizer.state, np.empty((2, 6), np.float32))
    STEPS[rule](optimizer, value, grad, state)
    np.testing.assert_array_equal(value, expected)
