"""The command line, in this process, or where that is what is tested, in one of its own."""

import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import colonnade as cn
from colonnade.cli.main import main

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def run() -> Run:
    """Runs `colonnade` with some arguments; the environment's own data sets are out of sight."""
    environment = {name: value for name, value in os.environ.items() if name != "COLONNADE_DATA"}

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "colonnade", *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """As `run`, in this process: for all tests that are not about the process itself, because it is far quicker."""
    monkeypatch.delenv("COLONNADE_DATA", raising=False)
    threads = cn.get_threads()

    def here(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        words = list(map(str, arguments))
        with monkeypatch.context() as context, warnings.catch_warnings():
            if cwd:
                context.chdir(cwd)
            warnings.simplefilter("default")
            status = main(words)
        said = capsys.readouterr()
        return subprocess.CompletedProcess(words, status, said.out, said.err)

    yield here
    cn.set_threads(threads)


@pytest.fixture(scope="session")
def trained(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `colonnade train` leaves after two epochs on the digits."""
    folder = tmp_path_factory.mktemp("trained")
    result = run("train", "--epochs", 2, "--out", folder)
    assert result.returncode == 0, result.stderr
    return folder
