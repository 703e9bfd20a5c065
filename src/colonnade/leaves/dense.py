"""Dense by register tiles, with the activation that follows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..compiled.activation import activation_backward
from ..compiled.direct import Walk, position_sums, windows_times_gradient, windows_times_kernel
from ..compiled.geometry import tile_size
from ..compiled.packing import in_panels, turned_in_panels
from ..compiled.registers import WIDTH
from ..layers.base import Block, Bound, Direction, Layer, Scratch
from ..layers.dense import Dense
from ..ops.layout import Array, empty
from ..tensor import Shape, Tensor, unchanged_since
from .activation import NONE, Activation
from .base import Leaf

OFFSETS = np.zeros(1, np.int64)
ALL_AT_ONCE = np.zeros(0, np.float32)  # no scratch for sums over some positions


def _walk(n: int, read: int, written: int) -> Walk:
    return Walk(1, 1, n, 0, 0, 0, read, 0, 0, 0, 0, written, 0)


@dataclass
class Weights:
    """Weights and bias as the tiles read them: for the output, and for the gradient at the input once there is one.

    Attributes:
        version: What stays equal for as long as the parameters do; None where that can't be known.
    """

    version: tuple[int, ...] | None
    kernel: Array
    bias: Array
    turned: Array | None = None


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
        if before is None:
            kernel, bias = _room(dense.in_features, dense.out_features), _no_bias(dense.out_features)
            before = Weights(None, kernel, bias)
        elif version is not None and before.version == version:
            return before
        turned_in_panels(dense.weight.array, _panels(before.kernel))
        if dense.bias is not None:
            before.bias.reshape(-1)[: dense.out_features] = dense.bias.array
        before.version = version
        return before

    def begin_backward(self, state: Weights, shape: Shape, sums: Array | None) -> Weights:
        if state.turned is None:
            state.turned = _room(self.dense.out_features, self.dense.in_features)
        in_panels(self.dense.weight.array, _panels(state.turned))
        return state

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        if direction == "forward":
            return {}
        spaces = {"weight": Scratch(self.dense.weight.shape), "bias": Scratch((self.dense.out_features,))}
        if self.activation.kind:
            spaces["grad"] = Scratch((*shape[:-1], self.dense.out_features))
        return spaces

    def bind_forward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        yield _product(x.value, block.state.kernel, block.state.bias, y.value, self.activation)

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        grad, dense = y.grad, self.dense
        kind, a, b = self.activation
        if kind:
            yield activation_backward(kind), (y.value, grad, a, b, block.scratch["grad"])
            grad = block.scratch["grad"]
        grad = grad.reshape(-1, grad.shape[-1])
        if dense.weight.trainable:
            values = x.value.reshape(-1, x.value.shape[-1])
            times = windows_times_gradient(1, *tile_size(dense.out_features, dense.in_features), False)
            walk = _walk(len(grad), dense.out_features, dense.in_features)
            # The first block of a lane writes its gradient where it is wanted: a weight is large.
            first = block.first_grad(dense.weight)
            written = block.scratch["weight"] if first is None else first
            yield (
                times,
                (grad, values, written.reshape(1, 1, *written.shape), ALL_AT_ONCE, OFFSETS, 1, walk, True, True),
            )
            if first is None:
                yield block.add_grad, (dense.weight, written)
        if dense.bias is not None and dense.bias.trainable:
            yield position_sums, (grad, block.scratch["bias"])
            yield block.add_grad, (dense.bias, block.scratch["bias"])
        if x.has_grad:
            yield _product(grad, block.state.turned, _no_bias(dense.in_features), x.grad, NONE)


def _room(inputs: int, outputs: int) -> Array:
    """For (inputs, outputs) as the tiles read it: (1, blocks, 1, inputs, columns)."""
    columns = tile_size(16, outputs).vectors * WIDTH
    return empty((1, -(-outputs // columns), 1, inputs, columns), np.float32)


def _no_bias(outputs: int) -> Array:
    """Zeros, (1, blocks, columns)."""
    columns = tile_size(16, outputs).vectors * WIDTH
    return np.zeros((1, -(-outputs // columns), columns), np.float32)


def _panels(packed: Array) -> Array:
    """(blocks, inputs, columns)."""
    return packed.reshape(packed.shape[1], *packed.shape[3:])


def _product(x: Array, kernel: Array, bias: Array, y: Array, activation: Activation) -> Bound:
    x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    rows = tile_size(len(x), y.shape[1]).rows
    times = windows_times_kernel(rows, kernel.shape[-1] // WIDTH, activation.kind, False)
    walk = _walk(len(x), x.shape[1], y.shape[1])
    return times, (x, kernel, bias, y, y, OFFSETS, x.shape[1], y.shape[1], walk, activation.a, activation.b)
