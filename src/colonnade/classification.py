"""What a model sees in images: the likeliest classes of each, by name, for a person to read."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import arguments, notebook
from .data.folders import images_in
from .data.images import MODES, decode, is_picture, known_formats, readable, without_bomb_warnings
from .data.pixels import WHITE, remembered
from .data.prefetch import default_workers, prefetch
from .documents import is_folder
from .errors import ArgumentError, DataError, ShapeError
from .ops.layout import Array, channels_first
from .printable import printable
from .training.inference import probabilities
from .training.layout import described

if TYPE_CHECKING:
    from .model import Model

AT_ONCE = 64  # images that are asked about together
THUMBNAIL = 160  # pixels of the longer side of a picture in a notebook, at most
SMALLEST = 64  # of its shorter side, at least: the pixels of smaller images are shown as squares
SHOWN = 24  # images that a notebook shows of many
LISTED = 60  # lines that are printed of many
LONGEST_PATH = 4_096
# Of red, green and blue in grey (ITU-R 601), as Pillow has them.
GREY = np.array([0.299, 0.587, 0.114])

Source = Any  # a path, the bytes of a file, or an image of Pillow


class Likely(NamedTuple):
    """A class, and how probable it is."""

    name: str
    probability: float


class Classification(list[Likely]):
    """The likeliest classes of one image, the likeliest first.

        answer = model.classify("photo.jpg")
        answer.name, answer.probability, dict(answer)

    Args:
        answers: Names and probabilities.
        source: What was asked about: a path, an image of Pillow, the bytes of a file, or an array (c, h, w).
    """

    def __init__(self, answers: Iterable[Likely] = (), source: Any = None) -> None:
        super().__init__(answers)
        self.source = source

    @property
    def name(self) -> str:
        """The likeliest class."""
        return self[0].name

    @property
    def probability(self) -> float:
        """How probable it is."""
        return self[0].probability

    def line(self) -> str:
        """All of it in a line; a path goes before it."""
        place = f"{printable(self.source, LONGEST_PATH)}: " if isinstance(self.source, Path) else ""
        return place + "  ".join(f"{printable(name)} {probability:.4f}" for name, probability in self)

    def picture(self) -> Array | None:
        """The image itself, small, as bytes (h, w) or (h, w, 3); None where it is no longer there."""
        return _thumbnail(self.source)

    def __repr__(self) -> str:
        width = max((len(printable(name)) for name, _ in self), default=0)
        lines = [f"{printable(name).ljust(width)}  {100 * probability:6.2f} %" for name, probability in self]
        return "\n".join([printable(self.source, LONGEST_PATH), *lines] if isinstance(self.source, Path) else lines)

    def _repr_html_(self) -> str:
        """The image beside its classes, for notebooks."""
        return notebook.gallery([_card(self)])


class Classifications(list[Classification]):
    """What a model sees in several images, one after the other."""

    def __repr__(self) -> str:
        lines = [
            answer.line() if isinstance(answer.source, Path) else f"{number}: {answer.line()}"
            for number, answer in enumerate(self[:LISTED])
        ]
        return "\n".join([*lines, *([f"… and {len(self) - LISTED:,} others"] if len(self) > LISTED else [])])

    def _repr_html_(self) -> str:
        """The images with their classes below, for notebooks."""
        rest = f"… and {len(self) - SHOWN:,} others" if len(self) > SHOWN else ""
        return notebook.gallery([_card(answer) for answer in self[:SHOWN]], rest)


def classify(model: Model, what: Any, top: int = 5) -> Classification | Classifications:
    """The likeliest classes of one image, or of each of several; see :meth:`colonnade.Model.classify`."""
    top = arguments.whole("classify", "top", top, 1)
    shape = taken("classify", model)
    if isinstance(what, list | tuple) and any(_is_thing(each) for each in what):
        if all(_is_readable(each) for each in what):
            return Classifications(answers(model, [readable("classify", each) for each in what], shape, top))
        found = [classify(model, each, top) for each in what]
        return Classifications(one for each in found for one in (each if isinstance(each, Classifications) else [each]))
    if isinstance(what, str | os.PathLike) and is_folder(arguments.path("classify", "the image", what)):
        return Classifications(answers(model, images_in(Path(what)), shape, top, failed=_warn))
    if isinstance(what, list | tuple) or (hasattr(what, "__array__") and not is_picture(what)):
        images, several = laid_out(model, shape, arguments.array("classify", "the image", what))
        ranked = Classifications(_ranked(model, fitting(model, shape, images), images, top))
        return ranked if several else ranked[0]
    with without_bomb_warnings():
        return next(answers(model, [readable("classify", what)], shape, top))


def answers(
    model: Model,
    sources: Sequence[Source],
    shape: Sequence[int | None],
    top: int = 5,
    failed: Callable[[Source, DataError], None] | None = None,
) -> Iterator[Classification]:
    """What a model sees in image files, one after the other, while threads read those that follow.

    Args:
        model: One that puts out a number for each class.
        sources: As `colonnade.data.images.readable` gives them.
        shape: (c, h, w), as `taken` gives it.
        top: How many classes are named.
        failed: Is told of an image that can't be read, which is then left out.

    Raises:
        DataError: An image that can't be read, where nobody is told.
    """
    channels, height, width = shape
    if channels not in (None, *MODES):
        raise ArgumentError(f"classify: photographs have 1 or 3 channels, this model takes {channels}.")
    fixed = height is not None and width is not None
    known_formats()  # before threads ask for them

    def read(source: Source) -> Array | DataError:
        try:
            return decode(source, height, width, channels or 3)
        except DataError as error:
            return error

    batch: list[Array] = []
    asked: list[Source] = []
    with closing(prefetch(read, sources, default_workers(), ahead=2 * AT_ONCE if fixed else 0)) as images:
        for source, image in zip(sources, images, strict=True):
            if isinstance(image, DataError):
                if failed is None:
                    raise image
                failed(source, image)
                continue
            if len(batch) == AT_ONCE or (batch and batch[0].shape != image.shape):
                yield from _ranked(model, channels_first(np.stack(batch)), asked, top)
                batch, asked = [], []
            batch.append(image)
            asked.append(source)
        if batch:
            yield from _ranked(model, channels_first(np.stack(batch)), asked, top)


def taken(who: str, model: Model) -> tuple[int | None, int | None, int | None]:
    """The shape of the images that a model takes, (c, h, w), None for what a file leaves open.

    Raises:
        ArgumentError: It has seen none yet.
        ShapeError: It takes something else.
    """
    shape = model.open_shape or model.input_shape
    if shape is None:
        raise ArgumentError(
            f"{who}: the model has never seen an image: train it first, or build it for a size, model.build((c, h, w))."
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(shape) != 3:
        got = f"outputs {', '.join(model.outputs)}" if len(model.outputs) != 1 else f"inputs {shape}"
        raise ShapeError(f"{who}: expected a model of one image (c, h, w) and one output, got {got}.")
    c, h, w = shape
    return c, h, w


def _ranked(model: Model, x: Array, sources: Iterable[Any], top: int) -> Iterator[Classification]:
    found = probabilities("classify", model, x)
    if found.ndim != 2:
        raise ShapeError(f"classify: expected a number for each class, got outputs of shape {found.shape[1:]}.")
    names = model.classes or [str(number) for number in range(found.shape[1])]
    ranking = np.argsort(-found, axis=1, kind="stable")[:, :top]
    for source, row, best in zip(sources, found, ranking, strict=True):
        yield Classification((Likely(names[number], float(row[number])) for number in best.tolist()), source)


def _warn(source: Source, error: DataError) -> None:
    warnings.warn(f"classify: an image is left out. {error}", stacklevel=4)


def _is_readable(what: Any) -> bool:
    return (
        isinstance(what, str | os.PathLike | bytes | bytearray | memoryview)
        and not (isinstance(what, str | os.PathLike) and is_folder(os.fspath(what)))
    ) or is_picture(what)


def _is_thing(what: Any) -> bool:
    """Whether it is an image, or several, rather than a row of numbers."""
    return isinstance(what, str | os.PathLike | bytes | bytearray) or is_picture(what) or hasattr(what, "__array__")


# Arrays


def laid_out(model: Model, shape: Sequence[int | None], array: Array) -> tuple[Array, bool]:
    """An array of one image or several as (n, c, h, w), without a copy but for types, and whether they are several.

    Args:
        model: For messages.
        shape: (c, h, w), as `taken` gives it.
        array: (h, w), (h, w, c), (c, h, w), (n, h, w) in grey, (n, c, h, w) or (n, h, w, c).

    Raises:
        ShapeError: An array of another shape, or one that may be read in two ways.
    """
    pixels = remembered(model.pixels)
    if pixels is not None and pixels.kind == "bytes" and array.dtype.kind in "iu" and array.size:
        # Whole numbers of a byte's range are bytes, whatever their type.
        array = array.astype(np.uint8, copy=False) if array.min() >= 0 and array.max() <= WHITE else array
    channels, *sizes = shape
    likely = {1, 3, 4, channels}
    if array.size and array.ndim == 2:
        return array[np.newaxis, np.newaxis], False
    if array.size and array.ndim == 3:
        first, last = array.shape[0] in likely, array.shape[2] in likely
        if channels == 1 and array.shape[0] != 1 and list(array.shape[1:]) == sizes:
            if first:  # three images, or red, green and blue of one
                raise ShapeError(
                    f"classify: got {array.shape}: is it one image, x[None], or {len(array)} grey ones, x[:, None]?"
                )
            return array[:, np.newaxis], True
        if last and (not first or array.shape[0] != channels):
            return array.transpose(2, 0, 1)[np.newaxis], False
        if first:
            return array[np.newaxis], False
        if channels == 1:
            return array[:, np.newaxis], True
    if array.size and array.ndim == 4:
        first, last = array.shape[1] in likely, array.shape[3] in likely
        if last and (not first or array.shape[1] != channels):
            return array.transpose(0, 3, 1, 2), True
        if first:
            return array, True
    raise _misfit(model, array)


def fitting(model: Model, shape: Sequence[int | None], images: Array) -> Array:
    """Images (n, c, h, w) in the colours and the size that a model takes; those that fit are left as they are.

    Raises:
        ShapeError: Channels that are no colours.
    """
    channels, *sizes = shape
    own = images.shape[1]
    if channels in (None, own) and all(
        want in (None, have) for want, have in zip(sizes, images.shape[2:], strict=True)
    ):
        return images
    if channels not in (None, *MODES) or own not in (1, 3, 4) or (own == 4 and images.dtype != np.uint8):
        raise _misfit(model, images)
    return np.stack([_fitted(each, channels or 3, *sizes) for each in images])


def _misfit(model: Model, array: Array) -> ShapeError:
    return ShapeError(
        f"classify: this model takes {described(model)}; got {array.shape}, {array.dtype}: expected (h, w), (h, w, c), "
        "(c, h, w) or a batch of such, grey or in colours."
    )


def _fitted(image: Array, channels: int, height: int | None, width: int | None) -> Array:
    """One image (c, h, w) in the colours and the size that are asked for, bytes as photographs are."""
    from PIL import Image

    if image.dtype == np.bool_:
        image = image * np.uint8(255)
    if image.dtype == np.uint8:
        pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        return decode(Image.fromarray(np.ascontiguousarray(pixels)), height, width, channels).transpose(2, 0, 1)
    planes = np.asarray(image, np.float64)
    if channels == 1 and len(planes) == 3:
        planes = np.tensordot(GREY, planes, axes=1)[np.newaxis]
    if channels == 3 and len(planes) == 1:
        planes = planes.repeat(3, axis=0)
    own_height, own_width = planes.shape[1:]
    size = width or own_width, height or own_height
    made = np.stack(
        [
            np.asarray(Image.fromarray(plane.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
            for plane in planes
        ]
    )
    return (np.rint(made) if image.dtype.kind in "iu" else made).astype(image.dtype)


# Pictures


def _card(answer: Classification) -> notebook.Card:
    from .pictures import data_uri

    picture = answer.picture()
    title = answer.source.name if isinstance(answer.source, Path) else ""
    return notebook.Card(None if picture is None else data_uri(picture), title, list(answer))


def _thumbnail(source: Any) -> Array | None:
    from PIL import Image

    from .pictures import enlarged, picture

    try:
        if isinstance(source, np.ndarray):
            pixels = picture(source[:3] if len(source) == 4 else source)  # what is transparent is not drawn
        elif source is None:
            return None
        else:
            with without_bomb_warnings():
                pixels = decode(source, None, None, 3)
    except (DataError, ShapeError):  # gone, or no image that can be shown
        return None
    made = Image.fromarray(pixels)
    made.thumbnail((THUMBNAIL, THUMBNAIL))
    return enlarged(np.asarray(made), SMALLEST)
