"""An ONNX graph in the making."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from ...ops.layout import Array
from ...tensor import Shape

# What writes one layer: called with the graph, the layer, and the names of its inputs, it returns that of its output.
Expression = Callable[..., str]


class GraphWriter:
    """What the expression of a layer writes its nodes to.

    A node, and the tensor it puts out, has the layer's name in the model, "3.main.0". Where a layer takes several
    nodes the last has it, and those before are called by their operators too, "3.main.0/Erf". An initializer has the
    name that the array has in the state dict.

    Args:
        opset: The version of the operators.
        dtype: The model's.
        state: Its parameters and running statistics, by name.
        taken: Names that no tensor inside may have: those of the state, of inputs and of outputs.
        images: How many images a batch has, or what that is called.

    Attributes:
        opset: As given; some operators are newer than others.
        dtype: As given.
        shape: Of one image at the input of the layer at hand; at its output, if it has several inputs or none.
        output_shape: Of one image at its output.
        whole: The names of the tensors that hold whole numbers, int64.
        nodes: What was written.
        initializers: The arrays that the nodes read.
    """

    def __init__(
        self,
        opset: int,
        dtype: np.dtype[Any],
        state: Mapping[str, Array],
        taken: Iterable[str],
        images: int | str = "batch",
    ) -> None:
        self.opset, self.dtype, self._images = opset, dtype, images
        self.shape: Shape = ()
        self.output_shape: Shape = ()
        self.whole: set[str] = set()
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self._state = state
        self._tensors = {*taken}  # names that are taken, of tensors
        self._called: set[str] = set()  # and of nodes
        self._stored: set[str] = set()  # parameters that are among the initializers
        self._inputs: list[str] = []
        self._ends: dict[str, str] = {}  # what an output is called, by what it was called inside
        self._batch = ""
        self._name = ""  # of the layer at hand
        self._first = 0  # of its nodes

    # For the expressions

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Write a node, and return the name of its output.

        Args:
            operator: As ONNX calls it: "Conv".
            inputs: Names of tensors; "" for an optional one that is left out.
            attributes: As ONNX calls them.
        """
        return self.several(operator, 1, *inputs, **attributes)[0]

    def several(self, operator: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """As `node`, of an operator that has several outputs: their names."""
        name = f"{self._name}/{operator}"
        made = [unused(name, self._tensors) for _ in range(outputs)]
        while inputs and not inputs[-1]:
            inputs = inputs[:-1]  # what is left out at the end needs no place held
        self.nodes.append(helper.make_node(operator, inputs, made, unused(name, self._called), **attributes))
        return made

    def last(self, operator: str, outputs: int, *inputs: str, **attributes: Any) -> str:
        """As `node`, of an operator of several outputs: the name of its last."""
        name = self.node(operator, *inputs, **attributes)
        others = [unused(f"{name}/{place}", self._tensors) for place in range(outputs - 1)]
        self.nodes[-1].output[:] = [*others, name]
        return name

    def constant(self, name: str, values: ArrayLike, dtype: DTypeLike | None = None) -> str:
        """Store an array that is no parameter, and return its name.

        Args:
            name: What it is.
            values: Numbers.
            dtype: Their type; by default the model's for floats, and int64 for whole numbers.
        """
        array = np.asarray(values)
        name = unused(f"{self._name}/{name}", self._tensors)
        self._store(name, array.astype(dtype or (np.int64 if array.dtype.kind in "iu" else self.dtype)))
        return name

    def cast(self, x: str, dtype: DTypeLike) -> str:
        """A tensor in another type; returns its name."""
        return self.node("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def parameter(self, name: str) -> str:
        """The name of the layer's parameter or running statistic that it calls `name`; "" where it has none."""
        full = f"{self._name}.{name}"
        if full not in self._state:
            return ""
        if full not in self._stored:  # a layer at several places has one
            self._stored.add(full)
            self._store(full, self._state[full])
        return full

    def by_channel(self, name: str) -> str:
        """As `parameter`, of an array of a number a channel, so that it meets every pixel of that channel."""
        full = self.parameter(name)
        if not full or len(self.shape) == 1:
            return full
        return self.node("Reshape", full, self.constant("by_channel", [-1, *[1] * (len(self.shape) - 1)]))

    def batch(self) -> str:
        """The name of an int64 array of one number: how many images there are."""
        if not self._batch:
            place, self._name = self._name, "batch"
            self._batch = self.node("Gather", self.node("Shape", self._inputs[0]), self.constant("axis", [0]))
            self._name = place
        return self._batch

    # For the exporter

    def begin(self, name: str, shape: Shape, axis: int | None, whole: bool) -> tuple[ValueInfoProto, str]:
        """An input, of whole numbers or not, with the batch as that axis; and its name with the batch in front."""
        self._name, made = name, name
        if axis is None:
            made = self.node("Unsqueeze", name, self.constant("front", [0]))
        elif axis:
            made = self.node("Transpose", name, perm=[axis, *(each for each in range(len(shape) + 1) if each != axis)])
        self._inputs.append(made)
        if whole:
            self.whole.add(made)
        return self._declared(name, shape, axis, np.dtype(np.int64) if whole else self.dtype), made

    def step(self, name: str, shape: Shape, output_shape: Shape) -> None:
        """What is written from now on is of the layer of this name."""
        self._name, self.shape, self.output_shape = name, shape, output_shape
        self._first = len(self.nodes)

    def finish(self, made: str) -> str:
        """The layer at hand is written, and puts out `made`; returns what that is called from now on."""
        for node in self.nodes[self._first :]:
            if made in node.output:
                node.name, name = unused(self._name, self._called), unused(self._name, self._tensors)
                self._rename(made, name, self._first)
                return name
        return made  # it only hands on what it reads

    def end(self, made: str, name: str, shape: Shape, axis: int | None) -> ValueInfoProto:
        """What was called `made` inside is an output of the graph, with the batch as that axis."""
        dtype = np.dtype(np.int64) if made in self.whole else self.dtype
        self._name, source = name, self._ends.get(made, made)
        if axis is None:
            self._rename(self.node("Squeeze", source, self.constant("front", [0])), name)
        elif axis:
            order = [*range(1, axis + 1), 0, *range(axis + 1, len(shape) + 1)]
            self._rename(self.node("Transpose", source, perm=order), name)
        elif made in self._inputs or made in self._ends:
            self.nodes.append(helper.make_node("Identity", [source], [name], unused(name, self._called)))
        else:
            self._rename(made, name)
            self._ends[made] = name
        return self._declared(name, shape, axis, dtype)

    def _declared(self, name: str, shape: Shape, axis: int | None, dtype: np.dtype[Any]) -> ValueInfoProto:
        sizes = shape if axis is None else [*shape[:axis], self._images, *shape[axis:]]
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), sizes)

    def _store(self, name: str, array: Array) -> None:
        self.initializers.append(numpy_helper.from_array(np.asarray(array, order="C"), name))

    def _rename(self, old: str, new: str, first: int = 0) -> None:
        """Call a tensor otherwise in the nodes from `first` on."""
        for node in self.nodes[first:]:
            for names in (node.input, node.output):
                names[:] = [new if each == old else each for each in names]


def unused(name: str, taken: set[str]) -> str:
    """The name, or one like it that is not taken; it is then."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free)
    return free


def operator(name: str) -> Expression:
    """A layer that is one operator of ONNX, without attributes."""
    return lambda graph, layer, *inputs: graph.node(name, *inputs)
