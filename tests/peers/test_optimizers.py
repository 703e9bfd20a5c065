"""PyTorch's samples of its optimizers: twenty steps of each, beside ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError
from colonnade.initializers import zeros
from colonnade.tensor import Parameter, ParameterBuffer
from tests.peers.databases import optimizers, torch

# What is refused: a word of the sample's description, and why. Each is checked to be refused.
REFUSED = {"tensor lr": "a rate is a number: nothing here is a tensor of PyTorch's"}


def samples() -> list[Any]:
    found = []
    for info in optimizers:
        name = info.optim_cls.__name__
        if isinstance(getattr(cn, name, None), type):
            for sample in info.optim_inputs_func(device="cpu"):
                found.append(pytest.param(name, sample, id=f"{name}-{sample.desc}"))
    return found


def bowl(parameter: Parameter, slope: Any) -> Any:
    """Σ x² + √(1 + x²) + slope · x, and its gradient."""

    def closure() -> float:
        x = parameter.value
        root = np.sqrt(1 + x**2)
        parameter.grad = 2 * x + x / root + slope
        return float(np.sum(x**2 + root + slope * x))

    return closure


def their_bowl(x: Any, slope: Any) -> Any:
    def closure() -> Any:
        x.grad = None
        loss = (x**2 + torch.sqrt(1 + x**2) + slope * x).sum()
        loss.backward()
        return loss.detach()

    return closure


@pytest.mark.parametrize(("name", "sample"), samples())
def test_sample_agrees_or_is_on_the_list(name: str, sample: Any) -> None:
    parameter = Parameter((3, 4), zeros)
    ParameterBuffer([parameter], "float64")
    rng = np.random.default_rng(0)
    parameter.value = rng.normal(size=(3, 4))
    their = torch.tensor(parameter.value.copy(), requires_grad=True)
    if sample.desc.lower() in REFUSED:
        with pytest.raises(ArgumentError, match=f"{name}: lr must be a finite number"):
            getattr(cn, name)([parameter], **sample.kwargs)
        return
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # NAdam keeps a product in it
    try:
        ours, theirs = (
            getattr(cn, name)([parameter], **sample.kwargs),
            getattr(torch.optim, name)([their], **sample.kwargs),
        )
        slope = rng.normal(size=(3, 4))
        for _ in range(20):
            gradient = rng.normal(size=(3, 4))
            parameter.grad = gradient
            their.grad = torch.tensor(gradient)
            if ours.needs_closure:
                ours.step(bowl(parameter, slope))  # one for all steps: they go by the curvature of those before
                theirs.step(their_bowl(their, torch.tensor(slope)))
            else:
                ours.step()
                theirs.step()
    finally:
        torch.set_default_dtype(default)
    # A line search compares losses, and so goes by their rounding.
    rtol, atol = (1e-6, 1e-8) if ours.needs_closure else (1e-10, 1e-12)
    np.testing.assert_allclose(parameter.value, their.detach().numpy(), rtol=rtol, atol=atol)


def test_every_reason_is_needed() -> None:
    descriptions = {each.values[1].desc.lower() for each in samples()}
    assert set(REFUSED) <= descriptions
