"""`colonnade evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.cells import cell_len

from ..printable import LONGEST_MESSAGE, printable
from .options import (
    AllowLinks,
    AsJson,
    BatchSize,
    Compiled,
    DataDir,
    Image,
    Mirrored,
    ModelFile,
    Threads,
    fitted,
    image_shape,
    interval,
    say,
    set_compiled,
    set_mirrored,
    set_threads,
    width,
)

if TYPE_CHECKING:
    from ..metrics import Calibration, ClassReport


def evaluate(
    model: ModelFile,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME|FOLDER",
            show_default="the run's own, or digits",
            help="A data set by name, or a folder with a folder for each class.",
        ),
    ] = None,
    data_dir: DataDir = None,
    part: Annotated[
        Literal["val", "train", "all"] | None,
        typer.Option("--part", show_default="held out; all of a folder without parts", help="What is tested on."),
    ] = None,
    image: Image = None,
    allow_links: AllowLinks = False,
    batch_size: BatchSize = 256,
    threads: Threads = None,
    compiled: Compiled = None,
    mirrored: Mirrored = None,
    as_json: AsJson = False,
) -> None:
    """Loss and accuracy of a model on a data set, class by class, and how sure both are.

    A run is tested on what it held out. Where the model's classes have names, they are paired with the data's by name.
    """
    from .. import metrics, training
    from ..data.datasets import NAMES, load_part
    from ..data.pairing import paired
    from ..formats import load as load_model
    from ..runs import data_of_run

    set_threads(threads)
    set_compiled(compiled)
    net = load_model(model, image_shape(image), allow_links=allow_links)
    set_mirrored(net, mirrored)
    reading = _size(net.input_shape or net.open_shape)
    if data is None and (own := data_of_run(model, NAMES)) is not None:
        data, part = own.name, part or "val"
        data_dir = data_dir or (None if own.data_dir is None else Path(own.data_dir))
        reading["on_error"] = own.on_error
    data = data or "digits"
    tested = load_part(data, part, data_dir, **reading)
    images = paired(data, tested.examples, net.classes, tested.classes)
    result = training.evaluate(net, images, batch_size=batch_size)
    probabilities = training.predict_proba(net, images, batch_size=batch_size)
    labels, predicted = images.targets, probabilities.argmax(axis=1)
    classes = net.classes or [str(number) for number in range(probabilities.shape[1])]
    kind = "images" if data in NAMES else "photographs"
    number = len(tested.classes)
    classes_of = f"{number} class{'es' if number > 1 else ''}"
    typer.echo(printable(f"{tested.title}, {len(images):,} {kind} of {classes_of}", LONGEST_MESSAGE), err=True)
    if net.classes is None:
        unnamed = f"{model} has no names of classes: they are taken in the order of the data's."
        typer.echo(f"warning: {printable(unnamed, LONGEST_MESSAGE)}", err=True)
    confusion = metrics.confusion_matrix(predicted, labels, len(classes))
    reports = metrics.class_reports(confusion)
    calibration = metrics.calibration(probabilities, labels)
    count = len(labels)
    bounds = metrics.wilson(int((predicted == labels).sum()), count)
    if as_json:
        found = {
            "model": str(model),
            "data": data,
            "part": tested.part,
            **result,
            "interval": bounds,
            "top_5": metrics.top_k(probabilities, labels, 5),
            "classes": [{"class": name, **report} for name, report in zip(classes, reports, strict=True)],
            "confusion": confusion.tolist(),
            "calibration": _calibration(calibration),
        }
        typer.echo(json.dumps(found))
        return
    for line in _table(classes, reports, width()):
        say(line)
    typer.echo(f"expected calibration error {calibration.ece:.4f}")
    typer.echo(f"test loss {result['loss']:.4f}")
    typer.echo(interval(*bounds, count))
    typer.echo(f"test accuracy {result['accuracy']:.4f}")


def _size(shape: Any) -> dict[str, Any]:
    """How photographs are to be read for a model of that input shape, (c, h, w), with None for what is open."""
    if not isinstance(shape, tuple) or len(shape) != 3 or isinstance(shape[0], tuple):
        return {}
    sizes = {} if None in shape[1:] else {"size": shape[1:]}
    return sizes if shape[0] is None else {"channels": shape[0], **sizes}


NUMBERS = "  precision  recall      F1  images"


def _table(classes: list[str], reports: list[ClassReport], most: int) -> list[str]:
    """A line a class, of at most so many letters: names that are longer are cut."""
    room = max(most - len(NUMBERS), len("class"))
    names = [fitted(printable(name), room) for name in classes]
    widest = max(map(cell_len, ["class", *names]))
    lines = [f"{'class'.ljust(widest)}{NUMBERS}"]
    for name, report in zip(names, reports, strict=True):
        shares = f"{report['precision']:9.4f}  {report['recall']:.4f}  {report['f1']:.4f}"
        if not report["support"]:  # none of it could be found
            shares = f"{report['precision']:9.4f}  {'–':>6}  {'–':>6}"
        padding = " " * (widest - cell_len(name))
        lines.append(f"{name}{padding}  {shares}  {report['support']:6,}")
    return lines


def _calibration(found: Calibration) -> dict[str, Any]:
    """As JSON can say it: what an empty bin does not have is null."""
    bins = [
        {
            "from": low,
            "to": high,
            "images": int(count),
            "confidence": float(confidence) if count else None,
            "accuracy": float(accuracy) if count else None,
        }
        for low, high, count, confidence, accuracy in zip(
            found.edges[:-1].tolist(), found.edges[1:].tolist(), *found[3:], strict=True
        )
    ]
    return {"ece": found.ece, "mce": found.mce, "bins": bins}
