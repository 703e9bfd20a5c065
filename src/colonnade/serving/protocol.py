"""The Open Inference Protocol, version 2: tensors in JSON, and behind it as bytes (the binary extension).

https://github.com/kserve/open-inference-protocol, and of Triton's extensions those of binary data and classification.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..documents import refusing
from ..errors import ArgumentError, FileFormatError
from ..ops.layout import Array
from ..printable import shown

# Of numbers that lie one after the other, the lower byte first. BF16 is no type of NumPy's.
TYPES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
NAMES = {np.dtype(code): name for name, code in TYPES.items()}
BFLOAT16 = "BF16"
LARGEST = 2**40  # numbers of a tensor; what a request says is checked against its bytes before anything is made
MOST_AXES = 16
# Bytes of JSON: nothing else runs while they are read, and numbers in bulk are sent as bytes.
MOST_JSON = 8 * 2**20


class Asked(NamedTuple):
    """An output that a client asks for.

    Attributes:
        name: Of the output.
        binary: Whether it is to come as bytes.
        classes: How many of the likeliest classes are wanted in place of the numbers; 0 for the numbers.
    """

    name: str
    binary: bool
    classes: int


class Request(NamedTuple):
    """What a client sends.

    Attributes:
        id: Its own name for the request, sent back; None where it has none.
        inputs: By name.
        outputs: Those that it asks for; empty for all.
        binary: Whether outputs that are not named come as bytes.
    """

    id: str | None
    inputs: dict[str, Array]
    outputs: tuple[Asked, ...]
    binary: bool


def parse(body: bytes, header_length: int | None = None) -> Request:
    """A request.

    Args:
        body: JSON, and behind it the bytes of tensors.
        header_length: Bytes of JSON, from the header `Inference-Header-Content-Length`; by default all.

    Raises:
        ArgumentError: Anything that is not as the protocol says.
    """
    if header_length is not None and not 0 <= header_length <= len(body):
        raise ArgumentError(
            f"Inference-Header-Content-Length: expected 0 to the body's {len(body):,} bytes, got {header_length}."
        )
    said = _parsed(body if header_length is None else body[:header_length])
    rest = memoryview(b"" if header_length is None else body)[header_length or 0 :]
    if not isinstance(said, dict):
        raise ArgumentError(f"expected a JSON object, got {shown(said)}.")
    identity = said.get("id")
    if identity is not None and not isinstance(identity, str):
        raise ArgumentError(f"id: expected a text, got {shown(identity)}.")
    inputs: dict[str, Array] = {}
    for given in _objects(said, "inputs", required=True):
        name = _text(given, "name", "an input")
        if name in inputs:
            raise ArgumentError(f"inputs: {shown(name)} is there twice.")
        inputs[name], used = _tensor(name, given, rest)
        rest = rest[used:]
    if len(rest):
        raise ArgumentError(f"{len(rest):,} bytes are left behind the inputs' binary data.")
    parameters = _parameters(said, "the request")
    asked = tuple(_asked(given) for given in _objects(said, "outputs", required=False))
    return Request(identity, inputs, asked, _flag(parameters, "binary_data_output"))


def respond(
    model: str, version: str, request: Request, outputs: Mapping[str, Array], classes: Sequence[str] | None = None
) -> tuple[bytes, int | None]:
    """The body of an answer, and how many bytes of it are JSON where others follow.

    Args:
        model: Its name.
        version: Of the model.
        request: What is answered.
        outputs: All that the model puts out, (n, ...) each.
        classes: Their names, for outputs that are asked for as classes.

    Raises:
        ArgumentError: An output that there is not, or classes of one that has none.
    """
    described: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for asked in request.outputs or tuple(Asked(name, request.binary, 0) for name in outputs):
        if asked.name not in outputs:
            raise ArgumentError(
                f"outputs: there is no {shown(asked.name)}; there are {', '.join(map(shown, outputs))}."
            )
        values = outputs[asked.name]
        said: dict[str, Any] = {"name": asked.name}
        if asked.classes:
            texts = _likeliest(asked, values, classes)
            said |= {"datatype": "BYTES", "shape": [len(values), len(texts[0]) if texts else 0]}
            encoded = b"".join(_sized(text) for row in texts for text in row)
            data: list[Any] = [text for row in texts for text in row]
        else:
            name = NAMES[values.dtype.newbyteorder("<") if values.dtype.itemsize > 1 else values.dtype]
            said |= {"datatype": name, "shape": list(values.shape)}
            encoded = np.ascontiguousarray(values, TYPES[name]).tobytes() if asked.binary else b""
            data = [] if asked.binary else _finite(asked.name, values)
        if asked.binary:
            said["parameters"] = {"binary_data_size": len(encoded)}
            parts.append(encoded)
        else:
            said["data"] = data
        described.append(said)
    answer: dict[str, Any] = {"model_name": model, "model_version": version, "outputs": described}
    if request.id is not None:
        answer["id"] = request.id
    head = json.dumps(answer).encode()
    return b"".join([head, *parts]), (len(head) if parts else None)


def _finite(name: str, values: Array) -> list[Any]:
    """The numbers of a tensor, for JSON, which has neither NaN nor infinity."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ArgumentError(
            f"outputs: {shown(name)} has numbers that are not finite, and JSON has none; ask for bytes."
        )
    return values.ravel().tolist()


