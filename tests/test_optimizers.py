"""The optimizers against closed forms and torch.optim, on the flat buffers."""

from __future__ import annotations

import functools
import math
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from colonnade.errors import ArgumentError, ShapeError
from colonnade.initializers import zeros
from colonnade.optimizers import (
    CHUNK,
    LBFGS,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
)
from colonnade.schedules import StepLR
from colonnade.tensor import Parameter, ParameterBuffer

SHAPES = [(4, 3, 2, 2), (4,), (5, 7), (5,)]

# Each row is a rule and arguments that matter to it; all are held against torch.optim.
RULES: list[tuple[type[Optimizer], dict[str, Any]]] = [
    (SGD, {}),
    (SGD, {"lr": 0.1}),
    (SGD, {"lr": 0.1, "weight_decay": 0.05}),
    (SGD, {"lr": 0.1, "maximize": True}),
    (SGD, {"lr": 0.1, "momentum": 0.9}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.05, "maximize": True}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
]
for rule in (Adam, AdamW):
    RULES += [
        (rule, {}),
        (rule, {"lr": 0.1}),
        (rule, {"lr": 0.1, "betas": (0.5, 0.8), "eps": 1e-3}),
        (rule, {"lr": 0.1, "betas": (0.0, 0.0)}),
        (rule, {"lr": 0.1, "weight_decay": 0.05}),
        (rule, {"lr": 0.1, "weight_decay": 0}),
        (rule, {"lr": 0.1, "amsgrad": True, "betas": (0.9, 0.5)}),
        (rule, {"lr": 0.1, "maximize": True}),
        (rule, {"lr": 0.1, "weight_decay": 0.05, "amsgrad": True, "maximize": True}),
    ]

RULES += [
    (NAdam, {}),
    (NAdam, {"lr": 0.1, "betas": (0.5, 0.8), "eps": 1e-3, "momentum_decay": 0.1}),
    (NAdam, {"lr": 0.1, "weight_decay": 0.05, "maximize": True}),
    (NAdam, {"lr": 0.1, "weight_decay": 0.05, "decoupled_weight_decay": True}),
    (NAdam, {"lr": 0.1, "weight_decay": 0.05, "decoupled_weight_decay": True, "maximize": True}),
    (Adagrad, {}),
    (Adagrad, {"lr": 0.1, "lr_decay": 0.3, "eps": 1e-3}),
    (Adagrad, {"lr": 0.1, "weight_decay": 0.05, "initial_accumulator_value": 0.7, "maximize": True}),
    (Adadelta, {}),
    (Adadelta, {"lr": 0.5, "rho": 0.5, "eps": 1e-2}),
    (Adadelta, {"lr": 0.5, "weight_decay": 0.05, "maximize": True}),
    (Adamax, {}),
    (Adamax, {"lr": 0.1, "betas": (0.5, 0.8), "eps": 1e-3}),
    (Adamax, {"lr": 0.1, "weight_decay": 0.05, "maximize": True}),
    (RAdam, {}),
    (RAdam, {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3}),
    (RAdam, {"lr": 0.1, "betas": (0.5, 0.6)}),
    (RAdam, {"lr": 0.1, "weight_decay": 0.05, "maximize": True}),
    (RAdam, {"lr": 0.1, "weight_decay": 0.05, "decoupled_weight_decay": True}),
    (RMSprop, {}),
    (RMSprop, {"lr": 0.1, "alpha": 0.5, "eps": 1e-3}),
    (RMSprop, {"lr": 0.1, "alpha": 0.5, "momentum": 0.8}),
    (RMSprop, {"lr": 0.1, "alpha": 0.7, "centered": True, "eps": 1e-2}),
    (RMSprop, {"lr": 0.1, "alpha": 0.7, "centered": True, "eps": 1e-2, "momentum": 0.5, "weight_decay": 0.05}),
    (RMSprop, {"lr": 0.1, "weight_decay": 0.05, "maximize": True}),
    (Adam, {"lr": 0.1, "weight_decay": 0.05, "decoupled_weight_decay": True}),
    (Adam, {"lr": 0.1, "foreach": False, "amsgrad": True}),
]
# PyTorch has no Lion.
OF_OUR_OWN: list[tuple[type[Optimizer], dict[str, Any]]] = [
    (Lion, {}),
    (Lion, {"lr": 0.1, "betas": (0.5, 0.8)}),
    (Lion, {"lr": 0.1, "weight_decay": 0.05, "maximize": True}),
]


