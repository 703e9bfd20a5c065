"""Operators as each version of ONNX means them, on batches of any size, beside ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import FileFormatError

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from colonnade.formats.onnx import import_model  # noqa: E402  # needs the packages above
from tests.formats.onnx_graphs import graph, op  # noqa: E402

Array = np.ndarray[Any, Any]
IMAGE = ("N", 4, 7, 6)


def weights(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def branch(operator: str) -> Any:
    """A graph within the graph, of one operator on x."""
    made = onnx.helper.make_tensor_value_info(f"{operator}_out", 1, None)
    return onnx.helper.make_graph([op(operator, "x", f"{operator}_out")], operator, [], [made])


WHOLE = [np.random.default_rng(0).integers(-100, 100, shape).astype(np.int8) for shape in ((6, 4), (3, 4, 3, 2))]
W, B = weights(6, 4, 3, 2), weights(6)
GROUPED = weights(4, 1, 3, 3)
TRANSPOSED = weights(4, 3, 3, 2)
C4 = {name: np.abs(weights(4, seed=n)) + 0.5 for n, name in enumerate(("s", "b", "m", "v"))}

STEPS_FIRST = op("Transpose", "x", "t", perm=[1, 0, 2])

CASES: dict[str, Any] = {
    # Along sequences
    "LSTM of both directions, and its last states": graph(
        [
            STEPS_FIRST,
            op("LSTM", "t w r b", "a h c", hidden_size=3, direction="bidirectional"),
            op("Add", "a h", "ah"),
            op("Add", "ah c", "sum"),
            op("Transpose", "sum", perm=[2, 0, 1, 3]),
        ],
        ("N", 5, 4),
        w=weights(2, 12, 4),
        r=weights(2, 12, 3, seed=1),
        b=weights(2, 24, seed=2),
    ),
    "LSTM with states before the first step": graph(
        [
            STEPS_FIRST,
            op("Slice", "t zero one zero", "first"),
            op("MatMul", "first m", "h"),
            op("Tanh", "h", "c"),
            op("LSTM", "t w r - - h c", "a", hidden_size=3),
            op("Transpose", "a", perm=[2, 0, 1, 3]),
        ],
        ("N", 5, 4),
        w=weights(1, 12, 4),
        r=weights(1, 12, 3, seed=1),
        m=weights(4, 3, seed=2),
        zero=[0],
        one=[1],
    ),
    "GRU from the end, its last state alone": graph(
        [
            STEPS_FIRST,
            op("GRU", "t w r b", "- h", hidden_size=3, direction="reverse", linear_before_reset=1),
            op("Squeeze", "h zero"),
        ],
        ("N", 5, 4),
        w=weights(1, 9, 4),
        r=weights(1, 9, 3, seed=1),
        b=weights(1, 18, seed=2),
        zero=[0],
    ),
    "LSTM from the end over rows of images, and its last states": graph(
        [
            op("Reshape", "x apart", "rows"),
            op("Transpose", "rows", "t", perm=[1, 0, 2]),
            op("LSTM", "t w r b", "a h c", hidden_size=3, direction="reverse"),
            op("Add", "h c", "hc"),
            op("Add", "a hc", "sum"),
            op("Transpose", "sum", "s", perm=[2, 0, 1, 3]),
            op("Reshape", "s together"),
        ],
        ("N", 2, 5, 4),
        w=weights(1, 12, 4),
        r=weights(1, 12, 3, seed=1),
        b=weights(1, 24, seed=2),
        apart=[-1, 5, 4],
        together=[-1, 2, 5, 3],
    ),
    "GRU over columns of images, each with states of its own": graph(
        [
            op("Transpose", "x", "columns", perm=[2, 3, 0, 4, 1]),
            op("Reshape", "columns apart", "t"),
            op("Slice", "t zero one zero", "first"),
            op("MatMul", "first m", "h"),
            op("GRU", "t w r b - h", "a", hidden_size=3),
            op("Reshape", "a together", "parted"),
            op("Transpose", "parted", perm=[2, 0, 1, 3, 4]),
        ],
        ("N", 4, 5, 2, 3),
        w=weights(1, 9, 4),
        r=weights(1, 9, 3, seed=1),
        b=weights(1, 18, seed=2),
        m=weights(4, 3, seed=3),
        apart=[5, -1, 4],
        together=[5, 2, -1, 3, 3],
        zero=[0],
        one=[1],
    ),
    "GRU as first published": graph(
        [STEPS_FIRST, op("GRU", "t w r b", "a", hidden_size=3), op("Transpose", "a", perm=[2, 0, 1, 3])],
        ("N", 5, 4),
        w=weights(1, 9, 4),
        r=weights(1, 9, 3, seed=1),
        b=weights(1, 18, seed=2),
    ),
    "RNN, rectified": graph(
        [
            STEPS_FIRST,
            op("RNN", "t w r", "a", hidden_size=3, activations=["Relu"]),
            op("Transpose", "a", perm=[2, 0, 1, 3]),
        ],
        ("N", 5, 4),
        w=weights(1, 3, 4),
        r=weights(1, 3, 3, seed=1) / 2,
    ),
    # Borders
    "Conv with unequal borders": graph(op("Conv", "x w b", pads=[1, 0, 2, 1]), IMAGE, w=W, b=B),
    "Conv, SAME_UPPER": graph(op("Conv", "x w b", auto_pad="SAME_UPPER", strides=[2, 2]), IMAGE, w=W, b=B),
    "Conv, SAME_LOWER": graph(op("Conv", "x w", auto_pad="SAME_LOWER"), IMAGE, w=W),
    "Conv, VALID": graph(op("Conv", "x w", auto_pad="VALID", dilations=[2, 2]), IMAGE, w=W),
    "Conv of groups": graph(op("Conv", "x w", group=4, pads=[1, 1, 1, 1], strides=[2, 1]), IMAGE, w=GROUPED),
    "Conv along sequences": graph(op("Conv", "x w b", pads=[2, 0]), ("N", 4, 9), w=weights(6, 4, 3), b=B),
    "ConvTranspose": graph(op("ConvTranspose", "x w", strides=[2, 3], pads=[1, 0, 1, 0]), IMAGE, w=TRANSPOSED),
    "ConvTranspose with unequal borders": graph(
        op("ConvTranspose", "x w b", strides=[2, 2], pads=[1, 0, 0, 1], output_padding=[1, 0]),
        IMAGE,
        w=TRANSPOSED,
        b=weights(3),
    ),
    "ConvTranspose to a shape": graph(
        op("ConvTranspose", "x w", strides=[2, 2], output_shape=[14, 13]), IMAGE, w=TRANSPOSED
    ),
    "ConvTranspose, SAME_UPPER": graph(
        op("ConvTranspose", "x w", strides=[2, 2], auto_pad="SAME_UPPER"), IMAGE, w=TRANSPOSED
    ),
    "ConvTranspose of groups along sequences": graph(
        op("ConvTranspose", "x w", group=2, strides=[2]), ("N", 4, 5), w=weights(4, 3, 3)
    ),
    "MaxPool": graph(op("MaxPool", "x", kernel_shape=[3, 2], strides=[2, 2]), IMAGE),
    "MaxPool with unequal borders": graph(op("MaxPool", "x", kernel_shape=[3, 3], pads=[0, 1, 2, 1]), IMAGE),
    "MaxPool, SAME_LOWER": graph(op("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_LOWER"), IMAGE),
    "MaxPool, ceil_mode": graph(
        op("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 3], pads=[1, 1, 1, 1], ceil_mode=1), IMAGE
    ),
    "MaxPool, ceil_mode and unequal borders": graph(
        op("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1], ceil_mode=1), IMAGE
    ),
    "MaxPool along sequences": graph(op("MaxPool", "x", kernel_shape=[3], dilations=[2], pads=[1, 2]), ("N", 4, 9)),
    "AveragePool": graph(op("AveragePool", "x", kernel_shape=[2, 3], strides=[2, 1]), IMAGE),
    "AveragePool that counts the border": graph(
        op("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1), IMAGE
    ),
    "AveragePool that does not": graph(op("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), IMAGE),
    "AveragePool with unequal borders": graph(
        op("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 2, 1, 0]), IMAGE
    ),
    "AveragePool with unequal borders that count": graph(
        op("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 2, 1, 0], count_include_pad=1), IMAGE
    ),
    "AveragePool, SAME_UPPER": graph(
        op("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_UPPER"), IMAGE
    ),
    "AveragePool with gaps": graph(op("AveragePool", "x", kernel_shape=[2, 2], dilations=[2, 3]), IMAGE),
    "AveragePool along sequences": graph(op("AveragePool", "x", kernel_shape=[3], pads=[0, 2]), ("N", 4, 9)),
    "GlobalMaxPool": graph(op("GlobalMaxPool", "x"), IMAGE),
    "GlobalAveragePool along sequences": graph(op("GlobalAveragePool", "x"), ("N", 4, 9)),
    # What changed between versions
    "Squeeze 11": graph(op("Squeeze", "x", axes=[2]), ("N", 4, 1, 3), opset=11),
    "Squeeze 13": graph(op("Squeeze", "x a"), ("N", 4, 1, 3), a=[-2]),
    "Unsqueeze 11": graph(op("Unsqueeze", "x", axes=[1, 4]), ("N", 4, 3), opset=11),
    "Unsqueeze 13": graph(op("Unsqueeze", "x a"), ("N", 4, 3), a=[-1, 1]),
    "Clip 6": graph(op("Clip", "x", min=-0.5, max=0.7), ("N", 5), opset=7),
    "Clip 11": graph(op("Clip", "x - b"), ("N", 5), opset=11, b=np.float32(0.3)),
    "Clip of nothing": graph(op("Clip", "x"), ("N", 5)),
    "Clip whose ends cross": graph(op("Clip", "x a b"), ("N", 5), a=0.5, b=-0.5),
    "Pad 2": graph(op("Pad", "x", pads=[0, 0, 1, 2, 0, 1, 0, 0], value=0.5), IMAGE, opset=7),
    "Pad 11": graph(op("Pad", "x p c"), IMAGE, opset=11, p=[0, 0, 1, 2, 0, 0, 0, 1], c=0.0),
    "Pad of named axes": graph(op("Pad", "x p - a", mode="edge"), IMAGE, p=[1, 0, 2, 1], a=[-1, 1]),
    "Pad by reflection": graph(op("Pad", "x p", mode="reflect"), IMAGE, p=[0, 0, 2, 3, 0, 0, 1, 2]),
    "Pad round and round": graph(op("Pad", "x p", mode="wrap"), IMAGE, p=[0, 0, 2, 3, 0, 0, 1, 2]),
    "Pad that cuts": graph(op("Pad", "x p"), IMAGE, p=[0, 0, -1, 1, 0, 0, 2, -2]),
    "Slice 1": graph(op("Slice", "x", starts=[1, -3], ends=[3, 1000], axes=[1, 3]), IMAGE, opset=7),
    "Slice 10": graph(op("Slice", "x s e a t"), IMAGE, s=[-1, 0], e=[-1000, 6], a=[2, 3], t=[-2, 3]),
    "Slice of the whole batch": graph(op("Slice", "x s e"), IMAGE, s=[0, 1], e=[2**63 - 1, 3]),
    "Split 2": graph([op("Split", "x", "a b", axis=1, split=[1, 3]), op("Concat", "b a", axis=1)], IMAGE, opset=7),
    "Split 13": graph([op("Split", "x s", "a b", axis=-1), op("Concat", "b a", axis=-1)], IMAGE, s=[4, 2], opset=13),
    "Split 18": graph([op("Split", "x", "a b", axis=2, num_outputs=2), op("Concat", "b a", axis=2)], IMAGE, opset=18),
    "ReduceSum 11": graph(op("ReduceSum", "x", axes=[1, -1], keepdims=0), IMAGE, opset=11),
    "ReduceSum 13": graph(op("ReduceSum", "x a"), IMAGE, opset=13, a=[2]),
    "ReduceMean 11": graph(op("ReduceMean", "x", axes=[2, 3]), IMAGE, opset=11),
    "ReduceMean 18": graph(op("ReduceMean", "x a", keepdims=0), IMAGE, a=[2, 3]),
    "Dropout 7": graph(op("Dropout", "x", ratio=0.3), ("N", 5), opset=7),
    "Dropout 13": graph(op("Dropout", "x r"), ("N", 5), opset=13, r=0.3),
    "BatchNormalization 7": graph(op("BatchNormalization", "x s b m v", epsilon=1e-3), IMAGE, opset=7, **C4),
    "BatchNormalization 15": graph(op("BatchNormalization", "x s b m v"), ("N", 4), opset=15, **C4),
    "BatchNormalization of sequences": graph(op("BatchNormalization", "x s b m v"), ("N", 4, 5), **C4),
    "Upsample 7": graph(op("Upsample", "x", scales=[1.0, 1.0, 2.0, 3.0]), IMAGE, opset=7),
    "Upsample 9": graph(op("Upsample", "x s", mode="linear"), IMAGE, opset=9, s=np.array([1, 1, 2, 2], np.float32)),
    "Resize 10": graph(op("Resize", "x s"), IMAGE, opset=10, s=np.array([1, 1, 2, 0.5], np.float32)),
    "Resize 11, half pixels": graph(
        op("Resize", "x r s", mode="linear"),
        IMAGE,
        opset=11,
        r=np.zeros(0, np.float32),
        s=np.array([1, 1, 1.5, 0.7], np.float32),
    ),
    "Resize to a size of the batch": graph(
        [
            op("Shape", "x", "shape"),
            op("Slice", "shape zero two", "first"),
            op("Concat", "first size", "sizes", axis=0),
            op("Resize", "x - - sizes", mode="linear", coordinate_transformation_mode="align_corners"),
        ],
        IMAGE,
        zero=[0],
        two=[2],
        size=[9, 5],
    ),
    "Resize, cubic": graph(
        op("Resize", "x - s", mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1),
        IMAGE,
        s=np.array([1, 1, 1.3, 2], np.float32),
    ),
    "Resize of sequences": graph(op("Resize", "x - s", mode="linear"), ("N", 4, 5), s=np.array([1, 1, 2], np.float32)),
    "Softmax 11 joins axes": graph(op("Softmax", "x", axis=2), IMAGE, opset=11),
    "Softmax 11 by default": graph(op("Softmax", "x"), ("N", 4, 3), opset=11),
    "Softmax 13": graph(op("Softmax", "x", axis=1), IMAGE, opset=13),
    "LogSoftmax 11": graph(op("LogSoftmax", "x", axis=1), ("N", 4), opset=11),
    "Cast to whole numbers and back": graph(
        [op("Mul", "x c", "a"), op("Cast", "a", "i", to=7), op("Cast", "i", to=1)], ("N", 5), c=3.0
    ),
    # Shapes that hold the size of the batch
    "Flatten by shape arithmetic": graph(
        [
            op("Shape", "x", "shape"),
            op("Gather", "shape zero", "n", axis=0),
            op("Unsqueeze", "n a", "n1"),
            op("Concat", "n1 rest", "target", axis=0),
            op("Reshape", "x target"),
        ],
        IMAGE,
        zero=np.array(0),
        a=[0],
        rest=[-1],
    ),
    "Rows of all images together": graph(
        [
            op("Shape", "x", "shape"),
            op("Gather", "shape zero", "n", axis=0),
            op("Gather", "shape one", "rows", axis=0),
            op("Mul", "n rows", "all"),
            op("Concat", "all six", "target", axis=0),
            op("Reshape", "x target", "flat"),
            op("MatMul", "flat w", "made"),
            op("Reshape", "made shape2"),
        ],
        ("N", 5, 6),
        zero=[0],
        one=[1],
        six=[6],
        w=weights(6, 3),
        shape2=[-1, 5, 3],
    ),
    "The batch as second axis": graph(
        [
            op("Transpose", "x", "t", perm=[1, 0, 2]),
            op("MatMul", "t w", "m"),
            op("Reshape", "m target", "r"),
            op("Transpose", "r", "q", perm=[1, 0, 2]),
            op("Softmax", "q", "p", axis=-1),
            op("Transpose", "p", "o", perm=[1, 0, 2]),
            op("Reshape", "o back", "b"),
            op("Transpose", "b", perm=[1, 0, 2]),
        ],
        ("N", 5, 6),
        w=weights(6, 8),
        target=[5, -1, 4],
        back=[5, -1, 8],
    ),
    "A token for every image": graph(
        [
            op("Shape", "x", "shape"),
            op("Gather", "shape zero", "n", axis=0),
            op("Concat", "n one", "target", axis=0),
            op("Expand", "token target", "tokens"),
            op("Concat", "tokens x", axis=1),
        ],
        ("N", 5, 6),
        zero=[0],
        one=[1, 6],
        token=weights(1, 1, 6),
    ),
    "A constant of the batch's shape": graph(
        [
            op("Shape", "x", "shape"),
            op("ConstantOfShape", "shape", "ones", value=onnx.numpy_helper.from_array(np.ones(1, np.float32))),
            op("Add", "x ones"),
        ],
        ("N", 5),
    ),
    "Nothing beside the images": graph(
        [
            *(op("Shape", "x", "shape", start=0, end=1), op("Concat", "shape none", "sizes", axis=0)),
            *(op("ConstantOfShape", "sizes", "c"), op("Mul", "c two", "d"), op("Concat", "x d", axis=1)),
        ],
        ("N", 5, 6),
        none=[0, 6],
        two=2.0,
    ),
    # Arithmetic with constants
    "A number from a constant": graph(
        [op("Sub", "c x", "a"), op("Div", "a d", "b"), op("Pow", "b two")], ("N", 5), c=1.5, d=0.7, two=2.0
    ),
    "A constant divided": graph([op("Exp", "x", "e"), op("Div", "c e")], ("N", 5), c=1.5),
    "A power of a constant": graph(op("Pow", "c x"), ("N", 5), c=1.5),
    "A number a channel": graph(
        [op("Mul", "x s", "a"), op("Add", "a b")], IMAGE, s=weights(4, 1, 1), b=weights(1, 4, 1, 1)
    ),
    "A table added": graph(op("Add", "t x"), ("N", 5, 6), t=weights(5, 6)),
    "Two of three chosen": graph(
        [op("Greater", "x c", "g"), op("Where", "g x t")], ("N", 5, 6), c=0.2, t=weights(5, 1)
    ),
    "PRelu by channel": graph(op("PRelu", "x s"), IMAGE, s=weights(4, 1, 1)),
    "PRelu by pixel": graph(op("PRelu", "x s"), IMAGE, s=weights(7, 6)),
    "LeakyRelu that grows": graph(op("LeakyRelu", "x", alpha=1.7), ("N", 5)),
    "LeakyRelu that turns": graph(op("LeakyRelu", "x", alpha=-0.3), ("N", 5)),
    "Selu of one's own": graph(op("Selu", "x", alpha=1.2, gamma=0.8), ("N", 5)),
    "HardSigmoid": graph(op("HardSigmoid", "x"), ("N", 5)),
    "Mean of three": graph([op("Exp", "x", "e"), op("Mean", "x e c")], ("N", 5), c=weights(5)),
    "Greatest of three": graph([op("Exp", "x", "e"), op("Max", "x e c")], ("N", 5), c=weights(5)),
    # Products
    "Gemm": graph(op("Gemm", "x w b", transB=1, alpha=0.5, beta=2.0), ("N", 6), w=weights(3, 6), b=weights(3)),
    "Gemm with one number": graph(op("Gemm", "x w b"), ("N", 6), w=weights(6, 3), b=weights(1)),
    "MatMul of images": graph(op("MatMul", "x w"), ("N", 4, 3, 6), w=weights(6, 5)),
    "MatMul and its bias": graph(
        [op("MatMul", "x w", "m"), op("Add", "b m")], ("N", 4, 3, 6), w=weights(6, 5), b=weights(5)
    ),
    "MatMul by a vector": graph(op("MatMul", "x w"), ("N", 4, 6), w=weights(6)),
    "MatMul from the left": graph(op("MatMul", "w x"), ("N", 4, 6), w=weights(3, 4)),
    "MatMul of a stack by a stack": graph(op("MatMul", "x w"), ("N", 4, 3, 6), w=weights(4, 6, 2)),
    "Einsum of two": graph(op("Einsum", "x w", equation="bnc,dc->bnd"), ("N", 4, 6), w=weights(3, 6)),
    "Einsum of itself": graph(op("Einsum", "x x", equation="bhid,bhjd->bhij"), ("N", 2, 4, 6)),
    # Parts
    "Gather of one": graph(op("Gather", "x i", axis=1), ("N", 4, 6), i=np.array(2)),
    "Gather of some": graph(op("Gather", "x i", axis=2), ("N", 4, 6), i=np.array([[0, -1], [3, 3]])),
    "DepthToSpace, DCR": graph(op("DepthToSpace", "x", blocksize=2), ("N", 8, 3, 2)),
    "DepthToSpace, CRD": graph(op("DepthToSpace", "x", blocksize=2, mode="CRD"), ("N", 8, 3, 2)),
    "SpaceToDepth": graph(op("SpaceToDepth", "x", blocksize=2), ("N", 2, 6, 4)),
    # Einsum of every kind, and images of other sizes along any axis
    "Einsum of three": graph(
        op("Einsum", "x u v", equation="bij,jk,ki->bik"), ("N", 3, 4), u=weights(4, 5), v=weights(5, 3)
    ),
    "Einsum with dots": graph(op("Einsum", "x u", equation="...ij,jk->...ik"), IMAGE, u=weights(6, 2)),
    "Einsum without a result": graph(op("Einsum", "x u", equation="bij,jk"), ("N", 3, 4), u=weights(4, 2)),
    "Einsum of a diagonal": graph(op("Einsum", "x", equation="bijj->bji"), ("N", 3, 4, 4)),
    **{
        f"Resize of three axes, {mode}": graph(
            op("Resize", "x - s", mode=mode, coordinate_transformation_mode=how),
            ("N", 2, 3, 4, 5),
            s=np.array([1, 1, 2, 1.5, 0.8], np.float32),
        )
        for mode, how in (("nearest", "asymmetric"), ("linear", "half_pixel"), ("linear", "align_corners"))
    },
    "Resize of channels too": graph(
        op("Resize", "x - - s", coordinate_transformation_mode="asymmetric", nearest_mode="floor", axes=[1, 2, 3]),
        IMAGE,
        s=[6, 5, 9],
    ),
    # Products of whole numbers
    "MatMulInteger on a grid of each image": graph(
        [op("DynamicQuantizeLinear", "x", "q s z"), op("MatMulInteger", "q w z u", "m"), op("Cast", "m", "f", to=1)]
        + [op("Mul", "s t", "st"), op("Mul", "f st")],
        (1, 3, 6),
        w=WHOLE[0],
        u=np.array([3, 0, -2, 5], np.int8),
        t=np.array([0.1, 0.2, 0.3, 0.1], np.float32),
    ),
    "ConvInteger": graph(
        [op("DynamicQuantizeLinear", "x", "q s z"), op("ConvInteger", "q w z", "m", pads=[1, 0, 1, 0])]
        + [op("Cast", "m", "f", to=1), op("Mul", "f s")],
        (1, 4, 7, 6),
        w=WHOLE[1],
    ),
    "A bias on a grid of each image": graph(
        [op("DynamicQuantizeLinear", "x", "q s z"), op("ConvInteger", "q w z", "m")]
        + [op("Mul", "s t", "st"), op("Div", "b st", "d"), op("Floor", "d", "e"), op("Reshape", "e column", "bias")]
        + [op("Cast", "m", "f", to=1), op("Add", "f bias", "g"), op("Mul", "g s")],
        (1, 4, 7, 6),
        w=WHOLE[1],
        t=np.array([0.1, 0.2, 0.3], np.float32),
        b=np.array([1, -2, 3], np.float32),
        column=[1, -1, 1, 1],
    ),
    "QLinearConv": graph(
        [op("QuantizeLinear", "x s z", "q"), op("QLinearConv", "q s z w t u a b c", "p", strides=[2, 1])]
        + [op("DequantizeLinear", "p a b")],
        IMAGE,
        s=0.05,
        z=np.array(120, np.uint8),
        w=WHOLE[1],
        t=np.array([0.02, 0.01, 0.03], np.float32),
        u=np.zeros(3, np.int8),
        a=0.5,
        b=np.array(100, np.uint8),
        c=np.array([300, -200, 5], np.int32),
    ),
    "QLinearMatMul": graph(
        [
            op("QuantizeLinear", "x s z", "q"),
            op("QLinearMatMul", "q s z w t u a b", "p"),
            op("DequantizeLinear", "p a b"),
        ],
        ("N", 3, 6),
        s=0.05,
        z=np.array(120, np.uint8),
        w=WHOLE[0],
        t=0.02,
        u=np.array(2, np.int8),
        a=0.3,
        b=np.array(100, np.uint8),
    ),
    # Places that are computed
    "CumSum": graph(op("CumSum", "x a", reverse=1), IMAGE, a=np.array(2)),
    "TopK": graph([op("TopK", "x k", "v i", axis=1), op("Cast", "i", "f", to=1), op("Add", "v f")], IMAGE, k=[3]),
    "TopK of the least, of opset 11": graph(op("TopK", "x k", "y i", axis=2, largest=0), IMAGE, opset=11, k=[2]),
    "GatherElements of computed places": graph(
        [op("ArgMax", "x", "i", axis=2), op("GatherElements", "x i", axis=2)], IMAGE
    ),
    "GatherElements of known places": graph(
        op("GatherElements", "x i", axis=3), (1, 4, 7, 6), i=np.array([0, 5] * 6).reshape(1, 2, 3, 2)
    ),
    "Gather at computed places": graph(
        [op("Gather", "x z", "f", axis=1), op("ArgMax", "f", "i", axis=1, keepdims=0), op("Gather", "t i", "g", axis=1)]
        + [op("Transpose", "g", perm=[1, 0, 2, 3])],
        IMAGE,
        z=np.array(0),
        t=weights(3, 7, 2),
    ),
    "GatherND of each image": graph(
        [op("ArgMax", "x", "i", axis=3), op("GatherND", "x i", batch_dims=1)], ("N", 4, 7, 4)
    ),
    "GatherND of known places": graph(
        op("GatherND", "x i", batch_dims=1), (2, 4, 7, 6), i=np.array([[[0, 1], [3, -2], [1, 1]]] * 2)
    ),
    "ScatterElements": graph(
        [op("ArgMax", "x", "i", axis=2), op("ReduceMax", "x", "m", axes=[1], keepdims=1)]
        + [op("Slice", "m z e a", "c"), op("Expand", "c s", "u"), op("ScatterElements", "x i u", axis=2)],
        IMAGE,
        opset=17,
        z=[0],
        e=[1],
        a=[2],
        s=[1, 4, 1, 6],
    ),
    "ScatterND of a row": graph(
        op("ScatterND", "x i u"), (1, 4, 7), i=np.array([[[0, 0, 2], [0, 3, 1]]]), u=weights(1, 2)
    ),
    "OneHot": graph(
        [op("ArgMax", "x", "i", axis=1, keepdims=0), op("OneHot", "i d v", axis=1)],
        IMAGE,
        d=np.array(5),
        v=np.array([0.5, 2.0], np.float32),
    ),
    "Hardmax": graph(op("Hardmax", "x", axis=2), IMAGE),
    "Trilu": graph(op("Trilu", "x k", upper=0), IMAGE, k=np.array(-1)),
    "Mod": graph(op("Mod", "x m", fmod=1), IMAGE, m=np.abs(weights(4, 1, 1)) + 1),
    "GridSample": graph(
        [op("Slice", "x z e a", "c"), op("Transpose", "c", "g", perm=[0, 2, 3, 1]), op("GridSample", "x g")],
        IMAGE,
        z=[0],
        e=[2],
        a=[1],
    ),
    **{
        f"RoiAlign {mode} of {ratio}": graph(
            [
                op("RoiAlign", "x b i", "r", output_height=2, output_width=3, sampling_ratio=ratio, mode=mode),
                op("Reshape", "r s"),
            ],
            (1, 4, 7, 6),
            b=np.array([[0.5, 1, 4, 5], [-1, 2, 3, 9], [2, 2, 2.4, 2.1]], np.float32),
            i=np.zeros(3, np.int64),
            s=[1, 3, 4, 2, 3],
        )
        for mode in ("avg", "max")
        for ratio in (0, 2)
    },
    "Tile": graph(op("Tile", "x t"), ("N", 4, 3), t=[1, 2, 3]),
    "Expand": graph(op("Expand", "x t"), ("N", 1, 3), t=[1, 4, 3]),
    # Functions
    **{
        kind: graph([op("Tanh", "x", "t"), op("Mul", "t c", "s"), op(kind, "s")], ("N", 5), c=0.9)
        for kind in ("Acos", "Asin", "Asinh", "Atan", "Atanh", "Cosh", "Sinh", "Tan")
    },
    "Acosh": graph([op("Exp", "x", "e"), op("Add", "e c", "s"), op("Acosh", "s")], ("N", 5), c=1.0),
    "Shrink": graph(op("Shrink", "x", bias=0.2, lambd=0.4), ("N", 5)),
    "IsNaN": graph([op("Log", "x", "l"), op("IsNaN", "l", "n"), op("Cast", "n", to=1)], ("N", 5)),
    **{
        f"IsInf, {low} and {high}": graph(
            [
                op("Floor", "x", "f"),
                op("Div", "x f", "d"),
                op("IsInf", "d", "i", detect_negative=low, detect_positive=high),
            ]
            + [op("Cast", "i", to=1)],
            ("N", 7),
        )
        for low, high in ((1, 1), (0, 1), (1, 0), (0, 0))
    },
    "CumProd": graph(op("CumProd", "x a", exclusive=1), ("N", 4, 3), opset=26, a=np.array(1)),
    # Norms of windows
    "LpPool": graph(op("LpPool", "x", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 0, 1]), IMAGE),
    "LpPool of third powers": graph(op("LpPool", "x", kernel_shape=[3, 2], p=3), IMAGE),
    "LpPool with gaps": graph(op("LpPool", "x", kernel_shape=[2, 2], dilations=[2, 3], p=1), IMAGE),
    "LpPool along sequences": graph(op("LpPool", "x", kernel_shape=[3], auto_pad="SAME_LOWER"), ("N", 4, 9)),
    "GlobalLpPool": graph(op("GlobalLpPool", "x", p=3), IMAGE),
    # Spectra
    "DFT": graph(op("DFT", "x - a"), ("N", 4, 7, 1), a=np.array(2)),
    "DFT of complex numbers, longer": graph(op("DFT", "x n a"), ("N", 7, 3, 2), n=np.array(9), a=np.array(1)),
    "DFT, shorter and half": graph(op("DFT", "x n a", onesided=1), ("N", 9, 1), n=np.array(6), a=np.array(1)),
    "DFT back": graph(op("DFT", "x - a", inverse=1), ("N", 6, 2), a=np.array(1)),
    "DFT of opset 17": graph(op("DFT", "x", axis=1, onesided=1), ("N", 8, 1), opset=17),
    "STFT": graph(op("STFT", "x s w l"), ("N", 20, 1), s=np.array(4), w=weights(8), l=np.array(8)),
    "STFT without a window": graph(op("STFT", "x s - l", onesided=0), ("N", 19, 1), s=np.array(5), l=np.array(7)),
    "STFT with a window that is made": graph(
        [op("HannWindow", "n", "w"), op("STFT", "x s w n")], ("N", 40, 1), n=np.array(16), s=np.array(8)
    ),
    **{
        f"{kind}, periodic {periodic}": graph(
            [op(kind, "n", "w", periodic=periodic), op("Mul", "x w")], ("N", 9), n=np.array(9)
        )
        for kind in ("HannWindow", "HammingWindow", "BlackmanWindow")
        for periodic in (0, 1)
    },
    "Bands of the mel scale": graph(
        [op("MelWeightMatrix", "b n r low high", "m"), op("MatMul", "x m")],
        ("N", 3, 33),
        b=np.array(8),
        n=np.array(64),
        r=np.array(8000),
        low=50.0,
        high=3500.0,
    ),
    # Images and their columns
    "CenterCropPad": graph(op("CenterCropPad", "x s", axes=[-2, 3]), IMAGE, s=[4, 9]),
    "CenterCropPad by the shape of images": graph(
        [op("Shape", "x", "a"), op("Slice", "a z e", "n"), op("Concat", "n s", "sizes", axis=0)]
        + [op("CenterCropPad", "x sizes")],
        IMAGE,
        z=[0],
        e=[1],
        s=[6, 3, 9],
    ),
    "Col2Im": graph(op("Col2Im", "x s k", pads=[1, 0, 1, 0], strides=[2, 1]), ("N", 8, 15), s=[5, 5], k=[2, 1]),
    "Col2Im with unequal borders": graph(
        op("Col2Im", "x s k", pads=[1, 0, 0, 2], dilations=[1, 2]), ("N", 12, 20), s=[5, 5], k=[3, 2]
    ),
    "AffineGrid": graph(op("AffineGrid", "x s"), (1, 2, 3), s=[1, 3, 4, 5]),
    "AffineGrid from corner to corner": graph(op("AffineGrid", "x s", align_corners=1), (1, 2, 3), s=[1, 3, 4, 5]),
    "ReverseSequence": graph(
        [op("ReduceMax", "x a", "m", keepdims=0), op("Abs", "m", "p"), op("Ceil", "p", "c"), op("Cast", "c", "l", to=7)]
        + [op("ReverseSequence", "x l", batch_axis=0, time_axis=1)],
        ("N", 7, 2),
        a=[1, 2],
    ),
    "BitShift": graph(
        [op("Mul", "x c", "m"), op("Abs", "m", "p"), op("Cast", "p", "i", to=13)]
        + [op("BitShift", "i two", "r", direction="RIGHT"), op("BitShift", "r two", "l", direction="LEFT")]
        + [op("Cast", "l", to=1)],
        ("N", 5),
        c=100.0,
        two=np.array(2, np.uint64),
    ),
    # What each image decides
    "If of the images": graph(
        [op("ReduceMax", "x", "m", keepdims=0), op("Greater", "m c", "g")]
        + [op("If", "g", then_branch=branch("Exp"), else_branch=branch("Neg"))],
        (1, 5),
        c=0.9,
    ),
    # Norms
    "LayerNormalization": graph(op("LayerNormalization", "x s b"), ("N", 4, 6), s=weights(6), b=weights(6)),
    "LayerNormalization of pixels' channels": graph(
        op("LayerNormalization", "x s b"), ("N", 5, 3, 4), s=weights(4), b=weights(4)
    ),
    "LayerNormalization of images": graph(op("LayerNormalization", "x s", axis=1), ("N", 4, 3, 2), s=weights(4, 3, 2)),
    "InstanceNormalization": graph(op("InstanceNormalization", "x s b"), IMAGE, s=C4["s"], b=C4["b"]),
    "InstanceNormalization of sequences": graph(
        op("InstanceNormalization", "x s b"), ("N", 4, 9), s=C4["s"], b=C4["b"]
    ),
    "LRN": graph(op("LRN", "x", size=3, alpha=0.1, bias=1.5), IMAGE),
    "LpNormalization": graph(op("LpNormalization", "x", axis=1), ("N", 5)),
    # Grids
    "A fake quantisation": graph(
        [op("QuantizeLinear", "x s z", "q"), op("DequantizeLinear", "q s z")],
        ("N", 5),
        s=np.float32(0.02),
        z=np.array(10, np.uint8),
    ),
    "A fake quantisation by channel": graph(
        [op("QuantizeLinear", "x s z", "q", axis=1), op("DequantizeLinear", "q s z", axis=1)],
        IMAGE,
        opset=13,
        s=np.array([0.01, 0.02, 0.03, 0.04], np.float32),
        z=np.zeros(4, np.int8),
    ),
    "Quantised weights": graph(
        [op("DequantizeLinear", "q s", "w"), op("MatMul", "x w")],
        ("N", 6),
        q=np.random.default_rng(0).integers(-128, 128, (6, 3), np.int8),
        s=np.float32(0.05),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_operator_is_that_of_onnx_runtime(name: str) -> None:
    model = CASES[name]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # As it stands: else products of quantised weights are computed with whole numbers.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    ours = import_model(model)
    sizes = [size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    pinned = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    for images in (pinned,) if pinned else (1, 3):
        x = weights(images, *sizes, seed=images)
        theirs = session.run(None, {"x": x})[0]
        y = ours(x)
        assert y.shape == theirs.shape
        np.testing.assert_allclose(y, theirs, rtol=1e-4, atol=1e-5)


def kinds(model: cn.Model) -> list[str]:
    return [type(layer).__name__ for layer in model.body.nodes.values()]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("Conv, SAME_LOWER", ["ZeroPad2d", "Conv2d"]),
        ("Conv, VALID", ["Conv2d"]),
        ("MaxPool, ceil_mode", ["MaxPool2d"]),
        ("AveragePool that does not", ["AvgPool2d"]),
        ("Clip 6", ["Hardtanh"]),
        ("ReduceMean 11", ["AdaptiveAvgPool2d"]),
        ("Upsample 7", ["Upsample"]),
        ("Resize to a size of the batch", ["Upsample"]),
        ("Flatten by shape arithmetic", ["Flatten"]),
        ("Gemm", ["Dense"]),
        ("MatMul and its bias", ["Reshape", "Dense", "Reshape"]),
        ("A number from a constant", ["Affine", "Affine", "Power"]),
        ("Quantised weights", ["Dense"]),
        ("InstanceNormalization", ["InstanceNorm2d"]),
        ("DepthToSpace, CRD", ["PixelShuffle"]),
    ],
)
def test_operator_becomes_the_layer_there_is(name: str, layers: list[str]) -> None:
    assert kinds(import_model(CASES[name])) == layers


LSTM = {"w": weights(1, 12, 4), "r": weights(1, 12, 3), "b": weights(1, 24), "l": np.array([5, 4, 3], np.int32)}
LSTM |= {"p": weights(1, 9), "s": weights(1, 1, 3)}
REFUSED: dict[str, tuple[Any, str]] = {
    "peepholes": (
        graph([STEPS_FIRST, op("LSTM", "t w r b - s s p", hidden_size=3)], ("N", 5, 4), **LSTM),
        r"node 'LSTM_y', operator LSTM of opset 20 can't be run: it has peepholes\.",
    ),
    "sequences of several lengths": (
        graph([STEPS_FIRST, op("LSTM", "t w r b l", hidden_size=3)], ("N", 5, 4), **LSTM),
        r"node 'LSTM_y', operator LSTM .* can't be run: its sequences are of different lengths\.",
    ),
    "a recurrent layer of other functions": (
        graph(
            [STEPS_FIRST, op("LSTM", "t w r b", hidden_size=3, activations=["Tanh", "Tanh", "Elu"])],
            ("N", 5, 4),
            **LSTM,
        ),
        r"node 'LSTM_y', operator LSTM .* can't be run: the functions tanh, tanh, elu\.",
    ),
    "a recurrent layer that clips": (
        graph([STEPS_FIRST, op("LSTM", "t w r b", hidden_size=3, clip=1.0)], ("N", 5, 4), **LSTM),
        r"node 'LSTM_y', operator LSTM .* can't be run: clip and input_forget are not supported\.",
    ),
    "unknown": (
        graph(op("NonZero", "x"), ("N", 5)),
        r"node 'NonZero_y', operator NonZero of opset 20 can't be run: how much it puts out depends on the numbers",
    ),
    "a number of places": (graph(op("Unique", "x"), ("N", 5)), "Unique of opset 20 can't be run: how much it puts out"),
    "places that are computed": (
        graph([op("Greater", "x c", "g"), op("Compress", "x g", axis=1)], ("N", 5), c=0.1),
        "Compress of opset 20 can't be run: how much it keeps depends on the numbers of an image",
    ),
    "an operator unknown": (
        graph(op("Det", "x"), ("N", 3, 3)),
        "Det of opset 20 can't be run: there is no layer for it",
    ),
    "branches of other shapes": (
        graph(
            [op("ReduceMax", "x", "m", keepdims=0), op("Greater", "m c", "g")]
            + [op("If", "g", then_branch=branch("Exp"), else_branch=branch("Flatten"))],
            (1, 5, 2),
            c=0.9,
        ),
        r"which branch it takes is computed from the images, and they make \(1 · batch, 5, 2\) and \(1 · batch, 10\)\.",
    ),
    "domain": (
        graph(
            onnx.helper.make_node("FusedConv", ["x"], ["y"], domain="com.microsoft"), ("N", 5), domain="com.microsoft"
        ),
        r"node 'y', operator com\.microsoft\.FusedConv",
    ),
    "across images": (graph(op("ReduceMean", "x", keepdims=0), ("N", 5)), "along axis 0, the batch"),
    "turned": (graph(op("Transpose", "x"), ("N", 5)), "output 'y': its first axis is not the batch"),
    "softmax over images": (
        graph(op("Softmax", "x", axis=0), ("N", 5)),
        "Softmax of opset 20 can't be run: it works along axis 0",
    ),
    "four axes of pixels": (
        graph(op("MaxPool", "x", kernel_shape=[2, 2, 2, 2]), ("N", 1, 4, 4, 4, 4)),
        "one to three axes of pixels, it has 4",
    ),
    "computed weights": (
        graph([op("Exp", "x", "w"), op("Conv", "x w")], ("N", 4, 3, 3)),
        "its input 1, 'w', must be known when the file is loaded",
    ),
    "one batch size": (
        graph(op("Reshape", "x s"), ("N", 6), s=[2, 18]),
        r"Reshape of opset 20 can't be run: the shape \(2, 18\)",
    ),
    "no batch": (graph(op("Relu", "x"), (5,)), r"input 'x': expected a batch, .* got the shape \(5,\)"),
    "unknown size": (
        graph([op("Flatten", "x", "f"), op("MatMul", "f w")], ("N", 3, "H", 8), w=weights(120, 2)),
        r"input 'x': the size 'H' of .* say how large an image is",
    ),
    "a constant of more axes": (
        graph(op("Add", "x t"), ("N", 5), t=weights(1, 1, 5)),
        r"output 'y': its first axis is not the batch \(that is axis 1 of 3\)",
    ),
    "nothing to run": (graph(op("Identity", "c"), ("N", 5), c=1.0), "no output depends on an input"),
    "channels": (
        graph(op("Conv", "x w"), ("N", 3, 5, 5), w=W),
        "Conv2d: expected|Conv2d: in_channels|its weight must have",
    ),
    "both halves of an even window": (graph(op("LRN", "x", size=4), IMAGE), "a window of 4 channels"),
    "text": (graph(op("Cast", "x", to=8), ("N", 5)), "numbers of type"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_run_is_named(name: str) -> None:
    model, message = REFUSED[name]
    with pytest.raises(FileFormatError, match=message) as caught:
        import_model(model)
    assert "\n" not in str(caught.value)


def test_sizes_that_the_file_leaves_open_can_be_said() -> None:
    content = graph(op("Relu", "x"), ("N", 3, "H", 8))
    assert import_model(content, input_shape=(3, 5, 8)).output_shape == (3, 5, 8)
    for wrong in ((3, 5, 9), (3, 5), (3, 5, 8, 1)):
        with pytest.raises(FileFormatError, match="say how large an image is"):
            import_model(content, input_shape=wrong)


def test_opsets_newer_than_the_package_are_refused() -> None:
    model = graph(op("Relu", "x"), ("N", 5))
    model.opset_import[0].version = 99
    with pytest.raises(FileFormatError, match=r"expected an opset from 1 to \d+, got 99\."):
        import_model(model)


def test_several_inputs_and_outputs_keep_their_names_and_order() -> None:
    made = onnx.helper.make_graph(
        [op("Add", "left right", "sum"), op("Sub", "left right", "difference")],
        "graph",
        [onnx.helper.make_tensor_value_info(name, 1, ["N", 3]) for name in ("left", "right")],
        [onnx.helper.make_tensor_value_info(name, 1, ["N", 3]) for name in ("difference", "sum")],
    )
    model = import_model(onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 20)]))
    assert model.inputs == ("left", "right")
    a, b = weights(4, 3, seed=1), weights(4, 3, seed=2)
    assert model.outputs == ("difference", "sum")
    difference, total = model({"right": b, "left": a})
    np.testing.assert_allclose(difference, a - b, atol=1e-6)
    np.testing.assert_allclose(total, a + b, atol=1e-6)


def test_functions_of_the_file_are_written_out() -> None:
    function = onnx.helper.make_function(
        "own",
        "Twice",
        ["a"],
        ["b"],
        [onnx.helper.make_node("Add", ["a", "a"], ["b"])],
        [onnx.helper.make_opsetid("", 20)],
    )
    model = graph(onnx.helper.make_node("Twice", ["x"], ["y"], domain="own"), ("N", 3), domain="own")
    model.functions.append(function)
    x = weights(2, 3)
    np.testing.assert_allclose(import_model(model)(x), 2 * x)


def test_float64_graphs_are_computed_in_float64() -> None:
    model = import_model(graph(op("Exp", "x"), ("N", 3), dtype=onnx.TensorProto.DOUBLE))
    x = np.random.default_rng(0).normal(size=(2, 3))
    np.testing.assert_allclose(model(x), np.exp(x), rtol=1e-15)


def test_whole_numbers_have_no_gradient_and_say_so() -> None:
    model = import_model(CASES["A fake quantisation"])
    model(weights(2, 5), training=True)
    with pytest.raises(cn.errors.StateError, match="Quantize: rounding has no gradient"):
        model.backward(np.ones((2, 5)))


@pytest.mark.parametrize("by_row", [False, True])
def test_lstm_of_whole_numbers_is_the_one_that_they_stand_for(by_row: bool) -> None:
    rng = np.random.default_rng(0)
    x, arrays = weights(3, 5, 4), {}
    for name, inputs in (("w", 4), ("r", 3)):
        arrays[name] = rng.integers(-127, 128, (2, inputs, 12)).astype(np.int8)
        arrays[f"{name}_scale"] = rng.uniform(0.002, 0.01, (2, 12) if by_row else 2).astype(np.float32)
        arrays[f"{name}_zero"] = rng.integers(-3, 4, (2, 12) if by_row else 2).astype(np.int8) * (not by_row)
    arrays["b"] = weights(2, 24)
    node = onnx.helper.make_node(
        "DynamicQuantizeLSTM",
        ["t", "w", "r", "b", "", "", "", "", "w_scale", "w_zero", "r_scale", "r_zero"],
        ["a"],
        domain="com.microsoft",
        hidden_size=3,
        direction="bidirectional",
    )
    turned = op("Transpose", "a", perm=[2, 0, 1, 3])
    whole = graph([STEPS_FIRST, node, turned], ("N", 5, 4), domain="com.microsoft", **arrays)
    stand_for = {
        name: (
            (arrays[name].astype(np.float32) - arrays[f"{name}_zero"].reshape(2, 1, -1))
            * arrays[f"{name}_scale"].reshape(2, 1, -1)
        ).transpose(0, 2, 1)
        for name in ("w", "r")
    }
    floats = graph(
        [STEPS_FIRST, op("LSTM", "t w r b", "a", hidden_size=3, direction="bidirectional"), turned],
        ("N", 5, 4),
        b=arrays["b"],
        **stand_for,
    )
    y = import_model(whole)(x)
    (exact,), (rounded,) = (
        onnxruntime.InferenceSession(each.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})
        for each in (floats, whole)
    )
    np.testing.assert_allclose(y, exact, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(y, rounded, atol=0.03)  # it rounds sequences and states too
