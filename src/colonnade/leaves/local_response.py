"""Local response norm, of images and of features, whose channels lie last."""

from __future__ import annotations

from collections.abc import Iterator

from ..compiled.local_response import local_response_backward, local_response_forward
from ..layers.base import Block, Bound, Layer
from ..layers.local_response import LocalResponseNorm
from ..tensor import Shape, Tensor
from .base import Leaf, rows

# Windows of more channels are summed another way in NumPy.
LARGEST_SIZE = 32


def leaf_for(layer: Layer, shape: Shape) -> Leaf | None:
    """The leaf of a LocalResponseNorm whose divisor is positive; None for any other layer."""
    if not isinstance(layer, LocalResponseNorm) or len(shape) not in (1, 3):
        return None
    suits = layer.size <= LARGEST_SIZE and layer.k > 0 and layer.alpha >= 0
    return CompiledLocalResponse(layer) if suits else None


class CompiledLocalResponse(Leaf):
    """y = x / (k + α / size · Σ x²)^β."""

    def __init__(self, layer: LocalResponseNorm) -> None:
        self.stands_for = (layer,)
        self.arguments = layer.size, layer.alpha, layer.beta, layer.k

    def bind_forward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        yield local_response_forward, (rows(x.value), *self.arguments, rows(y.value))

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        yield local_response_backward, (rows(x.value), rows(y.grad), *self.arguments, rows(x.grad))
