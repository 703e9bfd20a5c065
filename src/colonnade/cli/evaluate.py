"""`colonnade evaluate`."""

from __future__ import annotations

import json

import typer

from .options import AsJson, BatchSize, Data, DataDir, ModelFile, Threads, set_threads


def evaluate(
    model: ModelFile,
    data: Data = "digits",
    data_dir: DataDir = None,
    batch_size: BatchSize = 256,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Loss and accuracy of a model on the test part of a data set."""
    from .. import training
    from ..data import load as load_data
    from ..formats import load as load_model

    set_threads(threads)
    net = load_model(model)
    images = load_data(data, data_dir)
    result = training.evaluate(net, images.test.x, images.test.y, batch_size=batch_size)
    if as_json:
        typer.echo(json.dumps({"model": str(model), "data": data, **result}))
    else:
        typer.echo(f"test loss {result['loss']:.4f}")
        typer.echo(f"test accuracy {result['accuracy']:.4f}")
