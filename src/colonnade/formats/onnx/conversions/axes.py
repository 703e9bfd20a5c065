"""Operators that ask for the shape of a tensor, or give its numbers other axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .... import layers
from ..folding import axes_of, whole
from ..values import Batch, Known, Layout, Size, UnsupportedError, Value
from .elementwise import Conversion

if TYPE_CHECKING:
    from ..call import Call


def shape(call: Call) -> Value:
    return _sizes(_shape(call)[call.attribute("start", 0) : call.attribute("end")])


def _shape(call: Call) -> tuple[Size, ...]:
    """Of the tensor that an operator reads: without an unknown size, where the file is for one image."""
    layout = call.data().layout
    return layout.sizes if call.importer.single else layout.shape


def size(call: Call) -> Value:
    total: Size = 1
    for each in _shape(call):
        total = each * total
    return _sizes(total)


def _sizes(sizes: Sequence[Size] | Size) -> Known:
    symbolic = any(isinstance(each, Batch) for each in (sizes if isinstance(sizes, tuple) else (sizes,)))
    made = np.empty(np.shape(sizes) if isinstance(sizes, tuple) else (), object if symbolic else np.int64)
    made[...] = sizes
    return Known(made)


def reshape(call: Call) -> Value:
    x = call.data()
    target = call.attribute("shape", []) if call.opset < 5 else whole(call.known(1))
    sizes: list[Size] = []
    for axis, each in enumerate(target):
        copied = isinstance(each, int) and each == 0 and not call.attribute("allowzero", 0)
        sizes.append(x.layout.shape[axis] if copied else each)
    return call.importer.reshaped(x, reshaped_layout(x.layout, sizes, call.importer.images), call.name)


def reshaped_layout(layout: Layout, sizes: Sequence[Size], images: int | None) -> Layout:
    """Where the batch is among these sizes: there it must be, as deep within the numbers of an image as before."""
    numbers = math.prod(layout.image)
    known = math.prod(each for each in sizes if isinstance(each, int) and each != -1)
    batches = [axis for axis, each in enumerate(sizes) if isinstance(each, Batch)]
    if (
        known == 0
        or len(batches) > 1
        or list(sizes).count(-1) > 1
        or min([e for e in sizes if isinstance(e, int)], default=1) < -1
    ):
        raise UnsupportedError(f"it gives a tensor the shape {in_words(sizes)}")
    if layout.batch is None:
        made = tuple(int(numbers // known if each == -1 else each) for each in sizes)  # type: ignore[arg-type]
        if math.prod(made) != numbers:
            raise UnsupportedError(f"it gives {numbers} numbers the shape {in_words(sizes)}")
        return Layout(made, None)
    candidates: list[tuple[int, list[int]]] = []  # an axis, and the sizes with one image in the batch
    if batches:
        factor = sizes[batches[0]].factor  # type: ignore[union-attr]
        rest = numbers // (known * factor)
        made_list = [each.factor if isinstance(each, Batch) else rest if each == -1 else each for each in sizes]
        candidates = [(batches[0], made_list)]
    elif images is None:
        if -1 in sizes:
            made_list = [numbers // known if each == -1 else int(each) for each in sizes]  # type: ignore[arg-type]
            candidates = [(list(sizes).index(-1), made_list)]
    else:
        full = [numbers * images // known if each == -1 else int(each) for each in sizes]  # type: ignore[arg-type]
        divisible = [axis for axis, each in enumerate(full) if each % images == 0]
        # Several may be meant. Best is one that is the batch and nothing else; the last are features, most often; and
        # heads, say, are rather joined behind the batch than something in front of it.
        divisible.sort(key=lambda axis: (full[axis] != images, axis == len(full) - 1, -axis))
        candidates = [(axis, [*full[:axis], full[axis] // images, *full[axis + 1 :]]) for axis in divisible]
    for axis, one in candidates:
        ahead = math.prod(one[:axis])
        if math.prod(one) == numbers and layout.before % ahead == 0 and one[axis] % (layout.before // ahead) == 0:
            outer = layout.before // ahead
            return Layout(tuple(one), axis, outer, one[axis] // outer)
    shape = in_words(sizes)
    raise UnsupportedError(f"the shape {shape} takes images of {layout.image} apart, or is for one size of batch")


def in_words(sizes: Sequence[Size]) -> str:
    """A shape, with the size of the batch by its name."""
    return f"({', '.join(f'{e.factor} · batch' if isinstance(e, Batch) else str(e) for e in sizes)})"


def flatten(call: Call) -> Value:
    x, axis = call.data(), call.attribute("axis", 1)
    axis = x.layout.rank if axis == x.layout.rank else x.layout.axis(axis)
    ahead: Size = 1
    for each in x.layout.shape[:axis]:
        ahead = each * ahead
    behind: Size = 1
    for each in x.layout.shape[axis:]:
        behind = each * behind
    return call.importer.reshaped(x, reshaped_layout(x.layout, [ahead, behind], call.importer.images), call.name)


def squeeze(call: Call) -> Value:
    x = call.data()
    layout = x.layout
    named = axes_of(call.node, call.optional(1))
    if named is None:
        if layout.batch is not None and call.importer.images == 1:
            raise UnsupportedError("it takes out all axes of length 1, and the batch may be one")
        axes = [axis for axis, each in enumerate(layout.sizes) if each == 1 and axis != layout.batch]
    else:
        axes = [layout.axis(axis) for axis in named]
    if any(axis == layout.batch or layout.sizes[axis] != 1 for axis in axes):
        raise UnsupportedError(f"it takes out the axes {axes} of {in_words(layout.shape)}")
    return call.importer.reshaped(x, layout.without(axes), call.name)


def unsqueeze(call: Call) -> Value:
    x = call.data()
    named = axes_of(call.node, call.optional(1)) or []
    rank = x.layout.rank + len(named)
    if any(not -rank <= axis < rank for axis in named) or len({axis % rank for axis in named}) < len(named):
        raise UnsupportedError(f"it puts in the axes {named}")
    return call.importer.reshaped(x, x.layout.with_ones([axis % rank for axis in named]), call.name)


def transpose(call: Call) -> Value:
    x = call.data()
    order = call.attribute("perm", list(range(x.layout.rank))[::-1])
    if sorted(order) != list(range(x.layout.rank)):
        raise UnsupportedError(f"it names the axes {order} of a tensor of {x.layout.rank}")
    return call.importer.transposed(x, order, call.name)


def depth_to_space(call: Call) -> Value:
    x, block = call.plain(), call.attribute("blocksize")
    images, channels, height, width = x.layout.sizes
    if call.attribute("mode", "DCR") == "CRD":
        layout = Layout((images, channels // block**2, height * block, width * block), 0)
        return call.emit(layers.PixelShuffle(block), x, layout=layout)
    parted = Layout((images, block, block, channels // block**2, height, width), 0)
    turned = call.importer.transposed(call.importer.reshaped(x, parted, call.name), (0, 3, 4, 1, 5, 2))
    return call.importer.reshaped(turned, Layout((images, channels // block**2, height * block, width * block), 0))


def space_to_depth(call: Call) -> Value:
    x, block = call.plain(), call.attribute("blocksize")
    images, channels, height, width = x.layout.sizes
    parted = Layout((images, channels, height // block, block, width // block, block), 0)
    order = (0, 1, 3, 5, 2, 4) if call.attribute("mode", "DCR") == "CRD" else (0, 3, 5, 1, 2, 4)
    turned = call.importer.transposed(call.importer.reshaped(x, parted, call.name), order)
    return call.importer.reshaped(turned, Layout((images, channels * block**2, height // block, width // block), 0))


CONVERSIONS: dict[str, Conversion] = {
    "DepthToSpace": depth_to_space,
    "Flatten": flatten,
    "Reshape": reshape,
    "Shape": shape,
    "Size": size,
    "SpaceToDepth": space_to_depth,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
