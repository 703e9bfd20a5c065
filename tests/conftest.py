"""What holds for all tests: nothing is fetched from elsewhere, and nothing is kept in the user's own folders."""

import os
from collections.abc import Iterator

import pytest


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
