"""Training by losses that compare several outputs, and by CTC, beside a loop written by hand."""

from __future__ import annotations

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError, ShapeError
from colonnade.optimizers import LBFGS, SGD
from colonnade.training import JointLoss

N = 20
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(N, 5))
DIGITS = np.arange(N) % 3
SIZES = RNG.normal(size=(N, 2))
SIGNS = np.where(DIGITS == 1, 1, -1)
TRIPLETS = {name: RNG.normal(size=(N, 5)) for name in ("a", "p", "n")}


def normal_heads() -> cn.Model:
    """A row in; a class, and means and variances of a normal distribution out."""
    nodes = {
        "digit": (cn.Dense(5, 3), "row"),
        "mean": (cn.Dense(5, 2), "row"),
        "raw": (cn.Dense(5, 2), "row"),
        "var": (cn.Softplus(), "raw"),
    }
    return cn.Model(cn.Graph(nodes, ["row"], ["digit", "mean", "var"]), seed=0, dtype="float64").build((5,))


def embedder(inputs: tuple[str, ...] = ("a", "p", "n")) -> cn.Model:
    """The same layers for every input."""
    dense, bent, out = cn.Dense(5, 8), cn.Tanh(), cn.Dense(8, 3)
    nodes = {}
    for name in inputs:
        nodes |= {f"hidden_{name}": (dense, name), f"bent_{name}": (bent, f"hidden_{name}")}
        nodes |= {f"code_{name}": (out, f"bent_{name}")}
    outputs = [f"code_{name}" for name in inputs]
    return cn.Model(cn.Graph(nodes, inputs, outputs), seed=0, dtype="float64").build(((5,),) * len(inputs))


def assert_same(one: cn.Model, other: cn.Model, rtol: float = 0.0) -> None:
    for name, array in one.state_dict().items():
        np.testing.assert_allclose(array, other.state_dict()[name], rtol=rtol, atol=rtol, err_msg=name)


def test_one_loss_of_all_outputs_is_the_loop_by_hand():
    ours, theirs = embedder(), embedder()
    settings = {"epochs": 3, "batch_size": 10, "shuffle": False, "loss": cn.TripletMarginLoss(margin=2.0)}
    history = ours.fit(TRIPLETS, optimizer=SGD(ours.parameters(), lr=0.1), **settings)
    optimizer, losses = SGD(theirs.parameters(), lr=0.1), []
    for _ in range(3):
        for run in (slice(10), slice(10, N)):
            outputs = theirs(tuple(each[run] for each in TRIPLETS.values()), training=True)
            loss, grads = cn.TripletMarginLoss(margin=2.0)(*outputs)
            theirs.zero_grad()
            theirs.backward(grads, input_gradient=False)
            optimizer.step()
            losses.append(loss)
    assert_same(ours, theirs)
    np.testing.assert_allclose(history.train_loss, np.reshape(losses, (3, 2)).mean(axis=1), rtol=1e-12)
    assert history.train_loss[-1] < history.train_loss[0]
    assert set(history[0]) == set(cn.training.EpochRecord.__annotations__)  # it is the whole, and has no column more


def test_parts_of_a_batch_add_up():
    one, other = embedder(), embedder()
    for model, accumulate in ((one, 1), (other, 3)):
        model.fit(TRIPLETS, optimizer=SGD(model.parameters(), lr=0.1), loss="triplet_margin", accumulate=accumulate)
    assert_same(one, other, 1e-12)


