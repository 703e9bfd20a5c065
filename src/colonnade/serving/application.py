"""The server: its addresses, and what answers at each."""

from __future__ import annotations

import asyncio
import io
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import numpy as np
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ..data.images import known_formats
from ..data.prefetch import default_workers
from ..errors import ArgumentError, ColonnadeError, DivergenceError
from ..ops.layout import Array
from ..ops.softmax import softmax_forward
from ..printable import printable, shown
from . import protocol
from .batching import BusyError
from .guards import FAILED, GONE, LOG, Guard, refused
from .metrics import CONTENT_TYPE, Metrics
from .models import VERSION, Loaded, Served, named
from .pictures import Sent, decoded, sent
from .settings import Settings

if TYPE_CHECKING:
    from ..model import Model

Result = TypeVar("Result")
EXPLAINING = 8  # requests for a map that may wait
TITLE = "Colonnade"
PAGE = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
BODY = {"requestBody": {"required": True, "content": {
    "image/*": {"schema": {"type": "string", "format": "binary"}},
    "multipart/form-data": {"schema": {
        "type": "object", "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
    }},
}}}  # fmt: skip
TENSORS = {"requestBody": {"required": True, "content": {
    "application/json": {"schema": {"type": "object", "required": ["inputs"]}},
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
}}}  # fmt: skip
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "What was sent can't be used; `error` says why."},
    404: {"description": "No such model."},
    503: {"description": "Too many requests wait; Retry-After says for how many seconds."},
}


def app(
    models: Model | str | Path | Sequence[str | Path] | Mapping[str, Model | str | Path],
    settings: Settings | None = None,
) -> Any:
    """An ASGI application that serves models: run it with any ASGI server, or mount it in another application.

    Args:
        models: A model, its file or its run's folder, several of these, or a dict from names to such.
        settings: Limits, and how requests are gathered.

    Raises:
        ArgumentError: Settings out of range, no models, or two of one name.
        FileFormatError: A file that is no model.
        OSError: What the disk says.
    """
    settings = (settings or Settings()).checked()
    if isinstance(models, Mapping):
        given = {str(name): Path(each) if isinstance(each, str) else each for name, each in models.items()}
    elif isinstance(models, str | Path):
        given = dict(named([Path(models)]))
    elif isinstance(models, Sequence):
        given = dict(named(map(Path, models)))
    else:
        given = {"model": models}
    if not given:
        raise ArgumentError("serving: expected at least one model.")
    # One batch at a time: a model computes with all threads that it may have.
    computing = ThreadPoolExecutor(1, "colonnade-computing")
    served: dict[str, Served] = {}
    metrics = Metrics(served)
    for name, source in given.items():
        served[name] = Served(name, source, settings, computing, partial(metrics.batch, name))
    server = _Server(served, settings, metrics, computing)
    return Guard(server.routes(), settings, metrics, server.start)


