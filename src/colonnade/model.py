"""Model: the chain of layers, the plan of its memory, and what a user does with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from . import layers as known_layers
from . import training
from .composites import Branches, Chain, Node, Residual, describe
from .data.batches import Batches
from .errors import ArgumentError, ColonnadeError, FileFormatError, ShapeError, StateError
from .executor import WORKERS, Executor, Memory
from .layers.base import Layer
from .layers.wiring import Wiring
from .ops.layout import Array
from .plan import Plan
from .steps import Step
from .tensor import Parameter, ParameterBuffer, Shape, Tensor, contiguous_runs

if TYPE_CHECKING:
    from .profiling import Profile

FORMAT_VERSION = 1
# Outside training a larger batch is run in runs of at most so many images, so that memory does not grow with it.
CHUNK_IMAGES = 256
# Plans that are kept, with their views, for shapes seen before.
PLANS = 8
# The layers that a file may name.
KNOWN: dict[str, type[Layer]] = {
    name: each
    for name, each in vars(known_layers).items()
    if isinstance(each, type) and issubclass(each, Layer) and each is not Layer
}


class Model(Chain):
    """Layers chained from input to output, the memory between them shared (the paper's Model).

    Called on a batch it returns the output as an array of the caller's own::

        model = Model([Conv2d(1, 8, 3), ReLU(), Flatten(), Dense(8 * 26 * 26, 10)], seed=0)
        y = model(x)  # inference: running statistics, no dropout
        y = model(x, training=True)  # keeps what backward needs
        gx = model.backward(gy)  # adds to every parameter's grad

    Args:
        layers: Leaves and composites.
        seed: Of the first weights and of all random layers; not negative.
        dtype: The type of every number: "float32", or "float64" to check gradients.
        share_memory: False for the reference mode, in which no two tensors share memory and nothing is made again.

    Attributes:
        input_shape: One image's shape, (c, h, w), once known.
        classes: Names of the classes, one for each output, or None; saved with the model.
        normalization: {"mean": [...], "std": [...]} by channel, what was done to images in [0, 1]; None; saved too.
        position: Epoch and step, where the random streams stand; training sets it.
        memory: What passes run in, by whether they are training.
        pending: The executor whose backward pass is due, or None.

    Raises:
        ArgumentError: Something that is no layer, a layer that stands in two places, a negative seed, another dtype.
        ShapeError: At the first call, where a layer does not fit what comes before; the layer is named.
    """

    def __init__(
        self,
        layers: Sequence[Node],
        *,
        seed: int = 0,
        dtype: DTypeLike = "float32",
        share_memory: bool = True,
    ) -> None:
        super().__init__(layers)
        if not isinstance(seed, int | np.integer) or seed < 0:
            raise ArgumentError(f"Model: seed must be a whole number, not negative, got {seed!r}.")
        self.seed, self.dtype, self.share_memory = int(seed), _float_type(dtype), share_memory
        self.input_shape: Shape | None = None
        self._classes: list[str] | None = None
        self.normalization: dict[str, list[float]] | None = None
        self.position: tuple[int, ...] = (0, 0)
        self._lock = threading.RLock()
        self._source = Tensor(())
        self._steps: list[Step] = []
        self._result = self.unroll(self._source, "", self._steps)
        _require_one_place(self._steps)
        self._parameters: dict[str, Parameter] = {}
        self._adopt()
        self.memory = {True: Memory(), False: Memory()}
        self.pending: Executor | None = None
        self._executors: dict[tuple[Any, ...], Executor] = {}

    # Parameters and what is saved with them

    def _adopt(self) -> None:
        """Name the parameters; lay those that are new into a flat buffer, and draw their first values."""
        new: list[tuple[Parameter, np.random.Generator, bool]] = []
        known = set(self._parameters.values())
        for step in self._steps:
            for name, parameter in step.layer.parameters():
                if parameter in known:
                    continue
                rng = np.random.default_rng([self.seed, len(known)])
                if parameter.buffer is None:
                    new.append((parameter, rng, self._rectified(step)))
                elif parameter.dtype != self.dtype:
                    raise ArgumentError(f"Model: layer {step.name} is already part of a model of {parameter.dtype}.")
                parameter.name = f"{step.name}.{name}"
                self._parameters[parameter.name] = parameter
                known.add(parameter)
            for name in step.layer.buffers:
                array = getattr(step.layer, name)
                setattr(step.layer, name, np.array(array, self.dtype if array.dtype.kind == "f" else array.dtype))
            step.parameters = [parameter for _, parameter in step.layer.parameters()]
        ParameterBuffer([parameter for parameter, _, _ in new], self.dtype)
        for parameter, rng, rectified in new:
            parameter.array[...] = parameter.initializer(parameter.shape, rng, rectified)

    def _rectified(self, step: Step) -> bool:
        """Whether a ReLU follows, seen through pools and normalisations."""
        following = [each for each in self._steps if set(each.inputs) & set(step.outputs)]
        return any(
            each.layer.rectifies if each.layer.rectifies is not None else self._rectified(each) for each in following
        )

    def parameters(self) -> list[Parameter]:
        """All parameters, in the order of the layers."""
        return list(self._parameters.values())

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

    def load_state_dict(self, state: dict[str, ArrayLike]) -> None:
        """Take over parameters and running statistics; raises ArgumentError where names or shapes differ."""
        arrays = {name: np.asarray(value) for name, value in state.items()}
        places: dict[str, Array] = {name: parameter.array for name, parameter in self._parameters.items()}
        places |= {name: getattr(layer, key) for name, (layer, key) in self._saved_buffers().items()}
        optional = {name for name in places if name.endswith("num_batches_tracked")}
        if missing := sorted(places.keys() - arrays.keys() - optional):
            raise ArgumentError(f"Model: the state lacks {', '.join(missing)}.")
        if unexpected := sorted(arrays.keys() - places.keys()):
            raise ArgumentError(f"Model: the state holds what the model does not: {', '.join(unexpected)}.")
        for name, array in arrays.items():
            if array.shape != places[name].shape:
                raise ShapeError(f"Model: {name} must have shape {places[name].shape}, got {array.shape}.")
            if array.dtype.kind not in "fiub":
                raise ArgumentError(f"Model: {name} must hold numbers, got an array of {array.dtype}.")
        for name, array in arrays.items():
            places[name][...] = array
        self._weights_changed()

    def _weights_changed(self) -> None:
        for buffer in {parameter.buffer for parameter in self.parameters()}:
            if buffer is not None:
                buffer.version += 1

    # Shapes and plans

    def build(self, input_shape: Sequence[int]) -> Model:
        """Fit every layer to one image's shape, (c, h, w); called by the first batch where it was not before.

        Raises:
            ShapeError: A layer does not fit what comes before it; the model is then as it was.
        """
        shape = tuple(int(size) for size in input_shape)
        if shape == self.input_shape:
            return self
        if min(shape, default=1) < 1:
            raise ShapeError(f"Model: sizes must be positive, got an input of shape {shape}.")
        try:
            self._carry(shape)
            _require_name_each(self._classes, self._result.shape)
        except ArgumentError:
            if self.input_shape is not None:
                self._carry(self.input_shape)
            raise
        self._executors.clear()
        self.pending = None
        self._adopt()
        self.input_shape = shape
        return self

    def _carry(self, shape: Shape) -> None:
        """Carry one image's shape through all steps."""
        self._source.shape = shape
        for number, step in enumerate(self._steps):
            shapes = [tensor.shape for tensor in step.inputs]
            try:
                if isinstance(step.layer, Wiring):
                    made = step.layer.join(shapes)
                else:
                    made = step.layer.build(shapes[0], np.random.default_rng([self.seed, 1, number]))
            except ShapeError as error:
                raise ShapeError(f"layer {step.name}, {error}") from None
            for tensor in step.outputs:
                tensor.shape = made

    @property
    def output_shape(self) -> Shape | None:
        """The shape of what is put out for one image; None until the input's is known."""
        return None if self.input_shape is None else self._result.shape

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes, one for each output."""
        return self._classes

    @classes.setter
    def classes(self, names: Sequence[str] | None) -> None:
        if names is not None and (isinstance(names, str) or not all(isinstance(name, str) for name in names)):
            raise ArgumentError(f"Model: classes must be a list of names, got {names!r}.")
        _require_name_each(names, self.output_shape)
        self._classes = None if names is None else list(names)

    def plan(self, shape: Sequence[int], training: bool = False) -> Plan:
        """The plan for a batch of that shape, images first: its `bytes` are exact before anything is allocated.

        Outside training a batch of more than 256 images is cut into several runs, unless a layer must see the whole
        batch there too, and the plan is of one run.
        """
        shape = tuple(int(size) for size in shape)
        if len(shape) < 2 or shape[0] < 1:
            raise ShapeError(f"Model: expected the shape of a batch, images first, got {shape}.")
        self.build(shape[1:])
        if not training:
            shape = (self._run_images(shape[0]), *shape[1:])
        return Plan(
            self._steps,
            self._source,
            self._result,
            shape,
            training=training,
            dtype=self.dtype,
            share=self.share_memory,
            workers=WORKERS.count,
        )

    def _run_images(self, images: int) -> int:
        """Images of each run that a batch is cut into outside training: equal ones, of at most CHUNK_IMAGES."""
        if any(step.layer.sums(False) for step in self._steps):
            return images  # what must see the whole batch sees it
        return -(-images // -(-images // CHUNK_IMAGES))

    def _executor(self, shape: Shape, training: bool) -> Executor:
        key = (shape, training, WORKERS.count)
        executor = self._executors.pop(key, None)
        if executor is None:
            plan = self.plan(shape, training)
            executor = Executor(plan, self.memory[training], self.seed)
        if self.memory[training].fit(executor.plan):
            for other in self._executors.values():
                other.reset()
            executor.reset()
        self._executors[key] = executor  # the one used last stands last
        while len(self._executors) > PLANS:
            del self._executors[next(iter(self._executors))]
        return executor

    # Running

    def __call__(self, x: ArrayLike, training: bool = False) -> Array:
        """The output for a batch `x`, images first: a fresh array.

        Args:
            x: (n, c, h, w), or whatever the first layer takes; anything with `__array__`.
            training: Whether `backward` follows.

        Raises:
            ShapeError: A batch that does not fit.
            ArgumentError: An empty batch, or one that does not hold numbers.
        """
        batch = self._check(x)
        with self._lock:
            self.build(batch.shape[1:])
            if training:
                self.pending = None  # its memory is written over, and a pass that fails half-way leaves none
                executor = self._executor(batch.shape, True)
                self._weights_changed()  # the running statistics do
                output = self._forward(executor, batch)
                self.pending = executor
                return output
            chunk = self._run_images(len(batch))
            executor = self._executor((chunk, *batch.shape[1:]), False)
            if chunk == len(batch):
                return self._forward(executor, batch)
            output = np.empty((len(batch), *self._result.shape), self.dtype)
            for start in range(0, len(batch), chunk):
                # The last run overlaps the one before, so that all are of one shape.
                start = min(start, len(batch) - chunk)
                output[start : start + chunk] = self._forward(executor, batch[start : start + chunk])
            return output

    def _check(self, x: ArrayLike) -> Array:
        batch = np.asarray(x)
        if batch.dtype.kind not in "fiub":
            raise ArgumentError(f"Model: expected a batch of numbers, got an array of {batch.dtype}.")
        if batch.ndim < 2:
            raise ShapeError(f"Model: expected a batch, images first, got an array of shape {batch.shape}.")
        if self.input_shape is not None and batch.shape == self.input_shape:
            raise ShapeError(f"Model: expected a batch, got one image of shape {batch.shape}: add an axis, x[None].")
        if len(batch) == 0:
            raise ArgumentError(f"Model: expected at least one image, got a batch of shape {batch.shape}.")
        return batch

    def _forward(self, executor: Executor, batch: Array) -> Array:
        executor.position = self.position
        np.copyto(executor.view(self._source, "value"), batch, casting="unsafe")
        executor.forward()
        return executor.view(self._result, "value").copy(order="C")

    def backward(self, gradient: ArrayLike, *, input_gradient: bool = True) -> Array | None:
        """Carry the gradient at the last output back: adds to every parameter's grad.

        Args:
            gradient: Of the output's shape.
            input_gradient: Whether the gradient at the input is wanted; training a model saves its cost.

        Returns:
            The gradient at the input, a fresh array; None if it was not wanted.

        Raises:
            StateError: Before a forward call with `training=True`, or a second time after one.
            ShapeError: A gradient of another shape.
        """
        with self._lock:
            executor = self.pending
            if executor is None:
                raise StateError("Model: backward before forward: call model(x, training=True) first.")
            target = executor.view(self._result, "grad")
            given = np.asarray(gradient)
            if given.shape != target.shape:
                raise ShapeError(f"Model: expected a gradient of shape {target.shape}, got {given.shape}.")
            self.pending = None  # what was kept is used up
            np.copyto(target, given, casting="unsafe")
            executor.backward(input_gradient)
            if not input_gradient:
                return None
            return executor.view(self._source, "grad").copy(order="C")

    # Training and using it

    def fit(self, x: Any, y: Any, **options: Any) -> training.History:
        """Train; see :func:`colonnade.training.fit` for the options and what comes back."""
        return training.fit(self, x, y, **options)

    def evaluate(self, x: Any, y: Any, **options: Any) -> training.Evaluation:
        """Loss and accuracy on a labelled set; see :func:`colonnade.training.evaluate`."""
        return training.evaluate(self, x, y, **options)

    def predict(self, x: Any, **options: Any) -> Array:
        """The number of the likeliest class of each image, (n,)."""
        return training.predict(self, x, **options)

    def predict_proba(self, x: Any, **options: Any) -> Array:
        """The probability of every class for each image, (n, classes): the softmax of the output."""
        return training.predict_proba(self, x, **options)

    def profile(self, x: ArrayLike, targets: ArrayLike | None = None, **options: Any) -> Profile:
        """Where the time of a training step on the batch `x` goes; see :func:`colonnade.profiling.profile`.

        A copy of the model is trained and timed: this one stays as it is.
        """
        from .profiling import profile  # most models are never profiled

        batch = self._check(x)
        with self._lock:
            self.build(batch.shape[1:])
            twin = deepcopy(self)
        return profile(twin, batch, targets, **options)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one safetensors file: weights, architecture, classes and normalisation.

        It is written beside its place and renamed over it, so that a crash leaves the old file whole.
        """
        import json

        from . import storage  # and with it what only those need who read or write files

        storage.write(path, self.state_dict(), {"colonnade": json.dumps(self.description())})

    def description(self) -> dict[str, Any]:
        """Everything but the weights, as JSON-able data."""
        return {
            "version": FORMAT_VERSION,
            "architecture": self.config()["layers"],
            "input_shape": self.input_shape,
            "dtype": self.dtype.name,
            "seed": self.seed,
            "classes": self.classes,
            "normalization": self.normalization,
        }

    def summary(self, input_shape: Sequence[int] | None = None, batch_size: int = 1) -> str:
        """A table of the layers: output shape, parameters, operations; and the bytes that running them takes.

        Args:
            input_shape: One image's shape, (c, h, w); not needed once the model is built.
            batch_size: Images in the batch that the bytes are given for.
        """
        table = self.table(input_shape, batch_size)
        rows = [("layer", "", "output", "parameters", "FLOPs", "kept bytes")]
        for row in table["layers"]:
            output = "×".join(map(str, row["output_shape"]))
            numbers = (f"{row[name]:,}" for name in ("parameters", "flops", "kept_bytes"))
            rows.append((row["name"], row["type"], output, *numbers))
        widths = [max(len(row[column]) for row in rows) for column in range(6)]
        lines = [
            "  ".join(
                cell.ljust(width) if column < 3 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        lines.insert(1, "─" * max(map(len, lines)))
        lines.append(lines[1])
        lines.append(f"input {'×'.join(map(str, table['input_shape']))}, a batch of {batch_size}")
        lines.append(f"parameters {table['parameters']:,}, {table['parameter_bytes']:,} bytes and as many gradients")
        lines.append(f"FLOPs of one image, forward: {table['flops']:,}")
        lines.append(f"memory: training {table['training_bytes']:,} bytes, inference {table['inference_bytes']:,}")
        return "\n".join(lines)

    def table(self, input_shape: Sequence[int] | None = None, batch_size: int = 1) -> dict[str, Any]:
        """What `summary` prints, as data."""
        if input_shape is None and self.input_shape is None:
            raise ArgumentError("Model: summary needs the input's shape, (c, h, w), of a model that has seen no batch.")
        shape = (batch_size, *(input_shape or self.input_shape or ()))
        plan, inference = self.plan(shape, training=True), self.plan(shape)
        layers = []
        kept = {step.name for step in plan.steps if plan.kept.intersection(step.outputs)} if plan.share else set()
        for step in self._steps:
            if isinstance(step.layer, Wiring):
                continue
            output = step.outputs[0]
            layers.append(
                {
                    "name": step.name,
                    "type": type(step.layer).__name__,
                    "output_shape": list(output.shape),
                    "parameters": sum(parameter.size for parameter in step.parameters),
                    "flops": 2 * step.layer.multiplications(step.inputs[0].shape),
                    "kept_bytes": batch_size * int(np.prod(output.shape)) * self.dtype.itemsize
                    if step.name in kept
                    else 0,
                }
            )
        parameters = sum(parameter.size for parameter in self.parameters())
        return {
            "input_shape": list(shape[1:]),
            "batch_size": batch_size,
            "layers": layers,
            "parameters": parameters,
            "parameter_bytes": parameters * self.dtype.itemsize,
            "flops": sum(layer["flops"] for layer in layers),
            "training_bytes": plan.bytes,
            "inference_bytes": inference.bytes,
        }

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        """A model of its own with the same weights."""
        classes = {type(step.layer).__name__: type(step.layer) for step in self._steps}
        model = Model(
            construct(describe(self.layers), classes),
            seed=self.seed,
            dtype=self.dtype,
            share_memory=self.share_memory,
        )
        if self.input_shape is not None:
            model.build(self.input_shape)
        model.load_state_dict(self.state_dict())  # type: ignore[arg-type]
        model.classes, model.normalization = self.classes, self.normalization
        return model

    def __repr__(self) -> str:
        lines = "".join(f"  {position}: {layer!r}\n" for position, layer in enumerate(self.layers))
        return f"Model(\n{lines})"


def _float_type(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        if (made := np.dtype(dtype)) in (np.float32, np.float64):
            return made
    except TypeError:  # a name that NumPy does not know, such as bfloat16
        pass
    raise ArgumentError(f"Model: dtype must be float32 or float64, got {dtype}.")


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


def _require_name_each(classes: Sequence[str] | None, output_shape: Shape | None) -> None:
    if classes is not None and output_shape and len(classes) != output_shape[0]:
        raise ArgumentError(
            f"Model: expected a name for each of {output_shape[0]} outputs, got {len(classes)} classes."
        )


def load(path: str | os.PathLike[str], *, custom: Sequence[type[Layer]] = ()) -> Model:
    """The model in a file that :meth:`Model.save` wrote.

    Args:
        path: The safetensors file.
        custom: Layer classes of your own that the model uses. Nothing in the file can name any other code.

    Raises:
        FileNotFoundError: No such file.
        FileFormatError: A file that is no model, is damaged, or was written by a newer version.
    """
    import json

    from . import storage

    tensors, metadata = storage.read(path)
    try:
        description = json.loads(metadata["colonnade"])
        version = description["version"]
    except (KeyError, TypeError, ValueError):
        raise FileFormatError(f"{path}: not a Colonnade model: it holds no description of one.") from None
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise FileFormatError(
            f"{path}: written by a newer version of Colonnade (format {version}, this one reads {FORMAT_VERSION})."
        )
    try:
        layers = construct(description["architecture"], {each.__name__: each for each in custom})
        _require_sizes(layers, tensors)
        model = Model(layers, seed=description["seed"], dtype=description["dtype"])
        if description["input_shape"] is not None:
            model.build(description["input_shape"])
        model.load_state_dict(tensors)  # type: ignore[arg-type]
        model.classes, model.normalization = description["classes"], description["normalization"]
        if model.normalization is not None and model.input_shape is not None:
            Batches(
                np.zeros((1, model.input_shape[0])), model.dtype, model.normalization
            )  # raises where it does not fit
    except (ColonnadeError, KeyError, TypeError, ValueError, AttributeError, OverflowError, MemoryError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise FileFormatError(f"{path}: not a whole Colonnade model ({reason})") from None
    return model


def construct(
    architecture: list[dict[str, Any]], custom: dict[str, type[Layer]] | None = None, depth: int = 0
) -> list[Node]:
    """Layers from what :func:`describe` made: only known classes, only their constructors' arguments."""
    custom = custom or {}
    if depth > 32:
        raise FileFormatError("layers nested more than 32 deep.")
    made: list[Node] = []
    for entry in architecture:
        arguments = {name: _tuples(value) for name, value in entry.items() if name != "type"}
        kind = entry["type"]
        if kind == "Residual":
            made.append(Residual(*(construct(entry[name], custom, depth + 1) for name in ("main", "shortcut"))))
        elif kind == "Branches":
            made.append(Branches(*(construct(path, custom, depth + 1) for path in entry["paths"])))
        elif kind in ("Model", "Chain"):
            made.append(Chain(construct(entry["layers"], custom, depth + 1)))
        elif kind in custom:
            made.append(custom[kind](**arguments))
        elif kind in KNOWN:
            made.append(KNOWN[kind](**arguments))
        else:
            raise FileFormatError(f"unknown layer {kind!r}.")
    return made


def _tuples(value: Any) -> Any:
    """JSON has no tuples; the constructors take pairs."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _require_sizes(layers: list[Node], tensors: dict[str, Array]) -> None:
    """Compare what the layers declare with what the file holds, before anything is allocated for them."""
    steps: list[Step] = []
    Chain(layers).unroll(Tensor(()), "", steps)
    for step in steps:
        declared = {name: parameter.shape for name, parameter in step.layer.parameters()}
        declared |= {name: getattr(step.layer, name).shape for name in step.layer.buffers}
        for name, shape in declared.items():
            held = tensors.get(f"{step.name}.{name}")
            if held is None or held.shape != shape:
                found = "nothing" if held is None else str(held.shape)
                raise FileFormatError(f"{step.name}.{name} should be {shape}, the file holds {found}.")
