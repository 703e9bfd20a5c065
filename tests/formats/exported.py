"""What is exported to ONNX in the tests, and the numbers it is tried on."""

from __future__ import annotations

from typing import Any

import numpy as np

import colonnade as cn
from colonnade.composites import Chain, construct, describe

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]


def named(node: Any) -> str:
    """A row of a table as the name of a test."""
    return repr(node).replace(" ", "").replace("\n", "") if not isinstance(node, tuple) else "x".join(map(str, node))


def distinct(rows: list[tuple[Any, Shape]]) -> list[tuple[Any, Shape]]:
    return list({f"{layer!r} {shape}": (layer, shape) for layer, shape in rows}.values())


def with_other_numbers(model: cn.Model, seed: int = 7) -> cn.Model:
    """The model with weights and running statistics that are nowhere zero or one, as a trained one's are."""
    rng = np.random.default_rng(seed)
    state = {}
    for name, array in model.state_dict().items():
        if array.dtype.kind == "f":
            array = rng.uniform(0.5, 2, array.shape) if name.endswith("var") else rng.normal(0.2, 0.4, array.shape)
        state[name] = array
    model.load_state_dict(state)
    return model


def batch(shape: Shape, images: int, numbers: int = 0) -> Array:
    """Images at random; whole numbers where the model looks them up."""
    rng = np.random.default_rng(images)
    return rng.integers(0, numbers, (images, *shape)) if numbers else rng.normal(size=(images, *shape))


def made(layers: list[Any], shape: Shape) -> cn.Model:
    """A model of layers of their own, built."""
    return with_other_numbers(cn.Model(construct(describe(layers)), seed=3).build(shape))


def numbers(layer: Any) -> int:
    """How many numbers there are to look up; 0 where none are."""
    return layer.num_embeddings if isinstance(layer, cn.Embedding) else 0


def of_two(layer: Any) -> cn.Graph:
    """A layer of two inputs, both made of one: numbers of both signs, zeros among them, and numbers that are not."""
    return cn.Graph({"left": (cn.Round(), "input"), "right": (cn.Sigmoid(), "input"), "both": (layer, "left", "right")})


def attending(layer: Any) -> cn.Graph:
    """Attention to other numbers of the first three positions of a sequence (4, 6), with the masks that it reads."""
    nodes: dict[str, Any] = {
        "query": (cn.Affine(1.5), "input"),
        "memory": (cn.Slice(1, 0, 3), "input"),
        "key": (cn.Slice(2, 0, layer.kdim or 6), "memory"),
        "value": (cn.Slice(2, 6 - (layer.vdim or 6), None), "memory"),
    }
    numbers = {"attn_mask": (cn.Slice(2, 0, 3), "input"), "key_padding_mask": (cn.Select(2, 0), "memory")}
    for name, kind in layer.masks:
        nodes[f"{name} numbers" if kind == "bool" else name] = numbers[name]
        if kind == "bool":  # rows that hide all, too
            nodes |= {f"{name} shares": (cn.Sigmoid(), f"{name} numbers"), name: (cn.Round(), f"{name} shares")}
    return cn.Graph({**nodes, "y": (layer, "query", "key", "value", *(name for name, _ in layer.masks))})


def with_places(layer: Any) -> cn.Graph:
    """A layer that takes numbers from places along axis 2, or puts them there: places that are computed."""
    nodes: dict[str, Any] = {
        "cut": (cn.Slice(2, 0, 2), "input"),
        "place": (cn.Sign(), "cut"),
    }
    if isinstance(layer, cn.ScatterAlongDim):
        return cn.Graph({**nodes, "source": (cn.Sin(), "cut"), "y": (layer, "input", "place", "source")})
    return cn.Graph({**nodes, "y": (layer, "input", "place")})


def sampled(layer: Any) -> cn.Graph:
    """An image of more than one channel looked at where two of them say, inside the image and outside."""
    nodes: dict[str, Any] = {
        "cut": (cn.Slice(1, 0, 2), "input"),
        "turned": (cn.Permute((0, 2, 3, 1)), "cut"),
        "grid": (cn.Affine(1.3), "turned"),
    }
    return cn.Graph({**nodes, "y": (layer, "input", "grid")})


def detecting(layer: Any) -> cn.Graph:
    """A layer of boxes and scores, made of rows of four numbers and two scores."""
    return cn.Graph(
        {
            "boxes": (cn.Slice(2, 0, 4), "input"),
            "cut": (cn.Slice(2, 4, 6), "input"),
            "scores": (cn.Permute((0, 2, 1)), "cut"),
            "y": (layer, "boxes", "scores"),
        }
    )


GRIDS = [
    *(("linear", padding, align) for padding in ("zeros", "border", "reflection") for align in (False, True)),
    ("nearest", "zeros", False),
    ("nearest", "reflection", True),
    ("cubic", "border", False),
    ("cubic", "zeros", True),
]


