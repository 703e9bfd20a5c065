"""What torch.fx and torch.export call a function is converted by one table: the same layers, the same numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from colonnade.formats.pytorch import aten, conversion  # noqa: E402
from colonnade.formats.pytorch.functions import FUNCTIONS  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")

# Functions of the table that ATen has not: what torch.export has in their place.
WITHOUT = {
    "_threshold": "threshold",
    **{f"adaptive_max_pool{axes}d": "ATen's put out places too" for axes in (1, 2, 3)},
    "batch_norm": "ATen's has its weights first",
    **dict.fromkeys(("bool", "double", "float", "long"), "to"),
    **{f"dropout{axes}d": "feature_dropout" for axes in (1, 2, 3)},
    "getattr": "sizes are numbers there",
    **dict.fromkeys(("iadd", "imul", "ipow", "isub", "itruediv", "truediv"), "arithmetic on the spot"),
    **dict.fromkeys(("invert", "not"), "bitwise_not, logical_not"),
    **dict.fromkeys(("linalg_vector_norm", "vector_norm"), "norm"),
    "local_response_norm": "pools and arithmetic",
    "logsigmoid": "log_sigmoid",
    "mod": "remainder",
    **dict.fromkeys(("normalize", "softmin", "softsign", "tanhshrink"), "what they are made of"),
    "stochastic_depth": "torchvision's",
    "t": "transpose",
    "upsample": "one of each mode",
    "view": "reshape",
}


class Zero(int):
    """An argument of any kind."""

    def __iter__(self) -> Any:
        return iter(())


def reached(name: str) -> str:
    """The function of the table that one of ATen is."""
    if name not in aten.ORDERS:
        return aten.NAMES.get(name, name)
    parameters = inspect.signature(aten.ORDERS[name]).parameters.values()
    needed = [each for each in parameters if each.default is each.empty and each.kind is not each.VAR_KEYWORD]
    return aten.ORDERS[name](*[Zero()] * len(needed))[0]


def test_functions_of_torch_fx_have_one_in_aten_but_these() -> None:
    schemas = [each.name for each in torch._C._jit_get_all_schemas() if each.name.startswith("aten::")]
    names = {name.removeprefix("aten::").rstrip("_") for name in schemas}
    assert {*FUNCTIONS} - {reached(name) for name in names} == {*WITHOUT}


class Sequences(nn.Module):
    """A recurrent module, of which the sequence is read, or the last states."""

    def __init__(self, kind: Any, batch_first: bool = True, states: bool = False, **arguments: Any) -> None:
        super().__init__()
        self.rnn = kind(4, 3, batch_first=batch_first, **arguments)
        self.batch_first, self.states = batch_first, states

    def forward(self, x: Any) -> Any:
        y, last = self.rnn(x if self.batch_first else x.transpose(0, 1))
        if self.states:
            several = last if isinstance(last, tuple) else (last,)
            return torch.cat([each.transpose(0, 1).flatten(1) for each in several], 1)
        return y if self.batch_first else y.transpose(0, 1)


class FromZeros(nn.Module):
    """States of zeros that are made for each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(4, 3, 2, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.rnn(x, x.new_zeros(2, x.shape[0], 3))[0]


class Steps(nn.Module):
    """A cell, by hand."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.cell = kind(4, 3)

    def forward(self, x: Any) -> Any:
        state = self.cell(x[:, 1], self.cell(x[:, 0]))
        return state[0] if isinstance(state, tuple) else state


class Transformer(nn.Module):
    """A spatial transformer: an image looked at through a map that it says itself."""

    def __init__(self) -> None:
        super().__init__()
        self.localize = nn.Linear(4, 6)

    def forward(self, x: Any) -> Any:
        grid = functional.affine_grid(self.localize(x.mean((2, 3))).view(-1, 2, 3), x.shape, align_corners=False)
        return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


class Calls(nn.Module):
    """A function of images, scaled by a parameter."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function, self.scale = function, nn.Parameter(torch.tensor([1.5]))

    def forward(self, x: Any) -> Any:
        return self.function(x * self.scale)


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "GRU of both directions, its states": (
        lambda: Sequences(nn.GRU, states=True, num_layers=2, bidirectional=True),
        (5, 4),
    ),
    "LSTM with its steps first": (lambda: Sequences(nn.LSTM, False, True, bias=False), (5, 4)),
    "RNN of ReLU": (lambda: Sequences(nn.RNN, nonlinearity="relu", num_layers=2), (5, 4)),
    "RNN": (lambda: Sequences(nn.RNN), (5, 4)),
    "states of zeros": (FromZeros, (5, 4)),
    "LSTMCell": (lambda: Steps(nn.LSTMCell), (2, 4)),
    "GRUCell": (lambda: Steps(nn.GRUCell), (2, 4)),
    "a spatial transformer": (Transformer, (4, 6, 5)),
    "InstanceNorm2d": (lambda: nn.Sequential(nn.InstanceNorm2d(4, affine=True), Calls(torch.abs)), (4, 6, 5)),
    "instance_norm": (lambda: Calls(functional.instance_norm), (4, 6, 5)),
    "AdaptiveMaxPool2d": (lambda: Calls(nn.AdaptiveMaxPool2d(3)), (4, 6, 5)),
    "places of maxima": (lambda: Calls(lambda x: functional.max_pool2d(x, 2, return_indices=True)[0]), (4, 6, 5)),
    "places of adaptive maxima": (
        lambda: Calls(lambda x: functional.adaptive_max_pool1d(x, 2, return_indices=True)[0]),
        (4, 6),
    ),
    "fold": (lambda: Calls(lambda x: functional.fold(x, (3, 3), 2)), (8, 4)),
    "lp_pool2d": (lambda: Calls(lambda x: functional.lp_pool2d(x, 2.0, 2)), (4, 6, 5)),
}


