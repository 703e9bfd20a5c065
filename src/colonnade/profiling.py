"""Where the time of a step goes: each layer's share, how fast it computes and copies, and what it keeps."""

from __future__ import annotations

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from . import arguments
from .executor import Executor, Memory
from .layers.base import Bound, Direction, Lane
from .losses import CrossEntropyLoss
from .ops.layout import Array
from .optimizers import SGD
from .plan import Call, Plan, Segment
from .printable import printable
from .steps import Step
from .tensor import Parameter
from .workers import get_threads, set_threads

Pass = Literal["forward", "again", "backward"]
PASSES: tuple[Pass, ...] = ("forward", "again", "backward")
Rest = Literal["begin", "fold", "loss", "optimizer", "everything else"]
REST: tuple[Rest, ...] = ("begin", "fold", "loss", "optimizer", "everything else")

# What was timed of one step, in seconds: of a layer's pass, or of what is no layer's.
Times = dict[tuple[Step, Pass] | Rest, float]


class Profiled(Protocol):
    """What is needed of a model; `colonnade.Model` has it."""

    seed: int

    def plan(self, shape: Sequence[Any], training: bool = False) -> Plan:
        """The plan for a batch."""

    def parameters(self) -> list[Parameter]:
        """What is learned."""

    def zero_grad(self) -> None:
        """Set the gradients to zero."""


class PassRow(TypedDict):
    """One pass of a layer, over the whole batch.

    The numbers of operations and bytes are those that the formulas need, not what the processor happens to do:
    each operand read once and each result written once, whether it comes from memory or from cache.
    """

    seconds: float
    flops: int
    bytes: int


class Row(TypedDict):
    """One layer. `again` is its forward pass once more, on the way back, because its output was not kept."""

    name: str
    type: str  # of a compiled leaf, all the layers whose work it does
    compiled: bool
    seconds: float  # of all three
    forward: PassRow
    again: PassRow
    backward: PassRow
    held_bytes: int  # kept for the whole batch, from the forward pass to the backward


@dataclass(frozen=True)
class Profile:
    """What :func:`profile` found. `str()` makes a table of it.

    Attributes:
        shape: The batch's, images first; of several inputs that of each, in a tuple.
        training: Whether it was a training step, or a forward pass outside training.
        threads: How many computed. Times are those of all of them together: with two, `seconds` is twice as long as
            a step takes, and `everything else` holds the time that one waits for the other.
        steps: How many were timed; every number is a median over them.
        kernels: What multiplies matrices, as far as it says.
        seconds: The sum of all that follows: a step.
        rest: The seconds of what is no layer's own: the hooks that begin a segment (`begin`), the sum of the
            lanes' gradients (`fold`), `loss`, `optimizer`, and `everything else`.
        rows: A dict a layer, in the order in which they run.
    """

    shape: Any
    training: bool
    threads: int
    steps: int
    kernels: str
    seconds: float
    rest: dict[Rest, float]
    rows: list[Row]

    @property
    def title(self) -> str:
        """What was timed, in a line."""
        step = "training step" if self.training else "forward pass"
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads, their times together"
        shapes = self.shape if isinstance(self.shape[0], tuple) else (self.shape,)
        batch = " and ".join("×".join(map(str, shape)) for shape in shapes)
        return f"{step}, batch {batch}, {threads}, medians of {self.steps}, {self.kernels}"

    def cells(self) -> list[list[str]]:
        """The table as text: a line of headings, a line a layer, a line for each part of the rest, and the sum."""
        table = [["layer", "", "forward ms", "GF/s", "GB/s"]]
        if self.training:
            table[0] += ["again ms", "backward ms", "GF/s", "GB/s", "held MB"]
        table[0].append("%")
        for row in self.rows:
            names = [printable(row["name"]), printable(row["type"]) + (", compiled" if row["compiled"] else "")]
            cells = [
                *names,
                _milliseconds(row["forward"]["seconds"]),
                *_speeds(row["forward"]),
            ]
            if self.training:
                cells += [_milliseconds(row["again"]["seconds"]), _milliseconds(row["backward"]["seconds"])]
                cells += [*_speeds(row["backward"]), f"{row['held_bytes'] / 1e6:.1f}" if row["held_bytes"] else ""]
            table.append([*cells, self._share(row["seconds"])])
        blank = [""] * (len(table[0]) - 4)
        for name, seconds in self.rest.items():
            table.append([name, "", _milliseconds(seconds), *blank, self._share(seconds)])
        table.append(["step", "", _milliseconds(self.seconds), *blank, self._share(self.seconds)])
        return table

    def _share(self, seconds: float) -> str:
        return f"{100 * seconds / self.seconds:.1f}"

    def __str__(self) -> str:
        table = self.cells()
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if column < 2 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in table
        ]
        rule = "─" * max(map(len, lines))
        layers = 1 + len(self.rows)
        return "\n".join([self.title, lines[0], rule, *lines[1:layers], rule, *lines[layers:-1], rule, lines[-1]])


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3f}" if seconds else ""


