"""Composites: they compute nothing, they only say how leaves are wired."""

from ..lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__spec__)
