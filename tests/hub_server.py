"""A server with as much of the Hugging Face Hub as a download asks for: one repository, of one commit or several."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Revisions = Mapping[str, Mapping[str, bytes]]  # the files of each, by a branch's or tag's name


def commit(revision: str) -> str:
    return hashlib.sha1(revision.encode(), usedforsecurity=False).hexdigest()


@contextmanager
def serving(repository: str, revisions: Revisions, breaks_after: int | None = None) -> Iterator[tuple[str, list[str]]]:
    """The address, and what was asked for; the first answer longer than `breaks_after` ends there."""
    asked: list[str] = []
    to_break = [breaks_after] if breaks_after is not None else []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: Any) -> None:
            pass

        def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "HEAD":
                return
            if to_break and len(content) > to_break[0]:
                self.wfile.write(content[: to_break.pop()])
                self.close_connection = True
            else:
                self.wfile.write(content)

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path} {self.headers.get('Range', '')}".strip())
            path = self.path.partition("?")[0]
            known = {**revisions, **{commit(name): files for name, files in revisions.items()}}
            commits = {name: name if name not in revisions else commit(name) for name in known}
            if path.startswith(f"/{repository}/resolve/"):
                revision, _, file = path.removeprefix(f"/{repository}/resolve/").partition("/")
                if revision not in known:
                    return self.answer(404, X_Error_Code="RevisionNotFound")
                if file not in known[revision]:
                    return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=commits[revision])
                content = known[revision][file]
                headers = {"X_Repo_Commit": commits[revision], "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
                if wanted := self.headers.get("Range"):
                    first, _, last = wanted.removeprefix("bytes=").partition("-")
                    piece = content[int(first) : int(last) + 1 if last else None]
                    bounds = f"bytes {first}-{int(first) + len(piece) - 1}/{len(content)}"
                    return self.answer(206, piece, Content_Range=bounds, **headers)
                return self.answer(200, content, **headers)
            if path.startswith(f"/api/models/{repository}"):
                revision = path.removeprefix(f"/api/models/{repository}").removeprefix("/")
                kind, _, revision = revision.partition("/")
                revision = revision.partition("/")[0] or "main"
                if revision not in known:
                    return self.answer(404, X_Error_Code="RevisionNotFound")
                files = known[revision]
                if kind == "tree":
                    found: Any = [
                        {"type": "file", "path": file, "size": len(content), "oid": commit(file)}
                        for file, content in files.items()
                    ]
                else:
                    siblings = [{"rfilename": file} for file in files]
                    found = {"id": repository, "modelId": repository, "sha": commits[revision], "siblings": siblings}
                return self.answer(200, json.dumps(found).encode(), Content_Type="application/json")
            return self.answer(404, X_Error_Code="RepoNotFound")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
