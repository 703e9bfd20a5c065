"""Which runs of layers become which leaves, and networks of them; the table of layers is in test_contract.py."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

pytest.importorskip("numba")

import colonnade as cn
from colonnade.composites import Chain, construct, describe
from colonnade.leaves import Leaf
from colonnade.testing import TOLERANCE, Check


def leaves(nodes: list[Any], shape: tuple[int, ...]) -> list[str]:
    """The leaves of a plan for training, each as the layers that it takes the place of."""
    plan = cn.Model(construct(describe(nodes)), compiled=True).plan((6, *shape), training=True)
    return [repr(step.layer) for step in plan.steps if isinstance(step.layer, Leaf)]


def holds_to_numpy(nodes: list[Any], shape: tuple[int, ...]) -> None:
    Check(Chain(nodes), shape, images=6, seed=0, tolerance=TOLERANCE).run_compiled()


C, BN, MP = cn.Conv2d, cn.BatchNorm2d, cn.MaxPool2d

RUNS: list[tuple[list[Any], tuple[int, ...], str]] = [
    ([C(3, 20, 3, padding=1), cn.ReLU()], (3, 9, 7), "Conv2d + ReLU"),
    ([C(3, 20, 3, padding=1), cn.SiLU()], (3, 9, 7), "Conv2d, SiLU"),
    ([C(24, 40, 3, padding=1), cn.Tanh(), C(40, 24, 3), cn.ReLU6()], (24, 7, 9), "Conv2d + Tanh, Conv2d + ReLU6"),
    ([C(6, 6, 3, 2, 1, groups=6), BN(6), cn.ReLU()], (6, 9, 8), "Conv2d, BatchNorm2d + ReLU"),
    ([C(4, 8, 5, 2, 2, groups=2), cn.LeakyReLU()], (4, 9, 8), "Conv2d, LeakyReLU"),
    ([C(2, 6, 3, padding=1), BN(6), cn.ReLU(), MP(2)], (2, 8, 6), "Conv2d, BatchNorm2d + MaxPool2d + ReLU"),
    ([C(2, 6, 3, padding=1), BN(6), MP(3)], (2, 9, 6), "Conv2d, BatchNorm2d + MaxPool2d"),
    ([BN(5, affine=False), cn.ReLU(), MP(2)], (5, 5, 6), "BatchNorm2d, MaxPool2d, ReLU"),
    ([BN(40), cn.Sigmoid(), cn.AdaptiveAvgPool2d((3, 2))], (40, 7, 5), "BatchNorm2d + Sigmoid, AdaptiveAvgPool2d"),
    ([cn.Residual([C(4, 4, 3, padding=1), BN(4)]), cn.ReLU()], (4, 5, 6), "Fork, Conv2d, BatchNorm2d + Add + ReLU"),
    ([cn.Residual([C(4, 4, 3, padding=1), BN(4)]), cn.SiLU()], (4, 5, 6), "Fork, Conv2d, BatchNorm2d + Add + SiLU"),
    (
        [cn.Residual([C(4, 20, 3, 2, 1), BN(20)], [C(4, 20, 1, 2), BN(20)]), C(20, 3, 1)],
        (4, 6, 5),
        "Fork, Conv2d, BatchNorm2d, Conv2d, BatchNorm2d + Add, Conv2d",
    ),
    ([C(3, 18, 3), BN(18), cn.GELU()], (3, 8, 7), "Conv2d, BatchNorm2d + GELU"),
    ([cn.Flatten(), cn.Dense(60, 33), cn.Tanh(), cn.Dense(33, 7)], (5, 4, 3), "Flatten, Dense + Tanh, Dense"),
    ([cn.LayerNorm(12), cn.Dense(12, 20), cn.GELU(), cn.Softmax(-1)], (7, 12), "LayerNorm, Dense, GELU, Softmax"),
    ([C(3, 20, 3), cn.Identity(), BN(20), cn.Identity(), cn.ReLU()], (3, 8, 7), "Conv2d, BatchNorm2d + ReLU"),
    (
        [C(3, 20, 3), cn.Affine(-1.2, 0.3), BN(20), cn.Affine(0.5, 1.5)],
        (3, 8, 7),
        "Conv2d + Affine, BatchNorm2d + Affine",
    ),
    ([cn.ConvTranspose2d(3, 4, 2), cn.Affine(-1.2, 0.3)], (3, 5, 6), "ConvTranspose2d + Affine"),
    ([cn.Dense(12, 20), cn.Affine(-1.2, 0.3), cn.Sigmoid()], (7, 12), "Dense + Affine, Sigmoid"),
    ([C(3, 20, 3), cn.Mean((2, 3)), cn.Tanh()], (3, 8, 7), "Conv2d, Mean, Tanh"),
    ([C(3, 20, 3), cn.Mean((-1, -2), keepdim=True), C(20, 4, 1)], (3, 8, 7), "Conv2d, Mean, Conv2d"),
    ([cn.Dense(6, 18), cn.Mean(1), cn.Dense(18, 4)], (7, 6), "Dense, Mean, Dense"),
    ([C(3, 20, 3), cn.Mean(2)], (3, 8, 7), "Conv2d"),
    ([cn.Softmax(2), cn.Tanh(), cn.LogSoftmax(-1), cn.Softmax(1)], (3, 17, 5), "Softmax, Tanh, LogSoftmax, Softmax"),
    ([cn.Tanh(), cn.LogSoftmax(1), cn.Softmax(2)], (19, 33), "Tanh, LogSoftmax, Softmax"),
    ([cn.Tanh(), cn.Softmax(3)], (2, 3, 5, 18), "Tanh, Softmax"),
    (
        [cn.ConvTranspose2d(24, 30, 3, 1, 1), cn.ReLU(), cn.ConvTranspose2d(30, 4, 4, 2, 1, 1, groups=2)],
        (24, 7, 9),
        "ConvTranspose2d + ReLU, ConvTranspose2d",
    ),
    ([cn.ConvTranspose2d(6, 6, 3, (3, 2), 2, (2, 1), groups=6), BN(6)], (6, 4, 5), "ConvTranspose2d, BatchNorm2d"),
    (
        [cn.ConvTranspose2d(5, 7, (2, 3), 2, 0, 1, bias=False, dilation=(1, 3)), cn.GELU()],
        (5, 3, 4),
        "ConvTranspose2d, GELU",
    ),
    (
        [
            cn.Conv1d(3, 24, 5, 2, 2),
            cn.BatchNorm1d(24),
            cn.ReLU(),
            cn.MaxPool1d(3, 2, 1),
            cn.Conv1d(24, 6, 3, groups=3),
        ],
        (3, 37),
        "Reshape, Conv1d, BatchNorm1d, MaxPool2d, ReLU, Conv1d, Reshape",
    ),
    (
        [cn.Conv1d(8, 8, 4, dilation=2, groups=8, padding="same"), cn.GELU(), cn.AvgPool1d(4, 3, 2), cn.Flatten()],
        (8, 21),
        "Reshape, Conv1d, GELU, AvgPool2d, Reshape + Flatten",
    ),
    (
        [cn.Residual([cn.Conv1d(4, 4, 3, padding=1, bias=False), cn.Tanh()]), cn.LayerNorm(9), cn.BatchNorm1d(4)],
        (4, 9),
        "Fork, Reshape, Conv1d + Tanh, Reshape, Add, LayerNorm, Reshape, BatchNorm1d, Reshape",
    ),
    (
        [cn.Upsample(scale_factor=(2.5, 0.7), mode="bilinear"), C(5, 20, 3), cn.PReLU(20)],
        (5, 6, 7),
        "Upsample, Conv2d, PReLU",
    ),
    ([cn.MultiheadAttention(20, 2)], (17, 20), "Dense, MultiheadAttention, Dense"),
    ([cn.MultiheadAttention(20, 2, 0.2, is_causal=True)], (17, 20), "Dense, MultiheadAttention, Dense"),
    ([cn.MultiheadAttention(20, 2, return_weights=True)], (17, 20), ""),
    (
        [cn.TransformerEncoderLayer(20, 2, 24, norm_first=True)],
        (17, 20),
        "Fork, LayerNorm, Dense, MultiheadAttention, Dense, Dropout, Add, Fork, LayerNorm, Dense + ReLU, Dropout, "
        "Dense, Dropout, Add",
    ),
    (
        [cn.Branches([C(3, 5, 1)], [C(3, 20, 1)]), cn.Dropout(0.2), cn.Dropout2d(0.5)],
        (3, 4, 5),
        "Fork, Conv2d, Conv2d, Concat, Dropout, Dropout2d",
    ),
    (
        [cn.Unflatten(1, (2, 5)), cn.Permute((0, 2, 1, 3, 4)), cn.Flatten(1, 2), C(10, 3, 1)],
        (10, 3, 4),
        "Unflatten + Permute + Flatten, Conv2d",
    ),
    ([cn.Flatten(2), cn.Permute((0, 2, 1)), cn.Dense(6, 4)], (6, 3, 4), "Flatten + Permute, Dense"),
    ([cn.Upsample(scale_factor=2), cn.ZeroPad2d(1), C(3, 4, 3)], (3, 4, 5), "Upsample + ZeroPad2d, Conv2d"),
    ([C(4, 8, 1), cn.PixelShuffle(2), cn.Slice(1, 0, 1)], (4, 3, 4), "Conv2d, PixelShuffle + Slice"),
    (
        [
            C(3, 20, (4, 1), (2, 1), (1, 0), (2, 1)),
            cn.Tanh(),
            cn.ConvTranspose2d(20, 4, (3, 1), (2, 1)),
            C(4, 4, (2, 1)),
        ],
        (3, 17, 1),
        "Conv2d + Tanh, ConvTranspose2d, Conv2d",
    ),
    ([C(4, 8, (3, 1), padding="same", groups=2), C(8, 8, (3, 1), groups=8)], (4, 9, 1), "Conv2d, Conv2d"),
]


@pytest.mark.parametrize(("nodes", "shape", "expected"), RUNS, ids=range(len(RUNS)))
def test_runs_of_layers_become_leaves(nodes: list[Any], shape: tuple[int, ...], expected: str) -> None:
    assert ", ".join(leaves(nodes, shape)) == expected


@pytest.mark.thorough
@pytest.mark.parametrize(("nodes", "shape"), [run[:2] for run in RUNS], ids=range(len(RUNS)))
def test_runs_of_leaves_compute_what_their_layers_do(nodes: list[Any], shape: tuple[int, ...]) -> None:
    holds_to_numpy(nodes, shape)


@pytest.mark.parametrize(
    "name", ["small", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("lenet5", "cnn", "resnet20"))]
)
def test_networks_train_as_in_numpy(name: str) -> None:
    shape = (1, 12, 12) if name == "lenet5" else (1, 8, 8)
    x = np.random.default_rng(0).standard_normal((16, *shape))
    targets = np.arange(16) % 3
    losses = []
    for compiled in (True, False):
        if name == "small":  # and in seconds compiled
            model = cn.Model([C(1, 4, 3), BN(4), cn.ReLU(), MP(2), cn.Flatten(), cn.Dense(36, 3)], compiled=compiled)
        else:
            model = getattr(cn.zoo, name)(input_shape=shape, classes=3, compiled=compiled)
        optimizer = cn.SGD(model.parameters(), lr=0.01, momentum=0.9)
        for _ in range(4):
            model.zero_grad()
            loss, gradient = cn.CrossEntropyLoss()(model(x, training=True), targets)
            model.backward(gradient)
            optimizer.step()
        losses.append(loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.thorough
def test_the_same_bits_for_any_number_of_threads() -> None:
    x = np.random.default_rng(0).standard_normal((64, 3, 16, 16))
    before, results = cn.get_threads(), []
    try:
        for threads in (1, 2, 3, 5):
            cn.set_threads(threads)
            model = cn.zoo.vgg(input_shape=(3, 16, 16), classes=4, compiled=True)
            y = model(x, training=True)
            model.backward(np.ones_like(y))
            results.append([y, *(each.grad.copy() for each in model.parameters())])
    finally:
        cn.set_threads(before)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.thorough
def test_plans_count_the_bytes_of_leaves() -> None:
    model = cn.zoo.cnn(compiled=True)
    x = np.zeros((32, 1, 28, 28), np.float32)
    expected = model.plan(x.shape, training=True).bytes
    model(x, training=True)
    memory = model.memory[True]
    assert memory.batch.nbytes + sum(each.nbytes for each in memory.workers) >= expected


def test_a_float64_model_runs_in_numpy() -> None:
    plan = cn.zoo.lenet5(dtype="float64").plan((2, 1, 28, 28))
    assert not any(isinstance(step.layer, Leaf) for step in plan.steps)


def test_a_compiled_models_parameters_are_stepped_on_all_threads() -> None:
    for compiled in (True, False):
        buffer = cn.zoo.lenet5(compiled=compiled).parameters()[0].buffer
        assert buffer is not None
        assert (buffer.spread is not None) is compiled


@pytest.mark.thorough
@pytest.mark.parametrize("shape", [(5, 18, 33), (3, 5, 18, 33), (2, 3, 2, 17)], ids=str)
def test_products_of_stacks_are_compiled(shape: tuple[int, ...]) -> None:
    turned = (*range(len(shape) - 1), len(shape), len(shape) - 1)
    nodes = {
        "left": (cn.Tanh(), "input"),
        "right": (cn.Permute(turned), "input"),
        "product": (cn.MatMul(), "left", "right"),
        "again": (cn.MatMul(), "product", "input"),
    }
    assert leaves([cn.Graph(nodes)], shape).count("MatMul") == 2
    holds_to_numpy([cn.Graph(nodes)], shape)


@pytest.mark.thorough
@pytest.mark.parametrize("shape", [(5, 18), (17, 33), (3, 5, 18), (2, 17, 20), (2, 3, 6, 17)], ids=str)
@pytest.mark.parametrize("factor", [None, 0.25])
def test_attention_that_is_spelled_out_is_one_leaf(shape: tuple[int, ...], factor: float | None) -> None:
    turned = (*range(len(shape) - 1), len(shape), len(shape) - 1)
    nodes = {
        "queries": (cn.Tanh(), "input"),
        "keys": (cn.Permute(turned), "input"),
        "values": (cn.Sigmoid(), "input"),
        "scores": (cn.MatMul(), "queries", "keys"),
        **({} if factor is None else {"scaled": (cn.Affine(factor), "scores")}),
        "weights": (cn.Softmax(-1), "scores" if factor is None else "scaled"),
        "means": (cn.MatMul(), "weights", "values"),
    }
    scaling = "" if factor is None else "Affine + "
    assert f"MatMul + {scaling}Softmax + MatMul" in leaves([cn.Graph(nodes)], shape)
    holds_to_numpy([cn.Graph(nodes)], shape)


def test_scores_that_are_shifted_or_summed_otherwise_are_not_attention() -> None:
    for between in (cn.Affine(0.5, 1.0), cn.Softmax(1)):
        nodes = {
            "keys": (cn.Permute((0, 1, 3, 2)), "input"),
            "scores": (cn.MatMul(), "input", "keys"),
            "between": (between, "scores"),
            "weights": (cn.Softmax(-1), "between"),
            "means": (cn.MatMul(), "weights", "input"),
        }
        assert "MatMul" in leaves([cn.Graph(nodes)], (3, 5, 5))


def test_weights_that_stand_on_the_right_are_not_attention() -> None:
    """v softmax(q k) of square matrices fits softmax(q k) v by its shapes."""
    nodes = {
        "scores": (cn.MatMul(), "queries", "keys"),
        "weights": (cn.Softmax(-1), "scores"),
        "means": (cn.MatMul(), "values", "weights"),
    }
    q, k, v = np.random.default_rng(0).normal(size=(3, 6, 2, 4, 4)).astype(np.float32)
    weights = np.exp(q @ k)
    expected = v @ (weights / weights.sum(-1, keepdims=True))
    for training in (True, False):
        model = cn.Model(cn.Graph(nodes, ["queries", "keys", "values"]), compiled=True)
        np.testing.assert_allclose(model((q, k, v), training=training), expected, rtol=1e-4, atol=1e-5)


class Doubled:
    """In front of a layer: twice what it computes."""

    def forward(self, x: Any, y: Any, block: cn.Block) -> None:
        super().forward(x, y, block)  # type: ignore[misc]
        y.value[...] *= 2


class DoubledConvolution(Doubled, cn.Conv2d): ...


class DoubledSequenceConvolution(Doubled, cn.Conv1d): ...


class DoubledNorm(Doubled, cn.BatchNorm2d): ...


class DoubledPool(Doubled, cn.MaxPool2d): ...


class DoubledSoftmax(Doubled, cn.Softmax): ...


class DoubledUpsample(Doubled, cn.Upsample): ...


class DoubledIdentity(Doubled, cn.Identity):
    views: ClassVar[set[str]] = set()


class Named(cn.Conv2d):
    """A convolution with arguments of its own, which computes what any does."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, padding=1)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (DoubledConvolution(4, 5, 3), (4, 6, 6)),
        (DoubledSequenceConvolution(4, 5, 3), (4, 6)),
        (DoubledNorm(4), (4, 6, 6)),
        (DoubledPool(2), (4, 6, 6)),
        (DoubledSoftmax(1), (4, 6, 6)),
        (DoubledUpsample(scale_factor=2), (4, 6, 6)),
        (DoubledIdentity(), (4, 6, 6)),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("compiled", [True, False])
def test_nothing_takes_the_place_of_a_layer_that_computes_otherwise(
    layer: Any, shape: tuple[int, ...], compiled: bool
) -> None:
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    model = cn.Model([layer], compiled=compiled)
    parent = type(layer).__mro__[2]
    plain = cn.Model([parent(**layer.config())], compiled=False)
    plain.build(shape)
    plain.load_state_dict(model.state_dict())
    for training in (True, False):
        assert np.array_equal(model(x, training=training), 2 * plain(x, training=training))


@pytest.mark.parametrize(
    "nodes", [[DoubledConvolution(4, 5, 3), BN(5)], [C(4, 5, 3), DoubledNorm(5)]], ids=["first", "second"]
)
def test_what_computes_otherwise_is_not_folded(nodes: list[Any]) -> None:
    plan = cn.Model(nodes).plan((2, 4, 6, 6))
    assert [step.layer for step in plan.steps][:2] == nodes


def test_a_layer_with_arguments_of_its_own_is_compiled() -> None:
    plan = cn.Model([Named(4), cn.ReLU()], compiled=True).plan((2, 4, 6, 6), training=True)
    assert [repr(step.layer) for step in plan.steps] == ["Named + ReLU"]
