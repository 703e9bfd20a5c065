"""Which calls a pass makes, and in what order: the steps cut into segments."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from ..layers.base import Direction, Scratch
from ..steps import Edge, Step
from ..tensor import Parameter, Shape
from .cutting import NO_CUT, Cut

Kind = Literal["value", "grad"]
Numbers = tuple[Edge, Kind]  # the values at an edge, or their gradients
Action = Literal["forward", "backward", "sum_forward", "sum_backward"]


class Call(NamedTuple):
    """One method of one step's layer, to be called on every block."""

    action: Action
    step: Step

    @property
    def direction(self) -> Direction:
        """The direction of the pass it belongs to."""
        return "forward" if self.action.endswith("forward") else "backward"

    @property
    def adds_sums(self) -> bool:
        """Whether it adds to sums over the batch, and writes no tensor."""
        return self.action in ("sum_forward", "sum_backward")

    def touches(self) -> Iterable[tuple[Edge, Kind, bool]]:
        """The arrays the call is handed: at which edge, of which kind, and whether it writes them."""
        layer, inputs, outputs = self.step.layer, self.step.inputs, self.step.outputs
        if self.action == "forward":
            yield from ((edge, "value", False) for edge in inputs)
            yield from ((edge, "value", True) for edge in outputs)
        elif self.action == "sum_forward":
            yield from ((edge, "value", False) for edge in inputs)
        else:
            if "input" in layer.reads:
                yield from ((edge, "value", False) for edge in inputs)
            if "output" in layer.reads:
                yield from ((edge, "value", False) for edge in outputs)
            yield from ((edge, "grad", False) for edge in outputs)
            if self.action == "backward":
                yield from ((edge, "grad", True) for edge in inputs)

    def values_read(self) -> list[Edge]:
        """The edges whose values it is handed."""
        return [edge for edge, kind, _ in self.touches() if kind == "value"]

    def scratch(self, images: int) -> dict[str, Scratch]:
        """What it asks for, for a block of so many images."""
        return self.step.layer.scratch((images, *self.step.shape), self.direction)


@dataclass(frozen=True)
class Segment:
    """Calls that run block by block without waiting for the other blocks.

    Attributes:
        direction: Forward or backward.
        calls: What every block goes through, in order. A backward segment first makes again what was not kept.
        sums: Steps whose sums over the batch are in when it begins: their `begin_` hooks run first.
        cut: The lanes and their blocks.
        parameters: Those whose gradients the calls add to.
        places: Byte offset of the arrays that live in this segment only, in a worker's own memory.
        scratch: Byte offset of each call's scratch arrays, in the same memory.
        gradients: Byte offset, in the batch's memory, of the gradients that are folded; None where there is one lane.
    """

    direction: Direction
    calls: tuple[Call, ...]
    sums: tuple[Step, ...] = ()
    cut: Cut = NO_CUT
    parameters: tuple[Parameter, ...] = ()
    places: dict[Numbers, int] = field(default_factory=dict)
    scratch: tuple[dict[str, int], ...] = ()
    gradients: int | None = None

    @property
    def gradient_size(self) -> int:
        """How many numbers its parameters' gradients hold."""
        return sum(parameter.size for parameter in self.parameters)


