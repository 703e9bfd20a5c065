"""Changes of colour, image by image, written over the images handed in: (n, h, w, c), pixels in [0, 1].

An amount is one number an image, (n,). What is grey stays so, and results are cut to [0, 1]. Names and formulas are
those of torchvision and Pillow, which agree.
"""

from __future__ import annotations

import numpy as np

from ...ops.layout import Array

LUMA = (0.299, 0.587, 0.114)  # how bright red, green and blue are: ITU-R BT.601
LEVELS = 256  # what Pillow defines on bytes is done on as many levels


def adjust_brightness(x: Array, factor: Array) -> None:
    """factor · x."""
    x *= _each(factor, x)
    _cut(x)


def adjust_contrast(x: Array, factor: Array) -> None:
    """factor · x + (1 − factor) · m, m the mean of the image's grey version."""
    h, w, channels = x.shape[1:]
    # The grey of the mean is the mean of the grey. Whole rows are added first, which makes long runs.
    mean = x.reshape(len(x), h, w * channels).sum(axis=1).reshape(len(x), 1, w, channels).sum(axis=2, keepdims=True)
    _blend(x, factor, gray(mean / (h * w))[..., None])


def adjust_saturation(x: Array, factor: Array) -> None:
    """factor · x + (1 − factor) · grey; an image of one channel has no saturation."""
    if x.shape[-1] > 1:
        towards = gray(x) * _each(1 - factor, x)[..., 0]
        x *= _each(factor, x)
        for channel in range(
            x.shape[-1]
        ):  # long steps, where adding to a pixel's few channels would be many short ones
            x[..., channel] += towards
        _cut(x)


def adjust_hue(x: Array, shift: Array) -> None:
    """The hue turned by `shift` of the colour circle; saturation and value, as in HSV, stay.

    Hue goes round a hexagon: with its six corners at 0 (red), 1 (yellow), … 5, a channel falls from the greatest to
    the least of the three within one side, two corners away from where it is greatest.

    Args:
        x: (n, h, w, c) with c of 3, or 1: an image of one channel has no hue.
        shift: (n,), in [−0.5, 0.5].
    """
    if x.shape[-1] == 1:
        return
    red, green, blue = (x[..., channel].copy() for channel in range(3))
    greatest = np.maximum(np.maximum(red, green), blue)
    chroma = greatest - np.minimum(np.minimum(red, green), blue)
    divisor = np.where(chroma > 0, chroma, 1)
    hue = np.where(
        greatest == red,
        (green - blue) / divisor,
        np.where(greatest == green, (blue - red) / divisor + 2, (red - green) / divisor + 4),
    )
    hue += (6 * shift).astype(x.dtype)[:, None, None]
    for channel, corner in enumerate((5, 3, 1)):
        place = hue + corner
        place -= 6 * np.floor(place / 6)
        np.minimum(place, 4 - place, out=place)
        np.clip(place, 0, 1, out=place)
        place *= chroma
        np.subtract(greatest, place, out=x[..., channel])


def adjust_sharpness(x: Array, factor: Array) -> None:
    """factor · x + (1 − factor) · smooth; smooth weighs a pixel 5/13 and its neighbours 1/13 each.

    The outermost pixels stay, as do images without any other.
    """
    if min(x.shape[1:3]) < 3:
        return
    rows = x[:, :-2] + x[:, 1:-1] + x[:, 2:]
    smooth = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    inner = x[:, 1:-1, 1:-1]
    smooth += 4 * inner
    smooth /= 13
    _blend(inner, factor, smooth)


def posterize(x: Array, bits: Array) -> None:
    """The upper bits of each pixel's eight, `bits` of them in [0, 8]."""
    step = _each(2.0 ** (8 - bits), x)
    x *= LEVELS - 1
    np.rint(x, out=x)
    x /= step
    np.floor(x, out=x)
    x *= step / (LEVELS - 1)


def solarize(x: Array, threshold: Array) -> None:
    """1 − x for pixels of at least the threshold."""
    np.subtract(1, x, out=x, where=x >= _each(threshold, x))


def autocontrast(x: Array) -> None:
    """(x − least) / (greatest − least) in each channel; one that does not change stays."""
    least, greatest = x.min(axis=(1, 2), keepdims=True), x.max(axis=(1, 2), keepdims=True)
    varies = greatest > least
    x -= np.where(varies, least, 0)
    x /= np.where(varies, greatest - least, 1)


def equalize(x: Array) -> None:
    """Each channel's 256 levels spread until all are about as frequent: Pillow's histogram equalisation."""
    images, h, w, channels = x.shape
    level = np.rint(x * (LEVELS - 1)).astype(np.intp)
    np.clip(level, 0, LEVELS - 1, out=level)
    # A histogram and a table for each image and channel: they are told apart by where their levels begin.
    level += (np.arange(images)[:, None, None, None] * channels + np.arange(channels)) * LEVELS
    counts = np.bincount(level.reshape(-1), minlength=images * channels * LEVELS).reshape(-1, LEVELS)
    last = LEVELS - 1 - (counts[:, ::-1] > 0).argmax(axis=1)  # the greatest level there is
    step = (h * w - counts[np.arange(len(counts)), last])[:, None] // (LEVELS - 1)
    below = counts.cumsum(axis=1) - counts
    table = np.where(step > 0, np.minimum((below + step // 2) // np.maximum(step, 1), LEVELS - 1), np.arange(LEVELS))
    np.divide(table.reshape(-1)[level], LEVELS - 1, out=x, casting="same_kind")


def gray(x: Array) -> Array:
    """(n, h, w): red, green and blue as bright as they look; with another number of channels their mean."""
    channels = x.shape[-1]
    weights = LUMA if channels == 3 else (1 / channels,) * channels
    total: Array = x[..., 0] * x.dtype.type(weights[0])
    for channel in range(1, channels):
        total += x[..., channel] * x.dtype.type(weights[channel])
    return total


def _blend(x: Array, factor: Array, towards: Array) -> None:
    x *= _each(factor, x)
    x += towards * _each(1 - factor, x)
    _cut(x)


def _each(amount: Array, x: Array) -> Array:
    """One number an image, (n, 1, 1, 1), of x's type."""
    return amount.astype(x.dtype)[:, None, None, None]


def _cut(x: Array) -> None:
    np.clip(x, 0, 1, out=x)
