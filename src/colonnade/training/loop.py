"""Training a model: what `fit` is given, checked and put together before the first step."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..arguments import flag, number, path, whole
from ..data.batches import Normalization, are_alike
from ..data.loader import Augmentation
from ..data.pairing import class_names, listed
from ..data.parallel import loader_for
from ..data.pixels import Scale
from ..data.stream import Stream
from ..errors import ArgumentError
from ..runs import CHECKPOINT
from ..schedules import ReduceLROnPlateau, Schedule
from . import arguments
from .callbacks import Average, Callback, Scheduler
from .memory import parts_within
from .protocols import Inputs, Learner, Objective, Targets, Trainable, Weights, ends
from .records import History
from .run import Run

if TYPE_CHECKING:
    from ..data.examples import Examples
    from ..storage import StrPath


def fit(
    model: Trainable,
    x: Inputs | Examples | Stream,
    y: Targets | None = None,
    *,
    epochs: int = 1,
    batch_size: int = 128,
    optimizer: str | Learner | None = None,
    loss: Objective = None,
    loss_weights: Weights = None,
    validation: tuple[Inputs, Targets] | Examples | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    normalization: Normalization | None = None,
    augmentation: str | Augmentation | None = None,
    schedule: str | Schedule | ReduceLROnPlateau | Callable[[Any, int], Schedule] | None = None,
    average: float | None = None,
    clip: float | None = None,
    accumulate: int = 1,
    memory: float | None = None,
    max_time: float | None = None,
    steps: int | None = None,
    workers: int | None = None,
    out: StrPath | None = None,
    checkpoint_seconds: float | None = 60.0,
    resume: bool | StrPath = False,
    callbacks: Sequence[Callback] = (),
    progress: bool | None = None,
) -> History:
    """Train a model.

    Bytes are pixels and are divided by 255, as is what stands for bytes, if the model was trained on them; see
    `Model.pixels`. Then, for any x, the mean is subtracted and the deviation divided by, if a normalization is given
    or the model has one. Every image is seen once an epoch. A last batch of a single image is joined to the one
    before, which so has `batch_size` + 1.

    Args:
        model: Built from the shape of x if it is not yet.
        x: Images (n, c, h, w), or (n, ...), bytes or numbers. Or examples, such as `ImageFolder` and `Arrays`, or a
            `Stream`: they have their targets. Where they have names of classes, as photographs in folders do, and the
            model has, too, both are paired by name; a model that has none takes theirs. Of a model of several inputs
            a tuple of arrays, or a dict by the inputs' names.
        y: Targets (n, ...), as the loss wants them: class numbers (n,) for the default, or names of classes, text: a
            model that has no names then takes these, sorted. Of a model of several outputs a tuple, or a dict by the
            outputs' names; None for an output whose loss needs none.
        epochs: How many times every image is seen.
        batch_size: Images in a step.
        optimizer: By default AdamW with a learning rate of 0.001. Or by name, with settings that suit the networks of
            the zoo: "sgd", "adam", "adamw", "nadam", "rmsprop", "adagrad", "lion"; see `training.OPTIMIZERS`.
        loss: By default `CrossEntropyLoss()`. Or by name: "cross_entropy", "nll", "bce_with_logits", "mse", "l1",
            "smooth_l1", "huber", "kl_div". Of a model of several outputs one for all, or a tuple or dict with one for
            each; the loss is then their weighted sum.
        loss_weights: Of the losses of several outputs, a tuple or dict of numbers; by default all 1.
        validation: Images and targets to evaluate after every epoch, or examples.
        shuffle: See the images of each epoch in another order, given by (seed, epoch) alone.
        seed: Of the order and the augmentation; by default the model's.
        normalization: `mean` and `std` of each channel, of pixels in [0, 1]. The model keeps it, and `evaluate` and
            `predict` do the same.
        augmentation: Changes the training images, see `colonnade.data.augmentation`; or the name of a preset.
        schedule: Of the learning rate: "constant", "cosine" or "one-cycle", see `training.schedule`; a function of
            the optimizer and the number of all steps that makes one, for this run alone; or one of the optimizer. It
            goes on after every step, `ReduceLROnPlateau` after every epoch; for a schedule that counts epochs give the
            callback `Scheduler(schedule, each="epoch")`.
        average: The decay of an exponential moving average of the weights. Validation sees the average, and it is
            what the model ends with and what is saved.
        clip: The greatest norm of all gradients together; those of a greater norm are scaled down.
        accumulate: Compute a step in so many parts, one after the other, and add up their gradients: the gradient of
            the whole batch, up to rounding, in less memory. Batch norm sees each part by itself.
        memory: Bytes that the run may take, apart from Python and the data set. It is known before the first step:
            the batch is cut into as many parts (`accumulate`) as it takes to fit.
        max_time: Seconds after which the run ends, within an epoch if need be. It is evaluated and saved, and its
            checkpoint can be resumed.
        steps: How many there are in all, where that is less than `epochs` have: the last epoch ends early, and so does
            the schedule. `training.pace` tells how many fit into a time.
        workers: Threads that read and augment images; see `colonnade.data.Loader`.
        out: A folder for `metrics.jsonl` and `checkpoint.safetensors`, written after every epoch, and
            `model.safetensors` at the end. An interrupt (Ctrl-C) waits until the step is done, writes the checkpoint,
            and is raised again; SIGTERM and SIGHUP do likewise, and end the process with the status 143 or 129. A
            `model.safetensors` of before stays until this run has ended well. No other run may use the folder
            meanwhile.
        checkpoint_seconds: Write the checkpoint within an epoch, too, when so many seconds have passed since the
            last; 0 for every step, None for never.
        resume: True to go on from the checkpoint in `out`, or its path. What comes out is bit for bit what the run
            would have given had it never been stopped. Only `epochs` may be another.
        callbacks: Told after every step and every epoch; see `colonnade.training.Callback`.
        progress: Show on standard error how it goes, in bars and a line an epoch. By default where somebody looks: on
            a terminal and in a notebook.

    Returns:
        A record an epoch.

    Raises:
        ArgumentError: Numbers out of range, no images, targets or names that are no class of the model, an input or
            output for which nothing is given, an optimizer of another model, an output folder that can't be written
            to, that has no room or that another run holds, more memory needed than given, a checkpoint of another run:
            all found before the first step, and the model is then as it was.
        ShapeError: Targets of another number than the images, or images that do not fit the model.
        FileFormatError: A checkpoint that is damaged, or none.
        DivergenceError: NaN or infinity in an image, the loss or the weights. The epoch and step are named, and the
            checkpoint of the last good epoch stays.
        OSError: What the disk says; the checkpoint of before stays whole.
    """
    started = time.perf_counter()
    seed = model.seed if seed is None else seed
    criterion = arguments.objective("fit", model, loss, loss_weights)
    epochs, batch_size = whole("fit", "epochs", epochs, 1), whole("fit", "batch_size", batch_size, 1)
    accumulate, seed = whole("fit", "accumulate", accumulate, 1), whole("fit", "seed", seed, 0, long=True)
    workers = None if workers is None else whole("fit", "workers", workers, 0)
    shuffle = flag("fit", "shuffle", shuffle)
    clip, memory, max_time = (
        None if value is None else number("fit", name, value, above=0)
        for name, value in (("clip", clip), ("memory", memory), ("max_time", max_time))
    )
    steps = None if steps is None else whole("fit", "steps", steps, 1)
    average = None if average is None else number("fit", "average", average, 0, 1)
    if checkpoint_seconds is not None:
        checkpoint_seconds = number("fit", "checkpoint_seconds", checkpoint_seconds, 0)
    out = None if out is None else path("fit", "out", out)
    if not isinstance(resume, bool):
        resume = path("fit", "resume", resume)
    told = arguments.listeners(callbacks)
    shows = None if progress is None else flag("fit", "progress", progress)
    plain = max(map(len, ends(model))) == 1
    train = (
        x
        if isinstance(x, Stream) and plain
        else arguments.given("fit", model, x, y, criterion, model.classes, learns=True)
    )
    arguments.require_fit("fit", model, train, criterion)
    known = model.classes or class_names(train)
    if y is not None and known and model.classes is None and model.output_shape != (len(known),):
        got = f"{len(known)} in y: {listed(known)}"
        raise ArgumentError(f"fit: expected a name for each of the outputs {model.output_shape}, got {got}.")
    # Another normalization is for other images than those that the model may have been trained on before.
    same = normalization is None or are_alike(normalization, model.normalization)
    scale = Scale("fit", getattr(model, "pixels", None) if same else None, learns=True)
    if normalization is None:
        normalization = model.normalization
    loader = loader_for(train)(
        train,
        batch_size,
        dtype=model.dtype,
        normalization=normalization,
        augmentation=arguments.augmenter("fit", augmentation),
        shuffle=shuffle,
        seed=seed,
        workers=workers,
        scale=scale,
    )
    held_out = None if validation is None else arguments.held_out(validation, model, train, criterion, known, scale)
    optimizer = arguments.learner("fit", optimizer, model)
    if memory is not None:
        average_too, validates = average is not None, held_out is not None
        accumulate = parts_within(memory, model, optimizer, loader, accumulate, average_too, validates)
    rates = optimizer.lr, getattr(optimizer, "initial_lr", None)
    total = min(epochs * len(loader), steps or sys.maxsize)
    made = arguments.scheduler(schedule, optimizer, total)
    own: list[Callback] = [] if made is None else [Scheduler(made)]
    own += [] if average is None else [Average(average)]
    run = Run(
        model,
        optimizer,
        criterion,
        loader,
        held_out,
        epochs=-(-total // len(loader)),
        total=total,
        accumulate=accumulate,
        clip=clip,
        callbacks=[*own, *told],
        workers=workers,
        classes=known if known and model.output_shape == (len(known),) else None,
        evaluated_at_once=256 if memory is None else -(-batch_size // accumulate),
    )
    try:
        with _shown(run, shows):
            _train(run, None if max_time is None else started + max_time, out, checkpoint_seconds, resume)
    finally:
        if made is not schedule:
            optimizer.lr, optimizer.initial_lr = rates
    return run.history


@contextmanager
def _shown(run: Run, progress: bool | None) -> Iterator[None]:
    """Show a run, where that is wanted, or where somebody looks."""
    if progress is False:
        yield
        return
    from .progress import Progress, is_watched  # who trains unseen needs no Rich

    if not (progress or is_watched()):
        yield
        return
    with Progress() as bars:
        run.callbacks.append(bars)
        yield


def _train(
    run: Run, ends: float | None, out: StrPath | None, checkpoint_seconds: float | None, resume: bool | StrPath
) -> None:
    """Have a run take its steps, in its folder where it has one."""
    from . import checkpoint

    if out is None:
        if resume is True:
            raise ArgumentError("fit: resume=True needs the folder of the run, fit(out=...), got none.")
        if resume:
            run.continue_from(resume)
        run.train(ends)
        return
    from pathlib import Path

    from .. import claims, storage
    from .interrupts import ending_as_exit

    stored = checkpoint.find(Path(out, CHECKPOINT) if resume is True else resume) if resume else None
    with ending_as_exit(), claims.held(storage.check_writable(out)):
        if stored is not None:
            run.continue_from(stored)
        run.write_to(out, checkpoint_seconds)
        run.train(ends)
