"""What is asked of a model that is not learning: how good it is, and what it sees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import whole
from ..data.batches import Normalization
from ..data.loader import Batch, Loader
from ..data.pairing import paired
from ..data.pixels import Scale
from ..errors import DivergenceError
from ..metrics import predicted
from ..ops.layout import Array
from ..ops.softmax import softmax_forward
from . import arguments
from .arguments import examples, images, require_fit
from .protocols import Criterion, Trainable
from .records import Evaluation, Mean, measure

if TYPE_CHECKING:
    from ..data.examples import Examples


def evaluate(
    model: Trainable,
    x: ArrayLike | Examples,
    y: ArrayLike | None = None,
    *,
    batch_size: int = 256,
    loss: str | Criterion | None = None,
    normalization: Normalization | None = None,
    workers: int | None = None,
) -> Evaluation:
    """Mean loss and accuracy of a model.

    Args:
        model: Used as in inference.
        x: Images, prepared as by `fit`; or examples, which have their targets. Where these have names of classes, and
            the model has, too, both are paired by name.
        y: Targets.
        batch_size: Images at a time.
        loss: By default `CrossEntropyLoss()`; or by name, as for `fit`.
        normalization: By default the model's own.
        workers: Threads that read the images; see `colonnade.data.Loader`.

    Raises:
        ArgumentError: No images, or targets or names that are no class of the model.
        ShapeError: Targets of another number than the images, or images that do not fit the model.
        DivergenceError: NaN or infinity in an image.
    """
    given = paired("evaluate", examples("evaluate", x, y), model.classes)
    criterion = arguments.criterion("evaluate", loss)
    require_fit("evaluate", model, given, criterion)
    mean = Mean(criterion)
    for batch, outputs in _outputs("evaluate", model, given, batch_size, normalization, workers):
        mean.add(measure(criterion, outputs, batch.targets), outputs, batch.targets)
    return {"loss": mean.loss, "accuracy": mean.accuracy, "n": mean.images}


def predict(
    model: Trainable,
    x: ArrayLike | Examples,
    *,
    batch_size: int = 256,
    normalization: Normalization | None = None,
    workers: int | None = None,
) -> Array:
    """The class number of each image, (n,), int64: the greatest output, the first of equals.

    Args:
        model: Used as in inference.
        x: Images, prepared as by `fit`; or examples.
        batch_size: Images at a time.
        normalization: By default the model's own.
        workers: Threads that read the images; see `colonnade.data.Loader`.

    Raises:
        ArgumentError: No images.
        ShapeError: Images that do not fit the model.
        DivergenceError: NaN or infinity in an image, or NaN among the outputs.
    """
    made = _outputs("predict", model, images("predict", x), batch_size, normalization, workers)
    numbers = np.concatenate([predicted(outputs) for _, outputs in made])
    _require_answers("predict", numbers < 0)
    return numbers


def predict_proba(
    model: Trainable,
    x: ArrayLike | Examples,
    *,
    batch_size: int = 256,
    normalization: Normalization | None = None,
    workers: int | None = None,
) -> Array:
    """The probability of each class for each image, (n, classes): the softmax of the outputs.

    Args:
        model: Ends in logits, as for `CrossEntropyLoss`.
        x: Images, prepared as by `fit`; or examples.
        batch_size: Images at a time.
        normalization: By default the model's own.
        workers: Threads that read the images; see `colonnade.data.Loader`.

    Raises:
        ArgumentError: No images.
        ShapeError: Images that do not fit the model.
        DivergenceError: NaN or infinity in an image, or NaN among the probabilities.
    """
    probabilities = []
    made = _outputs("predict_proba", model, images("predict_proba", x), batch_size, normalization, workers)
    for _, outputs in made:
        softmax_forward(outputs, 1, out=outputs)
        probabilities.append(outputs)
    found = np.concatenate(probabilities)
    _require_answers("predict_proba", np.isnan(found))
    return found


def _require_answers(who: str, missing: Array) -> None:
    """Have a model answer: NaN would be taken for some class or other further on."""
    if missing.any():
        place = int(missing.reshape(len(missing), -1).any(axis=1).argmax())
        raise DivergenceError(f"{who}: the model puts out NaN for image {place}.")


def _outputs(
    who: str,
    model: Trainable,
    given: Examples,
    batch_size: int,
    normalization: Normalization | None,
    workers: int | None,
) -> Iterator[tuple[Batch, Array]]:
    """The outputs of a model batch by batch, each with what it was made of."""
    batch_size = whole(who, "batch_size", batch_size, 1)
    workers = None if workers is None else whole(who, "workers", workers, 0)
    loader = Loader(
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
            yield batch, model(batch.x)
    except DivergenceError as error:
        raise DivergenceError(f"{who}: {error}") from None
