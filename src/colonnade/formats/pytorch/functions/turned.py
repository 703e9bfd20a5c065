"""Functions of PyTorch along axes of tensors whose axes were moved: the same along those from before, moved after."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..values import Convert, Tensor, Turned, Unconvertible, Value
from .axes import permute, sizes_of

if TYPE_CHECKING:
    from ..importer import Importer

# Functions of tensors of one shape, but for the length of an axis, and what they call the axes.
ALONG = {
    **dict.fromkeys(
        ("cat", "chunk", "concat", "cumsum", "log_softmax", "narrow", "softmax", "split", "squeeze"), "dim"
    ),
    **dict.fromkeys(("amax", "amin", "logsumexp", "max", "mean", "min", "norm", "prod", "std", "sum", "var"), "dim"),
    "flip": "dims",
}


def along(graph: Importer, name: str, function: Convert, args: Any, kwargs: Any) -> Any:
    """What a function along axes makes of tensors whose axes were moved alike; None where it is no such call."""
    if name not in ALONG:
        return None
    bound = inspect.signature(function).bind(graph, *args, **kwargs)
    bound.apply_defaults()
    tensors = [each for each in _leaves(list(bound.arguments.values())) if isinstance(each, Value | Turned)]
    moves = {each.dims if isinstance(each, Turned) else None for each in tensors}
    given = bound.arguments.get(ALONG[name])
    dims = moves.pop()
    if moves or dims is None or given is None or isinstance(given, bool):
        return None
    asked = (given,) if isinstance(given, int) else sizes_of(tuple(given))
    if not all(isinstance(axis, int) and -len(dims) <= axis < len(dims) for axis in asked):
        return None
    axes = [dims[axis] for axis in asked]
    if 0 in axes:
        raise Unconvertible("the images of a batch would be mixed")
    bound.arguments[ALONG[name]] = axes[0] if isinstance(given, int) else tuple(axes)
    for key, each in bound.arguments.items():
        if isinstance(each, Turned):
            bound.arguments[key] = each.value
        elif isinstance(each, list | tuple) and any(isinstance(part, Turned) for part in each):
            bound.arguments[key] = [part.value for part in each]

    def moved(made: Any) -> Any:
        return tuple(map(moved, made)) if isinstance(made, tuple) else _moved(graph, graph.value(made), dims, axes)

    return moved(function(*bound.args, **bound.kwargs))


def _moved(graph: Importer, made: Value, dims: tuple[int, ...], axes: Sequence[int]) -> Tensor:
    """The axes moved as before, but for those that are gone."""
    if made.rank == len(dims):
        return Turned(made, dims, f"{made.name}_permute")
    left = [axis for axis in dims if axis not in axes]
    return permute(graph, made, [sorted(left).index(axis) for axis in left])


def _leaves(values: Sequence[Any]) -> Iterator[Any]:
    for each in values:
        if isinstance(each, list | tuple):
            yield from _leaves(each)
        else:
            yield each
