"""The contract of a leaf layer: all that the author of a new layer must learn."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..arguments import plain
from ..errors import ShapeError, StateError
from ..ops.layout import Array
from ..tensor import Parameter, Shape, Tensor

# The arguments that PyTorch's layers with parameters have for where these lie; see `arguments.placeless`.
PLACE = ("device", "dtype")

Direction = Literal["forward", "backward"]


# What is called on a block at every pass, and with what.
Bound = tuple[Callable[..., Any], tuple[Any, ...]]


# What a layer with so many axes of pixels takes.
INPUTS = {1: "sequences (c, l)", 2: "images (c, h, w)", 3: "volumes (c, d, h, w)"}


def expect_axes(layer: str, shape: Shape, axes: int) -> None:
    """Raise ShapeError for one input (c, ...) that has another number of axes of pixels."""
    if len(shape) != 1 + axes:
        raise ShapeError(f"{layer}: expected {INPUTS[axes]}, got an input of shape {shape}.")


def times(size: Sequence[int]) -> str:
    """Sizes for a person: 3×4."""
    return "×".join(map(str, size))


class Scratch(NamedTuple):
    """An array that a layer needs for the length of one call. Its content does not outlive the call."""

    shape: Shape
    dtype: DTypeLike | None = None  # None: the model's own type


class Lane:
    """The gradients of parameters that one fixed run of blocks adds up by itself.

    Args:
        gradients: An array for each parameter, of its shape; None to add straight to the parameters' own.
    """

    __slots__ = ("gradients", "untouched", "bound")

    def __init__(self, gradients: dict[Parameter, Array] | None = None) -> None:
        self.gradients = gradients
        self.untouched: set[Parameter] = set()
        self.bound: set[Parameter] = set()  # those whose gradient a bound call overwrites at every pass

    def begin(self) -> None:
        """Forget all: what is added first will overwrite, so nothing need be zeroed."""
        if self.gradients is not None:
            self.untouched = self.gradients.keys() - self.bound


class Prepared:
    """What a layer prepared for the pass that is under way: the record that its `begin_` hooks return.

    Args:
        shape: Of the whole batch at the layer's input.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.state: Any = None


