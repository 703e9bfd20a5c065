"""Single layers, forward and backward, on one thread: NumPy alone, compiled, and PyTorch in the better of its layouts.

Counted is what the layer does by itself, its preparations for a pass included: not the copies at the model's door. The
contenders take turns; times are medians. A core's peak is beside what convolutions reach; see peak.py.

    python benchmarks/layers.py                 all of the tables below
    python benchmarks/layers.py MaxPool 3×3     names, or their beginnings
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import torch

import colonnade as cn
from colonnade.executor import Memory
from colonnade.profiling import TimedExecutor

Record = dict[str, Any]
Times = tuple[float, float]  # seconds of the forward pass, and of the backward pass
Shape = tuple[int, ...]
RUNS = 9


def convolution(
    channels: int, filters: int, side: int, images: int, kernel: int = 3, stride: int = 1, groups: int = 1
) -> tuple[str, tuple[Any, ...], Shape]:
    arguments = (channels, filters, kernel, stride, kernel // 2, 1, groups, False)
    return "Conv2d", arguments, (images, channels, side, side)


# Name: the layer, its arguments, the shape of a batch.
LAYERS: dict[str, tuple[str, tuple[Any, ...], Shape]] = {
    "3×3, 3 → 64, 32²": convolution(3, 64, 32, 32),
    "3×3, 16 → 16, 32²": convolution(16, 16, 32, 64),
    "3×3, 32 → 32, 16²": convolution(32, 32, 16, 128),
    "3×3, 64 → 64, 32²": convolution(64, 64, 32, 16),
    "3×3, 128 → 128, 16²": convolution(128, 128, 16, 32),
    "3×3, 256 → 256, 8²": convolution(256, 256, 8, 64),
    "3×3, stride 2, 16 → 32, 32²": convolution(16, 32, 32, 64, stride=2),
    "1×1, 64 → 256, 28²": convolution(64, 256, 28, 16, kernel=1),
    "5×5, 6 → 16, 14²": convolution(6, 16, 14, 128, kernel=5),
    "depthwise 3×3, 144 channels, 56²": convolution(144, 144, 56, 8, groups=144),
    "depthwise 7×7, 96 channels, 56²": convolution(96, 96, 56, 4, kernel=7, groups=96),
    "grouped 3×3, 32 groups of 4, 56²": convolution(128, 128, 56, 4, groups=32),
    "Dense(3136, 128)": ("Dense", (3136, 128), (128, 3136)),
    "Dense(192, 768)": ("Dense", (192, 768), (16, 197, 192)),
    "BatchNorm2d(64), 56²": ("BatchNorm2d", (64,), (8, 64, 56, 56)),
    "LayerNorm(768)": ("LayerNorm", (768,), (16, 196, 768)),
    "GroupNorm(32, 256), 28²": ("GroupNorm", (32, 256), (8, 256, 28, 28)),
    "MaxPool2d(2), 64 channels, 56²": ("MaxPool2d", (2,), (8, 64, 56, 56)),
    "MaxPool2d(3, 2, 1), 64 channels, 112²": ("MaxPool2d", (3, 2, 1), (8, 64, 112, 112)),
    "AvgPool2d(8), 64 channels, 8²": ("AvgPool2d", (8,), (128, 64, 8, 8)),
    "ReLU": ("ReLU", (), (16, 64, 56, 56)),
    "GELU": ("GELU", (), (16, 196, 768)),
    "SiLU": ("SiLU", (), (16, 64, 56, 56)),
    "Softmax": ("Softmax", (-1,), (16, 3, 197, 197)),
    "MultiheadAttention(192, 3)": ("MultiheadAttention", (192, 3), (16, 197, 192)),
}


class Ours:
    """A layer alone in a model, whose calls are timed one by one.

    Args:
        kind: Its class.
        arguments: Of the class.
        x: A batch.
        compiled: Whether it runs compiled.
        patches: Whether a convolution may go by Winograd's patches.
    """

    def __init__(self, kind: str, arguments: tuple[Any, ...], x: Any, compiled: bool, patches: bool = True) -> None:
        self.layer = getattr(cn, kind)(*arguments)
        model = cn.Model([self.layer], compiled=compiled)
        self.by_patches = False
        if compiled:
            from colonnade.compiled import patches as by_patches

            suits = by_patches.suits

            def choose(*shapes: Any) -> bool:
                chosen = patches and suits(*shapes)
                self.by_patches |= chosen
                return chosen

            with mock.patch.object(by_patches, "suits", choose):
                self.plan = model.plan(x.shape, training=True)
        else:
            self.plan = model.plan(x.shape, training=True)
        memory = Memory()
        memory.fit(self.plan)
        self.executor, self.x = TimedExecutor(self.plan, memory, 0), x
        self.model = model  # whose parameters the steps hold
        self.shape = self.plan.results[0].shape

    @property
    def leaf(self) -> bool:
        """Whether a compiled leaf does the work."""
        return self.plan.steps[0].compiled

    @property
    def flops(self) -> float:
        """Multiplications and additions of a forward pass, as the layer's formula has them."""
        return 2.0 * len(self.x) * self.layer.multiplications(self.x.shape[1:])

    def run(self) -> Times:
        np.copyto(self.executor.view(self.plan.sources[0], "value"), self.x)
        forward = self._spent(self.executor.forward)
        self.executor.view(self.plan.results[0], "grad")[...] = 1
        return forward, self._spent(self.executor.backward)

    def _spent(self, run: Callable[[], None]) -> float:
        self.executor.spans.clear()
        run()
        return sum(seconds for _, seconds in self.executor.spans)


