"""Downloads, from a server on this machine."""

import builtins
import hashlib
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

import colonnade as cn
from colonnade.data import official
from colonnade.data.download import Source, fetch
from colonnade.errors import DataError, MissingExtraError

from .official_files import cifar_archive, write_mnist

pytest.importorskip("pooch", reason="Pooch is not installed")


class Server(ThreadingHTTPServer):
    """Hands out `files`, by their paths, and notes what it was asked for.

    Attributes:
        break_after: Send so many bytes of an answer, and hang up.
        ranges: Whether it answers to a request for a part with that part.
        status: What it answers in place of a file.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.break_after: int | None = None
        self.ranges = True
        self.status = 200
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.asked.append((self.path.lstrip("/"), asked))
        content = self.server.files.get(self.path.lstrip("/"))
        if content is None or self.server.status != 200:
            self.send_error(404 if content is None else self.server.status)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        if start >= len(content) > 0:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content) if self.server.break_after is None else start + self.server.break_after
        self.wfile.write(content[start:end])
        self.close_connection = True

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _environment(tmp_path, monkeypatch):
    monkeypatch.setenv("COLONNADE_CACHE", str(tmp_path / "cache"))
    for name in ("COLONNADE_DATA", "COLONNADE_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def sums(contents, algorithm="sha256"):
    return {name: f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}" for name, content in contents.items()}


@pytest.fixture
def mnist(server, tmp_path, monkeypatch):
    """The server has files like MNIST's, and their checksums are the official ones; the arrays they hold."""
    parts = write_mnist(tmp_path / "origin")
    contents = {path.name: path.read_bytes() for path in (tmp_path / "origin").iterdir()}
    server.files = {f"mnist/{name}": content for name, content in contents.items()}
    order = official.IDX_FILES
    monkeypatch.setattr(
        official, "MNIST", Source(f"{server.url}/mnist/", sums({name: contents[name] for name in order}))
    )
    return parts


@pytest.fixture
def content(server):
    """One file of 300 kB."""
    content = np.random.default_rng(0).bytes(300_000)
    server.files = {"set/file": content}
    return content


def get(server, folder, content, **options):
    fetch("set", Source(f"{server.url}/set/", sums({"file": content})), folder, **options)
    return (folder / "file").read_bytes()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# Where files come from, and where they go


def test_files_are_downloaded_once_into_the_users_cache_folder(server, mnist, tmp_path):
    for _ in range(2):
        loaded = cn.data.mnist()
        np.testing.assert_array_equal(loaded.train.x[:, 0], mnist["train"][0])
        np.testing.assert_array_equal(loaded.test.y, mnist["t10k"][1])
    assert sorted(path for path, _ in server.asked) == sorted(f"mnist/{name}" for name in official.IDX_FILES)
    assert names(tmp_path / "cache" / "mnist") == sorted(official.IDX_FILES)


def test_files_are_downloaded_into_the_folder_that_is_named(mnist, tmp_path, monkeypatch):
    (tmp_path / "given").mkdir()
    cn.data.mnist(tmp_path / "given")
    assert names(tmp_path / "given" / "mnist") == sorted(official.IDX_FILES)
    (tmp_path / "named").mkdir()
    monkeypatch.setenv("COLONNADE_DATA", str(tmp_path / "named"))
    cn.data.load("mnist")
    assert names(tmp_path / "named" / "mnist") == sorted(official.IDX_FILES)
    assert not (tmp_path / "cache").exists()


def test_folder_that_can_not_be_written_to_is_only_read(mnist, tmp_path, monkeypatch):
    (tmp_path / "named").mkdir()
    monkeypatch.setenv("COLONNADE_DATA", str(tmp_path / "named"))
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path / "named") and access(path, mode))
    cn.data.mnist()
    assert names(tmp_path / "named") == []
    assert names(tmp_path / "cache" / "mnist") == sorted(official.IDX_FILES)


def test_only_what_is_missing_is_downloaded(server, mnist, tmp_path):
    folder = tmp_path / "given" / "mnist"
    folder.mkdir(parents=True)
    for name in official.IDX_FILES[1:]:
        (folder / name).write_bytes(server.files[f"mnist/{name}"])
    cn.data.mnist(tmp_path / "given")
    assert [path for path, _ in server.asked] == [f"mnist/{official.IDX_FILES[0]}"]


def test_download_that_is_not_wanted_is_not_made(server, mnist):
    with pytest.raises(DataError, match="put the official"):
        cn.data.mnist(download=False)
    assert server.asked == []


@pytest.mark.parametrize("named", ["argument", "environment"])
def test_mirror_is_asked_in_the_place_of_the_source(server, mnist, monkeypatch, named):
    checksums = official.MNIST.files
    monkeypatch.setattr(official, "MNIST", Source("http://127.0.0.1:9/", checksums))
    if named == "argument":
        cn.data.mnist(mirror=f"{server.url}/")
    else:
        monkeypatch.setenv("COLONNADE_MIRROR", server.url)
        cn.data.mnist()
    assert len(server.asked) == 4


