"""`import colonnade` costs what NumPy costs: what only some uses need is imported when they need it."""

import os
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def imported() -> set[str]:
    program = "import numpy, sys; before = set(sys.modules); import colonnade; print(*set(sys.modules) - before)"
    # Measuring coverage imports much itself.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-c", program]
    return set(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split())


def test_what_computes_is_imported(imported: set[str]) -> None:
    assert {"colonnade.layers", "colonnade.executor", "colonnade.losses"} <= imported


@pytest.mark.parametrize(
    "name",
    [
        *("safetensors", "threadpoolctl", "typer", "rich", "PIL", "torch", "onnx", "numba", "llvmlite"),
        *("difflib", "gzip", "hashlib", "json", "pathlib", "secrets", "shutil", "signal", "tempfile"),
        *("colonnade.cli", "colonnade.data.datasets", "colonnade.profiling", "colonnade.storage"),
        *("colonnade.explain", "colonnade.notebook", "colonnade.pictures", "colonnade.plot", "colonnade.report"),
        *("colonnade.training", "colonnade.zoo", "colonnade.hub", "colonnade.tuning", "huggingface_hub"),
    ],
)
def test_import_leaves_alone(imported: set[str], name: str) -> None:
    assert name not in imported
