"""Rates that each number earns from the squares of its gradients: Adagrad, RMSprop, Adadelta."""

from __future__ import annotations

import numpy as np

from .. import arguments
from ..ops.layout import Array
from .base import Optimizer, Params


class Adagrad(Optimizer):
    """The gradient, divided by the root of all its squares so far (Duchi et al. 2011).

        g ← grad + λ · value
        s ← s + g²
        value ← value − lr / (1 + (t − 1) · η) · g / (√s + ε)

    Args:
        params: The parameters to learn, or groups of them; see :class:`Optimizer`.
        lr: Learning rate.
        lr_decay: η, how fast it falls by itself.
        weight_decay: λ.
        initial_accumulator_value: What s begins as.
        eps: ε, keeps the division finite.
        foreach: Without effect, for PyTorch's sake.
        maximize: Climb the gradient instead.
        differentiable: False: a step has no gradient.
        fused: Without effect, for PyTorch's sake.

    Raises:
        ArgumentError: A negative number.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 0.01,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        self._take_ways(foreach, False, differentiable, fused)
        self.lr_decay, self.eps = self._not_negative("lr_decay", lr_decay), self._not_negative("eps", eps)
        first = self._not_negative("initial_accumulator_value", initial_accumulator_value)
        super().__init__(params, lr, weight_decay, maximize, ["sum"])
        self.state["sum"].fill(first)

    def update(self, value: Array, grad: Array, state: dict[str, Array], scratch: Array) -> None:
        """One step of one chunk, by the formula above."""
        g, term = self.decay(value, grad, out=scratch[0]), scratch[1]
        s = state["sum"]
        s += np.multiply(g, g, out=term)
        np.sqrt(s, out=term)
        term += self.eps
        np.divide(g, term, out=term)
        value -= np.multiply(term, self.lr / (1 + (self.steps - 1) * self.lr_decay), out=term)


class RMSprop(Optimizer):
    """The gradient, divided by the root of a running mean of its squares (Tieleman and Hinton 2012).

        g ← grad + λ · value
        s ← α · s + (1 − α) · g²
        d ← g / (√s + ε)                  centered: √(s − a²), with a ← α · a + (1 − α) · g
        b ← μ · b + d                     with momentum; without, b is d
        value ← value − lr · b

    Args:
        params: The parameters to learn, or groups of them; see :class:`Optimizer`.
        lr: Learning rate.
        alpha: α, how much of the mean is kept.
        eps: ε, keeps the division finite.
        weight_decay: λ.
        momentum: μ, how much of the last direction is kept.
        centered: Divide by the deviation from the mean gradient rather than from zero (Graves 2013).
        capturable: False: there is no GPU.
        foreach: Without effect, for PyTorch's sake.
        maximize: Climb the gradient instead.
        differentiable: False: a step has no gradient.

    Raises:
        ArgumentError: A negative number, or α above 1.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        self._take_ways(foreach, capturable, differentiable)
        self.alpha = arguments.number(self._name, "alpha", alpha, 0, 1)
        self.eps, self.momentum = self._not_negative("eps", eps), self._not_negative("momentum", momentum)
        self.centered = arguments.flag(self._name, "centered", centered)
        moments = ["square_avg"] + ["grad_avg"] * self.centered + ["momentum_buffer"] * bool(momentum)
        super().__init__(params, lr, weight_decay, maximize, moments)

    def update(self, value: Array, grad: Array, state: dict[str, Array], scratch: Array) -> None:
        """One step of one chunk, by the formula above."""
        g, term = self.decay(value, grad, out=scratch[0]), scratch[1]
        s = state["square_avg"]
        s *= self.alpha
        np.multiply(g, g, out=term)
        s += np.multiply(term, 1 - self.alpha, out=term)
        if self.centered:
            a = state["grad_avg"]
            a *= self.alpha
            a += np.multiply(g, 1 - self.alpha, out=term)
            np.multiply(a, a, out=term)
            np.subtract(s, term, out=term)
            np.maximum(term, 0, out=term)  # rounding may bring it below
            np.sqrt(term, out=term)
        else:
            np.sqrt(s, out=term)
        term += self.eps
        direction = np.divide(g, term, out=term)
        if self.momentum:
            b = state["momentum_buffer"]
            b *= self.momentum
            b += direction
            direction = b
        value -= np.multiply(direction, self.lr, out=term)


class Adadelta(Optimizer):
    """The gradient, as large as the steps have been: no rate is needed (Zeiler 2012, arXiv:1212.5701).

        g ← grad + λ · value
        s ← ρ · s + (1 − ρ) · g²
        d ← √(a + ε) / √(s + ε) · g
        a ← ρ · a + (1 − ρ) · d²
        value ← value − lr · d

    Args:
        params: The parameters to learn, or groups of them; see :class:`Optimizer`.
        lr: Learning rate.
        rho: ρ, how much of both means is kept.
        eps: ε, keeps the division finite, and lets the first steps be more than nothing.
        weight_decay: λ.
        foreach: Without effect, for PyTorch's sake.
        capturable: False: there is no GPU.
        maximize: Climb the gradient instead.
        differentiable: False: a step has no gradient.

    Raises:
        ArgumentError: A negative number, or ρ above 1.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        self._take_ways(foreach, capturable, differentiable)
        self.rho, self.eps = arguments.number(self._name, "rho", rho, 0, 1), self._not_negative("eps", eps)
        super().__init__(params, lr, weight_decay, maximize, ["square_avg", "acc_delta"])

    def update(self, value: Array, grad: Array, state: dict[str, Array], scratch: Array) -> None:
        """One step of one chunk, by the formula above."""
        g, term = self.decay(value, grad, out=scratch[0]), scratch[1]
        s, a = state["square_avg"], state["acc_delta"]
        s *= self.rho
        np.multiply(g, g, out=term)
        s += np.multiply(term, 1 - self.rho, out=term)
        # g may be the gradient itself, which stays as it is; the first row of scratch is free in that case.
        np.add(s, self.eps, out=term)
        np.sqrt(term, out=term)
        step = np.divide(g, term, out=scratch[0])
        np.add(a, self.eps, out=term)
        step *= np.sqrt(term, out=term)
        a *= self.rho
        np.multiply(step, step, out=term)
        a += np.multiply(term, 1 - self.rho, out=term)
        value -= np.multiply(step, self.lr, out=step)
