"""The commands, and how each way to end becomes a line and an exit status."""

from __future__ import annotations

import re
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from .. import starting
from ..compiled import heard_by
from ..errors import ColonnadeError
from ..printable import LONGEST_MESSAGE, printable
from . import convert, evaluate, explain, predict, profile, report, serve, summary, train
from .progress import CompilingLine

# What Pydantic says of the value of an option, in words for a person.
RULES = {
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
}
GOT_WRONG = 2  # the exit status for what the user got wrong

app = typer.Typer(
    name="colonnade",
    help="Convolutional neural networks on a CPU.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("summary")(summary.summary)
app.command("profile")(profile.profile)
app.command("export")(convert.export)
app.command("import")(convert.import_)
app.command("report")(report.report)
app.command("explain")(explain.explain)
app.command("serve")(serve.serve)


def _print_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _colonnade(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _in_plain_words(error: typer.TyperException) -> str:
    """What Typer says, and of what. It hands on the words of Pydantic, for programmers, without what was received."""
    message = error.format_message().replace("Value error, ", "")
    for cause in getattr(error.__cause__, "errors", list)():
        if (rule := RULES.get(cause["type"])) is not None:
            message = message.replace(cause["msg"], rule.format(**cause.get("ctx", {})))
            message = re.sub(r"^Invalid value for ('.*?'): must", r"\1 must", message)
        if repr(cause["input"]) not in message:
            message = f"{message.removesuffix('.')}, got {cause['input']!r}."
    return message


@contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """What the package warns of, as a person reads it: a line on standard error, without the place in the code."""

    def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if category is UserWarning:
            typer.echo(f"warning: {printable(' '.join(str(message).split()), LONGEST_MESSAGE)}", err=True)
        elif category.__name__ != "DecompressionBombWarning":  # such an image is refused, in a line
            # A mistake of ours, or of a library.
            before(message, category, *place)

    before = warnings.showwarning
    warnings.showwarning = show  # type: ignore[assignment]
    try:
        yield
    finally:
        warnings.showwarning = before


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0 when all went well; 2 for what the user got wrong, told in one line on standard error; 130 when interrupted, in
    one line, too; 143 and 129 when a training run was asked to end, by SIGTERM or SIGHUP.
    Anything else that is raised is a mistake of ours, and keeps its traceback.

    Args:
        arguments: The words after `colonnade`; those of this process by default.
    """
    own = arguments is None and threading.current_thread() is threading.main_thread()
    try:
        starting.end()
        status = _run(arguments)
        if own:  # nothing is left to do but to end
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt as interrupt:
        if own:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        status = _say(str(interrupt) or starting.INTERRUPTED, starting.STATUS)
    if own and status == starting.STATUS:
        starting.leave()
    return status


def _run(arguments: Sequence[str] | None) -> int:
    try:
        # Not standalone: Typer would print a usage error in several lines.
        with _warnings_in_a_line(), heard_by(CompilingLine()):
            status: int | None = app(arguments, prog_name="colonnade", standalone_mode=False)
    except train.InterruptedRunError as interrupt:
        raise KeyboardInterrupt(str(interrupt)) from None
    except typer.TyperException as error:
        message = _in_plain_words(error)
    except ColonnadeError as error:
        message = str(error)
    except OSError as error:
        message = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    except MemoryError as error:
        message = f"That takes more memory than there is ({error})."
    else:
        if status == starting.STATUS:  # so Typer hands on an interrupt
            raise KeyboardInterrupt
        return status or 0
    return _say(f"error: {printable(' '.join(message.split()), LONGEST_MESSAGE)}", GOT_WRONG)


def _say(line: str, status: int) -> int:
    typer.echo(line, err=True)
    return status
