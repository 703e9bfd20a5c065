"""Modules of PyTorch as models: what they compute, how their weights are called, and what is refused."""

from __future__ import annotations

import operator
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError, ShapeError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

if TYPE_CHECKING:
    from torch import nn
    from torch.nn import functional

    from . import torch_networks as networks
else:
    from torch import nn
    from torch.nn import functional

    from . import torch_networks as networks

Array = np.ndarray[Any, Any]


pytestmark = pytest.mark.usefixtures("one_torch_thread")


def stirred(module: Any, dtype: str) -> Any:
    """A module whose parameters are all different, those too that begin as zeros or ones."""
    torch.manual_seed(3)
    module = module.to(getattr(torch, dtype))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.03 * torch.randn_like(parameter)
    return module


def agree(ours: Any, theirs: Any, tolerance: float, what: str) -> None:
    expected = theirs.detach().numpy()
    assert ours.size == expected.size, what
    error = np.abs(ours.reshape(expected.shape) - expected).max() / max(np.abs(expected).max(), 1e-3)
    assert error <= tolerance, f"{what}: relative error {error:.1e}"


def counterpart(name: str, theirs: Any) -> str:
    """PyTorch's name of one of our parameters: an array that is alone with its name is here a Constant's weight."""
    return name if name in theirs else name.removesuffix(".weight")


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_network_computes_and_learns_what_it_does_in_torch(name: str) -> None:
    """In float64, where no rounding turns a ReLU on that is off in PyTorch."""
    make, shape, _ = networks.NETWORKS[name]
    module = stirred(make(), "float64")
    model = cn.from_torch(module, shape)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4, *shape))
    agree(model(x), module.eval()(torch.from_numpy(x)), 1e-9, "output outside training")
    x_torch = torch.from_numpy(x.copy()).requires_grad_()
    y, y_torch = model(x, training=True), module.train()(x_torch)
    agree(y, y_torch, 1e-9, "output in training")
    gradient = rng.normal(size=y.shape)
    grad_x = model.backward(gradient)
    y_torch.backward(torch.from_numpy(gradient))
    agree(grad_x, x_torch.grad, 1e-8, "gradient at the input")
    theirs = dict(module.named_parameters())
    assert {counterpart(each.name, theirs) for each in model.parameters()} == theirs.keys()
    for parameter in model.parameters():
        agree(parameter.grad, theirs[counterpart(parameter.name, theirs)].grad, 1e-8, f"gradient of {parameter.name}")
    statistics = module.state_dict()
    for key, array in model.state_dict().items():
        if "running" in key or "tracked" in key:
            agree(array, statistics[key], 1e-9, key)


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_network_is_of_float32_as_it_is_in_torch(name: str) -> None:
    make, shape, _ = networks.NETWORKS[name]
    module = stirred(make(), "float32")
    model = cn.from_torch(module, shape)
    x = np.random.default_rng(1).normal(size=(4, *shape)).astype("float32")
    y = model(x)
    assert y.dtype == np.float32
    agree(y, module.eval()(torch.from_numpy(x)), 1e-4, "output outside training")
    agree(model(x, training=True), module.train()(torch.from_numpy(x)), 1e-4, "output in training")


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_weights_are_the_same_to_the_last_bit_there_and_back(name: str) -> None:
    make, shape, _ = networks.NETWORKS[name]
    module = stirred(make(), "float32")
    theirs = module.state_dict()
    model = cn.from_torch(module, shape)
    state = model.state_dict()
    made = {"constant", "resizing", "resizing_1"}  # by the forward pass itself
    assert {counterpart(each, theirs) for each in state} - made == theirs.keys()
    for key, array in state.items():
        if counterpart(key, theirs) in made:
            continue
        expected = theirs[counterpart(key, theirs)].numpy()
        assert (array.tobytes(), array.dtype) == (expected.tobytes(), expected.dtype), key
    back = model.to_torch()
    assert list(back.state_dict()) == list(state)
    again = cn.from_torch(back, shape)
    assert repr(cn.from_torch(again.to_torch())) == repr(again)
    assert list(again.state_dict()) == list(state)
    for key, array in again.state_dict().items():
        assert array.tobytes() == state[key].tobytes(), key


@pytest.mark.parametrize("name", [name for name, entry in networks.NETWORKS.items() if not entry[2]])
def test_shape_is_needed_only_where_the_code_depends_on_it(name: str) -> None:
    make, shape, _ = networks.NETWORKS[name]
    module = stirred(make(), "float32").eval()
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    agree(cn.from_torch(module)(x), module(torch.from_numpy(x)), 1e-4, "output")


@pytest.mark.parametrize("name", [name for name, entry in networks.NETWORKS.items() if entry[2]])
def test_an_error_says_where_the_shape_is_needed(name: str) -> None:
    with pytest.raises(ArgumentError, match="it depends on shapes: give from_torch the input_shape"):
        cn.from_torch(networks.NETWORKS[name][0]())


class Found(NamedTuple):
    boxes: Any
    scores: Any


RETURNED: dict[str, tuple[Callable[[Any, Any], Any], tuple[str, ...]]] = {
    "one": (lambda a, b: a, ("output",)),
    "tuple": (lambda a, b: (a, b), ("left", "right")),  # no names: those of the layers
    "dict": (lambda a, b: {"boxes": a, "scores": b}, ("boxes", "scores")),
    "dict of one": (lambda a, b: {"boxes": a}, ("boxes",)),
    "named tuple": (lambda a, b: Found(a, b), ("boxes", "scores")),
    "nested": (lambda a, b: {"head": [a, {"x": b}]}, ("head.0", "head.1.x")),
    "one twice, called as the input and a layer": (
        lambda a, b: {"image": a, "left": b, "c": a},
        ("image", "left", "c"),
    ),
}


@pytest.mark.parametrize("by_shapes", [False, True])
@pytest.mark.parametrize("name", RETURNED)
def test_outputs_are_called_as_the_module_calls_them(name: str, by_shapes: bool) -> None:
    """Whether torch.fx follows it or torch.export, and in what it becomes."""
    function, names = RETURNED[name]

    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(4, 3), nn.Linear(4, 2)

        def forward(self, image: Any) -> Any:
            if by_shapes and image.shape[1] > 4:
                image = image[:, :4]
            return function(self.left(image), self.right(image))

    model = cn.from_torch(Heads(), (4,))
    assert (model.inputs, model.outputs) == (("image",), names)
    assert cn.from_torch(model.to_torch()).outputs == names
    assert {*model.state_dict()} <= {"left.weight", "left.bias", "right.weight", "right.bias"}


