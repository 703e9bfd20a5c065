"""How a kernel or a pool moves over sequences, images and volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Pair = tuple[int, int]
# A number for each axis of pixels: one for sequences, two for images, three for volumes.
Sizes = tuple[int, ...]


def values_inside(kernel: int, stride: int, before: int, dilation: int, size: int, outputs: int) -> Sequence[int]:
    """The values of a kernel that may see anything of an axis: all, or for one far larger than the axis few of them.

    Value s of window i sees position s · dilation − before + i · stride.
    """
    if kernel <= size * outputs:
        return range(kernel)
    reached = (position + before - i * stride for i in range(outputs) for position in range(size))
    return sorted({place // dilation for place in reached if place % dilation == 0 and 0 <= place // dilation < kernel})


def on_both_sides(padding: Sizes) -> Sizes:
    """The same padding before and after each axis, as a :class:`Window` has it."""
    return tuple(border for border in padding for _ in range(2))


class _Window(NamedTuple):
    kernel: Sizes
    stride: Sizes
    padding: Sizes
    dilation: Sizes


class Window(_Window):
    """How a kernel moves over an image, or over a sequence or a volume: by as many axes as it has itself.

    Args:
        kernel: Its size along each axis: of images (height, width).
        stride: Pixels from one window to the next; 1 if not given.
        padding: Zeros before and after the image, axis by axis: top, bottom, left, right; none if not given.
        dilation: Pixels from one value of a window to the next; 1 if not given.
    """

    __slots__ = ()

    def __new__(cls, kernel: Sizes, stride: Sizes = (), padding: Sizes = (), dilation: Sizes = ()) -> Window:
        """Its four tuples, those that were not given filled in."""
        ones = (1,) * len(kernel)
        return super().__new__(cls, kernel, stride or ones, padding or (0,) * 2 * len(kernel), dilation or ones)

    @property
    def extent(self) -> Sizes:
        """What one window spans along each axis, its gaps included: d · (k − 1) + 1."""
        return tuple(gap * (size - 1) + 1 for size, gap in zip(self.kernel, self.dilation, strict=True))

    @property
    def before(self) -> Sizes:
        """Zeros before the image, along each axis."""
        return self.padding[::2]

    @property
    def after(self) -> Sizes:
        """Zeros after it."""
        return self.padding[1::2]

    def padded_size(self, size: Sizes) -> Sizes:
        """The size of an image with its border."""
        return tuple(map(sum, zip(size, self.before, self.after, strict=True)))

    def output_size(self, size: Sizes) -> Sizes:
        """How many windows fit along each axis: ⌊(padded − extent) / stride⌋ + 1."""
        axes = zip(self.padded_size(size), self.extent, self.stride, strict=True)
        return tuple((padded - extent) // stride + 1 for padded, extent, stride in axes)

    def input_size(self, size: Sizes) -> Sizes:
        """The smallest image with so many windows along each axis: (size − 1) · stride + extent − padding."""
        axes = zip(size, self.stride, self.extent, self.before, self.after, strict=True)
        return tuple((count - 1) * stride + extent - before - after for count, stride, extent, before, after in axes)

    @property
    def pointwise(self) -> bool:
        """A window of one pixel that visits every position: the image already is its own column matrix."""
        return set(self.kernel) == set(self.stride) == {1} and not any(self.padding)

    def turned(self, size: Sizes, outputs: Sizes) -> Window | None:
        """The window whose convolution of the output's gradient is the gradient at images of `size`.

        None where there is none: for a stride, and for what the windows of so many `outputs` do not cover exactly.
        """
        padding = tuple(self.extent[side // 2] - 1 - border for side, border in enumerate(self.padding))
        turned = Window(self.kernel, (), padding, self.dilation)
        fits = set(self.stride) == {1} and min(padding) >= 0 and turned.output_size(outputs) == size
        return turned if fits else None
