"""ONNX files by whoever: each ends in one line, an error of ours, or in a model, in bounded memory and time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import FileFormatError

onnx = pytest.importorskip("onnx", reason="onnx is not installed")

from colonnade.formats.onnx import import_model, load  # noqa: E402  # needs the package
from tests.formats.onnx_graphs import graph, op  # noqa: E402

ROOT = Path(__file__).parents[2]


def refused(content: Any, message: str) -> None:
    """Reading it raises one line that says this."""
    with pytest.raises(FileFormatError, match=message) as caught:
        import_model(content)
    assert "\n" not in str(caught.value)


def small() -> Any:
    """A network with a bit of everything."""
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        return rng.normal(size=shape).astype(np.float32)

    return graph(
        [
            op("Conv", "x w b", "c", pads=[1, 1, 1, 1]),
            op("BatchNormalization", "c s s s s", "n"),
            op("Relu", "n", "r"),
            op("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]),
            op("Resize", "p - scales", "z", mode="linear"),
            op("Pad", "z pads", "q"),
            op("Shape", "q", "shape"),
            op("Gather", "shape zero", "count"),
            op("Concat", "count rest", "target", axis=0),
            op("Reshape", "q target", "f"),
            op("Gemm", "f v", "g", transB=1),
            op("Softmax", "g"),
        ],
        ("N", 2, 4, 4),
        w=weights(3, 2, 3, 3),
        b=weights(3),
        s=np.ones(3, np.float32),
        scales=np.array([1, 1, 2, 2], np.float32),
        pads=[0, 0, 1, 0, 0, 0, 0, 1],
        zero=[0],
        rest=[-1],
        v=weights(4, 75),
    )


@pytest.mark.parametrize("size", [0, 1, 10, 0.3, 0.7, 0.99], ids=str)
def test_truncated_files(size: float, tmp_path: Path) -> None:
    content = small().SerializeToString()
    path = tmp_path / "model.onnx"
    path.write_bytes(content[: int(size if size >= 1 or not size else size * len(content))])
    with pytest.raises(FileFormatError, match=f"^{path}: "):
        cn.load(path)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x00" * 100, b"\xff" * 1000, bytes(range(256)) * 40, b"not a network"], ids=len
)
def test_files_that_are_no_network(content: bytes) -> None:
    refused(content, "no ONNX|not a valid ONNX")


def test_random_bytes() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        refused(rng.bytes(int(rng.integers(1, 500))), "no ONNX|not a valid ONNX|opset")


def test_what_is_no_plain_file(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="expected an ONNX file, got a folder"):
        load(tmp_path)
    pipe = tmp_path / "pipe.onnx"
    os.mkfifo(pipe)
    with pytest.raises(FileFormatError, match="expected an ONNX file, got a device or pipe"):
        load(pipe)
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        load(tmp_path / "missing.onnx")


def test_graphs_in_circles() -> None:
    model = graph([op("Add", "x b", "a"), op("Relu", "a", "b"), op("Relu", "a")], ("N", 3))
    refused(model, "not a valid ONNX model .*sorted")


def test_names_that_are_taken_twice() -> None:
    refused(graph([op("Relu", "x", "y"), op("Exp", "x", "y")], ("N", 3)), "not a valid ONNX model")
    model = graph(op("Add", "x c"), ("N", 3), c=np.ones(3, np.float32))
    model.graph.initializer.append(model.graph.initializer[0])
    refused(model, "every tensor needs a name of its own, got 'c' twice")


def test_inputs_that_nobody_makes() -> None:
    refused(graph(op("Add", "x ghost"), ("N", 3)), "not a valid ONNX model")


def initializer(**changes: Any) -> Any:
    """A model whose array says something wrong of itself."""
    model = graph(op("Add", "x c"), ("N", 3), c=np.ones(3, np.float32))
    tensor = model.graph.initializer[0]
    for name, value in changes.items():
        if name == "dims":
            tensor.ClearField("dims")
            tensor.dims.extend(value)
        else:
            setattr(tensor, name, value)
    return model


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dims": [10**12]}, "takes 4000000000000 bytes, the file holds 12"),
        ({"dims": [2**62, 2**62, 4]}, "the file holds 12"),
        ({"dims": [-3]}, r"sizes must not be negative, got \(-3,\)"),
        ({"dims": [2]}, "takes 8 bytes, the file holds 12"),
        ({"raw_data": b""}, "takes 12 bytes, the file holds 0"),
        ({"data_type": 8}, "expected numbers, got a tensor of STRING"),
        ({"data_type": 15}, "expected numbers, got a tensor of COMPLEX128"),
        ({"data_type": 0}, "expected numbers, got a tensor of UNDEFINED"),
        ({"data_type": 77}, "numbers of an unknown type, 77"),
    ],
    ids=str,
)
def test_arrays_are_compared_with_the_bytes_there_are(changes: dict[str, Any], message: str) -> None:
    refused(initializer(**changes), message)


def test_arrays_of_numbers_are_counted_too() -> None:
    model = graph(op("Add", "x c"), ("N", 3))
    tensor = model.graph.initializer.add(name="c", data_type=1, dims=[10**10])
    tensor.float_data.extend([1, 2, 3])
    refused(model, "takes 10000000000 numbers, the file holds 3")


HUGE = 10**6
LARGE: dict[str, Callable[[], Any]] = {
    "ConstantOfShape": lambda: graph([op("ConstantOfShape", "s", "c"), op("Add", "x c")], ("N", 3), s=[HUGE, HUGE, 3]),
    "Expand": lambda: graph([op("Expand", "c s", "e"), op("Add", "x e")], ("N", 3), c=1.0, s=[HUGE, HUGE, 3]),
    "Expand of images": lambda: graph(op("Expand", "x s"), ("N", 1, 1), s=[1, HUGE, HUGE]),
    "Tile": lambda: graph([op("Tile", "c s", "e"), op("Add", "x e")], ("N", 3), c=np.ones((1, 3)), s=[HUGE**2, 1]),
    "Tile of images": lambda: graph(op("Tile", "x s"), ("N", 3), s=[1, 10**12]),
    "Range": lambda: graph([op("Range", "a b c", "r"), op("Gather", "x r", axis=1)], ("N", 3), a=0.0, b=1e15, c=1.0),
    "Pad": lambda: graph([op("Pad", "c p", "e"), op("Add", "x e")], ("N", 3), c=np.ones(3), p=[HUGE**2, 0]),
    "Pad of images": lambda: graph(op("Pad", "x p"), ("N", 3, 4, 4), p=[0, 0, HUGE, HUGE, 0, 0, 0, 0]),
    "Resize": lambda: graph(op("Resize", "x - - s"), ("N", 3, 4, 4), s=[1, 3, HUGE, HUGE]),
    "Resize by a factor": lambda: graph(
        op("Resize", "x - s", mode="linear"), ("N", 1, 4, 4), s=np.array([1, 1, 1e9, 1], np.float32)
    ),
    "sums of a row and a column": lambda: graph(
        [op("Add", "a b", "c"), op("Mul", "c c", "d"), op("Gather", "d i", "e"), op("Add", "x e")],
        ("N", 3),
        a=np.ones((10**5, 1), np.float32),
        b=np.ones((1, 10**5), np.float32),
        i=np.array(0),
    ),
    "products of a column and a row": lambda: graph(
        [op("MatMul", "a b", "c"), op("Gather", "c i", "e"), op("Add", "x e")],
        ("N", 3),
        a=np.ones((10**5, 1), np.float32),
        b=np.ones((1, 10**5), np.float32),
        i=np.array(0),
    ),
    "doubling": lambda: graph(
        [op("Concat", f"c{n} c{n}", f"c{n + 1}", axis=0) for n in range(60)]
        + [op("ReduceSum", "c60", "c"), op("Add", "x c")],
        ("N", 3),
        c0=np.ones(1000, np.float32),
    ),
    "picking again and again": lambda: graph(
        [
            op("Gather", "t i", "a"),
            op("Gather", "a i", "b"),
            op("Gather", "b i", "c"),
            op("ReduceSum", "c", "d"),
            op("Add", "x d"),
        ],
        ("N", 3),
        t=np.ones((1, 1000), np.float32),
        i=np.zeros((1000, 1000), np.int64),
    ),
    "OneHot": lambda: graph(
        [op("OneHot", "i d v", "o"), op("ReduceSum", "o", "s"), op("Add", "x s")],
        ("N", 3),
        i=np.zeros(1000, np.int64),
        d=np.array(10**12),
        v=np.array([0, 1], np.float32),
    ),
    "many weights of one number": lambda: graph(
        [op("ConstantOfShape", "s", name) for name in "uvw"]
        + [op("MatMul", "x u", "a"), op("MatMul", "a v", "b"), op("MatMul", "b w")],
        ("N", 12000),
        s=[12000, 12000],
    ),
    "images": lambda: graph(op("Relu", "x"), ("N", HUGE, HUGE, 3)),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_a_file_makes_out_of_nothing_is_bounded(name: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        import_model(LARGE[name]())
    assert "\n" not in str(caught.value)


def with_outside(location: str, length: int = 12, offset: int = 0) -> Any:
    """A model whose array lies in another file."""
    model = graph(op("Add", "x c"), ("N", 3), c=np.ones(3, np.float32))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    return model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with some data, beside one with a secret."""
    (tmp_path / "secret").write_bytes(bytes(100))
    made = tmp_path / "model"
    (made / "sub").mkdir(parents=True)
    for name in ("data.bin", "sub/data.bin"):
        (made / name).write_bytes(b"\0" * 4 + np.array([1, 2, 3], np.float32).tobytes())
    (made / "link.bin").symlink_to(tmp_path / "secret")
    (made / "inner.bin").symlink_to(made / "data.bin")
    (made / "up").symlink_to(tmp_path)
    os.mkfifo(made / "pipe")
    return made


