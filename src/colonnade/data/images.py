"""Image files, made to fit a model."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ArgumentError, DataError
from ..ops.layout import Array, channels_first

if TYPE_CHECKING:
    from PIL.Image import Image

MODES = {1: "L", 3: "RGB"}  # how Pillow calls images of so many channels

# A JPEG can be unpacked at a half, a quarter or an eighth of its size, in a fraction of the time. What is left to be
# resized is still so many times as large as what is wanted, which is as good as from the whole image.
REDUCING_GAP = 2


def read_images(paths: Sequence[str | os.PathLike[str]], input_shape: Sequence[int]) -> Array:
    """Image files as one batch of bytes, (n, c, h, w), for a model of that input shape.

    Each is turned as its EXIF says, laid on white where it is transparent, made grey or coloured, and resized.

    Args:
        paths: At least one file, of any format that Pillow reads.
        input_shape: (c, h, w) of the model; c is 1 (grey) or 3 (red, green, blue).

    Raises:
        ArgumentError: No path, or a model that doesn't take images of 1 or 3 channels.
        DataError: A file that is missing, no image, truncated, or larger than any photograph.
    """
    if len(input_shape) != 3 or input_shape[0] not in MODES:
        raise ArgumentError(f"read_images: the model must take images of 1 or 3 channels, got {tuple(input_shape)}.")
    if not paths:
        raise ArgumentError("read_images: expected at least one image, got none.")
    from PIL.Image import DecompressionBombWarning  # whoever trains on arrays needs no Pillow

    c, h, w = input_shape
    batch = np.empty((len(paths), h, w, c), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DecompressionBombWarning)  # what it warns of is refused, in one line
        for image, path in zip(batch, paths, strict=True):
            image[...] = decode(Path(path), h, w, c)
    return channels_first(batch)


def prepare_for_threads() -> None:
    """Have Pillow know the formats: if threads ask it for the first time at once, some are told there is no such."""
    from PIL import Image, WebPImagePlugin  # noqa: F401 - importing it makes it known

    Image.preinit()


def decode(path: Path, height: int, width: int, channels: int) -> Array:
    """One image file as bytes, (height, width, channels), as `read_images` makes them; may be called by any thread.

    Raises:
        DataError: A file that is missing, no image, truncated, or larger than any photograph.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            if Image.MAX_IMAGE_PIXELS is not None and opened.width * opened.height > Image.MAX_IMAGE_PIXELS:
                raise Image.DecompressionBombError
            side = REDUCING_GAP * max(height, width)  # it may yet be turned
            opened.draft(None, (side, side))
            image = _opaque(ImageOps.exif_transpose(opened)).convert(MODES[channels])
            image = image.resize((width, height), Image.Resampling.BILINEAR)
            return np.asarray(image).reshape(height, width, channels)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file.") from None
    except IsADirectoryError:
        raise DataError(f"{path}: expected an image, got a folder.") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: expected an image, got a file of another kind.") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):  # the first where warnings are errors
        raise DataError(f"{path}: expected a photograph, got an image of more pixels than is safe to open.") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:  # Pillow's readers at broken files
        raise DataError(f"{path}: the image can't be read ({error}).") from error


def _opaque(image: Image) -> Image:
    """The image in 8 bits a channel, on white where it was transparent."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow would cut off what is above 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image
