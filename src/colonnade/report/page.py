"""A report as one HTML page.

The names of classes, files and options come from outside: the templates escape all of them, and the page forbids itself
everything but its own style and its own script.
"""

from __future__ import annotations

import base64
import hashlib
import sys
from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtraError
from ..memory_map import ROLES
from ..printable import printable
from . import drawing
from .collect import Report
from .memory_chart import memory_chart

if TYPE_CHECKING:
    from ..profiling import Profile

SHOWN_LAYERS = 20  # in the picture of the time; the quickest of more are put together
ACCURACY = {"training": "train_accuracy", "held out": "test_accuracy"}
LOSS = {"training": "train_loss", "held out": "test_loss"}
RATE = {"learning rate": "lr"}
SPEED = {"images a second": "images_per_second"}


def render(report: Report) -> str:
    """The page.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    try:
        import jinja2
        from markupsafe import Markup
    except ImportError:
        raise MissingExtraError('A report needs jinja2: pip install "colonnade[report]"') from None
    templates = files(__package__) / "templates"
    style, script = ((templates / name).read_text(encoding="utf-8") for name in ("style.css", "tips.js"))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("colonnade", "report/templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=drawing.percent, number=drawing.number, size=drawing.size)
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return environment.get_template("report.html").render(
        report=report,
        charts=_charts(report),
        roles=ROLES,
        config=sorted((printable(name), _told(value)) for name, value in report.configuration.items()),
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
    )


def _charts(report: Report) -> dict[str, Any]:
    """Everything that is drawn, by name; None for what is not there."""
    charts: dict[str, Any] = dict.fromkeys(
        ("loss", "accuracy", "rate", "speed", "matrix", "reliability", "batch", "worker", "time")
    )
    epochs = [
        record["epoch"] if drawing.finite(record.get("epoch")) else at for at, record in enumerate(report.history, 1)
    ]
    if epochs:

        def columns(names: Mapping[str, str]) -> dict[str, list[float | None]]:
            return {label: [_number(record.get(name)) for record in report.history] for label, name in names.items()}

        charts["loss"] = drawing.line_chart("Loss", epochs, columns(LOSS))
        charts["accuracy"] = drawing.line_chart("Accuracy", epochs, columns(ACCURACY), share=True)
        charts["rate"] = drawing.line_chart("Learning rate", epochs, columns(RATE))
        if charts["rate"] is None:
            charts["speed"] = drawing.line_chart("Images a second", epochs, columns(SPEED))
    if report.judgement is not None:
        charts["matrix"] = drawing.matrix(report.judgement.matrix, report.judgement.classes)
        calibration = report.judgement.calibration
        charts["reliability"] = drawing.reliability(
            calibration.confidence.tolist(), calibration.accuracy.tolist(), calibration.counts.tolist()
        )
    if (memory := report.memory) is not None:
        charts["batch"] = memory_chart(
            "Memory of the whole batch", memory, memory.batch, memory.batch_bytes, height=320
        )
        charts["worker"] = memory_chart("Memory of one worker", memory, memory.worker, memory.worker_bytes, height=220)
    if report.profile is not None:
        charts["time"] = time_bars(report.profile)
    return charts


def time_bars(profile: Profile) -> list[drawing.TimeBar]:
    """A bar a layer in the order in which they run, and one for each part of the rest; the longest fills its line."""
    by_time = sorted(profile.rows, key=lambda row: -row["seconds"])
    shown = {row["name"] for row in by_time[:SHOWN_LAYERS]}
    others = by_time[SHOWN_LAYERS:]
    quicker = sum(row["seconds"] for row in others)
    longest = max([*(row["seconds"] for row in by_time), *profile.rest.values(), quicker, 1e-12])
    bars = [
        drawing.TimeBar(
            f"{printable(row['name'])} {row['type']}",
            row["seconds"],
            [
                drawing.Share("forward", 100 * row["forward"]["seconds"] / longest),
                drawing.Share("again", 100 * row["again"]["seconds"] / longest),
                drawing.Share("backward", 100 * row["backward"]["seconds"] / longest),
            ],
        )
        for row in profile.rows
        if row["name"] in shown
    ]
    if others:
        bars.append(_rest(f"{len(others)} quicker layers", quicker, longest))
    return bars + [_rest(name, seconds, longest) for name, seconds in profile.rest.items()]


def _rest(name: str, seconds: float, longest: float) -> drawing.TimeBar:
    return drawing.TimeBar(name, seconds, [drawing.Share("rest", max(0.0, 100 * seconds / longest))])


def _number(value: object) -> float | None:
    return float(value) if drawing.finite(value) and isinstance(value, int | float) else None


def _told(value: object) -> str:
    """An option's value as a person would write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(", ".join(map(str, value)) if isinstance(value, list) else value)


def _visible(value: object) -> object:
    """What is not already part of the page, with all that would not be seen as itself escaped but the ends of lines."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return "\n".join(printable(line, sys.maxsize) for line in value.split("\n"))
