"""Which arrays, each in use for a while, may lie in the same bytes."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from .errors import LimitError
from .ops.layout import ALIGNMENT

MOST = 1 << 62  # bytes of all spans: sums of them stay whole numbers of a machine

Key = TypeVar("Key", bound=Hashable)


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
    if (total := sum(aligned(span.size) for span in spans.values())) > MOST:
        raise LimitError(f"a plan of {total:.3g} bytes is none for any machine.")
    offsets: dict[Hashable, int] = {}
    table = np.empty((4, len(spans)), np.int64)  # start, end, first and last of those placed, in the order of starts
    for number, (key, span) in enumerate(sorted(spans.items(), key=lambda item: -item[1].size)):
        starts, ends, firsts, lasts = table[:, :number]
        together = (firsts <= span.last) & (span.first <= lasts) if share else slice(None)
        taken = np.maximum.accumulate(np.concatenate(([0], ends[together])))  # up to where, before each start
        gaps = np.flatnonzero(starts[together] - taken[:-1] >= span.size)
        offset = int(taken[gaps[0] if len(gaps) else -1])
        offsets[key] = offset
        place = int(np.searchsorted(starts, offset, "right"))
        table[:, place + 1 : number + 1] = table[:, place:number]
        table[:, place] = offset, offset + aligned(span.size), span.first, span.last
    return offsets, int(table[1].max(initial=0))


class Lives(Generic[Key]):
    """From when to when each array is in use, and which of them are one and the same storage."""

    def __init__(self) -> None:
        self._owner: dict[Key, Key] = {}
        self._first: dict[Key, int] = {}  # of what stands for a storage, once anybody touches it
        self._last: dict[Key, int] = {}

    def touch(self, key: Key, when: int) -> None:
        """Somebody reads or writes the array at that moment."""
        root = self.find(key)
        self._first[root] = min(self._first.get(root, when), when)
        self._last[root] = max(self._last.get(root, when), when)

    def find(self, key: Key) -> Key:
        """The array that stands for all those of the same storage; itself, where it is new."""
        owner = self._owner
        root = owner.setdefault(key, key)
        while owner[root] != root:
            root = owner[root]
        while key != root:  # so that a chain of views is walked once
            owner[key], key = root, owner[key]
        return root

    def unite(self, key: Key, other: Key) -> None:
        """Let both share storage from now on, whether or not anybody touched them yet."""
        key, other = self.find(key), self.find(other)
        if key != other:
            self._owner[other] = key
            if other in self._first:
                first, last = self._first.pop(other), self._last.pop(other)
                self._first[key] = min(self._first.get(key, first), first)
                self._last[key] = max(self._last.get(key, last), last)

    def starts(self, key: Key) -> int:
        """When the storage of `key` is first in use."""
        return self._first[self.find(key)]

    def ends(self, key: Key) -> int:
        """When it is last in use."""
        return self._last[self.find(key)]

    def __iter__(self) -> Iterator[Key]:
        """All arrays whose storage is in use: one view of another needs none where nobody reads or writes either."""
        return (key for key in self._owner if self.find(key) in self._first)

    def roots(self) -> list[Key]:
        """One array for each storage in use."""
        return list(self._first)
