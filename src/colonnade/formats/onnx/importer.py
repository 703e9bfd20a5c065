"""An ONNX graph becomes a model: known values are computed, all others become nodes of a :class:`Graph`."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...composites import Graph
from ...documents import parse_json, reason, refusing
from ...errors import ArgumentError, ColonnadeError, FileFormatError
from ...layers import Constant, Expand, Flatten, Identity, Layer, Permute, Reshape
from ...layers.wiring import Wiring
from ...limits import Limits
from ...model import Model
from ...ops.layout import Array
from ...tensor import Initializer, Parameter, Shape
from ..native import require_normalization
from .call import Call
from .conversions import CONVERSIONS
from .folding import MOST_NUMBERS, Folding
from .names import Names, digest
from .numbering import Numbering, numbered, numbers_images
from .reading import MOST_NODES, Body, Node, Port, Source
from .values import Images, Known, Layout, UnsupportedError, Value

WEIGHT = r"(.+)\.(weight|bias|running_mean|running_var)"  # of a layer that is called as the first part is


class Importer:
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
        nodes: Of the graph that is made, by name: a layer, and what it reads.
        images: How many images the file was written for; None where it is for any number.
    """

    def __init__(
        self,
        source: Source,
        given: Mapping[str, Array] | None = None,
        whole: bool = False,
        integers_known: bool = False,
        input_shape: Sequence[Any] | Mapping[str, Shape] | None = None,
        limits: Limits | None = None,
        names: Names | None = None,
    ) -> None:
        self.source, self.given, self.whole, self.integers_known = source, given or {}, whole, integers_known
        self.input_shape, self.limits = input_shape, limits
        self.nodes: dict[str, tuple[Any, ...]] = {}
        self.images: int | None = None
        # States without a batch: what the file computes is for one image, and each tensor may be taken as one, whole.
        self.single = any(port.axis is None for port in source.inputs)
        self.fold = Folding(limits)
        self.readers = _readers(source.nodes, [port.name for port in source.outputs])
        self.followers = _followers(source.nodes, self.readers)
        self._unfolded = 0  # how many nodes of graphs within the graph were put in
        self._bodies = 0
        self.values: dict[str, Value] = {name: Known(array, name) for name, array in source.constants.items()}
        self.numberings: dict[str, Numbering] = {}
        self.shapes: dict[str, Shape] = {}  # one image's, of each input and node of ours
        self.origins: dict[str, str] = {}  # nodes that only reshape: of what
        self.fixed: list[str] = []  # nodes whose weights only say what the operator does
        # Names of what holds weights, which nothing else may have.
        parts = (re.fullmatch(WEIGHT, name) for name in source.constants)
        self._holders = {part.group(1) for part in parts if part}
        # Layers and constants that stand here already, and the arrays that they are known by, which must live on.
        self._shared: dict[tuple[Any, ...], tuple[Any, Any]] = {}
        self._drawn: list[tuple[Parameter, Initializer]] = []
        self._names = names or Names(source.constants)
        self._seen: Counter[Hashable] = Counter()
        self._origin = ""  # an output of the node that is converted
        self._taken = self._names.given()
        self._numbered: dict[str, int] = {}  # the last number that a name was given
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
        ports = self._ports()
        shapes = {port.name: self._sizes(port) for port in ports}
        if not self.whole:
            self._find_batch(shapes)
        self._taken.update(port.name for port in ports)
        for port in ports:
            sizes, content = shapes[port.name], self.given.get(port.name)
            counted = "int" in port.dtype.name and self.integers_known
            if self.given and (counted or (not self.whole and (not sizes or sizes[0] != self.images))):
                self.values[port.name] = Known(self.given[port.name])
                continue
            layout = Layout(sizes, None) if self.whole else _layout(sizes[1:], port.axis)
            # An input has one number at least, in an axis.
            self.shapes[port.name] = layout.image or (1,)
            made: Images = Images(port.name, layout, port.dtype, content)
            if not layout.image:
                made = replace(self.emit(Reshape(()), [made], layout, f"{port.name}.scalar"), content=content)
            self.values[port.name] = made
            self._inputs.append(port.name)

    def _ports(self) -> list[Port]:
        """The inputs that any output depends on."""
        return [port for port in self.source.inputs if port.name in self.readers]

    def _sizes(self, port: Port) -> Shape:
        """The sizes of an input, −1 for a first one that is not known."""
        if port.name in self.given:
            return self.given[port.name].shape
        shape = port.shape
        if shape is None:
            if not self._asked(port):
                raise FileFormatError(
                    f"input {port.name!r}: the file says nothing of its shape: say how large an image is, "
                    f"input_shape=(...), or --input."
                )
            shape = ("?", *self._asked(port))
        if unknown := [size for size in shape[1:] if not isinstance(size, int)]:
            asked = self._asked(port)
            fits = [own in (0, size) for own, size in zip(map(_open, shape[1:]), asked, strict=False)]
            if len(asked) != len(shape) - 1 or not all(fits):
                raise FileFormatError(
                    f"input {port.name!r}: the size {unknown[0]!r} of {shape} is not known: say how large an image is, "
                    f"input_shape=(...), or --input."
                )
            shape = (shape[0], *asked)
        sizes = tuple(size if isinstance(size, int) else -1 for size in shape)
        if any(size < 1 for size in sizes[1:]) or 0 in sizes[:1]:
            raise FileFormatError(f"input {port.name!r}: sizes must be positive, got {port.shape}.")
        return sizes

    def _asked(self, port: Port) -> tuple[int, ...]:
        """One image's shape at an input, as it was said; nothing where it was not."""
        said: Any = self.input_shape or ()
        if not isinstance(said, Mapping):
            names = [each.name for each in self._ports()]
            several = any(isinstance(size, Sequence) for size in said)
            said = dict(zip(names, said, strict=False)) if several else dict.fromkeys(names, said)
        return tuple(said.get(port.name, ()))

    def _find_batch(self, shapes: dict[str, Shape]) -> None:
        """The number of images, from the first sizes of all inputs."""
        if self.given:
            self.images = next((sizes[0] for sizes in shapes.values() if len(sizes) > 1), None)
            return
        for name, sizes in shapes.items():
            if len(sizes) < 2 and not self.single:
                raise FileFormatError(
                    f"input {name!r}: expected a batch, its first axis the images, and axes of each, got the shape "
                    f"{sizes}."
                )
        if not shapes:
            raise FileFormatError("no output depends on an input.")
        counts = {sizes[0] for sizes in shapes.values()}
        if len(counts) > 1:
            raise FileFormatError(f"the inputs' first axes must be the same batch, got {shapes}.")
        count = counts.pop()
        self.images = None if count == -1 else count

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
        if not self.whole and not layout.plain and not moved:
            raise FileFormatError(
                f"output {port.name!r}: its first axis is not the batch (that is axis {layout.batch} of {layout.rank})."
            )
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
        self._origin = next(iter(node.outputs), "")
        try:
            if self._number(node):
                return
            inputs = [self.values[name] if name else None for name in node.inputs]
            if self.single:
                inputs = self._agreeing(inputs)
            made: Sequence[Value | None]
            call = Call(self, node, inputs)
            constants = None if node.bodies else call.constants()
            if constants is not None:
                made = self._folded(node, constants)
            elif node.operator in CONVERSIONS:
                result = CONVERSIONS[node.operator](call)
                made = [result] if isinstance(result, Known | Images) else result
            else:
                raise UnsupportedError("there is no layer for it")
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

    # What conversions call

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
        origin = self._origin
        for node in nodes:
            if any(name in readers and name not in self.values for name in node.outputs):
                self._convert(node)
        self._origin = origin
        return {place: self.values[outputs[place]] for place in needed}

    def named(self, *wishes: str, holds: bool = False) -> str:
        """A name that no node has: the first of the wishes that is free, or the last with a number.

        Args:
            wishes: The better first.
            holds: Whether the node has weights; others may not have the name of one that has.
        """
        cleaned = [re.sub(r"[^\w.:-]+", "_", wish).strip("._") or "node" for wish in wishes]
        others: set[str] = set() if holds else self._holders
        free = next((each for each in cleaned if each not in self._taken and each not in others), None)
        last = cleaned[-1]
        while free is None:
            self._numbered[last] = number = self._numbered.get(last, 1) + 1
            numbered = f"{last}_{number}"
            free = None if numbered in self._taken or numbered in others else numbered
        self._taken.add(free)
        return free

    def emit(
        self,
        layer: Layer,
        inputs: Sequence[Images],
        layout: Layout,
        *names: str,
        dtype: np.dtype[Any] | None = None,
        weights: Mapping[str, Array] | None = None,
    ) -> Images:
        """Put a layer into the graph.

        Args:
            layer: A new one.
            inputs: What it reads.
            layout: Of its output.
            names: What it may be called; the first that is free.
            dtype: The type of the output in ONNX; by default the first input's.
            weights: The layer's parameters and buffers.
        """
        shapes = [self.shapes[each.node] for each in inputs]
        shape = layer.join(shapes) if isinstance(layer, Wiring) else layer.build(shapes[0], np.random.default_rng(0))
        if shape != layout.image:
            raise UnsupportedError(
                f"it makes {shape} of {', '.join(map(str, shapes))} where {layout.image} is expected"
            )
        if math.prod(shape) > MOST_NUMBERS:
            raise UnsupportedError(f"its output, {shape} for each image, is more than we run")
        if weights:
            layer = self._weighed(layer, weights, names)
        key = self._names.key(layer, weights or {}, self._origin, self._seen)
        made = self._names.of(key) or self.named(*names, holds=bool(weights))
        self._names.give(key, made)
        self.nodes[made] = (layer, *(each.node for each in inputs))
        self.shapes[made] = shape
        return Images(made, layout, inputs[0].dtype if dtype is None else dtype)

    def _weighed(self, layer: Layer, weights: Mapping[str, Array], names: Sequence[str]) -> Layer:
        """A layer with its weights; the one that has the very same already, where a network calls it again."""
        owners = self._holders.intersection(names)  # others may hold equal numbers
        places = tuple((name, _place(array)) for name, array in weights.items())
        key = (type(layer), repr(layer.config()), frozenset(owners), places)
        if key not in self._shared:
            for name, array in weights.items():
                self._give(layer, name, array)
            self._shared[key] = layer, weights
        shared: Layer = self._shared[key][0]
        return shared

    def _give(self, layer: Layer, name: str, array: Array) -> None:
        """Make an array a parameter's first values, or a buffer."""
        if 0 in array.strides and array.size > 1:  # one number repeated takes memory from here on
            self.fold.take(array.size)
        target = getattr(layer, name)
        if target.shape != array.shape:
            raise UnsupportedError(f"its {name} must have the shape {target.shape}, got {array.shape}")
        if isinstance(target, Parameter):
            self._drawn.append((target, target.initializer))
            target.initializer = _given(array)
        else:
            setattr(layer, name, array.astype(np.float64))

    def constant(self, array: Array, layout: Layout, name: str | None, dtype: np.dtype[Any]) -> Images:
        """An array that is the same for every image, as the output of a node.

        It is learned if the file holds it under a name, and it is more than one number: so are position embeddings.
        """
        learned = name is not None and array.dtype.kind == "f" and array.size > 1 and bool(np.isfinite(array).all())
        learned = learned and not re.match(r"onnx::|_?val_|\d+$", str(name))
        shape = layout.image or (1,)
        self.fold.require(math.prod(shape))
        full = np.broadcast_to(array, layout.image).reshape(shape)
        # What is not learned is the same where its numbers are.
        key = (shape, str(dtype), (name, _place(array)) if learned else digest(full))
        if key not in self._shared:
            flat = Layout((1, *shape), 0)
            layer = Constant(shape, learned)
            emitted = self.emit(layer, [], flat, name or "constant", dtype=dtype, weights={"weight": full})
            self._shared[key] = emitted, array
        made: Images = self._shared[key][0]
        return made if layout.image else self.emit(Reshape(()), [made], layout, f"{made.node}.scalar")

    def reshaped(self, x: Images, layout: Layout, name: str = "") -> Images:
        """The numbers of each image in another shape; nothing where the shape stays, or comes back."""
        if layout.image == self.shapes[x.node]:
            return Images(x.node, layout, x.dtype, None)
        origin = self.origins.get(x.node, x.node)
        if self.shapes[origin] == layout.image:
            return Images(origin, layout, x.dtype, None)
        source = Images(origin, x.layout, x.dtype)
        layer = Flatten() if len(layout.image) == 1 < len(self.shapes[origin]) else Reshape(layout.image)
        made = self.emit(layer, [source], layout, name or f"{origin}.reshape")
        self.origins[made.node] = origin
        return made

    def transposed(self, x: Images, order: Sequence[int], name: str = "") -> Images:
        """With the axes, as ONNX sees them, in another order."""
        dims = [dim for axis in order for dim in x.layout.dims(axis)]
        layout = x.layout.permuted(order)
        # Axes of length 1 may stand anywhere.
        long = [dim for dim in dims if self.shapes[x.node][dim - 1] > 1]
        if long == sorted(long):
            return self.reshaped(x, layout, name)
        return self.emit(Permute((0, *dims)), [x], layout, name or f"{x.node}.transpose")

    def per_image(self, array: Array, layout: Layout) -> Array:
        """A known array, of as many axes as the layout, as every image sees it: it must be the same for all."""
        axis = layout.batch
        if axis is None:
            return array
        places = array.shape[axis]
        differs = f"a constant of shape {array.shape} differs from image to image along axis {axis}"
        if places != 1:
            images = self.images or 0
            if not images or places != layout.outer * images * layout.inner:
                raise UnsupportedError(differs)
            parts = array.reshape(*array.shape[:axis], layout.outer, images, layout.inner, *array.shape[axis + 1 :])
            first = parts[(*[slice(None)] * (axis + 1), slice(0, 1))]
            if not (parts == first).all():
                raise UnsupportedError(differs)
            array = np.squeeze(first, axis + 1)
        else:
            array = np.expand_dims(array, axis)
        # Now (…, outer or 1, inner or 1, …): what is not joined with the batch has no axis with us.
        if layout.inner == 1:
            array = np.squeeze(array, axis + 1)
        return np.squeeze(array, axis) if layout.outer == 1 else array

    def aligned(self, values: Sequence[Value]) -> tuple[list[Images], Layout]:
        """Values that are combined element by element, with as many axes each, and the layout of the result."""
        rank = max(len(each.array.shape) if isinstance(each, Known) else each.layout.rank for each in values)
        images = [each for each in values if isinstance(each, Images)]
        lifted = _lifted([each.layout for each in images], rank)
        batches = {(each.batch, each.outer, each.inner) for each in lifted}
        if len(batches) > 1:
            raise UnsupportedError("it combines tensors whose batches are different axes")
        batch, outer, inner = batches.pop()
        shapes = [each.sizes for each in lifted]
        known = [
            each.array.reshape((1,) * (rank - each.array.ndim) + each.array.shape)
            for each in values
            if isinstance(each, Known)
        ]
        for array in known:
            if array.dtype == object:
                raise UnsupportedError("it computes with the batch's size")
            shapes.append(tuple(outer * inner if axis == batch else size for axis, size in enumerate(array.shape)))
        layout = Layout(np.broadcast_shapes(*shapes), batch, outer, inner)
        lifted_images, arrays = iter(lifted), iter(known)
        made: list[Images] = []
        for each in values:
            if isinstance(each, Images):
                made.append(self.reshaped(each, next(lifted_images)))
                continue
            array = self.per_image(next(arrays), layout)
            own = Layout((1, *array.shape), 0)
            made.append(self.constant(array, own, each.name, each.dtype))
        return made, layout

    def expanded(self, x: Images, layout: Layout, name: str = "") -> Images:
        """Stretched along axes of length 1."""
        if x.layout.image == layout.image:
            return Images(x.node, layout, x.dtype)
        return self.emit(Expand(layout.image), [x], layout, name or f"{x.node}.expand")


