"""A module of PyTorch as a model: its forward pass is followed, and a layer put for each call."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any

import torch
from torch import fx, nn

from ... import layers
from ...composites import Chain, Graph, Node
from ...errors import ArgumentError, ColonnadeError, ShapeError
from ...freezing import named
from ...layers.rearrangement import Rearrangement
from ...layers.shape import Reshaping
from ...model import Model
from ...state import Alias
from ...tensor import Shape
from . import aten, counterparts, exporting, fixed
from .building import Building, describe
from .functions import FUNCTIONS
from .modules import COMPOUND, MODULES, check, known, layer_of
from .state import to_array
from .structure import structure
from .tracing import compare_training, defaults, needed, trace, warn, whole
from .values import (
    BATCH,
    NOTHING,
    STEPS_FIRST,
    Array,
    Batch,
    Fixed,
    Nothing,
    Tensor,
    Turned,
    Unconvertible,
    UnknownSizes,
    Value,
    Weights,
    arrays_of,
)

# What wraps a module, and where the module is.
WRAPPERS = {"DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}
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


def convert(module: Any, input_shape: Sequence[Any] | None) -> Model:
    """See :func:`colonnade.formats.pytorch.from_torch`."""
    if not isinstance(module, nn.Module):
        raise ArgumentError(f"from_torch: expected a torch.nn.Module, got {type(module).__name__}.")
    while type(module).__name__ in WRAPPERS:
        module = getattr(module, WRAPPERS[type(module).__name__])
    dtype = _dtype_of(module)
    kept = getattr(module, "colonnade", {})  # what `to_torch` wrote beside it
    input_shape = kept.get("input_shape") if input_shape is None else input_shape
    weights: Weights = {}
    body = structure(module, weights)
    if isinstance(body, layers.Bilinear):  # by itself it is a model of two inputs
        body = Graph({"0": (body, "input1", "input2")}, ["input1", "input2"])
    model = None if body is None else _model(body, dtype, input_shape)
    if model is None:
        body, weights = _followed(module, input_shape, dtype)
        model = Model(body, dtype=dtype)
        if input_shape is not None:
            model.build(input_shape)
    _load(model, weights, module.state_dict(keep_vars=True))
    _restore(model, module, kept)
    return model


def _restore(model: Model, module: nn.Module, kept: Mapping[str, Any]) -> None:
    """What PyTorch has no place for, as it was when the module was made of a model; nothing where it does not fit."""
    model.seed = kept.get("seed", model.seed)
    for name in ("classes", "normalization"):
        with suppress(ColonnadeError):
            setattr(model, name, kept.get(name))
    learned = [name.split(".") for name, parameter in module.named_parameters() if parameter.requires_grad]
    changed = {".".join(parts[:count]) for parts in learned for count in range(1, len(parts) + 1)}
    there = named(model.steps)
    if frozen := [name for name in kept.get("frozen", ()) if name in there and name not in changed]:
        model.freeze(*frozen)
    for name, alias in kept.get("aliases", {}).items():
        model.aliases.setdefault(name, Alias(*alias))


def _model(body: Node, dtype: str, input_shape: Sequence[Any] | None) -> Model | None:
    """The model of a whole structure; None where it does not fit the shape, and following the module may say more."""
    try:
        model = Model(
            body.layers if isinstance(body, Chain) else body if isinstance(body, Graph) else [body], dtype=dtype
        )
        return model if input_shape is None else model.build(input_shape)
    except ArgumentError:
        return None


def _dtype_of(module: nn.Module) -> str:
    """Of the model; raises where there are no numbers to copy."""
    types = set()
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if isinstance(tensor, nn.parameter.UninitializedTensorMixin):
            raise ArgumentError(f"from_torch: {name} has no shape yet: run a batch through the module first.")
        if tensor.is_meta:
            raise ArgumentError(f"from_torch: {name} is on the device 'meta', where there are no numbers.")
        if tensor.is_complex():
            raise ArgumentError(f"from_torch: {name} holds complex numbers.")
        types.add(tensor.dtype)
    return "float64" if torch.float64 in types else "float32"


def _load(model: Model, weights: Weights, held: Mapping[str, Any]) -> None:
    """Copy the weights, freeze what requires no gradient, and fix what is no parameter there.

    Args:
        model: The new one.
        weights: Of its layers.
        held: What the module holds, under all names: a module that stands at several places has several.
    """
    state, frozen = {}, set()
    paths: dict[int, list[str]] = {}
    for path, tensor in held.items():
        paths.setdefault(id(tensor), []).append(path)
    for step in model.steps:
        parameters = dict(step.layer.parameters())
        for name, array in weights.get(step.layer, {}).items():
            own = f"{step.name}.{name}"
            if name in parameters and array.parameter is None:
                parameters[name].fix()
            elif array.parameter is not None and not array.parameter.requires_grad:
                frozen.add(own)
            for path in {array.path, *paths.get(id(array.source), ())} - {"", own}:
                if array.axes is not None:
                    model.aliases.setdefault(path, Alias(own, tuple(array.source.shape), array.axes))
            state[own] = to_array(array.tensor)
    model.load_state_dict(state)
    if frozen:
        model.freeze(*frozen)


def _followed(module: nn.Module, input_shape: Sequence[Any] | None, dtype: str) -> tuple[Graph, Weights]:
    try:
        layer_of(module)
        check(module)
    except Unconvertible as reason:
        raise ArgumentError(f"from_torch: {type(module).__name__} can't be converted: {reason}.") from None
    traced = False
    tensors: dict[str, Any] = {}
    resting: set[str] = set()
    try:
        if known(module) in COMPOUND:
            traced, calls, alike = True, list(whole(module).nodes), True
        else:
            graph, tensors = trace(module, training=False)
            traced, calls = True, needed(graph)
            alike, resting = compare_training(module, calls)
        importer = Importer(module, calls, tensors, input_shape, resting)
        made = importer.run()
    except ShapeError:
        raise
    except ArgumentError as error:
        if input_shape is None and traced:
            raise
        if input_shape is None:
            message = f"{str(error).rstrip('.')}; if it depends on shapes: give from_torch the input_shape."
            raise ArgumentError(message) from None
        try:
            made, importer, alike = _exported(module, input_shape, dtype)
        except _Unexported:
            raise error from None
        except ColonnadeError as other:
            raise (error if traced else other) from None
    if not alike:
        warn(f"{type(module).__name__} does more in training than outside it; that is left out")
    return made, importer.weights


class _Unexported(Exception):  # noqa: N818 - what torch.fx says is raised
    """A module that torch.export can't follow either."""


