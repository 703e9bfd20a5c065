"""Colonnade's own model file: safetensors, with the architecture as JSON in its metadata."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from .. import storage
from ..compiled import wanted
from ..composites import Chain, Graph, construct_body
from ..data.batches import Batches, means_and_stds
from ..data.pixels import remembered
from ..documents import parse_json, refusing
from ..errors import FileFormatError, LimitError
from ..layers.base import Layer
from ..limits import Limits, of_files
from ..model import FORMAT_VERSION, Model, restored
from ..ops.layout import Array
from ..steps import Edge, Step


def load(path: str | os.PathLike[str], *, custom: Sequence[type[Layer]] = (), limits: Limits | None = None) -> Model:
    """The model in a file that :meth:`Model.save` wrote.

    Args:
        path: The safetensors file.
        custom: Layer classes of your own that the model uses. Nothing in the file can name any other code.
        limits: What the model may take; by default those of :func:`colonnade.limits.of_files`.

    Raises:
        FileNotFoundError: No such file.
        FileFormatError: A file that is no model, is damaged, or was written by a newer version.
        LimitError: A model that takes more memory or work than it may.
        ArgumentError: An environment variable that says what it can't.
        MissingExtraError: It says that models run compiled, and Numba is not installed.
    """
    limits = limits or of_files()
    wanted(None, np.float32)  # what the environment says wrongly is not the file's fault
    tensors, metadata = storage.read(path)
    with refusing(f"{path}: not a Colonnade model: it holds no description of one", ours=True):
        description = parse_json(metadata["colonnade"])
        version = description["version"]
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise FileFormatError(
            f"{path}: written by a newer version of Colonnade (format {version}, this one reads {FORMAT_VERSION})."
        )
    try:
        with refusing(f"{path}: not a whole Colonnade model", ours=True):
            body = construct_body(description["architecture"], {each.__name__: each for each in custom})
            require_sizes(body, tensors)
            model = restored(body, description, tensors, limits=limits)
            require_normalization(model)
            return model
    except LimitError as error:
        raise LimitError(f"{path}: {error}") from error


def require_sizes(body: Chain | Graph, tensors: Mapping[str, Array], optional: Collection[str] = ()) -> set[str]:
    """Compare what the layers declare with what the file holds, before anything is allocated for them; returns names.

    Args:
        body: Of the model.
        tensors: What the file holds.
        optional: Single numbers that it may hold elsewhere.
    """
    names: set[str] = set()
    steps: list[Step] = []
    body.unroll([Edge() for _ in (body.inputs if isinstance(body, Graph) else "x")], "", steps)
    for step in steps:
        declared = {name: parameter.shape for name, parameter in step.layer.parameters()}
        declared |= {name: getattr(step.layer, name).shape for name in step.layer.buffers}
        for name, shape in declared.items():
            names.add(f"{step.name}.{name}")
            held = tensors.get(f"{step.name}.{name}")
            if shape == () and f"{step.name}.{name}" in optional:
                continue
            if held is None or held.shape != shape:
                found = "nothing" if held is None else str(held.shape)
                raise FileFormatError(f"{step.name}.{name} should be {shape}, the file holds {found}.")
    return names


def require_normalization(model: Model) -> None:
    """Have a model's normalisation be one that fits its images, and these be known; raises ArgumentError."""
    remembered(model.pixels)
    if model.normalization is None:
        return
    means_and_stds(model.normalization)
    if model.input_shape is not None:
        Batches(np.zeros((1, model.input_shape[0])), model.dtype, model.normalization)  # raises where it does not fit
