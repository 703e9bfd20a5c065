"""RNN, LSTM and GRU: beside PyTorch in float64, with states in and out, and what they refuse."""

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
KINDS = ("RNN", "LSTM", "GRU")
TOLERANCE = 1e-10


def close(ours: Array, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=TOLERANCE, atol=TOLERANCE)


def graph(layer: Any, states: bool) -> cn.Graph:
    names = ["h0", "c0"][: layer.states] if states else []
    return cn.Graph({"cell": (layer, "x", *names)}, inputs=["x", *names])


def beside(module: Any, **more: Any) -> tuple[Any, int]:
    """The layer that a module is, and how many states it has."""
    kind = type(module).__name__
    given = {"nonlinearity": module.nonlinearity} if kind == "RNN" else {}
    layer = getattr(cn, kind)(
        module.input_size,
        module.hidden_size,
        module.num_layers,
        bias=module.bias,
        bidirectional=module.bidirectional,
        **given,
        **more,
    )
    return layer, layer.states


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("layers", "both", "bias"), list(itertools.product((1, 3), (False, True), (False, True))))
@pytest.mark.parametrize("states", [False, True])
def test_everything_is_that_of_pytorch(kind: str, layers: int, both: bool, bias: bool, states: bool) -> None:
    module = getattr(torch.nn, kind)(4, 5, layers, bias=bias, batch_first=True, bidirectional=both, dtype=torch.float64)
    layer, count = beside(module, return_states=True)
    model = cn.Model(graph(layer, states), dtype="float64")
    model.load_state_dict({f"cell.{name}": value.numpy() for name, value in module.state_dict().items()})
    rng = np.random.default_rng(0)
    places = layers * (1 + both)
    arrays = [rng.normal(size=(3, 6, 4)), *(rng.normal(size=(3, places, 5)) for _ in range(count * states))]
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    given = [each.transpose(0, 1).contiguous() for each in tensors[1:]]
    y, last = module(tensors[0], (tuple(given) if count == 2 else given[0]) if states else None)
    rows = [each.transpose(0, 1).reshape(3, layers, -1) for each in (last if count == 2 else (last,))]
    expected = torch.cat([y, *rows], 1)
    got = model(arrays if states else arrays[0], training=True)
    close(got, expected)
    gradient = rng.normal(size=got.shape)
    expected.backward(torch.tensor(gradient))
    at_inputs = model.backward(gradient)
    for ours, tensor in zip(at_inputs if states else [at_inputs], tensors, strict=True):
        close(ours, tensor.grad)
    for parameter in model.parameters():
        close(parameter.grad, module.get_parameter(parameter.name.removeprefix("cell.")).grad)


def test_a_rectified_rnn_is_that_of_pytorch() -> None:
    module = torch.nn.RNN(4, 5, 2, "relu", batch_first=True, dtype=torch.float64)
    layer, _ = beside(module)
    model = cn.Model([layer], dtype="float64")
    model.load_state_dict({f"0.{name}": value.numpy() for name, value in module.state_dict().items()})
    x = np.random.default_rng(0).normal(size=(3, 6, 4))
    close(model(x), module(torch.tensor(x))[0])


def test_without_the_last_states_the_output_is_the_sequence() -> None:
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    for kind in KINDS:
        layers = [getattr(cn, kind)(3, 4, 2, return_states=states) for states in (False, True)]
        plain, more = (cn.Model([layer], seed=1, dtype="float64")(x) for layer in layers)
        assert plain.shape == (2, 5, 4)
        np.testing.assert_array_equal(more[:, :5], plain)
        np.testing.assert_array_equal(more[:, 6], plain[:, -1])


def test_a_sequence_goes_chunk_by_chunk() -> None:
    """The last states of one chunk are the first of the next."""
    layer = cn.LSTM(3, 4, return_states=True)
    model = cn.Model(graph(layer, True), dtype="float64")
    x = np.random.default_rng(0).normal(size=(2, 6, 3))
    zeros = np.zeros((2, 1, 4))
    whole = model([x, zeros, zeros])
    first = model([x[:, :3], zeros, zeros])
    second = model([x[:, 3:], first[:, 3:4], first[:, 4:5]])
    np.testing.assert_allclose(np.concatenate([first[:, :3], second[:, :3]], 1), whole[:, :6], rtol=1e-12, atol=1e-14)


def test_dropout_is_between_layers_alone() -> None:
    """A share p of what the second layer reads is zero, the rest 1 / (1 − p) as large; the last output is whole."""
    layer = cn.RNN(1, 4000, 2, "relu", bias=False, dropout=0.25)
    model = cn.Model([layer], dtype="float64")
    state = {name: np.zeros_like(value) for name, value in model.state_dict().items()}
    state["0.weight_ih_l0"][:] = 1
    state["0.weight_ih_l1"][0] = 1
    model.load_state_dict(state)
    x = np.ones((1, 1, 1))
    assert model(x)[0, 0, 0] == 4000
    assert abs(model(x, training=True)[0, 0, 0] / 4000 - 1) < 0.05
    assert model(x, training=True)[0, 0, 0] != 4000


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: cn.RNN(0, 4), r"RNN: input_size must be positive, got 0\."),
        (lambda: cn.LSTM(3, 0), r"LSTM: hidden_size must be positive, got 0\."),
        (lambda: cn.GRU(3, 4, 0), r"GRU: num_layers must be positive, got 0\."),
        (lambda: cn.RNN(3, 4, nonlinearity="elu"), r"RNN: nonlinearity must be 'tanh' or 'relu', got 'elu'\."),
        (lambda: cn.LSTM(3, 4, dropout=1.5), r"LSTM: dropout must lie between 0 and 1, got 1\.5\."),
        (
            lambda: cn.LSTM(3, 4, batch_first=False),
            r"LSTM: batch_first is not supported \(the batch is .*\), got False\.",
        ),
        (lambda: cn.LSTM(3, 4, proj_size=2), r"LSTM: proj_size is not supported \(put a Dense behind it\), got 2\."),
    ],
)
def test_arguments_are_checked(make: Any, match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        make()


@pytest.mark.parametrize(
    ("shapes", "match"),
    [
        ([(4,)], r"LSTM: expected sequences \(length, 3\), got an input of shape \(4,\)\."),
        ([(5, 4)], r"LSTM: expected sequences \(length, 3\), got an input of shape \(5, 4\)\."),
        ([(5, 3), (1, 4)], r"LSTM: expected a sequence alone or with h0 and c0, got 2 inputs\."),
        ([(5, 3), (1, 4), (2, 4)], r"LSTM: expected initial states \(1, 4\), got an input of shape \(2, 4\)\."),
    ],
)
def test_shapes_are_checked(shapes: Any, match: str) -> None:
    with pytest.raises(ShapeError, match=match):
        cn.LSTM(3, 4).join(shapes)
