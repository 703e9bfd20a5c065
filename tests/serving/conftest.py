"""A server that listens, with three models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import colonnade as cn

from .servers import classifier, httpx, listening


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of two classifiers and of a model that classifies nothing."""
    folder = tmp_path_factory.mktemp("models")
    images = cn.Model([cn.Conv2d(2, 3, 3, padding=1)], seed=0)
    images.build((2, 5, 6))
    made = {"pets": classifier(), "colours": classifier(1, 3), "images": images}
    for name, model in made.items():
        model.save(folder / f"{name}.safetensors")
    return {name: folder / f"{name}.safetensors" for name in made}


@pytest.fixture(scope="session")
def address(models: dict[str, Path]) -> Iterator[str]:
    """Of a server of these three."""
    from colonnade import serving

    with listening(serving.app(list(models.values()), serving.Settings(max_bytes=2**20, max_pixels=10_000))) as found:
        yield found


@pytest.fixture
def client(address: str) -> Iterator[object]:
    """Asks it."""
    with httpx.Client(base_url=address, timeout=60) as found:
        yield found
