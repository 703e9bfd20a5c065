"""Attention and transformers of PyTorch as models: with masks, of two sequences, in either order of axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError
from tests.formats import torch_networks as networks

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn, functional = torch.nn, torch.nn.functional
pytestmark = pytest.mark.usefixtures("one_torch_thread")

TOLERANCE = 1e-10
CAUSAL = torch.ones(4, 4, dtype=torch.bool).triu(1)
CAUSAL_NUMBERS = nn.Transformer.generate_square_subsequent_mask
BIAS = torch.arange(16.0).reshape(4, 4) / 7
PADDING = np.arange(4) >= np.array([4, 3, 1])[:, None]


class Calls(nn.Module):
    """One module, and a function that calls it."""

    def __init__(self, inner: Any, call: Callable[..., Any], **buffers: Any) -> None:
        super().__init__()
        self.inner, self.call = inner, call
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer)

    def forward(self, x: Any) -> Any:
        return self.call(self, x)


class OfTwo(Calls):
    def forward(self, x: Any, y: Any) -> Any:  # type: ignore[override]
        return self.call(self, x, y)


def attention(**options: Any) -> Any:
    return nn.MultiheadAttention(6, 2, **{"batch_first": True, **options})


def encoder_layer(**options: Any) -> Any:
    return nn.TransformerEncoderLayer(6, 2, 8, **{"batch_first": True, "dropout": 0.0, **options})


def decoder_layer(**options: Any) -> Any:
    return nn.TransformerDecoderLayer(6, 2, 8, **{"batch_first": True, "dropout": 0.0, **options})


def first(made: Any) -> Any:
    return made[0]


ONE: dict[str, Callable[[], Any]] = {
    "to itself": lambda: Calls(attention(), lambda m, x: first(m.inner(x, x, x))),
    "to a function of itself": lambda: Calls(attention(), lambda m, x: first(m.inner(x, x * 2, x * 3))),
    "to a part": lambda: Calls(attention(), lambda m, x: first(m.inner(x, x[:, :3], x[:, 1:]))),
    "of other sizes": lambda: Calls(
        attention(kdim=4, vdim=5, bias=False), lambda m, x: first(m.inner(x, x[..., :4], x[..., 1:]))
    ),
    "with keys that are added": lambda: Calls(
        attention(add_bias_kv=True, add_zero_attn=True), lambda m, x: first(m.inner(x, x, x))
    ),
    "causal": lambda: Calls(
        attention(),
        lambda m, x: first(m.inner(x, x, x, attn_mask=m.mask, is_causal=True, need_weights=False)),
        mask=CAUSAL,
    ),
    "with a mask of numbers": lambda: Calls(
        attention(), lambda m, x: first(m.inner(x, x, x, attn_mask=m.mask)), mask=BIAS
    ),
    "with a mask of true and false": lambda: Calls(
        attention(), lambda m, x: first(m.inner(x, x, x, attn_mask=m.mask)), mask=CAUSAL.T
    ),
    "with a mask made on the way": lambda: Calls(
        attention(),
        lambda m, x: first(m.inner(x, x, x, attn_mask=CAUSAL_NUMBERS(x.shape[1], dtype=x.dtype))),
    ),
    "padded by what it reads": lambda: Calls(
        attention(), lambda m, x: first(m.inner(x, x, x, key_padding_mask=x[:, :, 0] > x[:, :1, 0]))
    ),
    "with a mask of each head that is computed": lambda: Calls(
        attention(),
        lambda m, x: first(
            m.inner(
                x, x, x, attn_mask=(x[:, :, None] - x[:, None]).square()[..., :2].permute(0, 3, 1, 2).reshape(-1, 4, 4)
            )
        ),
    ),
    "its weights": lambda: Calls(attention(), lambda m, x: m.inner(x, x, x)),
    "its weights of each head": lambda: Calls(
        attention(add_bias_kv=True), lambda m, x: m.inner(x, x[:, 1:], x[:, 1:], average_attn_weights=False)
    ),
    "steps first": lambda: Calls(
        attention(batch_first=False),
        lambda m, x: first(m.inner(x.transpose(0, 1), x.transpose(0, 1), x.transpose(0, 1))).transpose(0, 1),
    ),
    "encoder layer": lambda: Calls(encoder_layer(), lambda m, x: m.inner(x)),
    "encoder layer, causal": lambda: Calls(
        encoder_layer(norm_first=True, activation="gelu"),
        lambda m, x: m.inner(x, src_mask=m.mask, is_causal=True),
        mask=CAUSAL,
    ),
    "encoder layer, steps first": lambda: Calls(
        encoder_layer(batch_first=False), lambda m, x: m.inner(x.permute(1, 0, 2), src_mask=m.mask).permute(1, 0, 2),
        mask=BIAS,
    ),
    "encoder": lambda: Calls(
        nn.TransformerEncoder(encoder_layer(norm_first=True), 2, nn.LayerNorm(6), enable_nested_tensor=False),
        lambda m, x: m.inner(x, m.mask), mask=CAUSAL,
    ),
    "decoder layer": lambda: Calls(decoder_layer(), lambda m, x: m.inner(x, x[:, 1:])),
    "decoder, steps first": lambda: Calls(
        nn.TransformerDecoder(decoder_layer(batch_first=False, norm_first=True), 2, nn.LayerNorm(6)),
        lambda m, x: m.inner(x.transpose(0, 1), x[:, 1:].transpose(0, 1), m.mask).transpose(0, 1), mask=CAUSAL,
    ),
    "transformer": lambda: Calls(
        nn.Transformer(6, 2, 1, 2, 8, 0.0, batch_first=True),
        lambda m, x: m.inner(x, x[:, :3] * 2, tgt_mask=m.mask[:3, :3]), mask=CAUSAL,
    ),
}  # fmt: skip


def compare(module: Any, arrays: list[Any], shapes: Any) -> Any:
    module = module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) / 5)
    model = cn.from_torch(module, input_shape=shapes)
    tensors = [torch.tensor(each, requires_grad=each.dtype == float) for each in arrays]
    theirs = module(*tensors)
    theirs = theirs if isinstance(theirs, tuple) else (theirs,)
    given = arrays if len(arrays) > 1 else arrays[0]
    ours = model(given)
    ours = ours if isinstance(ours, tuple) else (ours,)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other.detach().numpy(), rtol=TOLERANCE, atol=TOLERANCE)
    gradients = [np.random.default_rng(1).normal(size=each.shape) for each in ours]
    model(given, training=True)
    found = model.backward(gradients if len(gradients) > 1 else gradients[0])
    torch.autograd.backward(theirs, [torch.tensor(each) for each in gradients])
    for one, tensor in zip(found if len(arrays) > 1 else [found], tensors, strict=True):
        if tensor.requires_grad:
            np.testing.assert_allclose(one, tensor.grad.numpy(), rtol=TOLERANCE, atol=TOLERANCE)
    held = dict(module.named_parameters())
    for parameter in model.parameters():
        if parameter.name in held:
            np.testing.assert_allclose(
                parameter.grad, held[parameter.name].grad.numpy(), rtol=TOLERANCE, atol=TOLERANCE
            )
    return model


@pytest.mark.parametrize("name", ONE)
def test_attention_is_what_it_is_in_pytorch(name: str) -> None:
    torch.manual_seed(0)
    compare(ONE[name](), [np.random.default_rng(0).normal(size=(3, 4, 6))], (4, 6))


def test_a_mask_that_is_added_keeps_all_its_digits() -> None:
    mask = np.random.default_rng(1).normal(size=(4, 4))
    module = Calls(
        nn.MultiheadAttention(6, 2, batch_first=True),
        lambda m, x: m.inner(x, x, x, attn_mask=m.mask)[0], mask=torch.tensor(mask),
    )  # fmt: skip
    compare(module, [np.random.default_rng(0).normal(size=(3, 4, 6))], (4, 6))


def test_a_known_causal_mask_is_the_layer_s_own() -> None:
    model = cn.from_torch(ONE["causal"](), input_shape=(4, 6))
    (layer,) = [each for each in model.steps if isinstance(each.layer, cn.MultiheadAttention)]
    assert layer.layer.is_causal  # type: ignore[attr-defined]
    assert len(layer.inputs) == 1


TWO: dict[str, tuple[Callable[[], Any], Any]] = {
    "attention": (
        lambda: OfTwo(attention(), lambda m, x, y: first(m.inner(x, x, x, key_padding_mask=y))), PADDING,
    ),
    "attention without weights": (
        lambda: OfTwo(
            attention(), lambda m, x, y: first(m.inner(x, x, x, key_padding_mask=y.bool(), need_weights=False))
        ),
        PADDING,
    ),
    "encoder": (
        lambda: OfTwo(
            nn.TransformerEncoder(encoder_layer(), 2, enable_nested_tensor=False),
            lambda m, x, y: m.inner(x, src_key_padding_mask=y),
        ),
        PADDING,
    ),
    "decoder": (
        lambda: OfTwo(decoder_layer(), lambda m, x, y: m.inner(x, x[:, 1:], memory_key_padding_mask=y[:, 1:])),
        np.roll(PADDING, 1, 1)[:, ::-1].copy(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TWO)
def test_a_mask_may_be_an_input(name: str) -> None:
    torch.manual_seed(0)
    make, mask = TWO[name]
    compare(make(), [np.random.default_rng(0).normal(size=(3, 4, 6)), mask], [(4, 6), (4,)])


def test_a_sequence_that_is_all_padding_is_as_in_pytorch() -> None:
    mask = PADDING.copy()
    mask[1] = True
    x = np.random.default_rng(0).normal(size=(3, 4, 6))
    for name, nans in (("attention", True), ("attention without weights", False), ("encoder", False)):
        torch.manual_seed(0)
        module = TWO[name][0]().double().eval()
        theirs = module(torch.tensor(x), torch.tensor(mask)).detach().numpy()
        ours = cn.from_torch(module, input_shape=[(4, 6), (4,)])([x, mask])
        np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)
        assert np.isnan(ours[1]).any() == nans


WHOLE: dict[str, tuple[Callable[[], Any], Any]] = {
    "MultiheadAttention": (lambda: attention(kdim=4), [(4, 6), (5, 4), (5, 6)]),
    "TransformerEncoderLayer": (encoder_layer, (4, 6)),
    "TransformerEncoder": (
        lambda: nn.TransformerEncoder(encoder_layer(), 2, nn.LayerNorm(6), enable_nested_tensor=False), (4, 6),
    ),
    "TransformerDecoderLayer": (decoder_layer, [(4, 6), (5, 6)]),
    "TransformerDecoder": (lambda: nn.TransformerDecoder(decoder_layer(), 2), [(4, 6), (5, 6)]),
    "Transformer": (lambda: nn.Transformer(6, 2, 1, 1, 8, 0.0, batch_first=True), [(5, 6), (4, 6)]),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_a_module_by_itself_keeps_its_names(name: str) -> None:
    torch.manual_seed(0)
    make, shapes = WHOLE[name]
    several = shapes if isinstance(shapes, list) else [shapes]
    rng = np.random.default_rng(0)
    module = make()
    model = compare(module, [rng.normal(size=(3, *each)) for each in several], shapes)
    own = {each.removeprefix("0.") for each in model.state_dict()}
    assert own == set(module.state_dict())


def sdpa(*options: Any, **more: Any) -> Callable[[Any], Any]:
    return lambda x: functional.scaled_dot_product_attention(x, x * 2, x[..., :2], *options, **more)


FUNCTIONS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "scale": (sdpa(scale=0.3), (4, 3)),
    "of heads, causal": (sdpa(is_causal=True), (2, 4, 3)),
    "shared heads": (
        lambda x: functional.scaled_dot_product_attention(x, x[:, :2], x[:, 1:3] * 2, enable_gqa=True), (4, 3, 3),
    ),
    "causal, more keys": (lambda x: functional.scaled_dot_product_attention(x[:, :2], x, x, is_causal=True), (4, 3)),
    "rows of a known mask that look at nothing": (
        sdpa(torch.tensor([[True, False], [False, False]]), scale=0.5), (2, 3),
    ),
    "rows of a computed mask that look at nothing": (
        lambda x: functional.scaled_dot_product_attention(x, x, x, attn_mask=x[..., :4] > x[..., :1] + 0.5), (4, 5),
    ),
    "rows of computed numbers that look at nothing": (
        lambda x: functional.scaled_dot_product_attention(
            x, x, x, attn_mask=torch.where(x[..., :4] > x[..., :1] + 0.5, x[..., :4], -torch.inf)
        ),
        (4, 5),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_function_is_what_it_is_in_pytorch(name: str) -> None:
    function, shape = FUNCTIONS[name]
    x = np.random.default_rng(0).normal(size=(3, *shape))
    compare(networks.Function(function), [x], shape)


class Unfollowed(Calls):
    """With a condition that torch.fx can't follow."""

    def forward(self, x: Any) -> Any:
        return self.call(self, x) if bool(torch.tensor(x.dim()) > 2) else -x


