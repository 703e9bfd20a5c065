"""From numbers to places on paper: scales, ticks, lines and rectangles, in the units of an SVG's `viewBox`.

Nothing here knows of colours, or writes markup: the templates do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

# A chart is drawn about as wide as a phone, so that its letters are of one size there and beside others on a desk.
WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 10, 34
MARKED = 15  # a line of no more points has each of them marked
LETTER = 6.7  # the width of one, at the size that charts are lettered in
SPACE = "\N{NO-BREAK SPACE}"  # between a number and its unit


class Tick(NamedTuple):
    """A mark on an axis."""

    at: float
    label: str


class Point(NamedTuple):
    """A place in a chart."""

    x: float
    y: float


@dataclass(frozen=True)
class Line:
    """One series: a path that leaves out what is no number, and its points."""

    name: str
    path: str
    points: list[Point]


class Hit(NamedTuple):
    """A part of a chart that tells something when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    tip: str


@dataclass(frozen=True)
class LineChart:
    """Lines over the epochs."""

    title: str
    x: list[Tick]
    y: list[Tick]
    x_label: str
    lines: list[Line]
    hits: list[Hit]
    marked: bool
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


class Cell(NamedTuple):
    """One cell of a confusion matrix."""

    x: float
    y: float
    share: float  # of its row
    label: str
    tip: str
    right: bool


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix: a row for each true class, a column for each predicted one."""

    width: float
    height: float
    left: float
    top: float
    cell: float
    size: float
    rows: list[Tick]
    columns: list[Tick]
    cells: list[Cell]


@dataclass(frozen=True)
class Reliability:
    """How often the model is right, against how sure it is."""

    bars: list[Hit]
    counts: list[Hit]
    ticks: list[Tick]
    y: list[Tick]
    width: int = WIDTH
    height: int = 300
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = 216
    floor: int = 266  # of the counts below


class Share(NamedTuple):
    """A part of a bar, in per cent of its length."""

    name: str
    percent: float


@dataclass(frozen=True)
class TimeBar:
    """What one layer takes of a step."""

    name: str
    seconds: float
    shares: list[Share] = field(default_factory=list)


def nice_ticks(least: float, greatest: float, count: int = 5) -> list[float]:
    """About `count` round numbers whose first and last enclose the range: steps of 1, 2 or 5 times a power of ten."""
    if not least < greatest:
        pad = abs(least) / 2 or 0.5
        least, greatest = least - pad, greatest + pad
    raw = (greatest - least) / max(1, count - 1)
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= raw * 0.999)
    first, last = math.floor(least / step + 1e-9), math.ceil(greatest / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def number(value: float) -> str:
    """A number as short as it can be read."""
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:.4g}"


def percent(value: float) -> str:
    """A share as a percentage, as short as it can be read."""
    return f"{100 * value:.4g}{SPACE}%"


def size(amount: float) -> str:
    """An amount of bytes for people, in powers of a thousand."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if amount >= scale:
            return f"{amount / scale:.3g}{SPACE}{unit}"
    return f"{amount:.0f}{SPACE}B"


def finite(value: object) -> bool:
    """Whether it is a number that can be drawn."""
    return isinstance(value, int | float) and math.isfinite(value)


