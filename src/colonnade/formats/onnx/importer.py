"""An ONNX graph becomes a model: known values are computed, all others become nodes of a :class:`Graph`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...composites import Graph
from ...documents import parse_json, reason, refusing
from ...errors import ArgumentError, ColonnadeError, FileFormatError
from ...layers import Identity, Reshape
from ...limits import Limits
from ...model import Model
from ...ops.layout import Array
from ..native import require_normalization
from .builder import Builder
from .call import Call
from .conversions import CONVERSIONS, MADE, REFUSED
from .inputs import Said, count_of, layout_of, sizes_of
from .names import Names
from .numbering import Numbering, numbered, numbers_images
from .reading import MOST_NODES, Body, Node, Port, Source
from .values import Images, Known, Layout, UnsupportedError, Value


class Importer(Builder):
    """Makes a model of one file.

    Args:
        source: The checked file.
        given: Arrays of the graph's inputs, where the model is made for just these.
        whole: Whether every input is one image, whole, rather than a batch of them.
        integers_known: Whether those given that hold integers are constants, rather than images.
        input_shape: One image's, or one of each input in order or by name, for sizes that the file leaves open.
        limits: What the model may take.
        names: Those of nodes that the file has at other sizes; new ones are added.

    Attributes:
        values: What is known of each value of the file, by name.
        readers: How often each is read by what the outputs need.
        followers: The node that reads a value, of those that are read once.
        single: Whether the file is for one image: some of its inputs are states without a batch.
    """

    def __init__(
        self,
        source: Source,
        given: Mapping[str, Array] | None = None,
        whole: bool = False,
        integers_known: bool = False,
        input_shape: Said = None,
        limits: Limits | None = None,
        names: Names | None = None,
    ) -> None:
        super().__init__(source.constants, limits, names)
        self.source, self.given, self.whole, self.integers_known = source, given or {}, whole, integers_known
        self.input_shape, self.limits = input_shape, limits
        # States without a batch: what the file computes is for one image, and each tensor may be taken as one, whole.
        self.single = any(port.axis is None for port in source.inputs)
        self.readers = _readers(source.nodes, [port.name for port in source.outputs])
        self.followers = _followers(source.nodes, self.readers)
        self.values: dict[str, Value] = {name: Known(array, name) for name, array in source.constants.items()}
        self.numberings: dict[str, Numbering] = {}
        self._unfolded = 0  # how many nodes of graphs within the graph were put in
        self._bodies = 0
        self._inputs: list[str] = []

    def model(self) -> Model:
        """The model.

        Raises:
            FileFormatError: Something in the file that we cannot run, by its name.
        """
        with refusing("not a network that we can run"):
            self.convert()
            return self.assembled(self.source.outputs)

    def graph(self) -> Graph:
        """The graph of the model, whose layers hold no weights yet; raises FileFormatError likewise."""
        with refusing("not a network that we can run"):
            self.convert()
            return self._wired(self.source.outputs)

    def convert(self) -> None:
        """Make values of all nodes that the outputs need."""
        self._begin()
        for node in self.source.nodes:
            if any(name in self.readers and name not in self.values for name in node.outputs):
                self._convert(node)

    def assembled(self, outputs: Sequence[Port]) -> Model:
        """The model that makes these outputs."""
        graph = self._wired(outputs)
        double = any(port.dtype == np.float64 for port in (*self.source.inputs, *self.source.outputs))
        try:
            model = Model(graph, dtype="float64" if double else "float32")
            model.limits = self.limits
            shapes: Any = [self.shapes[name] for name in graph.inputs]
            model.build(shapes if len(shapes) > 1 else shapes[0])
            model.outputs = [port.name for port in outputs]
        except ArgumentError as error:
            raise FileFormatError(f"not a network that we can run ({error})") from None
        for parameter, initializer in self._drawn:
            parameter.initializer = initializer
        axes = {port.name: port.axis for port in self.source.inputs}
        model.input_axes = tuple(axes[name] for name in model.inputs)
        made = [self.values[port.name] for port in outputs]
        model.output_axes = tuple(value.layout.batch if isinstance(value, Images) else 0 for value in made)
        if self.whole:
            model.input_axes, model.output_axes = (0,) * len(model.input_axes), (0,) * len(model.output_axes)
        _describe(model, self.source.metadata)
        return model

    def _wired(self, outputs: Sequence[Port]) -> Graph:
        """The graph that makes these outputs."""
        try:
            graph = self._graph([self._end(port) for port in outputs])
        except ArgumentError as error:
            raise FileFormatError(f"not a network that we can run ({error})") from None
        for name in self.fixed:
            for _, parameter in self.nodes[name][0].parameters():
                parameter.fix()
        return graph

    # Inputs and outputs

    def _begin(self) -> None:
        """Make the inputs images of a batch, if they can be."""
        ports = [port for port in self.source.inputs if port.name in self.readers]  # of those that anything depends on
        shapes = sizes_of(ports, self.given, self.input_shape)
        if self.given and not self.whole:
            self.images = next((sizes[0] for sizes in shapes.values() if len(sizes) > 1), None)
        elif not self.whole:
            self.images = count_of(shapes, self.single)
        self._taken.update(port.name for port in ports)
        for port in ports:
            sizes, content = shapes[port.name], self.given.get(port.name)
            counted = "int" in port.dtype.name and self.integers_known
            if self.given and (counted or (not self.whole and (not sizes or sizes[0] != self.images))):
                self.values[port.name] = Known(self.given[port.name])
                continue
            layout = Layout(sizes, None) if self.whole else layout_of(sizes[1:], port.axis)
            # An input has one number at least, in an axis.
            self.shapes[port.name] = layout.image or (1,)
            made: Images = Images(port.name, layout, port.dtype, content)
            if not layout.image:
                made = replace(self.emit(Reshape(()), [made], layout, f"{port.name}.scalar"), content=content)
            self.values[port.name] = made
            self._inputs.append(port.name)

    def _end(self, port: Port) -> str:
        """The node of an output; a new one where another output or an input is meant."""
        value = self.values.get(port.name)
        if value is None or isinstance(value, Known):
            raise FileFormatError(f"output {port.name!r} does not depend on an input.")
        layout = value.layout
        # (steps, batch, channels) is what recurrent networks put out.
        steps = layout.batch == 1 and layout.rank == 3 and layout.sizes[0] > 1
        moved = steps or any(each.axis != 0 for each in self.source.inputs)
        moved &= layout.outer == layout.inner == 1
        rows = layout.batch == 0 and layout.outer == 1  # of all images in one list: each image puts out its own
        if not self.whole and not rows and not moved:
            raise FileFormatError(
                f"output {port.name!r}: its first axis is not the batch (that is axis {layout.batch} of {layout.rank})."
            )
        alone = all(each.axis is None for each in self.source.inputs)  # where no input has a batch, no output has one
        if self.single and (alone or (rows and not layout.plain)):
            self.values[port.name] = value = self.reshaped(value, Layout(layout.sizes, None))
        return value.node

    def _graph(self, ends: Sequence[str]) -> Graph:
        """The nodes that the outputs need, wired."""
        outputs: list[str] = []
        for end in ends:
            if end in outputs or end not in self.nodes:
                copied = self.named(f"{end}.output")
                self.nodes[copied] = (Identity(), end)
                end = copied
            outputs.append(end)
        needed = set(outputs)
        for name in reversed(self.nodes):
            if name in needed:
                needed.update(self.nodes[name][1:])
        nodes = {name: entry for name, entry in self.nodes.items() if name in needed}
        inputs = [name for name in self._inputs if name in needed]
        if not inputs:
            raise FileFormatError("no output depends on an input.")
        return Graph(nodes, inputs, outputs)

    # Nodes

    def _convert(self, node: Node) -> None:
        """Compute a node's outputs, or make layers of it."""
        self.origin = next(iter(node.outputs), "")
        try:
            if self._number(node):
                return
            inputs = [self.values[name] if name else None for name in node.inputs]
            if self.single:
                inputs = self._agreeing(inputs)
            made: Sequence[Value | None]
            call = Call(self, node, inputs)
            constants = None if node.bodies or node.operator in MADE else call.constants()
            if constants is not None:
                made = self._folded(node, constants)
            elif node.operator in CONVERSIONS:
                result = CONVERSIONS[node.operator](call)
                made = [result] if isinstance(result, Known | Images) else result
            else:
                raise UnsupportedError(REFUSED.get(node.operator, "there is no layer for it"))
        except UnsupportedError as error:
            raise FileFormatError(f"{node} can't be run: {error}.") from None
        except ColonnadeError as error:
            raise FileFormatError(f"{node} can't be run: {error}") from None
        except Exception as error:  # whatever a conversion stumbles over in a graph that makes no sense
            raise FileFormatError(f"{node} can't be run: it makes no sense ({reason(error)}).") from error
        for name, value in zip(node.outputs, made, strict=False):
            if name and value is not None:
                self.values[name] = value
        for name in node.outputs:
            if name in self.readers and name not in self.values:
                raise FileFormatError(f"{node} can't be run: its output {name!r} is used, and we have none of it.")

    def _number(self, node: Node) -> bool:
        """Compute a node of the numbers of images, if it is one."""
        inputs = [self.numberings.get(name) or self.values[name] if name else None for name in node.inputs]
        known = [each for each in inputs if not isinstance(each, Numbering)]
        if len(known) == len(inputs) and not numbers_images(node.operator, known):
            return False
        made = numbered(Call(self, node, []), inputs)
        if isinstance(made, Numbering):
            self.numberings[node.outputs[0]] = made
        else:
            self.values[node.outputs[0]] = made
        return True

    def _agreeing(self, values: list[Value | None]) -> list[Value | None]:
        """Values of which none has a batch where another, computed from the images too, has none."""
        batches = {value.layout.batch is None for value in values if isinstance(value, Images)}
        if len(batches) < 2:
            return values
        return [self.reshaped(x, Layout(x.layout.sizes, None)) if isinstance(x, Images) else x for x in values]

    def _folded(self, node: Node, inputs: list[Known | None]) -> list[Known]:
        made = self.fold(node, inputs)
        first = inputs[0] if inputs else None
        if node.operator == "Identity" and first is not None:
            # One array under several names: the last is the one that the layer was given.
            return [Known(made[0].array, node.outputs[0] if first.name and "." in node.outputs[0] else first.name)]
        return made

    def inlined(self, body: Body, inputs: Sequence[Value], needed: Sequence[int]) -> dict[int, Value]:
        """A graph within the graph, its nodes put in here.

        Args:
            body: The graph.
            inputs: What it is given.
            needed: Which of its outputs are made.

        Returns:
            Those, by their places.

        Raises:
            UnsupportedError: More nodes than any graph has.
        """
        self._bodies += 1
        self._unfolded += 1 + len(body.nodes)
        if self._unfolded > MOST_NODES:
            raise UnsupportedError(f"its graphs unfold to more than {MOST_NODES:,} nodes")
        # A graph may run several times, and two may use one name: each time all get names of their own.
        names = {**body.outer, **{name: f"{name}/{self._bodies}" for name in body.own}}

        def renamed(given: Sequence[str]) -> tuple[str, ...]:
            return tuple(names.get(name, name) for name in given)

        nodes = []
        for node in body.nodes:
            inner = {
                name: replace(each, outer=names) if isinstance(each, Body) else each
                for name, each in node.attributes.items()
            }
            nodes.append(replace(node, inputs=renamed(node.inputs), outputs=renamed(node.outputs), attributes=inner))
        self.values.update({names[name]: Known(array, name) for name, array in body.constants.items()})
        self.values.update(zip(renamed(body.inputs), inputs, strict=True))
        outputs = renamed(body.outputs)
        readers = _readers(nodes, [outputs[place] for place in needed])
        own = {names[name] for name in body.own}
        self.readers.update({name: count for name, count in readers.items() if name in own})
        self.followers.update({name: each for name, each in _followers(nodes, readers).items() if name in own})
        origin = self.origin
        for node in nodes:
            if any(name in readers and name not in self.values for name in node.outputs):
                self._convert(node)
        self.origin = origin
        return {place: self.values[outputs[place]] for place in needed}


def _readers(nodes: Sequence[Node], outputs: Sequence[str]) -> dict[str, int]:
    """How often each value is read by what the outputs need."""
    readers = dict.fromkeys(outputs, 1)
    for node in reversed(nodes):
        if any(name in readers for name in node.outputs):
            for name in node.reads:
                readers[name] = readers.get(name, 0) + 1
    return readers


def _followers(nodes: Sequence[Node], readers: Mapping[str, int]) -> dict[str, Node]:
    """The node that reads a value, of those that are read once."""
    return {name: node for node in nodes for name in node.inputs if readers.get(name) == 1}


def _describe(model: Model, metadata: Mapping[str, str]) -> None:
    """Take over what our own export writes of classes and images; nothing where it doesn't fit."""
    for name in ("classes", "normalization", "pixels"):
        try:
            setattr(model, name, parse_json(metadata[name]))
            require_normalization(model)
        except (KeyError, ValueError, TypeError, ColonnadeError):
            setattr(model, name, None)