def _speeds(row: PassRow) -> list[str]:
    """Thousand millions of operations and of bytes a second, where there are any."""
    amounts = row["flops"], row["bytes"]
    return [f"{amount / row['seconds'] / 1e9:.1f}" if row["seconds"] and amount else "" for amount in amounts]


class TimedExecutor(Executor):
    """Notes how long each call on a block takes, and what runs alone between them.

    Attributes:
        spans: What was timed since it was last cleared. Workers append to it, each when a call of its own is over.
    """

    def __init__(self, plan: Plan, memory: Memory, seed: int) -> None:
        super().__init__(plan, memory, seed)
        self.spans: list[tuple[tuple[Step, Pass] | Rest, float]] = []
        self._backward = False

    def timed(self, key: tuple[Step, Pass] | Rest, work: Callable[..., Any], *arguments: Any) -> Any:
        """Call `work`, note how long it takes, and hand on what it returns."""
        started = time.perf_counter()
        result = work(*arguments)
        self.spans.append((key, time.perf_counter() - started))
        return result

    def _run(self, index: int) -> None:
        self._backward = self.plan.segments[index].direction == "backward"
        super()._run(index)

    def _begin(self, steps: Sequence[Step], direction: Direction) -> None:
        self.timed("begin", super()._begin, steps, direction)

    def _fold(self, segment: Segment, lanes: list[Lane]) -> None:
        self.timed("fold", super()._fold, segment, lanes)

    def _bound_calls(self, call: Call, arguments: tuple[Any, ...]) -> Sequence[Bound]:
        calls = super()._bound_calls(call, arguments)

        def run() -> None:
            for function, given in calls:
                function(*given)

        return [(self.timed, ((call.step, _pass(call, self._backward)), run))]


def _pass(call: Call, backward: bool) -> Pass:
    """Which pass of the layer a call is part of, in a forward segment or a backward one."""
    return call.direction if call.direction == "backward" or not backward else "again"


def profile(
    model: Profiled,
    x: Sequence[ArrayLike],
    targets: ArrayLike | None = None,
    *,
    steps: int = 5,
    threads: int = 1,
    training: bool = True,
) -> Profile:
    """Time a few steps, layer by layer.

    A step is forward, cross-entropy loss of each output, backward without the gradient at the input, and SGD with
    momentum: the model learns, so this is for one that nobody needs afterwards. `Model.profile` hands over a copy.

    Args:
        model: Built or not.
        x: A batch of images for each input.
        targets: Class numbers of the first output, (n,); by default, and in the others, every image is of the first
            class, which costs the same.
        steps: How many to time, after two that are not.
        threads: By default one, so that the times of the layers add up to that of the step.
        training: False for forward passes outside training.

    Raises:
        ArgumentError: No steps, or no threads.
        ShapeError: A batch that does not fit the model, or targets that do not fit the batch.
    """
    steps = arguments.whole("profile", "steps", steps, 1)
    before = get_threads()
    set_threads(threads)
    try:
        run = _Run(model, [np.asarray(batch) for batch in x], targets, training)
        for _ in range(2):  # the first makes views, and both fill the caches
            run.step()
        return _summarize(run, [run.step() for _ in range(steps)])
    finally:
        set_threads(before)


