"""What holds for all tests: nothing is fetched from elsewhere, and nothing is kept in the user's own folders."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# A camera that films a pattern, for pages that take photographs.
ARGUMENTS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="session", autouse=True)
def _on_our_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = dict(os.environ)
    # The suite is about NumPy, where all is plain; tests of what is compiled say so, or set this to 1.
    os.environ.setdefault("COLONNADE_COMPILED", "0")
    os.environ["COLONNADE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["COLONNADE_MIRROR"] = "http://127.0.0.1:9"  # the port of `discard`, where nobody answers
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def one_torch_thread() -> Iterator[None]:
    """PyTorch's threads wait for each other longer than they work on anything as small as a test's."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium, driven by Playwright."""
    api = pytest.importorskip("playwright.sync_api", reason="a browser is driven by playwright")
    installed = next(filter(None, map(shutil.which, BROWSERS)), None)
    with api.sync_playwright() as playwright:
        try:
            # Without an installed one, Playwright looks for its own.
            browser = playwright.chromium.launch(executable_path=installed, args=ARGUMENTS)
        except api.Error as error:
            pytest.skip(f"no Chromium is installed: {str(error).splitlines()[0]}")
        yield browser
        browser.close()
