"""What stands before every request: who may ask, how much may be sent, what is logged and counted."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from time import perf_counter
from typing import Any

from starlette._utils import get_route_path
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from ..errors import ColonnadeError
from ..printable import printable
from .metrics import Metrics
from .settings import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOG = logging.getLogger("colonnade.serving")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# What a browser gets before it has a key, and what asks whether a process lives.
OPEN = ("/", "/page.css", "/page.js", "/v2/health/live", "/v2/health/ready")
# The bodies of all requests together, in those of the largest one.
BODIES = 8
FAILED = "the server failed; its log says why."
SOON = 1.0  # seconds, and
LITTLE = 2**20  # bytes, in which the rest of a request that is refused may still come
GONE = 499  # as others log a client that did not wait for its answer
SECURITY = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}


class Guard:
    """An ASGI application before another.

    Args:
        app: What answers.
        settings: Limits, key and names of hosts.
        metrics: Is told of each request.
        start: Gets ready what answers; called before each request, and does its work once.
    """

    def __init__(self, app: App, settings: Settings, metrics: Metrics, start: Callable[[], Awaitable[None]]) -> None:
        self.settings = settings
        self.held = 0  # bytes of the bodies of all requests
        self._app, self._metrics, self._start = app, metrics, start
        self._asking = 0  # requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, partial(_briefly, send))
            return
        start = perf_counter()
        status = GONE
        begun = False  # to answer
        body = _Body(receive, self)

        async def answering(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
                if _has_body(Headers(scope=scope)) and not await body.is_out_of_the_way():
                    headers["connection"] = "close"  # the rest is not read
            await send(message)

        self._asking += 1
        try:
            await self._start()
            answer = self._refusal(scope) or self._app
            await answer(scope, body, answering)
        except Exception as error:
            if not begun:  # else it was answered and logged already: Starlette raises it once more
                LOG.error("a request failed", exc_info=error)
                await refused(500, FAILED)(scope, receive, answering)
        finally:
            self._asking -= 1
            self.held -= body.taken
            seconds = perf_counter() - start
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.request(route, status, seconds)
            client = (scope.get("client") or ("-",))[0]
            path = printable(scope["path"])
            LOG.info("%s %s %s %d %.1f ms", client, printable(scope["method"]), path, status, 1000 * seconds)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        """Why a request is not handed on, None if it is."""
        headers = Headers(scope=scope)
        path = get_route_path(scope)
        if self._asking > self.settings.max_waiting and path not in OPEN:
            return refused(503, "too many requests at once.", {"retry-after": "1"})
        host = headers.get("host", "")
        if self.settings.hosts and _name(host) not in self.settings.hosts:
            return refused(421, f"this server is not known as {printable(host)!r}; see --allowed-host.")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return refused(403, "pages of other sites may not ask this server.")
        if not self._has_key(path, headers):
            said = "expected the API key, as Authorization: Bearer KEY or as X-API-Key: KEY."
            return refused(401, said, {"www-authenticate": "Bearer"})
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.settings.max_bytes:
            return refused(413, self.too_large(), {"connection": "close"})
        return None

    def _has_key(self, path: str, headers: Headers) -> bool:
        key = self.settings.api_key
        if key is None or path in OPEN or (path.startswith("/v2/models/") and path.endswith("/ready")):
            return True
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        return hmac.compare_digest(given.encode(), key.encode())

    def too_large(self) -> str:
        """What a request is told that has too many bytes."""
        return f"a request may have {self.settings.max_bytes:,} bytes."


class _Body:
    """The body of a request: an ASGI `receive` that refuses what comes too late, and what is too much.

    Args:
        receive: The server's.
        guard: Knows the limits, and what all requests hold.
    """

    def __init__(self, receive: Receive, guard: Guard) -> None:
        self.taken = 0  # bytes
        self._receive, self._guard = receive, guard
        self._deadline = asyncio.get_running_loop().time() + guard.settings.timeout
        self._complete = False
        self._refused = False

    async def __call__(self) -> Message:
        """The next part; once all is there, that the client has gone.

        Raises:
            HTTPException: With status 408, 413 or 503.
        """
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            self._refused = True
            seconds = self._guard.settings.timeout
            raise HTTPException(408, f"the request did not arrive within {seconds:g} s.") from None
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self.taken += size
            self._guard.held += size
            self._complete = not message.get("more_body")
            self._refused = True
            if self.taken > self._guard.settings.max_bytes:
                raise HTTPException(413, self._guard.too_large())
            if self._guard.held > BODIES * self._guard.settings.max_bytes:
                raise HTTPException(503, "too many large requests at once.", {"retry-after": "1"})
            self._refused = False
        return message

    async def is_out_of_the_way(self) -> bool:
        """Whether all has come, or soon does: a connection that is closed before may lose the answer on its way."""
        if self._refused:
            return self._complete
        size = 0
        try:
            async with asyncio.timeout(SOON):
                while not self._complete and size <= LITTLE:
                    message = await self._receive()
                    size += len(message.get("body", b""))
                    self._complete = not message.get("more_body")
        except TimeoutError:
            return False
        return self._complete


def refused(status: int, reason: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An answer that says why there is none, as the Open Inference Protocol has it."""
    return JSONResponse({"error": reason}, status, headers)


async def _briefly(send: Send, message: Message) -> None:
    """Where the models do not get ready, say why in a line: Starlette says it by a traceback."""
    if message["type"] == "lifespan.startup.failed":
        kind, _, reason = message["message"].strip().rpartition("\n")[2].partition(": ")
        if kind.startswith(ColonnadeError.__module__):
            message["message"] = reason
    await send(message)


def _name(host: str) -> str:
    """A host without its port."""
    return (host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]).lower()


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
