"""Files that are nearly right: bytes, JSON, protobuf, PNG and TOML, each changed in a few places at random."""

from __future__ import annotations

import contextlib
import copy
import gzip
import json
import re
import struct
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

NUMBERS = [0, 1, -1, 2, 3, 7, 255, 256, 1000, 10**6, 10**7, 10**9, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63]
NUMBERS += [-(2**31), -(2**63), 10**30, 0.0, -0.0, 0.5, 1e-300, 1e300, -1e308, float("nan"), float("inf")]
TEXTS = ["", "y" * 5000, "\x1b[31mred\x1b[0m", "one\ntwo", "\u202egnp.exe", "[red]", "[/]", "\0", "\ud800", "../x", "é"]
RAW = [
    "[" * 5000 + "]" * 5000,
    "[" * 5000,
    '{"a":' * 3000 + "1" + "}" * 3000,
    "1" + "0" * 400,
    "1" + "0" * 5000,
    "1e999",
]
TYPES = ["ReLU", "Conv2d", "MaxPool2d", "Resize", "Upsample", "Flatten", "Graph", "Chain", "Residual", "Tile", "object"]
KEYS = ["lr", "out", "data", "epochs", "a.b.c", "a." * 3000 + "b", '"\\u001b"']  # of TOML
PLACEHOLDER = "raw text goes here"  # for what Python's own objects can't say

Mutate = Callable[[bytes, Random], bytes]


