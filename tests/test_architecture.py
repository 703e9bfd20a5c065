"""The worked example of docs/architecture.md runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import colonnade as cn

PAGE = Path(__file__).parent.parent / "docs" / "architecture.md"


def test_the_example_of_a_new_layer_keeps_the_contract() -> None:
    blocks = re.findall(r"```python\n(import numpy.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 1
    names: dict[str, object] = {}
    exec(blocks[0], names)
    model = names["model"]
    assert isinstance(model, cn.Model)
    assert [parameter.name for parameter in model.parameters()] == ["0.weight", "0.bias", "1.weight"]


def test_the_segments_on_the_page_are_those_of_the_standard_cnn() -> None:
    plan = cn.zoo.cnn().plan((128, 1, 28, 28), training=True)
    shown = re.search(r"```text\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert shown is not None
    lines = shown.group(1).strip().splitlines()
    assert [line.split()[0] for line in lines] == [segment.direction for segment in plan.segments]