def _exported(module: nn.Module, input_shape: Sequence[Any], dtype: str) -> tuple[Graph, Importer, bool]:
    """The graph that torch.export makes of a module; raises _Unexported where it makes none."""
    names = [name for name in inspect.signature(module.forward).parameters if name not in defaults(module)]
    try:
        shapes = list(_shapes_of(names, input_shape).values())
        graph, held = exporting.export(module, shapes, dtype)
    except ArgumentError:
        raise _Unexported from None
    alike, resting = exporting.compare_training(module, shapes, dtype)
    importer = Importer(module, exporting.calls_of(graph), {}, input_shape, resting, held)
    return importer.run(), importer, alike


class Importer(Building):
    """Goes through the calls of a forward pass, and puts a layer for each into a graph.

    Args:
        module: The module that was followed.
        calls: Its calls.
        tensors: Those that its forward pass makes by itself, by the names that the calls have for them.
        input_shape: One image's, one of each input, or None.
        resting: The paths of running means that batch norms use in training too.
        held: Arrays of the module that are inputs of the calls, by name.
    """

    def __init__(
        self,
        module: nn.Module,
        calls: Sequence[fx.Node],
        tensors: dict[str, Any],
        input_shape: Sequence[Any] | None,
        resting: Collection[str] = (),
        held: Mapping[str, Array] = MappingProxyType({}),
    ) -> None:
        self.module, self.calls, self.tensors, self.resting = module, calls, tensors, resting
        self._values: dict[fx.Node, Any] = {
            node: held[str(node.target)] for node in calls if node.op == "placeholder" and str(node.target) in held
        }
        self._shapes = self._find_inputs(input_shape)
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
        return dict.fromkeys(names) if input_shape is None else dict(_shapes_of(names, input_shape))

    def run(self) -> Graph:
        """The graph."""
        outputs: list[Any] = []
        for node in self.calls:
            if node.op == "placeholder":
                if node not in self._values:
                    self._values[node] = Value(str(node.target), self._shapes[str(node.target)])
            elif node.op == "output":
                outputs = self._outputs(self._given(node.args)[0])
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
        several = list(result.values()) if isinstance(result, dict) else result
        outputs = list(several) if isinstance(several, tuple | list) else [several]
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

    def reads_more_than_first(self, path: str) -> bool:
        """Whether anybody reads more of what a module puts out than the first of its outputs."""
        calls = [
            node
            for node in self.calls
            if (node.op == "call_module" and node.target == path)
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
            return fixed.closed(self.value(self.call_module(path, x)))
        made = self.value(self.call_module(path, self.put(layers.Reshape(x.known[1:]), x)))  # one image
        return fixed.closed(self.value(self.put(layers.Reshape((1, *made.known)), made)))

    def call_function(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """What a function, or the method of that name, makes of `args`."""
        name = "batch_norm_weights_first" if function is torch.batch_norm else _function_name(function)
        if name in ("_assert", "_assert_is_none"):
            if args[0] is False:
                raise Unconvertible(f"the module refuses this input: {args[1]}")
            return None
        if function is exporting.ATTENTION:
            *given, path, _ = args
            return self.call_module(path, *given)
        called = args, kwargs
        if isinstance(function, torch._ops.OpOverload):
            name, args, kwargs = aten.adapted(function, args, kwargs)
        elif not isinstance(function, str) and _origin(function) not in TRUSTED:
            raise Unconvertible("Colonnade does not know this function")
        if name == "getitem" and isinstance(args[0], tuple | list | dict | UnknownSizes):
            return args[0][args[1]]
        tensors = list(_tensors((args, kwargs)))
        if all(isinstance(each, Batch) for each in tensors) and (not tensors or _origin(function) in ARITHMETIC):
            made = _evaluated(function, args, kwargs)  # numbers, such as the sizes of a shape
            return Array("constant", made) if isinstance(made, torch.Tensor) else made
        if any(isinstance(each, Nothing) for each in tensors):
            raise Unconvertible("it uses what Colonnade's layer does not put out")
        if _of_any_batch(tensors) and not (name in ("expand", "repeat") and _is_plain(args[0])):
            return self._of_images(function, name, args, kwargs)
        if any(isinstance(each, Array) and each.images for each in tensors):
            args, kwargs = (_mapped(each, self._of_each_image) for each in (args, kwargs))
            tensors = list(_tensors((args, kwargs)))
        if all(isinstance(each, Array) for each in tensors):
            learned = any(each.parameter is not None for each in tensors)
            if learned and args[1:] == ("data",):
                return FUNCTIONS["detach"](self, tensors[0])
            if not learned or (name in RESHAPING and len(tensors) == 1):
                return self._of_arrays(function, tensors[0], learned, *called)
        if name not in FUNCTIONS:
            raise Unconvertible("Colonnade has no layer for it")
        if all(isinstance(each, Array | Fixed) for each in tensors):
            if name in ("getattr", "size", "dim"):
                return self._of_shape(tensors[0].value.known, name, *args[1:])
            return _bound(fixed.call, self, name, FUNCTIONS[name], args, kwargs)
        return _bound(FUNCTIONS[name], self, *args, **kwargs)

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

    def _of_images(self, function: Any, name: str, args: Any, kwargs: Any) -> Any:
        """What PyTorch makes of arrays of which each image has the same, (n, ...): it must be the same for any n."""

        def of(images: int) -> Any:
            def tensors(each: Any) -> Any:
                if isinstance(each, Batch):
                    return int(each.times * images) if each.times.denominator == 1 else each
                if not isinstance(each, Array):
                    return each
                return each.tensor.repeat_interleave(images, 0) if each.images else each.tensor

            with torch.no_grad():
                return _evaluated(function, _mapped(args, tensors), _mapped(kwargs, tensors))

        if name == "size" or args[1:] == ("shape",):
            sizes = (BATCH, *args[0].tensor.shape[1:])
            return sizes if name != "size" or len(args) == 1 else sizes[args[1]]
        one, several = of(1), of(3)
        if not isinstance(one, torch.Tensor):
            if isinstance(one, torch.dtype | torch.device | int) and one == several:
                return one
            raise Unconvertible("it depends on the number of images")
        each = one.ndim and one.shape[0] == 1 and several.shape == (3, *one.shape[1:])
        if each and torch.equal(several, one.expand_as(several)):
            return Array("constant", one, images=True)
        if one.shape == several.shape and torch.equal(one, several):
            return Array("constant", one)
        along = one.ndim == 3 and several.shape == (len(one), 3, one.shape[2])
        if along and torch.equal(several, one.expand_as(several)):  # as the first states of recurrent layers are
            return Turned(self.constant(Array("constant", one.transpose(0, 1)), 3), STEPS_FIRST, self.name)
        raise Unconvertible("it depends on the number of images")

    def _of_arrays(self, function: Any, first: Array, learned: bool, args: Any, kwargs: Any) -> Any:
        """What PyTorch itself makes of arrays that are the same for every image."""

        def tensors(each: Any) -> Any:
            return each.tensor if isinstance(each, Array) else each

        with torch.no_grad():
            result = _evaluated(function, _mapped(args, tensors), _mapped(kwargs, tensors))
        if not isinstance(result, torch.Tensor):
            return result
        return Array(first.path, result, first.parameter if learned else None)


def _shapes_of(names: Sequence[str], input_shape: Sequence[Any]) -> dict[str, Shape]:
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


def _of_any_batch(tensors: Sequence[Any]) -> bool:
    """Whether these are the number of images, and arrays that are not learned, made for each image."""
    return all(isinstance(each, Batch) or _is_plain(each, True) for each in tensors) and not all(
        map(_is_plain, tensors)
    )


def _is_plain(x: Any, images: bool = False) -> bool:
    return isinstance(x, Array) and x.parameter is None and (images or not x.images)


def _tensors(arguments: Any) -> Iterator[Any]:
    """Everything in nested arguments that stands for a tensor, or for the number of images."""
    if isinstance(arguments, Value | Array | Turned | Fixed | Batch | Nothing):
        yield arguments
    elif isinstance(arguments, slice):
        yield from _tensors((arguments.start, arguments.stop, arguments.step))
    elif isinstance(arguments, dict):
        yield from _tensors(list(arguments.values()))
    elif isinstance(arguments, tuple | list):
        for each in arguments:
            yield from _tensors(each)


def _mapped(arguments: Any, function: Any) -> Any:
    if isinstance(arguments, slice):
        return slice(*(_mapped(each, function) for each in (arguments.start, arguments.stop, arguments.step)))
    if isinstance(arguments, dict):
        return {name: _mapped(each, function) for name, each in arguments.items()}
    if isinstance(arguments, tuple | list):
        return type(arguments)(_mapped(each, function) for each in arguments)
    return function(arguments)


def _evaluated(function: Any, args: Any, kwargs: Any) -> Any:
    """What a function, or the method of that name, makes of what is known already."""
    try:
        return (
            getattr(args[0], function)(*args[1:], **kwargs) if isinstance(function, str) else function(*args, **kwargs)
        )
    except Exception as error:
        raise Unconvertible(f"it fails ({_one_line(error)})") from None


def _bound(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call; arguments that the function here does not take are no mistake of ours."""
    try:
        inspect.signature(function).bind(*args, **kwargs)
        return function(*args, **kwargs)
    except (TypeError, ValueError, IndexError) as error:
        if isinstance(error, ColonnadeError):
            raise
        raise Unconvertible(f"it was called with other arguments than Colonnade knows ({_one_line(error)})") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(". ") or type(error).__name__
