"""Networks written for a task, taken over and held beside PyTorch: outputs, gradients of a step, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import colonnade as cn

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

if TYPE_CHECKING:
    from . import torch_programs as programs
else:
    from . import torch_programs as programs

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def made(name: str, dtype: str) -> tuple[Any, Any, Any]:
    """The module, the model that it became, and a batch; whatever it does in training alone rests."""
    make, shape = programs.PROGRAMS[name]
    torch.manual_seed(3)
    module = make().to(getattr(torch, dtype))
    for each in module.modules():
        if isinstance(each, torch.nn.BatchNorm2d):
            each.running_mean += 0.1 * torch.randn_like(each.running_mean)
    if name == "critic":  # in training it would find the norms anew
        with pytest.warns(UserWarning, match="Critic does more in training than outside it"):
            model = cn.from_torch(module, shape)
    else:
        model = cn.from_torch(module, shape)
    return module, model, np.random.default_rng(1).normal(size=(3, *shape)).astype(dtype)


def error(ours: Any, theirs: Any, least: float = 1e-3) -> float:
    expected = theirs.detach().numpy()
    return float(np.abs(ours.reshape(expected.shape) - expected).max() / max(np.abs(expected).max(), least))


@pytest.mark.parametrize("name", programs.PROGRAMS)
def test_program_computes_what_it_does_in_torch(name: str) -> None:
    module, model, x = made(name, "float64")
    assert error(model(x), module.eval()(torch.from_numpy(x))) < 1e-12
    again = model.to_torch().eval()
    assert error(model(x), again(torch.from_numpy(x))) < 1e-12


@pytest.mark.parametrize("name", programs.PROGRAMS)
def test_program_is_of_float32_as_it_is_in_torch(name: str) -> None:
    module, model, x = made(name, "float32")
    assert error(model(x), module.eval()(torch.from_numpy(x))) < 1e-4


@pytest.mark.parametrize("name", programs.PROGRAMS)
def test_program_learns_what_it_does_in_torch(name: str) -> None:
    module, model, x = made(name, "float64")
    module = module.eval() if name == "critic" else module.train()
    x_torch = torch.from_numpy(x.copy()).requires_grad_()
    y, y_torch = model(x, training=True), module(x_torch)
    assert error(y, y_torch) < 1e-12
    gradient = np.random.default_rng(2).normal(size=y.shape)
    y_torch.backward(torch.from_numpy(gradient).reshape(y_torch.shape))
    assert error(model.backward(gradient), x_torch.grad) < 1e-10
    learned = {parameter.name: parameter.grad for parameter in model.parameters()}
    for path, alias in model.aliases.items():  # what has another name here, perhaps with its axes moved
        if path not in learned and alias.name in learned:
            learned[path] = learned[alias.name].transpose(np.argsort(alias.axes))
    for path, parameter in module.named_parameters():
        assert error(learned[path], parameter.grad) < 1e-9, path


def test_a_weight_that_no_layer_can_calculate_is_kept_as_it_is_and_said_so() -> None:
    module = torch.nn.utils.parametrizations.orthogonal(torch.nn.Linear(4, 4, dtype=torch.float64))
    with pytest.warns(UserWarning, match="of parameters is kept as it is now, and not learned"):
        model = cn.from_torch(module, (4,))
    x = np.random.default_rng(0).normal(size=(3, 4))
    assert error(model(x), module(torch.from_numpy(x))) < 1e-12
    assert [parameter.name.rpartition(".")[2] for parameter in model.parameters()] == ["bias"]


def test_running_means_of_all_batches_stay_such_where_torch_export_follows() -> None:
    torch.manual_seed(0)
    norm = torch.nn.BatchNorm2d(2, momentum=None)
    module = torch.nn.Sequential(norm, torch.nn.Upsample(size=(4, 7), mode="bicubic")).double()
    batches = torch.randn(3, 5, 2, 3, 4, dtype=torch.float64)
    module.train()(batches[0])
    model = cn.from_torch(module.eval(), input_shape=(2, 3, 4))
    module.train()
    for x in batches[1:]:
        model(x.numpy(), training=True)
        module(x)
    for name in ("running_mean", "running_var"):
        np.testing.assert_allclose(model.state_dict()[f"0.{name}"], getattr(norm, name), rtol=1e-6, atol=1e-6)


class Words(torch.nn.Module):
    """Whole numbers and what is true of them, in code that decides by shapes; and sequences of any length."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = torch.nn.Embedding(9, 4), torch.nn.Embedding(8, 4)
        self.lstm, self.gru = torch.nn.LSTM(4, 4, 2, bidirectional=True, batch_first=True), torch.nn.GRU(8, 3)
        self.out = torch.nn.Linear(3, 2)

    def forward(self, ids: Any, keep: Any, scale: Any) -> Any:
        if ids.shape[1] > 8:
            raise ValueError("too long")
        x = self.words(ids) + self.places(torch.arange(ids.shape[1], device=ids.device)) * scale.unsqueeze(-1)
        y, (h, _) = self.lstm(x * (1 - keep[:, :, None].to(x.dtype)))
        y, _ = self.gru(y.transpose(0, 1))
        return self.out(y).transpose(0, 1), h[-1]


def test_inputs_of_whole_numbers_come_in_where_torch_export_follows() -> None:
    torch.manual_seed(0)
    module = Words().double()
    model = cn.from_torch(module, ((5,), (5,), (5,)))
    rng = np.random.default_rng(0)
    ids, keep, scale = rng.integers(0, 9, (3, 5)), rng.integers(0, 2, (3, 5)), rng.normal(size=(3, 5))
    theirs = module(*map(torch.from_numpy, (ids, keep, scale)))
    ours = model((ids, keep, scale), training=True)
    gradients = tuple(rng.normal(size=each.shape) for each in ours)
    model.backward(gradients)
    torch.autograd.backward(theirs, [torch.from_numpy(each) for each in gradients])
    for one, other in zip(ours, theirs, strict=True):
        assert error(one, other) < 1e-12
    learned = {parameter.name: parameter.grad for parameter in model.parameters()}
    for path, parameter in module.named_parameters():
        assert error(learned[path], parameter.grad) < 1e-9, path


def test_numbers_that_are_assigned_to_a_parameter_are_not_left_out() -> None:
    class Masked(torch.nn.Conv2d):
        def forward(self, x: Any) -> Any:
            self.weight.data *= 0.5
            return super().forward(x)

    with pytest.raises(cn.errors.ArgumentError, match="it assigns to the data of a tensor"):
        cn.from_torch(torch.nn.Sequential(Masked(1, 2, 3), torch.nn.ReLU()), (1, 4, 4))
