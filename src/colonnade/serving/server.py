"""Running the application by uvicorn: sockets, processes, and the end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..errors import ColonnadeError

KEEP_ALIVE = 15  # seconds that a connection may stay without a request
GRACE = 30  # seconds that requests have to come to their end
BACKLOG = 2_048


class PatientProtocol(HttpToolsProtocol):
    """A connection that is closed where no request comes, or only a part of one: uvicorn waits for good.

    It has `KEEP_ALIVE` seconds for the head of its first request; the guard sees to the body.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._late = asyncio.get_running_loop().call_later(KEEP_ALIVE, self._give_up)

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._late.cancel()
        super().on_headers_complete()

    def on_message_begin(self) -> None:
        """Another request begins on the connection."""
        self._late.cancel()
        self._late = asyncio.get_running_loop().call_later(KEEP_ALIVE, self._give_up)
        super().on_message_begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._late.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ServingError: The port is in use, or the host is not this machine's.
    """
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise ServingError(f"serve: can't listen at {host} port {port}: {error.strerror or error}.") from None
    return listener


class ServingError(ColonnadeError):
    """A server that can't begin."""


def run(app: Any, listener: socket.socket, processes: int = 1) -> None:
    """Serve until SIGINT or SIGTERM comes; requests that have come by then are answered, and this returns.

    Args:
        app: The application.
        listener: As `bound` gives it.
        processes: Forked from this one, so that they share the memory of the weights. One that dies is replaced.
    """
    _raise_open_files()
    if processes == 1:
        _serve(app, listener)
        return
    children: set[int] = set()
    ending = False

    def end(*_: Any) -> None:
        nonlocal ending
        ending = True
        for child in children:
            os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    while len(children) < processes and not ending:
        children.add(_forked(app, listener))
    while children:
        child, status = os.wait()
        children.discard(child)
        if not ending:
            logging.getLogger("colonnade.serving").error(
                "process %d ended (%d); another takes its place", child, status
            )
            children.add(_forked(app, listener))


def _forked(app: Any, listener: socket.socket) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        _serve(app, listener)
        status = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def configured(app: Any) -> uvicorn.Config:
    """How uvicorn serves the application."""
    return uvicorn.Config(
        app, http=PatientProtocol, lifespan="on", log_config=None, access_log=False, server_header=False,
        timeout_keep_alive=KEEP_ALIVE, timeout_graceful_shutdown=GRACE, backlog=BACKLOG, ws="none",
    )  # fmt: skip


def _serve(app: Any, listener: socket.socket) -> None:
    # uvicorn raises the signal that ended it once more; the end was orderly, so that nothing is left to do.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    uvicorn.Server(configured(app)).run(sockets=[listener])


def _raise_open_files() -> None:
    """Take as many connections as the system lets this process have."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
