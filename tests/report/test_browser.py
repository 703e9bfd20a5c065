"""The page in a real Chromium: no error, no network, nothing wider than a phone, readable in the dark."""

from __future__ import annotations

from pathlib import Path

import pytest

from colonnade import report as reports

pytest.importorskip("jinja2", reason="the page is made by jinja2")
LEAST_CONTRAST = 4.5  # of letters to what is behind them: WCAG 2.1, level AA


@pytest.fixture(scope="module")
def page(finished, tmp_path_factory) -> Path:
    return reports.write(finished, tmp_path_factory.mktemp("page") / "report.html", steps=1)


@pytest.fixture(params=[(1280, "light"), (1280, "dark"), (375, "light"), (375, "dark")], ids=str)
def opened(browser, page, request):
    """The page at a width and in a colour scheme, and what the browser had to say about it."""
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    tab, said = context.new_page(), []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda asked: said.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None)
    tab.goto(page.as_uri())
    yield tab, said, width, scheme
    context.close()


def test_there_is_no_error_and_no_request(opened):
    tab, said, _, _ = opened
    tab.mouse.wheel(0, 3000)
    assert said == []


def test_nothing_is_wider_than_the_window(opened):
    tab, _, width, _ = opened
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    # Whatever is wider by itself scrolls within a region of its own.
    loose = tab.evaluate(
        """width => [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll") && !e.closest("svg")
             && e.getBoundingClientRect().right > width + 0.5).map(e => e.outerHTML.slice(0, 80))""",
        width,
    )
    assert loose == []


def test_all_pictures_are_shown(opened):
    tab, _, _, _ = opened
    assert tab.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert tab.evaluate("document.images.length") > 8


def test_letters_stand_out_from_what_is_behind_them(opened):
    tab, _, _, scheme = opened
    found = tab.evaluate(
        """least => {
          const channel = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
          const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
          const parse = text => text.match(/[\\d.]+/g).map(Number);
          const behind = element => {
            for (let e = element; e; e = e.parentElement) {
              const colour = parse(getComputedStyle(e).backgroundColor);
              if (colour.length < 4 || colour[3] > 0) return colour;
            }
            return [255, 255, 255];
          };
          const faint = [];
          for (const e of document.querySelectorAll("h1, h2, h3, p, dt, dd, a, th, td, li, summary, svg text.tick")) {
            if (!e.textContent.trim() || e.closest("[hidden]")) continue;
            const style = getComputedStyle(e);
            const [one, two] = [light(parse(e.closest("svg") ? style.fill : style.color)), light(behind(e))];
            const contrast = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
            if (contrast < least) faint.push(`${e.outerHTML.slice(0, 60)}: ${contrast.toFixed(2)}`);
          }
          return faint;
        }""",
        LEAST_CONTRAST,
    )
    assert found == []
    bright = sum(int(part) for part in tab.evaluate("getComputedStyle(document.body).backgroundColor")[4:-1].split(","))
    assert (bright < 150) is (scheme == "dark")


def test_pointing_at_the_memory_tells_what_lies_there(opened):
    tab, _, _, _ = opened
    assert tab.locator("#tip").is_hidden()
    rectangle = tab.locator("#memory svg.memory g").first
    rectangle.scroll_into_view_if_needed()
    tab.wait_for_timeout(100)  # scrolling hides the tip
    rectangle.hover()
    tip = tab.locator("#tip")
    assert tip.is_visible()
    assert "bytes" in tip.inner_text()
    box = tip.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= opened[2]


def test_without_scripts_the_page_is_whole(browser, page):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(page.as_uri())
    assert tab.locator("#memory svg.memory").count() == 2
    assert tab.locator("svg title").count() > 20
    context.close()
