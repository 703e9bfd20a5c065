"""The schedules against closed forms and torch.optim.lr_scheduler."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from colonnade import schedules
from colonnade.errors import ArgumentError
from colonnade.initializers import zeros
from colonnade.optimizers import SGD, Adam, Optimizer
from colonnade.schedules import (
    ChainedScheduler,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    Schedule,
    SequentialLR,
    StepLR,
)
from colonnade.tensor import Parameter

BASE = 0.3
STEPS = 24

# The name in torch.optim.lr_scheduler, and its arguments.
CASES: list[tuple[str, dict[str, Any]]] = [
    ("StepLR", {"step_size": 5}),
    ("StepLR", {"step_size": 7, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [3, 10, 10, 17], "gamma": 0.4}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.01, "end_factor": 0.6, "total_iters": 11}),
    ("CosineAnnealingLR", {"T_max": 23}),
    ("CosineAnnealingLR", {"T_max": 9, "eta_min": 0.05}),
]
CYCLES: list[dict[str, Any]] = [
    {"total_steps": STEPS},
    {"epochs": 4, "steps_per_epoch": 6, "pct_start": 0.5, "anneal_strategy": "linear"},
    {"total_steps": STEPS, "three_phase": True, "div_factor": 10.0, "final_div_factor": 100.0},
    {"total_steps": STEPS, "three_phase": True, "anneal_strategy": "linear", "cycle_momentum": False},
    {"total_steps": STEPS, "pct_start": 0.0, "base_momentum": 0.5, "max_momentum": 0.9},
]


def optimizer(lr: float = BASE, **arguments: Any) -> SGD:
    return SGD([Parameter((1,), zeros)], lr=lr, **arguments)


def rates(schedule: Schedule, steps: int = STEPS) -> list[float]:
    seen = [schedule.optimizer.lr]
    for _ in range(steps - 1):
        schedule.step()
        seen.append(schedule.optimizer.lr)
    return seen


def torch_optimizer(torch: Any, kind: str = "SGD", **arguments: Any) -> Any:
    return getattr(torch.optim, kind)([torch.nn.Parameter(torch.zeros(1))], lr=BASE, **arguments)


def torch_rates(theirs: Any, schedule: Any, steps: int = STEPS) -> list[float]:
    seen = [theirs.param_groups[0]["lr"]]
    for _ in range(steps - 1):
        theirs.step()
        schedule.step()
        seen.append(theirs.param_groups[0]["lr"])
    return seen


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_rates_are_those_of_pytorch(name: str, arguments: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = torch_optimizer(torch)
    expected = torch_rates(theirs, getattr(torch.optim.lr_scheduler, name)(theirs, **arguments))
    np.testing.assert_allclose(rates(getattr(schedules, name)(optimizer(), **arguments)), expected, rtol=1e-12)


@pytest.mark.parametrize("arguments", CYCLES, ids=str)
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_rates_and_momentum_of_one_cycle_are_those_of_pytorch(kind: str, arguments: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    momentum = {"momentum": 0.9} if kind == "SGD" else {}
    theirs = torch_optimizer(torch, kind, **momentum)
    ours: Optimizer = optimizer(**momentum) if kind == "SGD" else Adam([Parameter((1,), zeros)], lr=BASE)
    their_schedule = torch.optim.lr_scheduler.OneCycleLR(theirs, max_lr=0.7, **arguments)
    schedule = OneCycleLR(ours, max_lr=0.7, **arguments)
    for _ in range(STEPS - 1):
        group = theirs.param_groups[0]
        assert ours.lr == pytest.approx(group["lr"], rel=1e-12)
        if isinstance(ours, SGD):
            assert ours.momentum == pytest.approx(group["momentum"], rel=1e-12)
        else:
            assert ours.betas == pytest.approx(group["betas"], rel=1e-12)
        theirs.step()
        their_schedule.step()
        schedule.step()


def test_a_warm_up_and_a_decay_compose_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    of = torch.optim.lr_scheduler
    theirs, ours = torch_optimizer(torch), optimizer()
    expected = torch_rates(
        theirs, of.ChainedScheduler([of.LinearLR(theirs, 0.1, total_iters=4), of.ExponentialLR(theirs, 0.9)])
    )
    chained = ChainedScheduler([LinearLR(ours, 0.1, total_iters=4), ExponentialLR(ours, 0.9)])
    np.testing.assert_allclose(rates(chained), expected, rtol=1e-12)


# PyTorch's own: it hands its schedules a step number, and warns that one should not.
@pytest.mark.filterwarnings("ignore:The epoch parameter in .scheduler.step:UserWarning")
def test_schedules_follow_one_another_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    of = torch.optim.lr_scheduler
    theirs, ours = torch_optimizer(torch), optimizer()
    parts = [of.LinearLR(theirs, 0.1, total_iters=5), of.CosineAnnealingLR(theirs, 10), of.StepLR(theirs, 4)]
    expected = torch_rates(theirs, of.SequentialLR(theirs, parts, milestones=[5, 14]))
    sequence = SequentialLR(
        ours, [LinearLR(ours, 0.1, total_iters=5), CosineAnnealingLR(ours, 10), StepLR(ours, 4)], milestones=[5, 14]
    )
    np.testing.assert_allclose(rates(sequence), expected, rtol=1e-12)


Tree = tuple[str, Any]  # the name of a schedule, and its arguments, or trees and milestones


def random_schedule(rng: random.Random, cycles: bool = True) -> Tree:
    names = ["StepLR", "MultiStepLR", "ExponentialLR", "LinearLR", "CosineAnnealingLR", *(["OneCycleLR"] * cycles)]
    name = rng.choice(names)
    arguments: dict[str, Any] = {
        "StepLR": {"step_size": rng.randint(1, 9), "gamma": rng.uniform(0.3, 1.2)},
        "MultiStepLR": {"milestones": rng.choices(range(31), k=rng.randint(0, 4)), "gamma": rng.uniform(0.3, 1.2)},
        "ExponentialLR": {"gamma": rng.uniform(0.8, 1.05)},
        "LinearLR": {
            "start_factor": rng.uniform(0.01, 1),
            "end_factor": rng.choice([0.0, rng.random(), 1.0]),
            "total_iters": rng.randint(1, 30),
        },
        "CosineAnnealingLR": {"T_max": rng.randint(1, 30), "eta_min": rng.choice([0.0, rng.uniform(0, 0.2)])},
        "OneCycleLR": {"max_lr": rng.uniform(0.1, 1), "total_steps": 50, "cycle_momentum": False},
    }[name]
    return name, arguments


def random_tree(rng: random.Random, depth: int = 2) -> Tree:
    """Chains of chains, of sequences and of schedules; in a sequence PyTorch itself can have schedules alone."""
    if depth == 0 or rng.random() < 0.2:
        return random_schedule(rng)
    if rng.random() < 0.6:
        return "ChainedScheduler", [random_tree(rng, depth - 1) for _ in range(rng.randint(1, 4))]
    parts = [random_schedule(rng) for _ in range(rng.randint(1, 4))]
    return "SequentialLR", (parts, sorted(rng.sample(range(1, 30), len(parts) - 1)))


def grown(library: Any, tree: Tree, of: Any) -> Any:
    name, arguments = tree
    if name == "ChainedScheduler":
        return library.ChainedScheduler([grown(library, each, of) for each in arguments])
    if name == "SequentialLR":
        return library.SequentialLR(of, [grown(library, each, of) for each in arguments[0]], arguments[1])
    return getattr(library, name)(of, **arguments)


# PyTorch's own: it hands its schedules a step number, and warns that one should not.
@pytest.mark.filterwarnings("ignore:The epoch parameter in .scheduler.step:UserWarning")
def test_random_chains_and_sequences_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    compared = 0
    for seed in range(400):
        tree = random_tree(random.Random(seed))
        if str(tree).count("OneCycleLR") > 1:  # PyTorch's share their numbers, by way of the optimizer
            continue
        theirs, ours = torch_optimizer(torch), optimizer()
        expected = torch_rates(theirs, grown(torch.optim.lr_scheduler, tree, theirs), 45)
        if min(expected) < 0:  # which our optimizers refuse
            continue
        np.testing.assert_allclose(
            rates(grown(schedules, tree, ours), 45), expected, rtol=1e-10, atol=1e-15, err_msg=str(tree)
        )
        compared += 1
    assert compared > 300


def test_schedules_that_take_turns_by_hand_compose_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    of = torch.optim.lr_scheduler
    for seed in range(50):
        rng = random.Random(seed)
        trees = [random_schedule(rng, cycles=False) for _ in range(3)]
        theirs, ours = torch_optimizer(torch), optimizer()
        their_parts, parts = (
            [grown(library, tree, o) for tree in trees] for library, o in ((of, theirs), (schedules, ours))
        )
        their_parts.append(of.ReduceLROnPlateau(theirs, patience=3, factor=0.5))
        parts.append(ReduceLROnPlateau(ours, patience=3, factor=0.5))
        for _ in range(30):
            assert ours.lr == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-10, abs=1e-15), trees
            theirs.step()
            for *steps, plateau in (their_parts, parts):
                if theirs.param_groups[0]["lr"] >= 0:  # beyond, our optimizers refuse
                    for each in steps:
                        each.step()
                    plateau.step(1.0)
            if theirs.param_groups[0]["lr"] < 0:
                break


def test_the_rate_at_any_step_is_the_one_that_steps_lead_to() -> None:
    for seed in range(60):
        tree = random_tree(random.Random(seed))
        if "OneCycleLR" in str(tree):  # it gives those before it another rate to begin with
            continue
        schedule = grown(schedules, tree, optimizer())
        alone = [schedule.rate(step, schedule.base_lr) for step in range(20)]
        if min(alone) >= 0:
            np.testing.assert_allclose(rates(schedule, 20), alone, rtol=1e-10, atol=1e-15)


def test_a_loaded_chain_goes_on_where_it_was() -> None:
    for seed in range(20):
        tree = random_tree(random.Random(seed))
        first, second, whole = (grown(schedules, tree, optimizer()) for _ in range(3))
        if min(expected := rates(whole)) < 0:
            continue
        rates(first, 10)
        second.load_state_dict(first.state_dict())
        assert rates(second, STEPS - 9) == expected[9:]


def test_a_state_without_a_rate_means_that_of_the_schedule_alone() -> None:
    schedule = StepLR(optimizer(99.0), 2, 0.5)
    schedule.load_state_dict({"steps": 4, "base_lr": 1.0})
    assert schedule.optimizer.lr == 0.25


@pytest.mark.parametrize(
    "arguments",
    [
        {"patience": 2},
        {"patience": 0, "factor": 0.5, "min_lr": 0.06, "cooldown": 2},
        {"mode": "max", "patience": 1, "threshold": 0.2},
        {"patience": 1, "threshold": 0.3, "threshold_mode": "abs"},
        {"mode": "max", "patience": 1, "threshold": 0.3, "threshold_mode": "abs", "eps": 0.01},
    ],
    ids=str,
)
def test_the_rate_drops_on_a_plateau_as_in_pytorch(arguments: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs, ours = torch_optimizer(torch), optimizer()
    their_schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **arguments)
    schedule = ReduceLROnPlateau(ours, **arguments)
    dropped = False
    for measure in np.random.default_rng(0).normal(size=40) / np.arange(1, 41):
        their_schedule.step(measure)
        schedule.step(measure)
        assert ours.lr == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-12)
        dropped = dropped or ours.lr < BASE
    assert dropped


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
@pytest.mark.parametrize("last", [0, 4, 16])
def test_a_schedule_goes_on_from_the_last_epoch_as_in_pytorch(name: str, arguments: dict[str, Any], last: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs, ours = torch_optimizer(torch), optimizer()
    for group in theirs.param_groups:
        group["initial_lr"] = 2 * BASE
    ours.initial_lr = 2 * BASE
    their_schedule = getattr(torch.optim.lr_scheduler, name)(theirs, **arguments, last_epoch=last)
    schedule = getattr(schedules, name)(ours, **arguments, last_epoch=last)
    assert schedule.steps == last + 1
    np.testing.assert_allclose(rates(schedule, 6), torch_rates(theirs, their_schedule, 6), rtol=1e-12)


def test_one_cycle_ends_at_the_last_rate_and_stays_there_behind_the_last_batch() -> None:
    schedule = OneCycleLR(optimizer(), 1.0, 10, anneal_strategy="linear", cycle_momentum=False)
    seen = rates(schedule, 11)
    assert max(seen) == pytest.approx(1.0)
    assert seen[9] == seen[10] == pytest.approx(1 / 25 / 1e4)
    with pytest.raises(ArgumentError, match=r"^OneCycleLR: the cycle has 10 steps, got step 11\.$"):
        schedule.step()


def test_a_cosine_is_half_way_down_in_the_middle() -> None:
    schedule = CosineAnnealingLR(optimizer(1.0), 10, eta_min=0.5)
    assert [schedule.rate(step, 1.0) for step in (0, 5, 10)] == pytest.approx([1, 0.75, 0.5])


def test_schedules_of_one_optimizer_start_from_the_rate_it_had_before_them() -> None:
    ours = optimizer(0.8)
    LinearLR(ours, 0.5)
    assert ours.lr == 0.4
    assert StepLR(ours, 3).base_lr == 0.8


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_a_loaded_schedule_goes_on_where_it_was(name: str, arguments: dict[str, Any]) -> None:
    expected = rates(getattr(schedules, name)(optimizer(), **arguments))
    first = getattr(schedules, name)(optimizer(), **arguments)
    rates(first, 10)
    second = getattr(schedules, name)(optimizer(99.0), **arguments)
    second.load_state_dict(first.state_dict())
    assert rates(second, STEPS - 9) == expected[9:]


def test_a_loaded_plateau_goes_on_where_it_was() -> None:
    measures = [1.0, 0.9, 0.95, 0.93, 0.92, 0.91, 0.94]
    first, second = (ReduceLROnPlateau(optimizer(), patience=2) for _ in range(2))
    for measure in measures[:4]:
        first.step(measure)
    second.load_state_dict(first.state_dict())
    for measure in measures[4:]:
        first.step(measure)
        second.step(measure)
    assert second.optimizer.lr == first.optimizer.lr < BASE
    assert second.state_dict() == first.state_dict()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: StepLR(o, 0), r"StepLR: step_size must be positive, got 0\."),
        (lambda o: MultiStepLR(o, [1], -1), r"MultiStepLR: gamma must be positive, got -1\."),
        (lambda o: ExponentialLR(o, 0), r"ExponentialLR: gamma must be positive, got 0\."),
        (lambda o: LinearLR(o, 0), r"LinearLR: start_factor must be above 0 and at most 1, got 0\."),
        (lambda o: LinearLR(o, 1, 2), r"LinearLR: end_factor must lie between 0 and 1, got 2\."),
        (lambda o: CosineAnnealingLR(o, 0), r"CosineAnnealingLR: T_max must be positive, got 0\."),
        (lambda o: CosineAnnealingLR(o, 5, -1), r"CosineAnnealingLR: eta_min must be zero or more, got -1\."),
        (
            lambda o: OneCycleLR(o, 1, epochs=3),
            r"OneCycleLR: expected total_steps, or epochs and steps_per_epoch, got epochs=3, steps_per_epoch=None\.",
        ),
        (lambda o: OneCycleLR(o, 1, 9, pct_start=2), r"OneCycleLR: pct_start must lie between 0 and 1, got 2\."),
        (
            lambda o: OneCycleLR(o, 1, 9, anneal_strategy="step"),
            r"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got 'step'\.",
        ),
        (
            lambda o: OneCycleLR(o, 1, 9),
            r"OneCycleLR: cycle_momentum needs an optimizer with momentum, got SGD\(.*\)\.",
        ),
        (lambda o: ChainedScheduler([]), r"ChainedScheduler: expected schedules, got an empty list\."),
        (
            lambda o: ChainedScheduler([StepLR(o, 1), StepLR(optimizer(), 1)]),
            r"ChainedScheduler: expected schedules of one optimizer, got them of several\.",
        ),
        (
            lambda o: SequentialLR(o, [StepLR(o, 1), StepLR(o, 1)], [3, 4]),
            r"SequentialLR: expected milestones between 2 schedules, in rising order, got \[3, 4\]\.",
        ),
        (
            lambda o: ReduceLROnPlateau(o, factor=1),
            r"ReduceLROnPlateau: factor must be at least 0 and below 1, got 1\.",
        ),
        (lambda o: ReduceLROnPlateau(o, "least"), r"ReduceLROnPlateau: mode must be 'min' or 'max', got 'least'\."),
        (
            lambda o: StepLR(o, 1).load_state_dict({"best": 1}),
            r"StepLR: the state must hold \['base_lr', 'lr', 'steps'\], got \['best'\]\.",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{message}$"):
        make(optimizer())


def test_only_rates_compose() -> None:
    with_momentum = optimizer(momentum=0.9)
    cycle = OneCycleLR(with_momentum, 1, 9)
    message = r"^SequentialLR: only rates compose, expected OneCycleLR with cycle_momentum=False, got True\.$"
    with pytest.raises(ArgumentError, match=message):
        SequentialLR(with_momentum, [LinearLR(with_momentum), cycle], [5])
    assert math.isclose(with_momentum.lr, 1 / 25 / 3)  # the first rate of the cycle, a third of it
