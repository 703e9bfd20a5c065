"""The training loop: epochs of batches, what they cost and how well they did, and the files that a run leaves.

    for each epoch:  for each batch:  y = model(x);  loss, ∂loss/∂y = L(y, t);  backward;  step

Nothing here prints. What a person sees of a run is a `Callback`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from . import metrics
from .data.batches import Batches, Normalization, cut, order
from .errors import ArgumentError, DivergenceError, ShapeError
from .losses import CrossEntropyLoss, Loss
from .ops.layout import Array
from .ops.softmax import softmax_forward
from .optimizers import SGD, Adam, AdamW
from .tensor import Parameter, Shape

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from .storage import StrPath

CHECKPOINT_VERSION = 1


class Trainable(Protocol):
    """What the loop needs of a model; `colonnade.Model` has it."""

    seed: int
    classes: list[str] | None
    normalization: dict[str, list[float]] | None
    position: tuple[int, ...]  # (epoch, step): where random streams, such as those of dropout, stand

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the parameters, the images and the outputs."""

    @property
    def input_shape(self) -> Shape | None:
        """Of one image; None before `build`."""

    @property
    def output_shape(self) -> Shape | None:
        """Of what is put out for one image; None before `build`."""

    def build(self, input_shape: Shape) -> object:
        """Make the parameters."""

    def __call__(self, x: Array, training: bool = False) -> Array:
        """The outputs for a batch."""

    def backward(self, gradient: Array, *, input_gradient: bool = True) -> Array | None:
        """Add to the parameters' gradients."""

    def zero_grad(self) -> None:
        """Set the gradients to zero."""

    def parameters(self) -> Sequence[Parameter]:
        """What is learned."""

    def state_dict(self) -> dict[str, Array]:
        """Parameters and running statistics by name."""

    def config(self) -> Any:
        """The architecture, as JSON can say it."""

    def save(self, path: StrPath) -> None:
        """Write the model file."""


class Criterion(Protocol):
    """A loss: the classes of `colonnade.losses`, or any function of outputs and targets."""

    def __call__(self, y: Array, targets: Array, /) -> tuple[float, Array]:
        """The loss and its gradient at `y`."""


class Learner(Protocol):
    """An optimizer: the classes of `colonnade.optimizers`."""

    def step(self) -> None:
        """Update the parameters from their gradients."""

    def state_dict(self) -> dict[str, Array]:
        """What it needs to go on, bit for bit."""


class EpochRecord(TypedDict):
    """What is known of an epoch; a line of metrics.jsonl.

    Losses are means over all that counts in the loss, whatever its reduction, accuracies shares of right answers.
    Those of the training part are taken while the model learns, before each step. None stands for what was not
    measured: no validation, no class numbers.
    """

    epoch: int
    train_loss: float
    train_accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None
    seconds: float  # of the training steps, without validation
    images_per_second: float


class BatchRecord(NamedTuple):
    """Where a run stands after a step. Epochs and steps count from 1."""

    epoch: int
    epochs: int
    step: int
    steps: int
    images: int  # seen in this epoch
    loss: float  # mean of this epoch so far
    accuracy: float | None


class Callback:
    """Is told how a run goes; a subclass overrides what it wants to know."""

    def on_batch_end(self, record: BatchRecord) -> None:
        """After each step."""

    def on_epoch_end(self, record: EpochRecord) -> None:
        """After each epoch, when its checkpoint is written."""


class History(list[EpochRecord]):
    """The epochs of a run; `history[-1]["test_accuracy"]`, or a column: `history.test_accuracy`."""

    def __getattr__(self, name: str) -> list[Any]:
        if name not in EpochRecord.__annotations__:
            raise AttributeError(f"History has no column {name!r}: it has {', '.join(EpochRecord.__annotations__)}.")
        return [record[name] for record in self]  # type: ignore[literal-required]

    def __repr__(self) -> str:
        columns = [name.replace("_", " ") for name in EpochRecord.__annotations__]
        rows = [["—" if value is None else f"{value:.6g}" for value in record.values()] for record in self]
        widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in [columns, *rows]
        )


class Evaluation(TypedDict):
    """What `evaluate` finds: mean loss, share of right answers (None without class numbers), number of images."""

    loss: float
    accuracy: float | None
    n: int