class Theirs:
    """The same in PyTorch."""

    def __init__(self, kind: str, arguments: tuple[Any, ...], x: Any, layout: torch.memory_format) -> None:
        if kind == "MultiheadAttention":
            attention = torch.nn.MultiheadAttention(*arguments, batch_first=True)
            self.called: Callable[[Any], Any] = lambda x: attention(x, x, x, need_weights=False)[0]
        else:
            self.called = getattr(torch.nn, {"Dense": "Linear"}.get(kind, kind))(*arguments).to(memory_format=layout)
        self.x = torch.from_numpy(x).to(memory_format=layout).requires_grad_()
        self.grad = torch.ones(self.called(self.x).shape).to(memory_format=layout)

    def run(self) -> Times:
        self.x.grad = None
        started = time.perf_counter()
        y = self.called(self.x)
        between = time.perf_counter()
        y.backward(self.grad)
        return between - started, time.perf_counter() - between


def measured(names: list[str], runs: int = RUNS) -> list[Record]:
    """The medians of each layer: seconds forward and backward by contender, and what there is to multiply."""
    torch.set_num_threads(1)
    cn.set_threads(1)
    found = []
    for name, (kind, arguments, shape) in LAYERS.items():
        if names and not name.startswith(tuple(names)):
            continue
        x = np.random.default_rng(0).standard_normal(shape, np.float32)
        sides: dict[str, Any] = {"NumPy": Ours(kind, arguments, x, False)}
        sides["tiles"] = Ours(kind, arguments, x, True, patches=False)
        chosen = Ours(kind, arguments, x, True)
        if chosen.by_patches:
            sides["Winograd"] = chosen
        if not chosen.leaf:
            del sides["tiles"]
        layouts = [torch.contiguous_format] + [torch.channels_last] * (x.ndim == 4)
        others = [Theirs(kind, arguments, x, layout) for layout in layouts]
        rounds = [[side.run() for side in (*sides.values(), *others)] for _ in range(runs + 2)][2:]
        medians = [tuple(map(statistics.median, zip(*times, strict=True))) for times in zip(*rounds, strict=True)]
        seconds = dict(zip(sides, medians, strict=False))
        seconds["PyTorch"] = min(medians[len(sides) :], key=sum)
        flops = sides["NumPy"].flops if kind in ("Conv2d", "Dense") else 0.0
        found.append({"name": name, "flops": flops, "seconds": seconds})
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of layers, or their beginnings")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--json", action="store_true", help="what report.py reads")
    given = parser.parse_args()
    layers = measured(given.names, given.runs)
    if given.json:
        print(json.dumps(layers))
    else:
        import report
        from peak import peak

        print(report.layers_tables(layers, peak()))
