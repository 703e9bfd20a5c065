"""ONNX's own tests of its operators, run by our layers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("onnx", reason="onnx is not installed")

if TYPE_CHECKING:
    from scripts import onnx_table
    from tests.formats import onnx_cases
else:
    onnx_cases = pytest.importorskip("tests.formats.onnx_cases", reason="onnx is not installed")
    onnx_table = pytest.importorskip("scripts.onnx_table", reason="onnx is not installed")

PAGE = Path(__file__).parents[2] / "docs" / "onnx.md"


def failures(outcomes: list[onnx_cases.Outcome]) -> dict[str, str]:
    return {each.case.name: each.error for each in outcomes if each.error and not each.case.excluded}


# Of the others ONNX has cases.
WITHOUT_CASES = {"GlobalLpPool", "com.microsoft.DynamicQuantizeLSTM"}


@pytest.mark.parametrize("operator", sorted(onnx_cases.OPERATORS))
def test_every_node_case_of_an_operator_passes(operator: str) -> None:
    own = [each for each in onnx_cases.outcomes("Node") if each.case.operators == {operator}]
    assert failures(own) == {}
    assert bool(own) is (operator not in WITHOUT_CASES)


def test_every_node_case_of_several_operators_passes() -> None:
    mixed = [each for each in onnx_cases.outcomes("Node") if len(each.case.operators) > 1]
    assert failures(mixed) == {}
    assert len(mixed) > 200


@pytest.mark.parametrize(("kind", "least"), [("PyTorchConverted", 60), ("PyTorchOperator", 30), ("Simple", 5)])
def test_networks_of_our_operators_pass(kind: str, least: int) -> None:
    outcomes = list(onnx_cases.outcomes(kind))
    assert failures(outcomes) == {}
    assert sum(each.error is None for each in outcomes) >= least


@pytest.mark.parametrize(
    "name",
    [
        *("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet"),
        *("vgg19", "zfnet512"),
    ],
)
def test_light_network_passes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    monkeypatch.setenv("ONNX_HOME", str(tmp_path))
    # All weights of these are alike, and what squeezenet's softmax sees are 1,000 equal sums of 1e10. Where a product
    # of BLAS rounds them by their place, they are equal no more.
    monkeypatch.setenv("COLONNADE_COMPILED", "1")
    (case,) = [each for each in onnx_cases.cases() if each.name == f"test_{name}"]
    assert case.claimed
    assert onnx_cases.outcome(case).error is None


def test_what_is_left_out_would_fail() -> None:
    excluded = [
        each
        for kind in ("Node", "PyTorchConverted", "PyTorchOperator", "Simple")
        for each in onnx_cases.outcomes(kind)
        if each.case.excluded
    ]
    assert [each.case.name for each in excluded if each.error is None] == []
    for pattern in onnx_cases.EXCLUDED:
        assert any(re.search(pattern, case.name) for case in onnx_cases.cases()), pattern


def test_all_other_cases_have_an_operator_that_is_none_of_ours() -> None:
    others = [each for each in onnx_cases.cases() if not each.claimed]
    assert all(each.operators - onnx_cases.OPERATORS for each in others)
    assert {each.kind for each in onnx_cases.cases()} == {
        *("Node", "PyTorchConverted", "PyTorchOperator", "Simple", "Real")
    }


def test_the_table_on_the_page_is_what_a_run_gives() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert onnx_table.BEGIN in page
    assert onnx_table.replaced(page) == page, "run scripts/onnx_table.py"