class _Server:
    """What the addresses share."""

    def __init__(
        self, served: Mapping[str, Served], settings: Settings, metrics: Metrics, computing: ThreadPoolExecutor
    ) -> None:
        self._served, self._settings, self._metrics, self._computing = served, settings, metrics, computing
        self._reading = ThreadPoolExecutor(max(1, default_workers()), "colonnade-reading")
        known_formats()  # before several threads ask for them
        self._explaining = 0
        self._starting: asyncio.Task[None] | None = None
        self._looking: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Get all models ready, once for each event loop: an application that this one is mounted in says nothing."""
        if self._starting is None or self._starting.get_loop() is not asyncio.get_running_loop():
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        for each in self._served.values():
            await each.start()
        if self._settings.reload:
            self._looking = [asyncio.create_task(self._look(each)) for each in self._served.values()]

    def routes(self) -> FastAPI:
        """The application, without guard."""
        from .. import __version__

        routes = FastAPI(title=TITLE, version=__version__, lifespan=self._lives, docs_url=None, redoc_url=None)
        routes.add_exception_handler(HTTPException, _said)
        routes.add_exception_handler(RequestValidationError, _invalid)
        routes.add_exception_handler(ColonnadeError, _ours)
        routes.add_exception_handler(ClientDisconnect, _left)
        routes.add_exception_handler(Exception, _unforeseen)
        for path, (file, kind) in PAGE.items():
            content = (files(__package__) / "page" / file).read_bytes()
            routes.add_api_route(path, partial(_static, content, kind), include_in_schema=False)
        routes.add_api_route("/models", self.models, summary="The models, and what each takes.")
        routes.add_api_route(
            "/classify", self.classify, methods=["POST"], openapi_extra=BODY, responses=REFUSALS,
            summary="The likeliest classes of a picture, or of each of several.",
        )  # fmt: skip
        routes.add_api_route(
            "/explain", self.explain, methods=["POST"], openapi_extra=BODY, responses=REFUSALS,
            summary="Where the evidence for a class lies: a PNG whose grey is the heat, of the model's size.",
        )  # fmt: skip
        routes.add_api_route("/metrics", self.metrics, summary="For Prometheus.")
        routes.add_api_route("/v2", self.server, summary="The server's name, version and extensions.")
        routes.add_api_route("/v2/health/live", self.live, summary="Whether it lives.")
        routes.add_api_route("/v2/health/ready", self.ready, summary="Whether all models are ready.")
        for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            routes.add_api_route(path, self.metadata, summary="A model's inputs and outputs.", responses=REFUSALS)
            routes.add_api_route(f"{path}/ready", self.model_ready, summary="Whether a model is ready.")
            routes.add_api_route(
                f"{path}/infer", self.infer, methods=["POST"], openapi_extra=TENSORS, responses=REFUSALS,
                summary="What a model puts out for tensors.",
            )  # fmt: skip
        return routes

    @asynccontextmanager
    async def _lives(self, _: FastAPI) -> AsyncIterator[None]:
        """Begin and end with the server."""
        await self.start()
        try:
            yield
        finally:
            for task in self._looking:
                task.cancel()
            for each in self._served.values():
                await each.close()
            self._starting = None  # it may begin once more

    async def _look(self, served: Served) -> None:
        """Look at a model's file again and again."""
        while True:
            await asyncio.sleep(self._settings.reload)
            fault = served.fault
            if await served.refresh():
                LOG.info("%s: read anew", served.name)
            elif served.fault and served.fault != fault:
                LOG.warning("%s: its file has changed and can't be served: %s", served.name, served.fault)

    # What each address answers

    async def models(self) -> list[dict[str, Any]]:
        """Every model: its name, the shape of the pictures that it classifies, and their classes; null for none."""
        known = [(name, served.known) for name, served in self._served.items() if served.ready]
        return [{"name": name, "shape": each.image_shape, "classes": each.classes} for name, each in known]

    async def classify(
        self,
        request: Request,
        top: Annotated[int, Query(ge=1, description="How many classes are named.")] = 5,
        model: Annotated[str | None, Query(description="By default the first that classifies pictures.")] = None,
    ) -> dict[str, Any]:
        """Send the file of a picture as the body, or several as the files of a form."""
        with self._asked(model).used() as loaded:
            given = await self._pictures(request, loaded)
            # Each by itself: they may be of several sizes.
            predictions = await self._answer(request, _all(self._classified(loaded, each, top) for each in given))
            return {"model": loaded.name, "predictions": predictions}

    async def explain(
        self,
        request: Request,
        of_class: Annotated[str | None, Query(alias="class", description="A class by name; the likeliest.")] = None,
        model: Annotated[str | None, Query(description="By default the first that classifies pictures.")] = None,
    ) -> Response:
        """Send the file of one picture as the body. See Grad-CAM, arXiv:1610.02391."""
        with self._asked(model).used() as loaded:
            classes = list(loaded.classes or [])
            if of_class is not None and of_class not in classes:
                raise HTTPException(400, f"class: there is no {shown(of_class)}.")
            given = await self._pictures(request, loaded)
            if len(given) != 1:
                raise HTTPException(400, f"expected one picture, got {len(given)}.")
            if self._explaining >= EXPLAINING:
                raise BusyError(f"{self._explaining} requests for a map wait already.", 1)
            self._explaining += 1
            try:
                number = classes.index(of_class) if of_class is not None else None
                heat = await self._answer(request, self._explained(loaded, given[0], number))
            finally:
                self._explaining -= 1
            return Response(heat, media_type="image/png")

    async def metrics(self) -> Response:
        """Counters, in Prometheus's text format."""
        return Response(self._metrics.text(), media_type=CONTENT_TYPE)

    async def server(self) -> dict[str, Any]:
        """As the Open Inference Protocol has it."""
        from .. import __version__

        extensions = ["binary_tensor_data", "classification"]
        return {"name": "colonnade", "version": __version__, "extensions": extensions}

    async def live(self) -> dict[str, bool]:
        """It answers, so it lives."""
        return {"live": True}

    async def ready(self) -> Response:
        """200 when all models are ready."""
        return self._readiness(self._served.values())

    async def model_ready(self, model: str, version: str = VERSION) -> Response:
        """200 when the model is ready."""
        return self._readiness([self._named(model, version)])

    async def metadata(self, model: str, version: str = VERSION) -> dict[str, Any]:
        """As the Open Inference Protocol has it; the inputs may be of any type that holds such numbers."""
        return self._named(model, version).known.metadata()

    async def infer(self, request: Request, model: str, version: str = VERSION) -> Response:
        """Tensors in JSON, or behind it as bytes: see https://github.com/kserve/open-inference-protocol."""
        with self._named(model, version).used() as loaded:
            body = await request.body()
            answer, head = await self._answer(request, self._inferred(loaded, body, request.headers))
            if head is None:
                return Response(answer, media_type="application/json")
            headers = {"Inference-Header-Content-Length": str(head)}
            return Response(answer, media_type="application/octet-stream", headers=headers)

    # What they share

    async def _classified(self, loaded: Loaded, given: Sent, top: int) -> dict[str, Any]:
        pixels = await self._pixels(loaded, given)
        scores, *_ = await loaded.batcher.submit((loaded.picture(pixels),))
        found = _probabilities(scores)[0]
        if np.isnan(found).any():
            raise DivergenceError(f"{loaded.name}: the model puts out NaN.")
        best = np.argsort(-found, kind="stable")[:top].tolist()
        classes = loaded.classes or []
        return {
            "image": given.name,
            "top": [{"class": classes[k], "probability": float(found[k])} for k in best],
        }

    async def _explained(self, loaded: Loaded, given: Sent, number: int | None) -> bytes:
        pixels = await self._pixels(loaded, given)
        heat = await asyncio.get_running_loop().run_in_executor(self._computing, loaded.heat, pixels, number)
        if np.isnan(heat).any():
            raise DivergenceError(f"{loaded.name}: the model puts out NaN.")
        return _grey(heat)

    async def _inferred(self, loaded: Loaded, body: bytes, headers: Mapping[str, str]) -> tuple[bytes, int | None]:
        asked, inputs = await self._read(partial(self._tensors, loaded, body, headers))
        outputs = await loaded.batcher.submit(inputs)
        named = dict(zip(loaded.model.outputs, outputs, strict=True))
        return await self._read(partial(protocol.respond, loaded.name, VERSION, asked, named, loaded.model.classes))

    def _tensors(
        self, loaded: Loaded, body: bytes, headers: Mapping[str, str]
    ) -> tuple[protocol.Request, tuple[Array, ...]]:
        length = headers.get("inference-header-content-length")
        if length is not None and not (length.isdecimal() and len(length) < 20):
            raise ArgumentError(f"Inference-Header-Content-Length: expected a whole number, got {shown(length)}.")
        body = _unpacked(body, headers.get("content-encoding", "identity"), self._settings.max_bytes)
        asked = protocol.parse(body, None if length is None else int(length))
        return asked, loaded.prepare(asked.inputs)

    async def _pictures(self, request: Request, loaded: Loaded) -> list[Sent]:
        """The pictures of a request, for a model that classifies such."""
        if loaded.image_shape is None:
            raise HTTPException(400, f"{loaded.name}: it does not classify pictures; see /v2/models/{loaded.name}.")
        return await sent(request, self._settings)

    async def _pixels(self, loaded: Loaded, given: Sent) -> Array:
        """A picture (h, w, c) of the size that a model takes."""
        shape = loaded.image_shape
        assert shape is not None
        return await self._read(partial(decoded, given, shape, self._settings))

    async def _read(self, work: Callable[[], Result]) -> Result:
        """What `work` returns, called where it keeps no other request waiting."""
        return await asyncio.get_running_loop().run_in_executor(self._reading, work)

    async def _answer(self, request: Request, computing: Awaitable[Result]) -> Result:
        """What is computed for a request, unless its client goes first, or the time is over."""
        task = asyncio.ensure_future(computing)
        going = asyncio.create_task(_gone(request))
        try:
            await asyncio.wait({task, going}, timeout=self._settings.timeout, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if going.done():
                raise HTTPException(GONE, "the client did not wait.")
            raise HTTPException(504, f"there was no answer within {self._settings.timeout:g} s.")
        finally:
            for each in (task, going):
                each.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await each

    def _asked(self, name: str | None) -> Served:
        """The model of that name, by default the first that classifies pictures."""
        if name is not None:
            return self._named(name)
        found = [each for each in self._served.values() if each.ready and each.known.classes is not None]
        if not found:
            raise HTTPException(400, "no model here classifies pictures; see /models.")
        return found[0]

    def _named(self, name: str, version: str = VERSION) -> Served:
        if name not in self._served:
            there = ", ".join(self._served)
            raise HTTPException(404, f"there is no model {shown(name)}; there are {printable(there)}.")
        if version != VERSION:
            raise HTTPException(404, f"{name}: there is no version {shown(version)}; there is {VERSION}.")
        if not self._served[name].ready:
            raise HTTPException(503, f"{name}: it is not ready yet.", {"retry-after": "1"})
        return self._served[name]

    def _readiness(self, served: Any) -> Response:
        waits = [each.name for each in served if not each.ready]
        return refused(503, f"not ready: {', '.join(waits)}.") if waits else Response(status_code=200)


async def _static(content: bytes, kind: str) -> Response:
    return Response(content, media_type=kind)


def _probabilities(scores: Array) -> Array:
    found = np.array(scores)
    softmax_forward(found, 1, out=found)
    return found


def _grey(heat: Array) -> bytes:
    """A map in [0, 1] as a grey PNG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.rint(255 * heat).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def _unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """A body that may be compressed; what it would become is checked as it grows."""
    if encoding == "identity":
        return body
    if encoding not in ("gzip", "deflate"):
        raise ArgumentError(f"Content-Encoding: expected identity, gzip or deflate, got {shown(encoding)}.")
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | (16 if encoding == "gzip" else 0))
    try:
        unpacked = unpacking.decompress(body, most + 1)
    except zlib.error as error:
        raise ArgumentError(f"the body is no {encoding} ({error}).") from None
    if len(unpacked) > most:
        raise ArgumentError(f"a request may have {most:,} bytes, also once it is unpacked.")
    if not unpacking.eof:
        raise ArgumentError(f"the body is cut off: its {encoding} has no end.")
    return unpacked


async def _all(works: Iterable[Awaitable[Result]]) -> list[Result]:
    """What all return, at once; where one fails, the others are given up."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _gone(request: Request) -> None:
    """Return when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _said(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refused(error.status_code, printable(str(error.detail), 2_000), dict(error.headers or {}))


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return refused(400, f"{first['loc'][-1]}: {first['msg']}, got {shown(first.get('input'))}.")


async def _ours(_: Request, error: Exception) -> Response:
    if isinstance(error, BusyError):
        return refused(503, str(error), {"retry-after": str(error.retry_after)})
    return refused(400, str(error))


async def _left(_: Request, error: Exception) -> Response:
    return Response(status_code=GONE)  # nobody reads it


async def _unforeseen(_: Request, error: Exception) -> Response:
    """A mistake of ours: the log has its traceback, the client a line."""
    LOG.error("a request failed", exc_info=error)
    return refused(500, FAILED)
