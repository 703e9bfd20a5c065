"""Which layer each module of `torch.nn` is."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from torch import nn

from ... import layers
from ...composites.construction import KNOWN
from ...layers.activation import Activation
from ...layers.base import Layer
from ...layers.elementwise import Elementwise
from ...layers.functions import Stepwise
from ...layers.wiring import Elementwise as ElementwiseOfSeveral
from . import attention, counterparts
from .values import NOTHING, STEPS_FIRST, Array, Tensor, Turned, Unconvertible, Value, arrays_of

if TYPE_CHECKING:
    from .importer import Importer

# Of a module, the layer. Many are of the same name, with arguments that the module keeps under theirs.
Make = Callable[[Any], Layer]


def alike(kind: type[Layer]) -> Make:
    """For modules whose arguments are the layer's: PyTorch keeps them as attributes of their names."""
    names = list(inspect.signature(kind).parameters)

    def make(module: nn.Module) -> Layer:
        arguments = {name: getattr(module, name) for name in names if hasattr(module, name)}
        if "bias" in arguments:  # an argument that says whether, an attribute that is the parameter or None
            arguments["bias"] = arguments["bias"] is not None and arguments["bias"] is not False
        return kind(**arguments)

    return make


def _only(**expected: Any) -> Callable[[Make], Make]:
    """Refuse modules of which some attributes are not as expected."""

    def restrict(make: Make) -> Make:
        def restricted(module: nn.Module) -> Layer:
            for name, value in expected.items():
                if getattr(module, name) != value:
                    raise Unconvertible(f"{name} must be {value!r}, got {getattr(module, name)!r}")
            return make(module)

        return restricted

    return restrict


def _pad(mode: str) -> Make:
    return lambda module: layers.Pad(_sides(module.padding), mode, getattr(module, "value", 0.0))


def _sides(padding: Any) -> tuple[int, ...]:
    return tuple(padding)


def _softmax(kind: type[layers.Softmax] | type[layers.LogSoftmax]) -> Make:
    def make(module: Any) -> Layer:
        if module.dim is None:
            raise Unconvertible("dim must be given")
        return kind(module.dim)

    return make


def _recurrent_layer(module: Any) -> Any:
    """The layer of an RNN, LSTM or GRU, whatever its batch_first."""
    name = next(each.__name__ for each in type(module).__mro__ if each in (nn.RNN, nn.LSTM, nn.GRU))
    kind = getattr(layers, name)
    names = ["input_size", "hidden_size", "num_layers", "bias", "dropout", "bidirectional"]
    names += {"RNN": ["nonlinearity"], "LSTM": ["proj_size"], "GRU": []}[name]
    return kind(**{each: getattr(module, each) for each in names})


def _norm_of_channels(module: Any) -> Layer:
    return layers.LayerNorm2d(module.normalized_shape[0], module.eps, module.elementwise_affine)


