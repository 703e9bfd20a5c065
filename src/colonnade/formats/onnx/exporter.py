"""A model as an ONNX file: its steps, one after the other, in the operators of ONNX.

How each layer is said in them stands in :mod:`colonnade.formats.onnx.expressions`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from ... import storage
from ...data.batches import Conversion
from ...errors import ArgumentError
from ...layers import Embedding, Identity, Layer
from ...layers.wiring import Fork
from ...model import Model
from ...steps import Edge, Step
from ...tensor import Shape
from . import origin
from .expressions import EXPRESSIONS, same
from .writer import Expression, GraphWriter, unused

LEAST_OPSET = 13  # since then Softmax goes along one axis, and the operators are much as they are today
LARGEST = 2**31 - 2**20  # bytes of weights: protobuf takes no message of 2 GiB, and the nodes are in it too

Custom = Mapping[type[Layer], Expression]


def export(model: Model, path: str | os.PathLike[str], *, opset: int, normalization: bool, custom: Custom) -> None:
    """Write the file; see :func:`colonnade.export_onnx`."""
    if Path(path).suffix.lower() != ".onnx":
        raise ArgumentError(f"export_onnx: the file's name must end in .onnx, got {os.fspath(path)!r}.")
    made = describe(model, opset=opset, normalization=normalization, custom=custom)
    storage.replace(path, made.SerializeToString())


def describe(model: Model, *, opset: int, normalization: bool = False, custom: Custom | None = None) -> onnx.ModelProto:
    """The model in ONNX's own data structure, checked; arguments and errors are those of `export_onnx`."""
    newest = onnx.defs.onnx_opset_version()
    if not isinstance(opset, int) or not LEAST_OPSET <= opset <= newest:
        raise ArgumentError(f"export_onnx: opset must be from {LEAST_OPSET} to {newest}, got {opset!r}.")
    if model.input_shape is None:
        raise ArgumentError(
            "export_onnx: the size of the model's input is not known: run a batch, or call "
            "model.build((channels, height, width)), first."
        )
    state = model.state_dict()
    if (size := sum(array.nbytes for array in state.values())) > LARGEST:
        raise ArgumentError(
            f"export_onnx: an ONNX file holds weights of at most {LARGEST:,} bytes, these take {size:,}."
        )
    # The names of inputs and outputs are what others call the model by: nothing inside may have them.
    taken = {*state}
    inputs, outputs = ([unused(name, taken) for name in names] for names in (model.inputs, model.outputs))
    axes = *model.input_axes, *model.output_axes
    writer = GraphWriter(opset, model.dtype, state, taken, images=1 if None in axes else "batch")
    versions = [helper.make_opsetid("", opset)]
    made = helper.make_model(
        _graph(model, inputs, outputs, writer, normalization, custom or {}),
        opset_imports=versions,
        ir_version=helper.find_min_ir_version_for(versions),
        producer_name="colonnade",
    )
    about = {
        "classes": model.classes,
        "normalization": None if normalization else model.normalization,
        "pixels": model.pixels,
    }
    helper.set_model_props(made, {name: json.dumps(value) for name, value in about.items() if value is not None})
    try:
        onnx.checker.check_model(made, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        if not custom:
            raise  # a mistake of ours
        reason = " ".join(str(error).split())
        raise ArgumentError(f"export_onnx: the functions in custom made no valid graph ({reason})") from error
    if not normalization:  # with it the graph is more than the model
        origin.sign(made, model)
    return made


def _graph(
    model: Model,
    input_names: Sequence[str],
    output_names: Sequence[str],
    writer: GraphWriter,
    normalization: bool,
    custom: Custom,
) -> onnx.GraphProto:
    """All nodes, with the inputs and outputs."""
    steps, sources = model.steps, model.sources
    names: dict[Edge, str] = {}  # what each edge is called
    inputs = []
    for name, source, axis in zip(input_names, sources, model.input_axes, strict=True):
        declared, names[source] = writer.begin(name, source.shape, axis, whole=_only_looked_up(source, steps))
        inputs.append(declared)
    if normalization:
        if len(sources) > 1 or names[sources[0]] in writer.whole:
            raise ArgumentError("export_onnx: normalization is for models of one input, images.")
        names[sources[0]] = _normalized(model, writer, names[sources[0]], sources[0].shape)
    _express(steps, names, writer, custom)
    if model.mirrored:
        mirrored = {sources[0]: _flipped(model, writer, names[sources[0]])}
        _express(steps, mirrored, writer, custom)
        result = model.results[0]
        writer.step("mirrored", result.shape, result.shape)
        names[result] = writer.finish(writer.node("Mean", names[result], mirrored[result]))
    ends = [
        writer.end(names[result], name, result.shape, axis)
        for name, result, axis in zip(output_names, model.results, model.output_axes, strict=True)
    ]
    return helper.make_graph(writer.nodes, "colonnade", inputs, ends, writer.initializers)


def _only_looked_up(edge: Edge, steps: Sequence[Step]) -> bool:
    """Whether none but embeddings read an edge: it then holds whole numbers."""
    readers = [step for step in steps if edge in step.inputs]
    return bool(readers) and all(
        type(step.layer) is Embedding
        or (isinstance(step.layer, Fork | Identity) and all(_only_looked_up(each, steps) for each in step.outputs))
        for step in readers
    )


def _express(steps: Sequence[Step], names: dict[Edge, str], writer: GraphWriter, custom: Custom) -> None:
    """Write the nodes of all steps; `names` has those of the sources, and gets those of all other edges."""
    for step in steps:
        made = _expressed(step, [names[edge] for edge in step.inputs], writer, custom)
        names.update(dict.fromkeys(step.outputs, made))


def _flipped(model: Model, writer: GraphWriter, name: str) -> str:
    """The mirror images of those at the input, of a model that answers by the mean of both."""
    shapes = [*(source.shape for source in model.sources), *(result.shape for result in model.results)]
    if [len(shape) for shape in shapes] != [3, 1] or name in writer.whole:
        raise ArgumentError(
            "export_onnx: model.mirrored is for models of images (c, h, w) that put out a number for each class, this "
            f"one takes {model.input_shape} and puts out {model.output_shape}."
        )
    writer.step("mirror", shapes[0], shapes[0])
    bounds = (("starts", [-1]), ("ends", [-shapes[0][-1] - 1]), ("axes", [-1]), ("steps", [-1]))
    return writer.finish(writer.node("Slice", name, *(writer.constant(each, value) for each, value in bounds)))


def _normalized(model: Model, writer: GraphWriter, name: str, shape: Shape) -> str:
    """y = (x − mean) / std, by channel: what was done to images in [0, 1] before they came to the model."""
    if model.normalization is None:
        raise ArgumentError("export_onnx: normalization was asked for, and the model has none.")
    Conversion(shape, model.dtype, model.dtype, model.normalization)  # raises where it does not fit
    writer.step("normalization", shape, shape)
    mean, std = (
        writer.constant(each, np.reshape(model.normalization[each], (-1, *[1] * (len(shape) - 1))))
        for each in ("mean", "std")
    )
    return writer.finish(writer.node("Div", writer.node("Sub", name, mean), std))


def _expressed(step: Step, read: Sequence[str], writer: GraphWriter, custom: Custom) -> str:
    """Write the nodes of one step; returns the name of its output."""
    kind = type(step.layer)
    expression = custom.get(kind) or EXPRESSIONS.get(kind) or (same if step.layer.vanishes else None)
    if expression is None:
        raise ArgumentError(
            f"export_onnx: layer {step.name}, {kind.__name__}, cannot be expressed in ONNX: "
            f"say how with custom={{{kind.__name__}: function}}."
        )
    writer.step(step.name, step.shape, step.outputs[0].shape)
    made = expression(writer, step.layer, *read)
    if not isinstance(made, str):
        raise ArgumentError(
            f"export_onnx: the function for {kind.__name__} must return the name of its output, got {made!r}."
        )
    return writer.finish(made)
