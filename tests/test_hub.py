"""Trained networks from repositories: a folder of their layout, and a server of this machine that speaks as the Hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade import storage
from tests.hub_server import commit, serving

needs_hub = pytest.mark.skipif(find_spec("huggingface_hub") is None, reason="huggingface_hub is not installed")
NAMES = ["cat", "dog", "horse"]
CONFIG = {
    "architecture": "mobilenetv2_035",
    "num_classes": 3,
    "global_pool": "avg",
    "label_names": ["n1", "n2", "n3"],
    "label_descriptions": {"n1": "cat", "n2": "dog", "n3": "horse"},
    "pretrained_cfg": {"input_size": [3, 32, 40], "mean": [0.5, 0.4, 0.3], "std": [0.25, 0.5, 0.125], "num_classes": 3},
}


@pytest.fixture(scope="module")
def network() -> cn.Model:
    model = cn.zoo.mobilenet_v2((3, 32, 40), 3, width=0.35, stem="imagenet", seed=4)
    for name, array in (state := model.state_dict()).items():
        if name.endswith("running_mean"):
            array += 0.1
    model.load_state_dict(state)
    return model


@pytest.fixture
def folder(tmp_path: Path, network: cn.Model) -> Path:
    storage.write(tmp_path / "model.safetensors", network.state_dict(), {})
    write(tmp_path, CONFIG)
    return tmp_path


def write(folder: Path, config: Any) -> None:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def test_a_folder_makes_the_network_that_its_configuration_names(folder: Path, network: cn.Model) -> None:
    model = cn.hub.load(folder)
    x = np.random.default_rng(0).normal(size=(2, 3, 32, 40)).astype(np.float32)
    np.testing.assert_array_equal(model(x), network(x))
    assert model.classes == NAMES
    assert model.normalization == {"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.5, 0.125]}
    bytes_ = np.random.default_rng(1).integers(0, 256, (32, 40, 3), np.uint8)
    prepared = (bytes_.transpose(2, 0, 1) / 255 - np.reshape([0.5, 0.4, 0.3], (3, 1, 1))) / np.reshape(
        [0.25, 0.5, 0.125], (3, 1, 1)
    )
    likeliest = network(prepared[np.newaxis].astype(np.float32)).argmax()
    assert model.classify(bytes_)[0].name == NAMES[likeliest]  # type: ignore[union-attr]


def test_images_of_another_size_are_taken_where_the_network_can(folder: Path, network: cn.Model) -> None:
    x = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    model = cn.hub.load(folder, input_shape=(3, 64, 64))
    np.testing.assert_array_equal(
        model(x), cn.zoo.mobilenet_v2((3, 64, 64), 3, width=0.35, weights=folder / "model.safetensors")(x)
    )


def test_a_flat_configuration_with_the_words_of_torchvision_is_read(folder: Path) -> None:
    write(folder, {"arch": "mobilenetv2_035", "categories": NAMES, "num_classes": 3, "crop_size": [48]})
    model = cn.hub.load(folder)
    assert (model.input_shape, model.classes) == ((3, 48, 48), NAMES)
    assert model.normalization == {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


IMAGENET = {"label_names": None, "label_descriptions": None, "num_classes": 1000}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"pretrained_cfg": {"tag": "lamb_in1k"}}, True),
        ({"pretrained_cfg": {"tag": "augreg_in21k_ft_in1k"}}, True),
        ({"architecture": "mobilenetv2_035.ra_in1k"}, True),
        ({"weights": "IMAGENET1K_V2"}, True),
        ({"pretrained_cfg": {"tag": "in12k"}}, False),
        ({"pretrained_cfg": {"tag": "plants"}}, False),
        ({}, False),
    ],
)
def test_networks_that_say_they_are_of_imagenet_have_the_names_of_its_classes(
    folder: Path, changes: dict[str, Any], named: bool
) -> None:
    model = cn.zoo.mobilenet_v2((3, 32, 32), 1000, width=0.35, stem="imagenet")
    storage.write(folder / "model.safetensors", model.state_dict(), {})
    write(folder, {"architecture": "mobilenetv2_035"} | IMAGENET | {"input_size": [3, 32, 32]} | changes)
    classes = cn.hub.load(folder).classes
    if not named:
        assert classes is None
        return
    assert classes is not None
    assert [classes[number] for number in (0, 281, 388, 985, 999)] == [
        *("tench", "tabby", "giant panda", "daisy", "toilet tissue"),
    ]


def test_the_names_of_imagenet_are_a_thousand_and_all_different() -> None:
    names = cn.hub.imagenet_names()
    assert len(set(names)) == len(names) == 1000
    assert all(name and name == name.strip() for name in names)


def test_the_names_of_imagenet_are_those_that_timm_lists() -> None:
    info = pytest.importorskip("timm.data", reason="timm is not installed").ImageNetInfo()
    for number, name in enumerate(cn.hub.imagenet_names()):
        if not name.startswith("crane, "):  # two are called crane
            assert f"{info.index_to_description(number)},".startswith(f"{name},")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "resnet50"}, r"'resnet50' is not among those of the zoo, resnet18, .*from_torch\(module\)"),
        ({"architecture": None}, "architecture '' is not among"),
        ({"architecture": "resnet18"}, "not the weights of resnet18: lacks conv1.weight, bn1.weight, bn1.bias and 99"),
        (
            {"architecture": "mobilenetv2_050"},
            r"features\.2\.conv\.2\.weight is \(8, 48, 1, 1\) rather than \(16, 48, 1, 1\)",
        ),
        ({"num_classes": 10**12}, r"classifier.1.weight is \(3, 1280\) rather than \(1000000000000, 1280\)"),
        ({"num_classes": -1}, "num_classes must be positive, got -1"),
        ({"global_pool": "max"}, "differs from the zoo's by global_pool=max"),
        ({"model_args": {"act_layer": "silu"}}, "differs from the zoo's by act_layer"),
        ({"input_size": [3, 10**9, 10**9]}, "input_size must be of 1 to 4,096"),
        ({"mean": "much"}, "no configuration of timm's"),
        ({"pretrained_cfg": 7}, "no configuration of timm's"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(folder: Path, changes: dict[str, Any], message: str) -> None:
    write(folder, CONFIG | changes)
    with pytest.raises(cn.ColonnadeError, match=message):
        cn.hub.load(folder)


@pytest.mark.parametrize("content", ["[]", "{", "7", "[" * 100_000])
def test_a_configuration_that_is_none_is_refused(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(cn.errors.FileFormatError, match=r"config\.json"):
        cn.hub.load(folder)


def test_a_folder_with_pickles_alone_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(cn.errors.DataError, match=r"only pytorch_model\.bin, which is pickled. Nothing is unpickled"):
        cn.hub.load(folder)


def test_a_folder_without_a_configuration_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(cn.errors.DataError, match=r"expected a file config\.json, there is model\.safetensors"):
        cn.hub.load(folder)


def shards(network: cn.Model) -> dict[str, bytes]:
    """The weights in two files and their index, each array in bfloat16 or float16."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from safetensors.torch import save

    names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    parts: list[dict[str, Any]] = [{}, {}]
    for position, (name, array) in enumerate(network.state_dict().items()):
        kind = torch.bfloat16 if position % 2 else torch.float16
        parts[position % 3 > 0][name] = torch.from_numpy(array.copy(order="C")).to(kind)
    told = {name: file for file, part in zip(names, parts, strict=True) for name in part}
    index = {"model.safetensors.index.json": json.dumps({"metadata": {}, "weight_map": told}).encode()}
    return index | {file: save(part) for file, part in zip(names, parts, strict=True)}


