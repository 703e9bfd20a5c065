"""How a convolution becomes products of matrices: which, with what kernel, and how that kernel's gradient comes back.

Written in docs/math/convolution.md; names as in `convolution.py`. t is the number of neighbours computed together, m
that of groups merged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .convolution import Tile, values_apart
from .layout import Array, divisors, empty
from .multiplication import VECTOR, WIDEST, Operands, Parts, cost, multiply, panels, parts, row_length, speed
from .window import Pair, Window

# Nanoseconds for each number that is added to a matrix whose rows are its own columns.
TRANSPOSING = 2.0

# What it costs on one core to copy windows, or to add them to where they belong: nanoseconds to begin each run, for
# each number that is copied, and for each that is written by a product and then added. With the speed of a product they
# decide how many neighbouring outputs are computed together. Only ratios matter.
RUN, NUMBER, ADDED = 12.0, 0.12, 1.0
MOST_TOGETHER = 32


class Product(NamedTuple):
    """How a convolution becomes matrix products, one for each group or for some of them merged.

    Neighbouring outputs of a row share most of their windows. Where there are few channels it pays to compute some
    together, as the channels of one output with a wider window: fewer and longer runs are copied, and the product is
    wider; the price is that the wide kernel is part zeros. For the same price small groups are merged into one whose
    kernel has theirs down its diagonal.

    Attributes:
        window: The window as the layer has it.
        together: How many neighbouring outputs of a row are computed at once; it divides their number.
        wide: The window that covers the windows of all of them.
        groups: How many groups are left.
        merged: How many of the layer's groups make up one of these.
        scattered: Whether windows are added to where they belong, rather than fetched from there: only on the way back.
    """

    window: Window
    together: int
    wide: Window
    groups: int
    merged: int
    scattered: bool = False

    @property
    def as_it_is(self) -> bool:
        """Whether the kernel is the layer's own, without zeros."""
        return self.together == self.merged == 1

    def kernel_shape(self, kernel: tuple[int, ...]) -> tuple[int, ...]:
        """(g/m, t · m · c_out/g, k_h, k_w', m · c_in/g), for a kernel (g, c_out/g, k_h, k_w, c_in/g)."""
        _, outputs, _, _, inputs = kernel
        return self.groups, self.together * self.merged * outputs, *self.wide.kernel, self.merged * inputs


