"""Text that others wrote, as a person may see it: class names, file names, the words of a model file.

A terminal obeys control characters, and marks of direction turn a line round: both are shown escaped. What is long is
cut. Every error, and all that is printed for a person, goes through here; JSON and model files keep what they were
given.
"""

from __future__ import annotations

import re
import reprlib
import unicodedata
from functools import lru_cache

# Characters of a name, and of a message in which several may stand. A path may have 4,096.
LONGEST_NAME = 120
LONGEST_MESSAGE = 2_000
# Controls, formats (marks of direction, tags), surrogates, private ones, and the ends of lines and paragraphs.
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
JOINERS = "\u200c\u200d"  # Persian words and many emoji are written with them
PLAIN = re.compile(r"[ -~]*")  # most text by far


def printable(text: object, most: int = LONGEST_NAME) -> str:
    """A text in one line: what would not be seen as itself is escaped as in Python, and what is long cut in its middle.

    Args:
        text: Anything; its `str`.
        most: Characters of the text that are shown, escapes counted as one.
    """
    whole = str(text)
    if len(whole) > most:
        kept = most // 3  # what went wrong often stands at the end
        left_out = len(whole) - most
        return f"{_escaped(whole[: most - kept])}…({left_out:,} more)…{_escaped(whole[-kept:])}"
    return _escaped(whole)


def shown(value: object) -> str:
    """A value as an error shows it: its `repr`, shortened before it is made, in one line."""
    return printable(_Shortened().repr(value), 4 * LONGEST_NAME)


class _Shortened(reprlib.Repr):
    """As `repr` up to a length at which a line can still be read."""

    def __init__(self) -> None:
        super().__init__()
        self.maxtuple = self.maxlist = self.maxdict = 12
        self.maxstring = self.maxother = LONGEST_NAME
        self.maxlong = 60


def _escaped(text: str) -> str:
    return text if PLAIN.fullmatch(text) else "".join(map(_visible, text))


@lru_cache(maxsize=1024)
def _visible(character: str) -> str:
    if unicodedata.category(character) not in HIDDEN or character in JOINERS:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
