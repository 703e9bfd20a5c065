"""One framework in a process of its own. It does what the driver asks through a pipe, and says how long it took.

Each request and each answer is one line of JSON. Frameworks are imported only in the process that measures them, so
that its peak of memory is theirs alone. Whether Colonnade runs compiled is for the driver to say, in the environment.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np

RATE, MOMENTUM = 0.001, 0.9
# Dropout draws other numbers in each framework.
OPTIONS: dict[str, dict[str, Any]] = {"squeezenet": {"dropout": 0.0}, "mobilenet_v2": {"dropout": 0.0}}

Weights = dict[str, np.ndarray]


class Contestant(Protocol):
    """A framework with a network in it. A step works on the one batch that it was given at the start."""

    def weights(self) -> Weights:
        """Every array of the model's state, by its name: the names are the same everywhere."""

    def load(self, weights: Weights) -> None:
        """Take over what another contestant's `weights` returned."""

    def train(self) -> float:
        """Forward, loss, backward and an optimizer's step; returns the loss."""

    def predict(self) -> np.ndarray:
        """The logits, as an array in the hands of the caller."""


class Colonnade:
    """This package: compiled, or NumPy alone, as the environment says."""

    def __init__(self, task: Task) -> None:
        import colonnade as cn

        cn.set_threads(task.threads)
        shape = task.x.shape[1:]
        if task.network == "stack":
            channels = task.channels
            layers = []
            for source in (shape[0], channels):
                layers += [cn.Conv2d(source, channels, 3, padding=1, bias=False), cn.BatchNorm2d(channels), cn.ReLU()]
            layers += [cn.AdaptiveAvgPool2d(1), cn.Flatten(), cn.Dense(channels, 10)]
            self.model = cn.Model(layers, seed=0)
        else:
            self.model = getattr(cn.zoo, task.network)(input_shape=shape, classes=10, **OPTIONS.get(task.network, {}))
        self.model.build(shape)
        self.x, self.targets = task.x, task.targets
        self.loss = cn.CrossEntropyLoss()
        self.optimizer = cn.SGD(self.model.parameters(), lr=RATE, momentum=MOMENTUM)

    def weights(self) -> Weights:
        return self.model.state_dict()

    def load(self, weights: Weights) -> None:
        self.model.load_state_dict(weights)

    def train(self) -> float:
        y = self.model(self.x, training=True)
        loss, grad = self.loss(y, self.targets)
        self.model.backward(grad, input_gradient=False)
        self.optimizer.step()
        self.model.zero_grad()
        return float(loss)

    def predict(self) -> np.ndarray:
        return self.model(self.x)


class Shipped(Colonnade):
    """This package, on a file that somebody else made."""

    def __init__(self, task: Task) -> None:
        import colonnade as cn

        cn.set_threads(task.threads)
        self.model = cn.load(task.onnx)
        several = {name: task.feeds[name] for name in self.model.inputs}
        self.x: Any = several if len(several) > 1 else next(iter(several.values()))

    def load(self, weights: Weights) -> None:
        pass  # they are in the file

    def predict(self) -> np.ndarray:
        y = self.model(self.x)
        return y[0] if isinstance(y, tuple) else y


class Torch:
    """PyTorch: as it comes, with its tensors channels-last, or compiled."""

    def __init__(self, task: Task) -> None:
        import torch
        import torch_models

        torch.set_num_threads(task.threads)
        self.torch = torch
        shape = task.x.shape[1:]
        if task.network == "stack":
            model = torch_models.stack(shape, task.channels)
        else:
            model = torch_models.made(task.network, shape)
        self.names: dict[str, str] = {}  # by ours, where theirs are others
        layout = torch.channels_last if task.contender == "torch channels_last" else torch.contiguous_format
        self.model = model.to(memory_format=layout)
        self.called = torch.compile(self.model) if task.contender == "torch.compile" else self.model
        self.x = torch.from_numpy(task.x).to(memory_format=layout)
        self.targets = torch.from_numpy(task.targets)
        self.loss = torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=RATE, momentum=MOMENTUM)
        self.model.train(task.kind == "training")

    def weights(self) -> Weights:
        held = self.model.state_dict()
        return {name: held[self.names.get(name, name)].numpy() for name in self.names or held}

    def load(self, weights: Weights) -> None:
        held = self.model.state_dict()
        # What is an array by itself there is the weight of a layer here.
        self.names = {name: name if name in held else name.removesuffix(".weight") for name in weights}
        arrays = {self.names[name]: self.torch.from_numpy(value) for name, value in weights.items()}
        self.model.load_state_dict({name: array.reshape(held[name].shape) for name, array in arrays.items()})

    def train(self) -> float:
        loss = self.loss(self.called(self.x), self.targets)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()

    def predict(self) -> np.ndarray:
        with self.torch.inference_mode():
            return self.called(self.x).numpy()

    def export(self, path: str) -> None:
        """Write the model as ONNX, for any size of batch."""
        import warnings

        warnings.simplefilter("ignore")  # the exporter that needs no further package is on its way out, and says so
        axes = {"x": {0: "n"}, "y": {0: "n"}}
        self.torch.onnx.export(
            self.model.eval(), self.x[:1], path, dynamo=False, input_names=["x"], output_names=["y"], dynamic_axes=axes
        )


