"""Networks that PyTorch exported, beside ONNX Runtime: outputs, training, saving, names."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

import colonnade as cn

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

if TYPE_CHECKING:
    from tests import zoo_torch
else:
    zoo_torch = pytest.importorskip("tests.zoo_torch", reason="PyTorch is not installed")

nn = torch.nn
Array = np.ndarray[Any, Any]
CLASSES = 5


class Attention(nn.Module):  # type: ignore[name-defined,misc]
    """As in timm: one product for queries, keys and values, and heads by reshaping."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.qkv, self.proj, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, width), heads

    def forward(self, x: Any) -> Any:
        images, tokens, width = x.shape
        qkv = self.qkv(x).reshape(images, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(images, tokens, width))


class Block(nn.Module):  # type: ignore[name-defined,misc]
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.attn = nn.LayerNorm(width), nn.LayerNorm(width), Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Any) -> Any:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Timm(nn.Module):  # type: ignore[name-defined,misc]
    """A vision transformer that averages its tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, 16, 4, 4)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 16))
        self.pos_embed = nn.Parameter(torch.zeros(1, 17, 16))
        self.blocks = nn.Sequential(Block(16, 4), Block(16, 2))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, CLASSES)

    def forward(self, x: Any) -> Any:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x)).mean(1))


class Case(NamedTuple):
    make: Callable[[], Any]
    shape: tuple[int, ...]
    most: int = 0  # for whole numbers below it


CASES = {
    "ResNet-18": Case(lambda: zoo_torch.ResNet18(3, CLASSES, True), (3, 40, 33)),
    "MobileNetV2": Case(lambda: zoo_torch.mobilenet_v2(3, CLASSES, True, 1.0), (3, 64, 48)),
    "ViT": Case(lambda: zoo_torch.VisionTransformer(3, CLASSES, 4, 17, 32, 2, 4), (3, 16, 16)),
    "ViT of timm": Case(Timm, (3, 16, 16)),
    "ConvNeXt": Case(lambda: zoo_torch.convnext(3, CLASSES, 4, (1, 1, 2, 1), (8, 16, 24, 32)), (3, 64, 66)),
    "DenseNet": Case(lambda: zoo_torch.densenet(3, CLASSES, 22, 6), (3, 12, 10)),
    "autoencoder": Case(lambda: zoo_torch.autoencoder(2, 8, False), (2, 12, 20)),
    "names": Case(lambda: zoo_torch.NameModel(4, CLASSES, 5, 11), (4,), CLASSES),
}
# The new exporter takes seconds for each: it has the two that are most unlike.
EXPORTS = [
    *((name, exporter) for name in CASES for exporter in ("script", "script, one image")),
    *((name, "dynamo") for name in ("ViT", "autoencoder")),
]


def randomised(network: Any) -> Any:
    """Weights and statistics such that no layer is what it began as."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    with torch.no_grad():
        for parameter in network.parameters():
            spread = float(parameter.std()) if parameter.numel() > 1 else 0.0
            parameter.add_(torch.randn_like(parameter) * (0.1 * spread or 0.05))
    return network.eval()


def batch(case: Case, images: int) -> Array:
    rng = np.random.default_rng(images)
    if case.most:
        return rng.integers(0, case.most, (images, *case.shape))
    return rng.normal(size=(images, *case.shape)).astype(np.float32)


