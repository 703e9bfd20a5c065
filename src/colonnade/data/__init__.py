"""Data sets, and the batches that a model is fed.

Images stay bytes, in memory or on disk, until it is their turn.
"""

from ..lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__spec__)
