"""The page in a real Chromium: every control is used, nothing is asked of anywhere else, nothing goes wrong."""

from __future__ import annotations

import base64

import pytest

from .servers import classifier, listening, png

LEAST_CONTRAST = 4.5  # of letters to what is behind them: WCAG 2.1, level AA
WINDOWS = [(1280, "light"), (1280, "dark"), (375, "light"), (375, "dark")]


@pytest.fixture(scope="module")
def page_address():
    from colonnade import serving

    models = {"grey": classifier(), "colours": classifier(1, 3, ("red & <b>", "green"))}
    with listening(serving.app(models)) as address:
        yield address


@pytest.fixture
def open_page(browser, page_address):
    """Opens the page; what the browser says, and what it asks of elsewhere, has to be nothing at the end."""
    contexts, said = [], []

    def open_page(width=1280, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, permissions=["camera"]
        )
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        here = (page_address, "blob:", "data:")
        tab.on("request", lambda asked: said.append(asked.url) if not asked.url.startswith(here) else None)
        tab.goto(page_address)
        tab.locator("#model option").first.wait_for(state="attached")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def give(tab, *names):
    files = [{"name": name, "mimeType": "image/png", "buffer": png(seed=at)} for at, name in enumerate(names)]
    tab.set_input_files("#files", files)


def answered(tab, cards):
    """Wait until so many cards have their bars and their map."""
    tab.locator("article .strength:visible").nth(cards - 1).wait_for()
    return tab.locator("article")


@pytest.mark.parametrize(("width", "scheme"), WINDOWS)
def test_pictures_get_bars_and_a_map(open_page, width, scheme):
    tab = open_page(width, scheme)
    give(tab, "one.png", "two.png", "three.png")
    cards = answered(tab, 3)
    assert cards.count() == 3
    assert {*cards.locator("h2").all_inner_texts()} == {"one.png", "two.png", "three.png"}
    assert {*cards.first.locator(".name").all_inner_texts()} == {"cat", "dog", "owl"}
    shares = [float(text.rstrip("%\xa0 ")) for text in cards.first.locator(".share").all_inner_texts()]
    assert sum(shares) == pytest.approx(100, abs=0.2)
    assert shares == sorted(shares, reverse=True)
    bars = [box["width"] for box in (each.bounding_box() for each in cards.first.locator(".bar").all())]
    whole = cards.first.locator("ol button").first.bounding_box()["width"]
    assert [bar / whole for bar in bars] == pytest.approx([share / 100 for share in shares], abs=0.02)
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    cards.first.locator(".remove").click()
    assert cards.count() == 2


def test_another_class_gets_its_own_map_and_the_slider_fades_it(open_page):
    tab = open_page()
    give(tab, "one.png")
    card = answered(tab, 1).first
    last = card.locator("ol button").nth(2)
    last.click()
    tab.locator("ol li:nth-child(3) button[aria-pressed=true]").wait_for()
    assert card.locator("ol button[aria-pressed=true]").count() == 1
    card.locator(".strength input").fill("25")
    assert card.locator(".heat").evaluate("canvas => canvas.style.opacity") == "0.25"
    assert card.locator(".heat").evaluate("canvas => [canvas.width, canvas.height]") == [8, 8]


def test_a_drawing_is_asked_about_where_the_model_takes_one_channel(open_page):
    tab = open_page()
    tab.click("#draw")
    box = tab.locator("#canvas").bounding_box()
    tab.mouse.move(box["x"] + 100, box["y"] + 40)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 100, box["y"] + 200, steps=5)
    tab.mouse.up()
    white = """canvas => [...canvas.getContext("2d").getImageData(0, 0, 280, 280).data]
        .filter((v, i) => i % 4 == 0 && v > 0).length"""
    drawn = tab.locator("#canvas").evaluate(white)
    assert drawn > 3_000
    tab.locator("#canvas").focus()
    for _ in range(5):
        tab.keyboard.press("Shift+ArrowRight")
    assert tab.locator("#canvas").evaluate(white) > drawn
    tab.click("#ask-drawing")
    assert answered(tab, 1).locator("h2").inner_text() == "drawing.png"
    tab.click("#clear")
    assert tab.locator("#canvas").evaluate(white) == 0
    tab.locator("#pen").fill("40")
    tab.locator("#light").uncheck()
    assert tab.locator("#canvas").evaluate(white) == 280 * 280
    tab.select_option("#model", "colours")
    assert not tab.locator("#draw").is_visible()
    assert not tab.locator("#drawing").is_visible()


