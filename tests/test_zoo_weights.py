"""Trained weights of torchvision's and timm's names: what PyTorch makes of them is the truth."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import colonnade as cn

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

if TYPE_CHECKING:
    from tests import zoo_torch
else:
    zoo_torch = pytest.importorskip("tests.zoo_torch", reason="PyTorch is not installed")

pytestmark = pytest.mark.usefixtures("one_torch_thread")
CLASSES = 7
CONVNEXT = {"depths": (1, 1, 2, 1), "widths": (8, 16, 24, 32)}
DENSENET = {"depth": 22, "growth": 6}
VIT = {"width": 24, "depth": 2}
# Ours, PyTorch's, and one image's shape.
TORCHVISION: dict[str, tuple[Callable[..., cn.Model], Callable[[], Any], tuple[int, ...]]] = {
    "resnet18": (cn.zoo.resnet18, lambda: zoo_torch.ResNet18(3, CLASSES, False), (3, 12, 10)),
    "squeezenet": (cn.zoo.squeezenet, lambda: zoo_torch.squeezenet(3, CLASSES, True), (3, 64, 66)),
    "mobilenet_v2": (cn.zoo.mobilenet_v2, lambda: zoo_torch.mobilenet_v2(3, CLASSES, False, 1.0), (3, 16, 18)),
    "densenet": (
        lambda **options: cn.zoo.densenet(**DENSENET, **options),
        lambda: zoo_torch.densenet(3, CLASSES, 22, 6),
        (3, 12, 10),
    ),
    "convnext_tiny": (
        lambda **options: cn.zoo.convnext_tiny(**CONVNEXT, **options),
        lambda: zoo_torch.convnext(3, CLASSES, 4, *CONVNEXT.values()),
        (3, 64, 66),
    ),
    "vit_tiny": (
        lambda **options: cn.zoo.vit_tiny(**VIT, **options),
        lambda: zoo_torch.VisionTransformer(3, CLASSES, 4, 13, 24, 2, 3),
        (3, 12, 16),
    ),
}


def trained(module: Any) -> Any:
    """The module with weights and running statistics that all differ from what they begin with."""
    torch.manual_seed(5)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.dtype.is_floating_point:
                tensor.add_(0.03 * torch.rand_like(tensor))
    return module.eval()


def save(path: Path, state: dict[str, Any]) -> Path:
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


def require_outputs(model: cn.Model, module: Any, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(1).normal(size=(2, *shape)).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    assert np.abs(model(x) - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", TORCHVISION)
def test_weights_of_torchvision_load(name: str, tmp_path: Path) -> None:
    ours, theirs, shape = TORCHVISION[name]
    module = trained(theirs())
    path = save(tmp_path / "weights.safetensors", module.state_dict())
    model = ours(input_shape=shape, classes=CLASSES, weights=path, seed=9)
    require_outputs(model, module, shape)


def blocks_of_stages(match: re.Match[str]) -> str:
    """A block of torchvision's MobileNetV2 as timm counts it."""
    number, part = int(match[1]) - 1, match[2]
    stage = 0
    while number >= (blocks := (1, 2, 3, 4, 3, 3, 1)[stage]):
        number, stage = number - blocks, stage + 1
    layers = ["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"] if stage else ["conv_dw", "bn1", "conv_pw", "bn2"]
    places = ["0.0", "0.1", "1.0", "1.1", "2", "3"] if stage else ["0.0", "0.1", "1", "2"]
    return f"blocks.{stage}.{number}.{layers[places.index(part)]}."


