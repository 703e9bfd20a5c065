"""Numbers of the images of a batch: what Range makes of its size, and Gather takes each image's own part by.

PyTorch writes `x[torch.arange(len(x)), -1]` so, and a view by strides: each number is then the place of its image, and
that of a number within it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import layers
from ...ops.layout import Array
from .call import Call
from .folding import axes_of, whole
from .values import Batch, Images, Known, Layout, UnsupportedError, Value


@dataclass(frozen=True)
class Numbering:
    """Whole numbers, those of image i being offsets + step · i.

    Attributes:
        offsets: Of as many axes as the tensor has; the batch has length 1.
        step: From one image to the next.
        batch: The axis of the images.
    """

    offsets: Array
    step: int
    batch: int


def numbers_images(node: str, inputs: Sequence[Value | None]) -> bool:
    """Whether an operator makes the numbers of all images: Range from 0 to their count."""
    if node != "Range" or not all(isinstance(each, Known) and each.array.size == 1 for each in inputs):
        return False
    return [each.array.reshape(()).item() for each in inputs if isinstance(each, Known)] == [0, Batch(), 1]


def numbered(call: Call, inputs: Sequence[Value | Numbering | None]) -> Value | Numbering:
    """What a node makes of such numbers; raises UnsupportedError where we can't say."""
    node = call.node
    if node.operator == "Range":
        return Numbering(np.zeros(1, np.int64), 1, 0)
    first = inputs[0]
    if node.operator in TAKING and isinstance(first, Images) and isinstance(inputs[1], Numbering):
        return _taken(call, first, inputs[1])
    if node.operator not in CHANGING:
        raise UnsupportedError("it computes with the numbers of the images")
    return CHANGING[node.operator](call, *inputs)


def _arithmetic(function: Callable[[Any, Any], Any], scales: bool = False) -> Callable[..., Numbering]:
    """Of such numbers and a constant, the same for every image."""

    def compute(call: Call, *pair: Any) -> Numbering:
        if sum(isinstance(each, Numbering) for each in pair) != 1 or any(isinstance(each, Images) for each in pair):
            raise UnsupportedError("it computes with the numbers of the images")
        numbers = pair[0] if isinstance(pair[0], Numbering) else pair[1]
        arrays = [each.offsets if isinstance(each, Numbering) else each.array for each in pair]
        rank = max(array.ndim for array in arrays)
        batch = numbers.batch + rank - numbers.offsets.ndim
        constant = arrays[0] if numbers is pair[1] else arrays[1]
        shape = (1,) * (rank - constant.ndim) + constant.shape
        if shape[batch] != 1 or constant.dtype.kind not in "iu" or (scales and constant.size != 1):
            raise UnsupportedError("it computes with the numbers of the images")
        call.importer.fold.take(int(np.prod(np.broadcast_shapes(*(array.shape for array in arrays)))))
        step = numbers.step * int(constant.reshape(())) if scales else numbers.step
        if not scales and function is np.subtract and numbers is pair[1]:
            step = -step
        return Numbering(function(*arrays), step, batch)

    return compute


def _unsqueezed(call: Call, numbers: Numbering, axes: Known | None = None) -> Numbering:
    named = axes_of(call.node, None if axes is None else axes.array) or []
    rank = numbers.offsets.ndim + len(named)
    places = sorted(axis % rank for axis in named)
    old = [axis for axis in range(rank) if axis not in places]
    return Numbering(np.expand_dims(numbers.offsets, tuple(places)), numbers.step, old[numbers.batch])


def _reshaped(call: Call, numbers: Numbering, shape: Known) -> Numbering:
    """With axes of length 1 alone put in or left out."""
    sizes = whole(shape.array)
    batches = [axis for axis, size in enumerate(sizes) if size == Batch() or size == -1]
    if (
        numbers.offsets.size != 1
        or len(batches) != 1
        or any(sizes[axis] != 1 for axis in {*range(len(sizes))} - {*batches})
    ):
        raise UnsupportedError("it computes with the numbers of the images")
    return Numbering(numbers.offsets.reshape((1,) * len(sizes)), numbers.step, batches[0])


def _same(call: Call, numbers: Numbering) -> Numbering:
    return numbers


CHANGING: Mapping[str, Callable[..., Numbering]] = {
    "Add": _arithmetic(np.add),
    "Cast": _same,
    "Identity": _same,
    "Mul": _arithmetic(np.multiply, scales=True),
    "Reshape": _reshaped,
    "Sub": _arithmetic(np.subtract),
    "Unsqueeze": _unsqueezed,
}
TAKING = {"Gather", "GatherND"}


def _taken(call: Call, x: Images, numbers: Numbering) -> Images:
    """From each image what its numbers name: they must be within it."""
    layout, offsets, batch = x.layout, numbers.offsets, numbers.batch
    if call.node.operator == "GatherND":
        if call.attribute("batch_dims", 0) or offsets.shape[-1] != 1 or batch == offsets.ndim - 1:
            raise UnsupportedError("it takes by more than the numbers of the images")
        offsets = offsets[..., 0]
    elif call.attribute("axis", 0) % layout.rank:
        raise UnsupportedError("it takes the numbers of the images along another axis")
    rows = layout.inner
    fits = layout.batch == 0 and layout.outer == 1 and numbers.step == rows
    if not fits or offsets.min() < 0 or offsets.max() >= rows:
        raise UnsupportedError("it takes from other images than its own")
    rest = layout.sizes[1:]
    if rows > 1:
        flat = [int(each) for each in offsets.ravel()]
        picked = Layout((1, len(flat), *rest), 0)
        x = call.emit(layers.IndexSelect(1, flat), x, layout=picked)
    elif offsets.size != 1:
        raise UnsupportedError("it takes an image several times")
    return call.importer.reshaped(x, Layout((*offsets.shape, *rest), batch), call.name)
