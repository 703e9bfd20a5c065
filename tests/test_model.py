"""Model: its door, its parameters, its files."""

from __future__ import annotations

import copy
import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import colonnade as cn
from colonnade.errors import ArgumentError, FileFormatError, ShapeError, StateError


def small(**options: Any) -> cn.Model:
    layers = [cn.Conv2d(1, 4, 3), cn.BatchNorm2d(4), cn.ReLU(), cn.Flatten(), cn.Dense(4 * 16, 3)]
    return cn.Model(layers, **options)


X = np.random.default_rng(0).normal(size=(5, 1, 6, 6)).astype(np.float32)


def test_the_output_is_the_callers_own_copy() -> None:
    model = small()
    y = model(X)
    kept = y.copy()
    model(X + 1)
    np.testing.assert_array_equal(y, kept)
    y[...] = 0
    np.testing.assert_array_equal(model(X), kept)
    assert y.flags.owndata
    assert y.flags.c_contiguous


def test_the_batch_may_be_anything_with_an_array() -> None:
    class Images:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return X

    model = small()
    expected = model(X)
    np.testing.assert_array_equal(model(Images()), expected)
    np.testing.assert_array_equal(model(X.tolist()), expected)
    np.testing.assert_array_equal(model(X.astype(np.float64)), expected)
    np.testing.assert_array_equal(model(np.asfortranarray(X)), expected)
    assert model(np.ones((2, 1, 6, 6), np.uint8)).dtype == np.float32


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (
            np.zeros((0, 1, 6, 6)),
            ArgumentError,
            r"Model: expected at least one image, got a batch of shape \(0, 1, 6, 6\)",
        ),
        (np.zeros((1, 6, 6)), ShapeError, r"Model: expected a batch, got one image of shape \(1, 6, 6\): add an axis"),
        (np.zeros(3), ShapeError, r"Model: expected a batch, images first, got an array of shape \(3,\)"),
        (np.zeros((2, 3, 6, 6)), ShapeError, "layer 0, Conv2d: expected 1 input channels"),
        (np.zeros((2, 1, 2, 6)), ShapeError, "layer 0, Conv2d: a window spans 3×3, more than the padded input of 2×6"),
        (np.zeros((2, 1, 7, 7)), ShapeError, "layer 4, Dense: expected 64 input features, got an input of shape"),
        (np.array([["a"]]), ArgumentError, "Model: x must hold numbers in a regular array, got an array of <U1"),
        (np.zeros((2, 1, 6, 6), complex), ArgumentError, "Model: x must hold numbers in a regular array"),
        ([[1], [1, 2]], ArgumentError, "Model: x must hold numbers in a regular array, got lists of different lengths"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused_in_one_line(batch: Any, error: type[Exception], message: str) -> None:
    model = small()
    model(X)
    with pytest.raises(error, match=message) as raised:
        model(batch)
    assert "\n" not in str(raised.value)
    assert model.input_shape == (1, 6, 6)  # and nothing is lost
    assert model(X).shape == (5, 3)


def test_a_batch_that_does_not_fit_leaves_a_backward_pass_due() -> None:
    grads = []
    for disturbed in (False, True):
        model = small()
        y = model(X, training=True)
        if disturbed:
            with pytest.raises(ShapeError, match="layer 4, Dense"):
                model(np.zeros((2, 1, 7, 7)), training=True)
        grads.append(model.backward(np.ones_like(y)))
    np.testing.assert_array_equal(*grads)


def test_after_a_forward_pass_that_failed_there_is_nothing_to_carry_back() -> None:
    model = cn.Model([cn.Dense(4, 3), cn.BatchNorm1d(3)])
    model(np.ones((5, 4)), training=True)
    before = model.state_dict()
    with pytest.raises(ShapeError, match="training needs more than one value a channel"):
        model(np.ones((1, 4)), training=True)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    with pytest.raises(StateError, match="backward before forward"):
        model.backward(np.ones((1, 3)))


def test_a_dense_layer_behind_images_is_told_of_flatten() -> None:
    with pytest.raises(ShapeError, match=r"layer 1, Dense: .* \(a Flatten before it\?\)"):
        cn.Model([cn.Conv2d(1, 2, 3), cn.Dense(32, 3)])(X)


def test_a_layer_deep_inside_is_named_by_its_place() -> None:
    model = cn.Model([cn.Residual([cn.Conv2d(1, 1, 3, padding=1), cn.Branches([], [cn.BatchNorm2d(7)])])])
    with pytest.raises(ShapeError, match=r"layer 0\.main\.1\.1\.0, BatchNorm2d: expected 7 channels"):
        model(X)
    with pytest.raises(ShapeError, match=r"layer 0\.add, Add: expected inputs of one shape, got"):
        cn.Model([cn.Residual([cn.Conv2d(1, 2, 1)])])(X)


def test_backward_before_forward_is_refused() -> None:
    model = small()
    with pytest.raises(StateError, match="backward before forward"):
        model.backward(np.zeros((5, 3)))
    model(X)  # inference keeps nothing
    with pytest.raises(StateError, match="backward before forward"):
        model.backward(np.zeros((5, 3)))
    model(X, training=True)
    with pytest.raises(ShapeError, match=r"expected a gradient of shape \(5, 3\), got \(4, 3\)"):
        model.backward(np.zeros((4, 3)))
    assert model.backward(np.zeros((5, 3))) is not None
    with pytest.raises(StateError, match="backward before forward"):
        model.backward(np.zeros((5, 3)))


def test_the_input_gradient_may_be_left_out_and_the_rest_stays_the_same() -> None:
    grads = []
    for wanted in (True, False):
        model = small()
        y = model(X, training=True)
        grad_x = model.backward(np.ones_like(y), input_gradient=wanted)
        assert (grad_x is not None) == wanted
        grads.append(np.concatenate([parameter.grad.ravel() for parameter in model.parameters()]))
    np.testing.assert_array_equal(*grads)


def test_gradients_add_up_until_zeroed() -> None:
    model = small()
    y = model(X, training=True)
    model.backward(np.ones_like(y))
    once = [parameter.grad.copy() for parameter in model.parameters()]
    model(X, training=True)
    model.backward(np.ones_like(y))
    for parameter, grad in zip(model.parameters(), once, strict=True):
        np.testing.assert_allclose(parameter.grad, 2 * grad, rtol=1e-4, atol=1e-5)
    model.zero_grad()
    assert all(not parameter.grad.any() for parameter in model.parameters())


def test_all_parameters_lie_in_one_flat_buffer() -> None:
    model = cn.zoo.resnet20()
    parameters = model.parameters()
    assert len({id(parameter.buffer) for parameter in parameters}) == 1
    buffer = parameters[0].buffer
    assert buffer is not None
    assert buffer.value.size == sum(parameter.size for parameter in parameters)
    buffer.value.fill(3)
    assert all((parameter.value == 3).all() for parameter in parameters)


def test_one_seed_gives_the_same_weights_and_another_gives_others() -> None:
    one, again, other = cn.zoo.cnn(seed=1), cn.zoo.cnn(seed=1), cn.zoo.cnn(seed=2)
    for name, array in one.state_dict().items():
        assert array.tobytes() == again.state_dict()[name].tobytes()
    assert not np.array_equal(one.state_dict()["0.weight"], other.state_dict()["0.weight"])


def test_weights_begin_by_he_where_a_relu_follows_and_by_glorot_elsewhere() -> None:
    layers = [
        cn.Conv2d(64, 64, 3), cn.BatchNorm2d(64), cn.ReLU(),
        cn.Conv2d(64, 64, 3), cn.Tanh(),
        cn.Residual([cn.Conv2d(64, 64, 3, padding=1)]), cn.MaxPool2d(2), cn.LeakyReLU(),
        cn.Flatten(), cn.Dense(64, 500),
    ]  # fmt: skip
    state = cn.Model(layers).state_dict()
    fan_in = 64 * 9
    assert state["0.weight"].std() == pytest.approx(np.sqrt(2 / fan_in), rel=0.02)
    assert state["5.main.0.weight"].std() == pytest.approx(np.sqrt(2 / fan_in), rel=0.02)
    bound = np.sqrt(6 / (2 * fan_in))
    assert np.abs(state["3.weight"]).max() == pytest.approx(bound, rel=0.01)
    assert state["3.weight"].std() == pytest.approx(bound / np.sqrt(3), rel=0.02)
    assert np.abs(state["9.weight"]).max() == pytest.approx(np.sqrt(6 / 564), rel=0.01)
    assert not state["0.bias"].any()


def test_the_state_has_the_names_and_shapes_of_torch_sequential() -> None:
    shapes = {name: array.shape for name, array in small().state_dict().items()}
    assert shapes == {
        "0.weight": (4, 1, 3, 3),
        "0.bias": (4,),
        "1.weight": (4,),
        "1.bias": (4,),
        "1.running_mean": (4,),
        "1.running_var": (4,),
        "1.num_batches_tracked": (),
        "4.weight": (3, 64),
        "4.bias": (3,),
    }


def test_a_state_with_other_names_or_shapes_is_refused_and_changes_nothing() -> None:
    model = small()
    before = model.state_dict()
    for change, message in (
        ({"0.weight": np.zeros((4, 1, 3, 2))}, r"0.weight must have shape \(4, 1, 3, 3\), got \(4, 1, 3, 2\)"),
        ({"9.weight": np.zeros(3)}, "the state holds what the model does not: 9.weight"),
    ):
        with pytest.raises(ArgumentError, match=message):
            model.load_state_dict({**before, **change})
    with pytest.raises(
        ArgumentError, match=r"Model: 4\.bias must hold numbers in a regular array, got an array of <U1"
    ):
        model.load_state_dict({**before, "0.bias": np.ones(4), "4.bias": np.array(["a", "b", "c"])})
    with pytest.raises(ArgumentError, match=r"the state lacks 0\.bias"):
        model.load_state_dict({name: array for name, array in before.items() if name != "0.bias"})
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_weights_changed_in_any_way_show_in_the_next_output() -> None:
    model = small()
    outputs = [model(X)]

    def changed() -> None:
        outputs.append(model(X))
        assert not np.array_equal(outputs[-1], outputs[-2])

    state = model.state_dict()
    model.load_state_dict({**state, "0.weight": state["0.weight"] + 1})
    changed()
    optimizer = cn.SGD(model.parameters(), lr=0.1)
    y = model(X, training=True)
    changed()  # the running statistics did
    model(X, training=True)
    model.backward(np.ones_like(y))
    model(X)
    outputs.append(model(X))
    optimizer.step()
    changed()
    norm = model.layers[1]
    assert isinstance(norm, cn.BatchNorm2d)
    norm.running_var *= 2
    changed()
    weight = model.parameters()[0].value
    weight *= 2
    changed()
    weight += 1  # long after it was handed out
    changed()


def test_a_model_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    model = cn.zoo.resnet20(input_shape=(3, 16, 16), classes=4, seed=3)
    model.classes, model.normalization = ["a", "b", "c", "d"], {"mean": [0.5] * 3, "std": [0.2] * 3}
    x = np.random.default_rng(0).normal(size=(6, 3, 16, 16))
    model(x, training=True)
    model.save(tmp_path / "model.safetensors")
    again = cn.load(tmp_path / "model.safetensors")
    assert again(x).tobytes() == model(x).tobytes()
    assert (again.classes, again.normalization) == (model.classes, model.normalization)
    assert (again.input_shape, again.seed, again.dtype) == (model.input_shape, 3, np.float32)
    assert repr(again) == repr(model)
    assert load_file(tmp_path / "model.safetensors").keys() == model.state_dict().keys()


def test_a_copy_is_a_model_of_its_own() -> None:
    model = small(seed=5)
    twin = copy.deepcopy(model)
    np.testing.assert_array_equal(twin(X), model(X))
    twin.parameters()[0].value[...] = 0
    assert not np.array_equal(twin(X), model(X))


def test_layers_in_two_models_share_their_parameters() -> None:
    body = [cn.Conv2d(1, 2, 3), cn.ReLU()]
    one = cn.Model(body)
    two = cn.Model([*body, cn.Flatten(), cn.Dense(32, 3)])
    assert two.parameters()[0] is one.parameters()[0]
    one.parameters()[0].value[...] = 0
    assert not two.state_dict()["0.weight"].any()
    with pytest.raises(ArgumentError, match="layer 0 is already part of a model of float32"):
        cn.Model(body, dtype="float64")


def test_a_model_is_a_layer_of_another() -> None:
    body = cn.Model([cn.Conv2d(1, 2, 3), cn.ReLU()])
    model = cn.Model([body, cn.Flatten(), cn.Dense(32, 3)])
    assert [parameter.name for parameter in model.parameters()] == ["0.0.weight", "0.0.bias", "2.weight", "2.bias"]
    assert model(X).shape == (5, 3)


def described(path: Path, change: dict[str, Any]) -> Path:
    model = small()
    model(X)
    model.save(path)
    tensors = load_file(path)
    description = {**model.description(), **change}
    save_file(tensors, path, {"colonnade": json.dumps(description)})
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 99}, r"written by a newer version of Colonnade \(format 99, this one reads 1\)"),
        ({"version": "x"}, "written by a newer version"),
        ({"architecture": [{"type": "os.system", "command": "true"}]}, "unknown layer 'os.system'"),
        ({"architecture": [{"type": "Layer"}]}, "unknown layer 'Layer'"),
        ({"architecture": [{"type": "Dense", "in_features": 10**9, "out_features": 10**9}]}, "the file holds"),
        ({"architecture": [{"type": "BatchNorm2d", "num_features": 10**12}]}, "the file holds"),
        ({"architecture": [{"type": "BatchNorm2d", "num_features": 10**12, "affine": False}]}, "the file holds"),
        ({"architecture": [{"type": "Dense"}]}, "missing 2 required positional arguments"),
        ({"architecture": 3}, "not a whole Colonnade model"),
        ({"architecture": [{"type": "ReLU"}]}, "the state holds what the model does not"),
        ({"input_shape": [3, 1, 1]}, "expected 1 input channels"),
        ({"dtype": "object"}, "dtype must be float32 or float64"),
        ({"dtype": "no such type"}, "dtype must be float32 or float64, got 'no such type'"),
        ({"seed": -1}, "seed must be zero or more, got -1"),
        ({"classes": ["a", "b"]}, "expected a name for each of 3 outputs, got 2 classes"),
        ({"classes": "abc"}, "classes must be a list of names"),
        ({"classes": [1, 2, 3]}, "classes must be a list of names"),
        ({"classes": 3}, "not a whole Colonnade model"),
        (
            {"normalization": {"mean": [0.5, 0.5], "std": [1, 1]}},
            "expected a mean and a std for each of 1, got 2 and 2",
        ),
        ({"normalization": {"mean": [0.5], "std": [0]}}, "stds above 0"),
        ({"normalization": {"mean": [0.5]}}, "numbers by channel, got"),
        ({"normalization": "none"}, "not a whole Colonnade model"),
    ],
)
def test_a_file_that_describes_no_model_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = described(tmp_path / "model.safetensors", change)
    with pytest.raises(FileFormatError, match=message) as raised:
        cn.load(path)
    assert "\n" not in str(raised.value)


