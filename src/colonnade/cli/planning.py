"""What a run is going to do and how long that takes, and how many steps of it fit into the time there is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..training.callbacks import Callback, Run
from ..training.records import BatchRecord, EpochRecord

if TYPE_CHECKING:
    from ..data import Dataset
    from ..model import Model
    from .config import Settings

SPARE = 0.1  # of the time that is left: a machine does not always go as fast as at first
LOOK = 0.05  # of the time, to measure the pace in
LONGEST_LOOK = 10.0  # seconds
MEASURED = 0.7  # of the time that measuring may take with all that is compiled for it
COUNTED_FROM = 2  # steps: the first ones plan their memory and are compiled
FEWEST, SECONDS = 5, 5.0  # what an estimate is made of: steps, and their time
FORWARD = 1 / 3  # of a step's time is that of the forward pass, which is all there is to a test


def learned(net: Model, settings: Settings) -> Any:
    """What an optimizer is given: of a network that is trained already, all but its head learns at a lower rate."""
    from ..tuning import BODY, groups
    from .networks import is_pretrained

    return groups(net, BODY * settings.lr) if is_pretrained(settings.model) else net.parameters()


def arguments(net: Model, dataset: Dataset, settings: Settings) -> dict[str, Any]:
    """Those of `fit` that a step depends on."""
    from .. import training
    from ..data import augmentation
    from ..losses import CrossEntropyLoss

    return {
        "batch_size": settings.batch_size,
        "optimizer": training.optimizer(settings.optimizer, learned(net, settings), settings.lr),
        "loss": CrossEntropyLoss(label_smoothing=settings.label_smoothing),
        "validation": dataset.test,
        "normalization": net.normalization or dataset.normalization,
        "augmentation": None if settings.augmentation == "none" else augmentation.preset(settings.augmentation),
        "average": settings.average or None,
        "clip": settings.clip,
        "accumulate": settings.accumulate,
        "memory": settings.memory,
        "workers": settings.workers,
    }


def fit_into_time(
    net: Model,
    dataset: Dataset,
    settings: Settings,
    ends: float | None,
    keep_average: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> Settings:
    """Settings with as many epochs and steps as end, with their schedule, within the time.

    The pace is that of a few steps, which leave nothing behind. A run without a schedule has nothing to end, and one
    whose time is over before its pace is known ends where it stands: both can be gone on with.

    Args:
        net: As it will be trained.
        dataset: What it will be trained on.
        settings: What is asked for, at the most.
        ends: When the clock tells that the time is over; None for never.
        keep_average: Whether the average of the weights is asked for; else few steps have one of few.
        clock: Tells the time in seconds.
    """
    if ends is None or settings.schedule == "constant":
        return settings
    from .. import training

    time_left = ends - clock()
    if time_left <= 0:
        return settings
    pace = training.pace(
        net,
        dataset.train,
        seconds=min(LOOK * time_left, LONGEST_LOOK),
        most=MEASURED * time_left,
        clock=clock,
        **arguments(net, dataset, settings),
    )
    if pace is None:
        return settings
    asked = min(settings.epochs * pace.steps, settings.steps or settings.epochs * pace.steps)
    steps = pace.within((ends - clock()) * (1 - SPARE))
    if steps >= asked:
        return settings
    # An average over more than a tenth of the steps would still hold the weights of the beginning.
    average = settings.average if keep_average else min(settings.average, max(0.0, 1 - 10 / steps))
    return replace(settings, epochs=math.ceil(steps / pace.steps), steps=steps, average=round(average, 3))


def outline(settings: Settings, dataset: Dataset) -> str:
    """What a run is going to do, in a line."""
    size = "×".join(map(str, dataset.input_shape))
    epochs = f"{settings.epochs} {'epoch' if settings.epochs == 1 else 'epochs'}"
    if settings.steps is not None:
        share = settings.steps * settings.batch_size / len(dataset.train)
        fits = "" if settings.max_time is None else f", as many as fit into {duration(settings.max_time)}"
        epochs = f"{min(share, settings.epochs):.3g} epochs ({settings.steps:,} steps{fits})"
    parts = [
        f"{epochs} of images of {size}",
        f"batches of {settings.batch_size}",
        f"{settings.optimizer} up to {settings.lr:.2g}",
        f"schedule {settings.schedule}",
        f"augmentation {settings.augmentation}",
    ]
    parts += ["mirror images tested, too"] if settings.mirrored else []
    parts += [f"labels smoothed by {settings.label_smoothing:g}"] if settings.label_smoothing else []
    parts += [f"weights averaged by {settings.average:g}"] if settings.average else []
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """A time as one says it: `45 s`, `12 min`, `1 h 20 min`."""
    if seconds < 120:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Estimate(Callback):
    """Says what a run is going to do when it begins, and after its first steps how long that will take.

    Args:
        say: Takes a line for the person.
        outline: What it is going to do.
        tested: Images of the test that ends each epoch.
        clock: Tells the time in seconds.
    """

    def __init__(
        self, say: Callable[[str], None], outline: str, tested: int, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._say, self._outline, self._tested, self._clock = say, outline, tested, clock
        self._taken = 0
        self._began = 0.0
        self._done = False

    def on_train_begin(self, run: Run) -> None:
        """Know how many steps there are."""
        self._steps, self._total = run.steps, run.total

    def on_batch_end(self, record: BatchRecord) -> None:
        """Say what begins, or how long it takes."""
        now = self._clock()
        if not self._taken:
            self._say(self._outline)
        self._taken += 1
        self._record = record
        if self._taken == COUNTED_FROM:
            self._began = now
        elif not self._done and self._taken - COUNTED_FROM >= FEWEST and now - self._began >= SECONDS:
            self._tell(now)

    def on_epoch_end(self, record: EpochRecord) -> None:
        """Say it at the end of the first epoch at the latest, of a run that goes on."""
        if not self._done and self._taken > COUNTED_FROM:
            self._tell(self._clock(), tested=True)

    def _tell(self, now: float, tested: bool = False) -> None:
        self._done = True
        record = self._record
        done = (record.epoch - 1) * self._steps + record.step
        step = (now - self._began) / (self._taken - COUNTED_FROM)
        # The time until the end of an epoch has its test in it.
        images = record.images / record.step
        test = 0.0 if tested else FORWARD * step * self._tested / images
        left = (self._total - done) * step + (record.epochs - record.epoch + 1) * test
        if steps := self._total - done:
            which = "step that is" if steps == 1 else f"{steps:,} steps that are"
            self._say(f"about {duration(left)} for the {which} left, and the tests")
