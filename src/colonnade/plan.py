"""The plan: which calls a model makes, in what order, and where every number lives.

It is made from shapes and the layers' declarations alone, before anything is allocated. See docs/architecture.md.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .arena import Lives, Span, pack
from .errors import LimitError, ShapeError
from .layers.base import Direction, Scratch
from .steps import Edge, Step, commuted, folded, resting, with_leaves
from .tensor import Parameter, Shape

Kind = Literal["value", "grad"]
Action = Literal["forward", "backward", "sum_forward", "sum_backward"]

# A block's tensors at one step take about so much. Blocks that fit the second-level cache would be a quarter of it, and
# a single worker runs them a little faster; but each call begins with a few microseconds of Python, which several
# workers can only have one after the other. Measured with two, 4 MiB is the better by 10 to 15 per cent.
BLOCK_BYTES = 1 << 22
# As many workers can share what must be summed over the batch; each lane has gradients of its own. A lane of less than
# LANE_BYTES at its widest step is calls too short for workers to share: they would wait for each other's Python.
LANES = 8
LANE_BYTES = 1 << 21
# Where nothing is summed a small batch is one block for its bytes. It is cut all the same if each lane has so many
# multiplications to do, some 0.8 ms: that is worth waking a worker for. At a quarter of it resnet20 took longer.
LANE_WORK = 1 << 26
# A lane should put so many rows into the product that makes a weight's gradient, or the sum over lanes costs more.
LANE_ROWS = 64
# Of one segment: a step over so many reads and writes terabytes, and to list them takes long.
MOST_BLOCKS = 1 << 18


class Call(NamedTuple):
    """One method of one step's layer, to be called on every block."""

    action: Action
    step: Step

    @property
    def direction(self) -> Direction:
        """The direction of the pass it belongs to."""
        return "forward" if self.action.endswith("forward") else "backward"

    def touches(self) -> Iterable[tuple[Edge, Kind, bool]]:
        """The tensors the call is handed, of which kind, and whether it writes them."""
        layer, inputs, outputs = self.step.layer, self.step.inputs, self.step.outputs
        if self.action == "forward":
            yield from ((tensor, "value", False) for tensor in inputs)
            yield from ((tensor, "value", True) for tensor in outputs)
        elif self.action == "sum_forward":
            yield from ((tensor, "value", False) for tensor in inputs)
        else:
            if "input" in layer.reads:
                yield from ((tensor, "value", False) for tensor in inputs)
            if "output" in layer.reads:
                yield from ((tensor, "value", False) for tensor in outputs)
            yield from ((tensor, "grad", False) for tensor in outputs)
            if self.action == "backward":
                yield from ((tensor, "grad", True) for tensor in inputs)


class Cut(NamedTuple):
    """How a batch is cut: lanes, each a list of blocks (start, stop). It depends on shapes alone."""

    lanes: tuple[tuple[tuple[int, int], ...], ...]

    @property
    def block(self) -> int:
        """Images of the largest block."""
        return max(stop - start for lane in self.lanes for start, stop in lane)


@dataclass
class Segment:
    """Calls that run block by block without waiting for the other blocks.

    Attributes:
        direction: Forward or backward.
        begins: Steps whose `begin_forward` or `begin_backward` runs first, alone.
        calls: What every block goes through, in order. A backward segment first makes again what was not kept.
        cut: The lanes and their blocks.
        places: Byte offset of each (tensor, kind) that lives in this segment only, in a worker's own memory.
        scratch: Byte offset of each call's scratch arrays, in the same memory.
        parameters: Those whose gradients the calls add to.
        gradients: Byte offset, in the batch's memory, of the lanes' own gradients; None where there is one lane.
    """

    direction: Direction
    begins: list[Step] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    cut: Cut = field(default_factory=lambda: Cut(()))
    places: dict[tuple[Edge, Kind], int] = field(default_factory=dict)
    scratch: list[dict[str, int]] = field(default_factory=list)
    parameters: list[Parameter] = field(default_factory=list)
    gradients: int | None = None

    @property
    def gradient_size(self) -> int:
        """How many numbers one lane's gradients hold."""
        return sum(parameter.size for parameter in self.parameters)


Key = tuple[Edge, Kind, int | None]  # the last: the segment it lives in, None for the whole batch


