"""PyTorch's recurrent networks, and one step of them.

A function here has the name and the arguments of the one in PyTorch; `graph` is where it puts its layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .... import layers
from ....layers.base import Layer
from ..modules import recurrent
from ..values import NOTHING, Convert, Tensor, Unconvertible, array_of
from .arithmetic import add, mul
from .products import linear

if TYPE_CHECKING:
    from ..importer import Importer


def _gates(graph: Importer, x: Any, weight: Any, bias: Any, parts: int) -> list[Tensor]:
    """x Wᵀ + b, cut into so many parts."""
    y, size = linear(graph, x, weight, bias), weight.tensor.shape[0] // parts
    return [graph.put(layers.Slice(1, size * part, size * (part + 1)), y) for part in range(parts)]


def lstm_cell(
    graph: Importer, input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None
) -> tuple[Tensor, Tensor]:
    h, c = hx
    pairs = zip(_gates(graph, input, w_ih, b_ih, 4), _gates(graph, h, w_hh, b_hh, 4), strict=True)
    kinds: list[type[Layer]] = [layers.Sigmoid, layers.Sigmoid, layers.Tanh, layers.Sigmoid]
    i, f, g, o = (graph.put(kind(), add(graph, *pair)) for kind, pair in zip(kinds, pairs, strict=True))
    c = add(graph, mul(graph, f, c), mul(graph, i, g))
    return mul(graph, o, graph.put(layers.Tanh(), c)), c


def gru_cell(graph: Importer, input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Tensor:
    of_input, of_state = _gates(graph, input, w_ih, b_ih, 3), _gates(graph, hx, w_hh, b_hh, 3)
    r, z = (graph.put(layers.Sigmoid(), add(graph, of_input[gate], of_state[gate])) for gate in (0, 1))
    n = graph.put(layers.Tanh(), add(graph, of_input[2], mul(graph, r, of_state[2])))
    return add(graph, n, mul(graph, z, graph.join(layers.Sub, hx, n)))


def rnn_cell(kind: type[Layer]) -> Convert:
    def convert(
        graph: Importer, input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None
    ) -> Tensor:
        return graph.put(kind(), add(graph, linear(graph, input, w_ih, b_ih), linear(graph, hx, w_hh, b_hh)))

    return convert


def network(kind: type[Any], **how: Any) -> Convert:
    """All steps, as torch.export has them: of weights that are handed over, layer by layer."""

    def convert(
        graph: Importer, input: Any, hx: Any, params: Any, has_biases: bool, num_layers: int, dropout: float,
        train: bool, bidirectional: bool, batch_first: bool,
    ) -> Any:  # fmt: skip
        if not isinstance(has_biases, bool):
            raise Unconvertible("sequences of several lengths in one tensor are not supported")
        arrays = [array_of(each) for each in params]
        inputs, size = arrays[0].tensor.shape[1], arrays[1].tensor.shape[1]
        layer = kind(inputs, size, num_layers, bias=has_biases, dropout=dropout, bidirectional=bidirectional, **how)
        names = [name for name, _ in layer.parameters()]
        if len(names) != len(arrays):
            raise Unconvertible("its states are not as wide as its gates")
        held = dict(zip(names, arrays, strict=True))
        y, states = recurrent(graph, layer, held, None, input, hx, batch_first)
        several = states if isinstance(states, tuple) else (states,) * layer.states if states is NOTHING else (states,)
        return y, *several

    return convert
