"""A folder that one run holds."""

import errno
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from colonnade import claims
from colonnade.errors import ArgumentError

HOLDER = """
import sys
from pathlib import Path
from colonnade import claims
with claims.held(Path(sys.argv[1])):
    print("holds\\n", end="", flush=True)  # in one piece, though others write there too
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "holds\n"
        yield process
        process.kill()


def test_a_folder_that_is_held_is_refused_and_the_message_says_who_holds_it(holder, tmp_path):
    import platform

    who = rf"process {holder.pid} on {re.escape(platform.node())} since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d"
    with pytest.raises(ArgumentError, match=rf"another run holds this folder: {who}\.$"), claims.held(tmp_path):
        pass
    holder.communicate("\n", timeout=60)
    with claims.held(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_holds_nothing(holder, tmp_path):
    holder.kill()
    holder.wait(60)
    assert len(list(tmp_path.iterdir())) == 1
    with claims.held(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_two_runs_of_one_process_are_two(tmp_path):
    with claims.held(tmp_path):
        refused = pytest.raises(ArgumentError, match=rf"another run holds this folder: process {os.getpid()} on")
        with refused, claims.held(tmp_path):
            pass
        (tmp_path / "other").mkdir()
        with claims.held(tmp_path / "other"):
            pass


def test_of_many_who_want_a_folder_one_has_it(tmp_path):
    inside, most, runs = [], [], []

    def want():
        for _ in range(40):
            try:
                with claims.held(tmp_path):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
                    runs.append(1)
            except ArgumentError:
                pass

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(runs) > 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("", None),
        ("\x1b[31m not ours", None),
        ("process 999999999 on HERE since 2026-01-01 00:00:00", None),
        (f"process 9{'9' * 30} on HERE since 2026-01-01 00:00:00", None),
        ("process OWN on HERE since 2026-01-01 00:00:00", "since 2026-01-01 00:00:00; if it is no longer"),
        ("process 7 on elsewhere since 2026-01-01 00:00:00", "process 7 on elsewhere since .*running, remove .*run"),
    ],
)
def test_where_the_file_system_knows_no_locks_the_mark_tells(tmp_path, monkeypatch, mark, message):
    import platform

    def lock(descriptor):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(claims, "_lock", lock)
    (tmp_path / claims.MARK).write_text(mark.replace("HERE", platform.node()).replace("OWN", str(os.getpid())))
    if message is None:
        with claims.held(tmp_path):
            pass
    else:
        with pytest.raises(ArgumentError, match=message), claims.held(tmp_path):
            pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_that_outlives_the_run_does_not_hold_its_folder(tmp_path):
    program = HOLDER.replace(
        'print("holds\\n"', "import os; child = os.fork()\n    print(f\"{child or 'holds'}\\n\""
    ).replace("sys.stdin.readline()", "import time; time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as run:
        lines = {run.stdout.readline().strip() for _ in range(2)}
        with pytest.raises(ArgumentError, match="another run holds"), claims.held(tmp_path):
            pass
        run.kill()
        run.wait(60)
        (child,) = map(int, lines - {"holds"})
        os.kill(child, 0)  # it lives
        with claims.held(tmp_path):
            pass
        os.kill(child, signal.SIGKILL)
