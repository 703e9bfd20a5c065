"""Graphs at random compute and learn what PyTorch's do, whatever memory is shared and however the batch is cut."""

from __future__ import annotations

import os

import pytest

from tests.graphs.checking import check
from tests.graphs.ways import check_ways

pytest.importorskip("torch", reason="PyTorch is not installed")
# More of them: COLONNADE_GRAPHS=5000, or scripts/graphs 5000.
COUNT = int(os.environ.get("COLONNADE_GRAPHS", "100"))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")  # PyTorch's own cost
@pytest.mark.parametrize("seeds", [range(start, min(start + 10, COUNT)) for start in range(0, COUNT, 10)], ids=str)
def test_graphs_at_random_agree_with_pytorch(seeds: range) -> None:
    compared = [check(seed) for seed in seeds]
    assert compared.count("torch") > len(compared) // 2


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
@pytest.mark.parametrize("seeds", [range(start, start + 5) for start in range(0, 40, 5)], ids=str)
def test_graphs_at_random_agree_in_float32_whatever_way_they_go(seeds: range) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    pytest.importorskip("numba", reason="Numba is not installed")
    ways = [check_ways(seed) for seed in seeds]
    assert "all ways" in ways
