"""Small image files for tests: every one of another colour, so that one can tell which came back."""

from pathlib import Path

import numpy as np
from PIL import Image


def save(path: Path, shade: int = 0, size: tuple[int, int] = (8, 8), **options: object) -> Path:
    """A picture of one colour, (shade, 255 − shade, 7), which survives resizing, and nearly survives JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), (shade, 255 - shade, 7), np.uint8)).save(path, **options)
    return path


def folder(path: Path, step: int = 1, **counts: int) -> Path:
    """A folder a class with so many pictures each: the shades count up from 0 in steps, class by class."""
    shade = 0
    for name, count in counts.items():
        for number in range(count):
            save(path / name / f"{number:03}.png", shade, (6 + number % 3, 5 + number % 4))
            shade += step
    return path
