"""What a package costs before it does anything: the time and memory of its import, its size on disk."""

from __future__ import annotations

import importlib.util
import os
import re
import statistics
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent

# Run in a fresh interpreter. NumPy is timed first, then what the package adds to it.
IMPORT = """
import sys, time
def held():
    try:
        return int(open("/proc/self/status").read().split("VmRSS:")[1].split()[0]) * 1024
    except OSError:
        return 0
marks = [(time.perf_counter(), held())]
for name in ("numpy", sys.argv[1]):
    __import__(name)
    marks.append((time.perf_counter(), held()))
for before, after in zip(marks, marks[1:]):
    print(after[0] - before[0], after[1] - before[1])
"""


def imports(packages: list[str], runs: int = 7) -> dict[str, Any]:
    """The seconds and bytes that importing each package adds to NumPy's: medians of fresh interpreters, in turns."""
    taken: dict[str, list[tuple[float, float]]] = {}
    # As a user has it: modules that were compiled when they were installed, or at the first run, which is left out.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for package in packages:
        subprocess.run([sys.executable, "-c", IMPORT, package], env=environment, capture_output=True, check=False)
    for _ in range(runs):
        for package in packages:
            if importlib.util.find_spec(package) is None:
                continue
            command = [sys.executable, "-c", IMPORT, package]
            lines = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=True
            ).stdout.splitlines()
            for name, line in zip(("numpy", package), lines, strict=True):
                seconds, held = line.split()
                taken.setdefault(name, []).append((float(seconds), float(held)))
    return {
        name: {
            "seconds": statistics.median(seconds for seconds, _ in pairs),
            "bytes": statistics.median(held for _, held in pairs),
        }
        for name, pairs in taken.items()
    }


def installed(packages: list[str]) -> dict[str, int]:
    """The bytes on disk of each package with everything it requires."""
    return {package: sum(map(distribution_bytes, closure(package))) for package in packages}


def closure(package: str) -> set[str]:
    """The package and all that it requires, extras left out, as far as it is installed."""
    reached: set[str] = set()
    waiting = [package]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name not in reached and requirements(name) is not None:
            reached.add(name)
            waiting += requirements(name) or []
    return reached


def requirements(name: str) -> list[str] | None:
    """The names that a distribution requires; None if it is not installed."""
    if name == "colonnade":
        # From the source tree: an editable installation has no files of its own to count.
        lines = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    else:
        try:
            lines = [line for line in metadata.requires(name) or [] if "extra ==" not in line]
        except metadata.PackageNotFoundError:
            return None
    return [re.split(r"[^\w.-]", line.strip(), maxsplit=1)[0] for line in lines]


def distribution_bytes(name: str) -> int:
    """The size of a distribution's files."""
    if name == "colonnade":
        files = (PROJECT / "src" / "colonnade").rglob("*")
        return sum(file.stat().st_size for file in files if file.is_file() and "__pycache__" not in file.parts)
    located = (Path(str(file.locate())) for file in metadata.files(name) or [])
    return sum(file.stat().st_size for file in located if file.is_file() and file.suffix != ".pyc")
