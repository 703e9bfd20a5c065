"""The picture of a plan's memory over time, as places on paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..memory_map import MemoryMap, Role, SegmentSpan, Storage
from .drawing import LETTER, Tick, nice_ticks, shortened, size

BOLD_LETTER = 7.2  # the width of one within a rectangle


class Rectangle(NamedTuple):
    """What some bytes hold for a while, in a picture of the memory."""

    x: float
    y: float
    width: float
    height: float
    role: Role
    shade: int
    label: str
    tip: str


@dataclass(frozen=True)
class MemoryChart:
    """Bytes upwards, calls to the right."""

    title: str
    rectangles: list[Rectangle]
    reserved: list[tuple[float, float, float, float]]
    segments: list[tuple[float, float, str]]  # x, width, name
    calls: list[Tick]
    y: list[Tick]
    roles: list[Role]
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float


def memory_chart(title: str, memory: MemoryMap, storages: Sequence[Storage], total: int, height: float) -> MemoryChart:
    """One arena over time."""
    calls = max(1, len(memory.calls))
    call = min(44.0, max(9.0, 940 / calls))
    left, top = 62.0, 24.0
    lettered = call >= 16
    names = [_call_label(memory, position) for position in range(len(memory.calls))] if lettered else []
    below = 20 + 0.87 * LETTER * max(map(len, names), default=0)
    bottom = top + height
    ticks = [tick for tick in nice_ticks(0, max(total, 1)) if tick <= total * 1.001]

    def across(when: float) -> float:
        return round(left + when * call, 2)

    def up(offset: float) -> float:
        return round(bottom - offset / max(total, 1) * height, 2)

    rectangles, reserved = [], []
    for shade, storage in enumerate(sorted(storages, key=lambda each: (each.start, each.offset))):
        y, tall = up(storage.offset + storage.bytes), storage.bytes / max(total, 1) * height
        reserved.append((across(storage.start), y, round((storage.stop - storage.start) * call, 2), round(tall, 2)))
        for stay in storage.stays:
            wide = (stay.stop - stay.start) * call
            place = f"bytes {storage.offset:,} to {storage.offset + storage.bytes:,}"
            shape = "×".join(map(str, stay.shape))
            tip = f"{stay.layer}: {stay.what}\n{shape}, {size(storage.bytes)}\n{_when(memory, stay.start, stay.stop)}"
            fits = tall >= 12 and wide >= LETTER * 5
            label = shortened(stay.layer, int((wide - 8) / BOLD_LETTER)) if fits else ""
            rectangles.append(
                Rectangle(
                    across(stay.start),
                    y,
                    round(max(wide, 0.8), 2),
                    round(max(tall, 0.8), 2),
                    stay.role,
                    shade % 3,
                    label,
                    f"{tip}\n{place}",
                )
            )
    roles = list(dict.fromkeys(rectangle.role for rectangle in rectangles))
    return MemoryChart(
        title=title,
        rectangles=rectangles,
        reserved=reserved,
        segments=[
            (across(segment.start), round((segment.stop - segment.start) * call, 2), _segment_label(segment, call))
            for segment in memory.segments
            if segment.stop > segment.start
        ],
        calls=[Tick(across(position + 0.5), name) for position, name in enumerate(names)],
        y=[Tick(up(tick), size(tick)) for tick in ticks],
        roles=roles,
        width=round(left + calls * call + 12, 1),
        height=round(bottom + below, 1),
        left=left,
        right=round(left + calls * call, 1),
        top=top,
        bottom=bottom,
    )


def _when(memory: MemoryMap, start: float, stop: float) -> str:
    """From which call to which something is there."""
    last = len(memory.calls) - 1
    first_call, last_call = min(last, math.floor(start)), min(last, max(math.floor(start), math.ceil(stop) - 1))
    if first_call == last_call:
        return f"during {memory.calls[first_call]}"
    return f"from {memory.calls[first_call]} to {memory.calls[last_call]}"


def _segment_label(segment: SegmentSpan, call: float) -> str:
    """Its name, or what there is room for."""
    room = (segment.stop - segment.start) * call
    short = f"{segment.direction[0]}{segment.number}"
    return next((name for name in (str(segment), short) if LETTER * len(name) < room), "")


def _call_label(memory: MemoryMap, position: int) -> str:
    """A call's name below the chart, where the segment's direction stands above it: ′ marks a backward call."""
    layer, action = memory.calls[position]
    short = layer if len(layer) <= 20 else "…" + layer[-19:]
    backward = any(span.direction == "backward" and span.start <= position < span.stop for span in memory.segments)
    mark = {"forward": " again" if backward else "", "backward": "′"}.get(action, ", sums")
    return short + mark
