"""The data sets that everybody compares on, from their official files: read where they lie, or downloaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError
from . import cifar, idx, optical_digits
from .dataset import Dataset, arrays
from .download import Source, fetch
from .examples import Arrays
from .places import DATA, destination, search

StrPath = str | os.PathLike[str]

TEN_DIGITS = [str(digit) for digit in range(10)]
GARMENTS = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
HIRAGANA = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]

IDX_FILES = [
    f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
]  # in the order of the checksums below


def _idx_source(url: str, *checksums: str) -> Source:
    return Source(url, dict(zip(IDX_FILES, checksums, strict=True)))


# The checksums of Fashion-MNIST, KMNIST and CIFAR are those that their authors publish; MNIST's are of the files as
# they have been mirrored ever since its own page closed.
MNIST = _idx_source(
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
)
FASHION_MNIST = _idx_source(
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "md5:25c81989df183df01b3e8a0aad5dffbe",
    "md5:bef4ecab320f06d8554ea6380940ec79",
    "md5:bb300cfdad3c16e7a12a480ee83cd310",
)
KMNIST = _idx_source(
    "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    "md5:bdb82020997e1d708af4cf47b453dcf7",
    "md5:e144d726b3acfaa3e44228e80efcd344",
    "md5:5c965bf0a639b31b8f53240b1b52f4d7",
    "md5:7320c461ea6c1c855c0b718fb2a4b134",
)
TORONTO = "https://www.cs.toronto.edu/~kriz/"
CIFAR10 = Source(TORONTO, {"cifar-10-binary.tar.gz": "md5:c32a1d4ab5d03f1284b67883e8d87530"})
CIFAR100 = Source(TORONTO, {"cifar-100-binary.tar.gz": "md5:03b5dce01913d631647c71ecec9e9cb8"})


def digits() -> Dataset:
    """The digits that the package carries: 1,442 + 355 scans of 1×8×8, 10 classes (UCI optical digits)."""
    train, test = optical_digits.read()
    return Dataset("digits", Arrays(*train), Arrays(*test), TEN_DIGITS)


def mnist(data_dir: StrPath | None = None, download: bool = True, *, mirror: str | None = None) -> Dataset:
    """Handwritten digits: 60,000 + 10,000 images of 1×28×28, 10 classes (LeCun, Cortes and Burges).

    Args:
        data_dir: The folder that the four official idx files lie in, gzipped or not, themselves or in a sub-folder of
            the data set's name. By default the one that the environment variable COLONNADE_DATA names, and then the
            user's cache folder.
        download: Fetch files that are in none of them, into the first that can be written to: needs the extra
            `download`.
        mirror: An address to download from, whose sub-folder `mnist` holds the official files; by default what the
            environment variable COLONNADE_MIRROR says, or else where the files are published.

    Raises:
        DataError: A folder that is none; files that are missing, truncated or not what they claim to be; a download
            that failed. The message says where to put the files by hand.
        MissingExtraError: A download without its library.
    """
    return _read_idx("mnist", MNIST, TEN_DIGITS, data_dir, download, mirror)


def fashion_mnist(data_dir: StrPath | None = None, download: bool = True, *, mirror: str | None = None) -> Dataset:
    """Garments: 60,000 + 10,000 images of 1×28×28, 10 classes (Xiao, Rasul and Vollgraf 2017).

    Arguments and errors are those of `mnist`; the sub-folder is `fashion-mnist`.
    """
    return _read_idx("fashion-mnist", FASHION_MNIST, GARMENTS, data_dir, download, mirror)


def kmnist(data_dir: StrPath | None = None, download: bool = True, *, mirror: str | None = None) -> Dataset:
    """Cursive hiragana: 60,000 + 10,000 images of 1×28×28, 10 classes (Clanuwat et al. 2018).

    Arguments and errors are those of `mnist`; the sub-folder is `kmnist`.
    """
    return _read_idx("kmnist", KMNIST, HIRAGANA, data_dir, download, mirror)


def cifar10(data_dir: StrPath | None = None, download: bool = True, *, mirror: str | None = None) -> Dataset:
    """Small photographs: 50,000 + 10,000 images of 3×32×32, 10 classes (Krizhevsky 2009).

    Arguments and errors are those of `mnist`. The files are the six of the official binary version, or the archive
    `cifar-10-binary.tar.gz`, which is unpacked. The Python version is pickled, and therefore never read.
    """
    train, test = [f"data_batch_{number}.bin" for number in range(1, 6)], "test_batch.bin"
    paths = _cifar_files("cifar10", CIFAR10, "cifar-10-batches-bin", [*train, test], data_dir, download, mirror)
    return _read_cifar("cifar10", paths[:-1], paths[-1], 1, cifar.TEN_CLASSES)


def cifar100(data_dir: StrPath | None = None, download: bool = True, *, mirror: str | None = None) -> Dataset:
    """Small photographs: 50,000 + 10,000 images of 3×32×32, 100 classes, the fine ones (Krizhevsky 2009).

    Arguments and errors are those of `cifar10`; the archive is `cifar-100-binary.tar.gz`.
    """
    files = ["train.bin", "test.bin"]
    paths = _cifar_files("cifar100", CIFAR100, "cifar-100-binary", files, data_dir, download, mirror)
    return _read_cifar("cifar100", paths[:1], paths[1], 2, cifar.HUNDRED_CLASSES)


def _read_idx(
    name: str, source: Source, classes: list[str], data_dir: StrPath | None, download: bool, mirror: str | None
) -> Dataset:
    folder = None if data_dir is None else Path(data_dir)
    places = search(name, folder)
    names = [(file.removesuffix(".gz"), file) for file in source.files]
    paths = _find(places, names)
    if paths is None and download:
        place = destination(name, folder)
        fetch(name, source, place, mirror)
        paths = _find([place], names)
    if paths is None:
        raise _missing(name, places, names)
    x, y, x_test, y_test = (idx.read(path, dimensions) for path, dimensions in zip(paths, (3, 1, 3, 1), strict=True))
    train = arrays(name, "training", x[:, np.newaxis], y)
    return Dataset(name, train, arrays(name, "test", x_test[:, np.newaxis], y_test), classes)


def _cifar_files(
    name: str,
    source: Source,
    inside: str,
    files: Sequence[str],
    data_dir: StrPath | None,
    download: bool,
    mirror: str | None,
) -> list[Path]:
    """The files of the binary version, from the folder that the archive has `inside`: downloaded where need be."""
    folder = None if data_dir is None else Path(data_dir)
    (archive,) = source.files
    places = search(name, folder)
    names = [(file,) for file in files]
    paths = _find([part for place in places for part in (place / inside, place)], names)
    if paths is not None:
        return paths
    held = next((place / archive for place in places if (place / archive).is_file()), None)
    if held is None:
        _refuse_pickles(places, archive)
        if not download:
            raise _missing(name, places, [(archive,)])
        fetch(name, source, destination(name, folder), mirror)
        held = destination(name, folder) / archive
    place = held.parent if os.access(held.parent, os.W_OK) else destination(name, folder)
    cifar.unpack(held, files, place / inside)
    return [place / inside / file for file in files]


def _refuse_pickles(places: Sequence[Path], archive: str) -> None:
    """Say so where somebody has the version for Python, rather than download the other in silence."""
    stem = archive.removesuffix("-binary.tar.gz")
    for place in places:
        for python in (f"{stem}-python.tar.gz", f"{stem}-batches-py", f"{stem}-python"):
            if (place / python).exists():
                raise DataError(
                    f"{place / python}: the Python version is pickled, which could run anything, and is not read; "
                    f"put the official {archive} there instead."
                )


def _read_cifar(name: str, train: Sequence[Path], test: Path, labels: int, classes: list[str]) -> Dataset:
    return Dataset(
        name,
        arrays(name, "training", *cifar.read(train, labels)),
        arrays(name, "test", *cifar.read([test], labels)),
        classes,
    )


def _find(places: Sequence[Path], names: Sequence[tuple[str, ...]]) -> list[Path] | None:
    """A file of each tuple of names, the first that is there: all of them from the first place that has them all."""
    for place in places:
        paths = [next((place / name for name in either if (place / name).is_file()), None) for either in names]
        found = [path for path in paths if path is not None]
        if len(found) == len(names):
            return found
    return None


def _missing(name: str, places: Sequence[Path], names: Sequence[tuple[str, ...]]) -> DataError:
    """What to say where no place has all files: of the one that has most."""
    place = max(places, key=lambda place: sum((place / file).is_file() for either in names for file in either))
    lacking = next(either for either in names if not any((place / file).is_file() for file in either))
    return DataError(
        f"{name}: put the official {' or '.join(lacking)} into {place}, or name the folder of its files by data_dir "
        f"(--data-dir) or in {DATA}; it is not there."
    )