def each_of(rules: list[tuple[type[Optimizer], dict[str, Any]]]) -> Any:
    return pytest.mark.parametrize(
        ("rule", "arguments"), rules, ids=[f"{rule.__name__} {arguments}" for rule, arguments in rules]
    )


each_rule = each_of(RULES + OF_OUR_OWN)


def laid_parameters(
    shapes: Sequence[tuple[int, ...]] = SHAPES, dtype: str = "float64", seed: int = 0
) -> list[Parameter]:
    """Parameters side by side in one buffer, with random values; kernels lie as (c_out, k_h, k_w, c_in)."""
    parameters = [Parameter(shape, zeros, memory_axes=(0, 2, 3, 1) if len(shape) == 4 else None) for shape in shapes]
    ParameterBuffer(parameters, dtype)
    rng = np.random.default_rng(seed)
    for parameter in parameters:
        parameter.value = rng.normal(size=parameter.shape)
    return parameters


def set_gradients(parameters: Sequence[Parameter], step: int) -> None:
    """Other random gradients at each step, the same for equal steps, of sizes from 1e-3 to 1e3."""
    rng = np.random.default_rng(100 + step)
    for parameter in parameters:
        parameter.grad = rng.normal(size=parameter.shape) * 10.0 ** rng.integers(-3, 4)


def one_number(make: Callable[..., Optimizer], value: float, **arguments: Any) -> tuple[Parameter, Optimizer]:
    parameter = Parameter((1,), zeros)
    ParameterBuffer([parameter], "float64")
    parameter.value = np.array([value])
    return parameter, make([parameter], **arguments)


@each_of(RULES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-4)])
def test_thirty_steps_agree_with_pytorch(rule, arguments, dtype, tolerance, request):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    # PyTorch keeps a product that NAdam needs in its default type.
    request.addfinalizer(functools.partial(torch.set_default_dtype, torch.get_default_dtype()))
    torch.set_default_dtype(getattr(torch, dtype))
    parameters = laid_parameters(dtype=dtype)
    theirs = [torch.nn.Parameter(torch.tensor(parameter.value.copy())) for parameter in parameters]
    ours, their_optimizer = rule(parameters, **arguments), getattr(torch.optim, rule.__name__)(theirs, **arguments)
    for step in range(30):
        if step == 10:  # as a schedule does it
            ours.lr = their_optimizer.param_groups[0]["lr"] = 0.03
        set_gradients(parameters, step)
        for parameter, their in zip(parameters, theirs, strict=True):
            their.grad = torch.tensor(parameter.grad.copy())
        ours.step()
        their_optimizer.step()
    for parameter, their in zip(parameters, theirs, strict=True):
        np.testing.assert_allclose(parameter.value, their.detach().numpy(), rtol=tolerance, atol=tolerance * 0.1)


@each_of([row for row in RULES if row[1].get("lr")])
def test_groups_learn_at_rates_of_their_own_as_in_pytorch(rule, arguments):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    settings = [{}, {"lr": 0.02}, {"lr": 0.0, "weight_decay": 0.3}, {"weight_decay": 0}]
    parameters = laid_parameters()
    theirs = [torch.nn.Parameter(torch.tensor(parameter.value.copy())) for parameter in parameters]
    ours = rule([{"params": each} | more for each, more in zip(parameters, settings, strict=True)], **arguments)
    groups = [{"params": [each]} | more for each, more in zip(theirs, settings, strict=True)]
    their_optimizer = getattr(torch.optim, rule.__name__)(groups, **arguments)
    schedules = StepLR(ours, 2, 0.5), torch.optim.lr_scheduler.StepLR(their_optimizer, 2, 0.5)
    for step in range(6):
        set_gradients(parameters, step)
        for parameter, their in zip(parameters, theirs, strict=True):
            their.grad = torch.tensor(parameter.grad.copy())
        for each in (ours, their_optimizer, *schedules):
            each.step()
    for parameter, their in zip(parameters, theirs, strict=True):
        np.testing.assert_allclose(parameter.value, their.detach().numpy(), rtol=1e-6, atol=1e-7)
    assert ours.weight_decay == arguments.get("weight_decay", ours.weight_decay)


