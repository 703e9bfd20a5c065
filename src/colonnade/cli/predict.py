"""`colonnade predict`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson, Compiled, Image, ModelFile, Threads, image_shape, say, set_compiled, set_threads


def predict(
    model: ModelFile,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", show_default=False, help="Image files.")],
    top: Annotated[int, typer.Option("--top", metavar="K", min=1, help="How many classes to name.")] = 1,
    image: Image = None,
    threads: Threads = None,
    compiled: Compiled = None,
    as_json: AsJson = False,
) -> None:
    """Name the most probable classes of image files, a line an image."""
    import numpy as np

    from ..data.images import read_images
    from ..errors import ArgumentError
    from ..formats import load
    from ..printable import printable

    set_threads(threads)
    set_compiled(compiled)
    net = load(model, image_shape(image))
    if (shape := net.input_shape or net.open_shape) is None:
        raise ArgumentError(f"{model}: the model has never seen an image: say with --input how large they are.")
    batches = [images] if net.input_shape else [[path] for path in images]  # each may have a size of its own
    found = [net.predict_proba(read_images(batch, shape)) for batch in batches]
    probabilities = np.concatenate(found)  # (images, classes)
    names = net.classes or [str(number) for number in range(probabilities.shape[1])]
    ranking = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    answers = [
        [(names[number], float(row[number])) for number in best]
        for row, best in zip(probabilities, ranking, strict=True)
    ]
    if as_json:
        predictions = [
            {"image": str(path), "top": [{"class": name, "probability": probability} for name, probability in answer]}
            for path, answer in zip(images, answers, strict=True)
        ]
        typer.echo(json.dumps({"model": str(model), "predictions": predictions}))
        return
    for path, answer in zip(images, answers, strict=True):
        say(f"{path}: " + "  ".join(f"{printable(name)} {probability:.4f}" for name, probability in answer))
