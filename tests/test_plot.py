"""The plots hold the numbers that they are given."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import colonnade as cn
from colonnade import metrics, plot
from colonnade.errors import ArgumentError, MissingExtraError, ShapeError
from colonnade.memory_map import memory_map

matplotlib = pytest.importorskip("matplotlib", reason="plots are drawn by matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot", reason="plots are drawn by matplotlib")

RECORDS = [
    {"epoch": 1, "train_loss": 2.0, "test_loss": 2.5, "train_accuracy": 0.5, "test_accuracy": None, "lr": 0.1},
    {"epoch": 2, "train_loss": 1.0, "test_loss": None, "train_accuracy": 0.7, "test_accuracy": None, "lr": 0.05},
]


@pytest.fixture(autouse=True)
def _close_all():
    yield
    plt.close("all")


def drawn(ax) -> None:
    """Draw it, so that what matplotlib finds wrong only then is found too."""
    ax.figure.canvas.draw()


def lines(ax) -> dict[str, list[float]]:
    return {line.get_label(): list(line.get_ydata()) for line in ax.get_lines()}


def test_history_draws_both_parts_over_the_epochs():
    ax = plot.history(RECORDS)
    drawn(ax)
    assert lines(ax)["training"] == [2.0, 1.0]
    assert lines(ax)["held out"][0] == 2.5
    assert np.isnan(lines(ax)["held out"][1])
    assert list(ax.get_lines()[0].get_xdata()) == [1, 2]


def test_history_draws_any_column_and_leaves_out_what_was_not_measured():
    assert lines(plot.history(RECORDS, "accuracy")) == {"training": [0.5, 0.7]}
    assert lines(plot.history(RECORDS, "lr")) == {"lr": [0.1, 0.05]}
    with pytest.raises(ArgumentError, match="records that have 'speed'"):
        plot.history(RECORDS, "speed")
    with pytest.raises(ArgumentError, match="got 0"):
        plot.history([])


def test_history_takes_what_fit_returns():
    x, y = np.random.default_rng(0).random((8, 1, 4, 4), np.float32), np.arange(8) % 2
    history = cn.Model([cn.Flatten(), cn.Dense(16, 2)]).fit(x, y, epochs=2)
    assert lines(plot.history(history))["training"] == history.train_loss


def test_a_confusion_matrix_is_coloured_by_shares_and_lettered_with_counts():
    ax = plot.confusion_matrix([[3, 1], [0, 4]], ["cat", "dog"])
    drawn(ax)
    np.testing.assert_allclose(ax.images[0].get_array(), [[0.75, 0.25], [0, 1]])
    assert sorted(text.get_text() for text in ax.texts) == ["1", "3", "4"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cat", "dog"]
    assert not plot.confusion_matrix(np.ones((30, 30), int)).texts
    with pytest.raises(ShapeError, match=r"got \(2, 3\)"):
        plot.confusion_matrix(np.ones((2, 3)))
    with pytest.raises(ArgumentError, match="expected 2 names of classes, got 1"):
        plot.confusion_matrix(np.ones((2, 2)), ["cat"])


@pytest.mark.parametrize("shape", [(5, 3, 6, 7), (5, 1, 6, 7), (5, 6, 7)])
def test_images_stand_row_by_row_with_their_titles(shape):
    x = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    ax = plot.images(x, [f"number {number}" for number in range(5)], columns=2)
    drawn(ax)
    pixels = np.asarray(ax.images[0].get_array())
    assert [text.get_text() for text in ax.texts] == [f"number {number}" for number in range(5)]
    third = pixels[8 : 8 + 6, 1:8]  # below the first: six rows of pixels and two for the title
    expected = x[2].transpose(1, 2, 0) if x.ndim == 4 else x[2]
    assert np.array_equal(third, expected[..., 0] if expected.shape[-1] == 1 else expected)
    with pytest.raises(ArgumentError, match="a title for each of 5 images, got 1"):
        plot.images(x, ["one"])
    with pytest.raises(ShapeError, match=r"got \(2, 2\)"):
        plot.images(np.zeros((2, 2)))


def test_filters_are_those_of_a_model_or_of_a_kernel():
    model = cn.zoo.cnn()
    from_model = plot.filters(model).images[0].get_array()
    from_kernel = plot.filters(model.parameters()[0].value).images[0].get_array()
    assert np.array_equal(from_model, from_kernel)
    assert from_model.shape == (6 * 4 - 1, 6 * 4 - 1)
    with pytest.raises(ArgumentError, match="a model with a convolution"):
        plot.filters(cn.Model([cn.Dense(2, 2)]))


def test_calibration_draws_the_bins_that_hold_something():
    found = metrics.calibration([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], [0, 1, 1], 5)
    ax = plot.calibration(found)
    drawn(ax)
    heights = [bar.get_height() for bar in ax.patches]
    np.testing.assert_allclose(heights, found.accuracy[found.counts > 0])
    assert f"{100 * found.ece:.1f}" in ax.get_title()


def test_the_memory_plan_has_a_rectangle_for_everything_in_it():
    plan = cn.zoo.cnn().plan((16, 1, 28, 28), training=True)
    ax = plot.memory_plan(plan)
    drawn(ax)
    memory = memory_map(plan)
    assert len(ax.patches) == sum(len(storage.stays) for storage in memory.batch)
    assert ax.get_ylim()[1] == pytest.approx(plan.batch_bytes / 1e6)
    assert ax.get_xlim() == (0, len(memory.calls))
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(labels) == len(set(labels)) >= 3


def test_a_profile_has_a_bar_for_each_pass_of_each_layer():
    result = cn.zoo.lenet5().profile(np.zeros((4, 1, 28, 28)), steps=1)
    ax = plot.profile(result)
    drawn(ax)
    total = sum(bar.get_width() for bar in ax.patches)
    assert total == pytest.approx(1000 * sum(row["seconds"] for row in result.rows))
    assert len(ax.get_yticklabels()) == len(result.rows)


def test_axes_that_are_given_are_drawn_on():
    _, ax = plt.subplots()
    result = cn.zoo.lenet5().profile(np.zeros((2, 1, 28, 28)), steps=1)
    found = metrics.calibration([[0.9, 0.1]], [0])
    assert plot.history(RECORDS, ax=ax) is ax
    assert plot.confusion_matrix([[1]], ax=ax) is ax
    assert plot.images(np.zeros((1, 2, 2)), ax=ax) is ax
    assert plot.filters(np.ones((2, 1, 3, 3)), ax=ax) is ax
    assert plot.calibration(found, ax=ax) is ax
    assert plot.memory_plan(cn.zoo.lenet5().plan((2, 1, 28, 28)), ax=ax) is ax
    assert plot.profile(result, ax=ax) is ax
    assert len(plt.get_fignums()) == 1


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingExtraError, match=r'pip install "colonnade\[plots\]"'):
        plot.history(RECORDS)


def test_plot_is_a_part_of_the_package():
    assert cn.plot is plot