OPTIMIZERS: dict[str, tuple[type[SGD] | type[Adam], dict[str, float]]] = {
    "sgd": (SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}),
    "adam": (Adam, {"lr": 1e-3}),
    "adamw": (AdamW, {"lr": 1e-3}),
}


def optimizer(name: str, parameters: Iterable[Parameter], lr: float | None = None) -> SGD | Adam:
    """An optimizer by name, with settings that suit the networks of the zoo.

    Args:
        name: `sgd` (momentum 0.9, weight decay 5e-4), `adam` or `adamw`.
        parameters: What it learns.
        lr: The learning rate; by default 0.05 for sgd, 0.001 for the others.

    Raises:
        ArgumentError: Another name, or a negative learning rate.
    """
    if name not in OPTIMIZERS:
        raise ArgumentError(f"optimizer: expected one of {', '.join(OPTIMIZERS)}, got {name!r}.")
    kind, settings = OPTIMIZERS[name]
    return kind(parameters, **(settings if lr is None else settings | {"lr": lr}))  # type: ignore[arg-type]


class Mean:
    """Loss and accuracy over the batches seen so far: what the whole of them would give as one batch.

    Args:
        criterion: Tells what a batch weighs. With class weights that is not its number of images; a loss of another
            kind is taken to be a mean over them.
    """

    def __init__(self, criterion: Criterion) -> None:
        self.images = 0
        self._criterion = criterion
        self._loss = 0.0
        self._weight = 0.0
        self._correct = 0
        self._labels = 0

    def add(self, loss: float, outputs: Array, targets: Array) -> None:
        """Count a batch."""
        loss = float(loss)  # another's may be a NumPy number, which JSON cannot say
        known = self._criterion if isinstance(self._criterion, Loss) else None
        weight = known.count(outputs.shape, targets) if known else len(outputs)
        self.images += len(outputs)
        self._loss += loss if known and known.reduction == "sum" else loss * weight
        self._weight += weight
        if metrics.are_labels(targets, outputs):
            right = metrics.right(outputs, targets)
            if isinstance(known, CrossEntropyLoss):
                right = right[known.counted(targets)]
            self._labels += right.size
            self._correct += int(np.count_nonzero(right))

    @property
    def loss(self) -> float:
        """The mean loss; NaN where nothing counted."""
        return self._loss / self._weight if self._weight else math.nan

    @property
    def accuracy(self) -> float | None:
        """The share of right answers, if there were class numbers to tell by."""
        return self._correct / self._labels if self._labels else None


