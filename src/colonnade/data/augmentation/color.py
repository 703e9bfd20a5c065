"""The augmentation that changes colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...arguments import is_sequence, number
from ...errors import ShapeError
from ...ops.layout import Array
from .adjustments import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation
from .arguments import Interval, about_zero, interval
from .base import Augmentation
from .sampling import tiles

if TYPE_CHECKING:
    from ..draws import Draws


class ColorJitter(Augmentation):
    """Brightness, contrast, saturation and hue changed, one after the other.

    Each takes a factor drawn uniformly for each image: brightness multiplies pixels by it, contrast their distance
    from the image's mean, saturation that from the pixel's grey; the hue is turned by a share of the colour circle.
    Results are cut to [0, 1]. The order is this one, where torchvision draws it too.

    Args:
        brightness: The factor's bounds, or a number b for [max(0, 1 − b), 1 + b]; 0 or None for none.
        contrast: Likewise.
        saturation: Likewise. Images of one channel have none.
        hue: The turn's bounds within [−0.5, 0.5], or a number for both sides of zero; 0 or None for none. Images of
            one channel have none.

    Raises:
        ArgumentError: An argument out of range.
        ShapeError: In use: a hue to be turned in images of neither one nor three channels.
    """

    def __init__(
        self,
        brightness: float | Sequence[float] | None = 0,
        contrast: float | Sequence[float] | None = 0,
        saturation: float | Sequence[float] | None = 0,
        hue: float | Sequence[float] | None = 0,
    ) -> None:
        self.brightness = _factor("brightness", brightness)
        self.contrast = _factor("contrast", contrast)
        self.saturation = _factor("saturation", saturation)
        turns = about_zero("ColorJitter", "hue", 0 if hue is None else hue, most=0.5)
        self.hue = turns if any(turns) else None

    def images(self, x: Array, draws: Draws) -> Array:
        """The changed images."""
        if self.hue and x.shape[-1] not in (1, 3):
            raise ShapeError(f"ColorJitter: a hue needs images of 1 or 3 channels, got {x.shape[-1]}.")
        changes = [
            (adjust, draws.uniform(*bounds))
            for adjust, bounds in (
                (adjust_brightness, self.brightness),
                (adjust_contrast, self.contrast),
                (adjust_saturation, self.saturation),
                (adjust_hue, self.hue),
            )
            if bounds
        ]
        y = x.copy()
        for tile in tiles(y):
            for adjust, amounts in changes:
                adjust(y[tile], amounts[tile])
        return y


def _factor(name: str, value: float | Sequence[float] | None) -> Interval | None:
    if is_sequence(value):
        return interval("ColorJitter", name, value, least=0)
    width = number("ColorJitter", name, 0 if value is None else value, least=0)
    return (max(0.0, 1 - width), 1 + width) if width else None