@pytest.mark.parametrize("name", ONE)
def test_what_torch_export_follows_is_the_same(name: str) -> None:
    torch.manual_seed(0)
    module = ONE[name]()
    module.__class__ = Unfollowed
    model = compare(module, [np.random.default_rng(0).normal(size=(3, 4, 6))], (4, 6))
    assert any(isinstance(step.layer, cn.MultiheadAttention) for step in model.steps)


class StepsFirst(nn.Module):
    """Sequences as the first layers of transformers had them, with a learned vector for each place."""

    def __init__(self) -> None:
        super().__init__()
        self.places, self.norm, self.last = nn.Parameter(torch.randn(4, 1, 6)), nn.LayerNorm(6), nn.Linear(6, 5)
        self.attention = nn.MultiheadAttention(6, 2)

    def forward(self, x: Any) -> Any:
        x = x.permute(1, 0, 2)
        x = self.norm(x + self.places)
        x = x + functional.relu(self.attention(x, x * 2, x, need_weights=False)[0])
        return self.last(x).transpose(0, 1)


def test_sequences_may_have_their_steps_first_all_the_way() -> None:
    torch.manual_seed(0)
    model = compare(StepsFirst(), [np.random.default_rng(0).normal(size=(3, 4, 6))], (4, 6))
    assert not any(isinstance(step.layer, cn.Permute) for step in model.steps)