def fit(
    model: Trainable,
    x: ArrayLike,
    y: ArrayLike,
    *,
    epochs: int = 1,
    batch_size: int = 128,
    optimizer: Learner | None = None,
    loss: Criterion | None = None,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    normalization: Normalization | None = None,
    out: StrPath | None = None,
    callbacks: Sequence[Callback] = (),
) -> History:
    """Train a model.

    Bytes are pixels and are divided by 255; then, for any x, the mean is subtracted and the deviation divided by, if
    a normalization is given or the model has one. Every image is seen once an epoch. A last batch of a single image
    is joined to the one before, which so has `batch_size` + 1.

    Args:
        model: Built from the shape of x if it is not yet.
        x: Images (n, c, h, w), or (n, ...); bytes or numbers.
        y: Targets (n, ...), as the loss wants them: class numbers (n,) for the default.
        epochs: How many times every image is seen.
        batch_size: Images in a step.
        optimizer: By default AdamW with a learning rate of 0.001.
        loss: By default `CrossEntropyLoss()`.
        validation: Images and targets to evaluate after every epoch.
        shuffle: See the images of each epoch in another order, given by (seed, epoch) alone.
        seed: Of the order; by default the model's.
        normalization: `mean` and `std` of each channel, of pixels in [0, 1]. The model keeps it, and `evaluate` and
            `predict` do the same.
        out: A folder for `metrics.jsonl` and `checkpoint.safetensors`, written after every epoch, and
            `model.safetensors` at the end. An interrupt (Ctrl-C) waits until the step is done, writes the checkpoint,
            and is raised again.
        callbacks: Told after every step and every epoch.

    Returns:
        A record an epoch.

    Raises:
        ArgumentError: Numbers out of range, no images, targets that are no class of the model, an output folder that
            can't be written to: all found before the first step, and the model is then as it was.
        ShapeError: Targets of another number than the images, or images that do not fit the model.
        DivergenceError: NaN or infinity in an image, the loss or the weights. The epoch and step are named, and the
            checkpoint of the last good epoch stays.
    """
    seed = model.seed if seed is None else seed
    criterion = CrossEntropyLoss() if loss is None else loss
    _require_whole("fit", 1, epochs=epochs, batch_size=batch_size)
    _require_whole("fit", 0, seed=seed)
    x, y = _examples("fit", x, y)
    if normalization is None:
        normalization = model.normalization
    batches = Batches(x, model.dtype, normalization)
    _require_fit("fit", model, x, y, criterion)
    held_out = None if validation is None else _held_out(validation, model, x, criterion)
    folder: Path | None = None
    if out is not None:
        from . import storage  # and with it what only those need who read or write files

        folder = storage.check_writable(out)
    if normalization is not None:
        model.normalization = {name: [float(value) for value in normalization[name]] for name in ("mean", "std")}
    run = _Run(
        model=model,
        optimizer=AdamW(model.parameters(), lr=1e-3) if optimizer is None else optimizer,
        loss=criterion,
        batches=batches,
        targets=y,
        held_out=held_out,
        out=folder,
        settings={
            "epochs": int(epochs),
            "batch_size": int(batch_size),
            "shuffle": bool(shuffle),
            "seed": int(seed),
            "images": len(x),
        },
    )
    positions = np.arange(len(x))
    slices = cut(len(x), batch_size)
    try:
        for run.epoch in range(1, epochs + 1):
            run.begin_epoch()
            if shuffle:
                positions = order(len(x), seed, run.epoch)
            for batch in slices:
                run.take_step(positions[batch])
                mean = run.mean
                record = BatchRecord(run.epoch, epochs, run.step, len(slices), mean.images, mean.loss, mean.accuracy)
                for callback in callbacks:
                    callback.on_batch_end(record)
            run.end_epoch()
            for callback in callbacks:
                callback.on_epoch_end(run.history[-1])
    except KeyboardInterrupt:
        # An impatient second Ctrl-C may have torn a step in two: weights that no step made are not kept.
        if run.whole and run.not_finite() is None:
            run.write_checkpoint()
        raise
    if folder is not None:
        model.save(folder / "model.safetensors")
    return run.history


