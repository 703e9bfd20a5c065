"""Graph: any wiring at all, by names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .. import arguments
from ..errors import ArgumentError
from ..steps import Edge, Step
from .base import Composite, Node, describe, fork, unroll
from .chain import require_node


class Graph(Composite):
    """Layers wired at will: every node has a name, and says by name what it reads.

    ::

        Graph(
            {
                "left": (Conv2d(3, 8, 1), "input"),
                "right": (Conv2d(3, 8, 3, padding=1), "input"),
                "sum": (Add(), "left", "right"),
            }
        )

    A layer that stands at several nodes is shared: it has one set of parameters, under the first node's name, and its
    gradients add up. In a model made of a Graph alone the names of the parameters begin with the node's.

    Args:
        nodes: By name, what stands there (a leaf or a composite) and the names of the inputs or earlier nodes it
            reads.
        inputs: The names of the graph's inputs.
        outputs: The names of the nodes whose results are the graph's; by default the last node.

    Raises:
        ArgumentError: A name that is taken or unknown, a node that reads nothing or a later node, a node or input
            that no output needs.
    """

    def __init__(
        self,
        nodes: Mapping[str, tuple[Any, ...]],
        inputs: Sequence[str] = ("input",),
        outputs: Sequence[str] | None = None,
    ) -> None:
        self.inputs = arguments.names("Graph", "inputs", inputs)
        self.nodes: dict[str, Node] = {}
        self.reads: dict[str, tuple[str, ...]] = {}
        for name, entry in nodes.items():
            if not isinstance(entry, tuple | list) or not entry:
                raise ArgumentError(f"Graph: node {name!r} must be a layer and the names it reads, got {entry!r}.")
            node, *reads = entry
            require_node(node, f"Graph: node {name!r}")
            if not isinstance(name, str) or not name or name in self.inputs:
                raise ArgumentError(f"Graph: a node needs a name that no input has, got {name!r}.")
            for each in reads:
                if each not in self.inputs and each not in self.nodes:
                    when = "later" if each in nodes else "unknown"
                    raise ArgumentError(
                        f"Graph: node {name!r} must read inputs or nodes before it, got {each!r} ({when})."
                    )
            self.nodes[name], self.reads[name] = node, tuple(reads)
        if not self.nodes:
            raise ArgumentError("Graph: expected at least one node, got none.")
        last = [next(reversed(self.nodes))]
        self.outputs = arguments.names("Graph", "outputs", last if outputs is None else outputs)
        if unknown := [name for name in self.outputs if name not in self.nodes]:
            raise ArgumentError(f"Graph: an output must be a node, got {unknown[0]!r}.")
        needed = self._needed(self.outputs)
        if idle := [name for name in (*self.inputs, *self.nodes) if name not in needed]:
            raise ArgumentError(f"Graph: no output needs {idle[0]!r}.")

    def _needed(self, outputs: Sequence[str]) -> set[str]:
        """The nodes and inputs that these nodes are made from, themselves included."""
        needed = set(outputs)
        for name in reversed(self.nodes):
            if name in needed:
                needed.update(self.reads[name])
        return needed

    def unroll(self, inputs: Sequence[Edge], name: str, steps: list[Step]) -> list[Edge]:
        if len(inputs) != len(self.inputs):
            raise ArgumentError(
                f"Graph: expected {len(self.inputs)} inputs ({', '.join(self.inputs)}), got {len(inputs)}."
            )
        readers = dict.fromkeys((*self.inputs, *self.nodes), 0)
        for each in (*(each for reads in self.reads.values() for each in reads), *self.outputs):
            readers[each] += 1
        copies: dict[str, Iterator[Edge]] = {}
        for each, edge in zip(self.inputs, inputs, strict=True):
            copies[each] = iter(fork(edge, readers[each], f"{name}{each}", steps))
        first: dict[int, str] = {}  # where an object stands first: its parameters are called so
        for each, node in self.nodes.items():
            own = first.setdefault(id(node), f"{name}{each}")
            made = unroll(node, [next(copies[read]) for read in self.reads[each]], own, steps)
            if len(made) != 1:
                raise ArgumentError(f"Graph: node {each!r} must have one output, got {len(made)}.")
            copies[each] = iter(fork(made[0], readers[each], f"{name}{each}", steps))
        return [next(copies[each]) for each in self.outputs]

    def split(self, name: str) -> tuple[Graph, Graph]:
        """The graph up to a node, and what follows it, of the same layers.

        Raises:
            ArgumentError: No such node, or one that other paths lead past.
        """
        if name not in self.nodes:
            raise ArgumentError(f"Graph: expected the name of a node, got {name!r}.")
        below = self._needed([name])
        above = [each for each in self.nodes if each not in below]
        if not above:
            raise ArgumentError(f"Graph: nothing follows node {name!r}.")
        crossing = {read for each in above for read in self.reads[each] if read in below} | (below & {*self.outputs})
        if crossing != {name}:
            raise ArgumentError(
                f"Graph: cannot split at node {name!r}: {', '.join(sorted(crossing - {name}))} leads past."
            )
        inputs = [each for each in self.inputs if each in below]
        lower = {each: (node, *self.reads[each]) for each, node in self.nodes.items() if each in below}
        upper = {each: (self.nodes[each], *self.reads[each]) for each in above}
        return Graph(lower, inputs, [name]), Graph(upper, [name], self.outputs)

    def config(self) -> dict[str, Any]:
        first: dict[int, str] = {}
        nodes = []
        for name, node in self.nodes.items():
            same = first.setdefault(id(node), name)
            layer = describe([node])[0] if same == name else {"same_as": same}
            nodes.append({"name": name, "layer": layer, "reads": list(self.reads[name])})
        return {"nodes": nodes, "inputs": list(self.inputs), "outputs": list(self.outputs)}

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def __repr__(self) -> str:
        lines = "".join(f"  {name}: {node!r} of {', '.join(self.reads[name])}\n" for name, node in self.nodes.items())
        return f"Graph({', '.join(self.inputs)} → {', '.join(self.outputs)}\n{lines})"
