"""Data sets: images as arrays of bytes, and the batches a model is fed."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .datasets import NAMES, Dataset, Examples, load

__all__ = ["NAMES", "Dataset", "Examples", "load"]


def __getattr__(name: str) -> Any:
    """Import the readers of files when a name of theirs is first asked for: training needs the batches alone."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import datasets

    return getattr(datasets, name)
