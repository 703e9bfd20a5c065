"""PyTorch's own databases of samples: what its developers hold its modules, operations and optimizers to."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("expecttest", reason="expecttest, which PyTorch's own tests need, is not installed")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what they import is old
    from torch.testing._internal.common_methods_invocations import op_db as operations
    from torch.testing._internal.common_modules import module_db as modules
    from torch.testing._internal.common_optimizers import optim_db as optimizers

__all__ = ["modules", "operations", "optimizers", "torch"]


class InexpressibleError(Exception):
    """A sample that asks for something for which there are no words here."""


def plain(value: Any) -> Any:
    """NumPy's arrays in place of PyTorch's."""
    if isinstance(value, torch.Tensor):
        return value.detach().numpy()
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    return tuple(map(plain, value)) if isinstance(value, tuple | list) else value


def agree(ours: Any, theirs: Any, what: str) -> None:
    """Have both be equal but for rounding; PyTorch's may be shorter by a batch axis of one image."""
    theirs = theirs.detach().to(torch.float64).numpy()
    ours = np.asarray(ours, np.float64)
    assert ours.size == theirs.size, f"{what}: {ours.shape} beside {theirs.shape}"
    scale = max(float(np.abs(theirs[np.isfinite(theirs)]).max(initial=0)), 1.0)
    np.testing.assert_allclose(ours.reshape(theirs.shape), theirs, rtol=1e-7, atol=1e-9 * scale, err_msg=what)


def reason_to_refuse(listed: Mapping[tuple[str, str], str], name: str, description: str) -> str | None:
    """Why a sample is refused, by the list: names may be "*", descriptions are words that stand in the sample's."""
    for (who, word), reason in listed.items():
        if who in (name, "*") and word in description:
            return reason
    return None
