"""Reads changed files, one after the other, and says what came of each: `python -m tests.fuzz.worker`.

Which change a file has depends on its format and its number alone. What is read next is said before it is read: who
listens knows what this process died of, or hangs in.
"""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from random import Random

from colonnade.errors import ColonnadeError
from colonnade.printable import LONGEST_MESSAGE
from tests.fuzz.formats import FORMATS, Format

SEEDS: dict[str, list[bytes]] = {}


def changed(name: str, number: int, folder: Path) -> bytes:
    """The file of that number; of a negative one, one of those that are changed, as it is."""
    if name not in SEEDS:
        (folder / "seeds" / name).mkdir(parents=True)
        SEEDS[name] = FORMATS[name].seeds(folder / "seeds" / name)
    if number < 0:
        return SEEDS[name][number % len(SEEDS[name])]
    random = Random(f"{name} {number}")
    return FORMATS[name].mutate(random.choice(SEEDS[name]), random)


def outcome(kind: Format, path: Path) -> dict[str, str]:
    """What reading a file comes to: it is read, refused in one line, or anything else, which is a fault."""
    try:
        kind.read(path)
    except ColonnadeError as error:
        said = str(error)
        if "\n" in said or not said.isprintable() or len(said) > LONGEST_MESSAGE + 50:
            return {"fault": f"{type(error).__name__}, which is no line for a person: {said!r}"}
        return {"refused": type(error).__name__}
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        where = next((frame for frame in reversed(frames) if "colonnade" in frame.filename), frames[-1])
        return {"fault": f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {str(error)[:300]!r}"}
    return {"read": ""}


def limit(memory: int) -> None:
    """Let this process have so many bytes at most, where a system knows such limits."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def work() -> None:
    """Read the files that are asked for, a line each: a format and a number."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for line in sys.stdin:
            name, number = json.loads(line)
            path = folder / f"changed{FORMATS[name].suffix}"
            path.write_bytes(changed(name, number, folder))
            print(json.dumps(outcome(FORMATS[name], path)), flush=True)


if __name__ == "__main__":
    limit(int(sys.argv[1]))
    work()
