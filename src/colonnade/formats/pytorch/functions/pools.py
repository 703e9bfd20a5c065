"""Pools of PyTorch, as layers.

A function here has the name and the arguments of the one in PyTorch; `graph` is where it puts its layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .... import layers
from ....layers.base import Layer
from ..values import NOTHING, Convert, Tensor

if TYPE_CHECKING:
    from ..importer import Importer


def max_pool(kind: Callable[..., Layer]) -> Convert:
    def convert(
        graph: Importer, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = False,
    ) -> Tensor:  # fmt: skip
        return graph.put(kind(kernel_size, stride or None, padding, dilation, return_indices, ceil_mode), input)

    return convert


def with_places(pool: Convert) -> Convert:
    """The same beside the places of the maxima, which no layer puts out."""

    def convert(graph: Importer, *args: Any, return_indices: bool = True, **kwargs: Any) -> Any:
        return pool(graph, *args, **kwargs), NOTHING

    return convert


def adaptive_avg_pool1d(graph: Importer, input: Any, output_size: Any) -> Tensor:
    one = output_size in (1, (1,), [1])
    return graph.put(layers.Mean(2, keepdim=True) if one else layers.AdaptiveAvgPool1d(output_size), input)
