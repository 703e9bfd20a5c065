"""Norms of nothing but zeros: their gradient is zero, as PyTorch has it, and no NaN."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import colonnade as cn  # noqa: E402  # needs the packages above
from tests.formats.onnx_graphs import graph, op  # noqa: E402

X = np.zeros((3, 2, 4, 4))
X[0] = np.arange(32.0).reshape(2, 4, 4) % 5 - 2
X[1, 0] = 1.5


class Function(torch.nn.Module):
    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    **{f"norm of {p}": lambda x, p=p: x.norm(p, dim=(2, 3)) for p in (0.5, 1, 1.5, 2, 3)},
    "normalize": lambda x: torch.nn.functional.normalize(x, dim=1),
    "deviation": lambda x: x.std(dim=3),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_pytorchs(name: str) -> None:
    x = torch.tensor(X, requires_grad=True)
    expected = FUNCTIONS[name](x)
    expected.sum().backward()
    model = cn.from_torch(Function(FUNCTIONS[name]), input_shape=X.shape[1:])
    made = model(X.astype(np.float32), training=True)
    np.testing.assert_allclose(made, expected.detach().numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.backward(np.ones_like(made)), x.grad.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("p", [2, 3])
def test_pools_have_pytorchs_gradient(tmp_path: Path, p: int) -> None:
    pool = op("LpPool", "x", kernel_shape=[2, 2], strides=[2, 2], p=p)
    onnx.save(graph(pool, ("N", 2, 4, 4)), tmp_path / "pool.onnx")
    model = cn.load(tmp_path / "pool.onnx")
    x = torch.tensor(np.abs(X), requires_grad=True)
    expected = torch.nn.functional.lp_pool2d(x, p, 2)
    expected.sum().backward()
    made = model(np.abs(X).astype(np.float32), training=True)
    np.testing.assert_allclose(made, expected.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(model.backward(np.ones_like(made)), x.grad.numpy(), atol=1e-5)
