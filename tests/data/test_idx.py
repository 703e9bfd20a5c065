"""idx files, whole and broken."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from colonnade.data import idx
from colonnade.errors import DataError


def encoded(array, magic=None, shape=None):
    shape = array.shape if shape is None else shape
    magic = bytes((0, 0, 8, len(shape))) if magic is None else magic
    return magic + struct.pack(f">{len(shape)}I", *shape) + array.tobytes()


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (7, 3, 2), dtype=np.uint8)


@pytest.mark.parametrize("compress", [lambda content: content, gzip.compress], ids=["plain", "gzip"])
def test_file_is_read_gzipped_or_not_whatever_its_name(tmp_path, images, compress):
    path = tmp_path / "file"
    path.write_bytes(compress(encoded(images)))
    np.testing.assert_array_equal(idx.read(path, 3), images)


@pytest.mark.parametrize("compress", [lambda content: content, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with"),
        (b"\0\0\x08\x01\0\0\0\x01\x07", "begins with"),
        (b"\0\0\x0d\x03" + bytes(12), "begins with"),
        (b"\0\0\x08\x03\0\0\0\x07", "truncated within its header"),
        (encoded(np.zeros(41, np.uint8), shape=(7, 3, 2)), r"claims shape \(7, 3, 2\)|expected 42 bytes .* got 41"),
        (encoded(np.zeros(43, np.uint8), shape=(7, 3, 2)), "got more"),
    ],
)
def test_file_that_is_not_what_it_claims_is_refused_in_one_line(tmp_path, content, message, compress):
    path = tmp_path / "images"
    path.write_bytes(compress(content))
    with pytest.raises(DataError, match=message) as caught:
        idx.read(path, 3)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_truncated_and_corrupt_gzip_are_refused(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8), dtype=np.uint8)
    whole = gzip.compress(encoded(images))
    path = tmp_path / "images.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="truncated"):
        idx.read(path, 3)
    path.write_bytes(whole[:-8] + bytes(8))  # the checksum and the length
    with pytest.raises(DataError, match="can't be read"):
        idx.read(path, 3)
    path.write_bytes(whole[:20] + b"\xff" * 40 + whole[60:])
    with pytest.raises(DataError, match=r"can't be read|truncated"):
        idx.read(path, 3)


@pytest.mark.parametrize("compress", [lambda content: content, gzip.compress], ids=["plain", "gzip"])
def test_no_memory_is_taken_for_what_only_a_header_claims(tmp_path, compress):
    path = tmp_path / "images"
    path.write_bytes(compress(encoded(np.zeros(10, np.uint8), shape=(2**20, 2**10, 2**10))))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="more than a file of its size can hold"):
            idx.read(path, 3)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_what_can_not_be_opened_is_refused(tmp_path):
    with pytest.raises(DataError, match="can't be read"):
        idx.read(tmp_path, 3)
