"""Callbacks that write down how a run goes: lines of JSON, a table, event files for TensorBoard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import arguments
from ..errors import MissingExtraError
from .callbacks import Callback, Run
from .records import BatchRecord, EpochRecord, History, columns

if TYPE_CHECKING:
    from ..storage import StrPath


class JSONLines(Callback):
    """Writes a line of JSON an epoch.

    The file is written anew each time, whole or not at all: a run that was killed and resumed leaves the lines of
    one that was never stopped.

    Args:
        path: Replaced if it is there.
    """

    def __init__(self, path: StrPath) -> None:
        self.path = arguments.path(type(self).__name__, "path", path)
        self._history: Sequence[EpochRecord] = ()

    def on_train_begin(self, run: Run) -> None:
        """Look at the run, and see that the file can be written."""
        from .. import storage

        self._history = run.history
        with storage.reserved(self.path):
            pass

    def on_epoch_end(self, record: EpochRecord) -> None:
        """Write the epochs so far."""
        from .. import storage

        storage.replace(self.path, self._text().encode())

    def _text(self) -> str:
        import json

        return "".join(json.dumps(record) + "\n" for record in self._history)


class CSVLogger(JSONLines):
    """Writes a line of comma-separated values an epoch, below a line of their names; what was not measured is empty.

    As with `JSONLines` the file is written anew each time.

    Args:
        path: Replaced if it is there.
    """

    def _text(self) -> str:
        import csv
        import io

        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns(self._history))
        writer.writerows(record.values() for record in self._history)
        return text.getvalue()


class TensorBoard(Callback):
    """Writes event files for TensorBoard: losses, accuracies, learning rate, speed and waiting, by epoch.

    A resumed run goes on in the same folder, and what was written of the epoch that it does again is set aside.

    Args:
        folder: Where the event files go; look at them with `tensorboard --logdir FOLDER`.
        every: Steps from one value of the training loss to the next, within an epoch.

    Raises:
        MissingExtraError: tensorboardX is not installed.
        ArgumentError: `every` that is not positive.
    """

    def __init__(self, folder: StrPath, every: int = 10) -> None:
        self.folder = arguments.path("TensorBoard", "folder", folder)
        self.every = arguments.whole("TensorBoard", "every", every, 1)
        try:
            import tensorboardX  # type: ignore[import-untyped]  # noqa: F401
        except ImportError:
            raise MissingExtraError(
                'TensorBoard: tensorboardX is not installed: pip install "colonnade[tensorboard]".'
            ) from None
        self._writer: Any = None

    def on_train_begin(self, run: Run) -> None:
        """Open the event file."""
        from tensorboardX import SummaryWriter

        done = len(run.history) * run.steps
        self._writer = SummaryWriter(str(self.folder), purge_step=done + 1 if done else None)
        self._steps = run.steps

    def on_batch_end(self, record: BatchRecord) -> None:
        """Write the loss of the epoch so far, and the rate."""
        if record.step % self.every == 0:
            step = (record.epoch - 1) * self._steps + record.step
            self._writer.add_scalar("step/train_loss", record.loss, step)
            self._writer.add_scalar("step/lr", record.lr, step)

    def on_epoch_end(self, record: EpochRecord) -> None:
        """Write the record."""
        for name, value in record.items():
            if name != "epoch" and isinstance(value, int | float) and math.isfinite(value):
                self._writer.add_scalar(f"epoch/{name}", value, record["epoch"] * self._steps)
        self._writer.flush()

    def on_train_end(self, history: History) -> None:
        """Close the event file."""
        self._writer.close()
