"""An ONNX file, checked, as the few things that an import needs of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto, ValueInfoProto

from ...documents import refusing
from ...errors import FileFormatError
from ...ops.layout import Array
from .tensors import NARROW, Folder, kind_of, to_array

LEAST_OPSET = 1
STANDARD = ("", "ai.onnx")  # the two names of ONNX's own set of operators
# A function of the file may call others, each twice: they must not unfold without end.
MOST_NODES = 100_000
GREATEST = (1 << 31) - 1  # bytes of a protobuf message


@dataclass(frozen=True)
class Node:
    """One operator at its place in the graph.

    Attributes:
        operator: Its name: "Conv".
        name: What the file calls this one; may be empty.
        inputs: The names of the values it reads; empty for one that is left out.
        outputs: Likewise.
        attributes: By name; tensors as arrays.
        opset: The version of the set of operators.
        proto: As it stands in the file.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    opset: int
    proto: NodeProto

    @property
    def bodies(self) -> list[Body]:
        """The graphs that it runs."""
        return [each for each in self.attributes.values() if isinstance(each, Body)]

    @property
    def reads(self) -> list[str]:
        """The names of the values that it reads, its graphs included."""
        return [*filter(None, self.inputs), *(name for body in self.bodies for name in body.captured)]

    def __str__(self) -> str:
        called = self.name or next(iter(self.outputs), "")
        return f"node {called!r}, operator {self.operator} of opset {self.opset}"


@dataclass(frozen=True)
class Body:
    """A graph within the graph: what an If, a Loop or a Scan runs.

    Attributes:
        nodes: In an order in which they can be run.
        constants: Arrays by name.
        inputs: Names of what it is given.
        outputs: Names of what it makes; they may be values of the graph around it.
        outer: What values of the graphs around it are called there, where it is by another name.
    """

    nodes: list[Node]
    constants: dict[str, Array]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    outer: dict[str, str] = field(default_factory=dict)

    @property
    def own(self) -> set[str]:
        """The names of its own values."""
        made = {name for node in self.nodes for name in node.outputs if name}
        return made | set(self.constants) | set(self.inputs)

    @property
    def captured(self) -> list[str]:
        """The values of the graphs around it that it reads, as they are called there."""
        reads = [name for node in self.nodes for name in node.reads]
        own = self.own
        return [self.outer.get(name, name) for name in (*reads, *self.outputs) if name and name not in own]


@dataclass(frozen=True)
class Port:
    """An input or output of the graph.

    Attributes:
        name: Of the value.
        dtype: Of its numbers, as they are computed.
        shape: Sizes, or the names of unknown ones, the batch first; None where the file says nothing.
        axis: Where the batch is in the file; None where it is not there.
        stored: Of its numbers in the file, where that is another; None where it is not.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str, ...] | None
    axis: int | None = field(default=0, repr=False)
    stored: np.dtype[Any] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Source:
    """A checked file.

    Attributes:
        nodes: In an order in which they can be run.
        constants: Arrays by name.
        inputs: What the graph is given.
        outputs: What it makes.
        metadata: Text by name.
    """

    nodes: list[Node]
    constants: dict[str, Array]
    inputs: list[Port]
    outputs: list[Port]
    metadata: dict[str, str]


def read(path: str | os.PathLike[str], links: bool = False) -> Source:
    """The file at `path`.

    Args:
        path: Of the file.
        links: Whether data that lies outside of it may lie behind links.

    Raises:
        FileNotFoundError: No such file.
        FileFormatError: No ONNX file, a damaged one, or one of an opset that we do not know.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file.")
    if not path.is_file():
        raise FileFormatError(
            f"{path}: expected an ONNX file, got {'a folder' if path.is_dir() else 'a device or pipe'}."
        )
    if (size := path.stat().st_size) > GREATEST:
        raise FileFormatError(f"{path}: no ONNX file has more than {GREATEST:,} bytes, this one has {size:,}.")
    try:
        return parse(path.read_bytes(), Folder(path.parent, links))
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None


def parse(content: bytes | ModelProto, folder: Folder | None = None) -> Source:
    """The model in some bytes, or in ONNX's own object, which is not changed.

    Args:
        content: The bytes of a file, or the model.
        folder: Where data may lie that is not in the file itself; None for nowhere.
    """
    # Names that are no text are noticed wherever they are looked at, and the package onnx raises what it likes.
    with refusing("no ONNX file, or a damaged one"):
        return _parsed(content, folder)


def _parsed(content: bytes | ModelProto, folder: Folder | None) -> Source:
    model = ModelProto()
    if isinstance(content, ModelProto):
        model.CopyFrom(content)
    else:
        with refusing("no ONNX file, or a truncated one"):
            model.ParseFromString(content)
    if not model.HasField("graph"):
        raise FileFormatError("no ONNX file: it holds no graph.")
    opset = _opset(model)
    constants = _take_constants(model.graph, folder)
    ports = [*model.graph.input, *model.graph.output]
    unshaped = {each.name for each in ports if not each.type.tensor_type.HasField("shape")}
    for each in ports:
        if each.type.HasField("tensor_type"):
            each.type.tensor_type.shape.SetInParent()  # the checker wants one, if only an empty one
    with refusing("not a valid ONNX model"):
        onnx.checker.check_model(model)
    if model.functions:
        model = _unfolded(model)
    graph = model.graph
    if graph.sparse_initializer:
        raise FileFormatError(f"sparse tensors can't be read: {graph.sparse_initializer[0].values.name!r}.")
    return Source(
        [_node(node, opset, folder) for node in graph.node],
        constants,
        [_port(each, each.name not in unshaped) for each in graph.input if each.name not in constants],
        [_port(each, each.name not in unshaped) for each in graph.output],
        {entry.key: entry.value for entry in model.metadata_props},
    )


