"""The vision transformer: patches of an image as the words of a sentence."""

from __future__ import annotations

from typing import Any

from ..arguments import whole
from ..composites import Graph
from ..composites.chain import Chain
from ..errors import ShapeError
from ..layers import (
    GELU,
    Add,
    Concat,
    Constant,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    LayerNorm,
    MultiheadAttention,
    Permute,
    Select,
)
from ..model import Model
from ..storage import StrPath
from ..tensor import Shape
from .arguments import LARGE, image
from .blocks import sequence
from .weights import Renaming, made

EPS = 1e-6  # of the layer norms, as the paper's code has it
_LAYER, _OURS = r"blocks\.(\d+)", r"encoder.layers.encoder_layer_\1"
# What timm's vision transformers call their parts.
TIMM: Renaming = [
    ("cls_token", "class_token.weight"),
    ("pos_embed", "encoder.pos_embedding.weight"),
    (r"patch_embed\.proj\.(\w+)", r"conv_proj.\1"),
    (rf"{_LAYER}\.norm([12])\.(\w+)", rf"{_OURS}.ln_\2.\3"),
    (rf"{_LAYER}\.attn\.qkv\.(\w+)", rf"{_OURS}.self_attention.in_proj_\2"),
    (rf"{_LAYER}\.attn\.proj\.(\w+)", rf"{_OURS}.self_attention.out_proj.\2"),
    (rf"{_LAYER}\.mlp\.fc1\.(\w+)", rf"{_OURS}.mlp.0.\2"),
    (rf"{_LAYER}\.mlp\.fc2\.(\w+)", rf"{_OURS}.mlp.3.\2"),
    (r"norm\.(\w+)", r"encoder.ln.\1"),
    (r"head\.(\w+)", r"heads.head.\1"),
]


def vit_tiny(
    input_shape: Shape = (3, 224, 224),
    classes: int = 1000,
    *,
    patch_size: int | None = None,
    width: int = 192,
    depth: int = 12,
    heads: int = 3,
    dropout: float = 0.0,
    weights: StrPath | None = None,
    **options: Any,
) -> Model:
    """ViT-Ti/16, with the names of torchvision's vision transformers.

    | part | | output |
    | --- | --- | --- |
    | conv_proj | patches of 16×16 to 192 numbers each | 192×14×14 |
    | tokens | a sequence of them, behind a learned class token | 197×192 |
    | encoder.pos_embedding | a learned vector is added to each | 197×192 |
    | encoder.layers | 12 × (x + attention(norm x), then x + mlp(norm x)) | 197×192 |
    | encoder.ln, token | layer norm; the class token | 192 |
    | heads.head | dense | classes |

    The attention has 3 heads; the mlp is dense to 768, GELU, dense back. 5,717,416 parameters for 1000 classes.
    Dosovitskiy et al. 2020, An image is worth 16×16 words, arXiv:2010.11929; this size is of Touvron et al. 2021,
    arXiv:2012.12877. What torchvision calls `class_token` and `encoder.pos_embedding` is here one axis less and has
    `.weight` behind its name.

    Args:
        input_shape: One image's, (c, h, w).
        classes: Numbers out.
        patch_size: Pixels of a side of the patches, which divides the image's. By default 16 from 64 pixels on,
            and 4 for smaller images.
        width: Numbers of a token.
        depth: Layers of the encoder.
        heads: Of each attention; they divide the width.
        dropout: The probability that a number is left out, behind the position embedding and in each mlp.
        weights: A safetensors file with trained weights, a state dict of torchvision or timm.
        options: `Model`'s: seed, dtype, share_memory.

    Raises:
        ShapeError: A shape that is no image's, or that does not part into patches.
        ArgumentError: A number below one, heads that do not divide the width, or a probability out of range.
        FileNotFoundError: No such file of weights.
        FileFormatError: Weights of another kind, or of another network.
    """
    channels, rows, columns = image("vit_tiny", input_shape, classes)
    usual = 16 if min(rows, columns) >= LARGE else 4
    patch = usual if patch_size is None else whole("vit_tiny", "patch_size", patch_size, 1)
    depth = whole("vit_tiny", "depth", depth, 1)
    if rows % patch or columns % patch:
        raise ShapeError(f"vit_tiny: images must part into patches of {patch}×{patch}, got {rows}×{columns}.")
    tokens = 1 + (rows // patch) * (columns // patch)
    layers = {f"encoder_layer_{number}": encoder_layer(width, heads, dropout) for number in range(depth)}
    encoder = Graph(
        {
            "pos_embedding": (Constant((tokens, width)),),
            "add": (Add(), "input", "pos_embedding"),
            "dropout": (Dropout(dropout), "add"),
            "layers": (sequence(**layers), "dropout"),
            "ln": (LayerNorm(width, EPS), "layers"),
        }
    )
    net = Graph(
        {
            "conv_proj": (Conv2d(channels, width, patch, patch), "input"),
            "patches": (Chain([Flatten(2), Permute((0, 2, 1))]), "conv_proj"),
            "class_token": (Constant((1, width)),),
            "tokens": (Concat(), "class_token", "patches"),
            "encoder": (encoder, "tokens"),
            "token": (Select(1, 0), "encoder"),
            "heads": (sequence(head=Dense(width, classes)), "token"),
        }
    )
    return made("vit_tiny", net, input_shape, weights, TIMM, options)


def encoder_layer(width: int, heads: int, dropout: float, *, is_causal: bool = False) -> Graph:
    """Attention and a mlp, each behind a layer norm and added to what it read."""
    mlp = [Dense(width, 4 * width), GELU(), Dropout(dropout), Dense(4 * width, width), Dropout(dropout)]
    return Graph(
        {
            "ln_1": (LayerNorm(width, EPS), "input"),
            "self_attention": (MultiheadAttention(width, heads, is_causal=is_causal), "ln_1"),
            "add1": (Add(), "input", "self_attention"),
            "ln_2": (LayerNorm(width, EPS), "add1"),
            "mlp": (Chain(mlp), "ln_2"),
            "add2": (Add(), "add1", "mlp"),
        }
    )
