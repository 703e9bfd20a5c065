"""Parts of a model that are left as they are: nothing is computed for them, kept for them, or changed in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError, StateError


def network(**options: Any) -> cn.Model:
    layers = [
        cn.Conv2d(1, 4, 3, padding=1),
        cn.BatchNorm2d(4),
        cn.ReLU(),
        cn.Dropout(0.5),
        cn.Residual([cn.Conv2d(4, 4, 3, padding=1), cn.BatchNorm2d(4), cn.ReLU()]),
        cn.Flatten(),
        cn.Dropout(0.5),
        cn.Dense(4 * 8 * 8, 6),
        cn.ReLU(),
        cn.Dense(6, 3),
    ]
    model = cn.Model(layers, seed=2, **options).build((1, 8, 8))
    rng = np.random.default_rng(5)
    for name, array in model.state_dict().items():
        if "running" in name:
            model.load_state_dict(model.state_dict() | {name: array + rng.uniform(0.1, 0.9, array.shape)})
    return model


X = np.random.default_rng(3).normal(size=(20, 1, 8, 8)).astype(np.float32)
BACKBONE = [str(position) for position in range(5)]


def test_a_frozen_part_runs_as_outside_training_and_a_new_heads_dropout_does_not() -> None:
    model = network()
    model.freeze(*BACKBONE)
    features, head = model.split(4)
    assert np.array_equal(features(X, training=True), features(X))  # batch norm rests, and so does layer 3's dropout
    assert not np.array_equal(model(X, training=True), model(X))  # layer 6's does not
    assert head.frozen == []
    before = model.state_dict()
    model(X, training=True)
    after = model.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)  # running statistics too


def test_no_gradient_is_computed_below_the_lowest_trainable_layer_and_the_plan_shows_it() -> None:
    model = network()
    whole = model.plan((64, 1, 8, 8), training=True)
    model.freeze(*BACKBONE)
    part = model.plan((64, 1, 8, 8), training=True)
    assert {call.step.name for segment in part.backward for call in segment.calls if call.action == "backward"} == {
        "7",
        "8",
        "9",
    }
    assert part.bytes < whole.bytes
    deep = cn.zoo.resnet20(input_shape=(3, 16, 16))
    whole = deep.plan((64, 3, 16, 16), training=True)
    deep.freeze(*(str(position) for position in range(len(deep) - 1)))
    assert deep.plan((64, 3, 16, 16), training=True).batch_bytes < whole.batch_bytes / 10
    y = model(X, training=True)
    assert model.backward(np.ones_like(y)) is None
    assert [parameter.name for parameter in model.parameters() if parameter.grad.any()] == [
        "7.weight",
        "7.bias",
        "9.weight",
        "9.bias",
    ]


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("frozen", [["3"], ["5"], ["1"], ["2.main.0", "2.main.1"], ["0.bias", "3.weight", "1.bias"]])
def test_what_is_trained_gets_the_gradient_that_the_whole_model_gives(frozen: list[str], share: bool) -> None:
    """For whatever is frozen above something trainable: below it, batch norm computes something else."""
    grads = []
    for names in ([], frozen):
        main = [cn.Conv2d(4, 4, 3, padding=1), cn.BatchNorm2d(4), cn.PReLU(4)]
        layers = [cn.Conv2d(1, 4, 3), cn.BatchNorm2d(4), cn.Residual(main), cn.Conv2d(4, 2, 1), cn.Flatten()]
        model = cn.Model([*layers, cn.Dense(2 * 6 * 6, 3)], seed=1, share_memory=share)
        if names:
            model.freeze(*names)
        y = model(X, training=True)
        model.backward(np.arange(3) * np.ones_like(y))
        grads.append({parameter.name: parameter.grad.copy() for parameter in model.parameters()})
    for parameter in model.parameters():
        if parameter.trainable:
            assert grads[0][parameter.name].tobytes() == grads[1][parameter.name].tobytes()
        else:
            assert not grads[1][parameter.name].any()


@pytest.mark.parametrize("make", [cn.SGD, cn.AdamW])
def test_an_optimizer_leaves_frozen_parameters_as_they_are(make: Any) -> None:
    model = network()
    optimizer = make(model.parameters(), lr=0.1, weight_decay=0.1)
    model.freeze("4", "7.bias")
    before = model.state_dict()
    y = model(X, training=True)
    model.backward(np.ones_like(y))
    optimizer.step()
    changed = {name for name, array in model.state_dict().items() if not np.array_equal(array, before[name])}
    names = {parameter.name for parameter in model.parameters() if parameter.trainable}
    assert changed & {parameter.name for parameter in model.parameters()} == names
    assert not {name for name in names if name.startswith("4.") or name == "7.bias"}


def test_freezing_goes_by_names_and_patterns_and_is_undone_by_them() -> None:
    model = network()
    model.freeze("4")
    assert [parameter.name for parameter in model.parameters() if not parameter.trainable] == [
        "4.main.0.weight",
        "4.main.0.bias",
        "4.main.1.weight",
        "4.main.1.bias",
    ]
    model.unfreeze("*.bias")
    assert "4.main.0.bias" not in {parameter.name for parameter in model.parameters() if not parameter.trainable}
    model.unfreeze()
    assert model.frozen == []
    model.freeze()
    assert not any(parameter.trainable for parameter in model.parameters())
    with pytest.raises(ArgumentError, match=r"no layer or parameter is called 'stem'"):
        model.freeze("stem")


def test_what_is_frozen_is_saved(tmp_path: Any) -> None:
    model = network()
    model.freeze("0", "1", "7.bias")
    model.save(tmp_path / "m.safetensors")
    again = cn.load(tmp_path / "m.safetensors")
    assert again.frozen == model.frozen == ["0", "1", "7.bias"]
    assert again.plan((20, 1, 8, 8), training=True).bytes == model.plan((20, 1, 8, 8), training=True).bytes


def test_a_model_split_in_two_is_still_the_model_and_takes_a_new_head() -> None:
    model = network()
    for place in (0, "4", -2):
        lower, upper = model.split(place)
        # Up to rounding: between a convolution and its batch norm they are not folded into one.
        np.testing.assert_allclose(upper(lower(X)), model(X), rtol=1e-5, atol=1e-6)
    lower, upper = model.split(6)
    upper.parameters()[0].value[...] = 0
    assert not model.state_dict()["7.weight"].any()  # the very same layers
    adapted = cn.Model([*model.cut(4), cn.Flatten(), cn.Dense(4 * 8 * 8, 2)], seed=7)
    assert adapted(X).shape == (20, 2)
    with pytest.raises(ArgumentError, match="nothing follows layer 9"):
        model.split(9)
    with pytest.raises(ArgumentError, match="expected a position in a chain of 10 layers, got 'pool'"):
        model.split("pool")


def test_the_parts_of_a_model_keep_the_names_of_its_ends() -> None:
    model = cn.Model([cn.Dense(4, 3), cn.ReLU(), cn.Dense(3, 2)])
    model.inputs, model.outputs = ["image"], ["scores"]
    lower, upper = model.split(1)
    assert (lower.inputs, upper.outputs) == (("image",), ("scores",))
    assert "image 4 → scores 2" in model.summary((4,))


def test_a_graph_is_split_at_a_node_that_nothing_leads_past() -> None:
    graph = cn.Graph(
        {
            "stem": (cn.Conv2d(1, 3, 3, padding=1), "input"),
            "left": (cn.ReLU(), "stem"),
            "right": (cn.Tanh(), "stem"),
            "sum": (cn.Add(), "left", "right"),
            "flat": (cn.Flatten(), "sum"),
            "head": (cn.Dense(3 * 8 * 8, 2), "flat"),
        }
    )
    model = cn.Model(graph, seed=1).build((1, 8, 8))
    for node in ("stem", "sum", "flat"):
        lower, upper = model.split(node)
        np.testing.assert_array_equal(upper(lower(X)), model(X))
    with pytest.raises(ArgumentError, match="cannot split at node 'left': stem leads past"):
        model.split("left")
    with pytest.raises(ArgumentError, match="expected the name of a node, got 'middle'"):
        model.split("middle")
    model.freeze("stem")
    y = model(X, training=True)
    assert model.backward(y) is None
    assert [parameter.name for parameter in model.parameters() if parameter.grad.any()] == ["head.weight", "head.bias"]


def test_what_is_unfrozen_again_learns_again() -> None:
    model = network()
    y = model(X, training=True)
    expected = model.backward(np.ones_like(y))
    model.freeze(*BACKBONE)
    model(X, training=True)
    model.backward(np.ones_like(y))
    model.unfreeze()
    model.load_state_dict(network().state_dict())
    model(X, training=True)
    assert np.array_equal(model.backward(np.ones_like(y)), expected)


def test_names_that_are_none_leave_the_model_as_it_was() -> None:
    model = cn.Model([cn.Conv2d(1, 2, 3), cn.ReLU(), cn.Flatten(), cn.Dense(8, 2)]).build((1, 4, 4))
    for names, message in (
        (("0", "nope"), "^Model: no layer or parameter is called 'nope'"),
        (("0", 3), "^Model: a layer is named in text, such as '0', got 3"),
    ):
        with pytest.raises(ArgumentError, match=message):
            model.freeze(*names)  # type: ignore[arg-type]
        assert all(parameter.trainable for parameter in model.parameters())
    for place in (None, 1.5, True):
        for divide in (model.cut, model.split):
            with pytest.raises(ArgumentError, match=r"^Model: expected a position in a chain of 4 layers, got "):
                divide(place)


@pytest.mark.parametrize("compiled", [False, None])
def test_a_layer_without_parameters_is_frozen_and_thawed_between_two_calls(compiled: bool | None) -> None:
    x = np.random.default_rng(0).normal(2.0, 3.0, (8, 3, 4, 4)).astype(np.float32)

    def trained(frozen: bool) -> Any:
        model = cn.Model([cn.BatchNorm2d(3, affine=False), cn.Dropout(0.5)], seed=0, compiled=compiled).build((3, 4, 4))
        if frozen:
            model.freeze("0", "1")
        return model(x, training=True)

    model = cn.Model([cn.BatchNorm2d(3, affine=False), cn.Dropout(0.5)], seed=0, compiled=compiled).build((3, 4, 4))
    for frozen in (False, True, False):
        model.unfreeze()
        if frozen:
            model.freeze("0", "1")
        model[0].running_mean[:], model[0].running_var[:] = 0, 1  # type: ignore[union-attr]
        np.testing.assert_array_equal(model(x, training=True), trained(frozen))


@pytest.mark.parametrize("compiled", [False, None])
def test_what_is_trained_stays_so_from_the_forward_pass_to_the_backward_pass(compiled: bool | None) -> None:
    model = cn.Model([cn.Dense(20, 20), cn.ReLU(), cn.Dense(20, 4)], seed=0, compiled=compiled)
    x = np.random.default_rng(0).normal(size=(8, 20)).astype(np.float32)
    y = model(x, training=True)
    model.backward(y)
    expected = [parameter.grad.copy() for parameter in model.parameters()]
    for before, after in ((model.unfreeze, model.freeze), (model.freeze, model.unfreeze)):
        before("2")
        model(x, training=True)
        after("2")
        with pytest.raises(StateError, match="what is trained has changed since the forward pass"):
            model.backward(y)
        model.unfreeze()
        model.zero_grad()
        model(x, training=True)
        model.backward(y)
        for parameter, gradient in zip(model.parameters(), expected, strict=True):
            np.testing.assert_array_equal(parameter.grad, gradient)
