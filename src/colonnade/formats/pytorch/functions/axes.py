"""Functions of PyTorch that put axes elsewhere, or join tensors along them, as layers.

A function here has the name and the arguments of the one in PyTorch; `graph` is where it puts its layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import torch

from .... import layers
from ..values import BATCH, STEPS_FIRST, Array, Batch, Fixed, Merged, Rows, Tensor, Turned, Unconvertible, Value
from .shapes import dim, size

if TYPE_CHECKING:
    from ..importer import Importer


def sizes_of(sizes: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sizes or axes that were given one by one, or as one sequence."""
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], Sequence) else sizes


def _whole(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    if any(isinstance(size, Batch) for size in sizes):
        raise Unconvertible("the images of a batch would be mixed")
    return sizes


def reshape(graph: Importer, input: Any, *shape: Any) -> Tensor:
    if isinstance(input, Rows) or (isinstance(input, Turned) and input.steps):
        sequence = input.value if isinstance(input, Rows) else graph.sequence(input)
        return _reshape_steps(sequence, sizes_of(shape))
    x = input.value if isinstance(input, Merged) else graph.value(input)
    images, *sizes = sizes_of(shape)
    if images == 1 and sizes and (isinstance(sizes[0], Batch) or (sizes[0] == -1 and len(sizes) > 1)):
        return _merged(graph, x, *sizes)
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
    return graph.put(layers.Flatten() if len(rest) == 1 and x.shape else layers.Reshape(rest), x)


def _merged(graph: Importer, x: Value, channels: Any, *pixels: Any) -> Tensor:
    """Images (n, c, h, w) as (1, n · c, h, w)."""
    numbers = math.prod(_whole(pixels))
    count = channels.times if isinstance(channels, Batch) else Fraction(math.prod(x.whole), numbers)
    if numbers < 1 or count.denominator != 1:
        raise Unconvertible("the images of a batch would be mixed")
    return Merged(graph.value(reshape(graph, x, BATCH, int(count), *pixels)))


def _reshape_steps(sequence: Value, shape: tuple[Any, ...]) -> Tensor:
    """Sequences (t, n, d) as rows (t · n, d), and the other way."""
    steps, features = sequence.known
    ways: list[tuple[tuple[Any, ...], Tensor]] = [
        ((steps, BATCH, features), Turned(sequence, STEPS_FIRST, f"{sequence.name}_permute")),
        ((BATCH * steps, features), Rows(sequence)),
    ]
    for sizes, made in ways:
        fits = all(given in (size, -1) for given, size in zip(shape, sizes, strict=False))
        if len(shape) == len(sizes) and fits and shape.count(-1) <= 1:
            return made
    raise Unconvertible("the axis of the batch must come first")


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
    axes = sizes_of(dims)
    order = tuple(axis % len(axes) for axis in axes)
    if isinstance(input, Merged) and order == (1, 0, *range(2, len(order))):
        channels, *pixels = input.value.known
        return reshape(graph, input.value, BATCH * channels, 1, *pixels)
    if isinstance(input, Turned):
        return graph.turned(input.value, tuple(input.dims[axis] for axis in order))
    return graph.turned(graph.value(input), order)


def transpose(graph: Importer, input: Any, dim0: int, dim1: int) -> Tensor:
    order = list(range(dim(graph, input)))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return permute(graph, input, order)


def t(graph: Importer, input: Any) -> Tensor:
    return transpose(graph, input, 0, 1)


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
    images, *rest = sizes_of(sizes)
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
    images, *rest = sizes_of(repeats)
    if isinstance(input, Array | Fixed):
        if images != BATCH:
            raise Unconvertible("a parameter must be repeated for each image, x.shape[0] times")
        input = graph.constant(input, len(rest) + 1)
    elif images != 1:
        raise Unconvertible("the images of a batch can't be repeated")
    counts = _whole(tuple(rest))
    return input if set(counts) == {1} else graph.put(layers.Tile(counts), input)


def repeat_interleave(graph: Importer, input: Any, repeats: Any, dim: int | None = None, **options: Any) -> Tensor:
    """Each place of an axis so many times; of images, which then stand in the axis of the batch like windows."""
    x = graph.value(input)
    if not isinstance(repeats, int) or dim is None:
        raise Unconvertible("repeats must be a number, the same for all places, and dim be given")
    if dim in (0, -x.rank) and not x.windows:
        one = reshape(graph, x, BATCH, 1, *x.known)
        return graph.parted(graph.put(layers.Expand((repeats, *x.known)), one), repeats)
    axis = x.axis(dim)
    places = [place for place in range(x.known[axis - 1]) for _ in range(repeats)]
    return graph.put(layers.IndexSelect(axis, places), x)


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


def zeros_like(graph: Importer, input: Any, **options: Any) -> Any:
    return _full(graph, input, 0.0)


def ones_like(graph: Importer, input: Any, **options: Any) -> Any:
    return _full(graph, input, 1.0)


def _full(graph: Importer, input: Any, number: float) -> Any:
    x = graph.value(input)
    return expand(graph, Array("number", torch.full(x.known, number, dtype=torch.float64)), x.batch, *x.known)


def attribute(graph: Importer, input: Any, name: str) -> Any:
    """`x.shape` and the like."""
    if name == "shape":
        return size(graph, input)
    if name == "ndim":
        return dim(graph, input)
    if name == "mT":
        return transpose(graph, input, -2, -1)
    if name == "dtype":
        return graph.dtype
    if name == "device":
        return None
    raise Unconvertible(f"tensors have no {name!r} here")


def full_like(graph: Importer, input: Any, fill_value: float, **options: Any) -> Any:
    return _full(graph, input, float(fill_value))


def new_full(graph: Importer, input: Any, size: Any, fill_value: float, **options: Any) -> Any:
    return graph.call_function(torch.full, tuple(size), float(fill_value), dtype=graph.dtype)


def new_zeros(graph: Importer, input: Any, *sizes: Any, **options: Any) -> Any:
    return new_full(graph, input, sizes_of(sizes), 0.0)


def new_ones(graph: Importer, input: Any, *sizes: Any, **options: Any) -> Any:
    return new_full(graph, input, sizes_of(sizes), 1.0)


def copy(graph: Importer, input: Any, src: Any, non_blocking: bool = False) -> Tensor:
    """Other numbers, in the shape of x."""
    x = graph.value(input)
    y = graph.value(graph.pair(x, src)[1])
    return y if y.known == x.known else graph.put(layers.Expand(x.known), y)
