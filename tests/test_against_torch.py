"""PyTorch beside us: the same weights, the same data, the same outputs, gradients, statistics and weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import colonnade as cn
from tests.flags import FLAGS, IDS
from tests.torch_twin import twin

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

TOLERANCE = {"float64": 1e-9, "float32": 1e-4}


def agree(ours: Any, theirs: Any, dtype: str, what: str) -> None:
    ours, theirs = np.asarray(ours), theirs.detach().numpy()
    assert ours.shape == tuple(theirs.shape), what
    scale = max(float(np.abs(theirs).max(initial=0)), 1e-3)
    error = float(np.abs(ours - theirs).max(initial=0)) / scale
    assert error <= TOLERANCE[dtype], f"{what}: relative error {error:.2e}"


def state_agrees(model: cn.Model, module: Any, dtype: str) -> None:
    theirs = module.state_dict()
    ours = model.state_dict()
    assert list(ours) == list(theirs)
    for name, array in ours.items():
        agree(array, theirs[name], dtype, name)


LAYERS = [
    (cn.Conv2d(3, 4, 3), (3, 7, 8)),
    (cn.Conv2d(3, 4, 3, padding=1, bias=False), (3, 7, 8)),
    (cn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0)), (4, 9, 7)),
    (cn.Conv2d(4, 6, 3, padding="same", dilation=2), (4, 9, 7)),
    (cn.Conv2d(4, 6, (4, 2), padding="same"), (4, 9, 7)),
    (cn.Conv2d(4, 6, 2, padding="valid"), (4, 9, 7)),
    (cn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2), (4, 9, 11)),
    (cn.Conv2d(4, 8, 3, padding=1, groups=4), (4, 6, 5)),
    (cn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4), (4, 6, 5)),
    (cn.Conv2d(4, 6, 1), (4, 6, 5)),
    (cn.Conv2d(4, 6, 1, groups=2), (4, 6, 5)),
    (cn.Conv2d(4, 6, 1, stride=2), (4, 6, 5)),
    (cn.Conv2d(4, 6, 1, padding=2), (4, 6, 5)),
    (cn.Conv2d(2, 3, 3, padding=4), (2, 5, 5)),
    (cn.Conv2d(2, 3, (1, 5), padding=(0, 2)), (2, 5, 6)),
    (cn.Conv2d(2, 3, (5, 6)), (2, 5, 6)),
    (cn.Conv2d(1, 3, 3, stride=3), (1, 11, 10)),
    (cn.Conv2d(4, 6, 3, padding=(1, 2), padding_mode="reflect"), (4, 6, 5)),
    (cn.Conv2d(4, 6, 3, 2, 3, 2, 2, padding_mode="replicate"), (4, 6, 5)),
    (cn.Conv2d(4, 6, (2, 3), padding="same", padding_mode="circular", bias=False), (4, 6, 5)),
    (cn.Dense(7, 5), (7,)),
    (cn.Dense(7, 5, bias=False), (7,)),
    (cn.Dense(7, 5), (3, 7)),
    (cn.Dense(7, 5), (2, 3, 7)),
    (cn.BatchNorm2d(3), (3, 4, 5)),
    (cn.BatchNorm2d(3, eps=1e-3, momentum=0.3), (3, 4, 5)),
    (cn.BatchNorm2d(3, momentum=None), (3, 4, 5)),
    (cn.BatchNorm2d(3, affine=False), (3, 4, 5)),
    (cn.BatchNorm2d(3, track_running_stats=False), (3, 4, 5)),
    (cn.BatchNorm1d(6), (6,)),
    (cn.BatchNorm1d(6), (6, 5)),
    (cn.BatchNorm1d(6, affine=False), (6, 5)),
    (cn.MaxPool2d(2), (3, 6, 8)),
    (cn.MaxPool2d(2), (3, 7, 9)),
    (cn.MaxPool2d(3, stride=2, padding=1), (3, 7, 9)),
    (cn.MaxPool2d((2, 3), stride=(1, 2), dilation=(2, 1), ceil_mode=True), (3, 7, 8)),
    (cn.AvgPool2d(2), (3, 6, 8)),
    (cn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), (3, 7, 9)),
    (cn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True), (3, 8, 8)),
    (cn.AvgPool2d((2, 3), divisor_override=5), (3, 8, 8)),
    (cn.AdaptiveAvgPool2d(1), (3, 7, 5)),
    (cn.AdaptiveAvgPool2d((3, 2)), (3, 7, 5)),
    (cn.AdaptiveAvgPool2d((None, 2)), (3, 7, 5)),
    (cn.ReLU(), (3, 4, 5)),
    (cn.ReLU(), (6,)),
    (cn.LeakyReLU(0.2), (3, 4, 5)),
    (cn.Tanh(), (3, 4, 5)),
    (cn.Sigmoid(), (3, 4, 5)),
    (cn.Softmax(dim=1), (3, 4, 5)),
    (cn.Softmax(dim=1), (6,)),
    (cn.Flatten(), (3, 4, 5)),
    (cn.Flatten(start_dim=2), (3, 4, 5)),
    (cn.Identity(), (3, 4, 5)),
    (cn.Conv1d(3, 4, 3), (3, 8)),
    (cn.Conv1d(4, 6, 3, stride=2, padding=1, bias=False), (4, 9)),
    (cn.Conv1d(4, 6, 4, padding="same", dilation=2), (4, 9)),
    (cn.Conv1d(4, 6, 2, padding="valid", groups=2), (4, 9)),
    (cn.Conv1d(4, 4, 3, stride=2, padding=3, dilation=2, groups=4), (4, 9)),
    (cn.Conv1d(4, 6, 1), (4, 9)),
    (cn.Conv1d(4, 6, 3, stride=2, padding=2, padding_mode="circular"), (4, 9)),
    (cn.Conv1d(4, 4, 4, padding="same", groups=4, padding_mode="reflect"), (4, 9)),
    (cn.ConvTranspose2d(3, 4, 3), (3, 5, 4)),
    (cn.ConvTranspose2d(3, 4, 3, 3, 1, 2), (3, 4, 5)),
    (cn.ConvTranspose2d(3, 4, 4, stride=2, padding=1, bias=False), (3, 5, 4)),
    (cn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), (4, 5, 4)),
    (cn.ConvTranspose2d(4, 6, (2, 3), (1, 3), (0, 1), (1, 2), dilation=(2, 1)), (4, 5, 4)),
    (cn.ConvTranspose2d(4, 4, 2, stride=3, groups=4), (4, 5, 4)),
    (cn.ConvTranspose2d(4, 6, 3, output_padding=1, dilation=2), (4, 5, 4)),
    (cn.ConvTranspose2d(4, 6, 1), (4, 5, 4)),
    (cn.MaxPool1d(2), (3, 9)),
    (cn.MaxPool1d(3, stride=2, padding=1), (3, 9)),
    (cn.MaxPool1d(3, stride=1, dilation=2, ceil_mode=True), (3, 8)),
    (cn.AvgPool1d(2), (3, 9)),
    (cn.AvgPool1d(3, stride=2, padding=1, count_include_pad=False), (3, 9)),
    (cn.AvgPool1d(3, stride=2, padding=1, ceil_mode=True), (3, 8)),
    (cn.AdaptiveMaxPool2d(1), (3, 7, 5)),
    (cn.AdaptiveMaxPool2d((3, 2)), (3, 7, 5)),
    (cn.AdaptiveMaxPool2d((None, 2)), (3, 7, 5)),
    (cn.MultiheadAttention(6, 2), (5, 6)),
    (cn.MultiheadAttention(6, 6, bias=False), (4, 6)),
    (cn.MultiheadAttention(8, 1), (1, 8)),
    (cn.LayerNorm(6), (6,)),
    (cn.LayerNorm(6, eps=1e-2, bias=False), (4, 6)),
    (cn.LayerNorm((4, 6)), (4, 6)),
    (cn.LayerNorm((3, 4, 5)), (3, 4, 5)),
    (cn.LayerNorm((4, 6), elementwise_affine=False), (4, 6)),
    (cn.GroupNorm(2, 6), (6, 4, 5)),
    (cn.GroupNorm(1, 6, eps=1e-2), (6, 4, 5)),
    (cn.GroupNorm(6, 6, affine=False), (6, 4, 5)),
    (cn.GroupNorm(2, 6), (6, 5)),
    (cn.GroupNorm(2, 6), (6,)),
    (cn.InstanceNorm2d(3), (3, 4, 5)),
    (cn.InstanceNorm2d(3, eps=1e-2, affine=True), (3, 4, 5)),
    (cn.InstanceNorm2d(3, affine=True, track_running_stats=True), (3, 4, 5)),
    (cn.InstanceNorm2d(3, momentum=0.3, track_running_stats=True), (3, 4, 5)),
    (cn.InstanceNorm2d(3, momentum=None, track_running_stats=True), (3, 4, 5)),
    (cn.ELU(), (3, 4, 5)),
    (cn.ELU(alpha=0.4), (3, 4, 5)),
    (cn.SELU(), (3, 4, 5)),
    (cn.GELU(), (3, 4, 5)),
    (cn.GELU(approximate="tanh"), (3, 4, 5)),
    (cn.SiLU(), (3, 4, 5)),
    (cn.Mish(), (3, 4, 5)),
    (cn.Hardswish(), (3, 4, 5)),
    (cn.Hardsigmoid(), (3, 4, 5)),
    (cn.Hardtanh(), (3, 4, 5)),
    (cn.Hardtanh(-0.3, 0.8), (3, 4, 5)),
    (cn.ReLU6(), (3, 4, 5)),
    (cn.PReLU(), (3, 4, 5)),
    (cn.PReLU(3, init=0.1), (3, 4, 5)),
    (cn.PReLU(3), (3, 4)),
    (cn.PReLU(6), (6,)),
    (cn.Softplus(), (3, 4, 5)),
    (cn.Softplus(beta=3, threshold=1), (3, 4, 5)),
    (cn.Softplus(beta=3, threshold=-1), (3, 4, 5)),
    (cn.LogSoftmax(dim=1), (3, 4, 5)),
    (cn.LogSoftmax(dim=-1), (3, 4, 5)),
    (cn.LogSoftmax(dim=1), (6,)),
    (cn.ZeroPad2d(2), (3, 4, 5)),
    (cn.ZeroPad2d((1, 2, 0, 3)), (3, 4, 5)),
    (cn.Upsample(scale_factor=2), (3, 4, 5)),
    (cn.Upsample(scale_factor=(1.7, 0.6)), (3, 7, 5)),
    (cn.Upsample(scale_factor=1.7, recompute_scale_factor=True), (3, 7, 5)),
    (cn.Upsample(size=(9, 3)), (3, 4, 5)),
    (cn.Upsample(scale_factor=2, mode="bilinear"), (3, 4, 5)),
    (cn.Upsample(scale_factor=2.3, mode="bilinear", align_corners=True), (3, 4, 5)),
    (cn.Upsample(scale_factor=1.3, mode="bilinear", recompute_scale_factor=True), (3, 4, 5)),
    (cn.Upsample(size=(3, 11), mode="bilinear", align_corners=False), (3, 4, 5)),
    (cn.Upsample(size=1, mode="bilinear", align_corners=True), (3, 4, 5)),
    (cn.PixelShuffle(2), (8, 3, 4)),
    (cn.PixelShuffle(3), (9, 2, 3)),
    (cn.Unflatten(1, (2, 3, 4)), (24,)),
    (cn.Unflatten(1, (3, -1)), (6, 4)),
    (cn.Unflatten(2, (2, 2)), (3, 4, 5)),
    (cn.Unflatten(-1, (5, 1)), (3, 4, 5)),
    (cn.Residual([cn.Conv2d(3, 3, 3, padding=1), cn.ReLU()]), (3, 4, 5)),
    (cn.Residual([cn.Conv2d(3, 4, 3, stride=2, padding=1)], [cn.Conv2d(3, 4, 1, stride=2)]), (3, 4, 5)),
    (cn.Branches([cn.Conv2d(3, 2, 1)], [cn.MaxPool2d(3, stride=1, padding=1)], []), (3, 4, 5)),
    (cn.Branches([cn.BatchNorm2d(3), cn.Tanh()], [cn.BatchNorm2d(3), cn.ReLU()]), (3, 4, 5)),
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")  # PyTorch's own, of its speed
@pytest.mark.parametrize(("make", "shape"), FLAGS, ids=IDS)
def test_layer_agrees_with_torch_whatever_its_flags(make: Any, shape: tuple[int, ...]) -> None:
    test_layer_agrees_with_torch(make(), shape, "float64")


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda value: str(value).replace(" ", ""))
def test_layer_agrees_with_torch(layer: Any, shape: tuple[int, ...], dtype: str) -> None:
    description = cn.composites.describe([layer])
    model = cn.Model(cn.composites.construct(description), dtype=dtype, seed=3)
    rng = np.random.default_rng(7)
    for parameter in model.parameters():
        parameter.value[...] = rng.normal(size=parameter.shape) * 0.5 + 0.2
    module = twin(model)
    for step in range(2):  # twice: gradients accumulate and running statistics move
        x = rng.normal(size=(5, *shape)).astype(dtype)
        x_torch = torch.from_numpy(x.copy()).requires_grad_()
        y, y_torch = model(x, training=True), module(x_torch)
        agree(y, y_torch, dtype, f"output in step {step}")
        grad = rng.normal(size=y.shape).astype(dtype)
        grad_x = model.backward(grad)
        y_torch.backward(torch.from_numpy(grad))
        # PyTorch's slope of Hardsigmoid is the float32 nearest to 1/6, in float64 too.
        precision = "float32" if isinstance(layer, cn.Hardsigmoid) else dtype
        agree(grad_x, x_torch.grad, precision, f"gradient at the input in step {step}")
        for parameter, theirs in zip(model.parameters(), module.parameters(), strict=True):
            agree(parameter.grad, theirs.grad, dtype, f"gradient of {parameter.name} in step {step}")
    state_agrees(model, module, dtype)
    module.eval()
    agree(model(x), module(x_torch), dtype, "output outside training")


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("arguments", [(2,), (3, 2, 1), (2, 1, 0, 2)])
def test_the_gradient_of_windows_with_nans_goes_where_torch_sends_it(
    arguments: tuple[int, ...], compiled: bool
) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, (2, 3, 9, 8)).astype(np.float32)
    x[rng.random(x.shape) < 0.2] = np.nan  # one, several or none in a window
    x_torch = torch.from_numpy(x.copy()).requires_grad_()
    y_torch = torch.nn.functional.max_pool2d(x_torch, *arguments)
    grad = rng.normal(size=y_torch.shape).astype(np.float32)
    y_torch.backward(torch.from_numpy(grad))
    model = cn.Model([cn.MaxPool2d(*arguments)], compiled=compiled)
    np.testing.assert_array_equal(model(x, training=True), y_torch.detach())
    np.testing.assert_allclose(model.backward(grad), x_torch.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["lenet5", "cnn", "vgg", "resnet20"])
def test_zoo_model_trains_as_in_torch(name: str, dtype: str) -> None:
    small = {"lenet5": (1, 14, 14), "cnn": (1, 12, 12), "vgg": (3, 8, 8), "resnet20": (3, 12, 12)}
    model = getattr(cn.zoo, name)(input_shape=small[name], dtype=dtype, seed=1)
    module = twin(model)
    ours = cn.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    theirs = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    rng = np.random.default_rng(5)
    # float32 rounding grows along a trajectory: there three steps say what twenty do in float64.
    for step in range(20 if dtype == "float64" else 3):
        x = rng.normal(size=(6, *small[name])).astype(dtype)
        targets = rng.integers(0, 10, 6)
        y, y_torch = model(x, training=True), module(torch.from_numpy(x))
        loss, grad = cn.CrossEntropyLoss()(y, targets)
        loss_torch = torch.nn.functional.cross_entropy(y_torch, torch.from_numpy(targets))
        agree(loss, loss_torch, dtype, f"loss in step {step}")
        ours.zero_grad()
        theirs.zero_grad()
        model.backward(grad, input_gradient=False)
        loss_torch.backward()
        ours.step()
        theirs.step()
    state_agrees(model, module, dtype)
    module.eval()
    agree(model(x), module(torch.from_numpy(x)), dtype, "output outside training")