@pytest.mark.parametrize("follow", ["torch.fx", "torch.export"])
@pytest.mark.parametrize("name", MODULES)
def test_either_way_is_the_same_model(name: str, follow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, shape = MODULES[name]
    torch.manual_seed(0)
    module = make().double().eval()
    if follow == "torch.export":
        monkeypatch.setattr(conversion, "structure", lambda *given: None)
        monkeypatch.setattr(conversion, "trace", _refuse)
    model = cn.from_torch(module, shape)
    x = torch.randn(3, *shape, dtype=torch.float64, requires_grad=True)
    y, expected = model(x.detach().numpy(), training=True), module(x)
    np.testing.assert_allclose(y, expected.detach().numpy(), atol=1e-9)
    gradient = np.random.default_rng(0).normal(size=y.shape)
    expected.backward(torch.from_numpy(gradient))
    assert x.grad is not None
    np.testing.assert_allclose(model.backward(gradient), x.grad.numpy(), atol=1e-9)
    learned = {parameter.name: parameter.grad for parameter in model.parameters()}
    for path, theirs in module.named_parameters():
        assert theirs.grad is not None
        ours = learned[path] if path in learned else learned[model.aliases[path].name]
        np.testing.assert_allclose(ours.reshape(theirs.shape), theirs.grad.numpy(), atol=1e-9)


def _refuse(*given: Any, **named: Any) -> Any:
    raise ArgumentError("from_torch: torch.fx can't follow it.")


def test_slopes_that_are_drawn_are_their_mean_and_said_so() -> None:
    module = Calls(lambda x: functional.rrelu(x, 0.1, 0.5)).double()
    with pytest.warns(UserWarning, match="Colonnade draws no slopes"):
        model = cn.from_torch(module, (5,))
    x = np.random.default_rng(0).normal(size=(3, 5))
    np.testing.assert_allclose(model(x), module(torch.from_numpy(x)).detach().numpy(), atol=1e-12)


def test_places_of_maxima_that_are_used_are_refused() -> None:
    module = Calls(lambda x: functional.max_pool2d(x, 2, return_indices=True)[1] * 1.0)
    with pytest.raises(ArgumentError, match="it uses what Colonnade's layer does not put out"):
        cn.from_torch(module, (4, 6, 5))
