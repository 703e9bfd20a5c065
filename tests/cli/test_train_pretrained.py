"""`colonnade train --model`, of a network that is trained already."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import colonnade as cn
from colonnade import storage
from colonnade.cli.config import decide
from colonnade.cli.main import main


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for channel, name in enumerate(("red", "green")):
        (tmp_path / "photographs" / name).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 80, (40, 36, 3), np.uint8)
            pixels[..., channel] += 150
            Image.fromarray(pixels).save(tmp_path / "photographs" / name / f"{number}.png")
    return tmp_path / "photographs"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny.in7"
    folder.mkdir()
    model = cn.zoo.mobilenet_v2((3, 32, 32), 7, width=0.35, stem="imagenet", seed=4)
    storage.write(folder / "model.safetensors", model.state_dict(), {})
    told = {"input_size": [3, 32, 32], "mean": [0.5, 0.4, 0.3], "std": [0.25, 0.25, 0.25]}
    config = {"architecture": "mobilenetv2_035", "num_classes": 7, "pretrained_cfg": told}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_a_trained_network_is_fine_tuned_resumed_and_gone_on_from(
    photographs: Path,
    repository: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["train", "--data", str(photographs), "--epochs", "1", "--no-compiled"]
    assert main([*command, "--model", str(repository)]) == 0, capsys.readouterr().err
    run = Path("runs", "photographs-tiny.in7")
    model = cn.load(run)
    assert (model.input_shape, model.classes) == ((3, 32, 32), ["green", "red"])
    assert model.normalization == {"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.25, 0.25]}
    assert "a new head alone" in capsys.readouterr().err
    assert main(["train", "--resume", "--out", str(run)]) == 0, capsys.readouterr().err
    assert main([*command, "--model", str(run), "--out", "again"]) == 0, capsys.readouterr().err
    assert cn.load("again").input_shape == (3, 32, 32)


def test_images_have_the_size_of_the_network_unless_one_is_said(
    photographs: Path, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where a file says the rest."""
    command = ["train", "--epochs", "1", "--no-compiled", "--quiet"]
    told = f'data = "{photographs}"\nmodel = "{repository}"\n'
    for number, (size, options) in enumerate([("", []), ("size = 40", []), ("size = 40", ["--size", "48"])]):
        config = tmp_path / f"{number}.toml"
        config.write_text(told + size, encoding="utf-8")
        out = tmp_path / f"out-{number}"
        assert main([*command, "--config", str(config), "--out", str(out), *options]) == 0, capsys.readouterr().err
        side = (32, 40, 48)[number]
        assert cn.load(out).input_shape == (3, side, side)
        assert f"size = {side}" in (out / "config.toml").read_text(encoding="utf-8")


def test_a_repository_that_is_none_is_one_line(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text("{}", encoding="utf-8")
    command = ["train", "--data", str(photographs), "--out", str(tmp_path / "out")]
    assert main([*command, "--model", str(tmp_path / "empty")]) == 2
    assert "expected a file model.safetensors" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["nowhere/model.safetensors", "nowhere.safetensors"])
def test_a_file_that_is_not_there_is_one_line_and_nobody_is_asked_for_it(
    photographs: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["train", "--data", str(photographs), "--model", name]) == 2
    assert capsys.readouterr().err == f"error: There is no file {name!r}.\n"


@pytest.mark.parametrize(("mode", "augmentation"), [("RGB", "photographs"), ("L", "characters")])
def test_images_in_grey_are_not_mirrored_for_a_trained_network_either(
    tmp_path: Path, mode: str, augmentation: str
) -> None:
    for name in ("b", "d"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(5):
            Image.new(mode, (32, 32)).save(tmp_path / "images" / name / f"{number}.png")
    settings = decide({"data": str(tmp_path / "images"), "model": "timm/resnet18.a1_in1k"}, None)
    assert (settings.augmentation, settings.mirrored) == (augmentation, mode == "RGB")


def test_letters_and_digits_are_not_mirrored_for_a_trained_network_either() -> None:
    assert not decide({"data": "mnist", "model": "timm/resnet18.a1_in1k"}, None).mirrored
    assert decide({"data": "cifar10", "model": "timm/resnet18.a1_in1k"}, None).mirrored


@pytest.mark.parametrize(
    ("model", "out"), [("cnn", "digits-cnn"), ("a/b.safetensors", "digits-b"), ("a/b.c_d@e", "digits-b.c_d@e")]
)
def test_a_run_is_called_by_its_network(model: str, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert decide({"model": model}, None).out == str(Path("runs", out))


def test_a_rate_out_of_range_is_told_before_the_head_is_trained(
    photographs: Path, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--data", str(photographs), "--model", str(repository), "--out", str(tmp_path / "out")]
    assert main([*command, "--lr", "-1", "--epochs", "1", "--no-compiled"]) == 2
    assert capsys.readouterr().err == "error: AdamW: lr must be zero or more, got -1.0.\n"


def test_of_few_photographs_a_new_head_alone_is_trained(
    photographs: Path, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--data", str(photographs), "--model", str(repository), "--out", str(tmp_path / "out")]
    assert main([*command, "--no-compiled"]) == 0
    said = capsys.readouterr()
    assert "all else stays as it is: --epochs 10 has everything learn" in said.err
    before, after = cn.hub.load(str(repository)).state_dict(), cn.load(tmp_path / "out").state_dict()
    assert [name for name in before if not np.array_equal(before[name], after[name])] == [
        "classifier.1.weight",
        "classifier.1.bias",
    ]
    assert "epochs = 0" in (tmp_path / "out" / "config.toml").read_text(encoding="utf-8")
    assert main(["evaluate", str(tmp_path / "out"), "--no-compiled"]) == 0
    accuracy = said.out.split()[-1]
    assert accuracy in capsys.readouterr().out
    assert main(command) == 2
    assert "holds a run" in capsys.readouterr().err
    assert main([*command, "--overwrite", "--no-compiled", "--quiet"]) == 0
    assert capsys.readouterr().out == said.out
    assert main(["train", "--resume", "--out", str(tmp_path / "out")]) == 2
    assert "a new head alone was trained, and nothing is left to resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "cnn", "--epochs", "0"], "--epochs 0 is for a network that is trained already"),
        (["--lr", "0.1", "--max-time", "1m"], "--lr, --max-time: a new head alone learns"),
        (["--epochs", "0", "--find-lr"], "--find-lr: a new head alone learns"),
    ],
)
def test_what_is_of_epochs_is_refused_where_there_are_none(
    options: list[str], message: str, photographs: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = [] if "--model" in options else ["--model", str(repository)]
    assert main(["train", "--data", str(photographs), *model, *options]) == 2
    assert message in capsys.readouterr().err
