"""What goes through a network while its conversion follows it: no numbers, only where they will come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from torch import nn

from ...layers.base import Layer
from ...tensor import Shape

# What a function of PyTorch becomes: a function of the same arguments, and of the graph where it puts its layers.
Convert = Callable[..., Any]


class Unconvertible(Exception):  # noqa: N818 - it is no error yet: who catches it knows the place and says so
    """Something that has no counterpart in Colonnade, and the reason."""


class Shared(Unconvertible):
    """A parameter that two layers would learn."""


@dataclass(frozen=True)
class Value:
    """A tensor with an axis for the batch: what a node of the graph puts out, or an input.

    Where images are cut into windows and these moved into the axis of the batch, that axis is n · windows long. The
    node then puts out (n, windows, *shape).

    Attributes:
        name: The node's or input's.
        shape: Of one image, or of one window; None where the shapes are not known.
        windows: How many of each image stand in the axis of the batch; 0 where the images themselves do.
    """

    name: str
    shape: Shape | None
    windows: int = 0

    @property
    def batch(self) -> Batch:
        """The length of the first axis."""
        return Batch(Fraction(self.windows or 1))

    @property
    def whole(self) -> Shape:
        """What the node puts out of one image; raises Unconvertible where it is not known."""
        return (self.windows, *self.known) if self.windows else self.known

    @property
    def known(self) -> Shape:
        """The shape of one image; raises Unconvertible where it is not known."""
        if self.shape is None:
            raise Unconvertible("it depends on shapes: give from_torch the input_shape")
        return self.shape

    @property
    def rank(self) -> int:
        """How many axes there are, the batch's included."""
        return len(self.known) + 1

    def axis(self, dim: int) -> int:
        """An axis counted from the front, of one image; raises Unconvertible for another."""
        axis = dim + self.rank if dim < 0 else dim
        if not 1 <= axis < self.rank:
            raise Unconvertible(f"dim must be an axis of one image, 1 to {self.rank - 1}, got {dim}")
        return axis


@dataclass(frozen=True, eq=False)
class Array:
    """A tensor that is the same whatever the batch: a parameter or buffer of the module, or what was made of one.

    Attributes:
        path: Its name in the state dict.
        tensor: Its numbers.
        parameter: The parameter that it is, perhaps in another shape; None for what is not learned.
        images: Whether its first axis, of length 1, is the batch's.
    """

    path: str
    tensor: Any
    parameter: nn.Parameter | None = None
    images: bool = False

    @property
    def source(self) -> Any:
        """What holds the numbers: the parameter, or else the tensor."""
        return self.tensor if self.parameter is None else self.parameter

    @property
    def view(self) -> tuple[Any, ...]:
        """Which numbers these are, in which order: a matrix and its transpose are two views of the same."""
        return self.tensor.data_ptr(), self.tensor.shape, self.tensor.stride()

    @property
    def axes(self) -> tuple[int, ...] | None:
        """The order in which axes of what holds the numbers, reshaped to longest runs, are its own; None for others."""
        held, made = self.source, self.tensor
        if made is held:
            return tuple(range(made.ndim))
        if not held.is_contiguous() or made.data_ptr() != held.data_ptr() or made.numel() != held.numel():
            return None
        longer = [axis for axis in range(made.ndim) if made.shape[axis] > 1]
        outermost = iter(sorted(longer, key=lambda axis: -made.stride(axis)))
        order = [next(outermost) if axis in longer else axis for axis in range(made.ndim)]
        return tuple(order.index(axis) for axis in range(made.ndim)) if made.permute(order).is_contiguous() else None

    @property
    def straight(self) -> bool:
        """Whether its shape is that of what holds the numbers, but for axes of length 1."""
        shapes = [[size for size in each.shape if size != 1] for each in (self.source, self.tensor)]
        return shapes[0] == shapes[1] and self.axes == tuple(range(self.tensor.ndim))

    @property
    def number(self) -> float | None:
        """The only number of an array that is not learned."""
        return float(self.tensor) if self.parameter is None and self.tensor.numel() == 1 else None


Weights = dict[Layer, dict[str, Array]]  # of each layer, by its own names


