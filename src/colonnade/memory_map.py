"""What lies where in a plan's memory, and from when to when: the aliasing of the paper, as rectangles to draw.

Time is counted in calls. A call reads in its first half and writes in its second, so that a layer that writes over its
input is seen to do so.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from .arena import Lives
from .layers.base import Direction
from .layers.wiring import Fork
from .plan import Action, Kind, Plan, Segment
from .printable import printable
from .steps import Edge, Step
from .tensor import Shape

Role = Literal["value", "gradient", "saved", "lanes", "scratch"]
ROLES: dict[Role, str] = {
    "value": "values",
    "gradient": "gradients",
    "saved": "saved by a layer for its backward pass",
    "lanes": "gradients of parameters, a copy for each lane",
    "scratch": "a layer's working memory",
}


class Stay(NamedTuple):
    """What some bytes hold from `start` to `stop`."""

    layer: str  # "3 ReLU": where it stands in the model, and its type
    what: str  # "output", "gradient at the output" ...
    role: Role
    shape: Shape  # of the whole batch, or of the largest block in a worker's own memory
    start: float
    stop: float


@dataclass(frozen=True)
class Storage:
    """Bytes that are reserved from `start` to `stop`, and what they hold, one after the other.

    Where another worker may be anywhere in a segment, they are reserved for the whole of it.
    """

    offset: int
    bytes: int
    start: float
    stop: float
    stays: list[Stay]


class CallName(NamedTuple):
    """What is called: a layer's `forward`, `backward`, or one of its sums over the batch."""

    layer: str
    action: Action

    def __str__(self) -> str:
        return f"{self.layer}, {self.action.replace('_', 's ')}"


class SegmentSpan(NamedTuple):
    """One segment's place in time: `start` to `stop`, in calls."""

    direction: Direction
    number: int  # counts from 1 in its direction
    start: int
    stop: int

    def __str__(self) -> str:
        return f"{self.direction} {self.number}"


@dataclass(frozen=True)
class MemoryMap:
    """A plan's memory over time.

    Attributes:
        shape: The batch's, images first; that of the first input, if there are several.
        calls: What is called, in order.
        segments: Which calls make up which segment.
        batch: The storages of what exists for the whole batch.
        worker: The storages of what a worker holds for the length of one segment.
        batch_bytes: The size of the batch's memory.
        worker_bytes: The size of each worker's own.
        workers: How many workers there are.
        bytes: All of it: batch_bytes + workers · worker_bytes.
        tensor_bytes: What its tensors would take if each had a value, and in training a gradient, of its own.
    """

    shape: Shape
    calls: list[CallName]
    segments: list[SegmentSpan]
    batch: list[Storage]
    worker: list[Storage]
    batch_bytes: int
    worker_bytes: int
    workers: int
    bytes: int
    tensor_bytes: int


def memory_map(plan: Plan) -> MemoryMap:
    """Read off a plan what lies where, and when."""
    spans, clock, numbers = [], 0, {"forward": 0, "backward": 0}
    for segment in plan.segments:
        numbers[segment.direction] += 1
        stop = clock + len(segment.calls)
        spans.append(SegmentSpan(segment.direction, numbers[segment.direction], clock, stop))
        clock = stop
    tensors = {*plan.sources, *(tensor for step in plan.steps for tensor in step.outputs)}
    graded = plan.graded(True) if plan.training else set()
    numbers_held = sum(math.prod(tensor.shape) for tensor in (*tensors, *graded))
    reader = _Reader(plan, spans)
    return MemoryMap(
        shape=(plan.images, *plan.sources[0].shape),
        calls=[CallName(title(call.step), call.action) for segment in plan.segments for call in segment.calls],
        segments=spans,
        batch=reader.batch(),
        worker=[storage for index in range(len(spans)) for storage in reader.worker(index)],
        batch_bytes=plan.batch_bytes,
        worker_bytes=plan.worker_bytes,
        workers=plan.workers,
        bytes=plan.bytes,
        tensor_bytes=plan.images * numbers_held * plan.dtype.itemsize,
    )


