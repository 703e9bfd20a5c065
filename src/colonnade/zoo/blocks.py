"""What several networks are put together from."""

from __future__ import annotations

from ..composites import Graph, Node


def sequence(**layers: Node) -> Graph:
    """Layers one after the other, by names rather than numbers."""
    names = ["input", *layers]
    return Graph({name: (layer, before) for before, (name, layer) in zip(names, layers.items(), strict=False)})
