"""A server under load, against the loopback address: throughput and waiting times, beside the bare model.

Clients in a process of their own send a request, wait for the answer and send the next, as `--clients` say. Three
servers take turns: ours; the same application with ONNX Runtime in the place of the model; and a handler as people
write it first, ONNX Runtime called for each request without batches. The bare model runs batches of 64.

    python benchmarks/serving.py MODEL [--clients 64] [--seconds 20] [--rounds 3] [--out serving.json]
    python benchmarks/serving.py MODEL --soak 3600       mixed load with hostile requests: errors, and the memory
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import resource
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import colonnade as cn
from colonnade import serving
from colonnade.serving.batching import Batcher
from colonnade.serving.models import Served
from colonnade.serving.server import bound, run

WARM = 3.0  # seconds before the clock starts
FLOOD = 500  # connections that are opened and dropped at once, again and again


def body(model: cn.Model) -> bytes:
    """A request of one image, as bytes behind JSON, with its head."""
    shape = [1, *model.input_shape]
    x = np.random.default_rng(0).random(shape, np.float32)
    outputs = [{"name": model.outputs[0], "parameters": {"binary_data": True}}]
    given = {"name": model.inputs[0], "shape": shape, "datatype": "FP32", "parameters": {"binary_data_size": x.nbytes}}
    head = json.dumps({"inputs": [given], "outputs": outputs}).encode()
    content = head + x.tobytes()
    return (
        f"POST /v2/models/model/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n"
        f"Inference-Header-Content-Length: {len(head)}\r\n\r\n"
    ).encode() + content


async def answer(reader: asyncio.StreamReader) -> int:
    """Read an answer, and say its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"\r\ncontent-length:")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head[9:12])


async def client(
    port: int, request: bytes, until: float, since: float, seconds: list[float], statuses: Counter
) -> None:
    """Ask again and again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (start := time.monotonic()) < until:
        writer.write(request)
        status = await answer(reader)
        if start >= since:
            statuses[status] += 1
            seconds.append(time.monotonic() - start)
    writer.close()


def load(port: int, request: bytes, clients: int, duration: float, pipe: Any) -> None:
    """The clients' process."""

    async def all_of_them() -> None:
        since = time.monotonic() + WARM
        seconds: list[float] = []
        statuses: Counter = Counter()
        tasks = [client(port, request, since + duration, since, seconds, statuses) for _ in range(clients)]
        await asyncio.gather(*tasks)
        seconds.sort()
        pipe.send(
            {
                "images_per_second": len(seconds) / duration,
                "p50_ms": 1000 * seconds[len(seconds) // 2],
                "p99_ms": 1000 * seconds[int(0.99 * len(seconds))],
                "statuses": dict(statuses),
            }
        )

    asyncio.run(all_of_them())


def ours(file: str, listener: socket.socket) -> None:
    run(serving.app({"model": file}), listener)


def session(file: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cn.get_threads()
    made = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = made.get_inputs()[0].name
    return lambda inputs: tuple(made.run(None, {name: inputs[0]}))


def theirs(file: str, listener: socket.socket) -> None:
    """Our application, and ONNX Runtime where the model computes."""
    compute = session(str(Path(file).with_suffix(".onnx")))

    class Swapped(Batcher):
        def __init__(self, _: Any, *rest: Any) -> None:
            super().__init__(compute, *rest)

    sys.modules[Served.__module__].Batcher = Swapped  # type: ignore[attr-defined]
    run(serving.app({"model": file}), listener)


def plain(file: str, listener: socket.socket) -> None:
    """A handler as people write it first."""
    from fastapi import FastAPI, Request, Response

    from colonnade.serving import protocol

    compute = session(str(Path(file).with_suffix(".onnx")))
    app = FastAPI()

    @app.post("/v2/models/model/infer")
    async def infer(request: Request) -> Response:
        asked = protocol.parse(await request.body(), int(request.headers["inference-header-content-length"]))
        outputs = await asyncio.to_thread(compute, tuple(asked.inputs.values()))
        content, head = protocol.respond("model", "1", asked, {asked.outputs[0].name: outputs[0]})
        return Response(content, headers={"Inference-Header-Content-Length": str(head)})

    run(app, listener)


def served(target: Any, file: str) -> tuple[multiprocessing.Process, int]:
    """A server in a process of its own, once it answers."""
    listener = bound("127.0.0.1", 0)
    port = listener.getsockname()[1]
    process = multiprocessing.get_context("fork").Process(target=target, args=(file, listener))
    process.start()
    listener.close()
    for _ in range(1200):
        with socket.create_connection(("127.0.0.1", port)) as probe:
            probe.settimeout(120)
            probe.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            if probe.recv(16):
                return process, port
        time.sleep(0.1)
    raise SystemExit("the server does not answer")


def measured(target: Any, file: str, request: bytes, clients: int, duration: float) -> dict[str, Any]:
    process, port = served(target, file)
    try:
        mine, its = multiprocessing.Pipe()
        asking = multiprocessing.get_context("fork").Process(target=load, args=(port, request, clients, duration, its))
        asking.start()
        found = mine.recv()
        asking.join()
        return found
    finally:
        process.terminate()
        process.join()


def bare(file: str, duration: float) -> float:
    """Images a second of batches of 64, without any server; in a process of its own, as the servers are."""

    def work(pipe: Any) -> None:
        model = cn.load(file)
        x = np.random.default_rng(0).random((64, *model.input_shape), np.float32)
        model(x)
        count, start = 0, time.monotonic()
        while time.monotonic() - start < duration:
            model(x)
            count += 1
        pipe.send(64 * count / (time.monotonic() - start))

    mine, its = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=work, args=(its,))
    process.start()
    found = mine.recv()
    process.join()
    return found


def compare(file: str, clients: int, duration: float, rounds: int) -> dict[str, Any]:
    request = body(cn.load(file))
    servers = {"colonnade": ours, "onnxruntime, same application": theirs, "onnxruntime, a call a request": plain}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in servers}
    alone = []
    for _ in range(rounds):
        alone.append(bare(file, duration / 2))
        for name, target in servers.items():
            runs[name].append(measured(target, file, request, clients, duration))
            print(name, runs[name][-1], file=sys.stderr)
    median = {
        name: {key: statistics.median(each[key] for each in found) for key in ("images_per_second", "p50_ms", "p99_ms")}
        for name, found in runs.items()
    }
    model = statistics.median(alone)
    for found in median.values():
        found["of_the_bare_model"] = found["images_per_second"] / model
    return {"clients": clients, "bare_images_per_second": model, "servers": median, "runs": runs}