class OnnxRuntime:
    """ONNX Runtime, on the model that a PyTorch process exported, weights included."""

    def __init__(self, task: Task) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = task.threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(task.onnx, options, providers=["CPUExecutionProvider"])
        self.feed = task.feeds or {"x": task.x}

    def weights(self) -> Weights:
        raise NotImplementedError

    def load(self, weights: Weights) -> None:
        pass  # they are in the file

    def train(self) -> float:
        raise NotImplementedError

    def predict(self) -> np.ndarray:
        return self.session.run(None, self.feed)[0]


CONTENDERS: dict[str, tuple[type[Any], str]] = {
    "compiled": (Colonnade, "colonnade"),
    "NumPy alone": (Colonnade, "colonnade"),
    "before": (Colonnade, "colonnade"),
    "torch": (Torch, "torch"),
    "torch channels_last": (Torch, "torch"),
    "torch.compile": (Torch, "torch"),
    "onnxruntime": (OnnxRuntime, "onnxruntime"),
}


class Task:
    """What to measure, as the driver describes it, with a batch of random images and labels to measure it on."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.contender: str = request["contender"]
        self.network: str = request["network"]
        self.kind: str = request["kind"]  # "training", or one of the two kinds of inference
        self.threads: int = request["threads"]
        self.channels: int = request.get("channels", 0)
        self.onnx: str = request.get("onnx", "")
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal(request["shape"], dtype=np.float32)
        self.targets = rng.integers(0, 10, len(self.x))
        self.feeds = {
            name: drawn(rng, name, shape, np.dtype(kind)) for name, (shape, kind) in request.get("feeds", {}).items()
        }


def drawn(rng: np.random.Generator, name: str, shape: list[int], dtype: np.dtype[Any]) -> np.ndarray:
    """Numbers at random: between 0 and 1, true, or small whole ones, which name rows of a table; a rate is 16 kHz."""
    if name == "sr":
        return np.full(shape, 16_000, dtype)
    if dtype.kind == "f":
        return rng.random(shape).astype(dtype)
    return np.ones(shape, dtype) if dtype.kind == "b" else rng.integers(1, 10, shape).astype(dtype)


def peak_bytes() -> int:
    """The most memory that this process held at once."""
    # ru_maxrss also counts the process that started this one, up to its exec; the kernel's own mark does not.
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Worker:
    """Answers the driver's requests; each method is one of them."""

    def prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        """Build the network and make the first steps, which compile and allocate. Reports what they computed."""
        self.task = Task(request)
        make, package = CONTENDERS[self.task.contender]
        if self.task.feeds and make is Colonnade:
            make = Shipped
        self.contestant = make(self.task)
        if "weights" in request:
            with np.load(request["weights"]) as file:
                self.contestant.load(dict(file))
        if "save" in request:
            np.savez(request["save"], **self.contestant.weights())
        if "export" in request:
            self.contestant.export(request["export"])
        if request.get("until") == "weights":
            return {}
        if self.task.kind == "training":
            before = {name: value.copy() for name, value in self.contestant.weights().items()}
        started = time.perf_counter()
        first = self.step()
        seconds = time.perf_counter() - started
        if self.task.kind == "training":
            computed = [first, self.step(), self.step()]
            # How far each array moved, in units of the rate: wrong gradients hide in a loss, and not here.
            after = self.contestant.weights()
            computed += [float(np.linalg.norm(after[name] - before[name])) / RATE for name in sorted(before)]
        else:
            computed = first.ravel()[:1000].tolist() if self.task.feeds else first[:4].tolist()
        return {
            "first_seconds": seconds,
            "computed": computed,
            "package": package,
            "version": sys.modules[package].__version__,
        }

    def step(self) -> Any:
        return self.contestant.train() if self.task.kind == "training" else self.contestant.predict()

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Time so many steps. One more goes before them: the caches still hold what another process left there."""
        self.step()
        started = time.perf_counter()
        for _ in range(request["steps"]):
            self.step()
        return {"seconds": (time.perf_counter() - started) / request["steps"]}

    def memory(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"peak_bytes": peak_bytes()}

    def machine(self, request: dict[str, Any]) -> dict[str, Any]:
        """The speed of what nothing here can do without: multiplying, and moving memory."""
        import numba
        from peak import peak
        from threadpoolctl import threadpool_limits

        speeds = {"numpy": np.__version__, "numba": numba.__version__, "copy_bytes": copy_speed(request["threads"])}
        speeds["peak_flops"] = peak()
        speeds["peak_flops_of_all"] = peak(request["threads"])
        with threadpool_limits(1):
            speeds["product_flops"] = max(product_speed(size) for size in (512, 1024))
        return speeds


def product_speed(size: int) -> float:
    """Floating-point operations a second in a product of square float32 matrices, the best of ten."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((size, size), dtype=np.float32) for _ in range(2))
    out = np.empty_like(a)
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        np.matmul(a, b, out=out)
        best = min(best, time.perf_counter() - started)
    return 2.0 * size**3 / best


def copy_speed(threads: int) -> float:
    """Bytes read and written a second, copying arrays far larger than any cache, the best of ten."""
    from concurrent.futures import ThreadPoolExecutor

    source = np.ones((threads, 1 << 26), dtype=np.float32)  # 256 MiB a thread
    target = np.zeros_like(source)
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(10):
            started = time.perf_counter()
            list(pool.map(np.copyto, target, source))
            best = min(best, time.perf_counter() - started)
    return 2.0 * source.nbytes / best


def main() -> None:
    # What frameworks print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    worker = Worker()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request["command"])(request)
        except Exception as error:  # whatever it was, the driver must hear of it
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