class Plan:
    """Steps, segments and storage for one batch shape and one mode.

    Args:
        steps: What the model unrolled to.
        sources: The tensors that the batch is written to: one, but for a graph of several inputs.
        results: The tensors that hold the outputs.
        images: How many images the batch holds.
        training: Whether a backward pass follows.
        dtype: The type of all numbers.
        share: False gives every tensor storage of its own, keeps it all, and makes nothing again: the reference.
        workers: The most workers that will run it.
        compiled: Whether compiled leaves take the place of the layers that have one.
        rewrite: False leaves all steps as the model has them.
        rest: Whether all steps run as outside training, though a backward pass follows.

    Attributes:
        still: The steps that run as outside training: all of them, or those of a frozen part.
        reaches_input: Whether the backward pass can give the gradient at the sources.
        forward: The segments of the forward pass.
        backward: The segments of the backward pass, in their order; empty outside training.
        places: Byte offset of each (tensor, kind) that exists for the whole batch, in the batch's memory.
        batch_bytes: The size of that memory.
        worker_bytes: The size of each worker's own memory.
        workers: How many workers it occupies.
        bytes: All of it, exactly.
        work: That of the forward pass, in multiplications; see :meth:`colonnade.layers.base.Layer.work`.

    Raises:
        ShapeError: A batch that a layer does not take.
        LimitError: A batch that no machine could hold.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        sources: Sequence[Edge],
        results: Sequence[Edge],
        images: int,
        *,
        training: bool = False,
        dtype: DTypeLike = np.float32,
        share: bool = True,
        workers: int = 1,
        compiled: bool = False,
        rewrite: bool = True,
        rest: bool = False,
    ) -> None:
        # Random streams go by a layer's place in the model, however its steps are rewritten.
        self.places_in_model = {step.name: number for number, step in reversed([*enumerate(steps)])}
        self.rest = rest
        self.still = resting(steps) if training and not rest else set(steps)
        self.steps = commuted(folded(steps, self.still), self.still) if rewrite else [*steps]
        if compiled:
            self.steps = with_leaves(self.steps, self.still)
        self.sources, self.results, self.images = tuple(sources), tuple(results), images
        self.training, self.dtype, self.share = training, np.dtype(dtype), share
        # Below a frozen part no gradient exists, so that there is none at the input either.
        self.reaches_input = training and (rest or not self.still)
        self._may_have_gradient = self.graded(self.reaches_input)
        self._check()
        self.wide: set[tuple[Edge, Kind]] = set()
        self.forward = self._forward_segments()
        self.backward = self._backward_segments() if training else []
        self.segments = self.forward + self.backward
        self._choose_what_is_kept()
        self._choose_what_is_wide()
        for segment in self.segments:
            segment.cut = self._cut(segment)
        if not share:  # nothing is made again, but the cut is the same, and so are all sums
            for segment in self.backward:
                segment.calls = [call for call in segment.calls if call.direction == "backward"]
        self.workers = max(1, min(workers, max(len(segment.cut.lanes) for segment in self.segments)))
        self._assign_storage()
        self.bytes = self.batch_bytes + self.workers * self.worker_bytes
        self.work = images * sum(step.work for step in self.steps)

    def _check(self) -> None:
        for step in self.steps:
            try:
                step.layer.check((self.images, *step.shape), self.trains(step))
            except ShapeError as error:
                raise ShapeError(f"layer {step.name}, {error}") from None

    # Segments

    def trains(self, step: Step) -> bool:
        """Whether a step runs as in training."""
        return step not in self.still

    def _sums(self, step: Step) -> Shape | None:
        return step.layer.sums(self.trains(step))

    def touches(self, call: Call) -> Iterator[tuple[Edge, Kind, bool]]:
        """What `call.touches` says, without the gradients that nobody can ask for."""
        for tensor, kind, writes in call.touches():
            if kind == "value" or tensor in self._may_have_gradient:
                yield tensor, kind, writes

    def _forward_segments(self) -> list[Segment]:
        """Cut the steps before each that needs sums over the batch, and before the first that wants it whole."""
        segments = [Segment("forward")]
        whole = self.images == 1
        self._whole: dict[Step, bool] = {}
        for step in self.steps:
            if self._sums(step):
                segments[-1].calls.append(Call("sum_forward", step))
            wants = step.layer.wants_batch and not whole
            whole = whole or wants
            if self._sums(step) or (wants and segments[-1].calls):
                segments.append(Segment("forward"))
            segments[-1].calls.append(Call("forward", step))
            if step.prepares("forward"):
                segments[-1].begins.append(step)
            self._whole[step] = whole
        return segments

    def _backward_segments(self) -> list[Segment]:
        segments = [Segment("backward")]
        previous: Step | None = None
        for step in reversed(self.steps):
            if not step.learns and self._may_have_gradient.isdisjoint(step.inputs):
                continue
            if self._sums(step):
                segments[-1].calls.append(Call("sum_backward", step))
                segments.append(Segment("backward"))
            elif previous and self._whole[previous] != self._whole[step]:
                segments.append(Segment("backward"))
            if step.prepares("backward"):
                segments[-1].begins.append(step)
            segments[-1].calls.append(Call("backward", step))
            previous = step
        for segment in segments:
            steps = (step for action, step in segment.calls if action == "backward" and not self._sums(step))
            learning = (parameter for step in steps for parameter in step.parameters if parameter.trainable)
            segment.parameters = list(dict.fromkeys(learning))
        return segments

    def graded(self, input_gradient: bool) -> set[Edge]:
        """The tensors that need a gradient: those that lead on from what is trained, all if the input's is wanted."""
        if input_gradient and self.reaches_input:
            return {*self.sources, *(tensor for step in self.steps for tensor in step.outputs)}
        graded = {*self.results}
        for step in self.steps:
            if step.learns or any(tensor in graded for tensor in step.inputs):
                graded.update(step.outputs)
        return graded

    # What is kept, and what is made again

    def _choose_what_is_kept(self) -> None:
        """Decide which values stay until backward reads them, and which cheap steps are run again instead.

        A value that crosses from one forward segment to another exists for the whole batch in any case, and one that
        was dear to compute is kept. The rest is made again, block by block, where a backward segment needs it.
        """
        producer = {tensor: step for step in self.steps for tensor in step.outputs}
        numbers = {step: number for number, step in enumerate(self.steps)}
        crossed: dict[Edge, set[int]] = {}
        readers: dict[Edge, int] = {}
        for index, segment in enumerate(self.forward):
            for call in segment.calls:
                for tensor, _, writes in self.touches(call):
                    crossed.setdefault(tensor, set()).add(index)
                    readers[tensor] = readers.get(tensor, 0) + (not writes)
        self.crossing = {tensor for tensor, where in crossed.items() if len(where) > 1}
        self.crossing |= {*self.sources, *self.results}

        read = {tensor for segment in self.backward for call in segment.calls for tensor in self._values_read(call)}

        def replaces_its_input(step: Step) -> bool:
            """Whether keeping the step's output in place of its input costs nothing and saves making it again."""
            if not step.layer.in_place or len(step.inputs) != 1:
                return False
            tensor = step.inputs[0]
            return (
                tensor not in self.crossing
                and tensor not in read
                and readers[tensor] == 1
                and not producer[tensor].layer.cheap
            )

        self.kept: set[Edge] = set()
        for segment in self.backward:
            again: set[Step] = set()
            needed = [tensor for call in segment.calls for tensor in self._values_read(call)]
            while needed:
                tensor = needed.pop()
                step = producer.get(tensor)
                if step is None or tensor in self.crossing or not step.layer.cheap or replaces_its_input(step):
                    self.kept.add(tensor)
                elif step not in again:
                    again.add(step)
                    needed.extend(step.inputs)
            segment.calls[:0] = [Call("forward", step) for step in sorted(again, key=numbers.__getitem__)]
        if not self.share:
            self.kept = read

    @staticmethod
    def _values_read(call: Call) -> list[Edge]:
        return [tensor for tensor, kind, _ in call.touches() if kind == "value"]

    def _choose_what_is_wide(self) -> None:
        """Decide which arrays exist for the whole batch; the others live in one segment, a block at a time."""
        touched: dict[Edge, set[int]] = {}
        for index, segment in enumerate(self.backward):
            for call in segment.calls:
                for tensor, kind, _ in self.touches(call):
                    if kind == "grad":
                        touched.setdefault(tensor, set()).add(index)
        tensors = [*self.sources, *(tensor for step in self.steps for tensor in step.outputs)]
        whole = {*tensors} if not self.share else self.crossing | self.kept
        self.wide |= {(tensor, "value") for tensor in tensors if tensor in whole}
        self.wide |= {(tensor, "grad") for tensor, where in touched.items() if len(where) > 1 or not self.share}
        if self.training:
            ends = (*self.sources, *self.results) if self.reaches_input else self.results
            self.wide |= {(tensor, "grad") for tensor in ends}
        # A view lies where its other side lies.
        views: dict[tuple[Edge, Kind], list[tuple[Edge, Kind]]] = {}
        for segment in self.segments:
            for call in segment.calls:
                sides = self._view_sides(call)
                for side in sides:
                    views.setdefault(side, []).extend(sides)
        found = [*self.wide]
        while found:
            fresh = {*views.pop(found.pop(), [])} - self.wide
            self.wide |= fresh
            found.extend(fresh)

    def _view_sides(self, call: Call) -> list[tuple[Edge, Kind]]:
        """The two sides (or more) of a call that only copies; empty for any other call."""
        step = call.step
        tensors = (*step.inputs, *step.outputs)
        copies = step.layer.only_copies(step.shape, call.direction) or (step.layer.vanishes and not self.trains(step))
        # Where a tensor is stretched to another's shape, as Add may, it is more than a copy.
        one_size = len({math.prod(tensor.shape) for tensor in tensors}) == 1
        if not self.share or call.action.startswith("sum") or not copies or not one_size:
            return []
        kind: Kind = "value" if call.action == "forward" else "grad"
        return [(tensor, kind) for tensor in tensors if kind == "value" or tensor in self._may_have_gradient]

    # The cut into lanes and blocks

    def _cut(self, segment: Segment) -> Cut:
        """Cut the batch for one segment, from shapes alone: never from the number of threads.

        A block's tensors take `BLOCK_BYTES` at its widest call. Where something is summed over the batch there are at
        most `LANES` lanes, and fewer where a lane would be too small, or would bring too few rows to the product that
        makes a weight's gradient; elsewhere each block is a lane of its own, and what would be a single block is cut
        into lanes of `LANE_WORK`.
        """
        widest = max((sum(math.prod(t.shape) for t, _, _ in self.touches(call)) for call in segment.calls), default=1)
        size = max(1, widest * self.dtype.itemsize)  # of one image
        block = max(1, BLOCK_BYTES // size)
        if self.images > block * MOST_BLOCKS:
            raise LimitError(f"a plan of {self.images:,} images is none for any machine.")
        sums = segment.direction == "backward" or any(call.action == "sum_forward" for call in segment.calls)
        lanes = min(-(-self.images * size // LANE_BYTES), LANES) if sums else -(-self.images // block)
        if not sums and lanes == 1:
            work = self.images * sum(call.step.layer.multiplications(call.step.shape) for call in segment.calls)
            lanes = min(max(1, work // LANE_WORK), LANES)
        # Three lanes would keep two workers, or four, waiting for the last.
        lanes = min(lanes if lanes <= 2 else -(-lanes // 4) * 4, self.images)
        for call in segment.calls:
            for parameter in call.step.parameters if call.action == "backward" else []:
                rows = self.images * math.prod(call.step.outputs[0].shape) // parameter.shape[0]
                lanes = max(1, min(lanes, rows // LANE_ROWS))
        made = []
        for start, stop in _even(0, self.images, lanes):
            made.append(tuple(_even(start, stop, -(-(stop - start) // block))))
        return Cut(tuple(made))

    # Storage

    def _assign_storage(self) -> None:
        """Give every array its bytes: storage is shared where lives do not overlap, and where layers allow it."""
        lives: Lives[Key] = Lives()
        views: list[tuple[Key, Key]] = []
        for index, segment in enumerate(self.segments):
            for call in segment.calls:
                sides = [self._key(tensor, kind, index) for tensor, kind in self._view_sides(call)]
                views.extend((sides[0], side) for side in sides[1:])
            segment.calls = [call for call in segment.calls if not self._view_sides(call)]

        clock = 0
        starts = []
        for index, segment in enumerate(self.segments):
            starts.append(clock)
            for call in segment.calls:
                for tensor, kind, _ in self.touches(call):
                    lives.touch(self._key(tensor, kind, index), clock)
                clock += 1
        after_forward = (starts + [clock])[len(self.forward)]
        for source in self.sources:
            lives.touch((source, "value", None), 0)
        for result in self.results:
            lives.touch((result, "value", None), after_forward)
            if self.training:
                lives.touch((result, "grad", None), after_forward)
        if self.reaches_input:
            for source in self.sources:
                lives.touch((source, "grad", None), clock)
        for one, other in views:
            lives.unite(one, other)
        if self.share:
            self._unite_in_place(lives)
        self._place_wide(lives, starts)
        self._place_local(lives, starts)

    def _key(self, tensor: Edge, kind: Kind, index: int) -> Key:
        return (tensor, kind, None if (tensor, kind) in self.wide else index)

    def _unite_in_place(self, lives: Lives[Key]) -> None:
        """Let layers that may write over what they read do so, where nobody reads it afterwards."""
        calls = [(index, call) for index, segment in enumerate(self.segments) for call in segment.calls]
        for clock, (index, (action, step)) in enumerate(calls):
            if not step.layer.in_place or action not in ("forward", "backward"):
                continue
            kind: Kind = "value" if action == "forward" else "grad"
            read, written = (step.inputs, step.outputs) if action == "forward" else (step.outputs, step.inputs)
            if kind == "grad" and written[0] not in self._may_have_gradient:
                continue  # nobody wants it, so nothing is written
            target = self._key(written[0], kind, index)
            # Fork and Add take their first two operands in one operation: either may be written over, unless a later
            # operand is a view of the same and still to be read.
            later = {lives.find(self._key(tensor, kind, index)) for tensor in read[2:]}
            for tensor in read[:2]:
                source = self._key(tensor, kind, index)
                if tensor.shape != written[0].shape or lives.find(source) in later:
                    continue  # it is stretched to the output's shape, or read again
                if source[2] == target[2] and lives.ends(source) <= clock <= lives.starts(target):
                    lives.unite(source, target)
                    break

    def _place_wide(self, lives: Lives[Key], starts: list[int]) -> None:
        """Pack what exists for the whole batch. A block may be anywhere in a segment, so a life is whole segments."""
        spans: dict[Hashable, Span] = {}
        for key in lives.roots():
            if key[2] is None:
                size = self.images * math.prod(key[0].shape) * self.dtype.itemsize
                first = bisect_right(starts, lives.starts(key)) - 1
                last = bisect_right(starts, lives.ends(key)) - 1
                spans[key] = Span(size, first, last if lives.ends(key) < starts[-1] else len(starts))
        for index, segment in enumerate(self.segments):
            if segment.gradient_size and len(segment.cut.lanes) > 1:
                size = len(segment.cut.lanes) * segment.gradient_size * self.dtype.itemsize
                spans["gradients", index] = Span(size, index, index)
        for step, first, last in self._saving():
            for name, wanted in self.saved(step, self.images).items():
                spans[step, name] = Span(self.size(wanted), first, last)
        offsets, self.batch_bytes = pack(spans, self.share)
        self.saved_places = {step: {name: offsets[step, name] for name in self.saved(step, 1)} for step in self.steps}
        self.places = {key[:2]: offsets[lives.find(key)] for key in lives if key[2] is None}
        for index, segment in enumerate(self.segments):
            segment.gradients = offsets.get(("gradients", index))

    def _place_local(self, lives: Lives[Key], starts: list[int]) -> None:
        """Pack what a worker holds for the length of one segment: its block of each tensor, and the layers' scratch."""
        self.worker_bytes = 0
        local: dict[int | None, list[Key]] = {}
        for key in lives:
            local.setdefault(key[2], []).append(key)
        for index, segment in enumerate(self.segments):
            spans: dict[Hashable, Span] = {}
            for key in local.get(index, []):
                if lives.find(key) == key:
                    size = segment.cut.block * math.prod(key[0].shape) * self.dtype.itemsize
                    spans[key] = Span(size, lives.starts(key), lives.ends(key))
            for position, call in enumerate(segment.calls):
                for name, wanted in self.scratch(call, segment.cut.block).items():
                    now = starts[index] + position
                    spans[position, name] = Span(self.size(wanted), now, now)
            offsets, size = pack(spans, self.share)
            self.worker_bytes = max(self.worker_bytes, size)
            segment.places = {key[:2]: offsets[lives.find(key)] for key in local.get(index, [])}
            segment.scratch = [
                {name: offsets[position, name] for name in self.scratch(call, segment.cut.block)}
                for position, call in enumerate(segment.calls)
            ]

    def size(self, wanted: Scratch) -> int:
        """The bytes of an array that a layer asks for."""
        return math.prod(wanted.shape) * np.dtype(wanted.dtype or self.dtype).itemsize

    def _saving(self) -> Iterator[tuple[Step, int, int]]:
        """Each step with the first and last segment in which what it saves is in use."""
        used: dict[Step, list[int]] = {}
        for index, segment in enumerate(self.segments):
            for call in segment.calls:
                used.setdefault(call.step, []).append(index)
        for step, indices in used.items():
            yield step, min(indices), max(indices)

    def saved(self, step: Step, images: int) -> dict[str, Scratch]:
        """What one step saves from forward to backward, for so many images."""
        return step.layer.saved((images, *step.shape)) if self.trains(step) or (self.training and self.rest) else {}

    def scratch(self, call: Call, images: int) -> dict[str, Scratch]:
        """What one call asks for, for a block of so many images."""
        shape = (images, *call.step.shape)
        return call.step.layer.scratch(shape, call.direction)


def _even(start: int, stop: int, parts: int) -> list[tuple[int, int]]:
    """Cut a run into parts whose lengths differ by one at the most."""
    bounds = [start + (stop - start) * part // parts for part in range(parts + 1)]
    return list(pairwise(bounds))
