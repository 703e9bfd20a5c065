"""The cases that ONNX tests its own operators with, run by our backend, and those that are left out, with why."""

from __future__ import annotations

import re
import unittest
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import onnx
from onnx.backend.test import BackendTest
from onnx.backend.test.loader import load_model_tests

from colonnade.formats.onnx.backend import ColonnadeBackend, Prepared
from colonnade.formats.onnx.conversions import CONVERSIONS

OPERATORS = {*CONVERSIONS, "Constant"}

# Cases of these operators that are left out, by what their names hold.
EXCLUDED = {
    r"_to_FLOAT[84]|_e4m3fn|_e5m2|float4e2m1": "float8 and float4",
    r"_blocked": "a grid for blocks of numbers",
    r"dynamicquantizelinear.*_expanded": "a grid that is computed from the images",
    r"(hann|hamming|blackman)window(_symmetric)?_expanded": "windows for signals, of a length: nothing is left for "
    "layers to run",
    r"maxpool_with_argmax": "the places of the maxima: a layer has one output",
    r"batchnorm_.*training_mode": "the statistics of a batch as outputs: a layer has one",
    r"test_training_dropout(_default)?(_mask)?$": "random numbers, which ONNX leaves to whoever draws them",
    r"_empty_set|tri[lu]_zero|allowzero_reordered": "tensors without numbers",
    r"test_equal_string|strnorm": "text",
    r"identity_(sequence|opt)|if_(seq|opt)|loop1[36]_seq": "sequences of tensors, tensors that may be missing",
    r"lstm_with_peepholes": "gates that look at the cell",
    r"^test_range_.*_expanded": "a loop over numbers that are known: nothing is left for layers to run",
    r"dft_inverse(_opset19)?$": "numbers that are zero, but for ONNX's own rounding",
    r"downsample_scales_(linear|cubic)_align_corners": "corners of sizes that are not whole, which ONNX Runtime and "
    "PyTorch round",
}


class Case(NamedTuple):
    """One of ONNX's tests.

    Attributes:
        name: As ONNX calls it.
        kind: "Node", "Simple", "PyTorchConverted", "PyTorchOperator" or "Real".
        operators: What it is made of.
        run: Raises where it fails.
    """

    name: str
    kind: str
    operators: frozenset[str]
    run: Callable[[], object]

    @property
    def claimed(self) -> bool:
        """Whether it has our operators only."""
        return self.operators <= OPERATORS

    @property
    def excluded(self) -> str | None:
        """Why it is left out, or None."""
        return next((reason for pattern, reason in EXCLUDED.items() if re.search(pattern, self.name)), None)


class Outcome(NamedTuple):
    """How a case went.

    Attributes:
        case: Which.
        batched: Whether it ran as a batch, rather than as one image; None if it failed.
        error: What it failed with.
    """

    case: Case
    batched: bool | None
    error: str | None


class Watched(ColonnadeBackend):
    """Keeps what was prepared last, to ask how it ran."""

    last: Prepared | None = None

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **options: Any) -> Prepared:
        Watched.last = super().prepare(model, device, **options)
        return Watched.last


@lru_cache
def cases() -> tuple[Case, ...]:
    """All of ONNX's tests that run on a CPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are computed with overflows when they are loaded
        classes = BackendTest(Watched, __name__).test_cases
        models = {f"{case.name}_cpu": case.model for case in load_model_tests(kind="node")}
    return tuple(_cases(classes, models))


def _cases(classes: dict[str, Any], models: dict[str, onnx.ModelProto]) -> Iterator[Case]:
    for kind, tests in classes.items():
        for name in vars(tests):
            if name.startswith("test_") and name.endswith("_cpu"):
                model = models.get(name) or _stored(name.removesuffix("_cpu"))
                test = tests(name)
                plain = kind.removeprefix("OnnxBackend").removesuffix("ModelTest")
                yield Case(name.removesuffix("_cpu"), plain, _operators(model), getattr(test, name))


def _stored(name: str) -> onnx.ModelProto | None:
    """A model that comes as a file of the package."""
    root = Path(onnx.__file__).parent / "backend" / "test" / "data"
    folders = [root / kind / name / "model.onnx" for kind in ("simple", "pytorch-converted", "pytorch-operator")]
    light = root / "light" / f"{name.replace('test_', 'light_')}.onnx"
    return next((onnx.load(path) for path in (*folders, light) if path.exists()), None)


def _operators(model: onnx.ModelProto | None) -> frozenset[str]:
    nodes = [] if model is None else model.graph.node
    return frozenset(
        node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}" for node in nodes
    )


@lru_cache
def outcomes(kind: str) -> tuple[Outcome, ...]:
    """How the cases of one kind went, those of our operators."""
    return tuple(outcome(case) for case in cases() if case.kind == kind and case.claimed)


def outcome(case: Case) -> Outcome:
    """Run one."""
    Watched.last = None
    try:
        case.run()
    except unittest.SkipTest as skipped:
        return Outcome(case, None, f"skipped: {skipped}")
    except Exception as error:
        return Outcome(case, None, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    return Outcome(case, Watched.last.batched if Watched.last else None, None)
