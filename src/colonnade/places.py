"""The folder for what can be made or fetched again."""

from __future__ import annotations

import os
from pathlib import Path

CACHE = "COLONNADE_CACHE"


def cache_folder() -> Path:
    """The folder that the environment variable COLONNADE_CACHE names, or else the user's own for such files."""
    if os.environ.get(CACHE):
        return Path(os.environ[CACHE])
    import platformdirs  # only those who keep something there ask where it is

    return platformdirs.user_cache_path("colonnade", appauthor=False)
