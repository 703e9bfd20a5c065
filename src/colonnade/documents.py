"""JSON and TOML that others wrote: read, or refused in one line, whatever they hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from .errors import ColonnadeError, FileFormatError, LimitError
from .printable import printable

# Lists within lists: what walks them does so by recursion. A model of 32 nested composites has about a hundred.
DEEPEST = 200
# Of a whole number: more than any seed has, and as many as a float can hold.
MOST_BITS = 1_000
GREATEST = 1 << 26
GREATEST_TOML = 1 << 20
# A key of so many parts that it lies deeper than that: a.b.c
LONG_KEY = re.compile(rb"""(?<![\w.'"-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){%d}""" % DEEPEST)


def parse_json(text: str | bytes) -> Any:
    """What a JSON text says.

    Raises:
        FileFormatError: No JSON, one nested deeper than anything of ours, or a number that no float can hold.
    """
    import json

    return _parse("not JSON", lambda: json.loads(text))


def parse_toml(text: bytes) -> dict[str, Any]:
    """What the bytes of a TOML file say; raises FileFormatError as :func:`parse_json` does."""
    import tomllib

    def parse() -> dict[str, Any]:
        if len(text) > GREATEST_TOML:
            raise ValueError(f"it has {len(text):,} bytes, more than {GREATEST_TOML:,}")
        if LONG_KEY.search(text):  # the library takes time that grows with the square of its parts
            raise RecursionError
        return tomllib.loads(text.decode("utf-8").replace("\r\n", "\n"))

    found: dict[str, Any] = _parse("not a TOML file", parse)
    return found


@contextmanager
def refusing(what: str, ours: bool = False) -> Iterator[None]:
    """Anything that goes wrong inside is the fault of a file.

    Readers of files meet whatever others wrote, through libraries that promise nothing about it: what may be raised
    can't be listed. What the disk says passes, and so does what exceeds a limit.

    Args:
        what: How the line begins: "weights.onnx: no ONNX file, or a truncated one".
        ours: Whether that holds for our own errors too, rather than to let them pass.

    Raises:
        FileFormatError: In place of what was raised, which is its cause.
    """
    try:
        yield
    except (LimitError, OSError):
        raise
    except Exception as error:
        if isinstance(error, ColonnadeError) and not ours:
            raise
        raise FileFormatError(f"{what} ({reason(error)}).") from error


def reason(error: BaseException) -> str:
    """What another's error says, in a few words of one line."""
    said = " ".join(str(error).split()).rstrip(".")
    if isinstance(error, KeyError):
        return f"it lacks {printable(said)}"
    if isinstance(error, RecursionError):
        return "nested too deep"
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    return printable(said, 200) or type(error).__name__


def _parse(otherwise: str, parse: Callable[[], Any]) -> Any:
    with refusing(otherwise):
        found = parse()
        level = [found]
        for _ in range(DEEPEST):
            for each in level:
                if isinstance(each, int) and each.bit_length() > MOST_BITS:
                    raise ValueError(f"a number of more than {MOST_BITS:,} bits")
            lists = (
                each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)
            )
            level = list(chain.from_iterable(lists))
            if not level:
                return found
        raise RecursionError


def read_bytes(path: Path) -> bytes:
    """The content of a plain file that a person could have written.

    Raises:
        FileFormatError: A folder, a pipe, a device, or a file of more than 64 MiB.
        OSError: What the disk says.
    """
    size = path.stat().st_size
    if not path.is_file():
        raise FileFormatError(
            f"{path}: expected a file of text, got {'a folder' if path.is_dir() else 'a device or pipe'}."
        )
    if size > GREATEST:
        raise FileFormatError(f"{path}: expected a file of text, of at most {GREATEST:,} bytes, got {size:,}.")
    return path.read_bytes()


def is_folder(path: str | Path) -> bool:
    """Whether there is such a folder; never for what can't be the name of one."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):  # longer than any name may be, or with a zero in it
        return False