# torchvision's names, and what timm has for them.
TIMM: dict[str, list[tuple[str, Any]]] = {
    "mobilenet_v2": [
        (r"^features\.0\.0\.", "conv_stem."),
        (r"^features\.0\.1\.", "bn1."),
        (r"^features\.18\.0\.", "conv_head."),
        (r"^features\.18\.1\.", "bn2."),
        (r"^classifier\.1\.", "classifier."),
        (r"^features\.(\d+)\.conv\.(\d(?:\.\d)?)\.(?=[a-z])", blocks_of_stages),
    ],
    "convnext_tiny": [
        (r"^features\.0\.", "stem."),
        (r"^features\.([246])\.", lambda match: f"stages.{int(match[1]) // 2}.downsample."),
        (r"^features\.([1357])\.", lambda match: f"stages.{int(match[1]) // 2}.blocks."),
        (r"block\.0\.", "conv_dw."),
        (r"block\.2\.", "norm."),
        (r"block\.3\.", "mlp.fc1."),
        (r"block\.5\.", "mlp.fc2."),
        (r"layer_scale", "gamma"),
        (r"^classifier\.0\.", "head.norm."),
        (r"^classifier\.2\.", "head.fc."),
    ],
    "vit_tiny": [
        (r"^class_token", "cls_token"),
        (r"^encoder\.pos_embedding", "pos_embed"),
        (r"^conv_proj", "patch_embed.proj"),
        (r"^encoder\.layers\.encoder_layer_", "blocks."),
        (r"ln_([12])", r"norm\1"),
        (r"self_attention\.in_proj_", "attn.qkv."),
        (r"self_attention\.out_proj", "attn.proj"),
        (r"mlp\.0", "mlp.fc1"),
        (r"mlp\.3", "mlp.fc2"),
        (r"^encoder\.ln", "norm"),
        (r"^heads\.head", "head"),
    ],
}


@pytest.mark.parametrize("name", TIMM)
def test_weights_by_the_names_of_timm_load(name: str, tmp_path: Path) -> None:
    ours, theirs, shape = TORCHVISION[name]
    module, state = trained(theirs()), {}
    for key, tensor in module.state_dict().items():
        for pattern, replacement in TIMM[name]:
            key = re.sub(pattern, replacement, key)
        state[key] = tensor
    assert len(state) == len(module.state_dict())
    path = save(tmp_path / "weights.safetensors", state)
    require_outputs(ours(input_shape=shape, classes=CLASSES, weights=path), module, shape)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "size"),
    [
        *(("resnet18", 64), ("mobilenetv2_035", 64), ("mobilenetv2_140", 64), ("convnext_atto", 64)),
        *(("convnext_tiny", 64), ("vit_tiny_patch16_224", 224)),
    ],
)
def test_a_folder_that_timm_wrote_loads(name: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its compiled operators, which no network here has, want the very build of PyTorch that they were made for.
    monkeypatch.setitem(sys.modules, "torchvision._meta_registrations", types.ModuleType("torchvision._none"))
    timm = pytest.importorskip("timm", reason="timm is not installed")
    from timm.models._hub import save_for_hf

    module = trained(timm.create_model(name, num_classes=CLASSES))
    data = {"input_size": (3, size, size), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    names = [f"class {number}" for number in range(CLASSES)]
    save_for_hf(module, tmp_path, model_config={"label_names": names, "pretrained_cfg": data}, safe_serialization=True)
    model = cn.hub.load(tmp_path, input_shape=(3, size, size))
    assert model.classes == names
    require_outputs(model, module, (3, size, size))


def test_what_does_not_fit_is_named_and_nothing_is_read(tmp_path: Path) -> None:
    state = zoo_torch.ResNet18(3, CLASSES, False).state_dict()
    del state["layer1.0.conv1.weight"], state["layer4.0.bn1.running_var"]
    state["extra"] = torch.zeros(3)
    path = save(tmp_path / "weights.safetensors", state)
    message = (
        r"weights\.safetensors: not the weights of resnet18: lacks layer1\.0\.conv1\.weight, "
        r"layer4\.0\.bn1\.running_var; left over are extra; fc\.weight is \(7, 512\) rather than \(5, 512\), "
        r"fc\.bias is \(7,\) rather than \(5,\)\.$"
    )
    with pytest.raises(cn.errors.FileFormatError, match=message):
        cn.zoo.resnet18((3, 12, 12), 5, weights=path)


def test_pickles_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(cn.errors.FileFormatError, match="resnet18 reads safetensors alone, never pickle: in PyTorch"):
        cn.zoo.resnet18(weights=tmp_path / "resnet18.pth")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"PK" * 40)
    with pytest.raises(cn.errors.FileFormatError, match="no safetensors file, or a truncated one"):
        cn.zoo.resnet18(weights=tmp_path / "weights.safetensors")
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        cn.zoo.resnet18(weights=tmp_path / "none.safetensors")
