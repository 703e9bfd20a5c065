"""How a plan runs a model's steps: some folded into others, some exchanged, compiled leaves in the place of runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from ..compiled import load
from ..layers.base import Layer, computes_otherwise
from ..layers.dense import Dense
from ..layers.shape import Identity, Reshape
from ..layers.wiring import Add
from ..steps import Edge, Step
from ..tensor import Shape


def said_whether_training(steps: Sequence[Step], training: bool) -> list[Step]:
    """Steps that know whether they run as in training; those of a frozen part do not."""
    rests = resting(steps) if training else set(steps)
    return [Step(step.layer, step.inputs, step.outputs, step.name, step not in rests) for step in steps]


def rewritten(steps: Sequence[Step], compiled: bool) -> list[Step]:
    """The steps as a plan runs them, with compiled leaves or without."""
    made = commuted(folded(steps))
    return with_leaves(made) if compiled else made


def resting(steps: Sequence[Step]) -> set[Step]:
    """The steps that a frozen part of a model consists of, which run as outside training though the rest learns.

    They are those that lead up to a frozen layer and that nothing trainable leads up to. What lies above the last
    frozen layer, a Dropout before a new head for instance, is at work.
    """
    learning: set[Edge] = set()
    for step in steps:
        if step.learns or not learning.isdisjoint(step.inputs):
            learning.update(step.outputs)
    still: set[Step] = set()
    leading: set[Edge] = set()  # to a frozen layer
    for step in reversed(steps):
        if learning.isdisjoint(step.outputs) and (step.frozen or not leading.isdisjoint(step.outputs)):
            still.add(step)
            leading.update(step.inputs)
    return still


def folded(steps: Sequence[Step]) -> list[Step]:
    """The steps, and where one can do the next one's work as well, one step for the two.

    Any can do that of an Identity, and which others, outside training, a layer says itself.
    """
    made: list[Step] = []
    for step in steps:
        # An edge has one reader (Fork sees to that), so what lies between the two is nobody else's.
        before = made[-1] if made and made[-1].outputs == step.inputs else None
        layer = None
        if before and isinstance(step.layer, Identity) and not computes_otherwise(step.layer):
            layer = before.layer
        elif before and not step.training:
            layer = before.layer.fold(step.layer)
        if before and layer:
            made[-1] = Step(layer, before.inputs, step.outputs, before.name, before.training)
        else:
            made.append(step)
    return made


def commuted(steps: Sequence[Step]) -> list[Step]:
    """The steps with monotone activations moved behind maxima: max(f(a), f(b)) = f(max(a, b)), on fewer numbers.

    The gradient is the same too: the maximum is at the same place, or f is flat there and sends nothing back. See
    docs/math/pooling.md.
    """
    made = list(steps)
    for number, (step, following) in enumerate(pairwise(steps)):
        if step.layer.monotone and following.layer.takes_maximum and step.outputs == following.inputs:
            maximum = Edge(following.outputs[0].shape)
            made[number] = Step(following.layer, step.inputs, [maximum], following.name, following.training)
            made[number + 1] = Step(step.layer, [maximum], following.outputs, step.name, step.training)
    return made


def as_images(steps: Sequence[Step]) -> list[Step]:
    """The steps with sequences (c, l) as images (c, 1, l) between layers whose compiled leaves take those.

    Images lie channels-last.
    """
    of_images = load("leaves").of_images

    def layer_of(step: Step) -> Layer | None:
        sequences = all(len(edge.shape) == 2 for edge in (*step.inputs, *step.outputs))
        return of_images(step.layer) if sequences else None

    return _restated(steps, layer_of, lambda shape: (shape[0], 1, shape[1]))


def as_rows(steps: Sequence[Step]) -> list[Step]:
    """The steps with images (c, h, w) as sequences (c · h, w) between dense layers, whose leaves multiply rows."""

    def layer_of(step: Step) -> Layer | None:
        if len(step.shape) != 3 or computes_otherwise(step.layer):
            return None
        return step.layer if isinstance(step.layer, Dense) else None

    return _restated(steps, layer_of, lambda shape: (shape[0] * shape[1], shape[2]))


def _restated(
    steps: Sequence[Step], layer_of: Callable[[Step], Layer | None], shape_of: Callable[[Shape], Shape]
) -> list[Step]:
    """The steps with the same numbers in another shape between some of them.

    They are turned where a layer reads or writes them that wants the shape they had.

    Args:
        steps: As they are.
        layer_of: What does the work of a step in the other shape; None if nothing does.
        shape_of: The other shape.
    """
    takes_either = load("leaves").takes_either
    made: list[Step] = []
    turned: dict[Edge, Edge] = {}  # what stands for an edge, until a layer wants that itself

    def add(layer: Layer, inputs: Sequence[Edge], outputs: Sequence[Edge], of: Step) -> None:
        made.append(Step(layer, inputs, outputs, of.name, of.training))

    for step in steps:
        layer = layer_of(step)
        if layer is None and takes_either(step.layer) and turned.keys() >= {*step.inputs}:
            layer = step.layer
        for edge in step.inputs:
            if layer is None and edge in turned:
                add(Reshape(edge.shape), [turned.pop(edge)], [edge], step)
            elif layer is not None and edge not in turned:
                turned[edge] = Edge(shape_of(edge.shape))
                add(Reshape(turned[edge].shape), [edge], [turned[edge]], step)
        if layer is None:
            made.append(step)
            continue
        for edge in step.outputs:
            turned[edge] = Edge(shape_of(edge.shape))
        add(layer, [turned.pop(edge) for edge in step.inputs], [turned[edge] for edge in step.outputs], step)
    for edge, other in turned.items():  # what the model puts out
        add(Reshape(edge.shape), [other], [edge], made[-1])
    return made


# The longest run of layers that a compiled leaf takes the place of.
LONGEST_RUN = 4


def with_leaves(steps: Sequence[Step]) -> list[Step]:
    """The steps with compiled leaves in the place of those that have one, the longest runs first."""
    leaves_for = load("leaves").leaves_for
    steps = as_rows(as_images(steps))
    made: list[Step] = []
    start = 0
    while start < len(steps):
        for run in _runs(steps, start):
            first, last = run[0], run[-1]
            layers = [step.layer for step in run]
            inputs = _read_by(run)
            shapes = [edge.shape for edge in inputs]
            leaves = leaves_for(layers, shapes, first.outputs[0].shape, first.training)
            if leaves:
                edges = [inputs, *([Edge(leaf.writes)] for leaf in leaves[:-1]), last.outputs]
                for leaf, (reads, writes) in zip(leaves, pairwise(edges), strict=True):
                    made.append(Step(leaf, reads, writes, first.name, first.training))
                start += len(run)
                break
        else:
            made.append(steps[start])
            start += 1
    return made


def _runs(steps: Sequence[Step], start: int) -> list[Sequence[Step]]:
    """The runs that begin at a step, the longest first.

    Whatever else a step reads than what the one before writes was made before the run, since the steps are in order.
    """
    stop = start + 1
    while (
        stop < min(len(steps), start + LONGEST_RUN)
        and _goes_on(steps[stop - 1], steps[stop])
        and steps[stop].training == steps[start].training
    ):
        stop += 1
    return [steps[start:end] for end in range(stop, start, -1)]


def _goes_on(step: Step, following: Step) -> bool:
    """Whether a step's one output is the first input of the following, or any of a sum: leaves know no other place."""
    read = following.inputs if isinstance(following.layer, Add) else following.inputs[:1]
    return len(step.outputs) == 1 and step.outputs[0] in read


def _read_by(run: Sequence[Step]) -> list[Edge]:
    """What a run reads that it does not make itself, in the order of its steps."""
    made = {edge for step in run for edge in step.outputs}
    return [edge for step in run for edge in step.inputs if edge not in made]
