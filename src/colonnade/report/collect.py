"""The numbers of a report: what the files of a run tell, and what its model does with the images held out."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import metrics, runs
from ..data.pairing import paired
from ..documents import parse_json, parse_toml, read_bytes
from ..errors import ColonnadeError, DataError
from ..memory_map import MemoryMap, memory_map
from ..ops.layout import Array
from ..pictures import data_uri, filter_pictures, first_kernel, picture
from ..printable import LONGEST_MESSAGE, printable
from .drawing import finite

if TYPE_CHECKING:
    from ..data import Dataset
    from ..model import Model
    from ..profiling import Profile

COARSE = 48  # pixels a side: a picture of fewer is shown as the squares that they are
MISTAKES = 24  # pictures of what the model was surest of and wrong about
FILTERS = 64  # at most so many are shown
BINS = 15  # of the calibration diagram
STEPS = 3  # of training that are timed
BATCH_SIZE = 64  # where the configuration names none


class Confusion(NamedTuple):
    """Images of one class taken for another."""

    name: str
    taken_for: str
    images: int
    share: float  # of the images of that class


class Mistake(NamedTuple):
    """One image that the model is sure of, and wrong about."""

    uri: str
    name: str
    taken_for: str
    confidence: float
    position: int
    coarse: bool  # so few pixels that each should be seen


@dataclass(frozen=True)
class Judgement:
    """What the model makes of the images held out."""

    images: int
    accuracy: float
    interval: tuple[float, float]  # of 95 %
    classes: list[str]
    matrix: list[list[int]]  # [true][predicted]
    reports: list[metrics.ClassReport]
    confusions: list[Confusion]
    mistakes: list[Mistake]
    wrong: int
    calibration: metrics.Calibration


class Filters(NamedTuple):
    """The first convolution's filters, and what there is of them."""

    name: str
    shape: tuple[int, ...]
    uris: list[str]


@dataclass
class Report:
    """All that a report shows. What could not be had is None, and `missing` says why.

    Attributes:
        name: Of the run's folder.
        folder: The folder itself.
        made: When the report was made.
        version: The version of Colonnade that made it.
        configuration: The options of the run.
        threads: How many it used.
        history: A record an epoch, as in metrics.jsonl.
        parameters: How many numbers the model learned.
        judgement: What it makes of the images held out.
        filters: Those of its first convolution.
        memory: Where everything lies in a training step.
        profile: Where the time of a training step goes.
        missing: What could not be had, by section.
    """

    name: str
    folder: str
    made: datetime.datetime
    version: str
    configuration: dict[str, Any] = field(default_factory=dict)
    threads: int | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    parameters: int | None = None
    judgement: Judgement | None = None
    filters: Filters | None = None
    memory: MemoryMap | None = None
    profile: Profile | None = None
    missing: dict[str, str] = field(default_factory=dict)


def collect(
    run: Path, *, data: str | None = None, data_dir: str | Path | None = None, steps: int = STEPS, version: str = ""
) -> Report:
    """Read a run's folder, judge its model and time a few steps of it.

    Args:
        run: A folder that `colonnade train` left.
        data: The data set; by default the one that the configuration names.
        data_dir: Where its files lie; by default where the configuration says.
        steps: Training steps to time; 0 for none.
        version: Of Colonnade.

    Raises:
        DataError: No folder, or one in which none of a run's files is to be found.
    """
    if not run.is_dir():
        raise DataError(f"{run}: expected the folder of a run, got {'a file' if run.exists() else 'nothing there'}.")
    if not any((run / name).is_file() for name in (runs.METRICS, runs.MODEL, runs.CONFIG)):
        raise DataError(f"{run}: expected a run's metrics.jsonl, model.safetensors or config.toml, got none of them.")
    name, folder = printable(run.resolve().name), printable(run, LONGEST_MESSAGE)
    report = Report(name, folder, datetime.datetime.now().astimezone(), version)
    _read_configuration(report, run / runs.CONFIG)
    _read_history(report, run / runs.METRICS)
    net = _read_model(report, run / runs.MODEL)
    if net is None:
        return report
    report.parameters = sum(parameter.size for parameter in net.parameters())
    report.filters = _filters(net)
    if report.filters is None:
        report.missing["filters"] = "The model has no convolution of images."
    _judge(report, net, run, data, data_dir)
    _measure(report, net, steps)
    return report


def _read_configuration(report: Report, path: Path) -> None:
    try:
        report.configuration = parse_toml(read_bytes(path))
        ran = report.configuration.pop(runs.RAN, {})
        threads = ran.get("threads") if isinstance(ran, dict) else None
        report.threads = threads if isinstance(threads, int) and threads > 0 else None
    except FileNotFoundError:
        report.missing["configuration"] = "The run has no config.toml."
    except (OSError, ColonnadeError) as error:
        report.missing["configuration"] = f"config.toml can't be read ({error})."


