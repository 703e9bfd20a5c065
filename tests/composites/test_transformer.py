"""The layers of transformers: beside PyTorch in float64, with masks; saved, and refused."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytestmark = pytest.mark.usefixtures("one_torch_thread")

Array = np.ndarray[Any, Any]
TOLERANCE = 1e-10
rng = np.random.default_rng(0)
PADDING = np.arange(4) >= np.array([4, 3, 1])[:, None]
MEMORY_PADDING = np.arange(5) >= np.array([5, 2, 4])[:, None]
CAUSAL = torch.ones(4, 4, dtype=torch.bool).triu(1)


def close(ours: Array, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=TOLERANCE, atol=TOLERANCE)


def compare(node: Any, module: Any, arrays: list[Array], masks: list[Array], **given: Any) -> None:
    """Output and gradients, the node alone as a model."""
    model = cn.Model(node, dtype="float64")
    assert model.inputs[: len(arrays)] == (("src",) if len(arrays) == 1 else ("tgt", "memory"))
    model.load_state_dict({name: value.numpy() for name, value in module.state_dict().items()})
    module.zero_grad()
    tensors = [torch.tensor(each, requires_grad=True) for each in arrays]
    theirs = module(*tensors, **given)
    inputs = [*arrays, *masks]
    ours = model(inputs if len(inputs) > 1 else inputs[0], training=True)
    close(ours, theirs)
    gradient = rng.normal(size=ours.shape)
    theirs.backward(torch.tensor(gradient))
    found = model.backward(gradient)
    for own, tensor in zip(found if len(inputs) > 1 else [found], tensors, strict=False):
        close(own, tensor.grad)
    for parameter in model.parameters():
        close(parameter.grad, module.get_parameter(parameter.name).grad)


OPTIONS = list(itertools.product(("relu", "gelu"), (False, True), (True, False)))


@pytest.mark.parametrize(("activation", "norm_first", "bias"), OPTIONS)
def test_an_encoder_layer_is_that_of_pytorch(activation: Any, norm_first: bool, bias: bool) -> None:
    given = {"dropout": 0.0, "activation": activation, "norm_first": norm_first, "bias": bias, "layer_norm_eps": 1e-3}
    module = torch.nn.TransformerEncoderLayer(6, 2, 8, batch_first=True, dtype=torch.float64, **given)
    x = rng.normal(size=(3, 4, 6))
    compare(cn.TransformerEncoderLayer(6, 2, 8, **given), module, [x], [])
    causal = cn.TransformerEncoderLayer(6, 2, 8, **given, is_causal=True)
    compare(causal, module, [x], [], src_mask=CAUSAL, is_causal=True)
    padded = cn.TransformerEncoderLayer(6, 2, 8, **given, src_key_padding_mask="bool")
    compare(padded, module, [x], [PADDING], src_key_padding_mask=torch.tensor(PADDING))
    masked = cn.TransformerEncoderLayer(6, 2, 8, **given, src_mask="float", src_key_padding_mask="float")
    numbers = rng.normal(size=(3, 2, 4, 4))
    theirs = {
        "src_mask": torch.tensor(numbers).flatten(0, 1),
        "src_key_padding_mask": torch.zeros(3, 4, dtype=torch.float64).masked_fill(torch.tensor(PADDING), -torch.inf),
    }
    compare(masked, module, [x], [numbers, np.where(PADDING, -np.inf, 0.0)], **theirs)


@pytest.mark.parametrize(("activation", "norm_first", "bias"), OPTIONS)
def test_a_decoder_layer_is_that_of_pytorch(activation: Any, norm_first: bool, bias: bool) -> None:
    given = {"dropout": 0.0, "activation": activation, "norm_first": norm_first, "bias": bias}
    module = torch.nn.TransformerDecoderLayer(6, 3, 8, batch_first=True, dtype=torch.float64, **given)
    x = [rng.normal(size=(3, 4, 6)), rng.normal(size=(3, 5, 6))]
    compare(cn.TransformerDecoderLayer(6, 3, 8, **given), module, x, [])
    layer = cn.TransformerDecoderLayer(
        6, 3, 8, **given, tgt_is_causal=True, tgt_key_padding_mask="bool", memory_key_padding_mask="bool"
    )
    theirs = {
        "tgt_mask": CAUSAL,
        "tgt_key_padding_mask": torch.tensor(PADDING),
        "memory_key_padding_mask": torch.tensor(MEMORY_PADDING),
    }
    compare(layer, module, x, [PADDING, MEMORY_PADDING], **theirs)


@pytest.mark.parametrize("normed", [True, False])
def test_an_encoder_and_a_decoder_are_those_of_pytorch(normed: bool) -> None:
    norms = (torch.nn.LayerNorm(6, dtype=torch.float64), cn.LayerNorm(6)) if normed else (None, None)
    given = {"dropout": 0.0, "activation": "gelu"}
    like = torch.nn.TransformerEncoderLayer(6, 2, 8, batch_first=True, dtype=torch.float64, **given)
    own = cn.TransformerEncoderLayer(6, 2, 8, **given, src_key_padding_mask="bool")
    x, memory = rng.normal(size=(3, 4, 6)), rng.normal(size=(3, 5, 6))
    module = torch.nn.TransformerEncoder(like, 2, norms[0], enable_nested_tensor=False)
    compare(
        cn.TransformerEncoder(own, 2, norms[1]),
        module, [x], [PADDING], src_key_padding_mask=torch.tensor(PADDING),
    )  # fmt: skip
    like = torch.nn.TransformerDecoderLayer(6, 2, 8, batch_first=True, dtype=torch.float64, **given)
    decoder = torch.nn.TransformerDecoder(like, 3, norms[0])
    other = cn.TransformerDecoderLayer(6, 2, 8, **given, tgt_is_causal=True)
    norm = cn.LayerNorm(6) if normed else None
    compare(cn.TransformerDecoder(other, 3, norm), decoder, [x, memory], [], tgt_mask=CAUSAL)


def test_layers_of_a_stack_have_weights_of_their_own() -> None:
    model = cn.Model([cn.TransformerEncoder(cn.TransformerEncoderLayer(4, 2, 6), 2)]).build((3, 4))
    state = model.state_dict()
    assert not np.array_equal(state["0.layers.0.linear1.weight"], state["0.layers.1.linear1.weight"])


@pytest.mark.parametrize(
    "node",
    [
        cn.TransformerEncoderLayer(6, 2, 8, 0.2, "gelu", 1e-3, norm_first=True, bias=False, is_causal=True),
        cn.TransformerEncoder(cn.TransformerEncoderLayer(6, 2, 8, norm_first=True), 2, cn.LayerNorm(6)),
        cn.TransformerEncoder(cn.TransformerEncoderLayer(6, 2, 8), 2),
    ],
    ids=repr,
)
@pytest.mark.parametrize("alone", [True, False])
def test_a_file_holds_all_that_they_are(node: Any, alone: bool, tmp_path: Path) -> None:
    model = cn.Model(node if alone else [node, cn.LayerNorm(6)], dtype="float64").build((4, 6))
    x = rng.normal(size=(3, 4, 6))
    model.save(tmp_path / "model.safetensors")
    again = cn.load(tmp_path / "model.safetensors")
    assert again.description() == model.description()
    np.testing.assert_array_equal(again(x), model(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cn.TransformerEncoderLayer(6, 4), r"TransformerEncoderLayer: d_model must be divisible by nhead = 4"),
        (lambda: cn.TransformerEncoderLayer(6, 2, 0), r"TransformerEncoderLayer: dim_feedforward must be positive"),
        (
            lambda: cn.TransformerEncoderLayer(6, 2, activation="tanh"),  # type: ignore[arg-type]
            r"TransformerEncoderLayer: activation must be 'relu' or 'gelu', got 'tanh'\.",
        ),
        (
            lambda: cn.TransformerDecoderLayer(6, 2, batch_first=False),
            r"TransformerDecoderLayer: batch_first is not supported \(the batch is the first axis",
        ),
        (
            lambda: cn.TransformerDecoderLayer(6, 2, memory_mask="yes"),  # type: ignore[arg-type]
            r"TransformerDecoderLayer: memory_mask must be one of bool, float, None, got 'yes'\.",
        ),
        (
            lambda: cn.TransformerEncoder(cn.Dense(6, 6), 2),  # type: ignore[arg-type]
            r"TransformerEncoder: encoder_layer must be a TransformerEncoderLayer, got Dense",
        ),
        (
            lambda: cn.TransformerDecoder(cn.TransformerDecoderLayer(6, 2), 0),
            r"TransformerDecoder: num_layers must be positive, got 0\.",
        ),
        (
            lambda: cn.TransformerEncoder(cn.TransformerEncoderLayer(6, 2), 1, 3),  # type: ignore[arg-type]
            r"TransformerEncoder: norm must be a layer or None, got 3\.",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()