@pytest.mark.parametrize("location", ["data.bin", "sub/data.bin", "./sub/./data.bin"])
def test_data_in_the_models_own_folder_is_read(location: str, folder: Path) -> None:
    onnx.save(with_outside(location, offset=4), folder / "model.onnx")
    np.testing.assert_allclose(load(folder / "model.onnx")(np.zeros((1, 3))), [[1, 2, 3]])


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("../secret", "must lie in the model's own folder, the file names '../secret'"),
        ("sub/../../secret", "must lie in the model's own folder"),
        ("/etc/passwd", "must lie in the model's own folder"),
        ("C:\\secret", "must lie in the model's own folder"),
        ("..\\secret", "must lie in the model's own folder"),
        ("", "must lie in the model's own folder"),
        ("data.bin\0", "must lie in the model's own folder"),
        ("link.bin", r"link\.bin is a link"),
        ("inner.bin", r"inner\.bin is a link"),
        ("up/secret", "up is a link"),
        ("missing.bin", "missing.bin: No such file"),
        ("sub", "sub is no plain file"),
        ("pipe", "pipe is no plain file"),
    ],
)
def test_data_elsewhere_is_not(location: str, message: str, folder: Path) -> None:
    (folder / "model.onnx").write_bytes(with_outside(location).SerializeToString())
    with pytest.raises(FileFormatError, match=message):
        load(folder / "model.onnx")


