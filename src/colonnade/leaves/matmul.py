"""Products of two tensors of matrices."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from typing import ClassVar, NamedTuple

from ..compiled.geometry import tile_size
from ..compiled.matmul import Sizes, Stack, matmul, transpose_stack
from ..compiled.packing import transpose
from ..layers.base import Block, Bound, Direction, Layer, Scratch
from ..layers.matmul import MatMul
from ..layers.wiring import Wiring
from ..ops.layout import Array, ends_in_channels
from ..tensor import Shape, Tensor
from .base import Leaf, plain


def leaf_for(layer: Layer, inputs: Sequence[Shape]) -> Leaf | None:
    """The leaf of a MatMul whose stacks are of one size; None for any other layer."""
    if not isinstance(layer, MatMul) or inputs[0][:-2] != inputs[1][:-2]:
        return None
    return CompiledMatMul(layer, Matrices.of(inputs[0]), Matrices.of(inputs[1]))


class Matrices(NamedTuple):
    """The matrices of one image: how many, their size, and where number (r, k) of one lies.

    Attributes:
        depth: How many.
        rows: The size of each,
        columns: likewise.
        between: Whether the image lies channels-last, a matrix a channel.
        across: Whether they lie turned, (k, r).
    """

    depth: int
    rows: int
    columns: int
    between: bool = False
    across: bool = False

    @staticmethod
    def of(shape: Shape) -> Matrices:
        """Those of an image of `shape`."""
        return Matrices(math.prod(shape[:-2]), shape[-2], shape[-1], ends_in_channels(len(shape) + 1))

    @property
    def size(self) -> int:
        """Numbers of an image."""
        return self.depth * self.rows * self.columns

    @property
    def places(self) -> Stack:
        """Where they lie in a block's array."""
        step = self.depth if self.between else 1
        matrix = 1 if self.between else self.rows * self.columns
        row, column = (step, self.rows * step) if self.across else (self.columns * step, step)
        return Stack(0, self.size, matrix, row, column)

    @property
    def turned(self) -> Matrices:
        """The same matrices, transposed."""
        return Matrices(self.depth, self.columns, self.rows, self.between, not self.across)

    @property
    def apart(self) -> Matrices:
        """Matrices of the same size that lie one behind the other."""
        return Matrices(self.depth, self.rows, self.columns)

    def shape(self, images: int) -> Shape:
        """Of a block's array in which they lie one behind the other."""
        return (images, self.depth, self.rows, self.columns)


def side_by_side(x: Array, matrices: Matrices, space: Array) -> Generator[Bound, None, Array]:
    """The matrices in x, their rows side by side and one behind the other: as they are, or copied to `space`."""
    if not matrices.between and not matrices.across:
        return x
    space = space.reshape(matrices.shape(len(x)))
    if matrices.across:
        yield transpose_stack, (x, matrices.places.turned, space, len(x), matrices.depth)
    else:
        images, depth = len(x), matrices.depth
        yield transpose, (x.reshape(images, -1, depth), space.reshape(images, depth, -1))
    return space


def put_back(made: Array, matrices: Matrices, out: Array) -> Iterator[Bound]:
    """Matrices that lie one behind the other, to where they lie in a block's array: nothing if they lie so."""
    if matrices.between:
        images, depth = len(made), matrices.depth
        yield transpose, (made.reshape(images, depth, -1), out.reshape(images, -1, depth))


def multiply(a: Array, left: Matrices, b: Array, right: Matrices, y: Array, factor: float = 1.0) -> Bound:
    """What writes y = factor · a b of each pair; matrices of b have rows side by side, those of y are apart."""
    made = left.apart._replace(columns=right.columns)
    sizes = Sizes(len(a), left.depth, left.rows, left.columns, right.columns)
    tile = tile_size(sizes.rows, sizes.columns)
    return matmul(*tile), (a, left.places, b, right.places, y, made.places, sizes, factor)


class CompiledMatMul(Leaf, Wiring):
    """y = x₁ x₂ of each pair of matrices.

    Of images the matrices are the channels, which lie number by number side by side; tiles want rows side by side. So
    the right factor is copied, and so is what is written.

    Args:
        layer: The layer.
        left: Its first input, (m, k) each.
        right: Its second, (k, p) each.
    """

    reads: ClassVar[set[str]] = {"input"}
    cheap = False

    def __init__(self, layer: MatMul, left: Matrices, right: Matrices) -> None:
        self.stands_for, self.left, self.right = (layer,), left, right
        self.made = left._replace(columns=right.columns)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        images = shape[0]
        spaces = {"right": Scratch(self.right.shape(images)), "made": Scratch(self.made.shape(images))}
        if direction == "backward":
            spaces["left"] = Scratch(self.left.shape(images))
        return spaces

    def bind_forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> Iterator[Bound]:
        left, right, outputs = plain(x[0].value), plain(x[1].value), plain(y.value)
        right = yield from side_by_side(right, self.right, block.scratch["right"])
        made = block.scratch["made"] if self.made.between else outputs
        yield multiply(left, self.left, right, self.right.apart, made)
        yield from put_back(made, self.made, outputs)

    def bind_backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> Iterator[Bound]:
        """grad_x₁ = grad_y x₂ᵀ and grad_x₂ = x₁ᵀ grad_y."""
        left, right, grad = plain(x[0].value), plain(x[1].value), plain(y.grad)
        if x[0].has_grad:
            target, turned = plain(x[0].grad), self.right.turned
            right = yield from side_by_side(right, turned, block.scratch["right"])
            made = block.scratch["left"] if self.left.between else target
            yield multiply(grad, self.made, right, turned.apart, made)
            yield from put_back(made, self.left, target)
        if x[1].has_grad:
            target = plain(x[1].grad)
            grad = yield from side_by_side(grad, self.made, block.scratch["made"])
            made = block.scratch["right"] if self.right.between else target
            yield multiply(left, self.left.turned, grad, self.made.apart, made)
            yield from put_back(made, self.right, target)
