"""The progress of a training run: a bar while it runs, where there is a terminal, and a line an epoch that stays."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..training import BatchRecord, Callback, EpochRecord


class ProgressBar(Callback):
    """Shows a run on standard error; `with ProgressBar(epochs, title) as bar: fit(..., callbacks=[bar])`.

    Args:
        epochs: How many the run has.
        title: A line to begin with, once training has begun: until then all there is to say may be an error.
    """

    def __init__(self, epochs: int, title: str) -> None:
        self.epochs = epochs
        self._title: str | None = title
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.4f}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=self._console,
            transient=True,
            refresh_per_second=5,  # drawing takes the interpreter's lock from the workers
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, epoch=f"1/{epochs}", loss=float("nan"))

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._console.print(line)

    def on_batch_end(self, record: BatchRecord) -> None:
        """Move the bar."""
        if self._title is not None:
            self.say(self._title)
            self._title = None
        self._bar.update(
            self._task,
            total=record.epochs * record.steps,
            completed=(record.epoch - 1) * record.steps + record.step,
            epoch=f"{record.epoch}/{record.epochs}",
            loss=record.loss,
        )

    def on_epoch_end(self, record: EpochRecord) -> None:
        """Leave a line."""
        self.say(
            f"epoch {record['epoch']}/{self.epochs}"
            f"  train loss {record['train_loss']:.4f}  accuracy {record['train_accuracy']:.4f}"
            f"  test loss {record['test_loss']:.4f}  accuracy {record['test_accuracy']:.4f}"
            f"  {record['images_per_second']:,.0f} images/s"
        )
