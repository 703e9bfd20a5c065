"""`colonnade serve`."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from .options import Compiled, Threads, say, set_compiled, set_threads

KEY = "COLONNADE_API_KEY"


def serve(
    models: Annotated[
        list[Path], typer.Argument(metavar="MODEL|RUN...", show_default=False, help="Model files, and folders of runs.")
    ],
    host: Annotated[
        str, typer.Option("--host", metavar="H", help="The address to listen at; 0.0.0.0 for all.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65_535, help="0 for any that is free.")] = 8000,
    key_file: Annotated[
        Path | None,
        typer.Option("--api-key-file", metavar="FILE", help=f"Holds a key that clients have to send; or {KEY} is one."),
    ] = None,
    allowed: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            metavar="NAME",
            help="A name under which clients may ask; by default any, at the loopback address its own.",
        ),
    ] = None,
    max_batch: Annotated[int, typer.Option("--max-batch", metavar="N", min=1, help="Images that run together.")] = 64,
    max_wait: Annotated[
        float, typer.Option("--max-wait", metavar="MS", min=0, help="Milliseconds to wait for others, at most.")
    ] = 5.0,
    max_waiting: Annotated[
        int, typer.Option("--max-waiting", metavar="N", min=1, help="Images that may wait; more are refused (503).")
    ] = 1024,
    max_bytes: Annotated[int, typer.Option("--max-bytes", metavar="N", min=1, help="Bytes of a request.")] = 32 * 2**20,
    max_pixels: Annotated[int, typer.Option("--max-pixels", metavar="N", min=1, help="Of a picture.")] = 50_000_000,
    timeout: Annotated[float, typer.Option("--timeout", metavar="S", min=0.001, help="Seconds for a request.")] = 30.0,
    reload: Annotated[
        float, typer.Option("--reload", metavar="S", min=0, help="Seconds between looks at the files; 0 for none.")
    ] = 1.0,
    processes: Annotated[
        int, typer.Option("--processes", metavar="N", min=1, help="That share the memory of the weights.")
    ] = 1,
    threads: Threads = None,
    compiled: Compiled = None,
) -> None:
    """Serve models by HTTP: a page to try them on at /, an API for programs.

    /classify takes pictures, /v2 is the Open Inference Protocol, and /openapi.json describes both. /metrics is for
    Prometheus.
    """
    from .. import serving
    from ..serving.guards import LOOPBACK
    from ..serving.server import bound, run

    set_threads(threads)
    set_compiled(compiled)
    hosts = allowed or (LOOPBACK if host in LOOPBACK else ())
    settings = serving.Settings(
        max_batch, max_wait / 1000, max_waiting, max_bytes, max_pixels, timeout=timeout, reload=reload,
        api_key=_key(key_file), hosts=tuple(hosts),
    )  # fmt: skip
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("colonnade.serving").setLevel(logging.INFO)
    with bound(host, port) as listener:  # before models are read, which takes longer
        app = serving.app(models, settings)
        shown = f"[{host}]" if ":" in host else host
        say(f"serving at http://{shown}:{listener.getsockname()[1]} (Ctrl-C ends)")
        run(app, listener, processes)


def _key(file: Path | None) -> str | None:
    """The key that clients have to send; None for none.

    Raises:
        ArgumentError: An empty file.
    """
    from ..documents import read_bytes
    from ..errors import ArgumentError

    if file is None:
        return os.environ.get(KEY) or None
    key = read_bytes(file).decode("utf-8", "replace").strip()
    if not key:
        raise ArgumentError(f"{file}: expected an API key, got an empty file.")
    return key
