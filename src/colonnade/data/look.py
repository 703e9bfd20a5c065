"""A look at a folder of photographs, before any is decoded: how many there are, and how large."""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median_low
from typing import NamedTuple

from ..errors import DataError
from .folders import parts, scan
from .image_folder import HELD_OUT
from .images import known_formats, without_bomb_warnings

LOOKED_AT = 64  # images whose size is asked for


class Look(NamedTuple):
    """What a look at a folder tells.

    Attributes:
        images: To learn from.
        side: The shorter side of the middle one among some, in pixels.
    """

    images: int
    side: int


def look(path: str | os.PathLike[str]) -> Look | None:
    """How many photographs a folder has to learn from, and of what size; None where it can't be read.

    What is wrong with a folder is said when it is loaded.
    """
    try:
        train, held_out = parts(Path(path))
        files = scan(train).paths
    except (DataError, OSError):
        return None
    known = [side for file in files[:: -(-len(files) // LOOKED_AT)] if (side := _side(file))]
    if not known:
        return None
    return Look(len(files) if held_out else round(len(files) * (1 - HELD_OUT)), median_low(known))


def _side(file: Path) -> int | None:
    """The shorter side of an image, as its file's beginning says; None of a file that does not say."""
    from PIL import Image

    if not file.is_file():
        return None
    try:
        with without_bomb_warnings(), Image.open(file, formats=known_formats()) as image:
            return min(image.size)
    except Exception:  # whatever is in it: when it is decoded, the error names it
        return None
