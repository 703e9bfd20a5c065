"""ONNX's own tests of its operators, run by our layers: a backend as :mod:`onnx.backend` wants it.

A test has one operator, its inputs and what comes out. Its tensors are seldom batches of images: often the first axis
is worked along like any other. What can be run as a batch is; else every tensor is taken as one image, whole. Nothing
but layers computes either way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep

from ...errors import FileFormatError
from ...model import Model
from ...ops.layout import Array
from .importer import Importer
from .reading import Source, parse
from .values import Batch, Images

# How the inputs may be taken, the first that works: as a batch or as one image, integers as images or as constants.
WAYS = ((False, False), (True, False), (False, True), (True, True))


class Prepared(BackendRep):
    """A checked graph, to be imported for the inputs it is run on: what layers need to know at load is then known.

    Attributes:
        batched: Whether the last run was of a batch; None before.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.batched: bool | None = None

    def run(self, inputs: Any, **options: Any) -> tuple[Array, ...]:
        """The graph's outputs, as arrays of the types that it names.

        Raises:
            FileFormatError: A graph that cannot be run in any way.
        """
        names = [port.name for port in self.source.inputs]
        given = dict(zip(names, map(np.asarray, inputs), strict=True))
        reasons = []
        for whole, integers_known in WAYS:
            try:
                outputs = self._run(given, whole, integers_known)
            except FileFormatError as error:
                reasons.append(f"as {'one image' if whole else 'a batch'}: {error}")
                continue
            self.batched = not whole
            return outputs
        raise FileFormatError(" ".join(dict.fromkeys(reasons)))

    def _run(self, given: dict[str, Array], whole: bool, integers_known: bool) -> tuple[Array, ...]:
        importer = Importer(self.source, given, whole, integers_known)
        importer.convert()
        ports = [port for port in self.source.outputs if isinstance(importer.values[port.name], Images)]
        if not ports and importer.fold.elsewhere:
            raise FileFormatError("nothing is left for layers to run.")
        made = iter(_outputs(importer.assembled(ports), given, whole) if ports else ())
        results = []
        for port in self.source.outputs:
            value = importer.values[port.name]
            if isinstance(value, Images):
                output = _rows(next(made), value, value.node in importer.selections)
            else:
                output = _numbers(value.array, importer.images)
            with np.errstate(invalid="ignore", over="ignore"):
                results.append(output.astype(port.dtype if port.stored is None else port.stored))
        return tuple(results)


def _outputs(model: Model, given: dict[str, Array], whole: bool) -> list[Array]:
    """The outputs of a model for a batch, or for one image."""
    batches = []
    for name in model.inputs:
        array = given[name] if given[name].dtype.kind in "fiub" else given[name].astype(np.float32)
        images, image = (1, array.shape) if whole else (len(array), array.shape[1:])
        batches.append(array.reshape(images, *(image or (1,))))
    outputs = model(tuple(batches) if len(batches) > 1 else batches[0])
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return [output[0] if whole else output for output in outputs]


def _rows(output: Array, value: Images, selection: bool) -> Array:
    """What has rows of each image, with those of all images in one list; of a selection those that there are."""
    layout = value.layout
    if layout.batch != 0 or output.ndim == layout.rank:
        return output
    rows = output.reshape(-1, *layout.sizes[1:])
    if not selection:
        return rows
    rows[:, 0] = np.repeat(np.arange(len(output)), layout.sizes[0])
    return rows[rows[:, 2] >= 0]


def _numbers(array: Array, images: int | None) -> Array:
    """An array that was known at load, with the number of images for the size of the batch."""
    if array.dtype != object:
        return array
    sizes = [each.factor * (images or 1) if isinstance(each, Batch) else each for each in array.ravel()]
    return np.array(sizes, np.int64).reshape(array.shape)


class ColonnadeBackend(Backend):
    """Runs graphs by importing them."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **options: Any) -> Prepared:
        """Check a graph; raises FileFormatError for what is none."""
        return Prepared(parse(model))

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **options: Any) -> tuple[Array, ...]:
        """The outputs of a graph for these inputs."""
        return cls.prepare(model, device).run(inputs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Only the CPU."""
        return device == "CPU"


prepare, run_model, supports_device = (
    ColonnadeBackend.prepare,
    ColonnadeBackend.run_model,
    ColonnadeBackend.supports_device,
)
