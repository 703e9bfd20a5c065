"""`colonnade summary`."""

from __future__ import annotations

import json

import typer

from .options import AllowLinks, AsJson, BatchSize, Compiled, Image, ModelOrName, image_shape, set_compiled, width


def summary(
    model: ModelOrName,
    image: Image = None,
    allow_links: AllowLinks = False,
    batch_size: BatchSize = 1,
    compiled: Compiled = None,
    as_json: AsJson = False,
) -> None:
    """Show a model layer by layer, with its output shapes, parameters, FLOPs and bytes."""
    from ..summary import text
    from .networks import model_or_network

    set_compiled(compiled)
    shape = image_shape(image)
    net = model_or_network(model, shape, allow_links)
    if as_json:
        typer.echo(json.dumps({"model": model, **net.table(shape, batch_size)}))
    else:
        table = net.table(shape, batch_size)
        typer.echo(text(table, width()))
