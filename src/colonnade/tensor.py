"""Tensor: a value and its gradient. Parameter: a Tensor that a layer learns, a view into a flat buffer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .errors import LimitError
from .limits import machine_memory
from .ops.layout import Array

Shape = tuple[int, ...]


class Tensor:
    """A value and its gradient, of one shape (the paper's Tensor).

    Both arrays are made lazily, as zeros, when first asked for: a tensor whose gradient nobody needs has none.

    Args:
        shape: The shape of both arrays.
        dtype: Their type, float32 by default.
    """

    __slots__ = ("shape", "dtype", "value", "grad")
    value: Array
    grad: Array

    def __init__(self, shape: Sequence[int], dtype: DTypeLike = np.float32) -> None:
        self.shape: Shape = tuple(shape)
        self.dtype = np.dtype(dtype)

    @classmethod
    def of(cls, value: Array, grad: Array | None = None) -> Tensor:
        """The Tensor that couples arrays which exist already."""
        tensor = cls(value.shape, value.dtype)
        tensor.value = value
        if grad is not None:
            tensor.grad = grad
        return tensor

    def __getattr__(self, name: str) -> Array:
        # Python comes here only when the slot is still empty, so a full one costs nothing.
        if name not in ("value", "grad"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        zeros = np.zeros(self.shape, self.dtype)
        object.__setattr__(self, name, zeros)
        return zeros

    @property
    def has_grad(self) -> bool:
        """Whether anybody needs the gradient: a layer may leave out the work where not."""
        try:
            object.__getattribute__(self, "grad")
        except AttributeError:
            return False
        return True

    def add_grad(self, gradient: Array) -> None:
        """Add to the gradient."""
        self.grad += gradient

    def zero_grad(self) -> None:
        """Set the gradient to zero."""
        if self.has_grad:
            self.grad.fill(0)

    def step(self, rate: float) -> None:
        """Step against the gradient: value ← value − rate · grad."""
        self.value -= rate * self.grad

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, dtype={self.dtype})"


class Initializer(Protocol):
    """Draws the first values of a parameter.

    `rectified` says that a ReLU follows, so that half of what the layer puts out will be cut to zero.
    """

    def __call__(self, shape: Shape, rng: np.random.Generator, rectified: bool) -> Array:
        """An array of `shape`."""
        ...


class Parameter(Tensor):
    """A named Tensor that a layer learns.

    A layer declares its parameters without allocating them; a model then lays all of them side by side in one
    :class:`ParameterBuffer`, of which `value` and `grad` are views.

    Args:
        shape: The shape users see, in the paper's order: a kernel is (c_out, c_in, k_h, k_w).
        initializer: Draws the first values; see :mod:`colonnade.initializers`.
        memory_axes: The order of the axes in memory, outermost first. A kernel lies as (k_h, k_w, c_in, c_out),
            the matrix that the column matrix is multiplied with.
    """

    __slots__ = ("name", "initializer", "memory_axes", "buffer", "start", "array", "gradient", "trainable", "fixed")

    def __init__(
        self, shape: Sequence[int], initializer: Initializer, *, memory_axes: Sequence[int] | None = None
    ) -> None:
        super().__init__(shape)
        self.name = ""
        self.initializer = initializer
        self.memory_axes = tuple(memory_axes or range(len(self.shape)))
        self.buffer: ParameterBuffer | None = None
        self.start = 0
        self.trainable = True  # Model.freeze says False: no gradient is computed, and optimizers leave it as it is
        self.fixed = False
        # The package's own views of value and grad. Who takes `value` may write to it whenever he likes, so the
        # buffer remembers that it was handed out; reading `array` leaves no such trace.
        self.array: Array = np.empty(0)
        self.gradient: Array = np.empty(0)

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    def lay(self, flat: Array) -> Array:
        """A flat array of the parameter's size as an array of its shape, the axes in memory as they should be."""
        laid = flat.reshape([self.shape[axis] for axis in self.memory_axes])
        return laid.transpose(np.argsort(self.memory_axes))

    def fix(self) -> None:
        """Make it a part of what its layer computes, as a blur's kernel is: saved, but neither learned nor listed."""
        self.fixed, self.trainable = True, False

    @property
    def value(self) -> Array:
        """The value: a view into the flat buffer, for reading and writing in place."""
        if self.buffer is None:
            ParameterBuffer([self], self.dtype)
        assert self.buffer is not None
        self.buffer.handed_out = True
        return self.array

    @value.setter
    def value(self, value: Array) -> None:
        self.value[...] = value

    @property
    def grad(self) -> Array:
        """The gradient: a view into the flat buffer."""
        if self.buffer is None:
            ParameterBuffer([self], self.dtype)
        return self.gradient

    @grad.setter
    def grad(self, gradient: Array) -> None:
        self.grad[...] = gradient

    def add_grad(self, gradient: Array) -> None:
        """Add to the gradient, unless the parameter is frozen."""
        if self.trainable:
            self.gradient += gradient

    @property
    def has_grad(self) -> bool:
        """Always: parameters are what is learned."""
        return True

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.shape})"