def test_a_file_nested_without_end_is_refused(tmp_path: Path) -> None:
    entry: dict[str, Any] = {"type": "ReLU"}
    for _ in range(50):
        entry = {"type": "Chain", "layers": [entry]}
    with pytest.raises(FileFormatError, match="nested more than 32 deep"):
        cn.load(described(tmp_path / "model.safetensors", {"architecture": [entry]}))


def test_other_files_are_refused(tmp_path: Path) -> None:
    plain = tmp_path / "plain.safetensors"
    save_file({"x": np.zeros(3)}, plain)
    with pytest.raises(FileFormatError, match="not a Colonnade model: it holds no description"):
        cn.load(plain)
    text = tmp_path / "text.safetensors"
    text.write_text("hello")
    with pytest.raises(FileFormatError, match=r"text\.safetensors: "):
        cn.load(text)
    small().save(tmp_path / "whole.safetensors")
    content = (tmp_path / "whole.safetensors").read_bytes()
    text.write_bytes(content[: len(content) // 2])
    with pytest.raises(FileFormatError, match=r"text\.safetensors: "):
        cn.load(text)
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors"):
        cn.load(tmp_path / "none.safetensors")


def test_what_is_no_layer_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"Model: layer 1 must be a layer, got <class .*ReLU'> \(the class itself"):
        cn.Model([cn.Conv2d(1, 2, 3), cn.ReLU])  # type: ignore[list-item]
    with pytest.raises(ArgumentError, match="Model: dtype must be float32 or float64, got 'float16'"):
        cn.Model([], dtype="float16")
    with pytest.raises(ArgumentError, match="Model: dtype must be float32 or float64, got 'bfloat16'"):
        cn.Model([], dtype="bfloat16")
    for seed in (1.5, None):
        with pytest.raises(ArgumentError, match=f"Model: seed must be a whole number, got {seed}"):
            cn.Model([], seed=seed)  # type: ignore[arg-type]
    with pytest.raises(
        ArgumentError, match=r"Model: expected a list of layers, got ReLU\(inplace=False\): put it in brackets"
    ):
        cn.Model(cn.ReLU())  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="Branches: expected two paths or more, got 1"):
        cn.Branches([cn.ReLU()])


