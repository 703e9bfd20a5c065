"""Files by the thousand, each changed in its own way, read by processes that may die of them."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.formats import FORMATS

ROOT = Path(__file__).parents[2]
MEMORY = 3 << 30  # bytes that a process may have
SECONDS = 30.0  # for one file, on a machine that has other things to do
# A file may take so much by its own: little, so that what it asks for is refused rather than tried.
VARIABLES = {"COLONNADE_MEMORY": "200M", "COLONNADE_WORK": "3e9", "COLONNADE_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Result(NamedTuple):
    """What came of one file: `read`, `refused` or `fault`, and of which kind."""

    name: str
    number: int
    came: str
    what: str


class Reader:
    """A process that reads files; another takes its place when it dies or takes too long."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._process: subprocess.Popen[str] | None = None

    def read(self, name: str, number: int) -> Result:
        """Have it read one file."""
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps([name, number]) + "\n")
            process.stdin.flush()
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                line = process.stdout.readline() if selector.select(self.seconds) else "late"
        except BrokenPipeError:
            line = ""
        if line not in ("", "late"):
            ((came, what),) = json.loads(line).items()
            return Result(name, number, came, what)
        self.close()
        reason = f"it takes more than {self.seconds:g} s" if line else f"the process ends with {process.returncode}"
        return Result(name, number, "fault", reason)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.fuzz.worker", str(MEMORY)]
        paths = os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        environment = os.environ | VARIABLES | {"PYTHONPATH": paths}
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, cwd=ROOT, env=environment
        )


def campaign(files: int, first: int = 0, names: Iterable[str] = FORMATS, seconds: float = SECONDS) -> Iterator[Result]:
    """What comes of so many files of each of these formats, from the number `first` on."""
    reader = Reader(seconds)
    try:
        for name in names:
            for number in range(first, first + files):
                yield reader.read(name, number)
    finally:
        reader.close()


def main(arguments: list[str]) -> int:
    """`scripts/fuzz N [FIRST] [FORMAT...]`: read N files, spread over the formats; status 1 if any is a fault."""
    if not arguments or not arguments[0].isdecimal():
        print("scripts/fuzz N [FIRST] [FORMAT...]: N files, from the number FIRST on, spread over the formats:")
        print("\n".join(FORMATS))
        return 2
    first, *names = arguments[1:] or ["0"]
    names = names or list(FORMATS)
    counts: Counter[tuple[str, str]] = Counter()
    faults: Counter[tuple[str, str]] = Counter()
    started = time.monotonic()
    for result in campaign(-(-int(arguments[0]) // len(names)), int(first), names):
        counts[result.name, result.came] += 1
        if result.came == "fault":
            if faults[result.name, result.what] < 3:
                print(f"{result.name} {result.number}: {result.what}", flush=True)
            faults[result.name, result.what] += 1
    for name in names:
        print(f"{name:20}" + "".join(f"  {came} {counts[name, came]:7,}" for came in ("read", "refused", "fault")))
    print(f"{sum(counts.values()):,} files, {sum(faults.values()):,} faults, {time.monotonic() - started:.0f} s")
    return 1 if faults else 0
