"""One page that shows how a run went: a single HTML file that opens from the disk and asks nothing of a network.

`collect` finds the numbers, `drawing` gives them their places, and the templates make a page of them.
"""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

from .. import storage
from .collect import STEPS, Report, collect, judge
from .page import render

__all__ = ["Report", "collect", "judge", "render", "write"]


def write(
    run: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    data: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    steps: int = STEPS,
) -> Path:
    """Write the report of a run, and return where it is.

    What is missing, the images held out for instance, is said on the page, and the rest is shown.

    Args:
        run: The folder that `colonnade train` left.
        out: The file to write; by default `report.html` in that folder.
        data: The data set, by name or folder; by default the one the run was trained on.
        data_dir: Where its files lie.
        steps: Training steps to time, layer by layer; 0 for none.

    Raises:
        MissingExtraError: jinja2 is not installed.
        DataError: A folder that no run has left.
        OSError: What the disk says.
    """
    report = collect(
        Path(run),
        data=data,
        data_dir=None if data_dir is None else Path(data_dir),
        steps=steps,
        version=metadata.version("colonnade"),
    )
    place = Path(run) / "report.html" if out is None else Path(out)
    storage.replace(place, render(report).encode("utf-8"))
    return place
