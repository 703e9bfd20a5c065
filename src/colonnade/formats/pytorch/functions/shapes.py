"""Functions of PyTorch that ask for shapes and types, or leave a tensor as it is.

A function here has the name and the arguments of the one in PyTorch; `graph` is where it puts its layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..values import BATCH, Merged, Rows, Tensor, Turned, Unconvertible, UnknownSizes

if TYPE_CHECKING:
    from ..importer import Importer


def size(graph: Importer, input: Any, dim: int | None = None) -> Any:
    if isinstance(input, Turned):
        known = (input.value.batch, *input.value.known)
        sizes: Any = tuple(known[axis] for axis in input.dims)
    elif isinstance(input, Rows):
        steps, features = input.value.known
        sizes = (BATCH * steps, features)
    elif isinstance(input, Merged):
        channels, *rest = input.value.known
        sizes = (1, BATCH * channels, *rest)
    else:
        x = graph.value(input)
        sizes = UnknownSizes() if x.shape is None else (x.batch, *x.shape)
    return sizes if dim is None else sizes[dim]


def dim(graph: Importer, input: Any) -> int:
    if isinstance(input, Rows):
        return 2
    if isinstance(input, Merged):
        return input.value.rank
    return len(input.dims) if isinstance(input, Turned) else graph.value(input).rank


def same(graph: Importer, input: Any, *args: Any, **kwargs: Any) -> Any:
    return input


def detach(graph: Importer, input: Any) -> Tensor:
    raise Unconvertible("gradients stop nowhere within a model: freeze its lower part")
