"""Which compiled function takes an optimizer's step: one pass over the arrays, to the bits of its rule in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..compiled import steps
from ..ops.layout import Array
from .adam import Adam, Adamax, AdamW, NAdam, RAdam
from .adaptive import Adadelta, Adagrad, RMSprop
from .base import Optimizer
from .sgd import SGD, Lion

State = dict[str, Array]


def compiled_update(optimizer: Optimizer) -> Callable[[Array, Array, State], None] | None:
    """What `update` does with a chunk's values, gradients and moments, compiled; None for a rule from elsewhere."""
    rule = _RULES.get(type(optimizer))
    if rule is None:
        return None
    return lambda value, grad, state: rule(optimizer, value, grad, state)


def _sign(optimizer: Optimizer) -> float:
    return -1.0 if optimizer.maximize else 1.0


def _sgd(o: SGD, value: Array, grad: Array, state: State) -> None:
    kept = 1.0 if o.steps == 1 else 1.0 - o.dampening
    buffer = state.get("momentum_buffer")
    steps.sgd(value, grad, buffer, o.lr, o.momentum, kept, o.weight_decay, o.nesterov, _sign(o))


def _adam(o: Adam, value: Array, grad: Array, state: State) -> None:
    moments = state["exp_avg"], state["exp_avg_sq"], state.get("max_exp_avg_sq")
    decay = o.weight_decay, o.decoupled_weight_decay
    steps.adam(value, grad, *moments, o.lr, *o.betas, o.eps, *decay, o.steps, _sign(o))


def _nadam(o: NAdam, value: Array, grad: Array, state: State) -> None:
    moments, decay = (state["exp_avg"], state["exp_avg_sq"]), (o.weight_decay, o.decoupled_weight_decay)
    steps.nadam(value, grad, *moments, o.lr, *o.betas, *o.shares(), o.eps, *decay, o.steps, _sign(o))


def _adamax(o: Adamax, value: Array, grad: Array, state: State) -> None:
    moments = state["exp_avg"], state["exp_inf"]
    steps.adamax(value, grad, *moments, o.lr, *o.betas, o.eps, o.weight_decay, o.steps, _sign(o))


def _radam(o: RAdam, value: Array, grad: Array, state: State) -> None:
    moments, decay = (state["exp_avg"], state["exp_avg_sq"]), (o.weight_decay, o.decoupled_weight_decay)
    rate, rectified = o.rates()
    steps.radam(value, grad, *moments, o.lr, rate, rectified or 0.0, *o.betas, o.eps, *decay, _sign(o))


def _adadelta(o: Adadelta, value: Array, grad: Array, state: State) -> None:
    kept = state["square_avg"], state["acc_delta"]
    steps.adadelta(value, grad, *kept, o.lr, o.rho, o.eps, o.weight_decay, _sign(o))


def _adagrad(o: Adagrad, value: Array, grad: Array, state: State) -> None:
    lr = o.lr / (1 + (o.steps - 1) * o.lr_decay)
    steps.adagrad(value, grad, state["sum"], lr, o.eps, o.weight_decay, _sign(o))


def _rmsprop(o: RMSprop, value: Array, grad: Array, state: State) -> None:
    kept = state["square_avg"], state.get("grad_avg"), state.get("momentum_buffer")
    steps.rmsprop(value, grad, *kept, o.lr, o.alpha, o.eps, o.momentum, o.weight_decay, _sign(o))


def _lion(o: Lion, value: Array, grad: Array, state: State) -> None:
    steps.lion(value, grad, state["exp_avg"], o.lr, *o.betas, o.weight_decay, _sign(o))


_RULES: dict[type[Optimizer], Callable[[Any, Array, Array, State], None]] = {
    SGD: _sgd,
    Adam: _adam,
    AdamW: _adam,
    NAdam: _nadam,
    Adamax: _adamax,
    RAdam: _radam,
    Adadelta: _adadelta,
    Adagrad: _adagrad,
    RMSprop: _rmsprop,
    Lion: _lion,
}
