"""Borders around sequences, images and volumes by their names in PyTorch, each a Pad; and those of convolutions."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from .. import arguments
from ..tensor import Shape
from .base import Layer, expect_axes
from .rearrangement import Pad

# What a convolution may have around its input, `padding_mode`.
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class Border(Pad):
    """What these share: how wide the border is, and what it is made of."""

    axes: ClassVar[int]
    made_of: ClassVar[str]

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__(arguments.sizes(type(self).__name__, "padding", padding, 2 * self.axes, 0), self.made_of)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        expect_axes(type(self).__name__, shape, self.axes)
        return super().build(shape, rng)


class ReflectionPad1d(Border):
    """A border of a sequence's own numbers, mirrored at each end, which is not repeated itself.

    Shapes: x (n, c, l), y (n, c, left + l + right).

    Args:
        padding: How much on both sides, or (left, right).

    Raises:
        ArgumentError: A negative width, or too many.
        ShapeError: An input that is no sequence, or of no more numbers than the border is wide.
    """

    axes, made_of = 1, "reflect"


class ReflectionPad2d(Border):
    """A border of an image's own pixels, mirrored at each edge, which is not repeated itself.

    Shapes: x (n, c, h, w), y (n, c, top + h + bottom, left + w + right).

    Args:
        padding: How much on all sides, or (left, right, top, bottom).

    Raises:
        ArgumentError: A negative width, or another number of them.
        ShapeError: An input that is no image, or of no more pixels than the border is wide.
    """

    axes, made_of = 2, "reflect"


class ReplicationPad1d(Border):
    """A border of a sequence's first and last number.

    Shapes: x (n, c, l), y (n, c, left + l + right).

    Args:
        padding: How much on both sides, or (left, right).

    Raises:
        ArgumentError: A negative width, or too many.
        ShapeError: An input that is no sequence.
    """

    axes, made_of = 1, "replicate"


class ReplicationPad2d(Border):
    """A border of the pixels at the edges of an image.

    Shapes: x (n, c, h, w), y (n, c, top + h + bottom, left + w + right).

    Args:
        padding: How much on all sides, or (left, right, top, bottom).

    Raises:
        ArgumentError: A negative width, or another number of them.
        ShapeError: An input that is no image.
    """

    axes, made_of = 2, "replicate"


class CircularPad1d(Border):
    """A border of what is at the other end of a sequence.

    Shapes: x (n, c, l), y (n, c, left + l + right).

    Args:
        padding: How much on both sides, or (left, right).

    Raises:
        ArgumentError: A negative width, or too many.
        ShapeError: An input that is no sequence, or shorter than the border is wide.
    """

    axes, made_of = 1, "circular"


class CircularPad2d(Border):
    """A border of what is at the opposite edge of an image.

    Shapes: x (n, c, h, w), y (n, c, top + h + bottom, left + w + right).

    Args:
        padding: How much on all sides, or (left, right, top, bottom).

    Raises:
        ArgumentError: A negative width, or another number of them.
        ShapeError: An input that is no image, or smaller than the border is wide.
    """

    axes, made_of = 2, "circular"


class ReflectionPad3d(Border):
    """As :class:`ReflectionPad2d`, around volumes: on all sides, or (left, right, top, bottom, front, back)."""

    axes, made_of = 3, "reflect"


class ReplicationPad3d(Border):
    """As :class:`ReplicationPad2d`, around volumes: on all sides, or (left, right, top, bottom, front, back)."""

    axes, made_of = 3, "replicate"


class CircularPad3d(Border):
    """As :class:`CircularPad2d`, around volumes: on all sides, or (left, right, top, bottom, front, back)."""

    axes, made_of = 3, "circular"


class ZeroPad1d(Border):
    """As :class:`ZeroPad2d`, around sequences: on both sides, or (left, right)."""

    axes, made_of = 1, "constant"


class ZeroPad3d(Border):
    """As :class:`ZeroPad2d`, around volumes: on all sides, or (left, right, top, bottom, front, back)."""

    axes, made_of = 3, "constant"


def bordered(layer: Any) -> Mapping[str, Layer]:
    """A convolution as two layers, where it has a border of its input's own numbers; {} where that is of zeros.

    What follows its border is a convolution without one, of the very same parameters.
    """
    borders = list(zip(layer.window.padding[::2], layer.window.padding[1::2], strict=True))
    sides = tuple(side for border in reversed(borders) for side in border)
    if layer.padding_mode == "zeros" or not any(sides):
        return {}
    within = copy.copy(layer)
    within.padding, within.padding_mode, within.bordered = 0, "zeros", {}
    within.window = layer.window._replace(padding=(0,) * len(sides))
    return {"padding": Pad(sides, layer.padding_mode), "": within}
