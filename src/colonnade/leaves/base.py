"""What all compiled leaves share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from ..compiled.compilation import entry
from ..layers.base import Bound, Layer
from ..ops.layout import Array, as_laid, memory_axes
from ..tensor import Parameter, Shape


class Leaf(Layer):
    """A compiled leaf: in a plan it takes the place of a layer, or of a run of them, and fulfils the same contract.

    For each method of a layer that works on a block it has one that calls nothing and yields functions with their
    arguments: `bind_forward`, `bind_backward`, `bind_sum_forward`, `bind_sum_backward`. They are asked once for each
    block, and what they yielded is called at every pass. So all that Python decides is decided once, and a pass differs
    from the one before by the numbers in its arrays alone. A `begin_` hook therefore writes over the record that it
    made before, and returns it.

    Attributes:
        writes: One image's shape at its output, where other leaves follow that do the rest of the same layer's work.
    """

    writes: Shape = ()
    binds_state: ClassVar[bool] = True

    def bind(self, action: str, *arguments: Any) -> Sequence[Bound]:
        calls = getattr(self, f"bind_{action}")(*arguments)
        return [(entry(function, given), given) for function, given in calls]

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        for layer in self.stands_for:
            yield from layer.parameters()

    def multiplications(self, shape: Shape) -> int:
        return self.stands_for[0].multiplications(shape)

    def config(self) -> dict[str, Any]:
        return {}

    def __repr__(self) -> str:
        return " + ".join(type(layer).__name__ for layer in self.stands_for)


def plain(x: Array) -> Array:
    """A block's array as it lies in memory: images (n, h, w, c), all else as it is."""
    return as_laid(x)


def rows(x: Array) -> Array:
    """A block's array as (positions, c)."""
    laid = plain(x)
    return laid.reshape(-1, laid.shape[-1])


def flat_images(x: Array) -> Array:
    """A block's array as (n, numbers of an image), as they lie in memory."""
    return plain(x).reshape(len(x), -1)


def positions(x: Array) -> Array:
    """A block's array as (n, positions, c)."""
    laid = plain(x)
    return laid.reshape(len(x), -1, laid.shape[-1])


def last_axis(shape: Shape) -> int:
    """The axis of one image's `shape` that lies last in memory, counted with the batch."""
    return memory_axes(len(shape) + 1)[-1]
