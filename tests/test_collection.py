"""Every module of the suite is collected where PyTorch or Numba is not installed: its tests run or are skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Not found, rather than None in sys.modules: some libraries look there whether a package is in use.
PROGRAM = """
import sys
from importlib.machinery import PathFinder

import pytest

hidden, *arguments = sys.argv[1:]
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name == hidden else find(name, *rest)
sys.exit(pytest.main(arguments))
"""


@pytest.mark.thorough
@pytest.mark.parametrize("package", ["torch", "numba"])
def test_the_suite_is_collected_without(package: str) -> None:
    # Measuring coverage would take longer than all the rest.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    options = ["--collect-only", "-qq", "--assert=plain", "-p", "no:cacheprovider"]
    command = [sys.executable, "-c", PROGRAM, package, *options]
    root = Path(__file__).parents[1]
    result = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr
