"""Fine-tuning: what a network has learned of other images, for classes of one's own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from inspect import signature
from typing import Any

import numpy as np

from . import arguments, initializers, training
from .composites import Chain, Composite, Graph, Node
from .data import Dataset, Examples
from .data.pairing import class_names, paired
from .errors import ArgumentError
from .features import cached_features
from .layers import Conv2d, Dense
from .model import Model
from .training.callbacks import Run

# Times through all images, for the head alone of few images more, so that there are so many steps.
HEAD_EPOCHS, HEAD_STEPS = 30, 300
EPOCHS = 10
MANY = 1_000  # images from which on everything learns by default
# The greatest learning rates of AdamW, of the head alone and of the head afterwards; and the share of the latter that
# all else learns at.
HEAD_RATE, RATE, BODY = 1e-3, 1e-3, 0.1
Watch = Callable[[str, int, int], None]


def fine_tune(
    model: Model,
    data: Dataset | Examples | tuple[Any, Any],
    *,
    validation: Examples | tuple[Any, Any] | None = None,
    head_epochs: int | None = None,
    epochs: int | None = None,
    head_lr: float = HEAD_RATE,
    lr: float | None = None,
    body_lr: float | None = None,
    batch_size: int = 32,
    cache: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: bool | None = None,
    **options: Any,
) -> Model:
    """A model for other classes: a new head first, on features that are computed once, then everything at a lower rate.

        model = cn.fine_tune(cn.hub.load("timm/resnet18.a1_in1k"), data)

    With fewer than 1,000 images the head alone is trained by default. While everything learns, batch norm standardizes
    by each batch and no longer as the head has learned it, and few images do not make up for that; see
    docs/pretrained.md. `epochs=10` trains everything all the same.

    Args:
        model: One that tells classes apart; it stays as it is.
        data: A data set, of whose `test` part the validation is; or examples, such as an `ImageFolder`; or a pair of
            arrays, images and their classes, numbers or names. Images are of the size that the model takes.
        validation: What is tested on after each epoch: examples, or a pair of arrays.
        head_epochs: Through all images with the body frozen: by default 30, or of few images so many that there are 300
            steps. Each image's features are computed once, not augmented.
        epochs: Through all images with nothing frozen: by default 10, or with fewer than 1,000 images 0, which leaves
            all but the head as it is.
        head_lr: The greatest learning rate of the head, while it learns alone.
        lr: The greatest of the head afterwards, while everything learns: by default 0.001.
        body_lr: The greatest of all else meanwhile, so that what it knows is kept: by default a tenth of `lr`.
        batch_size: Images in a step.
        cache: A folder where the features stay, for another time; by default they go when the head is trained.
        seed: Of the order of the images, of dropout and augmentation.
        progress: Show how it goes; by default on a terminal and in a notebook.
        options: Of :func:`colonnade.fit` while nothing is frozen: augmentation, average, out, callbacks and others.

    Returns:
        A model of its own, with the classes of the data and the normalization of `model`. It is not `mirrored`, even
        where `model` is: the new classes may know left from right.

    Raises:
        ArgumentError: A model without a last dense layer or 1×1 convolution, data that are none of these, a number out
            of range, or options of :func:`colonnade.fit` where the head alone is trained.
        ShapeError: Images that do not fit the model.
        TypeError: An option that `fit` does not have.
    """
    if not isinstance(model, Model):
        raise ArgumentError(f"fine_tune: model must be a Model, as colonnade.load gives, got {type(model).__name__}.")
    signature(training.fit).bind_partial(**options)  # before the head takes its time
    examples, classes, held_out = _parts(data, validation)
    first = _head_epochs("head_epochs", head_epochs, len(examples), batch_size)
    then = suited_epochs(len(examples)) if epochs is None else arguments.whole("fine_tune", "epochs", epochs, 0)
    tuned = with_head(model, classes, seed)
    tuned.build(examples.shape)
    without = [name for name, value in {"lr": lr, "body_lr": body_lr, **options}.items() if value is not None]
    lr = RATE if lr is None else arguments.number("fine_tune", "lr", lr, 0)
    body_lr = BODY * lr if body_lr is None else arguments.number("fine_tune", "body_lr", body_lr, 0)
    if without and not then:
        raise ArgumentError(
            f"fine_tune: {', '.join(without)}: the head alone learns, in no epoch of the whole network; "
            f"say epochs={EPOCHS}, too."
        )
    learned = training.optimizer("adamw", groups(tuned, body_lr), lr)
    if first:
        with _watched(progress) as watch:
            ways: dict[str, Any] = {"batch_size": batch_size, "cache": cache, "seed": seed, "watch": watch}
            train_head(tuned, examples, held_out, epochs=first, lr=head_lr, **ways)
    if then:
        ways = {"batch_size": batch_size, "seed": seed, "progress": progress, "schedule": "one-cycle"}
        training.fit(tuned, examples, validation=held_out, epochs=then, **(ways | {"optimizer": learned} | options))
    return tuned


def with_head(model: Model, classes: Sequence[str] | int, seed: int = 0) -> Model:
    """A copy of a model with a new last layer, for other classes; not `mirrored`: these may know left from right.

    Its weights begin as zeros. A layer alone learns from these as from any others, and what random ones answer would
    have to be unlearned first, for which few images are too few.

    Args:
        model: Its last layer with weights is dense, or a 1×1 convolution.
        classes: Their names, or how many there are.
        seed: Of the model, for its dropout.

    Raises:
        ArgumentError: Another last layer, or no class.
    """
    count = arguments.whole("with_head", "classes", classes if isinstance(classes, int) else len(classes), 1)
    own = deepcopy(model)
    *path, last = _head(own).split(".")
    holder: Any = own.body
    for part in path:
        holder = _inside(holder, part)
    replaced = _inside(holder, last)
    new: Dense | Conv2d
    if isinstance(replaced, Dense):
        new = Dense(replaced.in_features, count, bias=replaced.bias is not None)
    elif isinstance(replaced, Conv2d) and replaced.weight.shape == (replaced.out_channels, replaced.in_channels, 1, 1):
        new = Conv2d(replaced.in_channels, count, 1, bias=replaced.bias is not None)
    else:
        raise ArgumentError(
            f"with_head: the last layer with weights must be dense or a 1×1 convolution, got {type(replaced).__name__}."
        )
    new.weight.initializer = initializers.zeros
    if isinstance(holder, Graph):
        holder.nodes[last] = new
    else:
        holder.layers[int(last)] = new
    ways: dict[str, Any] = {"dtype": model.dtype, "share_memory": model.share_memory, "compiled": model.compiled}
    made = Model(own.body if isinstance(own.body, Graph) else own.body.layers, seed=seed, **ways)
    made.inputs, made.outputs = model.inputs, model.outputs
    made.limits, made.normalization, made.pixels = model.limits, model.normalization, model.pixels
    if model.input_shape is not None:
        made.build(model.input_shape)
    made.classes = None if isinstance(classes, int) else list(classes)
    return made


def train_head(
    model: Model,
    examples: Examples,
    validation: Examples | None = None,
    *,
    epochs: int | None = None,
    lr: float = HEAD_RATE,
    batch_size: int = 32,
    cache: str | os.PathLike[str] | None = None,
    watch: Watch | None = None,
    **options: Any,
) -> None:
    """Train a model's last layer alone, on what the rest makes of the images, computed once.

    Args:
        model: Of `with_head`.
        examples: The images to learn from.
        validation: Those that are tested on.
        epochs: Through all of them; by default as `fine_tune` has it.
        lr: The greatest learning rate.
        batch_size: Images in a step.
        cache: A folder where the features stay; by default they go at the end.
        watch: Told what is being done, how much of it, and of how much: the features, then the steps.
        options: Of :func:`colonnade.fit`.
    """
    body, head = model.split(_place(model))
    head.classes = model.classes
    epochs = _head_epochs("epochs", epochs, len(examples), batch_size)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = temporary if cache is None else cache
        computed = None if watch is None else partial(watch, "features")
        features = cached_features(body, examples, folder, watch=computed)
        held_out = None if validation is None else cached_features(body, validation, folder, watch=computed)
        optimizer = training.optimizer("adamw", head.parameters(), lr)
        ways: dict[str, Any] = {"optimizer": optimizer, "schedule": "one-cycle", "batch_size": batch_size}
        if watch is not None:
            ways |= {"progress": False, "callbacks": [_Steps(watch)]}
        training.fit(head, features, epochs=epochs, validation=held_out, **(ways | options))


class _Steps(training.Callback):
    """Tells somebody of each step of the head."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def on_train_begin(self, run: Run) -> None:
        self._total, self._steps = run.total, run.steps

    def on_batch_end(self, record: training.BatchRecord) -> None:
        self._watch("new head", (record.epoch - 1) * self._steps + record.step, self._total)


