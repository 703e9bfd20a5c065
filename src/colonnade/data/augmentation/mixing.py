"""Augmentations that mix an image with another of its batch, and their targets likewise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...arguments import number, whole
from ...errors import ArgumentError, ShapeError
from ...ops.layout import Array, channels_first
from .base import Augmentation
from .rectangles import inside, overwritten

if TYPE_CHECKING:
    from ..draws import Draws

TRIES = 16  # of a method that fails once in twenty times at most: all do once in 10²⁰


class Mixing(Augmentation):
    """What :class:`MixUp` and :class:`CutMix` share: the partner, the share λ, and the targets."""

    def __init__(self, alpha: float = 1.0, classes: int | None = None) -> None:
        name = type(self).__name__
        self.alpha = number(name, "alpha", alpha, above=0)
        self.classes = None if classes is None else whole(name, "classes", classes, 1)

    def __call__(self, x: Array, targets: Array, draws: Draws) -> tuple[Array, Array]:
        """The mixed batch, with distributions (n, classes) of x's type as targets."""
        pixels = self.laid_out(x)
        distributions = self._distributions(targets, x)
        y, share = self.mix(pixels, np.roll(pixels, 1, axis=0), draw_beta(draws, self.alpha), draws)
        share = share.astype(x.dtype)[:, None]
        return channels_first(y), share * distributions + (1 - share) * np.roll(distributions, 1, axis=0)

    def mix(self, x: Array, partners: Array, share: Array, draws: Draws) -> tuple[Array, Array]:
        """The mixed images (n, h, w, c), and the share of `x` in each that came out, (n,)."""
        raise NotImplementedError

    def _distributions(self, targets: Array, x: Array) -> Array:
        name = type(self).__name__
        targets = np.asarray(targets)
        if len(targets) != len(x):
            raise ShapeError(f"{name}: expected a target for each of {len(x)} images, got {len(targets)}.")
        if targets.ndim == 2 and targets.dtype.kind == "f":
            if self.classes not in (None, targets.shape[1]):
                raise ShapeError(f"{name}: expected distributions over {self.classes} classes, got {targets.shape[1]}.")
            return targets.astype(x.dtype, copy=False)
        if targets.ndim != 1 or targets.dtype.kind not in "ui":
            given = f"{targets.dtype} of shape {targets.shape}"
            raise ShapeError(f"{name}: targets must be class numbers (n,) or distributions (n, classes), got {given}.")
        if self.classes is None:
            raise ArgumentError(f"{name}: classes must be given where targets are class numbers.")
        if targets.min() < 0 or targets.max() >= self.classes:
            wrong = targets.min() if targets.min() < 0 else targets.max()
            raise ArgumentError(f"{name}: class numbers must be in [0, {self.classes}), got {wrong}.")
        distributions = np.zeros((len(targets), self.classes), x.dtype)
        distributions[np.arange(len(targets)), targets] = 1
        return distributions


class MixUp(Mixing):
    """Each image blended with another of its batch, and their targets as much.

        y = λ · x + (1 − λ) · partner        target = λ · target_x + (1 − λ) · target_partner

    An image's partner is the one before it in the batch; the first's is the last. So here, and here alone, the
    company of an image counts; λ is its own. (torchvision draws one λ a batch.)

    Args:
        alpha: λ is drawn from the distribution Beta(alpha, alpha): small, and it is mostly near 0 or 1; 1, and all
            shares are alike; great, and it is mostly near ½.
        classes: How many there are; may be left out where targets are distributions already.

    Raises:
        ArgumentError: An argument out of range; in use: class numbers as targets, but `classes` left out or too few.
        ShapeError: In use: targets that are neither class numbers nor distributions over so many classes.

    Zhang et al. 2017 (arXiv:1710.09412).
    """

    def mix(self, x: Array, partners: Array, share: Array, draws: Draws) -> tuple[Array, Array]:
        """λ · x + (1 − λ) · partner."""
        weight = share.astype(x.dtype)[:, None, None, None]
        return weight * x + (1 - weight) * partners, share


class CutMix(Mixing):
    """In each image a rectangle replaced by the same part of another of its batch; their targets by area.

    The rectangle has the image's proportions and about 1 − λ of its area; its centre lies anywhere in the image, and
    what of it lies outside is left out. λ in the target is the share of the area that the image keeps.

    An image's partner is the one before it in the batch; the first's is the last. So here, and here alone, the
    company of an image counts; λ is its own. (torchvision draws one λ a batch.)

    Args:
        alpha: λ is drawn from the distribution Beta(alpha, alpha): small, and it is mostly near 0 or 1; 1, and all
            shares are alike; great, and it is mostly near ½.
        classes: How many there are; may be left out where targets are distributions already.

    Raises:
        ArgumentError: An argument out of range; in use: class numbers as targets, but `classes` left out or too few.
        ShapeError: In use: targets that are neither class numbers nor distributions over so many classes.

    Yun et al. 2019 (arXiv:1905.04899).
    """

    def mix(self, x: Array, partners: Array, share: Array, draws: Draws) -> tuple[Array, Array]:
        """The partner's pixels within the rectangle."""
        h, w = x.shape[1:3]
        half = 0.5 * np.sqrt(1 - share)
        row, column = draws.integers(0, h), draws.integers(0, w)
        half_height, half_width = (half * h).astype(np.intp), (half * w).astype(np.intp)
        replaced = inside(row - half_height, row + half_height, column - half_width, column + half_width, (h, w))
        return overwritten(x, replaced, partners), 1 - replaced.mean(axis=(1, 2))


def draw_beta(draws: Draws, alpha: float) -> Array:
    """A number from Beta(alpha, alpha) for each image, (n,), float64.

    G / (G + G') of two numbers from Gamma(alpha). These are found by the method of Marsaglia and Tsang 2000 for
    alpha + 1, times u^(1 / alpha), in logarithms: with a small alpha the numbers themselves are too small to write.
    """
    d = alpha + 1 - 1 / 3
    normal = draws.normal((2, TRIES))
    u = 1 - draws.uniform(size=(2, TRIES))  # in (0, 1]
    root = 1 + normal / np.sqrt(9 * d)
    log_v = 3 * np.log(np.where(root > 0, root, 1))
    accepted = (root > 0) & (np.log(u) < normal**2 / 2 + d * (1 - root**3 + log_v))
    first = accepted.argmax(axis=-1)[..., None]
    log_gamma = np.take_along_axis(log_v, first, axis=-1)[..., 0]  # less log d, which is the same in both
    log_gamma += np.log(1 - draws.uniform(size=(2,))) / alpha
    difference = np.clip(log_gamma[:, 1] - log_gamma[:, 0], -700, 700)  # the exponential is finite
    return np.asarray(1 / (1 + np.exp(difference)))
