"""MultiheadAttention: beside PyTorch in float64, with masks, of one sequence and of several; and what it refuses."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError, ShapeError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytestmark = pytest.mark.usefixtures("one_torch_thread")

Array = np.ndarray[Any, Any]
TOLERANCE = 1e-10
IMAGES, LENGTH, KEYS, SIZE, HEADS = 3, 4, 5, 6, 2
rng = np.random.default_rng(0)


def close(ours: Array, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=TOLERANCE, atol=TOLERANCE)


def model_of(module: Any, inputs: int, **more: Any) -> Any:
    """The layer that a module is, in a model of so many inputs, with the module's weights."""
    layer = cn.MultiheadAttention(
        module.embed_dim, module.num_heads, 0.0, module.in_proj_bias is not None, module.bias_k is not None,
        module.add_zero_attn, module.kdim, module.vdim, **more,
    )  # fmt: skip
    names = [f"x{number}" for number in range(inputs)]
    model = cn.Model(cn.Graph({"0": (layer, *names)}, names), dtype="float64")
    model.load_state_dict({f"0.{name}": value.numpy() for name, value in module.state_dict().items()})
    return model


def sequences(alone: bool, kdim: int = SIZE, vdim: int = SIZE) -> list[Array]:
    shapes = [(IMAGES, LENGTH, SIZE)] if alone else [(IMAGES, LENGTH, SIZE), (IMAGES, KEYS, kdim), (IMAGES, KEYS, vdim)]
    return [rng.normal(size=shape) for shape in shapes]


def triples(tensors: list[Any]) -> list[Any]:
    return tensors * 3 if len(tensors) == 1 else tensors


def compare(module: Any, arrays: list[Array], masks: list[Array], given: dict[str, Any], **more: Any) -> None:
    """Output and all gradients, those at masks of numbers too."""
    tensors = [torch.tensor(each, requires_grad=True) for each in arrays]
    theirs = module(*triples(tensors), **given)[0]
    model = model_of(module, len(arrays) + len(masks), **more)
    inputs = [*arrays, *masks]
    ours = model(inputs if len(inputs) > 1 else inputs[0], training=True)
    close(ours, theirs)
    gradient = rng.normal(size=ours.shape)
    theirs.backward(torch.tensor(gradient))
    found = model.backward(gradient)
    for own, tensor in zip(found if len(inputs) > 1 else [found], tensors, strict=False):
        close(own, tensor.grad)
    for parameter in model.parameters():
        close(parameter.grad, module.get_parameter(parameter.name.removeprefix("0.")).grad)


def module_of(**options: Any) -> Any:
    module = torch.nn.MultiheadAttention(SIZE, HEADS, batch_first=True, dtype=torch.float64, **options)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.tensor(rng.normal(size=parameter.shape)) / 3)
    return module


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(("bias", "add_bias_kv", "add_zero_attn"), list(itertools.product((True, False), repeat=3)))
def test_sequences_attend_as_in_pytorch(alone: bool, bias: bool, add_bias_kv: bool, add_zero_attn: bool) -> None:
    module = module_of(bias=bias, add_bias_kv=add_bias_kv, add_zero_attn=add_zero_attn)
    compare(module, sequences(alone), [], {})


