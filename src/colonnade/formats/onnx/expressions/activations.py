"""The activations in the operators of ONNX."""

from __future__ import annotations

import math

from .... import layers
from ..writer import Expression, GraphWriter, operator


def leaky_relu(graph: GraphWriter, layer: layers.LeakyReLU, x: str) -> str:
    return graph.node("LeakyRelu", x, alpha=float(layer.negative_slope))


def prelu(graph: GraphWriter, layer: layers.PReLU, x: str) -> str:
    return graph.node("PRelu", x, graph.by_channel("weight"))


def elu(graph: GraphWriter, layer: layers.ELU, x: str) -> str:
    return graph.node("Elu", x, alpha=float(layer.alpha))


def celu(graph: GraphWriter, layer: layers.CELU, x: str) -> str:
    """α · ELU(x / α): the operator Celu is for float32 alone."""
    alpha = graph.constant("alpha", float(layer.alpha))
    return graph.node("Mul", graph.node("Elu", graph.node("Div", x, alpha)), alpha)


def selu(graph: GraphWriter, layer: layers.SELU, x: str) -> str:
    return graph.node("Selu", x, alpha=layer.alpha, gamma=layer.scale)


def hardsigmoid(graph: GraphWriter, layer: layers.Hardsigmoid, x: str) -> str:
    return graph.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)


def hardtanh(graph: GraphWriter, layer: layers.Hardtanh, x: str) -> str:
    return graph.node("Clip", x, graph.constant("min", layer.min_val), graph.constant("max", layer.max_val))


def softplus(graph: GraphWriter, layer: layers.Softplus, x: str) -> str:
    """log(1 + exp(β x)) / β, and x beyond the threshold: from 20 on they are the same to eight digits."""
    beta = graph.constant("beta", float(layer.beta))
    scaled = x if layer.beta == 1 else graph.node("Mul", x, beta)
    smooth = graph.node("Softplus", scaled)
    smooth = smooth if layer.beta == 1 else graph.node("Div", smooth, beta)
    if layer.threshold >= 20:
        return smooth
    beyond = graph.node("Greater", scaled, graph.constant("threshold", float(layer.threshold)))
    return graph.node("Where", beyond, x, smooth)


def silu(graph: GraphWriter, layer: layers.SiLU, x: str) -> str:
    return graph.node("Mul", x, graph.node("Sigmoid", x))


def hardswish(graph: GraphWriter, layer: layers.Hardswish, x: str) -> str:
    return graph.node("Mul", x, graph.node("HardSigmoid", x, alpha=1 / 6, beta=0.5))


def mish(graph: GraphWriter, layer: layers.Mish, x: str) -> str:
    if graph.opset >= 18:
        return graph.node("Mish", x)
    return graph.node("Mul", x, graph.node("Tanh", graph.node("Softplus", x)))


def gelu(graph: GraphWriter, layer: layers.GELU, x: str) -> str:
    """½ x (1 + erf(x / √2)), or ½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))."""
    if graph.opset >= 20:
        return graph.node("Gelu", x, approximate=layer.approximate)
    if layer.approximate == "none":
        bend = graph.node("Erf", graph.node("Mul", x, graph.constant("scale", math.sqrt(0.5))))
    else:
        cube = graph.node("Mul", graph.node("Mul", graph.node("Mul", x, x), x), graph.constant("cubic", 0.044715))
        bend = graph.node("Mul", graph.node("Add", x, cube), graph.constant("scale", math.sqrt(2 / math.pi)))
        bend = graph.node("Tanh", bend)
    half = graph.node("Mul", x, graph.constant("half", 0.5))
    return graph.node("Mul", half, graph.node("Add", bend, graph.constant("one", 1.0)))


def softmax(graph: GraphWriter, layer: layers.Softmax, x: str) -> str:
    return graph.node("Softmax", x, axis=layer.dim)


def log_softmax(graph: GraphWriter, layer: layers.LogSoftmax, x: str) -> str:
    return graph.node("LogSoftmax", x, axis=layer.dim)


EXPRESSIONS: dict[type[layers.Layer], Expression] = {
    layers.CELU: celu,
    layers.ELU: elu,
    layers.GELU: gelu,
    layers.Hardsigmoid: hardsigmoid,
    layers.Hardswish: hardswish,
    layers.Hardtanh: hardtanh,
    layers.LeakyReLU: leaky_relu,
    layers.LogSoftmax: log_softmax,
    layers.Mish: mish,
    layers.PReLU: prelu,
    layers.ReLU: operator("Relu"),
    layers.ReLU6: hardtanh,
    layers.SELU: selu,
    layers.SiLU: silu,
    layers.Sigmoid: operator("Sigmoid"),
    layers.Softmax: softmax,
    layers.Softplus: softplus,
    layers.Softsign: operator("Softsign"),
    layers.Tanh: operator("Tanh"),
}
