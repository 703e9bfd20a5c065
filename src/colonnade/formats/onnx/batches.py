"""Where the batch is among the axes of a file's inputs, where that is not the first of each.

A recogniser that is called chunk by chunk has states as inputs and outputs: of shape (layers, batch, channels), as
PyTorch's recurrent networks have them, or of no batch at all. Such a file is for one stream.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from .reading import Port, Source

UNNAMED = "?"
TIME = re.compile("seq|len|time|frame|step|chunk", re.IGNORECASE)  # what the first axis is called where it is no batch


def placed(source: Source) -> list[Source]:
    """The file with the batch in front of every input's shape, in the ways that may be meant, the likelier first."""
    ports = source.inputs
    alike = _alike(ports)
    if any(port.shape is None for port in ports) or len(ports) < 2 or (alike and (ports[0].shape or ())[0] != 1):
        return [source]
    lead = next((port for port in ports if len(port.shape or ()) > 1 and isinstance((port.shape or ())[0], str)), None)
    if lead is None:
        lead = next((port for port in ports if len(port.shape or ()) > 1 and (port.shape or ())[0] == 1), None)
    ways: list[list[int | None]] = [[None] * len(ports)]
    if lead is not None:
        steps = TIME.search(str((lead.shape or ())[0]))
        ways.insert(len(ways) if steps else 0, [_axis(port, lead) for port in ports])
    made = [replace(source, inputs=_moved(ports, axes)) for axes in ways]
    return [source, *made] if alike else made


def _alike(ports: Sequence[Port]) -> bool:
    """Whether the first axis of all inputs may be the batch."""
    firsts = {size if isinstance(size, int) else UNNAMED for port in ports for size in (port.shape or ())[:1]}
    return len(firsts) == 1 and all(len(port.shape or ()) > 1 for port in ports)


def _axis(port: Port, lead: Port) -> int | None:
    """Which axis is the batch that is the first of `lead`; None where there is none."""
    shape, named = port.shape or (), (lead.shape or ())[0]
    if port is lead:
        return 0
    if len(shape) < 2 or isinstance(named, int):
        return None
    return shape.index(named) if shape[0] == named or shape.count(named) == 1 else None


def _moved(ports: Sequence[Port], axes: Sequence[int | None]) -> list[Port]:
    """The inputs with their batch in front: of one image, where any of them has none."""
    moved = []
    for port, axis in zip(ports, axes, strict=True):
        shape = port.shape or ()
        rest = shape if axis is None else (*shape[:axis], *shape[axis + 1 :])
        batch = 1 if axis is None or None in axes else shape[axis]
        moved.append(replace(port, shape=(batch, *rest), axis=axis))
    return moved
