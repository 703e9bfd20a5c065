"""Layers from their description: what `describe` wrote, read back. Only known classes are made, never other code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .. import composites, layers
from ..errors import ArgumentError, FileFormatError
from ..layers.base import Layer
from .base import Node
from .chain import Branches, Chain, Residual
from .graph import Graph

# Composites that are made from arguments, and those of which some are layers.
BLOCKS = ("TransformerDecoderLayer", "TransformerEncoderLayer")
STACKS = ("TransformerDecoder", "TransformerEncoder")
DEEPEST = 32  # composites within composites: a file must not exhaust the interpreter's stack


class _Known(Mapping[str, type[Layer]]):
    """Every layer by its name, imported when it is asked for."""

    def __getitem__(self, name: str) -> type[Layer]:
        found = getattr(layers, name) if name in layers.__all__ else None
        if isinstance(found, type) and issubclass(found, Layer) and found is not Layer:
            return found
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name in layers.__all__ if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


KNOWN = _Known()  # the layers that a file may name


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
        stack: Node = getattr(composites, kind)(
            **{name: value for name, value in entry.items() if name != "type"} | made
        )
        return stack
    block = getattr(composites, kind) if kind in BLOCKS else None
    made_by: Callable[..., Node] | None = custom.get(kind) or block or KNOWN.get(kind)
    if made_by is None:
        raise FileFormatError(f"unknown layer {kind!r}.")
    return made_by(**{name: _tuples(value) for name, value in entry.items() if name != "type"})


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
