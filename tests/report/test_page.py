"""The page says what the report holds, and nothing that comes from outside is taken for markup."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser

import pytest

import colonnade as cn
from colonnade import report as reports
from colonnade.errors import MissingExtraError

pytest.importorskip("jinja2", reason="the page is made by jinja2")

HOSTILE = "</title><script>alert('x')</script>"


class Reader(HTMLParser):
    """Notes every tag, every attribute and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attributes]

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def page(finished) -> str:
    return reports.render(reports.collect(finished, steps=1))


def test_the_page_has_every_section(page):
    reader = Reader(page)
    for section in ("curves", "errors", "mistakes", "calibration", "filters", "memory", "time", "configuration"):
        assert ("id", section) in reader.attributes
        assert ("href", f"#{section}") in reader.attributes
    assert 'class="missing"' not in page


def test_the_page_asks_nothing_of_a_network(page):
    addresses = [value for name, value in Reader(page).attributes if name in ("src", "href", "action", "poster")]
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert "http:" not in page
    assert "https:" not in page
    assert "@import" not in page
    (policy,) = [value for name, value in Reader(page).attributes if value.startswith("default-src")]
    assert "default-src 'none'; img-src data:;" in policy


def test_every_id_is_one_and_every_label_leads_to_one(page):
    reader = Reader(page)
    ids = [value for name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value for name, value in reader.attributes if name == "aria-labelledby"} <= set(ids)
    assert all(value for name, value in reader.attributes if name == "alt")


def test_every_picture_is_said_what_it_is(page):
    for tag in re.findall(r"<(?:img|svg)[^>]*>", page):
        assert "alt=" in tag or "aria-labelledby=" in tag


def test_names_from_outside_are_text(run):
    digits = cn.data.load("digits")
    model = cn.load(run / "model.safetensors")
    model.classes = [HOSTILE, *(f'"{number}" onload="alert(1)"' for number in range(9))]
    model.save(run / "model.safetensors")
    (run / "config.toml").write_text(f'data = "digits"\n"{HOSTILE}" = "{HOSTILE}"\n')
    (run / "metrics.jsonl").write_text(f'{{"epoch": 1, "train_loss": 1, "{HOSTILE}": "{HOSTILE}"}}\n')
    hostile = run.rename(run.with_name("<img src=x onerror=alert(1)>"))
    report = reports.collect(hostile, steps=0)
    dataset = cn.data.Dataset("digits", digits.train, digits.test, model.classes)
    report.judgement = reports.judge(model, dataset)
    report.missing["time"] = report.missing["curves"] = HOSTILE
    reader = Reader(reports.render(report))
    assert reader.tags.count("script") == 1
    assert not any(name.startswith("on") for name, _ in reader.attributes)
    assert "x" not in [value for name, value in reader.attributes if name == "src"]
    assert HOSTILE in "".join(reader.text)


def test_what_is_missing_is_said_in_its_section(run):
    (run / "config.toml").write_text('data = "gone"\n')
    (run / "metrics.jsonl").unlink()
    page = reports.render(reports.collect(run, steps=0))
    text = " ".join(Reader(page).text)
    assert "There is no data set 'gone'" in text
    assert "The run has no metrics.jsonl" in text
    assert "No step was timed" in text
    assert page.count('class="missing"') == 5  # the images held out are missing in three sections


def test_a_run_of_which_only_the_curves_are_left_has_a_page(run):
    (run / "model.safetensors").unlink()
    (run / "config.toml").unlink()
    assert "Loss" in " ".join(Reader(reports.render(reports.collect(run))).text)


def test_without_a_mistake_there_is_said_to_be_none(run):
    report = reports.collect(run, steps=0)
    digits = cn.data.load("digits")
    right = cn.load(run / "model.safetensors").predict(digits.test.x) == digits.test.y
    easy = cn.data.Arrays(digits.test.x[right], digits.test.y[right])
    dataset = cn.data.Dataset("digits", digits.train, easy, digits.classes)
    report.judgement = reports.judge(cn.load(run / "model.safetensors"), dataset)
    text = " ".join(Reader(reports.render(report)).text)
    assert f"There are none: all {right.sum()} images held out are told right." in text


def test_layers_beyond_the_slowest_are_put_together(run):
    from colonnade.report.page import time_bars

    model = cn.Model([cn.ReLU() for _ in range(30)]).build((1, 4, 4))
    bars = time_bars(model.profile([[[[0.0] * 4] * 4]] * 2, steps=1, training=False))
    assert any(bar.name == "10 quicker layers" for bar in bars)
    assert all(0 <= share.percent <= 100.001 for bar in bars for share in bar.shares)
    assert max(sum(share.percent for share in bar.shares) for bar in bars) == pytest.approx(100)


def test_write_puts_it_beside_the_run_or_where_it_is_told(run, tmp_path):
    assert reports.write(run, steps=0) == run / "report.html"
    assert (run / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert reports.write(run, tmp_path / "other.html", steps=0) == tmp_path / "other.html"
    assert "Colonnade " + cn.__version__ in (tmp_path / "other.html").read_text(encoding="utf-8")
    with pytest.raises(FileNotFoundError):
        reports.write(run, tmp_path / "nowhere" / "other.html", steps=0)


def test_without_jinja2_the_extra_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r'pip install "colonnade\[report\]"'):
        reports.write(run, steps=0)


def test_a_beginner_reads_what_matters_first_and_memory_and_time_last(page):
    places = [
        page.index(f'<section id="{name}">') for name in ("curves", "errors", "mistakes", "calibration", "filters")
    ]
    places += [page.index(f'<section id="{name}">') for name in ("configuration", "memory", "time")]
    assert places == sorted(places)
    assert page.index("chart-accuracy") < page.index("chart-loss") < page.index("chart-rate")
    links = re.findall(r'href="#(\w+)"', page[: page.index("</nav>")])
    assert links == re.findall(r'<section id="(\w+)">', page)


@pytest.mark.parametrize(("threads", "said"), [(1, ", 1 thread<"), (3, ", 3 threads<")])
def test_it_says_how_many_threads_were_used(run, threads, said):
    with (run / "config.toml").open("a") as file:
        file.write(f"[ran]\nthreads = {threads}\n")
    page = reports.render(reports.collect(run, steps=0))
    assert f"of training{said}" in page
    assert "<dt>ran</dt>" not in page


@pytest.mark.parametrize("ran", ["ran = 3", '[ran]\nthreads = "many"', "[ran]\nthreads = -1", ""])
def test_threads_that_nobody_knows_are_not_spoken_of(run, ran):
    with (run / "config.toml").open("a") as file:
        file.write(ran)
    page = reports.render(reports.collect(run, steps=0))
    assert re.search(r"of training</dd>", page)
