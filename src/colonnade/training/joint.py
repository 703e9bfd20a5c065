"""A loss of several outputs: the weighted sum of a loss of each."""

from __future__ import annotations

from collections.abc import Sequence

from ..ops.layout import Array
from .protocols import Criterion


class JointLoss:
    """The weighted sum of a loss of each output.

        L = Σ w_k L_k(y_k, t_k)
        ∂L/∂y_k = w_k ∂L_k/∂y_k

    Shapes: y and targets are tuples, with an array (n, ...) of each output.

    Args:
        names: Of the outputs.
        losses: L_k, of each of them.
        weights: w_k.
    """

    def __init__(self, names: Sequence[str], losses: Sequence[Criterion], weights: Sequence[float]) -> None:
        self.names, self.losses, self.weights = tuple(names), tuple(losses), tuple(weights)

    def __call__(self, y: Sequence[Array], targets: Sequence[Array]) -> tuple[float, tuple[Array, ...]]:
        """The loss, and its gradient at each output."""
        total, gradients = 0.0, []
        for loss, weight, output, wanted in zip(self.losses, self.weights, y, targets, strict=True):
            value, gradient = loss(output, wanted)
            total += weight * value
            gradients.append(gradient if weight == 1 else gradient * weight)
        return total, tuple(gradients)
