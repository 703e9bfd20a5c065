"""What stands before every request: who may ask, how much may be sent, what is logged and counted."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from starlette._utils import get_route_path
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

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
        self._app, self._settings, self._metrics, self._start = app, settings, metrics, start
        self._asking = 0  # requests
        self._held = 0  # bytes of their bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._start()
        start = perf_counter()
        status = GONE
        taken = 0
        deadline = asyncio.get_running_loop().time() + self._settings.timeout

        async def guarded() -> Message:
            """The next part of the body, if it comes in time and is not too much."""
            nonlocal taken
            if taken < 0:  # all is there; what is waited for is that the client goes
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"the request did not arrive within {self._settings.timeout:g} s.") from None
            if message["type"] == "http.request":
                size = len(message.get("body", b""))
                taken += size
                self._held += size
                if taken > self._settings.max_bytes:
                    raise HTTPException(413, self._too_large())
                if self._held > BODIES * self._settings.max_bytes:
                    raise HTTPException(503, "too many large requests at once.", {"retry-after": "1"})
                if not message.get("more_body"):
                    sizes.append(taken)
                    taken = -1
            return message

        sizes: list[int] = []

        async def answering(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
                if not sizes and taken != -1 and scope["method"] == "POST":
                    headers["connection"] = "close"  # the rest of the body is not read
            await send(message)

        self._asking += 1
        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, answering)
            else:
                await self._app(scope, guarded, answering)
        finally:
            self._asking -= 1
            self._held -= sizes[0] if sizes else max(taken, 0)
            seconds = perf_counter() - start
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.request(route, status, seconds)
            client = (scope.get("client") or ("-",))[0]
            path = printable(scope["path"])
            LOG.info("%s %s %s %d %.1f ms", client, printable(scope["method"]), path, status, 1000 * seconds)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        """Why a request is not handed on, None if it is."""
        headers = Headers(scope=scope)
        if self._asking > self._settings.max_waiting:
            return refused(503, "too many requests at once.", {"retry-after": "1"})
        host = headers.get("host", "")
        if self._settings.hosts and _name(host) not in self._settings.hosts:
            return refused(421, f"this server is not known as {printable(host)!r}; see --allowed-host.")
        origin = headers.get("origin")
        if origin not in (None, "null") and urlsplit(str(origin)).netloc != host:
            return refused(403, "pages of other sites may not ask this server.")
        if not self._has_key(get_route_path(scope), headers):
            said = "expected the API key, as Authorization: Bearer KEY or as X-API-Key: KEY."
            return refused(401, said, {"www-authenticate": "Bearer"})
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._settings.max_bytes:
            return refused(413, self._too_large(), {"connection": "close"})
        return None

    def _has_key(self, path: str, headers: Headers) -> bool:
        key = self._settings.api_key
        if key is None or path in OPEN or (path.startswith("/v2/models/") and path.endswith("/ready")):
            return True
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        return hmac.compare_digest(given.encode(), key.encode())

    def _too_large(self) -> str:
        return f"a request may have {self._settings.max_bytes:,} bytes."


def refused(status: int, reason: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An answer that says why there is none, as the Open Inference Protocol has it."""
    return JSONResponse({"error": reason}, status, headers)


def _name(host: str) -> str:
    """A host without its port."""
    return host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0].lower()
