"""A language model of names: which character comes next."""

from __future__ import annotations

from typing import Any

from ..arguments import whole, wholes
from ..errors import ShapeError
from ..layers import Dense, Embedding, Flatten, Tanh
from ..model import Model
from ..tensor import Shape
from .blocks import sequence


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
    length = wholes("name_model", "input_shape", input_shape)
    if len(length) != 1 or length[0] < 1:
        raise ShapeError(f"name_model: expected the length of the context, (k,), got {length}.")
    classes, embedding, hidden = (
        whole("name_model", name, value, 1)
        for name, value in (("classes", classes), ("embedding", embedding), ("hidden", hidden))
    )
    net = sequence(
        embedding=Embedding(classes, embedding),
        flatten=Flatten(),
        hidden=Dense(input_shape[0] * embedding, hidden),
        tanh=Tanh(),
        output=Dense(hidden, classes),
    )
    return Model(net, **options).build(input_shape)