# What the tables above do not say of the way into ONNX.
MORE: list[tuple[Any, Shape]] = [
    (cn.MaxPool2d(2, stride=1, padding=2, dilation=4), (2, 7, 8)),  # more padding than kernel
    (cn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 6, 7)),
    (cn.AvgPool2d((4, 2), (3, 2), (2, 1), ceil_mode=True), (2, 6, 8)),  # beyond the padding in one direction alone
    (cn.AvgPool2d(4, 3, 2, ceil_mode=True, divisor_override=3), (2, 6, 8)),
    (cn.AvgPool2d(2, 2, ceil_mode=True), (2, 5, 7)),
    (cn.AdaptiveAvgPool2d((2, 2)), (2, 6, 8)),
    (cn.AdaptiveMaxPool2d((2, 4)), (2, 6, 8)),
    (cn.ConvTranspose2d(2, 3, 2, 1, 1, (1, 0), dilation=2), (2, 4, 3)),
    (cn.Upsample(scale_factor=4.1), (2, 46, 10)),  # 46 · 4.1 = 188.6, and 10 · 4.1 = 41 but for rounding
    (cn.Upsample(scale_factor=4.1, mode="bilinear"), (1, 10, 460)),
    (cn.Upsample(size=(7, 21)), (2, 21, 7)),
    (cn.Upsample(size=(7, 21), mode="bilinear"), (2, 21, 7)),
    (cn.Embedding(7, 3), (4,)),
    (cn.MultiheadAttention(6, 2, add_bias_kv=True, add_zero_attn=True, is_causal=True), (4, 6)),
    (cn.MultiheadAttention(6, 2, bias=False, return_weights=True), (4, 6)),
    (attending(cn.MultiheadAttention(6, 2)), (4, 6)),
    (attending(cn.MultiheadAttention(6, 3, kdim=4, vdim=5, is_causal=True, attn_mask="bool")), (4, 6)),
    (
        attending(
            cn.MultiheadAttention(
                6, 2, add_bias_kv=True, attn_mask="float", key_padding_mask="bool", return_weights=True
            )
        ),
        (4, 6),
    ),
    (
        attending(
            cn.MultiheadAttention(6, 2, attn_mask="bool", key_padding_mask="float", zero_empty_rows=True, bias=False)
        ),
        (4, 6),
    ),
    (cn.TransformerEncoderLayer(6, 2, 8, activation="gelu", norm_first=True), (4, 6)),
    (of_two(cn.Bilinear(5, 5, 3)), (5,)),
    (of_two(cn.Bilinear(5, 5, 3, bias=False)), (4, 5)),
    (cn.Permute((0, -1, 1, 2)), (2, 3, 4)),
    (cn.Select(2, -1), (2, 3, 4)),
    (cn.LayerNorm2d(3), (3, 4, 5)),
    (cn.LayerNorm2d(3, affine=False), (3, 4, 5)),
    (cn.LocalResponseNorm(3, 0.1), (7, 3, 4)),
    (cn.LocalResponseNorm(4, 0.1), (7, 3, 4)),
    (cn.LocalResponseNorm(3, 0.1), (7,)),
    (cn.Slice(3, 3, None, -2), (2, 3, 4)),
    (cn.Slice(2, -2, None), (2, 3, 4)),
    (cn.Pad((1, 2, 0, 1, 1, 0), value=2.0), (2, 3, 4)),
    (cn.Pad((1, 2, 0, 1), mode="reflect"), (2, 3, 4)),
    (cn.Pad((1, 2, 0, 1), mode="replicate"), (2, 3, 4)),
    (cn.Pad((1, 2, 0, 1), mode="circular"), (2, 3, 4)),
    (cn.Resize((5, 6), mode="cubic"), (2, 3, 4)),
    (cn.Resize(5, coordinates="tf_crop_and_resize", region=(0.1, 0.2, 1.3, 0.8), extrapolation_value=3.0), (2, 3, 4)),
    (cn.Quantize((0.1, 0.3), (2.0, 3.0), -8, 7, dim=-1), (3, 2)),
    (cn.Dequantize((0.1, 0.2), (1.0, 3.0)), (2, 3, 4)),
    (cn.Trunc(), (2, 3)),
    (cn.Threshold(0.1, 0.5), (2, 3)),
    (cn.Argmin(-1, keepdim=True, select_last=True), (2, 3, 4)),
    (cn.Amax((1, 3)), (2, 3, 4)),
    (cn.Argmax(2), (2, 3, 4)),
    (cn.TopKIndices(2, 1), (4, 3)),
    (cn.TopKIndices(2, -1, largest=False), (2, 3, 4)),
    (Chain([cn.Argmax(2), cn.OneHot(5, 2)]), (2, 3, 4)),
    (cn.CumSum(2), (2, 3, 4)),
    (cn.CumSum(-1, exclusive=True, reverse=True), (2, 3)),
    (cn.Tril(1), (2, 3, 4)),
    (cn.Triu(), (3, 4)),
    *((of_two(layer), (2, 3)) for layer in (cn.Remainder(), cn.Fmod())),
    *((sampled(cn.GridSample(*how)), (3, 4, 5)) for how in GRIDS),
    (detecting(cn.NonMaxSuppression(3, 0.2, -0.5)), (7, 6)),
    (detecting(cn.NonMaxSuppression(9, 0.1)), (5, 6)),
    (with_places(cn.TakeAlongDim(2)), (2, 3, 4)),
    *((with_places(cn.ScatterAlongDim(2, reduce)), (2, 3, 4)) for reduce in ("none", "add", "mul", "max", "min")),
    (cn.Graph({"box": (cn.Constant((2, 4)),), "y": (cn.RoiAlign((2, 3), 0.5, 2, False), "input", "box")}), (3, 4, 5)),
    (cn.Graph({"box": (cn.Constant((2, 4)),), "y": (cn.RoiAlign(2), "input", "box")}), (3, 4, 5)),
    (cn.Graph({"box": (cn.Constant((2, 4)),), "y": (cn.RoiAlign(2, mode="max"), "input", "box")}), (3, 4, 5)),
    (Chain([cn.Abs(), cn.Log(), cn.Sqrt()]), (2, 3)),  # NaN where the logarithm is negative
    (Chain([cn.Tanh(), cn.Asin(), cn.Sin(), cn.Acos(), cn.Affine(0.3), cn.Atanh(), cn.Tan()]), (2, 3)),
    (Chain([cn.Cosh(), cn.Affine(1.0, 0.5), cn.Acosh(), cn.Sinh(), cn.Asinh(), cn.Atan()]), (2, 3)),
    *((of_two(layer), (2, 3)) for layer in (cn.Sub(), cn.Div(), cn.Pow(), cn.Maximum(), cn.Minimum(), cn.Concat(-1))),
    *((of_two(layer), (2, 3)) for layer in (cn.Equal(), cn.Less(), cn.LessEqual(), cn.Greater(), cn.GreaterEqual())),
    *((of_two(layer), (2, 3)) for layer in (cn.LogicalAnd(), cn.LogicalOr(), cn.LogicalXor())),
    (cn.Graph({"gate": (cn.Tanh(), "input"), "y": (cn.Where(), "gate", "input", "gate")}), (2, 3)),
    (cn.Graph({"turned": (cn.Permute((0, 2, 1)), "input"), "y": (cn.MatMul(), "input", "turned")}), (3, 4)),
    (cn.Graph({"c": (cn.Constant((3, 1, 1)),), "y": (cn.Mul(stretch=True), "input", "c", "input")}), (3, 2, 4)),
    (cn.Graph({"c": (cn.Constant((1, 4), learned=False),), "y": (cn.Concat(1), "c", "input")}), (3, 4)),
]


