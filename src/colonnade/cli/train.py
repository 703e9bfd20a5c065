"""`colonnade train`."""

from __future__ import annotations

import time
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import ColonnadeError
from .options import Compiled, DataDir, Threads, interval, say, set_compiled, set_threads

if TYPE_CHECKING:
    from ..data import Dataset
    from ..model import Model
    from ..training.progress import Progress
    from .config import Settings


class InterruptedRunError(ColonnadeError):
    """A run that was interrupted; the message says where, and how to go on."""


def train(
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME|FOLDER",
            show_default="digits",
            help="digits, mnist, fashion-mnist, kmnist, cifar10, cifar100, or a folder with a folder for each class.",
        ),
    ] = None,
    data_dir: DataDir = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="A network of the zoo, by default one that suits the data; or one that is trained already, to go on "
            "from: a file, a run, or a repository of the Hugging Face Hub, timm/resnet18.a1_in1k.",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs",
            metavar="N",
            min=0,
            help="Times through all images; 0, of a network that is trained already, for a new head alone.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", metavar="N", min=1, help="Batches in all, where that is less than N epochs."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", metavar="N", min=1, help="Images in a step.")
    ] = None,
    optimizer: Annotated[
        Literal["sgd", "adam", "adamw"] | None, typer.Option("--optimizer", help="How the weights learn.")
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option("--lr", metavar="X", help="The greatest learning rate; by default one that suits the optimizer."),
    ] = None,
    schedule: Annotated[
        Literal["constant", "cosine", "one-cycle"] | None,
        typer.Option("--schedule", help="How the learning rate goes with time."),
    ] = None,
    augmentation: Annotated[
        str | None,
        typer.Option(
            "--augmentation", metavar="NAME", help="none, flip, light, characters, objects, photographs or strong."
        ),
    ] = None,
    average: Annotated[
        float | None,
        typer.Option("--average", metavar="X", min=0, max=1, help="Keep a moving average of the weights; 0 for none."),
    ] = None,
    label_smoothing: Annotated[
        float | None,
        typer.Option("--label-smoothing", metavar="X", min=0, max=1, help="Share of a target spread over all classes."),
    ] = None,
    mirrored: Annotated[
        bool | None,
        typer.Option(
            "--mirrored/--no-mirrored",
            show_default=False,
            help="Have the model answer by the mean of what it makes of an image and of its mirror image; by default "
            "where the augmentation mirrors.",
        ),
    ] = None,
    clip: Annotated[
        float | None, typer.Option("--clip", metavar="X", help="The greatest norm of the gradients.")
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option("--accumulate", metavar="N", min=1, help="Compute each step in N parts: less memory.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option("--patience", metavar="N", min=1, help="Stop after N epochs without a smaller test loss."),
    ] = None,
    max_time: Annotated[
        str | None,
        typer.Option(
            "--max-time", metavar="TIME", help="As many epochs as fit into so many seconds, or 20m, or 1h30m."
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option("--memory", metavar="BYTES", help="Fit into so many bytes, or 500M, or 2G: in parts, if need be."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", min=0, show_default="0", help="Same seed, same bits.")
    ] = None,
    threads: Threads = None,
    compiled: Compiled = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", min=0, help="Threads that read images ahead.")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            "--size",
            metavar="N",
            min=1,
            show_default="64, or as small as they are",
            help="Pixels of a side, of photographs.",
        ),
    ] = None,
    on_error: Annotated[
        Literal["raise", "skip"] | None,
        typer.Option(
            "--on-error", show_default="raise", help="End at a photograph that can't be read, or leave it out."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where all files go; by default a new folder, runs/DATA-MODEL."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, with its options.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run in --out; else one that is there is left alone.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Options from a TOML file, as each run writes one.")
    ] = None,
    find_lr: Annotated[
        bool, typer.Option("--find-lr", help="Find a learning rate by a short range test, and train with it.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but the result.")] = False,
) -> None:
    """Train a network on a data set.

    What is not said is chosen to suit the data. The last line on standard output is the accuracy on the test part.
    """
    given = dict(locals())  # every option by its name
    started = time.perf_counter()
    from dataclasses import replace

    from ..data import NAMES, load
    from ..metrics import wilson
    from ..training.progress import Progress
    from ..tuning import train_head, with_head
    from .config import decide, require_epochs
    from .networks import is_pretrained, network, pretrained
    from .planning import arguments, fit_into_time

    if resume and find_lr:
        raise typer.BadParameter("a run that is resumed has its learning rate.", param_hint="'--find-lr'")
    if resume and overwrite:
        raise typer.BadParameter("a run is either replaced or gone on with.", param_hint="'--overwrite'")
    settings = decide(given, config, resume, overwrite)
    require_epochs(settings, given)
    if not (resume or overwrite):
        _require_free(Path(settings.out))
    if settings.size is not None and settings.data in NAMES:
        raise typer.BadParameter(f"the images of {settings.data} have their size.", param_hint="'--size'")
    base = pretrained(settings.model) if is_pretrained(settings.model) else None
    if base is not None and settings.data not in NAMES and settings.size is None:
        settings = replace(settings, size=_side(base))
    reading = {
        name: value for name in ("size", "on_error") if (value := getattr(settings, name)) not in (None, "raise")
    }
    set_threads(settings.threads)
    set_compiled(settings.compiled)
    dataset = load(settings.data, settings.data_dir, **reading)
    if base is not None:
        net = with_head(base, dataset.classes, settings.seed).build(dataset.input_shape)
    else:
        net = network(settings.model)(input_shape=dataset.input_shape, classes=len(dataset.classes), seed=settings.seed)
        net.classes = dataset.classes
    net.mirrored = settings.mirrored
    images = f"{len(dataset.train):,} images to learn from, {len(dataset.test):,} held out"
    with Progress(f"{settings.model} on {Path(settings.data).name}: {images}", quiet) as progress:
        if base is not None and not resume:
            arguments(net, dataset, settings)  # what is wrong of them is told before the head takes its time
            progress.say("first a new head alone, on what the rest makes of each image")
            batch_size, seed = settings.batch_size, settings.seed
            train_head(net, dataset.train, dataset.test, batch_size=batch_size, seed=seed, watch=progress.watch)
        if find_lr:
            settings = replace(settings, lr=_find_rate(net, dataset, settings))
            progress.say(f"learning rate {settings.lr:.2g}, found by a range test")
        if settings.epochs:
            ends = None if settings.max_time is None else started + settings.max_time
            fitted = settings if resume else fit_into_time(net, dataset, settings, ends, given["average"] is not None)
            accuracy = _fit(net, dataset, fitted, ends, resume, overwrite, progress)
        else:
            progress.say("all else stays as it is: --epochs 10 has everything learn, which wants many images")
            accuracy = _keep(net, dataset, settings, overwrite)
    low, high = wilson(round(accuracy * len(dataset.test)), len(dataset.test))
    say(f"model {Path(settings.out, 'model.safetensors')}")
    typer.echo(interval(low, high, len(dataset.test)))
    typer.echo(f"test accuracy {accuracy:.4f}")