class _Run:
    """Steps of one model on one batch, timed."""

    def __init__(self, model: Profiled, batches: Sequence[Array], targets: ArrayLike | None, training: bool) -> None:
        self.model, self.training = model, training
        shapes = [batch.shape for batch in batches]
        self.plan = model.plan(shapes if len(shapes) > 1 else shapes[0], training)
        self.batches = [
            batch[: self.plan.images] for batch in batches
        ]  # outside training, large batches are run in parts
        memory = Memory()
        memory.fit(self.plan)
        self.executor = TimedExecutor(self.plan, memory, model.seed)
        self.threads = min(get_threads(), self.plan.workers)
        self.targets = None if targets is None else np.asarray(targets)[: self.plan.images]
        self.loss = CrossEntropyLoss()
        self.optimizer = SGD(model.parameters(), lr=1e-4, momentum=0.9) if training and model.parameters() else None

    def _gradient(self, y: Array, place: int) -> Array:
        """That of the loss of an output, which is taken for classes whatever it is: of (n,) for one."""
        scores = y.reshape(len(y), -1) if y.ndim < 2 else y
        given = self.targets if place == 0 else None
        targets = np.zeros((len(y), *scores.shape[2:]), np.int64) if given is None else given
        return np.asarray(self.loss(scores, targets)[1]).reshape(y.shape)

    def step(self) -> Times:
        """One step; what it took."""
        executor, plan = self.executor, self.plan
        executor.spans.clear()
        started = time.perf_counter()
        for source, batch in zip(plan.sources, self.batches, strict=True):
            np.copyto(executor.view(source, "value"), batch, casting="unsafe")
        executor.forward()
        outputs = [executor.view(result, "value").copy(order="C") for result in plan.results]
        if self.training:
            gradients = [executor.timed("loss", self._gradient, y, place) for place, y in enumerate(outputs)]
            executor.timed("optimizer", self.model.zero_grad)
            for result, gradient in zip(plan.results, gradients, strict=True):
                np.copyto(executor.view(result, "grad"), gradient)
            executor.backward(input_gradient=False)
            if self.optimizer is not None:
                executor.timed("optimizer", self.optimizer.step)
        wall = time.perf_counter() - started
        times: Times = defaultdict(float)
        for key, seconds in executor.spans:
            times[key] += seconds
        times["everything else"] = self.threads * wall - sum(times.values())
        return times


def _summarize(run: _Run, steps: list[Times]) -> Profile:
    def seconds(key: tuple[Step, Pass] | Rest) -> float:
        return statistics.median(times.get(key, 0.0) for times in steps)

    plan = run.plan
    rows: list[Row] = []
    for step in plan.steps:
        passes: dict[Pass, PassRow] = {}
        for each in PASSES:
            flops, moved = _work(plan, step, each)
            passes[each] = {"seconds": seconds((step, each)), "flops": flops, "bytes": moved}
        rows.append(
            {
                "name": step.name,
                "type": step.kind,
                "compiled": step.compiled,
                "seconds": sum(each["seconds"] for each in passes.values()),
                "forward": passes["forward"],
                "again": passes["again"],
                "backward": passes["backward"],
                "held_bytes": _held(plan, step),
            }
        )
    rest = {name: seconds(name) for name in REST if run.training or name in ("begin", "everything else")}
    shapes = tuple((plan.images, *source.shape) for source in plan.sources)
    return Profile(
        shape=shapes if len(shapes) > 1 else shapes[0],
        training=run.training,
        threads=run.threads,
        steps=len(steps),
        kernels=_kernels(),
        seconds=sum(rest.values()) + sum(row["seconds"] for row in rows),
        rest=rest,
        rows=rows,
    )


def _work(plan: Plan, step: Step, which: Pass) -> tuple[int, int]:
    """The floating-point operations and the bytes of one pass of a layer over the whole batch."""
    graded = plan.graded(False)
    segments = plan.forward if which == "forward" else plan.backward
    calls = [
        call
        for segment in segments
        for call in segment.calls
        if call.step is step and _pass(call, segment.direction == "backward") == which
    ]
    flops = moved = 0
    for call in calls:
        wanted = not graded.isdisjoint(step.inputs)
        if call.action == "backward" and not step.learns and not wanted:
            continue
        for tensor, kind, _ in plan.touches(call):
            if kind == "value" or tensor in graded:
                moved += _bytes(plan, tensor.shape)
        weights = sum(parameter.size for parameter in step.parameters) * plan.dtype.itemsize
        if not call.adds_sums:
            operations = 2 * plan.images * step.layer.multiplications(step.shape)
            # Backward is as much again for the gradient at the input, and for those of the parameters.
            gradients = wanted + step.learns
            flops += operations * gradients if which == "backward" else operations
            moved += weights * gradients if which == "backward" else weights
            moved += _saved(plan, step)
    return flops, moved


def _held(plan: Plan, step: Step) -> int:
    """The bytes of a layer's output, and of what else it saves, that stay until the backward pass."""
    return _saved(plan, step) + sum(_bytes(plan, each.shape) for each in step.outputs if each in plan.kept)


def _saved(plan: Plan, step: Step) -> int:
    return sum(map(plan.size, plan.saved(step, plan.images).values()))


def _bytes(plan: Plan, shape: Iterable[int]) -> int:
    return plan.images * math.prod(shape) * plan.dtype.itemsize


def _kernels() -> str:
    """The library that NumPy multiplies matrices with, and the kernels it chose."""
    from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

    for library in threadpool_info():
        if library["user_api"] == "blas":
            name = f"{library['internal_api']} {library['version']}"
            return f"{name} ({library['architecture']})" if "architecture" in library else name
    return "unknown BLAS"
