"""Checks for layers and models, your own included: the whole contract of docs/architecture.md, on one layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from . import workers
from .compiled import wanted
from .composites import Chain, Node, construct, describe
from .layers.base import Layer
from .model import Model
from .ops.layout import Array
from .plan import cutting
from .steps import Edge, Step
from .tensor import Shape

STEP = 1e-5  # of the central differences: its truncation and its rounding, in float64, are about equal
TOLERANCE = 1e-6  # relative error of a gradient
FLOAT32 = 1e-5  # error of what is compiled, of the largest number

# How a batch is cut: the bytes of a block, the most lanes, and the images of a lane at least.
WHOLE = 1 << 40, 1, 32
PARTS = 1, 4, 1


def check_layer(
    layer: Node,
    input_shape: Sequence[int],
    *,
    images: int = 5,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    compiled: bool | None = None,
) -> None:
    """Hold a layer, or a composite of layers, to the contract; raises AssertionError with what failed.

    - The output has the shape that `build` promised, and the model's type, float32 and float64.
    - In float64 the gradients at the input and at every parameter agree with central differences,
      |g − ĝ| / max(|g|, |ĝ|, 1e-2) below `tolerance`, and they add up over two passes.
    - Block by block gives what the whole batch gives.
    - Sharing memory, with any number of threads, gives the same bits as sharing nothing.
    - With everything filled with NaN that backward does not declare to read, the gradients are the same bits.
    - What is saved and loaded gives the same bits.
    - Compiled, whole and block by block, outputs and gradients are those of NumPy, the error at most 1e-5 of the
      largest; with the memory and the threads it is as in NumPy.

    Args:
        layer: It is constructed anew from its arguments, and not changed.
        input_shape: One image's shape, (c, h, w), or whatever the layer takes.
        images: How many images to try it on.
        seed: Of the inputs and the weights.
        tolerance: Greatest relative error of a gradient.
        compiled: Whether to try it compiled as well; None for wherever models run so.

    A layer with kinks (ReLU, max pooling) is tried on inputs that are well apart from one another and from zero.
    """
    check = Check(layer, tuple(input_shape), images, seed, tolerance)
    check.run()
    if wanted(compiled, np.float32):
        check.run_compiled()


def check_model(
    model: Model,
    input_shape: Sequence[int],
    *,
    images: int = 5,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    compiled: bool | None = None,
) -> None:
    """As :func:`check_layer`, for all layers of a model."""
    body = Chain(model.layers)
    check_layer(body, input_shape, images=images, seed=seed, tolerance=tolerance, compiled=compiled)


class Check:
    """One layer on one input, tried in every way."""

    def __init__(self, layer: Node, input_shape: Shape, images: int, seed: int, tolerance: float) -> None:
        self.layer, self.seed, self.tolerance = layer, seed, tolerance
        self.rng = np.random.default_rng(seed)
        self.x = distinct((images, *input_shape), self.rng)  # float64
        self.name = type(layer).__name__

    def run(self) -> None:
        """Every check in NumPy, the simplest first."""
        with on_threads(1):  # to hand over so small a pass takes longer than to compute it; memory() has its own
            self.shapes()
            self.gradients()
            self.blocks()
            self.memory()
            self.poison()
            self.saving()

    def run_compiled(self) -> None:
        """Every check that compiled functions need."""
        self.agreement()
        self.memory(compiled=True)
        self.poison(compiled=True)

    def fail(self, message: str) -> None:
        """Say what failed."""
        raise AssertionError(f"{self.name}: {message}")

    def model(self, dtype: str = "float64", share_memory: bool = True, compiled: bool = False) -> Model:
        """A fresh model of the layer alone, its parameters well away from the zeros and ones they begin with."""
        layers = construct(describe([self.layer]), {each.__name__: each for each in own_classes(self.layer)})
        model = Model(layers, seed=self.seed, dtype=dtype, share_memory=share_memory, compiled=compiled)
        model.build(self.x.shape[1:])
        rng = np.random.default_rng(self.seed + 1)
        for parameter in model.parameters():
            parameter.value[...] += rng.uniform(-0.3, 0.3, parameter.shape)
        return model

    def passes(self, model: Model, between: Callable[[Model], None] = lambda model: None) -> dict[str, Array]:
        """Output, gradients and statistics of a training pass, and the output that a model has behind it."""
        model.zero_grad()
        y = model(self.x, training=True)
        between(model)
        grad_x = model.backward(self.direction(y))
        assert grad_x is not None
        found = {"output": y, "gradient at the input": grad_x}
        found |= {f"gradient at {parameter.name}": parameter.grad.copy() for parameter in model.parameters()}
        return found | model.state_dict() | {"output outside training": model(self.x)}

    def direction(self, y: Array) -> Array:
        """A fixed gradient at the output: the slope is taken along it."""
        return np.random.default_rng(self.seed + 2).normal(size=y.shape).astype(y.dtype)

    def shapes(self) -> None:
        """The output is what `build` promised."""
        for dtype in ("float32", "float64"):
            model = self.model(dtype)
            promised = (len(self.x), *(model.output_shape or ()))
            for training in (False, True):
                y = model(self.x, training=training)
                if y.shape != promised:
                    self.fail(f"build promised an output of shape {promised}, forward gave {y.shape}.")
                if y.dtype != dtype:
                    self.fail(f"a model of {dtype} gave an output of {y.dtype}.")

    def gradients(self) -> None:
        """Backward agrees with central differences, and adds up."""
        model = self.model()
        grad_x = self.passes(model)["gradient at the input"]
        slope = self.direction(model(self.x, training=True))
        # The pass just made left the parameters' gradients as they were: its backward has not run.
        grads = {parameter.name: parameter.grad.copy() for parameter in model.parameters()}

        def value() -> float:
            return math.fsum((model(self.x, training=True) * slope).ravel())

        self.compare("the input", grad_x, differences(value, self.x, self.rng))
        for parameter in model.parameters():
            numeric = differences(value, parameter.value, self.rng)
            self.compare(parameter.name, grads[parameter.name], numeric)
        model(self.x, training=True)
        model.backward(slope)
        for parameter in model.parameters():
            if not np.allclose(parameter.grad, 2 * grads[parameter.name], rtol=1e-9, atol=1e-12):
                self.fail(f"a second backward pass did not add to the gradient of {parameter.name}.")

    def compare(self, name: str, computed: Array, numeric: dict[tuple[int, ...], float]) -> None:
        """Hold some entries of a gradient against their differences."""
        for index, expected in numeric.items():
            got = float(computed[index])
            error = abs(got - expected) / max(abs(got), abs(expected), 1e-2)
            if not error < self.tolerance:
                self.fail(
                    f"gradient at {name}, entry {index}: backward gives {got:.9g}, differences give {expected:.9g}, "
                    f"a relative error of {error:.1e}."
                )

    def blocks(self) -> None:
        """Image by image gives what the whole batch at once gives."""
        with cut_as(*WHOLE):
            whole = self.passes(self.model())
        with cut_as(*PARTS):
            parts = self.passes(self.model())
        for name, one in whole.items():
            if not np.allclose(one, parts[name], rtol=1e-9, atol=1e-9, equal_nan=True):
                difference = np.abs(one - parts[name]).max()
                self.fail(f"block by block differs from the whole batch by {difference:.2e}, {name}.")

    def agreement(self) -> None:
        """Compiled, whole or block by block, it gives what NumPy gives in float64."""
        exact, rounded = self.passes(self.model()), self.passes(self.model("float32"))
        sizes = {name: max(float(np.abs(value).max(initial=0)), 1e-6) for name, value in exact.items()}
        gradients = [name for name in exact if name.startswith("gradient")]
        # What a bias's gradient sums may cancel: it is held to that of its weight, which sums the same times x.
        for name in gradients:
            if name.endswith("bias"):
                sizes[name] = max(sizes[name], sizes.get(f"{name.removesuffix('bias')}weight", 0.0))
        # Behind batch norm a gradient may be nothing but rounding: it is held to that of the others.
        largest = max(sizes[name] for name in gradients)
        sizes |= {name: largest for name in gradients if sizes[name] < 1e-4 * largest}

        def error(got: dict[str, Array], name: str) -> float:
            return float(np.abs(got[name] - exact[name]).max(initial=0.0) / sizes[name])

        for cut in (WHOLE, PARTS):
            with cut_as(*cut):
                got = self.passes(self.model("float32", compiled=True))
            for name in exact:
                if got[name].dtype != rounded[name].dtype:
                    self.fail(f"compiled, {name} is of {got[name].dtype}, in NumPy of {rounded[name].dtype}.")
                # Some sums of many numbers lose more than that in float32, however they are computed.
                if not error(got, name) <= max(FLOAT32, 2 * error(rounded, name)):
                    self.fail(f"compiled, {name} differs from NumPy's by {error(got, name):.1e} of the largest.")

    def memory(self, compiled: bool = False) -> None:
        """Shared memory, and any number of threads, give the bits of the reference that shares nothing."""
        for cut, counts in ((WHOLE, (2,)), (PARTS, (1, 2, 3, 5))):  # the whole is one thread's
            with cut_as(*cut):
                expected = self.passes(self.model("float32", False, compiled))
                for count in counts:
                    with on_threads(count):
                        got = self.passes(self.model("float32", compiled=compiled))
                    self.same_bits(expected, got, f"sharing memory, with {count} threads,")

    def poison(self, compiled: bool = False) -> None:
        """What backward does not declare to read may hold anything."""
        expected = self.passes(self.model("float32", compiled=compiled))
        for share in (True, False):
            got = self.passes(self.model("float32", share, compiled), between=poison_undeclared)
            self.same_bits(expected, got, "filling with NaN what backward does not declare to read")

    def saving(self) -> None:
        """A saved model is the same model."""
        import tempfile  # only those who check a layer need it

        from .formats import load

        model = self.model()  # of float64, as which it is loaded again to run in NumPy too
        model(self.x, training=True)  # moves running statistics
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/model.safetensors"
            model.save(path)
            again = load(path, custom=own_classes(self.layer))
        self.same_bits({"output": model(self.x)}, {"output": again(self.x)}, "saving and loading")

    def same_bits(self, expected: dict[str, Array], got: dict[str, Array], doing: str) -> None:
        """Fail unless all arrays are equal to the last bit."""
        for name, value in expected.items():
            if value.tobytes() != got[name].tobytes():
                self.fail(f"{doing} changed the result, {name}.")


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Passes run on so many threads, meanwhile."""
    before = workers.get_threads()
    workers.set_threads(count)
    try:
        yield
    finally:
        workers.set_threads(before)


