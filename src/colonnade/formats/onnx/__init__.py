"""ONNX: models in and out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ... import arguments
from ...errors import ArgumentError, FileFormatError, LimitError
from ...limits import Limits, of_files
from ...model import Model

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from onnx import ModelProto

    from .reading import Source


def load(
    path: str | os.PathLike[str],
    *,
    input_shape: Sequence[Any] | None = None,
    limits: Limits | None = None,
    allow_links: bool = False,
    constants: Mapping[str, ArrayLike] | None = None,
) -> Model:
    """The network in an ONNX file as a model: it plans, trains and saves as any other, without ONNX.

    The first axis of its inputs must be the batch, of any size or a fixed one. Other sizes that the file leaves open
    are taken from each batch: the network is then read anew for images of another size, and its layers and what they
    have learned stay. Names of weights are kept where they are like "conv1.weight"; other layers are called as their
    nodes. Arrays that are combined with images are learned, if the file holds them, and are more than one number.
    Numbers are computed in float32, those of 16 bits too, or in float64 if an input is; whole numbers are exact up to
    2²⁴. docs/onnx.md says which operators there are.

    Args:
        path: The file. Data that lies outside of it is read from its own folder, and no other.
        input_shape: One image's, (c, h, w), or one of each input; by default what the file says.
        limits: What the model may take; by default those of :func:`colonnade.limits.of_files`.
        allow_links: Whether that data may lie behind links, as in the cache of a download.
        constants: Inputs that are the same at every call, by name: the model has them no more.

    Raises:
        ArgumentError: A constant that is none of the inputs, or of another shape.
        MissingExtraError: The package onnx is not installed.
        FileNotFoundError: No such file.
        FileFormatError: No ONNX file, a damaged one, or a network that we cannot run: the first node that is none of
            ours is named, with its operator and the reason.
        LimitError: A network that takes more memory or work than it may.
    """
    from .. import require_onnx

    require_onnx("load")
    from .reading import read

    source = read(path, allow_links)
    try:
        return _model(_settled(source, constants) if constants else source, input_shape, limits)
    except (FileFormatError, LimitError) as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from error


def import_model(model: ModelProto | bytes, *, input_shape: Sequence[Any] | None = None) -> Model:
    """As :func:`load`, of a model in memory: the bytes of a file, or the object of the package onnx."""
    from .. import require_onnx

    require_onnx("import_model")
    from .reading import parse

    return _model(parse(model), input_shape, None)


def _settled(source: Source, constants: Mapping[str, ArrayLike]) -> Source:
    """The file with some of its inputs known."""
    from dataclasses import replace

    ports, known = {port.name: port for port in source.inputs}, dict(source.constants)
    for name, given in constants.items():
        if name not in ports:
            raise ArgumentError(f"load: constants must be inputs of the file ({', '.join(ports)}), got {name!r}.")
        array, shape = arguments.array("load", f"constants[{name!r}]", given), ports[name].shape
        if shape is not None and (
            array.ndim != len(shape)
            or any(isinstance(size, int) and size != own for size, own in zip(shape, array.shape, strict=True))
        ):
            raise ArgumentError(f"load: the input {name!r} has the shape {shape}, got {array.shape}.")
        known[name] = array.astype(ports[name].dtype)
    return replace(source, constants=known, inputs=[port for port in source.inputs if port.name not in constants])


def _model(source: Source, input_shape: Sequence[Any] | None, limits: Limits | None) -> Model:
    from .batches import placed
    from .importer import Importer
    from .opened import opened
    from .origin import original

    limits = limits or of_files()
    if (made := original(source, limits)) is not None:
        return made
    reason: FileFormatError | None = None
    for way in placed(source):
        opened_up = any(isinstance(size, str) for port in way.inputs for size in (port.shape or ())[1:])
        try:
            if input_shape is None and opened_up:
                return opened(way, limits)
            return Importer(way, input_shape=input_shape, limits=limits).model()
        except FileFormatError as error:
            reason = reason or error
    assert reason is not None
    raise reason
