"""The graph that a file becomes: layers are put in one by one, under names of their own, equal weights once."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from ...layers import Constant, Expand, Flatten, Layer, Permute, Reshape
from ...layers.wiring import Wiring
from ...limits import Limits
from ...ops.layout import Array
from ...tensor import Initializer, Parameter, Shape
from .folding import MOST_NUMBERS, Folding
from .names import Names, digest
from .values import Images, Known, Layout, UnsupportedError, Value

WEIGHT = r"(.+)\.(weight|bias|running_mean|running_var)"  # of a layer that is called as the first part is


class Builder:
    """What conversions put layers into.

    Args:
        constants: The file's arrays by name.
        limits: What the model may take.
        names: Those of nodes that the file has at other sizes; new ones are added.

    Attributes:
        nodes: Of the graph that is made, by name: a layer, and what it reads.
        images: How many images the file was written for; None where it is for any number.
        fold: Computes what is known.
        shapes: One image's, of each input and node of ours.
        origins: Nodes that only reshape: of what.
        fixed: Nodes whose weights only say what the operator does.
        selections: Nodes whose rows say which boxes are kept, those that are left over being −1.
        origin: An output of the ONNX node that is converted.
    """

    def __init__(self, constants: Mapping[str, Array], limits: Limits | None, names: Names | None) -> None:
        self.nodes: dict[str, tuple[Any, ...]] = {}
        self.images: int | None = None
        self.fold = Folding(limits)
        self.shapes: dict[str, Shape] = {}
        self.origins: dict[str, str] = {}
        self.fixed: list[str] = []
        self.selections: set[str] = set()
        self.origin = ""
        # Names of what holds weights, which nothing else may have.
        parts = (re.fullmatch(WEIGHT, name) for name in constants)
        self._holders = {part.group(1) for part in parts if part}
        # Layers and constants that stand here already, and the arrays that they are known by, which must live on.
        self._shared: dict[tuple[Any, ...], tuple[Any, Any]] = {}
        self._drawn: list[tuple[Parameter, Initializer]] = []
        self._names = names or Names(constants)
        self._seen: Counter[Hashable] = Counter()
        self._taken = self._names.given()
        self._numbered: dict[str, int] = {}  # the last number that a name was given

    def named(self, *wishes: str, holds: bool = False) -> str:
        """A name that no node has: the first of the wishes that is free, or the last with a number.

        Args:
            wishes: The better first.
            holds: Whether the node has weights; others may not have the name of one that has.
        """
        cleaned = [re.sub(r"[^\w.:-]+", "_", wish).strip("._") or "node" for wish in wishes]
        others: set[str] = set() if holds else self._holders
        free = next((each for each in cleaned if each not in self._taken and each not in others), None)
        last = cleaned[-1]
        while free is None:
            self._numbered[last] = number = self._numbered.get(last, 1) + 1
            numbered = f"{last}_{number}"
            free = None if numbered in self._taken or numbered in others else numbered
        self._taken.add(free)
        return free

    def emit(
        self,
        layer: Layer,
        inputs: Sequence[Images],
        layout: Layout,
        *names: str,
        dtype: np.dtype[Any] | None = None,
        weights: Mapping[str, Array] | None = None,
    ) -> Images:
        """Put a layer into the graph.

        Args:
            layer: A new one.
            inputs: What it reads.
            layout: Of its output.
            names: What it may be called; the first that is free.
            dtype: The type of the output in ONNX; by default the first input's.
            weights: The layer's parameters and buffers.
        """
        shapes = [self.shapes[each.node] for each in inputs]
        shape = layer.join(shapes) if isinstance(layer, Wiring) else layer.build(shapes[0], np.random.default_rng(0))
        if shape != layout.image:
            raise UnsupportedError(
                f"it makes {shape} of {', '.join(map(str, shapes))} where {layout.image} is expected"
            )
        if math.prod(shape) > MOST_NUMBERS:
            raise UnsupportedError(f"its output, {shape} for each image, is more than we run")
        if weights:
            layer = self._weighed(layer, weights, names)
        key = self._names.key(layer, weights or {}, self.origin, self._seen)
        made = self._names.of(key) or self.named(*names, holds=bool(weights))
        self._names.give(key, made)
        self.nodes[made] = (layer, *(each.node for each in inputs))
        self.shapes[made] = shape
        return Images(made, layout, inputs[0].dtype if dtype is None else dtype)

    def _weighed(self, layer: Layer, weights: Mapping[str, Array], names: Sequence[str]) -> Layer:
        """A layer with its weights; the one that has the very same already, where a network calls it again."""
        owners = self._holders.intersection(names)  # others may hold equal numbers
        places = tuple((name, _place(array)) for name, array in weights.items())
        key = (type(layer), repr(layer.config()), frozenset(owners), places)
        if key not in self._shared:
            for name, array in weights.items():
                self._give(layer, name, array)
            self._shared[key] = layer, weights
        shared: Layer = self._shared[key][0]
        return shared

    def _give(self, layer: Layer, name: str, array: Array) -> None:
        """Make an array a parameter's first values, or a buffer."""
        if 0 in array.strides and array.size > 1:  # one number repeated takes memory from here on
            self.fold.take(array.size)
        target = getattr(layer, name)
        if target.shape != array.shape:
            raise UnsupportedError(f"its {name} must have the shape {target.shape}, got {array.shape}")
        if isinstance(target, Parameter):
            self._drawn.append((target, target.initializer))
            target.initializer = _given(array)
        else:
            setattr(layer, name, array.astype(np.float64))

    def constant(self, array: Array, layout: Layout, name: str | None, dtype: np.dtype[Any]) -> Images:
        """An array that is the same for every image, as the output of a node.

        It is learned if the file holds it under a name, and it is more than one number: so are position embeddings.
        """
        learned = name is not None and array.dtype.kind == "f" and array.size > 1 and bool(np.isfinite(array).all())
        learned = learned and not re.match(r"onnx::|_?val_|\d+$", str(name))
        shape = layout.image or (1,)
        self.fold.require(math.prod(shape))
        full = np.broadcast_to(array, layout.image).reshape(shape)
        # What is not learned is the same where its numbers are.
        key = (shape, str(dtype), (name, _place(array)) if learned else digest(full))
        if key not in self._shared:
            flat = Layout((1, *shape), 0)
            layer = Constant(shape, learned)
            emitted = self.emit(layer, [], flat, name or "constant", dtype=dtype, weights={"weight": full})
            self._shared[key] = emitted, array
        made: Images = self._shared[key][0]
        return made if layout.image else self.emit(Reshape(()), [made], layout, f"{made.node}.scalar")

    def reshaped(self, x: Images, layout: Layout, name: str = "") -> Images:
        """The numbers of each image in another shape; nothing where the shape stays, or comes back."""
        if layout.image == self.shapes[x.node]:
            return Images(x.node, layout, x.dtype, None)
        origin = self.origins.get(x.node, x.node)
        if self.shapes[origin] == layout.image:
            return Images(origin, layout, x.dtype, None)
        source = Images(origin, x.layout, x.dtype)
        layer = Flatten() if len(layout.image) == 1 < len(self.shapes[origin]) else Reshape(layout.image)
        made = self.emit(layer, [source], layout, name or f"{origin}.reshape")
        self.origins[made.node] = origin
        return made

    def transposed(self, x: Images, order: Sequence[int], name: str = "") -> Images:
        """With the axes, as ONNX sees them, in another order."""
        dims = [dim for axis in order for dim in x.layout.dims(axis)]
        layout = x.layout.permuted(order)
        # Axes of length 1 may stand anywhere.
        long = [dim for dim in dims if self.shapes[x.node][dim - 1] > 1]
        if long == sorted(long):
            return self.reshaped(x, layout, name)
        return self.emit(Permute((0, *dims)), [x], layout, name or f"{x.node}.transpose")

    def per_image(self, array: Array, layout: Layout) -> Array:
        """A known array, of as many axes as the layout, as every image sees it: it must be the same for all."""
        axis = layout.batch
        if axis is None:
            return array
        places = array.shape[axis]
        differs = f"a constant of shape {array.shape} differs from image to image along axis {axis}"
        if places != 1:
            images = self.images or 0
            if not images or places != layout.outer * images * layout.inner:
                raise UnsupportedError(differs)
            parts = array.reshape(*array.shape[:axis], layout.outer, images, layout.inner, *array.shape[axis + 1 :])
            first = parts[(*[slice(None)] * (axis + 1), slice(0, 1))]
            if not (parts == first).all():
                raise UnsupportedError(differs)
            array = np.squeeze(first, axis + 1)
        else:
            array = np.expand_dims(array, axis)
        # Now (…, outer or 1, inner or 1, …): what is not joined with the batch has no axis with us.
        if layout.inner == 1:
            array = np.squeeze(array, axis + 1)
        return np.squeeze(array, axis) if layout.outer == 1 else array

    def aligned(self, values: Sequence[Value]) -> tuple[list[Images], Layout]:
        """Values that are combined element by element, with as many axes each, and the layout of the result."""
        rank = max(len(each.array.shape) if isinstance(each, Known) else each.layout.rank for each in values)
        images = [each for each in values if isinstance(each, Images)]
        lifted = _lifted([each.layout for each in images], rank)
        batches = {(each.batch, each.outer, each.inner) for each in lifted}
        if len(batches) > 1:
            raise UnsupportedError("it combines tensors whose batches are different axes")
        batch, outer, inner = batches.pop()
        shapes = [each.sizes for each in lifted]
        known = [
            each.array.reshape((1,) * (rank - each.array.ndim) + each.array.shape)
            for each in values
            if isinstance(each, Known)
        ]
        for array in known:
            if array.dtype == object:
                raise UnsupportedError("it computes with the batch's size")
            shapes.append(tuple(outer * inner if axis == batch else size for axis, size in enumerate(array.shape)))
        layout = Layout(np.broadcast_shapes(*shapes), batch, outer, inner)
        lifted_images, arrays = iter(lifted), iter(known)
        made: list[Images] = []
        for each in values:
            if isinstance(each, Images):
                made.append(self.reshaped(each, next(lifted_images)))
                continue
            array = self.per_image(next(arrays), layout)
            own = Layout((1, *array.shape), 0)
            made.append(self.constant(array, own, each.name, each.dtype))
        return made, layout

    def expanded(self, x: Images, layout: Layout, name: str = "") -> Images:
        """Stretched along axes of length 1."""
        if x.layout.image == layout.image:
            return Images(x.node, layout, x.dtype)
        return self.emit(Expand(layout.image), [x], layout, name or f"{x.node}.expand")


def _place(array: Array) -> tuple[Any, ...]:
    """Where the numbers of an array are: views of the same have the same."""
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str


def _lifted(layouts: Sequence[Layout], rank: int) -> list[Layout]:
    """With so many axes, those of length 1 put in ahead.

    What is one for each image and has no axis for the batch, such as the step of a grid, gets one where others have it
    and its own axis has length 1.
    """
    made = [each.with_ones(range(rank - each.rank)) for each in layouts]
    frame = next((each for each in made if each.batch is not None and each.outer == each.inner == 1), None)
    if frame is None or frame.batch is None:
        return made
    return [
        Layout(own.sizes, frame.batch) if own.batch is None and own.sizes[frame.batch] == 1 else own for own in made
    ]


def _given(array: Array) -> Initializer:
    return lambda shape, rng, rectified: array