def test_weights_in_several_files_of_half_numbers_are_those_that_pytorch_reads(
    folder: Path, network: cn.Model, tmp_path: Path
) -> None:
    for file, content in shards(network).items():
        (folder / file).write_bytes(content)
    (folder / "model.safetensors").unlink()
    from safetensors.torch import load_file

    expected = {
        name: tensor.float().numpy()
        for each in folder.glob("*.safetensors")
        for name, tensor in load_file(each).items()
    }
    model = cn.hub.load(folder)
    for name, array in model.state_dict().items():
        assert array.dtype in (np.float32, np.int64)
        np.testing.assert_array_equal(array, expected[name])
    next(folder.glob("*-of-00002.safetensors")).unlink()
    with pytest.raises(
        cn.errors.FileFormatError, match=r"index\.json: it names model-0000.-of-00002\.safetensors, expec"
    ):
        cn.hub.load(folder)


def test_without_the_package_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(cn.errors.MissingExtraError, match=r'pip install "colonnade\[hub\]"'):
        cn.hub.load("timm/resnet18.a1_in1k")


PROGRAM = """
import sys
import colonnade as cn
for name in sys.argv[1:]:
    try:
        model = cn.hub.load(name)
        print(model.classes, float(model.parameters()[0].array.sum()))
    except cn.ColonnadeError as error:
        print(type(error).__name__, error)
"""


