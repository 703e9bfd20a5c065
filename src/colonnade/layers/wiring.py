"""Fork, Add and Concat: the only leaves with several inputs or outputs. Composites put them in; users need not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from ..errors import ShapeError
from ..tensor import Shape, Tensor
from .base import Block, Layer


class Wiring(Layer):
    """A leaf whose `x` or `y` is a list of tensors."""

    reads: ClassVar[set[str]] = set()
    cheap = True
    rectifies = None

    def join(self, shapes: Sequence[Shape]) -> Shape:
        """The shape of each output, for inputs of these shapes."""
        return shapes[0]


class Fork(Wiring):
    """Hands its input on to several readers; its backward pass adds up what comes back.

    Every other layer can therefore simply overwrite the gradient at its input.
    """

    views = {"forward"}
    in_place = True

    def __init__(self, outputs: int) -> None:
        self.outputs = outputs

    def forward(self, x: Tensor, y: Sequence[Tensor], block: Block) -> None:  # type: ignore[override]
        for output in y:
            np.copyto(output.value, x.value)

    def backward(self, x: Tensor, y: Sequence[Tensor], block: Block) -> None:  # type: ignore[override]
        np.add(y[0].grad, y[1].grad, out=x.grad)
        for output in y[2:]:
            np.add(x.grad, output.grad, out=x.grad)


class Add(Wiring):
    """y = x₁ + x₂ + …, all of one shape."""

    views = {"backward"}
    in_place = True

    def join(self, shapes: Sequence[Shape]) -> Shape:
        """The output's shape; raises ShapeError where the inputs' differ."""
        if len(set(shapes)) != 1:
            raise ShapeError(f"Add: expected inputs of one shape, got {', '.join(map(str, shapes))}.")
        return shapes[0]

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        np.add(x[0].value, x[1].value, out=y.value)
        for other in x[2:]:
            np.add(y.value, other.value, out=y.value)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        for other in x:
            if other.has_grad:
                np.copyto(other.grad, y.grad)


class Concat(Wiring):
    """The inputs side by side along the channels."""

    def join(self, shapes: Sequence[Shape]) -> Shape:
        """The output's shape; raises ShapeError where the inputs differ in more than channels."""
        if len({shape[1:] for shape in shapes}) != 1:
            raise ShapeError(f"Branches: expected one height and width from all, got {', '.join(map(str, shapes))}.")
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        start = 0
        for part in x:
            stop = start + part.shape[0]
            np.copyto(y.value[:, start:stop], part.value)
            start = stop

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        start = 0
        for part in x:
            stop = start + part.shape[0]
            if part.has_grad:
                np.copyto(part.grad, y.grad[:, start:stop])
            start = stop
