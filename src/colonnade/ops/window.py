"""How a kernel or a pool moves over an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Pair = tuple[int, int]


def values_inside(kernel: int, stride: int, before: int, dilation: int, size: int, outputs: int) -> Sequence[int]:
    """The values of a kernel that may see anything of an axis: all, or for one far larger than the axis few of them.

    Value s of window i sees position s · dilation − before + i · stride.
    """
    if kernel <= size * outputs:
        return range(kernel)
    reached = (position + before - i * stride for i in range(outputs) for position in range(size))
    return sorted({place // dilation for place in reached if place % dilation == 0 and 0 <= place // dilation < kernel})


class Window(NamedTuple):
    """How a kernel moves over an image.

    Attributes:
        kernel: Its height and width.
        stride: Rows and columns from one window to the next.
        padding: Zeros around the image: top, bottom, left, right.
        dilation: Rows and columns from one value of a window to the next.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: Pair = (1, 1)

    @property
    def extent(self) -> Pair:
        """Height and width that one window spans, its gaps included: d · (k − 1) + 1."""
        return (
            self.dilation[0] * (self.kernel[0] - 1) + 1,
            self.dilation[1] * (self.kernel[1] - 1) + 1,
        )

    def padded_size(self, size: Pair) -> Pair:
        """Height and width of the image with its border."""
        top, bottom, left, right = self.padding
        return size[0] + top + bottom, size[1] + left + right

    def output_size(self, size: Pair) -> Pair:
        """How many windows fit: ⌊(padded − extent) / stride⌋ + 1, each way."""
        padded, extent = self.padded_size(size), self.extent
        return (
            (padded[0] - extent[0]) // self.stride[0] + 1,
            (padded[1] - extent[1]) // self.stride[1] + 1,
        )

    def input_size(self, size: Pair) -> Pair:
        """The smallest image with so many windows each way: (size − 1) · stride + extent − padding."""
        spans = [(size[axis] - 1) * self.stride[axis] + self.extent[axis] for axis in (0, 1)]
        top, bottom, left, right = self.padding
        return spans[0] - top - bottom, spans[1] - left - right

    @property
    def pointwise(self) -> bool:
        """A 1×1 window that visits every position: the image already is its own column matrix."""
        return self.kernel == (1, 1) and self.stride == (1, 1) and not any(self.padding)

    def turned(self, size: Pair, outputs: Pair) -> Window | None:
        """The window whose convolution of the output's gradient is the gradient at images of `size`.

        None where there is none: for a stride, and for what the windows of so many `outputs` do not cover exactly.
        """
        top, bottom, left, right = self.padding
        height, width = self.extent
        padding = (height - 1 - top, height - 1 - bottom, width - 1 - left, width - 1 - right)
        turned = Window(self.kernel, (1, 1), padding, self.dilation)
        fits = self.stride == (1, 1) and min(padding) >= 0 and turned.output_size(outputs) == size
        return turned if fits else None
