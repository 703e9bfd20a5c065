"""Functions of PyTorch that move numbers, or ask where they are, as layers.

A function here has the name and the arguments of the one in PyTorch; `graph` is where it puts its layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ... import layers
from .values import BATCH, Array, Batch, Tensor, Turned, Unconvertible, UnknownSizes, array_of

if TYPE_CHECKING:
    from .importer import Importer


def _sizes(sizes: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sizes or axes that were given one by one, or as one sequence."""
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], Sequence) else sizes


def _whole(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    if any(isinstance(size, Batch) for size in sizes):
        raise Unconvertible("the images of a batch would be mixed")
    return sizes


def reshape(graph: Importer, input: Any, *shape: Any) -> Tensor:
    x, (images, *sizes) = graph.value(input), _sizes(shape)
    rest = _whole(tuple(sizes))
    if not isinstance(images, Batch) and images != -1:
        raise Unconvertible(f"the number of images is fixed to {images}: use x.shape[0], or -1")
    if images == -1 and x.shape is not None and math.prod(rest) != math.prod(x.shape):
        raise Unconvertible("the images of a batch would be mixed")
    if rest == x.shape or (rest == (-1,) and x.shape is not None and len(x.shape) == 1):
        return x
    return graph.put(layers.Flatten() if rest == (-1,) else layers.Reshape(rest), x)


def flatten(graph: Importer, input: Any, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    if start_dim == 0:
        raise Unconvertible("the images of a batch would be mixed: start_dim must be 1 or more")
    return graph.put(layers.Flatten(start_dim, end_dim), input)


def unflatten(graph: Importer, input: Any, dim: int, sizes: Sequence[int]) -> Tensor:
    return graph.put(layers.Unflatten(dim, tuple(sizes)), graph.value(input))


def permute(graph: Importer, input: Any, *dims: Any) -> Tensor:
    axes = _sizes(dims)
    order = tuple(axis % len(axes) for axis in axes)
    if isinstance(input, Turned):
        return graph.turned(input.value, tuple(input.dims[axis] for axis in order))
    return graph.turned(graph.value(input), order)


def transpose(graph: Importer, input: Any, dim0: int, dim1: int) -> Tensor:
    order = list(range(dim(graph, input)))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return permute(graph, input, order)


def squeeze(graph: Importer, input: Any, dim: int | Sequence[int] | None = None) -> Tensor:
    x = graph.value(input)
    if dim is None:
        raise Unconvertible("dim must be given: a batch of one image would lose its axis")
    axes = {x.axis(axis) for axis in (dim if isinstance(dim, Sequence) else (dim,))}
    shape = tuple(size for axis, size in enumerate(x.known, 1) if axis not in axes or size != 1)
    return reshape(graph, x, BATCH, *shape)


def unsqueeze(graph: Importer, input: Any, dim: int) -> Tensor:
    x = graph.value(input)
    axis = dim + x.rank + 1 if dim < 0 else dim
    if axis == 0:
        raise Unconvertible("the axis of the batch must stay the first")
    return reshape(graph, x, BATCH, *x.known[: axis - 1], 1, *x.known[axis - 1 :])


def expand(graph: Importer, input: Any, *sizes: Any) -> Tensor:
    images, *rest = _sizes(sizes)
    if isinstance(input, Array):
        if not isinstance(images, Batch):
            raise Unconvertible("a parameter must be expanded to the number of images, x.shape[0]")
        input = graph.constant(input, len(rest) + 1)
    elif not isinstance(images, Batch) and images != -1:
        raise Unconvertible(f"the number of images is fixed to {images}: use x.shape[0], or -1")
    shape = _whole(tuple(rest))
    if len(shape) != len(input.known):
        raise Unconvertible(f"expected {len(input.known) + 1} sizes, got {len(shape) + 1}")
    unchanged = all(size in (-1, old) for size, old in zip(shape, input.known, strict=True))
    return input if unchanged else graph.put(layers.Expand(shape), input)


def repeat(graph: Importer, input: Any, *repeats: Any) -> Tensor:
    images, *rest = _sizes(repeats)
    if isinstance(input, Array):
        if not isinstance(images, Batch):
            raise Unconvertible("a parameter must be repeated for each image, x.shape[0] times")
        input = graph.constant(input, len(rest) + 1)
    elif images != 1:
        raise Unconvertible("the images of a batch can't be repeated")
    counts = _whole(tuple(rest))
    return input if set(counts) == {1} else graph.put(layers.Tile(counts), input)


def cat(graph: Importer, tensors: Sequence[Any], dim: int = 0) -> Tensor:
    return graph.put(layers.Concat(dim), *tensors)


def stack(graph: Importer, tensors: Sequence[Any], dim: int = 0) -> Tensor:
    return cat(graph, [unsqueeze(graph, tensor, dim) for tensor in tensors], dim)


def select(graph: Importer, input: Any, dim: int, index: int) -> Tensor:
    if isinstance(input, Turned):
        return _select_turned(graph, input, dim, index)
    return graph.put(layers.Select(dim, index), input)


def _select_turned(graph: Importer, turned: Turned, dim: int, index: int) -> Tensor:
    """Select of a tensor whose axes were moved: the same of the one before, and what is left of the moves."""
    gone = turned.dims[dim]
    if gone == 0:
        raise Unconvertible("an image of the batch can't be selected")
    left = [axis - (axis > gone) for axis in turned.dims if axis != gone]
    return permute(graph, graph.put(layers.Select(gone, index), turned.value), left)


def narrow(graph: Importer, input: Any, dim: int, start: int, length: int) -> Tensor:
    return graph.put(layers.Slice(dim, start, start + length), input)


def split(graph: Importer, input: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    x = graph.value(input)
    size = x.known[x.axis(dim) - 1]
    if isinstance(split_size_or_sections, Sequence):
        sizes = list(split_size_or_sections)
    else:
        sizes = [min(split_size_or_sections, size - start) for start in range(0, size, split_size_or_sections)]
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    return tuple(narrow(graph, x, dim, start, length) for start, length in zip(starts, sizes, strict=True))


def chunk(graph: Importer, input: Any, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    x = graph.value(input)
    size = x.known[x.axis(dim) - 1]
    return split(graph, x, -(-size // chunks), dim)


def unbind(graph: Importer, input: Any, dim: int = 0) -> tuple[Tensor, ...]:
    if isinstance(input, Turned):
        size = (0, *input.value.known)[input.dims[dim]]
    else:
        x = graph.value(input)
        size = x.known[x.axis(dim) - 1]
    return tuple(select(graph, input, dim, index) for index in range(size))


def index_select(graph: Importer, input: Any, dim: int, index: Any) -> Tensor:
    return graph.put(layers.IndexSelect(dim, array_of(index).tensor.tolist()), graph.value(input))


def getitem(graph: Importer, input: Any, index: Any) -> Any:
    """x[:, …]: what stands there for each axis, the last first, so that the numbers of the others stay."""
    places = list(index) if isinstance(index, tuple) else [index]
    if isinstance(input, Turned) and input.dims[0] != 0:
        if len(places) != 1 or not isinstance(places[0], int):
            raise Unconvertible("of axes that were moved past the batch's, only the first can be selected from")
        return select(graph, input, 0, places[0])
    if isinstance(input, Array):
        if input.parameter is not None and places[0] != slice(None):
            raise Unconvertible("a part of a parameter must be one of every image: begin with ':'")
        input = graph.constant(input, input.tensor.ndim)
    x: Tensor = graph.value(input)
    if Ellipsis in places:
        gap = places.index(Ellipsis)
        missing = graph.value(x).rank - sum(place is not None for place in places) + 1
        places[gap : gap + 1] = [slice(None)] * missing
    if not places or places[0] != slice(None):
        raise Unconvertible("images of the batch can't be selected: the first index must be ':'")
    for number in range(len(places) - 1, 0, -1):
        place = places[number]
        dim = number - sum(each is None for each in places[:number])
        if place is None or place == slice(None):
            continue
        if isinstance(place, slice):
            x = graph.put(layers.Slice(dim, place.start, place.stop, place.step or 1), x)
        elif isinstance(place, int):
            x = graph.put(layers.Select(dim, place), x)
        else:
            chosen = place.tensor.tolist() if isinstance(place, Array) else list(place)
            x = graph.put(layers.IndexSelect(dim, chosen), x)
    left = [place for place in places if not isinstance(place, int)]
    for number, place in enumerate(left):
        if place is None:
            x = unsqueeze(graph, x, number)
    return x


def channel_shuffle(graph: Importer, input: Any, groups: int) -> Tensor:
    x = graph.value(input)
    channels, *rest = x.known
    parted = graph.put(layers.Unflatten(1, (groups, channels // groups)), x)
    return reshape(graph, transpose(graph, parted, 1, 2), BATCH, channels, *rest)


# Shapes, types, and what leaves a tensor as it is


def size(graph: Importer, input: Any, dim: int | None = None) -> Any:
    if isinstance(input, Turned):
        known = (BATCH, *input.value.known)
        sizes: Any = tuple(known[axis] for axis in input.dims)
    else:
        x = graph.value(input)
        sizes = UnknownSizes() if x.shape is None else (BATCH, *x.shape)
    return sizes if dim is None else sizes[dim]


def dim(graph: Importer, input: Any) -> int:
    return len(input.dims) if isinstance(input, Turned) else graph.value(input).rank


def attribute(graph: Importer, input: Any, name: str) -> Any:
    """`x.shape` and the like."""
    if name == "shape":
        return size(graph, input)
    if name == "ndim":
        return dim(graph, input)
    if name == "mT":
        return transpose(graph, input, -2, -1)
    if name in ("dtype", "device"):
        return None
    raise Unconvertible(f"tensors have no {name!r} here")


def same(graph: Importer, input: Any, *args: Any, **kwargs: Any) -> Any:
    return input


def detach(graph: Importer, input: Any) -> Tensor:
    raise Unconvertible("gradients stop nowhere within a model: freeze its lower part")
