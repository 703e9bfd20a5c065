"""L-BFGS: steps by the curvature that the last gradients tell of, and a line search along them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np

from .. import arguments
from ..errors import ArgumentError, ShapeError
from ..ops.layout import Array
from ..tensor import Parameter
from .base import MOST_STEPS, Optimizer

ARMIJO, WOLFE = 1e-4, 0.9  # c₁ and c₂ of the line search


class LBFGS(Optimizer):
    """Limited-memory BFGS (Liu and Nocedal 1989): for few parameters, and gradients of all data.

        y_k = g_k − g_{k−1},  s_k = x_k − x_{k−1},  ρ_k = 1 / (y_k · s_k)
        H₀ = (y · s) / (y · y) of the last pair,  H_{k+1} = (1 − ρ s yᵀ) H_k (1 − ρ y sᵀ) + ρ s sᵀ
        x ← x − t · H g

    H is never written down: two loops over the pairs that are kept multiply by it. t is `lr`, or found by a line
    search. A step takes up to `max_iter` such iterations, and asks for the loss several times::

        def closure():
            model.zero_grad()
            loss, grad = criterion(model(x, training=True), targets)
            model.backward(grad)
            return loss


        optimizer = LBFGS(model.parameters(), line_search_fn="strong_wolfe")
        optimizer.step(closure)

    `fit` takes one gradient a step, and refuses it.

    Args:
        params: The parameters to learn.
        lr: t, or what the line search tries first. The very first iteration takes at most lr / Σ |g|.
        max_iter: Iterations of a step.
        max_eval: Losses that a step may ask for; by default 1.25 · max_iter.
        tolerance_grad: A step ends where no number of the gradient is larger.
        tolerance_change: It ends where no parameter, or the loss, changes by more.
        history_size: How many pairs are kept.
        line_search_fn: None, or `"strong_wolfe"`: t such that the loss falls enough and its slope is flat enough.

    Raises:
        ArgumentError: Numbers out of range, or another line search.

    Nocedal and Wright 2006, Numerical optimization, algorithms 7.4, 3.5 and 3.6; after torch.optim.LBFGS.
    """

    needs_closure: ClassVar[bool] = True

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        self.max_iter = arguments.whole(self._name, "max_iter", max_iter, 1)
        most = self.max_iter * 5 // 4 if max_eval is None else max_eval
        self.max_eval = arguments.whole(self._name, "max_eval", most, 1)
        self.tolerance_grad = self._not_negative("tolerance_grad", tolerance_grad)
        self.tolerance_change = self._not_negative("tolerance_change", tolerance_change)
        self.history_size = arguments.whole(self._name, "history_size", history_size, 1)
        self.line_search_fn = arguments.choice(self._name, "line_search_fn", line_search_fn, (None, "strong_wolfe"))
        super().__init__(params, lr, 0.0, False)
        if len(self.groups) > 1 or self.groups[0][1:] != (1.0, None):
            raise ArgumentError(f"{self._name}: all parameters are one vector here, expected no groups of them.")
        self.evaluations = 0
        self._asked = 0  # in this step
        self._pairs: list[Pair] = []
        self._scale = 1.0  # H₀
        self._length = 0.0  # t of the last iteration
        self._direction: Array | None = None  # (size,), of the last iteration; None before the first
        self._gradient: Array | None = None  # (size,), before it

    def step(self, closure: Callable[[], float] | None = None) -> float:  # type: ignore[override]
        """Take up to `max_iter` iterations; those that are frozen stay.

        Args:
            closure: Computes the loss and the gradients anew, and returns the loss.

        Returns:
            The loss before.

        Raises:
            ArgumentError: No closure, or one that returns no number.
        """
        if not callable(closure):
            got = arguments.shown(closure)
            raise ArgumentError(f"{self._name}: step needs a function that returns the loss, got {got}.")
        self._asked = 0
        first = loss = self._loss(closure)
        g = self._gathered()
        for iteration in range(1, self.max_iter + 1):
            if iteration == 1 and _greatest(g) <= self.tolerance_grad:
                break
            d, t = self._next(g)
            before, slope = loss, float(g @ d)
            if slope > -self.tolerance_change:
                break
            if self.line_search_fn is None:
                self._move(t, d)
                if iteration < self.max_iter:  # with other images in the next step nobody would read it
                    loss, g = self._loss(closure), self._gathered()
            else:
                search = Search(partial(self._tried, closure, d), loss, slope, _greatest(d))
                best = search.found(t, g, self.max_eval - self._asked, self.tolerance_change)
                loss, g, t = best.loss, best.gradient, best.t
                self._length = t
                self._move(t, d)
            if (
                self._asked >= self.max_eval
                or _greatest(g) <= self.tolerance_grad
                or abs(t) * _greatest(d) <= self.tolerance_change
                or abs(loss - before) < self.tolerance_change
            ):
                break
        return first

    def _next(self, g: Array) -> tuple[Array, float]:
        """−H g and the first t, once what the last iteration told of the curvature is kept."""
        self.steps += 1
        if self._direction is None or self._gradient is None:
            d, t = -g, min(1.0, 1.0 / float(np.abs(g).sum())) * self.lr
        else:
            y, s = g - self._gradient, self._direction * self._length
            product = float(y @ s)
            if product > 1e-10:
                self._pairs = [*self._pairs, Pair(y, s, 1.0 / product)][-self.history_size :]
                self._scale = product / float(y @ y)
            d, t = self._descent(g), self.lr
        self._direction, self._gradient, self._length = d, g.copy(), t
        return d, t

    def _descent(self, g: Array) -> Array:
        """−H g, by the two loops."""
        d = -g
        shares = []
        for y, s, rho in reversed(self._pairs):
            shares.append(float(s @ d) * rho)
            d -= y * shares[-1]
        d *= self._scale
        for (y, s, rho), share in zip(self._pairs, reversed(shares), strict=True):
            d += s * (share - float(y @ d) * rho)
        return d

    def _loss(self, closure: Callable[[], float]) -> float:
        self._asked += 1
        self.evaluations += 1
        loss = closure()
        if np.ndim(loss) or np.asarray(loss).dtype.kind not in "fiu":
            got = arguments.shown(loss)
            raise ArgumentError(f"{self._name}: the closure must return the loss, a number, got {got}.")
        return float(loss)

    def _tried(self, closure: Callable[[], float], d: Array, t: float) -> Point:
        """Loss and gradient at x + t · d; the parameters are then at x again."""
        kept = [buffer.value[run].copy() for buffer, run, _ in self.trained()]
        try:
            self._move(t, d)
            loss, g = self._loss(closure), self._gathered()
        finally:
            for (buffer, run, _), values in zip(self.trained(), kept, strict=True):
                buffer.value[run] = values
                buffer.version += 1
        # What is no number is as bad as can be: the search then turns back.
        return Point(t, math.inf if math.isnan(loss) else loss, g, float(g @ d))

    def _gathered(self) -> Array:
        """The gradients of all parameters, (size,); zero where they are frozen."""
        g = np.zeros(sum(parameter.size for parameter in self.parameters), self._scratch.dtype)
        for buffer, run, position in self.trained():
            g[position : position + run.stop - run.start] = buffer.grad[run]
        return g

    def _move(self, t: float, d: Array) -> None:
        """x ← x + t · d."""
        for buffer, run, position in self.trained():
            buffer.version += 1  # before, since an interrupt may come in between, and after, since a call may
            buffer.value[run] += d[position : position + run.stop - run.start] * t
            buffer.version += 1

    def state_dict(self) -> dict[str, Array]:
        """A copy of what the next step depends on beside the parameters and the other constructor arguments."""
        size, dtype = sum(parameter.size for parameter in self.parameters), self._scratch.dtype
        last = [each for each in (self._direction, self._gradient) if each is not None]
        return {
            **super().state_dict(),
            "evaluations": np.array(self.evaluations, np.int64),
            "scale": np.array(self._scale, np.float64),
            "length": np.array(self._length, np.float64),
            "rho": np.array([pair.rho for pair in self._pairs], np.float64),  # (pairs,)
            "y": np.array([pair.y for pair in self._pairs], dtype).reshape(-1, size),  # (pairs, size)
            "s": np.array([pair.s for pair in self._pairs], dtype).reshape(-1, size),
            "last": np.array(last, dtype).reshape(-1, size),  # (2, size): direction and gradient; (0, size) before
        }

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Go on, bit for bit, from where `state_dict` was called.

        Raises:
            ArgumentError: Arrays missing, or of another optimizer.
            ShapeError: Arrays for other parameters.
        """
        own = self.state_dict()
        if set(state) != set(own):
            raise ArgumentError(f"{self._name}: the state must hold {sorted(own)}, got {sorted(state)}.")
        size, pairs = own["y"].shape[1], min(len(np.atleast_1d(state["rho"])), self.history_size)
        shapes = {"rho": (pairs,), "y": (pairs, size), "s": (pairs, size)}
        shapes["last"] = (2 if np.size(state["last"]) else 0, size)
        for name, array in own.items():
            expected = shapes.get(name, array.shape)
            if np.shape(state[name]) != expected:
                raise ShapeError(f"{self._name}: {name} must have the shape {expected}, got {np.shape(state[name])}.")
        steps, evaluations = int(state["step"]), int(state["evaluations"])
        if not 0 <= min(steps, evaluations) <= max(steps, evaluations) <= MOST_STEPS:
            raise ArgumentError(f"{self._name}: step must lie between 0 and {MOST_STEPS:,}, got {steps}.")
        self.lr, self.steps, self.evaluations = float(state["lr"]), steps, evaluations
        self._scale, self._length = float(state["scale"]), float(state["length"])
        y, s, last = (np.array(state[name], self._scratch.dtype) for name in ("y", "s", "last"))
        self._pairs = [Pair(*each) for each in zip(y, s, map(float, state["rho"]), strict=True)]
        self._direction, self._gradient = (last[0], last[1]) if len(last) else (None, None)

    def __repr__(self) -> str:
        return f"{self._name}(lr={self.lr}, line_search_fn={self.line_search_fn!r})"


