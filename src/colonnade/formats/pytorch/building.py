"""The graph that a conversion builds: layers are put into it, tensors come out."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch

from ... import layers
from ...layers.base import Layer
from ...layers.wiring import Wiring
from ...tensor import Shape
from .modules import of_each_place, over_channels
from .tracing import warn
from .values import (
    CHANNELS_LAST,
    NOTHING,
    STEPS_FIRST,
    Array,
    Batch,
    Fixed,
    Merged,
    Rows,
    Shared,
    Tensor,
    Turned,
    Unconvertible,
    Value,
    Weights,
)
from .windows import as_images, over_windows


class Building:
    """Nodes by name, and the weights of their layers.

    Args:
        inputs: The names of the graph's inputs.
        holders: The names of what has weights, which no other node may have.

    Attributes:
        nodes: As a Graph takes them.
        name: Of the call at hand, for the node that it becomes.
        weights: The arrays of each layer, by the layer's own names.
    """

    def __init__(self, inputs: Sequence[str], holders: Collection[str] = ()) -> None:
        self.nodes: dict[str, tuple[Any, ...]] = {}
        self.name = ""
        self.weights: Weights = {}
        self._inputs, self._holders = inputs, holders
        self._turned: dict[Turned, Value] = {}
        self._constants: dict[Any, Value] = {}
        self._whole: dict[Any, tuple[Array, Value]] = {}  # of a parameter, the first constant that it became
        self._owners: dict[Any, tuple[Layer, str]] = {}  # of a parameter or buffer
        self._warned: set[str] = set()
        self._numbered: dict[str, int] = {}

    def put(self, layer: Layer, *operands: Any, name: str | None = None) -> Tensor:
        """Put a layer that reads `operands` into the graph; returns the tensor that it makes."""
        return self.weighed(layer, {}, *operands, name=name)

    def weighed(self, layer: Layer, arrays: dict[str, Array], *operands: Any, name: str | None = None) -> Tensor:
        """The same, for a layer with weights; by default it has the name of the module that holds them."""
        turned = [operand.value for operand in operands if isinstance(operand, Turned) and operand.images]
        if turned and len(turned) == len(operands) and (instead := over_channels(layer, arrays)):
            made = self._node(*instead, turned, name)
            return Turned(made, CHANNELS_LAST, f"{made.name}_permute")
        if len(operands) == 1 and isinstance(operands[0], Rows) and of_each_place(layer):
            return Rows(self._node(layer, arrays, [operands[0].value], name))
        if operands and of_each_place(layer) and all(isinstance(each, Turned) and each.steps for each in operands):
            made = self._node(layer, arrays, [self.sequence(each) for each in operands], name)
            return Turned(made, STEPS_FIRST, f"{made.name}_permute")
        if isinstance(layer, layers.Embedding) and isinstance(operands[0], Turned):  # numbers, the steps first
            ids = operands[0]
            made = self._node(layer, arrays, [ids.value], name)
            return Turned(made, (*ids.dims, len(ids.dims)), f"{made.name}_permute")
        values = [self.value(operand) for operand in operands]
        windows = _windows(values)
        moved = as_images(layer, values[0]) if windows else None
        rank = values[0].rank if windows else 0
        if windows:
            values = [Value(each.name, each.whole) for each in values]
        if moved is not None:
            before, layer, after = moved
            for each in before:
                values = [self._node(each, {}, values, None)]
            made = self._node(layer, arrays, values, name)
            for each in after:
                made = self._node(each, {}, [made], None)
            return _parted(made, windows)
        if windows:
            layer = over_windows(layer, windows, rank)
        if _are_rows(layer, values):
            *outer, features = values[0].known
            rows = self._node(layers.Reshape((math.prod(outer), features)), {}, values, None)
            made = self._node(layer, arrays, [rows], name)
            made = self._node(layers.Reshape((*outer, made.known[1])), {}, [made], None)
        else:
            made = self._node(layer, arrays, values, name)
        return _parted(made, windows)

    def parted(self, x: Tensor, windows: int) -> Value:
        """A tensor (n, windows, ...) whose windows are moved into the axis of the batch."""
        return _parted(self.value(x), windows)

    def together(self, x: Any) -> Value:
        """A tensor with its windows back beside the axis of the batch, (n, windows, ...)."""
        value = self.value(x)
        return Value(value.name, value.whole) if value.windows else value

    def _node(self, layer: Layer, arrays: dict[str, Array], values: Sequence[Value], name: str | None) -> Value:
        layer = self._own(layer, arrays)
        if name is None:
            holders = {array.path.removesuffix(f".{key}") for key, array in arrays.items()}
            whole = all(array.path.endswith(f".{key}") and array.straight for key, array in arrays.items())
            name = holders.pop() if len(holders) == 1 and whole else self.name
            held = bool(arrays) and whole
        else:
            held = bool(arrays)
        name = self._unused(name, held)
        shape = self._shape(layer, [value.shape for value in values])
        self.nodes[name] = (layer, *(value.name for value in values))
        return Value(name, shape)

    def constant(self, array: Array | Fixed, rank: int, windows: int = 0) -> Value:
        """An array as a tensor of the graph, for a batch of `rank` axes, of images or of windows."""
        if windows:
            return _parted(self.constant(array, rank + 1), 1)
        if isinstance(array, Fixed):
            return self._aligned(array.value, rank)
        shape = tuple(array.tensor.shape)
        if len(shape) > rank or (len(shape) == rank and shape[0] != 1):
            raise Unconvertible(f"{array.path} of shape {shape} can't be the same for every image")
        if len(shape) == rank:
            shape = shape[1:]
        shape = (*[1] * (rank - 1 - len(shape)), *shape)
        weight = Array(array.path, array.tensor.reshape(shape), array.parameter)
        key = (array.path, weight.view)
        if array.parameter is not None and key in self._constants:
            return self._constants[key]
        if array.parameter in self._whole and (made := self._seen_otherwise(*self._whole[array.parameter], weight)):
            self._constants[key] = made
            return made
        layer = layers.Constant(shape, learned=array.parameter is not None)
        name = array.path if array.straight else f"{array.path}.permuted"
        self._constants[key] = made = self._node(layer, {"weight": weight}, [], name)
        if array.parameter is not None:
            self._whole[array.parameter] = weight, made
        return made

    def _seen_otherwise(self, array: Array, value: Value, other: Array) -> Value | None:
        """The same parameter with its axes in another order and shape; None where that does not say it all."""
        if array.axes is None or other.axes is None:
            return None
        back, order = np.argsort(array.axes).tolist(), np.argsort(other.axes).tolist()
        moves = (
            layers.Permute((0, *(axis + 1 for axis in back))),
            layers.Reshape(tuple(other.tensor.permute(order).shape)),
            layers.Permute((0, *(axis + 1 for axis in other.axes))),
        )
        for layer in moves:
            moved = isinstance(layer, layers.Permute) and layer.dims != tuple(range(len(layer.dims)))
            if moved or (isinstance(layer, layers.Reshape) and layer.shape != value.shape):
                value = self._node(layer, {}, [value], None)
        return value

    def _aligned(self, value: Value, rank: int) -> Value:
        """What is the same for every image, as an operand beside a batch of `rank` axes."""
        shape = value.known
        if len(shape) > rank or (len(shape) == rank and shape[0] != 1):
            raise Unconvertible(f"what is made of parameters, of shape {shape}, can't be the same for every image")
        if len(shape) == rank:
            shape = shape[1:]
        shape = (*[1] * (rank - 1 - len(shape)), *shape)
        return value if shape == value.shape else self.value(self.put(layers.Reshape(shape), value))

    def turned(self, value: Value, dims: tuple[int, ...]) -> Tensor:
        """The tensor with its axes in another order; images with channels last only when somebody must have it so."""
        if dims == tuple(range(len(dims))):
            return value
        if (dims == CHANNELS_LAST and not value.windows) or dims[0] != 0:
            return Turned(value, dims, self.name)
        return self.put(layers.Permute(dims), value)

    def value(self, x: Any) -> Value:
        """A tensor that has an axis for the batch; raises Unconvertible for anything else."""
        if isinstance(x, Value):
            return x
        if isinstance(x, Turned) and x.dims[0] == 0:
            if x not in self._turned:
                self._turned[x] = self._node(layers.Permute(x.dims), {}, [x.value], x.name)
            return self._turned[x]
        if isinstance(x, Fixed):
            raise Unconvertible("what is made of parameters is the same for every image: expand it to the batch first")
        if isinstance(x, Array) and x.images:
            return self.constant(x, x.tensor.ndim)
        if isinstance(x, Array):
            raise Unconvertible(f"{x.path} is the same for every image: expand it to the batch, x.shape[0], first")
        if isinstance(x, Turned | Rows | Merged):
            raise Unconvertible("the axis of the batch must come first")
        raise Unconvertible(f"expected a tensor, got {describe(x)}")

    def sequence(self, x: Turned) -> Value:
        """Sequences (n, t, d), of which x has the steps first, (t, n, d)."""
        order = (0, x.dims[0], x.dims[2])
        return x.value if order == (0, 1, 2) else self.value(Turned(x.value, order, x.name))

    def pair(self, left: Any, right: Any) -> tuple[Any, Any]:
        """Two tensors that are calculated with element by element, of which one may be an array or a number."""
        if not isinstance(left, Value | Turned) and isinstance(right, Value | Turned):
            right, left = self.pair(right, left)
            return left, right
        left, right = (
            Turned(self.sequence(each), STEPS_FIRST, each.name) if isinstance(each, Turned) and each.steps else each
            for each in (left, right)
        )
        kept = isinstance(left, Turned) and (left.images or left.steps)
        left = left if kept else self.value(left)
        if isinstance(right, bool | int | float):
            right = Array("number", torch.tensor(float(right), dtype=torch.float64))
        if isinstance(right, Array | Fixed):
            return left, self._beside(left, right)
        if isinstance(left, Turned) and isinstance(right, Turned) and right.dims == left.dims:
            return left, right
        left, right = self.value(left), self.value(right)
        if left.shape is not None and right.shape is not None and left.rank != right.rank:
            raise Unconvertible(
                f"expected tensors of as many axes each, got {left.shape} and {right.shape} for one image"
            )
        return left, right

    def _beside(self, tensor: Tensor, array: Array | Fixed) -> Tensor:
        """An array, to be calculated with beside a tensor, element by element."""
        if not isinstance(tensor, Turned) or isinstance(array, Fixed):
            tensor = self.value(tensor)
            return self.constant(array, tensor.rank, tensor.windows)
        rank = len(tensor.dims)
        if array.tensor.ndim > rank:
            raise Unconvertible(f"{array.path} has more axes than the tensor that it meets")
        whole = array.tensor.reshape(*[1] * (rank - array.tensor.ndim), *array.tensor.shape)
        turned_back = whole.permute([tensor.dims.index(axis) for axis in range(rank)])
        made = self.constant(Array(array.path, turned_back, array.parameter), rank)
        return Turned(made, tensor.dims, f"{made.name}_permute")

    def join(self, kind: Any, left: Any, right: Any) -> Tensor:
        """Put a layer of two tensors, element by element."""
        left, right = self.pair(left, right)
        shapes = [
            each.value.shape if isinstance(each, Turned) else each.whole if each.windows else each.shape
            for each in (left, right)
        ]
        return self.put(kind(stretch=None in shapes or shapes[0] != shapes[1]), left, right)

    def warn(self, message: str) -> None:
        """Warn of something that is left out, once."""
        if message not in self._warned:
            self._warned.add(message)
            warn(f"{message} (first at {self.name})")

    def _own(self, layer: Layer, arrays: dict[str, Array]) -> Layer:
        """Give a layer its weights; the one that has them already, where the same is called again."""
        if not arrays:
            return layer
        sources = {name: array.source for name, array in arrays.items()}
        owners = {self._owners[source] for source in sources.values() if source in self._owners}
        for owner, path in owners:
            if all(array.parameter is None for array in arrays.values()):
                break  # what is not learned may stand in two places
            before = self.weights[owner]
            same = before.keys() == arrays.keys() and all(
                arrays[name].view == array.view for name, array in before.items()
            )
            if same and type(owner) is type(layer) and owner.config() == layer.config():
                return owner
            raise Shared(f"its weights belong to another layer too, as {path}")
        for name, source in sources.items():
            if arrays[name].parameter is not None or not isinstance(layer, layers.Constant):
                self._owners[source] = (layer, arrays[name].path)
        self.weights[layer] = arrays
        return layer

    def _unused(self, name: str, held: bool) -> str:
        made, number = name, self._numbered.get(name, 0)
        while made in self.nodes or made in self._inputs or (not held and made in self._holders):
            number += 1
            made = f"{name}_{number}"
        self._numbered[name] = number  # so that the next of that name does not try all of them again
        return made

    def _shape(self, layer: Any, shapes: Sequence[Shape | None]) -> Shape | None:
        """Of one image, at the layer's output."""
        if None in shapes:
            return None
        if isinstance(layer, Wiring):
            return layer.join(shapes)  # type: ignore[arg-type]
        return layer.build(shapes[0], np.random.default_rng(0))  # type: ignore[no-any-return]


def _are_rows(layer: Layer, values: Sequence[Value]) -> bool:
    """Whether a layer goes over the last axis of (height, width, features): images it would take for (c, h, w)."""
    norm = type(layer) in (layers.LayerNorm, layers.RMSNorm)
    along = norm and len(layer.normalized_shape) == 1  # type: ignore[attr-defined]
    return along and values[0].shape is not None and len(values[0].shape) >= 3


def _parted(made: Value, windows: int) -> Value:
    return Value(made.name, made.known[1:], made.known[0]) if windows else made


def _windows(values: Sequence[Value]) -> int:
    """How many windows of each image the operands of a layer have; 0 for images. What is stretched has one."""
    counts = {each.windows for each in values} or {0}
    if len(counts) > 1 and (0 in counts or len(counts - {1}) > 1):
        raise Unconvertible("images and windows of images can't be combined: the images of a batch would be mixed")
    return max(counts)


def describe(x: Any) -> str:
    """What was found where a tensor was expected."""
    if isinstance(x, Batch | int | float | str) or x is None:
        return repr(x)
    return "what has no counterpart" if x is NOTHING else type(x).__name__
