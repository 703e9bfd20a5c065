"""Runs ONNX's own tests and writes what passes into docs/onnx.md.

python -m scripts.onnx_table
"""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from pathlib import Path

from tests.formats.onnx_cases import EXCLUDED, OPERATORS, Outcome, cases, outcomes

PAGE = Path(__file__).parent.parent / "docs" / "onnx.md"
BEGIN, END = "<!-- written by scripts/onnx_table.py -->", "<!-- to here -->"
SUITES = {
    "Node": "one operator each, or what ONNX says that it stands for",
    "PyTorchConverted": "layers of PyTorch",
    "PyTorchOperator": "functions of PyTorch",
    "Simple": "small graphs",
}


def table() -> str:
    """What passes, as Markdown."""
    node = outcomes("Node")
    lines = ["| operator | cases | as a batch | as one image | left out |", "| --- | ---: | ---: | ---: | ---: |"]
    for operator in sorted(OPERATORS):
        own = [each for each in node if each.case.operators == {operator}]
        lines.append(f"| {operator} | {len(own)} | {_counts(own)} |")
    lines += ["", "| suite | cases | as a batch | as one image | left out | of other operators |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
    for kind, what in SUITES.items():
        own = list(outcomes(kind))
        others = sum(case.kind == kind and not case.claimed for case in cases())
        lines.append(f"| {kind}: {what} | {len(own)} | {_counts(own)} | {others} |")
    lines += ["", "Left out, of these operators:", ""]
    reasons = Counter(each.case.excluded for kind in SUITES for each in outcomes(kind))
    lines += [f"- {reason}: {reasons[reason]}" for reason in EXCLUDED.values()]
    return "\n".join(lines)


def _counts(own: list[Outcome]) -> str:
    kept = [each for each in own if not each.case.excluded]
    if failed := [each.case.name for each in kept if each.error]:
        raise SystemExit(f"These fail, so there is nothing to write: {', '.join(failed)}.")
    batched = sum(bool(each.batched) for each in kept)
    return f"{batched} | {len(kept) - batched} | {len(own) - len(kept)}"


def replaced(page: str) -> str:
    """The page with the table of today."""
    return re.sub(f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n\n{table()}\n\n{END}", page, flags=re.DOTALL)


if __name__ == "__main__":
    os.environ["ONNX_HOME"] = tempfile.mkdtemp()
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
