"""Models as modules of PyTorch: every layer that PyTorch has, the same numbers, the same names."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError
from tests.test_contract import CHAINS, GRAPHS, LAYERS

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

if TYPE_CHECKING:
    from torch import nn
else:
    from torch import nn

IN_TORCH = [
    *LAYERS,
    (cn.Resize((5, 3), coordinates="asymmetric", nearest_mode="floor"), (2, 3, 4)),
    (cn.Resize((6, 7), nearest_mode="round_prefer_ceil"), (2, 3, 4)),
    (cn.Resize((5, 9), mode="linear"), (2, 3, 4)),
    (cn.Resize((5, 9), mode="linear", coordinates="align_corners"), (2, 3, 4)),
    (cn.Resize((6, 7), mode="cubic"), (2, 3, 4)),
    (cn.Resize((6, 7), mode="cubic", coordinates="align_corners"), (2, 3, 4)),
    (cn.Quantize(0.1, 3.0, 0, 20), (2, 3)),
    (cn.Argmax(2, keepdim=True, select_last=True), (2, 3, 4)),
    (cn.Argmin(1), (3, 4)),
]
# PyTorch wants an axis more here, or normalises another way what is one number a channel.
ONLY_CONVERTED = [(cn.LocalResponseNorm, 1)]


pytestmark = pytest.mark.usefixtures("one_torch_thread")


def fresh(body: Any, seed: int = 3) -> cn.Model:
    """A model of the same layers made anew, its parameters all different, of float64."""
    made = cn.composites.construct(cn.composites.describe([body]))[0]
    return cn.Model(made if isinstance(made, cn.Graph) else [made], dtype="float64", seed=seed)


def stir(model: cn.Model) -> None:
    rng = np.random.default_rng(7)
    for parameter in model.parameters():
        parameter.value[...] = rng.normal(size=parameter.shape) * 0.5 + 0.2


def computes_the_same(model: cn.Model, shape: tuple[int, ...]) -> None:
    model.build(shape)
    stir(model)
    module = model.to_torch()
    state = module.state_dict()
    assert list(state) == list(model.state_dict())
    for name, array in model.state_dict().items():
        assert array.tobytes() == state[name].numpy().tobytes(), name
    x = np.random.default_rng(2).normal(size=(3, *shape))
    y, expected = model(x), module.eval()(torch.from_numpy(x)).detach().numpy()
    assert y.shape == expected.shape
    assert np.abs(y - expected).max() <= 1e-9 * max(1, np.abs(expected).max())
    again = cn.from_torch(module, shape)
    # What PyTorch keeps of arguments may be written otherwise, (2, 2) for 2; what comes back stays as it is.
    assert again.description()["architecture"] == cn.from_torch(again.to_torch(), shape).description()["architecture"]
    if list(module.parameters()):  # otherwise nothing says that it is of float64
        assert np.array_equal(again(x), y)
    for name, array in again.state_dict().items():
        assert array.astype(np.float64).tobytes() == state[name].numpy().astype(np.float64).tobytes(), name


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")  # PyTorch's own, of its speed
@pytest.mark.parametrize(("layer", "shape"), IN_TORCH, ids=lambda value: str(value).replace(" ", ""))
def test_layer_computes_the_same_there(layer: Any, shape: tuple[int, ...]) -> None:
    if (type(layer), len(shape)) in ONLY_CONVERTED:
        assert isinstance(cn.Model([layer]).to_torch()[0], nn.LocalResponseNorm)
        return
    computes_the_same(fresh(layer), shape)


@pytest.mark.parametrize(("layers", "shape"), CHAINS, ids=range(len(CHAINS)))
def test_chain_computes_the_same_there(layers: list[Any], shape: tuple[int, ...]) -> None:
    model = cn.Model(cn.composites.construct(cn.composites.describe(layers)), dtype="float64")
    computes_the_same(model, shape)
    assert type(model.to_torch()) is nn.Sequential


@pytest.mark.parametrize("name", GRAPHS)
def test_graph_computes_the_same_there(name: str) -> None:
    graph, shape = GRAPHS[name]
    computes_the_same(fresh(graph), shape)


NETWORKS: dict[str, Any] = {
    "lenet5": ((1, 28, 28), {}),
    "resnet20": ((3, 8, 8), {}),
    "mobilenet_v2": ((3, 16, 16), {"width": 0.25}),
    "densenet": ((3, 8, 8), {"depth": 10, "growth": 4}),
    "convnext_tiny": ((3, 16, 16), {"depths": (1, 1), "widths": (8, 12), "patch_size": 2}),
    "vit_tiny": ((3, 8, 8), {"width": 12, "depth": 2}),
    "name_model": ((3,), {"embedding": 4, "hidden": 5}),
    "name_lstm": ((5,), {"width": 6}),
    "name_transformer": ((5,), {"width": 12, "depth": 1}),
    "unet": ((2, 9, 12), {"width": 4, "depth": 2}),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_network_of_the_zoo_goes_there_and_back(name: str) -> None:
    shape, options = NETWORKS[name]
    model = getattr(cn.zoo, name)(input_shape=shape, classes=6, dtype="float64", **options)
    module = model.to_torch().eval()
    rng = np.random.default_rng(0)
    x = rng.integers(0, 6, (2, *shape)) if name.startswith("name_") else rng.normal(size=(2, *shape))
    expected = module(torch.from_numpy(x)).detach().numpy()
    assert np.abs(model(x) - expected).max() <= 1e-9 * np.abs(expected).max()
    again = cn.from_torch(module)
    assert type(again.body) is type(model.body)
    assert np.array_equal(again(x), model(x))


def test_layers_of_torch_are_those_of_torch() -> None:
    """The twin beside which the others are tested is PyTorch's own."""
    model = cn.Model(
        [cn.Conv2d(1, 4, 3), cn.BatchNorm2d(4), cn.ReLU(), cn.MaxPool2d(2), cn.Flatten(), cn.Dense(36, 3), cn.GELU()]
    )
    module = model.to_torch()
    assert type(module) is nn.Sequential
    kinds = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d, nn.Flatten, nn.Linear, nn.GELU]
    assert [type(each) for each in module] == kinds


