"""Optimizers: how parameters follow their gradients. Arguments, defaults and update rules are those of torch.optim.

The parameters of a model lie side by side in flat arrays, so that an update rule is written once for plain 1-D
arrays and never sees a layer. It runs on chunks of them that stay in cache from its first line to its last.
The rules are written in docs/math/training.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .errors import ArgumentError, ShapeError
from .ops.layout import Array
from .tensor import Parameter, contiguous_runs

# Numbers an update rule is given at once. At float32 a chunk of each array it touches is 256 KiB, and all of them
# stay in a core's second-level cache: 1.8 times as fast as whole arrays, and the scratch memory is small.
CHUNK = 65_536


class Optimizer:
    """Steps parameters against their gradients: value ← value − lr · direction.

    A subclass names in `moments` the arrays it keeps between steps, and writes its rule in `update`. All arrays are
    made here, none by a step.

    Args:
        params: The parameters to learn, in any order; those left out stay as they are.
        lr: Learning rate; may be written between steps.
        weight_decay: λ, pulls every value towards zero.
        maximize: Climb the gradient instead.
        moments: Names of the arrays kept between steps, each with a number for every number of the parameters.

    Raises:
        ArgumentError: No parameters, the same twice, of several types, or a negative number.
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float,
        weight_decay: float,
        maximize: bool,
        moments: Sequence[str] = (),
    ) -> None:
        self.lr = lr
        self._require_not_negative("weight_decay", weight_decay)
        self.weight_decay = float(weight_decay)
        self.maximize = maximize
        self.parameters = list(params)
        if not self.parameters:
            raise ArgumentError(f"{self._name}: expected parameters to learn, got an empty list.")
        if len(set(map(id, self.parameters))) < len(self.parameters):
            raise ArgumentError(f"{self._name}: every parameter must be given once, got one several times.")
        dtypes = {buffer.value.dtype for buffer, _ in contiguous_runs(self.parameters)}
        if len(dtypes) > 1:
            raise ArgumentError(f"{self._name}: parameters must be of one type, got {sorted(map(str, dtypes))}.")
        dtype = dtypes.pop()
        size = sum(parameter.size for parameter in self.parameters)
        self.steps = 0
        self.state: dict[str, Array] = {name: np.zeros(size, dtype) for name in moments}  # (size,) each
        self._scratch: Array = np.empty((2, min(size, CHUNK)), dtype)

    def update(self, value: Array, grad: Array, state: dict[str, Array], scratch: Array) -> None:
        """One step of one chunk: write `value` and `state`, leave `grad` as it is.

        Args:
            value: (chunk,).
            grad: (chunk,).
            state: The chunk's part of the moments, (chunk,) each; zeros before the first step.
            scratch: (2, chunk), uninitialised.
        """
        raise NotImplementedError

    def step(self) -> None:
        """Update every parameter from its gradient."""
        self.steps += 1
        position = 0
        # The runs are asked for anew: another model made of the same layers lays them out elsewhere.
        for buffer, run in contiguous_runs(self.parameters):
            for start in range(run.start, run.stop, CHUNK):
                chunk = slice(start, min(start + CHUNK, run.stop))
                size = chunk.stop - chunk.start
                state = {name: array[position : position + size] for name, array in self.state.items()}
                self.update(buffer.value[chunk], buffer.grad[chunk], state, self._scratch[:, :size])
                position += size
            buffer.version += 1

    def zero_grad(self) -> None:
        """Set the gradients to zero."""
        for buffer, run in contiguous_runs(self.parameters):
            buffer.grad[run].fill(0)

    def decay(self, value: Array, grad: Array, out: Array) -> Array:
        """The direction g = ±grad + λ · value, in `out`; `grad` itself where that is the same."""
        if self.weight_decay:
            np.multiply(value, self.weight_decay, out=out)
            return np.subtract(out, grad, out=out) if self.maximize else np.add(out, grad, out=out)
        return np.negative(grad, out=out) if self.maximize else grad

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self._require_not_negative("lr", lr)
        self._lr = float(lr)  # a NumPy number of a wider type would widen the arithmetic of a step

    def state_dict(self) -> dict[str, Array]:
        """A copy of what the next step depends on beside the parameters and the other constructor arguments."""
        copies = {name: array.copy() for name, array in self.state.items()}
        return {"step": np.array(self.steps, np.int64), "lr": np.array(self.lr, np.float64), **copies}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Go on, bit for bit, from where `state_dict` was called.

        Raises:
            ArgumentError: Arrays missing, or of another optimizer.
            ShapeError: Arrays for other parameters.
        """
        expected = self.state_dict()
        if set(state) != set(expected):
            raise ArgumentError(f"{self._name}: the state must hold {sorted(expected)}, got {sorted(state)}.")
        for name, array in expected.items():
            if np.shape(state[name]) != array.shape:
                raise ShapeError(
                    f"{self._name}: {name} must have the shape {array.shape}, got {np.shape(state[name])}."
                )
        self.lr = float(state["lr"])
        self.steps = int(state["step"])
        for name in self.state:
            self.state[name][...] = state[name]

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _require_not_negative(self, name: str, number: float) -> None:
        if not number >= 0:  # so written that NaN is refused too
            raise ArgumentError(f"{self._name}: {name} must not be negative, got {number}.")

    def __repr__(self) -> str:
        return f"{self._name}(lr={self.lr}, weight_decay={self.weight_decay})"


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum.

        g ← grad + λ · value
        b ← μ · b + (1 − κ) · g        at the first step b ← g
        g ← g + μ · b                  with nesterov; without, g ← b
        value ← value − lr · g

    Args:
        params: The parameters to learn.
        lr: Learning rate.
        momentum: μ, how much of the last direction is kept.
        dampening: κ, how much of the new gradient is held back.
        weight_decay: λ.
        nesterov: Look ahead along the momentum (Sutskever et al. 2013).
        maximize: Climb the gradient instead.

    Raises:
        ArgumentError: A negative number, or nesterov without momentum or with dampening.
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 0.001,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        self._require_not_negative("momentum", momentum)
        if nesterov and (momentum == 0 or dampening != 0):
            raise ArgumentError(
                f"{self._name}: nesterov requires momentum and no dampening, "
                f"got momentum={momentum}, dampening={dampening}."
            )
        self.momentum = float(momentum)
        self.dampening = float(dampening)
        self.nesterov = nesterov
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


class Adam(Optimizer):
    """Adaptive moments (Kingma and Ba 2015, arXiv:1412.6980).

        g ← grad + λ · value
        m ← β₁ · m + (1 − β₁) · g
        v ← β₂ · v + (1 − β₂) · g²
        m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ)
        value ← value − lr · m̂ / (√v̂ + ε)

    With amsgrad, v̂ is made from the largest v so far (Reddi et al. 2018).

    Args:
        params: The parameters to learn.
        lr: Learning rate.
        betas: β₁ and β₂, how much of the moments is kept.
        eps: ε, keeps the division finite.
        weight_decay: λ.
        amsgrad: Never let the step grow again.
        maximize: Climb the gradient instead.

    Raises:
        ArgumentError: A negative number, or betas outside of [0, 1).
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ArgumentError(f"{self._name}: betas must be two numbers in [0, 1), got {betas}.")
        self._require_not_negative("eps", eps)
        self.betas = (float(betas[0]), float(betas[1]))
        self.eps = float(eps)
        self.amsgrad = amsgrad
        moments = ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"] if amsgrad else ["exp_avg", "exp_avg_sq"]
        super().__init__(params, lr, weight_decay, maximize, moments)

    def update(self, value: Array, grad: Array, state: dict[str, Array], scratch: Array) -> None:
        """One step of one chunk, by the formula above."""
        g, term = self.decay(value, grad, out=scratch[0]), scratch[1]
        beta1, beta2 = self.betas
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m *= beta1
        m += np.multiply(g, 1 - beta1, out=term)
        v *= beta2
        np.multiply(g, g, out=term)
        v += np.multiply(term, 1 - beta2, out=term)
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

    Args:
        params: The parameters to learn.
        lr: Learning rate.
        betas: β₁ and β₂, how much of the moments is kept.
        eps: ε, keeps the division finite.
        weight_decay: λ.
        amsgrad: Never let the step grow again.
        maximize: Climb the gradient instead.

    Raises:
        ArgumentError: A negative number, or betas outside of [0, 1).
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)

    def decay(self, value: Array, grad: Array, out: Array) -> Array:
        """Shrink `value` itself; the direction is ±grad."""
        if self.weight_decay:
            value *= 1 - self.lr * self.weight_decay
        return np.negative(grad, out=out) if self.maximize else grad