def _read_history(report: Report, path: Path) -> None:
    try:
        records = [parse_json(line) for line in read_bytes(path).splitlines() if line.strip()]
    except FileNotFoundError:
        report.missing["curves"] = "The run has no metrics.jsonl: no epoch of it is over."
        return
    except (OSError, ColonnadeError) as error:
        report.missing["curves"] = f"metrics.jsonl can't be read ({error})."
        return
    report.history = [
        {printable(name): value if finite(value) or value is None else printable(value) for name, value in each.items()}
        for each in records
        if isinstance(each, dict)
    ]
    if len(report.history) < len(records):
        report.missing["curves"] = "metrics.jsonl holds lines that are no records; they are left out."
    elif not records:
        report.missing["curves"] = "metrics.jsonl is empty: no epoch of the run is over."


def _read_model(report: Report, path: Path) -> Model | None:
    from ..formats import load

    try:
        net = load(path)
    except FileNotFoundError:
        reason = "The run has no model.safetensors: it did not come to its end."
    except (ColonnadeError, OSError) as error:
        reason = f"The model can't be read: {error}"
    else:
        if isinstance(net.input_shape, tuple) and len(net.input_shape) == 3 and len(net.inputs) == 1:
            return net
        reason = f"The model takes no images: its input is {net.input_shape}."
    for section in ("judgement", "filters", "memory", "profile"):
        report.missing[section] = reason
    return None


def _filters(net: Model) -> Filters | None:
    kernel = first_kernel(net)
    if kernel is None:
        return None
    pictures = filter_pictures(kernel.array)[:FILTERS]
    return Filters(kernel.name, kernel.shape, [data_uri(each) for each in pictures])


def _judge(report: Report, net: Model, run: Path, data: str | None, data_dir: str | Path | None) -> None:
    try:
        options = report.configuration if data is None else {"data": data}
        report.judgement = judge(net, _load(net, run, options, data_dir))
    except (ColonnadeError, OSError) as error:
        report.missing["judgement"] = f"The images held out can't be judged: {error}"


def _load(net: Model, run: Path, options: dict[str, Any], data_dir: str | Path | None) -> Dataset:
    """The data set that the options name; paths in them are relative to the run's folder."""
    from ..data import NAMES, load

    found = runs.data_of(run, options, NAMES)
    channels, *sides = net.input_shape
    return load(
        found.name,
        data_dir or found.data_dir,
        download=False,
        size=(sides[0], sides[1]),
        channels=channels,
        on_error=found.on_error,
    )


def judge(net: Model, dataset: Dataset) -> Judgement:
    """Predict the images held out, and count.

    Raises:
        DataError: Images of another shape than the model's, or another number of classes.
        ArgumentError: A class that the model does not know.
    """
    classes = net.classes or dataset.classes
    test = paired(dataset.name, dataset.test, classes, dataset.classes)
    targets = np.asarray(test.targets)
    if tuple(test.shape) != net.input_shape:
        raise DataError(f"{dataset.name}: expected images of shape {net.input_shape}, got {tuple(test.shape)}.")
    if net.output_shape != (len(classes),):
        raise DataError(f"{dataset.name}: expected the classes of the model, got {', '.join(dataset.classes)}.")
    probabilities = net.predict_proba(test)  # (n, classes)
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    counts = metrics.confusion_matrix(predicted, targets, len(classes))
    wrong = np.flatnonzero(predicted != targets)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    right = len(targets) - len(wrong)
    names = [printable(name) for name in classes]
    return Judgement(
        images=len(targets),
        accuracy=right / len(targets),
        interval=metrics.wilson(right, len(targets)),
        classes=names,
        matrix=counts.tolist(),
        reports=metrics.class_reports(counts),
        confusions=_confusions(counts, names),
        mistakes=[
            Mistake(
                uri=data_uri(picture(image)),
                name=names[targets[at]],
                taken_for=names[predicted[at]],
                confidence=float(confidence[at]),
                position=int(at),
                coarse=min(image.shape[1:]) < COARSE,
            )
            for at, image in zip(surest, test.take(surest) if len(surest) else (), strict=True)
        ],
        wrong=len(wrong),
        calibration=metrics.calibration(probabilities, targets, BINS),
    )


def _confusions(counts: Array, classes: Sequence[str], most: int = 5) -> list[Confusion]:
    """The most frequent ones."""
    errors = counts.copy()
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:most]
    places = [np.unravel_index(place, errors.shape) for place in order]
    return [
        Confusion(
            classes[row], classes[column], int(errors[row, column]), float(errors[row, column] / counts[row].sum())
        )
        for row, column in places
        if errors[row, column]
    ]


def _measure(report: Report, net: Model, steps: int) -> None:
    """Where everything lies, and how long everything takes, in a training step of the run's batch size."""
    size = report.configuration.get("batch_size")
    images = size if isinstance(size, int) and 0 < size <= 1 << 16 else BATCH_SIZE
    shape = (images, *net.input_shape)
    try:
        report.memory = memory_map(net.plan(shape, training=True))
    except ColonnadeError as error:
        report.missing["memory"] = f"There is no plan for a batch of {images} images: {error}"
    if steps == 0:
        report.missing["profile"] = "No step was timed, as was asked for."
        return
    try:
        # What the pixels are makes no difference to the time.
        batch = np.random.default_rng(0).standard_normal(shape, np.float32)
        report.profile = net.profile(batch, steps=steps)
    except (ColonnadeError, MemoryError) as error:
        report.missing["profile"] = f"A training step could not be timed: {error}"
