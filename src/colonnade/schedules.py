"""Schedules: how the learning rate goes with time. Names, arguments and values are those of torch.optim.lr_scheduler.

A schedule by itself is a function of the number of its steps, and of the rate that the optimizer began with: it can be
asked for any step. Each step changes the rate that it finds, as PyTorch's do: schedules of one optimizer compose, and
what else changes the rate stays felt. (`ReduceLROnPlateau` depends on what happened.) `step` is called after the
optimizer's, once a batch or once an epoch, whichever the numbers given count::

    optimizer = SGD(model.parameters(), lr=0.1)
    schedule = SequentialLR(optimizer, [LinearLR(optimizer, 0.1), CosineAnnealingLR(optimizer, 95)], milestones=[5])
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

from . import arguments
from .errors import ArgumentError


class Adjustable(Protocol):
    """What a schedule needs of an optimizer; those of `colonnade.optimizers` have it."""

    lr: float
    initial_lr: float | None


class Schedule:
    """A learning rate for every step: `rate` says which, `step` sets it.

    Args:
        optimizer: Whose rate is set, at once to that of step 0. `base_lr` is the rate that it had when the first of
            its schedules was made; another one starts from the rate that those before it have set.
        last_epoch: The last step that was taken, where a schedule is taken up again: as in PyTorch the optimizer has
            its rate already, and in `initial_lr` that which it began with. −1 to begin.

    Attributes:
        base_lr: The rate that the optimizer began with.
        steps: How many steps were taken.
    """

    # Whether a schedule that is taken up again takes the step that is due; as in PyTorch, some do and some do not.
    drops: ClassVar[bool] = False

    def __init__(self, optimizer: Adjustable, last_epoch: int = -1) -> None:
        last = arguments.whole(self._name, "last_epoch", last_epoch, -1)
        self.optimizer = require_adjustable(self._name, optimizer)
        if optimizer.initial_lr is None:
            if last >= 0:
                raise ArgumentError(f"{self._name}: last_epoch needs the optimizer's initial_lr, got None.")
            optimizer.initial_lr = optimizer.lr
        self.base_lr = self._found_lr = optimizer.initial_lr
        self.steps = last + 1
        if last < 0 or self.drops:
            self.apply()

    def rate(self, step: int, base: float) -> float:
        """The rate after so many steps of this schedule alone, for an optimizer that began with `base`."""
        raise NotImplementedError

    def follow(self, step: int, before: float, base: float) -> float:
        """The rate after so many steps, where it was `before` until this one: what chains are made of.

        By itself a schedule so makes the rates that `rate` tells. A subclass without it knows nothing of others.
        """
        return self.rate(step, base)

    def apply(self) -> None:
        """Set the rate that is due."""
        self.optimizer.lr = self.follow(self.steps, self.optimizer.lr, self.base_lr)

    def step(self) -> None:
        """Go on by one step."""
        self.steps += 1
        self.apply()

    def state_dict(self) -> dict[str, float]:
        """What the coming rates depend on beside the constructor's arguments."""
        return {"steps": self.steps, "base_lr": self.base_lr, "lr": self.optimizer.lr}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from where `state_dict` was called.

        Raises:
            ArgumentError: The state of something else.
        """
        expected = self.state_dict()
        if set(state) | {"lr"} != set(expected):  # states of before had no rate: theirs is that of the schedule alone
            raise ArgumentError(f"{self._name}: the state must hold {sorted(expected)}, got {sorted(state)}.")
        self.steps = arguments.whole(self._name, "steps", state["steps"], 0)
        self.base_lr = arguments.number(self._name, "base_lr", state["base_lr"])
        self.optimizer.lr = (
            arguments.number(self._name, "lr", state["lr"]) if "lr" in state else self.rate(self.steps, self.base_lr)
        )

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _positive(self, name: str, value: float) -> float:
        return arguments.number(self._name, name, value, above=0)

    def _count(self, name: str, value: int) -> int:
        return arguments.whole(self._name, name, value, 1)


def require_adjustable(owner: str, optimizer: Any) -> Adjustable:
    """Have a schedule be of an optimizer; raises ArgumentError."""
    if isinstance(optimizer, type) or not all(hasattr(optimizer, name) for name in ("lr", "initial_lr")):
        got = arguments.shown(optimizer) + arguments.hint(optimizer)
        raise ArgumentError(f"{owner}: optimizer must be an optimizer, got {got}.")
    adjustable: Adjustable = optimizer
    return adjustable


class StepLR(Schedule):
    """lr = base · γ^⌊t / step_size⌋.

    Args:
        optimizer: Whose rate is set.
        step_size: Steps from one drop to the next.
        gamma: γ, what is left of the rate at each.
        last_epoch: See :class:`Schedule`.

    Raises:
        ArgumentError: A number that is not positive.
    """

    drops = True

    def __init__(self, optimizer: Adjustable, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size, self.gamma = self._count("step_size", step_size), self._positive("gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def rate(self, step: int, base: float) -> float:
        """The rate after so many steps."""
        return base * self.gamma ** (step // self.step_size)

    def follow(self, step: int, before: float, base: float) -> float:
        """The rate after so many steps, from that before."""
        return before if step == 0 or step % self.step_size else before * self.gamma


class MultiStepLR(Schedule):
    """lr = base · γ^(the number of milestones that are past).

    Args:
        optimizer: Whose rate is set.
        milestones: The steps at which the rate drops; one given twice counts twice.
        gamma: γ, what is left of the rate at each.
        last_epoch: See :class:`Schedule`.

    Raises:
        ArgumentError: Milestones that are no whole numbers, or γ that is not positive.
    """

    drops = True

    def __init__(
        self, optimizer: Adjustable, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        given = list(milestones) if isinstance(milestones, Iterable) else milestones
        self.milestones = sorted(arguments.wholes("MultiStepLR", "milestones", given))
        self.gamma = self._positive("gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def rate(self, step: int, base: float) -> float:
        """The rate after so many steps."""
        return base * self.gamma ** bisect_right(self.milestones, step)

    def follow(self, step: int, before: float, base: float) -> float:
        """The rate after so many steps, from that before."""
        return before * self.gamma ** self.milestones.count(step)


class ExponentialLR(Schedule):
    """lr = base · γᵗ.

    Args:
        optimizer: Whose rate is set.
        gamma: γ, what is left of the rate after each step.
        last_epoch: See :class:`Schedule`.

    Raises:
        ArgumentError: γ that is not positive.
    """

    def __init__(self, optimizer: Adjustable, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = self._positive("gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def rate(self, step: int, base: float) -> float:
        """The rate after so many steps."""
        return float(base * self.gamma**step)

    def follow(self, step: int, before: float, base: float) -> float:
        """The rate after so many steps, from that before."""
        return before * self.gamma if step else before


class LinearLR(Schedule):
    """lr = base · (s + (e − s) · min(t / T, 1)): a warm-up.

    Args:
        optimizer: Whose rate is set.
        start_factor: s, the share of the rate at step 0.
        end_factor: e, the share from step T on.
        total_iters: T.
        last_epoch: See :class:`Schedule`.

    Raises:
        ArgumentError: s outside of (0, 1], e outside of [0, 1], or T that is not positive.
    """

    def __init__(
        self,
        optimizer: Adjustable,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor = arguments.number("LinearLR", "start_factor", start_factor, above=0, most=1)
        self.end_factor = arguments.number("LinearLR", "end_factor", end_factor, 0, 1)
        self.total_iters = self._count("total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def rate(self, step: int, base: float) -> float:
        """The rate after so many steps."""
        return base * self._factor(step)

    def follow(self, step: int, before: float, base: float) -> float:
        """The rate after so many steps, from that before."""
        if step > self.total_iters:
            return before
        return before * self._factor(step) / (self._factor(step - 1) if step else 1.0)

    def _factor(self, step: int) -> float:
        share = min(step / self.total_iters, 1.0)
        return self.start_factor + (self.end_factor - self.start_factor) * share


class CosineAnnealingLR(Schedule):
    """lr = η + ½ (base − η) (1 + cos(π t / T)): half a wave, from base down to η; beyond T it rises again.

    Args:
        optimizer: Whose rate is set.
        T_max: T, steps to the bottom.
        eta_min: η, the rate there.
        last_epoch: See :class:`Schedule`.

    Raises:
        ArgumentError: T that is not positive, or a negative η.

    Loshchilov and Hutter 2017, SGDR, arXiv:1608.03983, without its restarts.
    """

    def __init__(
        self,
        optimizer: Adjustable,
        T_max: int,  # noqa: N803 - PyTorch's name
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_max = self._count("T_max", T_max)
        self.eta_min = arguments.number("CosineAnnealingLR", "eta_min", eta_min, 0)
        super().__init__(optimizer, last_epoch)

    def rate(self, step: int, base: float) -> float:
        """The rate after so many steps."""
        return self.eta_min + (base - self.eta_min) * self._height(step)

    def follow(self, step: int, before: float, base: float) -> float:
        """The rate after so many steps, from that before: the wave's height goes with it, but for the bottom."""
        if step == 0:
            return before
        if (step - 1 - self.T_max) % (2 * self.T_max) == 0:  # from the bottom, where nothing is left to go with
            return before + (base - self.eta_min) * self._height(step)
        return self.eta_min + (before - self.eta_min) * self._height(step) / self._height(step - 1)

    def _height(self, step: int) -> float:
        return (1 + math.cos(math.pi * step / self.T_max)) / 2