# Mixed load


def resident(pid: int) -> float:
    """MiB of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


async def hostile(port: int, until: float, tried: Counter) -> None:
    """Requests that mean no good, one after the other."""

    async def send(content: bytes, wait: float = 5.0) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(content)
            await writer.drain()
            return await asyncio.wait_for(reader.read(64), wait)
        except (TimeoutError, ConnectionError):
            return b""
        finally:
            writer.close()

    post = b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    draw = random.Random(0)
    while time.monotonic() < until:
        kind = draw.choice(["broken", "slow", "flood", "shape", "gone", "large", "noise", "head"])
        tried[kind] += 1
        try:
            if kind == "broken":
                content = b"\x89PNG\r\n\x1a\n" + draw.randbytes(5_000)
                await send(post % len(content) + content)
            elif kind == "slow":
                await send(post % 1_000 + b"a few bytes", 0.5)
            elif kind == "flood":
                await asyncio.gather(*(send(b"", 0.2) for _ in range(FLOOD)))
            elif kind == "shape":
                said = b'{"inputs":[{"name":"input","shape":[1,9,99,9],"datatype":"FP32","data":[1]}]}'
                await send(
                    b"POST /v2/models/model/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
                    % (len(said), said)
                )
            elif kind == "gone":
                await send(post % 10 + b"0123456789", 0.0)
            elif kind == "large":
                await send(post % 2**40)
            elif kind == "noise":
                await send(draw.randbytes(300))
            else:
                await send(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000)
        except OSError:
            tried["refused at the socket"] += 1
        await asyncio.sleep(0.01)


def soak(file: str, clients: int, duration: float) -> dict[str, Any]:
    """Well-behaved clients and hostile ones at once."""
    request = body(cn.load(file))
    process, port = served(ours, file)
    memory: list[float] = []
    try:

        async def all_of_them() -> tuple[Counter, Counter, list[float]]:
            start = time.monotonic()
            seconds: list[float] = []
            statuses: Counter = Counter()
            tried: Counter = Counter()
            until = start + duration
            tasks = [
                asyncio.create_task(client(port, request, until, start, seconds, statuses)) for _ in range(clients)
            ]
            tasks += [asyncio.create_task(hostile(port, until, tried)) for _ in range(2)]
            while time.monotonic() < until:
                await asyncio.sleep(min(10, duration / 20))
                memory.append(resident(process.pid))
                print(f"{time.monotonic() - start:.0f} s", dict(statuses), f"{memory[-1]:.0f} MiB", file=sys.stderr)
            await asyncio.gather(*tasks)
            return statuses, tried, seconds

        statuses, tried, seconds = asyncio.run(all_of_them())
    finally:
        process.terminate()
        process.join()
    seconds.sort()
    fifth = len(memory) // 5 or 1
    return {
        "seconds": duration, "statuses": dict(statuses), "hostile": dict(tried),
        "p50_ms": 1000 * seconds[len(seconds) // 2], "p99_ms": 1000 * seconds[int(0.99 * len(seconds))],
        "memory_mib": [statistics.median(memory[:fifth]), statistics.median(memory[-fifth:]), max(memory)],
        "exit": process.exitcode,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model file, or a name of the zoo with C,H,W: resnet20:3,32,32")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--soak", type=float, default=0, help="seconds of mixed load, in place of the comparison")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "model.safetensors")  # noqa: PTH118
        name, _, shape = given.model.partition(":")
        if shape:
            model = getattr(cn.zoo, name)(input_shape=tuple(map(int, shape.split(","))))
            model.build(tuple(map(int, shape.split(","))))
        else:
            model = cn.load(given.model)
        model.save(file)
        cn.export_onnx(model, str(Path(file).with_suffix(".onnx")))
        if given.soak:
            found = soak(file, given.clients, given.soak)
        else:
            found = compare(file, given.clients, given.seconds, given.rounds)
    print(json.dumps(found, indent=1))
    if given.out:
        given.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
