"""Adam and what was made of it: AdamW, NAdam, Adamax, RAdam."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from .. import arguments
from ..ops.layout import Array
from .base import Optimizer, Params


class Moments(Optimizer):
    """What Adam and its kin share: a mean of the gradients that fades, and one of their squares.

        m ← β₁ · m + (1 − β₁) · g
        v ← β₂ · v + (1 − β₂) · g²

    Args are those of :class:`Adam`; `names` are those of the moments.
    """

    def __init__(
        self,
        params: Params,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        maximize: bool,
        decoupled_weight_decay: bool = False,
        names: Sequence[str] = ("exp_avg", "exp_avg_sq"),
    ) -> None:
        self.eps, self.betas = self._not_negative("eps", eps), self._betas(betas)
        self.decoupled_weight_decay = arguments.flag(self._name, "decoupled_weight_decay", decoupled_weight_decay)
        super().__init__(params, lr, weight_decay, maximize, names)

    def follow(self, g: Array, m: Array, v: Array, term: Array) -> None:
        """Take a gradient into both means."""
        beta1, beta2 = self.betas
        m *= beta1
        m += np.multiply(g, 1 - beta1, out=term)
        v *= beta2
        np.multiply(g, g, out=term)
        v += np.multiply(term, 1 - beta2, out=term)


class Adam(Moments):
    """Adaptive moments (Kingma and Ba 2015, arXiv:1412.6980).

        g ← grad + λ · value
        m ← β₁ · m + (1 − β₁) · g
        v ← β₂ · v + (1 − β₂) · g²
        m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ)
        value ← value − lr · m̂ / (√v̂ + ε)

    With amsgrad, v̂ is made from the largest v so far (Reddi et al. 2018).

    Args:
        params: The parameters to learn, or groups of them; see :class:`Optimizer`.
        lr: Learning rate.
        betas: β₁ and β₂, how much of the moments is kept.
        eps: ε, keeps the division finite.
        weight_decay: λ.
        amsgrad: Never let the step grow again.
        foreach: Without effect, for PyTorch's sake.
        maximize: Climb the gradient instead.
        capturable: False: there is no GPU.
        differentiable: False: a step has no gradient.
        fused: Without effect, for PyTorch's sake.
        decoupled_weight_decay: Shrink the values themselves, as AdamW does, and leave the gradient alone.

    Raises:
        ArgumentError: A negative number, or betas outside of [0, 1).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        self._take_ways(foreach, capturable, differentiable, fused)
        self.amsgrad = arguments.flag(self._name, "amsgrad", amsgrad)
        names = ("exp_avg", "exp_avg_sq", *["max_exp_avg_sq"] * self.amsgrad)
        super().__init__(params, lr, betas, eps, weight_decay, maximize, decoupled_weight_decay, names)

    def update(self, value: Array, grad: Array, state: dict[str, Array], scratch: Array) -> None:
        """One step of one chunk, by the formula above."""
        g, term = self.decay(value, grad, out=scratch[0]), scratch[1]
        beta1, beta2 = self.betas
        m, v = state["exp_avg"], state["exp_avg_sq"]
        self.follow(g, m, v, term)
        if self.amsgrad:
            v = np.maximum(state["max_exp_avg_sq"], v, out=state["max_exp_avg_sq"])
        # Both corrections are drawn out of the fraction, which saves a pass over the chunk (section 2 of the paper):
        # m̂ / (√v̂ + ε) = r / (1 − β₁ᵗ) · m / (√v + r · ε),  r = √(1 − β₂ᵗ)
        r = math.sqrt(1 - beta2**self.steps)
        np.sqrt(v, out=term)
        term += r * self.eps
        np.divide(m, term, out=term)
        value -= np.multiply(term, self.lr * r / (1 - beta1**self.steps), out=term)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101).

        value ← (1 − lr · λ) · value,  then a step of Adam with λ = 0

    Arguments and errors are those of :class:`Adam`.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        self._take_ways(foreach, capturable, differentiable, fused)
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)


