"""Resize: an image of another size, in every way that ONNX knows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike

from .. import arguments
from ..errors import ArgumentError
from ..limits import NUMBER
from ..ops import resizing
from ..ops.layout import Array
from ..ops.resampling import resample_backward, resample_forward
from ..tensor import Shape, Tensor
from .base import Block, Direction, Scratch
from .resampling import Resampling, matrices_bytes, matrices_work

COORDINATES = (
    *("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"),
    *("tf_half_pixel_for_nn", "tf_crop_and_resize"),
)
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


class Resize(Resampling):
    """An image of another size, its pixels weighted means of those around their places.

    Shapes: x (n, c, h, w), y (n, c, h_out, w_out).

    Args:
        size: (h_out, w_out), or one number for both.
        scales: How many pixels of the output make one of the input, each way; by default the sizes' ratio.
        mode: "nearest", "linear" or "cubic".
        coordinates: How places of the output become places of the input: "half_pixel", "half_pixel_symmetric",
            "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn" or "tf_crop_and_resize".
        nearest_mode: For "nearest": "round_prefer_floor", "round_prefer_ceil", "floor" or "ceil".
        cubic_coeff: For "cubic": the slope of the kernel at its end.
        exclude_outside: Give pixels outside the image no weight, rather than to take those at its edge.
        antialias: Smooth what is made smaller.
        region: For "tf_crop_and_resize": the part of the image, (top, left, bottom, right), the whole being
            (0, 0, 1, 1).
        extrapolation_value: What is there outside the image, likewise.

    Raises:
        ArgumentError: An argument out of its range.
        ShapeError: An input that is no image.

    After the operator Resize of ONNX. `Upsample` is torch.nn.Upsample.
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        scales: tuple[float, float] | None = None,
        mode: str = "nearest",
        coordinates: str = "half_pixel",
        nearest_mode: str = "round_prefer_floor",
        cubic_coeff: float = -0.75,
        exclude_outside: bool = False,
        antialias: bool = False,
        region: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
        extrapolation_value: float = 0.0,
    ) -> None:
        self.outputs = arguments.pair("Resize", "size", size, 1)
        for name, value, known in (
            ("mode", mode, ("nearest", "linear", "cubic")),
            ("coordinates", coordinates, COORDINATES),
            ("nearest_mode", nearest_mode, ROUNDINGS),
        ):
            arguments.choice("Resize", name, value, known)
        self.size, self.mode, self.coordinates, self.nearest_mode = size, mode, coordinates, nearest_mode
        self.scales = None if scales is None else arguments.numbers("Resize", "scales", scales, above=0)
        if self.scales is not None and len(self.scales) != 2:
            raise ArgumentError(f"Resize: scales must be two positive numbers, got {scales!r}.")
        self.region = arguments.numbers("Resize", "region", region)
        if len(self.region) != 4:
            raise ArgumentError(f"Resize: region must be four numbers, got {region!r}.")
        self.cubic_coeff = arguments.number("Resize", "cubic_coeff", cubic_coeff)
        self.exclude_outside = arguments.flag("Resize", "exclude_outside", exclude_outside)
        self.antialias = arguments.flag("Resize", "antialias", antialias)
        self.extrapolation_value = arguments.number("Resize", "extrapolation_value", extrapolation_value, finite=False)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        return (self._image(shape)[0], *self.outputs)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        images, channels, _, width = shape
        return {"rows": Scratch((images, self.outputs[0], width, channels))}

    def work(self, shape: Shape) -> int:
        return matrices_work(shape, self.outputs) + NUMBER * 8 * sum(self._taps(shape))

    def prepared_bytes(self, shape: Shape) -> int:
        return matrices_bytes(shape, self.outputs) + 40 * max(self._taps(shape))

    def _taps(self, shape: Shape) -> list[int]:
        """How many weights each direction's matrix is made from: more than it has where much is smoothed."""
        scales = [min(self._scale(axis, shape[1 + axis]), 1.0) if self.antialias else 1.0 for axis in (0, 1)]
        return [math.ceil(4 / scale) * self.outputs[axis] for axis, scale in enumerate(scales)]

    def _scale(self, axis: int, size: int) -> float:
        return self.outputs[axis] / size if self.scales is None else self.scales[axis]

    def _way(self, axis: int, size: int) -> resizing.Way:
        """What one direction's matrix is made from."""
        scale = self._scale(axis, size)
        region = (self.region[axis], self.region[axis + 2])
        rest = (self.nearest_mode, self.cubic_coeff, self.exclude_outside, self.antialias)
        return resizing.Way(size, self.outputs[axis], scale, self.coordinates, region, self.mode, *rest)

    def matrix(self, axis: int, size: int, dtype: DTypeLike) -> Array:
        """The matrix (outputs, size) of one direction, read-only; what lies outside the image has no weights."""
        return resizing.resize_matrix(self._way(axis, size), np.dtype(dtype))

    def outside(self, axis: int, size: int) -> Array:
        """Which rows or columns of the output lie outside the image, (outputs,)."""
        return resizing.outside(self._way(axis, size))

    def _matrices(self, x: Array) -> tuple[Array, Array]:
        return self.matrix(0, x.shape[2], x.dtype), self.matrix(1, x.shape[3], x.dtype)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        resample_forward(x.value, *self._matrices(x.value), y.value, block.scratch["rows"])
        if self.extrapolation_value:
            height, width = x.value.shape[2:]
            y.value[:, :, self.outside(0, height)] = self.extrapolation_value
            y.value[:, :, :, self.outside(1, width)] = self.extrapolation_value

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        resample_backward(y.grad, *self._matrices(x.grad), x.grad, block.scratch["rows"])
