"""What passes through a model, layer by layer: input, output and parameters of each, as filled Tensors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .executor import Executor
from .layers.base import Layer
from .ops.layout import Array
from .plan import Kind
from .printable import printable
from .steps import Edge
from .tensor import Tensor

HEADINGS: tuple[str, ...] = ("layer", "", "input", "output", "parameters", "output mean", "std", "gradient std")
LEFT = 4  # columns of names and shapes; numbers stand to the right


class Traced(NamedTuple):
    """One layer of a pass.

    Attributes:
        name: Where the layer stands in the model, as in its parameters' names: "3.main.0".
        layer: The model's own.
        input: What it read, images first; a tuple where there are several, as for Add, or none, as for Constant.
        output: What it wrote; a tuple of a Fork, which alone has several. It is the very Tensor that the next reads.
        parameters: Those that it learns, by the names that the layer has for them.
    """

    name: str
    layer: Layer
    input: Any
    output: Any
    parameters: dict[str, Tensor]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What it read, always a tuple."""
        return self.input if isinstance(self.input, tuple) else (self.input,)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """What it wrote, always a tuple."""
        return self.output if isinstance(self.output, tuple) else (self.output,)

    def __repr__(self) -> str:
        return f"Traced({self.name}, {self.layer!r}, {_sizes(self.inputs)} → {_sizes(self.outputs)})"


class Trace(list[Traced]):
    """The layers of a pass, in the order in which they ran. Printed, it is a table."""

    def cells(self) -> list[tuple[str, ...]]:
        """The table as text: a line of headings and a line a layer."""
        rows: list[tuple[str, ...]] = [HEADINGS]
        for each in self:
            numbers = sum(math.prod(parameter.shape) for parameter in each.parameters.values())
            values = [output.value for output in each.outputs[:1]]  # a Fork's are all the same
            gradients = [output.grad for output in each.outputs[:1] if output.has_grad]
            rows.append(
                (
                    printable(each.name),
                    printable(type(each.layer).__name__),
                    _sizes(each.inputs),
                    _sizes(each.outputs),
                    f"{numbers:,}" if numbers else "",
                    *(f"{value.mean(dtype=np.float64):.3g}" for value in values),
                    *(f"{value.std(dtype=np.float64):.3g}" for value in values),
                    *(f"{gradient.std(dtype=np.float64):.3g}" for gradient in gradients or ()),
                )
            )
        if all(len(row) < len(HEADINGS) for row in rows[1:]):
            rows[0] = HEADINGS[:-1]
        return [row + ("",) * (len(rows[0]) - len(row)) for row in rows]

    def __str__(self) -> str:
        rows = self.cells()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if column < LEFT else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        lines.insert(1, "─" * max(map(len, lines)))
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The table, for notebooks."""
        from . import notebook

        headings, *rows = self.cells()
        return notebook.table(headings, rows, names=LEFT)


def trace(
    executor: Executor, layers: Sequence[Layer], batches: Iterable[Array], gradients: Iterable[Array] | None = None
) -> Trace:
    """Run a pass, and say what went through each layer.

    Args:
        executor: Of a plan that shares no memory and rewrites no steps. It is used up: the arrays that are returned
            are its memory.
        layers: What to call the layer of each step.
        batches: For each input.
        gradients: For each output; None for a forward pass alone.
    """
    plan = executor.plan
    for source, batch in zip(plan.sources, batches, strict=True):
        np.copyto(executor.view(source, "value"), batch, casting="unsafe")
    executor.forward()
    kinds: tuple[Kind, ...] = ("value",)
    if gradients is not None:
        kinds = ("value", "grad")
        for result, gradient in zip(plan.results, gradients, strict=True):
            np.copyto(executor.view(result, "grad"), gradient, casting="unsafe")
        executor.backward()
    tensors: dict[Edge, Tensor] = {}
    for edge in {*plan.sources, *(edge for step in plan.steps for edge in step.outputs)}:
        tensors[edge] = Tensor.of(*(executor.view(edge, kind) for kind in kinds if (edge, kind) in plan.places))
    traced = Trace()
    for step, layer in zip(plan.steps, layers, strict=True):
        ends = (tuple(tensors[edge] for edge in edges) for edges in (step.inputs, step.outputs))
        x, y = (end[0] if len(end) == 1 else end for end in ends)
        traced.append(Traced(step.name, layer, x, y, dict(step.layer.parameters())))
    return traced


def _sizes(tensors: Sequence[Tensor]) -> str:
    """The shapes, as a person reads them, those that follow each other and are the same counted: 2 × (8×64×16×16)."""
    shapes = list(dict.fromkeys("×".join(map(str, tensor.shape)) for tensor in tensors))
    if len(shapes) == 1 and len(tensors) > 1:
        return f"{len(tensors)} of {shapes[0]}"
    return ", ".join("×".join(map(str, tensor.shape)) for tensor in tensors)
