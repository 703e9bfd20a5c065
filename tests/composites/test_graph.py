"""Graph: any wiring gives what PyTorch gives, whatever is shared, and says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.composites import construct, describe
from colonnade.errors import ArgumentError, FileFormatError, ShapeError


def siamese() -> cn.Graph:
    """Two inputs through one convolution; a gate as wide as the channels; two outputs."""
    shared = cn.Conv2d(3, 8, 3, padding=1)
    return cn.Graph(
        {
            "trunk": (shared, "left"),
            "trunk again": (shared, "right"),
            "sum": (cn.Add(), "trunk", "trunk again"),
            "pool": (cn.AdaptiveAvgPool2d(1), "sum"),
            "gate": (cn.Sigmoid(), "pool"),
            "gated": (cn.Mul(stretch=True), "sum", "gate"),
            "shift": (cn.Constant((8, 1, 1)),),
            "shifted": (cn.Add(stretch=True), "gated", "shift"),
            "both": (cn.Concat(), "shifted", "trunk"),
        },
        inputs=["left", "right"],
        outputs=["both", "pool"],
    )


def pair(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(5, 3, 6, 6)), rng.normal(size=(5, 3, 6, 6))


def passes(model: cn.Model, x: Any, gradients: Any) -> list[np.ndarray]:
    model.zero_grad()
    outputs = model(x, training=True)
    at_inputs = model.backward(gradients(outputs))
    return [*outputs, *at_inputs, *(parameter.grad.copy() for parameter in model.parameters())]


def ones_and_twos(outputs: Any) -> Any:
    return np.ones_like(outputs[0]), np.full_like(outputs[1], 2)


def test_several_inputs_and_outputs_and_a_shared_layer_agree_with_torch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    model = cn.Model(siamese(), dtype="float64", seed=1)
    left, right = pair()
    got = passes(model, (left, right), ones_and_twos)

    leaves = [torch.tensor(array, requires_grad=True) for array in (left, right)]
    weight, bias, shift = (torch.tensor(each.value, requires_grad=True) for each in model.parameters())
    a, b = (torch.nn.functional.conv2d(leaf, weight, bias, padding=1) for leaf in leaves)
    total = a + b
    pooled = total.mean((2, 3), keepdim=True)
    both = torch.cat([total * pooled.sigmoid() + shift, a], 1)
    (both.sum() + 2 * pooled.sum()).backward()
    expected = [both, pooled, *(leaf.grad for leaf in leaves), weight.grad, bias.grad, shift.grad]
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, theirs.detach().numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_sharing_memory_changes_no_bit(threads: int) -> None:
    before = cn.get_threads()
    cn.set_threads(threads)
    try:
        alone, shared = (
            passes(cn.Model(siamese(), seed=1, share_memory=s), pair(), ones_and_twos) for s in (False, True)
        )
    finally:
        cn.set_threads(before)
    for one, other in zip(alone, shared, strict=True):
        assert one.tobytes() == other.tobytes()


def test_inputs_go_by_name_or_in_order_and_large_batches_in_runs() -> None:
    model = cn.Model(siamese(), seed=1)
    left, right = pair()
    by_name, in_order = model({"right": right, "left": left}), model([left, right])
    assert all(np.array_equal(one, other) for one, other in zip(by_name, in_order, strict=True))
    many = [np.concatenate([array] * 60) for array in (left, right)]  # 300 images
    for one, other in zip(model(many), in_order, strict=True):
        np.testing.assert_allclose(one[-5:], other, rtol=1e-6)


def test_a_shared_layer_has_one_set_of_parameters_by_its_first_name_and_stays_shared(tmp_path: Any) -> None:
    model = cn.Model(siamese(), seed=1)
    assert [parameter.name for parameter in model.parameters()] == ["trunk.weight", "trunk.bias", "shift.weight"]
    assert list(model.state_dict()) == ["trunk.weight", "trunk.bias", "shift.weight"]
    model(pair())
    model.save(tmp_path / "m.safetensors")
    again = cn.load(tmp_path / "m.safetensors")
    assert len(again.parameters()) == 3
    assert again.input_shape == model.input_shape == ((3, 6, 6), (3, 6, 6))
    assert all(np.array_equal(one, other) for one, other in zip(again(pair()), model(pair()), strict=True))
    assert "trunk again" not in again.summary()


def gated_block() -> cn.Graph:
    return cn.Graph(
        {
            "wide": (cn.Conv2d(2, 4, 1), "input"),
            "norm": (cn.BatchNorm2d(4), "wide"),
            "relu": (cn.ReLU(), "norm"),
            "squeeze": (cn.AdaptiveAvgPool2d(1), "relu"),
            "gate": (cn.Residual([cn.Conv2d(4, 4, 1), cn.Sigmoid()]), "squeeze"),
            "gated": (cn.Mul(stretch=True), "relu", "gate"),
            "twice": (cn.Add(), "gated", "wide", "wide"),
            "out": (cn.Concat(dim=-1), "twice", "norm"),
        }
    )


@pytest.mark.parametrize(
    ("node", "shape"),
    [
        (gated_block(), (2, 3, 4)),
        (cn.Graph({"a": (cn.Tanh(), "input"), "b": (cn.Mul(), "a", "a", "input")}), (3, 2, 2)),
        (cn.Graph({"c": (cn.Constant((3, 1, 4)),), "s": (cn.Add(stretch=True), "c", "input")}), (3, 2, 1)),
        (cn.Graph({"c": (cn.Constant((2, 5)),), "s": (cn.Concat(dim=1), "c", "input")}), (3, 5)),
        (cn.Graph({"t": (cn.Tanh(), "input"), "u": (cn.Tanh(), "t"), "m": (cn.Mul(stretch=True), "u", "input")}), (4,)),
    ],
)
def test_a_graph_is_held_to_the_contract_of_a_layer(node: cn.Graph, shape: tuple[int, ...]) -> None:
    cn.testing.check_layer(node, shape)


PAIRS = [cn.Add, cn.Sub, cn.Mul, cn.Div, cn.Maximum, cn.Minimum, cn.Pow, cn.MatMul, cn.Concat]


@pytest.mark.parametrize("reads", [("moving", "still"), ("still", "moving")])
@pytest.mark.parametrize("pair", PAIRS)
def test_an_input_whose_gradient_nobody_wants_is_left_out_and_changes_no_other(
    pair: Any, reads: tuple[str, str]
) -> None:
    x = np.abs(np.random.default_rng(0).normal(size=(6, 4, 4))) + 0.5
    gradients = []
    for input_gradient in (True, False):  # with it every tensor has a gradient, without it `still` has none
        nodes = {
            "dense": (cn.Dense(4, 4), "input"),
            "moving": (cn.Sigmoid(), "dense"),
            "still": (cn.Constant((4, 4), learned=False),),
            "pair": (pair(), *reads),
        }
        model = cn.Model(cn.Graph(nodes), dtype="float64", seed=1).build((4, 4))
        model["still"].weight[...] = np.linspace(0.2, 0.8, 16).reshape(4, 4)
        y = model(x, training=True)
        model.backward(np.cos(np.arange(y.size)).reshape(y.shape), input_gradient=input_gradient)
        gradients.append([parameter.grad.copy() for parameter in model.parameters()])
    assert all(one.tobytes() == other.tobytes() for one, other in zip(*gradients, strict=True))
    assert all(gradient.any() for gradient in gradients[0])


def random_graph(rng: np.random.Generator) -> tuple[cn.Graph, Callable[[Any, dict[str, Any]], Any]]:
    """A graph of some nodes, each reading any before it, and the same in PyTorch as a function of its parameters."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    nodes: dict[str, tuple[Any, ...]] = {}
    channels = {"input": 3}
    rules: dict[str, tuple[Any, tuple[str, ...]]] = {}
    shared = cn.Conv2d(3, 3, 3, padding=1)
    for number in range(int(rng.integers(3, 12))):
        reads = [str(each) for each in rng.choice(list(channels), int(rng.integers(1, 4)))]
        name, kind = f"n{number}", int(rng.integers(6))
        one = reads[0]
        if kind == 0 and channels[one] == 3:
            nodes[name], channels[name] = (shared, one), 3
            first = next(each for each, entry in nodes.items() if entry[0] is shared)
            rules[name] = (_convolution(torch, first), (one,))
        elif kind == 1:
            nodes[name], channels[name] = (cn.Conv2d(channels[one], 3, 1), one), 3
            rules[name] = (_convolution(torch, name), (one,))
        elif kind == 2:
            nodes[name], channels[name] = (cn.Tanh(), one), channels[one]
            rules[name] = (lambda p, x: torch.tanh(x), (one,))
        elif kind == 3:
            nodes[name], channels[name] = (cn.Concat(), *reads), sum(channels[each] for each in reads)
            rules[name] = (lambda p, *x: torch.cat(x, 1), tuple(reads))
        else:
            same = [each for each in channels if channels[each] == channels[one]]
            pair = (one, str(rng.choice(same)))
            nodes[name], channels[name] = (cn.Add() if kind == 4 else cn.Mul(), *pair), channels[one]
            rules[name] = (_sum if kind == 4 else _product, pair)
    unread = [each for each in nodes if not any(each in entry[1:] for entry in nodes.values())]
    nodes["end"] = (cn.Concat(), *unread)
    rules["end"] = (lambda p, *x: torch.cat(x, 1), tuple(unread))

    def run(x: Any, parameters: dict[str, Any]) -> Any:
        values = {"input": x}
        for name, (rule, reads) in rules.items():
            values[name] = rule(parameters, *(values[each] for each in reads))
        return values["end"]

    return cn.Graph(nodes), run


