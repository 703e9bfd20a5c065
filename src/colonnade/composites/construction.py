"""Layers from their description: what `describe` wrote, read back. Only known classes are made, never other code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import layers as known_layers
from ..errors import ArgumentError, FileFormatError
from ..layers.base import Layer
from .base import Node
from .chain import Branches, Chain, Residual
from .graph import Graph
from .transformer import TransformerDecoder, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer

# The layers that a file may name.
KNOWN: dict[str, type[Layer]] = {
    name: each
    for name, each in vars(known_layers).items()
    if isinstance(each, type) and issubclass(each, Layer) and each is not Layer
}
# Composites that are made from arguments, and those of which some are layers.
BLOCKS = {each.__name__: each for each in (TransformerDecoderLayer, TransformerEncoderLayer)}
STACKS: dict[str, Any] = {each.__name__: each for each in (TransformerDecoder, TransformerEncoder)}
DEEPEST = 32  # composites within composites: a file must not exhaust the interpreter's stack


def construct(
    architecture: list[dict[str, Any]], custom: Mapping[str, type[Layer]] | None = None, depth: int = 0
) -> list[Node]:
    """Layers from what :func:`describe` made: only known classes, only their constructors' arguments.

    Args:
        architecture: The descriptions.
        custom: Classes of the user's own, by name.
        depth: How many composites they lie in.

    Raises:
        FileFormatError: An unknown layer, or a nesting that no model has.
    """
    if depth > DEEPEST:
        raise FileFormatError(f"layers nested more than {DEEPEST} deep.")
    return [_construct(entry, custom or {}, depth) for entry in architecture]


def construct_body(architecture: Any, custom: Mapping[str, type[Layer]] | None = None) -> Chain | Graph:
    """What a model is made of, from its description: a list is a chain, anything else a graph."""
    if isinstance(architecture, list):
        return Chain(construct(architecture, custom))
    (body,) = construct([architecture], custom)
    if not isinstance(body, Graph):
        raise FileFormatError(f"expected a list of layers or a graph, got {type(body).__name__}.")
    return body


def _construct(entry: dict[str, Any], custom: Mapping[str, type[Layer]], depth: int) -> Node:
    kind = entry["type"]
    if kind == "Residual":
        return Residual(*(construct(entry[name], custom, depth + 1) for name in ("main", "shortcut")))
    if kind == "Branches":
        return Branches(*(construct(path, custom, depth + 1) for path in entry["paths"]))
    if kind == "Chain":
        return Chain(construct(entry["layers"], custom, depth + 1))
    if kind == "Graph":
        return _graph(entry, custom, depth)
    if kind in STACKS:
        made = {
            name: construct([value], custom, depth + 1)[0] for name, value in entry.items() if isinstance(value, dict)
        }
        return STACKS[kind](**{name: value for name, value in entry.items() if name != "type"} | made)  # type: ignore[no-any-return]
    if kind not in custom and kind not in KNOWN and kind not in BLOCKS:
        raise FileFormatError(f"unknown layer {kind!r}.")
    arguments = {name: _tuples(value) for name, value in entry.items() if name != "type"}
    return (custom.get(kind) or (KNOWN | BLOCKS)[kind])(**arguments)


def _graph(entry: dict[str, Any], custom: Mapping[str, type[Layer]], depth: int) -> Graph:
    nodes: dict[str, tuple[Any, ...]] = {}
    for each in entry["nodes"]:
        layer = each["layer"]
        node = nodes[layer["same_as"]][0] if "same_as" in layer else construct([layer], custom, depth + 1)[0]
        if each["name"] in nodes:
            raise ArgumentError(f"Graph: two nodes are called {each['name']!r}.")
        nodes[each["name"]] = (node, *each["reads"])
    return Graph(nodes, entry["inputs"], entry["outputs"])


def _tuples(value: Any) -> Any:
    """JSON has no tuples; the constructors take pairs."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
