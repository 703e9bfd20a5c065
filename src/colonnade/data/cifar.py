"""The binary files of CIFAR-10 and CIFAR-100: records of labels and 3·32·32 bytes, the red ones first.

Krizhevsky 2009, "Learning multiple layers of features from tiny images".
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..documents import reason
from ..errors import DataError
from ..ops.layout import Array, channels_first
from ..storage import replacing

TEN_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
HUNDRED_CLASSES = (  # noqa: SIM905 - a list would take a hundred lines
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle "
    "caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant "
    "flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man "
    "maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree "
    "plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper "
    "snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train "
    "trout tulip turtle wardrobe whale willow_tree wolf woman worm"
).split()
IMAGE = (3, 32, 32)
PIXELS = 3 * 32 * 32
GREATEST_FILE = 50_000 * (2 + PIXELS)  # the training part of CIFAR-100
READ_AT_ONCE = 1 << 20


def read(paths: Sequence[Path], labels: int = 1) -> tuple[Array, Array]:
    """Images (n, 3, 32, 32) as bytes, channels-last in memory as a model wants them, and labels (n,) as int64.

    Args:
        paths: The files, one after the other.
        labels: How many bytes of labels a record begins with: 1 in CIFAR-10, 2 in CIFAR-100. The last one counts.

    Raises:
        DataError: A file that is no whole number of records, or has none.
    """
    record = labels + PIXELS
    for path in paths:
        size = path.stat().st_size
        if size % record or not size:
            raise DataError(f"{path}: expected records of {record:,} bytes, got {size:,} bytes; download it again.")
    records = np.concatenate([np.fromfile(path, np.uint8).reshape(-1, record) for path in paths])
    images = records[:, labels:].reshape(-1, *IMAGE)
    return channels_first(np.ascontiguousarray(images.transpose(0, 2, 3, 1))), records[:, labels - 1].astype(np.int64)


def unpack(archive: Path, files: Sequence[str], folder: Path) -> None:
    """Put the files of these names from an official archive into a folder, and nothing else of what is in it.

    Raises:
        DataError: An archive that is truncated, corrupt, or lacks a file.
        OSError: What the disk says.
    """
    missing = set(files)
    try:
        with gzip.open(archive) as compressed:
            while compressed.read(READ_AT_ONCE):  # what it sums up to is checked at its end: before a file is written
                pass
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                name = Path(member.name).name
                if name not in missing or not member.isfile():
                    continue
                if member.size > GREATEST_FILE:
                    raise DataError(f"{archive}: {name} claims {member.size:,} bytes; the official one is smaller.")
                content = members.extractfile(member)
                assert content is not None  # what is a file has one
                folder.mkdir(parents=True, exist_ok=True)
                with replacing(folder / name) as file:
                    shutil.copyfileobj(content, file)
                missing.remove(name)
    except DataError:
        raise
    except Exception as error:  # whatever the readers make of broken archives
        if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
            raise
        told = f"the archive is truncated or corrupt ({reason(error)})"
        raise DataError(f"{archive}: {told}; download it again.") from error
    if missing:
        raise DataError(f"{archive}: expected {', '.join(sorted(missing))} in it; it is not there. Download it again.")
