"""The training loop.

    for each epoch:  for each batch:  y = model(x);  loss, ∂loss/∂y = L(y, t);  backward;  step

Nothing here prints. What a person sees of a run is a `Callback`.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.loader import Batch, Loader
from ..data.parallel import ParallelLoader
from ..data.pixels import remembered
from ..errors import ArgumentError, DivergenceError
from ..ops.layout import Array
from ..optimizers import clip_grad_norm
from ..runs import CHECKPOINT, METRICS, MODEL
from .callbacks import Callback, tell
from .inference import evaluate
from .interrupts import Interrupts
from .protocols import Criterion, Learner, Trainable
from .records import BatchRecord, EpochRecord, Evaluation, History, mean_of, measure, weigh

if TYPE_CHECKING:
    from pathlib import Path

    from ..data.examples import Examples
    from ..storage import StrPath
    from .checkpoint import Checkpoint

TIME_IS_UP = "the time was up"
# What a file takes beside its arrays, in bytes: settings, history, names.
HEADER = 1 << 16


class Run:
    """A training run: what changes from step to step, and the files it leaves.

    Args:
        model: Built.
        optimizer: Of its parameters.
        criterion: The loss.
        loader: Of the training part.
        held_out: The validation part.
        epochs: How many there shall be.
        total: How many steps there shall be in all of them, where the last epoch is to end early; else None.
        accumulate: In how many parts a step is computed.
        clip: The greatest norm of the gradients, or None.
        callbacks: Told in this order.
        workers: Threads that read images for validation.
        classes: The names that the model is given, or has; None for no names.
        evaluated_at_once: Images of a batch of validation.

    Attributes:
        history: The epochs that are done.
        epoch: The current epoch, from 1.
        step: How many of its steps are done.
    """

    def __init__(
        self,
        model: Trainable,
        optimizer: Learner,
        criterion: Criterion,
        loader: Loader | ParallelLoader,
        held_out: Examples | None,
        *,
        epochs: int,
        total: int | None = None,
        accumulate: int = 1,
        clip: float | None = None,
        callbacks: Sequence[Callback] = (),
        workers: int | None = None,
        classes: Sequence[str] | None = None,
        evaluated_at_once: int = 256,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.criterion = criterion
        self.loader = loader
        self.held_out = held_out
        self.epochs = epochs
        self.total = epochs * len(loader) if total is None else total
        self.accumulate = accumulate
        self.clip = clip
        self.callbacks = list(callbacks)
        self.workers = workers
        self.classes = None if classes is None else list(classes)
        self.evaluated_at_once = evaluated_at_once
        self.history = History()
        self.epoch = 1
        self.step = 0
        self._out: Path | None = None
        self._process = 0  # that writes there
        self._checkpoint_seconds: float | None = None
        self._settings: dict[str, Any] = {}
        self._stored: Checkpoint | None = None
        self._written = 0.0  # when the last checkpoint was
        self._kept = ""  # the place in it
        self._sealed = False  # whether there is to be no other
        self._interrupts = Interrupts()
        self._whole = True  # whether no step is half done
        targets = getattr(loader.examples, "targets", None)
        self._labelled = isinstance(targets, np.ndarray) and targets.dtype.kind in "iu"
        self._begin_epoch()

    @property
    def validates(self) -> bool:
        """Whether the records will have test numbers."""
        return self.held_out is not None

    @property
    def steps(self) -> int:
        """How many steps the current epoch has: the last one may have fewer."""
        return min(len(self.loader), self.total - (self.epoch - 1) * len(self.loader))

    def stop(self, reason: str) -> None:
        """End the run after this step, or this epoch, for good: `history.stopped` will tell the reason."""
        self.history.stopped = reason

    # The loop

    def train(self, ends: float | None = None) -> None:
        """Take all steps that are left, and save the model.

        Args:
            ends: The time, as `time.perf_counter` tells it, after which there is to be no further step.
        """
        self._written = time.perf_counter()
        self._begin()
        if (given := self.loader.normalization) is not None:
            self.model.normalization = {name: [float(value) for value in given[name]] for name in ("mean", "std")}
        if self.classes is not None:
            self.model.classes = self.classes
        try:
            while self.epoch <= self.epochs and self.history.stopped is None:
                self._train_epoch(ends)
        except (KeyboardInterrupt, SystemExit):  # the latter where the process was asked to end
            # An impatient second Ctrl-C may have torn a step in two: weights that no step made are not kept.
            if self._whole and not self._interrupts.forced and self._not_finite() is None:
                self._write_checkpoint()
            raise
        tell(self.callbacks, "on_train_end", self.history)
        if self._out is not None:
            self.model.save(self._out / MODEL)

    def _train_epoch(self, ends: float | None) -> None:
        """The steps of this epoch that are left, and what follows them."""
        with closing(self.loader.epoch(self.epoch, self.step)) as batches:  # type: ignore[type-var]
            while self.step < self.steps and self.history.stopped is None:
                started = time.perf_counter()
                try:
                    batch = next(batches)
                except DivergenceError as error:
                    raise self._diverged(self.step + 1, str(error)) from None
                self._take_step(batch, started)
                if ends is not None and time.perf_counter() >= ends and not self._is_last_step():
                    self._end_early()
                    return
        self._end_epoch()

    def _take_step(self, batch: Batch, started: float) -> None:
        """One batch: forward, loss, backward, update; whole, whatever interrupts it."""
        with self._interrupts.held():
            self._whole = False
            # Numbers that run away are noticed right here, and named better than by NumPy's warnings.
            with np.errstate(over="ignore", invalid="ignore"):
                rate = self.optimizer.lr
                if self._add_gradients(batch):
                    if self.clip is not None:
                        clip_grad_norm(self.model.parameters(), self.clip)
                    self.optimizer.step()
            self._seconds += time.perf_counter() - started
            self._waiting += batch.waited
            self.step += 1
            self._whole = True
            record = BatchRecord(
                *(self.epoch, self.epochs, self.step, self.steps, self._mean.images, self._mean.loss),
                *(self._mean.accuracy, self._seconds, self._waiting, rate, self._mean.losses),
            )
            self._rate = rate
            tell(self.callbacks, "on_batch_end", record)
            if self._checkpoint_is_due():
                self._require_finite()
                self._write_checkpoint()

    def _add_gradients(self, batch: Batch) -> bool:
        """The gradients of a batch, part by part, and the sums that the records are made of.

        Returns whether any target counts: from a batch without, there is nothing to learn.
        """
        images, scale = batch.images, self.loader.scale
        if scale is not None and scale.known is not None:
            self.model.pixels = scale.known._asdict()
        parts = max(1, min(self.accumulate, images // 2))  # batch norm can't tell the spread of a single image
        bounds = [images * number // parts for number in range(parts + 1)]
        # Of a batch in one part it is known with its outputs.
        shape = self.model.output_shape or ()
        whole = None if parts == 1 else weigh(self.criterion, images, shape, batch.targets)
        counts = False
        self.model.zero_grad()
        for number, (start, stop) in enumerate(pairwise(bounds), 1):
            place = (self.epoch, self.step + 1)
            self.model.position = place if parts == 1 else (*place, number)
            x, wanted = batch.part(start, stop)
            outputs = self.model(x, training=True)
            measured = measure(self.criterion, outputs, wanted, whole)
            if not math.isfinite(measured.total):
                raise self._diverged(self.step + 1, f"the loss became {measured.total}.")
            if np.any(measured.weight if whole is None else whole):
                counts = True
                self.model.backward(measured.gradient, input_gradient=False)
            # Where images were mixed, the answer is right that names the greater part.
            mixed = self._labelled and not isinstance(outputs, tuple) and wanted.ndim == outputs.ndim
            self._mean.add(measured, outputs, wanted, wanted.argmax(axis=1) if mixed else None)
        return counts

    def _end_epoch(self) -> None:
        """Evaluate, and write down how the epoch went."""
        with self._as_known():
            record = self._record()
            with self._interrupts.held():
                self.history.append(record)
                tell(self.callbacks, "on_epoch_end", record)
        with self._interrupts.held():
            self._write_checkpoint()
            self.epoch += 1
            self._begin_epoch()

    def _end_early(self) -> None:
        """Time is up: leave the checkpoint of a run that can go on, then end this one."""
        if self.step == self.steps:
            self._end_epoch()
            self.stop(f"{TIME_IS_UP} after epoch {self.epoch - 1}")
            return
        self._require_finite()
        self._write_checkpoint()
        self._sealed = True
        self.stop(f"{TIME_IS_UP} in epoch {self.epoch}, after step {self.step} of {self.steps}")
        with self._as_known():
            record = self._record()
            self.history.append(record)
            tell(self.callbacks, "on_epoch_end", record)
        self._write_metrics()

    def _record(self) -> EpochRecord:
        self._require_finite()
        if math.isnan(self._mean.loss):  # only of a stream, whose targets nobody knows before
            raise ArgumentError(
                f"fit: epoch {self.epoch}: a mean needs a target that counts, got none in {self._mean.images} images."
            )
        result: Evaluation | None = None
        if self.held_out is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                result = evaluate(
                    self.model,
                    self.held_out,
                    loss=self.criterion,
                    batch_size=self.evaluated_at_once,
                    workers=self.workers,
                )
            if not math.isfinite(result["loss"]):
                raise self._diverged(self.step, f"the validation loss became {result['loss']}.")
        record: EpochRecord = {
            "epoch": self.epoch,
            "train_loss": self._mean.loss,
            "train_accuracy": self._mean.accuracy,
            "test_loss": None if result is None else result["loss"],
            "test_accuracy": None if result is None else result["accuracy"],
            "seconds": self._seconds,
            "images_per_second": self._mean.images / self._seconds,
            "waiting": self._waiting,
            "lr": self._rate,
        }
        tested: Any = {} if result is None else result
        for name, value in self._mean.evaluation().items():  # of each of several outputs
            if name not in Evaluation.__annotations__:
                record |= {f"train_{name}": value, f"test_{name}": tested.get(name)}  # type: ignore[misc]
        return record

    @contextmanager
    def _as_known(self) -> Iterator[None]:
        """The model with the weights that it will be known by; until it has its own again, nothing is whole."""
        changed = False
        try:
            with self._interrupts.held():
                self._whole = False
                tell(self.callbacks, "on_evaluation_begin")
                changed = True
            yield
        finally:
            if changed:
                with self._interrupts.held():
                    tell(self.callbacks[::-1], "on_evaluation_end")
                    self._whole = True

    def _begin_epoch(self) -> None:
        """Count from nothing again."""
        self.step = 0
        self._mean = mean_of(self.criterion)
        self._seconds = 0.0
        self._waiting = 0.0
        self._rate = self.optimizer.lr

    def _is_last_step(self) -> bool:
        return self.epoch == self.epochs and self.step == self.steps

    # The files

    def write_to(self, out: StrPath, checkpoint_seconds: float | None) -> None:
        """Leave files in a folder.

        Args:
            out: A folder that this run holds.
            checkpoint_seconds: How often the checkpoint is written within an epoch; None for never.

        Raises:
            ArgumentError: A file in it that can't be replaced.
        """
        from pathlib import Path

        from .. import storage
        from . import checkpoint

        self._settings = self._settings or checkpoint.settings(self)
        self._out, self._checkpoint_seconds, self._process = Path(out), checkpoint_seconds, os.getpid()
        storage.remove_leftovers(out)
        for name in (CHECKPOINT, METRICS, MODEL):
            with storage.reserved(self._out / name):
                pass

    def _require_room(self) -> None:
        """See that there is room for the files, before the time is spent that they shall keep.

        Raises:
            ArgumentError: There is not, or a file grows larger than the system allows.
        """
        if self._out is None:
            return
        from contextlib import ExitStack

        from .. import storage

        size = sum(array.nbytes for array in self._state()[0].values()) + HEADER
        path = self._out / CHECKPOINT
        with ExitStack() as room:  # each checkpoint is written beside the one before
            for _ in range(1 if path.exists() else 2):
                room.enter_context(storage.reserved(path, size))
        with storage.reserved(self._out / MODEL, sum(array.nbytes for array in self.model.state_dict().values())):
            pass

    def continue_from(self, path: StrPath) -> None:
        """Go on from a checkpoint, once `train` is called.

        Args:
            path: Its file, or the folder of its run.

        Raises:
            FileNotFoundError: No such file.
            FileFormatError: A file that is damaged, or no checkpoint.
            ArgumentError: A checkpoint of another run, or one beyond the last epoch.
        """
        from . import checkpoint

        self._settings = self._settings or checkpoint.settings(self)
        self._stored = checkpoint.read(path)
        checkpoint.require_same(self._stored, self._settings)
        done = len(self._stored.history)
        if done > self.epochs:
            raise ArgumentError(f"fit: {self._stored.path} holds epoch {done}, expected at most epochs={self.epochs}.")

    def _begin(self) -> None:
        """Have everything be as the checkpoint says, if there is one, and tell the callbacks."""
        before = self.model.state_dict()
        try:
            if self._stored is None:
                tell(self.callbacks, "on_train_begin", self)
            else:
                self._load(self._stored)
            self._require_room()
        except BaseException:
            self.model.load_state_dict(before)
            raise

    def _load(self, stored: Checkpoint) -> None:
        from . import checkpoint

        place = stored.place
        with checkpoint.readable(stored):
            self.history.extend(stored.history)
            self.history.stopped = place["stopped"]
            self.model.load_state_dict(stored.part("model."))
            self.optimizer.load_state_dict(stored.part("optimizer."))
        tell(self.callbacks, "on_train_begin", self)
        with checkpoint.readable(stored):
            for name, callback in checkpoint.stateful(self.callbacks).items():
                callback.load_state_dict(stored.part(f"{name}.") | place["callbacks"][name])
            self.epoch, self.step = place["epoch"], place["step"]
            if self.step > self.steps:
                raise ValueError(f"it stands after step {self.step} of {self.steps}")
            if self.step and not place["seconds"] > 0:  # between two epochs none has been taken
                raise ValueError("its steps took no time")
            self._mean.load_state_dict(place["mean"])
            if (pixels := place.get("pixels")) and self.loader.scale is not None:  # those of before have none
                self.loader.scale.known = remembered(pixels)
                self.model.pixels = pixels
            self._seconds, self._waiting, self._rate = (place[name] for name in ("seconds", "waiting", "lr"))
        if len(self.history) >= self.epoch:
            self.epoch += 1
            self._begin_epoch()

    def _checkpoint_is_due(self) -> bool:
        return (
            self._out is not None
            and self._checkpoint_seconds is not None
            and self.step < self.steps  # the end of the epoch writes its own
            and time.perf_counter() - self._written >= self._checkpoint_seconds
        )

    def _write_checkpoint(self) -> None:
        """Write down all that another process needs to go on from here, bit for bit, and the metrics so far."""
        if self._out is None or self._sealed or os.getpid() != self._process:  # the files are not a forked child's
            return
        from . import checkpoint

        tensors, states = self._state()
        place = {
            "epoch": self.epoch,
            "step": self.step,
            "mean": self._mean.state_dict(),
            "seconds": self._seconds,
            "waiting": self._waiting,
            "lr": self._rate,
            "stopped": self.history.stopped,
            "callbacks": states,
            "pixels": getattr(self.model, "pixels", None),
        }
        checkpoint.write(self._out / CHECKPOINT, self._settings, place, self.history, tensors)
        self._kept = f"epoch {self.epoch}" + (f", step {self.step}" if self.step < self.steps else "")
        self._write_metrics()
        self._written = time.perf_counter()

    def _state(self) -> tuple[dict[str, Array], dict[str, dict[str, Any]]]:
        """The arrays of a checkpoint, and what else its callbacks depend on."""
        from . import checkpoint

        tensors = {f"model.{name}": array for name, array in self.model.state_dict().items()}
        tensors |= {f"optimizer.{name}": array for name, array in self.optimizer.state_dict().items()}
        states: dict[str, dict[str, Any]] = {}
        for name, callback in checkpoint.stateful(self.callbacks).items():
            state = callback.state_dict()
            arrays = {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
            tensors |= {f"{name}.{key}": array for key, array in arrays.items()}
            states[name] = {key: value for key, value in state.items() if key not in arrays}
        return tensors, states

    def _write_metrics(self) -> None:
        if self._out is None or not self.history:
            return
        import json

        from .. import storage

        lines = "".join(json.dumps(record) + "\n" for record in self.history)
        storage.replace(self._out / METRICS, lines.encode())

    # What goes wrong

    def _not_finite(self) -> str | None:
        """The name of an array of the model that holds NaN or infinity, if there is one."""
        for name, array in self.model.state_dict().items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                return name
        return None

    def _require_finite(self) -> None:
        # The last loss tells of the weights before its step; what is kept is to hold those after it.
        name = self._not_finite()
        if name is not None:
            raise self._diverged(self.step, f"{name} is no longer finite.")

    def _diverged(self, step: int, what: str) -> DivergenceError:
        message = f"fit: epoch {self.epoch}, step {step}: {what}"
        if self._out is not None and self._kept:
            message += f" {self._out / CHECKPOINT} holds {self._kept}."
        return DivergenceError(message)
