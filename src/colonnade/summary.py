"""The table of a model's layers, as a person reads it: in a terminal, or in a notebook."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import notebook
from .layers.wiring import Wiring
from .printable import printable
from .tensor import Shape

if TYPE_CHECKING:
    from .passes import Runnable

GAP = 2  # between columns
LEFT = 3  # columns of names; numbers stand to the right
LEAF = 6  # the column of what is compiled, if anything is
MIRRORED = "the answer is the mean of those for an image and for its mirror image"


def table(model: Runnable, batch_size: int, images: Sequence[Shape]) -> dict[str, Any]:
    """What there is to say of a model's layers.

    Args:
        model: Built or not.
        batch_size: Images in the batch that the bytes are given for.
        images: One image's shape, of each input.
    """
    shapes = tuple((batch_size, *shape) for shape in images)
    shape: Any = shapes if len(shapes) > 1 else shapes[0]
    plan, inference = model.plan(shape, training=True), model.plan(shape)
    layers = []
    kept = {step.name for step in plan.steps if plan.kept.intersection(step.outputs)} if plan.share else set()
    leaves: dict[str, str] = {}
    for leaf in plan.steps:
        if leaf.compiled:
            before = f"{leaves[leaf.name]}, " if leaf.name in leaves else ""
            leaves[leaf.name] = before + repr(leaf.layer)
    for step in model.steps:
        if isinstance(step.layer, Wiring) and not step.parameters:
            continue
        output = step.outputs[0]
        layers.append(
            {
                "name": step.name,
                "type": type(step.layer).__name__,
                "compiled": leaves.get(step.name, ""),
                "output_shape": list(output.shape),
                "parameters": sum(parameter.size for parameter in step.parameters if not parameter.fixed),
                "flops": 2 * step.layer.multiplications(step.shape),
                "kept_bytes": batch_size * math.prod(output.shape) * model.dtype.itemsize if step.name in kept else 0,
            }
        )
    parameters = sum(parameter.size for parameter in model.parameters())
    return {
        "input_shape": [list(each[1:]) for each in shapes] if len(shapes) > 1 else list(shape[1:]),
        "inputs": {name: list(each) for name, each in zip(model.inputs, images, strict=True)},
        "outputs": {name: list(each.shape) for name, each in zip(model.outputs, plan.results, strict=True)},
        "batch_size": batch_size,
        "layers": layers,
        "parameters": parameters,
        "parameter_bytes": parameters * model.dtype.itemsize,
        "flops": sum(layer["flops"] for layer in layers),
        "training_bytes": plan.bytes,
        "inference_bytes": inference.bytes,
    }


def text(table: dict[str, Any], most: int | None = None) -> str:
    """What :meth:`colonnade.Model.table` says, in lines.

    Args:
        table: As it returns it.
        most: Letters of a line, where there is no room for more: the last columns are then left out.
    """
    compiled = any(row["compiled"] for row in table["layers"])
    rows: list[tuple[str, ...]] = [("layer", "", "output", "parameters", "FLOPs", "kept bytes")]
    for row in table["layers"]:
        numbers = (f"{row[name]:,}" for name in ("parameters", "flops", "kept_bytes"))
        rows.append((*_names(row), *numbers))
    if compiled:
        # Whose work is done by the leaf of a layer above has no leaf of its own.
        rows = [
            (*row, leaf)
            for row, leaf in zip(rows, ["compiled", *(row["compiled"] for row in table["layers"])], strict=True)
        ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    while most is not None and len(widths) > LEFT + 1 and sum(widths) + GAP * (len(widths) - 1) > most:
        del widths[-1]
    lines = [
        (" " * GAP)
        .join(
            cell.ljust(width) if column < LEFT or column == LEAF else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=False))  # those that there is room for
        )
        .rstrip()
        for row in rows
    ]
    lines.insert(1, "─" * max(map(len, lines)))
    lines.append(lines[1])
    inputs, outputs = (
        ", ".join(f"{printable(name)} {_sizes(shape)}" for name, shape in table[ends].items())
        for ends in ("inputs", "outputs")
    )
    lines.append(f"{inputs} → {outputs}, a batch of {table['batch_size']}")
    lines.append(f"parameters {table['parameters']:,}, {table['parameter_bytes']:,} bytes and as many gradients")
    lines.append(f"FLOPs of one image, forward: {table['flops']:,}")
    lines.append(f"memory: training {table['training_bytes']:,} bytes, inference {table['inference_bytes']:,}")
    if table["mirrored"]:
        lines.append(f"mirrored: {MIRRORED}")
    return "\n".join(lines)


def html(table: dict[str, Any]) -> str:
    """The same for a notebook."""
    rows = [
        [
            *_names(row),
            f"{row['parameters']:,}",
            f"{row['flops']:,}",
        ]
        for row in table["layers"]
    ]
    caption = f"{table['parameters']:,} parameters, {table['flops']:,} FLOPs an image forward"
    caption += f"; {MIRRORED}" if table["mirrored"] else ""
    return notebook.table(["layer", "", "output", "parameters", "FLOPs"], rows, names=LEFT, caption=caption)


def _names(row: dict[str, Any]) -> list[str]:
    """What is no number in a layer's row: its name, its type and its output's shape."""
    return [printable(row["name"]), printable(row["type"]), _sizes(row["output_shape"])]


def _sizes(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
