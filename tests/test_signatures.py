"""Names, order, kinds and defaults of arguments are PyTorch's: every class of the same name, and what differs named."""

from __future__ import annotations

import inspect
import re
import typing
from typing import Any

import pytest

import colonnade as cn

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

# Of the same name, and something else.
OTHERS = {
    "Parameter": "it is declared by a layer, by its shape, before there are numbers",
    "Tensor": "it couples a value and its gradient, and is made from a shape",
}
# The argument, the default that it has here, and why.
DIFFERENCES: dict[tuple[str, str], tuple[Any, str]] = {
    ("Softmax", "dim"): (
        1,
        "where PyTorch, with a warning, guesses 1 for rows and images, and the batch for sequences",
    ),
    ("LogSoftmax", "dim"): (1, "as for Softmax"),
    **{
        (name, "batch_first"): (True, "the batch is the first axis of every array here")
        for name in (
            *("MultiheadAttention", "RNN", "LSTM", "GRU", "TransformerDecoderLayer", "TransformerEncoderLayer"),
        )
    },
    **{
        (name, "activation"): ("relu", "a file stores it; it is the same function")
        for name in ("TransformerDecoderLayer", "TransformerEncoderLayer")
    },
}
# Keywords that PyTorch has not, and why.
MORE: dict[str, dict[str, str]] = {
    **{name: {"return_states": "a layer has one output"} for name in ("RNN", "LSTM", "GRU")},
}
CALLED = "there it is an argument of a call"
MORE["MultiheadAttention"] = {
    **dict.fromkeys(("is_causal", "attn_mask", "key_padding_mask"), CALLED),
    "return_weights": "a layer has one output",
    "zero_empty_rows": "there it depends on whether weights are wanted",
}
MORE["TransformerEncoderLayer"] = dict.fromkeys(("is_causal", "src_mask", "src_key_padding_mask"), CALLED)
MORE["TransformerDecoderLayer"] = {
    f"{whose}_{what}": CALLED for whose in ("tgt", "memory") for what in ("is_causal", "mask", "key_padding_mask")
}
MORE["CTCLoss"] = {"batch_first": "a model puts out the batch as first axis"}
MORE["GRU"]["reset_after"] = "ONNX and Keras know the cell as it was first published"
PLACES = (torch.nn, torch.optim, torch.optim.lr_scheduler)
NAMES = {"Dense": "Linear"}
REFERRED = re.compile(r":class:`(\w+)`")


def pairs() -> dict[str, tuple[Any, Any]]:
    found = {}
    for name in cn.__all__:
        theirs = [getattr(place, NAMES.get(name, name), None) for place in PLACES]
        theirs = [each for each in theirs if inspect.isclass(each)]
        if theirs and inspect.isclass(getattr(cn, name)) and name not in OTHERS:
            found[name] = (getattr(cn, name), theirs[0])
    return found


def signature(of: Any) -> list[tuple[str, Any, Any]]:
    return [(each.name, each.kind, each.default) for each in parameters(of)]


def parameters(of: Any) -> list[inspect.Parameter]:
    if of.__init__ in (torch.nn.Module.__init__, object.__init__):  # takes nothing, whatever it says
        return []
    said = typing.get_overloads(of.__init__)  # of modules that hand their arguments on
    found = inspect.signature(said[0]).parameters if said else inspect.signature(of).parameters
    return [each for each in found.values() if each.name != "self"]


def test_all_kinds_of_classes_are_compared() -> None:
    assert {"Conv2d", "Dense", "ReLU", "CrossEntropyLoss", "SGD", "StepLR", "MultiheadAttention"} <= set(pairs())
    assert len(pairs()) > 65


@pytest.mark.parametrize("name", pairs())
def test_arguments_are_those_of_pytorch(name: str) -> None:
    ours, theirs = pairs()[name]
    expected = [
        (argument, kind, DIFFERENCES.get((name, argument), (default, ""))[0])
        for argument, kind, default in signature(theirs)
    ]
    found = [each for each in signature(ours) if each[0] not in MORE.get(name, {})]
    assert found == expected
    assert {each.name for each in parameters(ours) if each.kind is each.KEYWORD_ONLY} >= MORE.get(name, {}).keys()


@pytest.mark.parametrize(("name", "argument"), DIFFERENCES)
def test_what_is_listed_as_different_is(name: str, argument: str) -> None:
    theirs = {each.name: each for each in parameters(pairs()[name][1])}
    assert theirs[argument].default != DIFFERENCES[name, argument][0]


@pytest.mark.parametrize("name", pairs())
def test_every_argument_is_described(name: str) -> None:
    ours = pairs()[name][0]
    # One that takes what another does refers to it.
    described = ours.__doc__ + "".join(getattr(cn, each, Any).__doc__ or "" for each in REFERRED.findall(ours.__doc__))
    arguments = [argument for argument, kind, _ in signature(ours) if kind.name.startswith(("POSITIONAL", "KEYWORD"))]
    missing = [argument for argument in arguments if f"\n        {argument}: " not in described]
    assert not missing