def arrays_of(layer: Layer, module: nn.Module, path: str | None = None) -> dict[str, Array]:
    """What a layer has of its module, by the layer's names; `path` is the module's, if it matters."""
    found = {}
    for name in (*(name for name, _ in layer.parameters()), *layer.buffers):
        tensor: Any = module
        for part in name.split("."):
            tensor = getattr(tensor, part)
        named = "" if path is None else f"{path}.{name}".removeprefix(".")
        found[name] = Array(named, tensor, tensor if isinstance(tensor, nn.Parameter) else None)
    return found


def array_of(x: Any) -> Array:
    """An array of the module's own; raises Unconvertible for anything else."""
    if not isinstance(x, Array):
        raise Unconvertible("its weights must be parameters or buffers of the module")
    return x


def weights_of(**arrays: Any) -> dict[str, Array]:
    """Those of a layer that are there."""
    return {name: array_of(array) for name, array in arrays.items() if array is not None}


@dataclass(frozen=True)
class Turned:
    """A Value whose axes stand in another order, before anything is done about it.

    Images whose channels were moved last are mostly only so until they are moved back, and lie channels-last in
    memory anyway. Where the batch's axis is not in front, the tensor must be selected from to become a Value.

    Attributes:
        value: What it is of.
        dims: The axes of `value` in their new order.
        name: Of the node that moves the axes, if there must be one.
    """

    value: Value
    dims: tuple[int, ...]
    name: str

    @property
    def images(self) -> bool:
        """Whether these are images with channels moved last, (n, h, w, c)."""
        return self.dims == CHANNELS_LAST and not self.value.windows

    @property
    def steps(self) -> bool:
        """Whether these are sequences with their steps first, (t, n, d)."""
        return len(self.dims) == 3 and self.dims[1] == 0


CHANNELS_LAST = (0, 2, 3, 1)
STEPS_FIRST = (1, 0, 2)  # sequences (t, n, d)


@dataclass(frozen=True)
class Rows:
    """The steps of sequences, those of all images one after the other, (t · n, d): what each step is made of alone.

    Attributes:
        value: The sequences, (n, t, d).
    """

    value: Value


@dataclass(frozen=True)
class Merged:
    """Images whose channels stand one after the other, (1, n · c, h, w), each to be convolved with kernels of its own.

    Attributes:
        value: The images, (n, c, h, w).
    """

    value: Value


Tensor = Value | Turned | Rows | Merged


@dataclass(frozen=True)
class Fixed:
    """A tensor without an axis for the batch, made of parameters: the table of a relative position bias, looked up.

    Attributes:
        value: The same for each image, (n, *shape), of which this is one.
    """

    value: Value


@dataclass(frozen=True)
class Batch:
    """The number of images, which is not known, or so many times that number."""

    times: Fraction = Fraction(1)

    def __mul__(self, other: Any) -> Batch:
        return Batch(self.times * Fraction(other)) if isinstance(other, int | float) else NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, Batch):
            return _whole_or_float(self.times / other.times)
        return Batch(self.times / Fraction(other)) if isinstance(other, int | float) else NotImplemented

    def __floordiv__(self, other: Any) -> Any:
        result = self / other
        if isinstance(result, Batch) and result.times.denominator != 1:
            raise Unconvertible(f"the number of images is not known to be a multiple of {result.times.denominator}")
        return result if isinstance(result, Batch) else int(result // 1)

    def __repr__(self) -> str:
        return "the number of images" if self.times == 1 else f"{self.times} times the number of images"


def _whole_or_float(number: Fraction) -> int | float:
    return int(number) if number.denominator == 1 else float(number)


BATCH = Batch()


class UnknownSizes:
    """The shape of a tensor of which only the axis of the batch is known."""

    def __getitem__(self, axis: Any) -> Batch:
        if axis == 0 and isinstance(axis, int):
            return BATCH
        raise Unconvertible("it depends on shapes: give from_torch the input_shape")


class Nothing:
    """What a module puts out beside its output, and Colonnade does not, such as the weights of an attention."""


NOTHING = Nothing()
