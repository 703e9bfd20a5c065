"""What a notebook shows: tables that say what `print` says, with nothing taken for markup. And history as a frame."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

import colonnade as cn
from colonnade import notebook


def cells(markup: str) -> list[list[str]]:
    """The rows of a table."""
    rows: list[list[str]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag == "tr":
                rows.append([])
            elif tag in ("td", "th"):
                rows[-1].append("")

        def handle_data(self, data):
            if rows and rows[-1]:
                rows[-1][-1] += data

    Reader().feed(markup)
    return rows


@pytest.fixture(scope="module")
def history() -> cn.training.History:
    x, y = np.random.default_rng(0).random((8, 1, 4, 4), np.float32), np.arange(8) % 2
    return cn.Model([cn.Flatten(), cn.Dense(16, 2)]).fit(x, y, epochs=2)


def test_a_model_shows_its_layers():
    model = cn.zoo.lenet5()
    markup = model._repr_html_()
    headings, *rows = cells(markup)
    assert headings == ["layer", "", "output", "parameters", "FLOPs"]
    assert [row[1] for row in rows] == [type(layer).__name__ for layer in model.layers]
    assert rows[0] == ["0", "Conv2d", "6×28×28", "156", "235,200"]
    assert "61,706 parameters" in markup


def test_a_model_that_has_seen_no_image_shows_its_text():
    model = cn.Model([cn.Dense(2, 2)])
    assert model._repr_html_() == f"<pre>{model!r}</pre>".replace("'", "&#x27;")


def test_a_history_shows_its_epochs(history):
    headings, *rows = cells(history._repr_html_())
    assert headings[:3] == ["epoch", "train loss", "train accuracy"]
    assert [row[0] for row in rows] == ["1", "2"]
    assert rows[0][headings.index("test loss")] == "—"
    assert float(rows[1][1]) == pytest.approx(history[1]["train_loss"], rel=1e-5)


def test_names_are_text():
    markup = notebook.table(["<b>"], [["<script>"]], caption="a & b")
    assert "<b>" not in markup
    assert "<script>" not in markup
    assert "a &amp; b" in markup


def test_a_history_becomes_a_pandas_frame(history):
    pandas = pytest.importorskip("pandas", reason="the frame is pandas'")
    frame = pandas.DataFrame(history)
    assert list(frame.columns) == list(history[0])
    assert frame["train_loss"].tolist() == history.train_loss
    assert frame["epoch"].tolist() == [1, 2]
    assert frame["test_loss"].isna().all()
