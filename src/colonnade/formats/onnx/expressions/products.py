"""Dense, Bilinear and what is looked up, in the operators of ONNX."""

from __future__ import annotations

import numpy as np

from .... import layers
from ..writer import Expression, GraphWriter


def dense(graph: GraphWriter, layer: layers.Dense, x: str) -> str:
    return linear(graph, x, len(graph.shape), "weight", "bias")


def linear(graph: GraphWriter, x: str, axes: int, weight: str, bias: str) -> str:
    """x Wᵀ + b, over the last axis of an x of so many beside the batch."""
    matrix, vector = graph.parameter(weight), graph.parameter(bias)
    if axes == 1:
        return graph.node("Gemm", x, matrix, vector, transB=1)
    product = graph.node("MatMul", x, graph.node("Transpose", matrix, perm=[1, 0]))
    return graph.node("Add", product, vector) if vector else product


def bilinear(graph: GraphWriter, layer: layers.Bilinear, x1: str, x2: str) -> str:
    """x₁ times all matrices side by side, and each product with x₂."""
    left, right, outputs = layer.in1_features, layer.in2_features, layer.out_features
    turned = graph.node("Transpose", graph.parameter("weight"), perm=[1, 0, 2])
    matrices = graph.node("Reshape", turned, graph.constant("matrices", [left, outputs * right]))
    sizes = [0, *graph.output_shape, right]
    parted = graph.node("Reshape", graph.node("MatMul", x1, matrices), graph.constant("parted", sizes))
    column = graph.node("Unsqueeze", x2, graph.constant("axis", [-1]))
    y = graph.node("Reshape", graph.node("MatMul", parted, column), graph.constant("shape", [0, *graph.output_shape]))
    bias = graph.parameter("bias")
    return graph.node("Add", y, bias) if bias else y


def embedding(graph: GraphWriter, layer: layers.Embedding, x: str) -> str:
    """An input that only embeddings read is int64 in the graph; what comes as floats from elsewhere is cast."""
    index = x if x in graph.whole else graph.cast(x, np.int64)
    return graph.node("Gather", graph.parameter("weight"), index)


EXPRESSIONS: dict[type[layers.Layer], Expression] = {
    layers.Bilinear: bilinear,
    layers.Dense: dense,
    layers.Embedding: embedding,
}