class _Run:
    """A training run: what changes from step to step, and the files it leaves.

    Attributes:
        epoch: The current epoch, from 1.
        step: How many of its steps are done.
        whole: Whether no step is half done.
    """

    def __init__(
        self,
        model: Trainable,
        optimizer: Learner,
        loss: Criterion,
        batches: Batches,
        targets: Array,
        held_out: tuple[Array, Array] | None,
        out: Path | None,
        settings: Mapping[str, Any],
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.batches = batches
        self.targets = targets
        self.held_out = held_out
        self.out = out
        self.settings = settings
        self.history = History()
        self.epoch = 1
        self.step = 0
        self.whole = True
        self.mean = Mean(loss)
        self._seconds = 0.0

    def begin_epoch(self) -> None:
        """Count from nothing again."""
        self.step = 0
        self.mean = Mean(self.loss)
        self._seconds = 0.0

    def take_step(self, positions: Array) -> None:
        """One batch: forward, loss, backward, update."""
        started = time.perf_counter()
        step = self.step + 1
        try:
            x = self.batches.take(positions)
        except DivergenceError as error:
            raise self._diverged(step, str(error)) from None
        targets = self.targets[positions]
        # Numbers that run away are noticed right here, and named better than by NumPy's warnings.
        with _uninterrupted(), np.errstate(over="ignore", invalid="ignore"):
            self.whole = False
            self.model.position = (self.epoch, step)
            outputs = self.model(x, training=True)
            loss, gradient = self.loss(outputs, targets)
            if not math.isfinite(loss):
                raise self._diverged(step, f"the loss became {loss}.")
            self.model.zero_grad()
            self.model.backward(gradient, input_gradient=False)
            self.optimizer.step()
            self.mean.add(loss, outputs, targets)
            self._seconds += time.perf_counter() - started
            self.step = step
            self.whole = True

    def end_epoch(self) -> None:
        """Evaluate, and write down how the epoch went."""
        # The last loss tells of the weights before its step; the checkpoint is to hold those after it.
        name = self.not_finite()
        if name is not None:
            raise self._diverged(self.step, f"{name} is no longer finite.")
        result: Evaluation | None = None
        if self.held_out is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                result = evaluate(self.model, *self.held_out, loss=self.loss)
            if not math.isfinite(result["loss"]):
                raise self._diverged(self.step, f"the validation loss became {result['loss']}.")
        self.history.append(
            {
                "epoch": self.epoch,
                "train_loss": self.mean.loss,
                "train_accuracy": self.mean.accuracy,
                "test_loss": None if result is None else result["loss"],
                "test_accuracy": None if result is None else result["accuracy"],
                "seconds": self._seconds,
                "images_per_second": self.mean.images / self._seconds,
            }
        )
        self.write_checkpoint()

    def write_checkpoint(self) -> None:
        """Write down all that another process needs to go on from here, bit for bit, and the metrics so far."""
        if self.out is None:
            return
        import json

        from . import storage

        tensors = {f"model.{name}": array for name, array in self.model.state_dict().items()}
        tensors |= {f"optimizer.{name}": array for name, array in self.optimizer.state_dict().items()}
        place = {
            "epoch": self.epoch,
            "step": self.step,
            **self.settings,
            "optimizer": type(self.optimizer).__name__,
            "config": self.model.config(),
            "input_shape": self.model.input_shape,
            "dtype": str(self.model.dtype),
            "model_seed": self.model.seed,
            "classes": self.model.classes,
            "normalization": self.model.normalization,
            "history": self.history,
        }
        metadata = {"format": "colonnade checkpoint", "version": str(CHECKPOINT_VERSION), "run": json.dumps(place)}
        storage.write(self.out / "checkpoint.safetensors", tensors, metadata)
        if self.history:
            lines = "".join(json.dumps(record) + "\n" for record in self.history)
            storage.replace(self.out / "metrics.jsonl", lines.encode())

    def not_finite(self) -> str | None:
        """The name of an array of the model that holds NaN or infinity, if there is one."""
        for name, array in self.model.state_dict().items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                return name
        return None

    def _diverged(self, step: int, what: str) -> DivergenceError:
        message = f"fit: epoch {self.epoch}, step {step}: {what}"
        if self.out is not None and self.history:
            message += f" {self.out / 'checkpoint.safetensors'} holds epoch {len(self.history)}."
        return DivergenceError(message)


def evaluate(
    model: Trainable,
    x: ArrayLike,
    y: ArrayLike,
    *,
    batch_size: int = 256,
    loss: Criterion | None = None,
    normalization: Normalization | None = None,
) -> Evaluation:
    """Mean loss and accuracy of a model.

    Args:
        model: Used as in inference.
        x: Images, prepared as by `fit`.
        y: Targets.
        batch_size: Images at a time.
        loss: By default `CrossEntropyLoss()`.
        normalization: By default the model's own.

    Raises:
        ArgumentError: No images, or targets that are no class of the model.
        ShapeError: Targets of another number than the images, or images that do not fit the model.
        DivergenceError: NaN or infinity in an image.
    """
    x, y = _examples("evaluate", x, y)
    criterion = CrossEntropyLoss() if loss is None else loss
    _require_fit("evaluate", model, x, y, criterion)
    mean = Mean(criterion)
    for batch, outputs in _outputs("evaluate", model, x, batch_size, normalization):
        mean.add(criterion(outputs, y[batch])[0], outputs, y[batch])
    return {"loss": mean.loss, "accuracy": mean.accuracy, "n": mean.images}


def predict(
    model: Trainable, x: ArrayLike, *, batch_size: int = 256, normalization: Normalization | None = None
) -> Array:
    """The class number of each image, (n,), int64: the greatest output, the first of equals.

    Args:
        model: Used as in inference.
        x: Images, prepared as by `fit`.
        batch_size: Images at a time.
        normalization: By default the model's own.

    Raises:
        ArgumentError: No images.
        ShapeError: Images that do not fit the model.
        DivergenceError: NaN or infinity in an image.
    """
    return np.concatenate(
        [outputs.argmax(axis=1) for _, outputs in _outputs("predict", model, x, batch_size, normalization)]
    )


def predict_proba(
    model: Trainable, x: ArrayLike, *, batch_size: int = 256, normalization: Normalization | None = None
) -> Array:
    """The probability of each class for each image, (n, classes): the softmax of the outputs.

    Args:
        model: Ends in logits, as for `CrossEntropyLoss`.
        x: Images, prepared as by `fit`.
        batch_size: Images at a time.
        normalization: By default the model's own.

    Raises:
        ArgumentError: No images.
        ShapeError: Images that do not fit the model.
        DivergenceError: NaN or infinity in an image.
    """
    probabilities = []
    for _, outputs in _outputs("predict_proba", model, x, batch_size, normalization):
        softmax_forward(outputs, 1, out=outputs)
        probabilities.append(outputs)
    return np.concatenate(probabilities)


def _outputs(
    who: str, model: Trainable, x: ArrayLike, batch_size: int, normalization: Normalization | None
) -> Iterator[tuple[slice, Array]]:
    """The outputs of a model batch by batch, each with its place in x."""
    x = _images(who, x)
    _require_whole(who, 1, batch_size=batch_size)
    batches = Batches(x, model.dtype, model.normalization if normalization is None else normalization)
    for start in range(0, len(x), batch_size):
        batch = slice(start, min(start + batch_size, len(x)))
        try:
            taken = batches.take(np.arange(batch.start, batch.stop))
        except DivergenceError as error:
            raise DivergenceError(f"{who}: {error}") from None
        yield batch, model(taken)


def _images(who: str, x: ArrayLike) -> Array:
    x = np.asarray(x)
    if not x.ndim or not len(x):
        raise ArgumentError(f"{who}: expected at least one image, got x of shape {x.shape}.")
    return x


def _examples(who: str, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    x, y = _images(who, x), np.asarray(y)
    if not y.ndim or len(x) != len(y):
        raise ShapeError(f"{who}: expected a target for each of {len(x)} images, got y of shape {y.shape}.")
    return x, y


def _held_out(
    validation: tuple[ArrayLike, ArrayLike], model: Trainable, x: Array, loss: Criterion
) -> tuple[Array, Array]:
    """The validation part, held to all that `evaluate` will ask of it: an epoch is a dear way to find out."""
    who = "fit: validation"
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise ArgumentError(f"{who}: expected a pair (x, y), got {type(validation).__name__}.")
    held_out, y = _examples(who, *validation)
    if held_out.shape[1:] != x.shape[1:]:
        raise ShapeError(f"{who}: expected images of shape {x.shape[1:]}, as in training, got {held_out.shape[1:]}.")
    try:
        Batches(held_out, model.dtype).require_finite()
    except DivergenceError as error:
        raise DivergenceError(f"{who}: {error}") from None
    _require_fit(who, model, held_out, y, loss)
    return held_out, y


def _require_whole(who: str, least: int, **numbers: int) -> None:
    for name, number in numbers.items():
        if not isinstance(number, int | np.integer) or number < least:
            rule = "a positive whole number" if least else "a whole number, not negative"
            raise ArgumentError(f"{who}: {name} must be {rule}, got {number!r}.")


def _require_fit(who: str, model: Trainable, x: Array, y: Array, loss: Criterion) -> None:
    """Have the images fit the model, and all targets the loss, not only those of the first batch.

    Of a loss of another kind nothing is known but what it does when called.
    """
    if model.input_shape != x.shape[1:]:
        model.build(x.shape[1:])
    if isinstance(loss, Loss) and model.output_shape is not None:
        try:
            loss.check((len(x), *model.output_shape), y)
        except ArgumentError as error:
            raise type(error)(f"{who}: {error}") from None


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold back a Ctrl-C to the end of the block; a second one is not held back.

    Only where Python's own handler is in place, and in the main thread, where alone interrupts arrive.
    """
    import signal

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    came = False

    def hold(number: int, frame: FrameType | None) -> None:
        nonlocal came
        if came:
            signal.default_int_handler(number, frame)
        came = True

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if came:
        raise KeyboardInterrupt