@each_rule
def test_groups_of_one_rate_give_the_bits_of_no_groups(rule, arguments):
    plain, grouped = laid_parameters(dtype="float32"), laid_parameters(dtype="float32")
    whole, parts = rule(plain, **arguments), rule([{"params": grouped[2:]}, {"params": grouped[:2]}], **arguments)
    for step in range(3):
        for parameters, optimizer in ((plain, whole), (grouped, parts)):
            set_gradients(parameters, step)
            optimizer.step()
    np.testing.assert_array_equal(plain[0].buffer.value, grouped[0].buffer.value)


def test_plain_descent_subtracts_the_gradient_times_the_rate():
    parameter, optimizer = one_number(SGD, 1.0, lr=0.25)
    parameter.grad = np.array([2.0])
    optimizer.step()
    assert parameter.value[0] == 0.5


def test_momentum_under_a_constant_gradient_sums_a_geometric_series():
    parameter, optimizer = one_number(SGD, 0.0, lr=1.0, momentum=0.5)
    parameter.grad = np.array([1.0])
    for _ in range(10):
        optimizer.step()
    # The direction after t steps is 2 - 2^(1 - t), and 0.5 is exact in binary.
    assert parameter.value[0] == -sum(2 - 2.0 ** (1 - t) for t in range(1, 11))


def test_dampening_spares_the_first_step():
    parameter, optimizer = one_number(SGD, 0.0, lr=1.0, momentum=0.5, dampening=0.75)
    parameter.grad = np.array([1.0])
    optimizer.step()
    assert parameter.value[0] == -1
    optimizer.step()
    assert parameter.value[0] == -1 - (0.5 + 0.25)


@pytest.mark.parametrize("rule", [Adam, AdamW])
@pytest.mark.parametrize("gradient", [1e-3, 1.0, -1e3])
def test_the_first_step_of_adam_is_the_rate_whatever_the_size_of_the_gradient(rule, gradient):
    parameter, optimizer = one_number(rule, 0.0, lr=0.1, eps=0)
    parameter.grad = np.array([gradient])
    optimizer.step()
    assert parameter.value[0] == pytest.approx(-math.copysign(0.1, gradient), rel=1e-12)


def test_weight_decay_of_adamw_is_decoupled_from_the_gradient():
    parameter, optimizer = one_number(AdamW, 1.0, lr=0.1, weight_decay=0.5)
    for _ in range(3):
        optimizer.step()  # the gradient is zero
    assert parameter.value[0] == pytest.approx(0.95**3, rel=1e-12)


def test_lion_moves_every_number_by_the_rate_against_the_sign_of_its_momentum():
    parameter, optimizer = one_number(Lion, 1.0, lr=0.25, betas=(0.5, 0.75), weight_decay=0.5)
    value, m = 1.0, 0.0
    for gradient in (3.0, -1.0, -0.25, 2.0, 0.0):
        parameter.grad = np.array([gradient])
        optimizer.step()
        value -= 0.25 * (np.sign(0.5 * m + 0.5 * gradient) + 0.5 * value)
        m = 0.75 * m + 0.25 * gradient
        assert parameter.value[0] == pytest.approx(value, rel=1e-14)


def test_the_first_step_of_adagrad_is_the_rate_and_later_ones_shrink_with_the_root_of_time():
    parameter, optimizer = one_number(Adagrad, 0.0, lr=1.0, eps=0)
    parameter.grad = np.array([7.0])
    for _ in range(3):
        optimizer.step()
    assert parameter.value[0] == pytest.approx(-(1 + 1 / math.sqrt(2) + 1 / math.sqrt(3)), rel=1e-12)


