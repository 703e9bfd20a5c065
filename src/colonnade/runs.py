"""The folder of a training run: which files are in it, and what it was trained on."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from .documents import is_folder, parse_toml, read_bytes
from .errors import ArgumentError, DataError, FileFormatError

MODEL, CHECKPOINT, METRICS, CONFIG = "model.safetensors", "checkpoint.safetensors", "metrics.jsonl", "config.toml"
RAN = "ran"  # the table of the configuration that says how the run went, not how it should


class Data(NamedTuple):
    """The data of a run.

    Attributes:
        name: Of the data set, or its folder.
        data_dir: Where its files lie.
        on_error: What is done about images that can't be read.
    """

    name: str
    data_dir: str | None
    on_error: str


def model_file(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """The file of a model: itself, or the one in the folder of a run.

    Raises:
        FileFormatError: A folder without one.
    """
    if not is_folder(os.fspath(path)):
        return path
    folder = Path(path)
    if (folder / MODEL).exists():
        return folder / MODEL
    if (folder / CHECKPOINT).is_file():
        go_on = f"go on with: colonnade train --resume --out {quote(str(folder))}"
        raise FileFormatError(f"{folder}: its run has not come to its end and has no {MODEL} yet; {go_on}")
    raise FileFormatError(f"{folder}: expected a model or the folder of a run, got a folder without {MODEL}.")


def configuration(folder: Path) -> dict[str, Any]:
    """The options of a run, as its file says them.

    Raises:
        FileNotFoundError: It has none.
        FileFormatError: A file that is no TOML.
        OSError: What the disk says.
    """
    content = read_bytes(folder / CONFIG)
    try:
        return parse_toml(content)
    except FileFormatError as error:
        raise FileFormatError(f"{folder / CONFIG}: {error}") from None


def data_of(folder: Path, options: Mapping[str, Any], known: Collection[str] = ()) -> Data:
    """What a run was trained on; paths in its options are relative to its folder, but for the names that are known.

    Raises:
        DataError: They do not say.
    """
    name, place, on_error = options.get("data"), options.get("data_dir"), options.get("on_error", "raise")
    if not isinstance(name, str) or not isinstance(place, str | None) or "\0" in f"{name}{place}":
        raise DataError("the run does not say of which data set they are: name it with --data.")
    inside = name not in known and is_folder(folder / name)
    return Data(
        str(folder / name) if inside else name,
        None if place is None else str(folder / place),
        on_error if on_error in ("raise", "skip") else "raise",
    )


def data_of_run(model: Path, known: Collection[str] = ()) -> Data | None:
    """What the run was trained on that a model is of, given by its folder or by the file in it; None without a run.

    Raises:
        FileFormatError: Options that are no TOML.
        OSError: What the disk says.
    """
    folder = model if is_folder(model) else model.parent
    try:
        options = configuration(folder)
    except FileNotFoundError:
        return None
    return data_of(folder, options, known) if "data" in options else None


def holds(folder: Path) -> bool:
    """Whether a folder has anything in it that a run has left and would not want to lose."""
    return any((folder / name).is_file() for name in (MODEL, CHECKPOINT, METRICS))


def free(folder: Path) -> Path:
    """A folder for a new run: itself, or where it holds one `folder-2`, and so on."""
    number, found = 1, folder
    while holds(found):
        number += 1
        found = folder.with_name(f"{folder.name}-{number}")
    return found


def last(folder: Path) -> Path:
    """The newest run of those that `free` has made room for; the folder itself where there is none."""
    if not is_folder(folder.parent):
        return folder
    pattern = re.compile(rf"{re.escape(folder.name)}-([1-9]\d*)")
    numbers = [int(found[1]) for place in folder.parent.iterdir() if (found := pattern.fullmatch(place.name))]
    made = [folder.with_name(f"{folder.name}-{number}") for number in sorted(numbers, reverse=True)]
    return next((place for place in made if holds(place)), folder)


def require_free(folder: Path) -> None:
    """Raise ArgumentError where a folder holds a run; the message says what one may do."""
    if holds(folder):
        raise ArgumentError(
            f"{folder} holds a run: go on with it (--resume), have it replaced (--overwrite), or name another --out."
        )
