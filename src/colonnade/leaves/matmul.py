"""Products of two tensors of matrices."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from typing import ClassVar, NamedTuple

from ..compiled.geometry import tile_size
from ..compiled.matmul import Sizes, Stack, matmul, transpose_stack
from ..layers.base import Block, Bound, Direction, Layer, Scratch
from ..layers.matmul import MatMul
from ..layers.wiring import Wiring
from ..ops.layout import Array
from ..tensor import Shape, Tensor
from .base import Leaf, plain


def leaf_for(layer: Layer, inputs: Sequence[Shape]) -> Leaf | None:
    """The leaf of a MatMul whose stacks are of one size; None for any other layer."""
    if not isinstance(layer, MatMul) or inputs[0][:-2] != inputs[1][:-2]:
        return None
    return CompiledMatMul(layer, Matrices(*_parted(inputs[0])), Matrices(*_parted(inputs[1])))


def _parted(shape: Shape) -> tuple[int, int, int, bool]:
    return math.prod(shape[:-2]), shape[-2], shape[-1], len(shape) == 3


class Matrices(NamedTuple):
    """The matrices of one image: how many, their size, and whether it lies channels-last, a matrix a channel."""

    depth: int
    rows: int
    columns: int
    between: bool

    @property
    def size(self) -> int:
        """Numbers of an image."""
        return self.depth * self.rows * self.columns

    @property
    def places(self) -> Stack:
        """Where they lie in a block's array."""
        if self.between:
            return Stack(0, self.size, 1, self.columns * self.depth, self.depth)
        return Stack(0, self.size, self.rows * self.columns, self.columns, 1)

    @property
    def apart(self) -> Matrices:
        """Matrices of the same size that lie one behind the other."""
        return self._replace(between=False)

    def shape(self, images: int) -> Shape:
        """Of a block's array in which they lie one behind the other."""
        return (images, self.depth, self.rows, self.columns)


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

    @staticmethod
    def _side_by_side(x: Array, matrices: Matrices, space: Array) -> Generator[Bound, None, Array]:
        """The matrices with rows side by side: as they are, or copied."""
        if not matrices.between:
            return x
        yield transpose_stack, (x, matrices.places.turned, space, len(x), matrices.depth)
        return space

    @staticmethod
    def _put_back(made: Array, matrices: Matrices, out: Array) -> Iterator[Bound]:
        """Matrices that lie one behind the other as a block's array of images."""
        if made is not out:
            images, count, size = len(made), matrices.depth, matrices.rows * matrices.columns
            yield (
                transpose_stack,
                (made, Stack(0, count * size, 0, size, 1), out.reshape(images, 1, size, count), images, 1),
            )

    def bind_forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> Iterator[Bound]:
        left, right, outputs = plain(x[0].value), plain(x[1].value), plain(y.value)
        right = yield from self._side_by_side(right, self.right, block.scratch["right"])
        made = block.scratch["made"] if self.made.between else outputs
        places = self.left.places, self.right.apart.places, self.made.apart.places
        yield _multiply(left, places[0], right, places[1], made, places[2], _sizes(len(left), self.left, self.right))
        yield from self._put_back(made, self.made, outputs)

    def bind_backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> Iterator[Bound]:
        """grad_x₁ = grad_y x₂ᵀ and grad_x₂ = x₁ᵀ grad_y."""
        left, right, grad = plain(x[0].value), plain(x[1].value), plain(y.grad)
        images, count = len(grad), self.made.depth
        if x[0].has_grad:
            turned = self.right._replace(rows=self.right.columns, columns=self.right.rows, between=False)
            space = block.scratch["right"].reshape(turned.shape(images))
            yield transpose_stack, (right, self.right.places, space, images, count)
            target = plain(x[0].grad)
            made = block.scratch["left"] if self.left.between else target
            sizes = _sizes(images, self.made, turned)
            yield _multiply(grad, self.made.places, space, turned.places, made, self.left.apart.places, sizes)
            yield from self._put_back(made, self.left, target)
        if x[1].has_grad:
            whole = yield from self._side_by_side(grad, self.made, block.scratch["made"])
            target = plain(x[1].grad)
            made = block.scratch["right"] if self.right.between else target
            turned = self.left._replace(rows=self.left.columns, columns=self.left.rows)
            places, sizes = self.left.places.turned, _sizes(images, turned, self.made)
            yield _multiply(left, places, whole, self.made.apart.places, made, self.right.apart.places, sizes)
            yield from self._put_back(made, self.right, target)


def _sizes(images: int, left: Matrices, right: Matrices) -> Sizes:
    return Sizes(images, left.depth, left.rows, left.columns, right.columns)


def _multiply(a: Array, of_a: Stack, b: Array, of_b: Stack, y: Array, of_y: Stack, sizes: Sizes) -> Bound:
    return matmul(*tile_size(sizes.rows, sizes.columns)), (a, of_a, b, of_b, y, of_y, sizes, 1.0)
