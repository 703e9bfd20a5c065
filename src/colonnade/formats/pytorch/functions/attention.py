"""Attention in PyTorch, as layers.

A function here has the name and the arguments of the one in PyTorch; `graph` is where it puts its layers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from .... import layers
from ..values import NOTHING, Array, Fixed, Tensor, Unconvertible, Value
from .arithmetic import add, affine
from .axes import repeat_interleave, transpose
from .products import matmul

if TYPE_CHECKING:
    from ..importer import Importer


def scaled_dot_product_attention(
    graph: Importer, query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    query, key, value = (graph.value(each) for each in (query, key, value))
    if enable_gqa:
        key, value = (_for_each_head(graph, each, query) for each in (key, value))
    factor = query.known[-1] ** -0.5 if scale is None else scale
    scores = matmul(graph, affine(graph, query, factor, 0), transpose(graph, key, -2, -1))
    if is_causal:
        if attn_mask is not None:
            raise Unconvertible("it has both an attn_mask and is_causal")
        rows, columns = graph.value(scores).known[-2:]
        attn_mask = Array("is_causal", torch.ones(rows, columns, dtype=torch.bool).tril())
    scores, looks = (scores, None) if attn_mask is None else masked(graph, scores, attn_mask)
    weights = graph.put(layers.Softmax(-1), scores)
    if looks is not None:
        weights = graph.join(layers.Mul, weights, looks)
    if dropout_p:
        weights = graph.put(layers.Dropout(dropout_p), weights)
    return matmul(graph, weights, value)


def scaled_dot_product_flash(
    graph: Importer, query: Any, key: Any, value: Any, dropout_p: float = 0.0, is_causal: bool = False,
    attn_mask: Any = None, scale: float | None = None,
) -> tuple[Tensor, Any]:  # fmt: skip
    """The same by the name that it has on a CPU, with the logarithm of a sum that only its gradient reads."""
    return scaled_dot_product_attention(graph, query, key, value, attn_mask, dropout_p, is_causal, scale), NOTHING


def _for_each_head(graph: Importer, x: Value, query: Value) -> Value:
    """Keys or values with as many heads as the queries have: each stands for several."""
    axis = x.axis(-3)
    heads, wanted = x.known[axis - 1], query.known[-3]
    if wanted % heads:
        raise Unconvertible(f"{wanted} heads of queries can't share {heads} of keys and values")
    if wanted == heads:
        return x
    return graph.value(repeat_interleave(graph, x, wanted // heads, axis))


def masked(graph: Importer, scores: Any, mask: Any) -> tuple[Tensor, Any]:
    """Scores of an attention with a mask: what to add, or of True and False, where to look.

    What is not looked at has a score of −∞, and so a weight of 0. Where a whole row is not, its scores stay as they
    are. What they become is multiplied with the second that is returned: 0 for such rows and 1 for others; None where
    there are no such rows.
    """
    if isinstance(mask, Fixed) or (isinstance(mask, Array) and mask.parameter is not None):
        return add(graph, scores, mask), None
    if isinstance(mask, Array):
        tensor = mask.tensor
        if tensor.dtype == torch.bool:
            tensor = torch.zeros(tensor.shape, dtype=torch.float64).masked_fill(~tensor, -torch.inf)
        nothing = (tensor == -torch.inf).all(-1, keepdim=True)
        made = graph.join(layers.Add, scores, Array(mask.path, tensor.masked_fill(nothing, 0)))
        return made, Array(f"{mask.path}.rows", (~nothing).to(tensor.dtype)) if bool(nothing.any()) else None
    truth = graph.is_truth(mask)
    if truth is None:
        raise Unconvertible("its mask is an input, which may be of numbers or of True and False: add it yourself")
    if truth:
        looks = graph.put(layers.Amax(-1, True), mask)
        open_ = graph.join(layers.LogicalOr, mask, graph.put(layers.LogicalNot(), looks))
        which, scores = graph.pair(open_, scores)
        return graph.put(layers.Where(stretch=True), which, scores, graph.pair(scores, -math.inf)[1]), looks
    looks = graph.join(layers.Greater, graph.put(layers.Amax(-1, True), mask), -math.inf)
    which, added = graph.pair(looks, mask)
    added = graph.put(layers.Where(stretch=True), which, added, graph.pair(added, 0.0)[1])
    return graph.join(layers.Add, scores, added), looks
