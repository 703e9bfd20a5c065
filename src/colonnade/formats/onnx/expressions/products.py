"""Dense, attention and what is looked up, in the operators of ONNX."""

from __future__ import annotations

import math

import numpy as np

from .... import layers
from ..writer import Expression, GraphWriter


def dense(graph: GraphWriter, layer: layers.Dense, x: str) -> str:
    return _linear(graph, x, len(graph.shape), "weight", "bias")


def _linear(graph: GraphWriter, x: str, axes: int, weight: str, bias: str) -> str:
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


def attention(graph: GraphWriter, layer: layers.MultiheadAttention, x: str) -> str:
    """softmax(Q Kᵀ / √d) V of all heads at once."""
    length, width = graph.shape
    size = width // layer.num_heads
    projected = _linear(graph, x, 2, "in_proj_weight", "in_proj_bias")
    heads = graph.node("Reshape", projected, graph.constant("heads", [0, length, 3, layer.num_heads, size]))
    parted = graph.node("Transpose", heads, perm=[2, 0, 3, 1, 4])  # (3, n, heads, t, d)
    queries, keys, values = (graph.node("Gather", parted, graph.constant("part", part)) for part in range(3))
    scores = graph.node("MatMul", queries, graph.node("Transpose", keys, perm=[0, 1, 3, 2]))
    weights = graph.node("Softmax", graph.node("Mul", scores, graph.constant("scale", 1 / math.sqrt(size))), axis=-1)
    answers = graph.node("Transpose", graph.node("MatMul", weights, values), perm=[0, 2, 1, 3])
    joined = graph.node("Reshape", answers, graph.constant("joined", [0, length, width]))
    return _linear(graph, joined, 2, "out_proj.weight", "out_proj.bias")


def embedding(graph: GraphWriter, layer: layers.Embedding, x: str) -> str:
    """An input that only embeddings read is int64 in the graph; what comes as floats from elsewhere is cast."""
    index = x if x in graph.whole else graph.cast(x, np.int64)
    return graph.node("Gather", graph.parameter("weight"), index)


EXPRESSIONS: dict[type[layers.Layer], Expression] = {
    layers.Bilinear: bilinear,
    layers.Dense: dense,
    layers.Embedding: embedding,
    layers.MultiheadAttention: attention,
}
