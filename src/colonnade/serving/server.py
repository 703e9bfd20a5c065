"""Running the application by uvicorn: sockets, processes, and the end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..errors import ColonnadeError

KEEP_ALIVE = 15  # seconds that a connection may stay without a request
GRACE = 30  # seconds that requests have to come to their end
BACKLOG = 2_048
# Bytes that may come without a whole head, or a part of a body, among them: uvicorn reads 256 KiB at a time.
MOST_HEAD = 2**19
ENDING = (signal.SIGINT, signal.SIGTERM)
NOT_READY = "serve: the models did not get ready; the log says why."
CANT_BEGIN = 2  # the status of a process that another would follow no better


class PatientProtocol(HttpToolsProtocol):
    """A connection that is closed where a client makes no progress: uvicorn waits for good.

    It has `KEEP_ALIVE` seconds for the head of a request, which has to be small, and as many to take another part of
    an answer; the guard sees to the body.
    """

    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._useless = 0  # bytes since the last head, or part of a body
        self._late = asyncio.get_running_loop().call_later(KEEP_ALIVE, self._give_up)

    def data_received(self, data: bytes) -> None:
        """Read on, unless it is a head without end, or what may stand between the parts of a body."""
        self._useless += len(data)
        super().data_received(data)
        if self._useless > MOST_HEAD:
            self._give_up()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._late.cancel()
        self._useless = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body is there."""
        self._useless = 0
        super().on_body(body)

    def on_message_begin(self) -> None:
        """Another request begins on the connection."""
        self._late.cancel()
        self._late = asyncio.get_running_loop().call_later(KEEP_ALIVE, self._give_up)
        super().on_message_begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._late.cancel()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client takes its answer more slowly than it is written."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """It has taken most of it."""
        if self._stalled is not None:
            self._stalled.cancel()
        super().resume_writing()

    def _watch(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._stalled = asyncio.get_running_loop().call_later(KEEP_ALIVE, self._look, left)

    def _look(self, before: int) -> None:
        """Close the connection where nothing was taken."""
        if self.transport.get_write_buffer_size() < before:
            self._watch()
        else:
            self.transport.abort()

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

    Raises:
        ServingError: The application did not get ready; its log says why.
    """
    _raise_open_files()
    if processes == 1:
        _serve(_server(app), listener)
        return
    children: set[int] = set()
    ending = False

    def end(*_: Any) -> None:
        nonlocal ending
        ending = True
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)

    def begin() -> None:
        # A signal that comes meanwhile waits: it would miss the child, or find it with its parent's handlers.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        if not ending:
            children.add(_forked(app, listener))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)

    for number in ENDING:
        signal.signal(number, end)
    for _ in range(processes):
        begin()
    failed = False
    while children:
        child, status = os.wait()
        children.discard(child)
        if os.waitstatus_to_exitcode(status) == CANT_BEGIN:
            failed = True
            end()
        if not ending:
            logging.getLogger("colonnade.serving").error(
                "process %d ended (%d); another takes its place", child, os.waitstatus_to_exitcode(status)
            )
            begin()
    if failed:
        raise ServingError(NOT_READY)


def _forked(app: Any, listener: socket.socket) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        server = _server(app)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        _serve(server, listener)
        status = 0
    except ServingError:
        status = CANT_BEGIN
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


def _server(app: Any) -> uvicorn.Server:
    """A server that the signals end, from now on: uvicorn listens to them later, and raises them again at its end."""
    server = uvicorn.Server(configured(app))
    for number in ENDING:
        signal.signal(number, server.handle_exit)
    return server


def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    try:
        server.run(sockets=[listener])
    except SystemExit:  # uvicorn's way to say so
        raise ServingError(NOT_READY) from None


def _raise_open_files() -> None:
    """Take as many connections as the system lets this process have."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