@pytest.mark.parametrize(("location", "added"), [("inner.bin", [1, 2, 3]), ("link.bin", [0, 0, 0])])
def test_data_behind_links_is_read_where_that_is_asked_for(location: str, added: list[float], folder: Path) -> None:
    (folder / "model.onnx").write_bytes(with_outside(location, offset=4).SerializeToString())
    np.testing.assert_allclose(cn.load(folder / "model.onnx", allow_links=True)(np.zeros((1, 3))), [added])
    with pytest.raises(FileFormatError, match="is a link: allow_links=True follows it"):
        cn.load(folder / "model.onnx")


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("../secret", "must lie in the model's own folder, the file names '../secret'"),
        ("dangling.bin", "No such file"),
        ("to_pipe", "to_pipe is no plain file"),
        ("to_folder", "to_folder is no plain file"),
    ],
)
def test_links_lead_to_plain_files(location: str, message: str, folder: Path) -> None:
    for name, target in (("dangling.bin", "nowhere"), ("to_pipe", "pipe"), ("to_folder", "sub")):
        (folder / name).symlink_to(folder / target)
    (folder / "model.onnx").write_bytes(with_outside(location).SerializeToString())
    with pytest.raises(FileFormatError, match=message):
        cn.load(folder / "model.onnx", allow_links=True)


@pytest.mark.parametrize(
    ("length", "offset", "message"),
    [
        (12, 5, "expected 12 bytes, the file names 12 at 5 of .*, which has 16"),
        (12, -4, "names 12 at -4"),
        (8, 0, "expected 12 bytes, the file names 8"),
        (10**15, 0, "the file names 1000000000000000"),
    ],
)
def test_data_in_another_file_is_counted(length: int, offset: int, message: str, folder: Path) -> None:
    (folder / "model.onnx").write_bytes(with_outside("data.bin", length, offset).SerializeToString())
    with pytest.raises(FileFormatError, match=message):
        load(folder / "model.onnx")


def test_a_model_in_memory_has_no_folder() -> None:
    refused(with_outside("data.bin"), "its data lies in another file, 'data.bin', and the model was given without")


def test_what_a_graph_within_a_graph_cannot_run_is_named() -> None:
    branch = onnx.helper.make_graph(
        [op("NonZero", "x", "b")], "branch", [], [onnx.helper.make_tensor_value_info("b", 7, None)]
    )
    node = onnx.helper.make_node("If", ["c"], ["y"], name="choice", then_branch=branch, else_branch=branch)
    refused(graph(node, ("N", 3), c=np.array(True)), "node 'choice', operator If .* node 'NonZero_b', operator NonZero")


GRAPH = b"\xa0\x01\x05"  # field 20 of an attribute, its type: 5


def field(number: int, content: bytes) -> bytes:
    """A field of a protobuf message: its number, its length, its content."""
    length, size = b"", len(content)
    while size > 127:
        length, size = length + bytes([size % 128 + 128]), size // 128
    return bytes([number * 8 + 2]) + length + bytes([size]) + content


