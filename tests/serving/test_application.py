"""What is answered at each address, and what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
import shutil
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

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


def test_a_model_that_is_mirrored_answers_as_it_classifies():
    model = classifier(3, 3)
    model.mirrored = True
    with listening(serving.app(model)) as address, httpx.Client(base_url=address) as client:
        (prediction,) = client.post("/classify", content=png()).json()["predictions"]
        expected = model.classify(png())
        assert [each["class"] for each in prediction["top"]] == [each.name for each in expected]
        assert prediction["top"][0]["probability"] == pytest.approx(expected.probability)
        x = np.random.default_rng(0).random((2, 3, 8, 8), np.float32)
        (output,) = client.post("/v2/models/model/infer", json=asked(x)).json()["outputs"]
        np.testing.assert_allclose(output["data"], model.predict_outputs(x).ravel(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("path", ["/classify", "/explain"])
def test_an_answer_of_nan_is_an_error(path):
    model = classifier()
    for parameter in model.parameters():
        parameter.value[...] = np.nan
    with listening(serving.app(model)) as address:
        response = httpx.post(address + path, content=png())
    assert response.status_code == 400
    assert response.json()["error"] == "model: the model puts out NaN."


@pytest.mark.parametrize("charset", ["undefined", "idna", "unicode_escape", "utf-16"])
def test_names_in_forms_are_utf_8_whatever_the_client_says(client, charset):
    head = 'Content-Disposition: form-data; name="f"; filename="ü\\ud800.png"'.encode()
    form = b"--b\r\n" + head + b"\r\n\r\n" + png() + b"\r\n--b--\r\n"
    kind = f"multipart/form-data; boundary=b; charset={charset}"
    response = client.post("/classify", content=form, headers={"content-type": kind})
    assert response.json()["predictions"][0]["image"] == "ü\\ud800.png"


@pytest.mark.parametrize("kind", ["multipart/form-data", 'multipart/form-data; boundary="\\""'])
def test_a_form_without_a_boundary_is_refused(client, kind):
    response = client.post("/classify", content=b"x", headers={"content-type": kind})
    assert response.status_code == 400
    assert "no boundary" in response.json()["error"]


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
        (b"{}", {"inference-header-content-length": "9" * 5_000}, "expected a whole number"),
        (b"{}", {"inference-header-content-length": "3"}, "expected 0 to the body's 2 bytes"),
    ],
)
def test_what_is_no_request_of_the_protocol_is_refused(client, body, headers, said):
    response = client.post("/v2/models/images/infer", content=body, headers=headers)
    assert response.status_code == 400
    assert said in response.json()["error"]


def test_inputs_of_several_numbers_of_images_are_refused_and_harm_nobody():
    nodes = {"a": (cn.ReLU(), "left"), "b": (cn.ReLU(), "right"), "sum": (cn.Add(), "a", "b")}
    model = cn.Model(cn.Graph(nodes, inputs=["left", "right"], outputs=["sum"]))
    model.build(((3,), (3,)))
    with listening(serving.app(model)) as address, httpx.Client(base_url=address) as client:

        def ask(left, right):
            sent = [asked(np.ones((count, 3)))["inputs"][0] for count in (left, right)]
            sent[0]["name"], sent[1]["name"] = "left", "right"
            return client.post("/v2/models/model/infer", json={"inputs": sent})

        assert ask(2, 2).json()["outputs"][0]["data"] == [2.0] * 6
        refused = ask(3, 2)
        assert refused.status_code == 400
        assert "expected as many images of each input, got [2, 3]" in refused.json()["error"]


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
    for origin in ("https://example.org", "null", "http://[::1", ""):
        assert client.post("/classify", content=png(), headers={"origin": origin}).status_code == 403
    assert client.post("/classify", content=png(), headers={"origin": address}).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST:8000", 200), ("[::1]:8000", 200), ("[FE80::1]", 200), ("", 421), ("[", 421),
        ("::1", 421), ("localhost.example.org", 421), ("local", 421),
    ],
)  # fmt: skip
def test_a_server_answers_to_its_own_names(known, host, status):
    assert known.get("/models", headers={"host": host}).status_code == status


@pytest.fixture(scope="module")
def known():
    """Asks a server that has names."""
    app = serving.app(classifier(), serving.Settings(hosts=("localhost", "::1", "fe80::1")))
    with listening(app) as address, httpx.Client(base_url=address) as client:
        yield client


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


@pytest.mark.parametrize(
    "endless",
    [
        b"GET / HTTP/1.1\r\nX: " + bytes(b"x" * MOST),
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * (MOST // 6),
        b"GET /" + bytes(b"x" * MOST),
        b"POST /classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + bytes(b"x" * MOST),
    ],
    ids=["a header", "many headers", "an address", "a trailer"],
)
def test_a_head_without_end_is_not_read_on(address, endless):
    host, port = address.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)), timeout=20)
    with client, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        client.sendall(endless)
        while client.recv(4096):
            pass


def test_a_refusal_arrives_though_the_body_was_not_read(client):
    for _ in range(20):
        assert client.post("/classify?top=0", content=bytes(MOST // 2)).status_code == 400
        assert client.put("/classify", content=png()).status_code == 405


def test_a_client_that_goes_leaves_no_traceback(client, address, caplog):
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as gone:
        gone.sendall(b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        time.sleep(0.1)
    _waited(lambda: 'status="499"' in client.get("/metrics").text)
    assert not [record for record in caplog.records if record.exc_info]


def test_an_application_serves_in_one_event_loop_after_another():
    async def ask(app):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return (await client.post("/classify", content=png())).status_code

    app = serving.app(classifier(), serving.Settings(reload=0))

    def asked_once() -> int:
        return asyncio.run(asyncio.wait_for(ask(app), 30))

    with ThreadPoolExecutor(1) as own:  # a browser that is driven in this thread has a loop in it
        assert [own.submit(asked_once).result() for _ in range(2)] == [200, 200]


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
        ({"hosts": "localhost"}, "hosts is a list of names"),
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
