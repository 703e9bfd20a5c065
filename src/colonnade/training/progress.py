"""The progress of a training run: bars while it runs, where somebody looks, and a line an epoch that stays."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from types import TracebackType

from rich import progress
from rich.cells import cell_len
from rich.console import Console
from rich.table import Column

from ..compiled import heard_by
from ..printable import printable
from .callbacks import Callback, Run
from .records import BatchRecord, EpochRecord

WIDEST_BAR, NARROWEST_BAR = 40, 10
TIME = 7  # letters of 1:23:45
GAPS = 3  # between what stands in a row of bars


def is_watched() -> bool:
    """Whether somebody looks: standard error is a terminal, or this is a notebook."""
    console = Console(stderr=True)
    return console.is_terminal or console.is_jupyter


def compiling(count: int, width: int) -> str:
    """What is said while functions are compiled."""
    whole = f"compiling, once for this machine: {count} functions so far"
    return whole if len(whole) <= width else f"compiling: {count} functions"


def fitting(parts: Sequence[tuple[int, str]], width: int) -> str:
    """Parts of a line, without those that there is no room for.

    Args:
        parts: Each with its rank: the greatest goes first.
        width: Of the line, in letters.
    """
    kept = list(parts)
    while len(kept) > 1 and cell_len(_joined(kept)) > width:
        kept.remove(max(kept))
    return _joined(kept)


def _joined(parts: Sequence[tuple[int, str]]) -> str:
    return "  ".join(text for _, text in parts)


def bars(console: Console, disable: bool = False) -> progress.Progress:
    """Bars on a console that leave nothing behind; each task has the field `numbers`."""
    return progress.Progress(
        progress.TextColumn("{task.description}"),
        # As wide as what stands beside it leaves room.
        progress.BarColumn(bar_width=None, table_column=Column(max_width=WIDEST_BAR)),
        progress.TextColumn("{task.fields[numbers]}"),
        progress.TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=console,
        transient=True,
        refresh_per_second=5,  # drawing takes the interpreter's lock from the workers
        redirect_stdout=bool(sys.stdout and sys.stdout.isatty()),  # else it leads to a file
        disable=disable,
    )


def room(console: Console, description: str) -> int:
    """Letters that there are for the numbers beside a bar."""
    return console.width - cell_len(description) - NARROWEST_BAR - TIME - GAPS


class Progress(Callback):
    """Shows a run on standard error, or in a notebook; `with Progress() as bars: fit(..., callbacks=[bars])`.

    One bar is the epoch, with the images a second, the mean loss, the accuracy, and the share of the time that steps
    waited for their images; the other is the whole run. Both tell the time that is left. In a narrow window the least
    important numbers are left out.

    Args:
        title: A line to begin with, once training has begun: until then all there is to say may be an error.
        quiet: Say nothing at all.
    """

    def __init__(self, title: str = "", quiet: bool = False) -> None:
        self._title = title
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        # Rich draws bars in a notebook by widgets.
        drawn = self._console.is_terminal or (self._console.is_jupyter and find_spec("ipywidgets") is not None)
        self._bars = bars(self._console, quiet or not drawn)
        self._epoch = self._bars.add_task("epoch", total=None, visible=False, numbers="")
        self._run = self._bars.add_task("run", total=None, visible=False, numbers="")
        self._compiled = self._bars.add_task("", total=None, visible=False, numbers="")
        self._others: dict[str, progress.TaskID] = {}
        self._hearing = heard_by(self._on_compiling)
        self._epochs = 0
        self._steps = self._total = 0  # of an epoch, and of all
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
        text = compiling(count, room(self._console, self._name_of_epoch(self._epochs)))
        self._bars.update(self._compiled, visible=function is not None, numbers=text)

    def _name_of_epoch(self, epoch: int) -> str:
        return f"epoch {epoch}/{self._epochs}"

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        if not self._quiet:
            self._console.print(printable(line, sys.maxsize))

    def watch(self, what: str, done: int, total: int) -> None:
        """Move a bar of something that is done before a run, or between two; when all of it is done the bar goes.

        Args:
            what: Its name, of which each has a bar.
            done: How much of it is done.
            total: How much there is.
        """
        if what not in self._others:
            self._others[what] = self._bars.add_task(what, total=total, numbers="")
        self._bars.update(self._others[what], completed=done, total=total, visible=done < total)

    def on_train_begin(self, run: Run) -> None:
        """Know how many steps there are."""
        self._steps, self._total = run.steps, run.total

    def on_batch_end(self, record: BatchRecord) -> None:
        """Move the bars."""
        if self._title:
            self.say(self._title)
            self._title = ""
        self._epochs = record.epochs
        self.place = f" in epoch {record.epoch}, after step {record.step} of {record.steps}"
        parts = [(0, f"loss {record.loss:.4f}")]
        if record.accuracy is not None:
            parts.append((1, f"accuracy {record.accuracy:.4f}"))
        parts.append((2, f"{record.images / record.seconds:,.0f} images/s"))
        parts.append((3, f"waiting {record.waiting / record.seconds:.0%}"))
        if record.step == 1:
            self._bars.reset(self._epoch, total=record.steps)
        description = self._name_of_epoch(record.epoch)
        self._bars.update(
            self._epoch,
            total=record.steps,
            completed=record.step,
            visible=True,
            description=description,
            numbers=fitting(parts, room(self._console, description)),
        )
        done = (record.epoch - 1) * (self._steps or record.steps) + record.step
        self._bars.update(self._run, total=self._total or record.epochs * record.steps, completed=done, visible=True)

    def on_epoch_end(self, record: EpochRecord) -> None:
        """Leave a line."""
        parts = [(0, self._name_of_epoch(record["epoch"]))]
        for part, rank in (("train", 3), ("test", 1)):
            loss, accuracy = record[f"{part}_loss"], record[f"{part}_accuracy"]  # type: ignore[literal-required]
            parts += [] if loss is None else [(rank, f"{part} loss {loss:.4f}")]
            # Without its loss it would be taken for the other part's.
            parts += [] if accuracy is None else [(rank + 1, f"accuracy {accuracy:.4f}")]
        parts.append((5, f"{record['images_per_second']:,.0f} images/s"))
        parts.append((6, f"waiting {record['waiting'] / record['seconds']:.0%}"))
        self.say(fitting(parts, self._console.width if self._console.is_terminal else sys.maxsize))
