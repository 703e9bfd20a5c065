"""Activations by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import layers
from ..compiled import activation as compiled
from ..compiled.activation import Activation, activation_backward, activation_forward
from ..layers.base import Block, Bound, Layer
from ..tensor import Tensor
from .base import Leaf, plain

# Of each type of layer: the kind, and the parameters a and b; None where it is none as it was made.
_ACTIVATIONS: dict[type[Layer], Callable[[Any], tuple[float, ...] | None]] = {
    layers.ReLU: lambda _: (compiled.RELU,),
    layers.LeakyReLU: lambda layer: (compiled.LEAKY_RELU, layer.negative_slope),
    layers.ReLU6: lambda _: (compiled.CLIP, 0, 6),
    layers.Hardtanh: lambda layer: (compiled.CLIP, layer.min_val, layer.max_val),
    layers.Threshold: lambda layer: (compiled.THRESHOLD, layer.threshold, layer.value),
    layers.ELU: lambda layer: (compiled.ELU, layer.alpha, 1),
    layers.SELU: lambda layer: (compiled.ELU, layer.alpha * layer.scale, layer.scale),
    layers.CELU: lambda layer: (compiled.CELU, layer.alpha),
    layers.Softplus: lambda layer: (compiled.SOFTPLUS, layer.beta, layer.threshold),
    layers.Softsign: lambda _: (compiled.SOFTSIGN,),
    layers.Tanh: lambda _: (compiled.TANH,),
    layers.Sigmoid: lambda _: (compiled.SIGMOID,),
    layers.Hardsigmoid: lambda _: (compiled.HARDSIGMOID,),
    layers.Hardswish: lambda _: (compiled.HARDSWISH,),
    layers.SiLU: lambda _: (compiled.SILU,),
    layers.Mish: lambda _: (compiled.MISH,),
    layers.GELU: lambda layer: (compiled.GELU_TANH if layer.approximate == "tanh" else compiled.GELU,),
    layers.Exp: lambda _: (compiled.EXP,),
    layers.Log: lambda _: (compiled.LOG,),
    layers.Sqrt: lambda _: (compiled.SQRT,),
    layers.Power: lambda layer: (compiled.SQUARE,) if layer.exponent == 2 else None,
    layers.Reciprocal: lambda _: (compiled.RECIPROCAL,),
    layers.Abs: lambda _: (compiled.ABS,),
    layers.Erf: lambda _: (compiled.ERF,),
    layers.Affine: lambda layer: (compiled.AFFINE, layer.scale, layer.shift),
}


def activation_of(layer: Layer | None) -> Activation | None:
    """A layer as an activation; None if it is none."""
    of = _ACTIVATIONS.get(type(layer)) if layer is not None else None
    made = of(layer) if of else None
    if made is None:
        return None
    kind, *parameters = made
    return Activation(int(kind), *(np.float32(each) for each in parameters))


def leaf_for(layer: Layer) -> Leaf | None:
    """The leaf of an activation; None for any other layer."""
    activation = activation_of(layer)
    return CompiledActivation(layer, activation) if activation else None


class CompiledActivation(Leaf):
    """y = f(x), number by number."""

    in_place = True
    cheap = True

    def __init__(self, layer: Layer, activation: Activation) -> None:
        self.stands_for, self.activation = (layer,), activation
        self.reads = activation.reads  # type: ignore[misc]
        # What reads its input cannot write over it, but in the backward pass.
        self.in_place = "input" not in self.reads  # type: ignore[misc]

    def bind_forward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        kind, a, b = self.activation
        yield activation_forward(kind), (plain(x.value), a, b, plain(y.value))

    def bind_backward(self, x: Tensor, y: Tensor, block: Block) -> Iterator[Bound]:
        kind, a, b = self.activation
        grad = plain(y.grad)
        known = grad
        if self.reads:
            known = plain(y.value if "output" in self.reads else x.value)
        yield activation_backward(kind), (known, grad, a, b, plain(x.grad))