def test_a_dict_says_which_outputs_a_loss_reads_together():
    ours, theirs = normal_heads(), normal_heads()
    objective = {
        "loss": {"digit": "cross_entropy", ("mean", "var"): "gaussian_nll"},
        "loss_weights": {"digit": 2, ("mean", "var"): 0.5},
    }
    y = {("mean", "var"): SIZES, "digit": DIGITS}
    history = ours.fit(ROWS, y, optimizer=SGD(ours.parameters(), lr=0.1), batch_size=N, shuffle=False, **objective)
    digit, mean, var = theirs(ROWS, training=True)
    first, at_digit = cn.CrossEntropyLoss()(digit, DIGITS)
    second, (at_mean, at_var) = cn.GaussianNLLLoss()(mean, SIZES, var)
    theirs.zero_grad()
    theirs.backward((2 * at_digit, 0.5 * at_mean, 0.5 * at_var))
    SGD(theirs.parameters(), lr=0.1).step()
    assert_same(ours, theirs)
    assert history[0]["train_loss"] == pytest.approx(2 * first + 0.5 * second, rel=1e-12)
    assert history.train_loss_mean_var == [pytest.approx(second, rel=1e-12)]
    assert history.train_accuracy_mean_var == [None]
    found = theirs.evaluate(ROWS, (DIGITS, SIZES), **objective)
    assert found["loss"] == pytest.approx(2 * found["loss_digit"] + 0.5 * found["loss_mean_var"], rel=1e-12)
    losses = JointLoss(
        *(("digit", "mean", "var"), (cn.CrossEntropyLoss(), cn.GaussianNLLLoss()), (2.0, 0.5)),
        reads=(("digit",), ("mean", "var")),
    )
    value, grads = losses(theirs(ROWS), (DIGITS, SIZES))
    assert value == pytest.approx(found["loss"], rel=1e-12)
    assert [grad.shape for grad in grads] == [(N, 3), (N, 2), (N, 2)]


def test_an_output_may_be_read_by_several_losses_and_a_function_reads_several():
    def distance(y, targets):
        one, other = y
        assert targets.shape == (len(one), 0)
        return float(np.mean((one - other) ** 2)), (2 * (one - other) / one.size, 2 * (other - one) / one.size)

    ours, theirs = embedder(("a", "p")), embedder(("a", "p"))
    x = (TRIPLETS["a"], TRIPLETS["p"])
    loss = {"code_a": "mse", ("code_a", "code_p"): distance}
    y = {"code_a": np.ones((N, 3)), ("code_a", "code_p"): None}
    ours.fit(x, y, loss=loss, optimizer=SGD(ours.parameters(), lr=0.1), batch_size=N, shuffle=False)
    one, other = theirs(x, training=True)
    at_one, at_other = distance((one, other), np.empty((N, 0)))[1]
    theirs.zero_grad()
    theirs.backward((cn.MSELoss()(one, np.ones((N, 3)))[1] + at_one, at_other))
    SGD(theirs.parameters(), lr=0.1).step()
    assert_same(ours, theirs)


def test_pairs_are_told_apart_by_their_cosine():
    model = embedder(("a", "p"))
    x = (ROWS, np.where(SIGNS[:, None] == 1, ROWS + 0.01, -ROWS))
    settings = {"loss": "cosine_embedding", "validation": (x, SIGNS)}
    history = model.fit(x, SIGNS, epochs=30, batch_size=5, optimizer="adam", **settings)
    assert history.test_loss[-1] < 0.5 * history.test_loss[0]
    assert history.train_accuracy == [None] * 30


