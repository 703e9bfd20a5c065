"""Pictures for notebooks, with matplotlib: `pip install "colonnade[plots]"`.

Each function takes its numbers and, as `ax`, the axes to draw on; without them it makes a figure of its own. It returns
the axes, to go on with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .errors import ArgumentError, MissingExtraError, ShapeError
from .memory_map import ROLES, Role, memory_map as map_memory
from .metrics import Calibration
from .pictures import filter_pictures, first_kernel, picture, sheet
from .printable import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .plan import Plan
    from .profiling import Pass, Profile

ROLE_COLOURS: dict[Role, str] = {
    "value": "#2f7fd0",
    "gradient": "#dd7a2e",
    "saved": "#2a9585",
    "lanes": "#8a63c9",
    "scratch": "#8b8f98",
}
PASS_COLOURS: dict[Pass, str] = {"forward": "#2f7fd0", "again": "#2a9585", "backward": "#dd7a2e"}
LETTERED = 20  # classes: the counts of a larger confusion matrix are not written into it
MOST_FILTERS = 64
DARK = 0.55  # from this share on a cell is lettered in white


def history(records: Sequence[Mapping[str, Any]], quantity: str = "loss", *, ax: Axes | None = None) -> Axes:
    """A quantity of the training and the held-out images over the epochs.

    Args:
        records: What `fit` returns, or the lines of a metrics.jsonl.
        quantity: `loss` or `accuracy`, or any column of the records: `lr`, `seconds` ...
        ax: Where to draw.

    Raises:
        ArgumentError: No epoch, or none that has such a quantity.
        MissingExtraError: matplotlib is not installed.
    """
    names = {f"train_{quantity}": "training", f"test_{quantity}": "held out", quantity: quantity}
    drawn = {name: label for name, label in names.items() if any(each.get(name) is not None for each in records)}
    if not drawn:
        raise ArgumentError(f"plot.history: expected records that have {quantity!r}, got {len(records)} that have not.")
    ax = _axes(ax)
    from matplotlib.ticker import MaxNLocator

    epochs = [each.get("epoch", number) for number, each in enumerate(records, 1)]
    for name, label in drawn.items():
        values = [np.nan if each.get(name) is None else each[name] for each in records]
        ax.plot(epochs, values, marker="o" if len(epochs) <= 15 else None, markersize=4, label=label)
    ax.set_xlabel("epoch")
    ax.set_ylabel(quantity.replace("_", " "))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(drawn) > 1:
        ax.legend(frameon=False)
    return ax


def confusion_matrix(counts: ArrayLike, classes: Sequence[str] | None = None, *, ax: Axes | None = None) -> Axes:
    """A confusion matrix, coloured by the share of each row.

    Args:
        counts: (classes, classes), a row for each true class, as :func:`colonnade.metrics.confusion_matrix` makes it.
        classes: Their names; by default their numbers.
        ax: Where to draw.

    Raises:
        ShapeError: Not a square matrix.
        ArgumentError: Another number of names.
        MissingExtraError: matplotlib is not installed.
    """
    matrix = np.asarray(counts)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ShapeError(f"plot.confusion_matrix: expected counts of shape (classes, classes), got {matrix.shape}.")
    names = [str(number) for number in range(len(matrix))] if classes is None else [printable(each) for each in classes]
    if len(names) != len(matrix):
        raise ArgumentError(f"plot.confusion_matrix: expected {len(matrix)} names of classes, got {len(names)}.")
    ax = _axes(ax)
    shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(matrix) <= LETTERED:
        ax.set_xticks(range(len(matrix)), names, parse_math=False, rotation=45, ha="right", rotation_mode="anchor")
        ax.set_yticks(range(len(matrix)), names, parse_math=False)
        for row, column in zip(*np.nonzero(matrix), strict=True):
            colour = "white" if shares[row, column] > DARK else "black"
            ax.text(column, row, str(matrix[row, column]), ha="center", va="center", color=colour, fontsize="small")
    ax.set_xlabel("predicted")
    ax.set_ylabel("true")
    return ax


def images(
    x: ArrayLike, titles: Sequence[str] | None = None, *, columns: int | None = None, ax: Axes | None = None
) -> Axes:
    """Images side by side, row by row.

    Args:
        x: (n, c, h, w) or (n, h, w), bytes or numbers.
        titles: A line below each; by default none.
        columns: In a row; by default as many as there are rows.
        ax: Where to draw.

    Raises:
        ShapeError: Not a batch of images.
        ArgumentError: Another number of titles.
        MissingExtraError: matplotlib is not installed.
    """
    batch = np.asarray(x)
    if batch.ndim not in (3, 4) or not len(batch):
        raise ShapeError(f"plot.images: expected images of shape (n, c, h, w) or (n, h, w), got {batch.shape}.")
    if titles is not None and len(titles) != len(batch):
        raise ArgumentError(f"plot.images: expected a title for each of {len(batch)} images, got {len(titles)}.")
    pictures = np.stack([picture(each) for each in batch])
    height, width = pictures.shape[1:3]
    columns = columns or int(np.ceil(np.sqrt(len(pictures))))
    space = max(2, height // 3) if titles is not None else 1
    padded = np.full((len(pictures), height + space, width + 2, *pictures.shape[3:]), 255, np.uint8)
    padded[:, :height, 1:-1] = pictures
    ax = _show(sheet(padded, columns, gap=0), ax)
    for number, title in enumerate(titles or ()):
        row, column = divmod(number, columns)
        place = ((column + 0.5) * (width + 2), row * (height + space) + height + space / 2 - 0.5)
        ax.text(*place, printable(title), parse_math=False, ha="center", va="center", fontsize="small", color="black")
    return ax


def filters(kernel: Any, *, columns: int | None = None, ax: Axes | None = None) -> Axes:
    """The filters of a convolution, at most 64: zero is middle grey, the largest weight of them black or white.

    Args:
        kernel: A model, whose first convolution is shown, or a kernel (c_out, c_in, k_h, k_w).
        columns: In a row.
        ax: Where to draw.

    Raises:
        ArgumentError: A model without a convolution.
        ShapeError: Not a kernel.
        MissingExtraError: matplotlib is not installed.
    """
    if hasattr(kernel, "parameters"):
        found = first_kernel(kernel)
        if found is None:
            raise ArgumentError("plot.filters: expected a model with a convolution, got one without.")
        kernel = found.array
    return _show(sheet(filter_pictures(np.asarray(kernel))[:MOST_FILTERS], columns), ax)


def calibration(found: Calibration, *, ax: Axes | None = None) -> Axes:
    """How often a model is right, against how sure it is: on the dashed line it can be taken at its word.

    Args:
        found: What :func:`colonnade.metrics.calibration` returns.
        ax: Where to draw.

    Raises:
        MissingExtraError: matplotlib is not installed.

    Guo et al. 2017, arXiv:1706.04599.
    """
    ax = _axes(ax)
    filled = found.counts > 0
    widths = np.diff(found.edges)[filled]
    ax.bar(found.edges[:-1][filled], found.accuracy[filled], widths, align="edge", edgecolor="white", label="accuracy")
    ax.plot([0, 1], [0, 1], "k--", linewidth=1, label="as sure as right")
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy")
    ax.set_title(f"expected calibration error {100 * found.ece:.1f} %", fontsize="medium")
    ax.legend(frameon=False, loc="upper left")
    return ax


def memory_plan(plan: Plan, *, ax: Axes | None = None) -> Axes:
    """What lies where in the memory of the whole batch, and from when to when.

    A rectangle to the right of another has taken over its bytes.

    Args:
        plan: `model.plan((128, 1, 28, 28), training=True)`.
        ax: Where to draw.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    ax = _axes(ax)
    from matplotlib.patches import Rectangle

    memory = map_memory(plan)
    named: set[Role] = set()
    for storage in memory.batch:
        for stay in storage.stays:
            place, long = (stay.start, storage.offset / 1e6), stay.stop - stay.start
            label = None if stay.role in named else ROLES[stay.role]
            named.add(stay.role)
            colour = ROLE_COLOURS[stay.role]
            ax.add_patch(
                Rectangle(place, long, storage.bytes / 1e6, facecolor=colour, edgecolor="white", lw=0.5, label=label)
            )
    for segment in memory.segments[1:]:
        ax.axvline(segment.start, color="grey", linewidth=0.5, linestyle=":")
    ax.set(xlim=(0, len(memory.calls)), ylim=(0, max(memory.batch_bytes, 1) / 1e6))
    ax.set(xlabel="calls of layers", ylabel="MB")
    ax.legend(frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2)
    return ax


def profile(result: Profile, *, ax: Axes | None = None) -> Axes:
    """The time of each layer's passes.

    Args:
        result: What `model.profile(x)` returns.
        ax: Where to draw.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    ax = _axes(ax)
    rows = result.rows
    start = np.zeros(len(rows))
    places = np.arange(len(rows))
    for each, colour in PASS_COLOURS.items():
        times = np.array([1000 * row[each]["seconds"] for row in rows])
        if times.any():
            ax.barh(places, times, left=start, color=colour, label=each)
        start += times
    names = [printable(f"{row['name']} {row['type']}") for row in rows]
    ax.set_yticks(places, names, parse_math=False, fontsize="small")
    ax.invert_yaxis()
    ax.set_xlabel("milliseconds")
    ax.legend(frameon=False)
    return ax


def _axes(ax: Axes | None) -> Axes:
    """The axes given, or those of a new figure."""
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise MissingExtraError('Plots need matplotlib: pip install "colonnade[plots]"') from None
    return plt.subplots(layout="constrained")[1]


def _show(pixels: Any, ax: Axes | None) -> Axes:
    ax = _axes(ax)
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set_axis_off()
    return ax