@lru_cache(maxsize=1024)
def product(window: Window, size: Pair, channels_in: int, channels_out: int, groups: int) -> Product:
    """The cheapest product for a convolution of images of `size`, by the costs above."""
    # Computing neighbours together needs a single group: the channels of an output lie side by side.
    choices = [neighbours(Product(window, 1, window, 1, groups), t) for t in _counts(window, size)]
    choices += [Product(window, 1, window, groups // m, m) for m in divisors(groups)[:-1]]
    return min(choices, key=lambda choice: _gathering(choice, channels_in, channels_out))


@lru_cache(maxsize=1024)
def backward_product(forward: Product, size: Pair, channels_in: int, channels_out: int) -> Product:
    """The cheapest product for the gradient at the input, images of `size`.

    Args:
        forward: Of the convolution whose gradient it is; and so are the other arguments.
    """
    window = forward.window
    turned, outputs = window.turned(), window.output_size(size)
    groups = forward.groups * forward.merged
    gathered = None if turned is None else product(turned, outputs, channels_out, channels_in, groups)
    if gathered is not None and window.pointwise:
        return gathered  # windows of one pixel do not overlap: there is nothing to add up
    counts = _counts(window, size) if forward.groups == 1 else [1]
    choices = [neighbours(forward._replace(scattered=True), t) for t in counts]
    scattered = min(choices, key=lambda choice: _scattering(choice, channels_in, channels_out))
    if gathered is None:
        return scattered
    cost = math.prod(size) * _gathering(gathered, channels_out, channels_in)
    if math.prod(outputs) * _scattering(scattered, channels_in, channels_out) < cost:
        return scattered
    return gathered


def _counts(window: Window, size: Pair) -> list[int]:
    """How many neighbouring outputs of a row may be computed together."""
    if window.dilation[1] > 1 or window.pointwise:
        return [1]
    return [t for t in divisors(window.output_size(size)[1]) if t <= MOST_TOGETHER]


def neighbours(product: Product, together: int) -> Product:
    """The same with so many neighbours computed together."""
    return product._replace(together=together, wide=_widened(product.window, together))


def _gathering(product: Product, channels_in: int, channels_out: int) -> float:
    """About how many nanoseconds an output position costs whose windows are laid out and multiplied."""
    run, columns = _sides(product, channels_in, channels_out)
    copying = 0.0 if product.window.pointwise else RUN + run * NUMBER
    rows = product.groups * product.wide.kernel[0] / product.together
    return rows * (2 * run * columns / speed(columns) + copying)


def _scattering(product: Product, channels_in: int, channels_out: int) -> float:
    """About how many nanoseconds an output position costs whose gradient is multiplied and sent back."""
    run, columns = _sides(product, channels_in, channels_out)
    runs = -(-product.wide.kernel[1] // values_apart(product.wide.stride[1], product.wide.dilation[1]))
    rows = product.groups * product.wide.kernel[0] / product.together
    return rows * (2 * run * columns / speed(min(run, WIDEST)) + runs * RUN + run * ADDED)


def _sides(product: Product, channels_in: int, channels_out: int) -> Pair:
    """How many numbers a row of a wide window holds, and how many outputs it has, in one group."""
    inputs, outputs = channels_in // product.groups, channels_out // product.groups
    return product.wide.kernel[1] * inputs, product.together * outputs


def _widened(window: Window, together: int) -> Window:
    height, width = window.kernel
    down, right = window.stride
    return window._replace(kernel=(height, width + (together - 1) * right), stride=(down, right * together))


def widen(kernel: Array, product: Product, wide: Array) -> None:
    """The kernel of the wide window: one after the other the kernels of the neighbours, each at its place, and zeros.

    Args:
        kernel: (g, c_out/g, k_h, k_w, c_in/g).
        product: How many are computed together, and how far apart they are; how many of the g groups are merged, m.
        wide: Written: (g/m, t · m · c_out/g, k_h, k_w', m · c_in/g).
    """
    wide.fill(0)
    for place, own in _places(wide, product, kernel):
        place[...] = own


def narrow(wide: Array, product: Product, kernel: Array) -> None:
    """The gradient at the kernel from that at the wide one: `kernel` is added to, of the shapes of :func:`widen`."""
    for place, own in _places(wide, product, kernel):
        np.add(own, place, out=own)


def _places(wide: Array, product: Product, kernel: Array) -> Iterator[tuple[Array, Array]]:
    """Where the kernel stands in the wide one, for each of the neighbours, and the kernel in that shape: views."""
    merged, (_, depth, height, width, inner) = product.merged, kernel.shape
    for number in range(product.together):
        start = number * product.window.stride[1]
        place = wide[:, number * merged * depth : (number + 1) * merged * depth, :, start : start + width]
        if merged == 1:
            yield place, kernel
        else:  # the blocks on the diagonal: of the merged groups each sees its own inputs only
            blocks = place.reshape(product.groups, merged, depth, height, width, merged, inner)
            own = kernel.reshape(product.groups, merged, depth, height, width, inner)
            yield np.einsum("gmdhwmi->gmdhwi", blocks), own


class KernelColumns:
    """A kernel written out as the columns that windows are multiplied with, to the same place each time.

    Args:
        product: What to widen it for.
        kernel: Its shape, (g, c_out/g, k_h, k_w, c_in/g).
        positions: How many windows are multiplied with it at a time.
        dtype: Of its numbers.

    Attributes:
        matrix: (g/m, panels, K, t · m · c_out/g / panels), as :func:`~colonnade.ops.multiplication.operands` takes it.
    """

    def __init__(self, product: Product, kernel: tuple[int, ...], positions: int, dtype: np.dtype[Any]) -> None:
        self.product = product
        groups, outputs, *window = product.kernel_shape(kernel)
        columns = parts(positions, math.prod(window), outputs).columns
        # Panels that lie apart are the faster to read, but neighbours' kernels do not keep to them.
        across = columns if product.as_it_is else outputs
        space = empty((groups, outputs // across, *window, row_length(across)), dtype)[..., :across]
        self._laid: Array = space.transpose(0, 1, 5, 2, 3, 4)
        whole: Array = space.reshape(groups, outputs // across, -1, across)
        self.matrix = whole if product.as_it_is else panels(whole[:, 0], columns)

    def write(self, kernel: Array) -> None:
        """Write out (g, c_out/g, k_h, k_w, c_in/g)."""
        if self.product.as_it_is:
            np.copyto(self._laid, kernel.reshape(self._laid.shape))
        else:
            widen(kernel, self.product, self._laid[:, 0])


class KernelGradient:
    """The gradient at the kernel from one block: grad_K = grad_Yᵀ X_col, tile by tile.

    Args:
        tiles: The windows of the input.
        product: What the kernel was widened for.
        grad_y: (g/m, positions / t, t · m · c_out/g).
        space: Scratch of :meth:`space`'s shape.
    """

    def __init__(self, tiles: list[Tile], product: Product, grad_y: Array, space: Array) -> None:
        self.product = product
        # The gradient at a wide kernel is added up before it is narrowed; there the first product of all goes.
        self._total: Array | None = None
        self._tiles: list[tuple[Tile, list[Operands], Array]] = []
        for tile in tiles:
            left, right = grad_y[:, tile.rows], tile.matrix
            cut, swapped = _kernel_parts(left.shape[2], left.shape[1], right.shape[2])
            place = space
            if swapped:
                left, right = right, left
                place = space.reshape(*space.shape[:2], *space.shape[3:], -1)
            first = 0 if self._total is None else 1
            place = place[first : first + left.shape[1] // cut.inner]
            out = place.reshape(*place.shape[:2], left.shape[2], right.shape[2])
            operands = cut.operands(left.transpose(0, 2, 1), panels(right, cut.columns), out)
            sums = place.transpose(0, 1, 5, 2, 3, 4) if swapped else place
            if not product.as_it_is and self._total is None:
                self._total, sums = sums[0], sums[1:]
            self._tiles.append((tile, operands, sums))

    @staticmethod
    def space(product: Product, kernel: tuple[int, ...], positions: Iterable[int]) -> tuple[int, ...]:
        """The shape of the scratch it needs, for a kernel of that shape and tiles of so many positions."""
        wide = product.kernel_shape(kernel)
        sums = max(count // _kernel_parts(wide[1], count, math.prod(wide[2:]))[0].inner for count in positions)
        return (sums if product.as_it_is else 1 + sums, *wide)

    def add_to(self, gradient: Array) -> None:
        """Compute it, and add it to `gradient`, (g, c_out/g, k_h, k_w, c_in/g)."""
        for tile, operands, sums in self._tiles:
            tile.lay_out()
            multiply(operands)
            for part in sums:
                if self._total is None:
                    narrow(part, self.product, gradient)
                else:
                    np.add(self._total, part, out=self._total)
        if self._total is not None:
            narrow(self._total, self.product, gradient)


def _kernel_parts(outputs: int, positions: int, window: int) -> tuple[Parts, bool]:
    """How the product for the kernel's gradient is cut, and whether it is made the other way round, X_colᵀ grad_Y."""
    straight, swapped = (outputs, positions, window), (window, positions, outputs)
    ragged = outputs % VECTOR > 0  # the rows of windows are laid out so that each begins with a vector
    ways = [parts(*sides, summed=True, ragged=ragged) for sides in (straight, swapped)]
    costs = [cost(way, *sides, ragged=ragged) for way, sides in zip(ways, (straight, swapped), strict=True)]
    if costs[1] + TRANSPOSING * outputs * window < costs[0]:
        return ways[1], True
    return ways[0], False