def _convolution(torch: Any, name: str) -> Any:
    def rule(p: dict[str, Any], x: Any) -> Any:
        weight = p[f"{name}.weight"]
        return torch.nn.functional.conv2d(x, weight, p[f"{name}.bias"], padding=weight.shape[-1] // 2)

    return rule


def _sum(p: Any, x: Any, y: Any) -> Any:
    return x + y


def _product(p: Any, x: Any, y: Any) -> Any:
    return x * y


@pytest.mark.parametrize("seed", range(25))
def test_a_graph_at_random_is_pytorchs(seed: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(seed)
    graph, run = random_graph(rng)
    if not any("input" in entry for entry in graph.reads.values()):
        pytest.fail("a graph that reads nothing")
    model = cn.Model(graph, dtype="float64", seed=seed)
    x = rng.normal(size=(4, 3, 5, 4))
    y = model(x, training=True)
    direction = rng.normal(size=y.shape)
    at_input = model.backward(direction)

    leaf = torch.tensor(x, requires_grad=True)
    theirs = {name: torch.tensor(array, requires_grad=True) for name, array in model.state_dict().items()}
    output = run(leaf, theirs)
    output.backward(torch.tensor(direction))
    np.testing.assert_allclose(y, output.detach().numpy(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(at_input, leaf.grad.numpy(), rtol=1e-9, atol=1e-9)
    for parameter in model.parameters():
        np.testing.assert_allclose(parameter.grad, theirs[parameter.name].grad.numpy(), rtol=1e-9, atol=1e-9)
    reference = cn.Model(construct(describe([graph]))[0], dtype="float64", seed=seed, share_memory=False)
    assert reference(x, training=True).tobytes() == y.tobytes()
    assert reference.backward(direction).tobytes() == at_input.tobytes()


def test_a_graph_is_a_part_like_any_other() -> None:
    model = cn.Model([cn.Conv2d(1, 2, 1), gated_block(), cn.Flatten(), cn.Dense(4 * 3 * 8, 2)], seed=0)
    x = np.random.default_rng(0).normal(size=(6, 1, 3, 4))
    y = model(x, training=True)
    assert y.shape == (6, 2)
    assert model.backward(y).shape == x.shape
    assert "1.gate.main.0.weight" in model.state_dict()


WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: cn.Graph({}), "expected at least one node"),
    (lambda: cn.Graph({"a": cn.ReLU()}), r"node 'a' must be a layer and the names it reads, got ReLU"),
    (lambda: cn.Graph({"a": (cn.ReLU, "input")}), "the class itself: add parentheses"),
    (lambda: cn.Graph({"a": (cn.ReLU(), "b"), "b": (cn.ReLU(), "input")}), r"nodes before it, got 'b' \(later\)"),
    (lambda: cn.Graph({"a": (cn.ReLU(), "x")}), r"got 'x' \(unknown\)"),
    (lambda: cn.Graph({"input": (cn.ReLU(), "input")}), "a name that no input has, got 'input'"),
    (lambda: cn.Graph({"a": (cn.ReLU(), "input"), "b": (cn.ReLU(), "input")}), "no output needs 'a'"),
    (lambda: cn.Graph({"a": (cn.ReLU(), "x")}, inputs=["x", "z"]), "no output needs 'z'"),
    (lambda: cn.Graph({"a": (cn.ReLU(), "input")}, outputs=["input"]), "an output must be a node, got 'input'"),
    (lambda: cn.Graph({"a": (cn.ReLU(), "input")}, outputs=["a", "a"]), "outputs must be different"),
    (lambda: cn.Graph({"a": (cn.ReLU(), "input")}, inputs="input"), "inputs must be a list of names"),
    (lambda: cn.Model(cn.Graph({"a": (cn.ReLU(), "input", "input")})), "layer a, ReLU: expected one input, got 2"),
    (lambda: cn.Model([cn.ReLU(), siamese()]), r"expected 2 inputs \(left, right\), got 1"),
    (lambda: cn.Model([gated_block(), cn.Add()]).build((2, 3, 4)), "expected two inputs or more, got 1"),
    (lambda: cn.Constant(()), "sizes must be positive"),
    (lambda: cn.Concat(0), "dim must not be the batch"),
]


@pytest.mark.parametrize(("make", "message"), WRONG)
def test_what_is_wrong_is_said_in_one_line(make: Callable[[], Any], message: str) -> None:
    with pytest.raises((ArgumentError, ShapeError), match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_batches_that_do_not_fit_are_refused() -> None:
    model = cn.Model(siamese(), seed=1)
    left, right = pair()
    with pytest.raises(ArgumentError, match=r"expected a batch for each input \(left, right\), got ndarray"):
        model(left)
    with pytest.raises(ArgumentError, match="expected a batch for each input"):
        model({"left": left})
    with pytest.raises(ShapeError, match="expected as many images of each input, got 5, 4"):
        model((left, right[:4]))
    model((left, right), training=True)
    with pytest.raises(ShapeError, match="expected a gradient of shape"):
        model.backward((left, right))
    unequal = cn.Model(cn.Graph({"a": (cn.Add(), "x", "y")}, inputs=["x", "y"]))
    with pytest.raises(ShapeError, match=r"layer a, Add: expected inputs of one shape, got \(3, 6, 6\), \(3, 4, 6\)"):
        unequal((left, right[:, :, :4]))


def test_a_file_that_lies_about_its_graph_is_refused() -> None:
    (description,) = describe([gated_block()])
    description["nodes"][1]["name"] = "wide"
    with pytest.raises(ArgumentError, match="two nodes are called 'wide'"):
        construct([description])
    (description,) = describe([gated_block()])
    description["nodes"][0]["layer"] = {"same_as": "out"}
    with pytest.raises(KeyError, match="out"):
        construct([description])
    nested: dict[str, Any] = {"type": "ReLU"}
    for _ in range(40):
        nodes = [{"name": "a", "layer": nested, "reads": ["input"]}]
        nested = {"type": "Graph", "nodes": nodes, "inputs": ["input"], "outputs": ["a"]}
    with pytest.raises(FileFormatError, match="nested more than 32 deep"):
        construct([nested])


class Sized(cn.Layer):
    """One that keeps what its input's shape says."""

    def build(self, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[int, ...]:
        self.size = shape[-1]
        return shape


def test_a_shared_layer_that_keeps_its_shape_must_have_one() -> None:
    layer = Sized()
    nodes = {"a": (layer, "x"), "b": (layer, "y"), "c": (cn.Concat(3), "a", "b")}
    model = cn.Model(cn.Graph(nodes, inputs=["x", "y"]))
    model.build(((2, 3, 4), (2, 3, 4)))
    with pytest.raises(ShapeError, match=r"Sized: .*must have inputs of one shape, got \(2, 3, 4\) and \(2, 3"):
        model.build(((2, 3, 4), (2, 3, 5)))
