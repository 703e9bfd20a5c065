"""Graphs at random, held against PyTorch, against the mode that shares no memory, and against differences.

A graph is told by one number, its seed: `check(seed)` draws it, trains two steps of it in every mode, and raises with
the seed and the graph where they disagree. `scripts/graphs N` does so with as many as one likes.
"""

from __future__ import annotations

import argparse
import copy
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

import colonnade as cn
from colonnade.errors import ArgumentError
from colonnade.plan import cutting
from colonnade.plan.rewriting import resting
from tests.graphs.drawing import Array, Drawn

STEP = 1e-6  # of differences


class Case:
    """A drawn graph with all else that belongs to a seed: batch, cut, threads."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.drawn = Drawn(seed)
        dice = self.dice = self.drawn.dice
        # A batch norm of one number a channel can't be trained.
        self.images = dice.number(
            2 if any("BatchNorm" in repr(layer) for layer, *_ in self.drawn.nodes.values()) else 1, 9
        )
        self.block_bytes, self.lanes = 2 ** dice.number(3, 22), dice.number(1, 8)
        self.threads = dice.number(1, 3)
        self.rate = dice.real(0.001, 0.05)

    def model(self, **options: Any) -> cn.Model:
        model = cn.Model(self.drawn.body(), seed=self.seed, **{"dtype": "float64", **options})
        shapes = [self.drawn.shapes[name] for name in self.drawn.inputs]
        model.build(shapes if len(shapes) > 1 else shapes[0])
        if self.drawn.frozen:
            model.freeze(*self.drawn.frozen)
        return model

    @contextmanager
    def cut(self) -> Iterator[None]:
        """With the blocks and threads of this case."""
        before = cutting.BLOCK_BYTES, cutting.LANES, cn.get_threads()
        cutting.BLOCK_BYTES, cutting.LANES = self.block_bytes, self.lanes
        cn.set_threads(self.threads)
        try:
            yield
        finally:
            cutting.BLOCK_BYTES, cutting.LANES = before[:2]
            cn.set_threads(before[2])

    def step(
        self, model: cn.Model, xs: Any, grads: Any, poison: bool = False, at_inputs: bool = True
    ) -> list[tuple[str, Array]]:
        """A step of training: outputs, gradients at the inputs and at every parameter, and what it became."""
        model.zero_grad()
        given = xs if len(xs) > 1 else xs[0]
        outputs = several(model(given, training=True))
        if poison:
            cn.testing.poison_undeclared(model)
        wanted = at_inputs and self.drawn.open
        back = model.backward(grads if len(grads) > 1 else grads[0], input_gradient=wanted)
        got = [(f"output {name}", y) for name, y in zip(self.drawn.outputs, outputs, strict=True)]
        if back is not None:
            names = self.drawn.inputs
            got += [(f"gradient at {name}", grad) for name, grad in zip(names, several(back), strict=True)]
        got += [(f"gradient of {each.name}", each.grad.copy()) for each in model.parameters()]
        if trained := [each for each in model.parameters() if each.trainable]:
            cn.clip_grad_norm(trained, 1.0)  # long steps lead to where everything is a kink
            cn.SGD(trained, lr=self.rate).step()
        got += [(f"{name} after the step", array) for name, array in model.state_dict().items()]
        return got


def several(arrays: Any) -> tuple[Array, ...]:
    return arrays if isinstance(arrays, tuple) else (arrays,)


def check(seed: int) -> str:
    """Hold the graph of a seed to all of it; returns what it was compared with beside itself.

    Raises:
        AssertionError: What disagrees, with the seed and the graph.
    """
    case = Case(seed)
    try:
        return _check(case)
    except Exception as error:
        graph = cn.Graph(case.drawn.nodes, case.drawn.inputs, case.drawn.outputs)
        shapes = {name: case.drawn.shapes[name] for name in (*case.drawn.inputs, *case.drawn.nodes)}
        raise AssertionError(
            f"seed {seed}: {type(error).__name__}: {error}\n{graph!r}\nshapes: {shapes}\nfrozen: {case.drawn.frozen}; "
            f"{case.images} images, blocks of {case.block_bytes} bytes, {case.lanes} lanes, {case.threads} threads\n"
            f"replay: scripts/graphs --seed {seed}"
        ) from error


def _check(case: Case) -> str:
    dice = case.dice
    with case.cut():
        shared, alone = case.model(), case.model(share_memory=False)
        first, lean = case.model(), case.model()
        for _ in range(2):
            xs = case.drawn.batch(case.images)
            grads = [dice.rng.normal(size=(case.images, *case.drawn.shapes[name])) for name in case.drawn.outputs]
            got = case.step(shared, xs, grads)
            same_bits(got, case.step(alone, xs, grads), "without sharing memory")
            same_bits(got, case.step(first, xs, grads, poison=True), "with poison in what backward does not read")
            inner = [(name, array) for name, array in got if not name.startswith("gradient at")]
            same_bits(inner, case.step(lean, xs, grads, at_inputs=False), "without the gradients at the inputs")
        x = xs if len(xs) > 1 else xs[0]
        same_bits(
            list(zip(case.drawn.outputs, several(shared(x)), strict=True)),
            list(zip(case.drawn.outputs, several(alone(x)), strict=True)),
            "outside training, without sharing memory",
        )
        return compare(case)


def same_bits(ours: list[tuple[str, Array]], others: list[tuple[str, Array]], what: str) -> None:
    assert [name for name, _ in ours] == [name for name, _ in others], f"{what}: other results"
    for (name, one), (_, other) in zip(ours, others, strict=True):
        if one.tobytes() != other.tobytes():
            raise AssertionError(f"{name} differs {what} by {np.abs(one - other).max():.2e}")


def compare(case: Case) -> str:
    """Two steps and a pass outside training, beside PyTorch; beside differences where it has no such network."""
    import torch

    model = case.model()
    try:
        if any(isinstance(step.layer, cn.Dropout | cn.Dropout2d) and 0 < step.layer.p < 1 for step in model.steps):
            raise AbsentError("other random numbers")
        twin = Twin(model, case)
        twin.rehearse([torch.from_numpy(x) for x in case.drawn.batch(case.images)])
    except (AbsentError, ArgumentError):
        return differences(case)
    for number in range(2):
        xs, grads, calm = twin.calm_batch()
        if not calm:  # as behind a norm of equal numbers, whose zeros are zeros but for the last bit
            x, y = xs if len(xs) > 1 else xs[0], twin.infer(xs)
            for name, ours_y, theirs in zip(case.drawn.outputs, several(model(x)), y, strict=True):
                agree(ours_y, theirs, f"output {name} outside training")
            return "torch, outputs alone"
        ours = dict(case.step(model, xs, grads))
        for name, theirs in twin.step(xs, grads).items():
            agree(ours[name], theirs, f"{name} in step {number}")
    x = xs if len(xs) > 1 else xs[0]
    for name, ours_y, theirs in zip(case.drawn.outputs, several(model(x)), twin.infer(xs), strict=True):
        agree(ours_y, theirs, f"output {name} outside training")
    return "torch"


class AbsentError(Exception):
    """PyTorch has no such network."""


def agree(ours: Array, theirs: Array, what: str) -> None:
    scale = max(1e-3, float(np.abs(theirs).max(initial=0.0)))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7 * scale, err_msg=what)


class Twin:
    """The network in PyTorch, with the same weights."""

    def __init__(self, model: cn.Model, case: Case) -> None:
        self.case = case
        self.module: Any = model.to_torch().double()
        self.resting = {step.name for step in resting(model.steps)}
        self.parameters = {parameter.name: parameter for parameter in model.parameters()}

    def train(self, module: Any) -> Any:
        module.train()
        for name, each in module.named_modules():
            if name in self.resting:
                each.eval()
        return module

    def rehearse(self, xs: Any) -> None:
        """See whether PyTorch runs it at all."""
        import torch

        try:
            outputs = several(self.train(copy.deepcopy(self.module))(*xs))
        except (RuntimeError, ValueError, NotImplementedError) as error:
            raise AbsentError(str(error)) from None
        if not all(torch.isfinite(y).all() for y in outputs):
            raise AssertionError("PyTorch's output is not finite: the generator should not draw such a graph")

    def run(self, module: Any, xs: Any, grads: Any) -> dict[str, Array]:
        import torch

        leaves = [torch.tensor(x, requires_grad=True) for x in xs]
        module.zero_grad()
        outputs = several(self.train(module)(*leaves))
        pairs = [(y, torch.from_numpy(g)) for y, g in zip(outputs, grads, strict=True) if y.requires_grad]
        if pairs:
            torch.autograd.backward(*zip(*pairs, strict=True))
        drawn = self.case.drawn
        got = {f"output {name}": y for name, y in zip(drawn.outputs, outputs, strict=True)}
        if drawn.open and not self.resting:
            for name, leaf in zip(drawn.inputs, leaves, strict=True):
                got[f"gradient at {name}"] = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        for name in self.parameters:
            parameter = module.get_parameter(name)
            got[f"gradient of {name}"] = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        return {name: each.detach().numpy().copy() for name, each in got.items()}

    def calm_batch(self) -> tuple[Any, Any, bool]:
        """A batch near which, and near whose weights, PyTorch's own results do not jump, as they do at a kink.

        With it gradients at the outputs.
        The last: whether there is one.
        """
        import torch

        case, rng = self.case, self.case.dice.rng
        for _ in range(10):
            xs = case.drawn.batch(case.images)
            grads = [rng.normal(size=(case.images, *case.drawn.shapes[name])) for name in case.drawn.outputs]
            there = self.run(copy.deepcopy(self.module), xs, grads)
            calm = True
            for _ in range(2):
                moved = tuple(x * (1 + 1e-11 * rng.normal(size=x.shape)) for x in xs)
                beside = copy.deepcopy(self.module)
                for each in beside.parameters():  # of which the frameworks' last bits may differ after a step
                    each.data *= 1 + 1e-11 * torch.from_numpy(rng.normal(size=each.shape))
                near = self.run(beside, moved, grads)
                calm = calm and all(close(there[name], near[name]) for name in there)
            if calm:
                break
        return xs, grads, calm

    def step(self, xs: Any, grads: Any) -> dict[str, Array]:
        import torch

        got = self.run(self.module, xs, grads)
        if trained := [each for each in self.module.parameters() if each.requires_grad]:
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            torch.optim.SGD(trained, lr=self.case.rate).step()
        state = {name: each.numpy() for name, each in self.module.state_dict().items()}
        got |= {f"{name} after the step": array.copy() for name, array in state.items()}
        return got

    def infer(self, xs: Any) -> list[Array]:
        import torch

        self.module.eval()
        with torch.no_grad():
            return [y.numpy() for y in several(self.module(*(torch.from_numpy(x) for x in xs)))]


def close(one: Array, other: Array) -> bool:
    return bool(np.allclose(one, other, rtol=1e-7, atol=1e-8 * max(1e-3, float(np.abs(one).max(initial=0.0)))))


def differences(case: Case) -> str:
    """Hold the slope along a random direction, of inputs and of parameters, against central differences.

    Where it differs to the left and to the right there is a kink, and another batch is drawn: ten at the most.
    """
    for _ in range(10):
        expected, before, after, scale = _slopes(case)
        if abs(after - before) <= 2e-5 * scale:
            if abs((before + after) / 2 - expected) > 1e-4 * scale:
                raise AssertionError(f"backward gives a slope of {expected:.9g}, differences {before:.9g}, {after:.9g}")
            return "differences"
    return "itself alone"


def _slopes(case: Case) -> tuple[float, float, float, float]:
    """The slope that backward gives, those of differences to the left and to the right, and how large its terms are."""
    rng, drawn, model = case.dice.rng, case.drawn, case.model()
    xs = drawn.batch(case.images)
    grads = [rng.normal(size=(case.images, *drawn.shapes[name])) for name in drawn.outputs]
    got = dict(case.step(case.model(), xs, grads))
    moved: list[tuple[Array, Array]] = []  # what is moved, and its gradient
    if f"gradient at {drawn.inputs[0]}" in got:
        moved += [(x, got[f"gradient at {name}"]) for x, name in zip(xs, drawn.inputs, strict=True)]
    moved += [(each.value, got[f"gradient of {each.name}"]) for each in model.parameters() if each.trainable]
    ways = [rng.normal(size=place.shape) for place, _ in moved]
    for step in model.steps:
        if isinstance(step.layer, cn.Embedding) and step.layer.padding_idx is not None:
            for way, (place, _) in zip(ways, moved, strict=True):
                if place is step.layer.weight.value:
                    way[step.layer.padding_idx] = 0  # it is not learned
    ends = []
    for shift in (-STEP, STEP, STEP):
        for way, (place, _) in zip(ways, moved, strict=True):
            place += shift * way
        outputs = several(model(xs if len(xs) > 1 else xs[0], training=True))
        ends.append(math.fsum(float((y * grad).sum()) for y, grad in zip(outputs, grads, strict=True)))
    terms = [way * grad for way, (_, grad) in zip(ways, moved, strict=True)]
    scale = max([1.0, *(float(np.abs(each).sum()) for each in terms)])
    slope = math.fsum(float(each.sum()) for each in terms)
    return slope, (ends[1] - ends[0]) / STEP, (ends[2] - ends[1]) / STEP, scale


def main(arguments: Sequence[str] | None = None) -> int:
    """Check as many as are asked for; the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/graphs", description="Networks at random, held against PyTorch.")
    parser.add_argument("count", type=int, nargs="?", default=1000, help="how many graphs")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="one graph, again")
    parser.add_argument("--ways", action="store_true", help="in float32: compiled, saved and loaded, through ONNX")
    options = parser.parse_args(arguments)
    from tests.graphs.ways import check_ways

    hold = check_ways if options.ways else check
    first, count = (options.first, options.count) if options.seed is None else (options.seed, 1)
    compared: Counter[str] = Counter()
    for seed in range(first, first + count):
        try:
            compared[hold(seed)] += 1
        except Exception as error:
            compared["failed"] += 1
            print(f"{error if isinstance(error, AssertionError) else f'seed {seed}: {error!r}'}\n", flush=True)
    print(f"{count} graphs: " + ", ".join(f"{number} {how}" for how, number in compared.most_common()))
    return int(compared["failed"] > 0)