@each_rule
def test_maximize_is_descent_on_the_negative_gradient(rule, arguments):
    up, down = laid_parameters(), laid_parameters()
    maximize = not arguments.get("maximize", False)
    climbing, descending = rule(up, **{**arguments, "maximize": maximize}), rule(down, **arguments)
    for step in range(3):
        set_gradients(up, step)
        set_gradients(down, step)
        for parameter in down:
            parameter.grad *= -1
        climbing.step()
        descending.step()
    np.testing.assert_array_equal(up[0].buffer.value, down[0].buffer.value)


@each_rule
def test_a_step_leaves_the_gradients_as_they_are(rule, arguments):
    parameters = laid_parameters()
    optimizer = rule(parameters, **arguments)
    for step in range(2):
        set_gradients(parameters, step)
        before = parameters[0].buffer.grad.copy()
        optimizer.step()
        np.testing.assert_array_equal(parameters[0].buffer.grad, before)


@each_rule
def test_chunks_give_the_bits_of_the_parameters_taken_one_by_one(rule, arguments):
    shapes = [(CHUNK // 2 + 1,), (CHUNK + 7,), (3, 5)]
    together = laid_parameters(shapes, "float32")
    one_by_one = laid_parameters(shapes, "float32")
    optimizers = [rule([parameter], **arguments) for parameter in one_by_one]
    whole = rule(together, **arguments)
    for step in range(2):
        set_gradients(together, step)
        set_gradients(one_by_one, step)
        whole.step()
        for optimizer in optimizers:
            optimizer.step()
    np.testing.assert_array_equal(together[0].buffer.value, one_by_one[0].buffer.value)


@each_rule
def test_a_subset_in_any_order_learns_alone(rule, arguments):
    full, subset = laid_parameters(), laid_parameters()
    frozen = [subset[1].value.copy(), subset[3].value.copy()]
    everything, some = rule(full, **arguments), rule([subset[2], subset[0]], **arguments)
    for step in range(3):
        set_gradients(full, step)
        set_gradients(subset, step)
        everything.step()
        some.step()
    for learned in (0, 2):
        np.testing.assert_array_equal(subset[learned].value, full[learned].value)
    np.testing.assert_array_equal(subset[1].value, frozen[0])
    np.testing.assert_array_equal(subset[3].value, frozen[1])


def test_parameters_laid_out_anew_go_on_learning():
    # A second model made of the same layers moves their parameters into another buffer.
    parameters, still = laid_parameters(), laid_parameters()
    moving, staying = Adam(parameters), Adam(still)
    for step in range(2):
        set_gradients(parameters, step)
        set_gradients(still, step)
        moving.step()
        staying.step()
        values = [parameter.value.copy() for parameter in parameters]
        ParameterBuffer([Parameter((9,), zeros), *reversed(parameters)], "float64")
        for parameter, value in zip(parameters, values, strict=True):
            parameter.value = value
    for parameter, other in zip(parameters, still, strict=True):
        np.testing.assert_array_equal(parameter.value, other.value)


def test_parameters_of_no_model_can_be_learned_too():
    parameter = Parameter((3,), zeros)
    optimizer = SGD([parameter], lr=1.0)
    parameter.grad = np.ones(3)
    optimizer.step()
    np.testing.assert_array_equal(parameter.value, [-1, -1, -1])


def test_a_step_counts_as_a_write_to_the_buffer_and_hands_nothing_out():
    parameters = laid_parameters()
    buffer = parameters[0].buffer
    buffer.handed_out = False
    version = buffer.version
    SGD(parameters).step()
    assert buffer.version > version
    assert not buffer.handed_out


def test_zero_grad_clears_the_given_parameters_and_no_other():
    parameters = laid_parameters()
    set_gradients(parameters, 0)
    SGD([parameters[3], parameters[1]]).zero_grad()
    assert [bool(parameter.grad.any()) for parameter in parameters] == [True, False, True, False]


@each_rule
def test_a_step_allocates_nothing_of_the_size_of_the_parameters(rule, arguments):
    parameters = laid_parameters([(3 * CHUNK,)], "float32")
    set_gradients(parameters, 0)
    optimizer = rule(parameters, **arguments)
    optimizer.step()
    tracemalloc.start()
    try:
        optimizer.step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < CHUNK  # bytes: a quarter of one chunk


@each_rule
def test_a_loaded_state_goes_on_bit_for_bit(rule, arguments):
    straight = laid_parameters(dtype="float32")
    optimizer = rule(straight, **arguments)
    for step in range(6):
        if step == 3:
            stopped = laid_parameters(dtype="float32", seed=9)
            stopped[0].buffer.value[...] = straight[0].buffer.value
            resumed = rule(stopped, **arguments)
            optimizer.lr = 0.02
            resumed.load_state_dict(optimizer.state_dict())
        set_gradients(straight, step)
        optimizer.step()
        if step >= 3:
            set_gradients(stopped, step)
            resumed.step()
    np.testing.assert_array_equal(stopped[0].buffer.value, straight[0].buffer.value)
    for name, array in optimizer.state_dict().items():
        np.testing.assert_array_equal(resumed.state_dict()[name], array)


def test_the_state_is_a_copy_of_arrays_by_name():
    parameters = laid_parameters()
    optimizer = Adam(parameters, amsgrad=True)
    set_gradients(parameters, 0)
    optimizer.step()
    state = optimizer.state_dict()
    assert set(state) == {"step", "lr", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}
    assert all(isinstance(array, np.ndarray) for array in state.values())
    assert state["step"] == 1
    assert state["step"].dtype == np.int64
    before = state["exp_avg"].copy()
    optimizer.step()
    np.testing.assert_array_equal(state["exp_avg"], before)


def test_a_rate_of_a_wider_type_does_not_widen_the_arithmetic():
    ours, plain = laid_parameters(dtype="float32"), laid_parameters(dtype="float32")
    wide, narrow = SGD(ours), SGD(plain)
    wide.lr, narrow.lr = np.float64(0.1), 0.1
    for parameters, optimizer in ((ours, wide), (plain, narrow)):
        set_gradients(parameters, 0)
        optimizer.step()
    np.testing.assert_array_equal(ours[0].buffer.value, plain[0].buffer.value)


@pytest.mark.parametrize(
    ("rule", "arguments", "message"),
    [
        (SGD, {"lr": -1}, r"SGD: lr must be zero or more, got -1\."),
        (SGD, {"lr": math.nan}, r"SGD: lr must be a finite number, got nan\."),
        (SGD, {"momentum": -0.5}, r"SGD: momentum must be zero or more, got -0\.5\."),
        (SGD, {"weight_decay": -0.5}, r"SGD: weight_decay must be zero or more, got -0\.5\."),
        (SGD, {"nesterov": True}, r"SGD: nesterov requires momentum and no dampening, got momentum=0, dampening=0\."),
        (
            SGD,
            {"nesterov": True, "momentum": 0.9, "dampening": 0.1},
            r"SGD: nesterov requires momentum and no dampening, got momentum=0\.9, dampening=0\.1\.",
        ),
        (Adam, {"lr": -1}, r"Adam: lr must be zero or more, got -1\."),
        (Adam, {"betas": (0.9, 1.0)}, r"Adam: betas must be at least 0 and below 1, got 1\.0\."),
        (Adam, {"betas": (-0.1, 0.9)}, r"Adam: betas must be at least 0 and below 1, got -0\.1\."),
        (Adam, {"betas": (0.9,)}, r"Adam: betas must be two numbers, got \(0\.9,\)\."),
        (Adam, {"eps": -1e-8}, r"Adam: eps must be zero or more, got -1e-08\."),
        (NAdam, {"momentum_decay": -1}, r"NAdam: momentum_decay must be zero or more, got -1\."),
        (NAdam, {"betas": (0.9, 1)}, r"NAdam: betas must be at least 0 and below 1, got 1\."),
        (Lion, {"betas": (0.9, 1)}, r"Lion: betas must be at least 0 and below 1, got 1\."),
        (RMSprop, {"alpha": 1.5}, r"RMSprop: alpha must lie between 0 and 1, got 1\.5\."),
        (Adadelta, {"rho": 1.5}, r"Adadelta: rho must lie between 0 and 1, got 1\.5\."),
        (Adamax, {"eps": -1}, r"Adamax: eps must be zero or more, got -1\."),
        (RAdam, {"betas": (0.9, 1)}, r"RAdam: betas must be at least 0 and below 1, got 1\."),
        (Adagrad, {"lr_decay": -1}, r"Adagrad: lr_decay must be zero or more, got -1\."),
        (AdamW, {"weight_decay": -1}, r"AdamW: weight_decay must be zero or more, got -1\."),
    ],
)
def test_bad_arguments_are_refused_in_one_line(rule, arguments, message):
    with pytest.raises(ArgumentError, match=f"^{message}$"):
        rule(laid_parameters(), **arguments)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([{"lr": 0.1}], r"SGD: a group of parameters must be a dict with params, got {'lr': 0\.1}\."),
        ([{"params": []}], r"SGD: expected parameters to learn, got an empty list\."),
        ([{"params": [1]}], r"SGD: expected model\.parameters\(\), got a int in it\."),
        ([{"params": "w"}], r"SGD: expected model\.parameters\(\), got 'w'\."),
        ([{"params": None, "lr": -1}], r"SGD: lr of a group must be zero or more, got -1\."),
        (
            [{"params": [], "betas": (0, 0)}],
            r"SGD: a group of parameters may have params, lr, weight_decay, got \['betas'\]\.",
        ),
        (
            [{"params": [], "weight_decay": "much"}],
            r"SGD: weight_decay of a group must be a finite number, got 'much'\.",
        ),
        ({"params": []}, r"SGD: expected model\.parameters\(\), got {'params': \[\]}\."),
    ],
)
def test_groups_that_are_none_are_refused_in_one_line(groups, message):
    with pytest.raises(ArgumentError, match=f"^{message}$"):
        SGD(groups)


