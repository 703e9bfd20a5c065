"""Files like the official ones, of a few random images."""

import gzip
import io
import struct
import tarfile
from pathlib import Path

import numpy as np


def idx(array: np.ndarray) -> bytes:
    """An array of bytes as an idx file."""
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_mnist(folder: Path, train: int = 30, test: int = 10, labels: int | None = None, suffix: str = ".gz") -> dict:
    """Four idx files of 28×28 images; returns the arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    parts = {}
    for part, count in (("train", train), ("t10k", test)):
        x = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        y = rng.integers(0, 10, count if labels is None else labels, dtype=np.uint8)
        for kind, array in (("images-idx3", x), ("labels-idx1", y)):
            content = idx(array)
            path = folder / f"{part}-{kind}-ubyte{suffix}"
            path.write_bytes(gzip.compress(content) if suffix else content)
        parts[part] = x, y
    return parts


CIFAR = {
    "cifar10": (
        "cifar-10",
        "cifar-10-batches-bin",
        [*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"],
        1,
    ),
    "cifar100": ("cifar-100", "cifar-100-binary", ["train.bin", "test.bin"], 2),
}


def cifar_records(name: str) -> dict[str, np.ndarray]:
    """The content of the binary files, four records each."""
    _, _, files, labels = CIFAR[name]
    rng = np.random.default_rng(0)
    records = {}
    for file in files:
        records[file] = rng.integers(0, 256, (4, labels + 3072), dtype=np.uint8)
        records[file][:, :labels] = rng.integers(0, 10**labels, (4, labels))
    return records


def write_cifar(folder: Path, name: str) -> dict[str, np.ndarray]:
    """The binary files in a folder; returns the records."""
    folder.mkdir(parents=True, exist_ok=True)
    records = cifar_records(name)
    for file, content in records.items():
        content.tofile(folder / file)
    return records


def cifar_archive(name: str, leave_out: str = "") -> bytes:
    """The binary files as the official archive has them, with something more that must not be unpacked."""
    _, inside, _, _ = CIFAR[name]
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        contents = {f"{inside}/{file}": records.tobytes() for file, records in cifar_records(name).items()}
        contents |= {f"{inside}/readme.html": b"<html>", "../../escaped.bin": b"out of the folder"}
        for path, content in contents.items():
            if path.rsplit("/", 1)[1] != leave_out:
                member = tarfile.TarInfo(path)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return written.getvalue()
