"""Activations, softmax and dropout of PyTorch, as layers.

A function here has the name and the arguments of the one in PyTorch; `graph` is where it puts its layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .... import layers
from ....layers.base import Layer
from ..values import Convert, Tensor, Unconvertible, array_of
from .arithmetic import join, neg

if TYPE_CHECKING:
    from ..importer import Importer


def logsigmoid(graph: Importer, input: Any) -> Tensor:
    return neg(graph, graph.put(layers.Softplus(), neg(graph, input)))


def softmax(graph: Importer, input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    return _normalized(layers.Softmax, graph, input, dim)


def log_softmax(graph: Importer, input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    return _normalized(layers.LogSoftmax, graph, input, dim)


def _normalized(kind: Callable[[int], Layer], graph: Importer, input: Any, dim: int | None) -> Tensor:
    if dim is None:
        raise Unconvertible("dim must be given")
    return graph.put(kind(dim), input)


def prelu(graph: Importer, input: Any, weight: Any) -> Tensor:
    return graph.weighed(layers.PReLU(array_of(weight).tensor.numel()), {"weight": weight}, input)


def dropout(kind: Callable[[float], Layer]) -> Convert:
    def convert(graph: Importer, input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if training:  # the module was followed as it is outside training
            raise Unconvertible("it is at work outside training too: pass training=self.training")
        return graph.put(kind(p), input)

    return convert


def feature_dropout(graph: Importer, input: Any, p: float = 0.5, training: bool = True) -> Tensor:
    """ATen's, of any number of axes."""
    kinds = {2: layers.Dropout1d, 3: layers.Dropout2d, 4: layers.Dropout3d}
    kind = kinds.get(len(graph.value(input).known))
    if kind is None:
        raise Unconvertible("channels of one to three axes of positions are left out, and no others")
    return dropout(kind)(graph, input, p, training)  # type: ignore[no-any-return]


def stochastic_depth(graph: Importer, input: Any, p: float, mode: str, training: bool = True) -> Any:
    if p:
        graph.warn("Colonnade has no stochastic depth: every path is always there, in training too")
    return input


def softmin(graph: Importer, input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    return softmax(graph, neg(graph, input), dim)


def rrelu(
    graph: Importer, input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False,
    inplace: bool = False,
) -> Tensor:  # fmt: skip
    """LeakyReLU of the mean of the slopes that it draws in training."""
    if training:  # the module was followed as it is outside training
        raise Unconvertible("it draws slopes outside training too: pass training=self.training")
    graph.warn("Colonnade draws no slopes: rrelu has the mean of them, in training too")
    return graph.put(layers.LeakyReLU((lower + upper) / 2), input)


def softshrink(graph: Importer, input: Any, lambd: float = 0.5) -> Tensor:
    """x − λ above λ, x + λ below −λ, 0 between."""
    return join(layers.Sub)(graph, input, graph.put(layers.Hardtanh(-lambd, lambd), input)) if lambd else input


def hardshrink(graph: Importer, input: Any, lambd: float = 0.5) -> Tensor:
    """x, or 0 from −λ to λ."""
    return join(layers.Mul)(graph, input, join(layers.Greater)(graph, graph.put(layers.Abs(), input), lambd))


def tanhshrink(graph: Importer, input: Any) -> Tensor:
    return join(layers.Sub)(graph, input, graph.put(layers.Tanh(), input))