def title(step: Step) -> str:
    """Where a layer stands in the model, and its type: "3.main.0 Conv2d"."""
    return f"{printable(step.name)} {printable(type(step.layer).__name__)}"


class _Use(NamedTuple):
    """From when to when the calls touch an array."""

    start: float
    stop: float


Place = tuple[Edge, Kind]


class _Reader:
    """Finds out, from what a plan tells, who uses which bytes and when."""

    def __init__(self, plan: Plan, spans: list[SegmentSpan]) -> None:
        self.plan, self.spans = plan, spans
        self._titles = {tensor: title(step) for step in plan.steps for tensor in step.outputs}
        # What a Fork hands on are the numbers that it was given.
        self._origin = {
            tensor: step.inputs[0] for step in plan.steps if isinstance(step.layer, Fork) for tensor in step.outputs
        }
        made = {(call.action, call.step) for segment in plan.segments for call in segment.calls}
        directions: list[Direction] = ["forward", "backward"] if plan.training else ["forward"]
        # A layer that only hands on what it was given makes no call: both of its sides are the same bytes.
        self._views = [(each, step) for step in plan.steps for each in directions if (each, step) not in made]

    def batch(self) -> list[Storage]:
        """What exists for the whole batch."""
        plan, segments = self.plan, list(zip(self.plan.segments, self.spans, strict=True))
        uses = self._uses(plan.places, segments)
        middle = self.spans[len(plan.forward)].start if plan.training else self.spans[-1].stop
        # The batch is written before the first call, and the loss stands between the two passes.
        for source in plan.sources:
            _touch(uses, (source, "value"), 0)
            if plan.reaches_input:
                _touch(uses, (source, "grad"), self.spans[-1].stop)
        for result in plan.results:
            _touch(uses, (result, "value"), middle)
            if plan.training:
                _touch(uses, (result, "grad"), middle)
        storages = list(self._storages(plan.places, uses, plan.images))
        storages = [self._reserve(storage) for storage in storages]
        calls: dict[Step, list[int]] = {}
        for segment, span in segments:
            for moment, call in enumerate(segment.calls, span.start):
                calls.setdefault(call.step, []).append(moment)
        for step, offsets in plan.saved_places.items():
            touched = calls.get(step)
            for name, wanted in plan.saved(step, plan.images).items():
                if touched:
                    stay = Stay(title(step), name, "saved", wanted.shape, touched[0] + 0.5, touched[-1] + 1.0)
                    whole = Storage(offsets[name], plan.size(wanted), stay.start, stay.stop, [stay])
                    storages.append(self._reserve(whole))
        for segment, span in segments:
            if segment.gradients is not None:
                lanes = len(segment.cut.tasks)
                size = lanes * segment.gradient_size * plan.dtype.itemsize
                shape = (lanes, segment.gradient_size)
                stay = Stay(str(span), "gradients of its parameters", "lanes", shape, span.start, span.stop)
                storages.append(Storage(segment.gradients, size, span.start, span.stop, [stay]))
        return storages

    def worker(self, index: int) -> list[Storage]:
        """What a worker holds for the length of one segment."""
        segment, span, plan = self.plan.segments[index], self.spans[index], self.plan
        uses = self._uses(segment.places, [(segment, span)])
        storages = list(self._storages(segment.places, uses, segment.cut.block))
        for position, (call, offsets) in enumerate(zip(segment.calls, segment.scratch, strict=True)):
            now = span.start + position
            for name, wanted in call.scratch(segment.cut.block).items():
                stay = Stay(title(call.step), name, "scratch", wanted.shape, now, now + 1)
                storages.append(Storage(offsets[name], plan.size(wanted), now, now + 1, [stay]))
        return storages

    def _uses(self, places: Iterable[Place], segments: list[tuple[Segment, SegmentSpan]]) -> dict[Place, _Use]:
        wanted = set(places)
        uses: dict[Place, _Use] = {}
        for segment, span in segments:
            for position, call in enumerate(segment.calls):
                now = span.start + position
                for tensor, kind, writes in self.plan.touches(call):
                    if (tensor, kind) in wanted:
                        _touch(uses, (tensor, kind), now + 0.5 if writes else now, now + 1)
        return uses

    def _storages(self, places: dict[Place, int], uses: dict[Place, _Use], images: int) -> Iterator[Storage]:
        """Those arrays together that are one and the same bytes at one and the same time."""
        groups: dict[Place, list[Place]] = {}
        together = self._together(places, uses)
        for place in places:
            groups.setdefault(together.find(place), []).append(place)
        for group in groups.values():
            used = sorted((place for place in group if place in uses), key=lambda place: uses[place].start)
            if not used:
                continue  # a gradient that nobody takes
            stop = max(uses[place].stop for place in used)
            ends = [uses[place].start for place in used[1:]] + [stop]
            stays: list[Stay] = []
            for place, end in zip(used, ends, strict=True):
                stay = self._stay(place, images, uses[place].start, end)
                if stays and stays[-1][:3] == stay[:3]:
                    stays[-1] = stays[-1]._replace(stop=stay.stop)
                elif stay.start < stay.stop:
                    stays.append(stay)
            if not stays:
                continue  # a gradient that is handed in and that nobody reads
            size = math.prod(stays[0].shape) * self.plan.dtype.itemsize
            yield Storage(places[used[0]], size, stays[0].start, stop, stays)

    def _together(self, places: dict[Place, int], uses: dict[Place, _Use]) -> Lives[Place]:
        """Which arrays are one and the same."""
        together: Lives[Place] = Lives()
        for direction, step in self._views:
            kind: Kind = "value" if direction == "forward" else "grad"
            sides = ((tensor, kind) for tensor in (*step.inputs, *step.outputs))
            at: dict[int, Place] = {}
            for side in sides:
                if side in places:
                    together.unite(at.setdefault(places[side], side), side)
        # The plan keeps apart what is in use during the same call, unless the one is written over the other.
        last: dict[int, tuple[Place, float]] = {}  # by offset: what is in use the longest, and until when
        for place in sorted(
            (place for place in places if place in uses), key=lambda place: math.floor(uses[place].start)
        ):
            start, stop = uses[place]
            known, until = last.get(places[place], (place, start))
            if math.floor(start) < until and math.floor(uses[known].start) < stop:
                together.unite(known, place)
            last[places[place]] = max((known, until), (place, stop), key=lambda each: each[1])
        return together

    def _stay(self, place: Place, images: int, start: float, stop: float) -> Stay:
        tensor, kind = place
        shape = (images, *tensor.shape)
        while kind == "value" and tensor in self._origin:
            tensor = self._origin[tensor]
        role: Role = "value" if kind == "value" else "gradient"
        if tensor not in self._titles:
            what = "the batch" if kind == "value" else "gradient at the batch"
            return Stay("input", what, role, shape, start, stop)
        return Stay(
            self._titles[tensor], "output" if kind == "value" else "gradient at the output", role, shape, start, stop
        )

    def _reserve(self, storage: Storage) -> Storage:
        """The storage, reserved for the whole of the segments in which it is in use."""
        first = bisect_right(self.spans, storage.start, key=lambda span: span.stop)
        touched = self.spans[first : bisect_left(self.spans, storage.stop, key=lambda span: span.start)]
        start = min([storage.start, *(span.start for span in touched[:1])])
        stop = max([storage.stop, *(span.stop for span in touched[-1:])])
        return Storage(storage.offset, storage.bytes, start, stop, storage.stays)


def _touch(uses: dict[Place, _Use], place: Place, start: float, stop: float | None = None) -> None:
    known = uses.get(place, _Use(start, start))
    uses[place] = _Use(min(known.start, start), max(known.stop, start if stop is None else stop))