def _side(base: Model) -> int | None:
    """Pixels of a side of the images that a trained model takes, where they are squares."""
    shape = base.input_shape
    return shape[1] if shape and len(shape) == 3 and shape[1] == shape[2] else None


def _require_free(folder: Path) -> None:
    """See that a folder holds no run, before the data are looked at; of one that is still running, say so."""
    from .. import claims, runs

    if runs.holds(folder):
        with claims.held(folder):
            runs.require_free(folder)


def _fit(
    net: Model,
    dataset: Dataset,
    settings: Settings,
    ends: float | None,
    resume: bool,
    overwrite: bool,
    progress: Progress,
) -> float:
    """Train, until that time at the most; returns the test accuracy of the weights that are kept."""
    from .. import training
    from ..training.run import TIME_IS_UP
    from .config import WriteConfig
    from .planning import Estimate, arguments, outline

    stopper = training.EarlyStopping(patience=settings.patience) if settings.patience else None
    tested = len(dataset.test) * (2 if settings.mirrored else 1)
    estimate = Estimate(progress.say, outline(settings, dataset), tested)
    callbacks = [*([stopper] if stopper else []), WriteConfig(settings, resume, overwrite), progress, estimate]
    go_on = f"go on with: colonnade train --resume --out {quote(settings.out)}"
    try:
        history = training.fit(
            net,
            dataset.train,
            epochs=settings.epochs,
            steps=settings.steps,
            **arguments(net, dataset, settings),
            schedule=training.schedule(settings.schedule),
            max_time=None if ends is None else max(ends - time.perf_counter(), 1e-9),
            out=settings.out,
            resume=resume,
            callbacks=callbacks,
            progress=False,  # it is among the callbacks
        )
    except KeyboardInterrupt:
        raise InterruptedRunError(f"interrupted{_where(progress, go_on)}") from None
    except SystemExit:
        progress.say(f"asked to end{_where(progress, go_on)}")
        raise
    if history.stopped:
        of_time = history.stopped.startswith(TIME_IS_UP)
        progress.say(f"ended early: {history.stopped}" + (f"; {go_on}" if of_time else ""))
    kept = history[-1] if stopper is None else history[min(stopper.epoch, len(history)) - 1]
    return kept["test_accuracy"] or 0.0


def _keep(net: Model, dataset: Dataset, settings: Settings, overwrite: bool) -> float:
    """Leave a network whose head alone has learned in the folder of its run; returns its test accuracy."""
    from .. import claims, runs, storage, training
    from .config import WriteConfig

    accuracy = training.evaluate(net, dataset.test)["accuracy"]
    folder = storage.check_writable(settings.out)
    with claims.held(folder):
        WriteConfig(settings, False, overwrite).write(settings.accumulate)
        for name in (runs.CHECKPOINT, runs.METRICS):  # of a run that is replaced
            (folder / name).unlink(missing_ok=True)
        net.save(folder / runs.MODEL)
    return accuracy or 0.0


def _where(progress: Progress, go_on: str) -> str:
    return f"{progress.place}; {go_on}" if progress.place else " before the first step"


def _find_rate(net: Model, dataset: Dataset, settings: Settings) -> float:
    from .. import training
    from .planning import learned

    found = training.learning_rate_range_test(
        net,
        dataset.train,
        batch_size=settings.batch_size,
        optimizer=training.optimizer(settings.optimizer, learned(net, settings), settings.lr),
        normalization=net.normalization or dataset.normalization,
    )
    return found.suggested
