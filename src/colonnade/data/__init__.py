"""Data sets: images as arrays of bytes, and the batches a model is fed."""

from .datasets import NAMES, Dataset, Examples, load

__all__ = ["NAMES", "Dataset", "Examples", "load"]
