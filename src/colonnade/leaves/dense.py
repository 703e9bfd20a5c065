"""Dense by register tiles, with the activation that follows it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..compiled.activation import NONE, Activation, activation_backward
from ..compiled.direct import position_sums
from ..compiled.gemm import PANELS, PLAIN, gemm_for, panel_shape, room
from ..compiled.packing import turned_in_panels
from ..layers.base import Block, Bound, Direction, Layer, Scratch
from ..layers.dense import Dense
from ..ops.layout import Array, empty
from ..tensor import Shape, Tensor, unchanged_since
from .base import Leaf, rows


@dataclass
class Weights:
    """Weights and bias as they are read: for the output, and for the gradient at the input once there is one.

    Attributes:
        version: What stays equal for as long as the parameters do; None where that can't be known.
    """

    version: tuple[int, ...] | None
    kernel: Array
    bias: Array
    plain: Array | None = None


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
            bias = np.zeros(dense.out_features, np.float32)
            kernel = empty(panel_shape(dense.in_features, dense.out_features), np.float32)
            before = Weights(None, kernel, bias)
        elif version is not None and before.version == version:
            return before
        turned_in_panels(dense.weight.array, before.kernel)
        if dense.bias is not None:
            np.copyto(before.bias, dense.bias.array)
        before.version = version
        return before

    def begin_backward(self, state: Weights, shape: Shape, sums: Array | None) -> Weights:
        if state.plain is None:
            state.plain = empty(self.dense.weight.shape, np.float32)
        np.copyto(state.plain, self.dense.weight.array)
        return state

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        count, inputs, outputs = math.prod(shape[:-1]), self.dense.in_features, self.dense.out_features
        if direction == "forward":
            return {"work": Scratch((room(count, inputs, outputs),))}
        work = max(room(count, outputs, inputs), room(outputs, count, inputs))
        spaces = {"work": Scratch((work,)), "weight": Scratch((outputs, inputs)), "bias": Scratch((outputs,))}
        if self.activation.kind:
            spaces["grad"] = Scratch((*shape[:-1], outputs))
        return spaces

    def bind_forward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        (kind, a, b), state, outputs = self.activation, block.state, rows(y.value)
        times = gemm_for(outputs, b_lies=PANELS, kind=kind)
        yield times, (rows(x.value), state.kernel, state.bias, outputs, block.scratch["work"], a, b)

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        grad, dense, work = y.grad, self.dense, block.scratch["work"]
        kind, a, b = self.activation
        if kind:
            known = y.value if self.activation.reads else grad
            yield activation_backward(kind), (known, grad, a, b, block.scratch["grad"])
            grad = block.scratch["grad"]
        grad = rows(grad)
        if dense.weight.trainable:
            # The first block of a lane writes its gradient where it is wanted: a weight is large.
            first = block.first_grad(dense.weight)
            written = block.scratch["weight"] if first is None else first
            times = gemm_for(written, a_turned=True, b_lies=PLAIN)
            yield times, (grad, rows(x.value), None, written, work, NONE.a, NONE.b)
            if first is None:
                yield block.add_grad, (dense.weight, written)
        if dense.bias is not None and dense.bias.trainable:
            yield position_sums, (grad, block.scratch["bias"])
            yield block.add_grad, (dense.bias, block.scratch["bias"])
        if x.has_grad:
            target = rows(x.grad)
            times = gemm_for(target, b_lies=PLAIN)
            yield times, (grad, block.state.plain, None, target, work, NONE.a, NONE.b)
