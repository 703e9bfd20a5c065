"""Recurrent layers: RNN, LSTM and GRU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import arguments
from ..errors import ShapeError
from ..limits import CALL
from ..ops.dropout import dropout_kept, dropout_scale
from ..ops.layout import Array
from ..ops.recurrent import (
    Gradients,
    gru_backward,
    gru_forward,
    last,
    lstm_backward,
    lstm_forward,
    rnn_backward,
    rnn_forward,
)
from ..tensor import Parameter, Shape, Tensor
from .base import PLACE, Block, Direction, Scratch
from .wiring import Wiring

NUMPY_CALLS = 20  # of one step of one cell, about


class Cell(NamedTuple):
    """One direction of one layer.

    Attributes:
        layer: Its number.
        name: What its parameters' names end in.
        place: Where among the initial states its own are.
        part: Its part of the output's last axis.
        reverse: Whether it reads from the end.
    """

    layer: int
    name: str
    place: int
    part: slice
    reverse: bool


class Recurrent(Wiring):
    """What RNN, LSTM and GRU share: layers on one another, directions, states, dropout. Each says what its cell does.

    Class attributes:
        gates: How many gates a cell has.
        states: How many states it hands on to the next step.
        beside: What forward saves beside the gates, an array of the output's shape; empty for nothing.
    """

    reads: ClassVar[set[str]] = {"input", "output"}
    cheap = False
    rectifies = False  # type: ignore[assignment]
    wants_batch = True
    gates: ClassVar[int]
    states: ClassVar[int] = 1
    beside: ClassVar[str] = ""
    ignored: ClassVar[tuple[str, ...]] = ("batch_first", *PLACE)

    def _declare(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        return_states: bool,
        device: Any,
        dtype: None,
    ) -> None:
        """Check what all three are given, and make the parameters."""
        name = type(self).__name__
        arguments.placeless(name, device, dtype)
        self.input_size = arguments.whole(name, "input_size", input_size, 1)
        self.hidden_size = arguments.whole(name, "hidden_size", hidden_size, 1)
        self.num_layers = arguments.whole(name, "num_layers", num_layers, 1)
        self.bias = arguments.flag(name, "bias", bias)
        arguments.unsupported(name, "the batch is the first axis of every array", batch_first=(batch_first, True))
        self.dropout = arguments.number(name, "dropout", dropout, 0, 1)
        self.bidirectional = arguments.flag(name, "bidirectional", bidirectional)
        self.return_states = arguments.flag(name, "return_states", return_states)
        rows = self.gates * self.hidden_size
        for layer in range(self.num_layers):
            width = self.input_size if layer == 0 else self.width
            for end in self.ends:
                shapes = ((rows, width), (rows, self.hidden_size), (rows,), (rows,))
                for kind, shape in zip(self.kinds, shapes, strict=False):
                    setattr(self, f"{kind}_l{layer}{end}", Parameter(shape, self._draw))

    def _draw(self, shape: Shape, rng: np.random.Generator, rectified: bool) -> Array:
        """U(−1/√k, 1/√k), k the hidden size."""
        bound = 1 / math.sqrt(self.hidden_size)
        return rng.uniform(-bound, bound, shape)

    @property
    def ends(self) -> tuple[str, ...]:
        """What the parameters' names end in, one for each direction."""
        return ("", "_reverse") if self.bidirectional else ("",)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of parameters that each cell has."""
        return ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if self.bias else 2]

    @property
    def width(self) -> int:
        """Of the output: the directions side by side."""
        return self.hidden_size * len(self.ends)

    @property
    def state_rows(self) -> int:
        """How many rows of the output are states, behind those of the sequence."""
        return self.states * self.num_layers if self.return_states else 0

    def join(self, shapes: Sequence[Shape]) -> Shape:
        name = type(self).__name__
        if len(shapes) not in (1, 1 + self.states):
            names = {1: "h0", 2: "h0 and c0"}[self.states]
            raise ShapeError(f"{name}: expected a sequence alone or with {names}, got {len(shapes)} inputs.")
        sequence, *initial = shapes
        if len(sequence) not in (2, 3) or sequence[-1] != self.input_size or (initial and len(sequence) == 3):
            raise ShapeError(
                f"{name}: expected sequences (length, {self.input_size}), got an input of shape {sequence}."
            )
        expected = (self.num_layers * len(self.ends), self.hidden_size)
        for shape in initial:
            if shape != expected:
                raise ShapeError(f"{name}: expected initial states {expected}, got an input of shape {shape}.")
        return (*sequence[:-2], sequence[-2] + self.state_rows, self.width)

    # Working memory

    def _kept(self, shape: Shape) -> dict[str, Scratch]:
        """What forward makes and backward reads, for an output of that shape."""
        images, length = self.sequences(shape)
        width, spaces = self.width, {}
        for layer in range(self.num_layers):
            for end in self.ends:
                spaces[f"gates_l{layer}{end}"] = Scratch((images, length, self.gates * self.hidden_size))
                if self.beside:
                    spaces[f"{self.beside}_l{layer}{end}"] = Scratch((images, length, self.hidden_size))
            if layer < self.num_layers - 1:
                spaces[f"output_l{layer}"] = Scratch((images, length, width))
        return spaces

    def saved(self, shape: Shape) -> dict[str, Scratch]:
        kept = {name: each.shape for name, each in self._kept(shape).items()}
        return {
            name: Scratch((shape[0], each * length // shape[0], size)) for name, (each, length, size) in kept.items()
        }

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        if direction == "forward":  # outside training, where nothing is saved
            return self.scratch_around(shape, direction) | self._kept(shape)
        images, length = self.sequences(shape)
        gates = {"grad_gates": Scratch((images, length, self.gates * self.hidden_size))}
        return self.scratch_around(shape, direction) | gates

    def scratch_around(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        """What a pass needs beside the cells' own: between layers and directions, and around rows of images."""
        images, length = self.sequences(shape)
        rows, width, spaces = length + self.state_rows, self.width, {}
        if direction == "backward":
            if len(self.ends) == 2:
                widest = max(self.input_size, width if self.num_layers > 1 else 0)
                spaces["other"] = Scratch((images * length * widest,))
            spaces |= {f"grad_l{layer}": Scratch((images, length, width)) for layer in range(self.num_layers - 1)}
        if len(shape) == 4:  # rows of images, which lie otherwise
            ends = {"": (images, length, self.input_size), "_out": (images, rows, width)}
            names = ("value",) if direction == "forward" else ("value", "grad")
            spaces |= {kind + end: Scratch(each) for kind in names for end, each in ends.items()}
        if self.dropout and self.num_layers > 1:
            numbers = (self.num_layers - 1) * length * width * (images // shape[0])
            drawn = (shape[0], 8 * -(numbers // -8))  # the stream gives eight at a time
            spaces |= {"random": Scratch(drawn, np.float32), "kept": Scratch(drawn, np.bool_)}
            spaces |= {"dropped": Scratch((images, length, width))}
        return spaces

    def sequences(self, shape: Shape) -> tuple[int, int]:
        """How many sequences there are and how long they are, for an output of that shape, (n, ..., t, d)."""
        return math.prod(shape[:-2]), shape[-2] - self.state_rows

    def held(self, saved: dict[str, Array], length: int) -> dict[str, Array]:
        """What was saved, (n, ..., t, k), every sequence by itself."""
        return {name: each.reshape(-1, length, each.shape[-1]) for name, each in saved.items()}

    def drops(self, training: bool) -> bool:
        """Whether numbers are left out between layers."""
        return training and self.dropout > 0 and self.num_layers > 1

    def draw(self, block: Block) -> None:
        """Draw what `drop` keeps; the same both ways."""
        dropout_kept(block.random(block.scratch["random"]), self.dropout, block.scratch["kept"])

    def drop(self, x: Array, block: Block, layer: int, out: Array) -> None:
        """Write to `out` what is left of x, the output of a layer, (n, t, d), or the gradient at it; `out` may be x."""
        kept, layers = block.scratch["kept"], self.num_layers - 1
        numbers = layers * x.size // len(kept)
        mask = kept[:, :numbers].reshape(len(x), layers, *x.shape[1:])[:, layer]
        np.multiply(x, mask, out=out)
        np.multiply(out, dropout_scale(self.dropout), out=out)

    # The passes

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        if y.value.ndim == 3:
            self._forward_sequences(x, y, block)
            return
        inside, outside = (_copied(each, end, block.scratch) for each, end in ((x[0], ""), (y, "_out")))
        self._forward_sequences([inside], outside, block)
        np.copyto(y.value, outside.value.reshape(y.shape))

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        if y.value.ndim == 3:
            self._backward_sequences(x, y, block)
            return
        inside, outside = (_copied(each, end, block.scratch) for each, end in ((x[0], ""), (y, "_out")))
        self._backward_sequences([inside], outside, block)
        if x[0].has_grad:
            np.copyto(x[0].grad, inside.grad.reshape(x[0].shape))

    def _forward_sequences(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:
        sequence, length = x[0].value, x[0].shape[1]
        held = self.held(block.saved, length) or block.scratch
        drops = self.drops(block.training)
        if drops:
            self.draw(block)
        for layer in range(self.num_layers):
            out = self.output(layer, y.value, held)[:, :length]
            for cell in self.cells(layer):
                made: Array = out[:, :, cell.part]
                beside = self._beside(cell, held)
                initial = self._initial(x, cell)
                self._forward(
                    sequence, self.weights(cell), initial, cell.reverse, made, held[f"gates{cell.name}"], beside
                )
                if self.return_states:
                    for row, states in zip(self.rows(layer, length), (made, beside), strict=False):
                        y.value[:, row, cell.part] = last(states, cell.reverse)
            sequence = out
            if drops and layer < self.num_layers - 1:
                sequence = block.scratch["dropped"]
                self.drop(out, block, layer, sequence)

    def _backward_sequences(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:
        length = x[0].shape[1]
        held = self.held(block.saved, length)
        drops = self.drops(block.training)
        if drops:
            self.draw(block)
        grad_out = y.grad[:, :length]
        for layer in reversed(range(self.num_layers)):
            grad_below: Array | None
            if layer:
                below, grad_below = held[f"output_l{layer - 1}"], block.scratch[f"grad_l{layer - 1}"]
            else:
                below, grad_below = x[0].value, x[0].grad if x[0].has_grad else None
            if layer and drops:
                self.drop(below, block, layer - 1, block.scratch["dropped"])
                below = block.scratch["dropped"]
            for cell in self.cells(layer):
                adds = cell.reverse and grad_below is not None  # to what the other direction wrote
                target = block.scratch["other"][: below.size].reshape(below.shape) if adds else grad_below
                self._cell_backward(x, y, block, held, cell, below, grad_out[:, :, cell.part], target)
                if adds and grad_below is not None and target is not None:
                    grad_below += target
            if grad_below is not None:
                if layer and drops:
                    self.drop(grad_below, block, layer - 1, grad_below)
                grad_out = grad_below

    def _cell_backward(
        self, x: Sequence[Tensor], y: Tensor, block: Block, held: dict[str, Array], cell: Cell, below: Array,
        grad_y: Array, out: Array | None,
    ) -> None:  # fmt: skip
        """Add the gradients of one direction of one layer; write that at its input to `out`."""
        length = x[0].shape[1]
        made = self.output(cell.layer, y.value, held)[:, :length, cell.part]
        grad_last = [y.grad[:, row, cell.part] if self.return_states else None for row in self.rows(cell.layer, length)]
        gates, beside = held[f"gates{cell.name}"], self._beside(cell, held)
        gradients = self._backward(
            below, made, grad_y, self.weights(cell), self._initial(x, cell), cell.reverse, grad_last, gates, beside,
            block.scratch["grad_gates"], out,
        )  # fmt: skip
        for kind in self.kinds:
            block.add_grad(getattr(self, kind + cell.name), getattr(gradients, kind))
        for tensor, gradient in zip(x[1:], (gradients.h0, gradients.c0), strict=False):
            if tensor.has_grad:
                tensor.grad[:, cell.place] = gradient

    def cells(self, layer: int) -> list[Cell]:
        """Those of one layer, one for each direction."""
        size, ends = self.hidden_size, self.ends
        return [
            Cell(
                layer,
                f"_l{layer}{end}",
                layer * len(ends) + number,
                slice(number * size, (number + 1) * size),
                number == 1,
            )
            for number, end in enumerate(ends)
        ]

    def output(self, layer: int, y: Array, held: dict[str, Array]) -> Array:
        """The array that has a layer's outputs, of y, which may have states behind them, and what is held."""
        return y if layer == self.num_layers - 1 else held[f"output_l{layer}"]

    def _beside(self, cell: Cell, held: dict[str, Array]) -> Any:
        """What forward saves beside the gates; None where that is nothing."""
        return held[self.beside + cell.name] if self.beside else None

    def rows(self, layer: int, length: int) -> list[int]:
        """Of the output, with a layer's last states."""
        return [length + layer + self.num_layers * state for state in range(self.states)]

    def _initial(self, x: Sequence[Tensor], cell: Cell) -> list[Array | None]:
        """The states before the first step."""
        given: list[Array | None] = [each.value[:, cell.place] for each in x[1:]]
        return given or [None] * self.states

    def weights(self, cell: Cell) -> list[Any]:
        """W_ih, W_hh, b_ih and b_hh, None where there are no biases."""
        made: list[Any] = [getattr(self, kind + cell.name).array for kind in self.kinds]
        return made if self.bias else [*made, None, None]

    def _forward(
        self, x: Array, weights: Any, initial: Any, reverse: bool, out: Array, gates: Array, beside: Any
    ) -> None:
        """The cell along one sequence."""
        raise NotImplementedError

    def _backward(
        self, x: Array, y: Array, grad_y: Array, weights: Any, initial: Any, reverse: bool, grad_last: Any,
        gates: Array, beside: Any, grad_gates: Array, out: Array | None,
    ) -> Gradients:  # fmt: skip
        """The way back."""
        raise NotImplementedError

    def multiplications(self, shape: Shape) -> int:
        length, rows = shape[-2] - self.state_rows, self.gates * self.hidden_size
        widths = [self.input_size, *[self.width] * (self.num_layers - 1)]
        return (
            math.prod(shape[:-2]) * length * len(self.ends) * sum(rows * (width + self.hidden_size) for width in widths)
        )

    def work(self, shape: Shape) -> int:
        calls = NUMPY_CALLS * (shape[-2] - self.state_rows) * len(self.ends) * self.num_layers
        return self.multiplications(shape) + calls * CALL


def _copied(x: Tensor, end: str, scratch: dict[str, Array]) -> Tensor:
    """A batch (n, h, t, d) with every sequence by itself, in scratch memory."""
    value, grad = scratch[f"value{end}"], scratch.get(f"grad{end}") if x.has_grad else None
    np.copyto(value.reshape(x.shape), x.value)
    if grad is not None:
        np.copyto(grad.reshape(x.shape), x.grad)
    return Tensor.of(value, grad)


class RNN(Recurrent):
    """y_t = f(W_ih x_t + b_ih + W_hh y_{t−1} + b_hh), along a sequence, as Elman had it.

    It reads a sequence alone, or with the states before the first step: `(RNN(4, 8), "sequence", "h0")` in a Graph.
    States that are not given are zero. Of images (n, h, t, input_size) each row is a sequence by itself, without those.

    Shapes: x (n, t, input_size), y (n, t, D · k), h0 (n, num_layers · D, k), with k = hidden_size and D = 2 directions
    or 1. With `return_states` y is (n, t + num_layers, D · k): row t + l holds the states behind the last step of layer
    l, both directions side by side.

    Args:
        input_size: Numbers a step of the sequence has.
        hidden_size: k, numbers a state has.
        num_layers: How many layers, each reading the outputs of the one below.
        nonlinearity: f, "tanh" or "relu".
        bias: Whether to add b_ih and b_hh.
        batch_first: True, the only way there is.
        dropout: In training, the probability that a number between two layers is left out.
        bidirectional: Whether a second cell reads the sequence from its end; its outputs stand beside the first's.
        device: None or "cpu".
        dtype: None: a model has one type for all.
        return_states: Whether to put out the last states too.

    Attributes:
        weight_ih_l0: W_ih of the first layer, (k, input_size); of the next ones, `weight_ih_l1`, (k, D · k). Those of
            the second direction end in `_reverse`. All are drawn from U(−1/√k, 1/√k).
        weight_hh_l0: W_hh, (k, k).
        bias_ih_l0: b_ih, (k,).
        bias_hh_l0: b_hh, (k,).

    Raises:
        ArgumentError: A size below one, a probability out of range, another nonlinearity.
        ShapeError: An input that is no sequence of input_size numbers each, or states of another shape.

    Derived in docs/math/recurrent.md. Elman 1990, Finding structure in time. It is torch.nn.RNN with batch_first.
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: None = None,
        *,
        return_states: bool = False,
    ) -> None:
        self.nonlinearity = arguments.choice("RNN", "nonlinearity", nonlinearity, ("tanh", "relu"))
        self._declare(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, return_states, device, dtype
        )

    def _forward(
        self, x: Array, weights: Any, initial: Any, reverse: bool, out: Array, gates: Array, beside: Any
    ) -> None:
        w, u, b, c = weights
        rnn_forward(x, w, u, b, c, initial[0], self.nonlinearity, reverse, out, gates)

    def _backward(
        self, x: Array, y: Array, grad_y: Array, weights: Any, initial: Any, reverse: bool, grad_last: Any,
        gates: Array, beside: Any, grad_gates: Array, out: Array | None,
    ) -> Gradients:  # fmt: skip
        w, u, *_ = weights
        return rnn_backward(
            x, y, grad_y, w, u, initial[0], self.nonlinearity, reverse, grad_last[0], grad_gates, out, out is not None
        )


class LSTM(Recurrent):
    """y_t = o · tanh(c_t), with the cell c_t = f · c_{t−1} + i · g, along a sequence.

    i, f, g, o are the quarters of W_ih x_t + b_ih + W_hh y_{t−1} + b_hh; of g the tanh, of the others the sigmoid.

    It reads a sequence alone, or with the states before the first step: `(LSTM(4, 8), "sequence", "h0", "c0")` in a
    Graph. States that are not given are zero. Of images (n, h, t, input_size) each row is a sequence by itself, without
    those.

    Shapes: x (n, t, input_size), y (n, t, D · k), h0 and c0 (n, num_layers · D, k), with k = hidden_size and D = 2
    directions or 1. With `return_states` y is (n, t + 2 · num_layers, D · k): row t + l holds y behind the last step of
    layer l, row t + num_layers + l its cell, both directions side by side.

    Args:
        input_size: Numbers a step of the sequence has.
        hidden_size: k, numbers a state has.
        num_layers: How many layers, each reading the outputs of the one below.
        bias: Whether to add b_ih and b_hh.
        batch_first: True, the only way there is.
        dropout: In training, the probability that a number between two layers is left out.
        bidirectional: Whether a second cell reads the sequence from its end; its outputs stand beside the first's.
        proj_size: 0: outputs that are projected to another size are not supported.
        device: None or "cpu".
        dtype: None: a model has one type for all.
        return_states: Whether to put out the last states too.

    Attributes:
        weight_ih_l0: W_ih of the first layer, (4k, input_size); of the next ones, `weight_ih_l1`, (4k, D · k). Those of
            the second direction end in `_reverse`. All are drawn from U(−1/√k, 1/√k).
        weight_hh_l0: W_hh, (4k, k).
        bias_ih_l0: b_ih, (4k,).
        bias_hh_l0: b_hh, (4k,).

    Raises:
        ArgumentError: A size below one, a probability out of range, a projection.
        ShapeError: An input that is no sequence of input_size numbers each, or states of another shape.

    Derived in docs/math/recurrent.md. Hochreiter and Schmidhuber 1997, Long short-term memory. It is torch.nn.LSTM with
    batch_first.
    """

    gates = 4
    states = 2
    beside = "cells"
    ignored = ("proj_size", *Recurrent.ignored)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: None = None,
        *,
        return_states: bool = False,
    ) -> None:
        arguments.unsupported("LSTM", "put a Dense behind it", proj_size=(proj_size, 0))
        self._declare(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, return_states, device, dtype
        )

    def _forward(
        self, x: Array, weights: Any, initial: Any, reverse: bool, out: Array, gates: Array, beside: Any
    ) -> None:
        w, u, b, c = weights
        lstm_forward(x, w, u, b, c, initial[0], initial[1], reverse, out, gates, beside)

    def _backward(
        self, x: Array, y: Array, grad_y: Array, weights: Any, initial: Any, reverse: bool, grad_last: Any,
        gates: Array, beside: Any, grad_gates: Array, out: Array | None,
    ) -> Gradients:  # fmt: skip
        w, u, *_ = weights
        return lstm_backward(
            x, y, grad_y, w, u, gates, beside, initial[0], initial[1], reverse, grad_last[0], grad_last[1], grad_gates,
            out, out is not None,
        )  # fmt: skip


class GRU(Recurrent):
    """y_t = (1 − z) · m + z · y_{t−1}, with m = tanh(W_im x_t + b_im + r · (W_hm y_{t−1} + b_hm)), along a sequence.

    r and z are the sigmoid of the first two thirds of W_ih x_t + b_ih + W_hh y_{t−1} + b_hh; W_im, b_im, W_hm and b_hm
    are the last third of each.

    It reads a sequence alone, or with the states before the first step: `(GRU(4, 8), "sequence", "h0")` in a Graph.
    States that are not given are zero. Of images (n, h, t, input_size) each row is a sequence by itself, without those.

    Shapes: x (n, t, input_size), y (n, t, D · k), h0 (n, num_layers · D, k), with k = hidden_size and D = 2 directions
    or 1. With `return_states` y is (n, t + num_layers, D · k): row t + l holds the states behind the last step of layer
    l, both directions side by side.

    Args:
        input_size: Numbers a step of the sequence has.
        hidden_size: k, numbers a state has.
        num_layers: How many layers, each reading the outputs of the one below.
        bias: Whether to add b_ih and b_hh.
        batch_first: True, the only way there is.
        dropout: In training, the probability that a number between two layers is left out.
        bidirectional: Whether a second cell reads the sequence from its end; its outputs stand beside the first's.
        device: None or "cpu".
        dtype: None: a model has one type for all.
        return_states: Whether to put out the last states too.
        reset_after: False for m = tanh(W_im x_t + b_im + W_hm (r · y_{t−1}) + b_hm), as it was first published.

    Attributes:
        weight_ih_l0: W_ih of the first layer, (3k, input_size); of the next ones, `weight_ih_l1`, (3k, D · k). Those of
            the second direction end in `_reverse`. All are drawn from U(−1/√k, 1/√k).
        weight_hh_l0: W_hh, (3k, k).
        bias_ih_l0: b_ih, (3k,).
        bias_hh_l0: b_hh, (3k,).

    Raises:
        ArgumentError: A size below one, a probability out of range.
        ShapeError: An input that is no sequence of input_size numbers each, or states of another shape.

    Derived in docs/math/recurrent.md. Cho et al. 2014, Learning phrase representations using RNN encoder-decoder,
    arXiv:1406.1078. It is torch.nn.GRU with batch_first.
    """

    gates = 3
    beside = "hidden"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: None = None,
        *,
        return_states: bool = False,
        reset_after: bool = True,
    ) -> None:
        self.reset_after = arguments.flag("GRU", "reset_after", reset_after)
        self._declare(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, return_states, device, dtype
        )

    def _forward(
        self, x: Array, weights: Any, initial: Any, reverse: bool, out: Array, gates: Array, beside: Any
    ) -> None:
        w, u, b, c = weights
        gru_forward(x, w, u, b, c, initial[0], self.reset_after, reverse, out, gates, beside)

    def _backward(
        self, x: Array, y: Array, grad_y: Array, weights: Any, initial: Any, reverse: bool, grad_last: Any,
        gates: Array, beside: Any, grad_gates: Array, out: Array | None,
    ) -> Gradients:  # fmt: skip
        w, u, *_ = weights
        return gru_backward(
            x, y, grad_y, w, u, gates, beside, initial[0], self.reset_after, reverse, grad_last[0], grad_gates, out,
            out is not None,
        )  # fmt: skip
