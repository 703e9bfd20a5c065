"""`colonnade summary`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson, BatchSize


def _shape(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", text):
        raise typer.BadParameter(f"expected positive numbers C,H,W, got {text!r}.", param_hint="'--input'")
    return tuple(map(int, text.split(",")))


def summary(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL|NAME", show_default=False, help="A model.safetensors, or a network of the zoo."),
    ],
    image: Annotated[
        str | None,
        typer.Option("--input", metavar="C,H,W", help="The size of an image; by default the model's."),
    ] = None,
    batch_size: BatchSize = 1,
    as_json: AsJson = False,
) -> None:
    """Show a model layer by layer, with its output shapes, parameters, FLOPs and bytes."""
    from ..model import load
    from .networks import network, networks

    shape = None if image is None else _shape(image)
    if model not in networks() and Path(model).exists():
        net = load(model)
    else:
        net = network(model)(**({} if shape is None else {"input_shape": shape}))
    if as_json:
        typer.echo(json.dumps({"model": model, **net.table(shape, batch_size)}))
    else:
        typer.echo(net.summary(shape, batch_size))
