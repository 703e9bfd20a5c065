"""Files of weights: what is read, how names are matched, and what hostile files can't do."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import colonnade as cn
from colonnade.errors import ArgumentError, FileFormatError, ShapeError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn


def module() -> Any:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))


def model() -> cn.Model:
    return cn.Model([cn.Conv2d(2, 3, 3), cn.BatchNorm2d(3), cn.ReLU(), cn.Flatten(), cn.Dense(12, 2)])


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def holds(made: cn.Model, state: Any) -> None:
    """The model has the numbers of a state dict of PyTorch, to the last bit."""
    for name, array in made.state_dict().items():
        assert array.tobytes() == state[name].numpy().tobytes(), name


@pytest.mark.parametrize(
    "wrap", [dict, lambda state: {"epoch": 3, "state_dict": state}, lambda state: {"model": state}]
)
def test_state_dict_is_found_by_itself_or_in_a_checkpoint(tmp_path: Path, wrap: Any) -> None:
    state = module().state_dict()
    path = saved(tmp_path / "weights.pt", wrap(state))
    made = model()
    arrays = cn.load_torch(path, into=made)
    assert list(arrays) == list(state)
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    holds(made, state)
    assert cn.load_torch(path).keys() == state.keys()


@pytest.mark.parametrize("prefix", ["module.", "model.", "network.backbone."])
def test_prefix_that_all_names_share_is_taken_off(tmp_path: Path, prefix: str) -> None:
    state = module().state_dict()
    path = saved(tmp_path / "weights.pth", {prefix + name: tensor for name, tensor in state.items()})
    made = model()
    assert list(cn.load_torch(path, made)) == [prefix + name for name in state]
    holds(made, state)


def test_safetensors_need_no_torch(tmp_path: Path) -> None:
    state = {name: tensor.numpy() for name, tensor in module().state_dict().items()}
    save_file(state, tmp_path / "weights.safetensors")
    np.save(tmp_path / "expected.npy", state["4.weight"])
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np, colonnade as cn\n"
        "made = cn.Model([cn.Conv2d(2, 3, 3), cn.BatchNorm2d(3), cn.ReLU(), cn.Flatten(), cn.Dense(12, 2)])\n"
        "cn.load_torch('weights.safetensors', into=made)\n"
        "assert np.array_equal(made.state_dict()['4.weight'], np.load('expected.npy'))\n"
        "open('weights.pt', 'wb').close()\n"
        "try: cn.load_torch('weights.pt')\n"
        "except cn.errors.MissingExtraError as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout == ("load_torch: weights.pt needs PyTorch, which is not installed: pip install torch\n")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_types_are_kept_and_bfloat16_becomes_float32(tmp_path: Path, suffix: str) -> None:
    state = {
        "half": torch.tensor([0.5, -3.25]).half(),
        "brain": torch.tensor([1.5, -2.0, float("inf")]).bfloat16(),
        "whole": torch.tensor([[1, 2]]),
        "flag": torch.tensor([True, False]),
        "number": torch.tensor(7, dtype=torch.int32),
    }
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        saved(path, state)
    else:
        from safetensors.torch import save_file as save_tensors

        save_tensors(state, path)
    arrays = cn.load_torch(path)
    assert {name: str(array.dtype) for name, array in arrays.items()} == {
        "half": "float16",
        "brain": "float32",
        "whole": "int64",
        "flag": "bool",
        "number": "int32",
    }
    for name, array in arrays.items():
        assert np.array_equal(array, state[name].float().numpy()), name


def test_old_file_without_the_count_of_batches_loads(tmp_path: Path) -> None:
    state = {name: tensor for name, tensor in module().state_dict().items() if "tracked" not in name}
    made = model()
    cn.load_torch(saved(tmp_path / "old.pt", state), into=made)
    assert np.array_equal(made.state_dict()["0.weight"], state["0.weight"].numpy())


def test_arrays_that_are_alone_with_their_name_and_axes_of_length_one(tmp_path: Path) -> None:
    """What torchvision calls class_token, of one axis more; and a Linear that is a 1×1 convolution here."""
    graph = cn.Graph(
        {
            "token": (cn.Constant((1, 4)),),
            "conv": (cn.Conv2d(3, 4, 1, bias=False), "input"),
            "flat": (cn.Flatten(2), "conv"),
            "turned": (cn.Permute((0, 2, 1)), "flat"),
            "sum": (cn.Concat(), "token", "turned"),
        }
    )
    made = cn.Model(graph)
    state = {"token": torch.randn(1, 1, 4), "conv.weight": torch.randn(4, 3)}
    cn.load_torch(saved(tmp_path / "weights.pt", state), into=made)
    assert np.array_equal(made.state_dict()["token.weight"], state["token"][0].numpy())
    assert np.array_equal(made.state_dict()["conv.weight"][:, :, 0, 0], state["conv.weight"].numpy())


def test_weights_of_the_same_network_of_torchvision_fit_the_zoo(tmp_path: Path) -> None:
    from tests import zoo_torch

    theirs = zoo_torch.VisionTransformer(3, 7, 4, 13, 24, 2, 3)
    ours = cn.zoo.vit_tiny((3, 12, 16), 7, width=24, depth=2)
    cn.load_torch(saved(tmp_path / "vit.pt", theirs.state_dict()), into=ours)
    x = np.random.default_rng(0).normal(size=(2, 3, 12, 16)).astype("float32")
    with torch.no_grad():
        assert np.abs(ours(x) - theirs.eval()(torch.from_numpy(x)).numpy()).max() < 1e-4


# What does not fit the model


def changed(**changes: Any) -> dict[str, Any]:
    """The state dict without what is None, and with what is not."""
    state = module().state_dict()
    for name, tensor in changes.items():
        state.pop(name.replace("_", ".", 1), None)
        if tensor is not None:
            state[name.replace("_", ".", 1)] = tensor
    return dict(state)


@pytest.mark.parametrize(
    ("state", "match"),
    [
        (changed(**{"4_weight": None}), "weights.pt does not fit the model: it lacks '4.weight'.$"),
        (
            changed(**{"0_weight": None, "0_bias": None, "4_weight": None, "4_bias": None, "1_bias": None}),
            "it lacks '0.weight', '0.bias', '1.bias' and 2 more.$",
        ),
        (changed(**{"5_weight": torch.zeros(2)}), "it holds '5.weight', which the model does not.$"),
        (
            {"head.weight": torch.zeros(2), "tail.weight": torch.zeros(2)},
            "it lacks '0.weight', '0.bias', '1.weight' and 5 more; it holds 'head.weight', 'tail.weight', which the",
        ),
    ],
)
def test_first_names_that_differ_are_named(tmp_path: Path, state: Any, match: str) -> None:
    made = model()
    before = made.state_dict()
    with pytest.raises(ArgumentError, match=match):
        cn.load_torch(saved(tmp_path / "weights.pt", state), into=made)
    assert all(np.array_equal(array, before[name]) for name, array in made.state_dict().items())


def test_array_of_another_shape_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match=r"4.weight must have shape \(2, 12\), got \(12, 2\)"):
        cn.load_torch(saved(tmp_path / "weights.pt", changed(**{"4_weight": torch.zeros(12, 2)})), into=model())


# Files that are none, or mean harm


class Harm:
    """What leaves a mark if it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("legacy", [False, True])
