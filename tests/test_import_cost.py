"""`import colonnade` costs what NumPy costs: what only some uses need is imported when they need it."""

import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def imported() -> set[str]:
    program = "import colonnade, sys; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    )


def test_numpy_is_imported(imported: set[str]) -> None:
    assert "numpy" in imported


@pytest.mark.parametrize(
    "name", ["safetensors", "threadpoolctl", "typer", "rich", "PIL", "gzip", "colonnade.cli", "torch", "onnx"]
)
def test_import_leaves_alone(imported: set[str], name: str) -> None:
    assert name not in imported