class ParameterBuffer:
    """The flat arrays in which parameters and their gradients lie side by side.

    An optimizer step, a norm or a sum over machines is then a few operations on one array.

    Args:
        parameters: Laid out in this order; each becomes a view.
        dtype: The type of both arrays.
        values: What each parameter begins with; zeros by default.

    Raises:
        LimitError: More than this process may have.
    """

    def __init__(
        self, parameters: Sequence[Parameter], dtype: DTypeLike, values: Iterable[ArrayLike] | None = None
    ) -> None:
        self.parameters = list(parameters)
        size = sum(parameter.size for parameter in self.parameters)
        if (needed := 2 * size * np.dtype(dtype).itemsize) > machine_memory():
            raise LimitError(
                f"Model: {size:,} parameters and their gradients take {needed:,} bytes, more than the "
                f"{machine_memory():,} there are."
            )
        self.value: Array = np.zeros(size, dtype)  # (size,)
        self.grad: Array = np.zeros(size, dtype)  # (size,)
        self.version = 0  # counts the writes that the package itself makes
        self.handed_out = False  # whether anybody outside may write unseen
        # A model that runs compiled says how work on these arrays is spread over threads: it calls the first argument
        # with every number below the second. None: what works on them does so in NumPy.
        self.spread: Callable[[Callable[[int], None], int], None] | None = None
        start = 0
        for parameter, value in zip(self.parameters, repeat(0) if values is None else values, strict=False):
            array = parameter.lay(self.value[start : start + parameter.size])
            array[...] = value
            parameter.start, parameter.dtype, parameter.array = start, self.value.dtype, array
            parameter.gradient = parameter.lay(self.grad[start : start + parameter.size])
            parameter.buffer = self  # last: where this is interrupted, a parameter has its value or no buffer
            start += parameter.size


def contiguous_runs(parameters: Sequence[Parameter]) -> list[tuple[ParameterBuffer, slice]]:
    """The fewest slices of flat buffers that cover `parameters`: one, for all the parameters of a model."""
    runs: list[tuple[ParameterBuffer, slice]] = []
    for parameter in parameters:
        if parameter.buffer is None:
            ParameterBuffer([parameter], parameter.dtype)
        assert parameter.buffer is not None
        start, stop = parameter.start, parameter.start + parameter.size
        if runs and runs[-1][0] is parameter.buffer and runs[-1][1].stop == start:
            start = runs.pop()[1].start
        runs.append((parameter.buffer, slice(start, stop)))
    return runs


def unchanged_since(parameters: Sequence[Parameter]) -> tuple[int, ...] | None:
    """What stays equal for as long as the parameters do; None where somebody may write to them unseen."""
    versions = []
    for parameter in parameters:
        buffer = parameter.buffer
        if buffer is None or buffer.handed_out:
            return None
        versions.append(buffer.version)
    return tuple(versions)
