"""Operators that repeat numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx

from .... import layers
from ....ops.layout import Array
from ..folding import fill, whole
from ..values import Batch, Images, Known, Layout, Size, UnsupportedError, Value
from .elementwise import Conversion

if TYPE_CHECKING:
    from ..call import Call


from .axes import in_words


def expand(call: Call) -> Value:
    x, sizes = call.value(0), whole(call.known(1))
    if isinstance(x, Known):
        return _repeated(call, x.array, sizes, x.name, x.dtype)
    rank = max(x.layout.rank, len(sizes))
    sizes = [1] * (rank - len(sizes)) + sizes
    lifted = x.layout.with_ones(range(rank - x.layout.rank))
    wanted: list[int] = []
    for axis, (each, own) in enumerate(zip(sizes, lifted.sizes, strict=True)):
        if axis == lifted.batch:
            if isinstance(each, int) and each not in (1, own * (call.importer.images or 0)):
                raise UnsupportedError(f"it makes the batch {each}")
            wanted.append(own)
        elif isinstance(each, Batch):
            raise UnsupportedError("it repeats every image as often as there are images")
        else:
            wanted.append(np.broadcast_shapes((each,), (own,))[0])
    layout = Layout(tuple(wanted), lifted.batch, lifted.outer, lifted.inner)
    return call.importer.expanded(call.importer.reshaped(x, lifted), layout, call.name)


def constant_of_shape(call: Call) -> Value:
    value = fill(call.node)
    return _repeated(call, value, whole(call.known(0)), None, value.dtype)


def _repeated(call: Call, array: Array, sizes: Sequence[Size], name: str | None, dtype: np.dtype[np.generic]) -> Value:
    """A constant for every image of the batch."""
    rank = max(array.ndim, len(sizes))
    sizes = [1] * (rank - len(sizes)) + list(sizes)
    axis = next((place for place, each in enumerate(sizes) if isinstance(each, Batch)), None)
    if axis is None:
        return Known(np.broadcast_to(array, np.broadcast_shapes(array.shape, tuple(sizes))))  # type: ignore[arg-type]
    if sum(isinstance(each, Batch) for each in sizes) > 1:
        raise UnsupportedError(f"it makes a tensor of shape {in_words(sizes)}")
    one = [each.factor if isinstance(each, Batch) else each for each in sizes]
    if 0 in one:
        return Known(np.zeros(one, dtype))  # without numbers it is the same for any number of images
    array = array.reshape((1,) * (rank - array.ndim) + array.shape)
    full = np.broadcast_shapes(array.shape, tuple(one))
    layout = Layout(full, axis, 1, full[axis])
    per_image = np.broadcast_to(call.importer.per_image(array, layout), layout.image)
    made = call.importer.constant(per_image, Layout((1, *layout.image), 0), name, dtype)
    return Images(made.node, layout, np.dtype(dtype))


def range_(call: Call) -> Value:
    start, limit, delta = (call.known(place).reshape(()) for place in range(3))
    count = max(0, math.ceil((limit - start) / delta))
    call.importer.fold.take(count)
    return Known((start + np.arange(count) * delta).astype(start.dtype))


def eye_like(call: Call) -> Value:
    """Ones on a diagonal, of a shape that is known."""
    value = call.value(0)
    if isinstance(value, Images) and value.layout.batch is not None:
        raise UnsupportedError("it makes a matrix as large as the batch")
    rows, columns = value.array.shape if isinstance(value, Known) else value.layout.sizes
    call.importer.fold.take(rows * columns)
    to = call.attribute("dtype")
    dtype = value.dtype if to is None else onnx.helper.tensor_dtype_to_np_dtype(to)
    return Known(np.eye(rows, columns, call.attribute("k", 0), dtype))


def tile(call: Call) -> Value:
    x = call.data()
    repeats = whole(call.known(1))
    if call.opset < 6 or len(repeats) != x.layout.rank:
        raise UnsupportedError(f"it repeats {len(repeats)} axes of {x.layout.rank}")
    for axis, count in enumerate(repeats):
        if count != 1:
            x.layout.dim(axis)
    if all(count == 1 for count in repeats):
        return x
    dims = {x.layout.dim(axis): count for axis, count in enumerate(repeats) if count != 1}
    by_axis = [dims.get(dim, 1) for dim in range(1, len(call.image_of(x)) + 1)]
    layout = x.layout.resized(
        {
            axis: size * count
            for axis, (size, count) in enumerate(zip(x.layout.sizes, repeats, strict=True))
            if count != 1
        }
    )
    return call.emit(layers.Tile(by_axis), x, layout=layout)


CONVERSIONS: dict[str, Conversion] = {
    "ConstantOfShape": constant_of_shape,
    "Expand": expand,
    "EyeLike": eye_like,
    "Range": range_,
    "Tile": tile,
}