def line_chart(
    title: str, epochs: Sequence[float], series: Mapping[str, Sequence[float | None]], *, share: bool = False
) -> LineChart | None:
    """Lines over the epochs; None where there is nothing to draw.

    Args:
        title: What is drawn.
        epochs: A number a record.
        series: Values by name, one a record; None and NaN are gaps.
        share: Whether the values are shares, written as percentages.
    """
    known = {name: values for name, values in series.items() if any(map(finite, values))}
    if not known:
        return None
    write = percent if share else number
    values = [value for each in known.values() for value in each if value is not None and finite(value)]
    y_ticks = nice_ticks(min(values), max(values))
    if share and y_ticks[-1] > 1:  # more than all is not to be had
        y_ticks = [tick for tick in y_ticks if tick <= 1 + 1e-9]
    low, high = y_ticks[0], max(y_ticks[-1], *values)
    first, last = min(epochs), max(epochs)

    def across(epoch: float) -> float:
        place = (epoch - first) / (last - first) if last > first else 0.5
        return round(LEFT + 6 + place * (WIDTH - RIGHT - LEFT - 12), 2)

    def up(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - BOTTOM - TOP), 2)

    lines = []
    for name, each in known.items():
        path, points, pen_down = [], [], False
        for epoch, value in zip(epochs, each, strict=True):
            if value is None or not finite(value):
                pen_down = False
                continue
            points.append(Point(across(epoch), up(value)))
            path.append(f"{'L' if pen_down else 'M'}{points[-1].x} {points[-1].y}")
            pen_down = True
        lines.append(Line(name, "".join(path), points))
    places = [across(epoch) for epoch in epochs]
    edges = [LEFT, *((a + b) / 2 for a, b in pairwise(places)), WIDTH - RIGHT]
    hits = []
    for position, epoch in enumerate(epochs):
        told = [f"{name} {write(each[position] or 0.0)}" for name, each in known.items() if finite(each[position])]
        tip = "\n".join([f"epoch {epoch:g}", *told])
        hits.append(Hit(edges[position], TOP, edges[position + 1] - edges[position], HEIGHT - BOTTOM - TOP, tip))
    whole = sorted({float(round(tick)) for tick in nice_ticks(first, last, 6) if first <= round(tick) <= last})
    return LineChart(
        title=title,
        x=[Tick(across(epoch), f"{epoch:g}") for epoch in whole],
        y=[Tick(up(tick), write(tick)) for tick in y_ticks],
        x_label="epoch",
        lines=lines,
        hits=hits,
        marked=len(epochs) <= MARKED,
    )


def matrix(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Matrix:
    """A confusion matrix: `counts[true][predicted]`."""
    number_of = len(classes)
    cell = min(48.0, 300 / number_of) if number_of <= 12 else 20.0 if number_of <= 20 else max(4.0, 360 / number_of)
    labels = [shortened(name, 13) for name in classes]
    longest = LETTER * max(map(len, labels))
    # Slanted names need more room than level ones; of more classes the tips tell.
    margin, slanted = (8 + longest if number_of <= 40 else 10), (22 + 0.75 * longest if number_of <= 20 else 10)
    cells = []
    for row, line in enumerate(counts):
        total = sum(line)
        for column, count in enumerate(line):
            if not count:
                continue
            share = count / total
            verb = "right" if row == column else f"taken for {classes[column]}"
            tip = f"{classes[row]}, {verb}\n{count:,} of {total:,} ({percent(round(share, 3))})"
            label = str(count) if number_of <= 20 and count < 10 ** (cell / 7) else ""
            cells.append(Cell(margin + column * cell, 4 + row * cell, share, label, tip, row == column))
    extent = number_of * cell
    return Matrix(
        width=round(margin + extent + 6, 1),
        height=round(extent + slanted, 1),
        left=margin,
        top=4,
        cell=cell,
        size=extent,
        rows=[Tick(4 + (at + 0.5) * cell, label) for at, label in enumerate(labels) if number_of <= 40],
        columns=[Tick(margin + (at + 0.5) * cell, label) for at, label in enumerate(labels) if number_of <= 20],
        cells=cells,
    )


def reliability(confidence: Sequence[float], accuracy: Sequence[float], counts: Sequence[int]) -> Reliability:
    """A calibration diagram of equally wide bins from 0 to 1; what is said of an empty bin is not looked at."""
    plain = Reliability([], [], [], [])
    width, height, bins = plain.right - plain.left, plain.bottom - plain.top, len(counts)
    most = max([*counts, 1])
    for bin_number, count in enumerate(counts):
        if not count:
            continue
        x, wide = plain.left + width * bin_number / bins + 1, width / bins - 2
        tip = (
            f"sure by {percent(bin_number / bins)} to {percent((bin_number + 1) / bins)}: {count:,} images\n"
            f"{percent(round(confidence[bin_number], 3))} sure on average\n"
            f"{percent(round(accuracy[bin_number], 3))} right"
        )
        tall = height * accuracy[bin_number]
        plain.bars.append(Hit(round(x, 2), round(plain.bottom - tall, 2), round(wide, 2), round(tall, 2), tip))
        tall = max(1.0, 40 * count / most)
        plain.counts.append(Hit(round(x, 2), round(plain.floor - tall, 2), round(wide, 2), round(tall, 2), tip))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        plain.ticks.append(Tick(plain.left + width * share, percent(share)))
        plain.y.append(Tick(plain.bottom - height * share, percent(share)))
    return plain


def shortened(text: str, length: int) -> str:
    """At most so many letters; what differs between names is often at their end, which stays where there is room."""
    if len(text) <= length:
        return text
    end = 4 if length >= 12 else 0
    return text[: max(1, length - 1 - end)] + "…" + text[len(text) - end :]
