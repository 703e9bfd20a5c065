"""A look at a folder of photographs, before any is decoded: how many there are, how large, and whether in colour."""

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
GREY = {"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"}  # modes of Pillow


class Look(NamedTuple):
    """What a look at a folder tells.

    Attributes:
        images: To learn from.
        side: The shorter side of the middle one among some, in pixels.
        grey: Whether all of these are in grey.
    """

    images: int
    side: int
    grey: bool


def look(path: str | os.PathLike[str]) -> Look | None:
    """How many photographs a folder has to learn from, of what size and colours; None where it can't be read.

    What is wrong with a folder is said when it is loaded.
    """
    try:
        train, held_out = parts(Path(path))
        files = scan(train).paths
    except (DataError, OSError):
        return None
    known = [begun for file in files[:: -(-len(files) // LOOKED_AT)] if (begun := _begun(file))]
    if not known:
        return None
    images = len(files) if held_out else round(len(files) * (1 - HELD_OUT))
    return Look(images, median_low(side for side, _ in known), all(grey for _, grey in known))


def _begun(file: Path) -> tuple[int, bool] | None:
    """The shorter side of an image, and whether it is grey, as its file's beginning says; None where it does not."""
    from PIL import Image

    if not file.is_file():
        return None
    try:
        with without_bomb_warnings(), Image.open(file, formats=known_formats()) as image:
            return min(image.size), image.mode in GREY
    except Exception:  # whatever is in it: when it is decoded, the error names it
        return None
