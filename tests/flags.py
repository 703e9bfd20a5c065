"""Every combination of the flags of every layer that has several, each with one image's shape."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any

import colonnade as cn

BOTH = (True, False)


def combinations(kind: Any, arguments: tuple[Any, ...], shape: tuple[int, ...], **flags: Any) -> Iterator[Any]:
    for values in product(*flags.values()):
        given = dict(zip(flags, values, strict=True))
        yield partial(kind, *arguments, **given), shape


def flagged() -> Iterator[Any]:
    norm = {"affine": BOTH, "track_running_stats": BOTH, "momentum": (None, 0.0, 0.3), "bias": BOTH}
    yield from combinations(cn.BatchNorm2d, (3,), (3, 4, 2), **norm)
    flags = {"affine": BOTH, "track_running_stats": BOTH, "bias": BOTH}
    yield from combinations(cn.BatchNorm1d, (3,), (3,), **flags)
    yield from combinations(cn.BatchNorm1d, (3,), (3, 4), **flags)
    yield from combinations(cn.InstanceNorm1d, (3,), (3, 4), **flags)
    yield from combinations(cn.InstanceNorm2d, (3,), (3, 4, 2), **norm)
    yield from combinations(cn.GroupNorm, (2, 4), (4, 3), affine=BOTH, bias=BOTH)
    yield from combinations(cn.LayerNorm, (5,), (3, 5), elementwise_affine=BOTH, bias=BOTH)
    yield from combinations(cn.Conv1d, (4, 6, 3), (4, 7), bias=BOTH, groups=(1, 2), padding=("same", "valid", 1))
    yield from combinations(cn.Conv2d, (4, 6, 3), (4, 5, 4), bias=BOTH, groups=(1, 2), padding=("same", "valid", 1))
    yield from combinations(
        cn.ConvTranspose2d, (4, 6, 3, 2), (4, 3, 2), bias=BOTH, groups=(1, 2), output_padding=(0, 1)
    )
    yield from combinations(cn.MaxPool1d, (3, 2, 1), (2, 7), dilation=(1, 2), ceil_mode=BOTH)
    yield from combinations(cn.MaxPool2d, (3, 2, 1), (2, 7, 6), dilation=(1, 2), ceil_mode=BOTH)
    yield from combinations(cn.AvgPool1d, (3, 2, 1), (2, 7), ceil_mode=BOTH, count_include_pad=BOTH)
    averages = {"ceil_mode": BOTH, "count_include_pad": BOTH, "divisor_override": (None, 4, -2)}
    yield from combinations(cn.AvgPool2d, (3, 2, 1), (2, 7, 6), **averages)
    yield from combinations(cn.AvgPool2d, (2,), (2, 4, 6), **averages)
    added = {"add_bias_kv": BOTH, "add_zero_attn": BOTH}
    yield from combinations(cn.MultiheadAttention, (4, 2), (3, 4), bias=BOTH, batch_first=(True,), **added)
    corners = {"align_corners": (None, *BOTH), "recompute_scale_factor": (None, *BOTH)}
    yield from combinations(cn.Upsample, (), (2, 3, 4), scale_factor=((1.7, 2.3),), mode=("bilinear",), **corners)
    yield from combinations(cn.Dense, (4, 3), (4,), bias=BOTH)
    yield from combinations(cn.PReLU, (), (3, 2), num_parameters=(1, 3))
    yield from combinations(cn.GELU, (), (5,), approximate=("none", "tanh"))
    for kind in (cn.Sum, cn.Mean, cn.Prod, cn.Amax, cn.Amin, cn.LogSumExp):
        yield from combinations(kind, (), (2, 3), dim=(None, 2, (1, 2)), keepdim=BOTH)


FLAGS = list(flagged())
IDS = [f"{make.func.__name__}{make.args}{make.keywords}".replace(" ", "") for make, _ in FLAGS]


# Those that PyTorch can't be held beside: they are random, or PyTorch does in place what it then has no gradient of.
def alone() -> Iterator[Any]:
    for kind in (cn.ReLU, cn.ReLU6, cn.LeakyReLU, cn.ELU, cn.SELU, cn.CELU, cn.SiLU, cn.Mish, cn.Hardswish):
        yield from combinations(kind, (), (5,), inplace=BOTH)
    for kind in (cn.Hardsigmoid, cn.Hardtanh):
        yield from combinations(kind, (), (5,), inplace=BOTH)
    yield from combinations(cn.Threshold, (0.1, 0.5), (5,), inplace=BOTH)
    yield from combinations(cn.Dropout, (0.3,), (2, 3), inplace=BOTH)
    yield from combinations(cn.Dropout2d, (0.3,), (5, 2, 3), inplace=BOTH)
    yield from combinations(cn.MultiheadAttention, (4, 2, 0.3), (3, 4), bias=BOTH)
    flags = {"exclude_outside": BOTH, "antialias": BOTH, "mode": ("linear", "cubic")}
    yield from combinations(cn.Resize, ((2, 6),), (2, 3, 4), **flags)


ALONE = list(alone())
ALONE_IDS = [f"{make.func.__name__}{make.args}{make.keywords}".replace(" ", "") for make, _ in ALONE]
