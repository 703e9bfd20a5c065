"""One file of arrays and text: whole or not at all, and never trusted."""

import errno
import json
import os
import stat
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from colonnade import storage
from colonnade.errors import ArgumentError, FileFormatError

TENSORS = {
    "kernel": np.arange(48, dtype=np.float32).reshape(2, 3, 2, 4).transpose(0, 3, 1, 2),
    "every second": np.arange(10.0)[::2],
    "step": np.array(7, np.int64),
    "big-endian": np.arange(3, dtype=">f4"),
    "nothing": np.zeros((0, 3), np.float32),
}


def hostile(path, header, data=b"", length=None):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)


def tensor(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"a": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_arrays_of_any_layout_and_text_come_back(tmp_path):
    path = tmp_path / "file.safetensors"
    storage.write(path, TENSORS, {"text": "with \n and ü"})
    tensors, metadata = storage.read(path)
    assert metadata == {"text": "with \n and ü"}
    assert set(tensors) == set(TENSORS)
    for name, array in TENSORS.items():
        assert tensors[name].shape == array.shape
        np.testing.assert_array_equal(tensors[name], array)


def test_file_without_text_has_none(tmp_path):
    hostile(tmp_path / "file", tensor(), bytes(8))
    assert storage.read(tmp_path / "file")[1] == {}


def test_file_loads_with_the_plain_safetensors_package(tmp_path):
    from safetensors.numpy import load_file

    storage.write(tmp_path / "file", TENSORS, {})
    np.testing.assert_array_equal(load_file(tmp_path / "file")["kernel"], TENSORS["kernel"])


def test_what_was_read_may_be_written_over(tmp_path):
    path = tmp_path / "file"
    storage.write(path, TENSORS, {})
    tensors, _ = storage.read(path)
    storage.write(path, {"other": np.ones(1)}, {})
    np.testing.assert_array_equal(tensors["kernel"], TENSORS["kernel"])


def test_types_that_the_format_does_not_know_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match="can't be stored"):
        storage.write(tmp_path / "file", {"a": np.array(["text"])}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failed_write_leaves_the_old_file_whole_and_nothing_else(tmp_path, monkeypatch, failure):
    path = tmp_path / "file"
    storage.write(path, {"a": np.zeros(3)}, {})
    before = path.read_bytes()

    def fail(descriptor):
        raise failure

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(failure)):
        storage.write(path, {"a": np.ones(3)}, {})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_write_leaves_no_other_file(tmp_path):
    for _ in range(2):
        storage.write(tmp_path / "file", TENSORS, {})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_new_file_follows_the_users_mask_and_an_old_one_keeps_its_permissions(tmp_path):
    (tmp_path / "like").touch()
    path = tmp_path / "file"
    storage.write(path, {"a": np.zeros(3)}, {})
    assert mode(path) == mode(tmp_path / "like")
    path.chmod(0o640)
    storage.write(path, {"a": np.ones(3)}, {})
    assert mode(path) == 0o640


def test_link_stays_a_link(tmp_path):
    (tmp_path / "real").touch()
    link = tmp_path / "link"
    link.symlink_to("real")
    storage.write(link, {"a": np.zeros(3)}, {})
    assert link.is_symlink()
    assert list(storage.read(tmp_path / "real")[0]) == ["a"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_what_is_no_plain_file_is_neither_replaced_nor_read(tmp_path):
    # A pipe of our own stands for the devices: renamed over, /dev/null would be a file from then on.
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ArgumentError, match="got a device or a pipe"):
        storage.write(tmp_path / "pipe", {"a": np.zeros(3)}, {})
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    with pytest.raises(FileFormatError, match="got a device or a pipe"):
        storage.read(tmp_path / "pipe")
    with pytest.raises(ArgumentError, match="got a folder"):
        storage.write(tmp_path, {"a": np.zeros(3)}, {})
    with pytest.raises(FileFormatError, match="got a folder"):
        storage.read(tmp_path)


