"""Modules whose structure says all that they do."""

from __future__ import annotations

from torch import nn

from ...composites import Branches, Chain, Graph, Node, Residual
from ...errors import ColonnadeError
from . import counterparts
from .modules import HOOKS, layer_of
from .values import Unconvertible, Weights, arrays_of


def structure(module: nn.Module, weights: Weights) -> Node | None:
    """The same composites and layers, for nothing but torch.nn.Sequential and what `to_torch` makes; None for others.

    Names in a Sequential must be positions, as in a Chain; a layer that stands in two places needs a Graph.
    """
    made: dict[nn.Module, Node] = {}
    owned: set[nn.Parameter] = set()

    def convert(module: nn.Module, may_share: bool = False) -> Node | None:
        if module in made and may_share:
            return made[module]
        if module in made and module.state_dict():  # one set of weights in two places
            return None
        if (node := make(module)) is not None:
            made[module] = node
        return node

    def chain(module: nn.Module) -> Chain | None:
        if list(module._modules) != [str(number) for number in range(len(module._modules))]:
            return None
        parts = [None if part is None else convert(part) for part in module._modules.values()]
        found = [part for part in parts if part is not None]
        return Chain(found) if len(found) == len(parts) else None

    def make(module: nn.Module) -> Node | None:
        if any(getattr(module, hooks) for hooks in HOOKS):
            return None
        if type(module) is nn.Sequential:
            return chain(module)
        if type(module) is counterparts.Residual:
            main, shortcut = chain(module.main), chain(module.shortcut)
            return None if main is None or shortcut is None else Residual(main.layers, shortcut.layers)
        if type(module) is counterparts.Branches:
            paths = chain(module)
            return Branches(*(path.layers for path in paths)) if paths is not None else None  # type: ignore[union-attr]
        if type(module) is counterparts.Graph:
            nodes = {}
            for name, part, reads in module.calls():
                if (node := convert(part, may_share=True)) is None:
                    return None
                nodes[name] = (node, *reads)
            return Graph(nodes, module._inputs, module._outputs)
        try:
            layer = layer_of(module)
        except (Unconvertible, ColonnadeError):
            return None  # following it will say where and why
        if layer is not None:
            weights[layer] = arrays_of(layer, module)
            learned = {array.parameter for array in weights[layer].values() if array.parameter is not None}
            if learned & owned:  # two layers of one parameter
                return None
            owned.update(learned)
        return layer

    return convert(module)
