"""Model: the chain of layers, the plan of its memory, and what a user does with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike, DTypeLike

from . import arguments
from .composites import Chain, Graph, Node, construct_body, describe
from .errors import ArgumentError, StateError
from .layers.base import Layer
from .limits import Limits
from .network import Remake
from .passes import Runnable
from .state import Alias

if TYPE_CHECKING:
    import torch

    from . import training
    from .classification import Classification, Classifications
    from .data.batches import Normalization
    from .data.examples import Examples
    from .data.loader import Augmentation
    from .data.stream import Stream
    from .profiling import Profile
    from .schedules import ReduceLROnPlateau, Schedule
    from .storage import StrPath
    from .training.callbacks import Callback
    from .training.protocols import Inputs, Learner, Objective, Targets, Weights

FORMAT_VERSION = 1


class Model(Runnable):
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
            COLONNADE_COMPILED says (0 or 1), or else wherever Numba is installed. Models of float64 run in NumPy.

    Attributes:
        body: The chain or graph that the model is.
        input_shape: One image's shape, (c, h, w), once known; a tuple of shapes where there are several inputs.
        classes: Names of the classes, one for each output, or None; saved with the model.
        inputs: The names of the inputs, by which they may be given in a dict, served and exported; saved too. By
            default those of the graph, of a chain "input". Others may be set.
        outputs: Likewise of the outputs, by which `fit` takes losses; by default the names of the graph's nodes, and
            "output" where there is one.
        input_axes: Where the batch is among the axes of each input: 0, but for files that have it elsewhere. None for
            one without a batch, a state of a recogniser, say: then there is one image at a time. Arrays have the file's
            own shapes; inside, and in all that is said of shapes, the batch is in front.
        output_axes: Likewise of each output.
        remake: Makes the graph for images of each shape, where a file leaves sizes open; None elsewhere.
        aliases: Names of parameters in a module that the model was made from, with ours; `load_state_dict` takes both.
        normalization: {"mean": [...], "std": [...]} by channel, what was done to images in [0, 1]; None; saved too.
        pixels: {"kind": "bytes", "least": 0, "most": 255}, "integers" or "floats": what the images were that it was
            trained on, None where nobody knows; saved too. What it is asked with is converted to that, or refused.
        mirrored: Whether it is asked about each image and its mirror image, left and right exchanged, and answers by
            the mean of both outputs; saved too. `evaluate`, `predict`, `predict_proba`, `predict_outputs`, `classify`
            and the graph of `export_onnx` do so; `model(x)` is the network alone. By default False.
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
        super().__init__(layers, seed, dtype, share_memory, compiled)
        self.normalization: dict[str, list[float]] | None = None
        self.pixels: dict[str, Any] | None = None
        self.mirrored = False

    @property
    def mirrored(self) -> bool:
        """Whether it answers by the mean of the outputs for an image and for its mirror image."""
        return self._mirrored

    @mirrored.setter
    def mirrored(self, mirrored: bool) -> None:
        self._mirrored = arguments.flag("Model", "mirrored", mirrored)

    def split(self, place: int | str) -> tuple[Model, Model]:
        """Two models of this one's layers: up to a layer or node, and what follows it.

        Nothing is copied: training one of them trains this model too. The lower one's output are features; a new head
        makes another model of them, `Model([*lower, Dense(512, 5)])`.

        Args:
            place: The position of a layer of the chain, negative from the end, or the name of a node of the graph.

        Raises:
            ArgumentError: No such place, nothing after it, or a graph that has other paths past it.
            StateError: The sizes of its images are open, and the model has seen none: the parts are for one size.
        """
        self._require_size()
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
        lower.inputs, upper.outputs = self.inputs, self.outputs
        lower.input_axes, upper.output_axes = self.input_axes, self.output_axes
        lower.normalization, lower.pixels, upper.classes = self.normalization, self.pixels, self.classes
        return lower, upper

    def cut(self, place: int | str) -> Model:
        """The model up to a layer or node: its output are the features there. See :meth:`split`."""
        return self.split(place)[0]

    # Training and using it

    def fit(
        self,
        x: Inputs | Examples | Stream,
        y: Targets | None = None,
        *,
        epochs: int = 1,
        batch_size: int = 128,
        optimizer: str | Learner | None = None,
        loss: Objective = None,
        loss_weights: Weights = None,
        validation: tuple[Inputs, Targets] | Examples | None = None,
        shuffle: bool = True,
        seed: int | None = None,
        normalization: Normalization | None = None,
        augmentation: str | Augmentation | None = None,
        schedule: str | Schedule | ReduceLROnPlateau | Callable[[Any, int], Schedule] | None = None,
        average: float | None = None,
        clip: float | None = None,
        accumulate: int = 1,
        memory: float | None = None,
        max_time: float | None = None,
        steps: int | None = None,
        workers: int | None = None,
        out: StrPath | None = None,
        checkpoint_seconds: float | None = 60.0,
        resume: bool | StrPath = False,
        callbacks: Sequence[Callback] = (),
        progress: bool | None = None,
    ) -> training.History:
        """Train; returns a record an epoch. :func:`colonnade.training.fit` says all about each argument.

        Args:
            x: Images (n, c, h, w), bytes or numbers; or examples with targets of their own, such as an `ImageFolder`.
            y: Class numbers (n,), or the names of classes; or what the loss takes.
            epochs: How many times every image is seen.
            batch_size: Images in a step.
            optimizer: By name ("sgd", "adam", "adamw", ...), or made; by default AdamW with a rate of 0.001.
            loss: By name ("cross_entropy", "mse", ...), or made; by default cross-entropy.
            loss_weights: Of the losses of several outputs; by default all 1.
            validation: Images and targets to evaluate after every epoch, (x, y), or examples.
            shuffle: See the images of each epoch in another order.
            seed: Of the order and the augmentation; by default the model's.
            normalization: `mean` and `std` of each channel, which the model keeps.
            augmentation: By name ("flip", "light", "photographs", ...), or made.
            schedule: Of the learning rate: "constant", "cosine" or "one-cycle", or made.
            average: The decay of a moving average of the weights, which is tested and kept.
            clip: The greatest norm of the gradients.
            accumulate: In how many parts a step is computed, to save memory.
            memory: Bytes that the run may take; the parts of a step are chosen so.
            max_time: Seconds after which the run ends, and is tested and saved.
            steps: How many there are in all, where that is less than `epochs` have.
            workers: Threads that read and augment images.
            out: A folder for the model, its checkpoint and the metrics.
            checkpoint_seconds: How often the checkpoint is written within an epoch.
            resume: Go on from the checkpoint in `out`, or in another place.
            callbacks: Told after every step and every epoch.
            progress: Show how it goes; by default on a terminal and in a notebook.
        """
        options = dict(locals())
        from . import training  # who only predicts by calling the model needs none of it

        return training.fit(options.pop("self"), **options)

    def evaluate(
        self,
        x: Inputs | Examples,
        y: Targets | None = None,
        *,
        batch_size: int = 256,
        loss: Objective = None,
        loss_weights: Weights = None,
        normalization: Normalization | None = None,
        workers: int | None = None,
    ) -> training.Evaluation:
        """Loss and accuracy on a labelled set; :func:`colonnade.training.evaluate` says all about each argument.

        Args:
            x: Images, or examples with targets of their own.
            y: Class numbers (n,), or the names of classes.
            batch_size: Images at a time.
            loss: By default cross-entropy; as for `fit`.
            loss_weights: As for `fit`.
            normalization: By default the model's own.
            workers: Threads that read the images.
        """
        options = dict(locals())
        from . import training

        return training.evaluate(options.pop("self"), **options)

    def predict(
        self,
        x: Inputs | Examples,
        *,
        batch_size: int = 256,
        normalization: Normalization | None = None,
        workers: int | None = None,
        names: bool = False,
    ) -> Any:
        """The number of the likeliest class of each image, (n,), or its name; a tuple where there are several outputs.

        Args:
            x: Images (n, c, h, w), or examples. :meth:`classify` takes photographs as they are.
            batch_size: Images at a time.
            normalization: By default the model's own.
            workers: Threads that read the images.
            names: Give the names of the classes in place of their numbers.
        """
        options = dict(locals())
        from . import training

        return training.predict(options.pop("self"), **options)

    def predict_proba(
        self,
        x: Inputs | Examples,
        *,
        batch_size: int = 256,
        normalization: Normalization | None = None,
        workers: int | None = None,
    ) -> Any:
        """The probability of every class for each image, (n, classes): the softmax of the output.

        Where there are several outputs it is a tuple.

        Args:
            x: Images (n, c, h, w), or examples.
            batch_size: Images at a time.
            normalization: By default the model's own.
            workers: Threads that read the images.
        """
        options = dict(locals())
        from . import training

        return training.predict_proba(options.pop("self"), **options)

    def classify(self, what: Any, top: int = 5) -> Classification | Classifications:
        """The likeliest classes of a photograph by name, or of each of several: printed or in a notebook, as one reads.

            answer = model.classify("photo.jpg")
            answer.name, answer.probability  # of the likeliest; `answer` is a list of such pairs, the likeliest first

        Images are turned as their EXIF says, made grey or coloured, resized and normalised as in training.

        Args:
            what: The path of an image, or of a folder, whose images are found at any depth; an image of Pillow; the
                bytes of a file; an array (h, w), (h, w, c) or (c, h, w), or a batch of such; or a list of these.
            top: How many classes are named.

        Returns:
            A list of names and probabilities of one image; of a folder, a batch or a list a list of these.

        Raises:
            ArgumentError: Something else, or a model that has seen no image yet.
            ShapeError: An array that can't be an image of the model's, or a model that takes no images.
            DataError: A file that is no image; of a folder such are left out, and warned of.
        """
        from .classification import classify  # and with it what reads photographs

        return classify(self, what, top)

    def predict_outputs(
        self,
        x: Inputs | Examples,
        *,
        batch_size: int = 256,
        normalization: Normalization | None = None,
        workers: int | None = None,
    ) -> Any:
        """The outputs as they are, (n, ...), for images prepared as in training; a tuple where there are several.

        Args:
            x: Images (n, c, h, w), or examples.
            batch_size: Images at a time.
            normalization: By default the model's own.
            workers: Threads that read the images.
        """
        from . import training

        return training.predict_outputs(self, x, batch_size=batch_size, normalization=normalization, workers=workers)

    def profile(self, x: Any, targets: ArrayLike | None = None, **options: Any) -> Profile:
        """Where the time of a training step on the batch `x` goes; see :func:`colonnade.profiling.profile`.

        A copy of the model is trained and timed: this one stays as it is. Of several inputs x is a batch of each, in a
        tuple or in a dict by their names.
        """
        from .profiling import profile  # most models are never profiled

        batches = self._check(x)
        self._turns.take(self.build, self._one_image([batch.shape for batch in batches]))
        return profile(deepcopy(self), batches, targets, **options)

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
        self._require_size()
        return self._description(self.input_shape)

    def _require_size(self) -> None:
        if self.remake is not None and self.input_shape is None:
            raise StateError(
                "Model: the sizes of its images are open, and what is saved or copied is for one: call "
                "model.build((c, h, w)) first."
            )

    def _description(self, input_shape: Any) -> dict[str, Any]:
        axes = [self.input_axes, self.output_axes]
        return {
            "version": FORMAT_VERSION,
            "architecture": describe([self.body])[0] if isinstance(self.body, Graph) else describe(self.layers),
            "input_shape": input_shape,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "dtype": self.dtype.name,
            "seed": self.seed,
            "classes": self.classes,
            "normalization": self.normalization,
            "pixels": self.pixels,
            "frozen": self.frozen,
            "fixed": self.fixed,
            "aliases": self.aliases,
            **({"mirrored": True} if self.mirrored else {}),
            **({"axes": axes} if any(axis != 0 for each in axes for axis in each) else {}),
        }

    def summary(self, input_shape: Sequence[int] | None = None, batch_size: int = 1) -> str:
        """A table of the layers: output shape, parameters, operations; and the bytes that running them takes.

        Args:
            input_shape: One image's shape, (c, h, w); not needed once the model is built, nor where a file that leaves
                sizes open was read for some.
            batch_size: Images in the batch that the bytes are given for.
        """
        from . import summary  # most models are never looked at so

        return summary.text(self.table(input_shape, batch_size))

    def table(self, input_shape: Sequence[int] | None = None, batch_size: int = 1) -> dict[str, Any]:
        """What `summary` prints, as data."""
        if input_shape is None and self.built_shape is None:
            raise ArgumentError("Model: summary needs the input's shape, (c, h, w), of a model that has seen no batch.")
        from . import summary  # most models are never looked at so

        described = summary.table(self, batch_size, self._shapes_of(input_shape or self.built_shape))
        return described | {"mirrored": self.mirrored}

    def __reduce__(self) -> tuple[Any, ...]:
        """What `pickle` and `copy.deepcopy` make a model from: description, weights, and the layers' classes."""
        classes = {type(step.layer).__name__: type(step.layer) for step in self.steps}
        ways = self.share_memory, self.compiled
        description = self._description(self.built_shape) if self.remake else self.description()
        return _unpickled, (description, self.state_dict(), ways, classes, self.limits, self.remake, self.input_shape)

    def _repr_html_(self) -> str:
        """The layers as a table, for notebooks; as text before the input's shape is known."""
        from . import notebook, summary

        return notebook.text(repr(self)) if self.built_shape is None else summary.html(self.table())

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
    for name in ("inputs", "outputs"):
        setattr(model, name, description.get(name, getattr(model, name)))  # files of before say nothing of them
    if "axes" in description:
        model.input_axes, model.output_axes = (tuple(axes) for axes in description["axes"])
    model.pixels = description.get("pixels")  # files of before say nothing of them
    model.mirrored = description.get("mirrored", False)
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
    remake: Remake | None = None,
    input_shape: Any = None,
) -> Model:
    """The model that :meth:`Model.__reduce__` took apart."""
    share_memory, compiled = ways
    body = construct_body(description["architecture"], classes)
    model = restored(body, description, state, share_memory, limits, compiled)
    model.remake, model.input_shape = remake, input_shape
    return model
