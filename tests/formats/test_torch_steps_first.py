"""Modules of PyTorch with batch_first=False, in the ways that people write them, as models with the batch first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn
pytestmark = pytest.mark.usefixtures("one_torch_thread")

STEPS, SIZE = 5, 6
SEQUENCE, IMAGE = (STEPS, SIZE), (SIZE, 3, 4)


class Calls(nn.Module):
    """Parts, and a function that calls them."""

    def __init__(self, call: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.call = call
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Any) -> Any:
        return self.call(self, x)


def lstm(size: int = SIZE) -> Any:
    return nn.LSTM(size, 4)


def attention() -> Any:
    return nn.MultiheadAttention(SIZE, 2)


def to_itself(m: Any, x: Any) -> Any:
    return m.inner(x, x, x)[0]


def of_pixels(x: Any) -> Any:
    return x.flatten(2).permute(2, 0, 1)


def with_mean(x: Any) -> Any:
    return torch.cat([x.mean(0, keepdim=True), x], 0)


def both_ways(m: Any, x: Any) -> Any:
    x = x.transpose(0, 1)
    return torch.cat([m.one(x)[0], m.other(x.flip(0))[0].flip(0)], 2).transpose(0, 1)


CASES: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "swapaxes": (lambda: Calls(lambda m, x: m.inner(x.swapaxes(0, 1))[0].swapaxes(0, 1), inner=lstm()), SEQUENCE),
    "movedim": (lambda: Calls(lambda m, x: m.inner(x.movedim(1, 0))[0].movedim(0, 1), inner=nn.GRU(SIZE, 4)), SEQUENCE),
    "the last step": (lambda: Calls(lambda m, x: m.inner(x.transpose(0, 1))[0][-1], inner=lstm()), SEQUENCE),
    "the last state": (lambda: Calls(lambda m, x: m.inner(x.transpose(0, 1))[1][0][-1], inner=lstm()), SEQUENCE),
    "the state without its axis": (
        lambda: Calls(lambda m, x: m.inner(x.transpose(0, 1))[1][0].squeeze(0), inner=lstm()),
        SEQUENCE,
    ),
    "the greatest of all steps": (
        lambda: Calls(lambda m, x: m.inner(x.transpose(0, 1))[0].max(0)[0], inner=lstm()),
        SEQUENCE,
    ),
    "the mean of some steps": (
        lambda: Calls(lambda m, x: m.inner(x.transpose(0, 1))[0][1:, :, ::2].mean(dim=0), inner=lstm()),
        SEQUENCE,
    ),
    "two directions by hand": (lambda: Calls(both_ways, one=lstm(), other=lstm()), SEQUENCE),
    "columns of images": (
        lambda: Calls(
            lambda m, x: m.dense(m.inner(m.conv(x).squeeze(2).permute(2, 0, 1))[0]).log_softmax(2).permute(1, 0, 2),
            conv=nn.Conv2d(SIZE, 7, (3, 1)),
            inner=nn.LSTM(7, 4, 2, bidirectional=True),
            dense=nn.Linear(8, 3),
        ),
        IMAGE,
    ),
    "channels first": (
        lambda: Calls(lambda m, x: m.inner(x.permute(2, 0, 1))[0].permute(1, 2, 0), inner=lstm()),
        (SIZE, STEPS),
    ),
    "attention of pixels": (
        lambda: Calls(lambda m, x: to_itself(m, of_pixels(x)).permute(1, 2, 0).reshape(x.shape), inner=attention()),
        IMAGE,
    ),
    "attention of their mean": (
        lambda: Calls(
            lambda m, x: (lambda y: m.inner(y.mean(0, keepdim=True), y, y)[0].squeeze(0))(of_pixels(x)),
            inner=attention(),
        ),
        IMAGE,
    ),
    "attention with places, of the first": (
        lambda: Calls(
            lambda m, x: (lambda y: m.inner(y[:1], y, y, need_weights=False)[0][0])(
                with_mean(of_pixels(x)) + m.places[:, None]
            ),
            inner=attention(),
            places=nn.Parameter(torch.linspace(-1, 1, 13 * SIZE).reshape(13, SIZE)),
        ),
        IMAGE,
    ),
    "an encoder": (
        lambda: Calls(
            lambda m, x: m.inner(of_pixels(x)).mean(0),
            inner=nn.TransformerEncoder(nn.TransformerEncoderLayer(SIZE, 2, 8, 0.0), 2, enable_nested_tensor=False),
        ),
        IMAGE,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_outputs_and_gradients_are_pytorchs(name: str) -> None:
    make, shape = CASES[name]
    torch.manual_seed(0)
    module = make().double().eval()
    x = torch.randn(3, *shape, dtype=torch.float64, requires_grad=True)
    model = cn.from_torch(module, input_shape=shape)
    expected = module(x)
    direction = torch.randn(expected.shape, dtype=torch.float64)
    expected.backward(direction)
    made = model(x.detach().numpy(), training=True)
    np.testing.assert_allclose(made, expected.detach().numpy(), atol=1e-10)
    np.testing.assert_allclose(model.backward(direction.numpy()), x.grad.numpy(), atol=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x: m.inner(x)[0], r"it has batch_first=False, and of its input the batch is the first axis"),
        (lambda m, x: m.inner(x.transpose(0, 1))[0].flip(1), "the images of a batch would be mixed"),
        (lambda m, x: m.inner(x.transpose(0, 1))[0][:, 1:], "images of the batch can't be selected"),
        (lambda m, x: m.inner(x.transpose(0, 1))[0][:, 1], "an image of the batch can't be selected"),
    ],
)
def test_what_would_mix_images_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        cn.from_torch(Calls(call, inner=lstm()), input_shape=SEQUENCE)