@pytest.mark.parametrize("layer", [cn.Dense(4, 4), cn.BatchNorm1d(4, affine=False), cn.Flatten()], ids=repr)
def test_a_layer_that_learns_or_looks_at_its_input_has_one_place(layer: cn.Layer) -> None:
    name = type(layer).__name__
    with pytest.raises(ArgumentError, match=rf"layer 2\.main\.0 is the same {name} object as layer 0: make a new one"):
        cn.Model([layer, cn.Tanh(), cn.Residual([layer])])


def test_a_layer_without_a_memory_may_stand_in_several() -> None:
    relu = cn.ReLU()
    once = cn.Model([cn.Dense(4, 5), relu, cn.Dense(5, 3), relu])
    apart = cn.Model([cn.Dense(4, 5), cn.ReLU(), cn.Dense(5, 3), cn.ReLU()])
    x = np.random.default_rng(0).normal(size=(7, 4))
    grads = []
    for model in (once, apart):
        y = model(x, training=True)
        grads.append(model.backward(np.ones_like(y)))
    np.testing.assert_array_equal(*grads)


def test_there_is_a_class_name_for_each_output() -> None:
    model = small()
    model.classes = ["a", "b"]  # nobody knows yet how many outputs there are
    with pytest.raises(ArgumentError, match="Model: expected a name for each of 3 outputs, got 2 classes"):
        model(X)
    model.classes = ["a", "b", "c"]
    assert model(X).shape == (5, 3)
    assert model.output_shape == (3,)
    with pytest.raises(ArgumentError, match="expected a name for each of 3 outputs, got 1 classes"):
        model.classes = ["a"]
    for names in ("abc", [1, 2, 3]):
        with pytest.raises(ArgumentError, match="Model: classes must be a list of names, got"):
            model.classes = names  # type: ignore[assignment]
    assert model.classes == ["a", "b", "c"]


