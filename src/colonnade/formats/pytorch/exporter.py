"""A model as a module of PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ... import layers
from ...composites import Branches, Chain, Graph, Node, Residual
from ...errors import ArgumentError, StateError
from ...layers.base import Layer
from ...model import Model
from . import counterparts

# Layers of the same arguments under another name, or that need a little more than the layer of the name.
RENAMED: dict[type[Layer], type[nn.Module]] = {
    layers.Constant: counterparts.Constant,
    layers.Dense: nn.Linear,
    layers.Embedding: counterparts.Embedding,
    layers.GRU: counterparts.GRU,
    layers.LSTM: counterparts.LSTM,
    layers.MultiheadAttention: counterparts.MultiheadAttention,
    layers.RNN: counterparts.RNN,
}


def convert(model: Model) -> nn.Module:
    """See :func:`colonnade.formats.pytorch.to_torch`."""
    module = Exporter().convert(model.body, "").to(getattr(torch, model.dtype.name))
    module.load_state_dict({name: torch.from_numpy(array) for name, array in model.state_dict().items()})
    for step in model.steps:
        for _, parameter in step.layer.parameters():
            if not parameter.fixed and not (parameter.trainable and step.layer.trainable):
                module.get_parameter(parameter.name).requires_grad_(False)
    for path in model.fixed:
        holder = module.get_submodule(path.rpartition(".")[0])
        tensor = holder._parameters.pop(path.rpartition(".")[2])
        holder.register_buffer(path.rpartition(".")[2], None if tensor is None else tensor.detach())
    # What PyTorch has no place for goes along beside it.
    module.colonnade = {name: value for name, value in model.description().items() if name != "architecture"}
    return module


class Exporter:
    """Makes a module of each node; of a layer that stands in several places, one."""

    def __init__(self) -> None:
        self._made: dict[Node, nn.Module] = {}

    def convert(self, node: Node, name: str) -> nn.Module:
        """The module of a node, whose place in the model is `name`."""
        if node not in self._made:
            self._made[node] = self._convert(node, name)
        return self._made[node]

    def _convert(self, node: Any, name: str) -> nn.Module:
        if isinstance(node, Model):
            node = node.body
        if isinstance(node, Chain):
            return self._chain(node, name)
        if isinstance(node, Residual):
            return counterparts.Residual(
                self._chain(node.main, f"{name}.main"), self._chain(node.shortcut, f"{name}.shortcut")
            )
        if isinstance(node, Branches):
            return counterparts.Branches(
                *(self._chain(path, f"{name}.{number}") for number, path in enumerate(node.paths))
            )
        if isinstance(node, Graph):
            nodes = {each: (self.convert(node.nodes[each], f"{name}.{each}"), node.reads[each]) for each in node.nodes}
            return counterparts.Graph(nodes, node.inputs, node.outputs)
        return self._layer(node, name.removeprefix("."))

    def _chain(self, chain: Chain, name: str) -> nn.Sequential:
        return nn.Sequential(*(self.convert(layer, f"{name}.{number}") for number, layer in enumerate(chain)))

    def _layer(self, layer: Any, name: str) -> nn.Module:
        kind = type(layer)
        if getattr(layers, kind.__name__, None) is not kind:
            raise _unknown(name, kind, "it is a layer of your own")
        try:
            arguments = layer.config()
        except StateError as error:
            raise _unknown(name, kind, str(error)) from None
        if kind is layers.LayerNorm2d:
            return counterparts.LayerNorm2d(arguments["num_channels"], arguments["eps"], arguments["affine"])
        if kind in RENAMED:
            return RENAMED[kind](**arguments)
        if kind.__name__ in counterparts.OPERATIONS:
            return counterparts.Operation(kind.__name__, **arguments)
        module: type[nn.Module] | None = getattr(nn, kind.__name__, None)
        if module is None:
            raise _unknown(name, kind, "torch.nn has no such module")
        return module(**arguments)


def _unknown(name: str, kind: type[Layer], reason: str) -> ArgumentError:
    return ArgumentError(f"to_torch: layer {name}, {kind.__name__}, has no counterpart in PyTorch: {reason}.")
