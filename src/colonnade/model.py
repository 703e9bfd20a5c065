"""Model: the chain of layers, the plan of its memory, and what a user does with it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from . import arguments
from .compiled import wanted
from .composites import Chain, Composite, Graph, Node, construct_body, describe
from .composites.chain import nodes
from .errors import ArgumentError, LimitError, ShapeError, StateError
from .executor import WORKERS, Executor, Memory, Workspace, spread
from .layers.base import Layer
from .layers.wiring import Constant, Wiring
from .limits import Limits, machine_memory
from .ops.layout import Array
from .plan import Plan
from .steps import Edge, Step
from .tensor import Parameter, ParameterBuffer, Shape, contiguous_runs
from .turns import Turns

if TYPE_CHECKING:
    import torch

    from . import training
    from .profiling import Profile
    from .tracing import Trace

FORMAT_VERSION = 1
# Outside training a larger batch is run in runs of at most so many images, so that memory does not grow with it.
CHUNK_IMAGES = 256
# Of one image: NumPy has 64, and some layers cut each in two.
MOST_AXES = 30


class Alias(NamedTuple):
    """Where an array comes from that has another name elsewhere.

    Attributes:
        name: Ours.
        shape: The shape that it has elsewhere.
        axes: The order in which its axes are ours, once it has our sizes in that order.
    """

    name: str
    shape: Shape
    axes: tuple[int, ...]

    def taken(self, array: Array, shape: Shape) -> Array:
        """The array in our shape; as it is, if it does not have the one that it should."""
        if _long(array.shape) != _long(self.shape):
            return array
        return array.reshape([shape[axis] for axis in np.argsort(self.axes)]).transpose(self.axes)


class IncompatibleKeys(NamedTuple):
    """What `Model.load_state_dict` found to differ.

    Attributes:
        missing_keys: Names that the model has, and the state has not.
        unexpected_keys: The other way round.
    """

    missing_keys: list[str]
    unexpected_keys: list[str]


class Model(Composite):
    """Layers chained from input to output, the memory between them shared (the paper's Model).

    Called on a batch it returns the output as an array of the caller's own::

        model = Model([Conv2d(1, 8, 3), ReLU(), Flatten(), Dense(8 * 26 * 26, 10)], seed=0)
        y = model(x)  # inference: running statistics, no dropout
        y = model(x, training=True)  # keeps what backward needs
        gx = model.backward(gy)  # adds to every parameter's grad

    A model of a :class:`Graph` with several inputs takes a tuple of arrays, or a dict by their names; one with several
    outputs returns a tuple, and its `backward` takes one.

    Args:
        layers: Leaves and composites; or a Graph, whose node names are then the model's.
        seed: Of the first weights and of all random layers; not negative.
        dtype: The type of every number: "float32", or "float64" to check gradients.
        share_memory: False for the reference mode, in which no two tensors share memory and nothing is made again.
        compiled: Whether to run in functions that Numba compiles: None for what the environment variable
            COLONNADE_COMPILED says (0 or 1), or else no. Models of float64 run in NumPy.

    Attributes:
        body: The chain or graph that the model is.
        input_shape: One image's shape, (c, h, w), once known; a tuple of shapes where there are several inputs.
        classes: Names of the classes, one for each output, or None; saved with the model.
        remake: Makes the model for images of other shapes, where the layers themselves depend on these; None elsewhere.
        aliases: Names of parameters in a module that the model was made from, with ours; `load_state_dict` takes both.
        normalization: {"mean": [...], "std": [...]} by channel, what was done to images in [0, 1]; None; saved too.
        pixels: {"kind": "bytes", "least": 0, "most": 255}, "integers" or "floats": what the images were that it was
            trained on, None where nobody knows; saved too. What it is asked with is converted to that, or refused.
        position: Epoch and step, where the random streams stand; training sets it.
        pending: The executor whose backward pass is due, or None.
        limits: What it may take, of a model that came out of a file; None for whatever the machine has.

    Raises:
        ArgumentError: Something that is no layer, a layer that stands in two places, a negative seed, another dtype.
        ShapeError: At the first call, where a layer does not fit what comes before; the layer is named.
    """

    def __init__(
        self,
        layers: Sequence[Node] | Graph,
        *,
        seed: int = 0,
        dtype: DTypeLike = "float32",
        share_memory: bool = True,
        compiled: bool | None = None,
    ) -> None:
        self.body: Chain | Graph = layers if isinstance(layers, Graph) else Chain(nodes(layers, "Model"))
        self.seed = arguments.whole("Model", "seed", seed, 0, long=True)
        self.dtype, self.share_memory = _float_type(dtype), arguments.flag("Model", "share_memory", share_memory)
        self.compiled, self._wants_compiled = compiled, wanted(compiled, self.dtype)
        self.input_shape: Any = None  # a Shape, or a tuple of them
        self._classes: list[str] | None = None
        self.normalization: dict[str, list[float]] | None = None
        self.pixels: dict[str, Any] | None = None
        self.aliases: dict[str, Alias] = {}
        self.remake: Callable[[tuple[Shape, ...]], Model] | None = None
        self.position: tuple[int, ...] = (0, 0)
        self._turns = Turns()
        self._sources = [Edge() for _ in self.inputs]
        self._steps: list[Step] = []
        self._results = self.unroll(self._sources, "", self._steps)
        _require_one_place(self._steps)
        self._parameters: dict[str, Parameter] = {}
        self._adopt()
        self._fitted = True  # whether all steps have the shapes that `input_shape` gives them
        self._workspaces: dict[bool, Workspace] = {}  # by whether a pass is training
        self.pending: Executor | None = None
        self.limits: Limits | None = None
        self._prepared = 0  # bytes of what the layers make beside a plan's memory

    # The composite that it is

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs; a chain has one."""
        return self.body.inputs if isinstance(self.body, Graph) else ("input",)

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

    def split(self, place: int | str) -> tuple[Model, Model]:
        """Two models of this one's layers: up to a layer or node, and what follows it.

        Nothing is copied: training one of them trains this model too. The lower one's output are features; a new head
        makes another model of them, `Model([*lower, Dense(512, 5)])`.

        Args:
            place: The position of a layer of the chain, negative from the end, or the name of a node of the graph.

        Raises:
            ArgumentError: No such place, nothing after it, or a graph that has other paths past it.
        """
        bodies: tuple[Any, Any]
        if isinstance(self.body, Graph):
            bodies = self.body.split(str(place))
        else:
            try:
                position = range(len(self))[
                    int(place) if isinstance(place, str) else arguments.whole("Model", "place", place)
                ]
            except (ValueError, IndexError):
                raise ArgumentError(
                    f"Model: expected a position in a chain of {len(self)} layers, got {place!r}."
                ) from None
            if position == len(self) - 1:
                raise ArgumentError(f"Model: nothing follows layer {place}.")
            bodies = self.layers[: position + 1], self.layers[position + 1 :]
        settings: dict[str, Any] = {
            "seed": self.seed,
            "dtype": self.dtype,
            "share_memory": self.share_memory,
            "compiled": self.compiled,
        }
        lower, upper = Model(bodies[0], **settings), Model(bodies[1], **settings)
        if self.input_shape is not None:
            upper.build(lower.build(self.input_shape).output_shape)
        lower.normalization, lower.pixels, upper.classes = self.normalization, self.pixels, self.classes
        return lower, upper

    def cut(self, place: int | str) -> Model:
        """The model up to a layer or node: its output are the features there. See :meth:`split`."""
        return self.split(place)[0]

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
        self._set_trainable(names, False)

    def unfreeze(self, *names: str) -> None:
        """Undo :meth:`freeze`, for the same kind of names."""
        self._set_trainable(names, True)

    def _set_trainable(self, names: Sequence[str], trainable: bool) -> None:
        named = self._named()
        chosen = []  # of all names, before anything is changed for the first
        for pattern in names or ("*",):
            if not isinstance(pattern, str):
                raise ArgumentError(f"Model: a layer is named in text, such as '0', got {arguments.shown(pattern)}.")
            found = named.get(pattern) or [
                part for name, parts in named.items() if fnmatchcase(name, pattern) for part in parts
            ]
            if not found:
                raise ArgumentError(f"Model: no layer or parameter is called {pattern!r}.")
            chosen.extend(found)
        for layer, parameters in chosen:
            if layer is not None:
                layer.trainable = trainable
            for parameter in parameters:
                parameter.trainable = trainable and not parameter.fixed

    def _named(self) -> dict[str, list[tuple[Layer | None, list[Parameter]]]]:
        """What each name is of: a layer and its parameters, several of what lies in it, or a parameter alone."""
        named: dict[str, list[tuple[Layer | None, list[Parameter]]]] = {}
        for step in self._steps:
            parameters = dict(step.layer.parameters())
            for name in _prefixes("", step.name):
                named.setdefault(name, []).append((step.layer, [*parameters.values()]))
            for key, parameter in parameters.items():
                for name in _prefixes(f"{step.name}.", key):
                    named.setdefault(name, []).append((None, [parameter]))
        return named

    @property
    def frozen(self) -> list[str]:
        """The names of the frozen layers, and of frozen parameters of others."""
        names = []
        for step in self._steps:
            if not step.layer.trainable:
                names.append(step.name)
            else:
                parameters = step.layer.parameters()
                names += [f"{step.name}.{name}" for name, each in parameters if not (each.trainable or each.fixed)]
        return names

    @property
    def fixed(self) -> list[str]:
        """The names of parameters that only say what a layer computes, as a blur's kernel does: they are saved."""
        return [name for name, parameter in self._parameters.items() if parameter.fixed]

    # Parameters and what is saved with them

    def _adopt(self) -> None:
        """Name the parameters; lay those that are new into a flat buffer, and draw their first values."""
        new: list[tuple[Parameter, np.random.Generator, bool]] = []
        parameters, rectified = dict(self._parameters), self._rectified()
        known = set(parameters.values())
        for step in self._steps:
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
            for name in step.layer.buffers:
                array = getattr(step.layer, name)
                setattr(step.layer, name, np.array(array, self.dtype if array.dtype.kind == "f" else array.dtype))
            step.parameters = [parameter for _, parameter in step.layer.parameters()]
        values = (parameter.initializer(parameter.shape, rng, followed) for parameter, rng, followed in new)
        ParameterBuffer([parameter for parameter, _, _ in new], self.dtype, values)
        if self._wants_compiled:
            for buffer, _ in contiguous_runs([*parameters.values()]):
                buffer.spread = spread
        self._parameters = parameters

    def _rectified(self) -> set[Edge]:
        """The edges behind which a ReLU follows, seen through pools and normalisations."""
        rectified: set[Edge] = set()
        for step in reversed(self._steps):
            behind = step.layer.rectifies
            if behind or (behind is None and not rectified.isdisjoint(step.outputs)):
                rectified.update(step.inputs)
        return rectified

    def parameters(self) -> list[Parameter]:
        """All parameters that can be learned, in the order of the layers."""
        return [parameter for parameter in self._parameters.values() if not parameter.fixed]

    def zero_grad(self) -> None:
        """Set every parameter's gradient to zero."""
        for buffer, run in contiguous_runs(self.parameters()):
            buffer.grad[run].fill(0)

    def _saved_buffers(self) -> dict[str, tuple[Layer, str]]:
        return {f"{step.name}.{name}": (step.layer, name) for step in self._steps for name in step.layer.buffers}

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters and running statistics, by PyTorch's names and shapes."""
        state: dict[str, Array] = {}
        for step in self._steps:
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
        for name, array in known.items():
            if _long(array.shape) != _long(places[name].shape):
                raise ShapeError(f"Model: {name} must have shape {places[name].shape}, got {array.shape}.")
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
        found: dict[str, Array] = {}
        places = self._places()
        for name, value in state.items():
            array, alias, own = arguments.array("Model", name, value), self.aliases.get(name), name
            if alias is not None and name not in places and alias.name in places:
                own, array = alias.name, alias.taken(array, places[alias.name].shape)
            if own in found and not np.array_equal(found[own].ravel(), array.ravel(), equal_nan=True):
                raise ArgumentError(f"Model: {own} must be the same under all its names, got other numbers as {name}.")
            found[own] = array
        return found

    def _places(self) -> dict[str, Array]:
        """The arrays that a state holds, themselves."""
        places: dict[str, Array] = {name: parameter.array for name, parameter in self._parameters.items()}
        return places | {name: getattr(layer, key) for name, (layer, key) in self._saved_buffers().items()}

    def _weights_changed(self) -> None:
        for buffer in {parameter.buffer for parameter in self._parameters.values()}:
            if buffer is not None:
                buffer.version += 1

    # Shapes and plans

    def build(self, input_shape: Sequence[int]) -> Model:
        """Fit every layer to one image's shape, (c, h, w); called by the first batch where it was not before.

        Raises:
            ShapeError: A layer does not fit what comes before it; the model is then as it was.
        """
        shapes = self._each(input_shape)
        shape = shapes if len(self.inputs) > 1 else shapes[0]
        if shape == self.input_shape and self._fitted:
            return self
        for each in shapes:
            if min(each, default=1) < 1:
                raise ShapeError(f"Model: sizes must be positive, got an input of shape {each}.")
        self._fitted = False  # if this is interrupted, the next call does it again
        try:
            if self.remake is not None:
                self._rewire(self.remake(shapes))
            self._carry(shapes)
            self._require_name_each(self._classes)
        except (ArgumentError, LimitError):
            if self.input_shape is not None:
                self._carry(self._each(self.input_shape))
            self._fitted = True
            raise
        self._workspaces.clear()
        self.pending = None
        self._adopt()
        self.input_shape = shape
        self._fitted = True
        return self

    def _rewire(self, other: Model) -> None:
        """Become what the other is, with the layers of this one where they are the same."""
        assert isinstance(self.body, Graph)
        assert isinstance(other.body, Graph)
        kept: dict[Node, Node] = {}
        for name, node in other.body.nodes.items():
            own = self.body.nodes.get(name)
            kept.setdefault(node, own if own is not None and _interchangeable(own, node) else node)
        nodes = {name: (kept[node], *other.body.reads[name]) for name, node in other.body.nodes.items()}
        self.body = Graph(nodes, other.body.inputs, other.body.outputs)
        self._sources, self._steps = [Edge() for _ in self.inputs], []
        self._results = self.unroll(self._sources, "", self._steps)
        left = {parameter for step in self._steps for _, parameter in step.layer.parameters()}
        self._parameters = {name: parameter for name, parameter in self._parameters.items() if parameter in left}

    def _each(self, shape: Sequence[Any]) -> tuple[Shape, ...]:
        """A shape for every input, from one shape or as many as there are inputs."""
        shapes = (shape,) if len(self.inputs) == 1 else tuple(shape)
        if len(shapes) != len(self.inputs) or not all(map(arguments.is_sequence, shapes)):
            names, got = ", ".join(self.inputs), arguments.shown(shape)
            raise ShapeError(f"Model: expected a shape for each input ({names}), got {got}.")
        return tuple(arguments.wholes("Model", "a shape", one) for one in shapes)

    def _carry(self, shapes: Sequence[Shape]) -> None:
        """Carry one image's shape, or one of each input, through all steps."""
        for source, shape in zip(self._sources, shapes, strict=True):
            source.shape = shape
        built: dict[Layer, Shape] = {}
        work = prepared = 0
        for number, step in enumerate(self._steps):
            given = [tensor.shape for tensor in step.inputs]
            try:
                if isinstance(step.layer, Wiring):
                    made = step.layer.join(given)
                else:
                    kept = dict(vars(step.layer))
                    made = step.layer.build(given[0], np.random.default_rng([self.seed, 1, number]))
                    keeps = any(kept.get(name) is not value for name, value in vars(step.layer).items())
                    if built.setdefault(step.layer, given[0]) != given[0] and keeps:
                        raise ShapeError(
                            f"{type(step.layer).__name__}: a shared layer that keeps what its input's shape says must "
                            f"have inputs of one shape, got {built[step.layer]} and {given[0]}."
                        )
            except ShapeError as error:
                raise ShapeError(f"layer {step.name}, {error}") from None
            if len(made) > MOST_AXES:
                raise ShapeError(f"layer {step.name}, {type(step.layer).__name__}: more than {MOST_AXES} axes: {made}.")
            for tensor in step.outputs:
                tensor.shape = made
            work, prepared = work + step.work, prepared + step.layer.prepared_bytes(step.shape)
            self._require_within_limits(step, work, prepared)
        self._prepared = prepared

    def _require_within_limits(self, step: Step, work: float, prepared: float) -> None:
        """Raise LimitError where one image takes more than the model may, before anything is made for it."""
        if self.limits is None:
            return
        numbers = max(math.prod(tensor.shape) for tensor in (*step.inputs, *step.outputs))
        needed = self.dtype.itemsize * numbers + prepared
        for what, least, most in (("bytes", needed, self.limits.memory), ("multiplications", work, self.limits.work)):
            if least > most:
                raise LimitError(
                    f"layer {step.name}, {type(step.layer).__name__}: with it one image takes {least:.3g} {what}, "
                    f"more than the {most:.3g} that are allowed (docs/limits.md says how to allow more)."
                )

    @property
    def output_shape(self) -> Any:
        """The shape of what is put out for one image, or a tuple of them; None until the input's is known."""
        if self.input_shape is None:
            return None
        shapes = tuple(result.shape for result in self._results)
        return shapes if len(shapes) > 1 else shapes[0]

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes, one for each output."""
        return self._classes

    @classes.setter
    def classes(self, names: Sequence[str] | None) -> None:
        if names is not None and (isinstance(names, str) or not all(isinstance(name, str) for name in names)):
            raise ArgumentError(f"Model: classes must be a list of names, got {names!r}.")
        self._require_name_each(names)
        self._classes = None if names is None else list(names)

    def _require_name_each(self, classes: Sequence[str] | None) -> None:
        shape = self._results[0].shape
        if classes is not None and shape and len(classes) != shape[0]:
            raise ArgumentError(f"Model: expected a name for each of {shape[0]} outputs, got {len(classes)} classes.")

    def plan(self, shape: Sequence[Any], training: bool = False) -> Plan:
        """The plan for a batch of that shape, images first: its `bytes` are exact before anything is allocated.

        Outside training a batch of more than 256 images is cut into several runs, unless a layer must see the whole
        batch there too, and the plan is of one run.

        Args:
            shape: (n, c, h, w); where there are several inputs, the shape of each, all of the same n.
            training: Whether a backward pass follows.
        """
        shapes = self._each(shape)
        if any(len(each) < 2 or each[0] < 1 for each in shapes) or len({each[0] for each in shapes}) > 1:
            raise ShapeError(f"Model: expected the shape of a batch, images first, got {shape}.")
        self.build(self._one_image(shapes))
        images = shapes[0][0]
        return Plan(
            self._steps,
            self._sources,
            self._results,
            images if training else self._run_images(images),
            training=training,
            dtype=self.dtype,
            share=self.share_memory,
            workers=WORKERS.count,
            compiled=self._wants_compiled,
        )

    def _one_image(self, shapes: Sequence[Shape]) -> Any:
        """What `build` takes, from the shapes of a batch."""
        each = tuple(shape[1:] for shape in shapes)
        return each if len(each) > 1 else each[0]

    def _run_images(self, images: int) -> int:
        """Images of each run that a batch is cut into outside training: equal ones, of at most CHUNK_IMAGES."""
        if images <= CHUNK_IMAGES or any(step.layer.sums(False) for step in self._steps):
            return images  # what must see the whole batch sees it
        return -(-images // -(-images // CHUNK_IMAGES))

    @property
    def memory(self) -> dict[bool, Memory]:
        """What passes run in, by whether they are training."""
        return {training: workspace.memory for training, workspace in self._workspaces.items()}

    def _executor(self, workspace: Workspace, shapes: tuple[Shape, ...], training: bool) -> Executor:
        frozen = tuple(parameter.trainable for parameter in self._parameters.values()) if training else ()

        def make(memory: Memory) -> Executor:
            plan = self.plan(shapes if len(shapes) > 1 else shapes[0], training)
            self._require_room(plan)
            return Executor(plan, memory, self.seed)

        return workspace.executor((shapes, WORKERS.count, frozen), make)

    def _require_room(self, plan: Plan) -> None:
        """Raise LimitError where a plan takes more memory than there is."""
        most = machine_memory() if self.limits is None else self.limits.memory
        needed = plan.bytes + self._prepared
        if needed > most:
            raise LimitError(
                f"Model: a batch of {plan.images} images takes {needed:,} bytes, more than the {most:,.0f} there "
                f"are; take fewer at a time, or see docs/limits.md."
            )

    # Running

    def __call__(self, x: Any, training: bool = False) -> Any:
        """The output for a batch `x`, images first: a fresh array, or a tuple of them.

        Args:
            x: (n, c, h, w), or whatever the first layer takes; anything with `__array__`. For several inputs a tuple
                of arrays, or a dict by the inputs' names.
            training: Whether `backward` follows.

        Raises:
            ShapeError: A batch that does not fit.
            ArgumentError: An empty batch, or one that does not hold numbers.
        """
        batches = self._check(x)
        outputs = self._turns.take(self._train if training else self._infer, batches)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _train(self, batches: Sequence[Array]) -> list[Array]:
        """Run the batch so that its backward pass may follow."""
        shapes = tuple(batch.shape for batch in batches)
        self.build(self._one_image(shapes))
        self.pending = None  # its memory is written over, and a pass that fails half-way leaves none
        workspace = self._workspaces.pop(True, None) or Workspace()
        executor = self._executor(workspace, shapes, True)
        self._weights_changed()  # the running statistics do
        outputs = self._forward(executor, batches)
        self._workspaces[True], self.pending = workspace, executor
        return outputs

    def _infer(self, batches: Sequence[Array]) -> list[Array]:
        """Run the batch, in as many runs as keep the memory small."""
        shapes = tuple(batch.shape for batch in batches)
        self.build(self._one_image(shapes))
        images = shapes[0][0]
        chunk = self._run_images(images)
        workspace = self._workspaces.pop(False, None) or Workspace()
        executor = self._executor(workspace, tuple((chunk, *shape[1:]) for shape in shapes), False)
        if chunk == images:
            outputs = self._forward(executor, batches)
        else:
            outputs = [np.empty((images, *result.shape), self.dtype) for result in self._results]
            for start in range(0, images, chunk):
                # The last run overlaps the one before, so that all are of one shape.
                run = slice(min(start, images - chunk), min(start + chunk, images))
                parts = self._forward(executor, [batch[run] for batch in batches])
                for output, part in zip(outputs, parts, strict=True):
                    output[run] = part
        self._workspaces[False] = workspace
        return outputs

    def _check(self, x: Any) -> list[Array]:
        """The batch of each input, as arrays that may be run."""
        if len(self.inputs) == 1:
            given = [x[self.inputs[0]]] if isinstance(x, Mapping) and self.inputs[0] in x else [x]
        elif isinstance(x, Mapping) and x.keys() == {*self.inputs}:
            given = [x[name] for name in self.inputs]
        elif isinstance(x, tuple | list) and len(x) == len(self.inputs):
            given = list(x)
        else:
            names = ", ".join(self.inputs)
            raise ArgumentError(f"Model: expected a batch for each input ({names}), got {type(x).__name__}.")
        shapes = [None] * len(given) if self.input_shape is None else self._each(self.input_shape)
        batches = [_batch(each, shape) for each, shape in zip(given, shapes, strict=True)]
        if len({len(batch) for batch in batches}) > 1:
            sizes = ", ".join(str(len(batch)) for batch in batches)
            raise ShapeError(f"Model: expected as many images of each input, got {sizes}.")
        return batches

    def _forward(self, executor: Executor, batches: Sequence[Array]) -> list[Array]:
        executor.position = self.position
        for source, batch in zip(self._sources, batches, strict=True):
            np.copyto(executor.view(source, "value"), batch, casting="unsafe")
        executor.forward()
        return [executor.view(result, "value").copy(order="C") for result in self._results]

    def backward(self, gradient: Any, *, input_gradient: bool = True) -> Any:
        """Carry the gradient at the last output back: adds to every parameter's grad.

        Args:
            gradient: Of the output's shape; a tuple where there are several outputs.
            input_gradient: Whether the gradient at the input is wanted; training a model saves its cost.

        Returns:
            The gradient at the input, a fresh array, or a tuple where there are several inputs. None if it was not
            wanted, or if the model is frozen at its lower end: nothing is then computed there.

        Raises:
            StateError: Before a forward call with `training=True`, or a second time after one.
            ShapeError: A gradient of another shape.
        """
        return self._turns.take(self._backward, gradient, input_gradient)

    def _backward(self, gradient: Any, input_gradient: bool) -> Any:
        executor = self.pending
        if executor is None:
            raise StateError("Model: backward before forward: call model(x, training=True) first.")
        gradients = self._gradients(gradient, executor.plan.images)
        self.pending = None  # what was kept is used up
        workspace = self._workspaces.pop(True)
        for result, given in zip(self._results, gradients, strict=True):
            np.copyto(executor.view(result, "grad"), given, casting="unsafe")
        executor.backward(input_gradient)
        at_inputs: list[Array] = []
        if input_gradient and executor.plan.reaches_input:
            at_inputs = [executor.view(source, "grad").copy(order="C") for source in self._sources]
        self._workspaces[True] = workspace
        if not at_inputs:
            return None
        return at_inputs[0] if len(at_inputs) == 1 else tuple(at_inputs)

    def trace(self, x: Any, grad: Any = None, *, training: bool | None = None) -> Trace:
        """What goes through each layer for a batch: input, output and parameters as filled Tensors.

        The layers are those that the model was made of, each by itself, however a plan would join them. A copy runs,
        without sharing memory: gradients, running statistics and random state of this model stay as they are, so that
        it sees what the next call of the model would do. It takes far more memory than such a call.

        Args:
            x: As for a call of the model.
            grad: As for `backward`: all tensors then have their gradients too, and parameters those of this pass alone.
            training: Whether the layers run as in training; by default where there is a `grad`.

        Returns:
            A list of :class:`~colonnade.tracing.Traced`, one for each layer as they run; printed, a table.

        Raises:
            ShapeError: A batch or a gradient that does not fit.
            LimitError: More memory than there is.
        """
        from .tracing import trace  # most models are never looked at so

        batches = self._check(x)
        shapes = tuple(batch.shape for batch in batches)
        backward = grad is not None
        training = backward if training is None else arguments.flag("Model", "training", training)
        self._turns.take(self.build, self._one_image(shapes))
        twin = self._turns.take(deepcopy, self)
        plan = Plan(
            *(twin._steps, twin._sources, twin._results, shapes[0][0]),
            training=training or backward,
            dtype=self.dtype,
            share=False,
            rewrite=False,
            rest=not training,
        )
        self._require_room(plan)
        memory = Memory()
        memory.fit(plan)
        executor = Executor(plan, memory, self.seed)
        executor.position = self.position
        gradients = self._gradients(grad, shapes[0][0]) if backward else None
        return trace(executor, [step.layer for step in self._steps], batches, gradients)

    def _gradients(self, gradient: Any, images: int) -> list[Array]:
        """The gradient at each output, as arrays; raises ShapeError where they do not fit."""
        several = len(self._results) > 1
        gradients = [np.asarray(each) for each in (gradient if several else [gradient])]
        expected, got = [(images, *result.shape) for result in self._results], [each.shape for each in gradients]
        if expected != got:
            wanted, found = (shapes if several else shapes[0] for shapes in (expected, got))
            raise ShapeError(f"Model: expected a gradient of shape {wanted}, got {found}.")
        return gradients

    # Training and using it

    def fit(self, x: Any, y: Any = None, **options: Any) -> training.History:
        """Train; see :func:`colonnade.training.fit` for the options and what comes back."""
        from . import training  # who only predicts by calling the model needs none of it

        return training.fit(self, x, y, **options)

    def evaluate(self, x: Any, y: Any = None, **options: Any) -> training.Evaluation:
        """Loss and accuracy on a labelled set; see :func:`colonnade.training.evaluate`."""
        from . import training

        return training.evaluate(self, x, y, **options)

    def predict(self, x: Any, **options: Any) -> Array:
        """The number of the likeliest class of each image, (n,)."""
        from . import training

        return training.predict(self, x, **options)

    def predict_proba(self, x: Any, **options: Any) -> Array:
        """The probability of every class for each image, (n, classes): the softmax of the output."""
        from . import training

        return training.predict_proba(self, x, **options)

    def profile(self, x: ArrayLike, targets: ArrayLike | None = None, **options: Any) -> Profile:
        """Where the time of a training step on the batch `x` goes; see :func:`colonnade.profiling.profile`.

        A copy of the model is trained and timed: this one stays as it is.
        """
        from .profiling import profile  # most models are never profiled

        if len(self.inputs) > 1:
            raise ArgumentError(f"Model: only models of one input can be profiled, this one has {len(self.inputs)}.")
        batch = self._check(x)[0]
        self._turns.take(self.build, batch.shape[1:])
        return profile(deepcopy(self), batch, targets, **options)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one safetensors file: weights, architecture, classes and normalisation.

        It is written beside its place and renamed over it, so that a crash leaves the old file whole.

        Raises:
            ArgumentError: No path, or one that ends in `.onnx`, by which :func:`colonnade.load` knows another format.
            OSError: What the disk says.
        """
        import json

        from . import storage  # and with it what only those need who read or write files

        if os.fspath(arguments.path("save", "path", path)).lower().endswith(".onnx"):
            raise ArgumentError(
                f"save: a name that ends in .onnx is of ONNX: use export_onnx, got {os.fspath(path)!r}."
            )
        storage.write(path, self.state_dict(), {"colonnade": json.dumps(self.description())})

    def to_torch(self) -> torch.nn.Module:
        """The model as a module of PyTorch; see :func:`colonnade.to_torch`."""
        from .formats.pytorch import to_torch  # the one look upwards: formats know models

        return to_torch(self)

    def description(self) -> dict[str, Any]:
        """Everything but the weights, as JSON-able data; raises StateError where it depends on sizes yet unknown."""
        if self.remake is not None and self.input_shape is None:
            raise StateError(
                "Model: the sizes of its images are open, and what is saved or copied is for one: call "
                "model.build((c, h, w)) first."
            )
        return {
            "version": FORMAT_VERSION,
            "architecture": describe([self.body])[0] if isinstance(self.body, Graph) else describe(self.layers),
            "input_shape": self.input_shape,
            "dtype": self.dtype.name,
            "seed": self.seed,
            "classes": self.classes,
            "normalization": self.normalization,
            "pixels": self.pixels,
            "frozen": self.frozen,
            "fixed": self.fixed,
            "aliases": self.aliases,
        }

    def summary(self, input_shape: Sequence[int] | None = None, batch_size: int = 1) -> str:
        """A table of the layers: output shape, parameters, operations; and the bytes that running them takes.

        Args:
            input_shape: One image's shape, (c, h, w); not needed once the model is built.
            batch_size: Images in the batch that the bytes are given for.
        """
        from . import summary  # most models are never looked at so

        return summary.text(self.table(input_shape, batch_size))

    def table(self, input_shape: Sequence[int] | None = None, batch_size: int = 1) -> dict[str, Any]:
        """What `summary` prints, as data."""
        if input_shape is None and self.input_shape is None:
            raise ArgumentError("Model: summary needs the input's shape, (c, h, w), of a model that has seen no batch.")
        shapes = tuple((batch_size, *shape) for shape in self._each(input_shape or self.input_shape))
        shape: Any = shapes if len(shapes) > 1 else shapes[0]
        plan, inference = self.plan(shape, training=True), self.plan(shape)
        layers = []
        kept = {step.name for step in plan.steps if plan.kept.intersection(step.outputs)} if plan.share else set()
        leaves: dict[str, str] = {}
        for leaf in plan.steps:
            if leaf.compiled:
                before = f"{leaves[leaf.name]}, " if leaf.name in leaves else ""
                leaves[leaf.name] = before + repr(leaf.layer)
        for step in self._steps:
            if isinstance(step.layer, Wiring) and not step.parameters:
                continue
            output = step.outputs[0]
            layers.append(
                {
                    "name": step.name,
                    "type": type(step.layer).__name__,
                    "compiled": leaves.get(step.name, ""),
                    "output_shape": list(output.shape),
                    "parameters": sum(parameter.size for parameter in step.parameters if not parameter.fixed),
                    "flops": 2 * step.layer.multiplications(step.shape),
                    "kept_bytes": batch_size * math.prod(output.shape) * self.dtype.itemsize
                    if step.name in kept
                    else 0,
                }
            )
        parameters = sum(parameter.size for parameter in self.parameters())
        return {
            "input_shape": [list(each[1:]) for each in shapes] if len(shapes) > 1 else list(shape[1:]),
            "batch_size": batch_size,
            "layers": layers,
            "parameters": parameters,
            "parameter_bytes": parameters * self.dtype.itemsize,
            "flops": sum(layer["flops"] for layer in layers),
            "training_bytes": plan.bytes,
            "inference_bytes": inference.bytes,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        """What `pickle` and `copy.deepcopy` make a model from: description, weights, and the layers' classes."""
        classes = {type(step.layer).__name__: type(step.layer) for step in self._steps}
        ways = self.share_memory, self.compiled
        return _unpickled, (self.description(), self.state_dict(), ways, classes, self.limits)

    def _repr_html_(self) -> str:
        """The layers as a table, for notebooks; as text before the input's shape is known."""
        from . import notebook, summary

        return notebook.text(repr(self)) if self.input_shape is None else summary.html(self.table())

    def __repr__(self) -> str:
        if isinstance(self.body, Graph):
            return f"Model({self.body!r})"
        lines = "".join(f"  {position}: {layer!r}\n" for position, layer in enumerate(self.layers))
        return f"Model(\n{lines})"


def restored(
    body: Chain | Graph,
    description: Mapping[str, Any],
    state: Mapping[str, ArrayLike],
    share_memory: bool = True,
    limits: Limits | None = None,
    compiled: bool | None = None,
) -> Model:
    """The model of which `description` and `state_dict` say this, of a fresh body."""
    settings = {name: description[name] for name in ("seed", "dtype")}
    ways: dict[str, Any] = {"share_memory": share_memory, "compiled": compiled}
    model = Model(body if isinstance(body, Graph) else body.layers, **settings, **ways)
    model.limits = limits
    if description["input_shape"] is not None:
        model.build(description["input_shape"])
    model.load_state_dict(state)
    model.classes, model.normalization = description["classes"], description["normalization"]
    model.pixels = description.get("pixels")  # files of before say nothing of them
    if description.get("frozen"):
        model.freeze(*description["frozen"])
    for name in description.get("fixed", ()):
        model._parameters[name].fix()
    for name, (own, shape, axes) in dict(description.get("aliases", {})).items():
        model.aliases[str(name)] = Alias(str(own), tuple(map(int, shape)), tuple(map(int, axes)))
    return model


def _unpickled(
    description: Mapping[str, Any],
    state: Mapping[str, ArrayLike],
    ways: tuple[bool, bool | None],
    classes: Mapping[str, type[Layer]],
    limits: Limits | None = None,
) -> Model:
    """The model that :meth:`Model.__reduce__` took apart."""
    share_memory, compiled = ways
    body = construct_body(description["architecture"], classes)
    return restored(body, description, state, share_memory, limits, compiled)


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


def _prefixes(start: str, name: str) -> Iterator[str]:
    """`start` and a name, and what that lies in: for "3.main.0" also "3" and "3.main"."""
    for part in name.split("."):
        start += part
        yield start
        start += "."


def _interchangeable(own: Node, other: Node) -> bool:
    """Whether one layer may stand for another that was read from the same file; what it learned may be its own."""
    if type(own) is not type(other) or not isinstance(own, Layer) or not isinstance(other, Layer):
        return False
    given = isinstance(other, Constant) and not other.learned
    fixed = any(parameter.fixed for _, parameter in other.parameters())
    return not given and not fixed and own.config() == other.config()


def _long(shape: Sequence[int]) -> list[int]:
    """The axes that are longer than 1."""
    return [size for size in shape if size != 1]


def _batch(x: ArrayLike, shape: Shape | None) -> Array:
    """One input's batch as an array; raises where it is none, or not of `shape`, one image's."""
    batch = arguments.array("Model", "x", x)
    if batch.ndim < 2:
        raise ShapeError(f"Model: expected a batch, images first, got an array of shape {batch.shape}.")
    if shape is not None and batch.shape == shape:
        raise ShapeError(f"Model: expected a batch, got one image of shape {batch.shape}: add an axis, x[None].")
    if len(batch) == 0:
        raise ArgumentError(f"Model: expected at least one image, got a batch of shape {batch.shape}.")
    return batch
