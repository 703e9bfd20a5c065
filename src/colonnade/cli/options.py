"""The options that several commands share."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.cells import cell_len, set_cell_size

from ..printable import printable

if TYPE_CHECKING:
    from ..model import Model

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="Where its files lie; else $COLONNADE_DATA.")
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", min=1, help="Worker threads; by default the cores this process may use."),
]
Compiled = Annotated[
    bool | None,
    typer.Option(
        "--compiled/--no-compiled",
        show_default=False,
        help="Run in functions that Numba compiles, or in NumPy; by default compiled where Numba is installed.",
    ),
]
Mirrored = Annotated[
    bool | None,
    typer.Option(
        "--mirrored/--no-mirrored",
        show_default=False,
        help="Answer by the mean for an image and its mirror image; by default as the model is marked.",
    ),
]
BatchSize = Annotated[int, typer.Option("--batch-size", metavar="N", min=1, help="Images in a batch.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Image = Annotated[
    str | None, typer.Option("--input", metavar="C,H,W", help="The size of an image; by default the model's.")
]
AllowLinks = Annotated[
    bool,
    typer.Option("--allow-links", help="Follow links from an ONNX file to its data, as in the cache of a download."),
]
ModelOrName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|RUN|NAME",
        show_default=False,
        help="A model.safetensors or .onnx, the folder of a run, or a network of the zoo.",
    ),
]
ModelFile = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL|RUN", show_default=False, help="A model.safetensors or .onnx, or the folder of a run."
    ),
]


def say(line: object) -> None:
    """Print a line for a person: what a terminal would obey in it is shown escaped."""
    typer.echo(printable(line, sys.maxsize))


def width() -> int:
    """Letters in a line of standard output: as many as there are in a terminal, and no end of them elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


def interval(low: float, high: float, images: int) -> str:
    """The line that says between which bounds an accuracy lies, shorter in a narrow window."""
    line = f"test accuracy from {low:.4f} to {high:.4f} (95 % Wilson interval, {images:,} images)"
    return line if len(line) <= width() else line.replace(" Wilson interval", "")


def fitted(text: str, room: int) -> str:
    """A text cut to so many letters, with its end, by which names often differ."""
    if cell_len(text) <= room:
        return text
    end = text[-(room // 3) :] if room >= 12 else ""
    return set_cell_size(text, room - 1 - cell_len(end)).rstrip() + "…" + end


def image_shape(image: str | None) -> tuple[int, ...] | None:
    """The sizes in `--input`, where given."""
    if image is None:
        return None
    if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", image):
        raise typer.BadParameter(f"expected positive numbers C,H,W, got {image!r}.", param_hint="'--input'")
    return tuple(map(int, image.split(",")))


def set_threads(threads: int | None) -> None:
    """Follow `--threads`, where given."""
    if threads is not None:
        from .. import workers

        workers.set_threads(threads)


def set_mirrored(model: Model, mirrored: bool | None) -> None:
    """Follow `--mirrored` or `--no-mirrored`, where given."""
    if mirrored is not None:
        model.mirrored = mirrored


def set_compiled(compiled: bool | None) -> None:
    """Follow `--compiled` or `--no-compiled`, where given: every model of this process does."""
    if compiled is not None:
        import os

        from ..compiled import VARIABLE, wanted

        os.environ[VARIABLE] = "1" if wanted(compiled, "float32") else "0"
