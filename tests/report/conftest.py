"""A run to report on, and a browser to open its page in."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import colonnade as cn

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on the digits, in two epochs. Nobody may change it."""
    folder = tmp_path_factory.mktemp("runs") / "digits-small"
    digits = cn.data.load("digits")
    layers = [cn.Conv2d(1, 8, 3), cn.BatchNorm2d(8), cn.ReLU(), cn.MaxPool2d(2), cn.Flatten(), cn.Dense(72, 10)]
    model = cn.Model(layers, seed=0).build(digits.input_shape)
    model.classes = digits.classes
    model.fit(*digits.train, epochs=2, validation=digits.test, normalization=digits.normalization, out=folder)
    (folder / "config.toml").write_text('data = "digits"\nmodel = "small"\nepochs = 2\nbatch_size = 64\n')
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to change."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium, driven by Playwright."""
    api = pytest.importorskip("playwright.sync_api", reason="a browser is driven by playwright")
    installed = next(filter(None, map(shutil.which, BROWSERS)), None)
    with api.sync_playwright() as playwright:
        try:
            # Without an installed one, Playwright looks for its own.
            browser = playwright.chromium.launch(executable_path=installed, args=["--no-sandbox"])
        except api.Error as error:
            pytest.skip(f"no Chromium is installed: {str(error).splitlines()[0]}")
        yield browser
        browser.close()
