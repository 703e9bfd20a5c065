"""Every script in examples/ runs, with small settings, and ends in what it promises."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import colonnade as cn

EXAMPLES = Path(__file__).parent.parent / "examples"
QUICK = [script for script in sorted(EXAMPLES.glob("*.py")) if "--quick" in script.read_text(encoding="utf-8")]


def run(folder: Path, name: str, *arguments: object) -> str:
    """What the script prints, run in `folder`; a warning is an error."""
    result = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"COLONNADE_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda script: script.stem)
def test_an_example_says_what_it_shows_and_is_tested(script: Path) -> None:
    described = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")))
    assert described
    tests = Path(__file__).read_text(encoding="utf-8")
    assert script in QUICK or f'"{script.name}"' in tests, f"no test runs {script.name}"


@pytest.mark.thorough
@pytest.mark.parametrize("script", QUICK, ids=lambda script: script.stem)
def test_a_network_of_the_zoo_is_trained(script: Path, tmp_path: Path) -> None:
    """One epoch, on the digits: that it runs is what is tested here, not what it learns."""
    assert run(tmp_path, script.name, "--quick")


@pytest.mark.thorough  # the README's example is nearly the same, and runs in test_readme.py
def test_the_digits_are_learned_in_a_few_lines(tmp_path: Path) -> None:
    printed = run(tmp_path, "digits.py")
    model = cn.load(tmp_path / "digits.safetensors")
    accuracy = model.evaluate(*cn.data.load("digits").test)["accuracy"]
    assert accuracy is not None
    assert accuracy > 0.95
    assert f"{accuracy:.6g}" in printed


def test_a_layer_of_ones_own_is_checked_and_trained(tmp_path: Path) -> None:
    printed = run(tmp_path, "own_layer.py")
    assert "Swish keeps the contract of a layer." in printed
    assert "Forgetful: gradient at the input" in printed
    accuracies = [float(line.rpartition(" ")[2]) for line in printed.splitlines() if "test accuracy" in line]
    assert len(accuracies) == 2
    assert min(accuracies) > 0.85


def test_every_equation_of_the_paper_agrees(tmp_path: Path) -> None:
    lines = run(tmp_path, "paper.py").splitlines()[1:]
    compared = [line for line in lines if not line.startswith("the standard CNN")]
    assert len(compared) == 24
    assert all(float(line.split()[-1]) < 1e-12 for line in compared)


def test_photographs_are_learned_from_a_folder(tmp_path: Path) -> None:
    """Of squares that are red or green, of several sizes, rather than of real photographs."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for channel, name in enumerate(("red", "green")):
        (tmp_path / "photographs" / name).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(0, 80, (40 + number, 50, 3)).astype(np.uint8)
            pixels[..., channel] += 120
            Image.fromarray(pixels).save(tmp_path / "photographs" / name / f"{number}.png")
    printed = run(tmp_path, "photographs.py", tmp_path / "photographs", 3)
    assert "32 + 8 images of 3×64×64, 2 classes" in printed
    assert "of 8 right" in printed
    assert cn.load(tmp_path / "photographs.safetensors").classes == ["green", "red"]


@pytest.mark.thorough
@pytest.mark.parametrize("network", ["mlp", "lstm", "transformer"])
def test_names_are_written_from_a_file_the_same_for_one_seed(network: str, tmp_path: Path) -> None:
    names = [first + second for first in ("ba", "do", "ki", "lu") for second in ("na", "ri", "to", "wen", "x")]
    (tmp_path / "names.txt").write_text("\n".join(names))
    arguments = ("names.txt", "--network", network, "--quick", "--seed")
    first, again = (run(tmp_path, "names.py", *arguments, 3).splitlines() for _ in range(2))
    assert first[0] == "18 names to learn from, 2 to test on"
    assert first[-1].startswith("new names: ")
    assert first[-3:] == again[-3:]
    assert [line.partition(":")[0] for line in first[-3:-1]] == ["a table of pairs", network]


@pytest.mark.thorough  # a grid is searched in test_sklearn.py too
def test_a_grid_is_searched_with_scikit_learn(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    printed = run(tmp_path, "sklearn_grid_search.py", 1)
    assert len([line for line in printed.splitlines() if "a learning rate of" in line]) == 4
    assert cn.load(tmp_path / "searched.safetensors").classes == [str(digit) for digit in range(10)]
