"""The layers: one family a file."""

from ..lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__spec__)
