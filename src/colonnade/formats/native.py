"""Colonnade's own model file: safetensors, with the architecture as JSON in its metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

import numpy as np

from .. import storage
from ..composites import Chain, Graph, construct_body
from ..data.batches import Batches
from ..errors import ColonnadeError, FileFormatError
from ..layers.base import Layer
from ..model import FORMAT_VERSION, Model, restored
from ..ops.layout import Array
from ..steps import Step
from ..tensor import Tensor


def load(path: str | os.PathLike[str], *, custom: Sequence[type[Layer]] = ()) -> Model:
    """The model in a file that :meth:`Model.save` wrote.

    Args:
        path: The safetensors file.
        custom: Layer classes of your own that the model uses. Nothing in the file can name any other code.

    Raises:
        FileNotFoundError: No such file.
        FileFormatError: A file that is no model, is damaged, or was written by a newer version.
    """
    tensors, metadata = storage.read(path)
    try:
        description = json.loads(metadata["colonnade"])
        version = description["version"]
    except (KeyError, TypeError, ValueError):
        raise FileFormatError(f"{path}: not a Colonnade model: it holds no description of one.") from None
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise FileFormatError(
            f"{path}: written by a newer version of Colonnade (format {version}, this one reads {FORMAT_VERSION})."
        )
    try:
        body = construct_body(description["architecture"], {each.__name__: each for each in custom})
        _require_sizes(body, tensors)
        model = restored(body, description, tensors)
        if model.normalization is not None and model.input_shape is not None:
            one = np.zeros((1, model.input_shape[0]))
            Batches(one, model.dtype, model.normalization)  # raises where it does not fit
    except (ColonnadeError, KeyError, TypeError, ValueError, AttributeError, OverflowError, MemoryError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise FileFormatError(f"{path}: not a whole Colonnade model ({reason})") from None
    return model


def _require_sizes(body: Chain | Graph, tensors: dict[str, Array]) -> None:
    """Compare what the layers declare with what the file holds, before anything is allocated for them."""
    steps: list[Step] = []
    body.unroll([Tensor(()) for _ in (body.inputs if isinstance(body, Graph) else "x")], "", steps)
    for step in steps:
        declared = {name: parameter.shape for name, parameter in step.layer.parameters()}
        declared |= {name: getattr(step.layer, name).shape for name in step.layer.buffers}
        for name, shape in declared.items():
            held = tensors.get(f"{step.name}.{name}")
            if held is None or held.shape != shape:
                found = "nothing" if held is None else str(held.shape)
                raise FileFormatError(f"{step.name}.{name} should be {shape}, the file holds {found}.")
