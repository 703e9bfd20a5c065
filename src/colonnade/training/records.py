"""What is known of a run: a record a step, a record an epoch, and the history of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, TypedDict

import numpy as np

from .. import metrics
from ..arguments import shown
from ..errors import ArgumentError
from ..losses import CrossEntropyLoss, Loss
from ..ops.layout import Array
from .joint import JointLoss
from .protocols import Criterion, of_batch


class EpochRecord(TypedDict):
    """What is known of an epoch; a line of metrics.jsonl.

    Losses are means over all that counts in the loss, whatever its reduction, accuracies shares of right answers.
    Those of the training part are taken while the model learns, before each step. None stands for what was not
    measured: no validation, no class numbers. Of a model of several outputs there are further columns for each, such as
    `train_loss_digit` of the output `digit`.
    """

    epoch: int
    train_loss: float
    train_accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None
    seconds: float  # of the training steps and what they waited for, without validation
    images_per_second: float
    waiting: float  # seconds of these in which a step waited for its images
    lr: float  # the learning rate of the last step


class BatchRecord(NamedTuple):
    """Where a run stands after a step. Epochs and steps count from 1."""

    epoch: int
    epochs: int
    step: int
    steps: int
    images: int  # seen in this epoch
    loss: float  # mean of this epoch so far
    accuracy: float | None
    seconds: float  # of this epoch so far
    waiting: float  # seconds of these in which a step waited for its images
    lr: float  # the learning rate of this step
    losses: Mapping[str, float] = MappingProxyType({})  # of several outputs by their names, likewise


class History(list[EpochRecord]):
    """The epochs of a run; `history[-1]["test_accuracy"]`, or a column: `history.test_accuracy`.

    Attributes:
        stopped: Why the run ended before its last epoch, in a line; None where it did not.
    """

    stopped: str | None = None

    def __getattr__(self, name: str) -> list[Any]:
        if name not in columns(self):
            raise AttributeError(f"History has no column {name!r}: it has {', '.join(columns(self))}.")
        return [record[name] for record in self]  # type: ignore[literal-required]

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        heads = [name.replace("_", " ") for name in columns(self)]
        return heads, [["—" if value is None else f"{value:.6g}" for value in record.values()] for record in self]

    def _repr_html_(self) -> str:
        """The epochs as a table, for notebooks."""
        from .. import notebook

        return notebook.table(*self._cells())

    def __repr__(self) -> str:
        heads, rows = self._cells()
        widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in [heads, *rows]
        )


def columns(history: Sequence[EpochRecord]) -> list[str]:
    """The names of what is known of each epoch."""
    return list(history[0] if history else EpochRecord.__annotations__)


class Evaluation(TypedDict):
    """What `evaluate` finds: mean loss, share of right answers (None without class numbers), number of images.

    Of a model of several outputs there are also the loss and the share of each, such as `loss_digit`.
    """

    loss: float
    accuracy: float | None
    n: int


class Mean:
    """Loss and accuracy over the batches seen so far: what the whole of them would give as one batch.

    Args:
        criterion: Tells which class numbers count.
    """

    def __init__(self, criterion: Criterion) -> None:
        self.images = 0
        self._criterion = criterion
        self._loss = 0.0
        self._weight = 0.0
        self._correct = 0
        self._labels = 0

    def add(self, measured: Measured, outputs: Any, targets: Array, labels: Array | None = None) -> None:
        """Count a batch.

        Args:
            measured: Its loss.
            outputs: Of the model; a tuple where the loss reads several.
            targets: What the loss was taken from.
            labels: The class numbers to tell right answers by, where the targets are mixed from several.
        """
        self.images += len(outputs[0] if isinstance(outputs, tuple) else outputs)
        self._loss += measured.total
        self._weight += measured.weight
        labels = targets if labels is None else labels
        named = not isinstance(self._criterion, Loss) or self._criterion.names_classes
        if named and not isinstance(outputs, tuple) and metrics.are_labels(labels, outputs):
            right = metrics.right(outputs, labels)
            if isinstance(self._criterion, CrossEntropyLoss):
                right = right[self._criterion.counted(labels)]
            self._labels += right.size
            self._correct += int(np.count_nonzero(right))

    @property
    def loss(self) -> float:
        """The mean loss; NaN where nothing counted."""
        return self._loss / self._weight if self._weight else math.nan

    @property
    def accuracy(self) -> float | None:
        """The share of right answers, if there were class numbers to tell by."""
        return self._correct / self._labels if self._labels else None

    @property
    def losses(self) -> dict[str, float]:
        """The mean loss of each of several outputs, by name."""
        return {}

    def evaluation(self) -> Evaluation:
        """What `evaluate` finds."""
        return {"loss": self.loss, "accuracy": self.accuracy, "n": self.images}

    def state_dict(self) -> dict[str, float]:
        """The sums so far, exact also in JSON."""
        return {
            "images": self.images,
            "loss": self._loss,
            "weight": float(self._weight),
            "correct": self._correct,
            "labels": self._labels,
        }

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from sums of before."""
        self.images, self._loss, self._weight = int(state["images"]), float(state["loss"]), float(state["weight"])
        self._correct, self._labels = int(state["correct"]), int(state["labels"])


