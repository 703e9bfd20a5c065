"""Official files, read where they lie."""

import numpy as np
import pytest

import colonnade as cn
from colonnade.data import cifar
from colonnade.errors import DataError

from .official_files import CIFAR, cifar_archive, cifar_records, write_cifar, write_mnist

IDX = {"mnist": cn.data.mnist, "fashion-mnist": cn.data.fashion_mnist, "kmnist": cn.data.kmnist}
READ_CIFAR = {"cifar10": cn.data.cifar10, "cifar100": cn.data.cifar100}


@pytest.fixture(autouse=True)
def _nowhere_else(tmp_path, monkeypatch):
    monkeypatch.delenv("COLONNADE_DATA", raising=False)
    monkeypatch.setenv("COLONNADE_CACHE", str(tmp_path / "cache"))


# idx files


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("name", IDX)
def test_idx_files_are_found_in_the_folder_or_its_sub_folder(tmp_path, name, suffix, inside):
    parts = write_mnist(tmp_path / name if inside else tmp_path, suffix=suffix)
    loaded = IDX[name](tmp_path, download=False)
    for examples, part in ((loaded.train, "train"), (loaded.test, "t10k")):
        np.testing.assert_array_equal(examples.x[:, 0], parts[part][0])
        np.testing.assert_array_equal(examples.y, parts[part][1])
        assert examples.y.dtype == np.int64
    assert (loaded.name, loaded.input_shape, len(loaded.classes)) == (name, (1, 28, 28), 10)
    last = {"mnist": "9", "fashion-mnist": "Ankle boot", "kmnist": "wo"}
    assert loaded.classes[9] == last[name]


def test_sub_folder_of_the_name_comes_before_the_folder_itself(tmp_path):
    write_mnist(tmp_path, train=30)
    write_mnist(tmp_path / "mnist", train=20)
    assert len(cn.data.mnist(tmp_path).train) == 20


def test_files_come_from_one_place(tmp_path):
    write_mnist(tmp_path, train=30)
    write_mnist(tmp_path / "mnist", train=20)
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    assert len(cn.data.mnist(tmp_path, download=False).train) == 30


def test_environment_names_the_folder_and_the_users_cache_is_looked_into(tmp_path, monkeypatch):
    write_mnist(tmp_path / "cache" / "mnist", train=7)
    assert len(cn.data.mnist(download=False).train) == 7
    write_mnist(tmp_path / "named", train=8)
    monkeypatch.setenv("COLONNADE_DATA", str(tmp_path / "named"))
    assert len(cn.data.mnist(download=False).train) == 8
    write_mnist(tmp_path / "given", train=9)
    assert len(cn.data.mnist(tmp_path / "given", download=False).train) == 9
    assert len(cn.data.mnist(str(tmp_path / "given"), download=False).train) == 9