class Pair(NamedTuple):
    """What an iteration told of the curvature: how gradient and parameters changed, (size,) each, and 1 / (y · s)."""

    y: Array
    s: Array
    rho: float


class Point(NamedTuple):
    """What is known at x + t · d: the loss, its gradient, (size,), and its slope along d."""

    t: float
    loss: float
    gradient: Array
    slope: float


class Search:
    """The search for a t by which the loss falls enough and its slope is flat enough (the strong Wolfe conditions).

        f(t) ≤ f(0) + c₁ t f′(0)    and    |f′(t)| ≤ c₂ |f′(0)|

    Args:
        at: What there is at t.
        loss: f(0).
        slope: f′(0), below 0.
        size: Of d, its greatest absolute number.
    """

    def __init__(self, at: Callable[[float], Point], loss: float, slope: float, size: float) -> None:
        self.at, self.loss, self.slope, self.size = at, loss, slope, size

    def found(self, t: float, gradient: Array, most: int, tolerance: float) -> Point:
        """The best t that at most so many tries beyond the first find, from a first one on."""
        before, point = Point(0.0, self.loss, gradient, self.slope), self.at(t)
        start = before
        tries = 0
        while tries < most:
            if self._is_high(point) or (tries > 1 and point.loss >= before.loss):
                break
            if self._is_flat(point):
                return point
            if point.slope >= 0:
                break
            t, least = point.t, point.t + 0.01 * (point.t - before.t)
            further = _cubic(before, point, least, 10 * t)
            before, point = point, self.at(further)
            tries += 1
        else:
            before = start
        return self._between(before, point, tries, most, tolerance)

    def _between(self, one: Point, other: Point, tries: int, most: int, tolerance: float) -> Point:
        """The best of an interval that holds a good one, as it shrinks."""
        ends = [one, other]
        low = int(one.loss > other.loss)  # which end is the better
        hesitant = False
        while tries < most and abs(one.t - other.t) * self.size >= tolerance:
            first, last = sorted((one.t, other.t))
            t = _cubic(one, other, first, last)
            edge = 0.1 * (last - first)
            near = min(last - t, t - first) < edge
            if near and (hesitant or t >= last or t <= first):
                t = last - edge if abs(t - last) < abs(t - first) else first + edge
                near = False
            hesitant = near
            point = self.at(t)
            tries += 1
            if self._is_high(point) or point.loss >= ends[low].loss:
                ends[1 - low] = point
                low = int(ends[0].loss > ends[1].loss)
            elif self._is_flat(point):
                return point
            else:
                if point.slope * (ends[1 - low].t - ends[low].t) >= 0:
                    ends[1 - low] = ends[low]
                ends[low] = point
            one, other = ends
        return ends[low]

    def _is_high(self, point: Point) -> bool:
        return point.loss > self.loss + ARMIJO * point.t * self.slope

    def _is_flat(self, point: Point) -> bool:
        return abs(point.slope) <= -WOLFE * self.slope


def _cubic(one: Point, other: Point, least: float, most: float) -> float:
    """Where the cubic through both, with their slopes, is least, within bounds; the middle where it is nowhere."""
    first, last = (one, other) if one.t <= other.t else (other, one)
    if first.t == last.t:
        return (least + most) / 2
    d1 = first.slope + last.slope - 3 * (first.loss - last.loss) / (first.t - last.t)
    square = d1**2 - first.slope * last.slope
    if not square >= 0:
        return (least + most) / 2
    d2 = math.sqrt(square)
    above, below = last.slope + d2 - d1, last.slope - first.slope + 2 * d2
    if below == 0:  # a line, or a parabola that opens downwards: it falls without end on one side
        return (least + most) / 2 if above == 0 else most if above < 0 else least
    return min(max(last.t - (last.t - first.t) * (above / below), least), most)


def _greatest(x: Array) -> float:
    """The greatest absolute number; NaN where there is one."""
    return float(np.abs(x).max())
