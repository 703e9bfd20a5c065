"""Augmentations that move pixels: crops, flips, rotations, affine maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np

from ...arguments import choice, flag, is_sequence, number, shown, whole
from ...errors import ArgumentError, ShapeError
from ...ops.layout import Array
from .arguments import (
    Fill,
    Interpolation,
    Size,
    about_zero,
    fill_pixel,
    fill_value,
    image_size,
    interpolation_mode,
    interval,
    positive_interval,
)
from .base import Augmentation
from .rectangles import draw_sizes
from .sampling import crop, linear_taps, nearest_taps, pixels, resize, sample

if TYPE_CHECKING:
    from ..draws import Draws

PaddingMode = Literal["constant", "edge", "reflect", "symmetric"]
Padding = int | tuple[int, int] | tuple[int, int, int, int] | None


class RandomHorizontalFlip(Augmentation):
    """Left and right exchanged, with probability p.

    Args:
        p: In [0, 1].

    Raises:
        ArgumentError: A probability out of range.
    """

    moves = True

    def __init__(self, p: float = 0.5) -> None:
        self.p = number(type(self).__name__, "p", p, 0, 1)

    def images(self, x: Array, draws: Draws) -> Array:
        """x[..., ::-1] where it was drawn."""
        return _flipped(x, draws.bernoulli(self.p), axis=2)


class RandomVerticalFlip(Augmentation):
    """Above and below exchanged, with probability p.

    Args:
        p: In [0, 1].

    Raises:
        ArgumentError: A probability out of range.
    """

    moves = True

    def __init__(self, p: float = 0.5) -> None:
        self.p = number(type(self).__name__, "p", p, 0, 1)

    def images(self, x: Array, draws: Draws) -> Array:
        """x[..., ::-1, :] where it was drawn."""
        return _flipped(x, draws.bernoulli(self.p), axis=1)


def _flipped(x: Array, chosen: Array, axis: int) -> Array:
    y = x.copy()
    pixels(y)[chosen] = np.flip(pixels(x)[chosen], axis)
    return y


class RandomCrop(Augmentation):
    """A window anywhere in the image, which may be padded first: the image moved by up to the padding.

    Args:
        size: Height and width of the window, or the side of a square; None for the size of the images.
        padding: Pixels put around the image: on all sides, (left and right, above and below), or
            (left, above, right, below); None for none.
        pad_if_needed: Whether an image smaller than the window is padded until it is not.
        fill: The pixels put around in the mode `"constant"`: one number, or one a channel.
        padding_mode: `"constant"`, or as in `numpy.pad`: `"edge"` repeats the border, `"reflect"` mirrors the image
            about its outermost pixels, `"symmetric"` about its edge.

    Raises:
        ArgumentError: A size, padding, fill or mode out of range.
        ShapeError: In use: images smaller than the window, or of another channel count than `fill`.

    With a padding of 4 the augmentation of He et al. 2015 (arXiv:1512.03385, section 4.2).
    """

    moves = True

    def __init__(
        self,
        size: Size = None,
        padding: Padding = None,
        pad_if_needed: bool = False,
        fill: Fill = 0,
        padding_mode: PaddingMode = "constant",
    ) -> None:
        self.size = image_size("RandomCrop", size)
        self._sides = self._four(padding)
        self.padding = tuple(padding) if is_sequence(padding) else padding
        self.pad_if_needed = flag("RandomCrop", "pad_if_needed", pad_if_needed)
        self.fill = fill_value("RandomCrop", "fill", fill)
        self.padding_mode: PaddingMode = choice("RandomCrop", "padding_mode", padding_mode, get_args(PaddingMode))

    def images(self, x: Array, draws: Draws) -> Array:
        """Windows of the padded images."""
        left, above, right, below = self._sides
        height, width = self.size or x.shape[1:3]
        if self.pad_if_needed:
            missing = (max(0, height - above - below - x.shape[1]), max(0, width - left - right - x.shape[2]))
            above, below, left, right = above + missing[0], below + missing[0], left + missing[1], right + missing[1]
        padded = self._padded(x, (above, below), (left, right))
        spare = (padded.shape[1] - height, padded.shape[2] - width)
        if min(spare) < 0:
            raise ShapeError(
                f"RandomCrop: the window {height}×{width} is larger than the images {padded.shape[1]}×"
                f"{padded.shape[2]}, padding included."
            )
        tops, lefts = draws.integers(0, spare[0] + 1), draws.integers(0, spare[1] + 1)
        return crop(padded, tops, lefts, (height, width))

    def _padded(self, x: Array, vertical: tuple[int, int], horizontal: tuple[int, int]) -> Array:
        if not any((*vertical, *horizontal)):
            return x
        if self.padding_mode != "constant":
            return np.pad(x, ((0, 0), vertical, horizontal, (0, 0)), self.padding_mode)
        images, h, w, channels = x.shape
        padded = np.empty((images, h + sum(vertical), w + sum(horizontal), channels), x.dtype)
        padded[...] = fill_pixel("RandomCrop", self.fill, x)
        padded[:, vertical[0] : vertical[0] + h, horizontal[0] : horizontal[0] + w] = x
        return padded

    @staticmethod
    def _four(padding: Padding) -> tuple[int, int, int, int]:
        given = [0] if padding is None else list(padding) if is_sequence(padding) else [padding]
        if len(given) not in (1, 2, 4):
            raise ArgumentError(f"RandomCrop: padding must be one, two or four whole numbers, got {shown(padding)}.")
        left, above, right, below = (whole("RandomCrop", "padding", each, 0) for each in (given * 4)[:4])
        return left, above, right, below


class RandomResizedCrop(Augmentation):
    """A window of random area and shape anywhere in the image, resized to one size.

    Of 10 windows drawn the first that fits is taken; if none does, the largest of an allowed shape in the middle.

    Args:
        size: Height and width of the result, or the side of a square; None for the size of the images.
        scale: Bounds of the window's share of the image's area, drawn uniformly.
        ratio: Bounds of the window's width / height, drawn uniformly on a logarithmic scale.
        interpolation: `"nearest"` or `"bilinear"`.
        antialias: Whether a window that is made smaller is averaged, rather than sampled at points; if bilinear.

    Raises:
        ArgumentError: A size, scale, ratio or interpolation out of range.

    Szegedy et al. 2015 (arXiv:1409.4842, section 6).
    """

    moves = True

    def __init__(
        self,
        size: Size = None,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: Interpolation = "bilinear",
        antialias: bool = True,
    ) -> None:
        self.size = image_size("RandomResizedCrop", size)
        self.scale = positive_interval("RandomResizedCrop", "scale", scale, most=1)
        self.ratio = positive_interval("RandomResizedCrop", "ratio", ratio)
        self.interpolation = interpolation_mode("RandomResizedCrop", interpolation)
        self.antialias = flag("RandomResizedCrop", "antialias", antialias)

    def images(self, x: Array, draws: Draws) -> Array:
        """Windows of the images, resized."""
        h, w = x.shape[1:3]
        height, width, found = draw_sizes(draws, (h, w), self.scale, self.ratio)
        middle_height, middle_width = self._largest(h, w)
        height, width = np.where(found, height, middle_height), np.where(found, width, middle_width)
        top, left = draws.integers(0, h - height + 1), draws.integers(0, w - width + 1)
        top = np.where(found, top, (h - middle_height) // 2)
        left = np.where(found, left, (w - middle_width) // 2)
        outputs = self.size or (h, w)
        if self.interpolation == "nearest":
            return resize(x, nearest_taps(top, height, outputs[0]), nearest_taps(left, width, outputs[1]))
        return resize(
            x,
            linear_taps(top, height, h, outputs[0], self.antialias),
            linear_taps(left, width, w, outputs[1], self.antialias),
        )

    def _largest(self, h: int, w: int) -> tuple[int, int]:
        """The largest window of an allowed shape."""
        if w / h < self.ratio[0]:
            return max(1, round(w / self.ratio[0])), w
        if w / h > self.ratio[1]:
            return h, max(1, round(h * self.ratio[1]))
        return h, w


class RandomRotation(Augmentation):
    """The image turned about its centre; its size stays, and what turns out of it is lost.

    Args:
        degrees: The angle's bounds, counter-clockwise, or one number for both sides of zero.
        interpolation: `"nearest"` or `"bilinear"`.
        center: Column and row that stay in place, in pixels from the upper left corner; None for the middle.
        fill: The pixels that come in from outside: one number, or one a channel.

    Raises:
        ArgumentError: An argument out of range.
        ShapeError: In use: images of another channel count than `fill`.
    """

    moves = True

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: Interpolation = "nearest",
        *,
        center: Sequence[float] | None = None,
        fill: Fill = 0,
    ) -> None:
        self.degrees = about_zero("RandomRotation", "degrees", degrees)
        self.interpolation = interpolation_mode("RandomRotation", interpolation)
        self.center = _point("RandomRotation", center)
        self.fill = fill_value("RandomRotation", "fill", fill)

    def images(self, x: Array, draws: Draws) -> Array:
        """The turned images."""
        angle = -draws.uniform(*self.degrees)  # clockwise
        inverse = inverse_affine(x.shape[1:3], angle=angle, center=self.center)
        return sample(x, inverse, self.interpolation, fill_pixel("RandomRotation", self.fill, x))


class RandomAffine(Augmentation):
    """The image turned, moved, scaled and sheared about its centre; its size stays.

    Args:
        degrees: The angle's bounds, clockwise, or one number for both sides of zero.
        translate: The greatest move to the right or left, and down or up, as shares of width and height; a whole
            number of pixels is drawn. None for no move.
        scale: The scale's bounds; None for 1.
        shear: The bounds of the shear along the rows in degrees, or one number for both sides of zero; four numbers
            bound the shear along the columns too. None for none.
        interpolation: `"nearest"` or `"bilinear"`.
        fill: The pixels that come in from outside: one number, or one a channel.
        center: Column and row that stay in place, in pixels from the upper left corner; None for the middle.

    Raises:
        ArgumentError: An argument out of range.
        ShapeError: In use: images of another channel count than `fill`.
    """

    moves = True

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: Interpolation = "nearest",
        fill: Fill = 0,
        center: Sequence[float] | None = None,
    ) -> None:
        self.degrees = about_zero("RandomAffine", "degrees", degrees)
        self.translate = None
        if translate is not None:
            if not is_sequence(translate) or len(translate) != 2:
                got = shown(translate)
                raise ArgumentError(f"RandomAffine: translate must be two numbers, across and down, got {got}.")
            self.translate = tuple(number("RandomAffine", "translate", each, 0, 1) for each in translate)
        self.scale = scale if scale is None else positive_interval("RandomAffine", "scale", scale)
        self.shear = shear if shear is None else self._shear(shear)
        self.interpolation = interpolation_mode("RandomAffine", interpolation)
        self.fill = fill_value("RandomAffine", "fill", fill)
        self.center = _point("RandomAffine", center)

    def images(self, x: Array, draws: Draws) -> Array:
        """The mapped images."""
        h, w = x.shape[1:3]
        right, down = self.translate or (0, 0)
        from_x, to_x, from_y, to_y = self.shear or (0.0, 0.0, 0.0, 0.0)
        inverse = inverse_affine(
            (h, w),
            angle=draws.uniform(*self.degrees),
            right=np.rint(draws.uniform(-right * w, right * w)),
            down=np.rint(draws.uniform(-down * h, down * h)),
            scale=draws.uniform(*(self.scale or (1, 1))),
            shear=(draws.uniform(from_x, to_x), draws.uniform(from_y, to_y)),
            center=self.center,
        )
        return sample(x, inverse, self.interpolation, fill_pixel("RandomAffine", self.fill, x))

    @staticmethod
    def _shear(shear: float | Sequence[float]) -> tuple[float, float, float, float]:
        most = 89.9  # at 90 degrees a row would be infinitely long
        if is_sequence(shear) and len(shear) == 4:
            along_rows, along_columns = (
                interval("RandomAffine", "shear", pair, -most, most) for pair in (shear[:2], shear[2:])
            )
            return *along_rows, *along_columns
        return *about_zero("RandomAffine", "shear", shear, most), 0.0, 0.0


def inverse_affine(
    image: tuple[int, ...],
    angle: Array | float = 0.0,
    right: Array | float = 0.0,
    down: Array | float = 0.0,
    scale: Array | float = 1.0,
    shear: tuple[Array | float, Array | float] = (0.0, 0.0),
    center: tuple[Array | float, Array | float] | None = None,
) -> tuple[Array, ...]:
    """Where each output pixel comes from: a … f as :func:`~colonnade.data.augmentation.sampling.sample` takes them.

    The map from input to output is, with p = (column, row) and t = (right, down):

        p ↦ center + t + scale · R · (p − center)
        R = [[cos(α − β_y) / cos β_y,  −cos(α − β_y) · tan β_x / cos β_y − sin α],
             [sin(α − β_y) / cos β_y,  −sin(α − β_y) · tan β_x / cos β_y + cos α]]

    which is torchvision's, α the angle, clockwise, β the shear. det R = 1.

    Args:
        image: Height and width of the images.
        angle: Degrees, (n,) or one for all, as are the others.
        right: Pixels.
        down: Pixels.
        scale: Above 0.
        shear: Degrees, along the rows and along the columns.
        center: Column and row from the upper left corner; None for the middle.
    """
    column, row = (center[0] - 0.5, center[1] - 0.5) if center else ((image[1] - 1) / 2, (image[0] - 1) / 2)
    alpha, beta_x, beta_y = (np.radians(each) for each in (angle, *shear))
    cosine, sine = np.cos(alpha - beta_y) / np.cos(beta_y), np.sin(alpha - beta_y) / np.cos(beta_y)
    lower = np.cos(alpha) - sine * np.tan(beta_x)
    upper = -np.sin(alpha) - cosine * np.tan(beta_x)
    # The inverse of [[cosine, upper], [sine, lower]], whose determinant is 1.
    a, b, d, e = lower / scale, -upper / scale, -sine / scale, cosine / scale
    c = column - a * (column + right) - b * (row + down)
    f = row - d * (column + right) - e * (row + down)
    return tuple(np.atleast_1d(each) for each in np.broadcast_arrays(a, b, c, d, e, f))


def _point(owner: str, center: Sequence[float] | None) -> tuple[float, float] | None:
    if center is None:
        return None
    if not is_sequence(center) or len(center) != 2:
        raise ArgumentError(f"{owner}: center must be two numbers, column and row, got {shown(center)}.")
    return cast(tuple[float, float], tuple(number(owner, "center", each) for each in center))
