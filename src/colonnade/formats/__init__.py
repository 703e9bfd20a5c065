"""Files that models come from and go to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..layers.base import Layer
from ..model import Model
from . import native


def load(path: str | os.PathLike[str], *, custom: Sequence[type[Layer]] = ()) -> Model:
    """The model in a file: one that :meth:`Model.save` wrote, or ONNX.

    Args:
        path: A safetensors file, or one whose name ends in `.onnx`.
        custom: Layer classes of your own that the model uses. Nothing in the file can name any other code.

    Raises:
        FileNotFoundError: No such file.
        FileFormatError: A file that is no model, is damaged, or was written by a newer version.
    """
    if Path(path).suffix.lower() == ".onnx":
        from . import onnx  # and with it a package that most do without

        return onnx.load(path)
    return native.load(path, custom=custom)