def test_a_run_that_was_stopped_goes_on_bit_for_bit(tmp_path):
    class Stop(cn.training.Callback):
        def on_batch_end(self, record):
            if (record.epoch, record.step) == (2, 2):
                raise KeyboardInterrupt

    settings = {"epochs": 3, "batch_size": 6, "loss": cn.TripletMarginLoss(swap=True), "checkpoint_seconds": 0}
    whole, stopped, fresh = embedder(), embedder(), embedder()
    expected = whole.fit(TRIPLETS, out=tmp_path / "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(TRIPLETS, out=tmp_path / "run", callbacks=[Stop()], **settings)
    history = fresh.fit(TRIPLETS, out=tmp_path / "run", resume=True, **settings)
    assert_same(whole, fresh)
    assert history.train_loss == expected.train_loss
    with pytest.raises(ArgumentError, match=r"another run: loss.losses"):
        embedder().fit(TRIPLETS, out=tmp_path / "run", resume=True, **settings | {"loss": cn.TripletMarginLoss()})


def reader() -> cn.Model:
    """Sequences (4, 12) in, logarithms of probabilities of four classes at each of their steps out."""
    layers = [cn.Conv1d(4, 8, 3, padding=1), cn.Tanh(), cn.Conv1d(8, 4, 1), cn.Permute((0, 2, 1)), cn.LogSoftmax(2)]
    return cn.Model(layers, seed=0, dtype="float64").build((4, 12))


def texts() -> tuple[np.ndarray, np.ndarray]:
    """Sequences with two marks in order, of one to three letters, and the letters."""
    rng = np.random.default_rng(1)
    x, labels = np.zeros((N, 4, 12)), np.full((N, 3), -1)
    for sequence, text in zip(x, labels, strict=True):
        length = rng.integers(1, 4)
        text[:length] = rng.integers(1, 4, length)
        for place, letter in enumerate(text[:length]):
            sequence[letter, 4 * place : 4 * place + 2] = 1
    return x + 0.1 * rng.normal(size=x.shape), labels


def test_texts_are_read_by_ctc():
    x, labels = texts()
    model = reader()
    optimizer = cn.Adam(model.parameters(), lr=0.02)
    history = model.fit(x, labels, epochs=60, batch_size=5, optimizer=optimizer, loss="ctc", validation=(x, labels))
    assert history.test_loss[-1] < 0.1 * history.test_loss[0]
    assert history.train_accuracy[-1] is None
    expected, _ = cn.CTCLoss(batch_first=True)(model(x), labels)
    assert history.test_loss[-1] == pytest.approx(expected, rel=1e-9)
    best = model(x).argmax(axis=2)
    for path, text in zip(best, labels, strict=True):
        read = [letter for place, letter in enumerate(path) if letter and (not place or letter != path[place - 1])]
        assert read == [letter for letter in text if letter >= 0]


@pytest.mark.parametrize(
    ("model", "x", "y", "loss", "error", "message"),
    [
        (
            *(reader, texts()[0], texts()[1], cn.CTCLoss(), ArgumentError),
            r"a model puts out the batch as first axis, expected CTCLoss\(batch_first=True\)",
        ),
        (
            *(reader, texts()[0], texts()[1] + 1, "ctc", ArgumentError),
            "CTCLoss: class numbers must be from 0 to 3 and not 0, the blank, got 4",
        ),
        (
            *(reader, texts()[0], texts()[1], cn.MSELoss(reduction="none"), ArgumentError),
            "MSELoss must be one number, expected reduction='mean' or 'sum', got 'none'",
        ),
        (
            *(reader, texts()[0], texts()[1], "triplet_margin", ArgumentError),
            r"TripletMarginLoss reads 3 outputs \(anchor, positive, negative\), got 1",
        ),
        (embedder, TRIPLETS, None, "cosine_embedding", ArgumentError, r"CosineEmbeddingLoss reads 2 outputs"),
        (embedder, TRIPLETS, None, "mse", ArgumentError, "expected targets y for code_a, code_p, code_n, got none"),
        (
            *(normal_heads, ROWS, None, {"digit": "nll", ("mean", "var"): "gaussian_nll"}, ArgumentError),
            "expected targets y for digit, mean_var, got none",
        ),
        (
            *(normal_heads, ROWS, (DIGITS, SIZES[:, :1]), {"digit": "nll", ("mean", "var"): "gaussian_nll"}),
            *(ShapeError, r"output 'mean_var': GaussianNLLLoss: targets must have the shape of y, \(20, 2\)"),
        ),
        (
            *(normal_heads, ROWS, SIZES, {("mean", "var"): "gaussian_nll"}, ArgumentError),
            "expected a loss for digit, mean, var, got none for digit",
        ),
        (
            *(normal_heads, ROWS, SIZES, {"digit": "mse", ("mean", "raw"): "gaussian_nll"}, ArgumentError),
            "expected a loss for digit, mean, var, got none for var",
        ),
        (
            *(normal_heads, ROWS, SIZES, {"digit": "mse", ("mean", "var"): None}, ArgumentError),
            "CrossEntropyLoss reads one output, got 2",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(model, x, y, loss, error, message):
    with pytest.raises(error, match=f"^fit: {message}") as caught:
        model().fit(x, y, loss=loss)
    assert "\n" not in str(caught.value)


def test_an_optimizer_that_asks_for_the_loss_several_times_is_refused():
    model = normal_heads()
    with pytest.raises(ArgumentError, match=r"^fit: LBFGS asks for the loss several times a step, .* by hand\.$"):
        model.fit(ROWS, (ROWS[:, :3], SIZES, SIZES), optimizer=LBFGS(model.parameters()), loss="mse")
