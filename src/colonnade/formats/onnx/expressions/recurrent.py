"""Recurrent layers in the operators of ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np

from .... import layers
from ....layers.recurrent import Recurrent
from ..writer import Expression, GraphWriter

# Which of our gates each of ONNX's is.
GATES = {layers.RNN: (0,), layers.LSTM: (0, 3, 1, 2), layers.GRU: (1, 0, 2)}


def recurrent(graph: GraphWriter, layer: Recurrent, x: str, *initial: str) -> str:
    """An operator for each layer; ONNX has (t, n, d), and states (directions, n, k)."""
    ends = ("", "_reverse") if layer.bidirectional else ("",)
    shape = graph.output_shape
    if len(shape) == 3:  # rows of images, each a sequence by itself
        x = graph.node("Reshape", x, graph.constant("apart", [-1, shape[1] - layer.state_rows, layer.input_size]))
    sequence = graph.node("Transpose", x, perm=[1, 0, 2])
    begins = [graph.node("Transpose", each, perm=[1, 0, 2]) for each in initial]
    last: list[list[str]] = [[] for _ in range(layer.states)]
    for number in range(layer.num_layers):
        weights = [
            _joined(graph, layer, [f"{kind}_l{number}{end}" for end in ends]) for kind in ("weight_ih", "weight_hh")
        ]
        bias = ""
        if layer.bias:
            parts = [
                _joined(graph, layer, [f"{kind}_l{number}{end}" for end in ends]) for kind in ("bias_ih", "bias_hh")
            ]
            bias = graph.node("Concat", *parts, axis=1)
        own = [_part(graph, each, number, len(ends), layer.num_layers) for each in begins]
        kind = type(layer).__name__
        outputs = graph.several(kind, 1 + layer.states, sequence, *weights, bias, "", *own, **_attributes(layer))
        parted = graph.node("Transpose", outputs[0], perm=[0, 2, 1, 3])  # (t, n, directions, k)
        sequence = graph.node("Reshape", parted, graph.constant("joined", [0, 0, -1]))
        for found, state in zip(last, outputs[1:], strict=True):
            found.append(state)
    y = graph.node("Transpose", sequence, perm=[1, 0, 2])
    rows = [
        graph.node("Reshape", graph.node("Transpose", state, perm=[1, 0, 2]), graph.constant("row", [0, 1, -1]))
        for found in last
        for state in found
    ]
    if layer.return_states:
        y = graph.node("Concat", y, *rows, axis=1)
    return graph.node("Reshape", y, graph.constant("together", [-1, *shape])) if len(shape) == 3 else y


def _attributes(layer: Recurrent) -> dict[str, Any]:
    directions = 2 if layer.bidirectional else 1
    how: dict[str, Any] = {"hidden_size": layer.hidden_size}
    how["direction"] = "bidirectional" if layer.bidirectional else "forward"
    if isinstance(layer, layers.RNN):
        how["activations"] = [{"tanh": "Tanh", "relu": "Relu"}[layer.nonlinearity]] * directions
    if isinstance(layer, layers.GRU):
        how["linear_before_reset"] = int(layer.reset_after)
    return how


def _joined(graph: GraphWriter, layer: Recurrent, names: list[str]) -> str:
    """The parameters of all directions, (directions, gates · k, ...), the gates in ONNX's order."""
    order = [gate * layer.hidden_size + row for gate in GATES[type(layer)] for row in range(layer.hidden_size)]
    made = []
    for name in names:
        array = graph.parameter(name)
        if order != sorted(order):
            array = graph.node("Gather", array, graph.constant("gates", order), axis=0)
        made.append(graph.node("Unsqueeze", array, graph.constant("direction", [0])))
    return graph.node("Concat", *made, axis=0) if len(made) > 1 else made[0]


def _part(graph: GraphWriter, states: str, number: int, directions: int, count: int) -> str:
    """The states of one layer."""
    if count == 1:
        return states
    return graph.node("Gather", states, graph.constant("layer", np.arange(directions) + number * directions), axis=0)


EXPRESSIONS: dict[type[layers.Layer], Expression] = {
    layers.GRU: recurrent,
    layers.LSTM: recurrent,
    layers.RNN: recurrent,
}