def test_folder_that_is_none_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"mnist: expected a folder with its files, got .*nowhere', which is none"):
        cn.data.mnist(tmp_path / "nowhere")
    monkeypatch.setenv("COLONNADE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="nowhere"):
        cn.data.mnist()


def test_missing_file_is_named_with_where_to_put_it(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=rf"put the official t10k-labels-idx1-ubyte or .*\.gz into {tmp_path}, or name"):
        cn.data.mnist(tmp_path, download=False)
    with pytest.raises(
        DataError, match=r"official train-images-idx3-ubyte or .* into .*cache.*kmnist, .*COLONNADE_DATA"
    ):
        cn.data.kmnist(download=False)


def test_labels_of_another_number_than_the_images_are_refused(tmp_path):
    write_mnist(tmp_path, labels=9)
    with pytest.raises(DataError, match="mnist: expected a label for each image, got 30 training images, 9"):
        cn.data.mnist(tmp_path)


def test_part_without_images_is_refused(tmp_path):
    write_mnist(tmp_path, test=0)
    with pytest.raises(DataError, match="mnist: expected at least one image in the test part, got none"):
        cn.data.mnist(tmp_path)


# CIFAR


def check(loaded, records, labels):
    train = np.concatenate(list(records.values())[:-1])
    (*_, test) = records.values()
    for examples, rows in ((loaded.train, train), (loaded.test, test)):
        np.testing.assert_array_equal(examples.y, rows[:, labels - 1])
        np.testing.assert_array_equal(examples.x, rows[:, labels:].reshape(-1, 3, 32, 32))
        assert examples.x.transpose(0, 2, 3, 1).flags.c_contiguous
    # Second image, green, third row, fifth column: a channel of red, two rows, four pixels before it.
    assert loaded.test.x[1, 1, 2, 4] == test[1, labels + 1024 + 2 * 32 + 4]


@pytest.mark.parametrize("name", READ_CIFAR)
@pytest.mark.parametrize("place", ["", "name", "inside", "name/inside"])
def test_binary_files_are_read_wherever_they_were_unpacked(tmp_path, name, place):
    _, inside, _, labels = CIFAR[name]
    records = write_cifar(tmp_path / place.replace("name", name).replace("inside", inside), name)
    loaded = READ_CIFAR[name](tmp_path, download=False)
    check(loaded, records, labels)
    assert (loaded.name, loaded.input_shape) == (name, (3, 32, 32))
    assert len(loaded.classes) == (10 if name == "cifar10" else 100)


@pytest.mark.parametrize("name", READ_CIFAR)
@pytest.mark.parametrize("inside", [True, False])
def test_archive_is_unpacked_beside_itself_and_nothing_else_of_it(tmp_path, name, inside):
    stem, sub, files, labels = CIFAR[name]
    place = tmp_path / "data" / name if inside else tmp_path / "data"
    place.mkdir(parents=True)
    (place / f"{stem}-binary.tar.gz").write_bytes(cifar_archive(name))
    for _ in range(2):
        check(READ_CIFAR[name](tmp_path / "data", download=False), cifar_records(name), labels)
        (place / f"{stem}-binary.tar.gz").unlink(missing_ok=True)  # no longer needed
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == sorted(files)
    assert all(path.parent == place / sub for path in tmp_path.rglob("*.bin"))


def corrupt(content):
    middle = len(content) // 2
    return content[:middle] + bytes(99) + content[middle + 99 :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[: len(content) // 2], "truncated or corrupt"),
        (lambda content: content[:-8] + bytes(8), "truncated or corrupt"),
        (corrupt, "truncated or corrupt"),
        (lambda content: b"no archive", "truncated or corrupt"),
        (lambda content: b"", "truncated or corrupt"),
        (lambda content: cifar_archive("cifar10", leave_out="data_batch_3.bin"), r"expected data_batch_3\.bin in it"),
    ],
    ids=["cut", "wrong sum", "overwritten", "text", "empty", "incomplete"],
)
def test_archive_that_is_corrupt_is_one_line(tmp_path, damage, message):
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(damage(cifar_archive("cifar10")))
    with pytest.raises(DataError, match=message) as caught:
        cn.data.cifar10(tmp_path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_archive_with_a_file_that_is_too_large_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "GREATEST_FILE", 3073 * 4 - 1)
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(cifar_archive("cifar10"))
    with pytest.raises(DataError, match=r"data_batch_1\.bin claims 12,292 bytes; the official one is smaller"):
        cn.data.cifar10(tmp_path)
    assert not list(tmp_path.rglob("*.bin"))


@pytest.mark.parametrize("size", [0, 3072, 3074])
def test_file_that_is_no_whole_number_of_records_is_refused(tmp_path, size):
    write_cifar(tmp_path, "cifar10")
    (tmp_path / "data_batch_3.bin").write_bytes(bytes(size))
    with pytest.raises(DataError, match=rf"data_batch_3\.bin: expected records of 3,073 bytes, got {size:,} bytes"):
        cn.data.cifar10(tmp_path)


def test_labels_that_are_no_class_are_refused(tmp_path):
    records = write_cifar(tmp_path, "cifar10")["test_batch.bin"]
    records[2, 0] = 10
    records.tofile(tmp_path / "test_batch.bin")
    with pytest.raises(DataError, match="cifar10: labels must be under 10, got 10 in test"):
        cn.data.cifar10(tmp_path)


@pytest.mark.parametrize(
    ("name", "python"),
    [("cifar10", "cifar-10-python.tar.gz"), ("cifar10", "cifar-10-batches-py"), ("cifar100", "cifar-100-python")],
)
def test_pickled_version_is_refused_in_favour_of_the_binary_one(tmp_path, name, python):
    (tmp_path / python).mkdir()
    with pytest.raises(
        DataError, match=rf"{python}: the Python version is pickled, .* put the official cifar.*-binary"
    ):
        READ_CIFAR[name](tmp_path)
    write_cifar(tmp_path, name)
    assert len(READ_CIFAR[name](tmp_path).test) == 4


def test_missing_archive_is_named_with_where_to_put_it(tmp_path):
    with pytest.raises(
        DataError, match=rf"put the official cifar-100-binary\.tar\.gz into {tmp_path / 'cifar100'}, or"
    ):
        cn.data.cifar100(tmp_path, download=False)


def test_hundred_classes_are_in_the_order_of_their_names():
    assert len(set(cifar.HUNDRED_CLASSES)) == 100
    assert sorted(cifar.HUNDRED_CLASSES) == cifar.HUNDRED_CLASSES