class Block:
    """A few images of the batch in the hands of one worker: what a layer may use beside its tensors.

    Attributes:
        training: Whether this is a training pass.
        start: Position of the block's first image in the batch.
        images: How many images the block holds.
        scratch: The arrays that the layer's `scratch` asked for, by name, uninitialised.
        saved: The block's part of the arrays that the layer's `saved` asked for, by name; empty where no backward
            pass follows.
        state: The record that the layer's `begin_forward` returned, or its `begin_backward`; all blocks read it.
        sums: The float64 accumulator of this lane, of the shape that the layer's `sums` asked for.
    """

    __slots__ = ("training", "start", "images", "scratch", "saved", "sums", "_prepared", "_lane", "_stream", "_first")

    def __init__(
        self,
        training: bool,
        start: int,
        images: int,
        scratch: dict[str, Array],
        prepared: Prepared,
        sums: Array | None = None,
        lane: Lane | None = None,
        stream: Callable[[], np.random.Philox] | None = None,
        saved: dict[str, Array] | None = None,
        first: Container[Parameter] = (),
    ) -> None:
        self.training = training
        self.start = start
        self.images = images
        self.scratch = scratch
        self.saved = saved or {}
        self._prepared = prepared
        self.sums: Array = np.empty(0) if sums is None else sums
        self._lane = lane or Lane()
        self._stream = stream
        self._first = first

    @property
    def state(self) -> Any:
        return self._prepared.state

    def grad(self, parameter: Parameter) -> Array:
        """The lane's own gradient of `parameter`, to add to in place; the lanes are folded when all are through."""
        gradient, untouched = self._claim(parameter)
        if untouched:
            gradient.fill(0)
        return gradient

    def first_grad(self, parameter: Parameter) -> Array | None:
        """For `bind`: the lane's gradient of `parameter`, where the bound calls are the first to touch it in a pass.

        They have then to overwrite it. Else None: they add to it.
        """
        if self._lane.gradients is None or parameter not in self._first:
            return None
        self._lane.bound.add(parameter)
        self._lane.untouched.discard(parameter)
        return self._lane.gradients[parameter]

    def add_grad(self, parameter: Parameter, gradient: Array) -> None:
        """Add `gradient` to the lane's gradient of `parameter`, unless that is frozen.

        `gradient` has the parameter's shape, or one in which an axis of that is parted into several.
        """
        if not parameter.trainable:
            return
        total, untouched = self._claim(parameter)
        total = total.reshape(gradient.shape)
        if untouched:
            np.copyto(total, gradient)
        else:
            np.add(total, gradient, out=total)

    def _claim(self, parameter: Parameter) -> tuple[Array, bool]:
        lane = self._lane
        if not parameter.trainable:
            return np.empty_like(parameter.array), True  # where nobody looks
        if lane.gradients is None:
            return parameter.gradient, False
        untouched = parameter in lane.untouched
        lane.untouched.discard(parameter)
        return lane.gradients[parameter], untouched

    def random(self, out: Array) -> Array:
        """Fill `out`, of shape (images, 8 · k) and float32, with uniform numbers in [0, 1).

        They depend on the seed, the step and the image's place in the batch alone: not on how the batch is cut,
        nor on who asks, nor on how often.
        """
        assert self._stream is not None
        stream = self._stream()
        # Philox counts: its n-th group of eight numbers is found without drawing those before it.
        stream.advance(self.start * out.shape[1] // 8)
        np.random.Generator(stream).random(out=out, dtype=np.float32)
        return out

    def key(self, out: Array) -> None:
        """Write the key of the stream that `random` draws from, (2,) uint64: for who draws from it without NumPy."""
        assert self._stream is not None
        np.copyto(out, self._stream().state["state"]["key"])


class Layer:
    """A leaf of a model: built once from an input shape, it computes forward and backward on a block of images.

    A subclass holds serial NumPy code and nothing else: no thread, no array as large as an activation, no global
    flag. It writes into the arrays it is handed. What it declares here lets the plan share and re-make memory.

    Class attributes, with their defaults:
        reads: What `backward` reads of the values: any of `"input"` and `"output"`.
        in_place: `forward` may write its output over its input, and `backward` the gradient at the input over the
            gradient at the output. For elementwise layers.
        cheap: Running `forward` again costs less than keeping its output until `backward` reads it.
        views: Directions, `"forward"` and `"backward"`, in which the layer only copies; the plan then lets both
            sides share memory and makes no call.
        monotone: The layer is elementwise and never decreases, so a maximum may be taken before it as well as after.
        takes_maximum: The layer picks the greatest numbers of its input: a monotone layer may be moved behind it.
        vanishes: Outside training the layer hands its input on as it is.
        wants_batch: The layer works best on as many images at once as there are: it multiplies by a large matrix.
        trainable: False for a layer that was frozen (`Model.freeze`): its parameters stay, and where nothing below it
            is trained either it runs as outside training.
        stands_for: Of a compiled leaf, the layers whose work it does, in their order.
        binds_state: What `bind` returns holds arrays of `block.state`: it is asked again where a `begin_` hook returns
            another record than before.
        rectifies: True for the ReLU family, None for what lets it be seen through (pools, norms), False for the rest.
            It decides the first weights of the layer before.
        buffers: Names of the arrays that are saved with the parameters but not learned.
        ignored: Names of constructor arguments that are taken for PyTorch's sake and change nothing: they are not kept.
        changes: Another object whenever a setting of any layer was changed: plans were made under them, calls bound.
    """

    reads: ClassVar[set[str]] = {"input"}
    in_place: ClassVar[bool] = False
    cheap: ClassVar[bool] = False
    views: ClassVar[set[str]] = set()
    monotone: bool = False
    takes_maximum: ClassVar[bool] = False
    vanishes: ClassVar[bool] = False
    wants_batch: bool = False
    trainable: bool = True
    stands_for: tuple[Layer, ...] = ()
    binds_state: ClassVar[bool] = False
    rectifies: ClassVar[bool | None] = False
    buffers: tuple[str, ...] = ()
    ignored: ClassVar[tuple[str, ...]] = ()
    changes: ClassVar[object] = object()

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, np.ndarray):  # running statistics change at every pass
            object.__setattr__(self, name, value)
            return
        Layer.changes = object()  # before, since an interrupt may come in between, and after, since a call may
        object.__setattr__(self, name, value)
        Layer.changes = object()

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        """Check the shape of one input (without the batch), and return that of the output.

        Parameters are best declared in the constructor. One whose shape depends on the input is declared here,
        drawing from `rng`.
        """
        return shape

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        """Read `x.value`, write `y.value`."""
        raise NotImplementedError

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        """Read `y.grad` and what `reads` declares, overwrite `x.grad`, add to `block.grad(parameter)`.

        `x.has_grad` is false where nobody needs the gradient at the input. `block.training` says which kind of forward
        pass came before.
        """
        raise NotImplementedError

    def bind(self, action: str, *arguments: Any) -> Sequence[Bound]:
        """What is called on a block at every pass for one of `forward`, `backward`, `sum_forward`, `sum_backward`.

        Args:
            action: Which.
            arguments: Those of that method: the same tensors and the same block in every pass.
        """
        return [(getattr(self, action), arguments)]

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        """The arrays that a call in that direction needs, for a block of input `shape` (images first)."""
        return {}

    def only_copies(self, shape: Shape, direction: Direction) -> bool:
        """Whether the layer does no more than copy, for one input of that shape: what `views` says by default."""
        return direction in self.views

    def check(self, shape: Shape, training: bool) -> None:
        """Raise ShapeError where a batch of that shape, images first, cannot be run; called before anything is."""

    def saved(self, shape: Shape) -> dict[str, Scratch]:
        """Arrays, images first, that `forward` writes and `backward` reads, for an input of `shape`."""
        return {}

    def begin_forward(self, before: Any, shape: Shape, training: bool, sums: Array | None) -> Any:
        """Once before the forward pass, alone: make what all blocks read, a record of the layer's own type.

        Args:
            before: What the hooks returned last for this step of the model, None at first: arrays in it may be written
                over.
            shape: The input's shape, the whole batch.
            training: Whether this is a training pass.
            sums: The lanes' sums, folded, if the layer asked for any.

        Returns:
            What blocks see as `block.state`.
        """

    def begin_backward(self, state: Any, shape: Shape, sums: Array | None) -> Any:
        """Once before the backward pass, alone: as `begin_forward`, from what that returned."""
        return state

    def sums(self, training: bool) -> Shape | None:
        """The shape of the sums over the whole batch that each direction must see before it starts; None for none."""
        return None

    def total(self, lanes: Array, direction: Direction) -> Array:
        """What the lanes' sums, (lanes, *sums), are together, for `begin_forward` or `begin_backward`."""
        total: Array = lanes.sum(axis=0)
        return total

    def sum_forward(self, x: Tensor, block: Block) -> None:
        """Add this block's share to `block.sums`, for `begin_forward`."""

    def sum_backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        """Add this block's share to `block.sums`, for `begin_backward`. May read `x.value`."""

    def fold(self, following: Layer) -> Layer | None:
        """A layer that does this one's work and that of `following` outside training, or None."""
        return None

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        """The layer's parameters by name, in the order in which the constructor made them."""
        for name, attribute in vars(self).items():
            if isinstance(attribute, Parameter):
                yield name, attribute

    def multiplications(self, shape: Shape) -> int:
        """Multiplications and additions of one image's forward pass, counted as one each pair."""
        return 0

    def work(self, shape: Shape) -> int:
        """What one image's forward pass takes beside reading its input and writing its output once.

        In multiplications of a matrix product; `NUMBER` of them for each other number that is read or written, `CALL`
        for each call of NumPy (see :mod:`colonnade.limits`). A model from a file may not take more than is allowed.
        """
        return self.multiplications(shape)

    def prepared_bytes(self, shape: Shape) -> int:
        """Bytes of what the layer makes for one image's `shape` beside the plan's memory: matrices, index tables."""
        return 0

    def parts(self) -> Mapping[str, Layer]:
        """The layers that do this one's work one after the other, by their places in it: mostly itself, at ""."""
        return {"": self}

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, from the attributes of the same names: what a model file stores.

        Raises:
            StateError: An argument that is not kept under its name.
        """
        arguments = self._arguments()
        if missing := [name for name, value in arguments.items() if value is inspect.Parameter.empty]:
            raise StateError(
                f"{type(self).__name__}: the argument {missing[0]} must be kept as an attribute of its name."
            )
        return arguments

    def _arguments(self) -> dict[str, Any]:
        values = {
            name: getattr(self, name, inspect.Parameter.empty)
            for name in _argument_names(type(self).__init__, self.ignored)
        }
        # As in PyTorch, `bias` is an argument that says whether, and an attribute that is the parameter or None.
        return {
            name: isinstance(value, Parameter)
            if isinstance(value, Parameter) or (name == "bias" and not value)
            else plain(value)
            for name, value in values.items()
        }

    def settings(self) -> tuple[Any, ...]:
        """The constructor's arguments that are numbers, words and flags, None for each other.

        They may be changed by hand. A pass runs in a plan that was made, and by calls that were bound, under those of
        its beginning.
        """
        values = (getattr(self, name, None) for name in _argument_names(type(self).__init__, self.ignored))
        return tuple(value if isinstance(value, int | float | str | np.generic) else None for value in values)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self._arguments().items())
        return f"{type(self).__name__}({arguments})"


def computes_otherwise(layer: Layer) -> bool:
    """Whether a layer's class is from elsewhere and changes what it has from one of this package.

    What takes the place of such a layer would not know of the change.
    """
    package, kinds = __name__.partition(".")[0], type(layer).__mro__
    place = next(place for place, kind in enumerate(kinds) if kind.__module__.partition(".")[0] == package)
    own = (name for kind in kinds[:place] for name in vars(kind) if not name.startswith("__"))
    return any(hasattr(kinds[place], name) for name in own)


@lru_cache
def _argument_names(constructor: Callable[..., None], ignored: tuple[str, ...]) -> tuple[str, ...]:
    """The arguments of a constructor, without those that it ignores."""
    if constructor is object.__init__:
        return ()
    return tuple(name for name in inspect.signature(constructor).parameters if name not in ("self", *ignored))