class JointMean:
    """Losses and accuracies of several outputs over the batches seen so far; one loss of all together is the whole.

    Args:
        joint: Their loss.

    Attributes:
        means: One of each loss, by name.
    """

    def __init__(self, joint: JointLoss) -> None:
        self._joint = joint
        self.means = {name: Mean(loss) for name, loss in zip(joint.names, joint.losses, strict=True)}

    def add(self, measured: Measured, outputs: Any, targets: Any, labels: None = None) -> None:
        """Count a batch: see :meth:`Mean.add`."""
        read, targets = self._joint.read(outputs), targets if isinstance(targets, tuple) else (targets,)
        for mean, part, output, wanted in zip(self.means.values(), measured.parts, read, targets, strict=True):
            mean.add(part, output, wanted)

    @property
    def images(self) -> int:
        """How many examples were counted."""
        return next(iter(self.means.values())).images

    @property
    def loss(self) -> float:
        """The weighted sum of the mean losses."""
        return sum(weight * mean.loss for weight, mean in zip(self._joint.weights, self.means.values(), strict=True))

    @property
    def accuracy(self) -> float | None:
        """The share of right answers of all outputs together."""
        labels = sum(mean._labels for mean in self.means.values())
        return sum(mean._correct for mean in self.means.values()) / labels if labels else None

    @property
    def losses(self) -> dict[str, float]:
        """The mean of each of several losses, by name."""
        return {name: mean.loss for name, mean in self.means.items()} if len(self.means) > 1 else {}

    def evaluation(self) -> Evaluation:
        """What `evaluate` finds."""
        found: dict[str, Any] = {"loss": self.loss, "accuracy": self.accuracy, "n": self.images}
        for name in self.losses:
            mean = self.means[name]
            found |= {f"loss_{name}": mean.loss, f"accuracy_{name}": mean.accuracy}
        return found  # type: ignore[return-value]

    def state_dict(self) -> dict[str, Any]:
        """The sums of each output so far."""
        return {"outputs": {name: mean.state_dict() for name, mean in self.means.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from sums of before."""
        for name, mean in self.means.items():
            mean.load_state_dict(state["outputs"][name])


def mean_of(criterion: Criterion) -> Mean | JointMean:
    """What takes the mean of a loss."""
    return JointMean(criterion) if isinstance(criterion, JointLoss) else Mean(criterion)


class Measured(NamedTuple):
    """The loss of a batch, or of a part of one, so that it can be added to others'.

    Attributes:
        total: The sum of what a mean would divide.
        weight: By what: with class weights that is not the number of images, and zero where no target counts.
        gradient: Of the loss of the whole batch, at the outputs of this part; a tuple where there are several.
        parts: The loss of each of several outputs, without its weight in the whole.
    """

    total: float
    weight: float
    gradient: Any
    parts: tuple[Measured, ...] = ()


def measure(criterion: Criterion, outputs: Any, targets: Any, whole: Any = None) -> Measured:
    """The loss of a part of a batch that weighs `whole`; by default of a whole batch.

    A loss of another kind is taken to be a mean over images; raises ArgumentError where it returns something else.
    Of several outputs all but the loss are tuples, `whole` too.
    """
    if isinstance(criterion, JointLoss):
        wholes = [None] * len(criterion.losses) if whole is None else whole
        targets = targets if isinstance(targets, tuple) else (targets,)
        parts = tuple(map(measure, criterion.losses, criterion.read(outputs), targets, wholes))
        gradients = criterion.gathered([part.gradient for part in parts])
        return Measured(sum(part.total for part in parts), sum(part.weight for part in parts), gradients, parts)
    if isinstance(criterion, Loss):
        total, weight, gradient = criterion.summed(outputs, targets)
        if criterion.reduction != "sum" and (whole := weight if whole is None else whole):
            gradient = _each(lambda each: each / whole, gradient)
        return Measured(total, weight, gradient)
    answer = criterion(outputs, targets)
    loss, gradient = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, None)
    if np.asarray(loss).dtype.kind not in "fiu" or np.size(loss) != 1 or _shapes(gradient) != _shapes(outputs):
        raise ArgumentError(
            f"A loss must return a number and the gradient at the outputs, {_shapes(outputs)}, got {shown(answer)}."
        )
    images = len(outputs[0] if isinstance(outputs, tuple) else outputs)
    share = 1.0 if whole is None else images / whole
    # Another's loss may be a NumPy number, which JSON cannot say.
    return Measured(
        float(loss) * images, images, gradient if share == 1 else _each(lambda each: each * share, gradient)
    )


def weigh(criterion: Criterion, images: int, shape: Any, targets: Any) -> Any:
    """What a batch weighs beside others: by what its loss is divided, for outputs of that shape for one image.

    Of several outputs shape and targets are tuples, and so is the weight.
    """
    if isinstance(criterion, JointLoss):
        targets = targets if isinstance(targets, tuple) else (targets,)
        each = zip(criterion.losses, criterion.read(shape), targets, strict=True)
        return tuple(weigh(loss, images, *given) for loss, *given in each)
    return criterion.count(of_batch(images, shape), targets) if isinstance(criterion, Loss) else images


def _each(function: Callable[[Array], Array], gradient: Any) -> Any:
    """A function of a gradient, or of those at several outputs."""
    return tuple(map(function, gradient)) if isinstance(gradient, tuple) else function(gradient)


def _shapes(each: Any) -> Any:
    """The shape of an array, or those of several."""
    return tuple(map(np.shape, each)) if isinstance(each, tuple) else np.shape(each)
