"""Steps and the edges between them: what a model unrolls to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NoReturn

from .errors import StateError
from .layers.base import Direction, Layer
from .layers.wiring import Wiring
from .limits import CALL, NUMBER
from .tensor import Shape


class Edge:
    """What lies between two steps: the shape of one image there, and no numbers.

    The edge that one step writes is the very object that the next reads. Where its numbers live, in which order and for
    how long, is for the plan to say; a layer is handed a :class:`~colonnade.Tensor`.

    Args:
        shape: One image's; known once the model is built.
    """

    __slots__ = ("shape",)

    def __init__(self, shape: Shape = ()) -> None:
        self.shape = shape

    @property
    def value(self) -> NoReturn:
        """Raises StateError: an edge has none."""
        raise self._holds_no("value")

    @property
    def grad(self) -> NoReturn:
        """Raises StateError: an edge has none."""
        raise self._holds_no("gradient")

    def _holds_no(self, what: str) -> StateError:
        return StateError(
            f"Edge: it joins two steps and holds no numbers, so it has no {what}: model.trace(x) gives the Tensors."
        )

    def __repr__(self) -> str:
        return f"Edge(shape={self.shape})"


class Step:
    """One leaf layer with its input and output edges.

    Attributes:
        name: Where the layer stands in the model, as in its parameters' names: "3.main.0".
        training: Whether it runs as in training.
    """

    __slots__ = ("layer", "inputs", "outputs", "name", "training", "parameters")

    def __init__(
        self, layer: Layer, inputs: Sequence[Edge], outputs: Sequence[Edge], name: str, training: bool = False
    ) -> None:
        self.layer = layer
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.name = name
        self.training = training
        self.parameters = [parameter for _, parameter in layer.parameters()]

    @property
    def shape(self) -> Shape:
        """One image's, of what the layer goes by: its input, or the output where there are several inputs or none."""
        return (self.outputs if isinstance(self.layer, Wiring) else self.inputs)[0].shape

    @property
    def work(self) -> int:
        """That of one image's forward pass, in multiplications: the layer's, and that of what it reads and writes."""
        numbers = sum(math.prod(edge.shape) for edge in (*self.inputs, *self.outputs))
        return self.layer.work(self.shape) + NUMBER * numbers + CALL

    @property
    def learns(self) -> bool:
        """Whether any of its parameters is to be trained."""
        return any(parameter.trainable for parameter in self.parameters)

    @property
    def frozen(self) -> bool:
        """Whether it was to be left as it is: the layer, or all the parameters it has."""
        return not self.layer.trainable or (bool(self.parameters) and not self.learns)

    @property
    def kind(self) -> str:
        """What its layer is, for a person: its type, or those of the layers that a compiled leaf stands for."""
        return repr(self.layer) if self.compiled else type(self.layer).__name__

    @property
    def compiled(self) -> bool:
        """Whether its layer is a compiled leaf."""
        return self.layer.stands_for != ()

    def prepares(self, direction: Direction) -> bool:
        """Whether its layer has something to do once before a pass in that direction."""
        hook = f"begin_{direction}"
        return getattr(type(self.layer), hook) is not getattr(Layer, hook)

    def __repr__(self) -> str:
        return f"Step({self.name}, {type(self.layer).__name__})"