def _place(array: Array) -> tuple[Any, ...]:
    """Where the numbers of an array are: views of the same have the same."""
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str


def _lifted(layouts: Sequence[Layout], rank: int) -> list[Layout]:
    """With so many axes, those of length 1 put in ahead.

    What is one for each image and has no axis for the batch, such as the step of a grid, gets one where others have it.
    """
    made = [each.with_ones(range(rank - each.rank)) for each in layouts]
    frame = next((each for each in made if each.batch is not None and each.outer == each.inner == 1), None)
    if frame is None or frame.batch is None:
        return made
    return [
        Layout(own.sizes, frame.batch) if own.batch is None and frame.batch < rank - each.rank else own
        for each, own in zip(layouts, made, strict=True)
    ]


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


def _layout(image: Shape, axis: int | None) -> Layout:
    """Of one image's shape, with the batch as that axis."""
    return Layout(image, None) if axis is None else Layout((*image[:axis], 1, *image[axis:]), axis)


def _open(size: int | str) -> int:
    """A size, zero for one that the file leaves open."""
    return size if isinstance(size, int) else 0


def _given(array: Array) -> Initializer:
    return lambda shape, rng, rectified: array


def _describe(model: Model, metadata: Mapping[str, str]) -> None:
    """Take over what our own export writes of classes and images; nothing where it doesn't fit."""
    for name in ("classes", "normalization", "pixels"):
        try:
            setattr(model, name, parse_json(metadata[name]))
            require_normalization(model)
        except (KeyError, ValueError, TypeError, ColonnadeError):
            setattr(model, name, None)
