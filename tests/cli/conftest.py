"""The command line, run as a person runs it: in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def run() -> Run:
    """Runs `colonnade` with some arguments; the environment's own data sets are out of sight."""
    environment = {name: value for name, value in os.environ.items() if name != "COLONNADE_DATA"}

    def run(*arguments: object, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "colonnade", *map(str, arguments)],
            cwd=cwd,
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture(scope="session")
def trained(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `colonnade train` leaves after two epochs on the digits."""
    folder = tmp_path_factory.mktemp("trained")
    result = run("train", "--epochs", 2, "--out", folder)
    assert result.returncode == 0, result.stderr
    return folder
