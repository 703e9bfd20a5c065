"""Language models of names: which character comes next."""

from __future__ import annotations

from typing import Any

from ..arguments import whole, wholes
from ..composites import Graph
from ..errors import ShapeError
from ..layers import LSTM, Add, Constant, Dense, Dropout, Embedding, Flatten, LayerNorm, Permute, Tanh
from ..model import Model
from ..tensor import Shape
from .blocks import sequence
from .transformer import encoder_layer


def name_model(
    input_shape: Shape = (3,), classes: int = 27, *, embedding: int = 10, hidden: int = 200, **options: Any
) -> Model:
    """Which character follows the last few: the neural language model of Bengio et al., of characters.

        y = U tanh(d + H · [C(x₁), …, C(x_k)]) + b

    | layer | output |
    | --- | --- |
    | C, the embedding | 3×10 |
    | flatten | 30 |
    | hidden, tanh | 200 |
    | output | classes |

    11,897 parameters for a context of three characters out of 27. The input are the characters' numbers, 0 to
    classes − 1; the output are the logits of the next one. Bengio et al. 2003, A neural probabilistic language model
    (JMLR 3), without the direct connections from the embeddings to the output.

    Args:
        input_shape: (k,): how many characters of context.
        classes: How many characters there are, the end of a name among them.
        embedding: Numbers that stand for a character.
        hidden: Width of the hidden layer.
        options: `Model`'s: seed, dtype, share_memory.

    Raises:
        ShapeError: A shape of other than one axis.
        ArgumentError: A number below one.
    """
    length = _length("name_model", input_shape)
    classes, embedding, hidden = _sizes("name_model", classes=classes, embedding=embedding, hidden=hidden)
    net = sequence(
        embedding=Embedding(classes, embedding),
        flatten=Flatten(),
        hidden=Dense(length * embedding, hidden),
        tanh=Tanh(),
        output=Dense(hidden, classes),
    )
    return Model(net, **options).build(input_shape)


def name_lstm(
    input_shape: Shape = (16,),
    classes: int = 27,
    *,
    width: int = 64,
    layers: int = 1,
    dropout: float = 0.0,
    **options: Any,
) -> Model:
    """Which character follows each one of a name: an LSTM that reads it from its beginning.

    | layer | output |
    | --- | --- |
    | embedding | 16×64 |
    | lstm | 16×64 |
    | output | 16×classes |
    | turned | classes×16 |

    36,763 parameters for 27 characters. The input are the characters' numbers, 0 to classes − 1; the output at each
    place are the logits of the character behind it, of which nothing but the characters up to it is known. Train it
    with `CrossEntropyLoss`, the targets (n, t) with `ignore_index` behind the end of a name. Graves 2013, Generating
    sequences with recurrent neural networks, arXiv:1308.0850.

    Args:
        input_shape: (t,): how many characters, those behind the end of a name among them. The weights are those of
            any length.
        classes: How many characters there are, the end of a name among them.
        width: Numbers that stand for a character, and of a state.
        layers: Of the LSTM.
        dropout: The probability that a number is left out, before the LSTM, between its layers and behind it.
        options: `Model`'s: seed, dtype, share_memory.

    Raises:
        ShapeError: A shape of other than one axis.
        ArgumentError: A number below one, or a probability out of range.
    """
    _length("name_lstm", input_shape)
    classes, width, layers = _sizes("name_lstm", classes=classes, width=width, layers=layers)
    net = sequence(
        embedding=Embedding(classes, width),
        dropout=Dropout(dropout),
        lstm=LSTM(width, width, layers, dropout=dropout),
        dropped=Dropout(dropout),
        output=Dense(width, classes),
        turned=Permute((0, 2, 1)),
    )
    return Model(net, **options).build(input_shape)


def name_transformer(
    input_shape: Shape = (16,),
    classes: int = 27,
    *,
    width: int = 64,
    depth: int = 2,
    heads: int = 4,
    dropout: float = 0.0,
    **options: Any,
) -> Model:
    """Which character follows each one of a name: a small transformer whose places look back and never ahead.

    | layer | output |
    | --- | --- |
    | embedding | 16×64 |
    | pos_embedding: a learned vector is added at each place | 16×64 |
    | layers: 2 × (x + causal attention(norm x), then x + mlp(norm x)) | 16×64 |
    | ln, layer norm | 16×64 |
    | output | 16×classes |
    | turned | classes×16 |

    104,603 parameters for 16 places and 27 characters. Input, output and training are those of `name_lstm`. Radford
    et al. 2018, Improving language understanding by generative pre-training, with the norms before attention and mlp;
    Vaswani et al. 2017, arXiv:1706.03762.

    Args:
        input_shape: (t,): how many characters, those behind the end of a name among them.
        classes: How many characters there are, the end of a name among them.
        width: Numbers of a place.
        depth: Layers.
        heads: Of each attention; they divide the width.
        dropout: The probability that a number is left out, behind the embedding and in each mlp.
        options: `Model`'s: seed, dtype, share_memory.

    Raises:
        ShapeError: A shape of other than one axis.
        ArgumentError: A number below one, heads that do not divide the width, or a probability out of range.
    """
    length = _length("name_transformer", input_shape)
    classes, width, depth = _sizes("name_transformer", classes=classes, width=width, depth=depth)
    layers = {f"layer_{number}": encoder_layer(width, heads, dropout, is_causal=True) for number in range(depth)}
    net = Graph(
        {
            "embedding": (Embedding(classes, width), "input"),
            "pos_embedding": (Constant((length, width)),),
            "add": (Add(), "embedding", "pos_embedding"),
            "dropout": (Dropout(dropout), "add"),
            "layers": (sequence(**layers), "dropout"),
            "ln": (LayerNorm(width), "layers"),
            "output": (Dense(width, classes), "ln"),
            "turned": (Permute((0, 2, 1)), "output"),
        }
    )
    return Model(net, **options).build(input_shape)


def _length(name: str, input_shape: Shape) -> int:
    """How many characters an input has."""
    length = wholes(name, "input_shape", input_shape)
    if len(length) != 1 or length[0] < 1:
        what = "(k,)" if name == "name_model" else "(t,)"
        raise ShapeError(f"{name}: expected the length of the context, {what}, got {length}.")
    return length[0]


def _sizes(name: str, **given: int) -> list[int]:
    """Whole numbers from one on."""
    return [whole(name, argument, value, 1) for argument, value in given.items()]
