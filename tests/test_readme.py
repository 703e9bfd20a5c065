"""What the README promises is what happens."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def blocks(language: str, file: str = "README.md") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / file).read_text(encoding="utf-8"), re.M | re.S)


def test_readme_has_two_commands_of_one_line_each() -> None:
    assert [len(block.splitlines()) for block in blocks("sh")] == [1, 1]


@pytest.mark.parametrize("file", ["README.md", pytest.param("docs/index.md", marks=pytest.mark.thorough)])
def test_example_runs(file: str, tmp_path: Path) -> None:
    (example,) = blocks("python", file)
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr


def test_example_is_short() -> None:
    (example,) = blocks("python")
    assert len(example.splitlines()) <= 15


def test_every_link_leads_somewhere() -> None:
    for file in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / file).read_text(encoding="utf-8")):
            assert (ROOT / target).exists(), f"{file} links to {target}"
