"""Every argument of every constructor: taken, or refused in one line that says whose argument it is."""

from __future__ import annotations

import inspect
import math
import warnings
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.data import augmentation
from colonnade.errors import ArgumentError, ColonnadeError
from colonnade.initializers import zeros
from colonnade.tensor import Parameter
from colonnade.training import callbacks, loggers


def optimizer() -> cn.SGD:
    return cn.SGD([Parameter((2,), zeros)], momentum=0.9)


# What has to be given.
NEEDED: dict[str, Any] = {
    **dict.fromkeys(("in_channels", "out_channels", "in_features", "out_features", "num_features"), 4),
    **dict.fromkeys(("num_channels", "embed_dim", "num_embeddings", "embedding_dim", "normalized_shape"), 4),
    **dict.fromkeys(("num_groups", "num_heads", "kernel_size", "output_size", "upscale_factor", "exponent"), 2),
    **{"size": 3, "dim": 1, "index": 0, "start": 0, "scale": 0.5, "threshold": 0.5, "value": 0.1},
    **{"shape": (2, 3), "repeats": (2, 2), "dims": (0, 2, 1), "unflattened_size": (2, 2)},
    **{"T_max": 5, "step_size": 2, "gamma": 0.5, "milestones": (2, 4), "max_lr": 0.1, "total_steps": 9},
    **dict.fromkeys(("in1_features", "in2_features", "input_size", "hidden_size", "num_classes"), 4),
    **dict.fromkeys(("groups", "downscale_factor", "k"), 2),
    **{
        "scale_factor": 2.0,
        "p": 0.5,
        "degrees": 10,
        "classes": 3,
        "decay": 0.9,
        "padding": 1,
        "beta": 1.0,
        "max_output": 3,
    },
}
SPECIAL: dict[str, dict[str, Any]] = {
    "Permute": {"dims": (0, 2, 1)},
    "IndexSelect": {"dim": 1, "index": (0, 1)},
    "Pad": {"padding": (1, 1)},
    "Upsample": {"scale_factor": 2.0},
    "RandomCrop": {"size": 4},
    "MultiStepLR": {"milestones": (2, 4)},
    "OneCycleLR": {"max_lr": 0.1, "total_steps": 9},
    "SequentialLR": {"schedulers": [], "milestones": []},
}
WRONG: list[Any] = [
    object(), int, "x", None, True, -1, -1.5, 2.5, math.nan, math.inf, 10**400, [], [[1], [1, 2]], {}, (1, 2, 3, 4, 5),
    ("a", "b"), np.float64(0.5), np.zeros((2, 2)), b"3",
]  # fmt: skip


def constructors() -> dict[str, Any]:
    """The layers, losses, optimizers, schedules, augmentations and callbacks that there are."""
    kinds: tuple[type, ...] = (cn.Layer, cn.losses.Loss, cn.optimizers.base.Optimizer, cn.schedules.Schedule)
    named = {name: getattr(cn, name) for name in cn.__all__}
    found = {name: each for name, each in named.items() if inspect.isclass(each) and issubclass(each, kinds)}
    found |= {"ReduceLROnPlateau": cn.ReduceLROnPlateau, "ExponentialMovingAverage": cn.ExponentialMovingAverage}
    found |= {name: getattr(augmentation, name) for name in augmentation.__all__ if name[0].isupper()}
    for name in ("Layer", "Augmentation", "PRESETS", "Graph", "Scratch", "Block"):
        found.pop(name, None)
    for each in (callbacks.EarlyStopping, callbacks.Average, callbacks.Scheduler, loggers.CSVLogger, loggers.JSONLines):
        found[each.__name__] = each
    return found


def needed(name: str, parameters: Any) -> dict[str, Any]:
    """Arguments with which it can be made."""
    given = dict(SPECIAL.get(name, {}))
    for each in parameters.values():
        if each.default is not each.empty or each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) or each.name in given:
            continue
        if each.name == "optimizer":
            given["optimizer"] = optimizer()
        elif each.name in ("params", "parameters"):
            given[each.name] = [Parameter((2,), zeros)]
        elif each.name in ("schedulers", "schedule"):
            own = optimizer()
            given[each.name] = [cn.StepLR(own, 2)] if each.name == "schedulers" else cn.StepLR(own, 2)
        elif each.name == "transforms":
            given[each.name] = []
        elif each.name == "path":
            given[each.name] = "file"
        elif each.name in NEEDED:
            given[each.name] = NEEDED[each.name]
    if name == "SequentialLR":
        given["schedulers"] = [cn.StepLR(given["optimizer"], 2)]
    return given


@pytest.mark.parametrize("name", constructors())
def test_every_argument_is_taken_or_refused_in_one_line(name: str) -> None:
    kind = constructors()[name]
    parameters = inspect.signature(kind).parameters
    kind(**needed(name, parameters))
    for argument, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        messages = []
        for value in WRONG:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    kind(**needed(name, parameters) | {argument: value})
            except ColonnadeError as error:
                messages.append(str(error))
        assert messages, f"{name} takes anything for {argument}"
        assert all("\n" not in message and len(message) < 400 for message in messages), argument


