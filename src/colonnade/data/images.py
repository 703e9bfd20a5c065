"""Image files, made to fit a model."""

from __future__ import annotations

import functools
import io
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import arguments
from ..documents import reason
from ..errors import ArgumentError, DataError
from ..ops.layout import Array, channels_first

if TYPE_CHECKING:
    from PIL.Image import Image

MODES = {1: "L", 3: "RGB"}  # how Pillow calls images of so many channels

# The formats that are read, by Pillow's names, and how their files' names end. Not among them is what Pillow hands on
# to another program (EPS, which Ghostscript runs), and what holds no picture that anybody took or drew.
FORMATS: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".pjpeg", ".pjp"),
    "MPO": (".mpo",),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "TIFF": (".tif", ".tiff"),
    "JPEG2000": (".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c"),
    "AVIF": (".avif", ".avifs"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "TGA": (".tga", ".icb", ".vda", ".vst"),
    "PCX": (".pcx",),
    "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
    "SUN": (".ras",),
    "QOI": (".qoi",),
    "PSD": (".psd",),
    "DDS": (".dds",),
    "ICO": (".ico",),
    "XBM": (".xbm",),
    "XPM": (".xpm",),
}
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)

# A JPEG can be unpacked at a half, a quarter or an eighth of its size, in a fraction of the time. What is left to be
# resized is still so many times as large as what is wanted, which is as good as from the whole image.
REDUCING_GAP = 2

# Tags of TIFF, and what they say.
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
WHITE_IS_ZERO, BLACK_IS_ZERO = 0, 1
UNSIGNED, SIGNED = 1, 2
WHITES = (2**8 - 1, 2**16 - 1)  # what may be white where 32 bits leave it open: few programs fill them
PIXELS_AT_ONCE = 1 << 20  # are scaled, so that their numbers of 8 bytes take a few megabytes
OVERSHOOT = 2  # floating point may go so far above white before it is taken to have another: resizing sharpens


def read_images(paths: Sequence[str | os.PathLike[str]], input_shape: Sequence[int | None]) -> Array:
    """Image files as one batch of bytes, (n, c, h, w), for a model of that input shape.

    Each is turned as its EXIF says, brought to 8 bits, laid on white where it is transparent, made grey or coloured,
    and resized; see `decode`.

    Args:
        paths: At least one file, of any of the `FORMATS`.
        input_shape: (c, h, w) of the model; c is 1 (grey) or 3 (red, green, blue), or None for colours. h and w may
            be None: both as in the file, or one as the other is scaled; all files must then come out alike.

    Raises:
        ArgumentError: No path, or a model that doesn't take images of 1 or 3 channels.
        DataError: A file that is missing, no image, truncated, or larger than any photograph.
    """
    if len(input_shape) != 3 or input_shape[0] not in (None, *MODES):
        raise ArgumentError(f"read_images: the model must take images of 1 or 3 channels, got {tuple(input_shape)}.")
    if not paths:
        raise ArgumentError("read_images: expected at least one image, got none.")
    c, h, w = input_shape
    with without_bomb_warnings():
        for number, path in enumerate(map(Path, paths)):
            image = decode(path, h, w, c or 3)
            if number == 0:
                batch = np.empty((len(paths), *image.shape), np.uint8)
            if image.shape != batch.shape[1:]:
                raise ArgumentError(
                    f"read_images: images of one batch must have one size, got {batch.shape[1:3]} and "
                    f"{image.shape[:2]} of {path}."
                )
            batch[number] = image
    return channels_first(batch)


@contextmanager
def without_bomb_warnings() -> Iterator[None]:
    """Images too large to open are refused, in one line: Pillow need not warn of them. Not for several threads."""
    from PIL.Image import DecompressionBombWarning  # whoever trains on arrays needs no Pillow

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DecompressionBombWarning)
        yield


