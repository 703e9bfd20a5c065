"""`colonnade import`, and the commands that take an ONNX file as they take a model of ours."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from PIL import Image

import colonnade as cn
from colonnade.cli.main import main

pytest.importorskip("onnx", reason="onnx is not installed")

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small network, as ours and as ONNX."""
    folder = tmp_path_factory.mktemp("models")
    net = cn.zoo.lenet5(input_shape=(1, 28, 28))
    net.classes = list("abcdefghij")
    net.normalization = {"mean": [0.2], "std": [0.4]}
    net.save(folder / "model.safetensors")
    cn.export_onnx(net, folder / "model.onnx")
    return folder / "model.safetensors", folder / "model.onnx"


def test_import_writes_a_model_that_needs_no_onnx(here: Run, files: tuple[Path, Path], tmp_path: Path) -> None:
    ours, theirs = files
    result = here("import", theirs, tmp_path / "out.safetensors")
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"wrote {tmp_path / 'out.safetensors'}\n"
    x = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)
    back = cn.load(tmp_path / "out.safetensors")
    np.testing.assert_allclose(back(x), cn.load(ours)(x), rtol=1e-5, atol=1e-5)
    assert back.classes == list("abcdefghij")
    assert back.normalization == {"mean": [0.2], "std": [0.4]}


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("out.onnx", r"out\.onnx: the name of a model must end in \.safetensors\."),
        ("missing/out.safetensors", r"missing: there is no such folder\."),
    ],
)
def test_what_cannot_be_written_is_one_line_and_status_2(
    files: tuple[Path, Path], tmp_path: Path, out: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", str(files[1]), str(tmp_path / out)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "there is no such file"), (b"not a network", "no ONNX file"), (b"", "no ONNX file")],
    ids=["missing", "text", "empty"],
)
def test_what_is_no_network_is_one_line_and_status_2(
    tmp_path: Path, content: bytes | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.onnx"
    if content is not None:
        source.write_bytes(content)
    assert main(["import", str(source), str(tmp_path / "out.safetensors")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {source}: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.safetensors").exists()


def test_without_the_package_the_line_says_how_to_install_it(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["import", str(files[1]), str(tmp_path / "out.safetensors")]) == 2
    assert 'pip install "colonnade[onnx]"' in capsys.readouterr().err


def test_the_size_of_an_image_can_be_said(here: Run, tmp_path: Path) -> None:
    from tests.formats.onnx_graphs import graph, op

    source = tmp_path / "in.onnx"
    source.write_bytes(graph(op("Relu", "x"), ("N", 3, "H", "W")).SerializeToString())
    result = here("import", source, tmp_path / "out.safetensors")
    assert result.returncode == 2
    assert "say how large an image is" in result.stderr
    result = here("import", source, tmp_path / "out.safetensors", "--input", "3,5,6")
    assert result.returncode == 0, result.stderr
    assert cn.load(tmp_path / "out.safetensors").input_shape == (3, 5, 6)


def table(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    assert main(["summary", str(path), "--json"]) == 0
    shown: dict[str, object] = json.loads(capsys.readouterr().out)
    return shown


def test_summary_takes_an_onnx_file(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = (table(path, capsys) for path in files)
    for name in ("input_shape", "parameters", "flops"):
        assert ours[name] == theirs[name]


def test_profile_takes_an_onnx_file(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["profile", str(files[1]), "--batch-size", "4", "--steps", "1", "--json"]
    assert main(arguments) == 0
    assert {row["type"] for row in json.loads(capsys.readouterr().out)["rows"]} >= {"Conv2d", "Dense"}


def test_predict_takes_an_onnx_file(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)).save(tmp_path / "image.png")
    answers = []
    for path in files:
        assert main(["predict", str(path), str(tmp_path / "image.png"), "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out)["predictions"][0]["top"][0])
    assert answers[0]["class"] == answers[1]["class"]
    assert answers[0]["probability"] == pytest.approx(answers[1]["probability"], rel=1e-4)


def test_evaluate_takes_an_onnx_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = cn.zoo.mlp(input_shape=(1, 8, 8), classes=10)
    cn.export_onnx(net, tmp_path / "model.onnx")
    net.save(tmp_path / "model.safetensors")
    losses = []
    for name in ("model.onnx", "model.safetensors"):
        assert main(["evaluate", str(tmp_path / name), "--json"]) == 0
        losses.append(json.loads(capsys.readouterr().out)["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize(("sizes", "read"), [(("H", "W"), (20, 30)), ((10, "W"), (10, 15)), (("H", "?"), (20, 30))])
def test_predict_takes_each_image_as_it_is_where_a_file_leaves_sizes_open(
    sizes: tuple[int | str, ...], read: tuple[int, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    from colonnade.data.images import read_images
    from tests.formats.onnx_graphs import graph, op

    nodes = [op("Conv", "x w", "c"), op("GlobalAveragePool", "c", "g"), op("Flatten", "g")]
    kernel = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32) / 99
    (tmp_path / "in.onnx").write_bytes(graph(nodes, ("N", 3, *sizes), w=kernel).SerializeToString())
    images = [tmp_path / f"{name}.png" for name in "ab"]
    for image, size in zip(images, ((20, 30, 3), (16, 12, 3)), strict=True):
        Image.fromarray(np.random.default_rng(1).integers(0, 256, size, np.uint8)).save(image)
    assert main(["predict", str(tmp_path / "in.onnx"), *map(str, images), "--json"]) == 0
    predictions = json.loads(capsys.readouterr().out)["predictions"]
    assert len(predictions) == 2
    x = read_images(images[:1], (3, *read))
    expected = cn.load(tmp_path / "in.onnx").predict_proba(x)[0].max()
    assert predictions[0]["top"][0]["probability"] == pytest.approx(expected, rel=1e-5)


def test_summary_profile_explain_and_evaluate_take_a_file_that_leaves_sizes_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    from tests.formats.onnx_graphs import graph, op

    nodes = [op("Conv", "x w", "c"), op("Relu", "c", "r"), op("GlobalAveragePool", "r", "g"), op("Flatten", "g")]
    kernel = np.random.default_rng(0).normal(size=(10, 1, 3, 3)).astype(np.float32)
    path = tmp_path / "in.onnx"
    path.write_bytes(graph(nodes, ("N", 1, "H", "W"), w=kernel).SerializeToString())
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (9, 7), np.uint8)).save(tmp_path / "a.png")
    assert table(path, capsys)["input_shape"] == [1, 224, 224]
    assert main(["profile", str(path), "--batch-size", "2", "--steps", "1", "--json"]) == 0
    assert main(["evaluate", str(path), "--json"]) == 0
    out = ["--out", str(tmp_path / "out")]
    assert main(["explain", str(path), str(tmp_path / "a.png"), *out]) == 0


@pytest.mark.parametrize("command", ["summary", "profile", "import", "export", "predict", "explain", "evaluate"])
def test_every_command_follows_links_to_the_data_of_a_file_where_it_is_asked_to(
    here: Run, files: tuple[Path, Path], tmp_path: Path, command: str
) -> None:
    import onnx

    stored = tmp_path / "stored"
    stored.mkdir()
    onnx.save_model(
        onnx.load(files[1]), stored / "model.onnx", save_as_external_data=True, location="model.data", size_threshold=0
    )
    model = tmp_path / "model.onnx"
    model.write_bytes((stored / "model.onnx").read_bytes())
    (tmp_path / "model.data").symlink_to(stored / "model.data")
    picture = tmp_path / "picture.png"
    Image.new("L", (28, 28)).save(picture)
    more: dict[str, list[object]] = {
        "import": [tmp_path / "out.safetensors"],
        "export": [tmp_path / "out.onnx"],
        "predict": [picture],
        "explain": [picture, "--out", tmp_path / "explained"],
        "profile": ["--batch-size", 1, "--steps", 1],
        "evaluate": ["--input", "1,28,28"],
    }
    words = [command, model, *more.get(command, [])]
    refused = here(*words)
    assert refused.returncode == 2
    assert "is a link: allow_links=True follows it" in refused.stderr
    done = here(*words, "--allow-links")
    assert "is a link" not in done.stderr
    assert done.returncode == 0 or command == "evaluate", done.stderr  # whose data are of other classes