def test_archive_is_downloaded_and_unpacked(server, tmp_path, monkeypatch):
    content = cifar_archive("cifar10")
    server.files = {"cifar-10-binary.tar.gz": content}
    monkeypatch.setattr(official, "CIFAR10", Source(f"{server.url}/", sums({"cifar-10-binary.tar.gz": content}, "md5")))
    for _ in range(2):
        assert len(cn.data.cifar10().train) == 20
    assert len(server.asked) == 1
    assert names(tmp_path / "cache" / "cifar10") == ["cifar-10-batches-bin", "cifar-10-binary.tar.gz"]


def test_official_sources_have_a_checksum_for_each_file():
    for source in (official.MNIST, official.FASHION_MNIST, official.KMNIST, official.CIFAR10, official.CIFAR100):
        for checksum in source.files.values():
            algorithm, digits = checksum.split(":")
            assert len(bytes.fromhex(digits)) == hashlib.new(algorithm).digest_size


# What can go wrong on the way


def test_file_of_another_checksum_is_refused_and_not_kept(server, content, tmp_path):
    server.files["set/file"] = content[:-1] + b"x"
    for _ in range(2):
        with pytest.raises(
            DataError, match=r"set/file is not the official file: its checksum .* put the official file into"
        ):
            get(server, tmp_path, content)
        assert names(tmp_path) == []
    server.files["set/file"] = content
    assert get(server, tmp_path, content) == content


@pytest.mark.parametrize("ranges", [True, False])
def test_download_that_broke_off_goes_on_from_there(server, content, tmp_path, ranges):
    server.break_after = 100_000
    with pytest.raises(
        DataError, match=r"can't be downloaded \(it broke off; the next attempt goes on from there\); put"
    ):
        get(server, tmp_path, content)
    assert names(tmp_path) == [".file.part"]
    kept = (tmp_path / ".file.part").stat().st_size
    assert 0 < kept <= 100_000
    server.break_after, server.ranges = None, ranges
    assert get(server, tmp_path, content) == content
    assert server.asked == [("set/file", None), ("set/file", f"bytes={kept}-")]
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("kept", [300_000, 400_000])
def test_download_that_was_whole_but_not_in_its_place_is_made_again(server, content, tmp_path, kept):
    (tmp_path / ".file.part").write_bytes((content + content)[:kept])
    assert get(server, tmp_path, content) == content
    assert names(tmp_path) == ["file"]


def test_rest_of_another_file_is_noticed_by_the_checksum(server, content, tmp_path):
    (tmp_path / ".file.part").write_bytes(bytes(1000))
    with pytest.raises(DataError, match="its checksum is another"):
        get(server, tmp_path, content)
    assert get(server, tmp_path, content) == content


@pytest.mark.parametrize(("status", "reason"), [(404, "status 404 Not Found"), (503, "status 503 Service Unavailable")])
def test_server_that_has_no_such_file_is_one_line(server, content, tmp_path, status, reason):
    if status == 404:
        server.files = {}
    server.status = status
    with pytest.raises(DataError, match=rf"{server.url}/set/file can't be downloaded \({reason}\); put") as caught:
        get(server, tmp_path, content)
    assert "\n" not in str(caught.value)


def test_offline_one_is_told_where_to_put_the_files(tmp_path):
    with pytest.raises(DataError) as caught:
        cn.data.fashion_mnist(mirror="http://127.0.0.1:9")
    message = str(caught.value)
    assert "\n" not in message
    assert "http://127.0.0.1:9/fashion-mnist/train-images-idx3-ubyte.gz can't be downloaded (no connection)" in message
    assert f"put the official {', '.join(official.IDX_FILES)} into {tmp_path / 'cache' / 'fashion-mnist'}" in message
    assert "or name the folder that holds them by data_dir (--data-dir) or in COLONNADE_DATA" in message


def test_mirror_that_is_no_address_is_one_line():
    with pytest.raises(DataError, match="can't be downloaded") as caught:
        cn.data.mnist(mirror="nowhere")
    assert "\n" not in str(caught.value)


def test_without_pooch_one_is_told_how_to_install_it(tmp_path, monkeypatch):
    imported = builtins.__import__

    def without_pooch(name, *arguments, **options):
        if name == "pooch":
            raise ImportError(name)
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_pooch)
    with pytest.raises(MissingExtraError, match=r'kmnist: put .* to download: pip install "colonnade\[download\]"'):
        cn.data.kmnist()


def test_folder_that_can_not_be_made_is_one_line(server, content, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"inside can't be written to \(Not a directory\)"):
        get(server, tmp_path / "file" / "inside", content)


def test_download_says_nothing_where_there_is_no_terminal(server, content, tmp_path, capfd):
    get(server, tmp_path, content)
    assert capfd.readouterr() == ("", "")
