"""What an interrupt does while the command line starts: to import NumPy and the commands takes longer than all else.

Nothing has been begun then that would have to be ended well. What is imported here is loaded already.
"""

from __future__ import annotations

import os
import sys

INTERRUPTED = "interrupted"
STATUS = 130  # what a shell tells of a process that an interrupt has ended


def is_command_line() -> bool:
    """Whether this process was started as `colonnade` or `python -m colonnade`, and not by a program of one's own."""
    if sys.argv[:1] == ["-m"]:  # so it is while Python looks for the module that it is to run
        words = sys.orig_argv
        return "-mcolonnade" in words or "colonnade" in words[words.index("-m") + 1 :][:1]
    name = os.path.basename(sys.argv[0]) if sys.argv else ""  # noqa: PTH119 - pathlib is slow to import
    return name in {"colonnade", "colonnade.exe", "colonnade-script.py"}


def _leave(number: int, frame: object) -> None:
    os.write(2, f"{INTERRUPTED}\n".encode())
    os._exit(STATUS)


def begin() -> None:
    """Have an interrupt end the process at once, with one line, where it is the command line's."""
    if is_command_line():
        import signal

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell may have it ignored
            signal.signal(signal.SIGINT, _leave)


def end() -> None:
    """Have an interrupt raise KeyboardInterrupt, as it does everywhere else."""
    import signal

    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def leave() -> None:
    """End the process of the command line as interrupted; what was written to the terminal comes out first.

    Python itself would end with another status where the interrupt came in a text that was being executed.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads it any more
            continue
    os._exit(STATUS)


begin()
