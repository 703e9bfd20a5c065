"""Windows of images and sequences in PyTorch, as layers.

A function here has the name and the arguments of the one in PyTorch; `graph` is where it puts its layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .... import layers
from ..values import Tensor, Unconvertible, Value
from .axes import permute, reshape

if TYPE_CHECKING:
    from ..importer import Importer


def unfold(graph: Importer, input: Any, *arguments: Any, **named: Any) -> Tensor:
    """`Tensor.unfold`, windows along one axis, or `torch.nn.functional.unfold`, windows of images as columns."""
    names = ("dimension", "size", "step") if len(arguments) == 3 and not named else FOLDING
    given = dict(zip(names, arguments, strict=False)) | named
    if "kernel_size" not in given:
        return _unfold_axis(graph, graph.value(input), **given)
    return graph.put(layers.Unfold(*(_pair(given.get(key, least)) for key, least in FOLDING.items())), input)


def fold(
    graph: Importer,
    input: Any,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    sizes = (_pair(each) for each in (output_size, kernel_size, dilation, padding, stride))
    return graph.put(layers.Fold(*sizes), input)


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
