"""What a value of an ONNX graph is to us: an array that is known at load, or something computed from the images.

ONNX knows no batch. Its tensors have axes, one of which holds the images of a batch, and networks move that axis about:
attention in PyTorch works on (tokens, batch, channels), and joins the batch with its heads. Our models know one image,
and put the batch in front. A :class:`Layout` keeps track of the difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ops.layout import Array
from ...tensor import Shape


class UnsupportedError(ValueError):
    """What we cannot run, without saying of which node: the importer adds that."""


@dataclass(frozen=True)
class Batch:
    """The number of images, times `factor`: a size that is not known at load.

    Networks compute shapes from the shapes of tensors. In such arithmetic, on arrays of objects, it stands for the
    size; what can't be said of every batch is refused.
    """

    factor: int = 1

    def __mul__(self, other: Any) -> Batch | int:
        if isinstance(other, Batch):
            raise UnsupportedError("it multiplies the batch's size with itself")
        whole = _whole(other)
        return Batch(self.factor * whole) if whole else 0

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Batch | int:
        if isinstance(other, Batch):
            if self.factor % other.factor:
                raise UnsupportedError("it divides the batch's size")
            return self.factor // other.factor
        whole = _whole(other)
        if not whole or self.factor % whole:
            raise UnsupportedError("it divides the batch's size")
        return Batch(self.factor // whole)

    __truediv__ = __floordiv__

    def __mod__(self, other: Any) -> int:
        if isinstance(other, Batch) or _whole(other) == 0 or self.factor % _whole(other):
            raise UnsupportedError("it divides the batch's size")
        return 0

    def __add__(self, other: Any) -> Batch:
        if isinstance(other, Batch):
            return Batch(self.factor + other.factor)
        if _whole(other):
            raise UnsupportedError("it adds to the batch's size")
        return self

    __radd__ = __add__

    def __sub__(self, other: Any) -> Batch | int:
        if isinstance(other, Batch):
            return Batch(self.factor - other.factor) if self.factor != other.factor else 0
        return self + -_whole(other)

    def __rsub__(self, other: Any) -> Batch:
        raise UnsupportedError("it subtracts the batch's size")

    __rfloordiv__ = __rtruediv__ = __rmod__ = __rsub__

    def __lt__(self, other: Any) -> bool:
        raise UnsupportedError("it compares the batch's size")

    __le__ = __gt__ = __ge__ = __lt__


def _whole(number: Any) -> int:
    if int(number) != number:
        raise UnsupportedError(f"it computes {number} of the batch's size")
    return int(number)


Size = int | Batch


@dataclass(frozen=True)
class Layout:
    """The axes of a tensor, as ONNX sees them, and where among them the batch is.

    The axis `batch` has outer · images · inner places, in this order: 1 and 1 unless something was joined with it. One
    image has the other axes, and in place of that one `outer` and `inner`, where they are more than 1.

    Attributes:
        sizes: Of all axes; for that of the batch, outer · inner.
        batch: Which axis it is; None where the tensor is one image, whole.
        outer: What runs slower than the images along it.
        inner: What runs faster.
    """

    sizes: Shape
    batch: int | None
    outer: int = 1
    inner: int = 1

    @property
    def rank(self) -> int:
        """How many axes ONNX sees."""
        return len(self.sizes)

    @property
    def image(self) -> Shape:
        """The shape of one image."""
        return tuple(size for axis in range(self.rank) for size in self._parts(axis))

    def _parts(self, axis: int) -> tuple[int, ...]:
        if axis != self.batch:
            return (self.sizes[axis],)
        return tuple(size for size in (self.outer, self.inner) if size > 1)

    @property
    def shape(self) -> tuple[Size, ...]:
        """The sizes, that of the batch with the number of images in it."""
        return tuple(Batch(size) if axis == self.batch else size for axis, size in enumerate(self.sizes))

    @property
    def before(self) -> int:
        """How many numbers of one image lie before the batch: they run slower than it."""
        return 1 if self.batch is None else math.prod(self.sizes[: self.batch]) * self.outer

    @property
    def plain(self) -> bool:
        """Whether the batch is the first axis, and nothing joined with it."""
        return self.batch == 0 and self.outer == self.inner == 1

    def axis(self, axis: int) -> int:
        """An axis counted from the front; raises UnsupportedError where there is none."""
        if not -self.rank <= axis < self.rank:
            raise UnsupportedError(f"it names axis {axis} of a tensor of {self.rank}")
        return axis % self.rank

    def dims(self, axis: int) -> tuple[int, ...]:
        """The axes of our tensor that make up one of ONNX's, counted with the batch as axis 0."""
        start = 1 + sum(len(self._parts(each)) for each in range(axis))
        return tuple(range(start, start + len(self._parts(axis))))

    def dim(self, axis: int) -> int:
        """The one axis of our tensor that it is; raises UnsupportedError for that of the batch."""
        axis = self.axis(axis)
        if axis == self.batch:
            raise UnsupportedError(f"it works along axis {axis}, the batch: its images would see one another")
        return self.dims(axis)[0]

    def resized(self, sizes: dict[int, int]) -> Layout:
        """With other sizes of some axes, none of them the batch's."""
        return Layout(
            tuple(sizes.get(axis, size) for axis, size in enumerate(self.sizes)), self.batch, self.outer, self.inner
        )

    def without(self, axes: Sequence[int]) -> Layout:
        """Without some axes, none of them the batch's."""
        batch = None if self.batch is None else self.batch - sum(axis < self.batch for axis in axes)
        kept = tuple(size for axis, size in enumerate(self.sizes) if axis not in axes)
        return Layout(kept, batch, self.outer, self.inner)

    def with_ones(self, axes: Sequence[int]) -> Layout:
        """With axes of length 1 put in, at these places of the result."""
        rest = iter(range(self.rank))
        old = [None if axis in axes else next(rest) for axis in range(self.rank + len(axes))]
        sizes = tuple(1 if axis is None else self.sizes[axis] for axis in old)
        return Layout(sizes, None if self.batch is None else old.index(self.batch), self.outer, self.inner)

    def permuted(self, order: Sequence[int]) -> Layout:
        """With the axes in another order."""
        batch = None if self.batch is None else list(order).index(self.batch)
        return Layout(tuple(self.sizes[axis] for axis in order), batch, self.outer, self.inner)


@dataclass(frozen=True)
class Known:
    """An array that is known at load.

    Attributes:
        array: Of numbers, or of objects where some of them are sizes with the batch in them.
        name: What the file calls it, if it stands there; None for what was computed.
    """

    array: Array
    name: str | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its numbers."""
        return np.dtype(np.int64) if self.array.dtype == object else self.array.dtype


@dataclass(frozen=True)
class Images:
    """What is computed from the images of a batch.

    Attributes:
        node: The node of our graph, or the input, that it is the output of.
        layout: Its axes.
        dtype: The type that it has in ONNX; we compute all types in the model's.
        content: The array itself, where a model is imported for just these inputs.
    """

    node: str
    layout: Layout
    dtype: np.dtype[Any]
    content: Array | None = None


Value = Known | Images
