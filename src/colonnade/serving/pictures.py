"""Pictures in requests: out of forms or bodies, and decoded within limits."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import aclosing
from typing import NamedTuple

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from ..data.images import decode, known_formats
from ..errors import DataError
from ..ops.layout import Array
from ..printable import printable
from .settings import Settings

# Between the parts of a form (RFC 2046).
BOUNDARY = re.compile(rb"[A-Za-z0-9'()+_,./:=? -]{1,70}")


class Sent(NamedTuple):
    """A file that a client sent.

    Attributes:
        name: As the client calls it; None where it says none.
        content: Its bytes.
    """

    name: str | None
    content: bytes


async def sent(request: Request, settings: Settings) -> list[Sent]:
    """The files of a form, or the body as one.

    Raises:
        HTTPException: A form that can't be read, or nothing in it.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        files = [Sent(None, await request.body())]
    else:
        boundary = options.get(b"boundary", b"")
        if not BOUNDARY.fullmatch(boundary):
            raise HTTPException(400, "the form can't be read: its Content-Type has no boundary.")
        # Names are UTF-8 (RFC 7578): some encodings that a client may name take for ever, or make no text.
        headers = Headers({"content-type": f'multipart/form-data; boundary="{boundary.decode()}"'})
        most = settings.max_pictures
        try:
            async with aclosing(request.stream()) as stream:
                form = await MultiPartParser(headers, stream, max_files=most, max_fields=most).parse()
        except MultiPartException as error:
            raise HTTPException(400, f"the form can't be read: {printable(error.message)}") from None
        uploads = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        files = [Sent(upload.filename or None, await upload.read()) for upload in uploads]
        await form.close()
    if not any(file.content for file in files):
        raise HTTPException(400, "expected a picture, as the body or as the files of a form; got nothing.")
    return files


def decoded(file: Sent, shape: Sequence[int | None], settings: Settings) -> Array:
    """A picture as bytes (h, w, c), of the size that a model takes.

    Raises:
        DataError: No picture, a broken one, or one of too many pixels.
    """
    from PIL import Image

    channels, height, width = shape
    name = "the picture" if file.name is None else printable(file.name)
    try:
        with Image.open(io.BytesIO(file.content), formats=known_formats()) as opened:
            pixels = opened.width * opened.height
    except Exception:  # decode says what is the matter
        pixels = 0
    if pixels > settings.max_pixels:
        raise DataError(f"{name}: expected at most {settings.max_pixels:,} pixels, got {pixels:,}.")
    try:
        return decode(file.content, height, width, channels or 3)
    except DataError as error:
        raise DataError(str(error).replace("the image", name, 1)) from None
