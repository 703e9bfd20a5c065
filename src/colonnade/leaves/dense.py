"""Dense by register tiles, with the activation that follows it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled.activation import activation_backward
from ..compiled.direct import Walk, add_position_sums, windows_times_gradient, windows_times_kernel
from ..compiled.geometry import tile_size
from ..compiled.packing import panels, turned
from ..compiled.tiles import WIDTH
from ..layers.base import Block, Direction, Layer, Scratch
from ..layers.dense import Dense
from ..ops.layout import Array
from ..tensor import Shape, Tensor, unchanged_since
from .activation import NONE, Activation
from .base import Leaf

OFFSETS = np.zeros(1, np.int64)


def _walk(n: int, read: int, written: int) -> Walk:
    return Walk(1, 1, n, 0, 0, 0, read, 0, 0, 0, 0, written, 0)


def _packed(weight: Array, columns: int) -> Array:
    """(inputs, outputs) as (1, blocks, 1, inputs, columns)."""
    return panels(weight, columns)[None, :, None]


class Weights(NamedTuple):
    """Weights and bias as the tiles read them, for the output and for the gradient at the input; and their version."""

    version: tuple[int, ...] | None
    kernel: Array
    bias: Array
    turned: Array
    no_bias: Array


NO_WEIGHTS = np.empty((0, 0, 0, 0, 0), np.float32)
NO_BIAS = np.empty((0, 0, 0), np.float32)


class TiledDense(Leaf):
    """A dense layer, and an activation whose gradient reads the output, in one pass."""

    wants_batch = True

    def __init__(self, dense: Dense, layer: Layer | None = None, activation: Activation = NONE) -> None:
        self.dense, self.activation = dense, activation
        self.stands_for = (dense,) if layer is None else (dense, layer)
        self.reads: set[str] = {"input"} | activation.reads  # type: ignore[misc]

    def begin_forward(self, before: Weights | None, shape: Shape, training: bool, sums: Array | None) -> Weights:
        dense = self.dense
        version = unchanged_since([dense.weight] if dense.bias is None else [dense.weight, dense.bias])
        if before is not None and version is not None and before.version == version:
            return before
        kernel = _packed(turned(dense.weight.array[None])[0], tile_size(16, dense.out_features).vectors * WIDTH)
        columns = kernel.shape[-1] * kernel.shape[1]
        bias = np.zeros(columns, np.float32)
        if dense.bias is not None:
            bias[: dense.out_features] = dense.bias.array
        return Weights(version, kernel, bias.reshape(1, -1, kernel.shape[-1]), NO_WEIGHTS, NO_BIAS)

    def begin_backward(self, state: Weights, shape: Shape, sums: Array | None) -> Weights:
        turned = _packed(self.dense.weight.array, tile_size(16, self.dense.in_features).vectors * WIDTH)
        return state._replace(turned=turned, no_bias=np.zeros((1, turned.shape[1], turned.shape[-1]), np.float32))

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        if direction == "forward":
            return {}
        spaces = {"weight": Scratch(self.dense.weight.shape)}
        if self.activation.kind:
            spaces["grad"] = Scratch((*shape[:-1], self.dense.out_features))
        return spaces

    def _product(self, x: Array, kernel: Array, bias: Array, y: Array, activation: Activation) -> None:
        x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
        rows = tile_size(len(x), y.shape[1]).rows
        times = windows_times_kernel(rows, kernel.shape[-1] // WIDTH, activation.kind, False)
        walk = _walk(len(x), x.shape[1], y.shape[1])
        times(x, kernel, bias, y, y, OFFSETS, x.shape[1], y.shape[1], walk, activation.a, activation.b)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        self._product(x.value, block.state.kernel, block.state.bias, y.value, self.activation)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        grad = y.grad
        kind, a, b = self.activation
        if kind:
            activation_backward(kind)(y.value, grad, a, b, block.scratch["grad"])
            grad = block.scratch["grad"]
        grad = grad.reshape(-1, grad.shape[-1])
        values = x.value.reshape(-1, x.value.shape[-1])
        inputs, outputs = self.dense.in_features, self.dense.out_features
        if self.dense.weight.trainable:
            first = block.first_grad(self.dense.weight)
            written = block.scratch["weight"] if first is None else first
            size = tile_size(outputs, inputs)
            walk = _walk(len(grad), outputs, inputs)
            windows_times_gradient(*size)(grad, values, written.reshape(1, 1, outputs, inputs), OFFSETS, walk)
            if first is None:
                block.add_grad(self.dense.weight, written)
        if self.dense.bias is not None and self.dense.bias.trainable:
            add_position_sums(grad, block.grad(self.dense.bias))
        if x.has_grad:
            self._product(grad, block.state.turned, block.state.no_bias, x.grad, NONE)
