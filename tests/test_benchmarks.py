"""The page of the benchmarks has a place for everything that they report."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def report() -> Any:
    spec = importlib.util.spec_from_file_location("report", ROOT / "benchmarks" / "report.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def record(network: str, kind: str, contender: str, seconds: float, images: int = 8) -> dict[str, Any]:
    task = {"network": network, "kind": kind, "contender": contender, "shape": [images, 3, 32, 32]}
    held = 1e6 if contender == "compiled" else 5e6
    speed = {"seconds": seconds, "images_per_second": images / seconds, "peak_bytes": held}
    return task | speed | {"package": "torch" if "torch" in contender else "colonnade", "version": "1"}


def found() -> dict[str, Any]:
    """Numbers of which the ratios are known by heart."""
    contenders = {"compiled": 1.0, "compiled, one thread": 1.5, "NumPy alone": 4.0, "torch": 3.0, "torch.compile": 2.5}
    results = [
        record(network, kind, contender, seconds)
        for network in ("cnn", "vgg")
        for kind in ("training", "inference", "one image")
        for contender, seconds in {**contenders, "onnxruntime": 1.25}.items()
    ]
    layer = {"name": "3×3", "flops": 1e9, "seconds": {"NumPy": [1.0, 4.0], "tiles": [0.01, 0.04], "PyTorch": [0.02, 1]}}
    other = {"name": "ReLU", "flops": 0.0, "seconds": {"NumPy": [0.1, 0.1], "tiles": [0.1, 0.1], "PyTorch": [0.2, 0.2]}}
    return {
        "date": "2026-01-01",
        "load": 0.1,
        "command": "python benchmarks/compare.py",
        "threads": 2,
        "machine": {"processor": "P", "cores": 2, "python": "3"},
        "speeds": {"numpy": "2", "copy_bytes": 1e9, "peak_flops": 2e11, "peak_flops_of_all": 4e11, "product_flops": 1},
        "results": results,
        "others": [record("resnet18", kind, name, 2.0) for kind in ("training", "inference") for name in contenders],
        "layers": [layer, other],
        "shipped": [
            record("net", "one image", name, seconds, 1)
            | {"from": "package", "feeds": {"x": [[1, 3, 8, 8], "float32"]}}
            for name, seconds in (("compiled", 0.003), ("onnxruntime", 0.002))
        ],
        "imports": {"numpy": {"seconds": 0.1, "bytes": 1}, "colonnade": {"seconds": 0.02, "bytes": 1}},
        "installed_bytes": {"colonnade": 1e6},
        "first_steps": {"cold": 12.0, "warm": 0.5},
    }


def test_every_part_has_its_place_on_the_page_and_is_written_there_anew(report: Any) -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    filled = report.fill(page, found())
    for part in report.parts(found()).values():
        assert part in filled
    assert report.fill(filled, found()) == filled
    assert filled.count("<!-- measured: ") == len(report.parts(found())), "a place that nothing fills"


def test_ratios_stand_beside_their_goals_and_are_bold_where_they_miss_them(report: Any) -> None:
    cells = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in report.goals_table(
        report.Results(found()["results"])).splitlines()}  # fmt: skip
    read = {name: [cell.strip() for cell in row] for name, row in cells.items()}
    assert read["training, × PyTorch's best mode"] == ["2.50 (≥ 2.00)", "2.50 (≥ 1.50)"]
    assert read["batches, × ONNX Runtime"] == ["1.25 (≥ 1.20)", "**1.25** (≥ 1.30)"]
    assert read["one image, time ÷ ONNX Runtime's"] == ["0.80 (≤ 0.90)", "0.80 (≤ 1.00)"]
    assert read["training, all threads × one"] == ["**1.50** (≥ 1.75)"] * 2
    assert read["training, memory ÷ PyTorch's"] == ["0.20 (≤ 0.25)", "0.20 (≤ 0.30)"]


def test_a_layer_s_speed_stands_beside_the_peak(report: Any) -> None:
    text = report.layers_tables(found()["layers"], 2e11)
    assert [cell.strip() for cell in text.splitlines()[2].split("|")[1:-1]] == [
        *("3×3", "1", "100", "–", "50", "0.50"),
        *("0", "50", "–", "2", "0.25"),
    ]
    assert text.splitlines()[-1].split("|")[-2].strip() == "0.50"


def test_shipped_files_fill_their_place_and_leave_the_others(report: Any) -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    alone = {key: value for key, value in found().items() if key not in ("results", "others", "layers", "first_steps")}
    assert list(report.parts(alone)) == ["shipped"]
    filled = report.fill(page, alone)
    (row,) = [line for line in filled.splitlines() if line.startswith("| package: net ")]
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["1×3×8×8", "3.00", "2.00", "1.50"]
    others = "<!-- measured: goals -->"
    assert (
        filled.partition(others)[2].partition("<!-- end -->")[0]
        == page.partition(others)[2].partition("<!-- end -->")[0]
    )
