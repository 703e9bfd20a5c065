"""Numbers come to the places on paper that they should."""

from __future__ import annotations

import math

import pytest

import colonnade as cn
from colonnade.memory_map import memory_map
from colonnade.report import drawing
from colonnade.report.memory_chart import memory_chart


@pytest.mark.parametrize(
    ("least", "greatest", "expected"),
    [
        (0, 1, [0, 0.5, 1]),
        (0.2, 0.9, [0.2, 0.4, 0.6, 0.8, 1.0]),
        (1, 10, [0, 5, 10]),
        (-3, 4, [-4, -2, 0, 2, 4]),
        (5, 5, [2, 4, 6, 8]),
        (0, 0, [-0.5, 0, 0.5]),
    ],
)
def test_ticks_are_round_and_enclose_the_range(least, greatest, expected):
    ticks = drawing.nice_ticks(least, greatest)
    assert ticks[0] <= least <= greatest <= ticks[-1]
    assert len(ticks) <= 7
    assert ticks == pytest.approx(expected)


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (29844480, "29.8 MB"), (2.5e9, "2.5 GB")]
)
def test_bytes_are_written_for_people(amount, text):
    assert drawing.size(amount).replace(drawing.SPACE, " ") == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.5, "0.5"), (1234.56, "1235"), (0.00012, "1.2e-4"), (1e9, "1.0e9")]
)
def test_numbers_are_short(value, text):
    assert drawing.number(value) == text


def test_lines_go_up_with_their_values_and_leave_gaps_for_what_is_no_number():
    chart = drawing.line_chart("Loss", [1, 2, 3, 4], {"training": [4.0, math.nan, 2.0, 1.0], "held out": [None] * 4})
    assert chart is not None
    (line,) = chart.lines
    assert len(line.points) == 3
    assert line.path.count("M") == 2
    heights = [point.y for point in line.points]
    assert heights == sorted(heights)  # downwards on paper, as the loss falls
    assert all(chart.left <= point.x <= chart.right and chart.top <= point.y <= chart.bottom for point in line.points)
    assert [hit.tip for hit in chart.hits] == [
        "epoch 1\ntraining 4",
        "epoch 2",
        "epoch 3\ntraining 2",
        "epoch 4\ntraining 1",
    ]
    assert sum(hit.width for hit in chart.hits) == pytest.approx(chart.right - chart.left)


def test_one_epoch_is_a_point():
    chart = drawing.line_chart("Accuracy", [1], {"training": [0.5]}, share=True)
    assert chart is not None
    assert chart.marked
    assert len(chart.lines[0].points) == 1
    assert [tick.label for tick in chart.x] == ["1"]


def test_shares_are_never_above_all():
    chart = drawing.line_chart("Accuracy", [1, 2], {"training": [0.93, 1.0]}, share=True)
    assert chart is not None
    assert chart.y[-1].label.replace(drawing.SPACE, " ") == "100 %"
    assert min(point.y for point in chart.lines[0].points) >= chart.top


def test_where_there_are_no_numbers_there_is_no_chart():
    assert drawing.line_chart("Loss", [1, 2], {"training": [None, math.inf]}) is None


def test_a_confusion_matrix_has_a_cell_for_each_count_that_is_not_zero():
    chart = drawing.matrix([[8, 2, 0], [0, 0, 0], [1, 1, 8]], ["cat", "dog", "a very long name of a class"])
    assert [(cell.label, cell.right, cell.share) for cell in chart.cells] == [
        *(("8", True, 0.8), ("2", False, 0.2), ("1", False, 0.1), ("1", False, 0.1), ("8", True, 0.8)),
    ]
    assert chart.cells[1].tip.replace(drawing.SPACE, " ") == "cat, taken for dog\n2 of 10 (20 %)"
    assert [tick.label for tick in chart.rows] == ["cat", "dog", "a very l…lass"]
    for cell in chart.cells:
        assert chart.left <= cell.x <= chart.left + chart.size - chart.cell
        assert chart.top <= cell.y <= chart.top + chart.size - chart.cell


def test_a_large_confusion_matrix_has_no_letters():
    chart = drawing.matrix([[1] * 100] * 100, [f"class {number}" for number in range(100)])
    assert len(chart.cells) == 10000
    assert chart.rows == chart.columns == []
    assert not any(cell.label for cell in chart.cells)
    assert chart.width <= 450


def test_reliability_bars_are_as_high_as_the_accuracy():
    chart = drawing.reliability([math.nan, 0.7], [math.nan, 0.5], [0, 10])
    (bar,) = chart.bars
    assert bar.height == pytest.approx((chart.bottom - chart.top) / 2)
    assert bar.x > (chart.left + chart.right) / 2
    assert len(chart.counts) == 1


def test_the_memory_chart_has_a_rectangle_for_each_stay_within_its_frame():
    memory = memory_map(cn.zoo.cnn().plan((32, 1, 28, 28), training=True))
    chart = memory_chart("Memory", memory, memory.batch, memory.batch_bytes, height=300)
    assert len(chart.rectangles) == sum(len(storage.stays) for storage in memory.batch)
    for each in chart.rectangles:
        assert chart.left <= each.x <= each.x + each.width <= chart.right + 1
        assert chart.top - 1 <= each.y <= each.y + each.height <= chart.bottom + 1
    first = next(each for each in chart.rectangles if each.tip.startswith("0 Conv2d: output"))
    assert "32×32×28×28" in first.tip
    assert "from 0 Conv2d, forward to" in first.tip
    assert first.role == "value"
    assert [name for _, _, name in chart.segments if name] == [str(segment) for segment in memory.segments]