def ask(address: str, home: Path, *names: str, **environment: str) -> list[str]:
    """What each name comes to, a line each, in a process of its own: the package reads its settings when imported."""
    settings = {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"} | environment
    command = [sys.executable, "-W", "error", "-c", PROGRAM, *names]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@needs_hub
def test_a_repository_is_downloaded_once_and_pinned_on_demand(folder: Path, network: cn.Model, tmp_path: Path) -> None:
    files = {each.name: each.read_bytes() for each in folder.iterdir()}
    other = cn.zoo.mobilenet_v2((3, 32, 40), 3, width=0.35, seed=5)
    storage.write(tmp_path / "other", other.state_dict(), {})
    revisions = {
        "main": files,
        "v1": files | {"model.safetensors": (tmp_path / "other").read_bytes()},
        "pickled": {"config.json": files["config.json"], "pytorch_model.bin": b"x"},
    }
    home = tmp_path / "home"
    own, others = (f"{NAMES} {float(each.parameters()[0].array.sum())}" for each in (network, other))
    with serving("timm/tiny", revisions, breaks_after=200_000) as (address, asked):
        assert ask(address, home, "timm/tiny") == [own]  # though the first answer broke off
        asked.clear()
        at = commit("v1")
        lines = ask(address, home, "timm/tiny", "timm/tiny@v1", f"hf-hub:timm/tiny@{at}", "timm/tiny@pickled",
                    "timm/tiny@none", "timm/none", "timm/tiny/more")  # fmt: skip
        assert lines[:3] == [own, others, others]
        assert lines[3].startswith("DataError timm/tiny, revision pickled: expected a file model.safetensors, there is")
        assert "only pytorch_model.bin, which is pickled" in lines[3]
        assert lines[4:6] == [
            "DataError timm/tiny, revision none: the repository has no such revision.",
            "DataError timm/none: the Hub has no such repository, or it is private.",
        ]
        assert lines[6].startswith("ArgumentError hub.load: expected a folder, or a repository's name")
        fetched = [each for each in asked if each.startswith("GET") and "model.safetensors" in each]
        assert fetched == [f"GET /timm/tiny/resolve/{at}/model.safetensors"]
    lines = ask(address, home, "timm/tiny", "timm/none", HF_HUB_OFFLINE="1")
    assert lines[0] == own
    assert lines[1].startswith("DataError timm/none: config.json is not in the cache, and the Hub can't be reached.")


@needs_hub
def test_weights_in_several_files_are_downloaded_with_their_index(
    folder: Path, network: cn.Model, tmp_path: Path
) -> None:
    config, parts = (folder / "config.json").read_bytes(), shards(network)
    *_, last = parts
    elsewhere = json.dumps({"weight_map": {"a": "../../secret.safetensors"}}).encode()
    revisions = {
        "main": {"config.json": config, **parts},
        "lacking": {"config.json": config, **{file: content for file, content in parts.items() if file != last}},
        "elsewhere": {"config.json": config, "model.safetensors.index.json": elsewhere},
    }
    home = tmp_path / "home"
    with serving("timm/parts", revisions) as (address, asked):
        lines = ask(address, home, "timm/parts", "timm/parts@lacking", "timm/parts@elsewhere")
        assert not [each for each in asked if "secret" in each]
    assert lines[0].startswith(str(NAMES))
    assert lines[1].startswith(f"DataError timm/parts, revision lacking: expected a file {last}, there is")
    assert "expected names of files beside it" in lines[2]
    again = ask(address, home, "timm/parts", HF_HUB_OFFLINE="1")
    assert again == lines[:1]
