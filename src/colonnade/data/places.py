"""Where data lie: in the folders that a person names, or among what was downloaded."""

from __future__ import annotations

import os
from pathlib import Path

from ..documents import is_folder
from ..errors import DataError
from ..places import cache_folder

DATA = "COLONNADE_DATA"


def search(name: str, data_dir: Path | None) -> list[Path]:
    """The folders in which the files of a data set may lie, the likeliest first.

    The sub-folder of its name comes before a folder itself: the files of MNIST and those like it have the same names.

    Args:
        name: Of the data set.
        data_dir: Where to look and nowhere else; without it, in COLONNADE_DATA and among what was downloaded.

    Raises:
        DataError: A folder that was named and is none.
    """
    named = data_dir or (Path(os.environ[DATA]) if os.environ.get(DATA) else None)
    if named is not None and not is_folder(named):
        raise DataError(f"{name}: expected a folder with its files, got {str(named)!r}, which is none.")
    folders = [] if named is None else [named / name, named]
    return folders if data_dir else [*folders, cache_folder() / name]


def destination(name: str, data_dir: Path | None) -> Path:
    """The folder into which the files of a data set are put: the first of those searched that can be written to."""
    if data_dir is not None:
        return data_dir / name
    if os.environ.get(DATA) and os.access(os.environ[DATA], os.W_OK):
        return Path(os.environ[DATA], name)
    return cache_folder() / name
