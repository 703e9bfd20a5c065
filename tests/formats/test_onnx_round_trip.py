"""What is exported to ONNX comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import FileFormatError
from colonnade.layers.normalization import BatchNorm
from tests.formats.exported import MORE, Shape, batch, distinct, made, named, network, numbers
from tests.test_contract import CHAINS, LAYERS as CONTRACT_LAYERS

onnx = pytest.importorskip("onnx", reason="onnx is not installed")


def comes_back(model: cn.Model, path: Path, count: int = 0) -> cn.Model:
    """What is exported and loaded gives the same numbers; returns it."""
    cn.export_onnx(model, path / "model.onnx")
    content = onnx.load(path / "model.onnx")
    del content.metadata_props[:]  # as in a file of somebody else's
    onnx.save(content, path / "model.onnx")
    back = cn.load(path / "model.onnx")
    x = batch(model.input_shape, 3, count)
    ours = model(x)
    np.testing.assert_allclose(back(x), ours, rtol=1e-5, atol=1e-5 * max(1, np.nanmax(np.abs(ours))))
    return back


@pytest.mark.parametrize(("layer", "shape"), distinct([*CONTRACT_LAYERS, *MORE]), ids=named)
def test_every_layer_comes_back(layer: Any, shape: Shape, tmp_path: Path) -> None:
    model = made([layer], shape)
    by_batch = not getattr(layer, "track_running_stats", True) and isinstance(layer, BatchNorm)
    if by_batch or any(kind in repr(layer) for kind in ("RoiAlign", "NonMaxSuppression")):  # counted over the batch
        with pytest.raises(FileFormatError, match=r"works along axis 0, the batch|batches are different axes"):
            comes_back(model, tmp_path)
    else:
        comes_back(model, tmp_path, numbers(layer))


@pytest.mark.parametrize(("layers", "shape"), CHAINS, ids=range(len(CHAINS)))
def test_every_chain_comes_back(layers: list[Any], shape: Shape, tmp_path: Path) -> None:
    comes_back(made(layers, shape), tmp_path)


@pytest.mark.parametrize("name", sorted({*cn.zoo.__all__} - {"resnet18"}))  # it is large, and as resnet20 in kind
def test_every_network_of_the_zoo_comes_back_with_its_names(name: str, tmp_path: Path) -> None:
    model = network(name)
    back = comes_back(model, tmp_path, count=27 if name.startswith("name_") else 0).state_dict()
    # There a Dense of sequences is a product and a sum, and each layer of an LSTM a node: of other names.
    if name not in ("convnext_tiny", "vit_tiny", "name_lstm", "name_transformer"):
        assert back.keys() == model.state_dict().keys()


def test_a_file_leaves_by_the_names_it_came_with(tmp_path: Path) -> None:
    """Also where the layer that makes an output is called otherwise, and after saving."""
    nodes = [
        onnx.helper.make_node("Flatten", ["image"], ["flat"], "flatten"),
        onnx.helper.make_node("Gemm", ["flat", "w"], ["boxes"], "box_head"),
        onnx.helper.make_node("Softmax", ["boxes"], ["scores"], "softmax"),
        onnx.helper.make_node("Identity", ["scores"], ["again"], "copy"),
    ]
    ends = [
        [onnx.helper.make_tensor_value_info(name, 1, ["N", *sizes]) for name, sizes in each.items()]
        for each in ({"image": (2, 2)}, {"boxes": (3,), "scores": (3,), "again": (3,)})
    ]
    weights = onnx.numpy_helper.from_array(np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32), "w")
    graph = onnx.helper.make_graph(nodes, "graph", *ends, [weights])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)]), tmp_path / "a.onnx")
    model = cn.load(tmp_path / "a.onnx")
    model.save(tmp_path / "a.safetensors")
    for each in (model, cn.load(tmp_path / "a.safetensors")):
        cn.export_onnx(each, tmp_path / "b.onnx")
        written = onnx.load(tmp_path / "b.onnx").graph
        assert [value.name for value in (*written.input, *written.output)] == ["image", "boxes", "scores", "again"]
    losses, y = dict.fromkeys(model.outputs, "mse"), np.zeros((6, 3), np.float32)
    history = model.fit(batch((2, 2), 6), dict.fromkeys(losses, y), epochs=1, loss=losses, progress=False)
    assert len(history.train_loss_boxes) == 1
