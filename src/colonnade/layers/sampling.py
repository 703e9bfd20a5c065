"""Images looked at where another tensor says: GridSample, RoiAlign."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .. import arguments
from ..errors import ShapeError
from ..limits import NUMBER
from ..ops import sampling
from ..tensor import Shape, Tensor
from .base import Block
from .wiring import Wiring

TAPS = {"linear": 2, "nearest": 1, "cubic": 4}


class GridSample(Wiring):
    """y[n, c, …] = x₁[n, c] at the place x₂[n, …]: an image looked at where a grid says.

    Shapes: x₁ (n, c, ...) with one, two or three axes of pixels, x₂ (n, ..., axes) with a place for each number of the
    output, the last axis of pixels first, from −1 to 1; y (n, c, ...) with the axes of x₂ but its last.

    Args:
        mode: "linear", "nearest" or "cubic"; no gradient passes from "nearest" to the grid: it is zero.
        padding_mode: What is outside the image: "zeros", "border" or "reflection".
        align_corners: Whether −1 and 1 are the centres of the pixels at the border, rather than their outer edges.

    Raises:
        ShapeError: Other than two inputs, an image and a grid with a place for each of its axes.

    After torch.nn.functional.grid_sample. Jaderberg et al. 2015, Spatial transformer networks, arXiv:1506.02025.
    """

    reads = {"input"}
    cheap = False

    def __init__(self, mode: str = "linear", padding_mode: str = "zeros", align_corners: bool = False) -> None:
        arguments.choice("GridSample", "mode", mode, tuple(TAPS))
        arguments.choice("GridSample", "padding_mode", padding_mode, ("zeros", "border", "reflection"))
        self.mode, self.padding_mode = mode, padding_mode
        self.align_corners = arguments.flag("GridSample", "align_corners", align_corners)
        self._shapes: tuple[Shape, ...] = ()

    def join(self, shapes: Sequence[Shape]) -> Shape:
        given = ", ".join(map(str, shapes))
        fits = len(shapes) == 2 and 2 <= len(shapes[0]) <= 4 and len(shapes[1]) == len(shapes[0])
        if not fits or shapes[1][-1] != len(shapes[0]) - 1:
            raise ShapeError(f"GridSample: expected an image and a grid with places of as many axes, got {given}.")
        self._shapes = tuple(shapes)
        return (shapes[0][0], *shapes[1][:-1])

    def work(self, shape: Shape) -> int:
        image, grid = self._shapes or ((1, 1), (1, 1))
        return NUMBER * 3 * image[0] * math.prod(grid[:-1]) * int(TAPS[self.mode] ** grid[-1])

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        how = (self.mode, self.padding_mode, self.align_corners)
        sampling.grid_sample_forward(x[0].value, x[1].value, *how, y.value)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        how = (self.mode, self.padding_mode, self.align_corners)
        if x[0].has_grad:
            sampling.grid_sample_backward_input(x[1].value, y.grad, x[0].shape, *how, x[0].grad)
        if x[1].has_grad:
            sampling.grid_sample_backward_grid(x[0].value, x[1].value, y.grad, *how, x[1].grad)


class RoiAlign(Wiring):
    """Each box of an image as an image of one size: means of linear interpolations in its parts, or greatest numbers.

    The gradient goes to the image; no gradient passes to the boxes: it is zero.

    Shapes: x₁ (n, c, h, w), x₂ (n, r, 4) boxes, left, top, right and bottom; y (n, r, c, h_out, w_out).

    Args:
        output_size: (h_out, w_out), or one number for both.
        spatial_scale: How many pixels of x₁ are one of the boxes' units.
        sampling_ratio: How many places are looked at in each part, each way; 0 for as many as it has pixels.
        aligned: Whether pixels are squares, their centres half a unit inside.
        mode: "avg", or "max" for the greatest in each part of the pixels around all places, each by its weight, as ONNX
            has it.

    Raises:
        ArgumentError: Another mode.
        ShapeError: Other than two inputs, an image and boxes of four numbers.

    After torchvision.ops.roi_align. He et al. 2017, Mask R-CNN, arXiv:1703.06870.
    """

    reads = {"input"}
    cheap = False

    def __init__(
        self,
        output_size: int | tuple[int, int],
        spatial_scale: float = 1.0,
        sampling_ratio: int = 0,
        aligned: bool = True,
        mode: str = "avg",
    ) -> None:
        self._outputs = arguments.pair("RoiAlign", "output_size", output_size, 1)
        self.output_size = output_size
        self.spatial_scale = arguments.number("RoiAlign", "spatial_scale", spatial_scale, above=0)
        self.sampling_ratio = arguments.whole("RoiAlign", "sampling_ratio", sampling_ratio, 0)
        self.aligned = arguments.flag("RoiAlign", "aligned", aligned)
        self.mode = arguments.choice("RoiAlign", "mode", mode, ("avg", "max"))
        self._image: Shape = (1, 1, 1)

    def join(self, shapes: Sequence[Shape]) -> Shape:
        fits = len(shapes) == 2 and len(shapes[0]) == 3 and len(shapes[1]) == 2 and shapes[1][1] == 4
        if not fits:
            raise ShapeError(
                f"RoiAlign: expected an image and boxes of four numbers, got {', '.join(map(str, shapes))}."
            )
        self._image = shapes[0]
        return (shapes[1][0], shapes[0][0], *self._outputs)

    def work(self, shape: Shape) -> int:
        channels, height, width = self._image
        rows, columns = self._outputs
        if self.mode == "max":  # as many places as pixels, or so many of each part, each between four
            places = max(height, rows * self.sampling_ratio) * max(width, columns * self.sampling_ratio)
            return NUMBER * 4 * shape[0] * channels * places
        return shape[0] * channels * width * rows * (height + columns)

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        forward = sampling.roi_align_max_forward if self.mode == "max" else sampling.roi_align_forward
        forward(x[0].value, x[1].value, self._outputs, *self._how(), y.value)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        if x[0].has_grad and self.mode == "max":
            sampling.roi_align_max_backward(x[0].value, x[1].value, y.grad, *self._how(), x[0].grad)
        elif x[0].has_grad:
            sampling.roi_align_backward(x[1].value, y.grad, x[0].shape, *self._how(), x[0].grad)
        if x[1].has_grad:
            x[1].grad.fill(0)

    def _how(self) -> tuple[float, int, bool]:
        return self.spatial_scale, self.sampling_ratio, self.aligned
