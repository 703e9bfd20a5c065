"""Arrays as pictures: images, filters and heat maps as bytes of colour, and those as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from .errors import ArgumentError, ShapeError
from .ops.layout import Array
from .tensor import Parameter

# Heat from none to most, (red, green, blue): dark blue over violet and orange to light yellow, ever lighter, so that it
# reads in grey as well. Points of the "inferno" map of Smith and van der Walt (2015, CC0).
HEAT = np.array(
    [
        (0, 0, 4),
        (40, 11, 84),
        (101, 21, 110),
        (159, 42, 99),
        (212, 72, 66),
        (245, 125, 21),
        (250, 193, 39),
        (252, 255, 164),
    ]
)
LETTERS = 16  # the size of titles, in pixels
OPTIMIZED = 1 << 20  # bytes of a picture whose file is made as small as can be
HEAT_WEIGHT = 0.55  # of the heat in a picture that it is laid over


class HasParameters(Protocol):
    """What is needed of a model to find its filters."""

    def parameters(self) -> list[Parameter]:
        """What is learned, in the order of the layers."""


def picture(image: Array) -> Array:
    """One image (c, h, w) or (h, w) as bytes: (h, w) of grey, or (h, w, 3) of red, green and blue.

    Bytes are shown as they are, booleans and numbers in [0, 1] from black to white, and other numbers from their
    least to their greatest. Of more than three channels, or of two, the mean is shown.

    Raises:
        ShapeError: Not one image.
    """
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[np.newaxis]
    if image.ndim != 3 or not image.size:
        raise ShapeError(f"picture: expected one image of shape (c, h, w) or (h, w), got {image.shape}.")
    if len(image) not in (1, 3):
        image = image.mean(axis=0, keepdims=True)
    if image.dtype != np.uint8:
        values = np.nan_to_num(image.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        least, greatest = (0.0, 1.0) if values.min() >= 0 and values.max() <= 1 else (values.min(), values.max())
        image = np.rint(255 * (values - least) / ((greatest - least) or 1.0)).astype(np.uint8)
    return image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))


def first_kernel(model: HasParameters) -> Parameter | None:
    """The kernel (c_out, c_in, k_h, k_w) of the first convolution, or None where there is none."""
    return next((parameter for parameter in model.parameters() if len(parameter.shape) == 4), None)


def filter_pictures(kernel: Array) -> Array:
    """The filters of a kernel (c_out, c_in, k_h, k_w) as pictures, (c_out, k_h, k_w) or (c_out, k_h, k_w, 3).

    Zero is middle grey, the largest weight of them all black or white. Filters of three channels have colours; of
    other numbers of channels the mean is shown.
    """
    kernel = np.asarray(kernel)
    if kernel.ndim != 4:
        raise ShapeError(f"filter_pictures: expected a kernel of shape (c_out, c_in, k_h, k_w), got {kernel.shape}.")
    if kernel.shape[1] != 3:
        kernel = kernel.mean(axis=1, keepdims=True)
    most = np.abs(kernel).max() or 1.0
    shades = np.rint(127.5 + 127.5 * (kernel / most)).astype(np.uint8)
    return shades[:, 0] if shades.shape[1] == 1 else np.ascontiguousarray(shades.transpose(0, 2, 3, 1))


def heat_picture(heat: Array) -> Array:
    """Numbers (h, w) in [0, 1] as colours from dark to light, (h, w, 3) bytes."""
    places = np.clip(np.nan_to_num(heat), 0, 1) * (len(HEAT) - 1)
    colours = [np.interp(places, np.arange(len(HEAT)), HEAT[:, channel]) for channel in range(3)]
    colours_last: Array = np.rint(np.stack(colours, axis=-1)).astype(np.uint8)
    return colours_last


def laid_over(heat: Array, image: Array, least: int = 0) -> Array:
    """The heat (h, w) in [0, 1] over an image (c, h, w) made grey, so that colours are heat and nothing else.

    The pixels of a small image are repeated until its shorter side is `least` long, and the heat is interpolated.
    """
    from PIL import Image

    grey = enlarged(picture(np.asarray(image).mean(axis=0).astype(image.dtype)), least)[..., np.newaxis]
    if grey.shape[:2] != heat.shape:
        shown = Image.fromarray(heat.astype(np.float32))
        heat = np.asarray(shown.resize((grey.shape[1], grey.shape[0]), Image.Resampling.BILINEAR))
    return np.rint((1 - HEAT_WEIGHT) * grey + HEAT_WEIGHT * heat_picture(heat)).astype(np.uint8)


def side_by_side(pictures: Sequence[Array], titles: Sequence[str], height: int = 320, gap: int = 12) -> Array:
    """Pictures in a row on white, all of one height, each with its title below.

    Args:
        pictures: (h, w) or (h, w, 3) bytes.
        titles: One for each.
        height: To which they are resized; what is of another colour depth becomes coloured.
        gap: Pixels around them.
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(LETTERS)
    images = [Image.fromarray(np.ascontiguousarray(each)).convert("RGB") for each in pictures]
    images = [each.resize((max(1, round(each.width * height / each.height)), height)) for each in images]
    widths = [max(each.width, round(font.getlength(title))) for each, title in zip(images, titles, strict=True)]
    whole = Image.new("RGB", (sum(widths) + gap * (len(widths) + 1), height + 2 * LETTERS + 2 * gap), "white")
    draw, left = ImageDraw.Draw(whole), gap
    for each, title, width in zip(images, titles, widths, strict=True):
        whole.paste(each, (left + (width - each.width) // 2, gap))
        draw.text((left + width / 2, height + 2 * gap), title, "black", font, anchor="mt")
        left += width + gap
    return np.asarray(whole)


def sheet(pictures: Array, columns: int | None = None, gap: int = 1) -> Array:
    """Pictures (n, h, w, ...) of one size on one sheet, row by row, with `gap` pixels of white between them."""
    count, height, width = pictures.shape[:3]
    columns = columns or int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    whole = np.full(
        (rows * (height + gap) - gap, columns * (width + gap) - gap, *pictures.shape[3:]), 255, pictures.dtype
    )
    for position, each in enumerate(pictures):
        row, column = divmod(position, columns)
        top, left = row * (height + gap), column * (width + gap)
        whole[top : top + height, left : left + width] = each
    return whole


def enlarged(pixels: Array, least: int) -> Array:
    """A picture (h, w, ...) with each pixel repeated so often that the shorter side is at least so long."""
    times = max(1, -(-least // max(1, min(pixels.shape[:2]))))
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def png(pixels: Array) -> bytes:
    """A picture, (h, w) or (h, w, 3) bytes, as a PNG file.

    Raises:
        ArgumentError: Something that is no picture.
    """
    import io

    from PIL import Image

    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise ArgumentError(f"png: expected bytes (h, w) or (h, w, 3), got {pixels.dtype} of shape {pixels.shape}.")
    file = io.BytesIO()
    # Of large ones it takes seconds and gains little.
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", optimize=pixels.size <= OPTIMIZED)
    return file.getvalue()


def data_uri(pixels: Array) -> str:
    """A picture as the address of itself, for the `src` of an `<img>`."""
    import base64

    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode("ascii")
