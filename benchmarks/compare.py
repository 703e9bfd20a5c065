"""Colonnade beside PyTorch and ONNX Runtime: training, inference, memory, imports, and how cost grows.

Every framework runs in a process of its own, and the processes take turns, run by run: a noisy machine then hits all of
them alike, and ratios hold even where times do not. Same weights, same batch, same number of threads; how far the
computed numbers differ stands in the results. Times are medians.

    python benchmarks/compare.py                                                     all networks, all tasks
    python benchmarks/compare.py --networks cnn --tasks training --frameworks colonnade torch
    python benchmarks/compare.py --sweeps --out results.json                         how cost grows as well
    python benchmarks/compare.py --free-threaded .env/bin/python                     without Python's lock as well
    python benchmarks/report.py results.json --plots docs/assets                     tables and plots from the JSON
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import footprint
import report

HERE = Path(__file__).resolve().parent
IMAGES = {"lenet5": (1, 28, 28), "cnn": (1, 28, 28), "resnet20": (3, 32, 32), "vgg": (3, 32, 32)}
TRAINING_BATCH = {"lenet5": 128, "cnn": 128, "resnet20": 128, "vgg": 64}
TASKS = ["training", "inference", "one image"]
FRAMEWORKS = ["colonnade", "colonnade, one thread", "torch", "torch channels_last", "torch.compile", "onnxruntime"]
# Who cannot, or need not, take part in what.
ABSENT = {
    "training": {"onnxruntime"},
    "inference": {"torch.compile", "colonnade, one thread"},
    "one image": {"torch.compile", "colonnade, one thread"},
}
PAUSE = 0.05  # seconds between runs: the threads of the last one spin for a while before they sleep

Record = dict[str, Any]


class Process:
    """A worker process, and the pipes to it."""

    def __init__(self, python: str = sys.executable) -> None:
        self.process = subprocess.Popen(
            [python, str(HERE / "worker.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.requests, self.answers = self.process.stdin, self.process.stdout

    def ask(self, command: str, **request: Any) -> Record:
        """Send a request and wait for its answer."""
        self.requests.write(json.dumps({"command": command, **request}) + "\n")
        self.requests.flush()
        line = self.answers.readline()
        answer: Record = json.loads(line) if line else {"error": f"ended with status {self.process.wait()}"}
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *error: object) -> None:
        self.requests.close()
        self.process.wait()
        self.answers.close()


def ask_alone(command: str, python: str = sys.executable, **request: Any) -> Record:
    """The answer of a fresh process to one request."""
    with Process(python) as process:
        return process.ask(command, **request)


def furthest(a: Any, b: Any) -> float:
    """The largest difference between two nested lists of numbers, relative to one plus the size of the second."""
    if isinstance(a, list):
        return max(furthest(x, y) for x, y in zip(a, b, strict=True))
    return float(abs(a - b) / (1.0 + abs(b)))


def share_weights(task: Record, frameworks: list[str], folder: str) -> Record:
    """Write the weights that all will begin with, and the ONNX model if one is wanted; return where they are."""
    files = {"weights": str(Path(folder, "weights.npz")), "onnx": str(Path(folder, "model.onnx"))}
    first = next(framework for framework in frameworks if framework != "onnxruntime")
    ask_alone("prepare", **task, framework=first.partition(",")[0], save=files["weights"], until="weights")
    if "onnxruntime" in frameworks:
        ask_alone("prepare", **task, framework="torch", weights=files["weights"], export=files["onnx"], until="weights")
    return files


def measure(task: Record, frameworks: list[str], *, runs: int, seconds: float, free: str = "") -> list[Record]:
    """Time one task in several frameworks, in turns.

    Args:
        task: The network, the kind of task, the batch's shape, the number of threads, and what else a worker takes.
        frameworks: Who takes part, of `FRAMEWORKS`, and `report.FREE_THREADED`.
        runs: How many turns each has.
        seconds: About how long a turn takes.
        free: The interpreter of `report.FREE_THREADED`.

    Returns:
        For each framework the task with what was measured: the seconds of a step in each turn and their median, the
        seconds of the first step, the peak of memory, and how far its numbers are from the first framework's.
    """
    records: list[Record] = []
    processes: list[tuple[Process, int]] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        files = share_weights(task, frameworks, folder)
        for framework in frameworks:
            process = stack.enter_context(Process(free) if framework == report.FREE_THREADED else Process())
            name, _, variant = framework.partition(", ")
            threads = 1 if variant == "one thread" else task["threads"]
            answer = process.ask("prepare", **{**task, **files, "threads": threads}, framework=name)
            step = process.ask("run", steps=1)["seconds"]
            processes.append((process, max(1, round(seconds / step))))
            records.append({**task, "framework": framework, "threads": threads, **answer, "runs": []})
        for turn in range(runs):
            for place in range(len(processes)):
                # Who comes first changes from turn to turn.
                place = (place + turn) % len(processes)
                process, steps = processes[place]
                time.sleep(PAUSE)
                records[place]["runs"].append(process.ask("run", steps=steps)["seconds"])
        truth = records[0]["computed"]
        for record, (process, _) in zip(records, processes, strict=True):
            record |= process.ask("memory")
            record["difference"] = furthest(record.pop("computed"), truth)
            record["seconds"] = statistics.median(record["runs"])
            record["images_per_second"] = task["shape"][0] / record["seconds"]
            announce(record)
    return records


def announce(record: Record) -> None:
    """Tell the one who waits what one framework did."""
    print(
        f"  {record['framework']:22} {record['images_per_second']:10,.0f} images/s {record['seconds'] * 1e3:10.3f} ms",
        f"{record['peak_bytes'] / 2**20:6.0f} MiB   first step {record['first_seconds']:.2f} s",
        f"differs by {record['difference']:.0e}",
        sep="   ",
        file=sys.stderr,
    )


def compare(arguments: argparse.Namespace) -> list[Record]:
    """Every network, every task."""
    results: list[Record] = []
    for network in arguments.networks:
        for kind in arguments.tasks:
            print(f"{network}, {kind}", file=sys.stderr)
            images = {"training": TRAINING_BATCH[network], "inference": 128, "one image": 1}[kind]
            task = {"network": network, "kind": kind, "shape": (images, *IMAGES[network]), "threads": arguments.threads}
            frameworks = [name for name in arguments.frameworks if name not in ABSENT[kind]]
            if arguments.free_threaded:
                frameworks.append(report.FREE_THREADED)
            free = arguments.free_threaded
            results += measure(task, frameworks, runs=arguments.runs, seconds=arguments.seconds, free=free)
    return results


def sweep(arguments: argparse.Namespace) -> list[Record]:
    """How cost grows with the batch, the size of the image, the channels and the threads."""
    threads = arguments.threads

    def stack(images: int, channels: int, side: int) -> Record:
        return {"network": "stack", "kind": "training", "channels": channels, "shape": (images, 3, side, side)}

    def zoo(network: str, kind: str, images: int, **more: Any) -> Record:
        return {"network": network, "kind": kind, "shape": (images, *IMAGES[network]), **more}

    tasks: list[tuple[str, int, Record]] = [
        *(("batch", n, zoo("cnn", kind, n)) for kind in TASKS[:2] for n in (1, 4, 16, 64, 256, 1024)),
        *(("side", side, stack(8, 32, side)) for side in (16, 32, 64, 128, 256)),
        *(("channels", channels, stack(16, channels, 16)) for channels in (8, 16, 32, 64, 128, 256, 512)),
        *(
            ("threads", n, zoo(net, "training", 128, threads=n))
            for net in ("cnn", "resnet20")
            for n in range(1, threads + 1)
        ),
    ]
    results: list[Record] = []
    for along, value, task in tasks:
        print(f"{task['network']}, {task['kind']}: {along} {value}", file=sys.stderr)
        absent = ABSENT[task["kind"]] | {"torch.compile", "colonnade, one thread"}
        frameworks = [name for name in arguments.frameworks if name not in absent]
        records = measure({"threads": threads, **task}, frameworks, runs=7, seconds=arguments.seconds / 2)
        results += ({"along": along, "value": value, **record} for record in records)
    return results


def describe_machine() -> Record:
    """What the numbers were measured on."""
    model = platform.processor() or platform.machine()
    processors = Path("/proc/cpuinfo")
    if processors.exists():
        model = processors.read_text().partition("model name")[2].partition(":")[2].partition("\n")[0].strip() or model
    return {"processor": model, "cores": cores(), "system": platform.platform(), "python": platform.python_version()}


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(IMAGES), choices=list(IMAGES), metavar="NAME")
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS, metavar="TASK")
    parser.add_argument("--frameworks", nargs="+", default=FRAMEWORKS, choices=FRAMEWORKS, metavar="NAME")
    parser.add_argument("--threads", type=int, default=cores(), help="for each framework; default: the cores there are")
    parser.add_argument("--runs", type=int, default=9, help="turns of each framework, at least 7")
    parser.add_argument("--seconds", type=float, default=0.5, help="about how long a turn takes")
    parser.add_argument("--sweeps", action="store_true", help="also measure how cost grows")
    parser.add_argument(
        "--free-threaded", default="", metavar="PYTHON", help="a Python without the lock, with Colonnade installed"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmark.json"), help="where the results are written")
    arguments = parser.parse_args()
    if arguments.runs < 7:
        parser.error("a median of fewer than 7 runs says little")
    if set(arguments.frameworks) <= {"onnxruntime"}:
        parser.error("onnxruntime needs another framework beside it, to take its weights from")
    free = None
    if arguments.free_threaded:
        try:
            free = ask_alone("interpreter", python=arguments.free_threaded)
        except (OSError, RuntimeError) as error:
            parser.error(f"{arguments.free_threaded}: expected a Python with Colonnade installed ({error})")
        if free["lock"]:
            parser.error(f"{arguments.free_threaded} is Python {free['version']}, which has the interpreter's lock")

    load = os.getloadavg()[0]
    if load > 0.5:
        # Frameworks suffer unequally: one whose threads wait for each other at every operation suffers most.
        print(f"The machine is busy (load {load:.1f}): not even the ratios can be trusted.", file=sys.stderr)
    found: Record = {
        "load": load,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": describe_machine(),
        "free_threaded": free,
        "threads": arguments.threads,
        "speeds": ask_alone("machine", threads=arguments.threads),
        "imports": footprint.imports(["colonnade", "torch", "onnxruntime"]),
        "installed_bytes": footprint.installed(["colonnade", "torch", "onnxruntime"]),
        "products": {
            network: ask_alone("products", network=network, shape=(TRAINING_BATCH[network], *IMAGES[network]))[
                "products"
            ]
            for network in arguments.networks
        },
    }
    found["results"] = compare(arguments)
    found["sweeps"] = sweep(arguments) if arguments.sweeps else []
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(report.tables(found))


if __name__ == "__main__":
    main()