@pytest.mark.parametrize("within", [False, True])
def test_bilinear_reads_two_inputs(within: bool) -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pair = nn.Bilinear(3, 4, 2, dtype=torch.float64)

        def forward(self, a: Any, b: Any) -> Any:
            return self.pair(a, torch.tanh(b))

    module = Both() if within else nn.Bilinear(3, 4, 2, dtype=torch.float64)
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(5, 3)), rng.normal(size=(5, 4))]
    agree(cn.from_torch(module)(x), module(*map(torch.from_numpy, x)), 1e-12, "output")


def test_several_inputs_and_outputs() -> None:
    module = stirred(networks.TwoInputsTwoOutputs(), "float64")
    model = cn.from_torch(module, ((5,), (3,)))
    assert model.inputs == ("a", "b")
    assert model.outputs == model.to_torch().colonnade["outputs"] == ("product", "difference")
    assert model.output_shape == ((4,), (4,))
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 5)), rng.normal(size=(3, 3))
    theirs = module(torch.from_numpy(a), torch.from_numpy(b))
    for ours, expected in zip(model({"a": a, "b": b}), theirs.values(), strict=True):
        agree(ours, expected, 1e-12, "output")
    for ours, expected in zip(model((a, b)), model.to_torch()(torch.from_numpy(a), torch.from_numpy(b)), strict=True):
        agree(ours, expected, 1e-12, "output of what goes back")


