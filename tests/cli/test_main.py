"""What all commands share."""

import subprocess
import sys

import pytest

import colonnade as cn


def test_version(run):
    assert run("--version").stdout == f"{cn.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_the_commands(run, arguments):
    result = run(*arguments)
    assert result.returncode == 0
    assert result.stderr == ""
    for command in ("train", "evaluate", "predict", "summary", "profile"):
        assert command in result.stdout


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "summary", "profile"])
def test_every_command_has_help(run, command):
    result = run(command, "--help")
    assert result.returncode == 0
    assert f"colonnade {command}" in result.stdout


def test_unknown_command_is_one_line_and_status_2(run):
    result = run("trian")
    assert result.returncode == 2
    assert "trian" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_installed_command_is_the_module(run):
    """The console script that the installation makes calls the same function as `python -m colonnade`."""
    from importlib.metadata import entry_points

    from colonnade.cli.main import main

    (script,) = entry_points(group="console_scripts", name="colonnade")
    assert script.load() is main


def test_an_interrupt_anywhere_is_status_130_without_a_traceback(monkeypatch, capsys):
    from colonnade import data
    from colonnade.cli.main import main

    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "load", interrupt)
    assert main(["train"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error():
    shell = f"{sys.executable} -m colonnade summary vgg --input 3,32,32 | true"
    result = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
    assert result.stderr == ""
