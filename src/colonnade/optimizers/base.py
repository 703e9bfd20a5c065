"""What all optimizers share: a rule for plain 1-D arrays, run over the flat arrays in which parameters lie.

It runs on chunks of them that stay in cache from its first line to its last, and never sees a layer. Where the model
runs compiled its compiled form takes a chunk in one pass, on all threads, to the same bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from .. import arguments
from ..compiled import load, usable
from ..errors import ArgumentError, ShapeError
from ..ops.layout import Array
from ..tensor import Parameter, ParameterBuffer, contiguous_runs

# Numbers an update rule is given at once. At float32 a chunk of each array it touches is 256 KiB, and all of them
# stay in a core's second-level cache: 1.8 times as fast as whole arrays, and the scratch memory is small.
CHUNK = 65_536
# That a state may say were taken: more than anybody has the time for.
MOST_STEPS = 1 << 40
OF_A_GROUP = ("params", "lr", "weight_decay")


class Group(NamedTuple):
    """Parameters with a learning rate and a weight decay of their own.

    Attributes:
        parameters: In this order.
        share: Their learning rate, as a multiple of the optimizer's.
        weight_decay: Theirs; None for the optimizer's.
    """

    parameters: list[Parameter]
    share: float = 1.0
    weight_decay: float | None = None


# What an optimizer learns: parameters, or groups of them as `{"params": [...], "lr": 1e-4, "weight_decay": 0.0}`.
Params: TypeAlias = Iterable[Parameter] | Iterable[Mapping[str, Any]]


class Optimizer:
    """Steps parameters against their gradients: value ← value − lr · direction.

    A subclass names in `moments` the arrays it keeps between steps, and writes its rule in `update`. All arrays are
    made here, none by a step.

    As in PyTorch, parts of a model may learn at rates of their own::

        groups = [{"params": head.parameters()}, {"params": body.parameters(), "lr": 1e-5, "weight_decay": 0.0}]
        optimizer = cn.AdamW(groups, lr=1e-4)

    A group has the optimizer's `lr` and `weight_decay` unless it names its own. Its rate is kept as a multiple of the
    optimizer's: a schedule, which writes `lr`, moves the rates of all groups in proportion.

    Args:
        params: The parameters to learn, in any order; those left out stay as they are. Or groups of them, dicts with
            `params` and, as it may be, `lr` and `weight_decay`.
        lr: Learning rate; may be written between steps.
        weight_decay: λ, pulls every value towards zero.
        maximize: Climb the gradient instead.
        moments: Names of the arrays kept between steps, each with a number for every number of the parameters.

    Attributes:
        groups: One of all parameters, or as they were given.
        initial_lr: The rate that schedules start from: the one found by the first of them; None without any.

    Raises:
        ArgumentError: No parameters, the same twice, of several types, or a negative number. A group without `params`,
            with another setting than these, or with a rate of its own where that of the optimizer is 0.
    """

    decoupled_weight_decay = False
    needs_closure: ClassVar[bool] = False  # whether `step` is given a function that computes loss and gradients

    def __init__(
        self,
        params: Params,
        lr: float,
        weight_decay: float,
        maximize: bool,
        moments: Sequence[str] = (),
    ) -> None:
        self._lr = 0.0
        self.lr = lr
        self.initial_lr: float | None = None
        self.weight_decay = self._not_negative("weight_decay", weight_decay)
        self.maximize = arguments.flag(self._name, "maximize", maximize)
        self.groups = self._grouped(params)
        self.parameters = [parameter for group in self.groups for parameter in group.parameters]
        if not self.parameters:
            raise ArgumentError(f"{self._name}: expected parameters to learn, got an empty list.")
        if len(set(map(id, self.parameters))) < len(self.parameters):
            raise ArgumentError(f"{self._name}: every parameter must be given once, got one several times.")
        dtypes = {buffer.value.dtype for buffer, _ in contiguous_runs(self.parameters)}
        if len(dtypes) > 1:
            raise ArgumentError(f"{self._name}: parameters must be of one type, got {sorted(map(str, dtypes))}.")
        dtype = dtypes.pop()
        size = sum(parameter.size for parameter in self.parameters)
        self.steps = 0
        self.state: dict[str, Array] = {name: np.zeros(size, dtype) for name in moments}  # (size,) each
        self._scratch: Array = np.empty((2, min(size, CHUNK)), dtype)

    def update(self, value: Array, grad: Array, state: dict[str, Array], scratch: Array) -> None:
        """One step of one chunk: write `value` and `state`, leave `grad` as it is.

        Args:
            value: (chunk,).
            grad: (chunk,).
            state: The chunk's part of the moments, (chunk,) each; zeros before the first step.
            scratch: (2, chunk), uninitialised.
        """
        raise NotImplementedError

    def step(self) -> None:
        """Update every parameter from its gradient; those that are frozen stay."""
        self.steps += 1
        lr, weight_decay = self._lr, self.weight_decay
        position = 0
        try:
            for group in self.groups:  # whose rate and decay are what the rule reads
                self._lr = lr * group.share
                self.weight_decay = weight_decay if group.weight_decay is None else group.weight_decay
                for buffer, run, start in _trained(group.parameters, position):
                    buffer.version += 1  # before, since an interrupt may come in between, and after, since a call may
                    self._step(buffer, run, start)
                    buffer.version += 1
                position += sum(parameter.size for parameter in group.parameters)
        finally:
            self._lr, self.weight_decay = lr, weight_decay

    def trained(self) -> Iterator[tuple[ParameterBuffer, slice, int]]:
        """The runs of flat buffers that learn, those that are frozen left out, and where the state of each begins.

        They are asked for anew at each step: another model made of the same layers lays them out elsewhere.
        """
        return _trained(self.parameters)

    def _step(self, buffer: ParameterBuffer, run: slice, position: int) -> None:
        """Step a run of a flat buffer, whose moments begin at `position`, chunk by chunk."""
        compiled = None
        if buffer.spread is not None and usable():
            compiled = load("optimizers.compiled").compiled_update(self)

        def step(number: int) -> None:
            start = run.start + number * CHUNK
            chunk = slice(start, min(start + CHUNK, run.stop))
            at = position + number * CHUNK
            size = chunk.stop - start
            state = {name: array[at : at + size] for name, array in self.state.items()}
            if compiled is None:
                self.update(buffer.value[chunk], buffer.grad[chunk], state, self._scratch[:, :size])
            else:
                compiled(buffer.value[chunk], buffer.grad[chunk], state)

        chunks = -(-(run.stop - run.start) // CHUNK)
        if buffer.spread is not None and compiled is not None:
            buffer.spread(step, chunks)
        else:  # the scratch memory is one
            for number in range(chunks):
                step(number)

    def zero_grad(self) -> None:
        """Set the gradients to zero."""
        for buffer, run in contiguous_runs(self.parameters):
            buffer.grad[run].fill(0)

    def decay(self, value: Array, grad: Array, out: Array) -> Array:
        """The direction g = ±grad + λ · value, in `out`; `grad` itself where that is the same.

        Decoupled, the decay shrinks `value` itself, and g = ±grad.
        """
        if self.decoupled_weight_decay and self.weight_decay:
            value *= 1 - self.lr * self.weight_decay
        elif self.weight_decay:
            np.multiply(value, self.weight_decay, out=out)
            return np.subtract(out, grad, out=out) if self.maximize else np.add(out, grad, out=out)
        return np.negative(grad, out=out) if self.maximize else grad

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        # Python's own number: one of NumPy's of a wider type would widen the arithmetic of a step.
        self._lr = self._not_negative("lr", lr)

    def state_dict(self) -> dict[str, Array]:
        """A copy of what the next step depends on beside the parameters and the other constructor arguments."""
        copies = {name: array.copy() for name, array in self.state.items()}
        return {"step": np.array(self.steps, np.int64), "lr": np.array(self.lr, np.float64), **copies}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Go on, bit for bit, from where `state_dict` was called.

        Raises:
            ArgumentError: Arrays missing, or of another optimizer.
            ShapeError: Arrays for other parameters.
        """
        expected = self.state_dict()
        if set(state) != set(expected):
            raise ArgumentError(f"{self._name}: the state must hold {sorted(expected)}, got {sorted(state)}.")
        for name, array in expected.items():
            if np.shape(state[name]) != array.shape:
                raise ShapeError(
                    f"{self._name}: {name} must have the shape {array.shape}, got {np.shape(state[name])}."
                )
        steps = int(state["step"])
        if not 0 <= steps <= MOST_STEPS:
            raise ArgumentError(f"{self._name}: step must lie between 0 and {MOST_STEPS:,}, got {steps}.")
        self.lr, self.steps = float(state["lr"]), steps
        for name in self.state:
            self.state[name][...] = state[name]

    def _grouped(self, params: Params) -> list[Group]:
        """The groups that are meant: one, of parameters that are given as they are; raises ArgumentError."""
        if isinstance(params, type | Mapping) or not isinstance(params, Iterable):
            raise ArgumentError(f"{self._name}: expected model.parameters(), got {arguments.shown(params)}.")
        given: list[Any] = list(params)
        if given and isinstance(given[0], Mapping):
            return [self._group(each) for each in given]
        return [Group(self._listed(given))]

    def _group(self, given: Any) -> Group:
        if not isinstance(given, Mapping) or "params" not in given:
            raise ArgumentError(
                f"{self._name}: a group of parameters must be a dict with params, got {arguments.shown(given)}."
            )
        if unknown := [name for name in given if name not in OF_A_GROUP]:
            raise ArgumentError(
                f"{self._name}: a group of parameters may have {', '.join(OF_A_GROUP)}, got {arguments.shown(unknown)}."
            )
        params, decay = given["params"], given.get("weight_decay")
        lr = self._not_negative("lr of a group", given.get("lr", self.lr))
        if lr and not self.lr:
            raise ArgumentError(
                f"{self._name}: lr of a group is kept as a multiple of lr, which must then be positive, got 0."
            )
        return Group(
            self._listed([params] if isinstance(params, Parameter) else params),
            lr / self.lr if lr else float(lr == self.lr),
            None if decay is None else self._not_negative("weight_decay of a group", decay),
        )

    def _listed(self, params: Any) -> list[Parameter]:
        if isinstance(params, type | str | Mapping) or not isinstance(params, Iterable):
            raise ArgumentError(f"{self._name}: expected model.parameters(), got {arguments.shown(params)}.")
        listed = list(params)
        if strange := [each for each in listed if not isinstance(each, Parameter)]:
            raise ArgumentError(f"{self._name}: expected model.parameters(), got a {type(strange[0]).__name__} in it.")
        return listed

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _not_negative(self, name: str, number: float) -> float:
        return arguments.number(self._name, name, number, 0)

    def _betas(self, betas: Sequence[float]) -> tuple[float, float]:
        """Two shares of moments that are kept; raises ArgumentError."""
        made = arguments.numbers(self._name, "betas", betas, 0, below=1)
        if len(made) != 2:
            raise ArgumentError(f"{self._name}: betas must be two numbers, got {arguments.shown(betas)}.")
        return made[0], made[1]

    def _take_ways(
        self,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        """Check the ways to run a step that PyTorch's optimizers know: there is one here, a chunk after the other."""
        for name, way in (("foreach", foreach), ("fused", fused)):
            if way is not None:
                arguments.flag(self._name, name, way)
        given: dict[str, Any] = {"capturable": (capturable, False), "differentiable": (differentiable, False)}
        arguments.unsupported(self._name, "a step runs on the CPU, and has no gradient", **given)

    def __repr__(self) -> str:
        return f"{self._name}(lr={self.lr}, weight_decay={self.weight_decay})"


def _trained(parameters: Sequence[Parameter], position: int = 0) -> Iterator[tuple[ParameterBuffer, slice, int]]:
    """The runs of those that learn, and where the state of each begins, that of the first at `position`."""
    for trainable, alike in groupby(parameters, key=lambda parameter: parameter.trainable):
        for buffer, run in contiguous_runs(list(alike)):
            if trainable:
                yield buffer, run, position
            position += run.stop - run.start
