"""How Conv2d goes about a depthwise convolution, where each group holds one channel."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..ops.convolution import pad
from ..ops.depthwise import (
    Taps,
    depthwise,
    depthwise_backward_weight,
    gather,
    lay,
    positions_a_run,
    positions_a_sum,
    seen,
    taps_backward,
    taps_forward,
)
from ..ops.layout import Array, channels_last
from ..ops.window import Pair, Window
from ..tensor import Shape
from .base import Block, Direction, Scratch


class Phase(NamedTuple):
    """The gradient at those positions of the image that are equal modulo the stride.

    Attributes:
        view: What their taps take from the output's gradient; of size zero where there are no taps.
        runs: Where it goes, (n, rows, runs, run).
        sums: The same memory as (n, rows, columns, m · c), if it is scratch.
        target: The positions themselves, (n, rows, columns, c).
    """

    view: Array
    runs: Array
    sums: Array | None
    target: Array


class Depthwise:
    """The arrays and views with which :mod:`colonnade.ops.depthwise` works on a block.

    Args:
        window: How the kernel moves.
        channels: Channels in.
        multiplier: m, channels out for each channel in. The input is laid out with each channel m times.
    """

    def __init__(self, window: Window, channels: int, multiplier: int) -> None:
        self.window, self.multiplier, self.channels = window, multiplier, channels * multiplier
        # Down the image, strides need no sorting: a run never leaves its row.
        self.rows = Taps(0, slice(None), 0, window.dilation[0], window.kernel[0])
        self.columns = [taps for taps in taps_forward(window, 1) if taps.number]
        self.back = [(rows, columns) for rows in taps_backward(window, 0) for columns in taps_backward(window, 1)]
        self.sorted = window.stride[1] > 1 or multiplier > 1

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        """As a layer's; `shape` is that of a block's input."""
        outputs = self._outputs(shape)
        frame = math.prod(self._laid(shape)) if self._framed else 0
        spaces: dict[str, Scratch] = {}
        if direction == "forward":
            if len(self.columns) > 1:
                spaces["part"] = Scratch((shape[0], *outputs, self.channels))
        else:
            frame = max(frame, math.prod(self._laid_back(shape)) if any(self._border(shape)) else 0)
            spaces["taps"] = Scratch((*self.window.kernel, positions_a_sum(outputs[1], self.channels) * self.channels))
            if self.sorted:
                spaces["part"] = Scratch((shape[0], *self._longest(shape), self.channels))
        return spaces | ({"frame": Scratch((frame,))} if frame else {})

    def kernels(self, kernel: Array, shape: Shape, made: list[Array] | None) -> list[Array]:
        """The vectors of the taps, repeated to a run, for each phase of columns.

        Args:
            kernel: (m · c, k_h, k_w).
            shape: The input's.
            made: What an earlier call returned, to be written over, or None.
        """
        together = positions_a_run(self._outputs(shape)[1], self.channels)
        return self._repeated(kernel, [(self.rows, columns) for columns in self.columns], together, made)

    def kernels_back(self, kernel: Array, shape: Shape, made: list[Array] | None) -> list[Array]:
        """The same for each phase of the image."""
        return self._repeated(kernel, self.back, positions_a_run(self._longest(shape)[1], self.channels), made)

    def _repeated(
        self, kernel: Array, phases: list[tuple[Taps, Taps]], together: int, made: list[Array] | None
    ) -> list[Array]:
        run = together * self.channels
        made = made or [np.empty((rows.number, columns.number, run), kernel.dtype) for rows, columns in phases]
        for (rows, columns), vectors in zip(phases, made, strict=True):
            taps = kernel[:, rows.values, columns.values].transpose(1, 2, 0)
            np.copyto(vectors.reshape(rows.number, columns.number, together, self.channels), taps[:, :, None])
        return made

    def forward(self, x: Array, y: Array, kernels: list[Array], block: Block) -> None:
        """y (n, m · c, h_out, w_out) from x (n, c, h, w)."""
        outputs = channels_last(y)
        together = positions_a_run(outputs.shape[2], self.channels)
        image = self._lay(x, block)
        views = block.once("seen", lambda: self._views(image, outputs, together))
        part = block.scratch.get("part", outputs)
        runs = (*outputs.shape[:2], -1, together * self.channels)
        depthwise(views, kernels, outputs.reshape(runs), part.reshape(runs))

    def backward_weight(self, x: Array, grad_y: Array, gradient: Array, block: Block) -> None:
        """Add to `gradient`, (m · c, k_h, k_w)."""
        grad_outputs = channels_last(grad_y)
        together = positions_a_sum(grad_outputs.shape[2], self.channels)
        image = self._lay(x, block)
        views = block.once("seen", lambda: self._views(image, grad_outputs, together))
        taps = block.scratch["taps"]
        runs = grad_outputs.reshape(*grad_outputs.shape[:2], -1, together * self.channels)
        depthwise_backward_weight(views, runs, [taps[:, columns.values] for columns in self.columns])
        gradient += taps.reshape(*self.window.kernel, together, self.channels).sum(axis=2).transpose(2, 0, 1)

    def backward_input(self, grad_y: Array, grad_x: Array, kernels: list[Array], block: Block) -> None:
        """The gradient at the input, for one phase of the image after the other, since each has its own taps."""
        target = channels_last(grad_x)
        image = self._lay_back(channels_last(grad_y), grad_x.shape, block)
        phases = block.once("seen back", lambda: self._views_back(image, target, block))
        for phase, kernel in zip(phases, kernels, strict=True):
            if phase.view.size:
                depthwise([phase.view], [kernel], phase.runs, phase.runs)
            else:
                phase.runs.fill(0)  # no tap ever reads here
            if phase.sums is not None:
                gather(phase.sums, self.multiplier, phase.target)

    # Views

    def _lay(self, x: Array, block: Block) -> Array:
        """The input as the taps read it, (n, h with its border, phases, columns of a phase, m · c)."""
        shape, image = self._laid(x.shape), channels_last(x)
        if not self._framed:
            return image.reshape(shape)
        laid = block.scratch["frame"][: math.prod(shape)].reshape(shape)
        lay(image, self.window, self.multiplier, laid)
        return laid

    def _views(self, laid: Array, outputs: Array, together: int) -> list[Array]:
        down, size = self.window.stride[0], (outputs.shape[1], outputs.shape[2])
        return [seen(laid[:, :, taps.phase], self.rows, taps, down, size, together) for taps in self.columns]

    def _lay_back(self, grad_y: Array, shape: Shape, block: Block) -> Array:
        """The output's gradient with zeros where taps look for outputs that there are not."""
        border = self._border(shape)
        if not any(border):
            return grad_y
        laid = self._laid_back(shape)
        padded = block.scratch["frame"][: math.prod(laid)].reshape(laid)
        pad(grad_y, Window(self.window.kernel, padding=border), padded[None])
        return padded

    def _views_back(self, image: Array, target: Array, block: Block) -> list[Phase]:
        images, *size, channels = target.shape
        shape = (images, channels, *size)
        _, width = self._longest(shape)
        together = positions_a_run(width, self.channels)
        above, _, before, _ = self._border(shape)
        down, across = self.window.stride
        phases = []
        for rows, columns in self.back:
            pixels = target[:, rows.phase :: down, columns.phase :: across]
            laid = block.scratch["part"][:, : pixels.shape[1]] if self.sorted else pixels
            rows, columns = rows._replace(first=rows.first + above), columns._replace(first=columns.first + before)
            view = seen(image, rows, columns, 1, (laid.shape[1], width), together)
            # A stride beyond the map leaves phases without a row: their arrays are empty.
            runs = laid.reshape(*laid.shape[:2], laid.shape[2] // together, together * self.channels)
            phases.append(Phase(view, runs, laid[:, :, : pixels.shape[2]] if self.sorted else None, pixels))
        return phases

    # Shapes

    @property
    def _framed(self) -> bool:
        return self.sorted or any(self.window.padding)

    def _outputs(self, shape: Shape) -> Pair:
        return self.window.output_size((shape[2], shape[3]))

    def _longest(self, shape: Shape) -> Pair:
        """Rows and columns of the image's longest phase."""
        down, across = self.window.stride
        return -(-shape[2] // down), -(-shape[3] // across)

    def _laid(self, shape: Shape) -> Shape:
        height, width = self.window.padded_size((shape[2], shape[3]))
        phases = self.window.stride[1]
        return (shape[0], height, phases, -(-width // phases), self.channels)

    def _border(self, shape: Shape) -> tuple[int, int, int, int]:
        """How far the taps look beyond the outputs: at the top, bottom, left and right."""
        border = []
        for axis, (outputs, longest) in enumerate(zip(self._outputs(shape), self._longest(shape), strict=True)):
            taps = [phase[axis] for phase in self.back]
            last = max(each.first + (each.number - 1) * each.step for each in taps) + longest
            border += [max(0, -min(each.first for each in taps)), max(0, last - outputs)]
        return border[0], border[1], border[2], border[3]

    def _laid_back(self, shape: Shape) -> Shape:
        top, bottom, left, right = self._border(shape)
        height, width = self._outputs(shape)
        return (shape[0], top + height + bottom, left + width + right, self.channels)
