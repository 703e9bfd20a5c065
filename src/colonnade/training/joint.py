"""A loss of several outputs: the weighted sum of losses that each read one of them, or some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..losses import Loss
from ..ops.layout import Array
from .protocols import Criterion


class JointLoss:
    """The weighted sum of losses, each of one output or of several.

        L = Σ w_k L_k(y_k, t_k)
        ∂L/∂y = Σ w_k ∂L_k/∂y

    Shapes: y is a tuple with an array (n, ...) of each output, targets one of each loss, or None. What a loss reads is
    an array where it reads one output, else a tuple.

    Args:
        outputs: Their names, in order.
        losses: L_k.
        weights: w_k.
        reads: The names of the outputs that each loss reads; by default each loss reads one, in order.

    Attributes:
        names: Of the losses, by what they read.
    """

    def __init__(
        self,
        outputs: Sequence[str],
        losses: Sequence[Criterion],
        weights: Sequence[float],
        reads: Sequence[Sequence[str]] | None = None,
    ) -> None:
        self.outputs, self.losses, self.weights = tuple(outputs), tuple(losses), tuple(weights)
        self.reads = tuple((name,) for name in outputs) if reads is None else tuple(map(tuple, reads))
        self.names = tuple(map(joined, self.reads))

    def __call__(self, y: Sequence[Array], targets: Sequence[Array]) -> tuple[float, tuple[Array, ...]]:
        """The loss, and its gradient at each output."""
        total, gradients = 0.0, []
        for loss, weight, output, wanted in zip(self.losses, self.weights, self.read(y), targets, strict=True):
            value, gradient = loss.reduced(output, wanted) if isinstance(loss, Loss) else loss(output, wanted)
            total += weight * value
            gradients.append(gradient)
        return total, self.gathered(gradients)

    def read(self, each: Sequence[Any]) -> list[Any]:
        """What each loss reads, of what there is of each output."""
        by_name = dict(zip(self.outputs, each, strict=True))
        return [by_name[read[0]] if len(read) == 1 else tuple(map(by_name.__getitem__, read)) for read in self.reads]

    def gathered(self, gradients: Sequence[Any]) -> tuple[Array, ...]:
        """The gradient at each output, from what each loss gives at those that it reads, before its weight."""
        found: dict[str, Array] = {}
        for read, weight, gradient in zip(self.reads, self.weights, gradients, strict=True):
            for name, each in zip(read, (gradient,) if len(read) == 1 else gradient, strict=True):
                weighted = each if weight == 1 else each * weight
                found[name] = found[name] + weighted if name in found else weighted
        return tuple(found[name] for name in self.outputs)


def joined(names: Sequence[str]) -> str:
    """What a loss of some outputs is called: `mean_var` of `mean` and `var`."""
    return "_".join(names)