@pytest.mark.parametrize(("kdim", "vdim"), [(4, 6), (6, 5), (4, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_keys_and_values_of_other_sizes(kdim: int, vdim: int, bias: bool) -> None:
    compare(module_of(kdim=kdim, vdim=vdim, bias=bias), sequences(False, kdim, vdim), [], {})


def pairs(kind: str, by_head: bool, keys: int) -> Array:
    """A mask of pairs that leaves each row something to look at."""
    shape = (IMAGES, HEADS, LENGTH, keys) if by_head else (IMAGES, LENGTH, keys)
    if kind == "float":
        return rng.normal(size=shape)
    hidden = rng.random(shape) < 0.5
    hidden[..., 0] = False
    return hidden


def theirs_of_pairs(mask: Array) -> Any:
    """(n · heads, t, s)."""
    by_head = mask if mask.ndim == 4 else np.repeat(mask[:, None], HEADS, 1)
    return torch.tensor(by_head.reshape(-1, *mask.shape[-2:]))


def padding(kind: str, keys: int) -> Array:
    if kind == "float":
        return rng.normal(size=(IMAGES, keys))
    return np.arange(keys) >= np.array([keys, keys - 1, 2])[:, None]


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("extra", [{}, {"add_bias_kv": True, "add_zero_attn": True}], ids=["", "added"])
@pytest.mark.parametrize("kind", ["bool", "float"])
@pytest.mark.parametrize(("of_pairs", "by_head", "of_keys"), [(1, 0, 0), (1, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1)])
def test_masks_are_those_of_pytorch(
    alone: bool, extra: dict[str, bool], kind: str, of_pairs: int, by_head: int, of_keys: int
) -> None:
    keys = LENGTH if alone else KEYS
    masks, given, more = [], {}, {}
    if of_pairs:
        masks.append(pairs(kind, bool(by_head), keys))
        given["attn_mask"], more["attn_mask"] = theirs_of_pairs(masks[-1]), kind
    if of_keys:
        masks.append(padding(kind, keys))
        given["key_padding_mask"], more["key_padding_mask"] = torch.tensor(masks[-1]), kind
    compare(module_of(**extra), sequences(alone), masks, given, **more)


@pytest.mark.parametrize("alone", [True, False])
def test_a_causal_layer_is_one_with_a_causal_mask(alone: bool) -> None:
    hidden = torch.ones(LENGTH, LENGTH if alone else KEYS, dtype=torch.bool).triu(1)
    compare(module_of(), sequences(alone), [], {"attn_mask": hidden}, is_causal=True)
    mask = padding("bool", LENGTH if alone else KEYS)
    given = {"attn_mask": hidden, "key_padding_mask": torch.tensor(mask)}
    compare(module_of(), sequences(alone), [mask], given, is_causal=True, key_padding_mask="bool")


def test_the_gradient_at_numbers_that_are_added_is_that_of_pytorch() -> None:
    module, arrays = module_of(), sequences(False)
    mask, keys = pairs("float", True, KEYS), padding("float", KEYS)
    added, on_keys = (torch.tensor(each, requires_grad=True) for each in (mask, keys))
    tensors = [torch.tensor(each) for each in arrays]
    theirs = module(*tensors, attn_mask=added.flatten(0, 1), key_padding_mask=on_keys)[0]
    model = model_of(module, 5, attn_mask="float", key_padding_mask="float")
    ours = model([*arrays, mask, keys], training=True)
    gradient = rng.normal(size=ours.shape)
    theirs.backward(torch.tensor(gradient))
    found = model.backward(gradient)
    close(found[3], added.grad)
    close(found[4], on_keys.grad)


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("extra", [{}, {"add_bias_kv": True}], ids=["", "added"])
def test_the_weights_stand_behind_the_output_and_have_a_gradient(alone: bool, extra: dict[str, bool]) -> None:
    module, arrays = module_of(**extra), sequences(alone)
    tensors = [torch.tensor(each, requires_grad=True) for each in arrays]
    y, weights = module(*triples(tensors), average_attn_weights=False)
    expected = torch.cat([y, weights.transpose(1, 2).flatten(2)], 2)
    model = model_of(module, len(arrays), return_weights=True)
    ours = model(arrays if not alone else arrays[0], training=True)
    close(ours, expected)
    gradient = rng.normal(size=ours.shape)
    expected.backward(torch.tensor(gradient))
    found = model.backward(gradient)
    for own, tensor in zip([found] if alone else found, tensors, strict=True):
        close(own, tensor.grad)


def test_a_row_that_looks_at_nothing_is_nan_or_zero() -> None:
    """As PyTorch's is where the weights are wanted, and where they are not."""
    module, arrays = module_of(), sequences(True)
    mask = np.zeros((IMAGES, LENGTH), bool)
    mask[1] = True
    x, hidden = torch.tensor(arrays[0]), torch.tensor(mask)
    for zero in (False, True):
        theirs = module(x, x, x, key_padding_mask=hidden, need_weights=not zero)[0].detach().numpy()
        ours = model_of(module, 2, key_padding_mask="bool", zero_empty_rows=zero)([arrays[0], mask])
        assert np.isnan(ours[1]).all() == (not zero)
        np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)


def test_rows_of_zeros_send_nothing_back() -> None:
    model = model_of(module_of(), 2, key_padding_mask="bool", zero_empty_rows=True)
    mask = np.ones((IMAGES, LENGTH), bool)
    y = model([sequences(True)[0], mask], training=True)
    at_x, at_mask = model.backward(np.ones_like(y))
    assert not at_x.any()
    assert not at_mask.any()


def test_minus_infinity_is_true_too() -> None:
    module, (x,) = module_of(), sequences(True)
    mask = padding("bool", LENGTH)
    model = model_of(module, 2, key_padding_mask="bool")
    np.testing.assert_array_equal(model([x, mask]), model([x, np.where(mask, -np.inf, 0.0)]))


def test_dropout_leaves_weights_out() -> None:
    """A share p of the weights is zero, the others 1 / (1 − p) as large; the same in both directions."""
    layer = cn.MultiheadAttention(4, 2, 0.25, return_weights=True)
    model = cn.Model([layer], dtype="float64")
    x = rng.normal(size=(8, 30, 4))
    whole = model(x)[:, :, 4:]
    weights = model(x, training=True)[:, :, 4:]
    kept = weights != 0
    assert abs(kept.mean() - 0.75) < 0.03
    np.testing.assert_allclose(weights[kept], whole[kept] / 0.75, rtol=1e-12)


def graph(layer: Any, *shapes: tuple[int, ...]) -> Any:
    names = [f"x{number}" for number in range(len(shapes))]
    return cn.Model(cn.Graph({"y": (layer, *names)}, names)).build(list(shapes))


@pytest.mark.parametrize(
    ("options", "shapes", "message"),
    [
        ({}, [(4, 6), (4, 6)], r"expected one sequence, or query, key and value, got 2 inputs\."),
        ({"attn_mask": "bool"}, [(4, 6), (4, 6), (4, 6)], r"query, key and value, with attn_mask behind, got 3 inputs"),
        ({}, [(4, 6), (5, 6), (3, 6)], r"a value \(length, 6\) as long as the key, got \(4, 6\), \(5, 6\), \(3, 6\)\."),
        ({}, [(4, 6), (5, 4), (5, 6)], r"a key \(length, 6\) and a value .*, got \(4, 6\), \(5, 4\), \(5, 6\)\."),
        ({"kdim": 4}, [(4, 6), (5, 6), (5, 6)], r"a key \(length, 4\) and"),
        ({"attn_mask": "bool"}, [(4, 6), (5, 4)], r"expected an attn_mask \(4, 4\) or \(2, 4, 4\), got \(5, 4\)\."),
        (
            {"attn_mask": "bool"},
            [(4, 6), (3, 4, 4)],
            r"expected an attn_mask \(4, 4\) or \(2, 4, 4\), got \(3, 4, 4\)\.",
        ),
        ({"key_padding_mask": "float"}, [(4, 6), (5,)], r"expected a key_padding_mask \(4,\), got \(5,\)\."),
    ],
)
def test_inputs_that_do_not_fit_are_refused(options: dict[str, Any], shapes: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=f"MultiheadAttention: .*{message}"):
        graph(cn.MultiheadAttention(6, 2, **options), *shapes)


def test_other_sizes_need_all_three() -> None:
    with pytest.raises(ShapeError, match=r"with kdim or vdim it expects query, key and value, got \(4, 6\) alone"):
        cn.Model([cn.MultiheadAttention(6, 2, vdim=4)]).build((4, 6))


@pytest.mark.parametrize("wrong", [0.5, 2, np.nan, np.inf])
def test_a_mask_of_true_and_false_holds_nothing_else(wrong: float) -> None:
    model = graph(cn.MultiheadAttention(6, 2, key_padding_mask="bool"), (4, 6), (4,))
    mask = np.array([[0, 1, wrong, 0]])
    with pytest.raises(ArgumentError, match=r'expected key_padding_mask of true and false, since it is "bool", got'):
        model([np.zeros((1, 4, 6)), mask])
