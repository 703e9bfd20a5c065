"""`colonnade serve`: begun, asked and ended as a person would; and what keeps it from beginning."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

import colonnade as cn

pytest.importorskip("fastapi", reason="the extra serve is not installed")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    model = cn.Model([cn.Conv2d(1, 2, 3), cn.ReLU(), cn.Flatten(), cn.Dense(72, 3)], seed=0)
    model.build((1, 8, 8))
    path = tmp_path_factory.mktemp("serve") / "small.safetensors"
    model.save(path)
    return path


@pytest.fixture
def serving(file):
    """Begins a server, and says where it listens."""
    begun = []

    def serving(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "colonnade", "serve", str(file), "--port", "0", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        begun.append(process)
        line = process.stdout.readline()
        return process, re.fullmatch(r"serving at (http://\S+) \(Ctrl-C ends\)\n", line)[1]

    yield serving
    for process in begun:
        process.kill()
        process.communicate()


def ask(address, content=b"no picture"):
    try:
        with urllib.request.urlopen(urllib.request.Request(address + "/classify", content), timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    ("arguments", "number"),
    [((), signal.SIGINT), ((), signal.SIGTERM), (("--processes", "2"), signal.SIGTERM)],
)
def test_a_server_answers_logs_and_ends(serving, arguments, number):
    process, address = serving(*arguments)
    assert ask(address) == 400
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert re.search(r"INFO 127\.0\.0\.1 POST /classify 400 [\d.]+ ms$", said, re.MULTILINE)
    assert "Traceback" not in said


def test_a_process_that_dies_is_replaced(serving):
    process, address = serving("--processes", "2")
    ask(address)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    killed, other = children.read_text().split()
    os.kill(int(killed), signal.SIGKILL)
    while len(now := {*children.read_text().split()} - {killed}) < 2:
        time.sleep(0.02)
    assert other in now
    assert [ask(address) for _ in range(20)] == [400] * 20
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "another takes its place" in said


@pytest.mark.parametrize("processes", [1, 2])
def test_a_model_that_does_not_get_ready_ends_the_server(tmp_path, processes):
    model = cn.Model([cn.ReLU()])  # of no picture, as `mirrored` has it
    model.build((3,))
    model.mirrored = True
    model.save(tmp_path / "flat.safetensors")
    arguments = ["serve", str(tmp_path / "flat.safetensors"), "--port", "0", "--processes", str(processes)]
    command = [sys.executable, "-m", "colonnade", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 2
    assert "model.mirrored is for models of images" in result.stderr
    assert result.stderr.endswith("error: serve: the models did not get ready; the log says why.\n")
    assert "Traceback" not in result.stderr


def test_a_port_in_use_is_an_error_in_a_line(here, file):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = here("serve", file, "--port", port)
    assert result.returncode == 2
    assert result.stderr == f"error: serve: can't listen at 127.0.0.1 port {port}: Address already in use.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none.safetensors",), "none.safetensors"),
        (("pyproject.toml",), "pyproject.toml"),
        (("FILE", "FILE"), "would both be called 'small'"),
        (("FILE", "--host", "999.1.1.1"), "can't listen at 999.1.1.1"),
        (("FILE", "--api-key-file", "EMPTY"), "expected an API key, got an empty file"),
        (("FILE", "--max-batch", "0"), "'--max-batch' must be at least 1"),
        ((), "Missing argument 'MODEL|RUN...'"),
    ],
)
def test_what_keeps_it_from_beginning_is_said_in_a_line(here, file, arguments, said):
    empty = file.with_name("empty")
    empty.write_text("")
    given = [{"FILE": file, "EMPTY": empty}.get(each, each) for each in arguments]
    result = here("serve", *given, *(("--port", 0) if given else ()))
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert said in result.stderr


def test_without_the_extra_the_command_that_installs_it_is_named(file, tmp_path):
    (tmp_path / "fastapi.py").write_text("raise ModuleNotFoundError(\"No module named 'fastapi'\", name='fastapi')")
    command = [sys.executable, "-m", "colonnade", "serve", str(file)]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    result = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)
    assert result.returncode == 2
    assert result.stderr == 'error: serving needs fastapi: pip install "colonnade[serve]"\n'