def _opset(model: ModelProto) -> int:
    versions = {each.domain: each.version for each in model.opset_import}
    opset: int | None = max((version for domain, version in versions.items() if domain in STANDARD), default=None)
    newest = onnx.defs.onnx_opset_version()
    if opset is None:
        raise FileFormatError("no ONNX model: it names no version of ONNX's operators.")
    if not LEAST_OPSET <= opset <= newest:
        raise FileFormatError(f"expected an opset from {LEAST_OPSET} to {newest}, got {opset}.")
    return opset


def _take_constants(graph: GraphProto, folder: Folder | None) -> dict[str, Array]:
    """The arrays that the graph begins with. In the graph empty ones are left: the checker would copy them all."""
    constants: dict[str, Array] = {}
    for tensor in graph.initializer:
        if not tensor.name or tensor.name in constants:
            raise FileFormatError(f"every tensor needs a name of its own, got {tensor.name!r} twice or empty.")
        constants[tensor.name] = to_array(tensor, f"tensor {tensor.name!r}", folder)
    empty = [
        TensorProto(name=each.name, data_type=each.data_type, dims=[0], raw_data=b"") for each in graph.initializer
    ]
    del graph.initializer[:]
    graph.initializer.extend(empty)
    return constants


def _unfolded(model: ModelProto) -> ModelProto:
    """The model with its own functions written out where they are called."""
    bodies = {(function.domain, function.name): function.node for function in model.functions}
    counts: dict[tuple[str, str], int] = {}

    def count(nodes: Sequence[NodeProto], depth: int) -> int:
        if depth > len(bodies):
            raise FileFormatError("its functions call themselves.")
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            if key in bodies and key not in counts:
                counts[key] = count(bodies[key], depth + 1)
            total += counts.get(key, 1)
            total += sum(count(each.g.node, depth) for each in node.attribute if each.type == AttributeProto.GRAPH)
        return total

    if count(model.graph.node, 0) > MOST_NODES:
        raise FileFormatError(f"its functions unfold to more than {MOST_NODES:,} nodes.")
    with refusing("its functions can't be written out where they are called"):
        unfolded: ModelProto = onnx.inliner.inline_local_functions(model)
    return unfolded


def _node(proto: NodeProto, opset: int, folder: Folder | None) -> Node:
    # One line, whatever the file says.
    kind, domain = (" ".join(text.split()) for text in (proto.op_type, proto.domain))
    operator = kind if domain in STANDARD else f"{domain}.{kind}"
    node = Node(operator, proto.name, tuple(proto.input), tuple(proto.output), {}, opset, proto)
    for attribute in proto.attribute:
        if attribute.type == AttributeProto.TENSOR:
            node.attributes[attribute.name] = to_array(attribute.t, f"{node}, {attribute.name}", folder)
        elif attribute.type == AttributeProto.GRAPH:
            node.attributes[attribute.name] = _body(attribute.g, opset, folder)
        elif attribute.type == AttributeProto.GRAPHS:
            raise FileFormatError(f"{node} can't be run: several graphs in one attribute.")
        else:
            value = onnx.helper.get_attribute_value(attribute)
            node.attributes[attribute.name] = _plain(value)
    return node


def _body(graph: GraphProto, opset: int, folder: Folder | None) -> Body:
    constants = {each.name: to_array(each, f"tensor {each.name!r}", folder) for each in graph.initializer}
    if graph.sparse_initializer:
        raise FileFormatError(f"sparse tensors can't be read: {graph.sparse_initializer[0].values.name!r}.")
    inputs, outputs = (tuple(each.name for each in ports) for ports in (graph.input, graph.output))
    return Body([_node(node, opset, folder) for node in graph.node], constants, inputs, outputs)


def _plain(value: Any) -> Any:
    """An attribute as Python has it; a float32 as the shortest decimal it is nearest to, 1e-5 for 9.99999975e-6."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float):
        return float(str(np.float32(value)))
    return [_plain(each) for each in value] if isinstance(value, list) and value else value


def _port(info: ValueInfoProto, shaped: bool) -> Port:
    if not info.type.HasField("tensor_type"):
        raise FileFormatError(f"{info.name!r} must be a tensor, got {info.type.WhichOneof('value') or 'nothing'}.")
    tensor = info.type.tensor_type
    kind_of(tensor.elem_type, repr(info.name))
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    sizes = tuple(map(_size, tensor.shape.dim)) if shaped else None
    if dtype.name in NARROW:
        return Port(info.name, np.dtype(np.float32), sizes, stored=dtype)
    return Port(info.name, dtype, sizes)


def _size(size: TensorShapeProto.Dimension) -> int | str:
    """A size, or the name of one that is left open; some programs write −1 for that."""
    return size.dim_value if size.HasField("dim_value") and size.dim_value != -1 else size.dim_param or "?"