@contextmanager
def _watched(progress: bool | None) -> Iterator[Watch]:
    """Bars on standard error, if they are wanted or somebody looks."""
    from .training.progress import Progress, is_watched

    if progress is False or not (progress or is_watched()):
        yield lambda what, done, total: None
        return
    with Progress() as bars:
        yield bars.watch


def groups(model: Model, body_lr: float) -> list[dict[str, Any]]:
    """A model's parameters in two groups, as optimizers take them: its last layer's, and all others at their own rate.

    Args:
        model: One whose last layer with weights tells classes apart.
        body_lr: The learning rate of all but the head.
    """
    head = _head(model)
    own = {id(parameter) for step in model.steps if step.name == head for parameter in step.parameters}
    parameters = model.parameters()
    return [
        {"params": [each for each in parameters if id(each) in own]},
        {"params": [each for each in parameters if id(each) not in own], "lr": body_lr},
    ]


def fine_tuning(images: int = 0, batch_size: int = 32, mirrored: bool = True) -> training.Recipe:
    """The settings of the command line for a network that has been trained before.

    Args:
        images: To learn from; 0 where that is not known, as of the data sets with names, which have many.
        batch_size: Images in a step.
        mirrored: Whether the mirror image of any is one of the same class, as of photographs; not so of characters.
    """
    epochs = suited_epochs(images) if images else EPOCHS
    augmentation = "photographs" if mirrored else "characters"
    return training.Recipe("photo_cnn", epochs, batch_size, "adamw", RATE, "one-cycle", augmentation, 0.0, 0.1)


