"""`colonnade report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Compiled, DataDir, Threads, say, set_compiled, set_threads


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="The folder of a training run.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where it goes; by default report.html in that folder.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="NAME|FOLDER", help="The data set; by default the one the run was trained on."),
    ] = None,
    data_dir: DataDir = None,
    steps: Annotated[
        int, typer.Option("--steps", metavar="N", min=0, help="Training steps to time, layer by layer; 0 for none.")
    ] = 3,
    threads: Threads = None,
    compiled: Compiled = None,
) -> None:
    """Make one HTML page that shows how a run went: curves, mistakes, memory, time.

    Prints where it is. What is missing, the data for instance, is said on the page.
    """
    from .. import report as reports

    set_threads(threads)
    set_compiled(compiled)
    say(reports.write(run, out, data=data, data_dir=data_dir, steps=steps))
