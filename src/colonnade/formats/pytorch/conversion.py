"""A module of PyTorch as a model: its structure where that says all, else its forward pass, followed in either way."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import nn

from ... import layers
from ...composites import Chain, Graph, Node
from ...errors import ArgumentError, ColonnadeError, ShapeError
from ...freezing import named
from ...model import Model
from ...state import Alias
from . import exporting
from .importer import Importer, shapes_of
from .modules import COMPOUND, check, known, layer_of
from .state import to_array
from .structure import structure
from .tracing import compare_training, defaults, needed, trace, warn, whole
from .values import Unconvertible, Weights

# What wraps a module, and where the module is.
WRAPPERS = {"DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}


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
        body, weights, outputs = _followed(module, input_shape, dtype)
        model = Model(body, dtype=dtype)
        model.outputs = outputs or model.outputs
        if input_shape is not None:
            model.build(input_shape)
    _load(model, weights, module.state_dict(keep_vars=True))
    _restore(model, module, kept)
    return model


def _restore(model: Model, module: nn.Module, kept: Mapping[str, Any]) -> None:
    """What PyTorch has no place for, as it was when the module was made of a model; nothing where it does not fit."""
    model.seed = kept.get("seed", model.seed)
    model.mirrored = kept.get("mirrored", False)
    for name in ("classes", "normalization", "inputs", "outputs"):
        with suppress(ColonnadeError):
            setattr(model, name, kept.get(name, getattr(model, name)))
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
    weights = {layer.parts()[""]: arrays for layer, arrays in weights.items()}
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


def _followed(
    module: nn.Module, input_shape: Sequence[Any] | None, dtype: str
) -> tuple[Graph, Weights, Sequence[str] | None]:
    """The graph, its weights, and what the module calls its outputs."""
    try:
        if known(module) not in COMPOUND:
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
        importer = Importer(module, calls, dtype, tensors, input_shape, resting)
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
    return made, importer.weights, importer.output_names


class _Unexported(Exception):  # noqa: N818 - what torch.fx says is raised
    """A module that torch.export can't follow either."""


def _exported(module: nn.Module, input_shape: Sequence[Any], dtype: str) -> tuple[Graph, Importer, bool]:
    """The graph that torch.export makes of a module; raises _Unexported where it makes none."""
    names = [name for name in inspect.signature(module.forward).parameters if name not in defaults(module)]
    try:
        shapes = list(shapes_of(names, input_shape).values())
        graph, held, arranged = exporting.export(module, shapes, dtype)
    except ArgumentError:
        raise _Unexported from None
    alike, resting = exporting.compare_training(module, shapes, dtype)
    importer = Importer(module, exporting.calls_of(graph), dtype, {}, input_shape, resting, held, arranged)
    return importer.run(), importer, alike
