"""A budget of memory: how many parts a batch has to be cut into, so that what it takes is known to fit."""

from __future__ import annotations

import math
from typing import Any

from ..data.loader import Loader
from ..data.parallel import ParallelLoader
from ..errors import ArgumentError
from .protocols import Learner, Trainable

LEAST_IMAGES = 2  # of a part: batch norm can't tell the spread of a single one


def parts_within(
    memory: float,
    model: Trainable,
    optimizer: Learner,
    loader: Loader | ParallelLoader,
    least: int,
    average: bool,
    validates: bool,
) -> int:
    """Into how many parts a batch must be cut.

    Counted are the plan of a training step and that of validation, the parameters with their gradients, the
    optimizer's arrays, the average, the batch itself and those that are made ready ahead: all that is allocated for
    more than a moment. Python, NumPy and the data set are not.

    Args:
        memory: Bytes.
        model: Built.
        optimizer: Of its parameters.
        loader: Makes the batches.
        least: Parts that it is cut into anyway.
        average: Whether an average of the weights is kept.
        validates: Whether validation follows.

    Raises:
        ArgumentError: It does not fit however small the parts, and by how much; or a model that has no plan.
    """
    plan: Any = getattr(model, "plan", None)
    shape = model.input_shape
    if plan is None or shape is None:
        raise ArgumentError("fit: memory needs a model that plans its memory, such as colonnade.Model.")
    itemsize = model.dtype.itemsize
    parameters = sum(parameter.size for parameter in model.parameters())
    kept = sum(array.nbytes for array in optimizer.state_dict().values())
    several = bool(shape) and isinstance(shape[0], tuple)  # inputs
    shapes: Any = shape if several else (shape,)
    image = itemsize * sum(math.prod(each) for each in shapes)
    batch_size = loader.batch_size
    batches = 1 + (max(loader.workers, loader.ahead) if loader.workers else 0)
    fixed = (3 if average else 2) * parameters * itemsize + kept + batches * batch_size * image
    parts = least
    while True:
        images = -(-batch_size // parts)
        batch = tuple((images, *each) for each in shapes) if several else (images, *shape)
        needed = fixed + plan(batch, training=True).bytes
        if validates:
            needed += plan(batch).bytes
        if needed <= memory:
            return parts
        if images <= LEAST_IMAGES:
            raise ArgumentError(
                f"fit: a step of {images} images at a time needs {needed:,} bytes, "
                f"{needed - int(memory):,} more than memory={int(memory):,}."
            )
        parts = max(parts + 1, min(2 * parts, batch_size // LEAST_IMAGES))
