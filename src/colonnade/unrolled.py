"""Unrolled: a body as steps, with the shapes that lie between them for images of one shape."""

from __future__ import annotations

import math
from collections.abc import MutableMapping
from typing import Any

import numpy as np

from .composites import Chain, Graph
from .errors import LimitError, ShapeError
from .layers.base import Layer
from .layers.wiring import Constant, Wiring
from .limits import Limits
from .steps import Edge, Step
from .tensor import Parameter, Shape

# Of one image: NumPy has 64, and some layers cut each in two.
MOST_AXES = 30
# Layers that keep something of their input's shape, and a mark of the unrolled body in which they last saw one.
Keepers = MutableMapping[Layer, object]


class Unrolled:
    """What a network is for images of one shape. A network keeps several, of the same parameters.

    Args:
        body: The chain or graph.

    Attributes:
        steps: What the body unrolls to.
        sources: The edges where the inputs come in.
        results: The edges where the outputs go out.
        shapes: One image's, of each input; empty as long as no shape is known.
        parameters: By name, once a network has named them.
        prepared_bytes: What the layers make for one image beside a plan's memory.
    """

    def __init__(self, body: Chain | Graph) -> None:
        self.body = body
        self.steps: list[Step] = []
        self.sources = [Edge() for _ in (body.inputs if isinstance(body, Graph) else ("input",))]
        self.results = body.unroll(self.sources, "", self.steps)
        self.shapes: tuple[Shape, ...] = ()
        self.parameters: dict[str, Parameter] = {}
        self.prepared_bytes = 0
        self._mark = object()
        self._settings: tuple[object, str] = (None, "")  # and the `Layer.changes` that they are as of

    def trained(self) -> tuple[bool, ...]:
        """Whether each layer, and each parameter, is trained."""
        layers = [step.layer.trainable for step in self.steps]
        return (*layers, *(parameter.trainable for parameter in self.parameters.values()))

    def settings(self) -> str:
        """What the layers' settings are now, as text, which is hashed once.

        Plans are made from them, and calls are bound to them.
        """
        changes = Layer.changes
        if self._settings[0] is not changes:
            self._settings = changes, repr([step.layer.settings() for step in self.steps])
        return self._settings[1]

    def carry(
        self, shapes: tuple[Shape, ...], seed: int, itemsize: int, limits: Limits | None, keepers: Keepers
    ) -> bool:
        """Carry one image's shape, or one of each input, through all steps.

        Returns whether that changed layers which another unrolled body has too.

        Args:
            shapes: Of each input.
            seed: Of parameters that a layer declares only now.
            itemsize: Bytes of a number.
            limits: What one image may take at most.
            keepers: Whose input the layers last saw that keep what its shape says; updated.

        Raises:
            ShapeError: A layer does not fit what comes before it.
            LimitError: More than the limits allow.
        """
        self.shapes = ()
        for source, shape in zip(self.sources, shapes, strict=True):
            source.shape = shape
        built: dict[Layer, Shape] = {}
        work = prepared = 0
        taken = False
        for number, step in enumerate(self.steps):
            given = [tensor.shape for tensor in step.inputs]
            layer = step.layer
            kept = dict(vars(layer))
            try:
                if isinstance(layer, Wiring):
                    made = layer.join(given)
                else:
                    made = layer.build(given[0], np.random.default_rng([seed, 1, number]))
            except ShapeError as error:
                raise ShapeError(f"layer {step.name}, {error}") from None
            finally:
                keeps = any(kept.get(name) is not value for name, value in vars(layer).items())
                if keeps or layer in keepers:
                    taken |= keepers.get(layer, self._mark) is not self._mark
                    keepers[layer] = self._mark
            if not isinstance(layer, Wiring) and built.setdefault(layer, given[0]) != given[0] and keeps:
                raise ShapeError(
                    f"layer {step.name}, {type(layer).__name__}: a shared layer that keeps what its input's shape says "
                    f"must have inputs of one shape, got {built[layer]} and {given[0]}."
                )
            if len(made) > MOST_AXES:
                raise ShapeError(f"layer {step.name}, {type(layer).__name__}: more than {MOST_AXES} axes: {made}.")
            for tensor in step.outputs:
                tensor.shape = made
            work, prepared = work + step.work, prepared + layer.prepared_bytes(step.shape)
            if limits is not None:
                _require_within(limits, step, itemsize, work, prepared)
        self.prepared_bytes, self.shapes = prepared, shapes
        return taken

    def stands(self, keepers: Keepers) -> bool:
        """Whether its layers are still as `carry` left them."""
        mark = self._mark
        return all(keepers.get(step.layer, mark) is mark for step in self.steps) if keepers else True


def interchangeable(own: Any, other: Any) -> bool:
    """Whether one layer stands for another that was read from the same file: it holds what is learned, or counted."""
    if type(own) is not type(other) or not isinstance(own, Layer) or (isinstance(own, Constant) and not own.learned):
        return False
    parameters = [parameter for _, parameter in own.parameters()]
    holds = bool(parameters or own.buffers) and not any(parameter.fixed for parameter in parameters)
    return holds and own.config() == other.config()


def _require_within(limits: Limits, step: Step, itemsize: int, work: float, prepared: float) -> None:
    """Raise LimitError where one image takes more than the model may, before anything is made for it."""
    numbers = max(math.prod(tensor.shape) for tensor in (*step.inputs, *step.outputs))
    needed = itemsize * numbers + prepared
    for what, least, most in (("bytes", needed, limits.memory), ("multiplications", work, limits.work)):
        if least > most:
            raise LimitError(
                f"layer {step.name}, {type(step.layer).__name__}: with it one image takes {least:.3g} {what}, "
                f"more than the {most:.3g} that are allowed (docs/limits.md says how to allow more)."
            )
