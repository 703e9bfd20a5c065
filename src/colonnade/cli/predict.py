"""`colonnade predict`."""

from __future__ import annotations

import csv
import io
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import (
    AllowLinks,
    AsJson,
    Compiled,
    Image,
    Mirrored,
    ModelFile,
    Threads,
    image_shape,
    say,
    set_compiled,
    set_mirrored,
    set_threads,
)

if TYPE_CHECKING:
    from ..classification import Classification
    from ..errors import DataError

STANDARD_OUTPUT = "-"


def predict(
    model: ModelFile,
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE|FOLDER...", show_default=False, help="Image files, and folders of them."),
    ],
    top: Annotated[int, typer.Option("--top", metavar="K", min=1, help="How many classes to name.")] = 1,
    as_csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write a table, a row an image; - for standard output.")
    ] = None,
    as_lines: Annotated[
        Path | None,
        typer.Option("--jsonl", metavar="FILE", help="Write a JSON object in a line for each image; - likewise."),
    ] = None,
    image: Image = None,
    allow_links: AllowLinks = False,
    threads: Threads = None,
    compiled: Compiled = None,
    mirrored: Mirrored = None,
    as_json: AsJson = False,
) -> None:
    """Name the most probable classes of images, a line an image.

    Folders are looked through at any depth. Images in them that can't be read are left out, with a warning.
    """
    from .. import classification, storage
    from ..formats import load
    from .progress import counted

    if [as_csv is not None, as_lines is not None, as_json].count(True) > 1:
        raise typer.BadParameter("expected one of --csv, --jsonl and --json.", param_hint="'--csv'")
    set_threads(threads)
    set_compiled(compiled)
    net = load(model, image_shape(image), allow_links=allow_links)
    set_mirrored(net, mirrored)
    shape = classification.taken("predict", net)
    sources, named = _sources(images)
    broken = 0

    def leave_out(source: Path, error: DataError) -> None:
        nonlocal broken
        if source in named:
            raise error
        broken += 1
        warnings.warn(str(error), stacklevel=1)

    file = as_csv or as_lines
    answers = classification.answers(net, sources, net.input_shape or shape, top, failed=leave_out)
    # Where lines come to a terminal, they are what one sees.
    answers = counted(answers, len(sources), "images", shown=file is not None or as_json)
    if as_json:
        predictions = [_described(answer) for answer in answers]
        typer.echo(json.dumps({"model": str(model), "predictions": predictions}))
    elif file is None:
        for answer in answers:
            say(answer.line())
    else:
        lines = (_rows if as_csv else _lines)(answers)
        if str(file) == STANDARD_OUTPUT:
            for line in lines:
                typer.echo(_encoded(line), nl=False)
        else:
            with storage.reserved(file):
                pass
            written = _write(file, lines) - bool(as_csv)
            say(f"wrote {file}: {written:,} image{'' if written == 1 else 's'}")
    if broken:
        warnings.warn(f"{broken:,} of {len(sources):,} images can't be read and are left out.", stacklevel=1)


def _sources(given: Sequence[Path]) -> tuple[list[Path], set[Path]]:
    """All images, in the order in which they and their folders were named; and those that were named themselves."""
    from ..data.folders import images_in
    from ..documents import is_folder

    folders = {path for path in given if is_folder(path)}
    sources = [image for path in given for image in (images_in(path) if path in folders else [path])]
    return sources, {*given} - folders


def _described(answer: Classification) -> dict[str, Any]:
    top = [{"class": name, "probability": probability} for name, probability in answer]
    return {"image": str(answer.source), "top": top}


def _lines(answers: Iterable[Classification]) -> Iterator[str]:
    """A JSON object for each image."""
    for answer in answers:
        yield json.dumps(_described(answer)) + "\n"


def _rows(answers: Iterable[Classification]) -> Iterator[str]:
    """A table of comma-separated values: a line of headings, and one for each image."""
    headed = False
    for answer in answers:
        if not headed:
            numbers = ["", *(f"_{number}" for number in range(2, len(answer) + 1))]
            yield _row(["image", *(f"{column}{number}" for number in numbers for column in ("class", "probability"))])
            headed = True
        yield _row(
            [str(answer.source), *(cell for name, probability in answer for cell in (name, f"{probability:.6g}"))]
        )


def _row(cells: Iterable[str]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _encoded(line: str) -> bytes:
    """As bytes; of file names that are no text, the bytes that they are."""
    return line.encode("utf-8", "surrogateescape")


def _write(file: Path, lines: Iterator[str]) -> int:
    """Write lines as they come, so that an interrupt leaves those that are there; how many there were."""
    first = next(lines, "")  # nothing is written over before there is something to write
    try:
        with file.open("wb") as stream:
            stream.write(_encoded(first))
            return bool(first) + sum(bool(stream.write(_encoded(line))) for line in lines)
    except OSError as error:  # that of a full disk does not say of which file
        raise OSError(error.errno, error.strerror, error.filename or os.fspath(file)) from None
