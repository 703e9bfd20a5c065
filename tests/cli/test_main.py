"""What all commands share."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import colonnade as cn
from colonnade.cli.main import app


def test_version(run):
    assert run("--version").stdout == f"{cn.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_the_commands(here, arguments):
    result = here(*arguments)
    assert result.returncode == 0
    assert result.stderr == ""
    for command in ("train", "evaluate", "predict", "summary", "profile"):
        assert command in result.stdout


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "summary", "profile"])
def test_every_command_has_help(here, command):
    result = here(command, "--help")
    assert result.returncode == 0
    assert f"colonnade {command}" in result.stdout


def test_unknown_command_is_one_line_and_status_2(run):
    result = run("trian")
    assert result.returncode == 2
    assert "trian" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_installed_command_is_the_module(here):
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
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.skipif(os.name != "posix", reason="interrupts a POSIX process")
@pytest.mark.parametrize(
    ("how", "place"),
    [
        *(("module", place) for place in ("numpy", "typer", "colonnade.cli.config", "colonnade.training.run")),
        ("script", "numpy"),
    ],
)
def test_an_interrupt_while_the_command_line_starts_is_one_line_and_130(tmp_path, place, how):
    """It comes when a module is looked for: the first that takes long, one of the commands', two of the training's."""
    begin = {
        "module": "runpy.run_module('colonnade', run_name='__main__', alter_sys=True)",
        "script": "from colonnade.cli.main import main; sys.exit(main())",
    }[how]
    words, name = {"module": (["python", "-m", "colonnade"], "-m"), "script": (["colonnade"], "colonnade")}[how]
    program = f"""
import os, runpy, signal, sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {place!r}:
            os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupt())
sys.orig_argv, sys.argv = {words!r}, [{name!r}, "train", "--out", {str(tmp_path)!r}]
{begin}
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stdout) == (130, ""), result.stderr
    assert re.fullmatch("interrupted( before the first step)?\n", result.stderr)


def test_another_program_is_not_taken_for_the_command_line():
    from colonnade import starting

    program = "import signal, colonnade; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "True\n"
    assert not starting.is_command_line()


def test_a_reader_that_leaves_is_no_error():
    shell = f"{sys.executable} -m colonnade summary vgg --input 3,32,32 | true"
    result = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
    assert result.stderr == ""


def test_the_documentation_names_every_option_of_every_command():
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    synopsis = re.split(r"\ncolonnade (?=[a-z])", page.split("```")[1])[1:]
    told = {text.split()[0]: set(re.findall(r"--[a-z-]+", text)) for text in synopsis}
    commands = typer.main.get_command(app).commands
    there = {
        name: {
            option
            for parameter in command.params
            for option in (*parameter.opts, *parameter.secondary_opts)
            if option.startswith("--")
        }
        for name, command in commands.items()
    }
    assert told == {name: options - {"--help"} for name, options in there.items()}