@pytest.mark.parametrize("depth", [5, 40, 3000])
def test_graphs_nested_without_end(depth: int) -> None:
    node = op("Relu", "x", "b").SerializeToString()
    for _ in range(depth):
        branch = field(1, b"then_branch") + field(6, field(1, node) + field(2, b"g")) + GRAPH
        node = field(1, b"c") + field(2, b"b") + field(4, b"If") + field(5, branch)
    content = graph(op("Relu", "x"), ("N", 3)).SerializeToString() + field(7, field(1, node))
    refused(content, "no ONNX|not a valid|can't be run")


def with_functions(calls: int, depth: int, circle: bool = False) -> Any:
    """A model whose functions call one another."""
    imports = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid("own", 1)]
    model = graph(onnx.helper.make_node("F0", ["x"], ["y"], domain="own"), ("N", 3), domain="own")
    for level in range(depth):
        last = level + 1 == depth
        inner = ("F0", "own") if last and circle else ("Relu", "") if last else (f"F{level + 1}", "own")
        names = ["a", *(f"v{n}" for n in range(1, calls)), "b"]
        nodes = [onnx.helper.make_node(inner[0], [names[n]], [names[n + 1]], domain=inner[1]) for n in range(calls)]
        model.functions.append(onnx.helper.make_function("own", f"F{level}", ["a"], ["b"], nodes, imports))
    return model


def test_functions_that_unfold_without_end() -> None:
    refused(with_functions(calls=10, depth=20), "unfold to more than 100,000 nodes")
    refused(with_functions(calls=1, depth=3, circle=True), "call themselves|not a valid ONNX model")


def test_text_as_input() -> None:
    model = graph(op("Identity", "x"), ("N", 3))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.STRING
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.STRING
    refused(model, "'x': expected numbers, got a tensor of STRING")


def test_input_of_an_unknown_type() -> None:
    model = graph(op("Identity", "x"), ("N", 3))
    model.graph.input[0].type.tensor_type.elem_type = 65
    refused(model, "'x': numbers of an unknown type, 65")


def test_names_that_are_no_text_or_several_lines() -> None:
    content = graph(op("Relu", "x", "yyy"), ("N", 3), outputs="yyy").SerializeToString()
    refused(content.replace(b"yyy", b"y\xffy"), "a name is no text|not a valid|no ONNX file|makes no sense")
    refused(content.replace(b"Relu", b"Re\nu"), "Re u|not a valid ONNX model")


NODES = {
    "negative kernel": op("MaxPool", "x", kernel_shape=[-2, 2]),
    "stride of zero": op("MaxPool", "x", kernel_shape=[2, 2], strides=[0, 1]),
    "negative border": op("MaxPool", "x", kernel_shape=[2, 2], pads=[-1, 0, 0, 0]),
    "borders missing": op("MaxPool", "x", kernel_shape=[2, 2], pads=[1]),
    "an axis too many": op("Softmax", "x", axis=9),
    "an order that is none": op("Transpose", "x", perm=[0, 1, 1, 2]),
    "blocks of zero": op("DepthToSpace", "x", blocksize=0),
    "parts of nothing": op("Split", "x", "y z", num_outputs=0),
    "groups of zero": op("LpNormalization", "x", axis=-9),
    "window of zero": op("LRN", "x", size=-1),
}


@pytest.mark.parametrize("name", NODES)
def test_attributes_that_make_no_sense(name: str) -> None:
    made = onnx.helper.make_graph(
        [NODES[name]],
        "graph",
        [onnx.helper.make_tensor_value_info("x", 1, ["N", 4, 5, 5])],
        [onnx.helper.make_tensor_value_info("y", 1, ["N", 4, 5, 5])],
    )
    refused(onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 20)]), "can't be run|not a valid")


FUZZ = """
import resource, sys, warnings
import numpy as np
import colonnade as cn
from colonnade.formats.onnx import import_model
from tests.formats.test_onnx_hostile import small

warnings.simplefilter("ignore")
content = small().SerializeToString()
import_model(content)
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
made = refused = 0
for seed in range(200):
    rng = np.random.default_rng(seed)
    changed = bytearray(content)
    for place in rng.integers(0, len(changed), rng.integers(1, 5)):
        changed[place] = rng.integers(0, 256) if seed % 2 else changed[place] ^ (1 << int(rng.integers(0, 8)))
    try:
        model = import_model(bytes(changed))
        made += 1
    except cn.ColonnadeError as error:
        assert "\\n" not in str(error), error
        refused += 1
print(made, refused)
"""


def test_flipped_bytes_end_in_an_error_of_ours_or_a_model() -> None:
    result = subprocess.run(
        [sys.executable, "-c", FUZZ], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    made, refusals = map(int, result.stdout.split())
    assert made + refusals == 200
    assert made > 20
    assert refusals > 20
