"""The larger networks of the zoo beside the same networks written in PyTorch, and beside themselves."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

import colonnade as cn
from colonnade.testing import poison_undeclared

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

if TYPE_CHECKING:
    from tests import zoo_torch
else:
    zoo_torch = pytest.importorskip("tests.zoo_torch", reason="PyTorch is not installed")

Array = np.ndarray[Any, Any]
CLASSES = 7


class Case(NamedTuple):
    """A network, small enough to be quick, and the same in PyTorch."""

    ours: Callable[..., cn.Model]
    theirs: Callable[[], Any]
    input_shape: tuple[int, ...]
    options: dict[str, Any]


CASES = {
    "mlp": Case(cn.zoo.mlp, lambda: zoo_torch.mlp(2 * 9 * 8, CLASSES, (30, 20)), (2, 9, 8), {"hidden": (30, 20)}),
    "resnet18-cifar": Case(cn.zoo.resnet18, lambda: zoo_torch.ResNet18(3, CLASSES, False), (3, 12, 10), {}),
    "resnet18-imagenet": Case(
        cn.zoo.resnet18, lambda: zoo_torch.ResNet18(3, CLASSES, True), (3, 40, 33), {"stem": "imagenet"}
    ),
    "squeezenet-cifar": Case(
        cn.zoo.squeezenet, lambda: zoo_torch.squeezenet(3, CLASSES, False), (3, 12, 11), {"dropout": 0.0}
    ),
    "squeezenet-imagenet": Case(
        cn.zoo.squeezenet,
        lambda: zoo_torch.squeezenet(3, CLASSES, True),
        (3, 24, 31),
        {"dropout": 0.0, "stem": "imagenet"},
    ),
    "mobilenet_v2-cifar": Case(
        cn.zoo.mobilenet_v2,
        lambda: zoo_torch.mobilenet_v2(3, CLASSES, False, 0.25),
        (3, 16, 18),
        {"dropout": 0.0, "width": 0.25},
    ),
    "mobilenet_v2-imagenet": Case(
        cn.zoo.mobilenet_v2,
        lambda: zoo_torch.mobilenet_v2(3, CLASSES, True, 0.25),
        (3, 40, 44),
        {"dropout": 0.0, "width": 0.25, "stem": "imagenet"},
    ),
    "densenet": Case(
        cn.zoo.densenet, lambda: zoo_torch.densenet(3, CLASSES, 22, 6), (3, 12, 10), {"depth": 22, "growth": 6}
    ),
    "convnext_tiny": Case(
        cn.zoo.convnext_tiny,
        lambda: zoo_torch.convnext(3, CLASSES, 4, (1, 1, 2, 1), (8, 16, 24, 32)),
        (3, 64, 66),
        {"depths": (1, 1, 2, 1), "widths": (8, 16, 24, 32)},
    ),
    "vit_tiny": Case(
        cn.zoo.vit_tiny,
        lambda: zoo_torch.VisionTransformer(3, CLASSES, 4, 13, 24, 2, 3),
        (3, 12, 16),
        {"width": 24, "depth": 2},
    ),
    "autoencoder-even": Case(cn.zoo.autoencoder, lambda: zoo_torch.autoencoder(2, 8, False), (2, 12, 20), {}),
    "autoencoder-odd": Case(cn.zoo.autoencoder, lambda: zoo_torch.autoencoder(1, 4, True), (1, 11, 15), {"code": 4}),
    "name_model": Case(cn.zoo.name_model, lambda: zoo_torch.NameModel(4, CLASSES, 5, 11), (4,), {}),
    "name_lstm": Case(cn.zoo.name_lstm, lambda: zoo_torch.NameLSTM(CLASSES, 10, 2), (5,), {"width": 10, "layers": 2}),
    "name_transformer": Case(
        cn.zoo.name_transformer,
        lambda: zoo_torch.NameTransformer(5, CLASSES, 12, 2, 3),
        (5,),
        {"width": 12, "depth": 2, "heads": 3},
    ),
    "unet": Case(cn.zoo.unet, lambda: zoo_torch.UNet(3, CLASSES, 4, 2, False), (3, 13, 18), {"width": 4, "depth": 2}),
    "unet-bilinear": Case(
        cn.zoo.unet,
        lambda: zoo_torch.UNet(2, CLASSES, 4, 3, True),
        (2, 16, 25),
        {"width": 4, "depth": 3, "bilinear": True},
    ),
}
CASES["name_model"] = CASES["name_model"]._replace(options={"embedding": 5, "hidden": 11})


pytestmark = pytest.mark.usefixtures("one_torch_thread")


def make(case: Case, **options: Any) -> cn.Model:
    if case.ours is not cn.zoo.autoencoder:
        options["classes"] = CLASSES
    return case.ours(input_shape=case.input_shape, seed=3, **case.options, **options)


def inputs(case: Case, images: int, rng: np.random.Generator) -> Array:
    if len(case.input_shape) == 1:
        return rng.integers(0, CLASSES, (images, *case.input_shape)).astype(np.float64)
    return rng.normal(size=(images, *case.input_shape))


def to_torch(name: str, array: Array, shape: tuple[int, ...]) -> tuple[str, Any]:
    """By PyTorch's name and shape: its arrays that are alone with their names are our Constant's `weight`."""
    if name.endswith(("layer_scale.weight", "class_token.weight", "pos_embedding.weight")):
        name = name.removesuffix(".weight")
    return name, torch.from_numpy(array.reshape(shape))


def twin(case: Case, model: cn.Model) -> Any:
    """The network in PyTorch with our weights, all of its names used."""
    module = case.theirs().to(getattr(torch, model.dtype.name))
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    state = {}
    for name, array in model.state_dict().items():
        theirs = name if name in shapes else name.removesuffix(".weight")
        assert theirs in shapes, name
        assert array.size == np.prod(shapes[theirs]), name
        theirs, tensor = to_torch(name, array, shapes[theirs])
        state[theirs] = tensor
    module.load_state_dict(state)
    return module


def agree(ours: Array, theirs: Any, what: str, tolerance: float = 1e-8) -> None:
    expected = theirs.detach().numpy().reshape(ours.shape)
    error = np.abs(ours - expected).max() / max(np.abs(expected).max(), 1e-3)
    assert error <= tolerance, f"{what}: relative error {error:.1e}"


@pytest.mark.parametrize("name", CASES)
def test_outputs_gradients_and_statistics_are_those_of_torch(name: str) -> None:
    case = CASES[name]
    model = make(case, dtype="float64")
    rng = np.random.default_rng(1)
    for parameter in model.parameters():
        parameter.value[...] += rng.normal(0, 0.05, parameter.shape)
    module = twin(case, model)
    x = inputs(case, 3, rng)
    x_torch = torch.from_numpy(x.copy()).requires_grad_()
    y, y_torch = model(x, training=True), module(x_torch)
    agree(y, y_torch, "output")
    gradient = rng.normal(size=y.shape)
    grad_x = model.backward(gradient)
    y_torch.backward(torch.from_numpy(gradient))
    if x_torch.grad is not None:  # whole numbers have none
        agree(grad_x, x_torch.grad, "gradient at the input")
    theirs = dict(module.named_parameters())
    for parameter in model.parameters():
        key = parameter.name if parameter.name in theirs else parameter.name.removesuffix(".weight")
        agree(parameter.grad, theirs[key].grad, f"gradient of {parameter.name}", 1e-7)
    statistics = module.state_dict()
    for key, array in model.state_dict().items():
        if "running" in key or "tracked" in key:
            agree(array, statistics[key], key)
    module.eval()
    agree(model(x), module(torch.from_numpy(x)), "output outside training")


@pytest.mark.parametrize("name", [name for name in CASES if not name.endswith("imagenet")])
def test_shared_memory_gives_the_bits_of_none_shared_and_reads_nothing_undeclared(name: str) -> None:
    case = CASES[name]
    x = inputs(case, 3, np.random.default_rng(2)).astype(np.float32)
    results = []
    for share, poisoned in ((False, False), (True, False), (True, True)):
        model = make(case, share_memory=share)
        y = model(x, training=True)
        if poisoned:
            poison_undeclared(model)
        grad_x = model.backward(np.cos(np.arange(y.size)).reshape(y.shape))
        grads = [parameter.grad for parameter in model.parameters()]
        results.append([y, grad_x, *grads, *model.state_dict().values(), model(x)])
    for other in results[1:]:
        for one, same in zip(results[0], other, strict=True):
            assert one.tobytes() == same.tobytes()


@pytest.mark.parametrize(
    ("make_ours", "make_theirs"),
    [
        (cn.zoo.resnet18, "resnet18"),
        (cn.zoo.mobilenet_v2, "mobilenet_v2"),
        (cn.zoo.squeezenet, "squeezenet1_1"),
        (cn.zoo.convnext_tiny, "convnext_tiny"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_names_and_sizes_are_those_of_torchvision(
    make_ours: Callable[[], cn.Model], make_theirs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its compiled operators, which no network here has, want the very build of PyTorch that they were made for.
    monkeypatch.setitem(sys.modules, "torchvision._meta_registrations", types.ModuleType("torchvision._none"))
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    with torch.device("meta"):
        theirs = getattr(models, make_theirs)().state_dict()
    ours = {
        name.removesuffix(".weight") if "layer_scale" in name else name: array.size
        for name, array in make_ours().state_dict().items()
    }
    assert ours == {name: tensor.numel() for name, tensor in theirs.items()}