def export(case: Case, exporter: str, path: Path) -> None:
    torch.manual_seed(0)
    network = randomised(case.make())
    x = torch.from_numpy(batch(case, 1 if "one" in exporter else 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what exporters say of themselves
        if exporter == "dynamo":
            pytest.importorskip("onnxscript", reason="PyTorch's new exporter needs onnxscript")
            shapes = ({0: torch.export.Dim("batch")},)
            torch.onnx.export(
                network, (x,), path, dynamo=True, dynamic_shapes=shapes, external_data=False, verbose=False
            )
        else:
            axes = {} if "one" in exporter else {"dynamic_axes": {"input": {0: "batch"}}}
            torch.onnx.export(network, x, path, dynamo=False, input_names=["input"], **axes)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """The file of a network, made once."""
    folder = tmp_path_factory.mktemp("exported")

    def made(name: str, exporter: str) -> Path:
        path = folder / f"{name} by {exporter}.onnx"
        if not path.exists():
            export(CASES[name], exporter, path)
        return path

    return made


def runtime(path: Path, x: Array) -> Array:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    output: Array = session.run(None, {session.get_inputs()[0].name: x})[0]
    return output


def agree(ours: Array, theirs: Array) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * max(1.0, float(np.abs(theirs).max())))


@pytest.mark.parametrize(("name", "exporter"), EXPORTS)
def test_outputs_are_those_of_onnx_runtime(name: str, exporter: str, exported: Callable[[str, str], Path]) -> None:
    path = exported(name, exporter)
    model = cn.load(path)
    one = batch(CASES[name], 1)
    agree(model(one), runtime(path, one))
    three = batch(CASES[name], 3)
    if "one" in exporter:  # written for one image, it runs any number
        agree(model(three), np.concatenate([runtime(path, three[n : n + 1]) for n in range(3)]))
    else:
        agree(model(three), runtime(path, three))


@pytest.mark.parametrize("name", ["ResNet-18", "MobileNetV2", "ViT", "names"])
def test_what_was_imported_trains(name: str, exported: Callable[[str, str], Path]) -> None:
    model, case = cn.load(exported(name, "script")), CASES[name]
    x, targets = batch(case, 6), np.arange(6) % CLASSES
    loss, optimizer = cn.CrossEntropyLoss(), cn.Adam(model.parameters(), lr=1e-4)
    losses = []
    for _ in range(3):
        model.zero_grad()
        value, grad = loss(model(x, training=True), targets)
        model.backward(grad, input_gradient=False)
        assert all(np.isfinite(parameter.grad).all() for parameter in model.parameters())
        assert sum(bool(parameter.grad.any()) for parameter in model.parameters()) >= 0.9 * len(model.parameters())
        optimizer.step()
        losses.append(value)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["MobileNetV2", "ViT", "ViT of timm"])
def test_what_was_imported_is_saved_and_loaded_without_onnx(
    name: str, exported: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = cn.load(exported(name, "script")), batch(CASES[name], 2)
    model.save(tmp_path / "model.safetensors")
    for module in [each for each in sys.modules if each == "onnx" or each.startswith("onnx.")]:
        monkeypatch.setitem(sys.modules, module, None)
    again = cn.load(tmp_path / "model.safetensors")
    assert again(x).tobytes() == model(x).tobytes()


@pytest.mark.parametrize("name", ["MobileNetV2", "ViT"])
def test_what_was_imported_shares_memory_without_a_trace(name: str, exported: Callable[[str, str], Path]) -> None:
    model, case = cn.load(exported(name, "script")), CASES[name]
    check = cn.testing.Check(model.body, case.shape, images=5, seed=0, tolerance=1e-5)
    check.memory()
    check.poison()


def test_parameters_keep_the_names_they_have_in_pytorch(exported: Callable[[str, str], Path]) -> None:
    ours = cn.load(exported("ViT of timm", "script")).state_dict()
    theirs = Timm().state_dict()
    assert {"blocks.1.attn.proj.weight", "head.bias", "norm.weight", "patch_embed.weight"} <= ours.keys()
    # A parameter that no layer holds is a Constant of its own.
    called = {"cls_token": "cls_token.weight", "pos_embed": "pos_embed.weight"}
    assert {called.get(name, name) for name in theirs} == set(ours)


def test_what_folded_batch_norms_left_is_called_as_its_module(exported: Callable[[str, str], Path]) -> None:
    ours = cn.load(exported("ResNet-18", "script")).state_dict()
    assert {"conv1.weight", "layer3.0.downsample.0.bias", "layer4.1.conv2.weight", "fc.weight"} <= ours.keys()


def test_freezing_and_a_new_head_work_on_what_was_imported(exported: Callable[[str, str], Path]) -> None:
    model = cn.load(exported("ResNet-18", "script"))
    model.freeze("conv1", "layer1.*", "layer2.*")
    x = batch(CASES["ResNet-18"], 4)
    gradient = model.backward(np.ones_like(model(x, training=True)))
    assert gradient is None
    features = model.cut(list(model.body.nodes)[-2])
    assert cn.Model([*features, cn.Dense(512, 3)])(x).shape == (4, 3)