class OneCycleLR(Schedule):
    """Up from max_lr / div_factor to max_lr, then down to far below: one cycle, momentum going the other way.

    Args:
        optimizer: Whose rate, and momentum or first beta, is set. The rate it began with plays no part; schedules that
            are made after this one take its first rate for the one that the optimizer began with.
        max_lr: The rate at the top.
        total_steps: Steps of the whole cycle.
        epochs: With `steps_per_epoch`, another way to say how many.
        steps_per_epoch: Steps an epoch.
        pct_start: Share of the steps that go up.
        anneal_strategy: "cos" or "linear": the shape of both ways.
        cycle_momentum: Whether the momentum goes from `max_momentum` down to `base_momentum` and back.
        base_momentum: The momentum at the top.
        max_momentum: The momentum at both ends.
        div_factor: How many times smaller than the greatest rate the first is.
        final_div_factor: How many times smaller than the first rate the last is.
        three_phase: Go down to the first rate as fast as up, and from there on to the last.
        last_epoch: See :class:`Schedule`.

    Raises:
        ArgumentError: Numbers out of range, no number of steps, momentum to cycle and an optimizer without, or a step
            beyond the last.

    Smith and Topin 2018, Super-convergence, arXiv:1708.07120.
    """

    drops = True

    def __init__(
        self,
        optimizer: Adjustable,
        max_lr: float,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 10000.0,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        name = "OneCycleLR"
        epochs = None if epochs is None else self._count("epochs", epochs)
        steps_per_epoch = None if steps_per_epoch is None else self._count("steps_per_epoch", steps_per_epoch)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ArgumentError(
                    f"OneCycleLR: expected total_steps, or epochs and steps_per_epoch, "
                    f"got epochs={epochs}, steps_per_epoch={steps_per_epoch}."
                )
            total_steps = epochs * steps_per_epoch
        pct_start = arguments.number(name, "pct_start", pct_start, 0, 1)
        self.anneal_strategy = arguments.choice(name, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        self.max_lr, self.total_steps = self._positive("max_lr", max_lr), self._count("total_steps", total_steps)
        max_lr, total_steps = self.max_lr, self.total_steps
        div_factor = self._positive("div_factor", div_factor)
        final_div_factor = self._positive("final_div_factor", final_div_factor)
        momenta = (
            arguments.number(name, "max_momentum", max_momentum, 0, below=1),
            arguments.number(name, "base_momentum", base_momentum, 0, below=1),
        )
        self.momentum = momenta if arguments.flag(name, "cycle_momentum", cycle_momentum) else None
        require_adjustable(name, optimizer)
        if self.momentum and not (getattr(optimizer, "momentum", 0) or hasattr(optimizer, "betas")):
            raise ArgumentError(f"OneCycleLR: cycle_momentum needs an optimizer with momentum, got {optimizer!r}.")
        first = max_lr / div_factor
        last = first / final_div_factor
        top = pct_start * total_steps - 1
        # The end of each phase, with the rates it goes between, and how far the momentum is from its greatest.
        self.phases: list[tuple[float, float, float, float, float]] = [(top, first, max_lr, 0.0, 1.0)]
        if arguments.flag(name, "three_phase", three_phase):
            self.phases.append((2 * top, max_lr, first, 1.0, 0.0))
            self.phases.append((total_steps - 1, first, last, 0.0, 0.0))
        else:
            self.phases.append((total_steps - 1, max_lr, last, 1.0, 0.0))
        optimizer.initial_lr = first
        super().__init__(optimizer, last_epoch)

    def _at(self, step: int, low: int) -> float:
        """What goes from entry `low` of a phase to the one behind it, at a step."""
        if step > self.total_steps:
            raise ArgumentError(f"OneCycleLR: the cycle has {self.total_steps} steps, got step {step}.")
        start = 0.0
        for phase in self.phases:
            if step <= phase[0] or phase is self.phases[-1]:
                # A phase may have no length; and the step behind the last batch stays at the end of the cycle.
                share = min((step - start) / (phase[0] - start), 1.0) if phase[0] > start else 1.0
                if self.anneal_strategy == "cos":
                    share = (1 - math.cos(math.pi * share)) / 2
                return phase[low] + (phase[low + 1] - phase[low]) * share
            start = phase[0]
        raise AssertionError("a step is in some phase")

    def rate(self, step: int, base: float) -> float:
        """The rate after so many steps, whatever it was before."""
        return self._at(step, 1)

    def apply(self) -> None:
        """Set the rate that is due, and the momentum."""
        super().apply()
        self._set_momentum()

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from where `state_dict` was called, with the momentum that is due there."""
        super().load_state_dict(state)
        self._set_momentum()

    def _set_momentum(self) -> None:
        if self.momentum is None:
            return
        greatest, least = self.momentum
        momentum = greatest + (least - greatest) * self._at(self.steps, 3)
        optimizer: Any = self.optimizer
        if hasattr(optimizer, "betas"):
            optimizer.betas = (momentum, *optimizer.betas[1:])
        else:
            optimizer.momentum = momentum


class Composition(Schedule):
    """What ChainedScheduler and SequentialLR share: schedules of one optimizer, none of which takes steps by itself."""

    def __init__(self, optimizer: Adjustable | None, schedulers: Sequence[Schedule]) -> None:
        if not arguments.is_sequence(schedulers) or not len(schedulers):
            got = arguments.shown(schedulers) if schedulers else "an empty list"
            raise ArgumentError(f"{self._name}: expected schedules, got {got}.")
        for each in schedulers:
            arguments.instance(self._name, "each of schedulers", each, Schedule, "a schedule of steps")
        of = schedulers[0].optimizer if optimizer is None else require_adjustable(self._name, optimizer)
        if any(schedule.optimizer is not of for schedule in schedulers):
            raise ArgumentError(f"{self._name}: expected schedules of one optimizer, got them of several.")
        if any(isinstance(schedule, OneCycleLR) and schedule.momentum for schedule in schedulers):
            raise ArgumentError(
                f"{self._name}: only rates compose, expected OneCycleLR with cycle_momentum=False, got True."
            )
        self.schedulers = list(schedulers)
        super().__init__(of)

    def base_of(self, schedule: Schedule, base: float) -> float:
        """What a schedule takes for the rate at the beginning: `base`, unless OneCycleLR came between it and this."""
        return base if schedule.base_lr == self._found_lr else schedule.base_lr


class ChainedScheduler(Composition):
    """Schedules one upon another: in each step each changes the rate that the one before has left.

    With factors, such as a warm-up and a decay, that is their product.

    Args:
        schedulers: In their order, that in which they were made; all of one optimizer.
        optimizer: That optimizer; needless.

    Raises:
        ArgumentError: No schedules, or of several optimizers.
    """

    def __init__(self, schedulers: Sequence[Schedule], optimizer: Adjustable | None = None) -> None:
        super().__init__(optimizer, schedulers)

    def rate(self, step: int, base: float) -> float:
        """The rate after so many steps: by way of all of them."""
        rate = base
        for each in range(step + 1):
            rate = self.follow(each, rate, base)
        return rate

    def follow(self, step: int, before: float, base: float) -> float:
        """The rate after so many steps, from that before."""
        for schedule in self.schedulers:
            before = schedule.follow(step, before, self.base_of(schedule, base))
        return before

    def apply(self) -> None:
        """Set the rate that is due; that of step 0 its schedules have set when they were made."""
        if self.steps:
            super().apply()


class SequentialLR(Composition):
    """Schedules one after another: each starts from its own step 0 at its milestone.

    Args:
        optimizer: Whose rate is set.
        schedulers: In their order.
        milestones: The step at which the second begins, the third, and so on.
        last_epoch: −1: a sequence is taken up again by `load_state_dict`.

    Raises:
        ArgumentError: Schedules of another optimizer, or not one milestone less than schedules, in rising order.
    """

    def __init__(
        self, optimizer: Adjustable, schedulers: Sequence[Schedule], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        if arguments.whole("SequentialLR", "last_epoch", last_epoch) != -1:
            arguments.unsupported("SequentialLR", "use load_state_dict", last_epoch=(last_epoch, -1))
        # What is no optimizer and no list the base says better.
        count = len(schedulers) if arguments.is_sequence(schedulers) else 1
        self.milestones = list(arguments.wholes("SequentialLR", "milestones", milestones))
        if len(self.milestones) != count - 1 or sorted(self.milestones) != self.milestones:
            raise ArgumentError(
                f"SequentialLR: expected milestones between {count} schedules, in rising order, got {self.milestones}."
            )
        super().__init__(require_adjustable(self._name, optimizer), schedulers)

    def rate(self, step: int, base: float) -> float:
        """The rate after so many steps."""
        schedule, own = self._due(step)
        return schedule.rate(own, self.base_of(schedule, base))

    def follow(self, step: int, before: float, base: float) -> float:
        """The rate after so many steps, from that before; at a milestone, and at first, from the beginning's."""
        schedule, own = self._due(step)
        if step == 0:
            return schedule.follow(0, base, base)
        at = self.base_of(schedule, base)
        return schedule.rate(0, at) if own == 0 else schedule.follow(own, before, at)

    def _due(self, step: int) -> tuple[Schedule, int]:
        """The schedule whose turn it is, and its own step."""
        number = bisect_right(self.milestones, step)
        return self.schedulers[number], step - (self.milestones[number - 1] if number else 0)


class ReduceLROnPlateau:
    """lr ← max(factor · lr, min_lr) when a measure has not become better for more than `patience` steps.

    Args:
        optimizer: Whose rate is set.
        mode: "min" where less is better, such as a loss, "max" where more is.
        factor: What is left of the rate.
        patience: Steps without anything better that are borne.
        threshold: By how much a measure must be better to count.
        threshold_mode: "rel": as a share of the best; "abs": as a difference from it.
        cooldown: Steps after a drop in which nothing is counted.
        min_lr: The least rate.
        eps: A drop by no more than this is not made.

    Attributes:
        best: The best measure so far.
        bad_steps: Steps since then.

    Raises:
        ArgumentError: A factor that is not below 1, or another mode.
    """

    def __init__(
        self,
        optimizer: Adjustable,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float = 0,
        eps: float = 1e-8,
    ) -> None:
        name = "ReduceLROnPlateau"
        self.optimizer = require_adjustable(name, optimizer)
        self.mode = arguments.choice(name, "mode", mode, ("min", "max"))
        self.factor = arguments.number(name, "factor", factor, 0, below=1)
        self.patience = arguments.whole(name, "patience", patience, 0)
        self.threshold = arguments.number(name, "threshold", threshold)
        self.threshold_mode = arguments.choice(name, "threshold_mode", threshold_mode, ("rel", "abs"))
        self.cooldown = arguments.whole(name, "cooldown", cooldown, 0)
        self.min_lr = arguments.number(name, "min_lr", min_lr, 0)
        self.eps = arguments.number(name, "eps", eps, 0)
        self.best = math.inf if mode == "min" else -math.inf
        self.bad_steps = 0
        self.resting = 0  # steps of the cooldown that are left

    def step(self, metrics: float) -> None:
        """Take note of a measure, and drop the rate if it is time."""
        if self._better(metrics):
            self.best = float(metrics)
            self.bad_steps = 0
        else:
            self.bad_steps += 1
        if self.resting > 0:
            self.resting -= 1
            self.bad_steps = 0
        if self.bad_steps > self.patience:
            self.resting = self.cooldown
            self.bad_steps = 0
            rate = max(self.optimizer.lr * self.factor, self.min_lr)
            if self.optimizer.lr - rate > self.eps:
                self.optimizer.lr = rate

    def _better(self, measure: float) -> bool:
        if self.mode == "min":
            bound = self.best * (1 - self.threshold) if self.threshold_mode == "rel" else self.best - self.threshold
            return measure < bound
        bound = self.best * (1 + self.threshold) if self.threshold_mode == "rel" else self.best + self.threshold
        return measure > bound

    def state_dict(self) -> dict[str, float]:
        """What the coming rates depend on beside the constructor's arguments and the optimizer's present rate."""
        return {"best": self.best, "bad_steps": self.bad_steps, "resting": self.resting}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from where `state_dict` was called.

        Raises:
            ArgumentError: The state of something else.
        """
        if set(state) != set(self.state_dict()):
            raise ArgumentError(
                f"ReduceLROnPlateau: the state must hold {sorted(self.state_dict())}, got {sorted(state)}."
            )
        self.best = arguments.number("ReduceLROnPlateau", "best", state["best"], finite=False)
        self.bad_steps, self.resting = (
            arguments.whole("ReduceLROnPlateau", name, state[name], 0) for name in ("bad_steps", "resting")
        )
