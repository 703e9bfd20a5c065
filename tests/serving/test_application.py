"""What is answered at each address, and what is refused."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import shutil
import socket
import threading
import time

import numpy as np
import pytest

import colonnade as cn
from colonnade import serving
from colonnade.errors import ArgumentError

from .servers import classifier, httpx, listening, png

MOST = 2**20


def asked(x, **more):
    array = np.asarray(x)
    return {
        "inputs": [{"name": "input", "shape": list(array.shape), "datatype": "FP32", "data": array.tolist()}],
        **more,
    }


# Pictures


@pytest.mark.parametrize("name", ["pets", "colours"])
def test_a_picture_is_classified_as_by_the_model(client, models, name):
    content = png(20, 31)
    answer = client.post(f"/classify?top=2&model={name}", content=content).json()
    expected = cn.load(models[name]).classify(content, top=2)
    assert answer["model"] == name
    (prediction,) = answer["predictions"]
    assert [each["class"] for each in prediction["top"]] == [each.name for each in expected]
    np.testing.assert_allclose(
        [each["probability"] for each in prediction["top"]], [each.probability for each in expected], rtol=1e-5
    )


def test_the_files_of_a_form_are_answered_by_their_names(client, models):
    pictures = [("file", (f"{seed}.png", png(seed=seed), "image/png")) for seed in range(3)]
    answer = client.post("/classify?top=1", files=pictures).json()
    assert [each["image"] for each in answer["predictions"]] == ["0.png", "1.png", "2.png"]
    model = cn.load(models["pets"])
    found = [each["top"][0]["class"] for each in answer["predictions"]]
    assert found == [model.classify(png(seed=seed)).name for seed in range(3)]


def test_a_map_is_that_of_grad_cam(client, models):
    from PIL import Image

    response = client.post("/explain?class=owl", content=png())
    assert response.headers["content-type"] == "image/png"
    heat = np.asarray(Image.open(io.BytesIO(response.content))) / 255
    model = cn.load(models["pets"])
    image = cn.data.read_image(png(), 8, 1)
    expected = cn.explain.grad_cam(model, image, 2)
    np.testing.assert_allclose(heat, expected, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize(
    ("path", "content", "status", "said"),
    [
        ("/classify", b"", 400, "expected a picture"),
        ("/classify", b"\x89PNG\r\n\x1a\n", 400, "the picture: expected an image, got 8 bytes of something else"),
        ("/classify", png()[:60], 400, "the picture"),
        ("/classify", png(101, 100), 400, "expected at most 10,000 pixels, got 10,100"),
        ("/classify", bytes(MOST + 1), 413, "a request may have 1,048,576 bytes"),
        ("/classify?top=0", png(), 400, "top: Input should be greater than or equal to 1, got '0'"),
        ("/classify?model=cats", png(), 404, "there is no model 'cats'; there are pets, colours, images"),
        ("/classify?model=images", png(), 400, "images: it does not classify pictures"),
        ("/explain?class=cow", png(), 400, "class: there is no 'cow'"),
    ],
)
def test_what_can_not_be_classified_is_refused(client, path, content, status, said):
    response = client.post(path, content=content)
    assert response.status_code == status
    assert said in response.json()["error"]


def test_a_broken_picture_among_others_is_named(client):
    files = [("file", ("good.png", png())), ("file", ("bad.png", b"GIF89a"))]
    response = client.post("/classify", files=files)
    assert response.status_code == 400
    assert response.json()["error"].startswith("bad.png: ")


def test_hostile_names_are_shown_escaped(client):
    response = client.post("/classify", files=[("file", ("\u202egpj.exe", b"GIF89a"))])
    assert "\u202e" not in response.json()["error"]


# The Open Inference Protocol


def test_the_server_and_its_models_describe_themselves(client):
    assert client.get("/v2").json()["name"] == "colonnade"
    assert client.get("/v2/health/live").status_code == client.get("/v2/health/ready").status_code == 200
    assert client.get("/v2/models/images/ready").status_code == 200
    described = client.get("/v2/models/images/versions/1").json()
    assert described["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 2, 5, 6]}]
    assert described["outputs"] == [{"name": "output", "datatype": "FP32", "shape": [-1, 3, 5, 6]}]


def test_tensors_are_answered_as_by_the_model(client, models):
    x = np.random.default_rng(0).normal(size=(3, 2, 5, 6)).astype(np.float32)
    answer = client.post("/v2/models/images/infer", json=asked(x, id="seven")).json()
    assert answer["id"] == "seven"
    (output,) = answer["outputs"]
    found = np.array(output["data"], np.float32).reshape(output["shape"])
    np.testing.assert_allclose(found, cn.load(models["images"])(x), rtol=1e-5, atol=1e-6)


def test_a_body_may_be_compressed(client):
    body = gzip.compress(json.dumps(asked(np.zeros((1, 2, 5, 6)))).encode())
    response = client.post("/v2/models/images/infer", content=body, headers={"content-encoding": "gzip"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("body", "headers", "said"),
    [
        (b"{", {}, "not JSON"),
        (b"[]", {}, "expected a JSON object"),
        (json.dumps(asked(np.zeros((1, 2, 5, 7)))).encode(), {}, r"is of shape [-1, 2, 5, 6], got [1, 2, 5, 7]"),
        (json.dumps(asked(np.full((1, 2, 5, 6), np.nan))).encode(), {}, "NaN"),
        (gzip.compress(bytes(100 * MOST), mtime=0), {"content-encoding": "gzip"}, "also once it is unpacked"),
        (gzip.compress(b"{}", mtime=0)[:-9], {"content-encoding": "gzip"}, "cut off"),
        (b"{}", {"content-encoding": "br"}, "expected identity, gzip or deflate"),
        (b"{}", {"inference-header-content-length": "-1"}, "expected a whole number"),
        (b"{}", {"inference-header-content-length": "3"}, "expected 0 to the body's 2 bytes"),
    ],
)
def test_what_is_no_request_of_the_protocol_is_refused(client, body, headers, said):
    response = client.post("/v2/models/images/infer", content=body, headers=headers)
    assert response.status_code == 400
    assert said in response.json()["error"]


@pytest.mark.parametrize("path", ["/v2/models/none", "/v2/models/pets/versions/2", "/nothing", "/v2/models/..%2fpets"])
def test_there_is_nothing_at_other_addresses(client, path):
    response = client.get(path)
    assert response.status_code == 404
    assert response.json()["error"]


# Who may ask


def test_every_answer_says_what_browsers_may_do(client):
    for path in ("/", "/page.js", "/models", "/nothing"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "server" not in headers


def test_pages_of_other_sites_may_not_ask(client, address):
    assert client.post("/classify", content=png(), headers={"origin": "https://example.org"}).status_code == 403
    assert client.post("/classify", content=png(), headers={"origin": address}).status_code == 200


def test_a_key_is_asked_for_everywhere_but_at_the_page_and_the_probes(models):
    app = serving.app(models["pets"], serving.Settings(api_key="secret", hosts=("127.0.0.1",)))
    with listening(app) as address, httpx.Client(base_url=address) as client:
        for path in ("/", "/page.js", "/page.css", "/v2/health/ready", "/v2/models/pets/ready"):
            assert client.get(path).status_code == 200
        for path in ("/models", "/metrics", "/v2/models/pets", "/openapi.json", "/nothing/ready"):
            assert client.get(path).status_code == 401
        assert client.get("/models", headers={"authorization": "Bearer secret"}).status_code == 200
        assert client.get("/models", headers={"x-api-key": "secret"}).status_code == 200
        assert client.get("/models", headers={"x-api-key": "secrets"}).status_code == 401
        assert client.get("/models", headers={"x-api-key": "secret", "host": "example.org"}).status_code == 421


# Reloading


def _waited(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_file_that_changes_is_read_anew_without_a_lost_request(tmp_path):
    file = tmp_path / "m.safetensors"
    classifier(0).save(file)
    statuses, ending = [], threading.Event()
    with listening(serving.app(file, serving.Settings(reload=0.05))) as address:

        def ask():
            with httpx.Client(base_url=address) as client:
                while not ending.is_set():
                    statuses.append(client.post("/classify", content=png()).status_code)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        with httpx.Client(base_url=address) as client:
            for seed in range(1, 4):
                classifier(seed, classes=("a", "b", f"c{seed}")).save(file)
                _waited(lambda seed=seed: client.get("/models").json()[0]["classes"][2] == f"c{seed}")
            named = [each["class"] for each in client.post("/classify", content=png()).json()["predictions"][0]["top"]]
            file.write_bytes(b"no model")
            _waited(lambda: 'colonnade_stale{model="m"} 1.0' in client.get("/metrics").text)
            again = [each["class"] for each in client.post("/classify", content=png()).json()["predictions"][0]["top"]]
            assert again == named
        ending.set()
        for thread in threads:
            thread.join()
    assert len(statuses) > 10
    assert {*statuses} == {200}


# Limits


def test_a_client_that_is_slow_is_not_waited_for(models):
    with listening(serving.app(models["pets"], serving.Settings(timeout=0.3))) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as slow:
            slow.sendall(b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
            assert slow.recv(4096).startswith(b"HTTP/1.1 408")


def test_one_that_sends_more_than_it_said_is_cut_off(address):
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(b"POST /classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        answer = b""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # what we do not stop to send
            for _ in range(40):
                client.sendall(chunk)
            answer = client.recv(4096)
        assert not answer or answer.startswith(b"HTTP/1.1 413")


def test_an_application_that_is_mounted_gets_ready_by_itself(models):
    from starlette.applications import Starlette
    from starlette.routing import Mount

    outer = Starlette(routes=[Mount("/vision", serving.app({"mine": classifier()}))])
    with listening(outer) as address, httpx.Client(base_url=address) as client:
        assert client.post("/vision/classify", content=png()).json()["model"] == "mine"
        assert client.get("/vision/").text.startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"max_batch": 0}, "max_batch must be positive"),
        ({"max_wait": -1}, "max_wait must lie between 0 and 60"),
        ({"timeout": 0}, "timeout must be positive"),
        ({"api_key": ""}, "API key"),
        ({"api_key": "a\nb"}, "API key"),
    ],
)
def test_settings_out_of_range_are_refused(setting, said):
    with pytest.raises(ArgumentError, match=said):
        serving.app(classifier(), serving.Settings(**setting))


def test_two_models_of_one_name_are_refused(models, tmp_path):
    again = tmp_path / "pets.safetensors"
    shutil.copy(models["pets"], again)
    with pytest.raises(ArgumentError, match="would both be called 'pets'"):
        serving.app([models["pets"], again])
    with pytest.raises(ArgumentError, match="at least one model"):
        serving.app([])