def test_arguments_that_are_numpy_numbers_can_be_saved(tmp_path: Path) -> None:
    model = cn.Model([cn.Flatten(), cn.Dense(np.prod((1, 6, 6)), np.int32(3))])  # type: ignore[arg-type]
    model(X)
    model.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(cn.load(tmp_path / "model.safetensors")(X), model(X))


def test_the_summary_counts_what_is_there() -> None:
    model = cn.zoo.cnn()
    table = model.table(batch_size=128)
    assert table["parameters"] == sum(parameter.size for parameter in model.parameters()) == 421_834
    by_type = {row["type"]: row for row in table["layers"]}
    assert by_type["Conv2d"]["flops"] == 2 * 14 * 14 * 9 * 32 * 64
    assert table["training_bytes"] == model.plan((128, 1, 28, 28), training=True).bytes
    text = model.summary((1, 28, 28), batch_size=128)
    for row in table["layers"]:
        assert row["type"] in text
    assert "421,834" in text
    with pytest.raises(ArgumentError, match="summary needs the input's shape"):
        small().summary()


def test_images_of_another_size_are_taken_where_the_layers_can() -> None:
    model = cn.Model([cn.Conv2d(1, 4, 3, padding=1), cn.ReLU(), cn.AdaptiveAvgPool2d(1), cn.Flatten(), cn.Dense(4, 3)])
    for side in (5, 9, 5, 12):
        assert model(np.ones((2, 1, side, side))).shape == (2, 3)
        y = model(np.ones((2, 1, side, side)), training=True)
        grad = model.backward(np.ones_like(y))
        assert grad is not None
        assert grad.shape == (2, 1, side, side)


