"""Callbacks: what is done beside the loop, told how a run goes. All of it goes through the few methods of `Callback`.

    fit(model, x, y, validation=(xv, yv), callbacks=[EarlyStopping(patience=3), CSVLogger("run.csv")])

They are told in their order, and what `fit` itself adds (`schedule=`, `average=`) comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .. import arguments
from ..errors import ArgumentError
from ..ops.layout import Array
from ..optimizers import ExponentialMovingAverage
from ..schedules import ReduceLROnPlateau, Schedule
from .protocols import Learner, Trainable, ends
from .records import BatchRecord, EpochRecord, History

if TYPE_CHECKING:
    from ..storage import StrPath

# What an epoch may be judged by, and which way is better.
MEASURES: dict[str, Literal["min", "max"]] = {
    "test_loss": "min",
    "test_accuracy": "max",
    "train_loss": "min",
    "train_accuracy": "max",
}


class Run(Protocol):
    """What a callback sees of a run.

    Attributes:
        model: That is trained.
        optimizer: That trains it.
        history: The epochs so far; after a resume those of before, too.
        epochs: How many there shall be.
        steps: In the current epoch: the last one may have fewer.
        total: Steps in all epochs together.
        accumulate: In how many parts each is computed.
        validates: Whether there is a validation part.
    """

    model: Trainable
    optimizer: Learner
    history: History
    epochs: int
    total: int
    accumulate: int

    @property
    def steps(self) -> int:
        """How many steps the current epoch has."""

    @property
    def validates(self) -> bool:
        """Whether the records will have test numbers."""

    def stop(self, reason: str) -> None:
        """End the run after this step, or this epoch, for good: `history.stopped` will tell the reason."""


class Callback:
    """Is told how a run goes; a subclass overrides what it wants to know.

    One that `fit` must be able to resume says in `state_dict` what it depends on beside its constructor's arguments.
    """

    def on_train_begin(self, run: Run) -> None:
        """Before the first step, when all that was given has been checked, and what is resumed has been loaded."""

    def on_batch_end(self, record: BatchRecord) -> None:
        """After each step."""

    def on_evaluation_begin(self) -> None:
        """Before validation and `on_epoch_end`: the model is now to have the weights that it will be known by."""

    def on_evaluation_end(self) -> None:
        """After both: the model is to have the weights that it learns with."""

    def on_epoch_end(self, record: EpochRecord) -> None:
        """After each epoch, before its checkpoint is written."""

    def on_train_end(self, history: History) -> None:
        """After the last step, before the model is saved; not where the run was interrupted or diverged."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to go on, bit for bit: arrays, and what JSON can say."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was called; after `on_train_begin`."""


def tell(callbacks: Iterable[Any], what: str, *arguments: Any) -> None:
    """Call a method of each callback; one that does not have it does not care."""
    for callback in callbacks:
        method = getattr(callback, what, None)
        if method is not None:
            method(*arguments)


class Scheduler(Callback):
    """Goes on along a schedule of the learning rate.

    Args:
        schedule: One of `colonnade.schedules`. `ReduceLROnPlateau` is told the test loss after every epoch (the
            training loss without validation), or the test accuracy if its mode is "max".
        each: "step" for a schedule that counts steps, "epoch" for one that counts epochs.

    Raises:
        ArgumentError: Another `each`.
    """

    def __init__(self, schedule: Schedule | ReduceLROnPlateau, each: Literal["step", "epoch"] = "step") -> None:
        kinds = Schedule, ReduceLROnPlateau
        self.schedule = arguments.instance("Scheduler", "schedule", schedule, kinds, "one of colonnade.schedules")
        chosen = arguments.choice("Scheduler", "each", each, ("step", "epoch"))
        self.each = "epoch" if isinstance(schedule, ReduceLROnPlateau) else chosen

    def on_train_begin(self, run: Run) -> None:
        """Check that it is the run's optimizer whose rate is set."""
        if self.schedule.optimizer is not run.optimizer:
            raise ArgumentError("fit: the schedule must be one of the optimizer that is used, got another's.")

    def on_batch_end(self, record: BatchRecord) -> None:
        """Set the rate of the next step."""
        if self.each == "step" and isinstance(self.schedule, Schedule):
            self.schedule.step()

    def on_epoch_end(self, record: EpochRecord) -> None:
        """Set the rate of the next epoch."""
        if isinstance(self.schedule, ReduceLROnPlateau):
            part = "train" if record["test_loss"] is None else "test"
            measure = record[f"{part}_loss" if self.schedule.mode == "min" else f"{part}_accuracy"]  # type: ignore[literal-required]
            if measure is None:
                raise ArgumentError(f"fit: ReduceLROnPlateau needs a {part} accuracy, and there are no class numbers.")
            self.schedule.step(measure)
        elif self.each == "epoch":
            self.schedule.step()

    def state_dict(self) -> dict[str, Any]:
        """The schedule's own."""
        return dict(self.schedule.state_dict())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.schedule.load_state_dict(state)