@functools.cache
def known_formats() -> tuple[str, ...]:
    """Those of the `FORMATS` that this Pillow has.

    To be called before several threads decode: if they ask Pillow for its formats for the first time at once, some are
    told that there is no such.
    """
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def read_image(
    what: str | os.PathLike[str] | bytes | Image, size: int | Sequence[int] | None = None, channels: int = 3
) -> Array:
    """One image as bytes, (c, h, w), as models see it.

    It is turned as its EXIF says, brought to 8 bits, laid on white where it is transparent, made grey or coloured, and
    resized, as the images in a folder are.

    Args:
        what: The path of a file, the content of one, or an image of Pillow.
        size: To which it is resized: a number of pixels for both sides, or (h, w); by default as large as it is.
        channels: 3 (red, green, blue) or 1 (grey).

    Raises:
        ArgumentError: No such thing, a size that is not positive, or other channels.
        DataError: What is no image, or can't be read; see `decode`.
    """
    h, w = (None, None) if size is None else arguments.pair("read_image", "size", size, 1)
    if arguments.whole("read_image", "channels", channels) not in MODES:
        raise ArgumentError(f"read_image: channels must be 1 or 3, got {channels!r}.")
    with without_bomb_warnings():
        return decode(readable("read_image", what), h, w, channels).transpose(2, 0, 1).copy()


def readable(who: str, what: Any) -> Path | bytes | Image:
    """What `decode` takes, of what a person gives; raises ArgumentError where that is something else."""
    if isinstance(what, bytes | bytearray | memoryview):
        return bytes(what)
    if isinstance(what, str | os.PathLike):
        return Path(arguments.path(who, "the image", what))
    if is_picture(what):
        return what  # type: ignore[no-any-return]
    raise ArgumentError(
        f"{who}: expected the path of an image, the bytes of its file or an image of Pillow, "
        f"got {arguments.shown(what)}{arguments.hint(what)}."
    )


def is_picture(what: Any) -> bool:
    """Whether it is an image of Pillow; who has none needs no Pillow to ask."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(what, module.Image)


def decode(source: Path | bytes | Image, height: int | None, width: int | None, channels: int) -> Array:
    """One image as bytes, (height, width, channels), as `read_images` makes them; may be called by any thread.

    A file is named by its path, or its content is given; an image of Pillow stays as it is.

    More than 8 bits a pixel are scaled, black to 0 and white to 255, rounded. White is the greatest number of so many
    bits. Of 32 bits few programs use all: there it is the least of 1 (floating point alone), 255 and 65,535 that is not
    below the brightest pixel; above those the greatest number, or the brightest pixel if all would be black beside it.
    What is below black is black. Of several pictures in a file the first is taken.

    Raises:
        DataError: A file that is missing, no image, truncated, or larger than any photograph.
    """
    from PIL import Image, UnidentifiedImageError

    name = source if isinstance(source, Path) else "the image"
    try:
        with _opened(source) as opened:
            if Image.MAX_IMAGE_PIXELS is not None and opened.width * opened.height > Image.MAX_IMAGE_PIXELS:
                raise Image.DecompressionBombError
            if height and width and opened is not source:  # another's image is not made smaller
                side = REDUCING_GAP * max(height, width)  # it may yet be turned
                opened.draft(None, (side, side))
            image = _opaque(opened).convert(MODES[channels])
            height, width = _filled(height, width, image.height, image.width)
            image = image.resize((width, height), Image.Resampling.BILINEAR)
            return np.asarray(image).reshape(height, width, channels)
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(f"{name}: expected an image, got {_another_kind(source)}.") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):  # the first where warnings are errors
        raise DataError(f"{name}: expected a photograph, got an image of more pixels than is safe to open.") from None
    except Exception as error:  # whatever Pillow's readers make of broken files
        raise DataError(f"{name}: the image can't be read ({reason(error)}).") from error


@contextmanager
def _opened(source: Path | bytes | Image) -> Iterator[Image]:
    """The image, opened and not yet unpacked; another's stays open."""
    from PIL import Image

    if isinstance(source, bytes):
        with Image.open(io.BytesIO(source), formats=known_formats()) as opened:
            yield opened
    elif isinstance(source, Path):
        if not source.is_file():  # a named pipe would keep us waiting
            raise DataError(f"{source}: {_no_file(source)}.")
        # A file whose name Pillow knows is mapped, and a TIFF that is turned on its side then comes out scrambled.
        with source.open("rb") as file, Image.open(file, formats=known_formats()) as opened:
            yield opened
    else:
        yield source