# Of one, two and three axes of pixels.
OF_AXES = (
    *("AdaptiveAvgPool", "AvgPool", "BatchNorm", "CircularPad", "Conv", "ConvTranspose", "Dropout", "InstanceNorm"),
    *("MaxPool", "ReflectionPad", "ReplicationPad", "ZeroPad"),
)
SAME = (
    *("Bilinear", "CELU", "ChannelShuffle", "Dropout", "ELU", "Flatten", "Fold", "GELU", "GroupNorm", "Hardsigmoid"),
    *("Hardswish", "Hardtanh", "Identity", "LayerNorm", "LeakyReLU", "LocalResponseNorm", "Mish", "PReLU"),
    *("PixelShuffle", "PixelUnshuffle", "RMSNorm", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Softsign"),
    *("Tanh", "Threshold", "Unflatten", "Unfold", "Upsample"),
    *(f"{name}{axes}d" for axes in (1, 2, 3) for name in OF_AXES),
)

MODULES: dict[type[nn.Module], Make] = {
    **{getattr(nn, name): alike(getattr(layers, name)) for name in SAME},
    nn.Linear: alike(layers.Dense),
    nn.Embedding: _only(max_norm=None, scale_grad_by_freq=False)(alike(layers.Embedding)),
    **{
        getattr(nn, name): _only(return_indices=False)(alike(getattr(layers, name)))
        for name in ("AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AdaptiveMaxPool3d")
    },
    nn.Softmax: _softmax(layers.Softmax),
    nn.LogSoftmax: _softmax(layers.LogSoftmax),
    nn.Softmax2d: lambda module: layers.Softmax(1),
    **{getattr(nn, f"ConstantPad{axes}d"): _pad("constant") for axes in (1, 2, 3)},
    counterparts.Operation: lambda module: KNOWN[module.kind](**module.arguments),
    counterparts.Constant: alike(layers.Constant),
    counterparts.Embedding: alike(layers.Embedding),
    counterparts.GRU: alike(layers.GRU),
    counterparts.LSTM: alike(layers.LSTM),
    counterparts.RNN: alike(layers.RNN),
    counterparts.LayerNorm2d: _norm_of_channels,
    counterparts.MultiheadAttention: lambda module: attention.attention_layer(module, **module.how),
    # By themselves, or in a chain, they put out the sequence.
    **{kind: _only(batch_first=True)(_recurrent_layer) for kind in (nn.RNN, nn.LSTM, nn.GRU)},
}


def _recurrent(graph: Importer, module: Any, path: str, x: Tensor, hx: Any = None) -> Any:
    """A recurrent layer: the sequence, and the last states where anybody reads them."""
    layer = _recurrent_layer(module)
    return recurrent(graph, layer, arrays_of(layer, module, path), path, x, hx, module.batch_first)


def recurrent(
    graph: Importer, layer: Any, arrays: dict[str, Array], path: str | None, x: Tensor, hx: Any, batch_first: bool
) -> Any:
    """The same of a layer with its weights; `path` is that of the module, or None for the call at hand."""
    x = attention.batch_first(graph, batch_first, x)
    layer.return_states = graph.reads_more_than_first(path)
    name, path = path, graph.name if path is None else path
    initial = [
        _first_state(graph, each) for each in (hx if isinstance(hx, tuple | list) else (hx,)) if each is not None
    ]
    y = graph.weighed(layer, arrays, x, *initial, name=name)
    rows, last = layer.state_rows, []
    if rows:
        places, size = layer.num_layers * (2 if layer.bidirectional else 1), layer.hidden_size
        for end in range(-rows, 0, layer.num_layers):
            part = graph.put(layers.Slice(1, end, end + layer.num_layers or None), y, name=f"{path}.states")
            state = graph.put(layers.Reshape((places, size)), part, name=f"{path}.states")
            last.append(Turned(graph.value(state), STEPS_FIRST, f"{path}.states_permute"))
        y = graph.put(layers.Slice(1, None, -rows), y, name=f"{path}.sequence")
    output = y if batch_first else Turned(graph.value(y), STEPS_FIRST, f"{path}_permute")
    return output, (tuple(last) if layer.states == 2 else last[0]) if rows else NOTHING


def _first_state(graph: Importer, state: Any) -> Value:
    """States (layers · directions, n, k) with the batch first."""
    if isinstance(state, Turned) and state.dims == STEPS_FIRST:
        return state.value
    if isinstance(state, Array):
        return graph.constant(Array(state.path, state.tensor.transpose(0, 1), state.parameter), 3)
    raise Unconvertible("the batch must be the second axis of its states")


def _log_sigmoid(graph: Importer, module: Any, path: str, x: Tensor) -> Any:
    return graph.call_function(nn.functional.logsigmoid, x)


def _border(graph: Importer, module: Any, path: str, x: Tensor) -> Any:
    """A border, or where a side is negative so much cut off."""
    sides = _sides(module.padding)
    if min(sides) < 0:
        return graph.call_function(nn.functional.pad, x, sides, "constant", module.value)
    return graph.put(MODULES[cast(type, known(module))](module), x, name=path)


# Modules that are several layers, or that take more than one tensor.
COMPOUND: dict[type[nn.Module], Callable[..., Any]] = {
    nn.LogSigmoid: _log_sigmoid,
    **{getattr(nn, f"{kind}Pad{axes}d"): _border for kind in ("Constant", "Zero") for axes in (1, 2, 3)},
    nn.GRU: _recurrent,
    nn.LSTM: _recurrent,
    nn.RNN: _recurrent,
    **attention.COMPOUND,
}

HARMLESS = {"extra_repr", "reset_parameters"}  # what a subclass may have of its own and still compute the same
HOOKS = ("_forward_hooks", "_forward_pre_hooks")


def known(module: nn.Module) -> type[nn.Module] | None:
    """The class in the tables that a module is, or that it is a subclass of which computes the same."""
    if nn.utils.parametrize.is_parametrized(module):  # its weights are calculated: its code says how
        return None
    own: set[str] = set()
    for each in type(module).__mro__:
        if each in MODULES or each in COMPOUND:
            changed = {name for name in own if hasattr(each, name) and not name.startswith("__")}
            return each if changed <= HARMLESS else None
        own |= vars(each).keys()
    return None


def layer_of(module: nn.Module) -> Layer | None:
    """The one layer that a module is, or None; raises Unconvertible for arguments that the layer has not."""
    kind = known(module)
    if kind not in MODULES:
        return None
    check(module)
    return MODULES[kind](module)


def check(module: nn.Module) -> None:
    """Raise Unconvertible for a module that is changed from outside."""
    if any(getattr(module, hooks) for hooks in HOOKS):
        raise Unconvertible("it has a forward hook, of which from_torch can't know what it does: remove it")


# Functions of each number by itself, whatever the order of the axes.
POINTWISE = (Activation, Elementwise, Stepwise, ElementwiseOfSeveral, layers.Dropout, layers.Identity)


def of_each_place(layer: Layer) -> bool:
    """Whether it does the same at each place of a sequence, whatever the order of these and of the batch."""
    norm = isinstance(layer, layers.LayerNorm | layers.RMSNorm) and len(layer.normalized_shape) == 1
    norm = norm or (isinstance(layer, layers.Softmax | layers.LogSoftmax) and layer.dim in (-1, 2))
    pointwise = isinstance(layer, POINTWISE) and not isinstance(layer, layers.PReLU)
    return norm or pointwise or isinstance(layer, layers.Dense)


def over_channels(layer: Layer, arrays: dict[str, Array]) -> tuple[Layer, dict[str, Array]] | None:
    """What does the same for images as they are that `layer` does for images whose channels were moved last."""
    if isinstance(layer, POINTWISE) and not isinstance(layer, layers.PReLU):
        return layer, arrays
    if isinstance(layer, layers.Dense):
        weight = arrays["weight"]
        kernel = Array(weight.path, weight.tensor[:, :, None, None], weight.parameter)
        return layers.Conv2d(layer.in_features, layer.out_features, 1, bias="bias" in arrays), arrays | {
            "weight": kernel
        }
    if isinstance(layer, layers.LayerNorm) and len(layer.normalized_shape) == 1 and len(arrays) != 1:
        return layers.LayerNorm2d(layer.normalized_shape[0], layer.eps, bool(arrays)), arrays
    return None
