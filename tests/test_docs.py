"""What the pages show is what happens: their code runs, and their mathematics and the code point at each other."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import colonnade as cn
import colonnade.ops

from .data import pictures
from .data.official_files import write_mnist

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "math").glob("*.md"))
# The page that greets the reader is run with the README, see test_readme.py.
HOW_TO = sorted({*(ROOT / "docs").rglob("*.md")} - {*PAGES, ROOT / "docs" / "index.md"})
# A fenced block, the language, and the comment right above it that says why it is not run, if there is one.
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n+)?^```(?P<language>\w+)\n(?P<code>.*?)^```", re.M | re.S
)
NEEDS = re.compile(r"^<!-- needs: (.+) -->$", re.M)
# Each of these trains for some seconds.
LONG = {"report", "sklearn", "start", "training"}
RUN = [pytest.param(page, marks=[pytest.mark.thorough] if page.stem in LONG else [], id=page.stem) for page in HOW_TO]
IMPORTED = re.compile(r"^\s*(?:from|import) (\w+)", re.M)
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


def test_each_statement_of_the_paper_has_its_place_in_the_source() -> None:
    lines = (ROOT / "docs/paper.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ")][2:]
    assert len(rows) > 25
    for row in rows:
        names = DOTTED.findall(row)
        assert names, f"no place in the source: {row}"
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


def ops() -> dict[str, object]:
    """The public passes of colonnade.ops by their dotted names: functions called forward or backward something."""
    found = {}
    for module in pkgutil.iter_modules(colonnade.ops.__path__, "colonnade.ops."):
        for name, thing in vars(importlib.import_module(module.name)).items():
            own = inspect.isfunction(thing) and thing.__module__ == module.name
            if own and re.fullmatch(r"[a-z]\w*_(forward|backward)(_\w+)?", name):
                found[f"{module.name}.{name}"] = thing
    return found


def test_every_op_stands_on_a_page_of_the_mathematics_and_says_its_formula() -> None:
    named = {name for page in PAGES for name in DOTTED.findall(page.read_text(encoding="utf-8"))}
    found = ops()
    assert len(found) > 120
    assert set(found) - named == set()
    formula = re.compile(r"[=Σ√·]|gradient|maximum|average")
    assert [name for name, op in found.items() if not formula.search(op.__doc__ or "")] == []


def test_the_reference_has_every_public_name() -> None:
    shown = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "reference.md").read_text(encoding="utf-8"), re.MULTILINE)
    found = []
    for name in shown:
        try:
            found.append(resolve(name))
        except cn.errors.MissingExtraError:  # the front door needs none of these
            continue
    missing = set(cn.__all__) - {"__version__"}
    for name in list(missing):
        thing = getattr(cn, name)
        piece_by_piece = any(each.startswith(f"colonnade.{name}.") for each in shown)  # a module
        if piece_by_piece or thing in found or sys.modules.get(getattr(thing, "__module__", "")) in found:
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


@pytest.fixture
def files_of_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader of a page is taken to have in the current folder."""
    for part in ("train", "val"):
        pictures.folder(tmp_path / "flowers" / part, daisy=12, roses=12)
    write_mnist(tmp_path / "data" / "mnist")
    Image.fromarray(cn.data.load("digits").test.x[0, 0]).save(tmp_path / "digit.png")
    np.save(tmp_path / "x.npy", np.zeros((64, 1, 28, 28), np.uint8))
    np.save(tmp_path / "y.npy", np.arange(64) % 10)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLONNADE_CACHE", str(tmp_path / "cache"))


def script(page: Path) -> str:
    """A program that runs the blocks of a page one after the other, Python in one namespace, the rest in a shell."""
    lines = ["import subprocess", "names = {'__name__': '__main__'}"]
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        language, code = block["language"], block["code"]
        if block["reason"]:
            continue
        if language == "python":
            placed = "\n" * text[: block.start("code")].count("\n") + code  # so that errors tell the page's line
            lines.append(f"exec(compile({placed!r}, {str(page)!r}, 'exec'), names)")
        elif language == "sh":
            lines.append(f"subprocess.run(['bash', '-euo', 'pipefail', '-c', {code!r}], check=True)")
    return "\n".join(lines)


@pytest.mark.usefixtures("files_of_the_reader")
@pytest.mark.parametrize("page", RUN)
def test_the_code_on_a_page_runs(page: Path, tmp_path: Path) -> None:
    """All blocks of Python and of the shell, in their order; a warning is an error.

    A block that can't run has a comment above it, `<!-- not run: why -->`. What a page needs beyond the base
    installation is seen by its imports, or said by `<!-- needs: name of a module or of an environment variable -->`.
    """
    text = page.read_text(encoding="utf-8")
    code = "".join(block["code"] for block in BLOCK.finditer(text) if block["language"] == "python")
    for name in [*IMPORTED.findall(code), *NEEDS.findall(text)]:
        if name.startswith("COLONNADE_"):
            if name not in os.environ:
                pytest.skip(f"{name} is not set")
        elif importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    program = script(page)
    not_run = sum(block["reason"] is not None for block in BLOCK.finditer(text))
    assert program.count("exec(") + program.count("['bash'") + not_run == len(
        re.findall(r"^```(python|sh)$", text, re.M)
    )
    folder = Path(sys.executable).parent
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env=os.environ
        | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "COLONNADE_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr


def test_every_block_that_is_not_run_says_why() -> None:
    for page in HOW_TO:
        for block in re.findall(r"^<!-- not run.*$", page.read_text(encoding="utf-8"), re.MULTILINE):
            assert re.fullmatch(r"<!-- not run: .{10,} -->", block), f"{page.name}: {block}"


def anchors(page: Path) -> set[str]:
    """Where links may lead on a page: the headings as MkDocs names them, and what has an id of its own."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in re.findall(r"^#+ (.*)$", text, re.M)]
    return {re.sub(r"\s+", "-", heading) for heading in headings} | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_link_of_a_page_leads_to_a_page_and_a_place_on_it(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        file, _, place = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not place or place in anchors(target), f"{page.name} links to {link}"