def suited_epochs(images: int) -> int:
    """Times through so many images in which everything learns: 10, or with fewer than 1,000 images none."""
    return EPOCHS if images >= MANY else 0


def _head_epochs(name: str, said: int | None, images: int, batch_size: int) -> int:
    if said is not None:
        return arguments.whole("fine_tune", name, said, 0)
    batch_size = arguments.whole("fine_tune", "batch_size", batch_size, 1)
    return max(HEAD_EPOCHS, -(-HEAD_STEPS // -(-images // batch_size)))


def _parts(data: Any, validation: Any) -> tuple[Examples, Sequence[str] | int, Examples | None]:
    """The examples, their classes, and those that are tested on."""
    classes: Sequence[str] | int | None = None
    if isinstance(data, Dataset):
        validation = data.test if validation is None else validation
        data, classes = data.train, data.classes
    examples = _examples("data", data)
    classes = classes or class_names(examples) or int(examples.targets.max()) + 1
    if validation is None:
        return examples, classes, None
    names = None if isinstance(classes, int) else classes
    return examples, classes, paired("fine_tune: validation", _examples("validation", validation), names)


def _examples(name: str, given: Any) -> Examples:
    """Images, and the class of each."""
    if isinstance(given, tuple) and len(given) == 2:
        given = training.arguments.examples("fine_tune", *given)
    if not training.arguments.is_examples(given):
        raise ArgumentError(
            f"fine_tune: {name} must be what colonnade.data.load gives, examples or a pair of arrays (x, y), got "
            f"{type(given).__name__}."
        )
    targets = np.asarray(given.targets)
    if targets.ndim != 1 or targets.dtype.kind not in "iu":
        raise ArgumentError(
            f"fine_tune: {name} must have a class for each image, (n,), numbers or names, got {targets.dtype} of shape "
            f"{targets.shape}."
        )
    return given


def _head(model: Model) -> str:
    """The name of the last layer with parameters."""
    names = [step.name for step in model.steps if step.parameters]
    if not names:
        raise ArgumentError("with_head: the model has nothing that learns.")
    return names[-1]


def _inside(node: Any, name: str) -> Node | Composite:
    if isinstance(node, Graph):
        return node.nodes[name]
    if isinstance(node, Chain):
        return node.layers[int(name)]
    raise ArgumentError(f"with_head: the last layer with weights lies within {type(node).__name__}.")


def _place(model: Model) -> int | str:
    """Behind which layer or node the head begins."""
    top = _head(model).partition(".")[0]
    if not isinstance(model.body, Graph):
        return int(top) - 1
    (before,) = model.body.reads[top]
    return before