class Average(Callback):
    """An exponential moving average of the weights, which is what is evaluated and saved: `fit(average=decay)`.

    After the run the model has the average for its weights. Put it before callbacks that keep weights.

    Args:
        decay: How much of the average is kept at a step, from 0 to 1.

    Raises:
        ArgumentError: A decay outside that range.
    """

    def __init__(self, decay: float = 0.999) -> None:
        self.decay = arguments.number("Average", "decay", decay, 0, 1)
        self.average: ExponentialMovingAverage | None = None

    def on_train_begin(self, run: Run) -> None:
        """Begin with the weights as they are."""
        self.average = ExponentialMovingAverage(run.model.parameters(), self.decay)

    def on_batch_end(self, record: BatchRecord) -> None:
        """Take the new weights in."""
        self._known().update()

    def on_evaluation_begin(self) -> None:
        """Put the average in the place of the weights."""
        self._known().swap()

    def on_evaluation_end(self) -> None:
        """Put the weights back."""
        self._known().swap()

    def on_train_end(self, history: History) -> None:
        """Leave the average in the model."""
        self._known().swap()

    def state_dict(self) -> dict[str, Any]:
        """The average."""
        return dict(self._known().state_dict())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with that average."""
        self._known().load_state_dict(state)

    def _known(self) -> ExponentialMovingAverage:
        if self.average is None:
            raise ArgumentError("Average: it has seen no run yet.")
        return self.average


class Best(Callback):
    """Knows the best epoch so far, by one of the measures of its record.

    Args:
        monitor: "test_loss", "test_accuracy", "train_loss" or "train_accuracy"; with an output of several after it,
            such as "test_loss_digit", the one of that output.
        min_delta: By how much a measure must be better to count.

    Attributes:
        best: The best measure, None before the first epoch.
        epoch: The epoch that had it.

    Raises:
        ArgumentError: Another measure, or a negative `min_delta`; by `fit`, a measure that it will not take.
    """

    def __init__(self, monitor: str = "test_loss", min_delta: float = 0.0) -> None:
        ahead = [name for name in MEASURES if isinstance(monitor, str) and monitor.startswith(f"{name}_")]
        self._measure = ahead[0] if ahead else arguments.choice(self._name, "monitor", monitor, MEASURES)
        self.monitor = monitor
        self.min_delta = arguments.number(self._name, "min_delta", min_delta, 0)
        self.best: float | None = None
        self.epoch = 0

    def on_train_begin(self, run: Run) -> None:
        """Forget other runs, and see that the measure will be there."""
        if self.monitor.startswith("test") and not run.validates:
            raise ArgumentError(f"{self._name}: {self.monitor} needs fit(validation=...), got none.")
        outputs = ends(run.model)[1]
        known = [self._measure, *(f"{self._measure}_{name}" for name in outputs if len(outputs) > 1)]
        if self.monitor not in known:
            raise ArgumentError(f"{self._name}: monitor must be one of {', '.join(known)}, got {self.monitor!r}.")
        self.best, self.epoch = None, 0

    def better(self, record: EpochRecord) -> bool:
        """Whether this epoch is the best so far, which is then remembered."""
        measure: float | None = record[self.monitor]  # type: ignore[literal-required]
        if measure is None:
            raise ArgumentError(f"{self._name}: {self.monitor} needs class numbers as targets, got others.")
        sign = 1 if MEASURES[self._measure] == "max" else -1
        if self.best is not None and not sign * (measure - self.best) > self.min_delta:
            return False
        self.best, self.epoch = measure, record["epoch"]
        return True

    def state_dict(self) -> dict[str, Any]:
        """The best measure and its epoch."""
        return {"best": self.best, "epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        best = state["best"]
        self.best = None if best is None else arguments.number(self._name, "best", best, finite=False)
        self.epoch = arguments.whole(self._name, "epoch", state["epoch"], 0)

    @property
    def _name(self) -> str:
        return type(self).__name__


class EarlyStopping(Best):
    """Ends a run when `patience` epochs in a row brought nothing better, and gives the model its best weights.

    Args:
        monitor: "test_loss", "test_accuracy", "train_loss" or "train_accuracy"; with an output of several after it,
            such as "test_loss_digit", the one of that output.
        patience: Epochs without anything better that are borne.
        min_delta: By how much a measure must be better to count.
        restore_best: Whether the model ends with the weights of the best epoch, rather than the last.

    Raises:
        ArgumentError: Numbers out of range, or a measure that is not taken.
    """

    def __init__(
        self, monitor: str = "test_loss", patience: int = 5, min_delta: float = 0.0, restore_best: bool = True
    ) -> None:
        super().__init__(monitor, min_delta)
        self.patience = arguments.whole("EarlyStopping", "patience", patience, 1)
        self.restore_best = arguments.flag("EarlyStopping", "restore_best", restore_best)
        self._weights: dict[str, Array] = {}

    def on_train_begin(self, run: Run) -> None:
        """Begin with patience."""
        super().on_train_begin(run)
        self._run = run
        self._weights = {}

    def on_epoch_end(self, record: EpochRecord) -> None:
        """Keep the weights, or lose patience."""
        if self.better(record):
            if self.restore_best:
                self._weights = self._run.model.state_dict()
        elif record["epoch"] - self.epoch >= self.patience:
            self._run.stop(f"{self.patience} epochs brought no better {self.monitor} than {self.best:.6g}")

    def on_train_end(self, history: History) -> None:
        """Give the model its best weights."""
        if self._weights:
            self._run.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """The best measure, and the weights that had it."""
        return super().state_dict() | {f"weights.{name}": array for name, array in self._weights.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        super().load_state_dict(state)
        self._weights = {
            name.removeprefix("weights."): array for name, array in state.items() if name.startswith("weights.")
        }


class BestCheckpoint(Best):
    """Saves the model whenever an epoch was the best so far.

    Args:
        path: The model file.
        monitor: "test_loss", "test_accuracy", "train_loss" or "train_accuracy"; with an output of several after it,
            such as "test_loss_digit", the one of that output.
        min_delta: By how much a measure must be better to count.

    Raises:
        ArgumentError: A measure that is not known or not taken.
        OSError: What the disk says; the file of before stays whole.
    """

    def __init__(self, path: StrPath, monitor: str = "test_loss", min_delta: float = 0.0) -> None:
        super().__init__(monitor, min_delta)
        self.path = arguments.path("BestCheckpoint", "path", path)

    def on_train_begin(self, run: Run) -> None:
        """Look at the run, and see that its model can be saved."""
        super().on_train_begin(run)
        self._model = run.model
        from .. import storage

        with storage.reserved(self.path, sum(array.nbytes for array in run.model.state_dict().values())):
            pass

    def on_epoch_end(self, record: EpochRecord) -> None:
        """Save what is better."""
        if self.better(record):
            self._model.save(self.path)