def test_names_of_classes_are_text(open_page):
    tab = open_page()
    tab.select_option("#model", "colours")
    give(tab, "<img src=x onerror=alert(1)>.png")
    card = answered(tab, 1)
    assert "red & <b>" in card.locator(".name").all_inner_texts()
    assert card.locator("h2").inner_text() == "<img src=x onerror=alert(1)>.png"


def test_pictures_may_be_pasted_and_dropped(open_page):
    tab = open_page()
    made = """(kind, text) => {
        const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], kind + ".png", { type: "image/png" }));
        const event = kind == "paste" ? new ClipboardEvent("paste", { clipboardData: data })
                                      : new DragEvent("drop", { dataTransfer: data, cancelable: true });
        dispatchEvent(event);
    }"""
    text = base64.b64encode(png()).decode()
    for at, kind in enumerate(("paste", "drop"), 1):
        tab.evaluate(f"([kind, text]) => ({made})(kind, text)", [kind, text])
        answered(tab, at)
    assert {*tab.locator("article h2").all_inner_texts()} == {"paste.png", "drop.png"}


def test_a_photograph_is_taken(open_page):
    tab = open_page()
    tab.click("#photograph")
    tab.locator("#shoot").wait_for()
    tab.locator("#video").evaluate("video => new Promise(done => video.videoWidth ? done() : video.onplaying = done)")
    tab.click("#shoot")
    assert answered(tab, 1).locator("h2").inner_text() == "photograph.jpg"
    assert not tab.locator("#camera").is_visible()
    tab.click("#photograph")
    tab.locator("#camera-off").click()
    assert not tab.locator("#camera").is_visible()


def test_all_is_reached_by_the_keyboard(open_page):
    tab = open_page()
    give(tab, "one.png")
    answered(tab, 1)
    tab.locator("body").focus()
    reached = set()
    for _ in range(14):
        tab.keyboard.press("Tab")
        reached.add(
            tab.evaluate(
                "document.activeElement.id || document.activeElement.className || document.activeElement.tagName"
            )
        )
    assert {"model", "files", "photograph", "draw", "BUTTON", "INPUT", "remove"} <= reached


def test_what_is_no_picture_says_so(browser, page_address):
    tab = browser.new_page()
    tab.goto(page_address)
    tab.set_input_files("#files", [{"name": "a.txt", "mimeType": "text/plain", "buffer": b"text"}])
    assert tab.locator("#notice").inner_text() == "That is no picture."
    tab.set_input_files("#files", [{"name": "a.png", "mimeType": "image/png", "buffer": b"text"}])
    tab.locator(".state.wrong").wait_for()
    assert "expected an image" in tab.locator(".state.wrong").inner_text()
    tab.close()


def test_a_key_is_asked_for_and_kept(browser):
    from colonnade import serving

    with listening(serving.app(classifier(), serving.Settings(api_key="secret"))) as address:
        tab = browser.new_page()
        tab.goto(address)
        tab.fill("#key", "wrong")
        tab.keyboard.press("Enter")
        tab.locator("#notice").wait_for()
        assert "expected the API key" in tab.locator("#notice").inner_text()
        tab.fill("#key", "secret")
        tab.keyboard.press("Enter")
        tab.locator("#key-form").wait_for(state="hidden")
        tab.reload()
        give(tab, "one.png")
        answered(tab, 1)
        assert not tab.locator("#key-form").is_visible()
        tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_stand_out_from_what_is_behind_them(open_page, scheme):
    tab = open_page(scheme=scheme)
    give(tab, "one.png")
    answered(tab, 1)
    found = tab.evaluate("""() => {
        const light = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
        const behind = e => { const own = getComputedStyle(e).backgroundColor;
            return own == "rgba(0, 0, 0, 0)" && e.parentElement ? behind(e.parentElement) : own; };
        return [...document.querySelectorAll("h1, h2, p, button, .button, label, .name, .share")]
            .filter(e => e.checkVisibility() && e.textContent.trim()).map(e => {
                const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
                return [(a + 0.05) / (b + 0.05), e.outerHTML.slice(0, 60)];
            });
    }""")
    assert len(found) > 8
    assert [what for ratio, what in found if ratio < LEAST_CONTRAST] == []
