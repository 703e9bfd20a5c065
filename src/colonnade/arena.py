"""Packing: which arrays, each alive for a while, may lie in the same bytes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import NamedTuple

ALIGNMENT = 64  # bytes: a cache line, and the widest vector register


class Span(NamedTuple):
    """An array to place: its size in bytes, and the first and last moment at which it is alive, both included."""

    size: int
    first: int
    last: int


def aligned(size: int) -> int:
    """`size` rounded up to whole cache lines."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def pack(spans: Mapping[Hashable, Span], share: bool = True) -> tuple[dict[Hashable, int], int]:
    """Offsets for all spans so that no two that are alive together overlap, and the bytes this takes.

    Greedy by size (Pisarchyk and Lee 2020, arXiv:2001.03288): the largest first, each at the lowest offset that is
    free for as long as it lives. With `share` false nothing ever overlaps.
    """
    offsets: dict[Hashable, int] = {}
    placed: list[tuple[int, int, Span]] = []  # (start, end, span), in bytes
    for key, span in sorted(spans.items(), key=lambda item: -item[1].size):
        together = [
            (start, end)
            for start, end, other in placed
            if not share or (other.first <= span.last and span.first <= other.last)
        ]
        offset = 0
        for start, end in sorted(together):
            if offset + span.size <= start:
                break
            offset = max(offset, end)
        offsets[key] = offset
        placed.append((offset, offset + aligned(span.size), span))
    return offsets, max((end for _, end, _ in placed), default=0)
