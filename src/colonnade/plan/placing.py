"""Where every number lives: storage is shared where lives do not overlap, and where layers allow it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..arena import Lives, Span, pack
from ..layers.base import Scratch
from ..steps import Edge, Step
from .lifetimes import view_sides
from .segments import Kind, Numbers, Outline, Segment

Key = tuple[Edge, Kind, int | None]  # the last: the segment it lives in, None for the whole batch


@dataclass(frozen=True)
class Placement:
    """Where everything lies.

    Attributes:
        segments: Without the calls that only copy, each with the places of what lives in it.
        places: Byte offset of each array that exists for the whole batch, in the batch's memory.
        saved: Byte offset of each array that a step saves, by its name, in the same memory.
        batch_bytes: The size of that memory.
        worker_bytes: The size of each worker's own memory.
    """

    segments: tuple[Segment, ...]
    places: dict[Numbers, int]
    saved: dict[Step, dict[str, int]]
    batch_bytes: int
    worker_bytes: int


def place(outline: Outline, segments: Sequence[Segment], wide: frozenset[Numbers]) -> Placement:
    """Give every array its bytes."""
    lives: Lives[Key] = Lives()
    views: list[tuple[Key, Key]] = []
    calling: list[Segment] = []
    for index, segment in enumerate(segments):
        sides = [[_key(numbers, wide, index) for numbers in view_sides(outline, call)] for call in segment.calls]
        views.extend((each[0], side) for each in sides for side in each[1:])
        calls = tuple(call for call, each in zip(segment.calls, sides, strict=True) if not each)
        calling.append(replace(segment, calls=calls))
    starts = _live(outline, calling, wide, lives)
    for one, other in views:
        lives.unite(one, other)
    if outline.share:
        _unite_in_place(outline, calling, wide, lives)
    offsets, batch_bytes = pack(_wide_spans(outline, calling, lives, starts), outline.share)
    placed, worker_bytes = _with_places(outline, calling, lives, starts)
    return Placement(
        tuple(replace(segment, gradients=offsets.get(("gradients", index))) for index, segment in enumerate(placed)),
        {key[:2]: offsets[lives.find(key)] for key in lives if key[2] is None},
        {step: {name: offsets[step, name] for name in outline.saved(step, 1)} for step in outline.steps},
        batch_bytes,
        worker_bytes,
    )


def _key(numbers: Numbers, wide: frozenset[Numbers], index: int) -> Key:
    return (*numbers, None if numbers in wide else index)


def _live(outline: Outline, segments: Sequence[Segment], wide: frozenset[Numbers], lives: Lives[Key]) -> list[int]:
    """Say when each array is in use, in calls; returns when each segment begins."""
    clock = 0
    starts = []
    for index, segment in enumerate(segments):
        starts.append(clock)
        for call in segment.calls:
            for edge, kind, _ in outline.touches(call):
                lives.touch(_key((edge, kind), wide, index), clock)
            clock += 1
    forward = sum(segment.direction == "forward" for segment in segments)
    after_forward = (starts + [clock])[forward]
    for source in outline.sources:
        lives.touch((source, "value", None), 0)
    for result in outline.results:
        lives.touch((result, "value", None), after_forward)
        if outline.training:
            lives.touch((result, "grad", None), after_forward)
    if outline.reaches_input:
        for source in outline.sources:
            lives.touch((source, "grad", None), clock)
    return starts


def _unite_in_place(outline: Outline, segments: Sequence[Segment], wide: frozenset[Numbers], lives: Lives[Key]) -> None:
    """Let layers that may write over what they read do so, where nobody reads it afterwards."""
    calls = [(index, call) for index, segment in enumerate(segments) for call in segment.calls]
    for clock, (index, (action, step)) in enumerate(calls):
        if not step.layer.in_place or action not in ("forward", "backward"):
            continue
        kind: Kind = "value" if action == "forward" else "grad"
        read, written = (step.inputs, step.outputs) if action == "forward" else (step.outputs, step.inputs)
        if kind == "grad" and written[0] not in outline.graded:
            continue  # nobody wants it, so nothing is written
        target = _key((written[0], kind), wide, index)
        # Fork and Add take their first two operands in one operation: either may be written over, unless a later
        # operand is a view of the same and still to be read.
        later = {lives.find(_key((edge, kind), wide, index)) for edge in read[2:]}
        for edge in read[:2]:
            source = _key((edge, kind), wide, index)
            if edge.shape != written[0].shape or lives.find(source) in later:
                continue  # it is stretched to the output's shape, or read again
            if source[2] == target[2] and lives.ends(source) <= clock <= lives.starts(target):
                lives.unite(source, target)
                break


def _wide_spans(
    outline: Outline, segments: Sequence[Segment], lives: Lives[Key], starts: Sequence[int]
) -> dict[Hashable, Span]:
    """What exists for the whole batch. A block may be anywhere in a segment, so a life is whole segments."""
    spans: dict[Hashable, Span] = {}
    for key in lives.roots():
        if key[2] is None:
            size = outline.images * math.prod(key[0].shape) * outline.dtype.itemsize
            first = bisect_right(starts, lives.starts(key)) - 1
            last = bisect_right(starts, lives.ends(key)) - 1
            spans[key] = Span(size, first, last if lives.ends(key) < starts[-1] else len(starts))
    for index, segment in enumerate(segments):
        copies = len(segment.cut.tasks)
        if segment.gradient_size and copies > 1:
            spans["gradients", index] = Span(copies * segment.gradient_size * outline.dtype.itemsize, index, index)
    for step, first, last in _saving(segments):
        for name, wanted in outline.saved(step, outline.images).items():
            spans[step, name] = Span(outline.size(wanted), first, last)
    return spans


def _saving(segments: Sequence[Segment]) -> Iterator[tuple[Step, int, int]]:
    """Each step with the first and last segment in which what it saves is in use."""
    used: dict[Step, list[int]] = {}
    for index, segment in enumerate(segments):
        for call in segment.calls:
            used.setdefault(call.step, []).append(index)
    for step, indices in used.items():
        yield step, min(indices), max(indices)


def _with_places(
    outline: Outline, segments: Sequence[Segment], lives: Lives[Key], starts: Sequence[int]
) -> tuple[list[Segment], int]:
    """The segments with what a worker holds for their length, its block of each array and scratch, and its bytes."""
    local: dict[int | None, list[Key]] = {}
    for key in lives:
        local.setdefault(key[2], []).append(key)
    made, most = [], 0
    for index, segment in enumerate(segments):
        images = segment.cut.block
        spans: dict[Hashable, Span] = {}
        for key in local.get(index, []):
            if lives.find(key) == key:
                size = images * math.prod(key[0].shape) * outline.dtype.itemsize
                spans[key] = Span(size, lives.starts(key), lives.ends(key))
        wishes: list[dict[str, Scratch]] = [call.scratch(images) for call in segment.calls]
        for position, wish in enumerate(wishes):
            now = starts[index] + position
            spans.update(((position, name), Span(outline.size(wanted), now, now)) for name, wanted in wish.items())
        offsets, size = pack(spans, outline.share)
        most = max(most, size)
        places = {key[:2]: offsets[lives.find(key)] for key in local.get(index, [])}
        scratch = tuple({name: offsets[position, name] for name in wish} for position, wish in enumerate(wishes))
        made.append(replace(segment, places=places, scratch=scratch))
    return made, most
