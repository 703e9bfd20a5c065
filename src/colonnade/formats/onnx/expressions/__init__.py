"""How each layer is said in the operators of ONNX: one small function a layer, and the table of them all.

A function is called as `expression(graph, layer, *inputs)`, the inputs being names of tensors. It writes nodes with
`graph.node`, which returns the name of what a node puts out, and returns the name of what the layer puts out.

Whatever runs the file should get the same numbers. What ONNX, or the programs that read it, have taken in more than
one way is therefore put so that there is but one: a window that hangs over the end, for instance, is padding there,
and never `ceil_mode`.
"""

from __future__ import annotations

from .... import layers
from ..writer import Expression
from . import activations, arithmetic, attention, indexing, normalization, products, rearrangement, recurrent, windows
from .rearrangement import same

__all__ = ["EXPRESSIONS", "same"]

EXPRESSIONS: dict[type[layers.Layer], Expression] = {
    **activations.EXPRESSIONS,
    **arithmetic.EXPRESSIONS,
    **attention.EXPRESSIONS,
    **indexing.EXPRESSIONS,
    **normalization.EXPRESSIONS,
    **products.EXPRESSIONS,
    **rearrangement.EXPRESSIONS,
    **recurrent.EXPRESSIONS,
    **windows.EXPRESSIONS,
}