REFUSED: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "a mask of another shape": (
        lambda: Calls(attention(), lambda m, x: first(m.inner(x, x, x, attn_mask=m.mask)), mask=CAUSAL[:3]),
        (4, 6),
        r"attn_mask must have the shape \(4, 4\), got \(3, 4\)",
    ),
    "a causal mask that is not there": (
        lambda: Calls(attention(), lambda m, x: first(m.inner(x, x, x, is_causal=True))),
        (4, 6),
        "is_causal says of an attn_mask what it is, and there is none",
    ),
    "steps first, and the batch is": (
        lambda: Calls(attention(batch_first=False), lambda m, x: first(m.inner(x, x, x))),
        (4, 6),
        "it has batch_first=False, and of its input the batch is the first axis",
    ),
    "a mask of true or of numbers": (
        lambda: OfTwo(None, lambda m, x, y: functional.scaled_dot_product_attention(x, x, x, attn_mask=y)),
        [(4, 6), (4, 4)],
        "its mask is an input, which may be of numbers or of True and False",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_meaning_is_refused(name: str) -> None:
    make, shapes, message = REFUSED[name]
    with pytest.raises(ArgumentError, match=message):
        cn.from_torch(make().double().eval(), input_shape=shapes)


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("weights", [False, True])
def test_a_layer_goes_to_pytorch_and_back(zero: bool, weights: bool) -> None:
    layer = cn.MultiheadAttention(
        6, 2, kdim=4, attn_mask="float", key_padding_mask="bool", is_causal=True, return_weights=weights,
        zero_empty_rows=zero, add_zero_attn=False,
    )  # fmt: skip
    names = ["query", "key", "value", "pairs", "padding"]
    model = cn.Model(cn.Graph({"y": (layer, *names)}, names), dtype="float64")
    model.build([(4, 6), (5, 4), (5, 6), (2, 4, 5), (5,)])
    rng = np.random.default_rng(0)
    padding = np.arange(5) >= np.array([5, 2, 0])[:, None]
    arrays = [rng.normal(size=(3, *each)) for each in ((4, 6), (5, 4), (5, 6), (2, 4, 5))]
    module = cn.to_torch(model).eval()
    theirs = module(*map(torch.tensor, arrays), torch.tensor(padding)).detach().numpy()
    np.testing.assert_allclose(model([*arrays, padding]), theirs, rtol=TOLERANCE, atol=TOLERANCE)
    again = cn.from_torch(module, [(4, 6), (5, 4), (5, 6), (2, 4, 5), (5,)])
    np.testing.assert_array_equal(again([*arrays, padding]), model([*arrays, padding]))
