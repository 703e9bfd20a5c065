"""The plan: which calls a model makes, in what order, and where every number lives.

It is made from shapes and the layers' declarations alone, before anything is allocated, by passes that take values and
return values: the steps are rewritten, cut into segments, what is kept is chosen, and storage assigned. See
docs/architecture.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import DTypeLike

from ..errors import ShapeError
from ..layers.base import Direction, Scratch
from ..steps import Edge, Step
from .cutting import COMPILED_PART, Cut, cut, lanes_of
from .lifetimes import batch_wide, crossing, read_backward, with_values_made_again
from .placing import place
from .rewriting import rewritten, said_whether_training
from .segments import Action, Call, Kind, Outline, Segment, backward_segments, forward_segments

__all__ = ["Action", "Call", "Cut", "Kind", "Plan", "Segment"]


class Plan:
    """Steps, segments and storage for one batch shape and one mode.

    Args:
        steps: What the model unrolled to.
        sources: The edges that the batch is written to: one, but for a graph of several inputs.
        results: The edges that hold the outputs.
        images: How many images the batch holds.
        training: Whether a backward pass follows.
        dtype: The type of all numbers.
        share: False gives every array storage of its own, keeps it all, and makes nothing again: the reference.
        workers: The most workers that will run it.
        compiled: Whether compiled leaves take the place of the layers that have one.
        rewrite: False leaves all steps as the model has them.
        rest: Whether all steps run as outside training, though a backward pass follows.

    Attributes:
        steps: As they were rewritten.
        reaches_input: Whether the backward pass can give the gradient at the sources.
        forward: The segments of the forward pass.
        backward: The segments of the backward pass, in their order; empty outside training.
        begins: By direction, the steps whose hooks run before a pass begins: those that wait for no sums.
        kept: The edges whose values the backward pass reads from where the forward pass left them.
        wide: The arrays that exist for the whole batch.
        places: Byte offset of each of them, in the batch's memory.
        saved_places: Byte offset of what each step saves, in the same memory.
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
        self.steps = said_whether_training(steps, training and not rest)
        if rewrite:
            self.steps = rewritten(self.steps, compiled)
        self.sources, self.results, self.images = tuple(sources), tuple(results), images
        self.training, self.dtype, self.share, self.compiled = training, np.dtype(dtype), share, compiled
        _check(self.steps, images)
        outline = Outline(tuple(self.steps), self.sources, self.results, images, training, self.dtype, share, rest)
        self.outline, self.reaches_input = outline, outline.reaches_input

        forward = forward_segments(outline)
        backward = backward_segments(outline) if training else []
        crossed = crossing(outline, forward)
        with_again, self.kept = with_values_made_again(outline, backward, crossed)
        lanes = lanes_of(images)
        segments = [replace(each, cut=_cut(outline, each, lanes, compiled)) for each in (*forward, *with_again)]
        if not share:  # nothing is made again, but the cut is the same, and so are all sums
            self.kept = read_backward(backward)
            plain = (*forward, *backward)
            segments = [replace(segment, calls=each.calls) for segment, each in zip(segments, plain, strict=True)]
        self.wide = batch_wide(outline, segments, crossed, self.kept)
        placed = place(outline, segments, self.wide)

        self.segments = placed.segments
        self.forward, self.backward = self.segments[: len(forward)], self.segments[len(forward) :]
        self.begins = {direction: self._begins(direction) for direction in ("forward", "backward")}
        self.places, self.saved_places = placed.places, placed.saved
        self.batch_bytes, self.worker_bytes = placed.batch_bytes, placed.worker_bytes
        self.workers = max(1, min(workers, max(len(segment.cut.tasks) for segment in self.segments)))
        self.bytes = self.batch_bytes + self.workers * self.worker_bytes
        self.work = images * sum(step.work for step in self.steps)

    def _begins(self, direction: Direction) -> list[Step]:
        segments = self.forward if direction == "forward" else self.backward
        called = dict.fromkeys(call.step for segment in segments for call in segment.calls if call.action == direction)
        waiting = {step for segment in segments for step in segment.sums}
        return [step for step in called if step.prepares(direction) and step not in waiting]

    def graded(self, input_gradient: bool) -> frozenset[Edge]:
        """The edges that need a gradient, whether or not that at the input is wanted."""
        return self.outline.graded_edges(input_gradient)

    def touches(self, call: Call) -> Iterator[tuple[Edge, Kind, bool]]:
        """The arrays a call is handed, without the gradients that nobody can ask for, and whether it writes them."""
        return self.outline.touches(call)

    def size(self, wanted: Scratch) -> int:
        """The bytes of an array that a layer asks for."""
        return self.outline.size(wanted)

    def saved(self, step: Step, images: int) -> dict[str, Scratch]:
        """What one step saves from forward to backward, for so many images."""
        return self.outline.saved(step, images)


def _check(steps: Sequence[Step], images: int) -> None:
    for step in steps:
        try:
            step.layer.check((images, *step.shape), step.training)
        except ShapeError as error:
            raise ShapeError(f"layer {step.name}, {error}") from None


def _cut(outline: Outline, segment: Segment, lanes: Sequence[tuple[int, int]], compiled: bool) -> Cut:
    """How the lanes are cut for one segment."""
    numbers = (sum(math.prod(edge.shape) for edge, _, _ in outline.touches(call)) for call in segment.calls)
    widest = max(numbers, default=1)  # of one image
    small = compiled and not any(call.step.layer.wants_batch for call in segment.calls)
    itemsize = outline.dtype.itemsize
    return cut(lanes, widest * itemsize, segment.gradient_size * itemsize, COMPILED_PART if small else 1)
