"""The learning-rate range test: which rates a model learns with, found in a few steps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..arguments import number, whole
from ..data.batches import Normalization
from ..data.loader import Augmentation
from ..data.parallel import loader_for
from ..data.pixels import Scale
from ..errors import ArgumentError
from . import arguments
from .protocols import Inputs, Learner, Objective, Targets, Trainable, Weights
from .records import mean_of, measure

if TYPE_CHECKING:
    from ..data.examples import Examples

SMOOTHING = 0.8  # how much less a loss counts from step to step
BLOWN_UP = 4.0  # times the least mean of the losses: nothing is to be learned beyond
SAFETY = 10.0  # how far the suggestion stays below the rate of the least loss


class RangeTest(NamedTuple):
    """What `learning_rate_range_test` found.

    Attributes:
        rates: The learning rate of each step, rising.
        losses: The mean of the losses about that step, the nearest counting most.
        suggested: A tenth of the rate at which the loss was least: for the top of a schedule, or a constant rate.
    """

    rates: list[float]
    losses: list[float]
    suggested: float


def learning_rate_range_test(
    model: Trainable,
    x: Inputs | Examples,
    y: Targets | None = None,
    *,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
    batch_size: int = 128,
    optimizer: str | Learner | None = None,
    loss: Objective = None,
    loss_weights: Weights = None,
    seed: int | None = None,
    normalization: Normalization | None = None,
    augmentation: str | Augmentation | None = None,
) -> RangeTest:
    """Train for a few steps with a rate that rises from step to step, and see where the loss falls and where it bursts.

        rate = low · (high / low)^(step / (steps − 1))

    The model and the optimizer are as they were, bit for bit, when it is done. It ends early where the loss has burst.

    Args:
        model: Built from the shape of x if it is not yet.
        x: Images, as for `fit`.
        y: Targets, likewise.
        low: The first rate.
        high: The last.
        steps: How many.
        batch_size: Images in a step.
        optimizer: By default AdamW.
        loss: By default `CrossEntropyLoss()`.
        loss_weights: Of the losses of several outputs, as for `fit`.
        seed: Of the order; by default the model's.
        normalization: By default the model's own.
        augmentation: As for `fit`.

    Raises:
        ArgumentError: Numbers out of range, no images, or a loss that never was finite.
        ShapeError: Targets of another number than the images, or images that do not fit the model.

    Smith 2015, Cyclical learning rates for training neural networks, arXiv:1506.01186, section 3.3.
    """
    who = "learning_rate_range_test"
    steps, batch_size = whole(who, "steps", steps, 1), whole(who, "batch_size", batch_size, 1)
    low, high = number(who, "low", low, above=0), number(who, "high", high, above=0)
    seed = model.seed if seed is None else whole(who, "seed", seed, 0, long=True)
    if not low < high or steps < 2:
        raise ArgumentError(f"{who}: expected low < high and at least 2 steps, got {low} to {high} in {steps}.")
    criterion = arguments.objective(who, model, loss, loss_weights)
    given = arguments.given(who, model, x, y, criterion, model.classes)
    loader = loader_for(given)(
        given,
        batch_size,
        dtype=model.dtype,
        normalization=model.normalization if normalization is None else normalization,
        augmentation=arguments.augmenter(who, augmentation),
        seed=seed,
        scale=Scale(who, getattr(model, "pixels", None), learns=True),
    )
    arguments.require_fit(who, model, given, criterion)
    learner = arguments.learner(who, optimizer, model)
    weights, state, place = model.state_dict(), learner.state_dict(), model.position
    rates: list[float] = []
    losses: list[float] = []
    mean, least, epoch = 0.0, math.inf, 0
    try:
        while len(rates) < steps:
            epoch += 1
            for step, batch in enumerate(loader.epoch(epoch), 1):
                learner.lr = low * (high / low) ** (len(rates) / (steps - 1))
                model.position = (epoch, step)
                with np.errstate(over="ignore", invalid="ignore"):
                    outputs, seen = model(batch.x, training=True), mean_of(criterion)
                    measured = measure(criterion, outputs, batch.targets)
                    if not measured.weight:
                        continue
                    seen.add(measured, outputs, batch.targets)
                    value = seen.loss
                    if not math.isfinite(value) or value > BLOWN_UP * least:
                        return _found(rates, losses)
                    model.zero_grad()
                    model.backward(measured.gradient, input_gradient=False)
                    learner.step()
                rates.append(learner.lr)
                losses.append(value)
                mean = SMOOTHING * mean + (1 - SMOOTHING) * value
                least = min(least, mean / (1 - SMOOTHING ** len(rates)))  # the first is not drawn towards zero
                if len(rates) == steps:
                    break
    finally:
        model.load_state_dict(weights)
        learner.load_state_dict(state)
        model.position = place
        model.zero_grad()
    return _found(rates, losses)


def _found(rates: list[float], losses: list[float]) -> RangeTest:
    if not rates:
        raise ArgumentError("learning_rate_range_test: expected a finite loss at the lowest rate, got none.")
    # Both ways from each step: a mean of the past alone would lag behind, and find the least loss too late.
    steps = np.arange(len(losses))
    weights = SMOOTHING ** np.abs(steps[:, None] - steps)
    means = (weights @ losses / weights.sum(axis=1)).tolist()
    return RangeTest(rates, means, rates[means.index(min(means))] / SAFETY)
