"""The Open Inference Protocol beside a client that others wrote."""

from __future__ import annotations

import json

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError
from colonnade.serving import protocol

from . import servers  # noqa: F401 - skips where serving is not installed


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("kind", "binary"),
    [(kind, binary) for kind in ("UINT8", "INT32", "FP32", "FP64") for binary in (True, False)] + [("FP16", True)],
)
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_a_client_of_triton_gets_what_the_model_says(address, models, kind, binary, compression):
    triton = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")
    client = triton.InferenceServerClient(address.removeprefix("http://"))
    try:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("images")
        x = np.random.default_rng(0).integers(0, 9, (3, 2, 5, 6)).astype(triton.triton_to_np_dtype(kind))
        given = triton.InferInput("input", list(x.shape), kind)
        given.set_data_from_numpy(x, binary_data=binary)
        wanted = triton.InferRequestedOutput("output", binary_data=binary)
        answer = client.infer(
            "images", [given], outputs=[wanted], request_id="a",
            request_compression_algorithm=compression, response_compression_algorithm=compression,
        )  # fmt: skip
        expected = cn.load(models["images"]).predict_outputs(x)
        np.testing.assert_allclose(answer.as_numpy("output"), expected, rtol=1e-5, atol=1e-5)
        assert answer.get_response()["id"] == "a"
    finally:
        client.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_it_gets_the_likeliest_classes_by_name(address, models):
    triton = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")
    client = triton.InferenceServerClient(address.removeprefix("http://"))
    try:
        x = np.random.default_rng(0).random((4, 1, 8, 8), np.float32)
        given = triton.InferInput("input", list(x.shape), "FP32")
        given.set_data_from_numpy(x)
        wanted = triton.InferRequestedOutput("output", class_count=2)
        found = client.infer("pets", [given], outputs=[wanted]).as_numpy("output")
        assert found.shape == (4, 2)
        names = [text.decode().split(":")[2] for text in found[:, 0]]
        assert names == cn.load(models["pets"]).predict(x, names=True).tolist()
    finally:
        client.close()


def request(**changes):
    given = {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]} | changes
    return json.dumps({"inputs": [{key: value for key, value in given.items() if value is not None}]}).encode()


def test_lists_may_be_nested():
    assert protocol.parse(request(data=[[1, 2], [3, 4]])).inputs["x"].tolist() == [[1, 2], [3, 4]]


def test_bfloat16_is_the_upper_half_of_a_float():
    x = np.array([[1.5, -2.0], [0.0, 3.0]], np.float32)
    head = request(datatype="BF16", data=None, parameters={"binary_data_size": 8})
    body = head + (x.view(np.uint32) >> 16).astype("<u2").tobytes()
    np.testing.assert_array_equal(protocol.parse(body, len(head)).inputs["x"], x)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shape": [2, 3]}, r"shape \(2, 3\) is of 6 numbers, data of 4"),
        ({"shape": [2**30, 2**30]}, "more numbers than there can be"),
        ({"shape": []}, "expected a shape"),
        ({"shape": [2, -2]}, "expected a shape"),
        ({"shape": [True, 4]}, "expected a shape"),
        ({"datatype": "STRING"}, "expected a datatype"),
        ({"datatype": "BYTES"}, "expected a datatype"),
        ({"datatype": "BF16"}, "binary data alone"),
        ({"data": [[1], [2, 3, 4]]}, "nested unevenly"),
        ({"data": ["a", "b", "c", "d"]}, "does not hold FP32"),
        ({"data": None}, "expected data"),
        ({"datatype": "UINT8", "data": [1, 2, 3, 256]}, "numbers that UINT8 does not hold"),
        ({"datatype": "INT32", "data": [1, 2, 3, 4.5]}, "does not hold INT32"),
        ({"data": None, "parameters": {"binary_data_size": 15}}, "is 16 bytes, binary_data_size says 15"),
        ({"data": None, "parameters": {"binary_data_size": 16}}, "expected 16 bytes of binary data, got 0"),
        ({"parameters": {"binary_data_size": 16}}, "got both"),
        ({"parameters": {"shared_memory_region": "a"}}, "shares no memory"),
        ({"name": 7}, "expected a name"),
    ],
)
def test_what_is_not_as_the_protocol_says_is_refused(change, said):
    with pytest.raises(ArgumentError, match=said):
        protocol.parse(request(**change))


def test_bytes_that_are_left_over_are_refused():
    head = request()
    with pytest.raises(ArgumentError, match="3 bytes are left"):
        protocol.parse(head + b"abc", len(head))


def test_json_is_for_few_numbers():
    with pytest.raises(ArgumentError, match="send more numbers as binary data"):
        protocol.parse(bytes(protocol.MOST_JSON + 1))
    with pytest.raises(ArgumentError, match="nested too deep"):
        protocol.parse(b"[" * 100_000)


def test_an_output_that_there_is_not_is_refused():
    asked = protocol.parse(
        b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}], "outputs": [{"name": "z"}]}'
    )
    with pytest.raises(ArgumentError, match="there is no 'z'; there are 'y'"):
        protocol.respond("m", "1", asked, {"y": np.zeros(1)})


def test_infinity_goes_as_bytes_alone():
    asked = protocol.parse(request())
    with pytest.raises(ArgumentError, match="not finite"):
        protocol.respond("m", "1", asked, {"y": np.array([np.inf])})
    assert protocol.respond("m", "1", asked._replace(binary=True), {"y": np.array([np.inf])})[1]