def test_without_running_statistics_a_large_batch_is_normalised_as_a_whole() -> None:
    x = np.random.default_rng(0).normal(size=(600, 2, 3, 3)) + np.arange(600).reshape(-1, 1, 1, 1)
    y = cn.Model([cn.BatchNorm2d(2, eps=0, track_running_stats=False)], dtype="float64")(x)
    expected = (x - x.mean((0, 2, 3), keepdims=True)) / x.std((0, 2, 3), keepdims=True)
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("images", [1, 255, 256, 257, 600])
def test_a_large_batch_gives_what_its_images_give(images: int) -> None:
    model = small(dtype="float64")
    x = np.random.default_rng(0).normal(size=(images, 1, 6, 6))
    y = model(x)
    picks = [0, images // 2, images - 1]
    np.testing.assert_allclose(y[picks], np.concatenate([model(x[i : i + 1]) for i in picks]), rtol=1e-12, atol=1e-12)


def test_what_a_state_lacks_and_has_too_much_is_told_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    model = cn.Model([cn.Conv2d(1, 2, 3), cn.BatchNorm2d(2), cn.Dense(2, 2, bias=False)])
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Linear(2, 2, bias=False))
    state = {name: np.full(array.shape, 2.0, array.dtype) for name, array in model.state_dict().items()}
    for name in ("0.bias", "1.running_var", "1.num_batches_tracked"):
        del state[name]
    state |= {"2.bias": np.zeros(2), "head.weight": np.zeros(3)}
    before = model.state_dict()
    told = model.load_state_dict(state, strict=False)
    theirs = module.load_state_dict({name: torch.tensor(array) for name, array in state.items()}, strict=False)
    assert sorted(told.missing_keys) == sorted(set(theirs.missing_keys) - {"1.num_batches_tracked"})
    assert sorted(told.unexpected_keys) == sorted(theirs.unexpected_keys)
    missing, unexpected = told
    assert (missing, unexpected) == (["0.bias", "1.running_var"], ["2.bias", "head.weight"])
    after = model.state_dict()
    for name in after:
        np.testing.assert_array_equal(after[name], state[name] if name in state else before[name])
    with pytest.raises(ArgumentError, match=r"Model: the state lacks 0\.bias, 1\.running_var"):
        model.load_state_dict(state)
    with pytest.raises(ShapeError, match=r"Model: 0\.weight must have shape"):
        model.load_state_dict({"0.weight": np.zeros(3)}, strict=False)
    assert model.load_state_dict(model.state_dict()) == ([], [])


