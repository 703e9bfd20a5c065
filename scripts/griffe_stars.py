"""An extension of Griffe, for the reference: what a stub imports with a star.

Griffe holds that what only a stub says is not there when the package runs, and leaves it out of a star.
"""

from __future__ import annotations

from typing import Any

import griffe


class Stars(griffe.Extension):
    """`colonnade` has every layer, as its stub says with `from .layers import *`."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        for name, layer in pkg["layers"].members.items():
            if layer.is_alias and name not in pkg.members:
                pkg.set_member(name, griffe.Alias(name, layer.target_path))
