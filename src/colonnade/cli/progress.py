"""The progress of a training run: bars while it runs, where there is a terminal, and a line an epoch that stays."""

from __future__ import annotations

import sys
from types import TracebackType

from rich import progress
from rich.console import Console

from ..compiled import heard_by
from ..printable import printable
from ..training import BatchRecord, Callback, EpochRecord


def _compiling(count: int) -> str:
    return f"compiling, once for this machine: {count} functions so far"


class CompilingLine:
    """A line on standard error that says what is compiled, for as long as it is; on a terminal alone.

    It is what :func:`colonnade.compiled.heard_by` takes.
    """

    def __call__(self, function: str | None, count: int) -> None:
        """Draw it, or with None take it away."""
        if Console(stderr=True).is_terminal:
            sys.stderr.write("\r\x1b[K" + ("" if function is None else _compiling(count)))
            sys.stderr.flush()


class Progress(Callback):
    """Shows a run on standard error; `with Progress(title) as bars: fit(..., callbacks=[bars])`.

    One bar is the epoch, with the images a second, the mean loss, the accuracy, and the share of the time that steps
    waited for their images; the other is the whole run. Both tell the time that is left.

    Args:
        title: A line to begin with, once training has begun: until then all there is to say may be an error.
        quiet: Say nothing at all.
    """

    def __init__(self, title: str, quiet: bool = False) -> None:
        self._title: str | None = title
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._bars = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.TextColumn("{task.fields[numbers]}"),
            progress.TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=self._console,
            transient=True,
            refresh_per_second=5,  # drawing takes the interpreter's lock from the workers
            disable=quiet or not self._console.is_terminal,
        )
        self._epoch = self._bars.add_task("epoch", total=None, visible=False, numbers="")
        self._run = self._bars.add_task("run", total=None, visible=False, numbers="")
        self._compiled = self._bars.add_task("", total=None, visible=False, numbers="")
        self._hearing = heard_by(self._on_compiling)
        self._epochs = 0
        self.place = ""  # where the run stands, for a sentence

    def __enter__(self) -> Progress:
        self._bars.start()
        self._hearing.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._hearing.__exit__(None, None, None)
        self._bars.stop()

    def _on_compiling(self, function: str | None, count: int) -> None:
        self._bars.update(self._compiled, visible=function is not None, numbers=_compiling(count))

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        if not self._quiet:
            self._console.print(printable(line, sys.maxsize))

    def on_batch_end(self, record: BatchRecord) -> None:
        """Move the bars."""
        if self._title is not None:
            self.say(self._title)
            self._title = None
        self._epochs = record.epochs
        self.place = f" in epoch {record.epoch}, after step {record.step} of {record.steps}"
        numbers = f"loss {record.loss:.4f}"
        if record.accuracy is not None:
            numbers += f"  accuracy {record.accuracy:.4f}"
        numbers += f"  {record.images / record.seconds:,.0f} images/s  waiting {record.waiting / record.seconds:.0%}"
        if record.step == 1:
            self._bars.reset(self._epoch, total=record.steps)
        self._bars.update(
            self._epoch,
            total=record.steps,
            completed=record.step,
            visible=True,
            description=f"epoch {record.epoch}/{record.epochs}",
            numbers=numbers,
        )
        done = (record.epoch - 1) * record.steps + record.step
        self._bars.update(self._run, total=record.epochs * record.steps, completed=done, visible=True)

    def on_epoch_end(self, record: EpochRecord) -> None:
        """Leave a line."""
        line = f"epoch {record['epoch']}/{self._epochs}"
        for part in ("train", "test"):
            loss, accuracy = record[f"{part}_loss"], record[f"{part}_accuracy"]  # type: ignore[literal-required]
            line += "" if loss is None else f"  {part} loss {loss:.4f}"
            line += "" if accuracy is None else f"  accuracy {accuracy:.4f}"
        share = record["waiting"] / record["seconds"]
        self.say(f"{line}  {record['images_per_second']:,.0f} images/s  waiting {share:.0%}")
