"""Small ONNX graphs, written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, Any]


def op(operator: str, reads: str, makes: str = "y", **attributes: Any) -> onnx.NodeProto:
    """A node; a "-" stands for an input that is left out."""
    inputs = ["" if name == "-" else name for name in reads.split()]
    return helper.make_node(operator, inputs, makes.split(), name=f"{operator}_{makes.split()[0]}", **attributes)


def graph(
    nodes: Sequence[onnx.NodeProto] | onnx.NodeProto,
    shape: Sequence[int | str],
    *,
    opset: int = 20,
    outputs: str = "y",
    dtype: int = TensorProto.FLOAT,
    domain: str = "",
    **constants: Array | list[Any] | float,
) -> onnx.ModelProto:
    """A model that reads x, of this shape, and constants by name: lists become int64, numbers float32."""
    arrays = {
        name: np.asarray(
            value, np.float32 if isinstance(value, float) else np.int64 if isinstance(value, list) else None
        )
        for name, value in constants.items()
    }
    made = helper.make_graph(
        [nodes] if isinstance(nodes, onnx.NodeProto) else list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs.split()],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    imports = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    version = max(8, helper.find_min_ir_version_for(imports[:1]))
    model = helper.make_model(made, opset_imports=imports, ir_version=version)
    model = onnx.shape_inference.infer_shapes(model)
    for output in model.graph.output:  # a shape is required, if only an empty one
        if not output.type.tensor_type.HasField("shape"):
            output.type.tensor_type.shape.SetInParent()
    return model
