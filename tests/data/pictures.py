"""Small image files for tests: every one of another colour, so that one can tell which came back."""

from pathlib import Path

import numpy as np
from PIL import Image

import colonnade as cn


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


SHADES = {"daisy": 10, "dandelion": 60, "roses": 110, "sunflowers": 160, "tulips": 210, "café": 240}


def shaded(path: Path, part: str = "", **counts: int) -> Path:
    """A folder a class, of as many pictures as it says, all of the class's own shade."""
    for name, count in counts.items():
        for number in range(count):
            save(path / part / name / f"{part}{number:03}.png", SHADES[name])
    return path


def expert(*classes: str) -> cn.Model:
    """A model (3, 1, 1) that tells those shades apart, its outputs in this order: right on all, if paired rightly.

    For a shade s and red r, 2 r s − s² is greatest where (r − s)² is least.
    """
    model = cn.Model([cn.Flatten(), cn.Dense(3, len(classes))], seed=0).build((3, 1, 1))
    shades = np.array([SHADES[name] / 255 for name in classes], np.float32)
    weight, bias = model.parameters()
    weight.value[:] = 0
    weight.value[:, 0] = 200 * shades
    bias.value[:] = -100 * shades**2
    model.classes = list(classes)
    return model
