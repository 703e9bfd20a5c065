"""The screenshots of docs/report.md: a run on the digits, its report, and pieces of it as a browser shows them.

    python scripts/photograph_report.py

It wants the extras `report` and `plots`, Playwright, and an installed Chromium.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

import colonnade as cn
from colonnade import report

ASSETS = Path(__file__).parent.parent / "docs" / "assets"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
COLOURS = 256  # a palette keeps the files small


def main() -> None:
    """Train, report, photograph."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "runs", "digits-cnn")
        subprocess.run(
            [sys.executable, "-m", "colonnade", "train", "--out", str(run), "--quiet"], check=True, cwd=folder
        )
        page = report.write(run)
        # The page shows the folder as it was named.
        page.write_text(page.read_text(encoding="utf-8").replace(str(run), "runs/digits-cnn"), encoding="utf-8")
        with sync_playwright() as playwright:
            installed = next(filter(None, map(shutil.which, BROWSERS)), None)
            browser = playwright.chromium.launch(executable_path=installed, args=["--no-sandbox"])
            photograph(browser, page, "report", 1100, "light", 0, 1190)
            photograph(browser, page, "report_memory", 1100, "dark", "#memory", 900)
            photograph(browser, page, "report_phone", 375, "dark", 0, 1100)
            browser.close()
        explain(run / "model.safetensors", Path(folder))


def photograph(browser: Browser, page: Path, name: str, width: int, scheme: str, start: int | str, height: int) -> None:
    """A piece of the page, from a height or an element on."""
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab.goto(page.as_uri())
    top = start if isinstance(start, int) else tab.locator(start).bounding_box()["y"]
    file = ASSETS / f"{name}.png"
    tab.screenshot(path=file, full_page=True, clip={"x": 0, "y": top, "width": width, "height": height})
    tab.close()
    shrink(file)


def explain(model: Path, folder: Path) -> None:
    """The four pictures of `colonnade explain`, side by side."""
    digit = cn.data.load("digits").test.x[3, 0]
    Image.fromarray(digit).save(folder / "digit.png")
    command = [sys.executable, "-m", "colonnade", "explain", str(model), "digit.png", "--out", "explained"]
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
    names = ("image", "grad-cam", "occlusion", "features")
    pictures = [Image.open(folder / "explained" / f"digit-{name}.png").convert("RGB") for name in names]
    places = [sum(each.width + 16 for each in pictures[:position]) for position in range(5)]
    sheet = Image.new("RGB", (places[-1] - 16, max(each.height for each in pictures)), "white")
    for picture, place in zip(pictures, places, strict=False):
        sheet.paste(picture, (place, 0))
    sheet.save(ASSETS / "explained.png")
    shrink(ASSETS / "explained.png")


def shrink(file: Path) -> None:
    """Fewer colours, and so fewer bytes."""
    with Image.open(file) as picture:
        small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(file, optimize=True)


if __name__ == "__main__":
    main()