@contextmanager
def cut_as(block_bytes: int, lanes: int, lane_images: int) -> Iterator[None]:
    """Batches are cut so, meanwhile."""
    before = cutting.BLOCK_BYTES, cutting.LANES, cutting.LANE_IMAGES
    cutting.BLOCK_BYTES, cutting.LANES, cutting.LANE_IMAGES = block_bytes, lanes, lane_images
    try:
        yield
    finally:
        cutting.BLOCK_BYTES, cutting.LANES, cutting.LANE_IMAGES = before


def poison_undeclared(model: Model) -> None:
    """Between forward and backward: fill with NaN whatever backward does not declare to read."""
    assert model.pending is not None
    model.pending.poison()


def own_classes(node: Node) -> list[type[Layer]]:
    """The classes of all leaves in a layer or composite."""
    steps: list[Step] = []
    Chain([node]).unroll([Edge()], "", steps)
    return [type(step.layer) for step in steps]


def distinct(shape: Shape, rng: np.random.Generator) -> Array:
    """Numbers between −2 and 2, all different by much more than a difference's step, and none near zero."""
    count = math.prod(shape)
    values = (np.arange(count) + 0.3) * (4.0 / count) - 2.0
    return rng.permutation(values).reshape(shape)


def differences(
    value: Callable[[], float], array: Array, rng: np.random.Generator, most: int = 40
) -> dict[tuple[int, ...], float]:
    """Central differences of `value` along some entries of `array`, (f(a + h) − f(a − h)) / 2h, by index."""
    chosen = rng.permutation(array.size)[:most]
    slopes: dict[tuple[int, ...], float] = {}
    for flat in chosen:
        index = tuple(int(i) for i in np.unravel_index(flat, array.shape))
        before = float(array[index])
        array[index] = before + STEP
        above = value()
        array[index] = before - STEP
        below = value()
        array[index] = before
        slopes[index] = (above - below) / (2 * STEP)
    return slopes
