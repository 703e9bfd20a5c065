"""How long a run takes, from its first steps, and how many steps fit into a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import number
from ..data.examples import Arrays
from . import arguments
from .callbacks import Callback, Run
from .inference import evaluate
from .loop import fit
from .protocols import Learner, Objective, Trainable
from .records import BatchRecord

if TYPE_CHECKING:
    from ..data.examples import Examples

WARM_UP = 2  # steps that are not counted: memory is planned in them, functions are compiled
FEWEST = 3  # steps that tell a pace
TESTED_AT_ONCE = 256
OWN = ("normalization", "pixels", "classes", "position")  # what `fit` writes on a model beside its weights


class Pace(NamedTuple):
    """How fast a run goes.

    Attributes:
        step: Seconds of a step.
        test: Seconds of the test that ends each epoch.
        steps: Of an epoch.
    """

    step: float
    test: float
    steps: int

    def seconds(self, total: int) -> float:
        """Of so many steps, with the tests of their epochs: total · step + ⌈total / steps⌉ · test."""
        return total * self.step + -(-total // self.steps) * self.test

    def within(self, seconds: float) -> int:
        """How many steps fit into a time, with the tests of their epochs; one at least."""
        whole = int(max(seconds, 0) // self.seconds(self.steps))
        rest = seconds - whole * self.seconds(self.steps) - self.test
        return max(1, whole * self.steps + min(int(max(rest, 0) / self.step), self.steps - 1))


def pace(
    model: Trainable,
    x: ArrayLike | Examples,
    y: ArrayLike | None = None,
    *,
    validation: tuple[ArrayLike, ArrayLike] | Examples | None = None,
    optimizer: str | Learner | None = None,
    loss: Objective = None,
    seconds: float = 5.0,
    most: float | None = None,
    clock: Callable[[], float] = time.perf_counter,
    **options: Any,
) -> Pace | None:
    """Take a few steps, and say how long each takes; the model and the optimizer are then as they were, bit for bit.

    Args:
        model: Built.
        x: Images, as for `fit`.
        y: Targets, likewise.
        validation: What each epoch ends with a test of, likewise.
        optimizer: As for `fit`.
        loss: Likewise.
        seconds: How long to look, from the third step on.
        most: Seconds after which two steps are enough; None for no bound.
        clock: Tells the time in seconds.
        options: What else `fit` is to be given that a step depends on, such as `batch_size` and `augmentation`.

    Returns:
        None where `most` was over with the first step.

    Raises:
        ArgumentError: What `fit` would refuse.
        DivergenceError: NaN or infinity in an image.
    """
    seconds = number("pace", "seconds", seconds, above=0)
    most = None if most is None else number("pace", "most", most, above=0)
    ends = None if most is None else clock() + most
    learner = arguments.learner("pace", optimizer, model)
    weights, state, rate = model.state_dict(), learner.state_dict(), learner.lr
    own = {name: getattr(model, name) for name in OWN if hasattr(model, name)}
    timer = _Timer(seconds, ends, clock)
    try:
        learner.lr = 0.0  # no step is to go astray
        fit(
            model,
            x,
            y,
            epochs=_Timer.LONGEST,
            optimizer=learner,
            loss=loss,
            callbacks=[timer],
            progress=False,
            **options,
        )
        if len(timer.times) < 2:
            return None
        first = min(WARM_UP, len(timer.times) - 1)
        step = (timer.times[-1] - timer.times[first - 1]) / (len(timer.times) - first)
        test = 0.0 if validation is None else _test(model, validation, loss, clock)
    finally:
        learner.load_state_dict(state)
        learner.lr = rate
        model.load_state_dict(weights)
        model.zero_grad()
        for name, value in own.items():
            setattr(model, name, value)
    return Pace(step, test, timer.steps)


def _test(
    model: Trainable, validation: tuple[ArrayLike, ArrayLike] | Examples, loss: Objective, clock: Callable[[], float]
) -> float:
    """Seconds that a test takes, by a batch of it."""
    examples = validation if arguments.is_examples(validation) else Arrays(*validation)  # type: ignore[misc]
    few = np.arange(min(TESTED_AT_ONCE, len(examples)))
    batch = Arrays(examples.take(few), examples.targets[few])
    evaluate(model, batch, loss=loss)  # the first one plans its memory
    started = clock()
    evaluate(model, batch, loss=loss)
    return (clock() - started) * len(examples) / len(few)


class _Timer(Callback):
    """Notes when each step ended, and ends the run when there have been enough.

    Args:
        seconds: From the end of the warm-up on.
        ends: When to end by all means.
        clock: Tells the time.
    """

    LONGEST = 1 << 30  # epochs: it is the timer that ends the run

    def __init__(self, seconds: float, ends: float | None, clock: Callable[[], float]) -> None:
        self._seconds, self._ends, self._clock = seconds, ends, clock
        self.times: list[float] = []
        self.steps = 0

    def on_train_begin(self, run: Run) -> None:
        """Know the run that is to be ended."""
        self._run, self.steps = run, run.steps

    def on_batch_end(self, record: BatchRecord) -> None:
        """Note the time."""
        self.times.append(self._clock())
        counted = len(self.times) - WARM_UP
        enough = counted >= FEWEST and self.times[-1] - self.times[WARM_UP - 1] >= self._seconds
        if enough or (self._ends is not None and self.times[-1] >= self._ends):
            self._run.stop("the pace is known")