def test_missing_folder_is_one_line(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere: there is no such folder\.$"):
        storage.write(tmp_path / "nowhere" / "file", TENSORS, {})


def test_missing_file_is_one_line(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere: there is no such file\."):
        storage.read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("header", "data", "length"),
    [
        (b"", b"", None),
        (b"[]", b"", None),
        (b"[" * 100_000, b"", None),
        (b"\xff\xff", b"", None),
        (tensor(), bytes(7), None),
        (tensor(), bytes(9), None),
        (tensor(), b"", 2**63),
        (tensor(), b"", 2**40),
        (tensor(shape=[2**40]), bytes(8), None),
        (tensor(shape=[2**40], offsets=[0, 2**42]), bytes(8), None),
        (tensor(shape=[2**62, 0], offsets=[0, 0]), b"", None),
        (tensor(shape=[2**62, 4, 2], offsets=[0, 0]), b"", None),
        (tensor(shape=[-2]), bytes(8), None),
        (tensor(shape=[1] * 70 + [2]), bytes(8), None),
        (tensor(dtype="BF16", shape=[5]), bytes(8), None),
        (tensor(dtype="BF16", shape=[2**40], offsets=[0, 2**41]), bytes(8), None),
        (tensor(dtype="object"), bytes(8), None),
        (tensor() | {"b": tensor()["a"]}, bytes(8), None),
        ({"__metadata__": {"a": 1}}, b"", None),
    ],
)
def test_hostile_file_is_one_line_and_takes_no_memory(tmp_path, header, data, length):
    path = tmp_path / "file"
    hostile(path, header, data, length)
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError, match="no safetensors file, or a truncated one") as caught:
            storage.read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**22
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["F8_E4M3", "F8_E5M2"])
def test_types_that_numpy_has_not_are_named(tmp_path, kind):
    hostile(tmp_path / "file", tensor(dtype=kind, shape=[8]), bytes(8))
    with pytest.raises(FileFormatError, match=f"file: a holds numbers of the type {kind}, which NumPy has not"):
        storage.read(tmp_path / "file")


def test_half_numbers_come_as_they_are(tmp_path):
    """Those of bfloat16 as float32: 1, −2, 3.140625, ∞, the least above zero."""
    data = b"".join(struct.pack("<H", bits) for bits in (0x3F80, 0xC000, 0x4049, 0x7F80, 0x0001))
    told = tensor("BF16", (5, 1), (0, 10)) | {"b": {"dtype": "BF16", "shape": [], "data_offsets": [10, 12]}}
    told |= {"c": {"dtype": "F16", "shape": [1], "data_offsets": [12, 14]}}
    hostile(tmp_path / "file", told, data + struct.pack("<H", 0xBF80) + np.float16(0.1).tobytes())
    tensors, _ = storage.read(tmp_path / "file")
    np.testing.assert_array_equal(tensors["a"], np.float32([[1], [-2], [3.140625], [np.inf], [2.0**-133]]))
    assert tensors["a"].dtype == tensors["b"].dtype == np.float32
    assert (tensors["b"].shape, tensors["b"]) == ((), -1)
    assert tensors["c"] == np.float16(0.1)


def test_every_truncation_is_noticed(tmp_path):
    path = tmp_path / "file"
    storage.write(path, TENSORS, {"a": "b"})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError):
            storage.read(path)


def test_pickle_is_not_read(tmp_path):
    import pickle

    (tmp_path / "file").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(FileFormatError, match="no safetensors file"):
        storage.read(tmp_path / "file")


def test_check_writable_makes_the_folder_and_leaves_it_empty(tmp_path):
    storage.check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("inside", ["file", "file/folder"])
def test_check_writable_refuses_what_can_be_no_folder(tmp_path, inside):
    (tmp_path / "file").touch()
    with pytest.raises(ArgumentError, match="can't write to this output folder"):
        storage.check_writable(tmp_path / inside)


def refuse(monkeypatch, module, name, number):
    """Root may write anywhere, so that permissions prove nothing: the system says what it says to others."""

    def refusing(*arguments, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, name, refusing)


def test_check_writable_refuses_a_folder_that_is_read_only(tmp_path, monkeypatch):
    refuse(monkeypatch, Path, "open", errno.EROFS)
    with pytest.raises(ArgumentError, match="Read-only file system"):
        storage.check_writable(tmp_path)


@pytest.mark.parametrize("name", ["a" * 255, "a" * 248, "ü" * 127, "文" * 85])
def test_any_name_that_the_file_system_takes_can_be_written(tmp_path, name):
    assert 248 <= len(name.encode()) <= 255
    for _ in range(2):
        storage.write(tmp_path / name, TENSORS, {})
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_name_that_is_too_long_is_what_the_system_says(tmp_path):
    with pytest.raises(OSError, match="File name too long"):
        storage.write(tmp_path / ("a" * 256), TENSORS, {})
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_read_only_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"mine")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "file" or mode != os.W_OK)
    with pytest.raises(PermissionError, match="Permission denied"):
        storage.replace(tmp_path / "file", b"yours")
    refused = pytest.raises(ArgumentError, match=r"file: can't write 5 bytes to this file \(Permission denied\)\.$")
    with refused, storage.reserved(tmp_path / "file", 5):
        pass
    assert (tmp_path / "file").read_bytes() == b"mine"


