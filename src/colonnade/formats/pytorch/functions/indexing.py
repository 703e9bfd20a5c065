"""Functions of PyTorch that take a part of a tensor, as layers.

A function here has the name and the arguments of the one in PyTorch; `graph` is where it puts its layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .... import layers
from ..values import Array, Tensor, Turned, Unconvertible, Value, array_of
from .axes import cat, permute, sizes_of, unsqueeze
from .shapes import dim

if TYPE_CHECKING:
    from ..importer import Importer


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


def _part_of_turned(graph: Importer, x: Tensor, places: list[Any]) -> Tensor:
    """x[i, a:b, …] of axes that were moved past the batch's."""
    if Ellipsis in places:
        gap = places.index(Ellipsis)
        places[gap : gap + 1] = [slice(None)] * (dim(graph, x) - len(places) + 1)
    for axis in reversed(range(len(places))):
        place = places[axis]
        if isinstance(place, int):
            x = select(graph, x, axis, place)
        elif not isinstance(place, slice):
            raise Unconvertible("of axes that were moved past the batch's, only numbers and ranges can be selected")
        elif place != slice(None):
            x = _range(graph, x, axis, place)
    return x


def _range(graph: Importer, x: Tensor, axis: int, place: slice) -> Tensor:
    """x[…, a:b], along one axis."""
    along = x.dims[axis] if isinstance(x, Turned) else axis
    if along == 0:
        raise Unconvertible("images of the batch can't be selected")
    layer = layers.Slice(along, place.start, place.stop, place.step or 1)
    if not isinstance(x, Turned):
        return graph.put(layer, x)
    return Turned(graph.value(graph.put(layer, x.value)), x.dims, f"{graph.name}_permute")


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
        return _part_of_turned(graph, input, places)
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
    for axis in sizes_of(dims):
        x = graph.put(layers.Slice(graph.value(x).axis(axis), None, None, -1), x)
    return x


def gather(graph: Importer, input: Any, dim: int, index: Any, sparse_grad: bool = False) -> Tensor:
    """Along the other axes only as far as `index` goes."""
    x = graph.value(input)
    places = graph.constant(index, x.rank) if isinstance(index, Array) else graph.value(index)
    axis = x.axis(dim)
    for each, (size, wanted) in enumerate(zip(x.known, places.known, strict=True), 1):
        if each != axis and size != wanted:
            x = graph.value(narrow(graph, x, each, 0, wanted))
    return graph.put(layers.TakeAlongDim(axis), x, places)


def topk(
    graph: Importer, input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[Tensor, Tensor]:
    """The numbers and their places."""
    x = graph.value(input)
    axis = x.axis(dim)
    places = graph.put(layers.TopKIndices(k, axis, largest), x)
    return graph.put(layers.TakeAlongDim(axis), x, places), places


def sort(
    graph: Importer, input: Any, dim: int = -1, descending: bool = False, stable: bool = False
) -> tuple[Tensor, Tensor]:
    x = graph.value(input)
    return topk(graph, x, x.known[x.axis(dim) - 1], dim, descending)


def argsort(graph: Importer, input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    return sort(graph, input, dim, descending)[1]


def one_hot(graph: Importer, input: Any, num_classes: int = -1) -> Tensor:
    if num_classes < 1:
        raise Unconvertible("num_classes must be given: it would depend on the numbers")
    return graph.put(layers.OneHot(num_classes), input)


def cumsum(graph: Importer, input: Any, dim: int, dtype: Any = None) -> Tensor:
    return graph.put(layers.CumSum(dim), input)


def scatter(graph: Importer, input: Any, dim: int, index: Any, src: Any, reduce: str | None = None) -> Tensor:
    """x with other numbers at places that are computed; they may be one number for all."""
    kind = {None: "none", "multiply": "mul"}.get(reduce, str(reduce))
    x, places = graph.value(input), graph.value(index)
    if isinstance(src, int | float):
        numbers = graph.value(graph.call_function("full_like", places, src))
    else:
        numbers = graph.value(src)
        for axis, (size, wanted) in enumerate(zip(numbers.known, places.known, strict=True), 1):
            if size != wanted:
                numbers = graph.value(narrow(graph, numbers, axis, 0, wanted))
    return graph.put(layers.ScatterAlongDim(x.axis(dim), kind), x, places, numbers)


def scatter_add(graph: Importer, input: Any, dim: int, index: Any, src: Any) -> Tensor:
    return scatter(graph, input, dim, index, src, "add")


def take_along_dim(graph: Importer, input: Any, indices: Any, dim: int) -> Tensor:
    x = graph.value(input)
    places = graph.constant(indices, x.rank) if isinstance(indices, Array) else indices
    return graph.put(layers.TakeAlongDim(x.axis(dim)), x, places)


def slice_scatter(
    graph: Importer, input: Any, src: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """x with other numbers in a part of it."""
    x = graph.value(input)
    axis = x.axis(dim)
    size = x.known[axis - 1]
    places = range(size)[slice(start, end, step)]
    if step != 1:
        raise Unconvertible(f"step must be 1, got {step}")
    if not isinstance(src, Value | Turned):
        src = graph.pair(x, src)[1]
    parts = [
        *([narrow(graph, x, axis, 0, places.start)] if places.start else []),
        *([src] if len(places) else []),
        *([narrow(graph, x, axis, places.stop, size - places.stop)] if places.stop < size else []),
    ]
    return cat(graph, parts, axis) if len(parts) > 1 else parts[0]


def select_scatter(graph: Importer, input: Any, src: Any, dim: int, index: int) -> Tensor:
    """x with other numbers at one place of an axis."""
    x = graph.value(input)
    place = index % x.known[x.axis(dim) - 1]
    return slice_scatter(graph, x, unsqueeze(graph, src, x.axis(dim)), dim, place, place + 1)
