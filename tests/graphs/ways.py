"""A graph at random in float32: compiled and in NumPy, saved and loaded, exported to ONNX, run there, and read again.

The truth is the same network in float64. How far float32 may be from it is told by the network itself: by how far its
own numbers go when its weights and images move by what float32 rounds.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import colonnade as cn
from colonnade.errors import ArgumentError, FileFormatError
from tests.graphs.checking import Case, several
from tests.graphs.drawing import Array

ROUNDING = 2.0**-23
MOVES = 3  # of weights and images: what is allowed is told from them
TRIES = 4  # of batches: near a kink float32 may stand on its other side
Results = list[tuple[str, Array]]


def check_ways(seed: int) -> str:
    """Hold the graph of a seed in float32 to the one in float64, whatever way it goes; returns which ways it went.

    Raises:
        AssertionError: What disagrees, with the seed and the graph.
    """
    case = Case(seed)
    try:
        with case.cut():
            return _check(case)
    except Exception as error:
        graph = cn.Graph(case.drawn.nodes, case.drawn.inputs, case.drawn.outputs)
        shapes = {name: case.drawn.shapes[name] for name in (*case.drawn.inputs, *case.drawn.nodes)}
        raise AssertionError(
            f"seed {seed}: {type(error).__name__}: {error}\n{graph!r}\nshapes: {shapes}\nfrozen: {case.drawn.frozen}; "
            f"{case.images} images\nreplay: scripts/graphs --ways --seed {seed}"
        ) from error


def _check(case: Case) -> str:
    for left in reversed(range(TRIES)):
        try:
            _learn(case)
            break
        except AssertionError:
            if not left:
                raise
    with tempfile.TemporaryDirectory() as made:
        return _travel(case, Path(made))


def _model(case: Case, state: dict[str, Array], **options: Any) -> cn.Model:
    model = case.model(**options)
    model.load_state_dict(state)
    return model


def _state(case: Case) -> dict[str, Array]:
    """Weights that float32 can hold."""
    return {name: _rounded(array) for name, array in case.model().state_dict().items()}


def _rounded(array: Array) -> Array:
    return array.astype(np.float32).astype(array.dtype) if array.dtype.kind == "f" else array


def _moved(case: Case, array: Array) -> Array:
    """An array, each number moved by what float32 rounds."""
    if array.dtype.kind != "f":
        return array
    return np.asarray(array * (1 + 4 * ROUNDING * case.dice.rng.normal(size=array.shape)))


def _batch(case: Case) -> tuple[Array, ...]:
    return tuple(_rounded(x) for x in case.drawn.batch(case.images))


def _as_float32(arrays: Any) -> tuple[Array, ...]:
    return tuple(array.astype(np.float32) for array in arrays)


def _hold(got: Results, truth: Results, moved: list[Results], what: str) -> None:
    """Whether results are those of float64, but for what rounding may do to them."""
    for place, ((name, ours), (_, expected)) in enumerate(zip(got, truth, strict=True)):
        if not np.isfinite(expected).all():
            continue
        scale = max(1e-2, float(np.abs(expected).max(initial=0.0)))
        beside = np.max([np.abs(each[place][1] - expected).max(initial=0.0) for each in moved])
        assert np.shape(ours) == expected.shape, f"{name} {what}: shape {np.shape(ours)}, expected {expected.shape}"
        far = float(np.abs(ours - expected).max(initial=0.0))
        assert far <= 2e-5 * scale + 30 * beside, f"{name} {what}: off by {far:.2e}, of {scale:.2e}; moved {beside:.1e}"


def _learn(case: Case) -> None:
    """A step of training, compiled and in NumPy."""
    state, xs = _state(case), _batch(case)
    shapes = [(case.images, *case.drawn.shapes[name]) for name in case.drawn.outputs]
    grads = tuple(_rounded(case.dice.rng.normal(size=shape)) for shape in shapes)
    truth = case.step(_model(case, state), xs, grads)
    moved = [
        case.step(
            _model(case, {name: _moved(case, array) for name, array in state.items()}),
            tuple(_moved(case, x) for x in xs),
            grads,
        )
        for _ in range(MOVES)
    ]
    for compiled in (True, False):
        model = _model(case, state, dtype="float32", compiled=compiled)
        got = case.step(model, _as_float32(xs), _as_float32(grads))
        _hold(got, truth, moved, "compiled" if compiled else "in NumPy")


def _travel(case: Case, folder: Path) -> str:
    """Outside training: saved and loaded, and by way of ONNX."""
    import onnx

    state = _state(case)
    model = _model(case, state, dtype="float32")
    model.save(folder / "model.safetensors")
    ways, skipped = {"itself": model, "saved and loaded": cn.load(folder / "model.safetensors")}, ""
    try:
        cn.export_onnx(model, folder / "model.onnx")
        exported = onnx.load(folder / "model.onnx")
        del exported.metadata_props[:]  # as in a file of somebody else's
        onnx.save(exported, folder / "model.onnx")
        ways["read from ONNX"] = cn.load(folder / "model.onnx")
    except (ArgumentError, FileFormatError) as error:
        skipped = str(error).rpartition("can't be ")[2] or str(error)
    session = _session(folder / "model.onnx") if (folder / "model.onnx").exists() else None
    for left in reversed(range(TRIES)):
        try:
            _infer(case, state, ways, session)
        except AssertionError:
            if not left:
                raise
        else:
            break
    return skipped or "all ways"


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return onnxruntime.InferenceSession(path.read_bytes(), options, ["CPUExecutionProvider"])


def _infer(case: Case, state: dict[str, Array], ways: dict[str, cn.Model], session: Any) -> None:
    xs = _batch(case)
    truth = _results(case, _model(case, state), xs)
    moved = [
        _results(
            case,
            _model(case, {name: _moved(case, array) for name, array in state.items()}),
            tuple(_moved(case, x) for x in xs),
        )
        for _ in range(MOVES)
    ]
    singles = _as_float32(xs)
    for way, model in ways.items():
        _hold(_results(case, model, singles), truth, moved, way)
    if session is not None:
        given = {each.name: x for each, x in zip(session.get_inputs(), singles, strict=True)}
        outputs = list(zip(case.drawn.outputs, session.run(None, given), strict=True))
        _hold(outputs, truth, moved, "in ONNX Runtime")


def _results(case: Case, model: cn.Model, xs: Any) -> Results:
    outputs = several(model(xs if len(xs) > 1 else xs[0]))
    return list(zip(case.drawn.outputs, outputs, strict=True))