def _likeliest(asked: Asked, values: Array, classes: Sequence[str] | None) -> list[list[str]]:
    """The likeliest classes of each image as Triton writes them: value, number and, where it is known, name."""
    if values.ndim != 2:
        raise ArgumentError(f"outputs: {shown(asked.name)} of shape {values.shape} holds no classes.")
    best = np.argsort(-values, axis=1, kind="stable")[:, : asked.classes]
    return [
        [f"{row[k]:f}:{k}" + (f":{classes[k]}" if classes is not None else "") for k in numbers]
        for row, numbers in zip(values.tolist(), best.tolist(), strict=True)
    ]


def _sized(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(4, "little") + encoded


def _parsed(text: bytes) -> Any:
    if len(text) > MOST_JSON:
        raise ArgumentError(f"a request may have {MOST_JSON:,} bytes of JSON; send more numbers as binary data.")
    try:
        with refusing("not JSON"):
            return json.loads(text)
    except FileFormatError as error:
        raise ArgumentError(f"the request: {error}") from None


def _tensor(name: str, given: Mapping[str, Any], rest: memoryview) -> tuple[Array, int]:
    """An input, and how many of the bytes behind the JSON it took."""
    where = f"inputs: {shown(name)}"
    shape, kind = _shape(where, given), _text(given, "datatype", where)
    count = math.prod(shape)
    if count > LARGEST:
        raise ArgumentError(f"{where}: shape {shape} is of more numbers than there can be.")
    if kind != BFLOAT16 and kind not in TYPES:
        raise ArgumentError(f"{where}: expected a datatype of {', '.join([*TYPES, BFLOAT16])}, got {shown(kind)}.")
    size = _parameters(given, where).get("binary_data_size")
    if size is None:
        return _listed(where, given, shape, kind), 0
    code = np.dtype("<u2" if kind == BFLOAT16 else TYPES[kind])
    if isinstance(size, bool) or not isinstance(size, int) or size != count * code.itemsize:
        raise ArgumentError(
            f"{where}: shape {shape} of {kind} is {count * code.itemsize:,} bytes, binary_data_size says {shown(size)}."
        )
    if "data" in given:
        raise ArgumentError(f"{where}: expected data or binary_data_size, got both.")
    if size > len(rest):
        raise ArgumentError(f"{where}: expected {size:,} bytes of binary data, got {len(rest):,}.")
    values = np.frombuffer(rest[:size], code).reshape(shape)
    if kind == BFLOAT16:  # the upper half of a float32
        values = (values.astype("<u4") << 16).view("<f4")
    if kind == "BOOL":
        values = values.view(np.uint8) != 0
    return values, size


def _listed(where: str, given: Mapping[str, Any], shape: tuple[int, ...], kind: str) -> Array:
    """The tensor of a list of numbers, nested or not."""
    if kind == BFLOAT16:
        raise ArgumentError(f"{where}: BF16 comes as binary data alone.")
    data = given.get("data")
    if not isinstance(data, list):
        raise ArgumentError(f"{where}: expected data, a list of numbers, got {shown(data)}.")
    try:
        read = np.array(data)
    except ValueError:
        raise ArgumentError(f"{where}: data is nested unevenly.") from None
    code = np.dtype(TYPES[kind])
    if read.size != math.prod(shape):
        raise ArgumentError(f"{where}: shape {shape} is of {math.prod(shape):,} numbers, data of {read.size:,}.")
    if read.size and read.dtype.kind not in {"b": "b", "u": "iu", "i": "iu", "f": "iuf"}[code.kind]:
        raise ArgumentError(f"{where}: data does not hold {kind}.")
    with np.errstate(over="ignore"):
        values = read.astype(code).reshape(shape)
    if code.kind in "iu" and read.size and (values != read.reshape(shape)).any():
        raise ArgumentError(f"{where}: data has numbers that {kind} does not hold.")
    return values


def _shape(where: str, given: Mapping[str, Any]) -> tuple[int, ...]:
    shape = given.get("shape")
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= MOST_AXES
        or not all(isinstance(size, int) and not isinstance(size, bool) and 0 < size <= LARGEST for size in shape)
    ):
        raise ArgumentError(f"{where}: expected a shape, a list of positive whole numbers, got {shown(shape)}.")
    return tuple(shape)


def _asked(given: Mapping[str, Any]) -> Asked:
    name = _text(given, "name", "an output")
    parameters = _parameters(given, f"outputs: {shown(name)}")
    classes = parameters.get("classification", 0)
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 0:
        raise ArgumentError(f"outputs: {shown(name)}: classification must be a whole number, got {shown(classes)}.")
    return Asked(name, _flag(parameters, "binary_data"), classes)


def _objects(said: Mapping[str, Any], key: str, required: bool) -> list[Mapping[str, Any]]:
    given = said.get(key, None if required else [])
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given) or (required and not given):
        raise ArgumentError(f"{key}: expected a list of JSON objects, got {shown(given)}.")
    return given


def _text(given: Mapping[str, Any], key: str, where: str) -> str:
    value = given.get(key)
    if not isinstance(value, str):
        raise ArgumentError(f"{where}: expected a {key}, a text, got {shown(value)}.")
    return value


def _parameters(given: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    parameters = given.get("parameters", {})
    if not isinstance(parameters, dict):
        raise ArgumentError(f"{where}: expected parameters, a JSON object, got {shown(parameters)}.")
    for key in parameters:
        if key.startswith("shared_memory"):
            raise ArgumentError(f"{where}: this server shares no memory with clients; send the numbers.")
    return parameters


def _flag(parameters: Mapping[str, Any], key: str) -> bool:
    value = parameters.get(key, False)
    if not isinstance(value, bool):
        raise ArgumentError(f"{key}: expected true or false, got {shown(value)}.")
    return value
