"""The calls of a forward pass, and a layer put for each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import torch
from torch import fx, nn
from torch.utils._pytree import SequenceKey, tree_flatten_with_path

from ... import layers
from ...composites import Graph
from ...errors import ArgumentError, ColonnadeError, ShapeError
from ...layers.rearrangement import Rearrangement
from ...layers.shape import Reshaping
from ...tensor import Shape
from . import aten, counterparts, exporting, fixed
from .building import Building, describe
from .evaluation import evaluated, is_plain, mapped, of_any_batch, of_arrays, of_images, one_line, tensors_in
from .functions import FUNCTIONS
from .functions.turned import along
from .modules import COMPOUND, MODULES, check, known
from .values import (
    NOTHING,
    Array,
    Batch,
    Fixed,
    Nothing,
    Shared,
    Tensor,
    Turned,
    Unconvertible,
    UnknownSizes,
    Value,
    arrays_of,
)

# Functions that make of a parameter the same numbers in another shape, or ask for its shape.
RESHAPING = {
    "contiguous",
    "dim",
    "flatten",
    "getattr",
    "permute",
    "reshape",
    "size",
    "squeeze",
    "t",
    "transpose",
    "unflatten",
    "unsqueeze",
    "view",
}
# What is true or false, 1 or 0.
TRUTHS = (
    *(layers.Equal, layers.Greater, layers.GreaterEqual, layers.Less, layers.LessEqual),
    *(layers.LogicalAnd, layers.LogicalNot, layers.LogicalOr, layers.LogicalXor),
)
# Where functions of plain numbers come from.
ARITHMETIC = {None, "_operator", "builtins", "math", "operator"}
# Of a function that is no method: where it may come from, for its name to be trusted. None: built in.
TRUSTED = {None, "_operator", "builtins", "math", "operator", "torch", "torchvision"}


class Importer(Building):
    """Goes through the calls of a forward pass, and puts a layer for each into a graph.

    Args:
        module: The module that was followed.
        calls: Its calls.
        dtype: Of the model.
        tensors: Those that its forward pass makes by itself, by the names that the calls have for them.
        input_shape: One image's, one of each input, or None.
        resting: The paths of running means that batch norms use in training too.
        held: Arrays of the module that are inputs of the calls, by name.
        arranged: Makes of the outputs of the calls what the module returns; by default it is what they put out.

    Attributes:
        output_names: What the module calls its outputs, by the keys of dicts and the fields of named tuples, joined by
            points; None where it has no names for them.
    """

    def __init__(
        self,
        module: nn.Module,
        calls: Sequence[fx.Node],
        dtype: str,
        tensors: dict[str, Any],
        input_shape: Sequence[Any] | None,
        resting: Collection[str] = (),
        held: Mapping[str, Array] = MappingProxyType({}),
        arranged: Callable[[Any], Any] = lambda outputs: outputs,
    ) -> None:
        self.module, self.calls, self.tensors, self.resting = module, calls, tensors, resting
        self.dtype = getattr(torch, dtype)
        self._values: dict[fx.Node, Any] = {
            node: held[str(node.target)] for node in calls if node.op == "placeholder" and str(node.target) in held
        }
        self._arranged = arranged
        self.output_names: list[str] | None = None
        self._shapes = self._find_inputs(input_shape)
        self._at_hand: fx.Node | None = None
        self._numbers: dict[Fixed, Any] = {}  # of now, of what is calculated from parameters
        names = [name for name, _ in (*module.named_parameters(), *module.named_buffers())]
        super().__init__(list(self._shapes), {*names, *(name.rpartition(".")[0] for name in names)})

    def _find_inputs(self, input_shape: Sequence[Any] | None) -> dict[str, Shape | None]:
        names = []
        for node in self.calls:
            if node.op != "placeholder" or node in self._values:
                continue
            name = str(node.target)
            if name.startswith("*"):
                raise ArgumentError(f"from_torch: forward must not take a variable number of arguments, {name}.")
            if node.args:  # what it is by default
                self._values[node] = node.args[0]
            else:
                names.append(name)
        return dict.fromkeys(names) if input_shape is None else dict(shapes_of(names, input_shape))

    def run(self) -> Graph:
        """The graph."""
        outputs: list[Any] = []
        for node in self.calls:
            if node.op == "placeholder":
                if node not in self._values:
                    self._values[node] = Value(str(node.target), self._shapes[str(node.target)])
            elif node.op == "output":
                outputs = self._outputs(self._arranged(self._given(node.args)[0]))
            else:
                with self._place(node):
                    self._values[node] = self._call(node)
        needed = {value.name for value in outputs}
        for name in reversed(self.nodes):
            if name in needed:
                needed.update(self.nodes[name][1:])
        nodes = {name: entry for name, entry in self.nodes.items() if name in needed}
        try:
            return Graph(nodes, self._inputs, [value.name for value in outputs])
        except ArgumentError as error:
            raise ArgumentError(f"from_torch: {error}") from None

    def _outputs(self, result: Any) -> list[Value]:
        found, _ = tree_flatten_with_path(result)
        outputs = [output for _, output in found]
        if any(not isinstance(key, SequenceKey) for path, _ in found for key in path):
            self.output_names = [".".join(map(_key, path)) for path, _ in found]
        for number, output in enumerate(outputs):
            if isinstance(output, Turned):
                self.name = "output"
                try:
                    outputs[number] = output = self.value(output)
                except Unconvertible as reason:
                    whose = type(self.module).__name__
                    raise ArgumentError(f"from_torch: what {whose} returns can't be converted: {reason}.") from None
            if isinstance(output, Value) and output.windows:
                raise ArgumentError(
                    f"from_torch: {type(self.module).__name__} returns {output.batch!r}: the images of a batch would "
                    f"be mixed."
                )
            if not isinstance(output, Value):
                raise ArgumentError(
                    f"from_torch: {type(self.module).__name__} must return tensors, got {describe(output)}."
                )
            if output.name in self._inputs or output in outputs[:number]:
                self.name = "output"
                outputs[number] = self.put(layers.Identity(), output)
        return outputs

    @contextmanager
    def _place(self, node: fx.Node) -> Iterator[None]:
        """Say where in the module something can't be converted."""
        self._at_hand = node
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        within = str(stack[-1][0]) if stack else ""
        if node.op in ("call_module", "get_attr"):
            self.name = str(node.target)
            what = self.name
            if node.op == "call_module":
                what = f"{what} ({_class_name(self.module.get_submodule(self.name))})".lstrip()
        else:
            self.name = f"{within}.{_function_name(node.target)}" if within else _function_name(node.target)
            what = f"{_function_name(node.target)} in {within or type(self.module).__name__}"
        try:
            yield
        except (Unconvertible, ColonnadeError) as reason:
            kind = ShapeError if isinstance(reason, ShapeError) else ArgumentError
            raise kind(f"from_torch: {what} can't be converted: {str(reason).rstrip('.')}.") from None

    def _given(self, arguments: Any) -> Any:
        return fx.node.map_arg(arguments, lambda node: self._values[node])

    def _call(self, node: fx.Node) -> Any:
        args, kwargs = self._given(node.args), self._given(node.kwargs)
        if node.op == "get_attr":
            tensor: Any = self.tensors.get(str(node.target), self.module)
            for part in str(node.target).split(".") if tensor is self.module else ():
                tensor = getattr(tensor, part, None)
            if not isinstance(tensor, torch.Tensor):
                return NOTHING
            return Array(str(node.target), tensor, tensor if isinstance(tensor, nn.Parameter) else None)
        if node.op == "call_module":
            return self.call_module(str(node.target), *args, **kwargs)
        return self.call_function(node.target, *args, **kwargs)

    def call_module(self, path: str, *args: Any, **kwargs: Any) -> Any:
        """What a module within the one at hand makes of `args`."""
        module = self.module.get_submodule(path)
        check(module)
        kind = known(module)
        if kind in COMPOUND:
            return _bound(COMPOUND[kind], self, module, path, *args, **kwargs)
        if kind not in MODULES:
            raise Unconvertible("Colonnade has no such layer")
        values = [*args, *kwargs.values()]
        if len(values) == 1 and isinstance(values[0], Fixed | Array) and kind is not counterparts.Constant:
            return self._of_fixed(path, values[0])
        if len(values) != 1 and kind not in counterparts.OF_SEVERAL:
            raise Unconvertible(f"expected one input, got {len(values)}")
        layer = MODULES[kind](module)
        if kind is counterparts.Constant:
            values = []
        return self.weighed(layer, arrays_of(layer, module, path), *values, name=path)

    def reads_more_than_first(self, path: str | None) -> bool:
        """Whether anybody reads more of what a module puts out, or the call at hand, than the first of its outputs."""
        calls = [
            node
            for node in self.calls
            if (path is None and node is self._at_hand)
            or (node.op == "call_module" and node.target == path)
            or (node.target is exporting.ATTENTION and path in node.args)
        ]
        readers = [user for call in calls for user in call.users if user in self.calls]
        return any(_function_name(user.target) != "getitem" or user.args[1] != 0 for user in readers)

    def _of_fixed(self, path: str, value: Fixed | Array) -> Any:
        """What a module makes of a tensor that is the same for every image."""
        if isinstance(value, Array) and value.images:
            return self.call_module(path, self.value(value))
        x = fixed.opened(fixed.fixed(self, value))
        if len(x.known) != 4 or x.known[0] != 1:
            return fixed.closed(self, self.value(self.call_module(path, x)))
        made = self.value(self.call_module(path, self.put(layers.Reshape(x.known[1:]), x)))  # one image
        return fixed.closed(self, self.value(self.put(layers.Reshape((1, *made.known)), made)))

    def call_function(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """What a function, or the method of that name, makes of `args`."""
        called = function, args, kwargs
        name = "batch_norm_weights_first" if function is torch.batch_norm else _function_name(function)
        if name in ("_assert", "_assert_is_none"):
            if args[0] is False:
                raise Unconvertible(f"the module refuses this input: {args[1]}")
            return None
        if function is exporting.ATTENTION:
            *given, path, _ = args
            return self.call_module(path, *given)
        if isinstance(function, torch._ops.OpOverload):
            name, args, kwargs = aten.adapted(function, args, kwargs)
        elif not isinstance(function, str) and _origin(function) not in TRUSTED:
            raise Unconvertible("Colonnade does not know this function")
        if name == "getitem" and isinstance(args[0], tuple | list | dict | UnknownSizes):
            return args[0][args[1]]
        tensors = list(tensors_in((args, kwargs)))
        if all(isinstance(each, Batch) for each in tensors) and (not tensors or _origin(function) in ARITHMETIC):
            made = evaluated(function, args, kwargs)  # numbers, such as the sizes of a shape
            return Array("constant", made) if isinstance(made, torch.Tensor) else made
        if any(isinstance(each, Nothing) for each in tensors):
            raise Unconvertible("it uses what Colonnade's layer does not put out")
        if of_any_batch(tensors) and not (name in ("expand", "repeat") and is_plain(args[0])):
            return of_images(self, name, *called)
        if any(isinstance(each, Array) and each.images for each in tensors):
            args, kwargs = (mapped(each, self._of_each_image) for each in (args, kwargs))
            tensors = list(tensors_in((args, kwargs)))
        if all(isinstance(each, Array) for each in tensors):
            learned = any(each.parameter is not None for each in tensors)
            if learned and args[1:] == ("data",):
                return FUNCTIONS["detach"](self, tensors[0])
            if not learned or (name in RESHAPING and len(tensors) == 1):
                return of_arrays(tensors[0], learned, *called)
        if all(isinstance(each, Array | Fixed) for each in tensors):
            if name == "getattr" and args[1] in ("T", "mT"):
                return self.call_function("transpose", args[0], -2, -1)
            if isinstance(tensors[0], Fixed) and name in ("getattr", "size", "dim"):
                return self._of_shape(tensors[0].value.known, name, *args[1:])
            return self._of_parameters(name, args, kwargs, called)
        if name not in FUNCTIONS:
            raise Unconvertible("Colonnade has no layer for it")
        if any(isinstance(each, Turned) for each in tensors):
            made = _bound(along, self, name, FUNCTIONS[name], args, kwargs)
            if made is not None:
                return made
        return _bound(FUNCTIONS[name], self, *args, **kwargs)

    def _of_parameters(self, name: str, args: Any, kwargs: Any, called: tuple[Any, Any, Any]) -> Any:
        """What a function makes of parameters, and of what was made of them: its numbers of now if there is no layer.

        Args:
            name: Of the function.
            args: As the function of `torch` takes them.
            kwargs: Likewise.
            called: The function itself and its arguments.
        """
        numbers = self._calculated(*called)
        try:
            if name not in FUNCTIONS:
                raise Unconvertible("Colonnade has no layer for it")
            made = _bound(fixed.call, self, name, FUNCTIONS[name], args, kwargs)
        except (Unconvertible, ColonnadeError) as reason:
            if numbers is None or name == "detach" or isinstance(reason, Shared):
                raise
            self.warn(
                f"what {name} makes of parameters is kept as it is now, and not learned: Colonnade has no layer for it"
            )
            return mapped(numbers, lambda each: Array("calculated", each) if isinstance(each, torch.Tensor) else each)
        several = isinstance(made, tuple | list)
        for each, array in zip(made, numbers or (), strict=False) if several else ((made, numbers),):
            if isinstance(each, Fixed) and array is not None:
                self._numbers[each] = array
        return made

    def _calculated(self, function: Any, args: Any, kwargs: Any) -> Any:
        """What PyTorch makes of parameters as they are now; None where that is not known."""
        given = list(tensors_in((args, kwargs)))
        if any(isinstance(each, Fixed) and each not in self._numbers for each in given):
            return None

        def numbers(each: Any) -> Any:
            return self._numbers[each] if isinstance(each, Fixed) else each.tensor if isinstance(each, Array) else each

        try:
            with torch.no_grad():
                return evaluated(function, mapped(args, numbers), mapped(kwargs, numbers))
        except Unconvertible:
            return None

    def neighbour(self, array: Array, name: str) -> Array | None:
        """A buffer of this name beside another of the module's; None if there is none."""
        holder, _, own = array.path.rpartition(".")
        module = self.module.get_submodule(holder)
        tensor = getattr(module, name, None)
        if own not in module._buffers or tensor is None:
            return None
        return Array(f"{holder}.{name}" if holder else name, tensor)

    def at_rest(self, running_mean: Array) -> bool:
        """Whether the batch norm with this buffer uses it in training too."""
        return running_mean.path in self.resting

    def is_truth(self, x: Tensor) -> bool | None:
        """Whether a tensor is of True and False; None for an input, of which nobody can know."""
        name = x.value.name if isinstance(x, Turned) else self.value(x).name
        while name in self.nodes and isinstance(self.nodes[name][0], Reshaping | Rearrangement | layers.Permute):
            name = self.nodes[name][1]
        return isinstance(self.nodes[name][0], TRUTHS) if name in self.nodes else None

    def _of_each_image(self, x: Any) -> Any:
        return self.value(x) if isinstance(x, Array) and x.images else x

    def _of_shape(self, shape: Shape, name: str, key: Any = None) -> Any:
        """What a function that asks for a shape says of a tensor that is the same for every image."""
        if name == "dim" or key == "ndim":
            return len(shape)
        if isinstance(key, str) and key != "shape":
            raise Unconvertible(f"tensors have no {key!r} here")
        return shape[key] if isinstance(key, int) else shape


def _key(key: Any) -> str:
    """The key of a dict, the name of a field or the place in a tuple."""
    return str(getattr(key, next(name for name in ("key", "name", "idx") if hasattr(key, name))))


def shapes_of(names: Sequence[str], input_shape: Sequence[Any]) -> dict[str, Shape]:
    """The shape of each input."""
    try:
        given = [input_shape] if len(names) == 1 else list(input_shape)
        shapes = [tuple(int(size) for size in shape) for shape in given]
    except TypeError:
        shapes = []
    if len(shapes) != len(names) or any(min(shape, default=1) < 1 for shape in shapes):
        raise ShapeError(f"from_torch: expected a shape for each input ({', '.join(names)}), got {input_shape}.")
    return dict(zip(names, shapes, strict=True))


def _function_name(function: Any) -> str:
    """Of a function or method, without the underscore of what works in place."""
    if isinstance(function, torch._ops.OpOverload):
        return str(function._schema.name).partition("::")[2].rstrip("_")
    name = function if isinstance(function, str) else getattr(function, "__name__", type(function).__name__)
    return str(name).rstrip("_")


def _origin(function: Any) -> str | None:
    module = getattr(function, "__module__", None)
    return None if module is None else str(module).partition(".")[0]


def _class_name(module: nn.Module) -> str:
    kind = type(module)
    return f"torch.nn.{kind.__name__}" if kind.__module__.startswith("torch.nn") else kind.__name__


def _bound(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call; arguments that the function here does not take are no mistake of ours."""
    try:
        inspect.signature(function).bind(*args, **kwargs)
        return function(*args, **kwargs)
    except (TypeError, ValueError, IndexError) as error:
        if isinstance(error, ColonnadeError):
            raise
        raise Unconvertible(f"it was called with other arguments than Colonnade knows ({one_line(error)})") from None