def test_running_statistics_go_along() -> None:
    model = cn.Model([cn.Conv2d(2, 3, 3), cn.BatchNorm2d(3)])
    for seed in (0, 1):
        model(np.random.default_rng(seed).normal(size=(4, 2, 6, 6)), training=True)
    module = model.to_torch()
    assert int(module[1].num_batches_tracked) == 2
    assert module[1].running_mean.numpy().tobytes() == model.state_dict()["1.running_mean"].tobytes()
    assert int(cn.from_torch(module).state_dict()["1.num_batches_tracked"]) == 2


def test_module_trains_as_the_model_does() -> None:
    model = cn.zoo.resnet20(input_shape=(3, 8, 8), dtype="float64")
    module = model.to_torch().train()
    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=(4, 3, 8, 8)), rng.integers(0, 10, 4)
    ours, theirs = cn.SGD(model.parameters(), lr=0.1), torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(2):
        _, gradient = cn.CrossEntropyLoss()(model(x, training=True), targets)
        ours.zero_grad()
        model.backward(gradient)
        ours.step()
        theirs.zero_grad()
        nn.functional.cross_entropy(module(torch.from_numpy(x)), torch.from_numpy(targets)).backward()
        theirs.step()
    for name, array in model.state_dict().items():
        assert np.allclose(array, module.state_dict()[name].numpy(), atol=1e-9), name


def test_shared_layer_is_one_module() -> None:
    trunk = cn.Dense(3, 4)
    graph = cn.Graph(
        {"left": (trunk, "a"), "right": (trunk, "b"), "sum": (cn.Sub(), "left", "right")}, inputs=("a", "b")
    )
    module = cn.Model(graph).to_torch()
    assert list(module.state_dict()) == ["left.weight", "left.bias"]
    a, b = torch.randn(2, 3), torch.randn(2, 3)
    assert torch.allclose(module(a, b), module.left(a) - module.left(b))
    again = cn.from_torch(module)
    assert again.body["left"] is again.body["right"]


def test_module_has_weights_of_its_own() -> None:
    model = cn.Model([cn.Dense(3, 2)])
    before = model.state_dict()["0.weight"]
    with torch.no_grad():
        model.to_torch()[0].weight.fill_(5)
    assert np.array_equal(model.state_dict()["0.weight"], before)


def test_module_of_a_graph_can_be_pickled_by_torch() -> None:
    model = cn.Model([cn.Residual([cn.Dense(3, 3), cn.Tanh()]), cn.Unflatten(1, (3, 1)), cn.Mean(2)])
    module = pickle.loads(pickle.dumps(model.to_torch()))  # noqa: S301 - what we wrote ourselves
    x = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
    assert np.allclose(module(torch.from_numpy(x)).detach().numpy(), model(x), atol=1e-6)


def test_function_and_method_are_the_same() -> None:
    model = cn.Model([cn.Dense(3, 2)])
    assert list(cn.to_torch(model).state_dict()) == list(model.to_torch().state_dict())


class Own(cn.Identity):
    pass


@pytest.mark.parametrize(
    ("layers", "match"),
    [
        ([cn.Dense(2, 2), Own()], "layer 1, Own, has no counterpart in PyTorch: it is a layer of your own"),
        ([cn.Residual([Own()])], r"layer 0.main.0, Own, has no counterpart"),
        ([cn.Graph({"float": (cn.Dense(2, 2), "input")})], "PyTorch does not allow a node called 'float'"),
        (
            [cn.Graph({"a": (cn.composites.Chain([cn.ReLU()]), "input"), "a.b": (cn.Dense(2, 2), "a")})],
            "PyTorch does not allow a node called 'a.b' .it lies in another node",
        ),
    ],
)
def test_what_pytorch_has_not_is_named(layers: list[Any], match: str) -> None:
    with pytest.raises(ArgumentError, match=f"to_torch: .*{match}"):
        cn.Model(layers).to_torch()
