"""Single layers, forward and backward, against PyTorch on one thread: processor time, medians of interleaved runs.

Counted is what the layer does by itself: not the copies at the model's door. PyTorch is taken in the better of its
two layouts. Usage: python benchmarks/layers.py [NAME ...], names from the table below or their beginnings.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import colonnade as cn

REPEATS = 9
ACTIONS = ("begin_forward", "sum_forward", "forward", "begin_backward", "sum_backward", "backward")


def depthwise(channels: int, kernel: int, stride: int = 1) -> tuple[str, tuple[Any, ...]]:
    return "Conv2d", (channels, channels, kernel, stride, kernel // 2, 1, channels, False)


def grouped(channels: int, groups: int) -> tuple[str, tuple[Any, ...]]:
    return "Conv2d", (channels, channels, 3, 1, 1, 1, groups, False)


# Name: the layer, its arguments, the shape of a batch.
LAYERS: dict[str, tuple[tuple[str, tuple[Any, ...]], tuple[int, ...]]] = {
    "depthwise 3×3, 16 channels, 112²": (depthwise(16, 3), (8, 16, 112, 112)),
    "depthwise 3×3, 144 channels, 56²": (depthwise(144, 3), (8, 144, 56, 56)),
    "depthwise 3×3, stride 2, 144 channels, 56²": (depthwise(144, 3, 2), (8, 144, 56, 56)),
    "depthwise 3×3, 960 channels, 7²": (depthwise(960, 3), (32, 960, 7, 7)),
    "depthwise 5×5, 672 channels, 14²": (depthwise(672, 5), (16, 672, 14, 14)),
    "depthwise 7×7, 96 channels, 56²": (depthwise(96, 7), (4, 96, 56, 56)),
    "depthwise 7×7, 768 channels, 7²": (depthwise(768, 7), (32, 768, 7, 7)),
    "grouped 3×3, 32 groups of 4, 56²": (grouped(128, 32), (4, 128, 56, 56)),
    "grouped 3×3, 32 groups of 8, 28²": (grouped(256, 32), (8, 256, 28, 28)),
    "MaxPool2d(3, 2, 1), 64 channels, 112²": (("MaxPool2d", (3, 2, 1)), (8, 64, 112, 112)),
    "AdaptiveMaxPool2d(7), 256 channels, 14²": (("AdaptiveMaxPool2d", (7,)), (16, 256, 14, 14)),
    "AdaptiveMaxPool2d(6), 256 channels, 13²": (("AdaptiveMaxPool2d", (6,)), (16, 256, 13, 13)),
    "AvgPool2d(8), 64 channels, 8²": (("AvgPool2d", (8,)), (128, 64, 8, 8)),
    "LayerNorm(768)": (("LayerNorm", (768,)), (16, 196, 768)),
    "GroupNorm(32, 256), 28²": (("GroupNorm", (32, 256)), (8, 256, 28, 28)),
    "BatchNorm2d(64), 56²": (("BatchNorm2d", (64,)), (8, 64, 56, 56)),
    "GELU": (("GELU", ()), (16, 196, 768)),
    "SiLU": (("SiLU", ()), (16, 64, 56, 56)),
}


def ours(name: str, arguments: tuple[Any, ...], x: np.ndarray) -> tuple[Callable[[], float], tuple[int, ...]]:
    """What runs the layer once and returns its time in ms; and the shape of the output."""
    layer, spent = getattr(cn, name)(*arguments), [0.0]

    def timed(method: Callable[..., None]) -> Callable[..., None]:
        def call(*values: Any) -> None:
            start = time.thread_time()
            method(*values)
            spent[0] += time.thread_time() - start

        return call

    for action in ACTIONS:
        setattr(layer, action, timed(getattr(layer, action)))
    model = cn.Model([layer])
    grad = np.ones_like(model(x, training=True))

    def run() -> float:
        spent[0] = 0.0
        model(x, training=True)
        model.backward(grad)
        return 1e3 * spent[0]

    return run, grad.shape


def theirs(
    name: str, arguments: tuple[Any, ...], x: np.ndarray, outputs: tuple[int, ...], memory_format: torch.memory_format
) -> Callable[[], float]:
    """The same for PyTorch."""
    layer = getattr(torch.nn, name)(*arguments)
    values = torch.tensor(x).to(memory_format=memory_format).requires_grad_()
    grad = torch.ones(outputs).to(memory_format=memory_format)

    def run() -> float:
        values.grad = None
        start = time.thread_time()
        layer(values).backward(grad)
        return 1e3 * (time.thread_time() - start)

    return run


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    cn.set_threads(1)
    print("| layer | ms | PyTorch, ms | ÷ PyTorch |\n| --- | ---: | ---: | ---: |")
    for title, ((name, arguments), shape) in LAYERS.items():
        if names and not title.startswith(tuple(names)):
            continue
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        run, outputs = ours(name, arguments, x)
        formats = [torch.contiguous_format] + [torch.channels_last] * (x.ndim == 4)
        sides = [run, *(theirs(name, arguments, x, outputs, memory_format) for memory_format in formats)]
        rounds = [[side() for side in sides] for _ in range(REPEATS + 1)][1:]
        mine, *others = (statistics.median(times) for times in zip(*rounds, strict=True))
        print(f"| {title} | {mine:.1f} | {min(others):.1f} | {mine / min(others):.1f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
