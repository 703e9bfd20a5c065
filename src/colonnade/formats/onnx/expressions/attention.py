"""Attention in the operators of ONNX."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .... import layers
from ..writer import Expression, GraphWriter
from .arithmetic import reduced
from .products import linear


def attention(graph: GraphWriter, layer: layers.MultiheadAttention, *inputs: str) -> str:
    """softmax(Q Kᵀ / √d + M) V of all heads at once."""
    count = len(inputs) - len(layer.masks)
    size = layer.embed_dim // layer.num_heads
    heads = graph.constant("heads", [0, 0, layer.num_heads, size])
    queries, keys, values = (
        graph.node("Transpose", graph.node("Reshape", each, heads), perm=[0, 2, 1, 3])
        for each in _longer(graph, layer, _projected(graph, layer, inputs[:count]))
    )
    scores = graph.node("MatMul", queries, graph.node("Transpose", keys, perm=[0, 1, 3, 2]))
    scores = graph.node("Mul", scores, graph.constant("scale", 1 / math.sqrt(size)))
    mask = _mask(graph, layer, inputs[count:])
    looks = ""
    if layer.masks and layer.zero_empty_rows:
        least = graph.constant("nothing", -math.inf)
        looks = graph.node("Greater", reduced(graph, "ReduceMax", mask, [3], True), least)
        mask = graph.node("Where", looks, mask, graph.constant("zero", 0.0))
    weights = graph.node("Softmax", graph.node("Add", scores, mask) if mask else scores, axis=-1)
    if looks:
        weights = graph.node("Where", looks, weights, graph.constant("zero", 0.0))
    answers = _joined(graph, graph.node("MatMul", weights, values))
    y = linear(graph, answers, 2, "out_proj.weight", "out_proj.bias")
    return graph.node("Concat", y, _joined(graph, weights), axis=2) if layer.return_weights else y


def _joined(graph: GraphWriter, x: str) -> str:
    """(n, heads, t, k) as (n, t, heads · k)."""
    return graph.node("Reshape", graph.node("Transpose", x, perm=[0, 2, 1, 3]), graph.constant("joined", [0, 0, -1]))


def _projected(graph: GraphWriter, layer: layers.MultiheadAttention, sequences: Sequence[str]) -> list[str]:
    """Query, key and value behind their projections, each (n, length, d)."""
    size = layer.embed_dim
    if len(sequences) == 1:
        projected = linear(graph, sequences[0], 2, "in_proj_weight", "in_proj_bias")
        return [_part(graph, projected, part, size, axis=2) for part in range(3)]
    made = []
    for number, (x, kind) in enumerate(zip(sequences, "qkv", strict=True)):
        weight = graph.parameter(f"{kind}_proj_weight")
        if not weight:
            weight = _part(graph, graph.parameter("in_proj_weight"), number, size, axis=0)
        product = graph.node("MatMul", x, graph.node("Transpose", weight, perm=[1, 0]))
        bias = graph.parameter("in_proj_bias")
        made.append(graph.node("Add", product, _part(graph, bias, number, size, axis=0)) if bias else product)
    return made


def _part(graph: GraphWriter, x: str, number: int, size: int, axis: int) -> str:
    """One of several parts of a size, along an axis."""
    places = [number * size], [(number + 1) * size], [axis]
    return graph.node("Slice", x, *map(graph.constant, ("start", "end", "axis"), places))


def _longer(graph: GraphWriter, layer: layers.MultiheadAttention, parts: list[str]) -> list[str]:
    """With the keys and values that are added."""
    if not layer.more_keys:
        return parts
    size = layer.embed_dim
    shape = graph.node("Concat", graph.batch(), graph.constant("one", [1, size]), axis=0)
    made = parts[:1]
    for part, name in zip(parts[1:], ("bias_k", "bias_v"), strict=True):
        learned, zeros = graph.parameter(name), graph.constant("zeros", np.zeros((1, 1, size)))
        rows = ([learned] if learned else []) + ([zeros] if layer.add_zero_attn else [])
        made.append(graph.node("Concat", part, *(graph.node("Expand", row, shape) for row in rows), axis=1))
    return made


def _mask(graph: GraphWriter, layer: layers.MultiheadAttention, masks: Sequence[str]) -> str:
    """What is added to all scores, with as many axes as they have; "" for nothing."""
    parts = []
    if layer.is_causal:
        length, keys = layer.lengths
        later = ~np.tri(length, keys, dtype=np.bool_)
        parts.append(graph.constant("causal", np.where(later, -np.inf, 0.0)[None, None]))
    for (name, kind), mask in zip(layer.masks, masks, strict=True):
        if kind == "bool":
            hidden = graph.cast(mask, np.bool_)
            mask = graph.node("Where", hidden, graph.constant("nothing", -math.inf), graph.constant("zero", 0.0))
        axes = [1, 2] if name == "key_padding_mask" else [1]
        by_head = name == "attn_mask" and layer.mask_by_head
        parts.append(mask if by_head else graph.node("Unsqueeze", mask, graph.constant("axes", axes)))
    if not parts:
        return ""
    total = parts[0]
    for part in parts[1:]:
        total = graph.node("Add", total, part)
    if layer.more_keys:
        total = graph.node("Pad", total, graph.constant("pads", [0, 0, 0, 0, 0, 0, 0, layer.more_keys]))
    return total


EXPRESSIONS: dict[type[layers.Layer], Expression] = {layers.MultiheadAttention: attention}
