"""The augmentation that draws from many others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...arguments import whole
from ...errors import ArgumentError
from ...ops.layout import Array
from .adjustments import (
    adjust_brightness,
    adjust_contrast,
    adjust_saturation,
    adjust_sharpness,
    autocontrast,
    equalize,
    posterize,
    solarize,
)
from .arguments import Fill, Interpolation, fill_pixel, fill_value, interpolation_mode
from .base import Augmentation
from .geometry import inverse_affine
from .sampling import sample, tiles

if TYPE_CHECKING:
    from ..draws import Draws

MOVES = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
FACTORS = {
    "Brightness": adjust_brightness,
    "Color": adjust_saturation,
    "Contrast": adjust_contrast,
    "Sharpness": adjust_sharpness,
}
FIXED = {"AutoContrast": autocontrast, "Equalize": equalize}
OPERATIONS = ("Identity", *MOVES, *FACTORS, "Posterize", "Solarize", *FIXED)


class RandAugment(Augmentation):
    """A few of fourteen changes, drawn for each image, all of one magnitude.

    | operation | at m of 0 … 1 = magnitude / (num_magnitude_bins − 1) |
    | --- | --- |
    | Identity | |
    | ShearX, ShearY | ± 0.3 m |
    | TranslateX, TranslateY | ± 150/331 m of the width or height, whole pixels |
    | Rotate | ± 30 m degrees |
    | Brightness, Color (saturation), Contrast, Sharpness | times 1 ± 0.9 m |
    | Posterize | 8 − 4 m bits |
    | Solarize | pixels of at least 1 − m |
    | AutoContrast, Equalize | |

    The sign is drawn too. Operations, ranges and defaults are torchvision's. Images may have any number of channels.

    Args:
        num_ops: How many changes, one after the other; the same may be drawn again.
        magnitude: In [0, num_magnitude_bins).
        num_magnitude_bins: At least 2.
        interpolation: `"nearest"` or `"bilinear"`.
        fill: The pixels that come in from outside: one number, or one a channel.

    Raises:
        ArgumentError: An argument out of range.
        ShapeError: In use: images of another channel count than `fill`.

    Cubuk et al. 2019 (arXiv:1909.13719).
    """

    moves = True
    recolors = True

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: Interpolation = "nearest",
        fill: Fill = 0,
    ) -> None:
        self.num_ops = whole("RandAugment", "num_ops", num_ops, 0)
        self.num_magnitude_bins = whole("RandAugment", "num_magnitude_bins", num_magnitude_bins, 2)
        self.magnitude = whole("RandAugment", "magnitude", magnitude, 0)
        if self.magnitude >= self.num_magnitude_bins:
            raise ArgumentError(f"RandAugment: magnitude must be under {self.num_magnitude_bins}, got {magnitude}.")
        self.interpolation = interpolation_mode("RandAugment", interpolation)
        self.fill = fill_value("RandAugment", "fill", fill)

    def mover(self) -> Augmentation:
        """Only those of the operations that are maps."""
        twin = super().mover()
        vars(twin)["recolors"] = False
        return twin

    def images(self, x: Array, draws: Draws) -> Array:
        """The changed images."""
        y = x.copy()
        for _ in range(self.num_ops):
            operation = draws.integers(0, len(OPERATIONS))
            sign = np.where(draws.bernoulli(0.5), -1.0, 1.0)
            self.change(y, operation, sign)
        return y

    def change(self, x: Array, operation: Array, sign: Array) -> None:
        """One operation on each image, written over it.

        Args:
            x: (n, h, w, c), contiguous.
            operation: (n,), positions in `OPERATIONS`.
            sign: (n,), −1 or 1.
        """
        moved = np.flatnonzero(np.isin(operation, [OPERATIONS.index(name) for name in MOVES]))
        if len(moved):
            x[moved] = self._move(x[moved], operation[moved], sign[moved])
        for number, name in enumerate(OPERATIONS):
            chosen = np.flatnonzero(operation == number)
            if name in MOVES or name == "Identity" or not (self.recolors and len(chosen)):
                continue
            part = x[chosen]
            for tile in tiles(part):
                self._recolor(name, part[tile], sign[chosen][tile])
            x[chosen] = part

    @property
    def _strength(self) -> float:
        return self.magnitude / (self.num_magnitude_bins - 1)

    def _move(self, x: Array, operation: Array, sign: Array) -> Array:
        """All that is an affine map, at once: amounts are zero for the images that drew another operation."""
        h, w = x.shape[1:3]
        shear_x, shear_y, right, down, turn = (
            np.where(operation == OPERATIONS.index(name), sign * self._strength, 0.0) for name in MOVES
        )
        sheared = (shear_x != 0) | (shear_y != 0)  # about the upper left corner, where all else is about the middle
        inverse = inverse_affine(
            (h, w),
            angle=-30 * turn,
            right=np.trunc(150 / 331 * w * right),
            down=np.trunc(150 / 331 * h * down),
            shear=(np.degrees(np.arctan(0.3 * shear_x)), np.degrees(np.arctan(0.3 * shear_y))),
            center=(np.where(sheared, 0, w / 2), np.where(sheared, 0, h / 2)),
        )
        return sample(x, inverse, self.interpolation, fill_pixel("RandAugment", self.fill, x))

    def _recolor(self, name: str, x: Array, sign: Array) -> None:
        """One operation that is no affine map, on all of these images."""
        if name in FACTORS:
            FACTORS[name](x, 1 + 0.9 * self._strength * sign)
        elif name == "Posterize":
            posterize(x, np.full(len(x), 8 - round(4 * self._strength)))
        elif name == "Solarize":
            solarize(x, np.full(len(x), 1 - self._strength))
        else:
            FIXED[name](x)
