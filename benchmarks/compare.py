"""Colonnade, compiled and in NumPy alone, beside PyTorch and ONNX Runtime: training, inference, memory, imports.

Every contender runs in a process of its own, and the processes take turns, run by run: a noisy machine then hits all of
them alike, and ratios hold even where times do not. Same weights, same batch, same number of threads; how far the
computed numbers differ stands in the results. Times are medians.

    scripts/benchmark                                           everything that docs/performance.md tells
    python benchmarks/compare.py                                the four networks, all tasks: some minutes
    python benchmarks/compare.py --networks cnn --tasks training --contenders compiled torch
    python benchmarks/compare.py --before ../older/src          another version of Colonnade, in NumPy alone, as well
    python benchmarks/report.py benchmark.json                  tables from the JSON
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
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
SOURCE = HERE.parent / "src"
# One image's shape, the batch in training and that outside it.
NETWORKS = {
    "lenet5": ((1, 28, 28), 128, 128),
    "cnn": ((1, 28, 28), 128, 128),
    "resnet20": ((3, 32, 32), 128, 128),
    "vgg": ((3, 32, 32), 64, 128),
}
OTHERS = {
    "mobilenet_v2": ((3, 224, 224), 8, 8),
    "resnet18": ((3, 224, 224), 8, 8),
    "squeezenet": ((3, 224, 224), 8, 8),
    "densenet": ((3, 32, 32), 32, 32),
    "convnext_tiny": ((3, 224, 224), 4, 4),
    "vit_tiny": ((3, 224, 224), 8, 8),
}
TASKS = ["training", "inference", "one image"]
ONE_THREAD = "compiled, one thread"
OURS = ["compiled", "NumPy alone"]
CONTENDERS = ["compiled", ONE_THREAD, "NumPy alone", "torch", "torch channels_last", "torch.compile", "onnxruntime"]
# Who cannot, or need not, take part in what.
ABSENT = {
    "training": {"onnxruntime"},
    "inference": {"torch.compile", ONE_THREAD},
    "one image": {"torch.compile", ONE_THREAD},
}
PAUSE = 0.05  # seconds between runs: the threads of the last one spin for a while before they sleep

Record = dict[str, Any]


class Process:
    """A worker process, and the pipes to it.

    Args:
        contender: Who is to run in it, of `CONTENDERS`, or "before".
        source: Where Colonnade is, with its machine code.
    """

    def __init__(self, contender: str = "", source: Path = SOURCE) -> None:
        self.contender = contender.partition(", ")[0]
        own = {"COLONNADE_COMPILED": str(int(contender.startswith("compiled"))), "PYTHONPATH": str(source)}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | own,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.requests, self.answers = self.process.stdin, self.process.stdout

    def ask(self, command: str, **request: Any) -> Record:
        """Send a request and wait for its answer."""
        self.requests.write(json.dumps({"command": command, "contender": self.contender, **request}) + "\n")
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


def ask_alone(contender: str, command: str, source: Path = SOURCE, **request: Any) -> Record:
    """The answer of a fresh process to one request."""
    with Process(contender, source) as process:
        return process.ask(command, **request)


def furthest(a: Any, b: Any) -> float:
    """The largest difference between two nested lists of numbers, relative to one plus the size of the second."""
    if isinstance(a, list):
        return max(furthest(x, y) for x, y in zip(a, b, strict=True))
    return float(abs(a - b) / (1.0 + abs(b)))


def share_weights(task: Record, contenders: list[str], folder: str) -> Record:
    """Write the weights that all will begin with, and the ONNX model if one is wanted; return where they are.

    A file that is given has its own.
    """
    if "onnx" in task:
        return {}
    files = {"weights": str(Path(folder, "weights.npz")), "onnx": str(Path(folder, "model.onnx"))}
    ours = "NumPy alone"  # their names are what the others know how to read
    ask_alone(ours, "prepare", **task, save=files["weights"], until="weights")
    if "onnxruntime" in contenders:
        ask_alone("torch", "prepare", **task, weights=files["weights"], export=files["onnx"], until="weights")
    return files


def measure(
    task: Record, contenders: list[str], *, runs: int, seconds: float, before: Path | None = None
) -> list[Record]:
    """Time one task, all contenders in turns.

    Args:
        task: The network, the kind of task, the batch's shape, the number of threads, and what else a worker takes.
        contenders: Who takes part.
        runs: How many turns each has.
        seconds: About how long a turn takes.
        before: The source of the contender "before".

    Returns:
        For each contender the task with what was measured: the seconds of a step in each turn and their median, the
        seconds of the first step, the peak of memory, and how far its numbers are from the first contender's.
    """
    records: list[Record] = []
    processes: list[tuple[Process, int]] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        files = share_weights(task, contenders, folder)
        if "compiled" in contenders:
            # Machine code that is not in the cache yet: making it takes memory and time that later runs do not.
            ask_alone("compiled", "prepare", **task, **files)
        for contender in contenders:
            source = before if contender == "before" and before else SOURCE
            process = stack.enter_context(Process(contender, source))
            threads = 1 if contender == ONE_THREAD else task["threads"]
            answer = process.ask("prepare", **{**task, **files, "threads": threads})
            step = process.ask("run", steps=1)["seconds"]
            processes.append((process, max(1, round(seconds / step))))
            records.append({**task, "contender": contender, "threads": threads, **answer, "runs": []})
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
    """Tell the one who waits what one contender did."""
    print(
        f"  {record['contender']:22} {record['images_per_second']:10,.0f} images/s {record['seconds'] * 1e3:10.3f} ms",
        f"{record['peak_bytes'] / 2**20:6.0f} MiB   first step {record['first_seconds']:.2f} s",
        f"differs by {record['difference']:.0e}",
        sep="   ",
        file=sys.stderr,
    )


def compare(networks: Record, arguments: argparse.Namespace, tasks: list[str]) -> list[Record]:
    """Every network, every task."""
    results: list[Record] = []
    for network, (shape, trained, predicted) in networks.items():
        for kind in tasks:
            print(f"{network}, {kind}", file=sys.stderr)
            images = {"training": trained, "inference": predicted, "one image": 1}[kind]
            task = {"network": network, "kind": kind, "shape": (images, *shape), "threads": arguments.threads}
            contenders = [name for name in arguments.contenders if name not in ABSENT[kind]]
            if arguments.before:
                contenders.append("before")
            how = {"runs": arguments.runs, "seconds": arguments.seconds, "before": arguments.before}
            results += measure(task, contenders, **how)
    return results


def sweep(arguments: argparse.Namespace) -> list[Record]:
    """How cost grows with the batch, the size of the image, the channels and the threads."""
    threads = arguments.threads

    def stack(images: int, channels: int, side: int) -> Record:
        return {"network": "stack", "kind": "training", "channels": channels, "shape": (images, 3, side, side)}

    def zoo(network: str, kind: str, images: int, **more: Any) -> Record:
        return {"network": network, "kind": kind, "shape": (images, *NETWORKS[network][0]), **more}

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
        absent = ABSENT[task["kind"]] | {"torch.compile", ONE_THREAD}
        contenders = [name for name in arguments.contenders if name not in absent]
        records = measure({"threads": threads, **task}, contenders, runs=7, seconds=arguments.seconds / 2)
        results += ({"along": along, "value": value, **record} for record in records)
    return results


def first_steps(threads: int) -> Record:
    """The seconds of the first training step of cnn: where nothing was ever compiled, and in the next process."""
    (shape, images, _), network = NETWORKS["cnn"], "cnn"
    task = {"network": network, "kind": "training", "shape": (images, *shape), "threads": threads}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "src")  # which has no machine code
        shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        cold, warm = (ask_alone("compiled", "prepare", copy, **task) for _ in range(2))
    return {"cold": cold["first_seconds"], "warm": warm["first_seconds"]}


def single_layers() -> list[Record]:
    """What layers.py finds, in a process of its own."""
    command = [sys.executable, str(HERE / "layers.py"), "--json"]
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    found: list[Record] = json.loads(done.stdout)
    return found


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


def can_compile() -> bool:
    """Whether there is a compiler for torch.compile."""
    return any(map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++")))


def main() -> None:
    known = NETWORKS | OTHERS
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(known), metavar="NAME")
    parser.add_argument("--others", action="store_true", help="six larger networks as well")
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS, metavar="TASK")
    parser.add_argument("--contenders", nargs="+", default=CONTENDERS, choices=CONTENDERS, metavar="NAME")
    parser.add_argument("--threads", type=int, default=cores(), help="for each contender; default: the cores there are")
    parser.add_argument("--runs", type=int, default=7, help="turns of each contender, at least 7")
    parser.add_argument("--seconds", type=float, default=0.3, help="about how long a turn takes")
    parser.add_argument("--layers", action="store_true", help="single layers as well, beside a core's peak")
    parser.add_argument("--sweeps", action="store_true", help="also measure how cost grows")
    parser.add_argument("--before", type=Path, metavar="SOURCE", help="the src folder of another version")
    parser.add_argument("--out", type=Path, default=Path("benchmark.json"), help="where the results are written")
    arguments = parser.parse_args()
    if arguments.runs < 7:
        parser.error("a median of fewer than 7 runs says little")
    if arguments.before and not (arguments.before / "colonnade").is_dir():
        parser.error(f"{arguments.before} holds no colonnade")
    if not can_compile():
        print("There is no C++ compiler: torch.compile does not take part.", file=sys.stderr)
        arguments.contenders = [name for name in arguments.contenders if name != "torch.compile"]

    load = os.getloadavg()[0]
    if load > 0.5:
        # They suffer unequally: whoever's threads wait for each other at every operation suffers most.
        print(f"The machine is busy (load {load:.1f}): not even the ratios can be trusted.", file=sys.stderr)
    began = time.perf_counter()
    found: Record = {
        "load": load,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": " ".join(["python benchmarks/compare.py", *(Path(each).name for each in sys.argv[1:])]),
        "machine": describe_machine(),
        "threads": arguments.threads,
        "speeds": ask_alone("compiled", "machine", threads=arguments.threads),
    }
    found["results"] = compare({name: known[name] for name in arguments.networks}, arguments, arguments.tasks)
    print(f"{time.perf_counter() - began:.0f} s", file=sys.stderr)
    found["others"] = compare(OTHERS, arguments, arguments.tasks[:2]) if arguments.others else []
    found["imports"] = footprint.imports(["colonnade", "torch", "onnxruntime"])
    found["installed_bytes"] = footprint.installed(["colonnade", "numba", "torch", "onnxruntime"])
    found["first_steps"] = first_steps(arguments.threads)
    found["layers"] = single_layers() if arguments.layers else []
    found["sweeps"] = sweep(arguments) if arguments.sweeps else []
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(report.page(found))


if __name__ == "__main__":
    main()
