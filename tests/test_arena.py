"""Packing arrays by their lifetimes."""

from __future__ import annotations

import numpy as np
import pytest

from colonnade.arena import ALIGNMENT, Lives, Span, aligned, pack


@pytest.mark.parametrize("seed", range(20))
def test_arrays_alive_together_never_overlap_and_all_are_aligned(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spans = {}
    for key in range(40):
        first = int(rng.integers(0, 30))
        spans[key] = Span(int(rng.integers(1, 5000)), first, first + int(rng.integers(0, 10)))
    offsets, size = pack(spans)
    for key, span in spans.items():
        assert offsets[key] % ALIGNMENT == 0
        assert offsets[key] + span.size <= size
        for other, another in spans.items():
            alive_together = span.first <= another.last and another.first <= span.last
            apart = offsets[key] + span.size <= offsets[other] or offsets[other] + another.size <= offsets[key]
            assert key == other or not alive_together or apart
    peak = max(
        sum(aligned(span.size) for span in spans.values() if span.first <= moment <= span.last) for moment in range(40)
    )
    assert peak <= size <= sum(aligned(span.size) for span in spans.values())


def test_a_chain_of_equal_arrays_takes_turns_in_two() -> None:
    spans = {key: Span(1000, key, key + 1) for key in range(10)}
    assert pack(spans)[1] == 2 * aligned(1000)


def test_nothing_shares_when_told_not_to() -> None:
    spans = {key: Span(1000, key, key) for key in range(10)}
    assert pack(spans)[1] == aligned(1000)
    assert pack(spans, share=False)[1] == 10 * aligned(1000)


def test_nothing_takes_no_bytes() -> None:
    assert pack({}) == ({}, 0)


def test_views_of_one_another_are_one_storage_in_whatever_order_they_are_found() -> None:
    lives: Lives[str] = Lives()
    lives.unite("a", "b")
    lives.unite("c", "d")
    lives.touch("d", 3)
    lives.unite("b", "c")
    lives.touch("a", 5)
    lives.unite("alone", "with nobody")
    assert {lives.find(key) for key in "abcd"} == set(lives.roots())
    assert (lives.starts("b"), lives.ends("c")) == (3, 5)
    assert set(lives) == {*"abcd"}  # what nobody reads or writes needs no place
