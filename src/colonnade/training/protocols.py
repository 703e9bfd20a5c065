"""What the loop needs of a model, a loss and an optimizer: whatever has these methods can be trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ..ops.layout import Array
from ..tensor import Parameter, Shape

if TYPE_CHECKING:
    from ..storage import StrPath


class Trainable(Protocol):
    """What the loop needs of a model; `colonnade.Model` has it."""

    seed: int
    classes: list[str] | None
    normalization: dict[str, list[float]] | None
    pixels: dict[str, Any] | None  # what the images were that it was trained on
    position: tuple[int, ...]  # (epoch, step): where random streams, such as those of dropout, stand

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the parameters, the images and the outputs."""

    @property
    def input_shape(self) -> Any:
        """Of one image; a tuple of shapes where there are several inputs; None before `build`."""

    @property
    def output_shape(self) -> Any:
        """Of what is put out for one image; a tuple of shapes where there are several outputs; None before `build`."""

    def build(self, input_shape: Shape) -> object:
        """Make the parameters."""

    def __call__(self, x: Any, training: bool = False) -> Any:
        """The outputs for a batch."""

    def backward(self, gradient: Any, *, input_gradient: bool = True) -> Any:
        """Add to the parameters' gradients."""

    def zero_grad(self) -> None:
        """Set the gradients to zero."""

    def parameters(self) -> Sequence[Parameter]:
        """What is learned."""

    def state_dict(self) -> dict[str, Array]:
        """Parameters and running statistics by name."""

    def load_state_dict(self, state: Any, /) -> object:
        """Take over what `state_dict` gave."""

    def config(self) -> Any:
        """The architecture, as JSON can say it."""

    def save(self, path: StrPath) -> None:
        """Write the model file."""


class Criterion(Protocol):
    """A loss: the classes of `colonnade.losses`, or any function of outputs and targets."""

    def __call__(self, y: Any, targets: Any, /) -> tuple[float, Any]:
        """The loss and its gradient at `y`."""


# What a model of several inputs or outputs is given: one for each of them, in their order or by their names.
Inputs: TypeAlias = ArrayLike | Sequence[ArrayLike] | Mapping[str, ArrayLike]
Targets: TypeAlias = ArrayLike | Sequence[ArrayLike | None] | Mapping[str, ArrayLike | None]
OneLoss: TypeAlias = str | Criterion | None
Objective: TypeAlias = OneLoss | Sequence[OneLoss] | Mapping[str, OneLoss]
Weights: TypeAlias = Sequence[float] | Mapping[str, float] | None


class Learner(Protocol):
    """An optimizer: the classes of `colonnade.optimizers`."""

    lr: float
    initial_lr: float | None

    def step(self) -> None:
        """Update the parameters from their gradients."""

    def state_dict(self) -> dict[str, Array]:
        """What it needs to go on, bit for bit."""

    def load_state_dict(self, state: Mapping[str, Array], /) -> None:
        """Take over what `state_dict` gave."""


def ends(model: Trainable) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of a model's inputs and outputs; what does not tell has one of each."""
    return tuple(getattr(model, "inputs", ("input",))), tuple(getattr(model, "outputs", ("output",)))


def of_batch(images: int, shape: Any) -> Any:
    """The shape of a batch, from one image's; a tuple of shapes where there are several outputs."""
    several = bool(shape) and isinstance(shape[0], tuple)
    return tuple((images, *each) for each in shape) if several else (images, *shape)
