"""`colonnade profile`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import AllowLinks, AsJson, BatchSize, Compiled, DataDir, Image, ModelOrName, image_shape, set_compiled

if TYPE_CHECKING:
    from ..profiling import Profile


BOLD = 3  # so many of the slowest layers stand out


def profile(
    model: ModelOrName,
    image: Image = None,
    allow_links: AllowLinks = False,
    batch_size: BatchSize = 128,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="NAME", help="Take the images of a data set; by default random zeros and ones."),
    ] = None,
    data_dir: DataDir = None,
    steps: Annotated[int, typer.Option("--steps", metavar="N", min=1, help="Steps to time.")] = 5,
    threads: Annotated[
        int,
        typer.Option("--threads", metavar="N", min=1, help="Worker threads; with more than one, their times together."),
    ] = 1,
    compiled: Compiled = None,
    inference: Annotated[bool, typer.Option("--inference", help="Time forward passes outside training.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show where the time of a training step goes, layer by layer.

    A line a layer, then what is no layer's own, then the sum of all.
    """
    import numpy as np

    from ..data import load as load_data
    from ..data.batches import Batches
    from ..errors import ArgumentError
    from .networks import model_or_network

    set_compiled(compiled)
    images = None if data is None else load_data(data, data_dir)
    shape = image_shape(image)
    if images is not None:
        shape = shape or images.input_shape
    net = model_or_network(model, shape, allow_links)
    if len(net.inputs) > 1 or shape is None:
        shape = net.built_shape  # of several inputs, that of each
    if shape is None:
        raise ArgumentError(f"{model}: the model has never seen an image: say with --input how large they are.")
    if images is None:
        shapes: Sequence[Any] = shape if len(net.inputs) > 1 else [shape]
        rng = np.random.default_rng(0)
        # Zeros and ones are pixels, and numbers of words too.
        x = [rng.integers(0, 2, (batch_size, *each)).astype(net.dtype) for each in shapes]
        targets = None
    else:
        chosen = np.arange(batch_size) % len(images.train)
        taken = Batches(images.train.take(chosen), net.dtype, net.normalization or images.normalization)
        x, targets = [taken.take(np.arange(batch_size))], images.train.targets[chosen]
    result = net.profile(x if len(x) > 1 else x[0], targets, steps=steps, threads=threads, training=not inference)
    if as_json:
        typer.echo(json.dumps({"model": model, **asdict(result)}))
    else:
        show(result)


def show(result: Profile) -> None:
    """A table, where there is a terminal with the slowest layers in bold; else plain text."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not Console().is_terminal:
        typer.echo(str(result))
        return
    columns = [*zip(*result.cells(), strict=True)]
    slowest = sorted((row["seconds"] for row in result.rows), reverse=True)[:BOLD]
    styles = ["bold" if row["seconds"] in slowest else "" for row in result.rows]

    def drawn() -> Table:
        table = Table(
            title=Text(result.title),
            title_justify="left",
            box=SIMPLE_HEAD,
            collapse_padding=True,
            pad_edge=False,
            show_edge=False,
        )
        for number, (heading, *_) in enumerate(columns):
            table.add_column(heading, justify="left" if number < 2 else "right", no_wrap=True)
        lines = [*zip(*(cells for _, *cells in columns), strict=True)]
        for number, line in enumerate(lines, 1):
            last = number in (len(result.rows), len(lines) - 1)
            style = styles[number - 1] if number <= len(styles) else ""
            table.add_row(*map(Text, line), style=style, end_section=last)
        return table

    def wide(table: Table) -> int:
        return Console(width=sys.maxsize).measure(table).maximum

    for heading in ("held MB", "GB/s", "GF/s", "again ms"):  # the first to be left out where there is no room
        if wide(drawn()) > Console().width:
            columns = [column for column in columns if column[0] != heading]
    # A terminal that is still too narrow wraps the lines: better than numbers cut short.
    table = drawn()
    Console(width=wide(table)).print(table)
