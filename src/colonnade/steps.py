"""Steps: what a model unrolls to, and how a plan rewrites them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from .layers.base import Layer
from .tensor import Tensor


class Step:
    """One leaf layer with its input and output tensors.

    The output tensor of one step is the very object that the next has as its input. Their shapes are one image's.

    Attributes:
        name: Where the layer stands in the model, as in its parameters' names: "3.main.0".
    """

    def __init__(self, layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[Tensor], name: str) -> None:
        self.layer = layer
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.name = name
        self.parameters = [parameter for _, parameter in layer.parameters()]

    def __repr__(self) -> str:
        return f"Step({self.name}, {type(self.layer).__name__})"


def folded(steps: Sequence[Step]) -> list[Step]:
    """The steps for use outside training: where a layer can do the next one's work as well, one step for the two."""
    made: list[Step] = []
    for step in steps:
        before = made[-1] if made else None
        # A tensor has one reader (Fork sees to that), so what lies between the two is nobody else's.
        layer = before.layer.fold(step.layer) if before and before.outputs == step.inputs else None
        if before and layer:
            made[-1] = Step(layer, before.inputs, step.outputs, before.name)
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
            maximum = Tensor(following.outputs[0].shape)
            made[number] = Step(following.layer, step.inputs, [maximum], following.name)
            made[number + 1] = Step(step.layer, [maximum], following.outputs, step.name)
    return made