@pytest.mark.parametrize("preallocates", [True, False])
def test_room_that_is_not_there_is_noticed_beforehand(tmp_path, monkeypatch, preallocates):
    if not preallocates:
        refuse(monkeypatch, os, "posix_fallocate", errno.EOPNOTSUPP)
    with storage.reserved(tmp_path / "file", 1000):
        assert not (tmp_path / "file").exists()
    refused = pytest.raises(ArgumentError, match=r"can't write 4,611,686,018,427,387,904 bytes to this file \(")
    with refused, storage.reserved(tmp_path / "file", 1 << 62):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo] if hasattr(os, "mkfifo") else [Path.mkdir])
def test_a_place_that_holds_no_plain_file_is_noticed_beforehand(tmp_path, make):
    make(tmp_path / "file")
    with pytest.raises(ArgumentError, match="expected a file to write, got a"), storage.reserved(tmp_path / "file"):
        pass


OWNER = """
import sys, time
from colonnade import storage
with storage.replacing(sys.argv[1]) as file:
    file.write(b"whole")
    print("begun", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("ends", ["writes", "is killed"])
def test_temporary_file_is_left_to_its_owner_for_as_long_as_he_lives(tmp_path, ends):
    path = tmp_path / "file"
    command = [sys.executable, "-c", OWNER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout.readline() == "begun\n"
        storage.remove_leftovers(tmp_path)
        assert len(list(tmp_path.iterdir())) == 1
        if ends == "is killed":
            owner.kill()
        else:
            owner.communicate("\n", timeout=60)
    storage.remove_leftovers(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ([] if ends == "is killed" else ["file"])
    assert ends == "is killed" or path.read_bytes() == b"whole"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_writes_nothing_to_its_parents_file(tmp_path):
    with storage.replacing(tmp_path / "file") as file:
        file.write(b"once")  # it lies in a buffer yet
        child = os.fork()
        if child == 0:
            file.flush()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    assert (tmp_path / "file").read_bytes() == b"once"


FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.fixture
def shards(tmp_path):
    storage.write(tmp_path / FIRST, {"a": np.arange(3.0), "c": np.ones(1)}, {"format": "pt"})
    storage.write(tmp_path / SECOND, {"b": np.ones((2, 2))}, {})
    return index(tmp_path, {"a": FIRST, "b": SECOND})


def index(folder, names):
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 10**18}, "weight_map": names}), encoding="utf-8")
    return path


def test_an_index_stands_for_the_files_that_it_names(shards):
    tensors, metadata = storage.read(shards)
    np.testing.assert_array_equal(tensors["a"], [0, 1, 2])
    assert (list(tensors), metadata) == (["a", "b"], {"format": "pt"})
    assert storage.shapes(shards) == {"a": (3,), "b": (2, 2)}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"a": FIRST, "b": "model-3.safetensors"}, "it names model-3.safetensors, expected beside it, where there is"),
        ({"a": FIRST, "b": FIRST}, f"{FIRST}: it lacks b, which the index says it holds"),
        ({"a": f"../{FIRST}"}, "expected names of files beside it, such as .*, '../model"),
        ({"a": f"/{FIRST}"}, "expected names of files beside it"),
        ({"a": f"..\\{FIRST}"}, "expected names of files beside it"),
        ({"a": f"C:{FIRST}"}, "expected names of files beside it"),
        ({"a": "..safetensors"}, "expected names of files beside it"),
        ({"a": "pytorch_model.bin"}, "expected names of files beside it"),
        ({"a": "\0.safetensors"}, "expected names of files beside it"),
        ({"a": 7}, "expected names of files beside it"),
        ({"a": "a" * 10_000 + ".safetensors"}, "expected names of files beside it"),
        ({}, "it names none"),
        ([], "no index of safetensors files"),
        (None, "no index of safetensors files"),
    ],
)
def test_an_index_that_leads_nowhere_is_one_line(shards, names, message):
    index(shards.parent, names)
    for read in (storage.read, storage.shapes):
        with pytest.raises(FileFormatError, match=message) as caught:
            read(shards)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize("content", ["", "{", "[]", "7", "[" * 100_000, "{}"])
def test_what_is_no_index_is_one_line(shards, content):
    shards.write_text(content)
    with pytest.raises(FileFormatError, match=r"index\.json: no index of safetensors files"):
        storage.read(shards)


def test_an_index_that_is_not_there_and_a_shard_that_is_none_are_one_line(shards):
    (shards.parent / SECOND).unlink()
    (shards.parent / SECOND).mkdir()
    with pytest.raises(FileFormatError, match=f"{SECOND}: expected a safetensors file, got a folder"):
        storage.read(shards)
    (shards.parent / SECOND).rmdir()
    (shards.parent / SECOND).write_bytes(b"x" * 100)
    with pytest.raises(FileFormatError, match=f"{SECOND}: no safetensors file, or a truncated one"):
        storage.read(shards)
    shards.unlink()
    with pytest.raises(FileNotFoundError, match=r"index\.json: there is no such file"):
        storage.read(shards)
