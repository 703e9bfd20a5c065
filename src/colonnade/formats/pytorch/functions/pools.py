"""Pools of PyTorch, as layers.

A function here has the name and the arguments of the one in PyTorch; `graph` is where it puts its layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .... import layers
from ....layers.base import Layer
from ..values import Convert, Tensor, Unconvertible

if TYPE_CHECKING:
    from ..importer import Importer


def max_pool(kind: Callable[..., Layer]) -> Convert:
    def convert(
        graph: Importer, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = False,
    ) -> Tensor:  # fmt: skip
        if return_indices:
            raise Unconvertible("return_indices must be False, got True")
        layer = kind(kernel_size, stride or None, padding, dilation, ceil_mode=ceil_mode)
        return graph.put(layer, input)

    return convert


def adaptive_max_pool(kind: Callable[..., Layer]) -> Convert:
    def convert(graph: Importer, input: Any, output_size: Any, return_indices: bool = False) -> Tensor:
        if return_indices:
            raise Unconvertible("return_indices must be False, got True")
        return graph.put(kind(output_size), input)

    return convert


def adaptive_avg_pool1d(graph: Importer, input: Any, output_size: Any) -> Tensor:
    one = output_size in (1, (1,), [1])
    return graph.put(layers.Mean(2, keepdim=True) if one else layers.AdaptiveAvgPool1d(output_size), input)
