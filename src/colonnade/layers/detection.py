"""NonMaxSuppression: of boxes that overlap, the best."""

from __future__ import annotations

from collections.abc import Sequence

from .. import arguments
from ..errors import ShapeError, StateError
from ..limits import CALL, NUMBER
from ..ops.detection import non_max_suppression
from ..tensor import Shape, Tensor
from .base import Block
from .wiring import Wiring


class NonMaxSuppression(Wiring):
    """Of each class the places of the best boxes, the best first: one of several that overlap. −1 where none is left.

    It can't be trained through: `backward` raises StateError where somebody needs the gradient at an input.

    Shapes: x₁ (n, b, 4) boxes, x₂ (n, c, b) scores; y (n, c, k), k = max_output or b, if that is less.

    Args:
        max_output: How many boxes are kept of each class, at most.
        iou_threshold: Boxes are taken for one if what they have in common is a greater part of what either has.
        score_threshold: Only boxes with a score above it count.
        centers: Whether a box is its centre and size, (x, y, width, height), rather than two corners, (y, x, y, x).

    Raises:
        ShapeError: Other than two inputs, boxes of four numbers and a score for each.

    After NonMaxSuppression of ONNX, and torchvision.ops.nms.
    """

    reads = {"input"}
    cheap = False

    def __init__(
        self,
        max_output: int,
        iou_threshold: float = 0.5,
        score_threshold: float = float("-inf"),
        centers: bool = False,
    ) -> None:
        self.max_output = arguments.whole("NonMaxSuppression", "max_output", max_output, 1)
        self.iou_threshold = arguments.number("NonMaxSuppression", "iou_threshold", iou_threshold)
        self.score_threshold = arguments.number("NonMaxSuppression", "score_threshold", score_threshold, finite=False)
        self.centers = arguments.flag("NonMaxSuppression", "centers", centers)

    def join(self, shapes: Sequence[Shape]) -> Shape:
        fits = len(shapes) == 2 and len(shapes[0]) == len(shapes[1]) == 2
        if not fits or shapes[0][1] != 4 or shapes[0][0] != shapes[1][1]:
            raise ShapeError(
                f"NonMaxSuppression: expected boxes of four numbers and a score for each, got "
                f"{', '.join(map(str, shapes))}."
            )
        return (shapes[1][0], min(self.max_output, shapes[0][0]))

    def work(self, shape: Shape) -> int:
        return shape[0] * shape[1] * (20 * NUMBER * max(1, self.max_output) + 20 * CALL)

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        how = (self.iou_threshold, self.score_threshold, self.centers)
        non_max_suppression(x[0].value, x[1].value, y.shape[2], *how, y.value)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        if any(each.has_grad for each in x):
            raise StateError(
                "NonMaxSuppression: a choice has no gradient: cut the model before it, or freeze what leads to it."
            )
