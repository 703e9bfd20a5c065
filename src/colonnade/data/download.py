"""Official files, fetched from where they are published: checked, and taken up again where they broke off."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import DataError, MissingExtraError
from .places import DATA

MIRROR = "COLONNADE_MIRROR"
SECONDS = 30  # without a word from the server
READ_AT_ONCE = 1 << 16


class Source(NamedTuple):
    """Where the files of a data set are published.

    Attributes:
        url: The folder they lie in.
        files: The checksum of each, `algorithm:hexadecimal`.
    """

    url: str
    files: Mapping[str, str]


def fetch(name: str, source: Source, folder: Path, mirror: str | None = None) -> None:
    """Have the files of a data set in a folder; those that are there already are not asked for.

    A file takes its place when it is whole and its checksum right. What was fetched of one that broke off stays
    beside it, and the next attempt asks for the rest alone.

    Args:
        name: Of the data set.
        source: Where it is published.
        folder: Is made if it is not there.
        mirror: An address to ask instead of the source's: the files lie in its sub-folder `name`. By default what the
            environment variable COLONNADE_MIRROR says.

    Raises:
        MissingExtraError: Pooch is not installed.
        DataError: No connection, a server that has no such file, a wrong checksum, or a folder that can't be written
            to; the message says where to put the files by hand.
    """
    wanted = [file for file in source.files if not (folder / file).is_file()]
    by_hand = (
        f"put the official {', '.join(wanted)} into {folder}, or name the folder that holds "
        f"{'it' if len(wanted) == 1 else 'them'} by data_dir (--data-dir) or in {DATA}"
    )
    try:
        import pooch
        from requests import RequestException
    except ImportError:
        raise MissingExtraError(f'{name}: {by_hand}; to download: pip install "colonnade[download]".') from None

    mirror = mirror or os.environ.get(MIRROR)
    url = f"{mirror.rstrip('/')}/{name}/" if mirror else source.url
    store = pooch.create(path=folder, base_url=url, registry=dict(source.files))
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # progress is shown below
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in wanted:
            try:
                store.fetch(file, downloader=_download)
            except RequestException as error:
                raise DataError(f"{name}: {url}{file} can't be downloaded ({_reason(error)}); {by_hand}.") from error
            except ValueError as error:  # so Pooch says that a checksum is wrong
                raise DataError(
                    f"{name}: {url}{file} is not the official file: its checksum is another; {by_hand}."
                ) from error
    except OSError as error:
        raise DataError(f"{name}: {folder} can't be written to ({error.strerror}).") from error
    finally:
        logger.setLevel(level)


def _download(url: str, output_file: str, store: Any, check_only: bool = False) -> None:
    """What Pooch calls to fetch a file: into one beside, from where that ends, and then into `output_file`.

    Raises:
        RequestException: No connection, an answer that is none, or one that broke off.
    """
    import requests

    partial = Path(store.path, f".{url.rsplit('/', 1)[1]}.part")
    while True:
        begun = partial.stat().st_size if partial.is_file() else 0
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={begun}-"} if begun else {})}
        with requests.get(url, headers=headers, stream=True, timeout=SECONDS) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable and begun:
                partial.unlink()  # nothing is left to ask for, or the file is another: from the beginning
                continue
            response.raise_for_status()
            if response.status_code != requests.codes.partial_content:
                begun = 0
            _append(response, partial, begun)
            break
    partial.replace(output_file)


def _append(response: Any, partial: Path, begun: int) -> None:
    """Write an answer to the end of what was there, showing on a terminal how far it is."""
    from requests import ConnectionError
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    length = response.headers.get("Content-Length", "")
    total = begun + int(length) if length.isdecimal() else None
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with (
        partial.open("ab" if begun else "wb") as file,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task(partial.name.strip(".").removesuffix(".part"), total=total, completed=begun)
        for chunk in response.iter_content(READ_AT_ONCE):
            file.write(chunk)
            progress.update(task, advance=len(chunk))
        if total is not None and file.tell() != total:
            raise ConnectionError(f"broke off after {file.tell():,} of {total:,} bytes")


def _reason(error: Exception) -> str:
    """What went wrong, in a few words: the library tells the whole way of an error."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"status {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"no answer for {SECONDS} seconds"
    if isinstance(error, requests.exceptions.ChunkedEncodingError) or "broke off" in str(error):
        return "it broke off; the next attempt goes on from there"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return " ".join(str(error).split())