# Each network of the zoo, small enough to be quick.
ZOO: dict[str, tuple[Shape, dict[str, Any]]] = {
    "autoencoder": ((2, 12, 17), {}),
    "cnn": ((1, 12, 12), {}),
    "convnext_tiny": ((3, 64, 66), {"depths": (1, 1, 2, 1), "widths": (8, 16, 24, 32)}),
    "densenet": ((3, 12, 10), {"depth": 22, "growth": 6}),
    "lenet5": ((1, 14, 14), {}),
    "mlp": ((2, 9, 8), {"hidden": (30, 20)}),
    "mobilenet_v2": ((3, 32, 40), {"width": 0.25, "stem": "imagenet"}),
    "name_lstm": ((5,), {"width": 8, "layers": 2}),
    "name_model": ((4,), {"embedding": 5, "hidden": 11}),
    "name_transformer": ((5,), {"width": 8, "heads": 2}),
    "photo_cnn": ((3, 48, 40), {}),
    "resnet18": ((3, 40, 33), {"stem": "imagenet"}),
    "resnet20": ((3, 12, 12), {}),
    "resnet9": ((3, 12, 16), {"width": 4}),
    "squeezenet": ((3, 24, 31), {"stem": "imagenet"}),
    "unet": ((2, 13, 16), {"width": 4, "depth": 2}),
    "vgg": ((3, 8, 8), {}),
    "vit_tiny": ((3, 12, 16), {"width": 24, "depth": 2}),
}


def network(name: str) -> cn.Model:
    """The small one of that name."""
    shape, options = ZOO[name]
    model: cn.Model = getattr(cn.zoo, name)(input_shape=shape, **options)
    return model