def test_paths_that_part_and_meet_again_are_walked_once() -> None:
    nodes: dict[str, Any] = {"conv": (cn.Conv2d(1, 1, 1), "input")}
    x = "conv"
    for number in range(200):  # so many that walking every path would not end
        nodes[f"norm{number}"] = (cn.BatchNorm2d(1), x)
        nodes[f"sum{number}"] = (cn.Add(), x, f"norm{number}")
        x = f"sum{number}"
    model = cn.Model(cn.Graph({**nodes, "relu": (cn.ReLU(), x)}))
    assert model.build((1, 2, 2)).plan((3, 1, 2, 2), training=True).bytes > 0


def test_weights_are_drawn_for_a_relu_that_any_path_leads_to_through_pools_and_norms() -> None:
    def deviation(*behind: Any) -> float:
        model = cn.Model([cn.Conv2d(64, 64, 3), *behind], seed=0)
        return float(model.parameters()[0].value.std())

    plain, rectified = deviation(cn.Tanh()), deviation(cn.ReLU())
    assert deviation() == plain != rectified
    assert deviation(cn.BatchNorm2d(64), cn.MaxPool2d(2), cn.ReLU()) == rectified
    assert deviation(cn.Residual([cn.Tanh()], [cn.BatchNorm2d(64), cn.ReLU()])) == rectified
    assert deviation(cn.Residual([cn.Tanh(), cn.ReLU()], [cn.Identity()])) == plain


