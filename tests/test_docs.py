"""The pages on mathematics and the code that computes them point at each other."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parent.parent / "docs" / "math").glob("*.md"))
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


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.stem not in ("index", "training")], ids=lambda p: p.stem
)
def test_the_code_points_back_at_its_page(page: Path) -> None:
    names = DOTTED.findall(page.read_text(encoding="utf-8"))
    modules = {getattr(found := resolve(name), "__module__", getattr(found, "__name__", "")) for name in names}
    ops = {module for module in modules if module.startswith("colonnade.ops.")}
    assert ops, f"{page.name} names no op"
    for module in ops:
        assert f"docs/math/{page.name}" in (importlib.import_module(module).__doc__ or ""), module


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
