"""`colonnade export`, as a person runs it."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

import colonnade as cn
from colonnade import storage
from colonnade.cli.main import main

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a small network that normalises."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    net = cn.zoo.lenet5(input_shape=(1, 14, 14))
    net.normalization = {"mean": [0.2], "std": [0.4]}
    net.save(path)
    return path


def test_the_file_gives_what_the_model_gives(here: Run, model: Path, tmp_path: Path) -> None:
    result = here("export", model, tmp_path / "model.onnx")
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"wrote {tmp_path / 'model.onnx'}\n"
    x = np.random.default_rng(0).random((5, 1, 14, 14), np.float32)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"input": x})[0], cn.load(model)(x), rtol=1e-5, atol=1e-5)


def test_options_are_followed(here: Run, tmp_path: Path) -> None:
    net = cn.Model([cn.Conv2d(1, 3, 3), cn.ReLU()])  # of no known size
    net.normalization = {"mean": [0.2], "std": [0.4]}
    net.save(tmp_path / "model.safetensors")
    arguments = ("--input", "1,6,8", "--opset", 15, "--normalization")
    result = here("export", tmp_path / "model.safetensors", tmp_path / "model.onnx", *arguments)
    assert result.returncode == 0, result.stderr
    written = onnx.load(tmp_path / "model.onnx")
    assert [each.version for each in written.opset_import] == [15]
    assert [node.op_type for node in written.graph.node] == ["Sub", "Div", "Conv", "Relu"]
    assert [each.dim_value for each in written.graph.input[0].type.tensor_type.shape.dim] == [0, 1, 6, 8]


def test_a_missing_file_is_one_line_and_status_2(here: Run, tmp_path: Path) -> None:
    result = here("export", tmp_path / "missing.safetensors", tmp_path / "model.onnx")
    assert result.returncode == 2
    assert result.stderr == f"error: {tmp_path / 'missing.safetensors'}: there is no such file.\n"
    assert result.stdout == ""


def test_what_the_user_got_wrong_is_one_line_and_status_2(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown, out = tmp_path / "unknown.safetensors", tmp_path / "model.onnx"
    cn.Model([cn.ReLU()]).save(unknown)
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "broken.safetensors").write_bytes(b"what is no model")
    for arguments, message in [
        ((unknown, out), "say with --input how large they are"),
        ((model, tmp_path / "nowhere" / "model.onnx"), "nowhere: there is no such folder"),
        ((model, tmp_path / "folder.onnx"), "folder.onnx: expected a file to write, got a folder"),
        ((model, tmp_path / "model.pt"), "must end in .onnx"),
        ((tmp_path / "broken.safetensors", out), "broken.safetensors"),
        ((model, out, "--opset", "3"), "opset must be from 13 to"),
        ((model, out, "--input", "1,2,x"), "--input"),
        ((model, out, "--input", "3,14,14"), "Conv2d: expected 1 input channels"),
        ((unknown, out, "--input", "1,4,4", "--normalization"), "the model has none"),
    ]:
        assert main(["export", *map(str, arguments)]) == 2
        told = capsys.readouterr()
        assert message in told.err
        assert len(told.err.splitlines()) == 1
        assert told.out == ""
    assert not out.exists()


def test_a_folder_that_one_may_not_write_to_is_one_line_and_status_2(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(
        path: Path, *_: object, **options: object
    ) -> None:  # root may write everywhere, so that permissions would tell nothing
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(storage.Path, "open", refuse)
        assert main(["export", str(model), str(tmp_path / "model.onnx")]) == 2
    told = capsys.readouterr().err
    assert told.endswith("Permission denied\n")
    assert len(told.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