class Square(nn.Module):
    """A function of tensors and of a matrix that is learned."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.randn(4, 4))

    def forward(self, x: Any) -> Any:
        return self.function(x, self.weight)


def tied_chain() -> nn.Sequential:
    chain = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    chain[2].weight = chain[0].weight
    return chain


def test_parameter_in_several_orders_and_shapes_is_one() -> None:
    """As it is, transposed, and in another shape; and added up from all of them."""

    def function(x: Any, weight: Any) -> Any:
        return x + weight.T * weight + weight.reshape(2, 8).sin().mean(0).view(2, 4).T.reshape(8)[:4]

    module = stirred(Square(function), "float64")
    model = cn.from_torch(module, (4, 4))
    x = np.random.default_rng(0).normal(size=(3, 4, 4))
    y, y_torch = model(x, training=True), module(torch.from_numpy(x))
    agree(y, y_torch, 1e-12, "output")
    y_torch.backward(torch.from_numpy(x))
    model.backward(x)
    (parameter,) = model.parameters()
    order = np.argsort(model.aliases["weight"].axes)
    agree(parameter.grad.transpose(order), module.weight.grad, 1e-12, "gradient")


# Functions, methods and modules

CALLS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "add": (lambda x: torch.add(x, x.exp(), alpha=0.5) + 2, (3, 4)),
    "add of a number": (lambda x: torch.add(3, x), (3, 4)),
    "radd and rsub": (lambda x: 1 + (2 - x) - 3, (3, 4)),
    "sub": (lambda x: torch.sub(x.sin(), x, alpha=2), (2, 3, 4)),
    "in place": (lambda x: (x * 1).add_(1).sub_(x.cos()), (3, 4)),
    "augmented": (lambda x: in_place(x * 1, x), (3, 4)),
    "in place and read again": (lambda x: ((y := x * 2).sub_(1) + y) * y.add_(1), (3, 4)),
    "in place and thrown away": (lambda x: [y := x * 2, functional.relu(y, True), (-y).exp_()][0], (3, 4)),
    "in place and read before": (lambda x: torch.cat([(y := x * 2) - 1, y.mul_(3), y.sin()], 1), (3, 4)),
    "a view in place": (lambda x: (x * 2).flatten(1).sub_(1).unflatten(1, (3, 4)).clamp_(0), (3, 4)),
    "sizes in place": (lambda x: (x * (n := x.shape[1])) + operator.iadd(n, 1) * n, (3, 4)),
    "div": (lambda x: x / 3 + x / x.exp() + 1 / x.exp() + 2 / (x * x + 1), (3, 4)),
    "powers": (lambda x: x**2 + x.pow(3) + x.square() + torch.exp(x) ** x, (3, 4)),
    "roots": (lambda x: x.exp().sqrt() + x.exp().rsqrt() + x.exp().reciprocal() + x.exp().log(), (3, 4)),
    "negation": (lambda x: -x.abs() + torch.neg(x), (2, 3, 4)),
    "functions": (lambda x: x.sin() + x.cos() + torch.erf(x), (3, 4)),
    "steps": (lambda x: x + x.round() + x.floor() + x.ceil() + x.trunc() + x.sign(), (3, 4)),
    "clamps": (lambda x: x.clamp(-0.5, 0.5) + x.clamp(min=0.1) + x.clamp(max=0.2) + torch.clip(x, -1, 1), (3, 4)),
    "extremes of two": (lambda x: torch.maximum(x, x.sin()) + torch.minimum(x, x.cos()) + torch.max(x, x * 2), (3, 4)),
    "where": (lambda x: torch.where(x > x.sin(), x.exp(), x) + torch.where(x >= 0, x, 0.0), (3, 4)),
    "comparisons": (lambda x: (x > 0) * x + (x <= x.sin()) * x.exp() + (x.sin() >= x) * x.cos(), (3, 4)),
    "matmul": (lambda x: torch.matmul(x, x.transpose(1, 2)) + torch.bmm(x, x.mT), (3, 4)),
    "relu": (lambda x: functional.relu(x * 1, True) + x.relu() + torch.relu(x), (2, 3, 4)),
    "activations": (
        lambda x: functional.elu(x, 0.7) + functional.selu(x) * functional.celu(x, 0.25) + functional.leaky_relu(x),
        (2, 3, 4),
    ),
    "gates": (
        lambda x: functional.gelu(x) + functional.gelu(x, approximate="tanh") + functional.silu(x) + functional.mish(x),
        (2, 3, 4),
    ),
    "hard ones": (
        lambda x: functional.hardswish(x) + functional.hardtanh(x, -0.3, 0.4) + functional.relu6(3 * x),
        (2, 3, 4),
    ),
    "soft ones": (
        lambda x: functional.softplus(x, 2) + functional.softsign(x) + functional.logsigmoid(x) + torch.tanh(x),
        (2, 3, 4),
    ),
    "threshold": (lambda x: functional.threshold(x, 0.1, -2.0), (3, 4)),
    "of a circle": (
        lambda x: torch.tan(x) + torch.atan(x) + (x.tanh() * 0.9).asin() + torch.arccos(x.sin() * 0.9),
        (3, 4),
    ),
    "of a hyperbola": (
        lambda x: x.sinh() + torch.cosh(x) + x.arcsinh() + torch.acosh(x.cosh() + 0.5) + (x.tanh() * 0.9).atanh(),
        (3, 4),
    ),
    "softmax": (lambda x: functional.softmax(x, dim=1) + torch.log_softmax(x, -1) + x.softmax(2), (3, 4)),
    "max pool": (
        lambda x: functional.max_pool2d(x, 2, padding=1) + functional.max_pool2d(x, 3, 2, 1, ceil_mode=True),
        (2, 6, 8),
    ),
    "average pool": (lambda x: functional.avg_pool2d(x, 3, 1, 1, False, False) * x, (2, 5, 4)),
    "pools of sequences": (lambda x: functional.max_pool1d(x, 2) + functional.avg_pool1d(x, 2), (3, 8)),
    "adaptive pools": (
        lambda x: functional.adaptive_avg_pool2d(x, (2, 3)) + functional.adaptive_max_pool2d(x, (2, 3)),
        (2, 5, 7),
    ),
    "adaptive pool of sequences": (lambda x: functional.adaptive_avg_pool1d(x, 1).flatten(1), (3, 7)),
    "more adaptive pools of sequences": (
        lambda x: functional.adaptive_avg_pool1d(x, 3) + functional.adaptive_max_pool1d(x, 3),
        (3, 7),
    ),
    "pools of volumes": (
        lambda x: functional.max_pool3d(x, 2, 1) + functional.avg_pool3d(x, 3, 1, (1, 1, 0))[:, :, 1:, 1:]
        + functional.adaptive_avg_pool3d(x, (3, 2, 1)) * functional.adaptive_max_pool3d(x, 1),
        (2, 4, 3, 3),
    ),
    "volumes of another size": (
        lambda x: functional.interpolate(x, scale_factor=2)
        + functional.interpolate(x, size=(4, 6, 4), mode="trilinear", align_corners=True)
        + functional.pad(x, (1, 1, 2, 1, 0, 2), "replicate"),
        (2, 2, 3, 2),
    ),
    "sequences of another size": (
        lambda x: functional.interpolate(x, scale_factor=2) + functional.interpolate(x, size=8, mode="linear"),
        (2, 4),
    ),
    "interpolate": (
        lambda x: functional.interpolate(x, scale_factor=2)
        + functional.interpolate(x, size=(6, 8), mode="bilinear", align_corners=True)
        + functional.interpolate(x, size=(6, 8), mode="bicubic", align_corners=False),
        (2, 3, 4),
    ),
    "pads": (
        lambda x: functional.pad(x, (1, 2, 0, 1)) + functional.pad(x, (2, 1, 1, 0), "reflect"),
        (2, 3, 4),
    ),
    "pad of a sequence": (lambda x: functional.pad(x, (1, 2), value=0.5), (3, 4)),
    "local response": (lambda x: functional.local_response_norm(x, 3, 0.5), (5, 3, 2)),
    "pixel shuffle": (lambda x: functional.pixel_shuffle(x, 2), (8, 2, 3)),
    "channel shuffle by flatten": (lambda x: x.unflatten(1, (3, 2)).transpose(1, 2).flatten(1, 2) * x, (6, 2, 3)),
    "channel shuffle": (lambda x: functional.channel_shuffle(x, 3) * x, (6, 2, 3)),
    "norms without weights": (
        lambda x: functional.layer_norm(x, (4,)) + functional.group_norm(x, 3, eps=1e-3),
        (3, 4),
    ),
    "norm of the last axis of images": (lambda x: functional.layer_norm(x * 2, (4,)), (2, 3, 4)),
    "flatten": (lambda x: torch.flatten(x, 1) * x.flatten(start_dim=1), (2, 3, 4)),
    "flatten a part": (lambda x: x.flatten(2).transpose(1, 2), (2, 3, 4)),
    "views": (lambda x: x.view(x.size(0), -1).view(-1, 4, 6).reshape(x.shape[0], 2, 3, 4) * x, (2, 3, 4)),
    "unflatten": (lambda x: x.unflatten(1, (2, 3)), (6, 4)),
    "permute": (lambda x: x.permute(0, 3, 1, 2).contiguous() + x.permute((0, 3, 1, 2)).clone(), (2, 3, 4)),
    "channels last for good": (lambda x: torch.relu(x).permute(0, 2, 3, 1), (2, 3, 4)),
    "channels last, and a sum": (lambda x: x.permute(0, 2, 3, 1).sum(3) + x.permute(0, 2, 3, 1)[..., 0], (2, 3, 4)),
    "channels last, of two": (lambda x: x.permute(0, 2, 3, 1) * x.exp().permute(0, 2, 3, 1) + 1, (2, 3, 4)),
    "moved twice": (lambda x: x.permute(0, 2, 3, 1).permute(0, 2, 1, 3), (2, 3, 4)),
    "transpose": (lambda x: x.transpose(1, -1) + torch.swapaxes(x, 3, 1), (2, 3, 4)),
    "squeeze": (lambda x: x.mean(3, keepdim=True).squeeze(3).unsqueeze(-1).squeeze(-1), (2, 3, 4)),
    "expand": (lambda x: x.mean(2, keepdim=True).expand(-1, -1, 3, 4) * x, (2, 3, 4)),
    "repeat": (lambda x: x.repeat(1, 2, 1, 3), (2, 3, 4)),
    "cat": (lambda x: torch.cat((x, x.exp(), x.sin()), dim=1), (2, 3, 4)),
    "stack": (lambda x: torch.stack([x, x.exp()], dim=2), (3, 4)),
    "select": (lambda x: x[:, 1] + x.select(1, -1) + x[:, 0, :], (3, 4)),
    "slices": (lambda x: x[:, 1:, ::2] + x[:, :-1, 1::2] + x.narrow(1, 0, 2)[:, :, 0:4:2], (3, 4)),
    "ellipsis": (lambda x: x[..., 1:] * x[:, None][:, 0][..., :-1], (3, 4)),
    "places": (lambda x: x[:, [0, 2]] + x[:, :2] + x.index_select(1, torch.tensor([2, 0])), (3, 4)),
    "chunk": (lambda x: torch.chunk(x, 2, 1)[0] * x.chunk(2, dim=1)[1], (4, 3)),
    "split": (lambda x: x.split([1, 3], 1)[1] + torch.split(x, 2, 1)[0].unbind(1)[1][:, None], (4, 3)),
    "reductions": (lambda x: x.sum(1) + x.mean([1]) + x.amax(1) + x.amin(dim=1) + x.prod(1) + x.logsumexp(1), (3, 4)),
    "extremes along an axis": (lambda x: x.max(1)[0] + torch.min(x, dim=1, keepdim=True)[0].squeeze(1), (3, 4)),
    "addcmul": (lambda x: torch.addcmul(x, x.sin(), x.cos(), value=0.5) + torch.addcdiv(x, x, x.exp()), (3, 4)),
    "expand_as": (lambda x: x.mean(2, keepdim=True).expand_as(x) * x + x.sum(1).reshape_as(x[:, 0])[:, None], (3, 4)),
    "norms of vectors": (
        lambda x: x.norm(dim=2) + x.norm(p=1, dim=-1) + torch.linalg.vector_norm(x, dim=2) + x.norm(3.0, 2),
        (3, 4),
    ),
    "normalize": (lambda x: functional.normalize(x, dim=-1) + functional.normalize(x, p=1.0, dim=1), (3, 4)),
    "variance": (lambda x: x.var(1) + x.var((1,), unbiased=False) * torch.var(x, dim=1, correction=0), (3, 4)),
    "deviation": (lambda x: x.std(2, keepdim=True) * x, (3, 4)),
    "rms_norm": (lambda x: functional.rms_norm(x, (4,)) + functional.rms_norm(x, (4,), eps=0.1), (3, 4)),
    "glu": (lambda x: functional.glu(x, dim=1) + functional.glu(x.transpose(1, 2), -1).transpose(1, 2), (4, 3)),
    "windows along an axis": (lambda x: x.unfold(1, 3, 2).sum(2) * x.unfold(2, 2, 1).sum(3)[:, :2, :3], (5, 4)),
    "windows as columns": (lambda x: functional.unfold(x, (2, 3), 2, padding=(1, 2), stride=(1, 2)), (2, 4, 5)),
    "zeros and ones": (
        lambda x: x + torch.zeros(3, 4, dtype=x.dtype) + torch.cat([torch.ones(x.shape[0], 3, 1), x[:, :, 1:]], 2),
        (3, 4),
    ),
    "made for each image": (
        lambda x: x + (~torch.zeros(x.shape[0], 3, 4, dtype=torch.bool)).cumsum(1, dtype=x.dtype) / 3,
        (3, 4),
    ),
    "masks": (lambda x: x.masked_fill(x > 0.5, -2.0).masked_fill(torch.eye(3, 4).bool(), 0.25), (3, 4)),
    "rolled and flipped": (lambda x: x.roll(1, 2) + torch.roll(x, (2, -1), (1, 2)) * x.flip(1).flip((1, 2)), (3, 4)),
    "stacked in front": (lambda x: torch.stack([x, x.exp(), x.sin()], 0).mean(0) + torch.stack((x, x * 2))[1], (3, 4)),
    "antialiased": (
        lambda x: functional.interpolate(x, (3, 4), mode="bicubic", align_corners=False, antialias=True)
        + functional.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True),
        (2, 6, 8),
    ),
    "movedim": (lambda x: x.movedim(1, 3) + torch.movedim(x, (1, 2), (3, 1)).transpose(1, 2), (2, 3, 3)),
    "windows in the batch": (
        lambda x: x.reshape(-1, 2, 4).softmax(2).mean(1).reshape(x.shape[0], -1)
        * x.flatten(0, 1).unflatten(0, (x.shape[0], 4)).sum(2).repeat(1, 2),
        (4, 4),
    ),
    "product over heads": (lambda x: torch.bmm(y := x.reshape(x.shape[0] * 2, 3, 4), y.mT).view(-1, 2, 3, 3), (6, 4)),
    "causal attention": (lambda x: functional.scaled_dot_product_attention(x, x * 2, x, is_causal=True), (2, 3, 4)),
    "masked attention": (
        lambda x: functional.scaled_dot_product_attention(x, x, x, attn_mask=torch.eye(3).bool())
        + functional.scaled_dot_product_attention(x, x, x, attn_mask=torch.arange(9.0).reshape(3, 3).to(x.dtype))
        + functional.scaled_dot_product_attention(x, x, x, attn_mask=x[..., :3] > x[..., :1] - 0.3),
        (2, 3, 4),
    ),
    "numbers": (lambda x: x.reshape(x.shape[0], x.shape[1] // 2, x.shape[2] * 2), (4, 3)),
    "shrunk": (
        lambda x: functional.softshrink(x, 0.3) + functional.hardshrink(x, 0.4) + functional.tanhshrink(x),
        (3, 4),
    ),
    "logarithms": (lambda x: x.exp().log2() + x.exp().log10() + x.abs().log1p() + x.expm1() * x.exp2(), (3, 4)),
    "remainders": (lambda x: x % 0.7 + torch.fmod(x, 0.7) + x.remainder(x.exp()) + x.div(0.3).floor(), (3, 4)),
    "between": (lambda x: torch.lerp(x, x.exp(), 0.3) + torch.lerp(x, x.sin(), x.cos()) + x.tan(), (3, 4)),
    "clamps by tensors": (lambda x: x.clamp(x.sin(), x.exp()) + torch.clamp(x, max=x.cos()), (3, 4)),
    "softmin": (lambda x: functional.softmin(x, dim=1), (3, 4)),
    "sorted": (lambda x: x.sort(1)[0] + x.topk(3, 1, largest=False)[0] + x.take_along_dim(x.argsort(1), 1), (3, 4)),
    "picked": (lambda x: x.gather(2, x[:, :2].abs().argmax(2, keepdim=True)) * x.cumsum(1)[:, :2], (3, 4)),
    "cosines": (
        lambda x: functional.cosine_similarity(x, x.exp(), dim=2) + functional.pairwise_distance(x, x.sin(), 1.0),
        (3, 4),
    ),
    "mean and variance": (lambda x: torch.var_mean(x, 1)[0] + torch.std_mean(x, dim=1)[1], (3, 4)),
    "instance norm": (lambda x: functional.instance_norm(x, eps=1e-3), (3, 4, 5)),
    "einsum": (
        lambda x: torch.einsum("nij,nkj,nk->nik", x, x.exp(), x[:, :, 0]) + torch.einsum("...ij->...i", x)[:, :, None],
        (3, 4),
    ),
    "triangles": (lambda x: x.tril() + torch.triu(x, 1).mT.mT, (3, 4)),
    "made like it": (lambda x: x * x.new_ones(4) + torch.full_like(x, 2.0) + x.new_zeros(3, 1), (3, 4)),
    "folded": (lambda x: functional.fold(x, (3, 4), 2, padding=1, stride=1), (8, 20)),
    "sequences resized": (
        lambda x: functional.interpolate(x, 8, mode="linear", align_corners=True)
        + functional.interpolate(x, scale_factor=2.0)
        + functional.adaptive_avg_pool1d(x, 8)
        + functional.adaptive_max_pool1d(x, 8),
        (3, 4),
    ),
    "images resized": (
        lambda x: functional.interpolate(x, scale_factor=2, mode="bicubic")
        + functional.interpolate(x, (6, 8), mode="area")
        + functional.interpolate(x, (6, 8), mode="nearest-exact"),
        (2, 3, 4),
    ),
    "borders cut off": (lambda x: functional.pad(x, (-1, 2, 0, -1)) + functional.pad(x, (0, 1, -1, 0)), (2, 4, 5)),
    "a part written": (lambda x: written(x * 1, x), (3, 4)),
    "identities": (lambda x: x.contiguous().double().clone().to(torch.float64).type_as(x) * 1, (3, 4)),
}  # fmt: skip


def in_place(y: Any, x: Any) -> Any:
    y += x.exp()
    y *= 2
    y -= x.sin()
    y /= 4
    return y


def written(y: Any, x: Any) -> Any:
    y[:, 1:, 2] = x[:, 1:, 0].exp()
    y[:, 0] = 0.5
    y[:, :, 1:3] += x[:, :, :2]
    return y * y


@pytest.mark.parametrize("name", CALLS)
def test_function_is_the_same(name: str) -> None:
    function, shape = CALLS[name]
    model = cn.from_torch(networks.Function(function), shape)
    x = np.random.default_rng(2).normal(size=(3, *shape))
    x_torch = torch.from_numpy(x.copy()).requires_grad_()
    y, y_torch = model(x, training=True), function(x_torch)
    assert y.shape == tuple(y_torch.shape)
    agree(y, y_torch, 1e-9, "output")
    gradient = np.random.default_rng(3).normal(size=y.shape)
    y_torch.backward(torch.from_numpy(gradient))
    agree(model.backward(gradient), x_torch.grad, 1e-9, "gradient at the input")


MODULES: list[tuple[Any, tuple[int, ...]]] = [
    (nn.AdaptiveAvgPool1d(1), (3, 7)),
    (nn.AdaptiveAvgPool1d(3), (3, 7)),
    (nn.AdaptiveAvgPool3d((2, None, 1)), (3, 5, 2, 3)),
    (nn.AdaptiveMaxPool1d(3), (3, 7)),
    (nn.AdaptiveMaxPool3d((2, None, 1)), (3, 5, 2, 3)),
    (nn.AvgPool3d(2, 1, 1, True, False), (3, 4, 2, 3)),
    (nn.BatchNorm3d(3), (3, 4, 2, 3)),
    (nn.CircularPad3d((1, 2, 0, 1, 1, 0)), (3, 2, 4, 5)),
    (nn.ConstantPad3d(1, -2.0), (3, 2, 4, 5)),
    (nn.Conv3d(4, 6, (3, 2, 1), (1, 2, 1), (1, 0, 2), 1, 2), (4, 3, 5, 2)),
    (nn.ConvTranspose1d(3, 4, 3, 2, 1, 1), (3, 5)),
    (nn.ConvTranspose3d(4, 6, (3, 2, 1), (2, 2, 1), (1, 0, 0), (1, 0, 0), 2), (4, 3, 2, 2)),
    (nn.Dropout1d(0.5), (3, 4)),
    (nn.Dropout3d(0.5), (3, 4, 2, 2)),
    (nn.InstanceNorm3d(3, affine=True), (3, 4, 2, 2)),
    (nn.MaxPool3d((3, 2, 1), 2, (1, 1, 0), ceil_mode=True), (3, 4, 4, 5)),
    (nn.ReflectionPad3d((1, 0, 2, 1, 1, 1)), (3, 2, 4, 5)),
    (nn.Upsample(scale_factor=(2, 1.5, 2), mode="trilinear"), (3, 2, 4, 5)),
    (nn.ZeroPad3d(1), (3, 2, 4, 5)),
    (nn.ZeroPad2d((-1, 2, 0, -2)), (3, 4, 5)),
    (nn.ConstantPad1d((1, -2), 0.5), (3, 4)),
    (nn.AdaptiveMaxPool2d((2, None)), (3, 5, 4)),
    (nn.CELU(0.5), (3, 4)),
    (nn.CircularPad2d((1, 2, 0, 1)), (3, 4, 5)),
    (nn.ConstantPad1d((1, 2), 0.5), (3, 4)),
    (nn.ConstantPad2d(1, -2.0), (3, 4, 5)),
    (nn.Conv1d(3, 4, 3, padding="same", groups=1), (3, 8)),
    (nn.Conv1d(3, 4, 3, padding=2, padding_mode="circular"), (3, 8)),
    (nn.Conv2d(3, 4, 3, padding=(1, 2), stride=2, padding_mode="reflect"), (3, 4, 5)),
    (nn.Conv2d(3, 4, (2, 3), padding="same", padding_mode="replicate"), (3, 4, 5)),
    (nn.ConvTranspose2d(3, 4, 3, 2, 1, 1, bias=False), (3, 4, 5)),
    (nn.Dropout(0.5), (3, 4)),
    (nn.Dropout2d(0.5), (3, 4, 5)),
    (nn.GroupNorm(3, 6, affine=False), (6, 4, 5)),
    (nn.Hardsigmoid(), (3, 4)),
    (nn.InstanceNorm2d(3, track_running_stats=True), (3, 4, 5)),
    (nn.LayerNorm((3, 4), bias=False), (3, 4)),
    (nn.LayerNorm(5, elementwise_affine=False), (3, 4, 5)),
    (nn.Linear(5, 4, bias=False), (3, 4, 5)),
    (nn.LocalResponseNorm(3), (5, 4, 4)),
    (nn.LogSigmoid(), (3, 4)),
    (nn.PReLU(3), (3, 4)),
    (nn.ReflectionPad2d((1, 0, 2, 1)), (3, 4, 5)),
    (nn.ReplicationPad1d(2), (3, 4)),
    (nn.Softmax2d(), (3, 4, 5)),
    (nn.Softsign(), (3, 4)),
    (nn.Threshold(0.1, 2.0), (3, 4)),
    (nn.Unflatten(1, (2, 3)), (6, 4)),
    (nn.UpsamplingBilinear2d(scale_factor=2), (3, 4, 5)),
    (nn.UpsamplingNearest2d((7, 6)), (3, 4, 5)),
    (nn.ZeroPad1d((1, 2)), (3, 4)),
]


@pytest.mark.parametrize(("module", "shape"), MODULES, ids=lambda each: str(each).replace(" ", ""))
@pytest.mark.parametrize("followed", [False, True])
def test_module_is_the_same_by_itself_and_within_another(module: Any, shape: tuple[int, ...], followed: bool) -> None:
    module = stirred(module, "float64").eval()
    model = cn.from_torch(networks.Within(module) if followed else nn.Sequential(module), shape)
    x = np.random.default_rng(2).normal(size=(3, *shape))
    agree(model(x), module(torch.from_numpy(x)), 1e-9 if model.dtype == np.float64 else 1e-6, "output")


PARTS: dict[str, tuple[Callable[[Any, Any, Any], Any], tuple[int, ...]]] = {
    "batch norm": (lambda x, w, b: functional.batch_norm(x, None, None, w, b, training=True), (3, 4)),
    "group norm": (lambda x, w, b: functional.group_norm(x, 1, w, b, 1e-3), (3, 4, 5)),
    "layer norm": (lambda x, w, b: functional.layer_norm(x, (3,), w, b), (4, 3)),
    "batch norm of torch": (lambda x, w, b: torch.batch_norm(x, w, b, None, None, True, 0.1, 1e-5, False), (3, 2, 4)),
}


@pytest.mark.parametrize("left_out", ["", "weight", "bias", "both"])
@pytest.mark.parametrize("name", PARTS)
def test_norm_as_a_function_has_what_it_is_given(name: str, left_out: str) -> None:
    class Norm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.Module()
            self.norm.weight = None if left_out in ("weight", "both") else nn.Parameter(torch.ones(3))
            self.norm.bias = None if left_out in ("bias", "both") else nn.Parameter(torch.zeros(3))
            self.other = nn.Parameter(torch.ones(1))

        def forward(self, x: Any) -> Any:
            return function(x * self.other, self.norm.weight, self.norm.bias)

    if (name, left_out) == ("group norm", "weight"):
        return  # PyTorch itself has no such group norm
    function, shape = PARTS[name]
    module = stirred(Norm(), "float64")
    model = cn.from_torch(module, shape)
    x = np.random.default_rng(1).normal(size=(3, *shape))
    y, y_torch = model(x, training=True), module(torch.from_numpy(x))
    agree(y, y_torch, 1e-9, "output")
    gradient = np.random.default_rng(2).normal(size=y.shape)
    y_torch.backward(torch.from_numpy(gradient))
    model.backward(gradient)
    theirs = dict(module.named_parameters())
    assert {counterpart(each.name, theirs) for each in model.parameters()} == theirs.keys()
    for parameter in model.parameters():
        agree(parameter.grad, theirs[counterpart(parameter.name, theirs)].grad, 1e-8, f"gradient of {parameter.name}")


def test_shortcut_reads_what_an_activation_in_place_left() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.relu, self.conv = nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1)

        def forward(self, x: Any) -> Any:
            x = self.norm(x)
            return self.conv(self.relu(x)) + x

    torch.manual_seed(0)
    module = Block().double().eval()
    x = torch.randn(2, 4, 3, 3, dtype=torch.float64)
    agree(cn.from_torch(module)(x.numpy()), module(x), 1e-12, "output")


def test_subclass_that_computes_the_same_is_known() -> None:
    class Own(nn.Conv2d):
        def __init__(self) -> None:
            super().__init__(3, 4, 3)

        def reset_parameters(self) -> None:
            nn.init.ones_(self.weight)
            nn.init.zeros_(self.bias)

    model = cn.from_torch(nn.Sequential(Own()), (3, 5, 5))
    assert isinstance(model[0], cn.Conv2d)


def test_subclass_that_computes_something_else_is_followed() -> None:
    class Standardized(nn.Conv2d):
        def forward(self, x: Any) -> Any:
            return functional.conv2d(2 * x, self.weight, self.bias, self.stride, self.padding)

    module = stirred(nn.Sequential(Standardized(3, 4, 3, 2, 1)), "float64")
    model = cn.from_torch(module, (3, 5, 5))
    assert [each.name for each in model.parameters()] == ["0.weight", "0.bias"]
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 5))
    agree(model(x), module(torch.from_numpy(x)), 1e-9, "output")


def test_weights_handed_to_functions_have_the_name_of_what_holds_them() -> None:
    class Handed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.turned = nn.Conv1d(3, 4, 3), nn.ConvTranspose2d(4, 2, 2, 2)
            self.norm, self.bend = nn.GroupNorm(2, 4), nn.PReLU(4)
            self.table = nn.Embedding(7, 3)

        def forward(self, x: Any) -> Any:
            x = functional.embedding(x.long(), self.table.weight).transpose(1, 2)
            x = functional.conv1d(x, self.conv.weight, self.conv.bias, padding=1)
            x = functional.group_norm(x, 2, self.norm.weight, self.norm.bias)
            x = functional.prelu(x, self.bend.weight)
            x = x.unflatten(2, (2, 3))
            return functional.conv_transpose2d(x, self.turned.weight, self.turned.bias, stride=2)

    module = stirred(Handed(), "float64")
    model = cn.from_torch(module, (6,))
    assert sorted(model.state_dict()) == sorted(module.state_dict())
    x = np.random.default_rng(0).integers(0, 7, (2, 6)).astype(np.float64)
    agree(model(x), module(torch.from_numpy(x)), 1e-9, "output")


def test_words_may_have_their_steps_first() -> None:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.rnn, self.out = nn.Embedding(7, 3), nn.LSTM(3, 4), nn.Linear(4, 7)

        def forward(self, x: Any) -> Any:
            y, _ = self.rnn(self.table(x.t()))
            return functional.log_softmax(self.out(y), -1).transpose(0, 1)

    module = stirred(Words(), "float64")
    model = cn.from_torch(module, (6,))
    x = np.random.default_rng(0).integers(0, 7, (2, 6))
    agree(model(x), module(torch.from_numpy(x)), 1e-9, "output")


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN", "RNN, relu"])
def test_recurrent_networks_may_be_stepped_by_hand(kind: str) -> None:
    class Stepped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            name, *function = kind.split(", ")
            self.cell = getattr(nn, f"{name}Cell")(3, 4, True, *function)
            self.weight = nn.Parameter(torch.randn(4, 2))

        def forward(self, x: Any) -> Any:
            zeros = torch.zeros(x.size(0), 4, dtype=x.dtype)
            state = (zeros, zeros) if kind == "LSTM" else zeros
            made = []
            for step in x.split(1, dim=1):
                state = self.cell(step.squeeze(1), state)
                made.append(torch.mm(state[0] if kind == "LSTM" else state, self.weight))
            return torch.stack(made, 1)

    module = stirred(Stepped(), "float64")
    model = cn.from_torch(module, (5, 3))
    x, g = np.random.default_rng(0).normal(size=(2, 5, 3)), np.random.default_rng(1).normal(size=(2, 5, 2))
    expected = module(torch.from_numpy(x))
    agree(model(x, training=True), expected, 1e-9, "output")
    expected.backward(torch.from_numpy(g))
    model.backward(g)
    learned = {each.name: each.grad for each in model.parameters()}
    for path, parameter in module.named_parameters():
        alias = model.aliases[path]  # a matrix that rows are multiplied by lies the other way round here
        agree(learned[alias.name].transpose(np.argsort(alias.axes)), parameter.grad, 1e-9, path)


# What comes with the weights


def test_a_chain_of_frozen_layers_is_frozen_in_one_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    model = cn.Model([cn.Dense(2, 2) for _ in range(30)], seed=0)
    model.build((2,))
    model.freeze(*(str(number) for number in range(0, 30, 2)))
    walks = []
    freeze = cn.Model.freeze
    monkeypatch.setattr(cn.Model, "freeze", lambda self, *names: walks.append(names) or freeze(self, *names))
    again = cn.from_torch(cn.to_torch(model))
    assert again.frozen == model.frozen
    assert len(walks) <= 2  # for each parameter, and for each layer: not one for each of their names


def test_what_requires_no_gradient_is_frozen() -> None:
    module = networks.NETWORKS["resnet18"][0]()
    module.conv1.requires_grad_(False)
    module.layer1[0].bn1.bias.requires_grad_(False)
    model = cn.from_torch(module)
    assert [each.name for each in model.parameters() if not each.trainable] == ["conv1.weight", "layer1.0.bn1.bias"]
    back = model.to_torch()
    assert [name for name, each in back.named_parameters() if not each.requires_grad] == [
        "conv1.weight",
        "layer1.0.bn1.bias",
    ]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_becomes_float32_with_the_same_numbers(dtype: str) -> None:
    module = nn.Sequential(nn.Linear(5, 3)).to(getattr(torch, dtype))
    model = cn.from_torch(module)
    assert model.dtype == np.float32
    assert np.array_equal(model.state_dict()["0.weight"], module[0].weight.detach().float().numpy())


def test_model_has_weights_of_its_own() -> None:
    module = nn.Sequential(nn.Linear(5, 3))
    model = cn.from_torch(module)
    before = module[0].weight.detach().clone()
    model.parameters()[0].value[...] = 7
    assert torch.equal(module[0].weight, before)


def test_module_stays_as_it_is() -> None:
    class Calls(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(3)
            self.drop = nn.Dropout()

        def forward(self, x: Any) -> Any:
            return self.drop(self.norm(x)) + torch.tensor([1.0, 2.0, 3.0])

    module = Calls()
    module.drop.eval()
    before, state = dict(vars(module)), {name: each.clone() for name, each in module.state_dict().items()}
    cn.from_torch(module, (3,))
    assert vars(module).keys() == before.keys()
    assert (module.training, module.norm.training, module.drop.training) == (True, True, False)
    assert all(torch.equal(each, state[name]) for name, each in module.state_dict().items())


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # of its own parts
@pytest.mark.parametrize("wrapper", ["DataParallel", "OptimizedModule"])
def test_wrappers_are_looked_through(wrapper: str) -> None:
    inner = nn.Sequential(nn.Linear(4, 2))
    if wrapper == "DataParallel":
        module: Any = nn.DataParallel(inner)
    else:
        module = torch.compile(inner)  # compiles nothing before it is called
    assert [each.name for each in cn.from_torch(module).parameters()] == ["0.weight", "0.bias"]


def test_imported_model_is_saved_and_loaded(tmp_path: Any) -> None:
    make, shape, _ = networks.NETWORKS["transformer"]
    model = cn.from_torch(make(), shape)
    model.save(tmp_path / "model.safetensors")
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    assert np.array_equal(cn.load(tmp_path / "model.safetensors")(x), model(x))


def test_channels_moved_last_and_back_are_not_moved_at_all() -> None:
    model = cn.from_torch(networks.NETWORKS["channels-last"][0]())
    kinds = [type(layer).__name__ for layer in model.body.nodes.values()]
    assert "Permute" not in kinds
    assert kinds.count("LayerNorm2d") == 2


# What is left out, and what is refused


def test_what_is_done_in_training_alone_is_left_out_with_a_warning() -> None:
    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.main, self.auxiliary = nn.Linear(4, 2), nn.Linear(4, 2)

        def forward(self, x: Any) -> Any:
            return (self.main(x), self.auxiliary(x)) if self.training else self.main(x)

    with pytest.warns(UserWarning, match="Auxiliary does more in training than outside it; that is left out") as caught:
        model = cn.from_torch(Auxiliary(), (4,))
    assert caught[0].filename == __file__
    assert model.output_shape == (2,)


def of(function: Callable[..., Any]) -> Any:
    return networks.Function(function)


def hooked() -> Any:
    module = nn.Sequential(nn.Linear(4, 2))
    module[0].register_forward_hook(lambda module, inputs, output: output * 2)
    return module


def tied() -> Any:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
            self.second.weight = self.first.weight

        def forward(self, x: Any) -> Any:
            return self.second(self.first(x))

    return Tied()


class Branching(nn.Module):
    def forward(self, x: Any) -> Any:
        return x if x.sum() > 0 else -x


class AtRest(nn.Module):
    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.norm, self.function = nn.BatchNorm1d(3), function

    def forward(self, x: Any) -> Any:
        return self.function(x, self.norm)


REFUSED: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "no module": (lambda: [nn.Linear(2, 2)], None, "expected a torch.nn.Module, got list"),
    "unknown layer": (lambda: nn.Sequential(nn.Linear(4, 4), nn.LSTM(4, 4)), None, r"1 \(torch.nn.LSTM\) can't be"),
    "unknown layer, nested": (
        lambda: nn.Sequential(nn.Sequential(nn.LPPool2d(2, 2))),
        None,
        "lp_pool2d in 0.0 can't be converted: Colonnade has no layer for it",
    ),
    "unknown argument": (
        lambda: nn.Sequential(nn.Upsample(scale_factor=2, mode="bicubic")),
        None,
        r"0 \(torch.nn.Upsample\) can't be converted: Upsample: mode must be",
    ),
    "embedding": (lambda: nn.Sequential(nn.Embedding(5, 3, max_norm=1.0)), None, "max_norm must be None, got 1.0"),
    "softmax without axis": (lambda: nn.Sequential(nn.Softmax()), None, "dim must be given"),
    "unknown function": (
        lambda: of(lambda x: torch.fft.fft(x)),
        (4,),
        "fft_fft in Function can't be converted: Colonn",
    ),
    "unknown method": (
        lambda: of(lambda x: x.cummax(1)[0]),
        (4,),
        "cummax in Function can't be converted: Colonnade has",
    ),
    "unknown arguments": (lambda: of(lambda x: x.mean(1, nonsense=3)), (4,), "other arguments than Colonnade knows"),
    "control flow": (Branching, (4,), "torch.fx can't follow Branching: symbolically traced variables cannot be used"),
    "control flow, nested": (
        lambda: networks.Within(Branching()),
        (4,),
        r"torch.fx can't follow Within in inner \(Branching\): symbolically traced",
    ),
    "variable arguments": (networks.Anything, (4,), "forward must not take a variable number of arguments"),
    "flatten with the batch": (lambda: of(lambda x: x.flatten()), (3, 4), "start_dim must be 1 or more"),
    "fixed batch": (lambda: of(lambda x: x.view(8, 12)), (3, 4), "the number of images is fixed to 8"),
    "batch in a product": (lambda: of(lambda x: x.reshape(x.shape[0] * 3, 4)), (3, 4), "returns 3 times"),
    "batch mixed": (lambda: of(lambda x: x.reshape(-1, 4)), (3, 4), "the images of a batch would be mixed"),
    "batch moved": (lambda: of(lambda x: x.transpose(0, 1).relu()), (3, 4), "the axis of the batch must come first"),
    "batch selected from": (lambda: of(lambda x: x[0]), (3, 4), "images of the batch can't be selected"),
    "batch reduced": (lambda: of(lambda x: x.mean()), (3, 4), "dim must be given"),
    "cat along the batch": (lambda: of(lambda x: torch.cat([x, x])), (3, 4), "dim must not be the batch"),
    "squeeze of all": (lambda: of(lambda x: x.squeeze()), (3, 1), "a batch of one image would lose its axis"),
    "detach": (lambda: of(lambda x: x.detach() + x), (3,), "gradients stop nowhere within a model"),
    "dropout at all times": (lambda: of(lambda x: functional.dropout(x, 0.5)), (3,), "pass training=self.training"),
    "windows and images": (
        lambda: of(lambda x: x.reshape(-1, 2, 4) + x[:, :2]),
        (4, 4),
        "add in Function can't be converted: images and windows of images can't be combined",
    ),
    "sums over windows": (
        lambda: of(lambda x: x.reshape(-1, 2, 4).sum(0)),
        (4, 4),
        "dim must be an axis of one window, 1 to 2, got 0",
    ),
    "softmax over windows": (lambda: of(lambda x: x.reshape(-1, 2, 4).softmax(-3)), (4, 4), "got -3"),
    "count of images": (
        lambda: of(lambda x: x + torch.arange(x.shape[0], dtype=x.dtype)[:, None]),
        (4,),
        "it depends on the number of images",
    ),
    "batch norm at rest": (
        lambda: AtRest(lambda x, norm: functional.batch_norm(x, norm.running_mean, norm.running_var)),
        (3, 4),
        "it uses its running statistics in training too",
    ),
    "axes that differ": (lambda: of(lambda x: x + x.mean(2)), (3, 4, 5), "expected tensors of as many axes each"),
    "refused by itself": (networks.OnlySquare, (3, 4, 5), "the module refuses this input: expected a square"),
    "indices of a pool": (
        lambda: of(lambda x: functional.max_pool2d(x, 2, return_indices=True)[1] * 1.0),
        (3, 4, 4),
        "mul in Function can't be converted: it uses what Colonnade's layer does not put out",
    ),
    "hook": (hooked, None, "it has a forward hook"),
    "tied": (
        tied,
        (4,),
        r"second \(torch.nn.Linear\) can't be converted: its weights belong to another layer too, as f",
    ),
    "tied in a chain": (
        tied_chain,
        None,
        r"2 \(torch.nn.Linear\) can't be converted: its weights belong to another layer too, as 0.weight",
    ),
    "tied and transposed": (
        lambda: Square(lambda x, weight: functional.linear(functional.linear(x, weight), weight.t())),
        (4,),
        "linear in Square can't be converted: its weights belong to another layer too, as weight",
    ),
    "data": (lambda: Square(lambda x, weight: functional.linear(x, weight.data)), (4,), "gradients stop nowhere"),
    "view in place": (
        lambda: of(lambda x: [y := x * 2, y.flatten(1).mul_(3)][0]),
        (3, 4),
        "mul can't be converted: it changes in place what output reads through a view",
    ),
    "parameter in place": (
        lambda: Square(lambda x, weight: x + weight.add_(1)),
        (4, 4),
        "add can't be converted: it changes weight",
    ),
    "meta": (lambda: nn.Linear(3, 3, device="meta"), None, "weight is on the device 'meta'"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(3)), None, "0.weight has no shape yet"),
    "complex": (lambda: nn.Linear(3, 3, dtype=torch.complex64), None, "weight holds complex numbers"),
    "output that is no tensor": (networks.NoTensor, (4,), "NoTensor must return tensors, got 'text'"),
    "shape that is none": (networks.TwoInputsTwoOutputs, (5,), "expected a shape for each input"),
}


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_counterpart_is_named_in_one_line(name: str) -> None:
    make, shape, match = REFUSED[name]
    with pytest.raises(ArgumentError, match=match) as caught:
        cn.from_torch(make(), shape)
    message = str(caught.value)
    assert message.startswith("from_torch: ")
    assert message.endswith(".")
    assert "\n" not in message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_shape_that_does_not_fit_names_the_layer() -> None:
    with pytest.raises(ShapeError, match=r"conv1 .*expected 3 input channels, got an input of shape \(1, 40, 33\)"):
        cn.from_torch(networks.NETWORKS["resnet18"][0](), (1, 40, 33))


def test_without_torch_one_line_says_how_to_install_it() -> None:
    program = (
        "import sys; sys.modules['torch'] = None; import colonnade as cn\n"
        "for call in (cn.from_torch, cn.to_torch):\n"
        "    try: call(None)\n"
        "    except cn.errors.MissingExtraError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    said = "needs PyTorch, which is not installed: pip install torch"
    assert run.stdout.splitlines() == [f"from_torch: it {said}", f"to_torch: it {said}"]


TORCHVISION = ["mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1", "efficientnet_b0"]


@pytest.mark.parametrize("name", TORCHVISION)
def test_network_of_torchvision(name: str) -> None:
    try:
        from torchvision import models
    except (ImportError, RuntimeError) as error:  # built for another PyTorch
        pytest.skip(f"torchvision is not installed, or does not fit PyTorch: {error}")
    module = getattr(models, name)(weights=None).eval()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "from_torch: Colonnade has no stochastic depth", UserWarning)
        model = cn.from_torch(module, (3, 64, 64))
    x = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype("float32")
    agree(model(x), module(torch.from_numpy(x)), 1e-4, "output")
    assert model.state_dict().keys() == module.state_dict().keys()
