"""What a server allows, and how it gathers requests."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from .. import arguments
from ..errors import ArgumentError

MEBI = 2**20


class Settings(NamedTuple):
    """Limits of a server; each is checked by `checked`.

    Attributes:
        max_batch: Images that run together, at most.
        max_wait: Seconds that the first of them waits for others, at most.
        max_waiting: Images that may wait for a model; more are refused with status 503.
        max_bytes: Of a request's body.
        max_pixels: Of a picture, before it is made smaller.
        max_pictures: In a request.
        timeout: Seconds for a request to arrive, and for its answer.
        reload: Seconds between two looks at a model's file; 0 for none.
        api_key: That clients have to send; None for none.
        hosts: Names under which the server may be asked; empty for any.
    """

    max_batch: int = 64
    max_wait: float = 0.005
    max_waiting: int = 1024
    max_bytes: int = 32 * MEBI
    max_pixels: int = 50_000_000
    max_pictures: int = 64
    timeout: float = 30.0
    reload: float = 1.0
    api_key: str | None = None
    hosts: Collection[str] = ()

    def checked(self) -> Settings:
        """These settings.

        Raises:
            ArgumentError: One that is out of range.
        """
        for name in ("max_batch", "max_waiting", "max_bytes", "max_pixels", "max_pictures"):
            arguments.whole("serving", name, getattr(self, name), 1)
        arguments.number("serving", "max_wait", self.max_wait, 0, 60)
        arguments.number("serving", "reload", self.reload, 0)
        if arguments.number("serving", "timeout", self.timeout, 0) == 0:
            raise ArgumentError("serving: timeout must be positive, got 0.")
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.isprintable() and self.api_key):
            raise ArgumentError("serving: an API key is printable ASCII, at least one character.")
        if isinstance(self.hosts, str):
            raise ArgumentError(f"serving: hosts is a list of names, got the text {self.hosts!r}.")
        return self._replace(hosts=tuple(name.lower() for name in self.hosts))