@dataclass(frozen=True)
class Outline:
    """What a plan is made for.

    Attributes:
        steps: Rewritten, in their order.
        sources: The edges that the batch is written to.
        results: The edges that hold the outputs.
        images: How many images the batch holds.
        training: Whether a backward pass follows.
        dtype: The type of all numbers.
        share: Whether storage is shared, and what is cheap made again.
        rest: Whether all steps run as outside training, though a backward pass follows.
        reaches_input: Whether the backward pass can give the gradient at the sources: below a part that rests there
            is none, so that there is none at the input either.
        graded: The edges whose gradient somebody may ask for.
    """

    steps: tuple[Step, ...]
    sources: tuple[Edge, ...]
    results: tuple[Edge, ...]
    images: int
    training: bool
    dtype: np.dtype[Any]
    share: bool
    rest: bool = False
    reaches_input: bool = field(init=False)
    graded: frozenset[Edge] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "reaches_input", self.training and (self.rest or all(step.training for step in self.steps))
        )
        object.__setattr__(self, "graded", self.graded_edges(self.reaches_input))

    def graded_edges(self, input_gradient: bool) -> frozenset[Edge]:
        """The edges that need a gradient: those that lead on from what is trained, all if the input's is wanted."""
        if input_gradient and self.reaches_input:
            return frozenset([*self.sources, *(edge for step in self.steps for edge in step.outputs)])
        graded = {*self.results}
        for step in self.steps:
            if step.learns or any(edge in graded for edge in step.inputs):
                graded.update(step.outputs)
        return frozenset(graded)

    def touches(self, call: Call) -> Iterator[tuple[Edge, Kind, bool]]:
        """What `call.touches` says, without the gradients that nobody can ask for."""
        for edge, kind, writes in call.touches():
            if kind == "value" or edge in self.graded:
                yield edge, kind, writes

    def saved(self, step: Step, images: int) -> dict[str, Scratch]:
        """What one step saves from forward to backward, for so many images."""
        return step.layer.saved((images, *step.shape)) if step.training or (self.training and self.rest) else {}

    def size(self, wanted: Scratch) -> int:
        """The bytes of an array that a layer asks for."""
        return math.prod(wanted.shape) * np.dtype(wanted.dtype or self.dtype).itemsize


def sums_of(step: Step) -> Shape | None:
    """The shape of what a step must see summed over the batch, or None."""
    return step.layer.sums(step.training)


def forward_segments(outline: Outline) -> list[Segment]:
    """The steps, cut before each that needs sums over the batch, and before the first that wants large blocks."""
    cuts: list[list[Call]] = [[]]
    sums: list[list[Step]] = [[]]
    for step, wants in zip(outline.steps, _first_wish(outline), strict=True):
        if sums_of(step):
            cuts[-1].append(Call("sum_forward", step))
        if sums_of(step) or (wants and cuts[-1]):
            cuts.append([])
            sums.append([step] if sums_of(step) else [])
        cuts[-1].append(Call("forward", step))
    return [Segment("forward", tuple(calls), tuple(steps)) for calls, steps in zip(cuts, sums, strict=True)]


def backward_segments(outline: Outline) -> list[Segment]:
    """The steps on the way back, cut where sums over the batch come in, and where large blocks are wanted no more."""
    cuts: list[list[Call]] = [[]]
    sums: list[list[Step]] = [[]]
    wished = False
    wishes = dict(zip(outline.steps, _first_wish(outline), strict=True))
    for step in reversed(outline.steps):
        if not step.learns and outline.graded.isdisjoint(step.inputs):
            continue
        if sums_of(step):
            cuts[-1].append(Call("sum_backward", step))
        if sums_of(step) or wished:
            cuts.append([])
            sums.append([step] if sums_of(step) else [])
        cuts[-1].append(Call("backward", step))
        wished = wishes[step]
    return [
        Segment("backward", tuple(calls), tuple(steps), parameters=tuple(_learning(calls)))
        for calls, steps in zip(cuts, sums, strict=True)
    ]


def _first_wish(outline: Outline) -> Sequence[bool]:
    """Of each step whether it is the first that wants as many images at once as there are."""
    wishes = [outline.images > 1 and step.layer.wants_batch for step in outline.steps]
    first = wishes.index(True) if True in wishes else -1
    return [number == first for number in range(len(wishes))]


def _learning(calls: Sequence[Call]) -> list[Parameter]:
    """The parameters whose gradients are added up block by block; a step with sums adds its own when they are in.

    In the order of the steps, in which they mostly lie: what is folded is then few runs of numbers.
    """
    steps = (call.step for call in reversed(calls) if call.action == "backward" and not sums_of(call.step))
    return list(dict.fromkeys(parameter for step in steps for parameter in step.parameters if parameter.trainable))
