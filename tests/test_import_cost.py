"""`import colonnade` costs less than NumPy does: everything is imported when it is first asked for."""

import os
import subprocess
import sys

import pytest


def run(program: str) -> list[str]:
    # Measuring coverage imports much itself.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()


def modules(program: str) -> set[str]:
    """The modules that a program imports beside those of NumPy."""
    return set(
        run(f"import numpy.random, sys; before = set(sys.modules); {program}; print(*set(sys.modules) - before)")
    )


@pytest.fixture(scope="module")
def imported() -> set[str]:
    return modules(
        "import colonnade as cn; cn.Model([cn.Conv2d(1, 8, 3), cn.ReLU(), cn.Flatten(), cn.Dense(8, 10)], seed=0)"
    )


def test_import_alone_imports_nothing_that_computes() -> None:
    assert {name for name in modules("import colonnade") if name.startswith("colonnade.")} <= {
        *("colonnade.blas", "colonnade.layers", "colonnade.lazy", "colonnade.starting")
    }


def test_what_computes_is_imported_with_a_model(imported: set[str]) -> None:
    assert {"colonnade.layers.convolution", "colonnade.executor"} <= imported


@pytest.mark.parametrize(
    "name",
    [
        *("safetensors", "threadpoolctl", "typer", "rich", "PIL", "torch", "onnx", "numba", "llvmlite"),
        *("difflib", "gzip", "hashlib", "json", "pathlib", "secrets", "shutil", "signal", "tempfile"),
        *("colonnade.cli", "colonnade.data.datasets", "colonnade.profiling", "colonnade.storage"),
        *("colonnade.explain", "colonnade.notebook", "colonnade.pictures", "colonnade.plot", "colonnade.report"),
        *("colonnade.training", "colonnade.zoo", "colonnade.hub", "colonnade.tuning", "huggingface_hub"),
        *("colonnade.layers.attention", "colonnade.layers.recurrent", "colonnade.optimizers", "colonnade.losses"),
    ],
)
def test_a_model_leaves_alone(imported: set[str], name: str) -> None:
    assert name not in imported


def test_commands_are_listed_without_what_they_need() -> None:
    imported = run("import sys, colonnade.cli.main; print(*sys.modules)")
    heavy = {"numpy", "numba", "PIL", "onnx", "rich.progress", "colonnade.model", "colonnade.training", "colonnade.zoo"}
    assert heavy.isdisjoint(imported)