class NAdam(Moments):
    """Adam that looks ahead along its momentum, as Nesterov's does (Dozat 2016).

        μₜ = β₁ · (1 − ½ · 0.96^(t · ψ)),  Πₜ = μ₁ · … · μₜ
        g, m, v and v̂ as in Adam
        value ← value − lr · ((1 − μₜ) / (1 − Πₜ) · g + μₜ₊₁ / (1 − Πₜ₊₁) · m) / (√v̂ + ε)

    All other arguments, and the errors, are those of :class:`Adam`.

    Args:
        momentum_decay: ψ, how fast μ rises to β₁.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        self._take_ways(foreach, capturable, differentiable)
        self.momentum_decay = self._not_negative("momentum_decay", momentum_decay)
        self._product = 1.0
        super().__init__(params, lr, betas, eps, weight_decay, maximize, decoupled_weight_decay)

    def _momentum(self, step: int) -> float:
        """μ of a step, counted from 1."""
        return self.betas[0] * (1 - 0.5 * math.pow(0.96, step * self.momentum_decay))

    def shares(self) -> tuple[float, float]:
        """What g and m are multiplied by at this step: (1 − μₜ) / (1 − Πₜ) and μₜ₊₁ / (1 − Πₜ₊₁)."""
        momentum, following = self._momentum(self.steps), self._momentum(self.steps + 1)
        return (1 - momentum) / (1 - self._product), following / (1 - self._product * following)

    def step(self) -> None:
        """Update every parameter from its gradient."""
        self._product *= self._momentum(self.steps + 1)
        super().step()

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Go on, bit for bit, from where `state_dict` was called."""
        super().load_state_dict(state)
        self._product = 1.0
        for step in range(1, self.steps + 1):
            product = self._product * self._momentum(step)
            if (
                product == self._product
            ):  # nothing, or the least number there is: it stays, and a state may name any step
                break
            self._product = product

    def update(self, value: Array, grad: Array, state: dict[str, Array], scratch: Array) -> None:
        """One step of one chunk, by the formula above."""
        g, term = self.decay(value, grad, out=scratch[0]), scratch[1]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        self.follow(g, m, v, term)
        of_g, of_m = self.shares()
        # g may be the gradient itself, which stays as it is; the first row of scratch is free in that case.
        step = np.multiply(g, of_g, out=scratch[0])
        step += np.multiply(m, of_m, out=term)
        r = math.sqrt(1 - self.betas[1] ** self.steps)  # as in Adam, drawn out of the root
        np.sqrt(v, out=term)
        term += r * self.eps
        np.divide(step, term, out=step)
        value -= np.multiply(step, self.lr * r, out=step)


class Adamax(Moments):
    """Adam that divides by the largest gradient, which fades (Kingma and Ba 2015, arXiv:1412.6980, section 7).

        g and m as in Adam
        u ← max(β₂ · u, |g| + ε)
        value ← value − lr / (1 − β₁ᵗ) · m / u

    Arguments and errors are those of :class:`Adam`.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        self._take_ways(foreach, capturable, differentiable)
        super().__init__(params, lr, betas, eps, weight_decay, maximize, names=("exp_avg", "exp_inf"))

    def update(self, value: Array, grad: Array, state: dict[str, Array], scratch: Array) -> None:
        """One step of one chunk, by the formula above."""
        g, term = self.decay(value, grad, out=scratch[0]), scratch[1]
        beta1, beta2 = self.betas
        m, u = state["exp_avg"], state["exp_inf"]
        m *= beta1
        m += np.multiply(g, 1 - beta1, out=term)
        u *= beta2
        np.abs(g, out=term)
        term += self.eps
        np.maximum(u, term, out=u)
        np.divide(m, u, out=term)
        value -= np.multiply(term, self.lr / (1 - beta1**self.steps), out=term)


class RAdam(Moments):
    """Adam that divides only once the root is of enough squares (Liu et al. 2020, arXiv:1908.03265).

        g, m, v and m̂ as in Adam
        ρ∞ = 2 / (1 − β₂) − 1,  ρₜ = ρ∞ − 2t · β₂ᵗ / (1 − β₂ᵗ)
        r = √((ρₜ − 4)(ρₜ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρₜ))
        value ← value − lr · m̂ · r · √(1 − β₂ᵗ) / (√v + ε)      where ρₜ > 5
        value ← value − lr · m̂                                  before

    Arguments and errors are those of :class:`Adam`.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        self._take_ways(foreach, capturable, differentiable)
        super().__init__(params, lr, betas, eps, weight_decay, maximize, decoupled_weight_decay)

    def rates(self) -> tuple[float, float | None]:
        """lr / (1 − β₁ᵗ), and that times r · √(1 − β₂ᵗ); None while the root is of too few squares."""
        beta1, beta2 = self.betas
        kept, rate = beta2**self.steps, self.lr / (1 - beta1**self.steps)
        most = 2 / (1 - beta2) - 1
        length = most - 2 * self.steps * kept / (1 - kept)
        if length <= 5:
            return rate, None
        of_squares = (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)
        return rate, rate * math.sqrt(of_squares * (1 - kept))

    def update(self, value: Array, grad: Array, state: dict[str, Array], scratch: Array) -> None:
        """One step of one chunk, by the formula above."""
        g, term = self.decay(value, grad, out=scratch[0]), scratch[1]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        self.follow(g, m, v, term)
        rate, rectified = self.rates()
        if rectified is None:
            value -= np.multiply(m, rate, out=term)
            return
        np.sqrt(v, out=term)
        term += self.eps
        np.divide(m, term, out=term)
        value -= np.multiply(term, rectified, out=term)