def in_bytes(content: bytes, random: Random) -> bytes:
    """Bytes changed, left out, put in, said twice, or cut off."""
    made = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        at = random.randrange(len(made) + 1)
        length = random.choice((1, 2, 4, 8, random.randrange(1, 200)))
        match random.randrange(7):
            case 0:
                made[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                made[at : at + 1] = bytes([made[at] ^ (1 << random.randrange(8))]) if at < len(made) else b"\0"
            case 2:
                del made[at : at + length]
            case 3:
                made[at:at] = random.randbytes(length)
            case 4:
                made[at:at] = made[at : at + length] * random.choice((1, 2, 100))
            case 5:
                number = int(random.choice([0, 1, 255, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1]))
                size = random.choice((1, 2, 4, 8))
                made[at : at + size] = (number % 256**size).to_bytes(size, random.choice(("little", "big")))
            case 6:
                del made[random.randrange(len(made) + 1) if random.random() < 0.3 else len(made) :]
    return bytes(made)


# JSON


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every list or dict with every place in it."""
    found: list[tuple[Any, Any]] = []
    open_ = [value]
    while open_:
        each = open_.pop()
        keys = list(each) if isinstance(each, dict) else range(len(each)) if isinstance(each, list) else ()
        found += [(each, key) for key in keys]
        open_ += [each[key] for key in keys]
    return found


def _value(old: Any, whole: Any, random: Random) -> Any:
    if isinstance(old, int | float) and random.random() < 0.4:
        return random.choice((old + 1, old - 1, -old, old * 2, old * 10**6, float(old), [old], [old, old]))
    if isinstance(old, str) and random.random() < 0.4:
        return random.choice([*TYPES, *TEXTS, old * 3, old[::-1], old[:-1]])
    match random.randrange(6):
        case 0 | 1:
            return random.choice(NUMBERS)
        case 2:
            return random.choice(TEXTS)
        case 3:
            return random.choice([None, True, False, [], {}, [[]], {"": 0}, [0] * 70, PLACEHOLDER])
        case 4:
            container, key = random.choice(_places(whole) or [([whole], 0)])
            return copy.deepcopy(container[key])
        case _:
            return [copy.deepcopy(old)] * random.choice((0, 2, 3, 40))


def in_json(text: str, random: Random) -> str:
    """A value or more replaced, left out, or put elsewhere."""
    whole = [json.loads(text)]
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        places = _places(whole)
        if not places:  # everything is gone
            break
        container, key = random.choice(places)
        match random.randrange(8):
            case 0:
                del container[key]
            case 1 if isinstance(container, dict):
                container[random.choice([*TEXTS, *TYPES, "type", "version"])] = container.pop(key)
            case 2 if isinstance(container, list):
                container.insert(key, copy.deepcopy(container[key]))
            case 3 if isinstance(container, list):
                random.shuffle(container)
            case _:
                container[key] = _value(container[key], whole[0], random)
    made = json.dumps(whole[0] if whole else None)
    return made.replace(json.dumps(PLACEHOLDER), random.choice(RAW), 1)


def in_safetensors(content: bytes, random: Random) -> bytes:
    """The header's length, the header, the text in its metadata, or any bytes."""
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    metadata = header.get("__metadata__", {})
    documents = [name for name, text in metadata.items() if text[:1] in "[{"]
    kind = random.random()
    if kind < 0.65 and documents:
        name = random.choice(documents)
        metadata[name] = in_json(metadata[name], random)
        said = json.dumps(header)
    elif kind < 0.85:
        said = in_json(json.dumps(header), random)
    else:
        return in_bytes(content, random)
    encoded = said.encode("utf-8", "surrogatepass")
    size = len(encoded) if random.random() < 0.97 else int(random.choice([0, 7, 2**31, 2**40, 2**63, 2**64 - 1]))
    return struct.pack("<Q", size) + encoded + data


def in_lines_of_json(content: bytes, random: Random) -> bytes:
    """One line of several, or any bytes."""
    lines = content.decode().splitlines()
    if random.random() < 0.2 or not lines:
        return in_bytes(content, random)
    at = random.randrange(len(lines))
    lines[at] = in_json(lines[at], random)
    if random.random() < 0.1:
        lines[at] = random.choice([*RAW, "null", "[]", "3", '""', "{", "NaN"])
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def in_toml(content: bytes, random: Random) -> bytes:
    """A value, a key or a line."""
    lines = content.decode().splitlines()
    if random.random() < 0.2 or not lines:
        return in_bytes(content, random)
    for _ in range(random.choice((1, 1, 2))):
        at = random.randrange(len(lines))
        key, _, value = lines[at].partition(" = ")
        numbers = [str(number) for number in NUMBERS if number == number and abs(number) < 1e400] + [
            "nan",
            "inf",
            "-inf",
        ]
        texts = [json.dumps(text.replace("\ud800", "?")) for text in TEXTS]
        raw = [
            "[" * 5000 + "]" * 5000,
            "1" + "0" * 400,
            "1" + "0" * 5000,
            "true",
            "[]",
            "{}",
            "[1, 2]",
            "1979-05-27",
            "'''",
        ]
        lines[at] = random.choice(
            (
                f"{key} = {random.choice([*numbers, *texts, *raw])}",
                f"{key} = {random.choice([*numbers, *texts, *raw])}",
                f"{random.choice(KEYS)} = {value}",
                f"{lines[at]}\n{lines[at]}",
                f"[{key}]\n{lines[at]}",
                "",
            )
        )
    return "\n".join(lines).encode()


# Protobuf: a message is (field number, wire type, value) again and again; a value may be a message itself.

Field = list[Any]


def _varint(content: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = content[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
        if shift > 63:
            raise ValueError("no varint")


def _parse(content: bytes) -> list[Field]:
    """The fields of a message; raises IndexError or ValueError for what is none."""
    fields, at = [], 0
    while at < len(content):
        tag, at = _varint(content, at)
        number, kind = tag >> 3, tag & 7
        value: Any
        if kind == 0:
            value, at = _varint(content, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = content[at : at + size], at + size
        elif kind == 2:
            size, at = _varint(content, at)
            value, at = content[at : at + size], at + size
            if len(value) < size:
                raise ValueError("truncated")
            if size and not re.fullmatch(rb"[ -~]+", value):  # what can be read as text is hardly a message
                with contextlib.suppress(IndexError, ValueError):
                    value = _parse(value)
        else:
            raise ValueError("no wire type")
        if not number or at > len(content):
            raise ValueError("no field")
        fields.append([number, kind, value])
    return fields


def _said(number: int) -> bytes:
    made = b""
    while number > 127:
        made, number = made + bytes([number & 127 | 128]), number >> 7
    return made + bytes([number])


def _written(fields: list[Field]) -> bytes:
    made = b""
    for number, kind, value in fields:
        made += _said(number << 3 | kind)
        if kind == 0:
            made += _said(value % 2**64)
        elif kind == 2:
            inner = _written(value) if isinstance(value, list) else value
            made += _said(len(inner)) + inner
        else:
            made += value
    return made


def in_protobuf(content: bytes, random: Random) -> bytes:
    """A field or more changed, left out, said twice or put elsewhere, all lengths still right; or any bytes."""
    if random.random() < 0.15:
        return in_bytes(content, random)
    whole = _parse(content)
    messages: list[list[Field]] = []
    open_ = [whole]
    while open_:
        messages.append(open_.pop())
        open_ += [value for _, _, value in messages[-1] if isinstance(value, list)]
    for _ in range(random.choice((1, 1, 2, 3))):
        message = random.choice([each for each in messages if each] or [[[1, 0, 0]]])
        at = random.randrange(len(message))
        field = message[at]
        match random.randrange(8):
            case 0:
                del message[at]
            case 1:
                message.insert(at, copy.deepcopy(field))
            case 2:
                message.append(copy.deepcopy(random.choice(random.choice([each for each in messages if each]))))
            case 3:
                field[0] = random.randrange(1, 30)
            case _:
                if field[1] == 0:
                    field[2] = random.choice([field[2] + 1, field[2] - 1, *(n for n in NUMBERS if isinstance(n, int))])
                elif field[1] in (1, 5):
                    field[2] = random.choice((b"\0", b"\xff", b"\x7f")) * len(field[2])
                elif isinstance(field[2], list):
                    field[2] = random.choice(([], field[2] * 2, in_bytes(_written(field[2]), random)))
                else:
                    texts = [text.encode("utf-8", "surrogatepass") for text in TEXTS]
                    packed = [_said(random.choice([0, 1, 2, 10**6, 10**9, 2**63 - 1, 2**64 - 1])) for _ in range(4)]
                    field[2] = random.choice([*texts, in_bytes(field[2], random), b"".join(packed), field[2] * 2])
    return _written(whole)


# Headers of others


def in_header(size: int) -> Mutate:
    """Any bytes, most often of the first `size`."""

    def mutate(content: bytes, random: Random) -> bytes:
        if random.random() < 0.3:
            return in_bytes(content, random)
        made = bytearray(content)
        for _ in range(random.choice((1, 2))):
            at = random.randrange(min(size, len(made)))
            width = random.choice((1, 2, 4))
            made[at : at + width] = random.choice((random.randbytes(width), b"\xff" * width, b"\0" * width))
        return bytes(made)

    return mutate


def in_gzip(mutate: Mutate) -> Mutate:
    """What was compressed, compressed again; or the compressed bytes themselves."""

    def changed(content: bytes, random: Random) -> bytes:
        if random.random() < 0.4:
            return in_bytes(content, random)
        return gzip.compress(mutate(gzip.decompress(content), random), 1, mtime=0)

    return changed


def in_png(content: bytes, random: Random) -> bytes:
    """The chunks of a PNG file, with right checksums; or any bytes."""
    if random.random() < 0.4:
        return in_bytes(content, random)
    chunks, at = [], 8
    while at < len(content):
        (size,) = struct.unpack(">I", content[at : at + 4])
        chunks.append([content[at + 4 : at + 8], content[at + 8 : at + 8 + size]])
        at += 12 + size
    which = random.randrange(len(chunks))
    match random.randrange(4):
        case 0:
            chunks.insert(which, list(chunks[which]))
        case 1:
            del chunks[which]
        case 2:
            chunks[which][0] = random.choice(
                (b"tEXt", b"iTXt", b"zTXt", b"iCCP", b"PLTE", b"tRNS", b"eXIf", b"acTL", b"IEND")
            )
        case _:
            chunks[which][1] = in_bytes(chunks[which][1], random)
    made = content[:8]
    for name, data in chunks:
        made += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return made
