"""Network: what a model is before it runs. Its steps, its parameters by name, and the shapes that it was built for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from . import arguments, freezing
from .composites import Chain, Composite, Graph, Node
from .composites.chain import nodes
from .errors import ArgumentError, LimitError, ShapeError
from .executor import PLANS
from .layers.base import Layer
from .limits import Limits
from .ops.layout import Array
from .state import Alias, IncompatibleKeys, by_own_names, require_shapes
from .steps import Edge, Step
from .tensor import Parameter, ParameterBuffer, Shape, contiguous_runs
from .unrolled import Keepers, Unrolled, interchangeable

N = TypeVar("N", bound="Network")


class Remake(Protocol):
    """Makes the graph of a network that leaves sizes open."""

    @property
    def open(self) -> tuple[tuple[int | None, ...], ...]:
        """One image's shape of each input, with None for the sizes that are open."""

    def __call__(self, shapes: tuple[Shape, ...]) -> Graph:
        """The graph for images of these shapes, one of each input; raises ShapeError where there is none."""


class Network(Composite):
    """Layers chained or wired from input to output, with what they learn.

    Args:
        layers: Leaves and composites, or a Graph.
        seed: Of the first weights.
        dtype: The type of every number.

    :class:`~colonnade.Model` lists its attributes.
    """

    def __init__(self, layers: Sequence[Node] | Graph, seed: int, dtype: DTypeLike) -> None:
        self.seed = arguments.whole("Model", "seed", seed, 0, long=True)
        self.dtype = _float_type(dtype)
        self.input_shape: Any = None  # a Shape, or a tuple of them
        self._classes: list[str] | None = None
        self.aliases: dict[str, Alias] = {}
        self.remake: Remake | None = None
        self.limits: Limits | None = None
        self._unrolled = Unrolled(layers if isinstance(layers, Graph) else Chain(nodes(layers, "Model")))
        self._inputs, self._outputs = _ends(self.body)
        self.input_axes: tuple[int | None, ...] = (0,) * len(self._unrolled.sources)
        self.output_axes: tuple[int | None, ...] = (0,) * len(self._unrolled.results)
        _require_one_place(self.steps)
        self._keepers: Keepers = WeakKeyDictionary()
        self._known: dict[tuple[Shape, ...], Unrolled] = {}  # by the inputs' shapes, the one used last at the end
        self._learned: dict[str, Layer] = {}  # what any of them has with something learned in it, by name
        self._parameters: dict[str, Parameter] = {}
        self._adopt(self._unrolled)
        self._fitted = True  # whether what is here belongs together: an interrupt may come in between

    # What it is for the images that came last

    @property
    def body(self) -> Chain | Graph:
        """The chain or graph."""
        return self._unrolled.body

    @property
    def steps(self) -> list[Step]:
        """What the body unrolls to."""
        return self._unrolled.steps

    @property
    def sources(self) -> list[Edge]:
        """The edges where the inputs come in."""
        return self._unrolled.sources

    @property
    def results(self) -> list[Edge]:
        """The edges where the outputs go out."""
        return self._unrolled.results

    @property
    def prepared_bytes(self) -> int:
        """What the layers make for one image beside a plan's memory."""
        return self._unrolled.prepared_bytes

    @property
    def built_shape(self) -> Any:
        """One image's shape that the steps have, or a tuple of shapes; None before any.

        It is `input_shape` once an image was seen. Where a file leaves sizes open there are steps before that.
        """
        shapes = self._unrolled.shapes
        return (shapes if len(self.inputs) > 1 else shapes[0]) if shapes else None

    @property
    def open_shape(self) -> Any:
        """One image's shape with None for the sizes that a file leaves open, or a tuple of shapes; None elsewhere."""
        if self.remake is None:
            return None
        return self.remake.open if len(self.inputs) > 1 else self.remake.open[0]

    # The composite that it is

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return self._inputs

    @inputs.setter
    def inputs(self, names: Sequence[str]) -> None:
        self._inputs = arguments.names("Model", "inputs", names, len(self._inputs))

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs."""
        return self._outputs

    @outputs.setter
    def outputs(self, names: Sequence[str]) -> None:
        self._outputs = arguments.names("Model", "outputs", names, len(self._outputs))

    @property
    def layers(self) -> list[Node]:
        """The layers of a chain; for a model of a graph, the graph alone."""
        return self.body.layers if isinstance(self.body, Chain) else [self.body]

    def unroll(self, inputs: Sequence[Edge], name: str, steps: list[Step]) -> list[Edge]:
        """The steps of its body."""
        return self.body.unroll(inputs, name, steps)

    def config(self) -> dict[str, Any]:
        """Its body as data."""
        return self.body.config()

    @property
    def kind(self) -> str:
        """As a part of another model it is what its body is."""
        return self.body.kind

    def __iter__(self) -> Iterator[Node]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, place: int | str) -> Node:
        return self.body[place]  # type: ignore[index]

    # What is trained

    def freeze(self, *names: str) -> None:
        """Leave parts as they are in training.

        A frozen parameter gets no gradient and no optimizer changes it. Where a frozen layer has nothing trainable
        below it, it runs as outside training: batch norm uses its running statistics and folds into the convolution,
        dropout rests, nothing is kept for a backward pass, and `backward` gives no gradient at the input.

        Args:
            names: Of layers ("0", "3.main.0", "stem"), with all that lies in them, or of parameters ("3.weight"). `*`
                stands for anything; no name at all for the whole model.

        Raises:
            ArgumentError: A name that fits nothing.
        """
        freezing.set_trainable(self.steps, names, False)

    def unfreeze(self, *names: str) -> None:
        """Undo :meth:`freeze`, for the same kind of names."""
        freezing.set_trainable(self.steps, names, True)

    @property
    def frozen(self) -> list[str]:
        """The names of the frozen layers, and of frozen parameters of others."""
        return freezing.frozen(self.steps)

    @property
    def fixed(self) -> list[str]:
        """The names of parameters that only say what a layer computes, as a blur's kernel does: they are saved."""
        return [name for name, parameter in self._parameters.items() if parameter.fixed]

    # Parameters and what is saved with them

    def _adopt(self, unrolled: Unrolled) -> None:
        """Name the parameters; lay those that are new into a flat buffer, and draw their first values."""
        new: list[tuple[Parameter, np.random.Generator, bool]] = []
        there = {parameter for step in unrolled.steps for _, parameter in step.layer.parameters()}
        parameters = {name: parameter for name, parameter in self._parameters.items() if parameter in there}
        rectified = _rectified(unrolled.steps)
        known, adopted = set(parameters.values()), set(self._learned.values())
        for step in unrolled.steps:
            for name, parameter in step.layer.parameters():
                if parameter in known:
                    continue
                rng = np.random.default_rng([self.seed, len(known)])
                if parameter.buffer is None:
                    new.append((parameter, rng, not rectified.isdisjoint(step.outputs)))
                elif parameter.dtype != self.dtype:
                    raise ArgumentError(f"Model: layer {step.name} is already part of a model of {parameter.dtype}.")
                parameter.name = f"{step.name}.{name}"
                parameters[parameter.name] = parameter
                known.add(parameter)
            for name in () if step.layer in adopted else step.layer.buffers:
                array = getattr(step.layer, name)
                setattr(step.layer, name, np.array(array, self.dtype if array.dtype.kind == "f" else array.dtype))
            step.parameters = [parameter for _, parameter in step.layer.parameters()]
        values = (parameter.initializer(parameter.shape, rng, followed) for parameter, rng, followed in new)
        ParameterBuffer([parameter for parameter, _, _ in new], self.dtype, values)
        unrolled.parameters = self._parameters = parameters
        for step in unrolled.steps:
            if step.parameters or step.layer.buffers:
                self._learned.setdefault(step.name, step.layer)

    def parameters(self) -> list[Parameter]:
        """All parameters that can be learned, in the order of the layers."""
        return [parameter for parameter in self._parameters.values() if not parameter.fixed]

    def zero_grad(self) -> None:
        """Set every parameter's gradient to zero."""
        for buffer, run in contiguous_runs(self.parameters()):
            buffer.grad[run].fill(0)

    def _saved_buffers(self) -> dict[str, tuple[Layer, str]]:
        return {f"{step.name}.{name}": (step.layer, name) for step in self.steps for name in step.layer.buffers}

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters and running statistics, by PyTorch's names and shapes."""
        state: dict[str, Array] = {}
        for step in self.steps:
            layer, name = step.layer, step.name
            state |= {f"{name}.{key}": parameter.array.copy(order="C") for key, parameter in layer.parameters()}
            state |= {f"{name}.{key}": getattr(layer, key).copy() for key in layer.buffers}
        return state

    def load_state_dict(
        self, state: Mapping[str, ArrayLike], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Take over parameters and running statistics, all or nothing.

        Names may be ours or those of :attr:`aliases`. Axes of length 1 more or less are no difference.

        Args:
            state: Arrays by name, as `state_dict` gives them. What is not learned may be missing.
            strict: Whether to refuse what is missing, and what the model does not have; else it is only told.
            assign: False: the arrays are copied.

        Returns:
            What was missing and what was unexpected, as in PyTorch: `missing_keys` and `unexpected_keys`.

        Raises:
            ArgumentError: Names that differ, if `strict`; what holds no numbers.
            ShapeError: An array of another shape, strict or not.
        """
        arguments.unsupported("Model", "arrays are copied", assign=(assign, False))
        strict = arguments.flag("Model", "strict", strict)
        if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
            raise ArgumentError(f"Model: the state must be a dict of arrays by name, got {arguments.shown(state)}.")
        places, arrays = self._places(), self.by_own_names(state)
        needed = self.needed()
        missing = [name for name in places if name in needed and name not in arrays]
        unexpected = [name for name in arrays if name not in places]
        if strict and missing:
            raise ArgumentError(f"Model: the state lacks {', '.join(sorted(missing))}.")
        if strict and unexpected:
            raise ArgumentError(f"Model: the state holds what the model does not: {', '.join(sorted(unexpected))}.")
        known = {name: array for name, array in arrays.items() if name in places}
        require_shapes(known, places)
        self._weights_changed()  # before, since an interrupt may come in between, and after, since a call may
        for name, array in known.items():
            places[name][...] = array.reshape(places[name].shape)
        self._weights_changed()
        return IncompatibleKeys(missing, unexpected)

    def needed(self) -> set[str]:
        """What a state must hold: what is learned, and running statistics."""
        statistics = {name for name in self._saved_buffers() if name.endswith(("running_mean", "running_var"))}
        return {parameter.name for parameter in self.parameters()} | statistics

    def by_own_names(self, state: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Arrays by our names, where some are by those that they have elsewhere; ArgumentError where two differ."""
        return by_own_names(state, self._places(), self.aliases)

    def _places(self) -> dict[str, Array]:
        """The arrays that a state holds, themselves."""
        places: dict[str, Array] = {name: parameter.array for name, parameter in self._parameters.items()}
        return places | {name: getattr(layer, key) for name, (layer, key) in self._saved_buffers().items()}

    def _weights_changed(self) -> None:
        """Note that the package itself has written to parameters: what was folded from them is made anew."""
        for buffer in {parameter.buffer for parameter in self._parameters.values()}:
            if buffer is not None:
                buffer.version += 1

    # Shapes

    def build(self: N, input_shape: Sequence[int]) -> N:
        """Fit every layer to one image's shape, (c, h, w); called by the first batch where it was not before.

        Raises:
            ShapeError: A layer does not fit what comes before it; the model is then as it was.
        """
        shapes = self._shapes_of(input_shape)
        shape = shapes if len(self.inputs) > 1 else shapes[0]
        if shape == self.input_shape and self._fitted:
            return self
        for each in shapes:
            if min(each, default=1) < 1:
                raise ShapeError(f"Model: sizes must be positive, got an input of shape {each}.")
        whole, self._fitted = self._fitted, False  # if this is interrupted, the next call does it again
        try:
            made = self._known.pop(shapes, None) if whole else None
            if made is None or not made.stands(self._keepers):
                made = self._make(shapes)
        except (ArgumentError, LimitError):
            if self._unrolled.shapes and not self._unrolled.stands(self._keepers):
                self._carry(self._unrolled, self._unrolled.shapes)
            self._fitted = True
            raise
        if made is not self._unrolled:
            trained = {step.name: step.layer.trainable for step in self.steps}
            for step in made.steps:
                step.layer.trainable = trained.get(step.name, step.layer.trainable)
        self._unrolled, self._parameters, self.input_shape = made, made.parameters, shape
        self._known[shapes] = made
        while len(self._known) > PLANS:
            del self._known[next(iter(self._known))]
        self._fitted = True
        return self

    def _make(self, shapes: tuple[Shape, ...]) -> Unrolled:
        """What the network is for images of these shapes."""
        if self.remake is not None:
            made = Unrolled(self._with_what_is_learned(self.remake(shapes)))
        else:
            made = Unrolled(self.body) if self._unrolled.shapes else self._unrolled
        self._carry(made, shapes)
        _require_name_each(self._classes, made)
        self._adopt(made)
        self._adopted()
        return made

    def _with_what_is_learned(self, body: Graph) -> Graph:
        """A graph that was made anew, with the layers of this network that hold what is learned."""
        kept: dict[Node, Node] = {}
        for name, node in body.nodes.items():
            own = self._learned.get(name)
            kept.setdefault(node, own if own is not None and interchangeable(own, node) else node)
        nodes = {name: (kept[node], *body.reads[name]) for name, node in body.nodes.items()}
        return Graph(nodes, body.inputs, body.outputs)

    def _carry(self, unrolled: Unrolled, shapes: tuple[Shape, ...]) -> None:
        if unrolled.carry(shapes, self.seed, self.dtype.itemsize, self.limits, self._keepers):
            self._rebuilt()

    def _fit(self, shape: Any) -> None:
        """Build for the shape of a batch's images, unless that is what it was built for."""
        if shape != self.input_shape or not self._fitted:
            self.build(shape)

    def _rebuilt(self) -> None:
        """Called when layers keep something of other shapes than before: what was made for those is stale."""

    def _adopted(self) -> None:
        """Called when parameters may have come to the network."""

    def _shapes_of(self, shape: Sequence[Any]) -> tuple[Shape, ...]:
        """A shape for every input, from one shape or as many as there are inputs."""
        shapes = (shape,) if len(self.inputs) == 1 else tuple(shape)
        if len(shapes) != len(self.inputs) or not all(map(arguments.is_sequence, shapes)):
            names, got = ", ".join(self.inputs), arguments.shown(shape)
            raise ShapeError(f"Model: expected a shape for each input ({names}), got {got}.")
        return tuple(arguments.wholes("Model", "a shape", one) for one in shapes)

    @property
    def output_shape(self) -> Any:
        """The shape of what is put out for one image, or a tuple of them; None until the input's is known."""
        if self.input_shape is None:
            return None
        shapes = tuple(result.shape for result in self.results)
        return shapes if len(shapes) > 1 else shapes[0]

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes, one for each output."""
        return self._classes

    @classes.setter
    def classes(self, names: Sequence[str] | None) -> None:
        if names is not None and (isinstance(names, str) or not all(isinstance(name, str) for name in names)):
            raise ArgumentError(f"Model: classes must be a list of names, got {names!r}.")
        _require_name_each(names, self._unrolled)
        self._classes = None if names is None else list(names)


def _ends(body: Chain | Graph) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the inputs and outputs are called by themselves."""
    inputs = body.inputs if isinstance(body, Graph) else ("input",)
    return inputs, body.outputs if isinstance(body, Graph) and len(body.outputs) > 1 else ("output",)


def _require_name_each(classes: Sequence[str] | None, unrolled: Unrolled) -> None:
    shape = unrolled.results[0].shape
    if classes is not None and shape and len(classes) != shape[0]:
        raise ArgumentError(f"Model: expected a name for each of {shape[0]} outputs, got {len(classes)} classes.")


def _rectified(steps: Sequence[Step]) -> set[Edge]:
    """The edges behind which a ReLU follows, seen through pools and normalisations."""
    rectified: set[Edge] = set()
    for step in reversed(steps):
        behind = step.layer.rectifies
        if behind or (behind is None and not rectified.isdisjoint(step.outputs)):
            rectified.update(step.inputs)
    return rectified


def _float_type(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        if (made := np.dtype(dtype)) in (np.float32, np.float64):
            return made
    except (TypeError, ValueError, SyntaxError):  # a name that NumPy does not know, such as bfloat16
        pass
    raise ArgumentError(f"Model: dtype must be float32 or float64, got {arguments.shown(dtype)}.")


def _require_one_place(steps: Sequence[Step]) -> None:
    """Have each layer that learns, or that looks at its input's shape, stand in one place."""
    places: dict[Layer, str] = {}
    for step in steps:
        layer = step.layer
        first = places.setdefault(layer, step.name)
        if first != step.name and (step.parameters or layer.buffers or type(layer).build is not Layer.build):
            raise ArgumentError(
                f"Model: layer {step.name} is the same {type(layer).__name__} object as layer {first}: make a new one."
            )