def test_groups_that_have_no_place_are_refused_in_one_line():
    parameters = laid_parameters()
    with pytest.raises(ArgumentError, match=r"^SGD: lr of a group is kept as a multiple of lr, which must then be pos"):
        SGD([{"params": parameters, "lr": 0.1}], lr=0)
    with pytest.raises(ArgumentError, match=r"^LBFGS: all parameters are one vector here, expected no groups of them"):
        LBFGS([{"params": parameters[:1]}, {"params": parameters[1:]}])
    with pytest.raises(ArgumentError, match=r"^SGD: a group of parameters must be a dict with params, got Parameter"):
        SGD([{"params": parameters[:1]}, parameters[1]])


def test_a_negative_rate_is_refused_later_too():
    optimizer = SGD(laid_parameters())
    with pytest.raises(ArgumentError, match=r"^SGD: lr must be zero or more, got -0\.1\.$"):
        optimizer.lr = -0.1


def test_parameters_that_cannot_be_learned_together_are_refused_in_one_line():
    parameters = laid_parameters()
    with pytest.raises(ArgumentError, match=r"^SGD: expected parameters to learn, got an empty list\.$"):
        SGD([])
    with pytest.raises(ArgumentError, match=r"^SGD: every parameter must be given once, got one several times\.$"):
        SGD([*parameters, parameters[0]])
    with pytest.raises(ArgumentError, match=r"^SGD: parameters must be of one type, got \['float32', 'float64'\]\.$"):
        SGD([*parameters, *laid_parameters(dtype="float32")])


def test_what_is_no_parameter_is_refused_in_one_line():
    with pytest.raises(ArgumentError, match=r"SGD: expected model\.parameters\(\), got a ndarray in it"):
        SGD([np.zeros(3)])


def test_the_state_of_another_optimizer_is_refused_and_nothing_is_loaded():
    optimizer = SGD(laid_parameters(), momentum=0.9)
    message = (
        r"^SGD: the state must hold \['lr', 'momentum_buffer', 'step'\], got \['exp_avg', 'exp_avg_sq', 'lr', 'step'\]"
    )
    with pytest.raises(ArgumentError, match=message):
        optimizer.load_state_dict(Adam(laid_parameters()).state_dict())
    other = SGD(laid_parameters([(3,)]), momentum=0.9)
    other.step()
    with pytest.raises(ShapeError, match=r"^SGD: momentum_buffer must have the shape \(92,\), got \(3,\)\.$"):
        optimizer.load_state_dict(other.state_dict())
    assert optimizer.steps == 0
