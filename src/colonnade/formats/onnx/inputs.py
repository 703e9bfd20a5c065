"""How large the inputs of a file are, and how many images they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import FileFormatError
from ...ops.layout import Array
from ...tensor import Shape
from .reading import Port
from .values import Layout

Said = Sequence[Any] | Mapping[str, Shape] | None


def sizes_of(ports: Sequence[Port], given: Mapping[str, Array], said: Said) -> dict[str, Shape]:
    """The sizes of each input, −1 for a first one that is not known.

    Args:
        ports: The inputs.
        given: Arrays of them, where the model is made for just these.
        said: One image's shape, or one of each input in order or by name, for sizes that the file leaves open.

    Raises:
        FileFormatError: A size that neither the file nor anybody else says, or one that is not positive.
    """
    if not isinstance(said, Mapping):
        several = any(isinstance(size, Sequence) for size in said or ())
        names = [port.name for port in ports]
        said = dict(zip(names, said or (), strict=False)) if several else dict.fromkeys(names, tuple(said or ()))
    return {
        port.name: given[port.name].shape if port.name in given else _sizes(port, tuple(said.get(port.name, ())))
        for port in ports
    }


def _sizes(port: Port, asked: Shape) -> Shape:
    """The sizes of an input, those of one image that the file leaves open as they were asked for."""
    shape = port.shape
    if shape is None:
        if not asked:
            raise FileFormatError(
                f"input {port.name!r}: the file says nothing of its shape: say how large an image is, "
                f"input_shape=(...), or --input."
            )
        shape = ("?", *asked)
    if unknown := [size for size in shape[1:] if not isinstance(size, int)]:
        fits = [own in (0, size) for own, size in zip(map(_open, shape[1:]), asked, strict=False)]
        if asked and (len(asked) != len(shape) - 1 or not all(fits)):
            own = ", ".join(map(str, shape[1:]))
            raise FileFormatError(
                f"input {port.name!r}: an image of shape {asked} is none of ({own}): say how large an image is, "
                f"input_shape=(...), or --input."
            )
        if not asked:
            raise FileFormatError(
                f"input {port.name!r}: the size {unknown[0]!r} of {shape} is not known: say how large an image is, "
                f"input_shape=(...), or --input."
            )
        shape = (shape[0], *asked)
    sizes = tuple(size if isinstance(size, int) else -1 for size in shape)
    if any(size < 1 for size in sizes[1:]) or 0 in sizes[:1]:
        raise FileFormatError(f"input {port.name!r}: sizes must be positive, got {port.shape}.")
    return sizes


def _open(size: int | str) -> int:
    """A size, zero for one that the file leaves open."""
    return size if isinstance(size, int) else 0


def count_of(shapes: Mapping[str, Shape], single: bool) -> int | None:
    """The number of images, from the first sizes of all inputs; None where it is any.

    Args:
        shapes: Of each input by name.
        single: Whether the file is for one image, some of whose inputs have no batch.

    Raises:
        FileFormatError: Inputs whose first axes are no batch, or not the same.
    """
    for name, sizes in shapes.items():
        if len(sizes) < 2 and not single:
            raise FileFormatError(
                f"input {name!r}: expected a batch, its first axis the images, and axes of each, got the shape {sizes}."
            )
    if not shapes:
        raise FileFormatError("no output depends on an input.")
    counts = {sizes[0] for sizes in shapes.values()}
    if len(counts) > 1:
        raise FileFormatError(f"the inputs' first axes must be the same batch, got {dict(shapes)}.")
    count = counts.pop()
    return None if count == -1 else count


def layout_of(image: Shape, axis: int | None) -> Layout:
    """Of one image's shape, with the batch as that axis."""
    return Layout(image, None) if axis is None else Layout((*image[:axis], 1, *image[axis:]), axis)