@pytest.mark.parametrize("compiled", [False, None])
def test_settings_of_layers_that_are_changed_by_hand_hold_from_the_next_call_on(compiled: bool | None) -> None:
    def made(p: float, eps: float, slope: float) -> cn.Model:
        layers = [cn.Dense(20, 20), cn.Dropout(p), cn.LayerNorm(20, eps), cn.LeakyReLU(slope), cn.Dense(20, 4)]
        return cn.Model(layers, seed=0, compiled=compiled)

    x = np.random.default_rng(0).normal(size=(8, 20)).astype(np.float32)
    model = made(0.5, 1e-5, 0.1)
    for settings in ((0.0, 0.5, 0.1), (0.25, 0.5, 0.7), (0.0, 1e-5, 0.7)):
        dropout, norm, rectifier = model[1], model[2], model[3]
        assert isinstance(dropout, cn.Dropout)
        assert isinstance(norm, cn.LayerNorm)
        assert isinstance(rectifier, cn.LeakyReLU)
        dropout.p, norm.eps, rectifier.negative_slope = settings
        fresh = made(*settings)
        np.testing.assert_array_equal(model(x), fresh(x))
        np.testing.assert_array_equal(y := model(x, training=True), fresh(x, training=True))
        np.testing.assert_array_equal(model.backward(y), fresh.backward(y))


@pytest.mark.parametrize("name", ["fit", "evaluate", "predict", "predict_outputs", "predict_proba"])
def test_a_method_takes_what_the_function_takes_and_says_what_each_argument_is(name):
    method, function = (inspect.signature(getattr(place, name)).parameters for place in (cn.Model, cn))
    assert [*method.values()][1:] == [*function.values()][1:]
    for argument in [*method][1:]:
        for place in (cn.Model, cn):
            if (place, argument) != (cn.Model, "model"):
                assert f"\n            {argument}: " in inspect.getdoc(getattr(place, name)).replace(
                    "\n    ", "\n            "
                )
