"""What stays: which values are kept until backward reads them, and which arrays exist for the whole batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ..steps import Edge, Step
from .segments import Call, Kind, Numbers, Outline, Segment


def crossing(outline: Outline, forward: Sequence[Segment]) -> frozenset[Edge]:
    """The edges whose values cross from one forward segment to another: they exist for the whole batch in any case.

    So do those that are views of them, such as what a Fork reads where one of its readers comes later.
    """
    where: dict[Edge, set[int]] = {}
    for index, segment in enumerate(forward):
        for call in segment.calls:
            for edge in (edge for edge, _, _ in outline.touches(call)):
                where.setdefault(edge, set()).add(index)
    crossed = (edge for edge, segments in where.items() if len(segments) > 1)
    there: set[Numbers] = {(edge, "value") for edge in (*crossed, *outline.sources, *outline.results)}
    views = [view_sides(outline, call) for segment in forward for call in segment.calls]
    return frozenset(edge for edge, _ in _with_other_sides(there, views))


def read_backward(backward: Sequence[Segment]) -> frozenset[Edge]:
    """The edges whose values a backward pass reads."""
    return frozenset(edge for segment in backward for call in segment.calls for edge in call.values_read())


def with_values_made_again(
    outline: Outline, backward: Sequence[Segment], crossed: frozenset[Edge]
) -> tuple[list[Segment], frozenset[Edge]]:
    """The backward segments, each making again what is cheap, and the edges whose values are kept.

    A value that crosses is there, and one that was expensive to compute is kept. The rest is made again, block by
    block, where a backward segment needs it.
    """
    producer = {edge: step for step in outline.steps for edge in step.outputs}
    numbers = {step: number for number, step in enumerate(outline.steps)}
    read = read_backward(backward)

    def replaces_its_input(step: Step) -> bool:
        """Whether keeping the step's output in place of its input costs nothing and saves making it again."""
        if not step.layer.in_place or len(step.inputs) != 1:
            return False
        edge = step.inputs[0]
        return edge not in crossed and edge not in read and not producer[edge].layer.cheap

    kept: set[Edge] = set()
    made: list[Segment] = []
    for segment in backward:
        again: set[Step] = set()
        needed = [edge for call in segment.calls for edge in call.values_read()]
        while needed:
            edge = needed.pop()
            step = producer.get(edge)
            if step is None or edge in crossed or not step.layer.cheap or replaces_its_input(step):
                kept.add(edge)
            elif step not in again:
                again.add(step)
                needed.extend(step.inputs)
        first = tuple(Call("forward", step) for step in sorted(again, key=numbers.__getitem__))
        made.append(replace(segment, calls=first + segment.calls))
    return made, frozenset(kept)


def view_sides(outline: Outline, call: Call) -> list[Numbers]:
    """The two sides (or more) of a call that only copies; empty for any other call."""
    step = call.step
    edges = (*step.inputs, *step.outputs)
    copies = step.layer.only_copies(step.shape, call.direction) or (step.layer.vanishes and not step.training)
    # Where an array is stretched to another's shape, as Add may, it is more than a copy.
    one_size = len({math.prod(edge.shape) for edge in edges}) == 1
    if not outline.share or call.adds_sums or not copies or not one_size:
        return []
    kind: Kind = "value" if call.action == "forward" else "grad"
    return [(edge, kind) for edge in edges if kind == "value" or edge in outline.graded]


def batch_wide(
    outline: Outline, segments: Sequence[Segment], crossed: frozenset[Edge], kept: frozenset[Edge]
) -> frozenset[Numbers]:
    """The arrays that exist for the whole batch; the others live in one segment, a block at a time."""
    touched: dict[Edge, set[int]] = {}
    for index, segment in enumerate(segments):
        for call in segment.calls if segment.direction == "backward" else ():
            for edge, kind, _ in outline.touches(call):
                if kind == "grad":
                    touched.setdefault(edge, set()).add(index)
    edges = [*outline.sources, *(edge for step in outline.steps for edge in step.outputs)]
    share = outline.share
    wide: set[Numbers] = {(edge, "value") for edge in edges if not share or edge in crossed or edge in kept}
    wide |= {(edge, "grad") for edge, where in touched.items() if len(where) > 1 or not share}
    if outline.training:
        ends = (*outline.sources, *outline.results) if outline.reaches_input else outline.results
        wide |= {(edge, "grad") for edge in ends}
    return _with_other_sides(wide, [view_sides(outline, call) for segment in segments for call in segment.calls])


def _with_other_sides(wide: set[Numbers], views: Sequence[list[Numbers]]) -> frozenset[Numbers]:
    """These arrays, and those that are views of them: a view lies where its other side lies."""
    others: dict[Numbers, list[Numbers]] = {}
    for first, *rest in filter(None, views):
        others.setdefault(first, []).extend(rest)
        for side in rest:
            others.setdefault(side, []).append(first)
    found, all_wide = [*wide], {*wide}
    while found:
        fresh = {*others.get(found.pop(), ())} - all_wide
        all_wide |= fresh
        found.extend(fresh)
    return frozenset(all_wide)
