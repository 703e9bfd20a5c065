"""A module's own weights load into the model made of it, by their own names; what it does not learn is fixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError, ShapeError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from tests.formats import torch_networks as networks  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")
SHAPE = (3, 12, 12)


class Blur(nn.Module):
    """A fixed kernel, whether or not PyTorch saves it."""

    def __init__(self, stride: int, persistent: bool) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.stride = stride
        self.register_buffer("kernel", torch.outer(line, line).repeat(4, 1, 1, 1), persistent=persistent)

    def forward(self, x: Any) -> Any:
        return functional.conv2d(x, self.kernel, stride=self.stride, padding=1, groups=4)


class Varied(nn.Module):
    """Weights in all places: fixed, handed over, turned, behind concatenations of images whose channels are last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.blur, self.once_more = nn.Conv2d(3, 4, 3), Blur(2, True), Blur(1, False)
        self.fc, self.fc2 = nn.Linear(4, 8), nn.Linear(12, 5)
        self.gamma, self.beta = nn.Parameter(torch.rand(5)), nn.Parameter(torch.rand(5))
        self.square, self.token = nn.Parameter(torch.rand(5, 5)), nn.Parameter(torch.rand(1, 5, 25))
        self.register_buffer("projection", torch.rand(5, 5))

    def forward(self, x: Any) -> Any:
        x = self.once_more(self.blur(functional.relu(self.conv(x)))).permute(0, 2, 3, 1)
        x = self.fc2(torch.cat([x, self.fc(x)], -1))
        x = functional.layer_norm(x, (5,), self.gamma, self.beta).flatten(1, 2)
        return functional.linear(x, self.square.t()) @ self.projection + self.token.transpose(1, 2)


def stirred(module: Any) -> Any:
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.is_floating_point():
            tensor.data.add_(0.1 * torch.rand_like(tensor))
    return module


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_weights_of_every_network_load_by_their_own_names(name: str) -> None:
    make, shape, _ = networks.NETWORKS[name]
    model = cn.from_torch(make(), shape)
    other = stirred(make()).eval()
    model.load_state_dict({key: tensor.numpy() for key, tensor in other.state_dict().items()})
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    expected = other(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(model(x), expected, rtol=1e-3, atol=1e-4 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("saved", [False, True])
def test_weights_load_by_their_own_names_wherever_they_stand(saved: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = cn.from_torch(Varied(), SHAPE)
    if saved:
        model.save(tmp_path / "model.safetensors")
        model = cn.load(tmp_path / "model.safetensors")
    other = Varied().eval()
    torch.save(other.state_dict(), tmp_path / "other.pt")
    cn.load_torch(tmp_path / "other.pt", into=model)
    x = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    np.testing.assert_allclose(model(x), other(torch.from_numpy(x)).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_what_is_no_parameter_is_fixed_saved_and_comes_back(tmp_path: Path) -> None:
    model = cn.from_torch(Varied(), SHAPE)
    learned = {parameter.name for parameter in model.parameters()}
    fixed = {"blur.conv2d.weight", "once_more.conv2d.weight"}
    assert {*model.fixed} == fixed
    assert not learned & fixed
    assert model.frozen == []
    model.unfreeze()
    before = model.state_dict()
    x = np.random.default_rng(0).normal(size=(4, *SHAPE)).astype(np.float32)
    y = model(x, training=True)
    optimizer = cn.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    model.backward(np.ones_like(y))
    optimizer.step()
    after = model.state_dict()
    assert {name for name in before if (before[name] == after[name]).all()} == {*fixed, "projection.weight"}
    model.save(tmp_path / "model.safetensors")
    module = model.to_torch()
    assert fixed <= {name for name, _ in module.named_buffers()}
    for back in (cn.load(tmp_path / "model.safetensors"), cn.from_torch(module, SHAPE)):
        assert {parameter.name for parameter in back.parameters()} == learned
        assert {*back.fixed} == fixed


def test_an_array_of_another_shape_is_refused_under_either_name() -> None:
    model = cn.from_torch(Varied(), SHAPE)
    state: dict[str, Any] = {name: tensor.numpy() for name, tensor in Varied().state_dict().items()}
    with pytest.raises(ShapeError, match=r"Model: linear.weight must have shape \(5, 5\), got \(25,\)"):
        model.load_state_dict(state | {"square": np.zeros(25)})


def test_a_module_that_stands_at_several_places_loads_by_all_its_names() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.conv = nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)
            self.path = nn.Sequential(self.conv, self.norm)
            self.again = self.path

        def forward(self, x: Any) -> Any:
            return self.again(self.path(x))

    module = stirred(Twice())
    model = cn.from_torch(module)
    before, state = model.state_dict(), {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    assert {"conv.weight", "path.0.weight", "again.0.weight", "again.1.running_var"} <= state.keys()
    for parameter in model.parameters():
        parameter.value = np.zeros_like(parameter.value)
    model.load_state_dict(state)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    for name in ("path.0.weight", "again.0.weight"):
        with pytest.raises(
            ArgumentError, match=r"Model: \S+ must be the same under all its names, got other numbers as"
        ):
            model.load_state_dict(state | {name: state[name] + 1})
