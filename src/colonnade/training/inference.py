"""What is asked of a model that is not learning: how good it is, and what it sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arguments import flag, whole
from ..data.batches import Batches, Normalization
from ..data.loader import Batch
from ..data.parallel import Parallel, loader_for
from ..data.pixels import Scale, remembered, unit
from ..errors import ArgumentError, DivergenceError
from ..metrics import predicted
from ..ops.layout import Array
from ..ops.softmax import softmax_forward
from . import arguments
from .arguments import require_fit
from .protocols import Inputs, Objective, Targets, Trainable, Weights, ends
from .records import Evaluation, mean_of, measure

if TYPE_CHECKING:
    from ..data.examples import Examples


def evaluate(
    model: Trainable,
    x: Inputs | Examples,
    y: Targets | None = None,
    *,
    batch_size: int = 256,
    loss: Objective = None,
    loss_weights: Weights = None,
    normalization: Normalization | None = None,
    workers: int | None = None,
) -> Evaluation:
    """Mean loss and accuracy of a model; of several outputs also those of each.

    Args:
        model: Used as in inference.
        x: Images, prepared as by `fit`; or examples, which have their targets. Where these have names of classes, and
            the model has, too, both are paired by name.
        y: Targets. Of a model of several inputs x, of several outputs y is a tuple or a dict, as for `fit`.
        batch_size: Images at a time.
        loss: By default `CrossEntropyLoss()`; or by name, as for `fit`.
        loss_weights: Of the losses of several outputs, as for `fit`.
        normalization: By default the model's own.
        workers: Threads that read the images; see `colonnade.data.Loader`.

    Raises:
        ArgumentError: No images, or targets or names that are no class of the model.
        ShapeError: Targets of another number than the images, or images that do not fit the model.
        DivergenceError: NaN or infinity in an image.
    """
    criterion = arguments.objective("evaluate", model, loss, loss_weights)
    given = arguments.given("evaluate", model, x, y, criterion, model.classes)
    require_fit("evaluate", model, given, criterion)
    mean = mean_of(criterion)
    for batch, outputs in _outputs("evaluate", model, given, batch_size, normalization, workers):
        mean.add(measure(criterion, outputs, batch.targets), outputs, batch.targets)
    return mean.evaluation()


def predict(
    model: Trainable,
    x: Inputs | Examples,
    *,
    batch_size: int = 256,
    normalization: Normalization | None = None,
    workers: int | None = None,
    names: bool = False,
) -> Any:
    """The class number of each image, (n,), int64: the greatest output, the first of equals; or its name.

    Of a model of several outputs it is a tuple, an array of each.

    Args:
        model: Used as in inference.
        x: Images, prepared as by `fit`; or examples. Of several inputs a tuple, or a dict by their names.
        batch_size: Images at a time.
        normalization: By default the model's own.
        workers: Threads that read the images; see `colonnade.data.Loader`.
        names: Give the names of the classes, text, in place of their numbers.

    Raises:
        ArgumentError: No images, or names of a model that has none.
        ShapeError: Images that do not fit the model.
        DivergenceError: NaN or infinity in an image, or NaN among the outputs.
    """
    classes = model.classes
    if names := flag("predict", "names", names):
        if classes is None:
            raise ArgumentError(
                "predict: names=True needs the names of the classes, model.classes, and there are none."
            )
        if len(ends(model)[1]) > 1:
            raise ArgumentError("predict: names=True is of a model of one output, this one has several.")
    made = _outputs("predict", model, arguments.asked("predict", model, x), batch_size, normalization, workers)
    numbers = _each(predicted, made)
    for answers in numbers:
        _require_answers("predict", answers < 0)
    if names:
        return np.array(classes)[numbers[0]]
    return numbers if len(numbers) > 1 else numbers[0]


def predict_proba(
    model: Trainable,
    x: Inputs | Examples,
    *,
    batch_size: int = 256,
    normalization: Normalization | None = None,
    workers: int | None = None,
) -> Any:
    """The probability of each class for each image, (n, classes): the softmax of the outputs.

    Of a model of several outputs it is a tuple, an array of each.

    Args:
        model: Ends in logits, as for `CrossEntropyLoss`.
        x: Images, prepared as by `fit`; or examples. Of several inputs a tuple, or a dict by their names.
        batch_size: Images at a time.
        normalization: By default the model's own.
        workers: Threads that read the images; see `colonnade.data.Loader`.

    Raises:
        ArgumentError: No images.
        ShapeError: Images that do not fit the model.
        DivergenceError: NaN or infinity in an image, or NaN among the probabilities.
    """
    return probabilities("predict_proba", model, x, batch_size, normalization, workers)


def probabilities(
    who: str,
    model: Trainable,
    x: Inputs | Examples,
    batch_size: int = 256,
    normalization: Normalization | None = None,
    workers: int | None = None,
) -> Any:
    """What `predict_proba` gives, to whoever asks in its place."""
    made = _outputs(who, model, arguments.asked(who, model, x), batch_size, normalization, workers)
    found = _each(_probabilities, made)
    for each in found:
        _require_answers(who, np.isnan(each))
    return found if len(found) > 1 else found[0]


def predict_outputs(
    model: Trainable,
    x: Inputs | Examples,
    *,
    batch_size: int = 256,
    normalization: Normalization | None = None,
    workers: int | None = None,
) -> Any:
    """What the model puts out for each image, (n, ...), as it is: for models whose outputs are no classes.

    It is `model(x)` but for what is done to x: the images are prepared as in training, and go through in batches; and
    of a model that is `mirrored` the mean of the outputs for an image and for its mirror image. Of a model of several
    outputs it is a tuple, an array of each.

    Args:
        model: Used as in inference.
        x: Images, prepared as by `fit`; or examples. Of several inputs a tuple, or a dict by their names.
        batch_size: Images at a time.
        normalization: By default the model's own.
        workers: Threads that read the images; see `colonnade.data.Loader`.

    Raises:
        ArgumentError: No images.
        ShapeError: Images that do not fit the model.
        DivergenceError: NaN or infinity in an image, or NaN among the outputs.
    """
    who = "predict_outputs"
    made = _outputs(who, model, arguments.asked(who, model, x), batch_size, normalization, workers)
    found = _each(np.asarray, made)
    for outputs in found:
        _require_answers(who, np.isnan(outputs))
    return found if len(found) > 1 else found[0]


def prepared(who: str, model: Trainable, x: Array) -> Array:
    """Images (n, ...) as the model takes them: scaled and normalised as in training, in the model's type.

    Raises:
        ArgumentError: Numbers that can't be meant, or none.
        DivergenceError: NaN or infinity in an image.
    """
    one = unit(who, remembered(getattr(model, "pixels", None)), x)
    return Batches(x, model.dtype, model.normalization, one).take(np.arange(len(x)))


def _probabilities(outputs: Array) -> Array:
    softmax_forward(outputs, 1, out=outputs)
    return outputs


def _each(answer: Callable[[Array], Array], made: Iterator[tuple[Batch, Any]]) -> tuple[Array, ...]:
    """The answers of all batches, of each output."""
    batches = (outputs if isinstance(outputs, tuple) else (outputs,) for _, outputs in made)
    return tuple(map(np.concatenate, zip(*([answer(each) for each in outputs] for outputs in batches), strict=True)))


def _require_answers(who: str, missing: Array) -> None:
    """Have a model answer: NaN would be taken for some class or other further on."""
    if missing.any():
        place = int(missing.reshape(len(missing), -1).any(axis=1).argmax())
        raise DivergenceError(f"{who}: the model puts out NaN for image {place}.")


def _outputs(
    who: str,
    model: Trainable,
    given: Examples | Parallel,
    batch_size: int,
    normalization: Normalization | None,
    workers: int | None,
) -> Iterator[tuple[Batch, Any]]:
    """The outputs of a model batch by batch, each with what it was made of."""
    batch_size = whole(who, "batch_size", batch_size, 1)
    workers = None if workers is None else whole(who, "workers", workers, 0)
    ask = answering(who, model)
    loader = loader_for(given)(
        given,
        batch_size,
        dtype=model.dtype,
        normalization=model.normalization if normalization is None else normalization,
        shuffle=False,
        workers=workers,
        scale=Scale(who, getattr(model, "pixels", None)),
    )
    try:
        for batch in loader.epoch(1):
            yield batch, ask(batch.x)
    except DivergenceError as error:
        raise DivergenceError(f"{who}: {error}") from None


def answering(who: str, model: Trainable) -> Callable[[Any], Any]:
    """What gives the outputs for a batch: the model, or the mean over mirror images where it is `mirrored`."""
    return _mirrored(who, model) if getattr(model, "mirrored", False) else model


def _mirrored(who: str, model: Trainable) -> Callable[[Any], Array]:
    """y = (f(x) + f(x mirrored)) / 2, left and right exchanged; x (n, c, h, w), y (n, classes).

    The mean is of the outputs as they are, logits say, so that any loss or softmax may follow.

    Raises:
        ArgumentError: No images, or outputs that are not a number for each class: they may say where something is.
    """

    def ask(x: Any) -> Array:
        y = model(x)
        if not (isinstance(x, np.ndarray) and x.ndim == 4 and isinstance(y, np.ndarray) and y.ndim == 2):
            raise ArgumentError(
                f"{who}: model.mirrored is for models of images (c, h, w) that put out a number for each class, this "
                f"one takes {model.input_shape} and puts out {model.output_shape}."
            )
        y += model(x[..., ::-1])
        y *= 0.5
        return y

    return ask