def _another_kind(source: Path | bytes | Image) -> str:
    return f"{len(source):,} bytes of something else" if isinstance(source, bytes) else "a file of another kind"


def _filled(height: int | None, width: int | None, own_height: int, own_width: int) -> tuple[int, int]:
    """The sizes that were asked for, one that was not in proportion to the other, or both as they are."""
    scale = height / own_height if height else width / own_width if width else 1
    return height or max(1, round(scale * own_height)), width or max(1, round(scale * own_width))


def _no_file(path: Path) -> str:
    """What is there in place of a file that can be read."""
    if path.is_dir():
        return "expected an image, got a folder"
    if path.exists():
        return "expected an image, got no plain file"
    return "a link to a file that is not there" if path.is_symlink() else "there is no such file"


def _opaque(opened: Image) -> Image:
    """The image as its EXIF turns it, in 8 bits a channel, on white where it was transparent."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(opened)
    if image.mode.startswith(("I", "F")):
        tags = getattr(opened, "tag_v2", {}) if opened.format == "TIFF" else {}
        return Image.fromarray(_in_bytes(np.asarray(image), tags, image.info.get("transparency")))
    if image.mode == "LAB":  # the one colour space that Pillow needs profiles for
        from PIL import ImageCms

        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.applyTransform(image, ImageCms.buildTransform(lab, rgb, "LAB", "RGB")) or image
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image


def _in_bytes(values: Array, tags: Mapping[int, Any], transparent: object = None) -> Array:
    """The pixels of an image of more than 8 bits as bytes, (h, w), as `decode` says.

    Args:
        values: (h, w), uint16, int32 or float32, whatever the file had.
        tags: Of a TIFF: how many bits they had, of which kind, and which end is white.
        transparent: The value that is to be white, if any.

    Raises:
        ValueError: NaN or infinity.
    """
    kind = _first(tags, SAMPLE_FORMAT, UNSIGNED)
    bits = _first(tags, BITS, 32 if values.dtype.kind == "f" else 16)
    if values.dtype == np.int32 and bits == 32 and kind == UNSIGNED:
        values = values.view(np.uint32)  # Pillow knows only signed ones
    if not np.isfinite(values).all():
        raise ValueError("it holds NaN or infinity")
    brightest = float(values.max())
    white: float = 2 ** (bits - (kind == SIGNED)) - 1
    if values.dtype.kind == "f":
        white = next((white for white in (1, *WHITES) if brightest <= OVERSHOOT * white), brightest)
    elif bits == 32:
        darkest = white / 255
        white = next((white for white in WHITES if brightest <= white), white if brightest >= darkest else brightest)
    shades = np.empty(values.shape, np.uint8)
    rows = max(PIXELS_AT_ONCE // values.shape[1], 1)
    for start in range(0, len(values), rows):
        part = np.clip(values[start : start + rows], 0, white)
        shades[start : start + rows] = np.rint(part * (255 / white))
    if _first(tags, PHOTOMETRIC, BLACK_IS_ZERO) == WHITE_IS_ZERO:
        shades = 255 - shades
    if isinstance(transparent, int):
        shades[values == transparent] = 255
    return shades


def _first(tags: Mapping[int, Any], tag: int, default: int) -> int:
    value = tags.get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)
