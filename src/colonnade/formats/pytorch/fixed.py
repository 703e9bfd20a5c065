"""Functions of parameters alone, whose result is the same for every image.

Colonnade calculates it for each image, (n, ...), so that the gradients add up over the batch. What PyTorch calls axis 0
is axis 1 here.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from ... import layers
from .axes import getitem, reshape
from .calculations import Convert
from .values import BATCH, Array, Fixed, Tensor, Unconvertible, Value

if TYPE_CHECKING:
    from .importer import Importer

# Arguments that name axes.
AXES = ("dim", "dim0", "dim1", "start_dim", "end_dim")
# Functions whose arguments are the sizes or places of all axes, and what they have for the batch.
SIZES: dict[str, Any] = {"expand": BATCH, "permute": 0, "repeat": 1, "reshape": BATCH, "view": BATCH}


def fixed(graph: Importer, x: Any) -> Any:
    """An array as a tensor that calculations can begin with; anything else as it is."""
    if isinstance(x, tuple | list):
        return tuple(fixed(graph, each) for each in x)
    if not isinstance(x, Array):
        return x
    return Fixed(graph.constant(x, x.tensor.ndim + 1))


def call(graph: Importer, name: str, convert: Convert, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a function makes of tensors that are the same for every image, and of nothing else."""
    x, *rest = (opened(each) for each in (fixed(graph, args[0]), *args[1:]))
    if name == "getitem":
        return closed(_getitem(graph, x, *rest))
    if name in SIZES:
        sizes = rest[0] if len(rest) == 1 and isinstance(rest[0], tuple | list) else rest
        sizes = [_next(size, x.rank - 1) for size in sizes] if name == "permute" else sizes
        if name == "expand" and len(sizes) > x.rank - 1:
            x = reshape(graph, x, BATCH, *[1] * (len(sizes) - x.rank + 1), *x.known)
        return closed(convert(graph, x, SIZES[name], *sizes))
    given = inspect.signature(convert).bind(graph, x, *rest, **{key: opened(each) for key, each in kwargs.items()})
    given.apply_defaults()
    for key, value in given.arguments.items():
        if key in AXES:
            given.arguments[key] = _next_of_all(value)
        if key == "other" and isinstance(value, Value):
            given.arguments[key], given.arguments["input"] = _alike(graph, value, given.arguments["input"])
    return closed(convert(*given.args, **given.kwargs))


def opened(x: Any) -> Any:
    """What is the same for every image, as a tensor of the batch; a list of such too."""
    if isinstance(x, tuple | list):
        return type(x)(opened(each) for each in x)
    return x.value if isinstance(x, Fixed) else x


def closed(x: Any) -> Any:
    """The other way."""
    if isinstance(x, tuple | list):
        return tuple(closed(each) for each in x)
    if isinstance(x, Value):
        if x.windows:
            raise Unconvertible("what is made of parameters can't be moved into the axis of the batch")
        return Fixed(x)
    return x


def _next(dim: int, rank: int) -> int:
    return dim % rank + 1


def _next_of_all(dim: Any) -> Any:
    if isinstance(dim, int):
        return dim + 1 if dim >= 0 else dim
    return [_next_of_all(each) for each in dim] if isinstance(dim, tuple | list) else dim


def _alike(graph: Importer, left: Value, right: Any) -> tuple[Any, Any]:
    """Two tensors with as many axes each."""
    if not isinstance(right, Value) or left.rank == right.rank:
        return left, right
    rank = max(left.rank, right.rank)
    return graph.constant(Fixed(left), rank), graph.constant(Fixed(right), rank)


def _getitem(graph: Importer, x: Value, index: Any) -> Tensor:
    """x[...]; arrays of places along one axis may have any shape."""
    places = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis not in places:
        places.append(Ellipsis)
    gap = places.index(Ellipsis)
    missing = x.rank - 1 - sum(place is not None for place in places) + 1
    places[gap : gap + 1] = [slice(None)] * missing
    tables = [number for number, place in enumerate(places) if isinstance(place, Array)]
    if not tables:
        return getitem(graph, x, (slice(None), *places))  # type: ignore[no-any-return]
    if len(tables) > 1 or None in places:
        raise Unconvertible("only one axis can be looked up with an array of places")
    axis, tensor = tables[0], places[tables[0]].tensor
    if tensor.is_floating_point():
        raise Unconvertible("places must be whole numbers")
    if str(tensor.dtype) == "torch.bool":
        raise Unconvertible("places must be numbers, not a mask")
    sizes = list(x.known)
    x = graph.value(graph.put(layers.IndexSelect(axis + 1, tensor.reshape(-1).tolist()), x))
    x = graph.value(reshape(graph, x, BATCH, *sizes[:axis], *tensor.shape, *sizes[axis + 1 :]))
    left = [*places[:axis], *[slice(None)] * tensor.ndim, *places[axis + 1 :]]
    return getitem(graph, x, (slice(None), *left))  # type: ignore[no-any-return]
