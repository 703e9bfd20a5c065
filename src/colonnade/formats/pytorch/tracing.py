"""The calls of a module's forward pass, which torch.fx follows."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.fx.proxy import ParameterProxy

from ...errors import ArgumentError
from .in_place import settle
from .modules import known


class _Seeing(fx.Proxy):
    """A tensor that refuses to be given other numbers by `x.data = ...`, which torch.fx would leave out."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "data":
            raise TypeError("it assigns to the data of a tensor")
        super().__setattr__(name, value)


class _SeeingParameter(_Seeing, ParameterProxy):
    """The same for a parameter."""


class Tracer(fx.Tracer):
    """Follows a forward pass down to the modules that the tables have, and remembers where it is."""

    place = ""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether to look no further into a module."""
        return known(m) is not None

    def create_proxy(self, *args: Any, **kwargs: Any) -> fx.Proxy:
        """As PyTorch's own, of proxies that see what they are assigned."""
        made = super().create_proxy(*args, **kwargs)
        if type(made) is ParameterProxy:
            return _SeeingParameter(self, made.node, made.name, made.param)
        return made

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """What stands for a tensor."""
        return _Seeing(node, self)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """As PyTorch's own; where it fails, `place` says in which module."""
        before, self.place = self.place, self.path_of_module(m)
        result = super().call_module(m, forward, args, kwargs)
        self.place = before
        return result


def trace(module: nn.Module, training: bool) -> tuple[fx.Graph, dict[str, Any]]:
    """All calls of a forward pass, as in training or as outside it; and the tensors that it made by itself, by name."""
    modes = [(each, each.training) for each in module.modules()]
    attributes = set(vars(module))
    tracer = Tracer(param_shapes_constant=True)
    try:
        module.train(training)
        graph = tracer.trace(module, concrete_args=defaults(module))
        tensors = {name: vars(module)[name] for name in vars(module).keys() - attributes}
    except Exception as error:
        where = f" in {tracer.place} ({type(module.get_submodule(tracer.place)).__name__})" if tracer.place else ""
        reason = str(error).strip().splitlines()
        raise ArgumentError(
            f"from_torch: torch.fx can't follow {type(module).__name__}{where}: "
            f"{reason[0].rstrip('.') if reason else type(error).__name__}."
        ) from None
    finally:  # the module is as it was
        for each, mode in modes:
            each.training = mode
        for name in vars(module).keys() - attributes:
            del vars(module)[name]
    settle(graph, module, counts=training)
    return graph, tensors


def defaults(module: nn.Module) -> dict[str, Any]:
    """Arguments of `forward` that are taken as they are by default: whatever is no tensor."""
    arguments = inspect.signature(module.forward).parameters.values()
    return {
        each.name: each.default
        for each in arguments
        if each.default is None or isinstance(each.default, bool | int | float | str)
    }


def whole(module: nn.Module) -> fx.Graph:
    """The one call of a module that the tables have."""
    graph = fx.Graph()
    names = [name for name in inspect.signature(module.forward).parameters if name not in defaults(module)]
    graph.output(graph.call_module("", tuple(graph.placeholder(name) for name in names)))
    return graph


def needed(traced: fx.Graph) -> list[fx.Node]:
    """The calls that the output is made from, and those that check something."""
    needed: set[fx.Node] = set()
    for node in reversed(traced.nodes):
        if node.op in ("placeholder", "output") or node in needed or "_assert" in str(node.target):
            needed.update((node, *node.all_input_nodes))
    return [node for node in traced.nodes if node in needed]


def compare_training(module: nn.Module, calls: Sequence[fx.Node]) -> tuple[bool, set[str]]:
    """Whether the same calls are made in training as outside it, where they are `calls`.

    And the paths of the running means that batch norms use in training too.
    """
    try:
        training = needed(trace(module, training=True)[0])
    except ArgumentError:
        training = []
    alike = [(node.op, node.target) for node in training] == [(node.op, node.target) for node in calls]
    return alike, {path for node in training if (path := _rests(node)) is not None}


def _rests(node: fx.Node) -> str | None:
    """The path of the running mean that a batch norm uses, if it does so in training; None for anything else."""
    if node.target not in (torch.batch_norm, nn.functional.batch_norm):
        return None
    given = dict(zip(BATCH_NORM[node.target is torch.batch_norm], node.args, strict=False)) | node.kwargs
    mean = given.get("running_mean")
    return str(mean.target) if isinstance(mean, fx.Node) and not given.get("training", False) else None


# The first arguments of `torch.nn.functional.batch_norm` and of `torch.batch_norm`.
BATCH_NORM = (
    ("input", "running_mean", "running_var", "weight", "bias", "training"),
    ("input", "weight", "bias", "running_mean", "running_var", "training"),
)


def warn(message: str) -> None:
    """Warn whoever called Colonnade."""
    warnings.warn(f"from_torch: {message}.", UserWarning, stacklevel=_levels_to_the_caller())


def _levels_to_the_caller() -> int:
    """How far up whoever called Colonnade stands."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith("colonnade"):
        frame, level = frame.f_back, level + 1
    return level