def test_nothing_in_a_file_is_executed(tmp_path: Path, legacy: bool) -> None:
    mark, path = tmp_path / "mark", tmp_path / "weights.pt"
    torch.save({"a": Harm(mark)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(FileFormatError, match="it holds more than tensors, which is not unpickled"):
        cn.load_torch(path)
    assert not mark.exists()
    path.write_bytes(pickle.dumps(Harm(mark)))
    with pytest.raises(FileFormatError, match=r"weights.pt: "):
        cn.load_torch(path)
    assert not mark.exists()


def test_whole_module_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"save module.state_dict\(\), not the module"):
        cn.load_torch(saved(tmp_path / "module.pt", module()))


def test_truncated_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    path = saved(tmp_path / "weights.pt", module().state_dict())
    content = path.read_bytes()
    for end in (0, 1, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:end])
        with pytest.raises(FileFormatError, match=r"weights.pt: no file of PyTorch, or a damaged one"):
            cn.load_torch(path)


@pytest.mark.parametrize("content", [b"", b"weights", b"PK\x03\x04" + b"\0" * 60, b"\x80\x02" + b"]" * 1000])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"weights\.pt: ") as caught:
        cn.load_torch(path)
    assert "\n" not in str(caught.value)


def test_compressed_archive_is_not_unpacked(tmp_path: Path) -> None:
    path, packed = saved(tmp_path / "weights.pt", {"a": torch.zeros(100_000)}), tmp_path / "packed.pt"
    with zipfile.ZipFile(path) as plain, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as small:
        for name in plain.namelist():
            small.writestr(name, plain.read(name))
    with pytest.raises(FileFormatError, match=r"packed.pt: no file of PyTorch: '.*' in it is compressed"):
        cn.load_torch(packed)


def test_tensor_that_claims_more_than_the_file_holds_is_not_made(tmp_path: Path) -> None:
    path = saved(tmp_path / "weights.pt", {"a": torch.zeros(1).expand(1 << 40)})
    assert path.stat().st_size < 10_000
    with pytest.raises(FileFormatError, match="its tensors claim 4,398,046,511,104 bytes, the file has"):
        cn.load_torch(path)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ([torch.zeros(2)], "expected a state dict, tensors by name, got list"),
        ({}, "expected a state dict, tensors by name, got dict"),
        ({"a": torch.zeros(2), "epoch": 3}, "'epoch' is of type int"),
        ({3: torch.zeros(2)}, "3 is of type Tensor"),
        ({"a": torch.zeros(2, 2).to_sparse()}, "a is a sparse, quantised, complex or empty tensor"),
        ({"a": torch.zeros(2, dtype=torch.complex64)}, "a is a sparse, quantised, complex or empty tensor"),
    ],
)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_what_is_no_state_dict_is_refused(tmp_path: Path, content: Any, match: str) -> None:
    with pytest.raises(FileFormatError, match=match):
        cn.load_torch(saved(tmp_path / "weights.pt", content))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing.pt: there is no such file"):
        cn.load_torch(tmp_path / "nothing.pt")
    with pytest.raises(FileNotFoundError, match=r"nothing.safetensors: there is no such file"):
        cn.load_torch(tmp_path / "nothing.safetensors")
    with pytest.raises(FileFormatError, match="expected a file of PyTorch, got a folder"):
        cn.load_torch(tmp_path)


@pytest.mark.parametrize("old", [False, True])
def test_load_says_of_a_file_of_torch_save_what_to_do(tmp_path: Path, old: bool) -> None:
    path = tmp_path / "weights.pt"
    torch.save(torch.nn.Linear(2, 2).state_dict(), path, _use_new_zipfile_serialization=not old)
    with pytest.raises(FileFormatError, match=r"weights.pt: written by torch.save, .* from_torch.* load_torch\(path"):
        cn.load(path)


def test_broken_safetensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"a": np.zeros(3)}, path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(FileFormatError, match="no safetensors file, or a truncated one"):
        cn.load_torch(path)
