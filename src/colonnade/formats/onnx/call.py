"""One node of an ONNX graph, as the conversions see it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...layers import Layer
from ...ops.layout import Array
from ...tensor import Shape
from .reading import Node
from .values import Batch, Images, Known, Layout, UnsupportedError, Value

if TYPE_CHECKING:
    from .importer import Importer


class Call:
    """One node, as a conversion sees it."""

    def __init__(self, importer: Importer, node: Node, inputs: Sequence[Value | None]) -> None:
        self.importer, self.node, self.inputs = importer, node, inputs
        self.opset = node.opset

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute of the node."""
        return self.node.attributes.get(name, default)

    def has(self, place: int) -> bool:
        """Whether an input is given."""
        return place < len(self.inputs) and self.inputs[place] is not None

    def value(self, place: int) -> Value:
        """An input; raises UnsupportedError where it is left out."""
        if not self.has(place):
            raise UnsupportedError(f"its input {place} is left out")
        value = self.inputs[place]
        assert value is not None
        return value

    def data(self, place: int = 0) -> Images:
        """An input that is computed from the images; raises UnsupportedError for a constant."""
        value = self.value(place)
        if isinstance(value, Known):
            raise UnsupportedError(f"its input {place} is a constant, where others are not")
        return value

    def plain(self, place: int = 0) -> Images:
        """As `data`, of a tensor whose first axis is the batch."""
        value = self.data(place)
        if self.importer.single and value.layout.batch is None and value.layout.sizes[:1] == (1,):
            return self.importer.reshaped(value, Layout(value.layout.sizes, 0))
        if not value.layout.plain:
            raise UnsupportedError("it expects the batch as first axis")
        return value

    def known(self, place: int) -> Array:
        """The array of an input; raises UnsupportedError where it is computed from the images."""
        value = self.value(place)
        if isinstance(value, Images):
            if value.content is None:
                name = self.node.inputs[place]
                raise UnsupportedError(f"its input {place}, {name!r}, must be known when the file is loaded")
            return value.content
        return value.array

    def optional(self, place: int) -> Array | None:
        """As `known`, or None where it is left out."""
        return self.known(place) if self.has(place) else None

    def needed(self, place: int) -> bool:
        """Whether anybody reads an output."""
        return place < len(self.node.outputs) and self.node.outputs[place] in self.importer.readers

    def constants(self) -> list[Known | None] | None:
        """The inputs, if they are all known and the outputs can be computed: a constant for every image can't."""
        known = [each for each in self.inputs if not isinstance(each, Images)]
        if len(known) < len(self.inputs):
            return None
        shape = known[-1] if known and self.node.operator in ("Expand", "ConstantOfShape") else None
        return None if shape and any(isinstance(size, Batch) for size in shape.array.ravel()) else known

    def addition(self, count: int) -> tuple[Node, Known] | None:
        """The node that adds a vector of so many numbers to the output of this one, and does nothing else; or None."""
        output = self.node.outputs[0]
        after = self.importer.followers.get(output)
        if after is None or after.operator != "Add" or len(after.inputs) != 2:
            return None
        vector = self.importer.values.get(after.inputs[0] if after.inputs[1] == output else after.inputs[1])
        fits = isinstance(vector, Known) and vector.array.shape == (count,) and vector.array.dtype.kind == "f"
        return (after, vector) if fits and isinstance(vector, Known) else None

    @property
    def name(self) -> str:
        """What a layer of this node is called, if it has no weights with a better name."""
        return _scoped(self.node)

    def names(self, *weights: int | Known) -> list[str]:
        """What a layer may be called with these weights, or inputs: as they are in the file, or as its node."""
        wishes = []
        for each in weights:
            value = each if isinstance(each, Known) else self.inputs[each] if each < len(self.inputs) else None
            name = value.name if isinstance(value, Known) else None
            if name and (parts := re.fullmatch(r"(.+)\.(weight|bias|running_mean|running_var)", name)):
                wishes.append(parts.group(1))
        return [*wishes, _scope(self.node), self.name]

    def emit(
        self,
        layer: Layer,
        *inputs: Images,
        layout: Layout | None = None,
        names: Iterable[str] = (),
        dtype: Any = None,
        weights: Mapping[str, Array] | None = None,
    ) -> Images:
        """Put a layer into the graph; its output is like its first input unless a layout is given."""
        wishes = list(names) or [self.name]
        given = None if dtype is None else np.dtype(dtype)
        return self.importer.emit(layer, inputs, layout or inputs[0].layout, *wishes, dtype=given, weights=weights)

    def image_of(self, x: Images) -> Shape:
        """The shape of one image."""
        return self.importer.shapes[x.node]


def _scope(node: Node) -> str:
    """The name of a node as the exporter of PyTorch makes it, "/layer1/layer1.0/conv1/Conv", as "layer1.0.conv1"."""
    parts = [part for part in node.name.split("/") if part]
    if len(parts) < 2:
        return node.name or node.operator.lower()
    kept: list[str] = []
    for part in parts[:-1]:
        if kept and part.startswith(f"{kept[-1]}."):
            kept.pop()
        kept.append(part)
    return ".".join(kept)


def _scoped(node: Node) -> str:
    parts = [part for part in node.name.split("/") if part]
    return f"{_scope(node)}.{parts[-1]}" if len(parts) > 1 else node.name or node.operator.lower()
