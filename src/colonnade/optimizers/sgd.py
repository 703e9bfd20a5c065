"""SGD, and Lion, which keeps of it only the signs."""

from __future__ import annotations

import numpy as np

from .. import arguments
from ..errors import ArgumentError
from ..ops.layout import Array
from .base import Optimizer, Params


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum.

        g ← grad + λ · value
        b ← μ · b + (1 − κ) · g        at the first step b ← g
        g ← g + μ · b                  with nesterov; without, g ← b
        value ← value − lr · g

    Args:
        params: The parameters to learn, or groups of them; see :class:`Optimizer`.
        lr: Learning rate.
        momentum: μ, how much of the last direction is kept.
        dampening: κ, how much of the new gradient is held back.
        weight_decay: λ.
        nesterov: Look ahead along the momentum (Sutskever et al. 2013).
        maximize: Climb the gradient instead.
        foreach: Without effect, for PyTorch's sake.
        differentiable: False: a step has no gradient.
        fused: Without effect, for PyTorch's sake.

    Raises:
        ArgumentError: A negative number, or nesterov without momentum or with dampening.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 0.001,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        self._take_ways(foreach, False, differentiable, fused)
        self.momentum = self._not_negative("momentum", momentum)
        self.dampening = arguments.number(self._name, "dampening", dampening)
        self.nesterov = arguments.flag(self._name, "nesterov", nesterov)
        if self.nesterov and (momentum == 0 or dampening != 0):
            raise ArgumentError(
                f"{self._name}: nesterov requires momentum and no dampening, "
                f"got momentum={momentum}, dampening={dampening}."
            )
        super().__init__(params, lr, weight_decay, maximize, ["momentum_buffer"] if momentum else [])

    def update(self, value: Array, grad: Array, state: dict[str, Array], scratch: Array) -> None:
        """One step of one chunk, by the formula above."""
        g, term = self.decay(value, grad, out=scratch[0]), scratch[1]
        if self.momentum:
            b = state["momentum_buffer"]
            b *= self.momentum
            b += g if self.steps == 1 or self.dampening == 0 else np.multiply(g, 1 - self.dampening, out=term)
            if self.nesterov:
                np.multiply(b, self.momentum, out=term)
                g = np.add(g, term, out=term)
            else:
                g = b
        value -= np.multiply(g, self.lr, out=term)


class Lion(Optimizer):
    """The sign of a momentum: every number moves by the rate (Chen et al. 2023, arXiv:2302.06675).

        c ← β₁ · m + (1 − β₁) · g
        value ← value − lr · (sign(c) + λ · value)
        m ← β₂ · m + (1 − β₂) · g

    The rate should be three to ten times smaller than AdamW's, and λ as many times larger.

    Args:
        params: The parameters to learn, or groups of them; see :class:`Optimizer`.
        lr: Learning rate.
        betas: β₁ and β₂, how much of the momentum counts for the step, and is kept.
        weight_decay: λ.
        maximize: Climb the gradient instead.

    Raises:
        ArgumentError: A negative number, or betas outside of [0, 1).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        self.betas = self._betas(betas)
        super().__init__(params, lr, weight_decay, maximize, ["exp_avg"])

    def update(self, value: Array, grad: Array, state: dict[str, Array], scratch: Array) -> None:
        """One step of one chunk, by the formula above."""
        c, term = scratch
        g = np.negative(grad, out=term) if self.maximize else grad
        beta1, beta2 = self.betas
        m = state["exp_avg"]
        np.subtract(m, g, out=c)
        c *= beta1
        c += g
        np.sign(c, out=c)
        if self.weight_decay:
            value *= 1 - self.lr * self.weight_decay
        value -= np.multiply(c, self.lr, out=c)
        m *= beta2
        m += np.multiply(g, 1 - beta2, out=term)
