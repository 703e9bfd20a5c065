"""`colonnade evaluate`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..printable import LONGEST_MESSAGE, printable
from .options import (
    AsJson,
    BatchSize,
    Compiled,
    Data,
    DataDir,
    Image,
    ModelFile,
    Threads,
    image_shape,
    say,
    set_compiled,
    set_threads,
)

if TYPE_CHECKING:
    from ..metrics import Calibration, ClassReport


def evaluate(
    model: ModelFile,
    data: Data = "digits",
    data_dir: DataDir = None,
    part: Annotated[
        Literal["val", "train", "all"] | None,
        typer.Option("--part", show_default="held out; all of a folder without parts", help="What is tested on."),
    ] = None,
    image: Image = None,
    batch_size: BatchSize = 256,
    threads: Threads = None,
    compiled: Compiled = None,
    as_json: AsJson = False,
) -> None:
    """Loss and accuracy of a model on a data set, class by class, and how sure both are.

    The classes of a model that has their names are paired with those of the data by name.
    """
    from .. import metrics, training
    from ..data.datasets import NAMES, load_part
    from ..data.pairing import paired
    from ..formats import load as load_model

    set_threads(threads)
    set_compiled(compiled)
    net = load_model(model, image_shape(image))
    tested = load_part(data, part, data_dir, **_size(net.input_shape or net.open_shape))
    images = paired(str(data), tested.examples, net.classes, tested.classes)
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
    interval = metrics.wilson(int((predicted == labels).sum()), count)
    if as_json:
        found = {
            "model": str(model),
            "data": data,
            "part": tested.part,
            **result,
            "interval": interval,
            "top_5": metrics.top_k(probabilities, labels, 5),
            "classes": [{"class": name, **report} for name, report in zip(classes, reports, strict=True)],
            "confusion": confusion.tolist(),
            "calibration": _calibration(calibration),
        }
        typer.echo(json.dumps(found))
        return
    for line in _table(classes, reports):
        say(line)
    typer.echo(f"expected calibration error {calibration.ece:.4f}")
    typer.echo(f"test loss {result['loss']:.4f}")
    typer.echo(f"test accuracy from {interval[0]:.4f} to {interval[1]:.4f} (95 % Wilson interval, {count:,} images)")
    typer.echo(f"test accuracy {result['accuracy']:.4f}")


def _size(shape: Any) -> dict[str, Any]:
    """How photographs are to be read for a model of that input shape, (c, h, w), with None for what is open."""
    if not isinstance(shape, tuple) or len(shape) != 3 or isinstance(shape[0], tuple):
        return {}
    sizes = {} if None in shape[1:] else {"size": shape[1:]}
    return sizes if shape[0] is None else {"channels": shape[0], **sizes}


def _table(classes: list[str], reports: list[ClassReport]) -> list[str]:
    """A line a class."""
    classes = [printable(name) for name in classes]
    width = max(map(len, ["class", *classes]))
    lines = [f"{'class'.ljust(width)}  precision  recall      F1  images"]
    for name, report in zip(classes, reports, strict=True):
        shares = f"{report['precision']:9.4f}  {report['recall']:.4f}  {report['f1']:.4f}"
        if not report["support"]:  # none of it could be found
            shares = f"{report['precision']:9.4f}  {'–':>6}  {'–':>6}"
        lines.append(f"{name.ljust(width)}  {shares}  {report['support']:6,}")
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
