"""Colonnade: convolutional networks in NumPy."""

from . import starting  # noqa: F401 - from here on an interrupt is one line, where this is the command line

# isort: split
import os

from .blas import environment
from .lazy import attach_stub

# Read by OpenBLAS when NumPy is first imported, which nothing above does.
os.environ.update(environment())

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = attach_stub(__spec__)
