"""Data sets, and the batches that a model is fed.

Images stay bytes, in memory or on disk, until it is their turn.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import augmentation
    from .dataset import Dataset
    from .datasets import NAMES, folder, load
    from .draws import Draws
    from .examples import Arrays, Examples
    from .image_folder import ImageFolder
    from .images import read_image
    from .loader import Batch, Loader
    from .official import cifar10, cifar100, digits, fashion_mnist, kmnist, mnist
    from .stream import Stream

# Where each name comes from. It is imported when it is first asked for: training needs the batches alone.
_PLACES = {
    "dataset": ["Dataset"],
    "datasets": ["NAMES", "folder", "load"],
    "draws": ["Draws"],
    "examples": ["Arrays", "Examples"],
    "image_folder": ["ImageFolder"],
    "images": ["read_image"],
    "loader": ["Batch", "Loader"],
    "official": ["cifar10", "cifar100", "digits", "fashion_mnist", "kmnist", "mnist"],
    "stream": ["Stream"],
}

__all__ = [
    "NAMES",
    "Arrays",
    "Batch",
    "Dataset",
    "Draws",
    "Examples",
    "ImageFolder",
    "Loader",
    "Stream",
    "augmentation",
    "cifar10",
    "cifar100",
    "digits",
    "fashion_mnist",
    "folder",
    "kmnist",
    "load",
    "mnist",
    "read_image",
]


def __getattr__(name: str) -> Any:
    if name == "augmentation":
        return import_module(".augmentation", __name__)
    for module, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
