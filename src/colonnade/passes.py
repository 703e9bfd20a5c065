"""Passes: how a network runs. It makes plans, keeps the memory between passes, and knows whose backward pass is due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from . import arguments
from .compiled import usable, wanted
from .composites import Graph, Node
from .errors import ArgumentError, LimitError, ShapeError, StateError
from .executor import PLANS, Executor, Memory, Workspace
from .limits import machine_memory
from .network import Network
from .ops.layout import Array
from .plan import Plan
from .steps import Edge
from .tensor import Shape, contiguous_runs
from .turns import Turns
from .workers import WORKERS, spread

if TYPE_CHECKING:
    from .tracing import Trace

# Outside training a larger batch is run in runs of at most so many images, so that memory does not grow with it.
CHUNK_IMAGES = 256
# The part of the memory that plans which wait may take for themselves.
KEPT_PART = 8


class Runnable(Network):
    """A network that runs, forward and backward.

    Args:
        layers: Leaves and composites, or a Graph.
        seed: Of the first weights and of all random layers.
        dtype: The type of every number.
        share_memory: Whether tensors may share memory.
        compiled: Whether compiled leaves take the place of layers; None for what the environment says.

    Attributes:
        position: Epoch and step, where the random streams stand.
        pending: The executor whose backward pass is due, or None.
    """

    def __init__(
        self, layers: Sequence[Node] | Graph, seed: int, dtype: DTypeLike, share_memory: bool, compiled: bool | None
    ) -> None:
        super().__init__(layers, seed, dtype)
        self.share_memory = arguments.flag("Model", "share_memory", share_memory)
        self.compiled = None if compiled is None else arguments.flag("Model", "compiled", compiled)
        self._wants_compiled = wanted(self.compiled, self.dtype)
        self.position: tuple[int, ...] = (0, 0)
        self._turns = Turns()
        self._rebuilt()
        self._adopted()

    def _rebuilt(self) -> None:
        """Let go of all plans and memory."""
        self._workspaces: dict[bool, Workspace] = {}  # by whether a pass is training
        self.pending: Executor | None = None
        self._pending_trained = self._unrolled, self._unrolled.trained()  # what was in its forward pass

    def _adopted(self) -> None:
        if self._wants_compiled:
            for buffer, _ in contiguous_runs([*self._parameters.values()]):
                buffer.spread = spread

    def plan(self, shape: Sequence[Any], training: bool = False) -> Plan:
        """The plan for a batch of that shape, images first: its `bytes` are exact before anything is allocated.

        Outside training a batch of more than 256 images is cut into several runs, unless a layer must see the whole
        batch there too, and the plan is of one run.

        Args:
            shape: (n, c, h, w); where there are several inputs, the shape of each, all of the same n.
            training: Whether a backward pass follows.
        """
        shapes = self._shapes_of(shape)
        if any(len(each) < 2 or each[0] < 1 for each in shapes) or len({each[0] for each in shapes}) > 1:
            raise ShapeError(f"Model: expected the shape of a batch, images first, got {shape}.")
        self._fit(self._one_image(shapes))
        images = shapes[0][0]
        return Plan(
            self.steps,
            self.sources,
            self.results,
            images if training else self._run_images(images),
            training=training,
            dtype=self.dtype,
            share=self.share_memory,
            workers=WORKERS.count,
            compiled=self._wants_compiled and usable(self.compiled),
        )

    def _one_image(self, shapes: Sequence[Shape]) -> Any:
        """What `build` takes, from the shapes of a batch."""
        each = tuple(shape[1:] for shape in shapes)
        return each if len(each) > 1 else each[0]

    def _run_images(self, images: int) -> int:
        """Images of each run that a batch is cut into outside training: equal ones, of at most CHUNK_IMAGES."""
        if images <= CHUNK_IMAGES or any(step.layer.sums(False) for step in self.steps):
            return images  # what must see the whole batch sees it
        return -(-images // -(-images // CHUNK_IMAGES))

    @property
    def memory(self) -> dict[bool, Memory]:
        """What passes run in, by whether they are training."""
        return {training: workspace.memory for training, workspace in self._workspaces.items()}

    def _executor(self, workspace: Workspace, shapes: tuple[Shape, ...], training: bool) -> Executor:
        trained = self._unrolled.trained() if training else ()

        def make(memory: Memory) -> Executor:
            plan = self.plan(shapes if len(shapes) > 1 else shapes[0], training)
            self._require_room(plan)
            return Executor(plan, memory, self.seed)

        key = self._unrolled, self._unrolled.settings(), shapes, WORKERS.count, trained
        return workspace.executor(key, make)

    def _plans_kept(self) -> int:
        """How many plans stay: each may hold its kernels as it multiplies with them, about twice the parameters."""
        numbers = 2 * sum(parameter.size for parameter in self._parameters.values())
        most = machine_memory() if self.limits is None else self.limits.memory
        return max(1, min(PLANS, int(most / KEPT_PART) // max(1, numbers * self.dtype.itemsize)))

    def _require_room(self, plan: Plan) -> None:
        """Raise LimitError where a plan takes more memory than there is."""
        most = machine_memory() if self.limits is None else self.limits.memory
        needed = plan.bytes + self.prepared_bytes
        if needed > most:
            raise LimitError(
                f"Model: a batch of {plan.images} images takes {needed:,} bytes, more than the {most:,.0f} there "
                f"are; take fewer at a time, or see docs/limits.md."
            )

    # Running

    def __call__(self, x: Any, training: bool = False) -> Any:
        """The output for a batch `x`, images first: a fresh array, or a tuple of them.

        Numbers are taken as they are, where `fit` and `predict` divide bytes by 255.

        Args:
            x: (n, c, h, w), or whatever the first layer takes; anything with `__array__`. For several inputs a tuple
                of arrays, or a dict by the inputs' names.
            training: Whether `backward` follows.

        Raises:
            ShapeError: A batch that does not fit.
            ArgumentError: An empty batch, or one that does not hold numbers.
        """
        batches = self._check(x)
        outputs = self._turns.take(self._train if training else self._infer, batches)
        return self._as_said(outputs, self.output_axes)

    def _as_said(self, arrays: Sequence[Array], axes: Sequence[int | None]) -> Any:
        """Arrays as a caller has them: the batch where it is in the file, and one alone where there is one."""
        placed = [back(array, axis) for array, axis in zip(arrays, axes, strict=True)]
        return placed[0] if len(placed) == 1 else tuple(placed)

    def _train(self, batches: Sequence[Array]) -> list[Array]:
        """Run the batch so that its backward pass may follow."""
        shapes = tuple(batch.shape for batch in batches)
        self._fit(self._one_image(shapes))
        self.pending = None  # its memory is written over, and a pass that fails half-way leaves none
        workspace = self._workspaces.pop(True, None) or Workspace(self._plans_kept())
        executor = self._executor(workspace, shapes, True)
        self._pending_trained = self._unrolled, self._unrolled.trained()
        self._weights_changed()  # the running statistics do
        outputs = self._forward(executor, batches)
        self._workspaces[True], self.pending = workspace, executor
        return outputs

    def _infer(self, batches: Sequence[Array]) -> list[Array]:
        """Run the batch, in as many runs as keep the memory small."""
        shapes = tuple(batch.shape for batch in batches)
        self._fit(self._one_image(shapes))
        images = shapes[0][0]
        chunk = self._run_images(images)
        workspace = self._workspaces.pop(False, None) or Workspace(self._plans_kept())
        executor = self._executor(workspace, tuple((chunk, *shape[1:]) for shape in shapes), False)
        if chunk == images:
            outputs = self._forward(executor, batches)
        else:
            outputs = [np.empty((images, *result.shape), self.dtype) for result in self.results]
            for start in range(0, images, chunk):
                # The last run overlaps the one before, so that all are of one shape.
                run = slice(min(start, images - chunk), min(start + chunk, images))
                parts = self._forward(executor, [batch[run] for batch in batches])
                for output, part in zip(outputs, parts, strict=True):
                    output[run] = part
        self._workspaces[False] = workspace
        return outputs

    def _check(self, x: Any) -> list[Array]:
        """The batch of each input, as arrays that may be run."""
        if len(self.inputs) == 1:
            given = [x[self.inputs[0]]] if isinstance(x, Mapping) and self.inputs[0] in x else [x]
        elif isinstance(x, Mapping) and x.keys() == {*self.inputs}:
            given = [x[name] for name in self.inputs]
        elif isinstance(x, tuple | list) and len(x) == len(self.inputs):
            given = list(x)
        else:
            names = ", ".join(self.inputs)
            raise ArgumentError(f"Model: expected a batch for each input ({names}), got {type(x).__name__}.")
        given = [front(each, axis) for each, axis in zip(given, self.input_axes, strict=True)]
        shape = self.input_shape
        shapes = [None] * len(given) if shape is None else shape if len(given) > 1 else [shape]
        batches = [_batch(each, shape) for each, shape in zip(given, shapes, strict=True)]
        if len({len(batch) for batch in batches}) > 1:
            sizes = ", ".join(str(len(batch)) for batch in batches)
            raise ShapeError(f"Model: expected as many images of each input, got {sizes}.")
        return batches

    def _forward(self, executor: Executor, batches: Sequence[Array]) -> list[Array]:
        executor.position = self.position
        for source, batch in zip(self.sources, batches, strict=True):
            np.copyto(executor.view(source, "value"), batch, casting="unsafe")
        executor.forward()
        return [executor.view(result, "value").copy(order="C") for result in self.results]

    def backward(self, gradient: Any, *, input_gradient: bool = True) -> Any:
        """Carry the gradient at the last output back: adds to every parameter's grad.

        Args:
            gradient: Of the output's shape; a tuple where there are several outputs.
            input_gradient: Whether the gradient at the input is wanted; training a model saves its cost.

        Returns:
            The gradient at the input, a fresh array, or a tuple where there are several inputs. None if it was not
            wanted, or if the model is frozen at its lower end: nothing is then computed there.

        Raises:
            StateError: Before a forward call with `training=True`, a second time after one, or where something was
                frozen or thawed since.
            ShapeError: A gradient of another shape.
        """
        return self._turns.take(self._backward, gradient, input_gradient)

    def _backward(self, gradient: Any, input_gradient: bool) -> Any:
        executor = self.pending
        if executor is None:
            raise StateError("Model: backward before forward: call model(x, training=True) first.")
        unrolled, trained = self._pending_trained
        if unrolled.trained() != trained:
            raise StateError(
                "Model: what is trained has changed since the forward pass: call model(x, training=True) again."
            )
        plan = executor.plan  # of what ran forward: other sizes may have come since
        gradients = self._gradients(gradient, plan.images, plan.results)
        self.pending = None  # what was kept is used up
        workspace = self._workspaces.pop(True)
        for result, given in zip(plan.results, gradients, strict=True):
            np.copyto(executor.view(result, "grad"), given, casting="unsafe")
        executor.backward(input_gradient)
        at_inputs: list[Array] = []
        if input_gradient and plan.reaches_input:
            at_inputs = [executor.view(source, "grad").copy(order="C") for source in plan.sources]
        self._workspaces[True] = workspace
        return self._as_said(at_inputs, self.input_axes) if at_inputs else None

    def trace(self, x: Any, grad: Any = None, *, training: bool | None = None) -> Trace:
        """What goes through each layer for a batch: input, output and parameters as filled Tensors.

        The layers are those that the model was made of, each by itself, however a plan would join them. A copy runs,
        in NumPy and without sharing memory: gradients, running statistics and random state of this model stay as they
        are, so that it sees what the next call of the model would do, but for rounding where that runs compiled. It
        takes far more memory than such a call.

        Args:
            x: As for a call of the model.
            grad: As for `backward`: all tensors then have their gradients too, and parameters those of this pass alone.
            training: Whether the layers run as in training; by default where there is a `grad`.

        Returns:
            A list of :class:`~colonnade.tracing.Traced`, one for each layer as they run; printed, a table.

        Raises:
            ShapeError: A batch or a gradient that does not fit.
            LimitError: More memory than there is.
        """
        from .tracing import trace  # most models are never looked at so

        batches = self._check(x)
        shapes = tuple(batch.shape for batch in batches)
        backward = grad is not None
        training = backward if training is None else arguments.flag("Model", "training", training)
        self._turns.take(self.build, self._one_image(shapes))
        twin = self._turns.take(deepcopy, self)
        plan = Plan(
            *(twin.steps, twin.sources, twin.results, shapes[0][0]),
            training=training or backward,
            dtype=self.dtype,
            share=False,
            rewrite=False,
            rest=not training,
        )
        self._require_room(plan)
        memory = Memory()
        memory.fit(plan)
        for array in (memory.batch, *memory.workers):
            array.fill(0xFF)  # NaN: what a layer fails to write shows
        executor = Executor(plan, memory, self.seed)
        executor.position = self.position
        gradients = self._gradients(grad, shapes[0][0], self.results) if backward else None
        return trace(executor, [step.layer for step in self.steps], batches, gradients)

    def _gradients(self, gradient: Any, images: int, results: Sequence[Edge]) -> list[Array]:
        """The gradient at each output, as arrays; raises ShapeError where they do not fit."""
        several = len(results) > 1
        pairs = zip(gradient if several else [gradient], self.output_axes, strict=True)
        gradients = [front(np.asarray(each), axis) for each, axis in pairs]
        expected, got = [(images, *result.shape) for result in results], [each.shape for each in gradients]
        if expected != got:
            wanted, found = (shapes if several else shapes[0] for shapes in (expected, got))
            raise ShapeError(f"Model: expected a gradient of shape {wanted}, got {found}.")
        return gradients


def front(array: Any, axis: int | None) -> Any:
    """An array with the batch in front that is that axis of it, or one image of it; an input has one axis at least."""
    if axis == 0:
        return array
    array = arguments.array("Model", "x", array)
    if axis is None:
        return array.reshape(1, *(array.shape or (1,)))
    return np.moveaxis(array, axis, 0) if array.ndim > axis else array


def back(array: Array, axis: int | None) -> Array:
    """The array that `front` was given."""
    if axis == 0:
        return array
    return array[0] if axis is None else np.ascontiguousarray(np.moveaxis(array, 0, axis))


def _batch(x: ArrayLike, shape: Shape | None) -> Array:
    """One input's batch as an array; raises where it is none, or not of `shape`, one image's."""
    batch = arguments.array("Model", "x", x)
    if batch.ndim < 2:
        raise ShapeError(f"Model: expected a batch, images first, got an array of shape {batch.shape}.")
    if shape is not None and batch.shape == shape:
        raise ShapeError(f"Model: expected a batch, got one image of shape {batch.shape}: add an axis, x[None].")
    if len(batch) == 0:
        raise ArgumentError(f"Model: expected at least one image, got a batch of shape {batch.shape}.")
    return batch
