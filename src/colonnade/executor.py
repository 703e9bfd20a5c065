"""The executor: which images, when, and on which core. It holds the memory that a plan described, and the threads.

The cut of a plan depends on shapes alone and lanes are folded in their order, so the results are the same bits for
any number of threads, whichever takes which lane.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .compiled import load
from .errors import LimitError, StateError
from .layers.base import Block, Bound, Direction, Lane, Prepared, Scratch
from .layers.wiring import Wiring
from .ops.activation import silent
from .ops.folding import fold
from .ops.layout import Array, as_written, empty, laid_shape
from .plan import Call, Kind, Plan, Segment
from .plan.cutting import even
from .steps import Edge, Step
from .tensor import Shape, Tensor, contiguous_runs
from .workers import WORKERS

# So many numbers of each lane's gradients are folded at a time: they fit the cache together. Less than that of
# parameters is not worth waking a worker for.
FOLDED = 1 << 15
# Plans that are kept, with their views, for shapes seen before.
PLANS = 8


class Memory:
    """The bytes that plans of one kind take turns in: made when first needed, enlarged when a plan needs more."""

    def __init__(self) -> None:
        self.batch: Array = np.empty(0, np.uint8)
        self.workers: list[Array] = []

    def fit(self, plan: Plan) -> bool:
        """Make room for a plan; true if any array was replaced, so that views into it are stale."""
        replaced = self.batch.nbytes < plan.batch_bytes
        try:
            if replaced:
                self.batch = np.empty(0, np.uint8)  # let go of the old one first
                self.batch = empty(plan.batch_bytes, np.uint8)
            for worker in range(plan.workers):
                if worker == len(self.workers):
                    self.workers.append(np.empty(0, np.uint8))
                if self.workers[worker].nbytes < plan.worker_bytes:
                    self.workers[worker] = empty(plan.worker_bytes, np.uint8)
                    replaced = True
        except MemoryError:
            raise LimitError(
                f"Model: a batch of {plan.images} images takes {plan.bytes:,} bytes, and they can't be had."
            ) from None
        return replaced


class Workspace:
    """What the passes of one kind take turns in: their memory, and the executors that run in it.

    A pass takes it out of its model and puts it back when it is done. One that is interrupted loses it: workers may
    still write to that memory, so that none is made use of again.
    """

    def __init__(self, kept: int = PLANS) -> None:
        self.memory, self.kept = Memory(), kept
        self._executors: dict[Hashable, Executor] = {}

    def executor(self, key: Hashable, make: Callable[[Memory], Executor]) -> Executor:
        """The executor that was made for `key`, or a new one; those of the last `kept` keys stay."""
        executor = self._executors.pop(key, None) or make(self.memory)
        if self.memory.fit(executor.plan):
            for other in self._executors.values():
                other.reset()
            executor.reset()
        self._executors[key] = executor  # the one used last stands last
        while len(self._executors) > self.kept:
            del self._executors[next(iter(self._executors))]
        return executor


class BlockTensor(Tensor):
    """What a layer is handed of an edge: views of a block's value and gradient, of just those that it declares.

    Args:
        edge: Whose numbers they are.
        images: How many images the block holds.
        dtype: Of all numbers.
        reader: Who is told off for asking for another.
    """

    __slots__ = ("reader",)

    def __init__(self, edge: Edge, images: int, dtype: DTypeLike, reader: str) -> None:
        super().__init__((images, *edge.shape), dtype)
        self.reader = reader

    def __getattr__(self, name: str) -> Array:
        raise StateError(f"{self.reader} asked for a {name} that it does not declare, or that nobody needs.")


class Executor:
    """Runs one plan.

    Args:
        plan: What to run.
        memory: Where; shared with other plans that are never half-way through at the same time.
        seed: Of the model, for the random numbers of layers such as Dropout.
    """

    def __init__(self, plan: Plan, memory: Memory, seed: int) -> None:
        self.plan = plan
        self.memory = memory
        self.seed = seed
        self.position: tuple[int, ...] = (0, 0)  # epoch and step: where the random streams stand
        self._add_parts = load("compiled.folding").fold if plan.compiled else fold
        # Whether a step may call BLAS: compiled leaves never do.
        self._multiplies = not all(step.compiled for step in plan.steps)
        self._input_gradient = True
        self._graded = plan.graded(True)
        self._prepared = {step: Prepared((plan.images, *step.shape)) for step in plan.steps}
        self._sizes = {step: sum(parameter.size for parameter in step.parameters) for step in plan.steps}
        self._outdated: set[Step] = set()  # whose record is another than the one that calls were bound to
        self._sums: dict[tuple[Step, Direction], Array] = {}  # (lanes, *the layer's shape)
        self._bound: dict[tuple[int, int, int, int], list[Bound]] = {}
        self._lanes: dict[int, tuple[list[Lane], list[Array]]] = {}  # of a segment, and the sums that it makes
        self._views: dict[tuple[Edge, Kind], Array] = {}

    def reset(self) -> None:
        """Forget all views, because the memory was replaced."""
        self._bound.clear()
        self._lanes.clear()
        self._views.clear()

    def view(self, tensor: Edge, kind: Kind) -> Array:
        """The whole batch of a tensor that exists as such."""
        view = self._views.get((tensor, kind))
        if view is None:
            place = self.plan.places[tensor, kind]
            view = self._array(self.memory.batch, place, self.plan.images, tensor.shape)
            self._views[tensor, kind] = view
        return view

    def _array(self, memory: Array, offset: int, images: int, shape: Shape, dtype: Any = None) -> Array:
        dtype = np.dtype(dtype or self.plan.dtype)
        laid = laid_shape((images, *shape))
        array = memory[offset : offset + math.prod(laid) * dtype.itemsize].view(dtype).reshape(laid)
        return as_written(array)

    def forward(self) -> None:
        """Run the forward pass on what was written to the sources."""
        self._run_held(range(len(self.plan.forward)))

    def backward(self, input_gradient: bool = True) -> None:
        """Run the backward pass on what was written to the results' gradients.

        Without `input_gradient`, what only the gradients at the sources need is left out.
        """
        if input_gradient is not self._input_gradient:
            self._input_gradient = input_gradient
            self._graded = self.plan.graded(input_gradient)
            forward = len(self.plan.forward)
            self._bound = {place: calls for place, calls in self._bound.items() if place[0] < forward}
        self._run_held(range(len(self.plan.forward), len(self.plan.segments)))

    def _run_held(self, indices: range) -> None:
        if self._multiplies:
            WORKERS.hold(self._run_all, indices)
        else:
            self._run_all(indices)

    @silent
    def _run_all(self, indices: range) -> None:
        if indices:
            direction = self.plan.segments[indices[0]].direction
            self._begin(self.plan.begins[direction], direction)
        for index in indices:
            self._run(index)

    def _run(self, index: int) -> None:
        segment = self.plan.segments[index]
        if segment.sums:
            self._begin(segment.sums, segment.direction)
        if index not in self._lanes:
            self._lanes[index] = self._make_lanes(segment), self._make_sums(segment)
        lanes, sums = self._lanes[index]
        for lane in lanes:
            lane.begin()
        for array in sums:
            array.fill(0)
        tasks = segment.cut.tasks

        def work(worker: int, number: int) -> None:
            for lane in tasks[number]:
                self._run_lane(index, worker, lane)

        self._share_out(work, len(tasks))
        self._fold(segment, lanes)

    def _share_out(self, work: Callable[[int, int], None], count: int) -> None:
        """Call `work(worker, number)` for each number, whichever worker takes it."""
        WORKERS.each(work, count, min(WORKERS.count, self.plan.workers))

    def _begin(self, steps: Sequence[Step], direction: Direction) -> None:
        """Have layers prepare what a pass in that direction, or the segment to come, needs: each worker some."""
        # Outside training most hooks find that nothing has changed.
        if self.plan.training and sum(self._sizes[step] for step in steps) > FOLDED:
            self._share_out(lambda worker, number: self._prepare(steps[number], direction), len(steps))
        else:
            for step in steps:
                self._prepare(step, direction)
        if self._outdated:
            self._forget_outdated()

    def _forget_outdated(self) -> None:
        """Have the calls bound anew of segments that hold a step in `_outdated`."""
        segments = self.plan.segments
        stale = {
            index for index in range(len(segments)) for call in segments[index].calls if call.step in self._outdated
        }
        self._bound = {place: calls for place, calls in self._bound.items() if place[0] not in stale}
        self._outdated.clear()

    def _prepare(self, step: Step, direction: Direction) -> None:
        prepared = self._prepared[step]
        lanes = self._sums.get((step, direction))
        sums = None if lanes is None else step.layer.total(lanes, direction)
        if direction == "forward":
            state = step.layer.begin_forward(prepared.state, prepared.shape, step.training, sums)
        else:
            state = step.layer.begin_backward(prepared.state, prepared.shape, sums)
        if state is not prepared.state and step.layer.binds_state:
            self._outdated.add(step)
        prepared.state = state

    def _make_lanes(self, segment: Segment) -> list[Lane]:
        if segment.gradients is None:
            return [Lane() for _ in segment.cut.lanes]
        lanes = []
        for row in self._copies(segment, segment.gradients):
            gradients, start = {}, 0
            for parameter in segment.parameters:
                gradients[parameter] = parameter.lay(row[start : start + parameter.size])
                start += parameter.size
            lanes.append(Lane(gradients))
        return [lanes[number] for number, task in enumerate(segment.cut.tasks) for _ in task]

    def _make_sums(self, segment: Segment) -> list[Array]:
        made = []
        for call in segment.calls:
            shape = call.step.layer.sums(call.step.training)
            if call.adds_sums and shape:
                made.append(np.zeros((len(segment.cut.lanes), *shape)))
                self._sums[call.step, call.direction] = made[-1]
        return made

    def _copies(self, segment: Segment, offset: int) -> Array:
        """The copies of a segment's gradients, (tasks, gradient size)."""
        return self._array(self.memory.batch, offset, len(segment.cut.tasks), (segment.gradient_size,))

    def _fold(self, segment: Segment, lanes: list[Lane]) -> None:
        """Add the lanes' gradients to the parameters', along a tree: the one place where lanes meet.

        Neighbours are added in pairs, then pairs of pairs. Each worker does so for some of the numbers.
        """
        if segment.gradients is None:
            return
        for lane in lanes:
            for parameter in lane.untouched:
                assert lane.gradients is not None
                lane.gradients[parameter].fill(0)
        copies = self._copies(segment, segment.gradients)
        pieces: list[tuple[int, Array]] = []  # where one begins in the copies, and what it is added to
        begin = 0
        for buffer, run in contiguous_runs(segment.parameters):
            for start, stop in even(run.start, run.stop, -(-(run.stop - run.start) // FOLDED)):
                pieces.append((begin + start - run.start, buffer.grad[start:stop]))
            begin += run.stop - run.start
        self._share_out(lambda worker, number: self._add_parts(copies, *pieces[number]), len(pieces))

    def _run_lane(self, index: int, worker: int, number: int) -> None:
        for block in range(len(self.plan.segments[index].cut.lanes[number])):
            calls = self._bound.get((index, worker, number, block))
            if calls is None:
                calls = self._bound[index, worker, number, block] = self._bind(index, worker, number, block)
            for function, arguments in calls:
                function(*arguments)

    def _bind(self, index: int, worker: int, number: int, block: int) -> list[Bound]:
        """Make the views of one block, once: after that a block costs its calls and nothing else."""
        segment = self.plan.segments[index]
        start, stop = segment.cut.lanes[number][block]
        lane = self._lanes[index][0][number]
        bound: list[Bound] = []
        # Whose gradients nothing was added to yet in this lane's copy.
        untouched = {*segment.parameters} if block == 0 and self._begins_copy(segment, number) else set()
        for call, offsets in zip(segment.calls, segment.scratch, strict=True):
            step = call.step
            if call.direction == "backward" and not step.learns and self._graded.isdisjoint(step.inputs):
                continue
            reader = f"{step.name}, {type(step.layer).__name__}:"
            tensors = {
                tensor: BlockTensor(tensor, stop - start, self.plan.dtype, reader)
                for tensor in (*step.inputs, *step.outputs)
            }
            for tensor, kind, _ in self.plan.touches(call):
                if kind == "grad" and tensor not in self._graded:
                    continue
                setattr(tensors[tensor], kind, self._block_array(segment, worker, tensor, kind, start, stop))
            scratch = {
                name: self._flat(self.memory.workers[worker], offsets[name], wanted)
                for name, wanted in call.scratch(stop - start).items()
            }
            places = self.plan.saved_places[step]
            saved = {
                name: self._flat(self.memory.batch, places[name], wanted)[start:stop]
                for name, wanted in self.plan.saved(step, self.plan.images).items()
            }
            sums = self._sums[step, call.direction][number] if call.adds_sums else None
            context = Block(
                step.training,
                start,
                stop - start,
                scratch,
                self._prepared[step],
                sums,
                lane,
                self._stream(step),
                saved,
                untouched & {*step.parameters},
            )
            if call.action == "backward":
                untouched.difference_update(step.parameters)
            x: Any = [tensors[tensor] for tensor in step.inputs]
            y: Any = [tensors[tensor] for tensor in step.outputs]
            x, y = x if isinstance(step.layer, Wiring) else x[0], y[0] if len(y) == 1 else y
            bound.extend(self._bound_calls(call, (x, context) if call.action == "sum_forward" else (x, y, context)))
        return bound

    @staticmethod
    def _begins_copy(segment: Segment, number: int) -> bool:
        """Whether a lane is the first of those that add to one copy of the gradients."""
        return any(task[0] == number for task in segment.cut.tasks)

    def _bound_calls(self, call: Call, arguments: tuple[Any, ...]) -> Sequence[Bound]:
        """What a call of the plan comes to on a block: the one place where a profiler need stand."""
        return call.step.layer.bind(call.action, *arguments)

    def _block_array(self, segment: Segment, worker: int, tensor: Edge, kind: Kind, start: int, stop: int) -> Array:
        if (tensor, kind) in self.plan.wide:
            return self.view(tensor, kind)[start:stop]
        return self._array(self.memory.workers[worker], segment.places[tensor, kind], stop - start, tensor.shape)

    def _flat(self, memory: Array, offset: int, wanted: Scratch) -> Array:
        """An array that a layer asked for, plainly C-contiguous."""
        dtype = np.dtype(wanted.dtype or self.plan.dtype)
        return memory[offset : offset + self.plan.size(wanted)].view(dtype).reshape(wanted.shape)

    def _stream(self, step: Step) -> Callable[[], np.random.Philox]:
        number = self.plan.places_in_model[step.name]
        return lambda: np.random.Philox(np.random.SeedSequence((self.seed, number, *self.position)))

    def poison(self) -> None:
        """Fill with NaN whatever the backward pass does not declare that it reads: for tests."""
        kept = [self.view(tensor, "value") for tensor in self.plan.kept]
        for step, offsets in self.plan.saved_places.items():
            for name, wanted in self.plan.saved(step, self.plan.images).items():
                kept.append(self._flat(self.memory.batch, offsets[name], wanted))
        copies = [array.copy() for array in kept]
        for memory in (self.memory.batch, *self.memory.workers):
            memory[: memory.nbytes // 8 * 8].view(np.float64).fill(np.nan)
        for array, copy in zip(kept, copies, strict=True):
            np.copyto(array, copy)
