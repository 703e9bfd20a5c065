"""ONNX graphs at random: what ONNX Runtime makes of them, taken over, exported, and taken over again."""

from __future__ import annotations

from collections import Counter

import pytest

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from tests.fuzz.operators import OPERATORS, Drawing, check  # needs the packages above

# More of them: python -m tests.fuzz.operators 5000.


@pytest.mark.parametrize("seed", range(25))
def test_graphs_of_operators_agree_with_onnx_runtime(seed: int) -> None:
    check(seed)


@pytest.mark.thorough
@pytest.mark.parametrize("seeds", [range(start, start + 25) for start in range(100, 600, 25)], ids=str)
def test_more_graphs_of_operators_agree_with_onnx_runtime(seeds: range) -> None:
    came = Counter(check(seed).partition(":")[0] for seed in seeds)
    assert came["agrees"] > 0.8 * len(seeds)
    assert came["refused"] == 0


@pytest.mark.thorough
def test_every_operator_is_drawn() -> None:
    used = {name for seed in range(600) for name in Drawing(seed).used}
    assert used == set(OPERATORS)
