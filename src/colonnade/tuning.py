"""Fine-tuning: what a network has learned of other images, for classes of one's own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from . import arguments, training
from .composites import Chain, Composite, Graph, Node
from .data import Arrays, Dataset, Examples
from .data.pairing import class_names
from .errors import ArgumentError
from .features import cached_features
from .layers import Conv2d, Dense
from .layers.base import Layer
from .model import Model

# Times through all images, and of few images more, so that there are so many steps.
HEAD_EPOCHS, HEAD_STEPS = 30, 300
EPOCHS, STEPS = 10, 100
HEAD_RATE, RATE = 3e-3, 3e-4  # the greatest learning rates of AdamW


def fine_tune(
    model: Model,
    data: Dataset | Examples | tuple[Any, Any],
    *,
    validation: Examples | tuple[Any, Any] | None = None,
    head_epochs: int | None = None,
    epochs: int | None = None,
    head_lr: float = HEAD_RATE,
    lr: float = RATE,
    batch_size: int = 32,
    cache: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: bool | None = None,
    **options: Any,
) -> Model:
    """A model for other classes: a new head first, on features that are computed once, then everything at a lower rate.

        model = cn.fine_tune(cn.hub.load("timm/resnet18.a1_in1k"), data)

    Args:
        model: One that tells classes apart; it stays as it is.
        data: A data set, of whose `test` part the validation is; or examples, such as an `ImageFolder`; or arrays of
            images and their classes. Images are of the size that the model takes.
        validation: What is tested on after each epoch.
        head_epochs: Through all images with the body frozen: by default 30, or of few images so many that there are 300
            steps. Each image's features are computed once, not augmented.
        epochs: Through all images with nothing frozen: by default 10, or 100 steps; 0 leaves the body as it is.
        head_lr: The greatest learning rate of the head.
        lr: The greatest of all, afterwards.
        batch_size: Images in a step.
        cache: A folder where the features stay, for another time; by default they go when the head is trained.
        seed: Of the head's first weights, and of the order of the images.
        progress: Show how it goes; by default on a terminal and in a notebook.
        options: Of :func:`colonnade.fit` while nothing is frozen: augmentation, average, out, callbacks and others.

    Returns:
        A model of its own, with the classes of the data and the normalization of `model`.

    Raises:
        ArgumentError: A model without a last dense layer or 1×1 convolution, or a number out of range.
        ShapeError: Images that do not fit the model.
    """
    examples, classes, held_out = _parts(data, validation)
    first = _epochs("head_epochs", head_epochs, HEAD_EPOCHS, HEAD_STEPS, len(examples), batch_size)
    then = _epochs("epochs", epochs, EPOCHS, STEPS, len(examples), batch_size)
    tuned = with_head(model, classes, seed)
    tuned.build(examples.shape)
    ways: dict[str, Any] = {"batch_size": batch_size, "seed": seed, "progress": progress}
    if first:
        train_head(tuned, examples, held_out, epochs=first, lr=head_lr, cache=cache, **ways)
    if then:
        ways |= {"optimizer": training.optimizer("adamw", tuned.parameters(), lr), "schedule": "one-cycle"}
        training.fit(tuned, examples, validation=held_out, epochs=then, **(ways | options))
    return tuned


def with_head(model: Model, classes: Sequence[str] | int, seed: int = 0) -> Model:
    """A copy of a model with a new last layer, for other classes.

    Args:
        model: Its last layer with weights is dense, or a 1×1 convolution.
        classes: Their names, or how many there are.
        seed: Of the new layer's first weights.

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
    new: Layer
    if isinstance(replaced, Dense):
        new = Dense(replaced.in_features, count, bias=replaced.bias is not None)
    elif isinstance(replaced, Conv2d) and replaced.weight.shape == (replaced.out_channels, replaced.in_channels, 1, 1):
        new = Conv2d(replaced.in_channels, count, 1, bias=replaced.bias is not None)
    else:
        raise ArgumentError(
            f"with_head: the last layer with weights must be dense or a 1×1 convolution, got {type(replaced).__name__}."
        )
    if isinstance(holder, Graph):
        holder.nodes[last] = new
    else:
        holder.layers[int(last)] = new
    made = Model(own.body if isinstance(own.body, Graph) else own.body.layers, seed=seed, dtype=model.dtype)
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
        options: Of :func:`colonnade.fit`.
    """
    body, head = model.split(_place(model))
    head.classes = model.classes
    epochs = _epochs("epochs", epochs, HEAD_EPOCHS, HEAD_STEPS, len(examples), batch_size)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = temporary if cache is None else cache
        features = cached_features(body, examples, folder)
        held_out = None if validation is None else cached_features(body, validation, folder)
        optimizer = training.optimizer("adamw", head.parameters(), lr)
        ways: dict[str, Any] = {"optimizer": optimizer, "schedule": "one-cycle", "batch_size": batch_size}
        training.fit(head, features, epochs=epochs, validation=held_out, **(ways | options))


def fine_tuning(images: int = 0, batch_size: int = 32) -> training.Recipe:
    """The settings of the command line for a network that has been trained before, from how many images there are."""
    epochs = _epochs("epochs", None, EPOCHS, STEPS if images else 0, max(images, 1), batch_size)
    return training.Recipe("photo_cnn", epochs, batch_size, "adamw", RATE, "one-cycle", "photographs", 0.0, 0.1)


def _epochs(name: str, said: int | None, usual: int, steps: int, images: int, batch_size: int) -> int:
    if said is not None:
        return arguments.whole("fine_tune", name, said, 0)
    batch_size = arguments.whole("fine_tune", "batch_size", batch_size, 1)
    return max(usual, -(-steps // -(-images // batch_size)))


def _parts(data: Any, validation: Any) -> tuple[Examples, Sequence[str] | int, Examples | None]:
    """The examples, their classes, and those that are tested on."""
    if isinstance(data, Dataset):
        return data.train, data.classes, data.test if validation is None else validation
    if isinstance(data, tuple):
        data = Arrays(*data)
    if isinstance(validation, tuple):
        validation = Arrays(*validation)
    return data, class_names(data) or int(data.targets.max()) + 1, validation


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
