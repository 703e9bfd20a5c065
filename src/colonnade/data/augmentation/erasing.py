"""Augmentations that take a part of the image away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from ...arguments import number, whole
from ...ops.layout import Array
from .arguments import Fill, fill_pixel, fill_value, positive_interval
from .base import Augmentation
from .rectangles import draw_sizes, inside, overwritten

if TYPE_CHECKING:
    from ..draws import Draws


class RandomErasing(Augmentation):
    """A rectangle anywhere within the image overwritten, with probability p.

    Of 10 rectangles drawn the first that fits is taken; if none does, the image stays.

    Args:
        p: In [0, 1].
        scale: Bounds of the rectangle's share of the image's area, drawn uniformly.
        ratio: Bounds of its height / width, drawn uniformly on a logarithmic scale.
        value: What is written: one number, one a channel, or `"random"` for numbers drawn uniformly from [0, 1], one
            for each pixel and channel.

    Raises:
        ArgumentError: An argument out of range.
        ShapeError: In use: images of another channel count than `value`.

    Zhong et al. 2017 (arXiv:1708.04896). Pixels are in [0, 1] here, before they are normalised: torchvision's
    default of 0, applied after, is the data's mean, which can be given as `value`.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Fill | Literal["random"] = 0,
    ) -> None:
        self.p = number("RandomErasing", "p", p, 0, 1)
        self.scale = positive_interval("RandomErasing", "scale", scale, most=1)
        self.ratio = positive_interval("RandomErasing", "ratio", ratio)
        self.value: Fill | Literal["random"] = (
            "random" if isinstance(value, str) and value == "random" else fill_value("RandomErasing", "value", value)
        )

    def images(self, x: Array, draws: Draws) -> Array:
        """The images, each without its rectangle."""
        h, w = x.shape[1:3]
        chosen = draws.bernoulli(self.p)
        width_over_height = (1 / self.ratio[1], 1 / self.ratio[0])
        height, width, found = draw_sizes(draws, (h, w), self.scale, width_over_height)
        height, width = np.where(chosen & found, height, 0), np.where(chosen & found, width, 0)
        top, left = draws.integers(0, h - height + 1), draws.integers(0, w - width + 1)
        if self.value == "random":
            value = draws.uniform(size=x.shape[1:]).astype(x.dtype)
        else:
            value = fill_pixel("RandomErasing", self.value, x)
        return overwritten(x, inside(top, top + height, left, left + width, (h, w)), value)


class Cutout(Augmentation):
    """A square about any pixel of the image overwritten; the part of it that lies outside is left out.

    Args:
        size: The square's side in pixels.
        p: Probability, in [0, 1].
        value: What is written: one number, or one a channel.

    Raises:
        ArgumentError: An argument out of range.
        ShapeError: In use: images of another channel count than `value`.

    DeVries and Taylor 2017 (arXiv:1708.04552).
    """

    def __init__(self, size: int, p: float = 1.0, value: Fill = 0) -> None:
        self.size = whole("Cutout", "size", size, 1)
        self.p = number("Cutout", "p", p, 0, 1)
        self.value = fill_value("Cutout", "value", value)

    def images(self, x: Array, draws: Draws) -> Array:
        """The images, each without its square."""
        h, w = x.shape[1:3]
        top = draws.integers(0, h) - self.size // 2
        left = draws.integers(0, w) - self.size // 2
        side = np.where(draws.bernoulli(self.p), self.size, 0)
        return overwritten(x, inside(top, top + side, left, left + side, (h, w)), fill_pixel("Cutout", self.value, x))
