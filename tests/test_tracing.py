"""model.trace: what goes through each layer, by hand, against PyTorch's hooks, and by finite differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.limits import Limits
from colonnade.ops.layout import Array
from colonnade.testing import TOLERANCE, Check, differences
from tests.test_contract import GRAPHS, LAYERS, one_of_a_kind_is_plain


def small(drop: float = 0.4, dtype: str = "float64", **options: Any) -> cn.Model:
    """What a plan would rewrite, outside training or always: batch norm, a ReLU before a max pool, dropout."""
    layers = [
        *(cn.Conv2d(2, 4, 3, padding=1), cn.BatchNorm2d(4), cn.ReLU(), cn.MaxPool2d(2)),
        cn.Residual([cn.Conv2d(4, 4, 3, padding=1, bias=False), cn.InstanceNorm2d(4, affine=True)]),
        *(cn.GELU(), cn.AvgPool2d(2), cn.Flatten(), cn.Dropout(drop), cn.Dense(36, 3)),
    ]
    model = cn.Model(layers, seed=3, dtype=dtype, **options)
    for seed in range(3):
        model(batch(seed), training=True)  # it has running statistics of its own
    return model


def batch(seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(1, 2, size=(5, 2, 12, 12))


def direction(seed: int = 7) -> Array:
    return np.random.default_rng(seed).normal(size=(5, 3))


def test_a_chain_by_hand() -> None:
    model = cn.Model([cn.Dense(2, 2, bias=False), cn.ReLU()], dtype="float64")
    model.load_state_dict({"0.weight": np.array([[1.0, 2.0], [-3.0, 1.0]])})
    dense, relu = model.trace(np.array([[1.0, 1.0], [2.0, -1.0]]), np.array([[1.0, 5.0], [-1.0, 5.0]]))
    assert (dense.name, relu.name) == ("0", "1")
    assert dense.layer is model[0]
    assert relu.layer is model[1]
    assert dense.output is relu.input, "what the one wrote is the very Tensor that the other read"
    np.testing.assert_array_equal(dense.output.value, [[3, -2], [0, -7]])
    np.testing.assert_array_equal(relu.output.value, [[3, 0], [0, 0]])
    np.testing.assert_array_equal(relu.output.grad, [[1, 5], [-1, 5]])
    np.testing.assert_array_equal(relu.input.grad, [[1, 0], [0, 0]])
    np.testing.assert_array_equal(dense.input.grad, [[1, 2], [0, 0]])
    assert dense.parameters.keys() == {"weight"}
    assert relu.parameters == {}
    np.testing.assert_array_equal(dense.parameters["weight"].value, [[1, 2], [-3, 1]])
    np.testing.assert_array_equal(dense.parameters["weight"].grad, [[1, 1], [0, 0]])


@pytest.mark.parametrize("training", [False, True])
def test_values_and_gradients_of_each_layer_are_those_that_hooks_see_in_pytorch(training: bool) -> None:
    torch = pytest.importorskip("torch")
    model = small(drop=0.0 if training else 0.4)
    other = model.to_torch().train(training)
    seen: dict[str, tuple[Any, Any]] = {}

    def look(name: str) -> Any:
        def hook(module: Any, inputs: tuple[Any, ...], output: Any) -> None:
            inputs[0].retain_grad()
            output.retain_grad()
            seen[name] = inputs[0], output

        return hook

    for name, module in other.named_modules():
        if not [*module.children()]:
            module.register_forward_hook(look(name))
    x = torch.tensor(batch(), requires_grad=True)
    other(x).backward(torch.tensor(direction()))
    traced = {each.name: each for each in model.trace(batch(), direction(), training=training)}
    assert traced.keys() - seen.keys() == {"4.fork", "4.add"}
    for name, (read, written) in seen.items():
        if name in traced:
            for ours, theirs in ((traced[name].input, read), (traced[name].output, written)):
                np.testing.assert_allclose(ours.value, theirs.detach(), rtol=0, atol=1e-10)
    for name in traced.keys() & seen.keys():
        np.testing.assert_allclose(traced[name].output.grad, seen[name][1].grad, rtol=0, atol=1e-10)
    np.testing.assert_allclose(traced["0"].input.grad, x.grad, rtol=0, atol=1e-10)
    grads = {name: parameter.grad for name, parameter in other.named_parameters()}
    for name, each in traced.items():
        for key, parameter in each.parameters.items():
            np.testing.assert_allclose(parameter.grad, grads.pop(f"{name}.{key}"), rtol=0, atol=1e-10)
    assert not grads


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_training_pass_is_the_one_that_the_model_makes_next_to_the_same_bits(dtype: str) -> None:
    model = small(dtype=dtype)
    model.position = (2, 9)
    traced = model.trace(batch(), direction())
    model.zero_grad()
    assert np.array_equal(traced[-1].output.value, model(batch(), training=True))
    assert np.array_equal(traced[0].input.grad, model.backward(direction()))
    ours = {f"{each.name}.{key}": value for each in traced for key, value in each.parameters.items()}
    assert ours.keys() == {parameter.name for parameter in model.parameters()}
    for parameter in model.parameters():
        np.testing.assert_array_equal(ours[parameter.name].grad, parameter.grad)
        assert ours[parameter.name].value.dtype == dtype


def test_outside_training_it_ends_in_what_the_model_says() -> None:
    model = small()
    traced = model.trace(batch())
    np.testing.assert_allclose(traced[-1].output.value, model(batch()), rtol=0, atol=1e-12)
    assert not any(tensor.has_grad for each in traced for tensor in (*each.inputs, *each.outputs))
    dropout = traced[-2]
    assert isinstance(dropout.layer, cn.Dropout)
    np.testing.assert_array_equal(dropout.input.value, dropout.output.value)


def test_the_model_stays_as_it_was() -> None:
    def passes(looking: bool) -> list[Array]:
        model = small()
        model.zero_grad()
        y = model(batch(), training=True)
        before = model.state_dict()
        if looking:
            model.trace(batch(1), direction(1))
            model.trace(batch(1), direction(1), training=False)
            model.trace(batch(1))
        for name, array in model.state_dict().items():
            np.testing.assert_array_equal(array, before[name])
        x = model.backward(direction())  # the pass that was half done
        return [y, x, *(parameter.grad for parameter in model.parameters()), model(batch(), training=True)]

    for expected, got in zip(passes(False), passes(True), strict=True):
        np.testing.assert_array_equal(expected, got)


def test_several_inputs_and_outputs_are_tuples() -> None:
    model = cn.Model(
        cn.Graph(
            {
                "bias": (cn.layers.Constant((3,)),),
                "sum": (cn.Add(), "left", "right", "bias"),
                "double": (cn.Add(), "sum", "sum"),
            },
            inputs=("left", "right"),
            outputs=("sum", "double"),
        ),
        dtype="float64",
    )
    left, right = np.ones((2, 3)), np.full((2, 3), 4.0)
    traced = {each.name: each for each in model.trace((left, right), (left, right))}
    assert list(traced) == ["bias", "sum", "sum.fork", "double"]
    constant = model.state_dict()["bias.weight"]
    assert traced["bias"].input == traced["bias"].inputs == ()
    assert isinstance(traced["sum"].input, tuple)
    for tensor, value in zip(traced["sum"].inputs, (left, right, constant), strict=True):
        np.testing.assert_array_equal(tensor.value, np.broadcast_to(value, (2, 3)))
        np.testing.assert_array_equal(tensor.grad, np.full((2, 3), 1.0 + 2 * 4.0))
    assert len(traced["sum.fork"].output) == 3
    np.testing.assert_array_equal(traced["double"].output.value, 2 * (5 + np.broadcast_to(constant, (2, 3))))
    np.testing.assert_array_equal(traced["bias"].parameters["weight"].grad, np.full(3, 18.0))


def test_a_compiled_model_shows_its_own_layers_and_compiles_nothing_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    model = small(drop=0.0, dtype="float32")
    compiled = cn.Model([*model.layers], dtype="float32", compiled=True).build((2, 12, 12))
    monkeypatch.setattr("colonnade.plan.rewriting.with_leaves", None)
    one, other = (each.trace(batch(), direction()) for each in (model, compiled))
    assert [(each.name, type(each.layer)) for each in one] == [(each.name, type(each.layer)) for each in other]
    np.testing.assert_array_equal(one[-1].output.value, other[-1].output.value)


def test_where_a_model_is_frozen_there_is_no_gradient() -> None:
    model = small()
    model.freeze("0", "1")
    traced = {each.name: each for each in model.trace(batch(), direction())}
    assert not traced["0"].output.has_grad
    assert not traced["0"].parameters["weight"].grad.any()
    assert traced["9"].input.grad.any()
    at_rest = {each.name: each for each in model.trace(batch(), direction(), training=False)}
    assert at_rest["0"].input.grad.any(), "outside training no layer hides the gradient from those below"
    assert not at_rest["0"].parameters["weight"].grad.any()


def test_a_model_of_open_sizes_is_built_by_what_it_is_shown() -> None:
    model = cn.Model([cn.Conv2d(1, 2, 3), cn.Flatten()])
    assert [each.output.shape for each in model.trace(np.ones((4, 1, 5, 5)))] == [(4, 2, 3, 3), (4, 18)]
    assert model.input_shape == (1, 5, 5)


CASES = {f"{number} {layer}".replace(" ", ""): (layer, shape) for number, (layer, shape) in enumerate(LAYERS)} | GRAPHS


@pytest.mark.parametrize("name", one_of_a_kind_is_plain(CASES))
def test_gradients_of_every_layer_outside_training_agree_with_differences(name: str) -> None:
    layer, shape = CASES[name]
    check = Check(layer, shape, images=3, seed=0, tolerance=TOLERANCE)
    model = check.model()
    model(1.5 * check.x + 0.5, training=True)  # running statistics that are not the batch's
    slope = check.direction(model(check.x))
    traced = model.trace(check.x, slope, training=False)

    def value() -> float:
        return math.fsum((model(check.x) * slope).ravel())

    (at_input,) = traced[0].inputs if traced[0].inputs else traced[1].inputs[:1]
    check.compare("the input", at_input.grad, differences(value, check.x, check.rng, most=12))
    ours = {f"{each.name}.{key}": parameter for each in traced for key, parameter in each.parameters.items()}
    for parameter in model.parameters():
        numeric = differences(value, parameter.value, check.rng, most=12)
        check.compare(parameter.name, ours[parameter.name].grad, numeric)


def test_printed_it_is_a_table() -> None:
    model = small()
    plain, lines = str(model.trace(batch())), repr(model.trace(batch(), direction())).splitlines()
    assert plain.splitlines()[0].split() == ["layer", "input", "output", "parameters", "output", "mean", "std"]
    assert lines[0].split() == ["layer", "input", "output", "parameters", "output", "mean", "std", "gradient", "std"]
    assert len(lines) == 2 + 13
    table = {line.split()[0]: line.split() for line in lines[2:]}
    traced = model.trace(batch(), direction())[0]
    numbers = [f"{each:.3g}" for each in (traced.output.value.mean(), traced.output.value.std())]
    assert table["0"] == ["0", "Conv2d", "5×2×12×12", "5×4×12×12", "76", *numbers, f"{traced.output.grad.std():.3g}"]
    assert table["4.add"][:5] == ["4.add", "Add", "2", "of", "5×4×6×6"]
    assert repr(traced) == f"Traced(0, {model[0]!r}, 5×2×12×12 → 5×4×12×12)"
    html = model.trace(batch())._repr_html_()
    assert html.count("<tr>") == 1 + 13
    assert "gradient" not in html


def test_what_does_not_fit_is_refused() -> None:
    model = small()
    with pytest.raises(cn.errors.ShapeError, match=r"^Model: expected a gradient of shape \(5, 3\), got \(5, 4\)\.$"):
        model.trace(batch(), np.ones((5, 4)))
    with pytest.raises(cn.errors.ShapeError, match=r"expected a batch, got one image of shape \(2, 12, 12\)"):
        model.trace(batch()[0])
    with pytest.raises(cn.errors.ArgumentError, match="training"):
        model.trace(batch(), training="no")  # type: ignore[arg-type]
    model.limits = Limits(memory=1e5, work=1e12)
    with pytest.raises(cn.errors.LimitError, match=r"^Model: a batch of 5 images takes [\d,]+ bytes, more than the"):
        model.trace(batch(), direction())


def test_what_a_layer_of_ones_own_fails_to_save_outside_training_is_nan() -> None:
    class Forgetful(cn.Layer):
        reads = set()

        def saved(self, shape: tuple[int, ...]) -> dict[str, Any]:
            return {"slope": cn.layers.base.Scratch(shape)}

        def forward(self, x: cn.Tensor, y: cn.Tensor, block: cn.Block) -> None:
            if block.training:
                block.saved["slope"].fill(3)
            np.multiply(x.value, 3, out=y.value)

        def backward(self, x: cn.Tensor, y: cn.Tensor, block: cn.Block) -> None:
            np.multiply(y.grad, block.saved["slope"], out=x.grad)

    model, x = cn.Model([Forgetful()]), np.ones((2, 4))
    assert (model.trace(x, x)[0].input.grad == 3).all()
    assert np.isnan(model.trace(x, x, training=False)[0].input.grad).all()
