"""The pages on mathematics and the code that computes them point at each other."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

import colonnade as cn

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "math").glob("*.md"))
DOTTED = re.compile(r"`(colonnade(?:\.\w+)+)`")


def resolve(dotted: str) -> object:
    """The module, class or function of that name; raises if there is none."""
    names = dotted.split(".")
    module, found = names[0], importlib.import_module(names[0])
    for name in names[1:]:
        if not hasattr(found, name):
            importlib.import_module(f"{module}.{name}")
        found, module = getattr(found, name), f"{module}.{name}"
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_name_on_a_page_exists(page: Path) -> None:
    names = DOTTED.findall(page.read_text(encoding="utf-8"))
    assert names, f"{page.name} says nowhere which function computes it"
    for name in names:
        assert resolve(name) is not None


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "index"], ids=lambda p: p.stem)
def test_the_code_points_back_at_its_page(page: Path) -> None:
    for name in DOTTED.findall(page.read_text(encoding="utf-8")):
        docstrings = [resolve(name).__doc__, resolve(name.rpartition(".")[0]).__doc__]
        found = resolve(name)
        if hasattr(found, "__module__"):
            docstrings.append(importlib.import_module(found.__module__).__doc__)
        assert any(f"docs/math/{page.name}" in (docstring or "") for docstring in docstrings), name


def test_the_reference_has_every_public_name() -> None:
    shown = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "reference.md").read_text(encoding="utf-8"), re.MULTILINE)
    found = [resolve(name) for name in shown]
    missing = set(cn.__all__) - {"__version__"}
    for name in list(missing):
        thing = getattr(cn, name)
        if thing in found or sys.modules.get(getattr(thing, "__module__", "")) in found:
            missing.remove(name)
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_formula_is_closed(page: Path) -> None:
    text = re.sub(r"`[^`]*`", "", page.read_text(encoding="utf-8"))
    blocks = text.split("$$")
    assert len(blocks) % 2 == 1, "a $$ is left open"
    for position, piece in enumerate(blocks):
        if position % 2 == 1:
            assert piece.count("{") == piece.count("}"), piece
            assert re.findall(r"\\begin\{(\w+)\}", piece) == re.findall(r"\\end\{(\w+)\}", piece)[::-1], piece
        else:
            for paragraph in piece.split("\n\n"):
                assert paragraph.count("$") % 2 == 0, paragraph
