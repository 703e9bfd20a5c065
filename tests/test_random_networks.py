"""Networks wired at random: what they compute is what PyTorch computes, in any cut and any mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.plan import cutting
from tests.torch_twin import twin

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

Size = tuple[int, int, int]


class Draw:
    """Layers at random, each fitting the one before."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def number(self, least: int, most: int) -> int:
        return int(self.rng.integers(least, most + 1))

    def flag(self) -> bool:
        return bool(self.rng.integers(0, 2))

    def layers(self, size: Size, depth: int = 0) -> tuple[list[Any], Size]:
        """Some layers for images of `size`; below the top they keep height and width."""
        made: list[Any] = []
        for _ in range(self.number(1, 7 - 2 * depth)):
            layer, size = self.layer(size, depth)
            made.append(layer)
        return made, size

    def layer(self, size: Size, depth: int) -> tuple[Any, Size]:
        channels, height, width = size
        plain = [
            cn.ReLU(),
            cn.Tanh(),
            cn.Sigmoid(),
            cn.LeakyReLU(0.1),
            cn.Identity(),
            cn.BatchNorm2d(channels, affine=self.flag()),
        ]
        kind = self.number(0, 9)
        if kind <= 2:
            return self.convolution(size, depth)
        if kind == 3 and depth == 0 and min(height, width) >= 3:
            kernel, stride, padding = self.number(2, 3), self.number(1, 2), self.number(0, 1)
            sides = ((side + 2 * padding - kernel) // stride + 1 for side in (height, width))
            return cn.MaxPool2d(kernel, stride, padding), (channels, *sides)  # type: ignore[return-value]
        if kind == 4 and depth == 0 and min(height, width) >= 2:
            return cn.AvgPool2d(2), (channels, height // 2, width // 2)
        if kind == 5 and depth < 2:
            main, (outputs, _, _) = self.layers(size, depth + 1)
            shortcut = None if outputs == channels else [cn.Conv2d(channels, outputs, 1)]
            return cn.Residual(main, shortcut), (outputs, height, width)
        if kind == 6 and depth < 2:
            paths = [self.layers(size, depth + 1) for _ in range(self.number(2, 3))]
            outputs = sum(path[1][0] for path in paths) + channels
            return cn.Branches(*(path[0] for path in paths), []), (outputs, height, width)
        return plain[self.number(0, len(plain) - 1)], size

    def convolution(self, size: Size, depth: int) -> tuple[Any, Size]:
        channels, height, width = size
        outputs, kernel = self.number(1, 6), self.number(1, 3)
        stride, padding = self.number(1, 2), self.number(0, 1)
        if depth or min(height, width) + 2 * padding < kernel:
            kernel, stride, padding = 3, 1, 1
        groups = 2 if channels % 2 == 0 and outputs % 2 == 0 and self.flag() else 1
        layer = cn.Conv2d(channels, outputs, kernel, stride, padding, groups=groups, bias=self.flag())
        return layer, (outputs, *layer.window.output_size((height, width)))


def agree(ours: Any, theirs: Any, what: str) -> None:
    theirs = theirs.detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6 * max(1e-3, np.abs(theirs).max()), err_msg=what)


@pytest.mark.parametrize("seed", range(80))
def test_a_network_at_random_is_pytorchs(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = Draw(seed)
    size = (draw.number(1, 4), draw.number(5, 12), draw.number(5, 12))
    layers, (channels, height, width) = draw.layers(size)
    if draw.flag():
        layers += [cn.Flatten(), cn.Dense(channels * height * width, 5), cn.BatchNorm1d(5), cn.ReLU(), cn.Dense(5, 3)]
    monkeypatch.setattr(cutting, "BLOCK_BYTES", 2 ** draw.number(8, 22))
    monkeypatch.setattr(cutting, "LANES", draw.number(1, 8))
    images = draw.number(4, 20)
    model = cn.Model(layers, seed=seed, dtype="float64")
    module = twin(model)
    reference = cn.Model(cn.composites.construct(cn.composites.describe(layers)), dtype="float64", share_memory=False)
    reference.load_state_dict(model.state_dict())
    for step in range(2):
        x = draw.rng.normal(size=(images, *size))
        x_torch = torch.from_numpy(x.copy()).requires_grad_()
        y, y_torch = model(x, training=True), module(x_torch)
        agree(y, y_torch, f"output in step {step}")
        grad = draw.rng.normal(size=y.shape)
        cn.testing.poison_undeclared(model)
        grad_x = model.backward(grad)
        y_torch.backward(torch.from_numpy(grad))
        agree(grad_x, x_torch.grad, f"gradient at the input in step {step}")
        for parameter, theirs in zip(model.parameters(), module.parameters(), strict=True):
            agree(parameter.grad, theirs.grad, f"gradient of {parameter.name} in step {step}")
        assert reference(x, training=True).tobytes() == y.tobytes()
        assert reference.backward(grad).tobytes() == grad_x.tobytes()  # type: ignore[union-attr]
    module.eval()
    agree(model(x), module(torch.from_numpy(x)), "output outside training")


def test_two_batch_norms_behind_a_convolution_are_not_folded_into_one() -> None:
    model = cn.Model([cn.Conv2d(2, 3, 3), cn.BatchNorm2d(3), cn.BatchNorm2d(3)], dtype="float64")
    x = np.random.default_rng(0).normal(3.0, 2.0, size=(8, 2, 6, 6))
    for _ in range(3):
        model(x, training=True)
    module = twin(model).eval()
    agree(model(x), module(torch.from_numpy(x)), "output outside training")
