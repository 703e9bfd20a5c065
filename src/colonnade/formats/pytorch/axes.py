"""Functions of PyTorch that move numbers, or ask where they are, as layers.

A function here has the name and the arguments of the one in PyTorch; `graph` is where it puts its layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import torch

from ... import layers
from .values import (
    BATCH,
    STEPS_FIRST,
    Array,
    Batch,
    Fixed,
    Tensor,
    Turned,
    Unconvertible,
    UnknownSizes,
    Value,
    array_of,
)

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
    if x.shape is None:
        if isinstance(images, Batch) and images != BATCH:
            x.known  # noqa: B018 - raises
        return graph.put(layers.Flatten() if rest == (-1,) else layers.Reshape(rest), x)
    windows = _windows_of(math.prod(x.whole), images, rest)
    if -1 in rest:
        left = math.prod(x.whole) // (windows * -math.prod(rest))
        rest = tuple(left if size == -1 else size for size in rest)
    if rest == x.shape and windows == (x.windows or 1):
        return x
    x = graph.together(x)
    if windows > 1:
        shape = (windows, *rest)
        return graph.parted(x if shape == x.shape else graph.put(layers.Reshape(shape), x), windows)
    if rest == x.shape:
        return x
    return graph.put(layers.Flatten() if len(rest) == 1 else layers.Reshape(rest), x)


def _windows_of(numbers: int, images: Any, rest: tuple[int, ...]) -> int:
    """How many tensors of the shape `rest` each image becomes, of so many numbers an image."""
    times: Any = images.times if isinstance(images, Batch) else Fraction(numbers, max(math.prod(rest), 1))
    fits = numbers % (times * math.prod(rest)) == 0 if -1 in rest else numbers == times * math.prod(rest)
    if times.denominator != 1 or not fits or (images == -1 and -1 in rest):
        raise Unconvertible("the images of a batch would be mixed")
    return int(times)


def flatten(graph: Importer, input: Any, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    if start_dim != 0:
        return graph.put(layers.Flatten(start_dim, end_dim), input)
    x = graph.value(input)
    end = end_dim + x.rank if end_dim < 0 else end_dim
    if end == x.rank - 1 and end:
        raise Unconvertible("the images of a batch would be mixed: start_dim must be 1 or more")
    return reshape(graph, x, x.batch * math.prod(x.known[:end]), *x.known[end:])


def unflatten(graph: Importer, input: Any, dim: int, sizes: Sequence[int]) -> Tensor:
    x = graph.value(input)
    if dim == 0:
        return reshape(graph, x, *sizes, *x.known)
    return graph.put(layers.Unflatten(dim, tuple(sizes)), x)


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
    return reshape(graph, x, x.batch, *shape)


def unsqueeze(graph: Importer, input: Any, dim: int) -> Tensor:
    x = graph.value(input)
    axis = dim + x.rank + 1 if dim < 0 else dim
    if axis == 0:
        raise Unconvertible("the axis of the batch must stay the first")
    return reshape(graph, x, x.batch, *x.known[: axis - 1], 1, *x.known[axis - 1 :])


def expand(graph: Importer, input: Any, *sizes: Any) -> Tensor:
    images, *rest = _sizes(sizes)
    if isinstance(input, Array) and len(rest) == 2 and isinstance(rest[0], Batch) and input.tensor.ndim == 3:
        # First states of a recurrent layer, (layers, n, k).
        if (images, rest[1]) not in (tuple(input.tensor.shape[::2]), (-1, -1)) or input.tensor.shape[1] != 1:
            raise Unconvertible("a parameter must be expanded along the batch alone")
        states = Array(input.path, input.tensor.transpose(0, 1), input.parameter)
        return Turned(graph.constant(states, 3), STEPS_FIRST, graph.name)
    if isinstance(input, Array | Fixed):
        if not isinstance(images, Batch):
            raise Unconvertible("a parameter must be expanded to the number of images, x.shape[0]")
        if images != BATCH:  # as many times for each image
            one = graph.constant(input, len(rest) + 2)
            shape = (int(images.times), *_whole(tuple(rest)))
            return graph.parted(graph.put(layers.Expand(shape), one), shape[0])
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
    if isinstance(input, Array | Fixed):
        if images != BATCH:
            raise Unconvertible("a parameter must be repeated for each image, x.shape[0] times")
        input = graph.constant(input, len(rest) + 1)
    elif images != 1:
        raise Unconvertible("the images of a batch can't be repeated")
    counts = _whole(tuple(rest))
    return input if set(counts) == {1} else graph.put(layers.Tile(counts), input)


def expand_as(graph: Importer, input: Any, other: Any) -> Tensor:
    if isinstance(input, Value | Turned):
        missing = dim(graph, other) - dim(graph, input)
        if missing:
            raise Unconvertible(f"expected tensors of as many axes each, got {missing} more")
    return expand(graph, input, *size(graph, other))


def cat(graph: Importer, tensors: Sequence[Any], dim: int = 0) -> Tensor:
    return graph.put(layers.Concat(dim), *tensors)


def stack(graph: Importer, tensors: Sequence[Any], dim: int = 0) -> Tensor:
    if dim == 0:  # in front of the batch
        y = cat(graph, [unsqueeze(graph, tensor, 1) for tensor in tensors], 1)
        return transpose(graph, y, 0, 1)
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
    return reshape(graph, transpose(graph, parted, 1, 2), x.batch, channels, *rest)


def reshape_as(graph: Importer, input: Any, other: Any) -> Tensor:
    return reshape(graph, input, *size(graph, other))


def movedim(graph: Importer, input: Any, source: Any, destination: Any) -> Tensor:
    axes = dim(graph, input)
    given = [[each] if isinstance(each, int) else list(each) for each in (source, destination)]
    sources, destinations = ([axis % axes for axis in each] for each in given)
    left = iter(axis for axis in range(axes) if axis not in sources)
    places = dict(zip(destinations, sources, strict=True))
    return permute(graph, input, [places[axis] if axis in places else next(left) for axis in range(axes)])


def roll(graph: Importer, input: Any, shifts: Any, dims: Any = None) -> Tensor:
    """x, whose last places along some axes come first."""
    x = graph.value(input)
    if dims is None:
        raise Unconvertible("the images of a batch would be mixed: dims must be given")
    given = [(shifts,), (dims,)] if isinstance(shifts, int) else [shifts, dims]
    y: Tensor = x
    for shift, axis in zip(*given, strict=True):
        length = x.known[x.axis(axis) - 1]
        start = -shift % length
        if start:
            y = cat(graph, [narrow(graph, y, axis, start, length - start), narrow(graph, y, axis, 0, start)], axis)
    return y


def flip(graph: Importer, input: Any, *dims: Any) -> Tensor:
    x: Tensor = graph.value(input)
    for axis in _sizes(dims):
        x = graph.put(layers.Slice(graph.value(x).axis(axis), None, None, -1), x)
    return x


def unfold(graph: Importer, input: Any, *arguments: Any, **named: Any) -> Tensor:
    """`Tensor.unfold`, windows along one axis, or `torch.nn.functional.unfold`, windows of images as columns."""
    names = ("dimension", "size", "step") if len(arguments) == 3 and not named else FOLDING
    given = dict(zip(names, arguments, strict=False)) | named
    if "kernel_size" not in given:
        return _unfold_axis(graph, graph.value(input), **given)
    kernel, dilation, padding, stride = (_pair(given.get(key, least)) for key, least in FOLDING.items())
    x = graph.value(input)
    channels, *sizes = x.known
    if any(padding):
        x = graph.value(graph.put(layers.ZeroPad2d((padding[1], padding[1], padding[0], padding[0])), x))
        sizes = list(x.known[1:])
    counts = [
        (size - far * (places - 1) - 1) // step + 1
        for size, places, far, step in zip(sizes, kernel, dilation, stride, strict=True)
    ]
    if min(counts) < 1:
        raise Unconvertible(f"a window of {kernel} does not fit into {tuple(sizes)}")
    y: Tensor = x
    for axis, (count, places, far, step) in enumerate(zip(counts, kernel, dilation, stride, strict=True), 2):
        index = [place * far + number * step for place in range(places) for number in range(count)]
        y = graph.put(layers.IndexSelect(axis, index), y)
    shape = (channels, kernel[0], counts[0], kernel[1], counts[1])
    y = permute(graph, reshape(graph, y, x.batch, *shape), (0, 1, 2, 4, 3, 5))
    return reshape(graph, y, x.batch, channels * math.prod(kernel), math.prod(counts))


# The arguments of `torch.nn.functional.unfold`.
FOLDING: dict[str, Any] = {"kernel_size": None, "dilation": 1, "padding": 0, "stride": 1}


def _pair(x: Any) -> tuple[int, int]:
    return (x, x) if isinstance(x, int) else (x[0], x[-1])


def _unfold_axis(graph: Importer, x: Value, dimension: int, size: int, step: int) -> Tensor:
    axis = x.axis(dimension)
    count = (x.known[axis - 1] - size) // step + 1
    if count < 1:
        raise Unconvertible(f"a window of {size} does not fit into {x.known[axis - 1]}")
    index = [number * step + place for number in range(count) for place in range(size)]
    y = graph.put(layers.IndexSelect(axis, index), x)
    y = reshape(graph, y, x.batch, *x.known[: axis - 1], count, size, *x.known[axis:])
    order = [each for each in range(x.rank + 1) if each != axis + 1]
    return permute(graph, y, (*order, axis + 1))


def zeros_like(graph: Importer, input: Any, **options: Any) -> Any:
    return _full(graph, input, 0.0)


def ones_like(graph: Importer, input: Any, **options: Any) -> Any:
    return _full(graph, input, 1.0)


def _full(graph: Importer, input: Any, number: float) -> Any:
    x = graph.value(input)
    return expand(graph, Array("number", torch.full(x.known, number, dtype=torch.float64)), x.batch, *x.known)


# Shapes, types, and what leaves a tensor as it is


def size(graph: Importer, input: Any, dim: int | None = None) -> Any:
    if isinstance(input, Turned):
        known = (input.value.batch, *input.value.known)
        sizes: Any = tuple(known[axis] for axis in input.dims)
    else:
        x = graph.value(input)
        sizes = UnknownSizes() if x.shape is None else (x.batch, *x.shape)
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
