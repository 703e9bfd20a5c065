"""L-BFGS beside PyTorch's and closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError, ShapeError
from colonnade.initializers import zeros
from colonnade.optimizers import LBFGS
from colonnade.tensor import Parameter, ParameterBuffer

X = np.random.default_rng(0).normal(size=(12, 4))
Y = np.random.default_rng(1).normal(size=(12, 2))


def rosenbrock(values: Any) -> Any:
    """Σ 100 (x_{k+1} − x_k²)² + (1 − x_k)²."""
    return (100 * (values[1:] - values[:-1] ** 2) ** 2 + (1 - values[:-1]) ** 2).sum()


def slope(x: np.ndarray) -> np.ndarray:
    """Its gradient."""
    grad = np.zeros_like(x)
    inner = x[1:] - x[:-1] ** 2
    grad[1:] += 200 * inner
    grad[:-1] += -400 * x[:-1] * inner - 2 * (1 - x[:-1])
    return grad


def valley(start: np.ndarray, dtype: str = "float64", **arguments: Any) -> tuple[Parameter, LBFGS, Any]:
    parameter = Parameter(start.shape, zeros)
    ParameterBuffer([parameter], dtype)
    parameter.value = start

    def closure() -> float:
        parameter.grad = slope(parameter.value)
        return float(rosenbrock(parameter.value))

    return parameter, LBFGS([parameter], **arguments), closure


START = np.array([-1.2, 1.0, 0.5, -0.3])
ARGUMENTS: list[dict[str, Any]] = [
    {"lr": 1e-3},
    {"lr": 1e-3, "max_iter": 3},
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "lr": 0.5, "history_size": 2},
    {"line_search_fn": "strong_wolfe", "max_iter": 4},
    {"line_search_fn": "strong_wolfe", "max_iter": 10, "max_eval": 3},
    {"line_search_fn": "strong_wolfe", "max_eval": 1},
    {"line_search_fn": "strong_wolfe", "tolerance_grad": 1.0},
    {"line_search_fn": "strong_wolfe", "tolerance_change": 1e-2},
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_steps_are_pytorchs(arguments: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = torch.tensor(START, requires_grad=True)
    their_optimizer = torch.optim.LBFGS([theirs], **arguments)

    def their_closure() -> Any:
        their_optimizer.zero_grad()
        loss = rosenbrock(theirs)
        loss.backward()
        return loss.detach()

    parameter, optimizer, closure = valley(START, **arguments)
    for _ in range(4):
        loss = optimizer.step(closure)
        assert loss == pytest.approx(float(their_optimizer.step(their_closure)), rel=1e-7, abs=1e-12)
        np.testing.assert_allclose(parameter.value, theirs.detach().numpy(), rtol=1e-7, atol=1e-9)
        state = their_optimizer.state[theirs]
        assert (optimizer.steps, optimizer.evaluations) == (state["n_iter"], state["func_evals"])


def network(dtype: str = "float64") -> cn.Model:
    return cn.Model([cn.Dense(4, 6), cn.Tanh(), cn.Dense(6, 2)], seed=0, dtype=dtype).build((4,))


def closure_of(model: cn.Model) -> Any:
    def closure() -> float:
        model.zero_grad()
        loss, grad = cn.MSELoss()(model(X, training=True), Y)
        model.backward(grad)
        return loss

    return closure


def test_a_network_learns_as_pytorchs_does() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    model = network()
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2)).double()
    theirs.load_state_dict({name: torch.tensor(array) for name, array in model.state_dict().items()})
    their_optimizer = torch.optim.LBFGS(theirs.parameters(), line_search_fn="strong_wolfe", max_iter=8)

    def their_closure() -> Any:
        their_optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(theirs(torch.tensor(X)), torch.tensor(Y))
        loss.backward()
        return loss.detach()

    optimizer = LBFGS(model.parameters(), line_search_fn="strong_wolfe", max_iter=8)
    for _ in range(3):
        optimizer.step(closure_of(model))
        their_optimizer.step(their_closure)
    for name, array in theirs.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[name], array.numpy(), rtol=1e-6, atol=1e-8, err_msg=name)


def test_a_valley_is_followed_to_its_end() -> None:
    # Of two numbers: of more there is another place from which all ways lead up.
    parameter, optimizer, closure = valley(
        START[:2], line_search_fn="strong_wolfe", max_iter=100, tolerance_change=1e-20
    )
    optimizer.step(closure)
    np.testing.assert_allclose(parameter.value, 1, rtol=1e-6)


def test_a_parabola_takes_two_iterations() -> None:
    # The first finds the curvature along the only direction there is, the second is Newton's step.
    parameter = Parameter((1,), zeros)
    ParameterBuffer([parameter], "float64")

    def closure() -> float:
        parameter.grad = 4 * (parameter.value - 3)
        return float(2 * (parameter.value[0] - 3) ** 2)

    optimizer = LBFGS([parameter], max_iter=2, max_eval=3)
    assert optimizer.step(closure) == 18
    assert parameter.value[0] == pytest.approx(3, rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("search", [None, "strong_wolfe"])
@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_loaded_state_goes_on_bit_for_bit(dtype: str, search: str | None, before: int, tmp_path: Any) -> None:
    arguments = {"lr": 0.1, "max_iter": 3, "history_size": 4, "line_search_fn": search}
    straight, resumed = network(dtype), network(dtype)
    optimizer, fresh = LBFGS(straight.parameters(), **arguments), LBFGS(resumed.parameters(), **arguments)
    for _ in range(before):
        optimizer.step(closure_of(straight))
    np.savez(tmp_path / "state.npz", **optimizer.state_dict())
    resumed.load_state_dict(straight.state_dict())
    with np.load(tmp_path / "state.npz") as state:
        fresh.load_state_dict(dict(state))
    for _ in range(3):
        assert optimizer.step(closure_of(straight)) == fresh.step(closure_of(resumed))
    for name, array in straight.state_dict().items():
        np.testing.assert_array_equal(array, resumed.state_dict()[name])
    for name, array in optimizer.state_dict().items():
        np.testing.assert_array_equal(array, fresh.state_dict()[name])


def test_the_state_is_a_copy() -> None:
    model = network()
    optimizer = LBFGS(model.parameters(), max_iter=3)
    optimizer.step(closure_of(model))
    state = optimizer.state_dict()
    before = {name: array.copy() for name, array in state.items()}
    optimizer.step(closure_of(model))
    for name, array in before.items():
        np.testing.assert_array_equal(state[name], array)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_what_is_frozen_stays(search: str | None) -> None:
    model, alone = network(), network()
    for each in (model, alone):
        each.freeze("0")
    kept = model.state_dict()["0.weight"].copy()
    optimizer = LBFGS(model.parameters(), lr=0.1, max_iter=5, line_search_fn=search)
    of_the_rest = LBFGS(alone.parameters()[2:], lr=0.1, max_iter=5, line_search_fn=search)
    for _ in range(2):
        optimizer.step(closure_of(model))
        of_the_rest.step(closure_of(alone))
    np.testing.assert_array_equal(model.state_dict()["0.weight"], kept)
    np.testing.assert_allclose(model.state_dict()["2.weight"], alone.state_dict()["2.weight"], rtol=1e-9)
    assert not np.array_equal(model.state_dict()["2.weight"], network().state_dict()["2.weight"])


@pytest.mark.filterwarnings("ignore:.* encountered in")
def test_a_search_that_runs_into_what_is_no_number_turns_back() -> None:
    parameter = Parameter((1,), zeros)
    ParameterBuffer([parameter], "float64")
    parameter.value = np.array([0.5])

    def closure() -> float:  # −log x + x / 4, least at 4 from the right, and none for x ≤ 0
        x = parameter.value[0]
        parameter.grad = np.array([1 / 4 - 1 / x if x > 0 else math.nan])
        return float(x / 4 - np.log(x))

    optimizer = LBFGS([parameter], lr=20, line_search_fn="strong_wolfe", max_iter=40)
    parameter.value = np.array([9.0])  # the first direction is to the left, and far too long
    optimizer.step(closure)
    assert parameter.value[0] == pytest.approx(4, rel=1e-4)


def test_an_error_within_the_search_leaves_the_parameters_where_they_were() -> None:
    parameter, optimizer, closure = valley(START, line_search_fn="strong_wolfe")
    calls = []

    def failing() -> float:
        calls.append(parameter.value.copy())
        if len(calls) == 2:
            raise KeyboardInterrupt
        return closure()

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(failing)
    assert not np.array_equal(calls[1], START)
    np.testing.assert_array_equal(parameter.value, START)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": -1}, r"lr must be zero or more, got -1\."),
        ({"max_iter": 0}, r"max_iter must be positive, got 0\."),
        ({"max_eval": 0}, r"max_eval must be positive, got 0\."),
        ({"history_size": 0}, r"history_size must be positive, got 0\."),
        ({"tolerance_grad": -1}, r"tolerance_grad must be zero or more, got -1\."),
        ({"tolerance_change": math.nan}, r"tolerance_change must be a finite number, got nan\."),
        ({"line_search_fn": "armijo"}, r"line_search_fn must be None or 'strong_wolfe', got 'armijo'\."),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=f"^LBFGS: {message}$"):
        LBFGS(network().parameters(), **arguments)


def test_what_is_no_closure_or_no_loss_is_refused_in_one_line() -> None:
    optimizer = LBFGS(network().parameters())
    with pytest.raises(ArgumentError, match=r"^LBFGS: step needs a function that returns the loss, got None\.$"):
        optimizer.step()
    with pytest.raises(ArgumentError, match=r"^LBFGS: the closure must return the loss, a number, got None\.$"):
        optimizer.step(lambda: None)  # type: ignore[arg-type, return-value]


def test_a_state_of_something_else_is_refused() -> None:
    model = network()
    optimizer = LBFGS(model.parameters(), max_iter=3, max_eval=9)
    optimizer.step(closure_of(model))
    state = optimizer.state_dict()
    with pytest.raises(ArgumentError, match=r"^LBFGS: the state must hold .*, got \['lr'\]\.$"):
        optimizer.load_state_dict({"lr": state["lr"]})
    with pytest.raises(ShapeError, match=r"^LBFGS: y must have the shape \(2, 44\), got \(2, 43\)\.$"):
        optimizer.load_state_dict(state | {"y": state["y"][:, 1:]})
    with pytest.raises(ShapeError, match=r"^LBFGS: last must have the shape \(2, 44\), got \(1, 44\)\.$"):
        optimizer.load_state_dict(state | {"last": state["last"][:1]})
    with pytest.raises(ShapeError, match=r"^LBFGS: rho must have the shape \(1,\), got \(2,\)\.$"):
        LBFGS(model.parameters(), history_size=1).load_state_dict(state)


@pytest.mark.parametrize(("power", "max_eval"), [(1, 2), (1, 5), (2, 2)])
def test_what_falls_without_end_is_followed_as_far_as_by_pytorch(power: int, max_eval: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    parameter = Parameter((1,), zeros)
    ParameterBuffer([parameter], "float64")
    parameter.value = np.ones(1)
    there = torch.ones(1, dtype=torch.float64, requires_grad=True)
    arguments: Any = {"line_search_fn": "strong_wolfe", "max_eval": max_eval}
    own, other = LBFGS([parameter], **arguments), torch.optim.LBFGS([there], **arguments)

    def closure() -> float:
        parameter.grad = -power * parameter.value ** (power - 1)
        return float(-(parameter.value[0] ** power))

    def closure_there() -> Any:
        other.zero_grad()
        loss = -(there**power).sum()
        loss.backward()
        return loss

    for _ in range(2):
        assert own.step(closure) == pytest.approx(other.step(closure_there).item(), rel=1e-9)
        np.testing.assert_allclose(parameter.value, there.detach().numpy(), rtol=1e-9)
