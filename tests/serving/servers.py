"""Servers that listen, models that are quick, and pictures to ask about."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

import colonnade as cn

pytest.importorskip("fastapi", reason="the extra serve is not installed")
httpx = pytest.importorskip("httpx")


def classifier(seed: int = 0, channels: int = 1, classes: tuple[str, ...] = ("cat", "dog", "owl")) -> cn.Model:
    """Of pictures 8×8, with names."""
    layers = [cn.Conv2d(channels, 4, 3, padding=1), cn.ReLU(), cn.Flatten(), cn.Dense(256, len(classes))]
    model = cn.Model(layers, seed=seed)
    model.build((channels, 8, 8))
    model.classes = list(classes)
    return model


def png(height: int = 8, width: int = 8, seed: int = 0) -> bytes:
    """The file of a picture in colours."""
    from PIL import Image

    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@contextlib.contextmanager
def listening(app: object) -> Iterator[str]:
    """The application behind uvicorn on a port of its own: its address."""
    import uvicorn

    from colonnade.serving.server import configured

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        server = uvicorn.Server(configured(app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(30)