@pytest.mark.parametrize("name", constructors())
def test_numpys_numbers_are_taken_for_pythons(name: str) -> None:
    kind = constructors()[name]
    parameters = inspect.signature(kind).parameters
    given = needed(name, parameters)
    for argument, parameter in parameters.items():
        if argument not in given and isinstance(parameter.default, int | float):
            given[argument] = parameter.default

    def of_numpy(value: Any) -> Any:
        if isinstance(value, bool):
            return np.bool(value)
        if isinstance(value, int | float):
            return np.int64(value) if isinstance(value, int) else np.float64(value)
        return tuple(map(of_numpy, value)) if isinstance(value, tuple) else value

    made = kind(**{argument: of_numpy(value) for argument, value in given.items()})
    if isinstance(made, cn.Layer):
        assert "np." not in repr(made)
        assert made.config() == kind(**given).config()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cn.Conv1d(2.0, 3, 3), r"Conv1d: in_channels must be a whole number, got 2\.0\."),
        (lambda: cn.Conv2d(True, 3, 3), r"Conv2d: in_channels must be a whole number, got True\."),
        (lambda: cn.Conv2d(3, 3, 3, bias="no"), r"Conv2d: bias must be True or False, got 'no'\."),
        (lambda: cn.Conv2d(3, 3, 3, device="cuda"), r"Conv2d: device must be None or 'cpu', got 'cuda'\."),
        (lambda: cn.Conv2d(3, 3, 3, dtype="float64"), r"Conv2d: dtype is not supported \(.*\), got 'float64'\."),
        (lambda: cn.Conv2d(3, 3, 3, padding_mode="wrap"), r"Conv2d: padding_mode must be one of zeros,.*"),
        (lambda: cn.MaxPool1d(2, 2, 0, 1, True), r"MaxPool1d: return_indices is not supported .*"),
        (lambda: cn.AdaptiveMaxPool2d(2, True), r"AdaptiveMaxPool2d: return_indices is not supported .*"),
        (lambda: cn.MultiheadAttention(4, 2, add_bias_kv="no"), r"MultiheadAttention: add_bias_kv must be True or .*"),
        (lambda: cn.MultiheadAttention(4, 2, kdim=0), r"MultiheadAttention: kdim must be positive, got 0\."),
        (lambda: cn.MultiheadAttention(4, 2, attn_mask="x"), r"MultiheadAttention: attn_mask must be one of bool, .*"),
        (lambda: cn.MultiheadAttention(4, 2, batch_first=False), r"MultiheadAttention: batch_first is not .*"),
        (lambda: cn.Embedding(4, 2, max_norm=1.0), r"Embedding: max_norm is not supported \(.*\), got 1\.0\."),
        (lambda: cn.Embedding(4, 2, scale_grad_by_freq=True), r"Embedding: scale_grad_by_freq is not supported .*"),
        (lambda: cn.Embedding(4, 2, _freeze=True), r"Embedding: _freeze is not supported \(use Model\.freeze\).*"),
        (lambda: cn.Hardtanh(min_value=-1.0), r"Hardtanh: min_value is not supported \(give min_val\), got -1\.0\."),
        (lambda: cn.MSELoss("sum"), r"MSELoss: size_average is not supported \(give reduction\), got 'sum'\."),
        (lambda: cn.MSELoss(reduce=True), r"MSELoss: reduce is not supported \(give reduction\), got True\."),
        (lambda: cn.SGD(optimizer().parameters, differentiable=True), r"SGD: differentiable is not supported \(.*\).*"),
        (lambda: cn.Adam(optimizer().parameters, capturable=True), r"Adam: capturable is not supported .*"),
        (lambda: cn.SGD([{}]), r"SGD: a group of parameters must be a dict with params, got \{\}\."),
        (lambda: cn.SGD(cn.Model), r"SGD: expected model\.parameters\(\), got <class 'colonnade\.model\.Model'>\."),
        (lambda: cn.SGD(optimizer().parameters, lr="0.1"), r"SGD: lr must be a finite number, got '0\.1'\."),
        (lambda: cn.StepLR(cn.SGD, 3), r"StepLR: optimizer must be an optimizer, got <class .*SGD'> \(the class its.*"),
        (lambda: cn.StepLR(optimizer(), 3, last_epoch=4), r"StepLR: last_epoch needs the optimizer's initial_lr.*"),
        (lambda: cn.SequentialLR(optimizer(), [], [], 3), r"SequentialLR: last_epoch is not supported \(use load_st.*"),
        (lambda: cn.ChainedScheduler([cn.StepLR]), r"ChainedScheduler: each of schedulers must be a schedule .*"),
    ],
)  # fmt: skip
def test_what_is_not_supported_or_wrong_is_said_by_name(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{message}$"):
        make()
